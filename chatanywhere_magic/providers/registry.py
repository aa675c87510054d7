"""The registry: find a provider by name, or make one from a function."""

from __future__ import annotations

import inspect
import re
from contextlib import aclosing, suppress
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, phrase, text
from ..keys import names_a_secret
from .contract import AsyncGeneratorProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from importlib.metadata import EntryPoint

    from ..core import AsyncResult, Messages
    from .contract import Provider

ENTRY_POINTS: Final = "chatanywhere_magic.providers"

# Strings, so that naming a provider does not import aiohttp.
_BUILT_IN: Final = {
    "chatanywhere": "chatanywhere_magic.providers.chatanywhere:ChatAnywhereAPI",
    "openai": "chatanywhere_magic.providers.openai:OpenAI",
    "local": "chatanywhere_magic.providers.local:Local",
    "chatanywhere-web": "chatanywhere_magic.providers.chatanywhere:ChatAnywhere",
    "scripted": "chatanywhere_magic.providers.scripted:Scripted",
}
CHOICE_ORDER: Final = ("chatanywhere", "openai", "local")
"""The order in which providers are tried if none is named. The web endpoint must be named."""

_NO_CHAT: Final = re.compile(
    r"embed|rerank|moderation|whisper|speech|transcri|realtime|dall-?e|imagen?\b|image|stable-diffusion|\bflux|midjourney"
    r"|\bsora|\bveo\b|video|cogview|wanx|suno|davinci-002|babbage-002|-instruct-0914|\b(?:tts|bge|gte|e5|clip|ocr|mj)\b"
    r"|gpt-3\.5-turbo-instruct|guard\b",
    re.IGNORECASE,
)
"""In the names of models that embed, speak, draw or judge, and answer no prompt."""
_PARAMETERS: Final = frozenset({"model", "messages", "proxy", "timeout", "temperature"})

_registered: dict[str, Provider] = {}


def register(provider: Provider) -> Provider:
    """Register a provider class under its ``name``; usable as a decorator.

    Raises
    ------
    ConfigurationError
        If the class has no name.
    """
    if not provider.name:
        raise ConfigurationError(phrase("error.provider_nameless", provider=provider.__name__))
    _registered[provider.name] = provider
    return provider


def provider_names() -> list[str]:
    """Return the names of all providers: built-in, from entry points, and registered."""
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
    """Return the provider class called `name`, loading it if needed; a unique beginning of a name will do.

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
        raise ConfigurationError(phrase("error.provider_ambiguous", name=name, names=", ".join(meant)))
    close = get_close_matches(name, names, n=1)
    raise ConfigurationError(
        phrase(
            "error.provider_unknown",
            name=name,
            names=", ".join(names),
            hint=phrase("hint.did_you_mean", name=close[0]) if close else "",
        )
    )


def key_variables(named: Iterable[str]) -> dict[str, str]:
    """Return which of the variables that are `named` hold a provider's key, each with the provider's name.

    Providers that nobody has used yet are loaded only if one of them is called as keys are.
    """
    named = set(named)
    names = provider_names() if any(map(names_a_secret, named)) else list(_registered)
    found: dict[str, str] = {}
    for name in names:
        with suppress(ConfigurationError):  # one that cannot be loaded, and takes no keys
            found.setdefault(getattr(get_provider(name), "key_variable", ""), name)
    return {variable: name for variable, name in found.items() if variable in named}


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as caught:
        # Third-party code: it may need a missing module, or name something that does not exist.
        failure = text("error.provider_failed", provider=entry.name, error=type(caught).__name__, reason=caught)
        raise ConfigurationError(failure) from caught


def can_chat(model: str) -> bool:
    """Whether a model answers prompts, as far as its name tells."""
    return _NO_CHAT.search(model) is None


def choose_provider() -> Provider:
    """Return the first provider in `CHOICE_ORDER` that is set up here.

    One that is set up wrongly is not skipped: the prompt would silently go to another.

    Raises
    ------
    ConfigurationError
        If none is; the message says how to set one up.
    """
    for name in CHOICE_ORDER:
        provider = get_provider(name)
        if provider.is_configured():
            return provider
    raise ConfigurationError(phrase("error.no_provider"))


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
        raise ConfigurationError(phrase("error.provider_type", found=type(source).__name__))
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
