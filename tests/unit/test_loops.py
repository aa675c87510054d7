"""Other event loops than asyncio's own beside us: policies that are changed, uvloop, trio."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, ConfigurationError, Scripted
from chatanywhere_magic.testing.server import Answer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from chatanywhere_magic.testing.server import LocalServer

CHANGES = {
    "policy": """
        class Policy(asyncio.DefaultEventLoopPolicy):
            def get_event_loop(self):
                raise RuntimeError("no loop here")

        asyncio.set_event_loop_policy(Policy())
    """,
    "uvloop": "import uvloop; uvloop.install()",
    "no loop": "asyncio.set_event_loop(None)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_event_loops_after_the_first_question_leaves_no_traceback(
    change: str, server: LocalServer
) -> None:
    if change == "uvloop":
        pytest.importorskip("uvloop")
    server.queue(*(Answer(text=[answer]) for answer in "abc"))
    program = "\n".join(
        [
            "import asyncio, os",
            "from chatanywhere_magic import ChatSession",
            f"os.environ['OPENAI_BASE_URL'] = {server.api_url!r}",
            "chat = ChatSession(provider='openai')",
            "print(chat.ask_sync('1'))",
            dedent(CHANGES[change]),
            "print(chat.ask_sync('2'))",
            "async def main(): return await chat.ask('3')",
            "print(asyncio.run(main()))",
        ]
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.split(), ran.stderr, ran.returncode) == (["a", "b", "c"], "", 0)


def driven(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine as a loop that is not asyncio's does."""
    with pytest.raises(ConfigurationError, match=r"needs asyncio's event loop.*chat\.ask_sync in a thread"):
        coroutine.send(None)


def test_another_kind_of_loop_is_told_what_to_do_and_nothing_is_asked() -> None:
    chat = ChatSession(provider=Scripted.of("Yes."))
    driven(chat.ask("Hi"))
    driven(chat.stream("Hi").__anext__())
    driven(chat.amap(["Hi"]))
    assert not chat.conversation.turns
    assert chat.ask_sync("Hi") == "Yes."
    chat.close()


def test_trio_is_such_a_loop() -> None:
    trio = pytest.importorskip("trio")
    chat = ChatSession(provider=Scripted.of("Yes."))
    with pytest.raises(ConfigurationError, match="asyncio"):
        trio.run(chat.ask, "Hi")
    assert trio.run(trio.to_thread.run_sync, chat.ask_sync, "Hi") == "Yes."
    chat.close()
