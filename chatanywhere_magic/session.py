"""The kernel's conversation in motion: asking, queueing, streaming, stopping. Every front door goes through here."""

from __future__ import annotations

import asyncio
import atexit
import re
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import places
from .asking import Asker, Change, asking, tell
from .dialogue import Dialogue
from .engine import STOP_SECONDS, Engine
from .errors import (
    AnswerFormatError,
    BadRequestError,
    ChatError,
    ChatInterrupted,
    ConfigurationError,
    UnsupportedError,
)
from .finding import Found, search_in
from .keeper import Keeper
from .leaks import check_leaks, secrets_of_environment
from .live import Interrupts, LiveTurn, Request
from .messages import Message, encodable
from .models import Models
from .providers.base import (
    CHOICE_ORDER,
    AsyncGeneratorProvider,
    Provider,
    choose_provider,
    get_provider,
    provider_names,
    wrap,
)
from .settings import MAX_TEMPERATURE, REPLAY_MODES, Settings
from .strings import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from .budget import Prompt
    from .context import Lookup
    from .conversation import Conversation, Listed, Origin, Turn, Version
    from .messages import Attachment
    from .places import Cell
    from .reply import Reply
    from .schema import Schema
    from .settings import Replay
    from .tally import Tally

__all__ = ["Change", "ChatSession", "get_session"]

MOST_LISTED: Final = 10_000
WAKE_SECONDS: Final = 0.1
"""ipykernel sees an interrupt of a cell that awaits only when something wakes its event loop."""


Answer = TypeVar("Answer")


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
        self._open = Dialogue()
        self._dialogues = {self._open.id: self._open}
        """The conversations of this kernel, by id."""
        self._listeners: list[Callable[[Change, LiveTurn | None], None]] = []
        self._keeper = Keeper(self._engine, self, lambda dialogue: dialogue.snapshot(self._asker.live))
        self._asker = Asker(self, self._keeper, told=self._turn_changed, earlier_answer=self._earlier_answer)
        self.names: Lookup | None = None
        """The kernel's variables, cells and errors, while the extension is loaded: what `namespace` may be."""
        self.models = Models(
            self._engine.submit,
            self._provider,
            lambda: {"proxy": self.proxy or None, "ca_bundle": self.ca_bundle},
        )
        """Which models there are."""
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
        namespace: Lookup | Mapping[str, Any] | None = None,
        attach: Iterable[str | PathLike[str]] = (),
        allow_secrets: bool = False,
        revises: int | None = None,
        schema: Any = None,
        replay: Replay | None = None,
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
        namespace : mapping or Lookup, optional
            Where ``@names`` in the prompt are looked up, such as ``globals()``, or :attr:`names` for everything that
            a cell can name. By default an ``@`` is text.
        attach : iterable of path, optional
            Files that go to the model beside the prompt.
        allow_secrets : bool, default False
            True sends what looks like a key too, whatever the session's option says.
        revises : int, optional
            The index of the turn of which this becomes a version, wherever it is asked.
        schema : type, dict, str, Path, Schema or True, optional
            What the answer must hold: a pydantic model, a dataclass, a TypedDict, a JSON schema or a file with one;
            True for any JSON. The reply has it as ``value``.
        replay : "off", "record", "replay" or "replay-only", optional
            Whether an earlier answer to the same request will do; by default as the session says.
        **params
            Further parameters for the provider.

        Raises
        ------
        ConfigurationError
            If the prompt is empty, the provider unknown or not to be had, an option out of range, there is no
            such turn, the schema is none, an ``@name`` is unknown, or a file cannot be sent.
        LeakError
            If what would be sent looks like a key.
        ContextLengthError
            If the question by itself is longer than the model takes.
        """
        prompt = encodable(prompt)
        if not prompt.strip():
            raise ConfigurationError(text("error.empty_prompt"))
        if "api_key" in params:  # it would go out as a field of the question, and be recorded
            raise ConfigurationError(text("error.key_option"))
        mode = _replay_mode(self.replay if replay is None else replay)
        if provider is None:
            provider, model = self._resolved(model or self.model)
        chosen, alternatives, unready = self._chosen(provider, model, mode)
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
            self.turn(revises)
        prompt, named = self._context(prompt, chosen, namespace, attach)
        beside = (*attachments, *named)
        _check_pictures(beside, chosen)
        form = _schema(schema)
        if form is not None and chosen.supports_response_format:
            params["response_format"] = form.response_format
        origin = origin or places.here("api")
        request = Request(
            prompt=prompt,
            provider=chosen,
            model=model,
            system=encodable(self.system if system is None else system),
            temperature=temperature,
            history=history and asking.get() is None,
            append=append,
            origin=origin,
            params=params,
            attachments=beside,
            revises=None if revises is None else (self._open.id, revises),
            replay=mode,
            alternatives=alternatives,
            unready=unready,
            schema=form,
        )
        self._asker.budget.check(request, self.budget)
        _check_leaks(request, allowed=allow_secrets or self.secrets == "allow")
        places.count(origin)
        return LiveTurn(request)

    def _chosen(
        self, source: Any, model: str, mode: Replay
    ) -> tuple[Provider, tuple[Provider, ...], ConfigurationError | None]:
        """Return who is asked, whose earlier answers will do as well, and why the first cannot be asked, if so.

        Where earlier answers will do, there need be nobody to ask.
        """
        try:
            provider = self._provider(source)
        except ConfigurationError as error:
            if source or mode not in {"replay", "replay-only"}:
                raise
            first, *others = map(get_provider, CHOICE_ORDER)
            return first, tuple(others), error
        try:
            provider.check(model)
        except ConfigurationError as error:
            if mode not in {"replay", "replay-only"}:
                raise
            return provider, (), error
        return provider, (), None

    def _context(
        self,
        prompt: str,
        provider: Provider,
        namespace: Lookup | Mapping[str, Any] | None,
        files: Iterable[str | PathLike[str]],
    ) -> tuple[str, list[Attachment]]:
        """Return the prompt as it is sent, and what it names."""
        paths = [fspath(path) for path in files]
        if not paths and (namespace is None or "@" not in prompt):
            return prompt, []
        from .context import read_file, resolve  # when something is named, not with the extension

        sees = provider.supports_images
        found = [read_file(path, path, supports_images=sees) for path in paths]
        if namespace is not None:
            context = resolve(prompt, namespace, budget=self.context_budget, supports_images=sees)
            prompt, found = context.prompt, [*context.attachments, *found]
        return prompt, found

    def preview(self, live: LiveTurn) -> Prompt:
        """Return what :meth:`start` would send for a question that :meth:`prepare` checked. Nothing is sent.

        Turns that would be summarised are left out, for a summary would have to be asked for.
        """
        request = live.request
        earlier: list[tuple[int, Turn]] = []
        if request.history:
            conversation, place = self._open.conversation, self._open.place_of(request)
            earlier = conversation.sent_before(len(conversation.turns) if place is None else place)
        fitting = self._asker.budget.fit(request, earlier, self.budget)
        if self._engine.is_current_thread():
            return self._engine.run_nested(fitting)
        return self._engine.submit(fitting).result()

    def beside(self, live: LiveTurn, *, provider: Any = None, model: str = "") -> LiveTurn:
        """Prepare to ask another model the same at the same time; its answer becomes a further version of the turn.

        The caller starts it right after `live`. Stopping `live` stops it, too.

        Raises
        ------
        ConfigurationError
            If the provider is unknown or not to be had.
        """
        if provider is None:
            provider, model = self._resolved(model)
        chosen = self._provider(provider)
        chosen.check(model)
        params = dict(live.request.params)
        if not chosen.supports_response_format:
            params.pop("response_format", None)
        request = replace(live.request, provider=chosen, model=model, params=params, beside=live)
        self._asker.budget.check(request, self.budget)
        other = LiveTurn(request)
        live.beside.append(other)
        return other

    def correction(self, live: LiveTurn) -> LiveTurn | None:
        """Prepare to ask once more where the answer does not hold what its schema says; None if there is no need.

        The model is told what is wrong, once. Where it was the server that does not know structured output, the
        same is asked without. Its ``notice`` says which. The caller starts it, as what :meth:`prepare` returns.
        """
        request = live.request
        if request.schema is None:
            return None
        place = (self._open.id, live.index) if live.index is not None and live.dialogue is self._open else None
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

    def _resolved(self, model: str) -> tuple[Any, str]:
        """Return the provider and the model that `model` means, which may be an alias."""
        named = self.aliases.get(model)
        if named is None:
            return self.provider, model
        provider, slash, rest = named.partition("/")
        # Names of models have slashes too.
        return (provider, rest) if slash and provider in provider_names() else (self.provider, named)

    def provider_for(self, source: Any = None) -> Provider:
        """Return the provider that `source` names or is; by default the session's.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        return self._provider(self.provider if source is None else source)

    def _provider(self, source: Any) -> Provider:
        if not source:
            return choose_provider()
        if not isinstance(source, str):
            return wrap(source)
        return get_provider(source)

    def start(self, live: LiveTurn) -> Future[None]:
        """Ask what :meth:`prepare` checked. Returns at once; `live` changes from now on."""
        self._asker.live.append(live)
        return self._engine.submit(self._asker.run(self._open, live))

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
        outer = asking.get()
        if outer is not None:
            outer.asked_inside.append(live)  # so that stopping the one stops the other
        self._asker.live.append(live)
        self._engine.run_nested(self._asker.run(self._open, live))

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
    def tally(self) -> Tally:
        """What was asked in this session, by model."""
        return self._asker.tally

    def ask_provider(self, question: Callable[..., Coroutine[Any, Any, Answer]]) -> Future[Answer]:
        """Ask a provider something else than a question to a model, by one of its methods, on the engine."""
        return self._engine.submit(question(proxy=self.proxy or None, ca_bundle=self.ca_bundle))

    @property
    def live(self) -> tuple[LiveTurn, ...]:
        """The turns on their way, the running one first."""
        return tuple(self._asker.live)

    @property
    def running(self) -> dict[int, LiveTurn]:
        """The turns on their way in the open conversation, by their index."""
        return {live.index: live for live in self.live if live.index is not None and live.dialogue is self._open}

    def listen(self, listener: Callable[[Change, LiveTurn | None], None]) -> Callable[[], None]:
        """Have `listener` called on the engine's thread when the conversation changes; return how to end that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def context_used(self) -> tuple[int, int | None, bool]:
        """Return how much the next question would be sent, apart from itself: tokens, limit, whether estimated.

        The limit is None where it is not known.
        """
        prompt, request = self._outlook()
        limit = prompt.limit.tokens if prompt.limit else None
        visible = self.conversation.visible
        last = max((turn.current for _, turn in visible), key=lambda version: version.timing.started, default=None)
        usage = last.usage if last and last.status == "complete" and visible[-1][1].current is last else None
        if usage and usage.prompt_tokens and usage.completion_tokens and not prompt.left_out:
            return usage.prompt_tokens + usage.completion_tokens, limit, False
        tokens = self._asker.budget.corrected(prompt.tokens, request) if visible else 0
        return tokens, limit, True

    def left_out(self) -> tuple[int, ...]:
        """Return the indices of the turns that have no room in the next question's prompt, by what is known now."""
        return self._outlook()[0].left_out

    def _outlook(self) -> tuple[Prompt, Request]:
        try:
            provider = self._provider(self.provider)
        except ConfigurationError:
            provider = AsyncGeneratorProvider
        params: dict[str, Any] = {} if self.max_tokens is None else {"max_tokens": self.max_tokens}
        request = Request(
            prompt="",
            provider=provider,
            model=self.model,
            system=self.system,
            temperature=self.temperature,
            history=True,
            append=False,
            origin=places.here("panel"),
            params=params,
        )
        turns = self.conversation.turns
        earlier = self.conversation.sent_before(len(turns))
        return self._asker.budget.outlook(request, earlier, self.budget), request

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
            turn = self.turn(index)
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
        version = self.turn(index).current
        is_same = provider is None
        if is_same:
            provider, asked_for = self._asked_whom(version)
            model = model or asked_for
        return self.prepare(
            version.question,
            provider=provider,
            model=model,
            system=version.system,
            temperature=version.temperature,
            origin=version.origin,
            attachments=version.attachments,
            allow_secrets=is_same,  # whoever is asked has it already
            revises=index,
            **dict(version.parameters),
        )

    def revise(self, index: int, prompt: str, **options: Any) -> LiveTurn:
        """Prepare to ask `prompt` in the place of the turn at `index`, whose earlier versions are kept.

        Options and errors are those of :meth:`prepare`; what is not given stays as the turn had it.
        """
        version = self.turn(index).current
        if "provider" not in options and "model" not in options:
            options["provider"], options["model"] = self._asked_whom(version)
        kept = {
            "system": version.system,
            "temperature": version.temperature,
            "origin": version.origin,
            # What the earlier question named is looked up anew.
            "attachments": [
                each for each in version.attachments if "namespace" not in options or not each.name.startswith("@")
            ],
            **dict(version.parameters),
        }
        return self.prepare(prompt, **{**kept, **options}, revises=index)

    def _asked_whom(self, version: Version) -> tuple[Any, str]:
        """Return the provider and the model to ask for another version; the names alone may not be enough."""
        return self._asker.askers.get((version.provider, version.model), (version.provider, version.model))

    def select(self, index: int, version: int) -> Turn:
        """Have the turn at `index` show and send another of its versions, counted from 0.

        Raises
        ------
        ConfigurationError
            If there is no such turn or version.
        """

        def choose() -> Turn:
            turn = self.turn(index)
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
                self.turn(index)
            source = self._open.snapshot(self.live)
            forked = source.forked(len(source.turns) if index is None else index)
            self._enter(Dialogue(forked, private=self._open.private))
            self._keeper.changed(self._open)
            return self._open.id

        return self._engine.call(copy)

    def new(self, *, private: bool = False) -> None:
        """Begin a new conversation. What still streams in the old one is stopped.

        Parameters
        ----------
        private : bool, default False
            True never writes it to the disk.
        """
        self._engine.call(lambda: self._enter(Dialogue(private=private)))

    @property
    def conversation_id(self) -> str:
        """The conversation's id: the same in every kernel, and what :meth:`switch` takes."""
        return self._open.id

    @property
    def is_private(self) -> bool:
        """Whether the conversation is never written to the disk."""
        return self._open.private

    def conversations(self, search: str = "", limit: int = 50, *, notebook: str | None = None) -> list[Listed]:
        """Return the conversations there are, those that were changed last first.

        Parameters
        ----------
        search : str, optional
            Words of which all stand in the title, a question or an answer.
        limit : int, default 50
            Most of them.
        notebook : str, optional
            Only those of the notebook at this path.
        """
        kept = {listed.id: listed for listed in self._keeper.conversations(search, limit, notebook=notebook)}
        words = search.split()
        if notebook in {None, self._keeper.notebook}:
            for dialogue in tuple(self._dialogues.values()):
                if dialogue.conversation.visible and dialogue.has_all(words):
                    kept.setdefault(dialogue.id, dialogue.listed())
        return sorted(kept.values(), key=attrgetter("updated"), reverse=True)[:limit]

    def search(self, words: str, limit: int = 50) -> list[Found]:
        """Return the turns in which each of `words` stands, in any conversation; those of late first."""
        if not words.split():
            return []
        kept = self._keeper.search(words, limit)
        known = {found.conversation_id for found in kept}
        here = [
            found
            for dialogue in tuple(self._dialogues.values())
            if dialogue.id not in known
            for found in search_in(dialogue.id, dialogue.conversation, words.split())
        ]
        return sorted([*kept, *here], key=attrgetter("asked"), reverse=True)[:limit]

    def export(self, format: str = "md") -> str:  # noqa: A002 - what it is
        """Return the conversation as a document: ``md``, ``json``, ``ipynb``, ``messages`` or ``jsonl``.

        What streams is in it as far as it has come; what is hidden is not.

        Raises
        ------
        FormatError
            If there is no such format.
        """
        from .export import export

        return export(self._open.snapshot(self.live).settled(), format)

    def import_(self, document: str | bytes, format: str) -> int:  # noqa: A002 - as above
        """Go on with the conversation that a document holds, as a new one.

        Parameters
        ----------
        document : str or bytes
            From anybody; nothing in it runs.
        format : str
            As for :meth:`export`, or the name of its file.

        Returns
        -------
        int
            How many turns of it could not be read.

        Raises
        ------
        FormatError
            If it holds no conversation.
        """
        from .export import read

        rebuilt = read(document, format)

        def enter() -> None:
            self._enter(Dialogue(rebuilt.conversation.settled()))
            self._keeper.changed(self._open)

        self._engine.call(enter)
        return rebuilt.left_out

    def switch(self, conversation_id: str) -> None:
        """Go on with another conversation. What still streams in this one is stopped.

        Parameters
        ----------
        conversation_id : str
            Its id, or how that begins.

        Raises
        ------
        ConfigurationError
            If there is none of that id, or more than one.
        """
        dialogue = self._dialogues.get(conversation_id)
        if dialogue is None:
            ids = [listed.id for listed in self.conversations(limit=MOST_LISTED)]
            meant = [each for each in ids if each.startswith(conversation_id)] if conversation_id else []
            if not meant:
                raise ConfigurationError(text("error.no_conversation", id=conversation_id))
            if len(meant) > 1:
                raise ConfigurationError(text("error.several_conversations", id=conversation_id, count=len(meant)))
            dialogue = self._dialogues.get(meant[0])
            if dialogue is None:
                conversation = self._keeper.load(meant[0])
                if conversation is None:
                    raise ConfigurationError(text("error.no_conversation", id=conversation_id))
                dialogue = Dialogue(conversation.settled(), meant[0])
        entered = dialogue
        self._engine.call(lambda: self._enter(entered))

    def keep(self, notebook: str = "") -> None:
        """Keep conversations on the disk from now on, as ``%load_ext`` does; `persist` turns it off.

        Parameters
        ----------
        notebook : str, optional
            The path of the notebook to which they belong.
        """
        self._keeper.begin(notebook)

    @property
    def has_kept(self) -> bool:
        """Whether anything was ever kept on this machine; told without opening the store."""
        return self._keeper.has_file

    def take_warnings(self) -> list[str]:
        """Return what the person must be told of the store, each once."""
        warnings = self._keeper.warnings
        taken = tuple(warnings)
        del warnings[: len(taken)]
        return list(taken)

    def _enter(self, dialogue: Dialogue) -> None:
        if dialogue is not self._open:
            self.stop()
        self._dialogues[dialogue.id] = self._open = dialogue
        tell(self._listeners, "reset", None)

    def _change(self, conversation: Conversation) -> None:
        self._open.conversation = conversation
        self._keeper.changed(self._open)
        tell(self._listeners, "reset", None)

    def _change_turn(self, index: int, **fields: Any) -> Turn:
        turn = replace(self.turn(index), **fields)
        self._change(self.conversation.with_turn(index, turn))
        return turn

    def turn(self, index: int) -> Turn:
        """Return the turn at `index`.

        Raises
        ------
        ConfigurationError
            If there is none, or it is hidden.
        """
        turns = self.conversation.turns
        if not 0 <= index < len(turns) or turns[index].hidden:
            raise ConfigurationError(text("error.no_turn", number=index + 1))
        return turns[index]

    def leave_cell(self, cell: Cell) -> list[int]:
        """Hide what a cell that ran to its end asked earlier and does not ask any more; return the indices.

        It is one step, which :meth:`restore` takes back.
        """

        def is_gone(index: int) -> bool:
            turn = self.conversation.turns[index]
            origins = [version.origin for version in turn.versions if version.origin.cell_id == cell.id]
            return not turn.hidden and all(origin.ordinal >= cell.asked for origin in origins)

        def hide() -> list[int]:
            gone = [index for index in self.conversation.find_cell(cell.id) if is_gone(index)]
            self._hide(gone)
            return gone

        # Asked after every cell of the notebook: the engine is not started for it.
        return self._engine.call(hide) if any(map(is_gone, self.conversation.find_cell(cell.id))) else []

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` on the engine's thread after `seconds`; from any thread."""
        loop = self._engine.loop()
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, action))

    def close(self) -> None:
        """Stop what runs, write what is not yet on the disk, and end the engine's threads.

        The conversation stays; asking again starts the engine anew.
        """
        going = self.live
        self.stop()
        for live in going:
            live.done.wait(STOP_SECONDS)
        self._keeper.close()
        self._engine.stop()
        self._open.lock = asyncio.Lock()

    def _turn_changed(self, dialogue: Dialogue, change: Change, live: LiveTurn) -> None:
        if dialogue is self._open:
            tell(self._listeners, change, live)

    def _earlier_answer(self, fingerprint: str) -> Version | None:
        """Return the answer that this kernel has to the same request; of several the last."""
        found = [
            version
            for dialogue in self._dialogues.values()
            for turn in dialogue.conversation.turns
            for version in turn.versions
            if version.fingerprint == fingerprint and version.status == "complete" and version.answer
        ]
        return max(found, key=lambda version: version.timing.started, default=None)


def _check_leaks(request: Request, *, allowed: bool) -> None:
    """Refuse keys in what is new; what was sent before was allowed then."""
    if allowed:
        return
    texts = {text("leak.prompt"): request.prompt, text("leak.system"): request.system}
    texts |= {each.name: each.text for each in request.attachments}
    check_leaks(texts, (*secrets_of_environment(), *request.provider.secrets()))


def _check_pictures(attachments: Iterable[Attachment], provider: Provider) -> None:
    for each in attachments:
        if each.kind == "image" and not provider.supports_images:
            raise UnsupportedError(text("error.no_images", name=each.name))


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


def _replay_mode(mode: Any) -> Replay:
    for known in REPLAY_MODES:
        if mode == known:
            return known
    raise ConfigurationError(text("error.replay_mode", mode=mode, modes=", ".join(REPLAY_MODES)))


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
    """Return the kernel's session, making it at the first call."""
    global _session  # noqa: PLW0603 - one conversation per kernel is the product's promise
    if _session is None:
        _session = ChatSession()
    return _session
