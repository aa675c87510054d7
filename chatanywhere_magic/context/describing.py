"""Describe a value for a model: first what it is, then as much of it as the budget allows."""

from __future__ import annotations

import types
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from . import arrays, code, pictures, tables
from .bounded import Job
from .fitting import joined, shortened
from .lookup import fields, is_instance, module_of, owner
from .render import counted, prints_too_much, render, render_repr, renderings, structure, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 2.0
"""For everything that is not ours: a ``repr``, a library's statistics."""
CHARACTERS_PER_TOKEN: Final = 4

_TEXTS: Final = (str, bytes, bytearray)
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)
_PLAIN: Final = (bool, int, float, complex, type(None), type(...), range, slice)


def describe(value: object, budget: int, seconds: float = SECONDS) -> str:
    """Describe `value` for a model.

    Parameters
    ----------
    value : object
        Any object. At most its ``repr`` is run.
    budget : int
        Most tokens of the text.
    seconds : float, default 2
        The time limit, after which the description is cut short.
    """
    blocks: list[str | list[str]] = []

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mean of infinities, a repr that is deprecated: not the person's doing
            for block in _blocks(value, budget):
                blocks.append(block)  # noqa: PERF402 - one by one, for they are read even if the next never comes

    job = Job(work)
    in_time = job.run(seconds)
    found = blocks[:] or [type_name(value)]
    if not in_time or job.error is not None:
        why = f"took longer than {seconds:g} s" if not in_time else f"failed with {type(job.error).__name__}"
        found.insert(1, f"(describing the rest {why})")
        if is_instance(value, _CONTAINERS) or fields(value):
            found.append(list(renderings(value, budget * CHARACTERS_PER_TOKEN, asks=False)))
    return joined(found, budget)


def _blocks(value: Any, budget: int) -> Iterator[str | list[str]]:
    characters = budget * CHARACTERS_PER_TOKEN
    if is_instance(value, _TEXTS):
        yield from _text_blocks(value, budget)
    elif is_instance(value, _PLAIN):
        yield f"{render(value, characters)} ({type_name(value)})"
    elif is_instance(value, _CONTAINERS):
        yield from _container_blocks(value, characters)
    elif tables.is_tabular(value):
        yield from tables.blocks(value, budget)
    elif arrays.is_array(value):
        yield from arrays.blocks(value, characters)
    elif pictures.is_picture(value):
        yield from pictures.words(value)
    elif is_instance(value, types.ModuleType):
        yield from code.module_blocks(value, characters)
    elif is_instance(value, type):
        yield from code.class_blocks(value, budget)
    elif code.is_function(value):
        yield from code.function_blocks(value, budget)
    else:
        yield from _object_blocks(value, characters)


def _text_blocks(value: Any, budget: int) -> Iterator[str]:
    if is_instance(value, str):
        length = str.__len__(value)
        # More than this never fits, and a copy of all of it would be slow.
        head, tail = str.__getitem__(value, slice(0, budget * 64)), str.__getitem__(value, slice(-budget * 64, None))
        text = head if length <= budget * 64 else head + tail
        yield f"{type_name(value)}, {counted(length, 'character')}"
        yield shortened(text, max(budget - 16, 1))
    else:
        kind = bytes if is_instance(value, bytes) else bytearray
        length = kind.__len__(value)
        yield f"{type_name(value)}, {counted(length, 'byte')}"
        shown = bytes(kind.__getitem__(value, slice(0, budget)))
        yield f"{shown!r}{'…' if length > budget else ''}"


def _container_blocks(value: Any, characters: int) -> Iterator[str | list[str]]:
    length = next(kind.__len__(value) for kind in _CONTAINERS if is_instance(value, kind))
    noun = "key" if is_instance(value, dict) else "item"
    yield f"{type_name(value)}, {counted(length, noun)}"
    outline = structure(value)
    texts = list(renderings(value, characters))
    if outline and ("…" in texts[0] or len(texts[0]) > len(outline) * 3):
        yield f"structure: {outline}"
    yield texts


def _object_blocks(value: Any, characters: int) -> Iterator[str | list[str]]:
    yield f"instance of {module_of(type(value))}.{type_name(value)}"
    own = fields(value)
    if own and (owner(value, "__repr__") is object or owner(value, "__dataclass_fields__") is not None):
        yield list(renderings(value, characters))
        return
    if prints_too_much(value):
        yield list(renderings(value, characters * 3 // 4))
        return
    yield render_repr(value, characters * 3 // 4)
    public = [f"{name}: {type_name(found)}" for name, found in own.items() if not name.startswith("_")]
    if public:
        yield f"attributes: {', '.join(public[:50])}"
