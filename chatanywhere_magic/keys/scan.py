"""Find what looks like a key in text that is about to be sent: known forms only, as false alarms get ignored."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from ..core import ConfigurationError, LeakError, phrase, text
from ..core import texts as all_texts
from .secret import Secret, redact, sources_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LEAST_KEY: Final = 12
"""Shortest value of an environment variable that can be a key rather than a common word."""

_LONG_WORD: Final = re.compile(rf"\S{{{LEAST_KEY}}}")
_A: Final = "(?<![A-Za-z0-9_-])"
_Z: Final = "(?![A-Za-z0-9_-])"
_FORMS: Final[dict[str, str]] = {
    "Anthropic": rf"{_A}sk-ant-[A-Za-z0-9_-]{{20,}}",
    "OpenAI": rf"{_A}sk-(?!ant-)[A-Za-z0-9_-]{{20,}}",
    "GitHub": rf"{_A}(?:gh[pousr]_[A-Za-z0-9]{{36,}}|github_pat_[A-Za-z0-9_]{{50,}})",
    "GitLab": rf"{_A}gl(?:pat|dt|rt)-[A-Za-z0-9_-]{{20,}}",
    "AWS": rf"{_A}(?:AKIA|ASIA)[A-Z0-9]{{16}}{_Z}",
    "Google": rf"{_A}AIza[A-Za-z0-9_-]{{35}}{_Z}",
    "Slack": rf"{_A}xox[abeoprs]-[A-Za-z0-9-]{{10,}}|hooks\.slack\.com/services/T\w+/B\w+/\w{{20,}}",
    "Stripe": rf"{_A}[rs]k_(?:live|test)_[A-Za-z0-9]{{16,}}",
    "Hugging Face": rf"{_A}hf_[A-Za-z0-9]{{30,}}",
    "Groq": rf"{_A}gsk_[A-Za-z0-9]{{40,}}",
    "npm": rf"{_A}npm_[A-Za-z0-9]{{36}}{_Z}",
    "PyPI": rf"{_A}pypi-[A-Za-z0-9_-]{{60,}}",
    "SendGrid": rf"{_A}SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}",
    "Telegram": rf"{_A}\d{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_Z}",
    "Azure": r"AccountKey=[A-Za-z0-9+/=]{40,}",
    "JWT": rf"{_A}eyJ[A-Za-z0-9_-]{{10,}}\.eyJ[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]{{10,}}",
    "private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[^-]*(?:-----END [A-Z0-9 ]+-----)?",
    "password in a URL": r"(?<![A-Za-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"<>]{0,100}:(?P<password>[^\s/@'\"<>]{3,200})@[\w.-]",
}
_PATTERN: Final = re.compile("|".join(f"(?P<f{n}>{form})" for n, form in enumerate(_FORMS.values())))
_NAMES: Final = tuple(_FORMS)
# As documentation writes them.
_PLACEHOLDER: Final = re.compile(
    r"x{4}|\*{3}|\.{3}|…|example|sample|dummy|placeholder|redacted|your[-_ ]|<|\$|\{"
    r"|^(?:password|passwd|pass|pwd|secret)$",
    re.IGNORECASE,
)
_LEAST_DIFFERENT: Final = 8
_KEY_VARIABLE: Final = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PAT|CREDENTIALS?)(?:_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Leak:
    """Something that looks like a key: its kind, and its place in the text."""

    kind: str
    start: int
    end: int


def find_leaks(words: str) -> list[Leak]:
    """Return everything in `words` that looks like a key, in order."""
    found = []
    for match in _PATTERN.finditer(words):
        kind = _NAMES[int(str(match.lastgroup)[1:])] if match.lastgroup != "password" else "password in a URL"
        secret = match["password"] or match[0]
        if not _is_placeholder(secret, kind):
            found.append(Leak(kind, match.start(), match.end()))
    return found


def _is_placeholder(secret: str, kind: str) -> bool:
    if kind == "private key":
        return "PRIVATE KEY" in secret and len(secret) < 100  # noqa: PLR2004 - the mark alone, as in a text on keys
    if _PLACEHOLDER.search(secret):
        return True
    return kind != "password in a URL" and len(set(secret)) < _LEAST_DIFFERENT


def secrets_of_environment() -> list[Secret]:
    """Return the values of environment variables whose names say key, token or password."""
    found = []
    for name in filter(_is_named_as_key, os.environ):
        value = os.environ.get(name, "").strip()  # as keys are read
        if len(value) >= LEAST_KEY and not value.startswith(("/", "~", ".")):
            try:
                found.append(Secret(value, name))
            except ConfigurationError:
                continue  # contains spaces: not a key
    return found


@cache
def _is_named_as_key(variable: str) -> bool:
    return _KEY_VARIABLE.search(variable) is not None


def may_hold_keys(texts: Iterable[str]) -> bool:
    """Whether `texts` have a word long enough to be a value of :func:`secrets_of_environment`."""
    return any(_LONG_WORD.search(words) for words in texts)


def check_leaks(texts: Mapping[str, str], secrets: Iterable[Secret] = ()) -> None:
    """Refuse to send keys.

    Parameters
    ----------
    texts : mapping
        The texts to be sent, by a name for the user, or by the key of a text with that name.
    secrets : iterable of Secret
        Known keys, which are found in any form.

    Raises
    ------
    LeakError
        If there is one; the message says what kind it is, where, and what to do.
    """
    secrets = tuple(secrets)
    found = {name: kinds for name, words in texts.items() if (kinds := leaks_in(words, secrets))}
    if found:
        named = {text(name) if name in all_texts("en") else name: kinds for name, kinds in found.items()}
        places = "; ".join(f"{name} ({', '.join(kinds)})" for name, kinds in named.items())
        error = LeakError(phrase("error.leak", places=places))
        error.places = places
        raise error


def leaks_in(words: str, secrets: Iterable[Secret] = ()) -> list[str]:
    """Return the kinds of keys in `words`: known forms, and any of `secrets` in any form."""
    kinds = [leak.kind for leak in find_leaks(words)]
    kinds += sources_in(words, secrets)
    return list(dict.fromkeys(kinds))


def redacted(words: str, secrets: Iterable[Secret] = ()) -> str:
    """Return `words` with everything that looks like a key replaced by ``***``."""
    for leak in reversed(find_leaks(words)):
        words = f"{words[: leak.start]}***{words[leak.end :]}"
    return redact(words, secrets)
