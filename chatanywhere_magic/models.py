"""Which models each provider has: asked once, remembered for a while, and never waited for by who only completes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from .errors import ChatError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from .credentials import Secret
    from .providers.base import Provider

FRESH_SECONDS: Final = 600.0
FAILED_SECONDS: Final = 30.0
"""A provider that could not be asked is asked again after so long."""


class Models:
    """The lists of models, by provider and address.

    Parameters
    ----------
    submit : callable
        Runs a coroutine on the engine.
    way : callable
        Returns the proxy and the certificates, as ``list_models`` takes them.
    """

    def __init__(
        self, submit: Callable[[Coroutine[Any, Any, list[str]]], Future[list[str]]], way: Callable[[], dict[str, Any]]
    ) -> None:
        self._submit = submit
        self._way = way
        self._known: dict[tuple[str, str], tuple[float, list[str]]] = {}
        """When each list is to be asked for anew, and the list."""
        self._asked: dict[tuple[str, str], Future[list[str]]] = {}

    def known(self, provider: Provider) -> list[str]:
        """Return what is known now, at once; what is not known, or old, is asked for in the background."""
        key = _key(provider)
        until, names = self._known.get(key, (0.0, []))
        if time.monotonic() > until and key not in self._asked:
            self._ask(provider, key)
        return names

    def fetch(self, provider: Provider, *, secret: Secret | None = None) -> Future[list[str]]:
        """Ask the provider, with another key than the one that is kept if `secret` is given.

        The result may raise ``ChatError``.
        """
        if secret is not None:
            return self._submit(provider.list_models(secret=secret, **self._way()))
        key = _key(provider)
        return self._asked.get(key) or self._ask(provider, key)

    def forget(self) -> None:
        """Forget every list: a key was added or taken away."""
        self._known.clear()

    def _ask(self, provider: Provider, key: tuple[str, str]) -> Future[list[str]]:
        future = self._submit(provider.list_models(**self._way()))
        self._asked[key] = future
        future.add_done_callback(lambda done: self._take(key, done))
        return future

    def _take(self, key: tuple[str, str], done: Future[list[str]]) -> None:
        self._asked.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            names = self._known.get(key, (0.0, []))[1]
            self._known[key] = (time.monotonic() + FAILED_SECONDS, names)
        else:
            self._known[key] = (time.monotonic() + FRESH_SECONDS, done.result())


def _key(provider: Provider) -> tuple[str, str]:
    try:
        return provider.name, provider.address()
    except ChatError:  # it is none, which whoever asks will be told
        return provider.name, ""
