"""Look up variables, attributes and items without running any code of theirs."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..core import Attachment


@dataclass(frozen=True)
class Cell:
    """A cell that was executed: its source, and what it showed."""

    number: int
    source: str
    outputs: str = ""
    error: str = ""
    pictures: tuple[Attachment, ...] = ()


class Lookup(Protocol):
    """Where ``@names`` are looked up: a kernel, or a plain dictionary of names."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables, by name."""
        ...

    @property
    def names(self) -> Iterable[str]:
        """The names of the user's variables, for completion."""
        ...

    def cell(self, number: int) -> Cell | None:
        """Return an executed cell: by its number, or counted back from the one that runs now (-1 is the last)."""
        ...

    def error(self) -> str:
        """Return the last error, with the code that raised it; ``""`` if there was none."""
        ...


class Names:
    """A dictionary of names, such as ``globals()``, as a :class:`Lookup` without cells and errors."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = variables
        self.names = tuple(name for name in variables if type(name) is str)  # globals()[5] = 1 is possible

    def cell(self, number: int) -> Cell | None:  # noqa: ARG002 - the protocol
        """Return None: there are no cells."""
        return None

    def error(self) -> str:
        """Return ``""``: no errors are recorded."""
        return ""


class MissingError(LookupError):
    """Nothing has that name."""


class RunsCodeError(LookupError):
    """Looking up the name would run code."""


KEYS_SHOWN: Final = 1_000
_NOTHING: Final = object()

# Attributes that are computed, by library code that is known to do nothing else, and quickly.
_OF_ARRAYS: Final = frozenset({"T", "device", "dtype", "imag", "nbytes", "ndim", "real", "shape", "size"})
_OF_TABLES: Final = frozenset({"columns", "dtype", "dtypes", "height", "name", "schema", "shape", "width"})
_KNOWN_PROPERTIES: Final = {
    "jaxlib": _OF_ARRAYS,
    "numpy": _OF_ARRAYS,
    "pandas": _OF_ARRAYS | _OF_TABLES | {"axes", "categories", "empty", "index", "levels", "names", "values"},
    "polars": _OF_TABLES,
    "torch": _OF_ARRAYS | {"grad", "requires_grad"},
}
_WRITTEN: Final = (int, float, bool)
_PLAIN: Final = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, type)


# An object may answer even isinstance(), vars() and == with code of its own, or its class's class may. So all
# questions are put to `type` itself.


def is_instance(value: object, kind: type | tuple[type, ...]) -> bool:
    """Whether `value` is an instance of `kind`, without asking either."""
    kinds = kind if type(kind) is tuple else (kind,)
    return any(type.__subclasscheck__(each, type(value)) for each in kinds)  # type: ignore[arg-type]  # they are types


def classes(value: object) -> tuple[type, ...]:
    """Return the class of `value` and those above it, nearest first."""
    found: tuple[type, ...] = type.__dict__["__mro__"].__get__(type(value))
    return found


def members(kind: type) -> Mapping[str, Any]:
    """Return what the body of the class `kind` defines."""
    found: Mapping[str, Any] = type.__dict__["__dict__"].__get__(kind)
    return found


def fields(value: object) -> dict[str, Any]:
    """Return the attributes that an object has for itself."""
    kind = owner(value, "__dict__")
    descriptor = members(kind)["__dict__"] if kind is not None else None
    if type(descriptor) is not types.GetSetDescriptorType and type(descriptor) is not types.MemberDescriptorType:
        return {}  # there are none, or a class shows others instead
    found = descriptor.__get__(value)
    return found if type(found) is dict else {}


def owner(value: object, name: str) -> type | None:
    """Return the class of `value` that defines `name`."""
    return next((kind for kind in classes(value) if name in members(kind)), None)


def module_of(kind: type) -> str:
    """Return the name of the module that defines `kind`."""
    found = type.__getattribute__(kind, "__module__")
    return found if type(found) is str else ""


def library(kind: type | None) -> str:
    """Return the top-level package that defines `kind`."""
    return module_of(kind).partition(".")[0] if kind is not None else ""


def is_a(value: object, module: str, *names: str) -> bool:
    """Whether `value` is an instance of a library's class. What is not loaded has no instances."""
    home = fields(sys.modules.get(module))
    return any(_is_class_of(home.get(name), value) for name in names)


def _is_class_of(kind: object, value: object) -> bool:
    return is_instance(kind, type) and is_instance(value, kind)  # type: ignore[arg-type]  # it is a type


def attribute(value: object, name: str) -> Any:
    """Return the attribute `name` of `value` without calling properties, descriptors or ``__getattr__``.

    Raises
    ------
    MissingError
        If there is none.
    RunsCodeError
        If it is computed by code that is not known to be harmless.
    """
    found = _static(value, name)
    if found is _NOTHING:
        return _column(value, name)
    if type(found) is classmethod or type(found) is staticmethod:
        return found.__func__
    if is_instance(value, (type, types.ModuleType)) or found is fields(value).get(name, _NOTHING):
        return found
    if is_instance(found, types.MemberDescriptorType):  # a slot
        try:
            return found.__get__(value, type(value))
        except AttributeError:
            raise MissingError from None
    if is_instance(found, _PLAIN) or owner(found, "__get__") is None:
        return found
    if _is_known_property(value, name):
        return getattr(value, name)
    raise RunsCodeError


def _static(value: Any, name: str) -> Any:
    """Return what `name` stands for before any descriptor is called.

    ``inspect.getattr_static`` does nearly that, but compares classes, and those of odd metaclasses answer.
    """
    if is_instance(value, type):
        for kind in type.__dict__["__mro__"].__get__(value):
            if name in members(kind):
                return members(kind)[name]
    kind = owner(value, name)
    of_class = members(kind)[name] if kind is not None else _NOTHING
    is_data = owner(of_class, "__set__") is not None or owner(of_class, "__delete__") is not None
    if is_data:
        return of_class  # comes before the object's own
    return fields(value).get(name, of_class)


def _is_known_property(value: object, name: str) -> bool:
    """Whether `name` is computed by a library's own code, and no class of the person's stands before it."""
    if is_a(value, "polars", "LazyFrame"):
        return False  # its columns may have to be read from somewhere
    getter = owner(value, "__getattribute__")
    if getter is not object and library(getter) not in _KNOWN_PROPERTIES:
        return False
    return name in _KNOWN_PROPERTIES.get(library(owner(value, name)), ())


def item(value: object, key: Any) -> Any:
    """Return ``value[key]`` of a dictionary, a list or a tuple, or a column of a table.

    Raises
    ------
    MissingError
        If there is no such item.
    RunsCodeError
        If `value` is anything else: its ``[]`` would run code.
    """
    if type(value) is dict:
        wanted = written(key)
        for other, found in dict.items(value):  # not looked up: comparing with a key of another kind runs its code
            if written(other) == wanted:
                return found
        raise MissingError
    if (type(value) is list or type(value) is tuple) and type(key) is int:
        try:
            return value[key]
        except IndexError:
            raise MissingError from None
    if is_table(value) or type(key) is str:
        return _column(value, key)
    raise RunsCodeError


def written(key: Any) -> str:
    """Return how a key is written behind a name: ``"a"``, ``2020``, ``("a", 1)``; ``""`` if it cannot be.

    Nothing of the person's own is run for it; dates and the like are written as texts.
    """
    if type(key) is str:
        return f'"{key}"'
    if key is None or type(key) in _WRITTEN:
        return repr(key)
    if is_instance(key, tuple):
        parts = [written(each) for each in tuple.__iter__(key)]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})" if parts and all(parts) else ""
    if library(type(key)) == "numpy" and is_a(key, "numpy", "generic"):
        return written(key.item()) if type(key.item()) in _WRITTEN or type(key.item()) is str else f'"{key}"'
    if library(type(key)) in {"pandas", "datetime", "decimal"}:
        return f'"{key}"'
    return ""


def is_table(value: object) -> bool:
    """Whether `value` is a data frame of pandas or polars."""
    return is_a(value, "pandas", "DataFrame") or is_a(value, "polars", "DataFrame")


def _columns(table: Any) -> list[Any]:
    """Return the names of a data frame's columns, whatever they are."""
    columns = attribute(table, "columns")
    # A class of the person's own above a table may have put anything in their place.
    if type(columns) is not list and library(type(columns)) not in _KNOWN_PROPERTIES:
        return []
    return list(columns)


def column_names(table: Any) -> list[str]:
    """Return the names of a data frame's columns, as far as they are strings."""
    return [each for each in _columns(table) if type(each) is str]


def _column(value: Any, name: Any) -> Any:
    if is_table(value):
        columns = _columns(value)
        wanted = written(name)
        found = [at for at, each in enumerate(columns) if written(each) == wanted]
        outer = [] if found else [each[0] for each in _levels(value, columns) if written(each[0]) == wanted]
        if not found and not outer:
            raise MissingError
        if library(owner(value, "__getitem__")) not in {"pandas", "polars"}:
            raise RunsCodeError
        if outer or not is_a(value, "pandas", "DataFrame"):
            return value[outer[0] if outer else name]
        return value.iloc[:, found[0] if len(found) == 1 else found]
    raise MissingError if owner(value, "__getattr__") is None else RunsCodeError


def _levels(table: Any, columns: list[Any]) -> list[Any]:
    """Return the names of columns that are named on several levels."""
    return columns if is_a(attribute(table, "columns"), "pandas", "MultiIndex") else []


def _words(names: Iterable[object]) -> list[str]:
    """Return those that are strings, and of no class that hashes and compares in its own way."""
    return [name for name in names if type(name) is str]


def attribute_names(value: object) -> list[str]:
    """Return the names that may stand behind ``@value.``, own ones first, without those that begin with ``_``."""
    names: dict[str, None] = {}
    if is_table(value):
        names.update(dict.fromkeys(column_names(value)))
    if is_instance(value, type):
        names.update(dict.fromkeys(_words(members(value))))  # type: ignore[arg-type]  # it is a type
    names.update(dict.fromkeys(_words(fields(value))))
    for kind in classes(value):
        names.update(dict.fromkeys(_words(members(kind))))
    return [name for name in names if name.isidentifier() and not name.startswith("_")]


def item_names(value: object) -> list[str]:
    """Return the keys, as they are written, that may stand in ``@value[…]``."""
    if is_table(value):
        columns = _columns(value)
        outer = (each[0] for each in _levels(value, columns))
        return list(dict.fromkeys(filter(None, map(written, [*columns, *outer]))))
    return list(filter(None, map(written, islice(value, KEYS_SHOWN)))) if type(value) is dict else []
