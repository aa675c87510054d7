"""Describe data frames and series of pandas and polars: shape, a line for each column, the first rows.

A large table is described from rows at even distances, so that the time does not grow with it. Its shape and types are
exact; what comes from the sample says so.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .fitting import fits
from .lookup import is_a, is_instance
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
MORE_NAMES: Final = 200
MOST_TYPES: Final = 20
MOST_MEASURED: Final = 1_000
"""Columns of a table whose memory is counted, which goes column by column."""
LIST_ITEMS: Final = 5
HEAVY: Final = 20_000_000
"""Bytes of the values of a column above which they are not counted."""


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
        most = max(1, budget // LEAST_LINE)
        table = _pandas(value, most) if is_a(value, "pandas", "DataFrame", "Series") else _polars(value, most)
        yield f"{table.title}, {table.size}"
        if table.columns > most:
            kinds = Counter(table.types)
            listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(MOST_TYPES))
            some = (
                f" (of {counted(kinds.total(), 'column')} at even distances)" if kinds.total() < table.columns else ""
            )
            yield f"dtypes: {listed}{', …' if len(kinds) > MOST_TYPES else ''}{some}"
        if table.columns:
            yield from _columns(table, budget * 2 // 3)
        if table.columns and table.rows:
            yield _rows(table, budget)


def _columns(table: _Table, budget: int) -> Iterator[str]:
    """Yield a line for each column, with as much in it and for as many of them as the budget takes."""
    sampled = table.rows > table.sample_rows
    note = f" (from {counted(table.sample_rows, 'row')} at even distances)" if sampled else ""
    title = f"column | dtype | missing | values{note}"
    most = min(table.columns, max(1, budget // LEAST_LINE))
    columns = [table.describe(position) for position in range(most)]
    for is_brief in (False, True):
        lines = [title, *(" | ".join((*each[:3], each[4 if is_brief else 3])) for each in columns)]
        if most == table.columns and fits("\n".join(lines), budget):
            yield "\n".join(lines)
            return
    rest = _left_out(table, 1)
    while len(lines) > 2 and not fits("\n".join([*lines, rest]), budget):  # noqa: PLR2004 - the title and a column
        del lines[-max(1, len(lines) // 8) :]
    yield "\n".join([*lines, _left_out(table, len(lines) - 1)])


def _left_out(table: _Table, shown: int) -> str:
    text = ", ".join(table.names[shown : shown + MORE_NAMES])
    if len(text) > NAMES_CHARACTERS:
        text = f"{text[:NAMES_CHARACTERS]}…"
    return f"and {counted(table.columns - shown, 'more column')}: {text}"


def _rows(table: _Table, budget: int) -> list[str]:
    """Return the first rows, in several sizes."""
    wide = max(1, min(table.columns, budget // LEAST_LINE))
    sizes = [(HEAD_ROWS, wide), (HEAD_ROWS // 2, wide), (3, wide), (1, wide), (1, max(1, wide // 2)), (1, 1)]
    texts = []
    for rows, columns in sizes:
        head = [row for _, row in zip(range(rows + 1), table.head(columns), strict=False)]
        some = f" of {counted(columns, 'column')}" if columns < table.columns else ""
        texts.append(f"first {counted(min(rows, table.rows), 'row')}{some}:\n{_as_csv(head)}")
    return texts


def _as_csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue().rstrip("\n")


def _cell(value: Any) -> str:
    """Return a value as a short text. Of a long one no more than that is read."""
    if type(value) is float:
        text = f"{value:.6g}"
    elif is_instance(value, str):
        text = str.__getitem__(value, slice(0, 4 * CELL_CHARACTERS))
    elif is_a(value, "numpy", "ndarray") or is_a(value, "pandas", "DataFrame", "Series"):
        text = f"<{type(value).__name__}, shape {value.shape}, {getattr(value, 'dtype', 'table')}>"
    elif is_instance(value, (bytes, bytearray, list, tuple, set, frozenset, dict)):
        text = render(value, CELL_CHARACTERS)
    else:
        text = str(value)
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
    """A table of either library: what it is called, how large it is, and what of it is looked at."""

    title: str
    size: str
    rows: int
    columns: int
    types: Iterable[object]
    """Of all columns, or of some at even distances."""
    sample_rows: int
    names: list[str]
    """Of the columns that are looked at, and of some more."""
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
        known = column.dropna() if missing else column  # which may copy
        values = _attempt(self._values, known) if missing < len(column) else ("", "")
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
            counts = None if kind == "O" and _is_heavy(column) else column.value_counts()
        except TypeError:  # lists, dictionaries
            counts = None
        if counts is None:
            return (", ".join(_cell(value) for value in _short(column.iloc[:TOP_VALUES])),) * 2
        tops = list(zip(_short(counts.index[:TOP_VALUES]), counts.iloc[:TOP_VALUES].tolist(), strict=True))
        return _tops(len(counts), tops, len(column))

    def head(self, columns: int) -> Iterator[Sequence[object]]:
        rows = self.first.iloc[:HEAD_ROWS, :columns]
        yield ["", *self.names[:columns]]
        parts = [_short(rows.iloc[:, position]) for position in range(rows.shape[1])]
        for number, label in enumerate(_short(rows.index)):
            yield [label, *(part[number] for part in parts)]


def _short(column: Any) -> list[Any]:
    """Return the values of a column or an index of pandas; of texts that are kept outside Python, the beginnings."""
    if is_a(getattr(column, "dtype", None), "pandas", "CategoricalDtype"):
        kept = column.array
        column = kept.categories.take(kept.codes, allow_fill=True, fill_value=None)
    if is_a(getattr(column, "dtype", None), "pandas", "StringDtype", "ArrowDtype"):
        with suppress(AttributeError):  # no texts
            column = column.str.slice(0, 4 * CELL_CHARACTERS)
    return list(column)


def _is_heavy(column: Any) -> bool:
    """Tell whether to compare a column's values would take long: texts of many million characters."""
    if is_a(column.dtype, "pandas", "CategoricalDtype"):
        return False
    if not is_a(column.dtype, "numpy", "dtype"):
        return int(column.memory_usage(index=False, deep=False)) > HEAVY
    return sum(len(value) for value in column if type(value) is str or type(value) is bytes) > HEAVY


def _pandas(value: Any, most: int) -> _PandasTable:
    frame, size = value, ""
    if is_a(value, "pandas", "Series"):
        frame = value.to_frame("values" if value.name is None else value.name)
        size = counted(len(value), "value")
    rows, columns = frame.shape
    size = size or f"{counted(rows, 'row')} × {counted(columns, 'column')}"
    # Under numbers, or each column that is taken would take its name along, which may be anything.
    numbered = frame if columns <= MOST_MEASURED else frame.iloc[:, :most]
    numbered = numbered.set_axis(range(numbered.shape[1]), axis=1)
    memory = f" {_bytes(int(numbered.memory_usage(index=False).sum()))}," if columns <= MOST_MEASURED else ""
    looked_at = numbered.iloc[:, :most]
    sample = looked_at.iloc[:: _sample_step(rows, min(columns, most))]
    return _PandasTable(
        title=f"pandas.{type(value).__name__}",
        size=f"{size},{memory} {_index(frame.index)}",
        rows=rows,
        columns=columns,
        types=frame.dtypes.tolist() if columns > most else (),
        sample_rows=len(sample),
        names=[_name(name) for name in _short(frame.columns[: most + MORE_NAMES])],
        sample=sample,
        first=looked_at.iloc[:HEAD_ROWS],
    )


def _name(name: Any) -> str:
    """Return the name of a column, which may be anything that has a hash; a long one shortened."""
    text = name if type(name) is str else _cell(name)
    return text if len(text) <= NAMES_CHARACTERS else f"{text[:NAMES_CHARACTERS]}…"


def _index(index: Any) -> str:
    name = f" {_cell(index.name)}" if index.name is not None else ""
    ends = f" {_cell(_short(index[:1])[0])} … {_cell(_short(index[-1:])[0])}" if len(index) else ""
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
        known = column.drop_nulls() if column.null_count() else column  # which may copy
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
        is_plain = not column.dtype.is_nested() and str(column.dtype) != "Object"
        if not is_plain or column.estimated_size() > HEAVY:
            first = column.head(TOP_VALUES) if len(column) > TOP_VALUES else column
            return (", ".join(_cell(value) for value in _short_polars(first)),) * 2
        counts = column.value_counts(sort=True)
        first = counts.head(TOP_VALUES)
        tops = zip(_short_polars(first.to_series(0)), first.to_series(1).to_list(), strict=True)
        return _tops(len(counts), list(tops), len(column))

    def head(self, columns: int) -> Iterator[Sequence[object]]:
        yield self.names[:columns]
        parts = [_short_polars(self.first.to_series(position)) for position in range(columns)]
        yield from map(list, zip(*parts, strict=True))


def _short_polars(column: Any) -> list[Any]:
    """Return the values of a column of polars, which become Python's: of texts and lists the beginnings."""
    import polars as pl

    if column.dtype == pl.Binary:
        found: list[Any] = ["<binary>"] * len(column)
    elif str(column.dtype) == "Object":
        found = column.to_list()
    else:
        found = column.to_frame("a").select(_beginning(pl.col("a"), column.dtype)).to_series().to_list()
    return found


def _beginning(values: Any, kind: Any) -> Any:
    """Return an expression for the beginnings of what is in columns, lists and structures of a type."""
    import polars as pl

    if kind == pl.String:
        return values.str.slice(0, 4 * CELL_CHARACTERS)
    if kind == pl.Binary:
        return values.bin.size()
    if kind == pl.Array:
        return _beginning(values.arr.to_list(), pl.List(kind.inner))
    if kind == pl.List:
        return values.list.head(LIST_ITEMS).list.eval(_beginning(pl.element(), kind.inner))
    if kind == pl.Struct:
        fields = kind.fields[:LIST_ITEMS]
        return pl.struct(_beginning(values.struct.field(each.name), each.dtype).alias(each.name) for each in fields)
    return values


def _polars(value: Any, most: int) -> _PolarsTable:
    import polars as pl

    frame, size = value, ""
    if is_a(value, "polars", "Series"):
        frame, size = value.to_frame(), counted(len(value), "value")
    rows, columns = frame.shape
    size = size or f"{counted(rows, 'row')} × {counted(columns, 'column')}"
    memory = f", {_bytes(int(frame.estimated_size()))}" if columns <= MOST_MEASURED else ""
    looked_at = pl.DataFrame([frame.to_series(position) for position in range(min(columns, most))])
    step = _sample_step(rows, min(columns, most))
    sample = looked_at.gather_every(step) if step > 1 else looked_at
    return _PolarsTable(
        title=f"polars.{type(value).__name__}",
        size=size + memory,
        rows=rows,
        columns=columns,
        types=[str(frame.to_series(at).dtype) for at in range(0, columns, -(-columns // MOST_MEASURED))],
        sample_rows=len(sample),
        names=[_name(name) for name in _short(frame.columns[: most + MORE_NAMES])],
        sample=sample,
        first=looked_at.head(HEAD_ROWS) if rows > HEAD_ROWS else looked_at,
    )
