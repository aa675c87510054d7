"""Run the calls of a step: check, approve and run each, and keep the results in their order."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..core import ApprovalError, Message, ToolCallError, ToolResult, phrase
from .approval import Place
from .calls import LiveCall
from .capture import Captured, capturing
from .engine import in_thread
from .jobs import Job
from .live_turn import current_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from ..tools import BadToolCall, Tool
    from .approval import Approval
    from .live_turn import LiveTurn
    from .open_conversation import OpenConversation
    from .settings import Settings
    from .tools import Tools

MAX_BAD_STEPS: Final = 2
"""A model that calls tools wrongly so many times in a row does not learn it."""
PROGRESS_LENGTH: Final = 200


class ToolCalls:
    """Runs calls of tools for the turn loop, on the engine's thread; functions run where they belong.

    Parameters
    ----------
    changed : callable
        Called after every change of a turn's calls.
    """

    def __init__(self, settings: Settings, tools: Tools, changed: Callable[[OpenConversation, LiveTurn], None]) -> None:
        self._settings = settings
        self._tools = tools
        self._notify_changed = changed

    async def run_step(self, opened: OpenConversation, live: LiveTurn) -> None:
        """Run the calls that the model has just asked for, and append their results to its response.

        Raises
        ------
        ApprovalError
            If one needs the person's answer and nobody can be asked.
        ToolCallError
            If the model calls tools wrongly again and again.
        """
        calls = self._begun(opened, live)
        self._changed(opened, live)
        inside = current_turn.set(live)
        together = [self._call(opened, live, each) for each in calls if not each.is_alone]
        try:
            await _all([self._in_turn(opened, live, [each for each in calls if each.is_alone]), *together])
        finally:
            current_turn.reset(inside)
            for each in calls:
                if not each.is_over:
                    each.end("stopped")
            live.step = None
            results = tuple(each.result for each in calls if each.result is not None)
            live.response.end_message(Message("tool", results) if results else None)
            self._changed(opened, live)
        bad = [each for each in calls if each.is_bad]
        live.bad_steps = live.bad_steps + 1 if len(bad) == len(calls) else 0
        if live.bad_steps >= MAX_BAD_STEPS and bad[-1].result is not None:
            names = ", ".join(dict.fromkeys(each.call.name for each in bad))
            raise ToolCallError(phrase("error.bad_calls", names=names, problem=bad[-1].result.text))

    def _begun(self, opened: OpenConversation, live: LiveTurn) -> list[LiveCall]:
        toolbox, step = live.request.toolbox, live.steps
        calls = [
            LiveCall(
                call,
                toolbox.get(call.name) if toolbox is not None else None,
                Place(opened.id, live.index, live.at, step, position),
            )
            for position, call in enumerate(live.response.last_calls())
        ]
        live.calls += calls
        live.step = calls
        live.steps += 1
        live.response.end()
        live.marks.append((len(live.response.text), len(live.response.reasoning)))
        return calls

    async def _in_turn(self, opened: OpenConversation, live: LiveTurn, calls: list[LiveCall]) -> None:
        for each in calls:
            await self._call(opened, live, each)

    async def _call(self, opened: OpenConversation, live: LiveTurn, call: LiveCall) -> None:
        from ..tools import BadToolCall, ToolFailure  # with the first call

        tool = call.tool
        try:
            if tool is None:
                raise _no_such_tool(live, call)
            arguments, written = tool.check(call.call.arguments), call.call.arguments
            if tool.approval != "never":
                allowed = await self._allowed(opened, live, call, tool, arguments)
                if allowed is None:
                    return
                written = allowed
            await self._run(opened, live, call, tool, written)
        except BadToolCall as problem:
            call.is_bad = True
            call.end("failed", self._result(live, call, str(problem), is_error=True))
        except ToolFailure as problem:  # what one of ours says before anybody is asked
            call.end("failed", self._result(live, call, str(problem), is_error=True))
        self._changed(opened, live)

    # --- approval -------------------------------------------------------------------------------------------------

    async def _allowed(
        self, opened: OpenConversation, live: LiveTurn, call: LiveCall, tool: Tool, arguments: dict[str, Any]
    ) -> str | None:
        """Return the arguments with which the person allows the call; None if not at all."""
        covers = tool.covers(arguments) if tool.covers is not None else ""
        if self._tools.approvals.permits(tool, call.place, covers):
            call.how = "always"
            return call.call.arguments
        host = live.host
        can_ask = host is not None and host.can_ask
        if not can_ask and not self._tools.approvals.front_ends:
            raise ApprovalError(phrase("error.nobody_to_ask", name=tool.name))
        approval = self._tools.approvals.request(tool, call.call, call.place, _shown(call, arguments), covers)
        call.approval, call.state = approval, "asking"
        self._changed(opened, live)
        began = time.monotonic()
        try:
            if host is not None and can_ask:

                def ask() -> None:
                    if not approval.decided.done():  # by an answer that covers it
                        host.ask(approval, self._tools.approvals, live)

                live.add_job(Job(ask, live.cancel))
            await asyncio.shield(asyncio.wrap_future(approval.decided))
        finally:
            self._tools.approvals.withdraw(approval)
            live.asked_seconds += time.monotonic() - began
        return self._decided(live, call, approval)

    def _decided(self, live: LiveTurn, call: LiveCall, approval: Approval) -> str | None:
        call.how = approval.state
        if approval.take(call.call, call.place):
            return approval.arguments
        reason = f" They say: {approval.reason}" if approval.reason else ""
        words = f"The person did not allow this call.{reason}"
        call.end("refused", self._result(live, call, words, is_error=True))
        return None

    # --- running --------------------------------------------------------------------------------------------------

    async def _run(self, opened: OpenConversation, live: LiveTurn, call: LiveCall, tool: Tool, written: str) -> None:
        from ..tools import BadToolCall

        try:
            result = await self._run_where_it_belongs(opened, live, call, tool, written)
        except BadToolCall:  # its types refuse what its schema allows
            raise
        except asyncio.CancelledError:
            call.end("stopped")
            raise
        except KeyboardInterrupt:  # the person's, in the function: it stops the turn
            call.end("stopped")
            live.cancel()
            raise asyncio.CancelledError from None
        except BaseException as caught:  # noqa: BLE001 - a function is anybody's code
            from .results import failure

            words, call.traceback = failure(caught)
            call.end("failed", self._result(live, call, words, is_error=True))
        else:
            call.end("done", result)

    async def _run_where_it_belongs(
        self, opened: OpenConversation, live: LiveTurn, call: LiveCall, tool: Tool, written: str
    ) -> ToolResult:
        loop = asyncio.get_running_loop()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._changed, opened, live)

        def progressed(value: Any) -> None:
            call.progress = " ".join(str(value).split())[:PROGRESS_LENGTH]
            notify()

        def work() -> ToolResult:
            call.begin()
            notify()
            with capturing(call.captured):
                try:
                    value = _last(tool.function(**tool.read(written)), progressed)
                except (StopIteration, GeneratorExit) as caught:  # which no future can hold
                    raise RuntimeError(repr(caught)) from caught
            return self._returned(live, call, value)

        if not tool.is_async:
            running = in_thread(work) if tool.thread_safe else None
            return await (
                self._on_waiting_thread(opened, live, call, work) if running is None else asyncio.wrap_future(running)
            )
        call.begin()
        notify()
        with capturing(call.captured):
            started = tool.function(**tool.read(written))
            value = await _last_of(started, progressed) if inspect.isasyncgen(started) else await started
        # Describing it may take a while.
        return await asyncio.wrap_future(in_thread(partial(self._returned, live, call, value)))

    async def _on_waiting_thread(
        self, opened: OpenConversation, live: LiveTurn, call: LiveCall, work: Callable[[], ToolResult]
    ) -> ToolResult:
        """Run `work` on the thread that waits for the turn; if none does, on the main one as soon as it is idle."""

        def run() -> ToolResult:
            inside = current_turn.set(live)
            try:
                return work()
            finally:
                current_turn.reset(inside)

        job = Job(run, live.cancel)
        call.captured = Captured(passing=live.is_attended)
        call.state = "blocked"
        self._changed(opened, live)
        live.add_job(job)
        if not live.is_attended and self._tools.main_thread is not None:
            self._tools.main_thread.when_idle(live.serve)
        try:
            result: ToolResult = await asyncio.wrap_future(job.future)
        finally:
            job.stop()
        return result

    # --- results --------------------------------------------------------------------------------------------------

    def _returned(self, live: LiveTurn, call: LiveCall, value: Any) -> ToolResult:
        from .results import summary  # with the first result

        words, images = summary(
            value,
            call.captured,
            call.call.name,
            budget=self._settings.context_budget,
            sees_pictures=live.request.provider.supports_images,
        )
        return self._result(live, call, words, images=images)

    def _result(self, live: LiveTurn, call: LiveCall, words: str, **fields: Any) -> ToolResult:
        """Return a result as it is recorded and sent: without what looks like a key."""
        if call.approval is not None and call.approval.arguments != call.call.arguments:
            words = f"The person edited the arguments before the call: {call.approval.arguments}\n\n{words}"
        if not live.request.allow_secrets:
            from ..keys import redacted, secrets_of_environment

            words = redacted(words, (*secrets_of_environment(), *live.request.provider.secrets()))
        return ToolResult(call.call.id, words, call.call.name, approval=call.how, **fields)

    def _changed(self, opened: OpenConversation, live: LiveTurn) -> None:
        if not live.done.is_set():  # a function that is left alone may go on after the turn
            self._notify_changed(opened, live)


async def _all(running: list[Coroutine[Any, Any, None]]) -> None:
    """Wait for all of them; where one fails, the others are stopped."""
    tasks = [asyncio.ensure_future(each) for each in running]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _no_such_tool(live: LiveTurn, call: LiveCall) -> BadToolCall:
    from ..tools import BadToolCall

    names = ", ".join(each.name for each in live.request.toolbox or ())
    return BadToolCall(f"There is no tool named {json.dumps(call.call.name[:80])}. There are: {names}.")


def _shown(call: LiveCall, arguments: dict[str, Any]) -> Any:
    """Return what the person approves: the whole call."""
    from ..tools import Shown

    if call.tool is not None and call.tool.shows is not None:
        return call.tool.shows(arguments)
    written = json.dumps(json.loads(call.call.arguments or "{}"), ensure_ascii=False, indent=2)
    return Shown(written, "json")


def _last(value: Any, progressed: Callable[[Any], None]) -> Any:
    """Return the result of a function: of a generator its return value or else the last that it yields."""
    if not inspect.isgenerator(value):
        return value
    last: Any = None
    while True:
        try:
            last = next(value)
        except StopIteration as end:
            return last if end.value is None else end.value
        progressed(last)


async def _last_of(values: AsyncIterator[Any], progressed: Callable[[Any], None]) -> Any:
    last: Any = None
    async for last in values:
        progressed(last)
    return last
