r"""Keep IPython from changing a prompt before the magic sees it.

IPython takes a line's ``?`` for a call for help, strips ``>>>`` and ``In [1]:`` from what looks pasted, dedents, and
empties lines of blanks. A prompt is no code: each ``%chat`` and ``%%chat`` becomes a plain call, with the prompt as
a string, before any of that. So does each of the other magics, for what is typed behind ``%chat_fix``, or as a title.
A name that ``%alias_magic`` gave to one of them is replaced by its own, or IPython would expand braces and dollars.

A line that ends in a backslash goes on in the next one, joined by a space, as for every IPython magic; in a
``%%chat`` body a backslash is a backslash.
"""

from __future__ import annotations

import re
import shlex
import tokenize
from contextlib import suppress
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final, Literal

from IPython.core.inputtransformer2 import make_tokens_by_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNNERS: Final = "debug|lprun|memit|mprun|prun|time|timeit"
"""Magics that run the statement behind them, as our magics are typed for them."""
_CELL: Final = re.compile(r"(?P<indent>[ \t]*)%%(?P<name>\S+)(?:\s+(?P<line>.*?))?\s*")
_LINE: Final = re.compile(r"(^\s*|=\s*)%([^\s%]\S*)\s+(?=\S)")
_RUNNER: Final = re.compile(RUNNERS)
_MAGIC: Final = re.compile(r"%(\S+)")
_ALIAS: Final = re.compile(r"^[ \t]*%alias_magic[ \t]+(.+)$", re.MULTILINE)
_OURS: Final = re.compile(r"chat(?:anywhere)?(?:_[a-z]+)?")

MAX_TRIES: Final = 4
"""Most places of a line at which one of our magics is looked for; the line is read anew for each."""
MAX_READ_AGAIN: Final = 200_000
"""Characters above lines that turned out to be no statements, as in a long string: of more, IPython has the rest."""
ASKING: Final = frozenset({"chat", "chatanywhere"})
"""Names of the magic that gives a response."""

Called = tuple[str, str]
"""A magic of ours by its own name, and what an alias puts before its line."""


def by_form(name: str) -> Called | None:
    """Return the magic that `name` looks like."""
    return (name, "") if _OURS.fullmatch(name) else None


def aliases_made(cell: str) -> dict[str, Called]:
    """Return the names that a cell gives to magics with ``%alias_magic``, each with the magic's and its parameters."""
    made = {}
    for line in _ALIAS.findall(cell):
        names, params = [], ""
        with suppress(ValueError):  # a quotation mark is missing, which IPython will say
            words = iter(shlex.split(line))
            for word in words:
                if word in {"-p", "--params"}:
                    params = next(words, "")
                elif match := re.match(r"--params=|-p", word):
                    params = word[match.end() :]
                elif not word.startswith("-"):
                    names.append(word.lstrip("%"))
            if len(names) == 2:  # noqa: PLR2004 - the new one and the old one
                made[names[0]] = names[1], params
    return made


def first_row(lines: Sequence[str]) -> int | None:
    """Return the row of the first line that is neither blank nor a comment."""
    return next((row for row, line in enumerate(lines) if (words := line.strip()) and words[0] != "#"), None)


def cell_magic(lines: Sequence[str]) -> str:
    """Return the name of the cell magic that a cell begins with, below blank lines and comments; else ``""``."""
    row = first_row(lines)
    match = _CELL.fullmatch(lines[row]) if row is not None else None
    return match["name"] if match else ""


class NothingAbove:
    """Take away blank lines and comments above a ``%%chat``: IPython looks for a cell magic in the first line only.

    Parameters
    ----------
    find : callable, optional
        Returns what a name calls, if that is a magic of ours.
    """

    def __init__(self, find: Callable[[str], Called | None] = by_form) -> None:
        self._find = find

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines` from the ``%%chat`` on."""
        return lines[first_row(lines) :] if self._find(cell_magic(lines)) else lines


class CellAsTyped:
    """Rewrite a ``%%chat`` cell before IPython's own transformations.

    Parameters
    ----------
    find : callable, optional
        Returns what a name calls, if that is a magic of ours.
    """

    has_side_effects = True
    """Has IPython leave this out when it asks whether a cell is complete: it must see that it is a cell magic."""

    def __init__(self, find: Callable[[str], Called | None] = by_form) -> None:
        self._find = find

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines` with a ``%%chat`` cell as a call of the magic."""
        match = _CELL.fullmatch(lines[0]) if lines else None
        called = self._find(match["name"]) if match else None
        if match is None or called is None:
            return lines
        name, before = called
        line = f"{before} {match['line'] or ''}".strip()
        body = "".join(each.removeprefix(match["indent"]) for each in lines[1:])
        return [f"get_ipython().run_cell_magic({name!r}, {line!r}, {body!r})\n"]


class LinesAsTyped:
    """Rewrite ``%chat What is a list?`` and ``answer = %chat What is a list?``, wherever they are statements.

    What is assigned is asked for as a value; by itself the magic shows the response and returns nothing, or the
    answer would be shown and kept a second time. ``%time %chat What is a list?`` becomes a plain call of ``%time``,
    which runs the rest as a cell of its own.

    ``%chat?`` and ``%chat??`` stay what they are: help on the magic.

    Parameters
    ----------
    find : callable, optional
        Returns what a name calls, if that is a magic of ours.
    """

    def __init__(self, find: Callable[[str], Called | None] = by_form) -> None:
        self._find = find

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines` with each of our magics as a call."""
        if lines and lines[0].startswith("%%"):
            return lines  # the body is that magic's, be it a file to write or a program in another language
        lines = list(lines)
        made = aliases_made("".join(lines))
        known = 0  # behind the last line that was a statement of ours: what comes before it is over
        above = [0, *accumulate(map(len, lines))]
        read_again = 0
        for row in range(len(lines)):
            if read_again > MAX_READ_AGAIN:
                break
            ours = [match.start() for match in _MAGIC.finditer(lines[row]) if self._called(match[1], made)]
            for match in islice(_LINE.finditer(lines[row]), MAX_TRIES) if ours else ():
                runs_ours = _RUNNER.fullmatch(match[2]) and ours[-1] >= match.end()
                called = (match[2], "") if runs_ours else self._called(match[2], made)
                before = lines[row][: match.end(1)]
                if called and (role := _role_from(lines, known, row, before)):
                    end = _last_row(lines, row)
                    prompt = _joined([lines[row][match.end() :], *lines[row + 1 : end + 1]])
                    magic, params = called
                    if params:
                        prompt = f"{params} {prompt}"
                    if role == "value" and magic in ASKING:
                        prompt = f"--value {prompt}"  # or there would be nothing to assign
                    lines[row] = f"{before}get_ipython().run_line_magic({magic!r}, {prompt!r})\n"
                    # Left empty, not out: the lines below keep their numbers in tracebacks.
                    lines[row + 1 : end + 1] = ["\n"] * (end - row)
                    known = row + 1
                    break
                if called:
                    read_again += above[row] - above[known]
        return lines

    def _called(self, name: str, made: dict[str, Called]) -> Called | None:
        """Return which of our magics is called by `name`, also by one that the cell itself has `made`."""
        target, params = made.get(name, (name, ""))
        called = self._find(target)
        return called and (called[0], f"{called[1]} {params}".strip())


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
