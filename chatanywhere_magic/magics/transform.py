r"""Keep IPython from changing a prompt before the magic sees it.

IPython takes a line's ``?`` for a call for help, strips ``>>>`` and ``In [1]:`` from what looks pasted, dedents, and
empties lines of blanks. A prompt is no code: each ``%chat`` and ``%%chat`` becomes a plain call, with the prompt as
a string, before any of that. So does each of the other magics, for what is typed behind ``%chat_fix``, or as a title.

A line that ends in a backslash goes on in the next one, joined by a space, as for every IPython magic; in a
``%%chat`` body a backslash is a backslash.
"""

from __future__ import annotations

import re
import tokenize
from typing import TYPE_CHECKING, Final, Literal

from IPython.core.inputtransformer2 import make_tokens_by_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNNERS: Final = "debug|lprun|memit|mprun|prun|time|timeit"
"""Magics that run the statement behind them, as our magics are typed for them."""
_CELL: Final = re.compile(r"%%(chat(?:anywhere)?)(?:\s+(.*?))?\s*")
_LINE: Final = re.compile(rf"(^\s*|=\s*)%(chat(?:anywhere)?(?:_[a-z]+)?|(?:{RUNNERS})(?=\s.*%chat))\s+(?=\S)")

ASKING: Final = frozenset({"chat", "chatanywhere"})
"""Names of the magic that gives a response."""


def _always(_name: str) -> bool:
    return True


class CellAsTyped:
    """Rewrite a ``%%chat`` cell before IPython's own transformations.

    Parameters
    ----------
    is_ours : callable, optional
        Returns whether a magic's name is ours and not another extension's.
    """

    has_side_effects = True
    """Has IPython leave this out when it asks whether a cell is complete: it must see that it is a cell magic."""

    def __init__(self, is_ours: Callable[[str], bool] = _always) -> None:
        self._is_ours = is_ours

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines` with a ``%%chat`` cell as a call of the magic."""
        first = next((row for row, line in enumerate(lines) if line.strip()), None)
        match = _CELL.fullmatch(lines[first]) if first is not None else None
        if first is None or match is None or not self._is_ours(match[1]):
            return lines
        body = "".join(lines[first + 1 :])
        return [f"get_ipython().run_cell_magic({match[1]!r}, {match[2] or ''!r}, {body!r})\n"]


class LinesAsTyped:
    """Rewrite ``%chat What is a list?`` and ``answer = %chat What is a list?``, wherever they are statements.

    What is assigned is asked for as a value; by itself the magic shows the response and returns nothing, or the
    answer would be shown and kept a second time. ``%time %chat What is a list?`` becomes a plain call of ``%time``,
    which runs the rest as a cell of its own.

    ``%chat?`` and ``%chat??`` stay what they are: help on the magic.

    Parameters
    ----------
    is_ours : callable, optional
        Returns whether a magic's name is ours and not another extension's.
    """

    def __init__(self, is_ours: Callable[[str], bool] = _always) -> None:
        self._is_ours = is_ours

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines` with each of our magics as a call."""
        if lines and lines[0].startswith("%%"):
            return lines  # the body is that magic's, be it a file to write or a program in another language
        lines = list(lines)
        known = 0  # behind the last line that was a statement of ours: what comes before it is over
        for row in range(len(lines)):
            for match in _LINE.finditer(lines[row]):
                before, magic = lines[row][: match.end(1)], match[2]
                is_ours = not magic.startswith("chat") or self._is_ours(magic)
                if role := is_ours and _role_from(lines, known, row, before):
                    end = _last_row(lines, row)
                    prompt = _joined([lines[row][match.end() :], *lines[row + 1 : end + 1]])
                    if role == "value" and magic in ASKING:
                        prompt = f"--value {prompt}"  # or there would be nothing to assign
                    lines[row] = f"{before}get_ipython().run_line_magic({magic!r}, {prompt!r})\n"
                    # Left empty, not out: the lines below keep their numbers in tracebacks.
                    lines[row + 1 : end + 1] = ["\n"] * (end - row)
                    known = row + 1
                    break
        return lines


def _role_from(lines: Sequence[str], known: int, row: int, before: str) -> Literal["statement", "value", ""]:
    """Return the role in a line, read from the line `known` on, where a statement ended."""
    try:
        return _role(lines[known:row], before)
    except IndentationError:  # the block that it is in begins further up
        return _role(lines[:row], before)


def _role(earlier: Sequence[str], before: str) -> Literal["statement", "value", ""]:
    """Tell what follows `before`: a statement of its own, what is assigned, or neither, as in a string or brackets."""
    lines = [*earlier, f"{before}pass\n"]
    for statement in make_tokens_by_line(lines):
        words = [token for token in statement if token.string.strip()]
        if not words or words[-1].string != "pass" or words[-1].end[0] != len(lines):
            continue
        if any(word.type == tokenize.ERRORTOKEN for word in words):
            return ""  # a string that is not closed yet
        names = [word.string for word in words]
        if names == ["pass"]:
            return "statement"
        if names[0] == "%":
            return ""  # another magic's line
        is_closed = sum(name in {"(", "[", "{"} for name in names) == sum(name in {")", "]", "}"} for name in names)
        return "value" if names[-2] == "=" and is_closed else ""
    return ""


def _last_row(lines: Sequence[str], row: int) -> int:
    while lines[row].endswith("\\\n") and row + 1 < len(lines):
        row += 1
    return row


def _joined(pieces: Sequence[str]) -> str:
    return " ".join([*(piece.removesuffix("\\\n").strip() for piece in pieces[:-1]), pieces[-1].strip()])
