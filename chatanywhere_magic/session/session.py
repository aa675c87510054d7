"""The session of a kernel: the public interface for front ends and programs."""

from __future__ import annotations

import asyncio
import atexit
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .autosave import Autosave
from .catalog import Catalog
from .conversations import Conversations
from .engine import STOP_SECONDS, Engine, callers_loop
from .interrupts import Interrupts
from .live_turn import current_turn
from .open_conversation import OpenConversations
from .preparation import Preparation
from .settings import OPTIONS, Settings
from .tools import Tools
from .turn_loop import TurnLoop
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Future

    from ..context import Lookup, Prompt
    from ..core import Conversation, Reply
    from .batch import Batch
    from .live_turn import LiveTurn
    from .usage import UsageTotals

F = TypeVar("F", bound="Callable[..., Any]")
WAKE_SECONDS: Final = 0.1
"""ipykernel sees an interrupt of a cell that awaits only when something wakes its event loop."""


class ChatSession:
    """A chat session: the kernel's conversation and its options.

    Every option is an attribute: ``chat.temperature = 0.2``. It is a trait of :attr:`settings`, and in a notebook or a
    configuration file ``%config ChatSession.temperature = 0.2`` sets it, too.

    Parameters
    ----------
    **options
        Initial values of options.

    Examples
    --------
    >>> from chatanywhere_magic import chat
    >>> chat.ask_sync("What is a median?")  # doctest: +SKIP
    """

    names: Lookup | None = None
    """The kernel's variables, cells and errors, while the extension is loaded: what `namespace` may be."""

    def __init__(self, **options: Any) -> None:
        self._settings = Settings(**options)
        self._engine = Engine()
        self._autosave = Autosave(self._engine, self._settings)
        self._here = OpenConversations(self._autosave)
        self._catalog = Catalog(self._engine, self._settings)
        self._tools = Tools()
        self._turn_loop = TurnLoop(self._settings, self._catalog, self._autosave, self._here, self._tools)
        loop = self._turn_loop
        self._preparation = Preparation(
            self._settings, self._catalog, self._here, loop.budget, loop.egress, self._tools
        )
        self._conversations = Conversations(self._engine, self._autosave, self._here)
        self._turns = Turns(self._engine, self._here, self._catalog, self._preparation, self._tools)
        self._batch: Batch | None = None
        atexit.register(self.close)

    # --- its parts ----------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The options."""
        return self._settings

    @property
    def conversations(self) -> Conversations:
        """All conversations: start, switch, search, export and import them."""
        return self._conversations

    @property
    def turns(self) -> Turns:
        """The turns of the open conversation: undo, delete, retry, versions."""
        return self._turns

    @property
    def catalog(self) -> Catalog:
        """The providers and their models."""
        return self._catalog

    @property
    def tools(self) -> Tools:
        """The functions that the model may call, and what is allowed of them."""
        return self._tools

    @property
    def usage(self) -> UsageTotals:
        """The usage of this session, by model."""
        return self._turn_loop.usage

    @property
    def engine(self) -> Engine:
        """The thread on which everything runs."""
        return self._engine

    @property
    def conversation(self) -> Conversation:
        """The open conversation as it stands: a value."""
        return self._here.current.conversation

    if not TYPE_CHECKING:  # in typed code an option is read where it is: `chat.settings.temperature`

        def __getattr__(self, name: str) -> Any:
            if name in OPTIONS:
                return getattr(self._settings, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:  # an option, or one that is misspelt, which the settings refuse
            setattr(self._settings, name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *OPTIONS]

    def tool(self, function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
        """Offer a function to the model: a decorator, with or without options.

        Parameters
        ----------
        function : callable
            The function. Its name, docstring and type hints tell the model how to call it.
        **options
            ``approval``: ``"ask"`` before each call, the default, or ``"never"``. ``name`` and ``description``, in
            place of its own. ``thread_safe``: True lets it run outside the main thread, several calls at once.

        Examples
        --------
        >>> from chatanywhere_magic import chat
        >>> @chat.tool(approval="never")
        ... def today() -> str:
        ...     "Return today's date."
        ...     return "2026-12-01"
        >>> chat.tools.remove("today")
        """

        def offer(function: F) -> F:
            self._tools.add(function, **options)
            return function

        return offer if function is None else offer(function)

    # --- prompts and responses ------------------------------------------------------------------------------------

    def prepare(self, prompt: str = "", **options: Any) -> LiveTurn:
        """Check a prompt and return its turn, ready to start; nothing is sent or recorded.

        Parameters
        ----------
        prompt : str
            The prompt, sent as it is.
        messages : list of dict, optional
            Messages to ask with in place of a prompt, as the field writes them: ``{"role": …, "content": …}`` with
            the roles system, user, assistant and tool. They follow the conversation, so that the result of a tool
            that the last turn called can be sent by hand; with ``history=False`` they are all that is sent.
        provider : str, provider class or async generator function, optional
            The provider; by default the session's.
        model : str, optional
            The model; by default the session's, or the provider's default if another provider is named.
        system : str, optional
            The system prompt for this prompt; by default the session's.
        temperature : float, optional
            0 to 2; by default the session's.
        max_tokens : int, optional
            Maximum tokens of the response; by default the session's.
        effort : str, optional
            How much the model reasons, ``none`` to ``xhigh``; by default the session's, ``""`` for the model's own.
        history : bool, default True
            False leaves the conversation out: it is neither sent nor changed.
        append : bool, default False
            True adds a turn even where `origin` already has one.
        origin : Origin, optional
            Where it was asked.
        attachments : iterable of Attachment, optional
            Attachments to send with the prompt.
        namespace : mapping or Lookup, optional
            Where ``@names`` in the prompt are looked up, such as ``globals()``, or :attr:`names` for everything that
            a cell can name. By default an ``@`` is text.
        attach : iterable of path, optional
            Files to send with the prompt.
        allow_secrets : bool, default False
            True sends what looks like a key too, whatever the session's option says.
        revises : int, optional
            The index of the turn that this revises, wherever it is asked.
        schema : type, dict, str, Path, Schema or True, optional
            The form that the response must have: a pydantic model, a dataclass, a TypedDict, a JSON Schema or a
            file with one; True for any JSON. The reply has it as ``value``.
        replay : "off", "record", "replay" or "replay-only", optional
            Whether to reuse a recorded response to the same request; by default the session's option.
        tools : iterable, optional
            What the model may call: functions, or names of :attr:`tools`; by default all of :attr:`tools`. Tools in
            the protocol's form, as dictionaries, are sent as they are, and their calls are returned, not run.
        agent : bool, optional
            Whether the model may also look at the kernel's variables, cells and files, and ask to run code and write
            cells; by default the session's option, unless `tools` are given.
        **options
            Further parameters for the provider.

        Raises
        ------
        ConfigurationError
            If the prompt is empty, the provider unknown or not available, an option out of range, the turn missing,
            the schema invalid, an ``@name`` unknown, or a file cannot be sent.
        LeakError
            If what would be sent looks like a key.
        ContextLengthError
            If the prompt alone is longer than the model accepts.
        """
        return self._preparation.prepare(prompt, **options)

    def compare(self, live: LiveTurn, *, provider: Any = None, model: str = "") -> LiveTurn:
        """Prepare the same prompt for another model, to run at the same time as another version of the turn.

        The caller starts it right after `live`. Stopping `live` stops it, too.

        Raises
        ------
        ConfigurationError
            If the provider is unknown or not available.
        """
        return self._preparation.compare(live, provider=provider, model=model)

    def preview(self, live: LiveTurn) -> Prompt:
        """Return the request that :meth:`start` would send for a prepared turn. Nothing is sent.

        Turns that would be summarised are left out, for a summary would have to be asked for.
        """
        fitting = self._preparation.fit(live)
        if self._engine.is_current_thread():
            return self._engine.run_nested(fitting)
        return self._engine.submit(fitting).result()

    def start(self, live: LiveTurn) -> Future[None]:
        """Start a turn made by :meth:`prepare`. Returns at once; `live` changes from now on.

        The future is done when the turn is over, with its corrections.
        """
        self._here.live.append(live)
        return self._engine.submit(self._turn_loop.run(self._here.current, live))

    def ask_sync(self, prompt: str = "", **options: Any) -> Reply:
        """Send a prompt and wait for the whole response. Options and errors are those of :meth:`prepare`.

        Called from inside a provider or a callback (which run on the engine), it leaves the conversation out: it
        neither sees nor changes it, and does not wait for the turn that it is part of.

        Returns
        -------
        Reply

        Raises
        ------
        ChatError
            If the prompt cannot be sent, or the response is incomplete or unusable.
        ChatInterrupted
            If the turn was stopped.
        """
        if self._engine.is_current_thread():
            live = self.prepare(prompt, **options)
            self._run_inside(live)
            return live.reply()
        with Interrupts() as interrupts:
            live = self.prepare(prompt, **options)
            interrupts.stop(live)
            self._take_part(live)
            self.start(live)
            live.wait()
        return live.reply()

    __call__ = ask_sync

    def _take_part(self, live: LiveTurn) -> None:
        """Have the waiting program asked and its functions run; a turn that a turn asks for belongs to that one."""
        outer = current_turn.get()
        if outer is not None:
            outer.stopping.include(live)
        if outer is not None and self._engine.is_current_thread():
            live.share_jobs(outer)  # the engine's thread must not wait for what runs there
        else:
            live.attend(self._tools.host)

    def _run_inside(self, live: LiveTurn) -> None:
        """Ask `live` to its end from code that runs on the engine."""
        self._take_part(live)
        self._here.live.append(live)
        self._engine.run_nested(self._turn_loop.run(self._here.current, live))

    async def ask(self, prompt: str = "", **options: Any) -> Reply:
        """Send a prompt and await the whole response, without blocking the caller's event loop.

        Options, errors and result are those of :meth:`ask_sync`. Cancelling the awaiting task stops the turn.
        """
        live = self.prepare(prompt, **options)
        changed = self._changes_of(live)
        future = self.start(live)
        try:
            await self._over(live, changed, future)
        finally:
            live.cancel()
        return live.reply()

    def _changes_of(self, live: LiveTurn) -> asyncio.Event:
        """Return what is set on the caller's event loop whenever a turn has changed."""
        loop = callers_loop()
        self._take_part(live)
        changed = asyncio.Event()

        def wake(_: LiveTurn) -> None:
            loop.call_soon_threadsafe(changed.set)

        live.listen(wake)
        return changed

    async def _over(self, live: LiveTurn, changed: asyncio.Event, future: Future[None]) -> None:
        """Wait until a turn is over, and run here what its tools must not run on the engine's thread."""
        over = asyncio.wrap_future(future)
        over.add_done_callback(lambda _: changed.set())
        with _kept_awake():
            while not over.done():
                await changed.wait()
                changed.clear()
                self._serve(live)
        over.result()

    def _serve(self, live: LiveTurn) -> None:
        if not self._engine.is_current_thread():
            live.last.serve()

    async def stream(self, prompt: str = "", **options: Any) -> AsyncIterator[str]:
        """Send a prompt and yield the response's text as it arrives, on the caller's event loop.

        Options and errors are those of :meth:`ask_sync`. Leaving the iteration early stops the turn. With a `schema`,
        the response comes in one piece once it has the right form: yielded text cannot be withdrawn.

        Yields
        ------
        str
        """
        live = self.prepare(prompt, **options)
        changed = self._changes_of(live)
        future = self.start(live)
        shown = 0
        try:
            while live.request.schema is None:
                over = live.done.is_set()
                fresh, shown = live.response.text_since(shown)
                if fresh:
                    yield fresh
                if over:
                    break
                with _kept_awake():
                    await changed.wait()
                changed.clear()
                self._serve(live)
            await self._over(live, changed, future)
        finally:
            live.cancel()
        reply = live.reply()
        if live.request.schema is not None and reply:
            yield str(reply)

    # --- rows -------------------------------------------------------------------------------------------------------

    @property
    def batch(self) -> Batch:
        """Jobs: a prompt for every row of a table. They are listed, resumed and forgotten here."""
        if self._batch is None:
            from .batch import Batch  # with the first job, not with the extension

            loop = self._turn_loop
            parts = self._preparation, loop.egress, self._autosave, loop.usage
            self._batch = Batch(self._engine, self._settings, *parts)
        return self._batch

    def map(self, source: Any, template: str | None = None, **options: Any) -> Any:
        """Ask the model for every row, and return the results in the form of what was handed over.

        Each finished row is on disk before it counts. The same call again goes on where it stopped, and takes from
        disk what is done. Rows are asked apart from the conversation, and equal rows once.

        Parameters
        ----------
        source : iterable, Series or frame
            The prompts; or, with a `template`, rows with named values: a frame of pandas, polars or dask, or a list
            of mappings.
        template : str, optional
            The prompt with the names of columns as fields, ``"Classify {text}"``; ``{{`` and ``}}`` are braces.
        schema : type, dict, str, Path, Schema or True, optional
            The form of the responses, as :meth:`prepare` takes it.
        images : str, optional
            The column with the path of a picture, or with a list of paths.
        concurrency : int, default 8
            How many rows are asked at a time. It goes down while the server refuses, and up again.
        rpm, tpm : float, optional
            Requests and tokens a minute at most.
        max_cost : float, optional
            End the job before it costs more, by the prices of :attr:`settings`.
        max_tokens : int, optional
            Maximum tokens of each response.
        fresh : bool, default False
            Ask everything anew.
        retry : "failed", optional
            Ask the rows again that failed before.
        name : str, optional
            A name, which keeps the job's rows apart from those of others.
        prefix : str, optional
            What the names of a frame's new columns begin with.
        progress : bool, default True
            Show a bar, and a line before and after it.
        background : bool, default False
            Return a `Job` at once: ``job.result()`` waits for the results, ``job.cancel()`` stops it.
        client : distributed.Client, optional
            Ask on the workers of this Dask cluster; each finds its own key. A frame of dask needs no client: it is
            asked where and when its partitions are computed.
        **options
            ``provider``, ``model``, ``system``, ``temperature``, ``effort``, ``allow_secrets`` and further parameters,
            as for :meth:`prepare`.

        Returns
        -------
        list, Series, frame or Job
            A list or Series of replies, or of values of the schema's type. Where a row failed it holds the
            ``ChatError``, with its ``kind``. A frame has columns for the schema's fields, or ``response``, and
            ``status`` and ``error``. After an interrupt the rows that are done are in it, and the others are of the
            kind ``not_asked``.

        Raises
        ------
        ConfigurationError
            If a field of the template is no column, or an option is wrong; nothing was sent.
        ChatError
            If not a single row could be asked, as with a wrong key.
        """
        return self.batch.map(source, template, **options)

    async def amap(self, source: Any, template: str | None = None, **options: Any) -> Any:
        """Ask the model for every row, without blocking the caller's event loop; see :meth:`map`.

        Cancelling the awaiting task stops the job. What is done is on disk.
        """
        return await self.batch.amap(source, template, **options)

    def imap(self, source: Any, template: str | None = None, **options: Any) -> AsyncIterator[Any]:
        """Yield the result of each row, in order, as soon as it is there; options as :meth:`map`.

        Leaving the iteration early stops the job. What is done is on disk.
        """
        return self.batch.imap(source, template, **options)

    # --- stopping -----------------------------------------------------------------------------------------------

    def stop(self) -> int:
        """Stop every turn and job that runs or waits, and return how many there were. What came so far is kept."""
        return self._here.stop() + (self._batch.stop() if self._batch is not None else 0)

    def close(self) -> None:
        """Stop running turns, save what is not yet on disk, and end the engine's threads.

        The conversation stays; the next prompt restarts the engine.
        """
        if self._engine.is_inherited:
            return  # in a forked child, at its exit: what runs and what is not written yet is the parent's
        going = [live.done for live in self._turns.live]
        going += [job.over for job in self._batch.running] if self._batch is not None else []
        self.stop()
        for over in going:
            over.wait(STOP_SECONDS)
        self._autosave.close()
        self._engine.stop()
        self._here.current.lock = asyncio.Lock()


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


_session: ChatSession | None = None


def get_session() -> ChatSession:
    """Return the kernel's session, creating it on the first call."""
    global _session  # noqa: PLW0603 - one conversation per kernel is the product's promise
    if _session is None:
        _session = ChatSession()
    return _session
