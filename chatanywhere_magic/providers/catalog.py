"""Which models there are: asked for once, remembered for a while, and never waited for by who only completes."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from ..core import ChatError, NotFoundError, phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from concurrent.futures import Future

    from ..keys import Secret
    from .contract import Provider

FRESH_SECONDS: Final = 600.0
FAILED_SECONDS: Final = 30.0
"""A provider that could not be asked is asked again after so long."""


MAX_SHOWN: Final = 12
_ABOUT_A_MODEL: Final = re.compile("model|模型", re.IGNORECASE)


async def meant_model(provider: Provider, model: str, refused: NotFoundError, **way: Any) -> str:
    """Return the one model of `provider` whose name begins with `model`, which it does not know.

    Parameters
    ----------
    refused : NotFoundError
        How it said so. Where it speaks of no model, the address is wrong, and there is nothing to ask.
    **way
        Proxy and certificates, as ``list_models`` takes them.

    Raises
    ------
    NotFoundError
        With what is known, or `refused` if that is nothing.
    """
    if not model or not _ABOUT_A_MODEL.search(refused.server_message):
        raise refused
    try:
        names = await provider.list_models(**way)
    except ChatError:
        names = []
    meant = [name for name in names if name.startswith(model)] if model not in names else []
    if len(meant) == 1:
        return meant[0]
    if meant:
        shown = ", ".join([*meant[:MAX_SHOWN], *(["…"] if len(meant) > MAX_SHOWN else [])])
        raise NotFoundError(phrase("error.model_ambiguous", name=model, names=shown)) from None
    raise refused


class Catalog:
    """The lists of models, by provider.

    Parameters
    ----------
    submit : callable
        Runs a coroutine on the engine.
    find : callable
        Returns the provider that a name stands for, or that is given; it may raise ``ChatError``.
    way : callable
        Returns the proxy and the certificates, as ``list_models`` takes them.
    """

    def __init__(
        self,
        submit: Callable[[Coroutine[Any, Any, list[str]]], Future[list[str]]],
        find: Callable[[Any], Provider],
        way: Callable[[], dict[str, Any]],
    ) -> None:
        self._submit = submit
        self._find = find
        self._way = way
        self._known: dict[Hashable, tuple[float, list[str]]] = {}
        """When each list is to be asked for anew, and the list."""
        self._asked: dict[Hashable, Future[list[str]]] = {}

    def known(self, source: Hashable) -> list[str]:
        """Return what is known now, at once; what is not known, or old, is asked for in the background."""
        until, names = self._known.get(source, (0.0, []))
        if time.monotonic() > until and source not in self._asked:
            self.fetch(source)
        return names

    def fetch(self, source: Hashable) -> Future[list[str]]:
        """Ask the provider, and remember what it says. The result may raise ``ChatError``."""
        future = self._submit(self._list(source, None))
        self._asked[source] = future
        future.add_done_callback(lambda done: self._take(source, done))
        return future

    def try_key(self, source: Any, secret: Secret) -> Future[list[str]]:
        """Ask the provider with another key than the one that is kept. The result may raise ``ChatError``."""
        return self._submit(self._list(source, secret))

    def forget(self) -> None:
        """Forget every list: a key was added or taken away."""
        self._known.clear()

    async def _list(self, source: Any, secret: Secret | None) -> list[str]:
        # Found here, on the engine: to find it may be to import what it needs.
        return await self._find(source).list_models(secret=secret, **self._way())

    def _take(self, source: Hashable, done: Future[list[str]]) -> None:
        self._asked.pop(source, None)
        if done.cancelled() or done.exception() is not None:
            names = self._known.get(source, (0.0, []))[1]
            self._known[source] = (time.monotonic() + FAILED_SECONDS, names)
        else:
            self._known[source] = (time.monotonic() + FRESH_SECONDS, done.result())
