"""Split long blocks (code, lists and tables) into parts that are finished before the block is.

Where a block is cut depends on nothing but the lines before the cut, so that it is the same however the text comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from ...core import language_of
from .code import ends_in_the_open

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

PART: Final = 1000
"""Characters at least in a part of code or of a list."""
TABLE_PART: Final = 3000
"""In a part of a table, which repeats the head."""
_HEAD_LINES: Final = 2
"""Of a table."""
_LEAST_APART: Final = 300
"""Characters between two places where code is looked at for an end, since each look reads it from its beginning."""


@dataclass(frozen=True)
class Cut:
    """A block cut in two: its first part, and a text that reads as a block of what is left."""

    part: str
    rest: str
    number: int
    """Of the first item that is left, for a numbered list; else 1."""
    size: int
    """Of the block."""


def first_part(block: Sequence[Token], source: str, number: int) -> Cut | None:
    """Return how to cut `block`, whose text is `source`, or None if it is too short or cannot be cut.

    Parameters
    ----------
    number : int
        Of the first item, if it is already the rest of a list.
    """
    kind = block[0].type
    if len(source) < PART:
        return None
    lines = list(StringIO(source))  # only newlines end lines in Markdown
    found: tuple[int, list[str], int] | None = None
    if kind == "fence":
        lines = [part for at, line in enumerate(lines) for part in (_parts(line) if at else [line])]
        found = _cut_code(block[0], lines)
    elif kind in {"bullet_list_open", "ordered_list_open"}:
        found = _cut_list(block, lines, number)
    elif kind == "table_open":
        found = _cut_table(lines)
    if found is None:
        return None
    at, again, number = found
    return Cut("".join(lines[:at]), "".join([*again, *lines[at:]]), number, len(source))


def _cut_code(fence: Token, lines: list[str]) -> tuple[int, list[str], int] | None:
    """Cut where a new statement begins: after an empty line and not indented; later, after any line."""
    body = lines[1 : 1 + len([part for line in StringIO(fence.content) for part in _parts(line)])]
    language = language_of(fence.info)
    size = looked = 0
    for at, (before, line) in enumerate(zip(["", *body], body, strict=False)):
        if size >= PART:
            is_gap = not before.strip() and line.strip() != ""
            is_good = is_gap and (not line[:1].isspace() or size >= 3 * PART) and size >= looked + _LEAST_APART
            if size >= 4 * PART or (is_good and not ends_in_the_open("".join(body[:at]), language)):
                return 1 + at, lines[:1], 1
            looked = size if is_good else looked
        size += len(line)
    return None


def _cut_list(block: Sequence[Token], lines: list[str], number: int) -> tuple[int, list[str], int] | None:
    begin, _ = block[0].map or (0, 0)
    items = [
        token.map[0] - begin for token in block if token.type == "list_item_open" and token.level == 1 and token.map
    ]
    starts = [0, *accumulate(map(len, lines))]
    for count, line in enumerate(items):
        if count and starts[line] >= PART:
            first = number or int(block[0].attrGet("start") or 1)
            return line, [], first + count
    return None


def _cut_table(lines: list[str]) -> tuple[int, list[str], int] | None:
    head = sum(map(len, lines[:_HEAD_LINES]))
    size = 0
    for at, line in enumerate(lines[_HEAD_LINES:], _HEAD_LINES):
        # A part has a row at least, and rows as long as the head that it repeats.
        if size and size >= max(TABLE_PART - head, head):
            return at, lines[:_HEAD_LINES], 1
        size += len(line)
    return None


def _parts(line: str) -> list[str]:
    """Return a line of code in parts, if it is longer than a part of code."""
    return [line[at : at + 4 * PART] for at in range(0, len(line), 4 * PART)]
