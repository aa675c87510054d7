"""``asyncio`` in the kernel belongs to the user: untouched by the chat, and going on beside it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.kernel.conftest import LOAD
from tests.kernel.seen import Turn, evaluate, the_answer, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer

# A question inside a question uses all that nest-asyncio is there for.
NESTED = """
async def asks_back(model, messages):
    inner = chat.ask_sync("inside", provider="openai")
    yield f"The other one said: {inner}"
"""


def test_nothing_of_asyncio_is_replaced(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel()
    remember = """
    import asyncio, asyncio.events, asyncio.tasks

    async def wait_for_ever():
        await asyncio.Event().wait()

    old_task = asyncio.create_task(wait_for_ever())
    loop_class = type(asyncio.get_running_loop())

    def everything():
        modules = [asyncio, asyncio.events, asyncio.tasks, asyncio.futures, asyncio.base_events.BaseEventLoop]
        classes = [base for base in loop_class.__mro__]
        return [
            (place, name, id(value))
            for place in [*modules, *classes]
            for name, value in vars(place).items()
            if name not in {"_running_loop", "_current_tasks", "_scheduled_tasks", "_eager_tasks", "_all_tasks"}
        ]

    before = everything()
    """
    assert kernel.run(remember).status == "ok"
    kernel.run(LOAD + NESTED + "chat.provider = asks_back")
    the_answer(kernel.run("%chat Hello"))
    kernel.run("await chat.ask('Hello')")
    assert evaluate(kernel, "[str(entry[:2]) for entry in set(everything()) ^ set(before)]") == []
    assert evaluate(kernel, "hasattr(asyncio, '_nest_patched')") is False
    assert evaluate(kernel, "isinstance(old_task, asyncio.Task) and not old_task.done()") is True
    assert evaluate(kernel, "type(asyncio.get_running_loop()) is loop_class") is True
    kernel.run("old_task.cancel()")


def test_asyncio_run_in_a_thread_is_as_ever(kernel: Kernel) -> None:
    code = """
    import asyncio, threading
    %chat Hello
    seen = {}

    async def main():
        seen["loop"] = asyncio.get_running_loop()
        await asyncio.sleep(0)
        return "done"

    def work():
        try:
            seen["result"] = asyncio.run(main())
            seen["closed"] = seen["loop"].is_closed()
            asyncio.run(main(), debug=True)
        except BaseException as error:
            seen["error"] = repr(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """
    assert kernel.run(code).status == "ok"
    assert evaluate(kernel, "[seen.get('result'), seen.get('closed'), seen.get('error')]") == ["done", True, None]


def test_asyncio_run_in_a_cell_is_refused_as_ever(kernel: Kernel) -> None:
    result = kernel.run("%chat Hello\nasync def main(): pass\ncoroutine = main()\nasyncio.run(coroutine)")
    assert result.errors[0].ename == "RuntimeError"
    assert "cannot be called from a running event loop" in result.errors[0].evalue
    kernel.run("coroutine.close()")


@pytest.mark.parametrize(
    "asking",
    [
        "reply = await chat.ask('Hello')",
        "reply = ''.join([piece async for piece in chat.stream('Hello')])",
    ],
)
def test_ones_own_tasks_go_on_while_an_answer_is_awaited(kernel: Kernel, server: LocalServer, asking: str) -> None:
    server.queue(Answer(text=["a ", "b ", "c"], delay=0.2))
    code = f"""
    import asyncio
    beats = 0
    async def heart():
        global beats
        while True:
            beats += 1
            await asyncio.sleep(0.01)
    task = asyncio.create_task(heart())
    {asking}
    task.cancel()
    """
    assert kernel.run(code).status == "ok"
    assert evaluate(kernel, "reply") == "a b c"
    assert evaluate(kernel, "beats") >= 15
    assert turns(kernel) == [Turn("Hello", "a b c", "complete")]


def test_a_stream_yields_text_as_it_comes(kernel: Kernel, server: LocalServer) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["a ", "b"], hold=rest, hold_after=1))
    running = kernel.start("async for piece in chat.stream('Hello'):\n    print(f'<{piece}>', flush=True)")
    running.wait_until(lambda result: result.stdout == "<a >\n")
    rest.set()
    assert running.wait().stdout == "<a >\n<b>\n"


def test_a_reply_knows_who_answered(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["Hi."], usage=(5, 2)))
    kernel.run("reply = await chat.ask('Hello')")
    known = "[reply, reply.provider, reply.model, reply.finish_reason, reply.usage.completion_tokens]"
    assert evaluate(kernel, known) == ["Hi.", "openai", "test-model", "stop", 2]


def test_a_failure_is_raised_where_it_is_awaited(kernel: Kernel, server: LocalServer) -> None:
    server.queue(*[Answer(status=401, raw=[b"{}"])] * 3)
    code = """
    from chatanywhere_magic import ChatError
    caught = []
    try: chat.ask_sync("Hello")
    except ChatError as error: caught.append(type(error).__name__)
    try: await chat.ask("Hello")
    except ChatError as error: caught.append(type(error).__name__)
    try: _ = [piece async for piece in chat.stream("Hello")]
    except ChatError as error: caught.append(type(error).__name__)
    """
    assert kernel.run(code).status == "ok"
    assert evaluate(kernel, "caught") == ["AuthenticationError"] * 3


def test_leaving_a_stream_early_stops_the_answer(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["word "] * 3000, delay=0.01))
    code = """
    from contextlib import aclosing
    async with aclosing(chat.stream("Hello")) as pieces:
        async for piece in pieces:
            break
    """
    assert kernel.run(code).status == "ok"
    assert server.requests[0].closed_by_client.wait(2)
    assert [turn.status for turn in turns(kernel)] == ["interrupted"]


def test_cancelling_an_awaiting_task_stops_the_answer(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["word "] * 3000, delay=0.01))
    begin = "import asyncio\ntask = asyncio.create_task(chat.ask('Hello'))\nawait asyncio.sleep(0)"
    assert kernel.run(begin).status == "ok"
    server.wait_for_request()
    assert kernel.run("task.cancel()\nawait asyncio.wait([task])").status == "ok"
    assert evaluate(kernel, "task.cancelled()") is True
    assert server.requests[0].closed_by_client.wait(2)
    assert [turn.status for turn in turns(kernel)] == ["interrupted"]


def test_a_task_may_be_cancelled_at_any_moment(kernel: Kernel, server: LocalServer) -> None:
    """Connecting, waiting, reading: a cancellation must get through everywhere."""
    server.queue(*[Answer(text=["word "] * 1000, delay=0.001)] * 40)
    code = """
    import asyncio
    for number in range(40):
        task = asyncio.create_task(chat.ask("Hello"))
        await asyncio.sleep(number * 0.001)
        task.cancel()
        await asyncio.wait([task])
    ended = [live.done.wait(2) for live in chat.turns.live]
    """
    assert kernel.run(code).status == "ok"
    assert evaluate(kernel, "ended") == [True] * len(evaluate(kernel, "ended"))
    assert all(request.closed_by_client.wait(2) for request in server.requests)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_task_may_be_cancelled_before_it_has_begun(kernel: Kernel, steps: int) -> None:
    """A turn that never ran must not count as running for ever."""
    code = f"""
    import asyncio
    for _ in range(20):
        task = asyncio.create_task(chat.ask("Hello"))
        for _ in range({steps}):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    for live in chat.turns.live:
        live.done.wait(2)
    """
    assert kernel.run(code).status == "ok"
    assert evaluate(kernel, "len(chat.turns.live)") == 0
    assert the_answer(kernel.run("%chat Hello")).metadata["chatanywhere"]["status"] == "complete"


def test_a_listener_hears_the_end_though_the_asking_loop_is_gone(kernel: Kernel, server: LocalServer) -> None:
    """A stream may be left in a loop of one's own, which is closed before the turn has ended."""
    server.queue(*[Answer(text=["word "] * 3000, delay=0.01)] * 10)
    code = """
    import asyncio, threading
    heard = []
    end_listening = chat.conversations.listen(lambda change, live: live and heard.append(live.status))

    async def main():
        async for piece in chat.stream("Hello"):
            break

    def work():
        for _ in range(10):
            asyncio.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for live in chat.turns.live:
        live.done.wait(2)
    end_listening()
    """
    assert kernel.run(code).status == "ok"
    assert [turn.status for turn in turns(kernel)] == ["interrupted"] * 10
    assert evaluate(kernel, "heard.count('interrupted')") == 10


class TestAskingFromInside:
    """A provider may ask the model itself; that is a question aside, and does not wait for its own turn."""

    @pytest.mark.parametrize(
        "inner",
        [
            "chat.ask_sync('inside', provider='openai')",
            "await chat.ask('inside', provider='openai')",
            "await asyncio.to_thread(chat.ask_sync, 'inside', provider='openai')",
            "''.join([piece async for piece in chat.stream('inside', provider='openai')])",
        ],
    )
    def test_it_is_answered_and_not_recorded(self, kernel: Kernel, server: LocalServer, inner: str) -> None:
        server.queue(Answer(text=["42"]))
        code = f"""
        import asyncio
        async def asks_back(model, messages):
            inner = {inner}
            yield f"It is {{inner}}."
        chat.provider = asks_back
        %chat outside
        """
        result = kernel.run(code, timeout=10)
        assert the_answer(result).data["text/plain"] == "It is 42."
        assert turns(kernel) == [Turn("outside", "It is 42.", "complete")]
        assert server.requests[0].messages == [{"role": "user", "content": "inside"}]

    def test_questions_may_be_nested_deeper(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["42"]))
        code = """
        async def deep(model, messages):
            level = int(messages[-1]["content"])
            if level:
                yield chat.ask_sync(str(level - 1), provider=deep) + "!"
            else:
                yield chat.ask_sync("bottom", provider="openai")
        chat.provider = deep
        %chat 5
        """
        assert the_answer(kernel.run(code, timeout=10)).data["text/plain"] == "42!!!!!"
        assert [turn.prompt for turn in turns(kernel)] == ["5"]

    def test_other_turns_go_on_meanwhile(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(text=["slow ", "answer"], hold=rest, hold_after=1), Answer(text=["42"]))
        code = """
        async def asks_back(model, messages):
            yield chat.ask_sync("inside", provider="openai")
        other = chat.prepare("aside", history=False)
        chat.start(other)
        """
        kernel.run(code)
        server.wait_for_request()
        result = kernel.run("chat.provider = asks_back\n%chat Hello")
        assert the_answer(result).data["text/plain"] == "42"
        assert evaluate(kernel, "other.done.is_set()") is False
        rest.set()
        kernel.run("other.wait()")
        assert evaluate(kernel, "other.version.text") == "slow answer"
