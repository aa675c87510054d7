"""Secrets: keys that do not show themselves, and how they are redacted everywhere else."""

from __future__ import annotations

import hmac
import os
import re
from typing import TYPE_CHECKING, Final

from ..core import ConfigurationError, phrase
from .echoes import Forms, Text, merged
from .pasted import cleaned_key, holds_two_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

AUTHORIZATION: Final = ("Authorization", "Bearer ")
"""How nearly every server takes a key: a header, and what stands there before the key."""
_SALT: Final = os.urandom(32)
MIN_REDACTED: Final = 6
"""Shortest secret that is redacted; shorter ones would blank ordinary words."""
MIN_REDACTED_IN_ANSWERS: Final = 16
"""The same for a model's text. Servers that need no key are often given a word as one, such as ``lm-studio``."""


class Secret:
    """A key that does not show itself: ``str``, ``repr`` and pickling give nothing away.

    Parameters
    ----------
    value : str
        The key.
    source : str
        Where it came from, such as ``CHATANYWHERE_API_KEY``; shown instead of the key.

    Raises
    ------
    ConfigurationError
        If the key holds white space or anything else that cannot stand in an HTTP header, or is two keys.
        The message does not contain the key.
    """

    __slots__ = ("__forms", "__value", "header", "source")

    def __init__(self, value: str, source: str, *, is_sent: bool = True) -> None:
        self.source = source
        fault = ""
        if is_sent and holds_two_keys(value):
            fault = "error.two_keys"
        elif not (re.fullmatch(r"[\x21-\x7e]+", value) if is_sent else value.isprintable()):
            fault = "error.key_characters"
        if fault:
            del value  # or it would stand in a traceback that shows variables
            raise ConfigurationError(phrase(fault, source=source))
        self.__value = value
        self.__forms: Forms | None = None
        self.header = AUTHORIZATION
        """The request's header in which it is sent, and what stands there before it."""

    def sent_as(self, header: str, prefix: str = "") -> Secret:
        """Return the same key for a server that takes it in another header.

        Parameters
        ----------
        header : str
            The header's name, such as ``X-Api-Key``.
        prefix : str, optional
            What stands before the key.
        """
        if (header, prefix) == self.header:
            return self
        other = Secret(self.__value, self.source)
        other.__forms = self.forms  # looked up once, not for every request
        other.header = (header, prefix)
        return other

    def reveal(self) -> str:
        """Return the key itself, for the request header and nothing else."""
        return self.__value

    @property
    def mark(self) -> str:
        """A mark that identifies this key within this process and reveals nothing outside it."""
        return hmac.digest(_SALT, self.__value.encode(), "sha256").hex()

    @property
    def forms(self) -> Forms | None:
        """The forms to look for in a text; None for a key so short that ordinary words would match."""
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
    """Return `words` with every occurrence of one of `secrets`, in any form, replaced by ``***``."""
    known = [secret.forms for secret in secrets if secret.forms]
    # A model's name and the like, which come with every response, are too short.
    if not known or (words.isascii() and len(words) < min(forms.least for forms in known)):
        return words
    text = Text(words)
    places = [place for forms in known for place in text.places(forms)]
    return text.without(merged(places)) if places else words


def sources_in(words: str, secrets: Iterable[Secret]) -> list[str]:
    """Return the sources of those `secrets` that occur in `words`, in any form."""
    known = [(secret.source, secret.forms) for secret in secrets]
    text = Text(words if any(forms for _, forms in known) else "")
    return [source for source, forms in known if forms and text.holds(forms)]


_UNHELD: Final = 2
"""Matching starts up to this length are shown at once, or ordinary words would wait for the next piece."""
_ESCAPED_LENGTH: Final = 12
"""Longest escaped form of one character."""
_SEEN_AGAIN: Final = (_UNHELD + 1) * _ESCAPED_LENGTH
"""Characters of the shown text in which a key can begin."""


class AnswerRedactor:
    """Redact a key that a server repeats, in any form, in a streamed response.

    A piece that ends as the key begins is held back until the next one shows whether it goes on so.
    """

    def __init__(self, secret: Secret | None) -> None:
        key = secret.reveal() if secret else ""
        self.__forms = secret.forms if secret and len(key) >= MIN_REDACTED_IN_ANSWERS else None
        self.__begun: re.Pattern[bytes] | None = None
        self._shown = ""
        """The last characters before the held-back text."""
        self._held = ""
        self._most = 0
        """Most characters held back: no escaped key is longer."""
        if self.__forms:
            beginnings = {re.escape(form[: _UNHELD + 1]) for form in self.__forms.all()}
            self.__begun = re.compile(b"|".join(sorted(beginnings)))
            self._most = _ESCAPED_LENGTH * max(map(len, self.__forms.all()))

    def feed(self, piece: str) -> str:
        """Add `piece`, and return the text that can be shown now."""
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
        """Return the text still held back: the response has ended."""
        words = self._shown + self._held
        if self.__forms is None or not self._held:
            return ""
        text = Text(words)
        shown = text.without(text.places(self.__forms), text.size(self._shown))
        self._held = self._shown = ""
        return shown


def secret_from_environment(name: str) -> Secret | None:
    """Return the key in the environment variable `name`, or None if it is unset or blank.

    What shells and files leave around a key is dropped: white space, quotes and the like.
    """
    if not cleaned_key(os.environ.get(name, "")):
        return None
    return Secret(cleaned_key(os.environ[name]), name)  # in no variable: see Secret
