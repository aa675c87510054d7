"""Connections are used again from one question to the next, and are gone with the session."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from chatanywhere_magic import ChatSession, OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

EVENTS = b'data: {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]}\n\n'


class CountingServer:
    """A server that remembers who connected from which port."""

    def __init__(self) -> None:
        self.peers: list[tuple[str, int]] = []
        self.open: set[object] = set()
        self.url = ""
        self.words = 0
        """How many words an answer has before its end, 5 ms apart."""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        self.open = {request.transport}
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(self.words):
            await response.write(WORD)
            await asyncio.sleep(0.005)
        await response.write(EVENTS)
        return response

    def has_open_connections(self) -> bool:
        return any(not transport.is_closing() for transport in self.open)  # type: ignore[attr-defined]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    with CountingServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def test_the_next_question_uses_the_same_connection(server: CountingServer) -> None:
    session = ChatSession()
    assert [session.ask_sync("Hi", provider=OpenAI) for _ in range(3)] == ["Yes."] * 3
    assert len(server.peers) == 3
    assert len(set(server.peers)) == 1
    session.close()


def test_also_where_the_answer_came_word_by_word(server: CountingServer) -> None:
    server.words = 100
    chat = ChatSession()
    pieces: list[int] = []
    for _ in range(2):
        live = chat.prepare("Hi")
        live.listen(lambda live: pieces.append(len(live.response.text_since(0)[0])))
        chat.start(live).result()
        assert live.reply() == "word " * 100 + "Yes."
    chat.close()
    assert len(set(server.peers)) == 1
    assert len(set(pieces)) < 80  # once it is seen to trickle, a tenth of a second's words are read at a time


def test_closing_the_session_closes_it(server: CountingServer) -> None:
    session = ChatSession()
    session.ask_sync("Hi", provider=OpenAI)
    assert server.has_open_connections()
    session.close()
    for _ in range(200):
        if not server.has_open_connections():
            break
        threading.Event().wait(0.01)
    assert not server.has_open_connections()
    assert session.ask_sync("Hi again", provider=OpenAI) == "Yes."
    session.close()


def test_outside_a_session_nothing_is_left_open(server: CountingServer) -> None:
    async def ask() -> str:
        return "".join(
            [chunk async for chunk in OpenAI.create_async_generator("", [{"role": "user", "content": "Hi"}])]
        )

    assert asyncio.run(ask()) == "Yes."
    for _ in range(200):
        if not server.has_open_connections():
            break
        threading.Event().wait(0.01)
    assert not server.has_open_connections()
