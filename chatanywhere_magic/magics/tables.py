"""Show tables: HTML in a notebook, aligned text elsewhere."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TYPE_CHECKING

from ..render import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MARK = "▸"
"""Stands before what is in use."""


def show_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, marked: Collection[int] = (), note: str = ""
) -> None:
    """Show a table, with `note` below it.

    Parameters
    ----------
    header, rows
        Texts, which may be anybody's: they are shown as they are, and nothing in them has a meaning. A header of
        empty texts is left out.
    marked
        Indices of the rows that are in use.
    """
    from IPython.display import display

    data = {"text/plain": as_text(header, rows, marked, note), "text/html": as_html(header, rows, marked, note)}
    display(data, raw=True)


def as_text(header: Sequence[str], rows: Sequence[Sequence[str]], marked: Collection[int] = (), note: str = "") -> str:
    """Return a table as lines of text."""
    cells = [[" ".join(printable(cell).split()) for cell in row] for row in (header, *rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for number, row in enumerate(cells):
        mark = MARK if number - 1 in marked else " "
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        lines.append(f"{mark} {'  '.join(padded)}".rstrip())
    lines[:1] = [lines[0], "  " + "  ".join("─" * width for width in widths)] if any(header) else []
    return "\n".join([*lines, *([note] if note else [])])


def as_html(header: Sequence[str], rows: Sequence[Sequence[str]], marked: Collection[int] = (), note: str = "") -> str:
    """Return a table as HTML."""
    head = "".join(f'<th style="text-align: left">{escape(cell)}</th>' for cell in header) if any(header) else ""
    body = "".join(_row(row, is_marked=number in marked) for number, row in enumerate(rows))
    below = f'<div style="opacity: 0.75; font-size: 85%">{escape(note)}</div>' if note else ""
    return (
        '<div class="mathjax_ignore tex2jax_ignore" dir="auto"><table>'
        f"{f'<thead><tr><th></th>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>{below}</div>"
    )


def _row(row: Sequence[str], *, is_marked: bool) -> str:
    cells = [f"<strong>{escape(cell)}</strong>" if is_marked else escape(cell) for cell in row]
    first, *others = cells
    shown = f'<td style="text-align: left; white-space: nowrap">{first}</td>'
    shown += "".join(f'<td style="text-align: left">{cell}</td>' for cell in others)
    return f"<tr><td>{MARK if is_marked else ''}</td>{shown}</tr>"


def _width(words: str) -> int:
    """Return how many columns `words` takes in a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in words)
