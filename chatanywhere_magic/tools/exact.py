"""JSON as a model writes it, read without changing a word: what Python's reader would pass over is refused."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from math import isfinite
from typing import Any, Final

MAX_ARGUMENTS: Final = 400_000
"""Characters of a call's arguments."""
MAX_DEPTH: Final = 40
"""Lists and objects inside one another in them."""
_TOO_DEEP: Final = "the arguments are nested too deeply"


class Rounded(float):
    """A number that was written with more digits than a float has."""


def read_exactly(arguments: str) -> Any:
    """Return the value that `arguments` say in JSON; no text says an empty object.

    Raises
    ------
    ValueError
        If they are not JSON, too long or too deep, or if a name is given twice, or a number is not finite.
    """
    if len(arguments) > MAX_ARGUMENTS:
        raise ValueError(f"the arguments are longer than {MAX_ARGUMENTS} characters")
    if arguments.strip() in {"", "null"}:  # what some models write for none
        return {}
    try:
        value = json.loads(arguments, object_pairs_hook=_object, parse_constant=_constant, parse_float=_number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except json.JSONDecodeError as caught:
        raise ValueError(f"the arguments are not JSON: {caught}") from None
    except ValueError as caught:  # as below, or an integer of too many digits
        raise ValueError(f"the arguments cannot be read: {caught}") from None
    inner, depth = [value], 0
    while inner:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        lists = [each.values() if isinstance(each, dict) else each for each in inner if isinstance(each, dict | list)]
        inner = [each for members in lists for each in members]
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{cut(name, 80)!r} is given twice")
    return made


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _number(digits: str) -> float:
    number = float(digits)
    exact = Decimal(digits)
    if not isfinite(number) or (not number and exact):
        raise ValueError(f"{cut(digits, 80)} is out of range")
    return number if Decimal(repr(number)) == exact else Rounded(number)


def cut(words: str, limit: int) -> str:
    """Return `words`, shortened to `limit` characters."""
    return words if len(words) <= limit else f"{words[: limit - 1]}…"
