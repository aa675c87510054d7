"""Find what looks like a key in text that is about to be sent: known forms only, as false alarms get ignored."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from ..core import ConfigurationError, LeakError, phrase, text
from ..core import texts as all_texts
from .forms import (
    PLACEHOLDER,
    addresses,
    assigned,
    is_common,
    is_path,
    is_random,
    names_a_secret,
    numbered,
    prefixed,
    private_keys,
)
from .pasted import cleaned_key
from .secret import Secret, redact, sources_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LEAST_KEY: Final = 12
"""Characters from which a variable of the environment can be a key, and not a word that is in many texts."""
LEAST_MIXED: Final = 8
"""The same for a value with letters, digits and other characters in it."""
_LEAST_DIFFERENT: Final = 8
_WORD: Final = re.compile(r"[A-Za-z]{1,40}(?:[-_. ][A-Za-z]{1,40}){0,5}")
_LONGEST_WORD: Final = 16


@dataclass(frozen=True)
class Leak:
    """Something that looks like a key: its kind, and its place in the text."""

    kind: str
    start: int
    end: int


def find_leaks(words: str) -> list[Leak]:
    """Return what looks like a key in `words`, in order. Of two that overlap it is the one whose form says more."""
    found: list[Leak] = []
    taken: list[tuple[int, int]] = []
    for kinds in ((*private_keys(words), *addresses(words)), _of_known_forms(words), assigned(words)):
        leaks = sorted((Leak(*each) for each in kinds), key=lambda leak: (leak.start, -leak.end))
        fresh: list[Leak] = []
        for leak in leaks:
            if not _overlaps(leak, taken) and not (fresh and leak.start < fresh[-1].end):
                fresh.append(leak)
        found += fresh
        taken = sorted((leak.start, leak.end) for leak in found)
    return sorted(found, key=lambda leak: leak.start)


def _of_known_forms(words: str) -> Iterator[tuple[str, int, int]]:
    for kind, start, end in chain(prefixed(words), numbered(words)):
        secret = words[start:end]
        if PLACEHOLDER.search(secret) or len(set(secret)) < _LEAST_DIFFERENT or is_common(secret):
            continue
        # What begins so may be a name, such as a class of a style sheet.
        if kind in _WORDLIKE and not is_random(secret):
            continue
        yield kind, start, end


_WORDLIKE: Final = frozenset({"OpenAI", "Tavily", "Voyage", "Fireworks", "Google", "HashiCorp", "Supabase"})
"""After their beginnings words may follow."""


def _overlaps(leak: Leak, taken: list[tuple[int, int]]) -> bool:
    """Tell whether `leak` overlaps one of those `taken`, which are in order and apart."""
    index = bisect_left(taken, (leak.end, 0)) - 1
    return index >= 0 and taken[index][1] > leak.start


def secrets_of_environment() -> list[Secret]:
    """Return the values of the environment's variables that are called keys, tokens or passwords."""
    found = []
    for name in filter(_is_named_as_key, os.environ):
        value = cleaned_key(os.environ.get(name, ""))  # as keys are read
        if _may_be_secret(value):
            try:
                found.append(Secret(value, name, is_sent=False))
            except ConfigurationError:
                continue  # of several lines, as a private key is, which is known by its form
    return found


_is_named_as_key = cache(names_a_secret)


def _may_be_secret(value: str) -> bool:
    """Tell whether a value is worth looking for in a text: no word, and no path."""
    if is_path(value) or is_word(value):
        return False
    kinds = {(c.isalpha() and c.islower(), c.isupper(), c.isdigit()) for c in value}
    return len(value) >= LEAST_KEY or (len(value) >= LEAST_MIXED and len(kinds) > 2)  # noqa: PLR2004


def is_word(value: str) -> bool:
    """Tell whether a key is an ordinary word or two, such as the ``ollama`` of a server that needs none."""
    return is_common(value) or (len(value) < _LONGEST_WORD and _WORD.fullmatch(value) is not None)


def may_hold_keys(texts: Iterable[str]) -> bool:
    """Whether a value of :func:`secrets_of_environment` can be in one of `texts`: whether one is long enough."""
    return any(len(words) >= LEAST_MIXED for words in texts)


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
    kinds += sources_in(words, _worth(secrets))
    return list(dict.fromkeys(kinds))


def redacted(words: str, secrets: Iterable[Secret] = ()) -> str:
    """Return `words` with everything that looks like a key replaced by ``***``."""
    for leak in reversed(find_leaks(words)):
        words = f"{words[: leak.start]}***{words[leak.end :]}"
    return redact(words, _worth(secrets))


def _worth(secrets: Iterable[Secret]) -> list[Secret]:
    """Return `secrets` without those that are words, and so stand in texts that give nothing away."""
    return [secret for secret in secrets if not is_word(secret.reveal())]
