"""Keys: where they come from, what may be seen of them, and how they are kept out of everything else."""

from __future__ import annotations

import hmac
import os
import re
from typing import TYPE_CHECKING, Final

from ..core import ConfigurationError, phrase
from .echoes import Forms, Text, merged

if TYPE_CHECKING:
    from collections.abc import Iterable

_SALT: Final = os.urandom(32)
MIN_REDACTED: Final = 6
"""Characters from which a secret is redacted; shorter ones would blank ordinary words."""
MIN_REDACTED_IN_ANSWERS: Final = 16
"""The same for what a model writes. Servers that need no key are often given a word for one, such as ``lm-studio``."""


class Secret:
    """A key that does not show itself: ``str``, ``repr`` and pickling give nothing away.

    Parameters
    ----------
    value : str
        The key.
    source : str
        Where it came from, such as ``CHATANYWHERE_API_KEY``; shown to the person instead of the key.

    Raises
    ------
    ConfigurationError
        If the key holds white space or anything else that cannot stand in an HTTP header.
        The message does not hold the key.
    """

    __slots__ = ("__forms", "__value", "source")

    def __init__(self, value: str, source: str) -> None:
        self.source = source
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            del value  # or it would stand in a traceback that shows variables
            raise ConfigurationError(phrase("error.key_characters", source=source))
        self.__value = value
        self.__forms: Forms | None = None

    def reveal(self) -> str:
        """Return the key itself, for the request header and nothing else."""
        return self.__value

    @property
    def mark(self) -> str:
        """What tells this key from another in this process, and elsewhere says nothing."""
        return hmac.digest(_SALT, self.__value.encode(), "sha256").hex()

    @property
    def forms(self) -> Forms | None:
        """What to look for in a text; None for a key that is too short, which would be found in ordinary words."""
        if self.__forms is None and len(self.__value) >= MIN_REDACTED:
            self.__forms = Forms(self.__value)
        return self.__forms

    def redact(self, words: str) -> str:
        """Return `words` with every occurrence of the key as ``***``: plain, URL-encoded, escaped or in base64."""
        return redact(words, [self])

    def __repr__(self) -> str:
        return f"Secret(***, from {self.source})"

    def __reduce__(self) -> str:
        msg = "a Secret cannot be pickled"
        raise TypeError(msg)


def redact(words: str, secrets: Iterable[Secret]) -> str:
    """Return `words` with every occurrence of one of `secrets` as ``***``, in whatever form."""
    known = [secret.forms for secret in secrets if secret.forms]
    if not known:
        return words
    text = Text(words)
    places = [place for forms in known for place in text.places(forms)]
    return text.without(merged(places)) if places else words


def sources_in(words: str, secrets: Iterable[Secret]) -> list[str]:
    """Return where those of `secrets` came from that are in `words`, in whatever form."""
    known = [(secret.source, secret.forms) for secret in secrets]
    text = Text(words if any(forms for _, forms in known) else "")
    return [source for source, forms in known if forms and text.holds(forms)]


_UNHELD: Final = 2
"""So many characters that begin as the key does are shown at once, or ordinary words would wait for the next piece."""
_ESCAPED_LENGTH: Final = 12
"""Of one character of a key, at most."""
_SEEN_AGAIN: Final = (_UNHELD + 1) * _ESCAPED_LENGTH
"""Characters of what is shown in which the beginning of a key can be."""


class AnswerRedactor:
    """Keeps a key out of an answer that comes in pieces, in which a server may repeat it in any form.

    A piece that ends as the key begins is held back until the next one shows whether it goes on so.
    """

    def __init__(self, secret: Secret | None) -> None:
        key = secret.reveal() if secret else ""
        self.__forms = secret.forms if secret and len(key) >= MIN_REDACTED_IN_ANSWERS else None
        self.__begun: re.Pattern[bytes] | None = None
        self._shown = ""
        """The last characters before what is held."""
        self._held = ""
        self._most = 0
        """Characters at most that are held: no key is longer, however it is escaped."""
        if self.__forms:
            beginnings = {re.escape(form[: _UNHELD + 1]) for form in self.__forms.all()}
            self.__begun = re.compile(b"|".join(sorted(beginnings)))
            self._most = _ESCAPED_LENGTH * max(map(len, self.__forms.all()))

    def feed(self, piece: str) -> str:
        """Return what may be shown after `piece`."""
        if self.__forms is None or self.__begun is None:
            return piece
        words = self._shown + self._held + piece
        text = Text(words, is_open=True)
        if not self._held and not any(map(self.__begun.search, text.layers)):
            self._shown = words[-_SEEN_AGAIN:]
            return piece
        before = text.size(self._shown)
        places = [place for place in text.places(self.__forms) if place[1] > before]
        over = places[-1][1] if places else 0
        end = max(text.half(self.__forms, _UNHELD + 1), before, over)
        self._held = text.slice(end)
        if len(self._held) > self._most:
            end, self._held = text.size(words), ""
        self._shown = text.slice(over, end)[-_SEEN_AGAIN:]
        return text.without(places, before, end)

    def flush(self) -> str:
        """Return what is held back: nothing follows it."""
        words = self._shown + self._held
        if self.__forms is None or not self._held:
            return ""
        text = Text(words)
        shown = text.without(text.places(self.__forms), text.size(self._shown))
        self._held = self._shown = ""
        return shown


def secret_from_environment(name: str) -> Secret | None:
    """Return the key in the environment variable `name`, or None if it is unset or blank.

    Surrounding white space is dropped: a key read from a file with ``export KEY=$(cat file)`` often has some.
    """
    if not os.environ.get(name, "").strip():
        return None
    return Secret(os.environ[name].strip(), name)  # in no variable: see Secret
