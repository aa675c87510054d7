"""The kernel's conversation in motion: asking, queueing, streaming, stopping. Every front door goes through here."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal

import traitlets
from traitlets.config import Configurable

from .conversation import Conversation, Origin, Status
from .engine import Engine
from .errors import ChatError, ChatInterrupted, ConfigurationError, EmptyAnswerError, IncompleteError
from .live import Interrupts, LiveTurn, Reply, Request
from .messages import encodable
from .providers.base import Provider, choose_provider, get_provider, wrap
from .strings import set_language, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from concurrent.futures import Future

    from .messages import Attachment

_log = logging.getLogger(__name__)

MAX_TEMPERATURE: Final = 2.0
DELTAS_BETWEEN_PAUSES: Final = 200
"""A provider that always has the next delta ready would never let the loop see a Stop."""
WAKE_SECONDS: Final = 0.1
"""ipykernel sees an interrupt of a cell that awaits only when something wakes its event loop."""


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
    first_timeout = traitlets.Float(
        None, allow_none=True, help="Seconds until the first of an answer. Default: as idle_timeout."
    ).tag(config=True)
    ca_bundle = traitlets.Unicode(
        "", help="A file of certificates to trust. Default: the system's, or what SSL_CERT_FILE names."
    ).tag(config=True)
    max_retries = traitlets.Int(
        2, min=0, help="Further tries after a failure that may pass, before the answer has begun. Default: 2."
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
        attachments: Iterable[Attachment] = (),
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
        attachments : iterable of Attachment, optional
            What goes to the model beside the prompt.
        **params
            Further parameters for the provider.

        Raises
        ------
        ConfigurationError
            If the prompt is empty, the provider unknown or not to be had, or an option out of range.
        """
        prompt = encodable(prompt)
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
            Request(
                prompt=prompt,
                provider=chosen,
                model=model,
                system=encodable(self.system if system is None else system),
                temperature=temperature,
                history=history and _asking.get() is None,
                append=append,
                origin=origin or Origin(),
                params=params,
                attachments=tuple(attachments),
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
        if self._engine.is_current_thread():
            live = self.prepare(prompt, **options)
            outer = _asking.get()
            if outer is not None:
                outer.asked_inside.append(live)  # so that stopping the one stops the other
            self._live.append(live)
            self._engine.run_nested(self._run(live))
            return live.reply()
        with Interrupts() as interrupts:
            live = self.prepare(prompt, **options)
            interrupts.stop(live)
            self.start(live)
            live.wait()
        return live.reply()

    __call__ = ask_sync

    async def ask(self, prompt: str, **options: Any) -> Reply:
        """Ask and await the whole answer, while the caller's own event loop goes on.

        Options, errors and result are those of :meth:`ask_sync`. Cancelling the awaiting task stops the turn.
        """
        live = self.prepare(prompt, **options)
        try:
            with _kept_awake():
                await asyncio.shield(asyncio.wrap_future(self.start(live)))  # stopped once, below
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
                with _kept_awake():
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
        _tell(self._listeners, "reset", None)

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
        except ChatInterrupted:  # of a question that the provider asked
            status = "interrupted"
        except (Exception, KeyboardInterrupt, SystemExit) as caught:  # noqa: BLE001 - a provider is anybody's code
            error = _provider_error(live, caught)
        finally:
            live.end(status, error)
            self._live.remove(live)
            self._changed(thread, live, "changed")
            live.done.set()
            _tell(live.listeners, live)  # once more, for those who wait for `done` by listening

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
            first_timeout=self.first_timeout,
            idle_timeout=self.idle_timeout,
            ca_bundle=self.ca_bundle,
            max_retries=self.max_retries,
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
                    if live.is_cancelled:
                        raise asyncio.CancelledError  # it may have been swallowed on its way
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
        _tell(live.listeners, live)
        if live.index is not None and thread is self._open:
            _tell(self._listeners, change, live)


@contextmanager
def _kept_awake() -> Iterator[None]:
    """Wake the running event loop now and then."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def wake() -> None:
        nonlocal handle
        handle = loop.call_later(WAKE_SECONDS, wake)

    handle = loop.call_later(WAKE_SECONDS, wake)
    try:
        yield
    finally:
        handle.cancel()


def _tell(listeners: list[Callable[..., None]], *news: object) -> None:
    for listener in tuple(listeners):
        try:
            listener(*news)
        except Exception:  # noqa: BLE001, PERF203 - each must hear it, whatever another does
            # A front end that is gone, a loop that is closed: neither must take the answer with it.
            _log.debug("a listener failed and is dropped", exc_info=True)
            with suppress(ValueError):
                listeners.remove(listener)


def _provider_error(live: LiveTurn, caught: BaseException) -> ChatError:
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
