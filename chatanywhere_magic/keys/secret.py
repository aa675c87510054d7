"""Keys: where they come from, what may be seen of them, and how they are kept out of everything else."""

from __future__ import annotations

import hmac
import html
import os
import re
from base64 import b64encode
from typing import Final

from ..core import ConfigurationError, phrase

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
        self.__forms: re.Pattern[str] | None = None

    def reveal(self) -> str:
        """Return the key itself, for the request header and nothing else."""
        return self.__value

    @property
    def mark(self) -> str:
        """What tells this key from another in this process, and elsewhere says nothing."""
        return hmac.digest(_SALT, self.__value.encode(), "sha256").hex()

    def redact(self, words: str) -> str:
        """Return `words` with every occurrence of the key as ``***``: plain, URL-encoded, escaped or in base64."""
        if len(self.__value) < MIN_REDACTED:
            return words
        if self.__forms is None:
            self.__forms = _forms(self.__value)
        return self.__forms.sub("***", words)

    def __repr__(self) -> str:
        return f"Secret(***, from {self.source})"

    def __reduce__(self) -> str:
        msg = "a Secret cannot be pickled"
        raise TypeError(msg)


def _forms(value: str) -> re.Pattern[str]:
    """Return what matches `value` in every form in which it may be echoed."""
    escaped = "".join(_escapes(character) for character in value)
    # In base64 a text looks different by where it begins: at the 1st, 2nd or 3rd byte of a group. What stands
    # for bytes of the neighbours is left out.
    encoded = set[str]()
    for before in range(3):
        form = b64encode(b"\0" * before + value.encode()).decode()
        inner = form[-(-before * 4 // 3) : (before + len(value)) * 4 // 3]
        encoded |= {inner, inner.replace("+", "-").replace("/", "_")}
    return re.compile("|".join([escaped, *map(re.escape, sorted(encoded, key=len, reverse=True))]), re.IGNORECASE)


def _escapes(character: str) -> str:
    """Return a pattern for `character` as itself, in a URL, in JSON or another program's string, and in HTML."""
    code, plain, named = ord(character), re.escape(character), re.escape(html.escape(character))
    return rf"(?:\\?{plain}|%(?:25)?{code:02x}|\\u{code:04x}|\\x{code:02x}|&\#{code};|&\#x{code:x};|{named})"


_UNHELD: Final = 2
"""So many characters that begin as the key does are shown at once, or ordinary words would wait for the next piece."""


class AnswerRedactor:
    """Keeps a key out of an answer that comes in pieces, in which a server may repeat it.

    A piece that ends as the key begins is held back until the next one shows whether it goes on so.
    """

    def __init__(self, secret: Secret | None) -> None:
        key = secret.reveal() if secret else ""
        self.__key = key if len(key) >= MIN_REDACTED_IN_ANSWERS else ""
        self._shown = ""
        """The last characters before what is held."""
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what may be shown after `piece`."""
        key = self.__key
        if not key:
            return piece
        before = len(self._shown)
        words = self._shown + self._held + piece
        while (start := words.find(key)) >= 0:
            words = words[: max(start, before)] + "***" + words[start + len(key) :]
        end = max(_beginning(words, key), before)
        self._held = words[end:]
        self._shown = words[max(0, end - _UNHELD) : end]
        return words[before:end]

    def flush(self) -> str:
        """Return what is held back: nothing follows it."""
        held, self._held = self._held, ""
        return held


def _beginning(words: str, key: str) -> int:
    """Return where in `words` an end begins with which `key` begins too; its length if there is none."""
    start = words.find(key[: _UNHELD + 1], max(0, len(words) - len(key)))
    while start >= 0 and not key.startswith(words[start:]):
        start = words.find(key[: _UNHELD + 1], start + 1)
    return start if start >= 0 else len(words)


def secret_from_environment(name: str) -> Secret | None:
    """Return the key in the environment variable `name`, or None if it is unset or blank.

    Surrounding white space is dropped: a key read from a file with ``export KEY=$(cat file)`` often has some.
    """
    if not os.environ.get(name, "").strip():
        return None
    return Secret(os.environ[name].strip(), name)  # in no variable: see Secret
