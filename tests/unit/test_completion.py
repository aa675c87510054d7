"""Streams to deltas: the same whatever way the bytes are cut, for every stream that the conformance kit knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.core.messages import Delta, Reasoning, Text, ToolCall
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.dialects.responses import ResponsesReader
from chatanywhere_magic.providers.wire.sse import EventDecoder
from chatanywhere_magic.testing import conformance_cases
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chatanywhere_magic.providers.dialects.reader import ResponseReader

LARGEST = 20_000
STREAMS = sorted(
    {
        body
        for case in conformance_cases("openai")
        for answer in case.answers
        if answer.raw is not None and "Content-Encoding" not in answer.headers
        if len(body := b"".join(answer.raw)) < LARGEST
    }
)


RESPONSES = sorted(
    {
        body
        for case in conformance_cases("responses")
        for answer in case.answers
        if answer.raw is not None and "Content-Encoding" not in answer.headers
        if len(body := b"".join(answer.raw)) < LARGEST
    }
)


def read(pieces: Iterable[bytes], kind: type[ResponseReader] = CompletionReader) -> tuple[str, str, list[Delta], str]:
    """Return the text, the reasoning, all other deltas, and the error that ended it."""
    decoder, reader = EventDecoder(), kind("host", None, takes_calls=kind is ResponsesReader)
    deltas: list[Delta] = []
    failure = ""
    try:
        for piece in pieces:
            for event in decoder.feed(piece):
                deltas.extend(reader.read(event))
        for event in decoder.feed(b"", final=True):
            deltas.extend(reader.read(event))
        deltas.extend(reader.finish())
    except ChatError as error:
        deltas.extend(reader.flush())
        failure = f"{error.kind}: {error}"
    text = "".join(delta.text for delta in deltas if isinstance(delta, Text))
    reasoning = "".join(delta.text for delta in deltas if isinstance(delta, Reasoning))
    return text, reasoning, [delta for delta in deltas if not isinstance(delta, Text | Reasoning)], failure


def test_there_are_streams_enough() -> None:
    assert len(STREAMS) > 200


@settings(max_examples=examples(400))
@given(st.sampled_from(STREAMS), st.data())
def test_any_split_of_any_stream_gives_the_same(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(pieces) == read([stream])


@settings(max_examples=examples(200))
@given(st.sampled_from(RESPONSES), st.data())
def test_any_split_of_any_stream_of_the_other_protocol_gives_the_same(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(pieces, ResponsesReader) == read([stream], ResponsesReader)


@given(st.sampled_from([stream for stream in STREAMS if len(stream) < 2_000]))
def test_byte_by_byte_is_the_same(stream: bytes) -> None:
    assert read(stream[start : start + 1] for start in range(len(stream))) == read([stream])


CALLS = (
    b'data: {"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]}\n\n'
    b'data: {"choices": [{"delta": {"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{"}}]}}]}\n\n'
)


def test_calls_without_an_index_are_told_apart() -> None:
    rest = b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "}"}}]}}]}\n\n'
    finish = b'data: {"choices": [{"finish_reason": "tool_calls"}]}\n\n'
    _, _, others, _ = read([CALLS, rest, finish])
    assert others == [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")]


def test_half_a_call_is_none() -> None:
    _, _, others, failure = read([CALLS])
    assert not others
    assert failure.startswith("incomplete")
