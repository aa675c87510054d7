"""Describe data frames and series of pandas and polars: shape, a line for each column, the first rows.

A large table is described from rows at even distances, so that the time does not grow with it. Its shape and types are
exact; what comes from the sample says so.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .fitting import fits
from .lookup import is_a
from .render import counted, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SAMPLE_CELLS: Final = 1_000_000
"""Most values that are looked at."""
SAMPLE_ROWS: Final = 100_000
HEAD_ROWS: Final = 10
NAMES_CHARACTERS: Final = 400
TOP_VALUES: Final = 3
CELL_CHARACTERS: Final = 40
LEAST_LINE: Final = 12
"""Tokens of the line of one column, at least."""


def is_tabular(value: object) -> bool:
    """Whether `value` is a frame, a series or an index."""
    return is_a(value, "pandas", "DataFrame", "Series", "Index") or is_a(
        value, "polars", "DataFrame", "Series", "LazyFrame"
    )


def blocks(value: Any, budget: int) -> Iterator[str | list[str]]:
    """Yield the parts of a table's description, the most important first."""
    if is_a(value, "polars", "LazyFrame"):
        # Its schema and rows may have to be read from somewhere; its plan is there.
        yield "polars.LazyFrame, not collected"
        yield str(value.explain(optimized=False))
    elif is_a(value, "pandas", "Index"):
        yield f"pandas.{type(value).__name__}, {counted(len(value), 'value')}, dtype {value.dtype}"
        yield render(value[:budget].tolist(), budget * 2)
    else:
        table = _pandas(value) if is_a(value, "pandas", "DataFrame", "Series") else _polars(value)
        yield f"{table.title}, {table.size}"
        if table.names:
            yield from _columns(table, budget * 2 // 3)
        if table.names and table.rows:
            yield _rows(table, budget)


def _columns(table: _Table, budget: int) -> Iterator[str]:
    """Yield a line for each column, with as much in it and for as many of them as the budget takes."""
    sampled = table.rows > table.sample_rows
    note = f" (from {counted(table.sample_rows, 'row')} at even distances)" if sampled else ""
    title = f"column | dtype | missing | values{note}"
    most = min(len(table.names), max(1, budget // LEAST_LINE))
    columns = [table.describe(position) for position in range(most)]
    for is_brief in (False, True):
        lines = [title, *(" | ".join((*each[:3], each[4 if is_brief else 3])) for each in columns)]
        if most == len(table.names) and fits("\n".join(lines), budget):
            yield "\n".join(lines)
            return
    rest = _left_out(table.names, 1)
    while len(lines) > 2 and not fits("\n".join([*lines, rest]), budget):  # noqa: PLR2004 - the title and a column
        del lines[-max(1, len(lines) // 8) :]
    yield "\n".join([*lines, _left_out(table.names, len(lines) - 1)])


def _left_out(names: Sequence[str], shown: int) -> str:
    text = ", ".join(names[shown : shown + 200])
    if len(text) > NAMES_CHARACTERS:
        text = f"{text[:NAMES_CHARACTERS]}…"
    return f"and {counted(len(names) - shown, 'more column')}: {text}"


def _rows(table: _Table, budget: int) -> list[str]:
    """Return the first rows, in several sizes."""
    wide = max(1, min(len(table.names), budget // LEAST_LINE))
    sizes = [(HEAD_ROWS, wide), (HEAD_ROWS // 2, wide), (3, wide), (1, wide), (1, max(1, wide // 2)), (1, 1)]
    texts = []
    for rows, columns in sizes:
        head = [row for _, row in zip(range(rows + 1), table.head(columns), strict=False)]
        some = f" of {counted(columns, 'column')}" if columns < len(table.names) else ""
        texts.append(f"first {counted(min(rows, table.rows), 'row')}{some}:\n{_as_csv(head)}")
    return texts


def _as_csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue().rstrip("\n")


def _cell(value: object) -> str:
    text = f"{value:.6g}" if type(value) is float else str(value)
    text = " ".join(text.split())
    return text if len(text) <= CELL_CHARACTERS else f"{text[:CELL_CHARACTERS]}…"


def _missing(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.1%})" if count else "0"


def _attempt(describe: Callable[[Any], tuple[str, str]], column: Any) -> tuple[str, str]:
    """Return what is said of a column; nothing if its type cannot do it, as types of extensions often cannot."""
    try:
        return describe(column)
    except Exception:  # noqa: BLE001 - anybody's type
        return "", ""


def _numbers(*values: Any) -> tuple[str, str]:
    """Return the usual description of numbers, at length and in brief."""
    known = dict(zip(("mean", "std", "min", "25 %", "median", "75 %", "max"), values, strict=True))
    words = [f"{name} {float(value):.6g}" for name, value in known.items() if value is not None]
    return ", ".join(words), f"{float(known['min']):.4g} … {float(known['max']):.4g}"


def _tops(unique: int, tops: Sequence[tuple[object, int]], of: int) -> tuple[str, str]:
    """Return the most frequent values, at length and in brief."""
    if unique == of and unique > TOP_VALUES:
        return f"all different: {', '.join(_cell(value) for value, _ in tops)}, …", "all different"
    values = ", ".join(f"{_cell(value)} {count:,}×" for value, count in tops)
    return f"{unique:,} different: {values}{', …' if unique > len(tops) else ''}", f"{unique:,} different"


@dataclass
class _Table:
    """A table of either library: what it is called, how large it is, and the rows that are looked at."""

    title: str
    size: str
    rows: int
    sample_rows: int
    names: list[str]
    sample: Any
    first: Any

    def describe(self, position: int) -> tuple[str, str, str, str, str]:
        """Return a column's name, type, missing values, and its values at length and in brief."""
        raise NotImplementedError

    def head(self, columns: int) -> Iterator[Sequence[object]]:
        """Yield the names of the first `columns`, then the first rows."""
        raise NotImplementedError


def _sample_step(rows: int, columns: int) -> int:
    most = max(100, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, columns)))
    return max(1, math.ceil(rows / most))


class _PandasTable(_Table):
    def describe(self, position: int) -> tuple[str, str, str, str, str]:
        column = self.sample.iloc[:, position]
        missing = int(column.isna().sum())
        values = _attempt(self._values, column.dropna()) if missing < len(column) else ("", "")
        return (self.names[position], str(column.dtype), _missing(missing, len(column)), *values)

    def _values(self, column: Any) -> tuple[str, str]:
        kind = column.dtype.kind
        if kind in "iuf":
            std = column.std() if len(column) > 1 else None
            quartiles = column.quantile([0.25, 0.5, 0.75]).tolist()
            return _numbers(column.mean(), std, column.min(), *quartiles, column.max())
        if kind in "mM":
            return (f"{column.min()} … {column.max()}",) * 2
        try:
            counts = column.value_counts()
        except TypeError:  # lists, dictionaries
            return (", ".join(_cell(value) for value in column.iloc[:TOP_VALUES].tolist()),) * 2
        tops = list(zip(counts.index[:TOP_VALUES].tolist(), counts.iloc[:TOP_VALUES].tolist(), strict=True))
        return _tops(len(counts), tops, len(column))

    def head(self, columns: int) -> Iterator[Sequence[object]]:
        rows = self.first.iloc[:HEAD_ROWS, :columns]
        yield ["", *self.names[:columns]]
        parts = [rows.iloc[:, position].tolist() for position in range(rows.shape[1])]
        for number, label in enumerate(rows.index.tolist()):
            yield [label, *(part[number] for part in parts)]


def _pandas(value: Any) -> _PandasTable:
    frame, size = value, ""
    if is_a(value, "pandas", "Series"):
        frame = value.to_frame("values" if value.name is None else value.name)
        size = counted(len(value), "value")
    rows, columns = frame.shape
    size = size or f"{counted(rows, 'row')} × {counted(columns, 'column')}"
    memory = _bytes(int(frame.memory_usage(index=False).sum()))
    sample = frame.iloc[:: _sample_step(rows, columns)]
    return _PandasTable(
        title=f"pandas.{type(value).__name__}",
        size=f"{size}, {memory}, {_index(frame.index)}",
        rows=rows,
        sample_rows=len(sample),
        names=[str(name) for name in frame.columns],
        sample=sample,
        first=frame.iloc[:HEAD_ROWS],
    )


def _index(index: Any) -> str:
    name = f" {index.name}" if index.name is not None else ""
    ends = f" {_cell(index[0])} … {_cell(index[-1])}" if len(index) else ""
    return f"{type(index).__name__}{name}{ends}"


def _bytes(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - the next unit's size
            return f"{count:,} {unit}"
        count = round(count / 1000)
    return f"{count:,} GB"


class _PolarsTable(_Table):
    def describe(self, position: int) -> tuple[str, str, str, str, str]:
        column = self.sample.to_series(position)
        known = column.drop_nulls()
        if column.dtype.is_float():
            known = known.drop_nans()
        missing = len(column) - len(known)
        values = _attempt(self._values, known) if len(known) else ("", "")
        return (self.names[position], str(column.dtype), _missing(missing, len(column)), *values)

    def _values(self, column: Any) -> tuple[str, str]:
        if column.dtype.is_numeric():
            quartiles = [column.quantile(at) for at in (0.25, 0.5, 0.75)]
            return _numbers(column.mean(), column.std(), column.min(), *quartiles, column.max())
        if column.dtype.is_temporal():
            return (f"{column.min()} … {column.max()}",) * 2
        if column.dtype.is_nested() or str(column.dtype) == "Object":
            return (", ".join(_cell(value) for value in column.head(TOP_VALUES).to_list()),) * 2
        counts = column.value_counts(sort=True)
        return _tops(len(counts), list(counts.head(TOP_VALUES).iter_rows()), len(column))

    def head(self, columns: int) -> Iterator[Sequence[object]]:
        yield self.names[:columns]
        yield from (list(row) for row in self.first[:, :columns].iter_rows())


def _polars(value: Any) -> _PolarsTable:
    frame, size = value, ""
    if is_a(value, "polars", "Series"):
        frame, size = value.to_frame(), counted(len(value), "value")
    rows, columns = frame.shape
    size = size or f"{counted(rows, 'row')} × {counted(columns, 'column')}"
    sample = frame.gather_every(_sample_step(rows, columns))
    return _PolarsTable(
        title=f"polars.{type(value).__name__}",
        size=f"{size}, {_bytes(int(frame.estimated_size()))}",
        rows=rows,
        sample_rows=len(sample),
        names=list(frame.columns),
        sample=sample,
        first=frame.head(HEAD_ROWS),
    )
