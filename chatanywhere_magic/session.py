"""The kernel's conversation in motion: asking, queueing, streaming, stopping. Every front door goes through here."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from .conversation import Conversation, Listed, Origin, Status
from .engine import Engine
from .errors import (
    AnswerFormatError,
    BadRequestError,
    ChatError,
    ChatInterrupted,
    ConfigurationError,
    EmptyAnswerError,
    IncompleteError,
)
from .live import Interrupts, LiveTurn, Request
from .messages import Message, encodable
from .providers.base import Provider, choose_provider, get_provider, wrap
from .settings import MAX_TEMPERATURE, Settings
from .strings import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from .conversation import Turn, Version
    from .messages import Attachment
    from .reply import Reply
    from .schema import Schema

_log = logging.getLogger(__name__)

DELTAS_BETWEEN_PAUSES: Final = 200
"""A provider that always has the next delta ready would never let the loop see a Stop."""
WAKE_SECONDS: Final = 0.1
"""ipykernel sees an interrupt of a cell that awaits only when something wakes its event loop."""


class _Thread:
    """A conversation that was opened here: its value, its id, and the lock that lets its turns queue."""

    def __init__(self, conversation: Conversation | None = None, id: str = "") -> None:  # noqa: A002 - its name
        self.conversation = conversation or Conversation()
        self.id = id or os.urandom(16).hex()
        self.lock = asyncio.Lock()


_asking: ContextVar[LiveTurn | None] = ContextVar("chatanywhere_asking", default=None)
"""The turn whose provider is running in this context."""

Change = Literal["added", "changed", "reset"]


class ChatSession(Settings):
    """The kernel's one conversation, and the options with which it asks.

    Every option is a trait: ``%config ChatSession.temperature = 0.2``, or plain assignment.

    Examples
    --------
    >>> from chatanywhere_magic import chat
    >>> chat.ask_sync("What is a median?")  # doctest: +SKIP
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine = Engine()
        self._open = _Thread()
        self._threads = {self._open.id: self._open}
        """The conversations of this session, by id."""
        self._askers: dict[tuple[str, str], tuple[Provider, str]] = {}
        """Who was asked, and for which model, by the names that versions bear."""
        self._live: list[LiveTurn] = []
        self._listeners: list[Callable[[Change, LiveTurn | None], None]] = []
        atexit.register(self.close)

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
        revises: int | None = None,
        schema: Any = None,
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
        revises : int, optional
            The index of the turn of which this becomes a version, wherever it is asked.
        schema : type, dict, str, Path, Schema or True, optional
            What the answer must hold: a pydantic model, a dataclass, a TypedDict, a JSON schema or a file with one;
            True for any JSON. The reply has it as ``value``.
        **params
            Further parameters for the provider.

        Raises
        ------
        ConfigurationError
            If the prompt is empty, the provider unknown or not to be had, an option out of range, there is no
            such turn, or the schema is none.
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
        if revises is not None:
            self._turn(revises)
        form = _schema(schema)
        if form is not None and chosen.supports_response_format:
            params["response_format"] = form.response_format
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
                revises=None if revises is None else (self._open.id, revises),
                schema=form,
            )
        )

    def correction(self, live: LiveTurn) -> LiveTurn | None:
        """Prepare to ask once more where the answer does not hold what its schema says; None if there is no need.

        The model is told what is wrong, once. Where it was the server that does not know structured output, the
        same is asked without. Its ``notice`` says which. The caller starts it, as what :meth:`prepare` returns.
        """
        request = live.request
        if request.schema is None:
            return None
        place = (self._open.id, live.index) if live.index is not None and live.thread is self._open else None
        again = replace(request, revises=place)
        if "response_format" in request.params and _refuses_format(live.error):
            params = {name: value for name, value in request.params.items() if name != "response_format"}
            return _with_notice(replace(again, params=params), text("notice.without_format"))
        try:
            live.reply()
        except AnswerFormatError as error:
            if not request.correction:
                answer = Message(role="assistant", content=live.version.answer)
                objection = Message(role="user", content=request.schema.objection(error))
                notice = text("notice.corrected", problems=error.problems)
                return _with_notice(replace(again, correction=(answer, objection)), notice)
        except (ChatError, ChatInterrupted):
            pass
        return None

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
            self._run_inside(live)
            while again := self.correction(live):
                live = again
                self._run_inside(live)
            return live.reply()
        with Interrupts() as interrupts:
            following: LiveTurn | None = self.prepare(prompt, **options)
            while following is not None:
                live = following
                interrupts.stop(live)
                self.start(live)
                live.wait()
                following = self.correction(live)
        return live.reply()

    def _run_inside(self, live: LiveTurn) -> None:
        """Ask `live` to its end from code that runs on the engine."""
        outer = _asking.get()
        if outer is not None:
            outer.asked_inside.append(live)  # so that stopping the one stops the other
        self._live.append(live)
        self._engine.run_nested(self._run(live))

    __call__ = ask_sync

    async def ask(self, prompt: str, **options: Any) -> Reply:
        """Ask and await the whole answer, while the caller's own event loop goes on.

        Options, errors and result are those of :meth:`ask_sync`. Cancelling the awaiting task stops the turn.
        """
        following: LiveTurn | None = self.prepare(prompt, **options)
        while following is not None:
            live = following
            try:
                with _kept_awake():
                    await asyncio.shield(asyncio.wrap_future(self.start(live)))  # stopped once, below
            finally:
                live.cancel()
            following = self.correction(live)
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
                fresh, shown = live.answer_since(shown)
                if fresh:
                    yield fresh
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

    @property
    def running(self) -> dict[int, LiveTurn]:
        """The turns on their way in the open conversation, by their index."""
        return {live.index: live for live in self._live if live.index is not None and live.thread is self._open}

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

    # --- changing the conversation ------------------------------------------------------------------------------
    # All of it happens on the engine's thread, whoever asks for it.

    def undo(self) -> Turn | None:
        """Hide the last turn, and return it; None if there is none. :meth:`restore` takes it back."""

        def hide() -> Turn | None:
            visible = self.conversation.visible
            if not visible:
                return None
            index, turn = visible[-1]
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def delete(self, index: int) -> Turn:
        """Hide the turn at `index`, and return it; the turns around it keep their indices.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def hide() -> Turn:
            turn = self._turn(index)
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def clear(self) -> int:
        """Hide every turn, and return how many that were."""

        def hide() -> int:
            indices = [index for index, _ in self.conversation.visible]
            self._hide(indices)
            return len(indices)

        return self._engine.call(hide)

    def restore(self) -> list[int]:
        """Take the last undo, delete or clear back, and return the indices of the turns that are shown again.

        Each further call takes back the one before.
        """

        def show() -> list[int]:
            hidden = [index for index, turn in enumerate(self.conversation.turns) if turn.hidden]
            if hidden:
                self._change(self.conversation.restored())
            return [index for index in hidden if not self.conversation.turns[index].hidden]

        return self._engine.call(show)

    redo = restore

    def _hide(self, indices: Sequence[int]) -> None:
        for live in self.live:
            if live.index in indices:
                live.cancel()
        if indices:
            self._change(self.conversation.hiding(indices))

    def retry(self, index: int | None = None, *, provider: Any = None, model: str = "") -> LiveTurn:
        """Prepare to ask a turn's question again, in its place; by default the last one's, and the same model.

        The caller starts it, as what :meth:`prepare` returns.

        Raises
        ------
        ConfigurationError
            If there is no such turn, or its question cannot be asked here.
        """
        if index is None:
            visible = self.conversation.visible
            index = visible[-1][0] if visible else 0
        version = self._turn(index).current
        if provider is None:
            provider, asked_for = self._asker(version)
            model = model or asked_for
        return self.prepare(
            version.question,
            provider=provider,
            model=model,
            system=version.system,
            temperature=version.temperature,
            origin=version.origin,
            attachments=version.attachments,
            revises=index,
            **dict(version.parameters),
        )

    def revise(self, index: int, prompt: str, **options: Any) -> LiveTurn:
        """Prepare to ask `prompt` in the place of the turn at `index`, whose earlier versions are kept.

        Options and errors are those of :meth:`prepare`; what is not given stays as the turn had it.
        """
        version = self._turn(index).current
        if "provider" not in options and "model" not in options:
            options["provider"], options["model"] = self._asker(version)
        kept = {
            "system": version.system,
            "temperature": version.temperature,
            "origin": version.origin,
            "attachments": version.attachments,
            **dict(version.parameters),
        }
        return self.prepare(prompt, **{**kept, **options}, revises=index)

    def _asker(self, version: Version) -> tuple[Any, str]:
        """Return the provider and the model to ask for another version; the names alone may not be enough."""
        return self._askers.get((version.provider, version.model), (version.provider, version.model))

    def select(self, index: int, version: int) -> Turn:
        """Have the turn at `index` show and send another of its versions, counted from 0.

        Raises
        ------
        ConfigurationError
            If there is no such turn or version.
        """

        def choose() -> Turn:
            turn = self._turn(index)
            if not 0 <= version < len(turn.versions):
                raise ConfigurationError(text("error.no_version", number=version + 1, count=len(turn.versions)))
            return self._change_turn(index, selected=version)

        return self._engine.call(choose)

    def pin(self, index: int, pinned: bool = True) -> Turn:  # noqa: FBT001, FBT002 - pin(3, False) reads well
        """Have the turn at `index` never left out of what is sent.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """
        return self._engine.call(lambda: self._change_turn(index, pinned=pinned))

    def rename(self, title: str) -> None:
        """Give the conversation a title; without one it is called as its first question."""
        words = " ".join(encodable(title).split())
        self._engine.call(lambda: self._change(replace(self.conversation, title=words)))

    def fork(self, index: int | None = None) -> str:
        """Begin a conversation of its own with the turns up to the one at `index`, and return its id.

        By default with all turns. The conversation that it was made of stays as it is; what still streams in it is
        stopped.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def copy() -> str:
            if index is not None:
                self._turn(index)
            source = self._snapshot()
            self._enter(_Thread(source.forked(len(source.turns) if index is None else index)))
            return self._open.id

        return self._engine.call(copy)

    def new(self) -> None:
        """Begin a new conversation. What still streams in the old one is stopped."""
        self._engine.call(lambda: self._enter(_Thread()))

    @property
    def conversation_id(self) -> str:
        """The conversation's id: the same in every kernel, and what :meth:`switch` takes."""
        return self._open.id

    def conversations(self, search: str = "", limit: int = 50) -> list[Listed]:
        """Return the conversations there are, those that were changed last first.

        Parameters
        ----------
        search : str, optional
            Words of which all stand in the title or in a question or answer.
        limit : int, default 50
            Most of them.
        """
        words = search.lower().split()
        found = [
            _listed(thread)
            for thread in self._threads.values()
            if thread.conversation.visible and all(word in _searched(thread.conversation) for word in words)
        ]
        return sorted(found, key=attrgetter("updated"), reverse=True)[:limit]

    def switch(self, conversation_id: str) -> None:
        """Go on with another conversation. What still streams in this one is stopped.

        Raises
        ------
        ConfigurationError
            If there is none of that id.
        """
        thread = self._threads.get(conversation_id)
        if thread is None:
            raise ConfigurationError(text("error.no_conversation", id=conversation_id))
        self._engine.call(lambda: self._enter(thread))

    def _enter(self, thread: _Thread) -> None:
        if thread is not self._open:
            self.stop()
        self._threads[thread.id] = self._open = thread
        _tell(self._listeners, "reset", None)

    def _change(self, conversation: Conversation) -> None:
        self._open.conversation = conversation
        _tell(self._listeners, "reset", None)

    def _change_turn(self, index: int, **fields: Any) -> Turn:
        turn = replace(self._turn(index), **fields)
        self._change(self.conversation.with_turn(index, turn))
        return turn

    def _turn(self, index: int) -> Turn:
        """Return the turn at `index`, if it is shown."""
        turns = self.conversation.turns
        if not 0 <= index < len(turns) or turns[index].hidden:
            raise ConfigurationError(text("error.no_turn", number=index + 1))
        return turns[index]

    def _snapshot(self) -> Conversation:
        """Return the conversation with what has come so far of the turns on their way."""
        conversation = self.conversation
        for live in self.live:
            if live.index is not None and live.thread is self._open:
                turn = conversation.turns[live.index].updated(live.version, live.at)
                conversation = conversation.with_turn(live.index, turn)
        return conversation

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
        request = live.request
        if request.history:
            self._place(thread, live)
        self._changed(thread, live, "added")
        status: Status = "failed"
        error: ChatError | None = None
        try:
            if request.history:
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
            version = live.version
            self._askers[version.provider, version.model] = request.provider, request.model
            self._live.remove(live)
            self._changed(thread, live, "changed")
            live.done.set()
            _tell(live.listeners, live)  # once more, for those who wait for `done` by listening

    async def _answer(self, thread: _Thread, live: LiveTurn) -> None:
        request = live.request
        live.change(status="streaming")
        self._changed(thread, live, "changed")
        earlier = thread.conversation.messages_before(live.index) if live.index is not None else []
        live.sent = request.messages(earlier)
        deltas = request.provider.create_delta_generator(
            request.model,
            live.sent,
            proxy=self.proxy or None,
            timeout=self.timeout,
            temperature=request.temperature,
            connect_timeout=self.connect_timeout,
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
        conversation, request = thread.conversation, live.request
        live.thread = thread
        if request.revises and request.revises[0] == thread.id:
            known: int | None = request.revises[1]
        else:
            known = None if request.append else conversation.find(request.origin)
        if known is None:
            thread.conversation = conversation.appended(live.version)
            live.index = len(conversation.turns)
        else:
            for other in self.live:
                if other.index == known and other.thread is thread:
                    other.cancel()  # whoever asks again does not wait for the answer to the first
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


def _schema(source: Any) -> Schema | None:
    from .schema import Schema  # with the first question that needs one

    if source is None or isinstance(source, Schema):
        return source
    return Schema(None if source is True else source)


def _with_notice(request: Request, notice: str) -> LiveTurn:
    live = LiveTurn(request)
    live.notice = notice
    return live


def _refuses_format(error: ChatError | None) -> bool:
    """Whether a server refused because it does not know structured output, or not this kind of it."""
    return isinstance(error, BadRequestError) and bool(
        re.search("response_format|json|schema|structured", error.server_message)
    )


def _searched(conversation: Conversation) -> str:
    said = [words for _, turn in conversation.visible for words in (turn.current.question, turn.current.answer)]
    return "\n".join([conversation.title, *said]).lower()


def _listed(thread: _Thread) -> Listed:
    versions = [turn.current for _, turn in thread.conversation.visible]
    times = [version.timing.started for version in versions]
    return Listed(thread.id, thread.conversation.name, min(times), max(times), versions[-1].model, len(versions))


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
