"""What became of variables while code ran: added, changed and deleted ones."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from .completing import about
from .lookup import fields, is_a, library

if TYPE_CHECKING:
    from .lookup import Lookup

MAX_VARIABLES: Final = 2_000
MAX_ITEMS: Final = 2_000
"""Items of a container, or columns of a table, that are looked at."""
MAX_BYTES: Final = 64_000_000
"""Of all arrays and columns together; of larger ones, values at even distances are looked at."""
LEAST_BYTES: Final = 4_096
"""Of one of them."""
BYTES_HASHED: Final = 1_000
"""That take as long as to hash one value that is no plain number."""
SHOWN: Final = 40
"""At most so many names are listed of one kind of change."""


@dataclass(frozen=True)
class _State:
    value: object
    about: tuple[str, str]
    content: object


class Snapshot:
    """The variables as they are now: what each is, and a digest of what it holds. None of their code is run."""

    def __init__(self, lookup: Lookup) -> None:
        variables = lookup.variables
        names = [
            name
            for name in islice(lookup.names, MAX_VARIABLES)
            if name[:1] != "_" and name not in {"In", "Out"} and name in variables
        ]
        room = MAX_BYTES // (len(names) or 1)
        self._states = {
            name: _State(variables[name], about(variables[name]), _content(variables[name], room)) for name in names
        }

    def changes_to(self, later: Snapshot) -> str:
        """Return what is different later, for a model; ``""`` if nothing is."""
        before, after = self._states, later._states
        added = [_words(name, state) for name, state in after.items() if name not in before]
        changed = [
            f"{_words(name, state)}{_was(before[name], state)}"
            for name, state in after.items()
            if name in before and not _is_same(before[name], state)
        ]
        deleted = [name for name in before if name not in after]
        kinds = [("added", added), ("changed", changed), ("deleted", deleted)]
        return "\n".join(f"{kind}: {_listed(words)}" for kind, words in kinds if words)


def _is_same(one: _State, other: _State) -> bool:
    return one.value is other.value and one.about == other.about and one.content == other.content


def _words(name: str, state: _State) -> str:
    kind, size = state.about
    return f"{name} ({kind}{f', {size}' if size else ''})"


def _was(before: _State, after: _State) -> str:
    kind, size = before.about
    return "" if before.about == after.about else f", was {kind}{f', {size}' if size else ''}"


def _listed(words: list[str]) -> str:
    more = [f"{len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return "; ".join([*words[:SHOWN], *more])


def _content(value: Any, room: int) -> object:
    """Return what tells whether the same object holds something else, from `room` bytes of it at most."""
    if type(value) in {list, tuple, set, frozenset}:
        return [id(each) for each in islice(value, MAX_ITEMS)]
    if type(value) is dict:
        return [(id(key), id(each)) for key, each in islice(dict.items(value), MAX_ITEMS)]
    if library(type(value)) in {"numpy", "pandas"}:
        try:
            return _digest(value, room)
        except Exception:  # noqa: BLE001 - a table may hold anything; then only what it is is compared
            return None
    return [(name, id(each)) for name, each in islice(fields(value).items(), MAX_ITEMS)]


def _digest(value: Any, room: int) -> object:
    if is_a(value, "numpy", "ndarray"):
        return _checksum(value, room)
    if is_a(value, "pandas", "Series"):
        return value.name, _column(value, room)
    if is_a(value, "pandas", "DataFrame"):
        columns = [value.iloc[:, at] for at in range(min(value.shape[1], MAX_ITEMS))]
        return [*value.columns, *(_column(each, room // len(columns)) for each in columns)]
    return None


def _column(column: Any, room: int) -> int:
    if library(type(column.dtype)) == "numpy" and not column.dtype.hasobject:
        return _checksum(column.to_numpy(), room)
    from pandas.util import hash_pandas_object  # type: ignore[import-untyped] # where there is a table, there is pandas

    step = -(-len(column) * BYTES_HASHED // max(room, LEAST_BYTES)) or 1
    return int(hash_pandas_object(column.iloc[::step], index=False).sum())


def _checksum(array: Any, room: int) -> int:
    step = -(-array.nbytes // max(room, LEAST_BYTES)) or 1
    # numpy's own iterator copies what is taken, not everything.
    return zlib.crc32((array if step == 1 else array.flat[::step]).tobytes())
