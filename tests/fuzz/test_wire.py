"""Server-sent events, chat completions and responses as hostile servers write them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, astuple
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.core import ChatError, Extras, Finish, Reasoning, Text, ToolCall, Usage
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.dialects.reader import MAX_COUNT, ResponseReader
from chatanywhere_magic.providers.dialects.responses import ResponsesReader
from chatanywhere_magic.providers.wire.inflate import PIECE_BYTES, Inflater
from chatanywhere_magic.providers.wire.sse import Event, EventDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 2.0
"""For one example. All of them are small, so that what takes longer grows faster than it should."""

FIELDS: Final = (
    *("choices", "delta", "message", "content", "text", "refusal", "reasoning", "reasoning_content", "tool_calls"),
    *("function", "function_call", "name", "arguments", "id", "index", "finish_reason", "usage", "prompt_tokens"),
    *("completion_tokens", "error", "type", "code", "status", "model", "object", "prompt_progress", "total", "cache"),
    *("processed", "detail", "errors", "metadata", "raw", "msg", "x_groq", "thinking", "request_id"),
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.just(10**400)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["stop", "length", "content_filter", "error", "text", "refusal", "\ud83d", "[DONE]"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=30,
)
# Most are a chunk down to its delta, or nothing but the first field would ever be looked at.
CHUNKS = VALUES | st.builds(
    lambda delta, reason: {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]},
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    st.none() | st.sampled_from(["stop", "tool_calls", "error"]) | VALUES,
)
# The same for the Responses protocol, whose events name their type, and whose items may be of any form.
ITEMS = VALUES | st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "refusal"])},
    optional=dict.fromkeys(("id", "call_id", "name", "arguments", "content", "summary", "status"), VALUES),
)
ENDS = st.fixed_dictionaries(
    {"output": st.lists(ITEMS, max_size=3) | VALUES},
    optional={"status": st.sampled_from(["completed", "incomplete", "failed"]), "usage": VALUES, "error": VALUES},
)
RESPONSES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                *("response.created", "response.completed", "response.incomplete", "response.failed", "error"),
                *("response.output_item.added", "response.output_item.done", "response.content_part.added"),
                *("response.output_text.delta", "response.output_text.done", "response.refusal.delta"),
                *("response.reasoning_text.delta", "response.reasoning_summary_text.delta", "response.odd"),
                *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
            ]
        )
    },
    optional={
        "delta": LEAVES,
        "text": LEAVES,
        "arguments": LEAVES,
        "item_id": LEAVES,
        "output_index": st.integers(-1, 3) | LEAVES,
        "item": ITEMS,
        "part": ITEMS,
        "response": ENDS | VALUES,
    },
)
LINES = st.sampled_from(
    ["data:", "data: {}", "event: error", "event", ":", "", "\r", "id: 1", "retry: 5", "\ufeff", "data: [DONE]", "\x00"]
)


def read_all(reader: ResponseReader, events: list[Event]) -> Iterator[Any]:
    """Yield the deltas of `events`, to the error that ends them if there is one."""
    try:
        for event in events:
            yield from reader.read(event)
        yield from reader.finish()
    except ChatError as error:
        assert str(error).isprintable()  # noqa: PT017 - any error, but one fit to be shown


@pytest.mark.parametrize(("reader", "chunks"), [(CompletionReader, CHUNKS), (ResponsesReader, RESPONSES | VALUES)])
@given(st.data(), st.booleans())
def test_any_chunks_are_read_or_refused(
    reader: type[ResponseReader], chunks: st.SearchStrategy[object], data: st.DataObject, takes_calls: bool
) -> None:
    events = [Event("message", json.dumps(chunk)) for chunk in data.draw(st.lists(chunks, max_size=8))]
    began = time.process_time()
    deltas = list(read_all(reader("host", None, takes_calls=takes_calls), events))
    for delta in deltas:
        if isinstance(delta, Usage):
            assert all(each is None or 0 <= each <= MAX_COUNT for each in astuple(delta))
        if isinstance(delta, Text | Reasoning):
            delta.text.encode()
        if isinstance(delta, ToolCall | Extras):
            json.dumps(asdict(delta), allow_nan=False, ensure_ascii=False).encode()
    assert not any(isinstance(delta, Finish) for delta in deltas[:-1])
    assert time.process_time() < began + SECONDS


@given(st.lists(LINES | st.text(max_size=20), max_size=30), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_are_events_however_they_are_cut(lines: list[str], cuts: list[int]) -> None:
    body = "\n".join(lines).encode("utf-8", "replace")
    whole = EventDecoder()
    expected = [*whole.feed(body), *whole.feed(b"", final=True)]
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    cut = EventDecoder()
    found = [event for start, end in pairwise(places) for event in cut.feed(body[start:end])]
    assert [*found, *cut.feed(b"", final=True)] == expected
    list(read_all(CompletionReader("host", None), expected))


@given(st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "identity", "odd", ""]), max_size=4), st.binary())
def test_any_bytes_are_inflated_or_refused(encodings: list[str], body: bytes) -> None:
    sizes: list[int] = []
    try:
        pieces = list(Inflater(", ".join(encodings), sizes.append).feed(body))
    except ValueError:
        return
    assert sum(map(len, pieces)) <= sum(sizes)
    assert max(map(len, pieces), default=0) <= 4 * PIECE_BYTES
