"""What reading costs: linear work, and no memory beyond the text."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatAnywhere, OpenAI
from chatanywhere_magic.core.messages import Text
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.wire.sse import EventDecoder
from chatanywhere_magic.testing.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatanywhere_magic.providers.contract import Provider

pytestmark = pytest.mark.slow

QUESTION = [{"role": "user", "content": "Hi"}]


def event(content: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': content}}]})}\n\n".encode()


def read(pieces: Iterator[bytes]) -> int:
    """Decode a stream as it would come, keep nothing, and return how many characters there were."""
    decoder, reader = EventDecoder(), CompletionReader("host", None)
    count = 0
    for piece in pieces:
        for one in decoder.feed(piece):
            count += sum(len(delta.text) for delta in reader.read(one) if isinstance(delta, Text))
    return count


def peak(events: int) -> int:
    """Return the most memory that reading so many events takes."""
    words = event("word ")
    tracemalloc.start()
    try:
        assert read(words for _ in range(events)) == 5 * events
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_fifteen_thousand_events_take_no_more_memory_than_a_thousand() -> None:
    peak(100)  # what is loaded once
    assert peak(15_000) < 2 * peak(1_000) + 50_000


@pytest.mark.parametrize("size", [64, 4_096])
def test_a_long_event_in_small_pieces_costs_linear_work(size: int) -> None:
    def seconds(megabytes: int) -> float:
        body = event("x" * (megabytes * 1_000_000))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        begun = time.thread_time()
        assert read(iter(pieces)) == megabytes * 1_000_000
        return time.thread_time() - begun

    # Eight times the text: about 8 times the work if it is linear, 64 times if it is quadratic.
    assert min(seconds(8) for _ in range(2)) < 24 * min(seconds(1) for _ in range(3))


@pytest.mark.parametrize("provider", [OpenAI, ChatAnywhere])
def test_a_server_that_is_always_ahead_leaves_the_loop_to_others(
    server: LocalServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url)
    words = event("word ") if provider is OpenAI else b"word "
    end = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n' if provider is OpenAI else b"."
    server.queue(Answer(raw=[words * 1_000] * 60 + [end]))

    async def look() -> tuple[int, int]:
        turns = count = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(others())
        async for piece in provider.create_async_generator("", QUESTION):  # type: ignore[arg-type]
            count += len(piece)
        beside.cancel()
        return turns, count

    turns, count = asyncio.run(look())
    assert count >= 300_000
    assert turns > 5  # what lies ready comes in pieces, and others have their turn between them
