"""Complete ``@names``, with what each name is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core import ConfigurationError, text
from .lookup import Lookup, Names, attribute, attribute_names, is_instance, item, item_names
from .mentions import item_key
from .render import render, type_name
from .resolving import value_at

_SPECIAL: Final = {"cell[-1]": "candidate.cell", "error": "candidate.error", "file:": "candidate.file"}
SHOWN_CHARACTERS: Final = 24
MAX_DIMENSIONS: Final = 32
MAX_BITS: Final = 64
MOST_KEYS: Final = 200
"""Keys and columns that are offered."""
_SIZED: Final[tuple[Any, ...]] = (bytes, list, tuple, dict, set, frozenset)


@dataclass(frozen=True)
class Candidate:
    """A name that may stand behind ``@``, with what it is: ``df``, ``DataFrame``, ``1,000 × 12``."""

    name: str
    type: str
    size: str = ""


def candidates(lookup: Lookup | Mapping[str, Any], prefix: str = "") -> list[Candidate]:
    """Return the completions of what is typed after an ``@``, such as ``d``, ``df.co`` or ``d["k``.

    No code is run, and objects of the user's classes are not accessed.
    """
    lookup = Names(lookup) if isinstance(lookup, Mapping) else lookup
    head, separator, tail = _split(prefix)
    if not separator:
        variables = lookup.variables
        names = [
            name
            for name in lookup.names
            if type(name) is str and name.startswith(prefix) and (prefix[:1] == "_" or name[:1] != "_")
        ]
        special = [Candidate(name, text(about)) for name, about in _SPECIAL.items() if name.startswith(prefix)]
        found = [Candidate(name, *about(variables[name])) for name in sorted(names, key=str.lower)]
        return [*found, *(each for each in special if each.name not in variables)]
    try:
        value = value_at(lookup, head)
    except ConfigurationError:
        return []
    if separator == ".":
        names = [name for name in attribute_names(value) if name.startswith(tail)]
        return [Candidate(f"{head}.{name}", *_about_step(attribute, value, name)) for name in names]
    wanted = tail.replace("'", '"')
    keys = [key for key in item_names(value) if key.startswith((wanted, f'"{wanted}'))]
    return [Candidate(f"{head}[{key}]", *_about_step(_item, value, key)) for key in keys[:MOST_KEYS]]


def _item(value: object, key: str) -> Any:
    found = item_key(f"[{key}]", 0)
    if found is None:  # a bracket or a line end in it
        raise LookupError
    return item(value, found[0])


def _split(prefix: str) -> tuple[str, str, str]:
    """Split ``df.col`` into ``df``, ``.`` and ``col``; ``d["ke`` into ``d``, ``[`` and ``"ke``."""
    bracket = prefix.rfind("[")
    position = bracket if bracket > prefix.rfind("]") else prefix.rfind(".")
    if position < 0:
        return prefix, "", ""
    return prefix[:position], prefix[position], prefix[position + 1 :]


def about(value: object) -> tuple[str, str]:
    """Return the type of a value, and how large it is."""
    if is_instance(value, (str, bool, int, float)):
        return type_name(value), render(value, SHOWN_CHARACTERS)
    for kind in _SIZED:
        if is_instance(value, kind):
            return type_name(value), f"{kind.__len__(value):,}"
    try:
        shape = attribute(value, "shape")
    except LookupError:
        return type_name(value), ""
    # Anybody's object may have an attribute of this name, and be an iterator that never ends.
    if not is_instance(shape, tuple) or tuple.__len__(shape) > MAX_DIMENSIONS:
        return type_name(value), ""
    lengths = tuple.__getitem__(shape, slice(None))
    are_numbers = all(type(each) is int and int.bit_length(each) < MAX_BITS for each in lengths)
    return type_name(value), " × ".join(f"{each:,}" for each in lengths) if are_numbers else ""


def _about_step(take: Any, value: object, key: str) -> tuple[str, str]:
    try:
        return about(take(value, key))
    except LookupError:
        return "property", ""
