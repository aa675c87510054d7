"""The tables in a Markdown text, with their values as they are written."""

from __future__ import annotations

import re
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,300}")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.(?P<decimals>[0-9]{1,300}))?(?P<power>e[+-][0-9]{2,3})?")
_EXACT: Final = 2**53
"""Integers up to here stay what they are when pandas makes decimals of them, as it does beside an empty cell."""
_DASHES: Final = re.compile(r":?-+:?")
_PIPE: Final = re.compile(r"(?<!\\)\|")
_WHOLE: Final = re.compile(
    r"(?<!`)(?P<ticks>`{1,9})(?!`)[^\n]{0,500}?(?<!`)(?P=ticks)(?!`)"
    r"|(?<![\\$])\$(?![\s$])(?:\\.|[^$\\\n]){0,500}(?<!\s)\$(?![\d$])|\$\$[^$\n]{1,500}\$\$|\\\([^\n]{0,500}?\\\)"
)
"""Code and formulas, in which a pipe is one."""
_FORMULA: Final = re.compile(r"(\$\$[^$\n]{1,500}\$\$|(?<![\\$])\$(?![\s$])(?:\\.|[^$\\\n]){0,500}(?<!\s)\$(?![\d$]))")


def tables_in(markdown: str) -> list[Any]:
    """Return the tables in a text: DataFrames if pandas is installed, else lists of rows."""
    from markdown_it import MarkdownIt  # loaded with the first response that is searched, not with the extension

    # What stands in a line is read where it is needed: to read all of it takes long, and most of it is no table.
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    tables: list[list[list[str]]] = []
    for before, token in pairwise(parser.parse(_with_whole_cells(markdown))):
        if before.type == "table_open":
            tables.append([])
        elif before.type == "tr_open":
            tables[-1].append([])
        if before.type in {"th_open", "td_open"}:
            tables[-1][-1].append(_plain(parser, token.content))
    return [_frame(rows) for rows in tables]


def _plain(parser: MarkdownIt, cell: str) -> str:
    """Return a cell without its marks. A formula is left as it is: its asterisks and underscores are none."""
    words = ""
    for index, piece in enumerate(_FORMULA.split(cell)):
        if index % 2:
            words += piece
            continue
        inline: list[Any] = []
        parser.inline.parse(piece, parser, {}, inline)
        words += "".join(token.content for token in inline)
    return words


def _with_whole_cells(markdown: str) -> str:
    r"""Return a text with ``\|`` for a pipe in code and formulas, in rows that have more cells than the table."""
    if "|" not in markdown:
        return markdown
    lines = markdown.split("\n")
    columns = 0
    """Of the table that is being read."""
    for row, line in enumerate(lines):
        if row and not columns and "|" in lines[row - 1] and _is_rule(line):
            columns = _count(line)
            lines[row - 1] = _with_columns(lines[row - 1], columns)
        elif columns:
            columns = columns if line.strip() else 0
            lines[row] = _with_columns(line, columns)
    return "\n".join(lines)


def _is_rule(line: str) -> bool:
    """Tell whether a line is that between a table's head and its rows."""
    cells = line.strip(" \t>").removeprefix("|").removesuffix("|").split("|")
    return all(_DASHES.fullmatch(cell.strip()) for cell in cells)


def _with_columns(line: str, columns: int) -> str:
    if columns == 0 or _count(line) <= columns:
        return line
    escaped = _WHOLE.sub(lambda match: _PIPE.sub(r"\\|", match[0]), line)
    return escaped if _count(escaped) == columns else line


def _count(line: str) -> int:
    """Return how many cells a row has."""
    words = line.strip(" \t>")
    return len(_PIPE.findall(words)) + 1 - words.startswith("|") - (len(words) > 1 and words.endswith("|"))


def _frame(rows: list[list[str]]) -> Any:
    """Return a table as a DataFrame, or, without pandas, as its rows."""
    header, *body = rows
    columns = [_values(column) for column in zip(*body, strict=True)] or [[] for _ in header]
    if find_spec("pandas") is None:
        return [header, *(list(row) for row in zip(*columns, strict=True))]
    pandas = import_module("pandas")
    # By position first: a model may head two columns alike.
    frame = pandas.DataFrame(dict(enumerate(columns)))
    frame.columns = header
    return frame


def _values(column: Sequence[str]) -> list[Any]:
    """Return a column's cells as numbers if all of them are plain ones; an empty cell is None then.

    A number would change what is written otherwise: a postal code (02101), a version (1.10 after 1.9), a period
    (2024_01), an identifier (1e5), one with more digits than a number keeps.
    """
    filled = [cell for cell in column if cell]
    if filled and all(map(_INTEGER.fullmatch, filled)):
        numbers = [int(cell) if cell else None for cell in column]
        is_kept = len(filled) == len(column) or all(abs(number or 0) <= _EXACT for number in numbers)
        return numbers if is_kept else list(column)
    found = [_NUMBER.fullmatch(cell) for cell in filled]
    decimals = {len(match["decimals"]) for match in found if match and match["decimals"] and not match["power"]}
    if filled and all(match and _is_kept(match, len(decimals) == 1) for match in found):
        return [float(cell) if cell else None for cell in column]
    return list(column)


def _is_kept(match: re.Match[str], is_uniform: bool) -> bool:  # noqa: FBT001 - of the column
    """Tell whether a number says the same when it is one; zeros at its end do if all have as many decimals."""
    written, number = match[0], float(match[0])
    if match["power"]:
        return repr(number) == written
    if not match["decimals"] and not _INTEGER.fullmatch(written):
        return False  # -0
    return Decimal(repr(number)) == Decimal(written) and (is_uniform or not match["decimals"] or written[-1] != "0")
