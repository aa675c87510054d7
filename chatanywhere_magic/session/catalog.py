"""The catalog: providers by name, aliases, and each provider's models, fetched once and remembered for a while."""

from __future__ import annotations

import re
import time
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ..core import ChatError, NotFoundError, phrase
from ..providers import can_chat, choose_provider, get_provider, provider_names, wrap

if TYPE_CHECKING:
    from collections.abc import Hashable
    from concurrent.futures import Future

    from ..core import Version
    from ..keys import Secret
    from ..providers import Provider
    from .engine import Engine
    from .settings import Settings

FRESH_SECONDS: Final = 600.0
FAILED_SECONDS: Final = 30.0
"""Seconds before a provider that could not be asked is asked again."""
MAX_SHOWN: Final = 12
_ABOUT_A_MODEL: Final = re.compile("model|模型", re.IGNORECASE)


class Catalog:
    """The providers and their models. Completion never waits for a list of models."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._known: dict[Hashable, tuple[float, list[str]]] = {}
        """When each list expires, and the list."""
        self._listing: dict[Hashable, Future[list[str]]] = {}
        self._answered: dict[tuple[str, str], tuple[Provider, str]] = {}

    # --- who is asked -------------------------------------------------------------------------------------------

    def provider(self, source: Any = None) -> Provider:
        """Return the provider for a name, class or function; by default the session's.

        Raises
        ------
        ConfigurationError
            If there is no such provider.
        """
        source = self._settings.provider if source is None else source
        if not source:
            return choose_provider()
        return get_provider(source) if isinstance(source, str) else wrap(source)

    def answering(self) -> tuple[Provider, str]:
        """Return the provider and the model that would answer now, aliases and the environment considered.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        source, model = self.resolved(self._settings.model)
        provider = self.provider(source)
        return provider, provider.shown_model(model)

    def resolved(self, model: str) -> tuple[Any, str]:
        """Return the provider and the model that `model` means, which may be an alias."""
        named = self._settings.aliases.get(model)
        if named is None:
            return self._settings.provider, model
        provider, slash, rest = named.partition("/")
        # Names of models have slashes too.
        return (provider, rest) if slash and provider in provider_names() else (self._settings.provider, named)

    def note_answer(self, version: Version, provider: Provider, model: str) -> None:
        """Record the provider and model of a version."""
        self._answered[version.provider, version.model] = provider, model

    def answered(self, version: Version) -> tuple[Any, str]:
        """Return the provider and the model to ask for another version.

        They are those that were asked in this session. What a record names, a file's or a database's, chooses nobody:
        then it is the session's own provider, as for any prompt.
        """
        return self._answered.get((version.provider, version.model), (None, ""))

    # --- which models there are ---------------------------------------------------------------------------------

    def known(self, source: Hashable) -> list[str]:
        """Return the known models at once; a missing or old list is fetched in the background."""
        until, names = self._known.get(source, (0.0, []))
        if time.monotonic() > until and source not in self._listing:
            self.fetch(source)
        return names

    def fetch(self, source: Hashable) -> Future[list[str]]:
        """Fetch the provider's list and remember it. The result may raise ``ChatError``."""
        future = self._engine.submit(self._list(source, None))
        self._listing[source] = future
        future.add_done_callback(lambda done: self._take(source, done))
        return future

    def try_key(self, source: Any, secret: Secret) -> Future[list[str]]:
        """Fetch the provider's list with a key that is not saved yet. The result may raise ``ChatError``."""
        return self._engine.submit(self._list(source, secret))

    def forget(self) -> None:
        """Forget every list, because a key was added or removed."""
        self._known.clear()

    async def meant_model(self, provider: Provider, model: str, refused: NotFoundError) -> str:
        """Return the only model of `provider` whose name begins with `model`.

        Parameters
        ----------
        refused : NotFoundError
            The provider's error for `model`. If it does not mention a model, the address is wrong and no list can help.

        Raises
        ------
        NotFoundError
            With the known models, or `refused` if there are none.
        """
        if not model or not _ABOUT_A_MODEL.search(refused.server_message):
            raise refused
        try:
            names = await provider.list_models(**self._settings.network)
        except ChatError:
            names = []
        meant = [name for name in names if name.startswith(model)] if model not in names else []
        meant = list(filter(can_chat, meant)) or meant
        if len(meant) == 1:
            return meant[0]
        if meant:
            shown = ", ".join([*meant[:MAX_SHOWN], *(["…"] if len(meant) > MAX_SHOWN else [])])
            raise NotFoundError(phrase("error.model_ambiguous", name=model, names=shown)) from None
        close = get_close_matches(model, names, n=1) if model not in names else []
        if close:
            hint = phrase("hint.did_you_mean", name=close[0])
            raise NotFoundError(
                phrase("error.model_unknown", provider=provider.name, name=model, hint=hint),
                status=refused.status,
                server_message=refused.server_message,
                request_id=refused.request_id,
            ) from None
        raise refused

    async def _list(self, source: Any, secret: Secret | None) -> list[str]:
        # Found here, on the engine: finding a provider may import what it needs.
        return await self.provider(source).list_models(secret=secret, **self._settings.network)

    def _take(self, source: Hashable, done: Future[list[str]]) -> None:
        self._listing.pop(source, None)
        if done.cancelled() or done.exception() is not None:
            names = self._known.get(source, (0.0, []))[1]
            self._known[source] = (time.monotonic() + FAILED_SECONDS, names)
        else:
            self._known[source] = (time.monotonic() + FRESH_SECONDS, done.result())
