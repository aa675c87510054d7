"""The kernel's conversation in motion: asking, queueing, streaming, stopping. Every front door goes through here."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..context import REPLAY_MODES, Request
from ..core import (
    AnswerFormatError,
    BadRequestError,
    ChatError,
    ChatInterrupted,
    ConfigurationError,
    Message,
    UnsupportedError,
    content_text,
    encodable,
    phrase,
    text,
)
from ..providers import (
    CHOICE_ORDER,
    AsyncGeneratorProvider,
    Catalog,
    Provider,
    choose_provider,
    get_provider,
    provider_names,
    wrap,
)
from . import cells
from .conversations import History
from .interrupts import Interrupts
from .live_turn import LiveTurn
from .settings import MAX_TEMPERATURE
from .turn_loop import Change, current_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from ..context import Lookup, Prompt, Replay
    from ..core import Attachment, Origin, Reply, Turn, Version
    from ..tools import Schema
    from .usage import UsageTotals

__all__ = ["Change", "ChatSession", "get_session"]

WAKE_SECONDS: Final = 0.1
"""ipykernel sees an interrupt of a cell that awaits only when something wakes its event loop."""


Answer = TypeVar("Answer")


class ChatSession(History):
    """The kernel's one conversation, and the options with which it asks.

    Every option is a trait: ``%config ChatSession.temperature = 0.2``, or plain assignment.

    Examples
    --------
    >>> from chatanywhere_magic import chat
    >>> chat.ask_sync("What is a median?")  # doctest: +SKIP
    """

    names: Lookup | None = None
    """The kernel's variables, cells and errors, while the extension is loaded: what `namespace` may be."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._models = Catalog(
            self._engine.submit,
            self._provider,
            lambda: {"proxy": self.proxy or None, "ca_bundle": self.ca_bundle},
        )

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
            raise ConfigurationError(phrase("error.empty_prompt"))
        if "api_key" in params:  # it would go out as a field of the question, and be recorded
            raise ConfigurationError(phrase("error.key_option"))
        mode = _replay_mode(self.replay if replay is None else replay)
        if provider is None:
            provider, model = self._resolved(model or self.model)
        chosen, alternatives, unready = self._chosen(provider, model, mode)
        if temperature is None:
            temperature = self.temperature
        if not 0 <= temperature <= MAX_TEMPERATURE:
            raise ConfigurationError(phrase("error.temperature", value=temperature, limit=MAX_TEMPERATURE))
        max_tokens = max_tokens if max_tokens is not None else self.max_tokens
        if max_tokens is not None:
            if max_tokens < 1:
                raise ConfigurationError(phrase("error.max_tokens", value=max_tokens))
            params["max_tokens"] = max_tokens
        if revises is not None:
            self.turn(revises)
        prompt, named = self._context(prompt, chosen, namespace, attach)
        beside = (*attachments, *named)
        _check_pictures(beside, chosen)
        form = _schema(schema)
        if form is not None and chosen.supports_response_format:
            params["response_format"] = form.response_format
        origin = origin or cells.here("api")
        request = Request(
            prompt=prompt,
            provider=chosen,
            model=model,
            system=encodable(self.system if system is None else system),
            temperature=temperature,
            history=history and current_turn.get() is None,
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
        self._turn_loop.budget.check(request, self.budget)
        self._check_leaks(request, allowed=allow_secrets or self.secrets == "allow")
        cells.count(origin)
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
        from ..context import read_file, resolve  # when something is named, not with the extension

        sees = provider.supports_images
        found = [read_file(path, path, supports_images=sees) for path in paths]
        if namespace is not None:
            context = resolve(prompt, namespace, budget=self.context_budget, supports_images=sees)
            prompt, found = context.prompt, [*context.attachments, *found]
        return prompt, found

    def _earlier(self, request: Request) -> list[tuple[int, Turn]]:
        """Return the turns of which a question is sent what they say."""
        if not request.history or not request.provider.supports_message_history:
            return []
        conversation, place = self._open.conversation, self._open.place_of(request)
        return conversation.sent_before(len(conversation.turns) if place is None else place)

    def _check_leaks(self, request: Request, *, allowed: bool) -> None:
        """Refuse keys in what this provider was not sent before: the question, and what was said to others since."""
        if allowed:
            return
        from ..keys import scan  # with the first question, not with the extension

        texts = {"leak.prompt": request.prompt, "leak.system": request.system}
        texts |= {each.name: each.text for each in request.attachments}
        for index, turn in reversed(self._earlier(request)):
            if turn.current.provider == request.provider.name:
                break
            said = [content_text(message["content"]) for message in turn.current.messages]
            texts[text("leak.turn", number=index + 1)] = "\n".join(said)
        of_environment = scan.secrets_of_environment() if scan.may_hold_keys(texts.values()) else ()
        scan.check_leaks(texts, (*of_environment, *request.provider.secrets()))

    def preview(self, live: LiveTurn) -> Prompt:
        """Return what :meth:`start` would send for a question that :meth:`prepare` checked. Nothing is sent.

        Turns that would be summarised are left out, for a summary would have to be asked for.
        """
        fitting = self._turn_loop.budget.fit(live.request, self._earlier(live.request), self.budget)
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
        request = replace(live.request, provider=chosen, model=model, params=params)
        self._turn_loop.budget.check(request, self.budget)
        other = LiveTurn(request, alongside=live)
        live.companions.append(other)
        return other

    def correction(self, live: LiveTurn) -> LiveTurn | None:
        """Prepare to ask once more where the answer does not hold what its schema says; None if there is no need.

        The model is told what is wrong, once. Where it was the server that does not know structured output, the
        same is asked without. Its ``notice`` says which. The caller starts it, as what :meth:`prepare` returns.
        """
        request = live.request
        if request.schema is None:
            return None
        place = (self._open.id, live.index) if live.index is not None and live.opened is self._open else None
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
                is_json = error.problems != AnswerFormatError.problems
                notice = text("notice.corrected", problems=error.problems) if is_json else text("notice.not_json")
                return _with_notice(replace(again, correction=(answer, objection)), notice)
        except (ChatError, ChatInterrupted):
            pass
        return None

    def corrections(self, lives: Iterable[LiveTurn]) -> list[LiveTurn | None]:
        """Prepare for each of several models what :meth:`correction` does; the caller starts them, in this order.

        They are asked at the same time, as further versions of the turn. Stopping the first of them stops all.
        """
        found = [self.correction(live) for live in lives]
        first = next(filter(None, found), None)
        for other in found:
            if first is not None and other is not None and other is not first:
                other.alongside = first
                first.companions.append(other)
        return found

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
        self._turn_loop.live.append(live)
        return self._engine.submit(self._turn_loop.run(self._open, live))

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
        outer = current_turn.get()
        if outer is not None:
            outer.asked_inside.append(live)  # so that stopping the one stops the other
        self._turn_loop.live.append(live)
        self._engine.run_nested(self._turn_loop.run(self._open, live))

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
    def models(self) -> Catalog:
        """Which models there are."""
        return self._models

    @property
    def usage_totals(self) -> UsageTotals:
        """What was asked in this session, by model."""
        return self._turn_loop.usage_totals

    def ask_provider(self, question: Callable[..., Coroutine[Any, Any, Answer]]) -> Future[Answer]:
        """Ask a provider something else than a question to a model, by one of its methods, on the engine."""
        return self._engine.submit(question(proxy=self.proxy or None, ca_bundle=self.ca_bundle))

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
        tokens = self._turn_loop.budget.corrected(prompt.tokens, request) if visible else 0
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
            origin=cells.here("panel"),
            params=params,
        )
        turns = self.conversation.turns
        earlier = self.conversation.sent_before(len(turns))
        return self._turn_loop.budget.outlook(request, earlier, self.budget), request

    # --- asking again ---------------------------------------------------------------------------------------------

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
        return self._turn_loop.asked_providers.get((version.provider, version.model), (version.provider, version.model))


def _check_pictures(attachments: Iterable[Attachment], provider: Provider) -> None:
    for each in attachments:
        if each.kind == "image" and not provider.supports_images:
            raise UnsupportedError(phrase("error.no_images", name=each.name))


def _schema(source: Any) -> Schema | None:
    from ..tools import Schema  # with the first question that needs one

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
    raise ConfigurationError(phrase("error.replay_mode", mode=mode, modes=", ".join(REPLAY_MODES)))


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
