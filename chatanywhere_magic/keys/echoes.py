"""Where a known value stands in a text, in whatever form: as it is, escaped, in hexadecimal digits or in base64.

The text is decoded once, and what is decoded is searched for plain strings. The work grows with the text and not with
how much of it resembles the value, and one decoding serves any number of values.
"""

from __future__ import annotations

import re
from array import array
from base64 import b64encode
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PASSES: Final = 4
"""Escapes within escapes, such as JSON in a URL, are undone so many times."""
# A run of backslashes, of "%25" or of "&amp;" is one escape that was escaped again; a longer one is several.
_ESCAPE: Final = re.compile(
    rb"\\{1,16}(?:u\{0{0,8}([0-9a-f]{1,6})\}|u(?:0000)?([0-9a-f]{4})|x([0-9a-f]{2})|([nrt]))?"
    rb"|%(?:25){0,8}(?:u00)?([0-9a-f]{2})"
    rb"|&(?:amp;){0,8}(?:#x0{0,8}([0-9a-f]{1,6});?|#0{0,8}([0-9]{1,7});?|([a-z]{2,24});)"
)
_BEGUN: Final = re.compile(
    rb"(?:\\{1,16}(?:u\{?[0-9a-f]{0,14}|x[0-9a-f]?)?|%(?:25){0,8}(?:u0{0,2})?[0-9a-f]?"
    rb"|&(?:amp;){0,8}(?:#x?[0-9a-f]{0,14}|[a-z]{0,24}))\Z"
)
"""An escape whose last letters are missing."""
_LONGEST_ESCAPE: Final = 64
_LEAST_DECODED: Final = 8
"""Of a value that consists of escapes less may be left, which then stands in many a text."""
_SPACE: Final = re.compile(rb"[ \t\r\n]+")
_LAST_CODE_POINT: Final = 0x10FFFF


class Forms:
    """The forms in which a value may be met, all in small letters.

    Parameters
    ----------
    value : str
        The value itself.
    """

    __slots__ = ("__all", "__in_base64", "least")

    def __init__(self, value: str) -> None:
        data = value.encode("utf-8", "surrogatepass")
        small = data.lower()
        plain = {small, small.replace(b" ", b"+"), data.hex().encode()}
        decoded = Text(value).layers[-1]
        if len(decoded) >= _LEAST_DECODED:
            plain.add(decoded)
        # In base64 a text looks different by where it begins: at the 1st, 2nd or 3rd byte of a group. What stands
        # for bytes of the neighbours is left out.
        encoded = set[bytes]()
        for before in range(3):
            form = b64encode(b"\0" * before + data).lower()
            inner = form[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]
            encoded |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
        self.__in_base64 = sorted(encoded)
        self.__all = [*sorted(plain), *self.__in_base64]
        self.least = min(map(len, self.__all))
        """Bytes of the shortest: in fewer there is none of them."""

    def __repr__(self) -> str:
        return "Forms(***)"

    def all(self) -> list[bytes]:
        """Return every form."""
        return self.__all

    def in_base64(self) -> list[bytes]:
        """Return the forms that may be broken into lines."""
        return self.__in_base64


class _Layer(NamedTuple):
    """A text in which something was replaced, and where: what stands there now, and what stood there before."""

    data: bytes
    starts: array[int]
    ends: array[int]
    from_starts: array[int]
    from_ends: array[int]

    def origin(self, at: int) -> tuple[int, int]:
        """Return from where to where the byte at `at` was made of the text before."""
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return at, at + 1
        beyond = at - self.ends[index]
        if beyond < 0:
            return self.from_starts[index], self.from_ends[index]
        return self.from_ends[index] + beyond, self.from_ends[index] + beyond + 1


class Text:
    """A text in which values are looked for.

    Parameters
    ----------
    words : str
        The text.
    is_open : bool
        Whether more of it may follow, so that an escape at its end may be half written.
    """

    def __init__(self, words: str, *, is_open: bool = False) -> None:
        self._data = words.encode("utf-8", "surrogatepass")
        self._small = self._data.lower()
        self._layers: list[_Layer] = []
        data = self._small
        while len(self._layers) < _PASSES and (b"\\" in data or b"%" in data or b"&" in data):
            begun = _BEGUN.search(data, max(0, len(data) - _LONGEST_ESCAPE)) if is_open else None
            layer = _replaced(_ESCAPE, data[: begun.start()] if begun else data)
            if layer.data == data:
                break
            self._layers.append(layer)
            data = layer.data
        self._joined: bytes | None = None

    @property
    def layers(self) -> list[bytes]:
        """The text in small letters, and what it is with its escapes undone once, twice …."""
        return [self._small, *(layer.data for layer in self._layers)]

    def holds(self, forms: Forms) -> bool:
        """Tell whether one of `forms` is in the text."""
        return any(form in layer for layer in self.layers for form in forms.all()) or any(
            form in self._without_spaces() for form in forms.in_base64()
        )

    def places(self, forms: Forms) -> list[tuple[int, int]]:
        """Return where `forms` stand, in order: places in the text's UTF-8."""
        if not self.holds(forms):
            return []
        found: set[tuple[int, int]] = set()
        for depth, data in enumerate(self.layers):
            found |= {_traced(place, self._layers[:depth]) for form in forms.all() for place in _every(form, data)}
        joined = _replaced(_SPACE, self.layers[-1])
        route = [*self._layers, joined]
        found |= {_traced(place, route) for form in forms.in_base64() for place in _every(form, joined.data)}
        return merged(found)

    def without(self, places: Iterable[tuple[int, int]], start: int = 0, end: int | None = None) -> str:
        """Return the text from `start` to `end` with ``***`` in the `places`, which are in order and apart."""
        kept, at = [], start
        for begin, over in places:
            kept.append(self._data[at : max(at, begin)])
            at = over
        kept.append(self._data[at:end])
        return b"***".join(kept).decode("utf-8", "surrogatepass")

    @staticmethod
    def size(words: str) -> int:
        """Return how many bytes `words` have in UTF-8."""
        return len(words) if words.isascii() else len(words.encode("utf-8", "surrogatepass"))

    def half(self, forms: Forms, least: int) -> int:
        """Return where the end begins that may become one of `forms` once more follows; the length if there is none.

        Parameters
        ----------
        least : int
            The bytes that such an end has at least.
        """
        begins = len(self._data)
        for depth, data in enumerate(self.layers):
            for form in forms.all():
                size = _beginning(data[-len(form) :], form, least)
                if size:
                    begins = min(begins, _traced((len(data) - size, len(data)), self._layers[:depth])[0])
        return begins

    def slice(self, start: int, end: int | None = None) -> str:
        """Return a part of the text by places in its UTF-8."""
        return self._data[start:end].decode("utf-8", "surrogatepass")

    def _without_spaces(self) -> bytes:
        if self._joined is None:
            self._joined = self.layers[-1].translate(None, b" \t\r\n")
        return self._joined


def merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return `places` in order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _every(form: bytes, data: bytes) -> Iterable[tuple[int, int]]:
    at = data.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = data.find(form, at + len(form))


def _traced(place: tuple[int, int], layers: Sequence[_Layer]) -> tuple[int, int]:
    """Return where what stands at `place` of the last of `layers` stood in the first text."""
    start, end = place
    for layer in reversed(layers):
        start, end = layer.origin(start)[0], layer.origin(end - 1)[1]
    return start, end


def _beginning(end: bytes, form: bytes, least: int) -> int:
    """Return how much of `end` is the longest beginning of `form` that it ends with; 0 if that is less than `least`."""
    first = form[:least]
    at = end.find(first)
    while at >= 0:
        if form.startswith(end[at:]):
            return len(end) - at
        at = end.find(first, at + 1)
    return 0


def _replaced(pattern: re.Pattern[bytes], data: bytes) -> _Layer:
    """Return `data` with what `pattern` matches replaced."""
    pieces: list[bytes] = []
    starts, ends, from_starts, from_ends = array("q"), array("q"), array("q"), array("q")
    at = size = 0
    for match in pattern.finditer(data):
        start, end = match.span()
        meant = _meaning(match) if match.lastindex else b""
        if meant is None:
            continue
        size += start - at
        pieces += (data[at:start], meant)
        starts.append(size)
        size += len(meant)
        ends.append(size)
        from_starts.append(start)
        from_ends.append(end)
        at = end
    pieces.append(data[at:])
    return _Layer(b"".join(pieces), starts, ends, from_starts, from_ends)


def _meaning(match: re.Match[bytes]) -> bytes | None:
    """Return what an escape stands for, in small letters, or None if it is not one."""
    braced, unicode, hexadecimal, space, percent, html_hexadecimal, html_decimal, named = match.groups()
    if percent or hexadecimal:
        return bytes((int(percent or hexadecimal, 16),)).lower()
    if space:
        return b" "
    if named:
        return _named().get(named)
    code = int(html_decimal) if html_decimal else int(braced or unicode or html_hexadecimal, 16)
    return chr(code).encode("utf-8", "surrogatepass").lower() if code <= _LAST_CODE_POINT else None


@cache
def _named() -> dict[bytes, bytes]:
    """Return the characters of ASCII that HTML has names for."""
    from html.entities import html5

    return {
        name.removesuffix(";").lower().encode(): value.lower().encode()
        for name, value in html5.items()
        if len(value) == 1 and value.isascii()
    }
