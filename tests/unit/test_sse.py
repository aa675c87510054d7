"""Bytes to server-sent events, as https://html.spec.whatwg.org/#event-stream-interpretation has it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatanywhere_magic.providers.wire.sse import Event, EventDecoder
from tests.support.examples import examples

PIECES = (
    *("data", "data:", "data: ", "data:  ", "event", "event:", "event: end", "id: 1", "retry: 5", "other: x"),
    *("\n", "\r", "\r\n", "\n\n", ":", ": comment", " ", "\ufeff", "\x00", "x", "é", "你好", "😀", "\u2028"),
)
LINES = st.lists(st.sampled_from(PIECES), max_size=40).map(lambda pieces: "".join(pieces).encode())
STREAMS = LINES | st.binary(max_size=60) | st.tuples(LINES, st.binary(max_size=4), LINES).map(b"".join)


def decode(*chunks: bytes) -> list[Event]:
    decoder = EventDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.feed(b"", final=True)]


def data(*chunks: bytes) -> list[str]:
    return [event.data for event in decode(*chunks)]


def by_the_standard(stream: bytes) -> list[Event]:
    """The standard's own steps, on the whole text at once; with the missing last blank line added."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[Event] = []
    name, lines = "", list[str]()
    for line in (*re.sub("\r\n?", "\n", text).split("\n"), ""):
        if line == "":
            if lines:
                events.append(Event(name or "message", "\n".join(lines)))
            name, lines = "", []
        elif line.startswith(":"):
            continue
        else:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                lines.append(value)
            elif field == "event":
                name = value
    return events


@settings(max_examples=examples(300))
@given(STREAMS)
def test_any_stream_gives_the_events_of_the_standard(stream: bytes) -> None:
    assert decode(stream) == by_the_standard(stream)


@settings(max_examples=examples(300))
@given(STREAMS, st.data())
def test_any_split_of_any_stream_gives_the_same_events(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks) == decode(stream)


@given(STREAMS)
def test_a_stream_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert decode(*(bytes([byte]) for byte in stream)) == decode(stream)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_all_three_line_ends(end: str) -> None:
    assert data(f"data: a{end}data: b{end}{end}data: c{end}{end}".encode()) == ["a\nb", "c"]


def test_line_ends_mixed_in_one_stream() -> None:
    assert data(b"data: a\rdata: b\r\ndata: c\n\r\n") == ["a\nb\nc"]


def test_a_line_feed_split_from_its_carriage_return_ends_no_second_line() -> None:
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_event_ends_at_once_even_where_a_line_feed_might_follow() -> None:
    assert [event.data for event in EventDecoder().feed(b"data: a\r\r")] == ["a"]


def test_several_data_lines_are_one_event() -> None:
    assert data(b"data: a\ndata:\ndata:b\n\n") == ["a\n\nb"]


def test_only_the_first_space_after_the_colon_is_dropped() -> None:
    assert data(b"data:  a \n\n") == [" a "]


def test_a_field_without_a_colon_is_an_empty_field() -> None:
    assert data(b"data\n\n") == [""]


def test_comments_and_unknown_fields_are_passed_over() -> None:
    assert data(b": keep-alive\n\nid: 7\nretry: 1\nDATA: no\n data: no\ndata: a\n: in between\n\n") == ["a"]


def test_an_events_name_lasts_for_one_event() -> None:
    assert decode(b"event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n") == [
        Event("error", "a"),
        Event("message", "b"),
        Event("message", "c"),
    ]


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert data(b"\xef\xbb", b"\xbfdata: a\n\ndata: \xef\xbb\xbfb\n\n") == ["a", "\ufeffb"]


def test_a_missing_last_blank_line_loses_no_event() -> None:
    assert data(b"data: a\n\ndata: b\n") == ["a", "b"]
    assert data(b"data: a\n\ndata: b") == ["a", "b"]


@pytest.mark.parametrize("word", ["é", "你好", "😀", "👩‍👩‍👧", "नमस्ते"])
def test_characters_split_at_any_byte(word: str) -> None:
    stream = f"data: {word}\n\n".encode()
    for cut in range(len(stream)):
        assert data(stream[:cut], stream[cut:]) == [word]


def test_invalid_bytes_become_replacement_characters() -> None:
    assert data(b"data: a\xff\xfeb\n\ndata: \xe4\xbd\n\n") == ["a��b", "�"]
    assert data(b"data: cut \xe4\xbd") == ["cut �"]


def test_a_long_line_in_small_chunks_costs_linear_work() -> None:
    def seconds(size: int) -> float:
        chunks = [b"data: ", *[b"x" * 64] * (size // 64), b"\n\n"]
        start = time.thread_time()
        (event,) = decode(*chunks)
        assert len(event.data) == size
        return time.thread_time() - start

    small, large = 256 * 1024, 2 * 1024 * 1024
    # Eight times the text: about 8 times the work if it is linear, 64 times if it is quadratic.
    assert min(seconds(large) for _ in range(2)) < 24 * min(seconds(small) for _ in range(3))
