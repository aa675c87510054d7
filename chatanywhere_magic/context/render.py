"""Values as short text: built-in containers to a size and a depth, everything else by its ``repr``.

Long ones are never printed whole and then cut: that takes time that nobody can limit, for it is spent in C.
"""

from __future__ import annotations

import gc
import math
import sys
import types
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from .lookup import fields, is_instance, members, module_of, owner

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeGuard

_LEVELS: Final = ((1000, 2000, 8), (200, 400, 6), (60, 200, 5), (20, 100, 4), (8, 60, 3), (4, 40, 2), (2, 24, 1))
"""Items of a container, characters of a leaf, and depth; the first with which everything fits is taken."""
MAX_DIGITS: Final = 60
LINE: Final = 88
STRUCTURE_ITEMS: Final = 20
HEAVY: Final = 20_000
"""Items of what an object holds, beyond which it is not asked for its ``repr`` if that is written in C."""
STRUCTURE_LOOKED_AT: Final = 50

_NO_VALUES: Final = (type, types.ModuleType, types.FunctionType, types.FrameType, types.TracebackType)
_CONTAINERS: Final = (list, tuple, dict, set, frozenset, deque)
_BRACKETS: Final[dict[Any, tuple[str, str]]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
    deque: ("[", "]"),
}


def counted(number: int, noun: str) -> str:
    """Return ``1 item``, ``1,200 items``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def type_name(value: object) -> str:
    """Return the name of the class of `value`, past whatever that class may do."""
    name = type.__dict__["__qualname__"].__get__(type(value))
    return str(name)


def render(value: object, characters: int) -> str:
    """Return `value` as text of at most about `characters`, with as much detail as that allows."""
    text = ""
    for text in renderings(value, characters):
        if len(text) <= characters:
            return text
    return f"{text[:characters]}…"


def renderings(value: object, characters: int, *, asks: bool = True) -> Iterator[str]:
    """Yield `value` as text in less and less detail, from at most about `characters` on.

    Parameters
    ----------
    asks : bool, default True
        False calls no ``repr``: objects of other classes than the built-in ones are named by their class.
    """
    for items, width, depth in _LEVELS:
        text = _Renderer(items, min(width, max(characters, 16)), depth, asks).text(value)
        if len(text) <= characters or items == _LEVELS[-1][0]:
            yield text


def render_repr(value: object, characters: int) -> str:
    """Return ``repr(value)``, at most `characters` of it."""
    text = str.__str__(repr(value))
    if len(text) <= characters:
        return text
    return f"{text[: characters * 3 // 5]} … {text[len(text) - characters * 2 // 5 :]}"


class _Renderer:
    """One level of detail."""

    def __init__(self, items: int, width: int, depth: int, asks: bool) -> None:  # noqa: FBT001 - passed through
        self._items = items
        self._width = width
        self._depth = depth
        self._asks = asks

    def text(self, value: Any, level: int = 0) -> str:
        for kind, how in _KINDS:
            if is_instance(value, kind):
                return how(self, value, level)
        if fields(value) and (owner(value, "__repr__") is object or owner(value, "__dataclass_fields__") is not None):
            return self._object(value, level)
        if not self._asks:
            return f"<{type_name(value)}>"
        if prints_too_much(value):
            return self._inside(value, level)
        try:
            return render_repr(value, self._width)
        except Exception as caught:  # noqa: BLE001 - anybody's code
            return f"<{type_name(value)}: its repr fails with {type(caught).__name__}>"

    def _number(self, value: Any, _level: int) -> str:
        if is_instance(value, int):
            bits = int.bit_length(value)
            if bits > MAX_DIGITS * 4:
                return f"<integer of about {int(bits * math.log10(2)) + 1:,} digits>"
            return int.__repr__(value)
        return float.__repr__(value)

    def _flag(self, value: Any, _level: int) -> str:
        return repr(value)

    def _string(self, value: Any, _level: int) -> str:
        length = len(value) if type(value) is str else str.__len__(value)
        if length <= self._width:
            return str.__repr__(value)
        head, tail = self._width * 3 // 5, self._width * 2 // 5
        return f"{str.__getitem__(value, slice(0, head))!r}…{str.__getitem__(value, slice(length - tail, None))!r}"

    def _bytes(self, value: Any, _level: int) -> str:
        kind = bytes if is_instance(value, bytes) else bytearray
        length = kind.__len__(value)
        shown = repr(bytes(kind.__getitem__(value, slice(0, self._width // 4))))
        return shown if length <= self._width // 4 else f"{shown}… ({length:,} bytes)"

    def _dictionary(self, value: Any, level: int) -> str:
        length = dict.__len__(value)
        if level >= self._depth:
            return f"{{… {counted(length, 'key')}}}" if length else "{}"
        pairs = (f"{self.text(key, level + 1)}: {self.text(each, level + 1)}" for key, each in dict.items(value))
        return self._enclosed(pairs, length, "{", "}", level)

    def _sequence(self, value: Any, level: int) -> str:
        kind: Any = next(kind for kind in _BRACKETS if is_instance(value, kind))
        length = kind.__len__(value)
        named = owner(value, "_fields") if kind is tuple else None  # a named tuple
        names: Any = members(named).get("_fields") if named is not None else None
        opening, closing = _BRACKETS[kind]
        if type(value) is not kind or kind in {frozenset, deque}:
            opening = f"{type_name(value).rpartition('.')[2]}({'' if kind is tuple else opening}"
            closing = ")" if kind is tuple else f"{closing})"
        elif kind is set and not length:
            return "set()"
        if level >= self._depth:
            return f"{opening}… {counted(length, 'item')}{closing}" if length else f"{opening}{closing}"
        each: Iterable[str] = (self.text(item, level + 1) for item in kind.__iter__(value))
        if type(names) is tuple:
            each = (f"{name}={text}" for name, text in zip(names, each, strict=False))
        if kind is tuple and length == 1 and opening == "(":
            closing = ",)"
        return self._enclosed(each, length, opening, closing, level)

    def _object(self, value: Any, level: int) -> str:
        name = type_name(value).rpartition(".")[2]
        own = fields(value)
        if level >= self._depth:
            return f"{name}(…)"
        each = (f"{key}={self.text(found, level + 1)}" for key, found in own.items())
        return self._enclosed(each, len(own), f"{name}(", ")", level)

    def _inside(self, value: Any, level: int) -> str:
        """Return what an object holds whose ``repr`` would print all of it."""
        if level >= self._depth:
            return f"<{type_name(value)}: …>"
        held = _held(value)
        texts = (self.text(each, level + 1) for each in held)
        length = len(value) if _is_array(value) else len(held)
        return self._enclosed(texts, length, f"<{type_name(value)}: ", ">", level)

    def _enclosed(self, texts: Iterable[str], length: int, opening: str, closing: str, level: int) -> str:
        shown = list(islice(texts, self._items))
        is_row = all(len(text) <= LINE // 8 for text in shown)  # numbers are no easier to read as a column
        if length > len(shown):
            shown.append(f"… {length - len(shown):,} more")
        line = f"{opening}{', '.join(shown)}{closing}"
        if len(line) <= LINE or is_row:
            return line
        pad = " " * (level + 1)
        inside = "".join(f"{pad}{text},\n" for text in shown)
        return f"{opening}\n{inside}{' ' * level}{closing}"


_KINDS: Final[tuple[tuple[Any, Callable[[_Renderer, Any, int], str]], ...]] = (
    (str, _Renderer._string),  # noqa: SLF001 - its own table
    ((bytes, bytearray), _Renderer._bytes),  # noqa: SLF001
    ((bool, type(None), type(...), complex), _Renderer._flag),  # noqa: SLF001
    ((int, float), _Renderer._number),  # noqa: SLF001
    (dict, _Renderer._dictionary),  # noqa: SLF001
    (tuple(_BRACKETS), _Renderer._sequence),  # noqa: SLF001
)


def prints_too_much(value: object) -> bool:
    """Whether the ``repr`` of an object may hold the interpreter for long: no limit in time can end that."""
    return _prints_all(value) and _is_heavy(value)


def _prints_all(value: object) -> bool:
    """Whether a ``repr`` written in C prints what the object holds: until it has done so, nothing else runs."""
    kind = owner(value, "__repr__")
    if kind is None or kind is object:
        return False
    is_wrapper = module_of(kind) == "collections"  # written in Python, around containers whose repr is not
    return is_wrapper or type(members(kind)["__repr__"]) is types.WrapperDescriptorType


def _held(value: object) -> list[object]:
    """Return the values, none of them a class or code, to which an object refers."""
    if _is_array(value):
        return list(value[:STRUCTURE_LOOKED_AT])
    held = list(fields(value).values()) or gc.get_referents(value)
    return [each for each in held if not is_instance(each, _NO_VALUES)]


def _is_array(value: object) -> TypeGuard[array[Any]]:
    """Whether `value` is an ``array.array``."""
    found = sys.modules.get("array")
    return found is not None and type(value) is found.array


def _is_heavy(value: object) -> bool:
    """Whether an object holds more than is printed in a moment, as far as it holds built-in values."""
    if _is_array(value):
        return len(value) > HEAVY
    weight, waiting, seen = 0, [value], set()
    while waiting and weight <= HEAVY:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        weight += 1
        if is_instance(each, (str, bytes, bytearray)):
            weight += _sized(each) // LINE
        elif is_instance(each, _CONTAINERS):
            weight += _sized(each)
            if weight <= HEAVY:
                waiting += gc.get_referents(each)
        elif _prints_all(each):
            waiting += _held(each)
    return weight > HEAVY


def _sized(value: object) -> int:
    kind: Any = next(kind for kind in (str, bytes, bytearray, *_CONTAINERS) if is_instance(value, kind))
    return int(kind.__len__(value))


def structure(value: object, depth: int = 4) -> str:
    """Return how a nested container is built: ``{"users": [{"name": str} × 120]}``; ``""`` for a flat one."""
    inside: Iterable[Any] = ()
    if is_instance(value, dict):
        inside = dict.values(cast("dict[Any, Any]", value))
    elif is_instance(value, (list, tuple)):
        inside = _items(value)
    is_nested = any(is_instance(each, (dict, list, tuple)) for each in islice(inside, STRUCTURE_ITEMS))
    return _shape(value, depth) if is_nested else ""


def _items(value: Any) -> Iterator[Any]:
    """Return the items of a list or a tuple, past an ``__iter__`` of a subclass."""
    return list.__iter__(value) if is_instance(value, list) else tuple.__iter__(value)


def _shape(value: Any, depth: int) -> str:
    if is_instance(value, dict):
        if not depth:
            return "{…}"
        pairs = [
            f"{render(key, 40)}: {_shape(each, depth - 1)}" for key, each in islice(dict.items(value), STRUCTURE_ITEMS)
        ]
        more = dict.__len__(value) - len(pairs)
        return "{" + ", ".join([*pairs, *([f"… {more:,} more"] if more else [])]) + "}"
    if is_instance(value, (list, tuple)):
        if not depth:
            return "[…]"
        shapes = dict.fromkeys(_shape(each, depth - 1) for each in islice(_items(value), STRUCTURE_LOOKED_AT))
        length = list.__len__(value) if is_instance(value, list) else tuple.__len__(value)
        return f"[{' | '.join(islice(shapes, 3))} × {length:,}]"
    return type_name(value)
