"""Steps of calls on the wire: in both dialects, against a server that refuses a history as the real ones do."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatInterrupted, ChatSession
from chatanywhere_magic.testing import _responses as wire
from chatanywhere_magic.testing._wire import DONE, chunk, event
from chatanywhere_magic.testing.server import Answer, LocalServer, Request
from chatanywhere_magic.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatanywhere_magic.session.live_turn import LiveTurn

STEPS = 3


@pytest.fixture(params=["chat", "responses"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def chat(server: LocalServer, dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSession]:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "data"))
    session = new_session(dialect)
    yield session
    session.close()


def new_session(dialect: str) -> ChatSession:
    session = ChatSession(provider="openai", dialect=dialect)
    session.conversations.keep()
    return session


def call_of(dialect: str, number: int) -> Answer:
    """Return a response that calls the tool twice."""
    ids = [f"call{number}0000", f"call{number}0001"]
    if dialect == "chat":
        calls = [
            {
                "index": at,
                "id": each,
                "type": "function",
                "function": {"name": "step", "arguments": f'{{"n": {number}}}'},
            }
            for at, each in enumerate(ids)
        ]
        return Answer(raw=[event(chunk(None, tool_calls=calls)), event(chunk(None, "tool_calls")), DONE])
    arguments = f'{{"n": {number}}}'
    items = [piece for at, each in enumerate(ids) for piece in wire.call("step", [arguments], each, index=at)]
    output = [wire.call_item("step", arguments, each) for each in ids]
    return Answer(raw=wire.numbered([*wire.begin(), *items, wire.end(output=output)]))


def said(dialect: str, words: str) -> Answer:
    return Answer(text=[words]) if dialect == "chat" else Answer(raw=wire.events(words))


def assert_valid(request: Request, dialect: str) -> list[str]:
    """Check that each call is followed at once by its results, as real servers demand; return the results."""
    body: dict[str, Any] = json.loads(request.body)
    waiting: list[str] = []
    results: list[str] = []
    items = body["messages"] if dialect == "chat" else body["input"]
    for item in items:
        kind = item.get("type") or item.get("role")
        if kind in {"tool", "function_call_output"}:
            waiting.remove(item.get("tool_call_id") or item.get("call_id"))
            results.append(str(item.get("content") or item.get("output")))
            continue
        if kind == "function_call":
            waiting.append(item["call_id"])
            continue
        assert not waiting, f"{waiting} have no result before {item}"
        waiting += [call["id"] for call in item.get("tool_calls") or ()]
    assert not waiting
    return results


@pytest.mark.parametrize("at", range(2 * STEPS + 1))
def test_stopped_at_any_moment_the_next_request_is_valid(
    chat: ChatSession, server: LocalServer, dialect: str, at: int
) -> None:
    """Even numbers are moments while the model responds, odd ones while a function runs."""
    step, is_running = divmod(at, 2)
    held = threading.Event()
    server.queue(*(call_of(dialect, number) for number in range(step + is_running)))
    if not is_running:
        server.queue(replace(said(dialect, "Half of it."), hold=held, hold_after=1 if dialect == "chat" else 6))
    live = chat.prepare("Go", tools=[tool(step if is_running else -1)])
    live.listen(lambda live: stop_if(live, step, is_running=bool(is_running)))
    chat.start(live)
    live.wait()
    held.set()
    with pytest.raises(ChatInterrupted):
        live.reply()
    server.queue(said(dialect, "Fine."))
    assert chat.ask_sync("And now?", tools=[]) == "Fine."
    results = assert_valid(server.requests[-1], dialect)
    assert results == [str(number) for number in range(step) for _ in "ab"] + ["interrupted"] * 2 * is_running


def stop_if(live: LiveTurn, step: int, *, is_running: bool) -> None:
    if is_running and any(call.place.step == step and call.state == "running" for call in live.calls):
        live.cancel()
    elif not is_running and live.steps == step and live.step is None and live.response.has_begun:
        live.cancel()  # it says its half


def tool(stuck: int) -> Tool:
    async def step(n: int) -> int:
        """Make a step."""
        await asyncio.sleep(60 if n == stuck else 0)
        return n

    return Tool.of(step, approval="never")


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_what_was_recorded_is_a_valid_history_in_another_kernel(
    chat: ChatSession, server: LocalServer, dialect: str, steps: int
) -> None:
    server.queue(*(call_of(dialect, number) for number in range(steps)), said(dialect, "Done."))
    assert chat.ask_sync("Go", tools=[tool(-1)]) == "Done."
    here = chat.conversations.id
    chat.close()
    other = new_session("responses" if dialect == "chat" else "chat")
    other.conversations.switch(here)
    another = "responses" if dialect == "chat" else "chat"
    server.queue(said(another, "Fine."))
    assert other.ask_sync("And now?", tools=[]) == "Fine."
    assert assert_valid(server.requests[-1], another) == [str(number) for number in range(steps) for _ in "ab"]
    other.close()
