"""Stopping an answer: at once, with what came so far, the connection closed, and the next cell running."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import pytest

from tests.kernel.conftest import LOAD
from tests.kernel.seen import (
    Turn,
    assert_nothing_left_open,
    evaluate,
    text_so_far,
    the_error_line,
    turns,
)
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

    from tests.support.kernels import Kernel, Result, Running
    from tests.support.server import LocalServer

STOP_SECONDS = 0.2
STOPPED_LINE = "ChatInterrupted: Stopped; the text so far is kept."
EARLY_LINE = "ChatInterrupted: Stopped before the first word of the response."
UNASKED_LINE = "ChatInterrupted: Stopped before the prompt was sent."


class Lateness:
    """How late this machine wakes a sleeper while the ``with`` block lasts.

    Other work on the machine may keep kernel and test waiting for a core. That is none of the kernel's doing, and
    a sleeper beside it sees how much of it there was.
    """

    STEP: ClassVar = 0.005

    def __enter__(self) -> Self:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        ticks = iter(lambda: self._over.wait(self.STEP) or time.monotonic(), True)
        for before, after in pairwise(ticks):
            self.worst = max(self.worst, after - before - self.STEP)


def endless(**options: object) -> Answer:
    """Return an answer that goes on for half a minute."""
    return Answer(text=["word "] * 3_000, delay=0.01, **options)  # type: ignore[arg-type]


def writes(result: Result) -> bool:
    """Tell whether the endless answer has begun to show."""
    return text_so_far(result).startswith("word word ")


def interrupt(kernel: Kernel, running: Running) -> tuple[Result, float]:
    """Interrupt what runs; return its result and the seconds until the kernel said that the cell was over."""
    with Lateness() as lateness:
        asked = time.time()
        kernel.interrupt()
        result = running.wait(10)
    ended, kind = result.sent[-1]
    assert kind == "status"
    return result, ended - asked - lateness.worst


def assert_stopped(kernel: Kernel, result: Result) -> Turn:
    """Fail unless cell and conversation both hold the stopped answer; return its turn."""
    turn = turns(kernel)[-1]
    assert the_error_line(result) == (STOPPED_LINE if turn.text else EARLY_LINE)
    kinds = [output["output_type"] for output in result.outputs]
    assert kinds == ["display_data", "error"]
    shown = result.outputs[0]
    assert shown["metadata"]["chatanywhere"]["status"] == "interrupted"
    assert "■ stopped" in shown["data"]["text/html"]
    assert turn.status == "interrupted"
    assert shown["data"]["text/plain"] == turn.text or not turn.text
    return turn


class TestInStream:
    def test_twenty_times_in_a_row(self, kernel: Kernel, server: LocalServer) -> None:
        for count in range(1, 21):
            server.queue(endless())
            running = kernel.start(f"%%chat\nquestion {count}")
            running.wait_until(writes)
            result, seconds = interrupt(kernel, running)
            assert seconds < STOP_SECONDS
            turn = assert_stopped(kernel, result)
            assert turn.prompt == f"question {count}"
            assert turn.text.startswith("word word ")
            assert server.requests[-1].closed_by_client.wait(2)
            assert kernel.run("6 * 7").outputs[0]["data"]["text/plain"] == "42"
            assert_nothing_left_open(kernel)
        assert len(turns(kernel)) == len(server.requests) == 20

    def test_what_came_is_part_of_what_is_sent_next(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(text=["Once upon ", "a time"], hold=rest, hold_after=1))
        running = kernel.start("%chat Tell me a story")
        running.wait_until(lambda result: text_so_far(result) == "Once upon ")
        interrupt(kernel, running)
        kernel.run("%chat Go on")
        assert [message["content"] for message in server.requests[1].messages] == [
            "Tell me a story",
            "Once upon ",
            "Go on",
        ]

    def test_the_cell_can_be_run_again(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(endless(), Answer(text=["Whole."]))
        running = kernel.start("%chat Hello", cell_id="a")
        running.wait_until(writes)
        interrupt(kernel, running)
        kernel.run("%chat Hello", cell_id="a")
        assert turns(kernel) == [Turn("Hello", "Whole.", "complete")]
        assert server.requests[1].messages == [{"role": "user", "content": "Hello"}]

    def test_impatience_does_no_harm(self, kernel: Kernel, server: LocalServer) -> None:
        """Several interrupts at once, as from somebody who holds the key down, are one."""
        server.queue(endless())
        running = kernel.start("%chat Hello")
        running.wait_until(writes)
        for _ in range(5):
            kernel.interrupt()
        result = running.wait(10)
        assert result.status == "error"
        assert turns(kernel)[-1].status == "interrupted"
        assert server.requests[0].closed_by_client.wait(2)

    @pytest.mark.parametrize(
        "code",
        [
            "chat.ask_sync('Hello')",
            "chat('Hello')",
            "await chat.ask('Hello')",
            "async for piece in chat.stream('Hello'): pass",
        ],
    )
    def test_the_python_api_is_stopped_in_the_same_way(
        self, kernel: Kernel, server: LocalServer, tmp_path: Path, code: str
    ) -> None:
        server.queue(endless())
        begun = tmp_path / "begun"
        listen = f"lambda change, live: live and live.version.text and open({str(begun)!r}, 'w').close()"
        kernel.run(f"end_listening = chat.conversations.listen({listen})")
        running = kernel.start(code)
        request = server.wait_for_request()
        while not begun.exists():
            assert not running.poll(0.01)
        with Lateness() as lateness:
            asked = time.monotonic()
            kernel.interrupt()
            assert request.closed_by_client.wait(2)
        assert request.closed_at is not None
        # Not until the cell is over: IPython takes its time to draw the traceback of cancelled code.
        assert request.closed_at - asked - lateness.worst < STOP_SECONDS
        assert running.wait(10).status == "error"
        kernel.run("end_listening()")
        assert turns(kernel)[-1].status == "interrupted"
        assert turns(kernel)[-1].text.startswith("word ")


class TestBeforeTheText:
    def test_before_the_first_word(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Never."], hold=threading.Event(), hold_after=0))
        running = kernel.start("%chat Hello")
        request = server.wait_for_request()
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert_stopped(kernel, result)
        assert turns(kernel) == [Turn("Hello", "", "interrupted")]
        assert request.closed_by_client.wait(2)
        # There is no answer to send, and roles must alternate.
        kernel.run("%chat And now?")
        assert server.requests[1].messages == [{"role": "user", "content": "And now?"}]

    def test_while_a_provider_of_ones_own_waits(self, kernel: Kernel, tmp_path: Path) -> None:
        begun = tmp_path / "begun"
        code = f"""
        import asyncio, pathlib
        closed = False
        async def silent(model, messages):
            global closed
            try:
                pathlib.Path({str(begun)!r}).touch()
                await asyncio.sleep(3600)
                yield "Never."
            finally:
                closed = True
        chat.provider = silent
        %chat Hello
        """
        running = kernel.start(code)
        running.wait_until(lambda _: begun.exists())
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert_stopped(kernel, result)
        assert evaluate(kernel, "closed") is True

    def test_while_a_provider_asks_back(self, kernel: Kernel, server: LocalServer) -> None:
        """The question inside is stopped with the one that it is a part of."""
        server.queue(endless())
        code = """
        async def asks_back(model, messages):
            yield chat.ask_sync("inside", provider="openai")
        chat.provider = asks_back
        %chat Hello
        """
        running = kernel.start(code)
        request = server.wait_for_request()
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert_stopped(kernel, result)
        assert request.closed_by_client.wait(2)

    def test_while_it_queues(self, kernel: Kernel, server: LocalServer) -> None:
        """The turn before, which somebody else asked, goes on."""
        end = threading.Event()
        server.queue(Answer(text=["First."], hold=end))
        kernel.run("first = chat.prepare('first'); chat.start(first); None")
        server.wait_for_request()
        running = kernel.start("%chat second")
        running.wait_until(lambda result: "waiting for the previous turn" in text_so_far(result))
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert_stopped(kernel, result)
        end.set()
        kernel.run("first.wait()")
        assert turns(kernel) == [Turn("first", "First.", "complete"), Turn("second", "", "interrupted")]
        assert len(server.requests) == 1

    @pytest.mark.model
    def test_while_the_embedded_model_loads(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(LOAD)
        running = kernel.start("%chat -p local --max-tokens 5 Hello")
        running.wait_until(lambda result: "loading the model" in text_so_far(result))
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert_stopped(kernel, result)
        answer = kernel.run("%chat -p local --max-tokens 5 Hello")
        assert answer.status == "ok"
        assert text_so_far(answer)
        assert_nothing_left_open(kernel)

    @pytest.mark.model
    def test_while_the_embedded_model_writes(self, kernel: Kernel) -> None:
        running = kernel.start("%chat -p local Tell me a very long story.")
        running.wait_until(lambda result: len(text_so_far(result)) > 40 and text_so_far(result)[0] != "[")
        result, seconds = interrupt(kernel, running)
        assert seconds < STOP_SECONDS
        assert len(assert_stopped(kernel, result).text) > 40

    @pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.09, 0.12, 0.15])
    def test_at_any_moment_of_the_very_first_question(
        self, new_kernel: Callable[..., Kernel], server: LocalServer, delay: float
    ) -> None:
        """The first question loads modules and starts the engine; an interrupt may come in the midst of it."""
        kernel = new_kernel()
        kernel.run(LOAD)
        server.queue(endless())
        # Once the cell itself runs: earlier interrupts are ipykernel's, which may lose them.
        running = kernel.start("print('on')\n%chat Hello")
        running.wait_until(lambda result: result.stdout == "on\n")
        time.sleep(delay)
        kernel.interrupt()
        line = the_error_line(running.wait(10))
        assert line in {STOPPED_LINE, EARLY_LINE, UNASKED_LINE}
        answers = [turn.text for turn in turns(kernel) if turn.status == "interrupted"]
        assert len(answers) == len(turns(kernel)) <= (line != UNASKED_LINE)
        assert any(answers) == (line == STOPPED_LINE)
        server.forget()  # it may not have been asked
        assert kernel.run("%chat Hello", timeout=10).status == "ok"
        assert_nothing_left_open(kernel)


class TestOtherWaysToStop:
    def test_stop_from_another_thread(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(endless())
        running = kernel.start("""
        import threading
        threading.Timer(0.3, chat.stop).start()
        %chat Hello
        """)
        result = running.wait(10)
        turn = assert_stopped(kernel, result)
        assert turn.text.startswith("word ")
        assert server.requests[0].closed_by_client.wait(2)

    def test_stop_says_how_many_it_stopped(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(endless())
        kernel.run("asked = [chat.prepare(name) for name in ('one', 'two')]\nfor live in asked: chat.start(live)")
        server.wait_for_request()
        assert kernel.run("%chat_stop").stdout == "Stopped: 2.\n"
        kernel.run("for live in asked: live.done.wait(2)")
        assert [turn.status for turn in turns(kernel)] == ["interrupted", "interrupted"]
        assert kernel.run("%chat_stop").stdout == "Stopped: 0.\n"

    def test_a_new_conversation_stops_the_old_one(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(endless())
        kernel.run("live = chat.prepare('Hello'); chat.start(live); None")
        request = server.wait_for_request()
        kernel.run("%chat_new")
        assert request.closed_by_client.wait(2)
        assert turns(kernel) == []

    def test_a_stop_after_the_end_changes_nothing(self, kernel: Kernel) -> None:
        kernel.run("live = chat.prepare('Hello'); chat.start(live); live.wait(); live.cancel()")
        assert turns(kernel)[0].status == "complete"

    def test_an_interrupt_of_other_code_is_none_of_ours(self, kernel: Kernel) -> None:
        running = kernel.start("import time\nprint('on')\ntime.sleep(60)")
        running.wait_until(lambda result: result.stdout == "on\n")
        kernel.interrupt()
        assert running.wait(10).errors[0].ename == "KeyboardInterrupt"
        assert kernel.run("%chat Hello").status == "ok"
