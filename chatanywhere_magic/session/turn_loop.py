"""The turn loop: run a turn on the engine's thread, from its place in the queue to its end."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from ..context import ROOM, SUMMARY_TOKENS, Budget, CutPrompts, Prompt, Summary, requests, task, too_long
from ..core import (
    ENDED,
    AnswerFormatError,
    BadRequestError,
    ChatError,
    ChatInterrupted,
    ContextLengthError,
    EmptyAnswerError,
    Finish,
    IncompleteError,
    Message,
    NotFoundError,
    NotRecordedError,
    Reasoning,
    Text,
    ToolCall,
    UnsupportedError,
    codec,
    phrase,
    text,
    to_dicts,
    user_message,
)
from .egress import Egress
from .live_turn import current_turn
from .tool_calls import ToolCalls
from .tools import no_tools
from .usage import UsageTotals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..context import Request
    from ..core import DeltaGenerator, Messages, Status, Turn, Version
    from .autosave import Autosave
    from .catalog import Catalog
    from .listeners import Change
    from .live_turn import LiveTurn
    from .open_conversation import OpenConversation, OpenConversations
    from .settings import Settings
    from .tools import Tools

_log = logging.getLogger(__name__)

FORMER_TEMPERATURE: Final = 0.5
"""Sent by earlier versions where nobody chose one; what they recorded is found by it."""
MAX_CORRECTIONS: Final = 1
"""How often at most the model is asked again because its response does not hold what it must."""
LIMITS: Final = ("max_steps", "max_turn_tokens", "max_turn_seconds")
"""The options that end a turn which calls tools again and again, and what stands for its finish reason then."""
DELTAS_BETWEEN_PAUSES: Final = 200
"""A provider that always has the next delta ready would never let the loop see a Stop."""


class TurnLoop:
    """Run turns: send the request, take in the deltas, and ask again if the response needs correction."""

    def __init__(
        self, settings: Settings, catalog: Catalog, autosave: Autosave, conversations: OpenConversations, tools: Tools
    ) -> None:
        self.budget = Budget()
        self._cut = CutPrompts()
        self.egress = Egress()
        self.usage = UsageTotals()
        self.tool_calls = ToolCalls(settings, tools, partial(self._changed, change="changed"))
        self._settings = settings
        self._tools = tools
        self._catalog = catalog
        self._autosave = autosave
        self._conversations = conversations
        self._advice: set[str] = set()

    async def run(self, opened: OpenConversation, live: LiveTurn) -> None:
        """Run a turn to its end, once those before it are over."""
        attempt: LiveTurn | None = live
        async with AsyncExitStack() as place_in_queue:
            while attempt is not None:
                await self._attempt(opened, attempt, place_in_queue)
                attempt = attempt.correction

    async def _attempt(self, opened: OpenConversation, live: LiveTurn, place_in_queue: AsyncExitStack) -> None:
        """Ask, and see to it that the response is corrected if it will not do."""
        live.stopping.begin(asyncio.get_running_loop())
        if live.request.history:
            opened.place(live)
        self._changed(opened, live, "added")
        status: Status = "failed"
        error: ChatError | None = None
        correction: Request | None = None
        try:
            await _queue(opened, live, place_in_queue)
            await self._answer(opened, live)
            status = "complete"
            correction = _correction(live)
        except asyncio.CancelledError:
            # Stopped between the last chunk and the end: the answer is whole, and is kept as such.
            status = "complete" if live.version.finish_reason and live.version.has_response else "interrupted"
        except ChatError as caught:
            error = caught
            correction = _without_format(live, error)
        except ChatInterrupted:  # of a prompt that the provider asked
            status = "interrupted"
        except (Exception, KeyboardInterrupt, SystemExit) as caught:  # noqa: BLE001 - a provider is anybody's code
            error = _provider_error(live, caught)
        finally:
            live.draft.end(status, error)
            self._tools.approvals.end_turn((opened.id, live.index, live.at))
            self.egress.receive(live.request, live.version)
            self.usage.add(live.version)
            self._catalog.note_answer(live.version, live.request.provider, live.request.model)
            if correction is not None and not live.stopping.is_wanted:
                self._conversations.live.append(live.correct(correction))
            self._conversations.live.remove(live)
            self._changed(opened, live, "changed")
            opened.leave(live)
            live.end()

    async def _answer(self, opened: OpenConversation, live: LiveTurn) -> None:
        live.draft.change(status="streaming")
        self._changed(opened, live, "changed")
        if live.index is not None:
            await self._autosave.saved(opened)
        request = await self._with_tools(live)
        self._advise(request)
        earlier = opened.conversation.sent_before(live.index) if live.index is not None else []
        prompt = await self._fit(opened, live, earlier)
        if await self._replay(opened, live, prompt):
            return
        if live.continues is not None:
            _say_again(live, live.continues)
            if live.response.has_begun:  # a call whose result never came
                live.response.end_message(None)
        try:
            prompt = await self._ask(opened, live, earlier, prompt)
        finally:
            # Of the prompt as it was typed. Not before it is asked, for it takes a moment.
            live.draft.change(fingerprint=_fingerprint(request, prompt))
        while live.request.toolbox and live.response.last_calls():
            live.draft.begin_step()
            await self._autosave.saved(opened)  # what is about to be done is on disk before it is
            await self.tool_calls.run_step(opened, live)
            await self._autosave.saved(opened)
            if limit := self._limit(live):
                live.draft.change(finish_reason=limit)
                return
            self.egress.receive(live.request, live.version)
            live.request = replace(live.request, steps=live.version.response)
            await self._ask(opened, live, earlier, await self._fit(opened, live, earlier))

    async def _with_tools(self, live: LiveTurn) -> Request:
        """Return what is asked: without the tools that go with every prompt, where the model cannot call any."""
        request = live.request
        if not request.toolbox or request.replay == "replay-only":
            return request
        if await request.provider.takes_tools(request.model):
            return request
        problem = no_tools(request.provider, request.model)
        if not request.offers:
            raise UnsupportedError(problem)
        params = {name: value for name, value in request.params.items() if name != "tools"}
        live.request = without = replace(request, toolbox=None, params=params)
        live.draft.change(parameters=without.parameters)
        live.draft.notice = str(problem)
        return without

    def _limit(self, live: LiveTurn) -> str:
        """Return which limit a turn that calls tools has reached, as the reason of its end; ``""`` if none."""
        settings, usage = self._settings, live.version.usage
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0) if usage else 0
        if live.steps >= settings.max_steps:
            return "max_steps"
        if settings.max_turn_tokens is not None and tokens >= settings.max_turn_tokens:
            return "max_turn_tokens"
        seconds = live.draft.seconds - live.asked_seconds
        if settings.max_turn_seconds is not None and seconds >= settings.max_turn_seconds:
            return "max_turn_seconds"
        return ""

    async def _ask(
        self, opened: OpenConversation, live: LiveTurn, earlier: Sequence[tuple[int, Turn]], prompt: Prompt
    ) -> Prompt:
        """Ask, a second time if the model's name or the limit turns out to be another one; return what was sent."""
        request = live.request
        try:
            await self._stream(opened, live, prompt)
        except NotFoundError as refused:
            if request.origin.source == "api":
                raise  # a program's names are meant as they stand, and it does not wait for a list
            # Asked as it was typed first: a server may have models that it does not list.
            model = await self._catalog.meant_model(request.provider, request.model, refused)
            live.request = replace(request, model=model)
            await self._stream(opened, live, prompt)
        except ContextLengthError as refusal:
            if live.response.has_begun:
                raise
            limit = self.budget.learn(request, prompt, refusal)
            shorter = await self._fit(opened, live, earlier)
            if shorter.kept == prompt.kept:
                tokens = self.budget.corrected(shorter.tokens, request, counted=shorter.counted)
                raise too_long(request, tokens, limit, refusal) from None
            live.draft.notice = text("notice.shortened", limit=limit.tokens, count=len(shorter.left_out))
            self._changed(opened, live, "changed")
            prompt = shorter
            await self._stream(opened, live, prompt)
        return prompt

    def _advise(self, request: Request) -> None:
        """Say once what a person should know of the model."""
        advice = request.provider.advice(request.model, request.prompt)
        if advice and advice not in self._advice:
            self._advice.add(advice)
            self._autosave.warnings.append(advice)

    # --- what is sent ---------------------------------------------------------------------------------------------

    async def _fit(self, opened: OpenConversation, live: LiveTurn, earlier: Sequence[tuple[int, Turn]]) -> Prompt:
        """Return the prompt that fits, with a summary of what does not if the person wants one."""
        request, setting = live.request, self._settings.budget
        prompt = await self.budget.fit(request, earlier, setting)
        # Where nobody is to be asked, nobody is asked for a summary either.
        if prompt.left_out and self._settings.summarise and request.replay != "replay-only":
            prompt = await self._summarised(opened, live, earlier, prompt)
        live.draft.change(left_out=len(prompt.left_out), summary=prompt.summary)
        return prompt

    async def _summarised(
        self, opened: OpenConversation, live: LiveTurn, earlier: Sequence[tuple[int, Turn]], plain: Prompt
    ) -> Prompt:
        request, setting = live.request, self._settings.budget
        summary = opened.summary if opened.summary and opened.summary.covers(earlier) else None
        if summary is not None:
            rest = summary.rest(earlier)
            prompt = await self.budget.fit(request, rest, setting, reserved=SUMMARY_TOKENS)
            if not prompt.left_out:
                kept = set(prompt.kept)
                left_out = tuple(index for index, _ in earlier if index not in kept)
                return replace(prompt, left_out=left_out).with_summary(summary.words)
        prompt = await self.budget.fit(request, earlier, setting, reserved=SUMMARY_TOKENS, part=ROOM)
        turns = [(index, turn) for index, turn in earlier if index in prompt.left_out]
        if summary is not None and not summary.covers(turns):
            summary = None
        before = summary.words if summary else ""
        new = summary.rest(turns) if summary else turns
        live.draft.notice = text("notice.summarising", count=len(turns))
        self._changed(opened, live, "changed")
        try:
            words = await self._summarise(request, before, new, prompt)
        except ChatError:
            _log.debug("no summary", exc_info=True)
            return plain
        finally:
            live.draft.notice = ""
        opened.summary = Summary(tuple(turn.current for _, turn in turns), words)
        return prompt.with_summary(words)

    async def _summarise(self, request: Request, before: str, turns: Sequence[tuple[int, Turn]], prompt: Prompt) -> str:
        limit = prompt.limit.tokens if prompt.limit else 0
        # With it go the summary so far, the new one, and twice the task.
        for said in requests(turns, max(limit - 3 * SUMMARY_TOKENS, limit // 3)):
            asked = replace(request, params={**request.params, "max_tokens": SUMMARY_TOKENS})
            messages = task(before, said)
            self.egress.send(asked, (), messages)
            async with aclosing(self._generator(asked, messages, "")) as deltas:
                before = "".join([delta.text async for delta in deltas if isinstance(delta, Text)]).strip()
            if not before:
                raise EmptyAnswerError(phrase("error.empty_answer", host=request.provider.name))
        return before

    # --- what comes back --------------------------------------------------------------------------------------------

    async def _replay(self, opened: OpenConversation, live: LiveTurn, prompt: Prompt) -> bool:
        """Answer from the store, if that is wanted and it has the response."""
        request = live.request
        if request.replay == "record" and not self._autosave.is_on:
            self._autosave.warnings.append(text("notice.not_recorded"))
        if request.replay not in {"replay", "replay-only"}:
            return False
        temperatures = [request.temperature] if request.temperature is not None else [None, FORMER_TEMPERATURE]
        for provider, temperature in product(request.providers, temperatures):
            fingerprint = _fingerprint(replace(request, provider=provider, temperature=temperature), prompt)
            found = self._conversations.find_answer(fingerprint) or await self._autosave.find_replay(fingerprint)
            if found is not None:
                live.draft.change(provider=found.provider, model=found.model, replayed=True, fingerprint=fingerprint)
                _say_again(live, found)
                live.draft.take(Finish(found.finish_reason or "stop"))
                self._changed(opened, live, "changed")
                return True
        if request.replay == "replay-only":
            raise NotRecordedError(phrase("error.not_recorded"))
        if request.unready is not None:
            raise request.unready
        return False

    async def _stream(self, opened: OpenConversation, live: LiveTurn, prompt: Prompt) -> None:
        if not live.draft.sent or not live.request.steps:  # the response has the steps
            live.draft.sent = prompt.messages[: len(prompt.messages) - len(to_dicts(live.request.steps))]
        summary: Messages = [{"role": "system", "content": prompt.summary}] if prompt.summary else []
        self.egress.send(live.request, prompt.versions, summary)
        loop = asyncio.get_running_loop()
        # In the second round of the loop from here everything is done that a provider can do without a response.
        loop.call_soon(loop.call_soon, live.draft.asked.set)
        inside = current_turn.set(live)
        try:
            async with aclosing(self._generator(live.request, prompt.messages, opened.id)) as deltas:
                count = 0
                async for delta in deltas:
                    live.draft.take(delta)
                    self._changed(opened, live, "changed")
                    if live.stopping.is_wanted:
                        raise asyncio.CancelledError  # it may have been swallowed on its way
                    count += 1
                    if count % DELTAS_BETWEEN_PAUSES == 0:
                        await asyncio.sleep(0)
        finally:
            current_turn.reset(inside)
        version = live.version
        if version.usage is not None:
            sent_tokens = self._cut.sent_tokens(live.request.who, prompt.messages, version.usage)
            live.draft.change(sent_tokens=sent_tokens)
            if not sent_tokens:
                self.budget.measured(live.request, prompt, version.usage)
        if not version.finish_reason:
            raise IncompleteError(phrase("error.incomplete", host=version.provider))
        if not version.has_response:
            raise EmptyAnswerError(phrase("error.empty_answer", host=version.provider))

    def _generator(self, request: Request, messages: Messages, conversation_id: str) -> DeltaGenerator:
        options: dict[str, Any] = dict(request.params)
        if request.temperature is not None:  # else the provider's own applies, or none is sent
            options["temperature"] = request.temperature
        if request.schema is not None and request.provider.learns_parameters:
            options["optional"] = ("response_format",)
        return request.provider.create_delta_generator(
            request.model,
            messages,
            max_retries=self._settings.max_retries,
            conversation_id=conversation_id,
            **self._settings.requests,
            **options,
        )

    def _changed(self, opened: OpenConversation, live: LiveTurn, change: Change) -> None:
        """Take over what has changed of the turn, have it kept, and notify the listeners."""
        opened.update(live)
        live.notify()
        if live.index is not None:
            self._autosave.changed(opened, at_once=live.status in ENDED)
            self._conversations.notify(opened, change, live)


def _correction(live: LiveTurn) -> Request | None:
    """Return what to ask where the answer does not hold what it must: the same, with what is wrong with it."""
    request, said = live.request, live.version.text
    # A call of a tool holds nothing to be read yet.
    is_over = not live.response.last_calls() and live.version.finish_reason not in LIMITS
    corrected = sum(message.role == "user" for message in request.correction)
    if request.schema is None or not said or not is_over or corrected >= MAX_CORRECTIONS:
        return None
    said = live.version.response[-1].text
    try:
        request.schema.read(said)
    except AnswerFormatError as error:
        objection = user_message(request.schema.objection(error))
        is_json = error.problems != AnswerFormatError.problems
        notice = text("notice.corrected", problems=error.problems) if is_json else text("notice.not_json")
        response = (*live.request.steps, Message("assistant", (Text(said),)))
        return replace(request, correction=(*request.correction, *response, objection), steps=(), notice=notice)
    except Exception:  # noqa: BLE001 - a person's type raises what it will, and does so again where the answer is read
        _log.debug("the answer could not be read", exc_info=True)
    return None


def _without_format(live: LiveTurn, error: ChatError) -> Request | None:
    """Return what to ask where it was the server that does not know structured output: the same without it."""
    request = live.request
    if request.schema is None or "response_format" not in request.params or not _refuses_format(error):
        return None
    params = {name: value for name, value in request.params.items() if name != "response_format"}
    return replace(request, params=params, notice=text("notice.without_format"))


def _refuses_format(error: ChatError) -> bool:
    """Whether a server refused because it does not know structured output, or not this kind of it."""
    return isinstance(error, BadRequestError) and bool(
        re.search("response_format|json|schema|structured", error.server_message)
    )


async def _queue(opened: OpenConversation, live: LiveTurn, place_in_queue: AsyncExitStack) -> None:
    """Wait until the turns before `live` have been answered."""
    if live.stopping.is_wanted:  # before it began
        raise asyncio.CancelledError
    if live.version_of is not None:  # a correction comes at once, for what it corrects has begun
        await _begun(live.version_of)
    elif live.request.history:
        await place_in_queue.enter_async_context(opened.lock)


async def _begun(live: LiveTurn) -> None:
    """Wait until the turns before `live` have been answered."""
    event = asyncio.Event()
    live.listen(lambda turn: event.set() if turn.status != "queued" else None)
    if live.status == "queued":
        await event.wait()


def _say_again(live: LiveTurn, recorded: Version) -> None:
    """Have a turn respond as an earlier one did, part by part."""
    for message in recorded.response:
        if message.role == "tool":
            live.response.end_message(message)
            continue
        if message.extras is not None:
            live.draft.take(message.extras)
        for part in message.parts:
            if isinstance(part, Text | Reasoning | ToolCall):
                live.draft.take(part)


def _fingerprint(request: Request, prompt: Prompt) -> str:
    provider = request.provider
    model = provider.model_for(request.model)
    return codec.fingerprint(provider.name, model, request.temperature, dict(request.parameters), prompt.messages)


def _provider_error(live: LiveTurn, caught: BaseException) -> ChatError:
    error = ChatError(
        phrase(
            "error.provider_failed",
            provider=live.request.provider.name,
            error=type(caught).__name__,
            reason=" ".join(str(caught).split())[:500],
        )
    )
    error.__cause__ = caught
    return error
