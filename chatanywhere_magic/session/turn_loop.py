"""A question on the engine's thread: its place, the prompt that fits, the answer as it streams, and its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from ..context import ROOM, SUMMARY_TOKENS, Budget, Prompt, Summary, requests, task, too_long
from ..core import (
    ENDED,
    ChatError,
    ChatInterrupted,
    ContextLengthError,
    EmptyAnswerError,
    Finish,
    IncompleteError,
    NotFoundError,
    NotRecordedError,
    Reasoning,
    Text,
    codec,
    phrase,
    text,
)
from ..providers import meant_model
from .usage import UsageTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..context import Request
    from ..core import DeltaGenerator, Messages, Status, Turn, Version
    from ..providers import Provider
    from .autosave import Autosave
    from .live_turn import LiveTurn
    from .open_conversation import OpenConversation
    from .settings import Settings

_log = logging.getLogger(__name__)

DELTAS_BETWEEN_PAUSES: Final = 200
"""A provider that always has the next delta ready would never let the loop see a Stop."""

current_turn: ContextVar[LiveTurn | None] = ContextVar("chatanywhere_current_turn", default=None)
"""The turn whose provider is running in this context."""

Change = Literal["added", "changed", "reset"]


class TurnLoop:
    """Runs turns, each in its opened, and tells what becomes of them.

    Parameters
    ----------
    on_change : callable
        Called with every change of a turn that has a place.
    earlier_answer : callable
        Finds the answer that this kernel has to a request, by its fingerprint.
    """

    def __init__(
        self,
        settings: Settings,
        autosave: Autosave,
        *,
        on_change: Callable[[OpenConversation, Change, LiveTurn], None],
        earlier_answer: Callable[[str], Version | None],
    ) -> None:
        self.budget = Budget()
        self.usage_totals = UsageTotals()
        self.live: list[LiveTurn] = []
        """The turns on their way, the running one first."""
        self.asked_providers: dict[tuple[str, str], tuple[Provider, str]] = {}
        """Who was asked, and for which model, by the names that versions bear."""
        self._settings = settings
        self._autosave = autosave
        self._on_change = on_change
        self._earlier_answer = earlier_answer

    async def run(self, opened: OpenConversation, live: LiveTurn) -> None:
        """Ask, in the turn's place and when those before it have been answered."""
        live.begin(asyncio.get_running_loop())
        request = live.request
        if request.history:
            opened.place(live, self.live)
        self._changed(opened, live, "added")
        status: Status = "failed"
        error: ChatError | None = None
        try:
            if live.alongside is not None:
                await _begun(live.alongside)
            async with opened.lock if request.history and live.alongside is None else nullcontext():
                await self._answer(opened, live)
            status = "complete"
        except asyncio.CancelledError:
            # Stopped between the last chunk and the end: the answer is whole, and is kept as such.
            status = "complete" if live.version.finish_reason and live.version.has_answer else "interrupted"
        except ChatError as caught:
            error = caught
        except ChatInterrupted:  # of a question that the provider asked
            status = "interrupted"
        except (Exception, KeyboardInterrupt, SystemExit) as caught:  # noqa: BLE001 - a provider is anybody's code
            error = _provider_error(live, caught)
        finally:
            live.end(status, error)
            version = live.version
            self.usage_totals.add(version)
            self.asked_providers[version.provider, version.model] = request.provider, request.model
            self.live.remove(live)
            self._changed(opened, live, "changed")
            live.done.set()
            tell(live.listeners, live)  # once more, for those who wait for `done` by listening

    async def _answer(self, opened: OpenConversation, live: LiveTurn) -> None:
        live.change(status="streaming")
        self._changed(opened, live, "changed")
        if live.index is not None:
            await self._autosave.saved(opened)
        request = live.request
        earlier = opened.conversation.sent_before(live.index) if live.index is not None else []
        prompt = await self._fit(opened, live, earlier)
        if await self._replay(opened, live, prompt):
            return
        try:
            await self._stream(opened, live, prompt)
        except NotFoundError as refused:
            if request.origin.source == "api":
                raise  # a program's names are meant as they stand, and it does not wait for a list
            # Asked as it was typed first: a server may have models that it does not list.
            way = {"proxy": self._settings.proxy or None, "ca_bundle": self._settings.ca_bundle}
            live.request = replace(request, model=await meant_model(request.provider, request.model, refused, **way))
            await self._stream(opened, live, prompt)
        except ContextLengthError as refusal:
            if live.version.answer:
                raise
            limit = self.budget.learn(request, prompt, refusal)
            shorter = await self._fit(opened, live, earlier)
            if shorter.kept == prompt.kept:
                tokens = self.budget.corrected(shorter.tokens, request, counted=shorter.counted)
                raise too_long(request, tokens, limit, refusal) from None
            live.notice = text("notice.shortened", limit=limit.tokens, count=len(shorter.left_out))
            self._changed(opened, live, "changed")
            prompt = shorter
            await self._stream(opened, live, prompt)
        finally:
            # Of the question as it was typed. Not before it is asked, for it takes a moment.
            live.change(fingerprint=_fingerprint(request, prompt))

    # --- what is sent ---------------------------------------------------------------------------------------------

    async def _fit(self, opened: OpenConversation, live: LiveTurn, earlier: Sequence[tuple[int, Turn]]) -> Prompt:
        """Return the prompt that fits, with a summary of what does not if the person wants one."""
        request, setting = live.request, self._settings.budget
        prompt = await self.budget.fit(request, earlier, setting)
        # Where nobody is to be asked, nobody is asked for a summary either.
        if prompt.left_out and self._settings.summarise and request.replay != "replay-only":
            prompt = await self._summarised(opened, live, earlier, prompt)
        live.change(left_out=len(prompt.left_out), summary=prompt.summary)
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
        live.notice = text("notice.summarising", count=len(turns))
        self._changed(opened, live, "changed")
        try:
            words = await self._summarise(request, before, new, prompt)
        except ChatError:
            _log.debug("no summary", exc_info=True)
            return plain
        finally:
            live.notice = ""
        opened.summary = Summary(tuple(turn.current for _, turn in turns), words)
        return prompt.with_summary(words)

    async def _summarise(self, request: Request, before: str, turns: Sequence[tuple[int, Turn]], prompt: Prompt) -> str:
        limit = prompt.limit.tokens if prompt.limit else 0
        # Beside it stand the summary so far, the new one, and twice the task.
        for said in requests(turns, max(limit - 3 * SUMMARY_TOKENS, limit // 3)):
            asked = replace(request, params={**request.params, "max_tokens": SUMMARY_TOKENS})
            async with aclosing(self._generator(asked, task(before, said), "")) as deltas:
                before = "".join([delta.text async for delta in deltas if isinstance(delta, Text)]).strip()
            if not before:
                raise EmptyAnswerError(phrase("error.empty_answer", host=request.provider.name))
        return before

    # --- what comes back --------------------------------------------------------------------------------------------

    async def _replay(self, opened: OpenConversation, live: LiveTurn, prompt: Prompt) -> bool:
        """Answer from the store, if that is wanted and it has the answer."""
        request = live.request
        if request.replay == "record" and not self._autosave.is_on:
            self._autosave.warnings.append(text("notice.not_recorded"))
        if request.replay not in {"replay", "replay-only"}:
            return False
        for provider in request.providers:
            fingerprint = _fingerprint(replace(request, provider=provider), prompt)
            found = self._earlier_answer(fingerprint) or await self._autosave.find_replay(fingerprint)
            if found is not None:
                live.change(provider=found.provider, model=found.model, replayed=True, fingerprint=fingerprint)
                said = (Reasoning(found.reasoning), *([Text(found.answer)] if found.answer else ()), *found.tool_calls)
                for delta in (*said, Finish(found.finish_reason or "stop")):
                    live.take(delta)
                self._changed(opened, live, "changed")
                return True
        if request.replay == "replay-only":
            raise NotRecordedError(phrase("error.not_recorded"))
        if request.unready is not None:
            raise request.unready
        return False

    async def _stream(self, opened: OpenConversation, live: LiveTurn, prompt: Prompt) -> None:
        live.sent = prompt.messages
        loop = asyncio.get_running_loop()
        # In the second round of the loop from here everything is done that a provider can do without an answer.
        loop.call_soon(loop.call_soon, live.asked.set)
        inside = current_turn.set(live)
        try:
            async with aclosing(self._generator(live.request, prompt.messages, opened.id)) as deltas:
                count = 0
                async for delta in deltas:
                    live.take(delta)
                    self._changed(opened, live, "changed")
                    if live.is_cancelled:
                        raise asyncio.CancelledError  # it may have been swallowed on its way
                    count += 1
                    if count % DELTAS_BETWEEN_PAUSES == 0:
                        await asyncio.sleep(0)
        finally:
            current_turn.reset(inside)
        version = live.version
        if version.usage is not None:
            self.budget.measured(live.request, prompt, version.usage)
        if not version.finish_reason:
            raise IncompleteError(phrase("error.incomplete", host=version.provider))
        if not version.has_answer:
            raise EmptyAnswerError(phrase("error.empty_answer", host=version.provider))

    def _generator(self, request: Request, messages: Messages, conversation_id: str) -> DeltaGenerator:
        settings = self._settings
        return request.provider.create_delta_generator(
            request.model,
            messages,
            proxy=settings.proxy or None,
            timeout=settings.timeout,
            temperature=request.temperature,
            connect_timeout=settings.connect_timeout,
            first_timeout=settings.first_timeout,
            idle_timeout=settings.idle_timeout,
            ca_bundle=settings.ca_bundle,
            max_retries=settings.max_retries,
            conversation_id=conversation_id,
            **request.params,
        )

    def _changed(self, opened: OpenConversation, live: LiveTurn, change: Change) -> None:
        """Take over what has changed of the turn, have it kept, and tell everybody."""
        opened.update(live)
        tell(live.listeners, live)
        if live.index is not None:
            self._autosave.changed(opened, at_once=live.status in ENDED)
            self._on_change(opened, change, live)


async def _begun(live: LiveTurn) -> None:
    """Wait until the turns before `live` have been answered."""
    event = asyncio.Event()
    live.listen(lambda turn: event.set() if turn.status != "queued" else None)
    if live.status == "queued":
        await event.wait()


def tell(listeners: list[Callable[..., None]], *news: object) -> None:
    """Call each of `listeners` with the news; one that fails is dropped."""
    for listener in tuple(listeners):
        try:
            listener(*news)
        except Exception:  # noqa: BLE001, PERF203 - each must hear it, whatever another does
            # A front end that is gone, a loop that is closed: neither must take the answer with it.
            _log.debug("a listener failed and is dropped", exc_info=True)
            with suppress(ValueError):
                listeners.remove(listener)


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
