"""The provider contract, and the registry that finds a provider by name."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from ..errors import ConfigurationError, UnsupportedError
from ..messages import AsyncResult, DeltaGenerator, Finish, Messages, Text, ToolCall
from ..strings import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from importlib.metadata import EntryPoint

    from ..credentials import Secret

ENTRY_POINTS: Final = "chatanywhere_magic.providers"


class AsyncGeneratorProvider:
    """Base of every provider: a class, never instantiated, whose answers are async generators.

    A subclass implements one of two methods and inherits the other:

    - :meth:`create_async_generator`, the public face, yields text;
    - :meth:`create_delta_generator` yields typed deltas (text, reasoning, usage, finish reason, notices).

    Attributes
    ----------
    name : str
        What ``-p`` takes, and what the footer shows.
    url : str
        The service's address.
    working : bool
        Whether the service answers the public.
    supports_message_history : bool
        Whether earlier messages are understood. If not, only the last one is sent.
    supports_images : bool
        Whether a message's content may hold pictures, as parts in OpenAI's form.
    supports_response_format : bool
        Whether it takes ``response_format`` in OpenAI's form, and keeps its answers to a JSON schema.
    default_model : str
        Used when no model is named; ``""`` lets the provider choose.
    """

    name: ClassVar[str] = ""
    url: ClassVar[str] = ""
    working: ClassVar[bool] = True
    supports_gpt_35_turbo: ClassVar[bool] = False
    supports_message_history: ClassVar[bool] = True
    supports_response_format: ClassVar[bool] = False
    supports_images: ClassVar[bool] = False
    default_model: ClassVar[str] = ""

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        **kwargs: Any,
    ) -> AsyncResult:
        """Ask `model` and yield the answer's text as it arrives.

        Parameters
        ----------
        model : str
            The model's name; ``""`` for the provider's default.
        messages : list of dict
            The conversation, oldest first, as ``{"role": …, "content": …}``.
        proxy : str, optional
            URL of an HTTP proxy. By default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, …).
        timeout : float, default 120
            Seconds for the whole answer; None or 0, as in aiohttp, for no limit.
        temperature : float, default 0.5
            Sampling temperature.
        **kwargs
            Further parameters of the provider.

        Yields
        ------
        str
            Text, never empty.

        Raises
        ------
        ChatError
            In one of its kinds. If it comes after the first chunk, the answer is not complete.
        """
        if cls.create_delta_generator.__func__ is AsyncGeneratorProvider.create_delta_generator.__func__:  # type: ignore[attr-defined]  # mypy does not know that a bound classmethod has __func__
            msg = f"{cls.__name__} implements neither create_async_generator nor create_delta_generator"
            raise TypeError(msg)
        deltas = cls.create_delta_generator(
            model, messages, proxy=proxy, timeout=timeout, temperature=temperature, **kwargs
        )
        has_text = False
        calls: list[str] = []
        async with aclosing(deltas):
            async for delta in deltas:
                if isinstance(delta, Text):
                    has_text = True
                    yield delta.text
                elif isinstance(delta, ToolCall):
                    calls.append("".join(filter(str.isprintable, delta.name)))
        if calls and not has_text:  # which text cannot say
            raise UnsupportedError(text("error.tool_calls", names=", ".join(calls)))

    @classmethod
    async def create_delta_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Ask `model` and yield typed deltas; the last one of a complete answer is a ``Finish``.

        Parameters and errors are those of :meth:`create_async_generator`. This default wraps it: a
        generator that ends without an error has said that the answer is whole.

        Yields
        ------
        Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice
        """
        chunks = cls.create_async_generator(
            model, messages, proxy=proxy, timeout=timeout, temperature=temperature, **kwargs
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield Text(_checked(chunk))
        yield Finish("stop")

    @classmethod
    def model_for(cls, model: str) -> str:
        """Return the model that is meant by `model`, where ``""`` stands for the one of choice."""
        return model or cls.default_model

    @classmethod
    def context_tokens(cls, model: str) -> int | None:  # noqa: ARG003 - the contract
        """Return how many tokens prompt and answer may have together, if the provider itself knows."""
        return None

    @classmethod
    async def count_tokens(cls, model: str, texts: Sequence[str]) -> list[int] | None:  # noqa: ARG003 - the contract
        """Return how many tokens each of `texts` is to the model, if it can be asked in no time; else None.

        Asked before every question, to see what of the conversation fits.
        """
        return None

    @classmethod
    def account(cls) -> str:
        """Return what tells one account at the service from another, without giving a key away.

        What a refusal teaches about limits holds for this account alone.
        """
        return ""

    @classmethod
    def address(cls) -> str:
        """Return the address that is asked; a provider that can be asked at several returns the one in use."""
        return cls.url

    @classmethod
    async def list_models(
        cls,
        *,
        secret: Secret | None = None,  # noqa: ARG003 - for those that need a key
        proxy: str | None = None,  # noqa: ARG003 - for those that are asked over the network
        ca_bundle: str = "",  # noqa: ARG003 - the same
    ) -> list[str]:
        """Return the names of the models that can be asked. This default knows the default model alone.

        Parameters
        ----------
        secret : Secret, optional
            A key to try instead of the one that is kept.
        proxy, ca_bundle : str, optional
            As for a question.

        Raises
        ------
        ChatError
            If the service cannot be asked, or refuses.
        """
        return [cls.default_model] if cls.default_model else []

    @classmethod
    def about_model(cls, model: str) -> str:  # noqa: ARG003 - the contract
        """Return what else a person wants to know of a model, such as the file that it is in."""
        return ""

    @classmethod
    def is_configured(cls) -> bool:
        """Whether somebody set this provider up here, rightly or not; what is wrong with it, :meth:`check` says.

        Asked when no provider is named: it must be quick and touch no network.
        """
        return True

    @classmethod
    def secrets(cls) -> tuple[Secret, ...]:
        """Return the keys that this provider has; none of them is ever part of a question."""
        return ()

    @classmethod
    def check(cls, model: str = "") -> None:
        """See whether this provider can be asked for `model` here and now, before anything is recorded.

        It must be quick and touch no network. This default finds nothing wrong.

        Raises
        ------
        ConfigurationError
            If something is missing; the message says what to do about it.
        """


def _checked(chunk: object) -> str:
    """Return what somebody's generator yielded, if it is text."""
    if not isinstance(chunk, str):
        msg = f"it yielded {type(chunk).__name__} instead of str"
        raise TypeError(msg)
    return chunk


Provider: TypeAlias = type[AsyncGeneratorProvider]

# Written as text so that naming a provider does not import aiohttp.
_BUILT_IN: Final = {
    "chatanywhere": "chatanywhere_magic.providers.chatanywhere:ChatAnywhereAPI",
    "openai": "chatanywhere_magic.providers.openai:OpenAI",
    "local": "chatanywhere_magic.providers.local:Local",
    "chatanywhere-web": "chatanywhere_magic.providers.chatanywhere:ChatAnywhere",
    "scripted": "chatanywhere_magic.providers.scripted:Scripted",
}
CHOICE_ORDER: Final = ("chatanywhere", "openai", "local")
"""Tried in this order when the person named no provider. The web endpoint is never chosen unasked."""

_PARAMETERS: Final = frozenset({"model", "messages", "proxy", "timeout", "temperature"})

_registered: dict[str, Provider] = {}


def register(provider: Provider) -> Provider:
    """Make a provider class known by its ``name``; usable as a decorator.

    Raises
    ------
    ConfigurationError
        If the class has no name.
    """
    if not provider.name:
        raise ConfigurationError(text("error.provider_nameless", provider=provider.__name__))
    _registered[provider.name] = provider
    return provider


def provider_names() -> list[str]:
    """Return the names of all providers: built in, installed by entry point, registered."""
    return list(dict.fromkeys((*_BUILT_IN, *_installed(), *_registered)))


@cache
def _built_in(name: str) -> Provider:
    module, _, attribute = _BUILT_IN[name].partition(":")
    provider: Provider = getattr(import_module(module), attribute)
    return provider


def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def get_provider(name: str) -> Provider:
    """Return the provider class called `name`, loading it if needed. The beginning of a name will do if it is unique.

    Raises
    ------
    ConfigurationError
        If there is none, or more than one; the message lists them.
    """
    if name in _registered:
        return _registered[name]
    if name in _BUILT_IN:
        return _built_in(name)
    if entry := _installed().get(name):
        return wrap(_loaded(entry), name)
    names = provider_names()
    meant = [known for known in names if known.startswith(name)]
    if len(meant) == 1:
        return get_provider(meant[0])
    if meant:
        raise ConfigurationError(text("error.provider_ambiguous", name=name, names=", ".join(meant)))
    close = get_close_matches(name, names, n=1)
    raise ConfigurationError(
        text(
            "error.provider_unknown",
            name=name,
            names=", ".join(names),
            hint=text("hint.did_you_mean", name=close[0]) if close else "",
        )
    )


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as caught:
        # Anybody's package: it may need a module that is missing, or name what is not there.
        failure = text("error.provider_failed", provider=entry.name, error=type(caught).__name__, reason=caught)
        raise ConfigurationError(failure) from caught


def choose_provider() -> Provider:
    """Return the first provider that was set up here, in `CHOICE_ORDER`.

    One that was set up wrongly is not passed over: the question would silently go to another one.

    Raises
    ------
    ConfigurationError
        If none was; the message names the ways to get one.
    """
    for name in CHOICE_ORDER:
        provider = get_provider(name)
        if provider.is_configured():
            return provider
    raise ConfigurationError(text("error.no_provider"))


def wrap(source: Provider | Callable[..., AsyncIterator[str]], name: str = "") -> Provider:
    """Return `source` as a provider class: itself if it is one, or a class around an async generator function.

    Parameters
    ----------
    source : provider class or async generator function
        A function takes ``(model, messages, proxy, timeout, temperature, **kwargs)``, yields text,
        and may leave out the parameters that it does not use.
    name : str, optional
        The provider's name; the function's own by default.

    Raises
    ------
    ConfigurationError
        If `source` is neither.
    """
    if inspect.isclass(source) and issubclass(source, AsyncGeneratorProvider):
        return source
    if not inspect.isasyncgenfunction(source):
        raise ConfigurationError(text("error.provider_type", found=type(source).__name__))
    parameters = inspect.signature(source).parameters.values()
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = {p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    # Under their own names any of them may be left out; under other names the first two go by position.
    own_names = all(p.name in _PARAMETERS or p.default is not p.empty for p in parameters if p.name in named)
    by_name = own_names and all(p.name in named or p.kind is p.VAR_KEYWORD for p in parameters)

    async def create_async_generator(
        cls: Provider,  # noqa: ARG001 - bound as a classmethod below
        /,
        model: str,
        messages: Messages,
        **kwargs: Any,
    ) -> AsyncResult:
        first = () if by_name else (model, messages)
        given = {"model": model, "messages": messages, **kwargs} if by_name else kwargs
        chunks = source(*first, **{k: v for k, v in given.items() if takes_all or k in named})
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    attributes = {
        "name": name or getattr(source, "__name__", "custom"),
        "__doc__": source.__doc__,
        "supports_images": bool(getattr(source, "supports_images", False)),
        "create_async_generator": classmethod(create_async_generator),
    }
    return type("FunctionProvider", (AsyncGeneratorProvider,), attributes)
