"""A key is in nothing that a kernel sends or writes, however the question fails and however much IPython shows."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import pytest

from chatanywhere_magic.testing._wire import DONE, chunk, error, event, whole
from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import everything_written
from tests.support.kernels import Kernel
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kernels import Result

KEY: Final = "sk-0123456789-do-not-show-me/+="
HALF: Final = KEY[4:20]
"""A part of it that no form leaves out; cut pieces are looked for by it."""

SAYS = f"your key is {KEY}"
FAILING: Final = {
    "refused": Answer(status=401, raw=[error(SAYS)]),
    "refused-in-plain-text": Answer(status=403, raw=[SAYS.encode()], headers={"Content-Type": "text/plain"}),
    "refused-with-its-headers": Answer(status=400, raw=[error("no", KEY, KEY)], headers={"x-request-id": KEY}),
    "not-known": Answer(status=404, raw=[error(SAYS)]),
    "too-large": Answer(status=413, raw=[error(SAYS)]),
    "too-many": Answer(status=429, raw=[error(SAYS)]),
    "used-up": Answer(status=402, raw=[error(SAYS)]),
    "failing": Answer(status=500, raw=[error(SAYS)]),
    "overloaded": Answer(status=529, raw=[error(SAYS)]),
    "redirected": Answer(status=307, raw=[b""], headers={"Location": f"http://127.0.0.1:9/{KEY}?key={KEY}"}),
    "error-inside": Answer(raw=[event(chunk("So far.")), event(error(SAYS, KEY, KEY))]),
    "error-event": Answer(raw=[event(SAYS.encode(), name=b"error")]),
    "no-json": Answer(raw=[event(chunk("So far.")), event(SAYS.encode())]),
    "no-events": Answer(raw=[SAYS.encode()]),
    "broken-json": Answer(raw=[b'{"error": "' + SAYS.encode()], headers={"Content-Type": "application/json"}),
    "deep-json": Answer(raw=[event(b"[" * 100_000 + KEY.encode())]),
    "page": Answer(raw=[f"<html>{SAYS}</html>".encode()], headers={"Content-Type": "text/html"}),
    "no-gzip": Answer(raw=[SAYS.encode()], headers={"Content-Encoding": "gzip"}),
    "odd-encoding": Answer(raw=[SAYS.encode()], headers={"Content-Encoding": KEY}),
    "no-chunk": Answer(raw=[event(chunk("So far."))], garbage=f"{KEY}\r\n".encode()),
    "no-http": Answer(wire=[f"{KEY}\r\n\r\n".encode()], delay=0.01),
    "bad-header": Answer(wire=[f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()], delay=0.01),
    "cut": Answer(raw=[event(chunk("So far.")), f"data: {KEY}".encode()], cut=True, delay=0.01),
    "dropped": Answer(drop=True),
    "silent": Answer(raw=[event(chunk("So far.")), f"data: {KEY}".encode()], hold=threading.Event()),
    "unfinished": Answer(raw=[event(chunk(SAYS)), DONE]),
    "empty": Answer(raw=[event(whole([], model=KEY)), event(chunk("", "stop")), DONE]),
    "withheld": Answer(raw=[event(chunk(SAYS)), event(chunk(None, "content_filter")), DONE]),
    "declined": Answer(raw=[event(chunk(None, refusal=SAYS)), event(chunk(None, "stop")), DONE]),
    "calling": Answer(
        raw=[event(chunk(None, tool_calls=[{"function": {"name": KEY}}])), event(chunk(None, KEY)), DONE]
    ),
}
ASKING: Final = {
    "magic": "%%chat\nHi",
    "line": "%chat Hi",
    "sync": "chat.ask_sync('Hi')",
    "await": "await chat.ask('Hi')",
    "chained": """
        try:
            chat.ask_sync("Hi")
        except Exception as error:
            raise RuntimeError("in my own code") from error
        """,
    "in-its-handler": """
        try:
            chat.ask_sync("Hi")
        except Exception:
            1 / 0
        """,
    "provider": """
        from chatanywhere_magic import OpenAI

        try:
            async for piece in OpenAI.create_async_generator("", [{"role": "user", "content": "Hi"}], idle_timeout=0.4):
                pass
        except Exception as error:
            raise RuntimeError(repr(error), vars(error)) from error
        """,
    "logged": """
        import logging

        logging.basicConfig(level=logging.DEBUG)
        try:
            chat.ask_sync("Hi")
        except Exception:
            logging.exception("it failed")
        """,
}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: LocalServer) -> Iterator[Kernel]:
    """A kernel that shows all the variables of every frame of an error."""
    with Kernel(env={**environment(server), "OPENAI_API_KEY": KEY}) as kernel:
        kernel.run(f"{LOAD}\n%xmode Verbose")
        kernel.run("chat.provider, chat.max_retries, chat.idle_timeout = 'openai', 0, 0.4")
        yield kernel


@pytest.mark.parametrize("how", FAILING)
def test_no_failure_shows_it(kernel: Kernel, server: LocalServer, how: str) -> None:
    for asking, code in ASKING.items():
        server.forget()
        server.queue(FAILING[how], FAILING[how])
        shown = everything_shown(kernel.run(code))
        assert server.requests[0].header("Authorization") == f"Bearer {KEY}"
        assert HALF not in shown, (asking, shown[shown.index(HALF) - 2000 :][:4000])
        if asking in {"chained", "in-its-handler"}:
            assert "chat.ask_sync" in shown  # a frame was shown, with its variables
    assert HALF not in everything_written(kernel)


def test_no_answer_shows_it(kernel: Kernel, server: LocalServer) -> None:
    server.forget()
    pieces = ["It is ", *KEY, ", is it not?"]
    server.queue(Answer(text=pieces, reasoning=pieces, model=KEY))
    result = kernel.run("%chat What is my key?")
    shown = everything_shown(result)
    assert result.status == "ok", result
    assert HALF not in shown, shown[shown.index(HALF) - 1000 :][:2000]
    kept = kernel.run("print([vars(turn) for turn in chat.conversation.turns], chat.settings.trait_values())")
    assert "What is my key?" in kept.stdout
    assert HALF not in everything_shown(kept)


def everything_shown(result: Result) -> str:
    """Return all that a page, a log or a saved notebook could have of it."""
    return json.dumps(asdict(result), default=repr, ensure_ascii=False)
