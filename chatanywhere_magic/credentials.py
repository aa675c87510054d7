"""Keys: where they come from, what may be seen of them, and how they are kept out of everything else."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from typing import Final
from urllib.parse import quote, quote_plus

from .errors import ConfigurationError
from .strings import text

MIN_REDACTED: Final = 6
"""Characters from which a secret is redacted; shorter ones would blank ordinary words."""


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

    __slots__ = ("__value", "source")

    def __init__(self, value: str, source: str) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ConfigurationError(text("error.key_characters", source=source))
        self.__value = value
        self.source = source

    def reveal(self) -> str:
        """Return the key itself, for the request header and nothing else."""
        return self.__value

    def redact(self, words: str) -> str:
        """Return `words` with every occurrence of the key as ``***``: plain, URL-encoded, in JSON or in base64."""
        if len(self.__value) >= MIN_REDACTED:
            for form in _forms(self.__value):
                words = words.replace(form, "***")
        return words

    def __repr__(self) -> str:
        return f"Secret(***, from {self.source})"

    def __reduce__(self) -> str:
        msg = "a Secret cannot be pickled"
        raise TypeError(msg)


def _forms(value: str) -> list[str]:
    """Return the forms in which `value` may be echoed, longest first."""
    forms = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    # In base64 a text looks different by where it begins: at the 1st, 2nd or 3rd byte of a group. What stands
    # for bytes of the neighbours is left out.
    for before in range(3):
        encoded = b64encode(b"\0" * before + value.encode()).decode()
        inner = encoded[-(-before * 4 // 3) : (before + len(value)) * 4 // 3]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return sorted(forms, key=len, reverse=True)


def secret_from_environment(name: str) -> Secret | None:
    """Return the key in the environment variable `name`, or None if it is unset or blank.

    Surrounding white space is dropped: a key read from a file with ``export KEY=$(cat file)`` often has some.
    """
    value = os.environ.get(name, "").strip()
    return Secret(value, name) if value else None
