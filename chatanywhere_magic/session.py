"""The kernel's conversation in motion: asking, queueing, streaming, stopping. Every front door goes through here."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import traitlets
from traitlets.config import Configurable

from .conversation import Conversation, Origin, Status, Timing, Version
from .engine import STOP_SECONDS, Engine
from .errors import ChatError, ChatInterrupted, ConfigurationError, EmptyAnswerError, IncompleteError
from .messages import Delta, Finish, Message, Messages, ModelName, Notice, Reasoning, Text, Usage
from .providers.base import Provider, choose_provider, get_provider, wrap
from .strings import set_language, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Future

_log = logging.getLogger(__name__)

MAX_TEMPERATURE: Final = 2.0
DELTAS_BETWEEN_PAUSES: Final = 200
"""A provider that always has the next delta ready would never let the loop see a Stop."""


class Reply(str):
    """An answer: a string, with what is known about it.

    Attributes
    ----------
    provider, model : str
        Who answered.
    finish_reason : str
        ``stop``; ``length`` if the provider cut the answer at its token limit.
    usage : Usage or None
        Token counts as the provider reported them.
    """

    __slots__ = ("finish_reason", "model", "provider", "usage")

    provider: str
    model: str
    finish_reason: str
    usage: Usage | None

    @classmethod
    def of(cls, version: Version) -> Reply:
        """Return the reply of a complete version."""
        reply = cls(version.answer)
        reply.provider = version.provider
        reply.model = version.model
        reply.finish_reason = version.finish_reason
        reply.usage = version.usage
        return reply


class LiveTurn:
    """A turn on its way: what has come so far, from any thread; and the way to stop it.

    Made by :meth:`ChatSession.prepare`. A front end reads it, listens to it and may :meth:`cancel` it.
    """

    def __init__(self, request: _Request) -> None:
        self.request = request
        self.index: int | None = None
        """The turn's place in the conversation; None while it has none, or for a question aside."""
        self.error: ChatError | None = None
        self.notice = ""
        self.done = threading.Event()
        self._version = Version(
            request.prompt,
            provider=request.provider.name,
            model=request.model or request.provider.default_model,
            timing=Timing(started=time.time()),
            origin=request.origin,
        )
        self.at = 0
        self._clock = time.monotonic()
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled = False
        self.listeners: list[Callable[[LiveTurn], None]] = []

    @property
    def version(self) -> Version:
        """The version as it stands, with the text so far."""
        return replace(self._version, answer="".join(self._answer), reasoning="".join(self._reasoning))

    @property
    def status(self) -> Status:
        """The status as it stands, without copying the text."""
        return self._version.status

    def listen(self, listener: Callable[[LiveTurn], None]) -> None:
        """Have `listener` called on the engine's thread after every change. It must be quick."""
        self.listeners.append(listener)

    def cancel(self) -> None:
        """Stop the turn, whether it waits, queues or streams; from any thread, any number of times."""
        self._cancelled = True
        task, loop = self._task, self._loop
        if task is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def wait(self) -> None:
        """Block until the turn is over. A ``KeyboardInterrupt`` on the way stops it.

        Raises
        ------
        ChatInterrupted
            If it was interrupted.
        """
        try:
            # In slices, because on Windows a wait without a limit cannot be interrupted.
            while not self.done.wait(0.1):
                pass
        except KeyboardInterrupt:
            self.cancel()
            self.done.wait(STOP_SECONDS)
            raise ChatInterrupted(text("status.stopped")) from None

    def reply(self) -> Reply:
        """Return the answer of a turn that is over.

        Raises
        ------
        ChatError
            If it failed.
        ChatInterrupted
            If it was stopped.
        """
        if self.error is not None:
            raise self.error
        if self.status != "complete":
            raise ChatInterrupted(text("status.stopped"))
        return Reply.of(self.version)

    # What follows is the session's, on the engine's thread only.

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note the task that runs the turn; if it was cancelled before it began, cancel it now."""
        self._loop = loop
        self._task = asyncio.current_task()
        if self._cancelled and self._task is not None:
            self._task.cancel()

    def take(self, delta: Delta) -> None:
        """Take in what the provider yielded."""
        if isinstance(delta, Text):
            if not self._answer:
                self.notice = ""
                elapsed = time.monotonic() - self._clock
                self.change(timing=replace(self._version.timing, first_text=elapsed))
            self._answer.append(delta.text)
        elif isinstance(delta, Reasoning):
            self._reasoning.append(delta.text)
        elif isinstance(delta, Usage):
            self.change(usage=delta)
        elif isinstance(delta, ModelName):
            self.change(model=delta.name)
        elif isinstance(delta, Notice):
            self.notice = delta.text
        elif isinstance(delta, Finish):
            self.change(finish_reason=delta.reason)

    def change(self, **fields: Any) -> None:
        """Replace fields of the version, other than its text."""
        self._version = replace(self._version, **fields)

    def end(self, status: Status, error: ChatError | None = None) -> None:
        """Note how the turn ended."""
        self.error = error
        self.notice = ""
        elapsed = time.monotonic() - self._clock
        self.change(
            status=status,
            error=str(error) if error else "",
            timing=replace(self._version.timing, total=elapsed),
        )


class _Request:
    """What was asked, checked and complete; nothing of it changes any more."""

    def __init__(  # noqa: PLR0913 - what a question is made of
        self,
        prompt: str,
        *,
        provider: Provider,
        model: str,
        system: str,
        temperature: float,
        history: bool,
        append: bool,
        origin: Origin,
        params: dict[str, Any],
    ) -> None:
        self.prompt = prompt
        self.provider = provider
        self.model = model
        self.system = system
        self.temperature = temperature
        self.history = history
        self.append = append
        self.origin = origin
        self.params = params

    def messages(self, earlier: Messages) -> Messages:
        """Return everything that is sent."""
        system = [Message(role="system", content=self.system)] if self.system else []
        known = earlier if self.provider.supports_message_history else []
        return [*system, *known, Message(role="user", content=self.prompt)]


class _Thread:
    """The conversation that is open: its value, its id towards the service, and its lock."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.id = os.urandom(16).hex()
        self.lock = asyncio.Lock()


_asking: ContextVar[LiveTurn | None] = ContextVar("chatanywhere_asking", default=None)
"""The turn whose provider is running in this context."""

Change = Literal["added", "changed", "reset"]


class ChatSession(Configurable):
    """The kernel's one conversation, and the options with which it asks.

    Every option is a trait: ``%config ChatSession.temperature = 0.2``, or plain assignment.

    Examples
    --------
    >>> from chatanywhere_magic import chat
    >>> chat.ask_sync("What is a median?")  # doctest: +SKIP
    """

    provider = traitlets.Any(
        "",
        help="Who answers: a name (chatanywhere, openai, local, chatanywhere-web, or one that is registered), a "
        "provider class, or an async generator function. Default: the first of these that can answer here.",
    ).tag(config=True)
    model = traitlets.Unicode("", help="The model's name. Default: the provider's own choice.").tag(config=True)
    system = traitlets.Unicode("", help="The system prompt. Default: none.").tag(config=True)
    temperature = traitlets.Float(
        0.5, min=0.0, max=MAX_TEMPERATURE, help="Sampling temperature, 0 to 2. Default: 0.5."
    ).tag(config=True)
    max_tokens = traitlets.Int(
        None, allow_none=True, min=1, help="Most tokens of an answer. Default: the provider's limit."
    ).tag(config=True)
    timeout = traitlets.Float(
        None,
        allow_none=True,
        help="Seconds for a whole answer. Default: no limit, since long answers take long.",
    ).tag(config=True)
    idle_timeout = traitlets.Float(
        120.0, help="Seconds of silence after which an answer is given up. Default: 120."
    ).tag(config=True)
    proxy = traitlets.Unicode("", help="URL of an HTTP proxy. Default: the environment's (HTTPS_PROXY, NO_PROXY).").tag(
        config=True
    )
    footer = traitlets.Bool(default_value=True, help="Show provider, model, tokens and time under each answer.").tag(
        config=True
    )
    language = traitlets.Enum(
        ["", "en", "ru", "zh"], "", help="Language of everything shown: en, ru or zh. Default: the system's."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine = Engine()
        self._open = _Thread()
        self._live: list[LiveTurn] = []
        self._listeners: list[Callable[[Change, LiveTurn | None], None]] = []
        atexit.register(self.close)

    @traitlets.observe("language")
    def _language_changed(self, change: dict[str, Any]) -> None:
        set_language(change["new"])

    # --- asking -----------------------------------------------------------------------------------------------

    def prepare(  # noqa: PLR0913 - each is an option of the magic
        self,
        prompt: str,
        *,
        provider: Any = None,
        model: str = "",
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        history: bool = True,
        append: bool = False,
        origin: Origin | None = None,
        **params: Any,
    ) -> LiveTurn:
        """Check a question without asking it yet; nothing is sent or recorded.

        Parameters
        ----------
        prompt : str
            The question, sent as it is.
        provider : str, provider class or async generator function, optional
            Who answers; by default the session's provider.
        model : str, optional
            Which model; by default the session's, or the provider's own if another provider is named.
        system : str, optional
            System prompt of this question; by default the session's.
        temperature : float, optional
            0 to 2; by default the session's.
        max_tokens : int, optional
            Most tokens of the answer; by default the session's.
        history : bool, default True
            False asks aside: the conversation is neither sent nor changed.
        append : bool, default False
            True adds a turn even where `origin` already has one.
        origin : Origin, optional
            Where it was asked.
        **params
            Further parameters for the provider.

        Raises
        ------
        ConfigurationError
            If the prompt is empty, the provider unknown or not to be had, or an option out of range.
        """
        if not prompt.strip():
            raise ConfigurationError(text("error.empty_prompt"))
        chosen = self._provider(provider if provider is not None else self.provider)
        if provider is None and not model:
            model = self.model
        chosen.check(model)
        if temperature is None:
            temperature = self.temperature
        if not 0 <= temperature <= MAX_TEMPERATURE:
            raise ConfigurationError(text("error.temperature", value=temperature, limit=MAX_TEMPERATURE))
        max_tokens = max_tokens if max_tokens is not None else self.max_tokens
        if max_tokens is not None:
            if max_tokens < 1:
                raise ConfigurationError(text("error.max_tokens", value=max_tokens))
            params["max_tokens"] = max_tokens
        return LiveTurn(
            _Request(
                prompt,
                provider=chosen,
                model=model,
                system=self.system if system is None else system,
                temperature=temperature,
                history=history and _asking.get() is None,
                append=append,
                origin=origin or Origin(),
                params=params,
            )
        )

    def _provider(self, source: Any) -> Provider:
        if not source:
            return choose_provider()
        if not isinstance(source, str):
            return wrap(source)
        return get_provider(source)

    def start(self, live: LiveTurn) -> Future[None]:
        """Ask what :meth:`prepare` checked. Returns at once; `live` changes from now on."""
        self._live.append(live)
        return self._engine.submit(self._run(live))

    def ask_sync(self, prompt: str, **options: Any) -> Reply:
        """Ask and wait for the whole answer. Options and errors are those of :meth:`prepare`.

        Asked from inside a provider or a callback (which run on the engine), it is a question aside: it
        neither sees nor changes the conversation, and does not wait for the turn that it is part of.

        Returns
        -------
        Reply

        Raises
        ------
        ChatError
            If the question cannot be asked, or its answer is not a good one.
        ChatInterrupted
            If it was stopped.
        """
        live = self.prepare(prompt, **options)
        if self._engine.is_current_thread():
            self._live.append(live)
            self._engine.run_nested(self._run(live))
            return live.reply()
        try:
            self.start(live)
            live.wait()
        except KeyboardInterrupt:
            live.cancel()
            raise
        return live.reply()

    __call__ = ask_sync

    async def ask(self, prompt: str, **options: Any) -> Reply:
        """Ask and await the whole answer, while the caller's own event loop goes on.

        Options, errors and result are those of :meth:`ask_sync`. Cancelling the awaiting task stops the turn.
        """
        live = self.prepare(prompt, **options)
        try:
            await asyncio.wrap_future(self.start(live))
        finally:
            live.cancel()
        return live.reply()

    async def stream(self, prompt: str, **options: Any) -> AsyncIterator[str]:
        """Ask and yield the answer's text as it arrives, on the caller's own event loop.

        Options and errors are those of :meth:`ask_sync`. Leaving the iteration early stops the turn.

        Yields
        ------
        str
        """
        live = self.prepare(prompt, **options)
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake(_: LiveTurn) -> None:
            loop.call_soon_threadsafe(changed.set)

        live.listen(wake)
        future = self.start(live)
        shown = 0
        try:
            while True:
                over = live.done.is_set()
                answer = live.version.answer
                if len(answer) > shown:
                    yield answer[shown:]
                    shown = len(answer)
                if over:
                    break
                await changed.wait()
                changed.clear()
            await asyncio.wrap_future(future)
        finally:
            live.cancel()
        live.reply()

    # --- what is going on ---------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands."""
        return self._open.conversation

    @property
    def live(self) -> tuple[LiveTurn, ...]:
        """The turns on their way, the running one first."""
        return tuple(self._live)

    def listen(self, listener: Callable[[Change, LiveTurn | None], None]) -> Callable[[], None]:
        """Have `listener` called on the engine's thread when the conversation changes; return how to end that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def stop(self) -> int:
        """Stop every turn that runs or waits, and return how many there were. Text that came is kept."""
        going = self.live
        for live in going:
            live.cancel()
        return len(going)

    def new(self) -> None:
        """Begin a new conversation. What still streams in the old one is stopped."""
        self.stop()
        self._open = _Thread()
        self._tell("reset", None)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` on the engine's thread after `seconds`; from any thread."""
        loop = self._engine.loop()
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, action))

    def close(self) -> None:
        """Stop what runs and end the engine's thread. The conversation stays; asking again starts the engine anew."""
        self.stop()
        self._engine.stop()
        self._open.lock = asyncio.Lock()

    # --- on the engine's thread -----------------------------------------------------------------------------------

    async def _run(self, live: LiveTurn) -> None:
        thread = self._open
        live.begin(asyncio.get_running_loop())
        if live.request.history:
            self._place(thread, live)
        self._changed(thread, live, "added")
        status: Status = "failed"
        error: ChatError | None = None
        try:
            if live.request.history:
                async with thread.lock:
                    await self._answer(thread, live)
            else:
                await self._answer(thread, live)
            status = "complete"
        except asyncio.CancelledError:
            # Stopped between the last chunk and the end: the answer is whole, and is kept as such.
            status = "complete" if live.version.finish_reason and live.version.answer else "interrupted"
        except ChatError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - a provider is anybody's code
            error = _provider_error(live, caught)
        finally:
            live.end(status, error)
            self._live.remove(live)
            self._changed(thread, live, "changed")
            live.done.set()
            # Once more, for those who wait for `done` by listening.
            for listener in live.listeners:
                listener(live)

    async def _answer(self, thread: _Thread, live: LiveTurn) -> None:
        request = live.request
        live.change(status="streaming")
        self._changed(thread, live, "changed")
        earlier = thread.conversation.messages_before(live.index) if live.index is not None else []
        deltas = request.provider.create_delta_generator(
            request.model,
            request.messages(earlier),
            proxy=self.proxy or None,
            timeout=self.timeout,
            temperature=request.temperature,
            idle_timeout=self.idle_timeout,
            conversation_id=thread.id,
            **request.params,
        )
        inside = _asking.set(live)
        try:
            async with aclosing(deltas):
                count = 0
                async for delta in deltas:
                    live.take(delta)
                    self._changed(thread, live, "changed")
                    count += 1
                    if count % DELTAS_BETWEEN_PAUSES == 0:
                        await asyncio.sleep(0)
        finally:
            _asking.reset(inside)
        version = live.version
        if not version.finish_reason:
            raise IncompleteError(text("error.incomplete", host=version.provider))
        if not version.answer:
            raise EmptyAnswerError(text("error.empty_answer", host=version.provider))

    def _place(self, thread: _Thread, live: LiveTurn) -> None:
        """Give the turn its place: the one that its cell already has, or a new one at the end."""
        conversation = thread.conversation
        known = None if live.request.append else conversation.find(live.request.origin)
        if known is None:
            thread.conversation = conversation.appended(live.version)
            live.index = len(conversation.turns)
        else:
            turn = conversation.turns[known].revised(live.version)
            thread.conversation = conversation.with_turn(known, turn)
            live.index, live.at = known, turn.selected

    def _changed(self, thread: _Thread, live: LiveTurn, change: Change) -> None:
        """Tell everybody; put the version into the conversation when its status changed."""
        if live.index is not None:
            turn = thread.conversation.turns[live.index]
            if turn.versions[live.at].status != live.status:
                turn = turn.updated(live.version, live.at)
                thread.conversation = thread.conversation.with_turn(live.index, turn)
        for listener in live.listeners:
            listener(live)
        if live.index is not None and thread is self._open:
            self._tell(change, live)

    def _tell(self, change: Change, live: LiveTurn | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(change, live)
            except Exception:  # noqa: BLE001, PERF203 - a front end that is gone must not take the answer with it
                _log.exception("a listener failed and is dropped")
                self._listeners.remove(listener)


def _provider_error(live: LiveTurn, caught: Exception) -> ChatError:
    error = ChatError(
        text(
            "error.provider_failed",
            provider=live.request.provider.name,
            error=type(caught).__name__,
            reason=str(caught)[:500],
        )
    )
    error.__cause__ = caught
    return error


_session: ChatSession | None = None


def get_session() -> ChatSession:
    """Return the kernel's session, making it at the first call."""
    global _session  # noqa: PLW0603 - one conversation per kernel is the product's promise
    if _session is None:
        _session = ChatSession()
    return _session
