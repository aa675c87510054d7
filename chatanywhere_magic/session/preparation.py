"""Prepare a turn: check the prompt and collect everything to send with it, without sending anything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final

from ..context import REPLAY_MODES, Request
from ..core import (
    ConfigurationError,
    Image,
    Message,
    MissingKeyError,
    UnsupportedError,
    Version,
    encodable,
    from_dicts,
    phrase,
)
from ..providers import CHOICE_ORDER, EFFORTS, AsyncGeneratorProvider, get_provider
from . import cells
from .live_turn import LiveTurn, current_turn
from .settings import MAX_TEMPERATURE
from .tools import are_by_hand, no_tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..context import Budget, Lookup, Prompt, Replay
    from ..core import Attachment, Origin, Turn
    from ..providers import Provider
    from ..tools import Schema, Toolbox
    from .catalog import Catalog
    from .egress import Egress
    from .open_conversation import OpenConversations
    from .settings import Settings
    from .tools import Tools

WIRE_PARAMETERS: Final = frozenset(
    {
        "effort",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "verbosity",
    }
)
"""Fields of a request that a record may set again."""


class Preparation:
    """Prepare turns of the open conversation, ready to start."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        conversations: OpenConversations,
        budget: Budget,
        egress: Egress,
        tools: Tools,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._conversations = conversations
        self._budget = budget
        self._egress = egress
        self._tools = tools
        self._asked_with: set[str] = set()
        """The names of parameters that were given in this session."""

    def prepare(  # noqa: PLR0913 - each is an option of the magic
        self,
        prompt: str = "",
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        provider: Any = None,
        model: str = "",
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
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
        tools: Iterable[Any] | None = None,
        agent: bool | None = None,
        steps: tuple[Message, ...] = (),
        **params: Any,
    ) -> LiveTurn:
        """Check a prompt and return its turn, ready to start; see :meth:`ChatSession.prepare`."""
        prompt = encodable(prompt)
        _check_asked(prompt, messages)
        _check_no_key(params)
        mode = _replay_mode(self._settings.replay if replay is None else replay)
        if provider is None:
            provider, model = self._catalog.resolved(model or self._settings.model)
        chosen, alternatives, unready = self._chosen(provider, model, mode)
        temperature = self._sampling(temperature, max_tokens, effort, params)
        if revises is not None:
            self._conversations.current.turn(revises)
        prompt, named = self._context(prompt, chosen, namespace, attach)
        sent_along = (*attachments, *named)
        given, system = _given(messages, chosen, sent_along, system)
        _check_pictures(sent_along, chosen)
        form = _schema(schema)
        if form is not None and chosen.supports_response_format:
            params["response_format"] = form.response_format
        toolbox, notice = self._toolbox((tools, agent), chosen, model, params)
        origin = origin or cells.here("api")
        request = Request(
            prompt=prompt,
            provider=chosen,
            model=model,
            system=encodable(self._system if system is None else system),
            temperature=temperature,
            history=history and current_turn.get() is None,
            append=append,
            origin=origin,
            params=params,
            attachments=sent_along,
            given=given,
            allow_secrets=allow_secrets or self._settings.secrets == "allow",
            revises=None if revises is None else (self._conversations.current.id, revises),
            replay=mode,
            alternatives=alternatives,
            unready=unready,
            schema=form,
            toolbox=toolbox,
            offers=tools is None and agent is None,
            steps=steps,
            notice=notice,
        )
        self._budget.check(request, self._settings.budget)
        self._egress.check(request, self._budget.likely(request, self._earlier(request), self._settings.budget))
        cells.count(origin)
        self._asked_with.update(params)
        asked = Version(request.asked, len(request.asked))
        return LiveTurn(request, continues=replace(asked, messages=(*request.asked, *steps)) if steps else None)

    def _toolbox(
        self, asked: tuple[Iterable[Any] | None, bool | None], provider: Provider, model: str, params: dict[str, Any]
    ) -> tuple[Toolbox | None, str]:
        """Return the functions for a prompt, described among `params`, and why there are none though some are offered.

        Tools that are given as the protocol has them go there as they are.
        """
        tools, agent = asked
        given = None if tools is None else list(tools)
        if given and are_by_hand(given):
            params["tools"] = given
            return None, ""
        if given is None and not agent and not self._settings.agent and not self._tools:
            return None, ""
        is_asked = given is not None or agent is not None
        toolbox = self._tools.chosen(
            given, agent=agent if agent is not None else self._settings.agent and given is None
        )
        if not toolbox:
            return None, ""
        if not provider.supports_tools:
            problem = no_tools(provider, model)
            if is_asked:
                raise UnsupportedError(problem)
            return None, str(problem)
        params["tools"] = toolbox.schemas
        return toolbox, ""

    def _sampling(
        self, temperature: float | None, max_tokens: int | None, effort: str | None, params: dict[str, Any]
    ) -> float | None:
        """Return the temperature, and put into `params` what else says how the model responds."""
        if temperature is None:
            temperature = self._settings.temperature
        if temperature is not None and not 0 <= temperature <= MAX_TEMPERATURE:
            raise ConfigurationError(phrase("error.temperature", value=temperature, limit=MAX_TEMPERATURE))
        max_tokens = max_tokens if max_tokens is not None else self._settings.max_tokens
        if max_tokens is not None:
            if max_tokens < 1:
                raise ConfigurationError(phrase("error.max_tokens", value=max_tokens))
            params["max_tokens"] = max_tokens
        params |= _effort(self._settings.effort if effort is None else effort)
        return temperature

    def for_rows(  # noqa: PLR0913 - as of a prompt
        self,
        *,
        provider: Any = None,
        model: str = "",
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
        schema: Any = None,
        allow_secrets: bool = False,
        has_key: bool = True,
        **params: Any,
    ) -> Request:
        """Return what many prompts are asked with, each apart from the conversation; errors as :meth:`prepare`.

        Without `has_key` it is asked elsewhere, and nobody needs a key here.
        """
        _check_no_key(params)
        if provider is None:
            provider, model = self._catalog.resolved(model or self._settings.model)
        chosen = self._catalog.provider(provider)
        with suppress(*(() if has_key else (MissingKeyError,))):
            chosen.check(model)
        temperature = self._sampling(temperature, max_tokens, effort, params)
        form = _schema(schema)
        if form is not None and chosen.supports_response_format:
            params["response_format"] = form.response_format
        return Request(
            prompt="",
            provider=chosen,
            model=model,
            system=encodable(self._settings.system if system is None else system),
            temperature=temperature,
            history=False,
            append=False,
            origin=cells.here("api"),
            params=params,
            allow_secrets=allow_secrets or self._settings.secrets == "allow",
            schema=form,
        )

    def compare(self, live: LiveTurn, *, provider: Any = None, model: str = "") -> LiveTurn:
        """Prepare to ask another model the same at the same time; its response becomes a further version of the turn.

        The caller starts it right after `live`. Stopping `live` stops it, too.

        Raises
        ------
        ConfigurationError
            If the provider is unknown or not to be had.
        """
        if provider is None:
            provider, model = self._catalog.resolved(model)
        chosen = self._catalog.provider(provider)
        chosen.check(model)
        params = dict(live.request.params)
        if not chosen.supports_response_format:
            params.pop("response_format", None)
        if live.request.toolbox and not chosen.supports_tools:
            raise UnsupportedError(no_tools(chosen, model))
        request = replace(live.request, provider=chosen, model=model, params=params)
        self._budget.check(request, self._settings.budget)
        other = LiveTurn(request, version_of=live)
        live.stopping.include(other)
        return other

    def recorded_parameters(self, version: Version) -> dict[str, Any]:
        """Return the parameters of a version that may be sent again: fields of the protocol, and nothing else.

        A record is data. It names no file to attach, no address, and no option of ours.
        """
        return {
            name: value
            for name, value in version.parameters
            if name != "tools" and (name in WIRE_PARAMETERS or name in self._asked_with)
        }

    # --- what would be sent -------------------------------------------------------------------------------------

    async def fit(self, live: LiveTurn) -> Prompt:
        """Return the request that a prepared turn would send."""
        return await self._budget.fit(live.request, self._earlier(live.request), self._settings.budget)

    def outlook(self) -> Prompt:
        """Return about what the next prompt would be sent, apart from itself: its size and what has no room."""
        try:
            provider = self._catalog.provider()
        except ConfigurationError:
            provider = AsyncGeneratorProvider
        params: dict[str, Any] = {} if self._settings.max_tokens is None else {"max_tokens": self._settings.max_tokens}
        request = Request(
            prompt="",
            provider=provider,
            model=self._settings.model,
            system=self._system,
            temperature=self._settings.temperature,
            history=True,
            append=False,
            origin=cells.here("panel"),
            params=params,
        )
        conversation = self._conversations.current.conversation
        earlier = conversation.sent_before(len(conversation.turns))
        prompt = self._budget.outlook(request, earlier, self._settings.budget)
        return replace(prompt, tokens=self._budget.corrected(prompt.tokens, request))

    @property
    def _system(self) -> str:
        return self._settings.system or self._conversations.current.system

    # --- its parts ----------------------------------------------------------------------------------------------

    def _chosen(
        self, source: Any, model: str, mode: Replay
    ) -> tuple[Provider, tuple[Provider, ...], ConfigurationError | None]:
        """Return who is asked, whose earlier responses will do as well, and why the first cannot be asked, if so.

        Where earlier responses will do, there need be nobody to ask.
        """
        try:
            provider = self._catalog.provider(source)
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
            context = resolve(prompt, namespace, budget=self._settings.context_budget, supports_images=sees)
            prompt, found = context.prompt, [*context.attachments, *found]
        return prompt, found

    def _earlier(self, request: Request) -> Sequence[tuple[int, Turn]]:
        """Return the turns that are sent with a prompt."""
        if not request.history or not request.provider.supports_message_history:
            return []
        opened = self._conversations.current
        conversation, place = opened.conversation, opened.place_of(request)
        return conversation.sent_before(len(conversation.turns) if place is None else place)


def _check_no_key(params: Mapping[str, Any]) -> None:
    if "api_key" in params:  # it would go out as a field of the question, and be recorded
        raise ConfigurationError(phrase("error.key_option"))


def _check_asked(prompt: str, messages: Sequence[Mapping[str, Any]] | None) -> None:
    if messages is not None and prompt:
        raise ConfigurationError(phrase("error.prompt_and_messages"))
    if messages is None and not prompt.strip():
        raise ConfigurationError(phrase("error.empty_prompt"))


def _given(
    messages: Sequence[Mapping[str, Any]] | None,
    provider: Provider,
    attachments: Sequence[Attachment],
    system: str | None,
) -> tuple[tuple[Message, ...], str | None]:
    """Return messages to ask with, and the system prompt, which may be among them."""
    if messages is None:
        return (), system
    read = from_dicts(messages, (provider.name, provider.address()))
    prompts = [message.text for message in read if message.role == "system"]
    asked = [message for message in read if message.role != "system"]
    if not asked or asked[-1].role == "assistant":
        raise ConfigurationError(phrase("error.messages_end"))
    if attachments:
        last = asked.pop() if asked[-1].role == "user" else Message("user")
        asked.append(replace(last, parts=(*last.parts, *attachments)))
    return tuple(asked), "\n\n".join(prompts) if prompts else system


def _effort(effort: str) -> dict[str, str]:
    """Return the parameter for an effort, none where the model's own will do."""
    if effort and effort not in EFFORTS:
        raise ConfigurationError(phrase("error.effort", value=effort, known=", ".join(EFFORTS)))
    return {"effort": effort} if effort else {}


def _check_pictures(attachments: Iterable[Attachment], provider: Provider) -> None:
    for each in attachments:
        if isinstance(each, Image) and not provider.supports_images:
            raise UnsupportedError(phrase("error.no_images", name=each.name))


def _schema(source: Any) -> Schema | None:
    from ..tools import Schema  # with the first prompt that needs one

    if source is None or isinstance(source, Schema):
        return source
    return Schema(None if source is True else source)


def _replay_mode(mode: Any) -> Replay:
    for known in REPLAY_MODES:
        if mode == known:
            return known
    raise ConfigurationError(phrase("error.replay_mode", mode=mode, modes=", ".join(REPLAY_MODES)))
