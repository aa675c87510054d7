"""Describe functions, classes and modules: signature, docstring, source."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import types
from typing import TYPE_CHECKING, Any, Final

from .fitting import fits, shortened
from .lookup import classes, fields, is_a, is_instance, library, members, module_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYTHONS: Final = frozenset({"abc", "builtins", "enum", "typing"})
"""Where the usual classes of classes are."""
NAMES_SHOWN: Final = 200
DOC_CHARACTERS: Final = 2000

_FUNCTIONS: Final = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    functools.partial,
    # What lru_cache makes; it has no class that can be imported.
    type(functools.lru_cache(print)),
)

_NUMPYS: Final = ("_ArrayFunctionDispatcher", "ufunc")
"""numpy's own kinds of function: ``numpy.linalg.norm`` is of the first, ``numpy.sin`` of the second."""
_OF_NUMPY: Final = ("numpy", "numpy._core._multiarray_umath", "numpy.core._multiarray_umath")
"""Where they are; the last is that of numpy 1."""


def is_function(value: object) -> bool:
    """Whether `value` is a function of some kind."""
    return is_instance(value, _FUNCTIONS) or any(is_a(value, module, *_NUMPYS) for module in _OF_NUMPY)


def function_blocks(value: Any, budget: int) -> Iterator[str]:
    """Yield a function's source; its signature and docstring first where it is long or there is none."""
    inner = value.func if is_instance(value, functools.partial) else inspect.unwrap(value)
    name = getattr(inner, "__qualname__", getattr(inner, "__name__", "function"))
    prefix = "partial of " if is_instance(value, functools.partial) else ""
    yield f"{prefix}function {module_of_function(inner)}{name}{_signature(value)}"
    source = _source(inner)
    if not source or not fits(source, budget - 40):
        yield from _doc(inner, budget)
    if source:
        yield shortened(source, max(budget - 40, 1))


def class_blocks(value: Any, budget: int) -> Iterator[str | list[str]]:
    """Yield a class's source; where that is too long, its docstring and the signatures of its methods."""
    name_of = type.__dict__["__name__"].__get__
    bases = ", ".join(name_of(base) for base in type.__dict__["__bases__"].__get__(value) if base is not object)
    yield f"class {module_of(value)}.{type.__dict__['__qualname__'].__get__(value)}{f'({bases})' if bases else ''}"
    source = _class_source(value)
    if source and fits(source, budget - 40):
        yield source
        return
    yield from _doc(value, budget) if _is_plain(value) else _shown_doc(members(value).get("__doc__"), budget)
    lines = []
    for name, found in members(value).items():
        inner = found.__func__ if type(found) in {classmethod, staticmethod} else found
        if is_function(inner) and (not name.startswith("_") or name == "__init__"):
            lines.append(f"    def {name}{_signature(inner)}")
        elif type(found) is property and not name.startswith("_"):
            lines.append(f"    {name}: property")
    annotations = members(value).get("__annotations__")
    if type(annotations) is dict:
        public = [(name, kind) for name, kind in annotations.items() if not name.startswith("_")]
        lines = [*(f"    {name}: {_annotation(kind)}" for name, kind in public), *lines]
    if lines:
        names = [re.sub(r"^(def )?(\w+).*", r"\2", line.strip()) for line in lines]
        yield ["\n".join(lines), f"members: {', '.join(names)}"]
    if source:
        yield source


def module_blocks(value: types.ModuleType, characters: int) -> Iterator[str]:
    """Yield a module's name, docstring and public names."""
    own = fields(value)
    version = own.get("__version__")
    yield f"module {own.get('__name__', '')}{f' {version}' if type(version) is str else ''}"
    doc = own.get("__doc__")
    if type(doc) is str:
        yield inspect.cleandoc(doc)[: min(DOC_CHARACTERS, characters // 3)]
    listed: Any = own.get("__all__")
    is_listed = type(listed) is list or type(listed) is tuple
    public: list[str] = list(listed) if is_listed else [name for name in own if not name.startswith("_")]
    groups: dict[str, list[str]] = {"classes": [], "functions": [], "modules": [], "others": []}
    for name in public[:NAMES_SHOWN]:
        found = own.get(name)
        if is_instance(found, type):
            groups["classes"].append(name)
        elif is_function(found):
            groups["functions"].append(f"{name}{_signature(found)}" if characters > DOC_CHARACTERS else name)
        elif is_instance(found, types.ModuleType):
            groups["modules"].append(name)
        else:
            groups["others"].append(name)
    for group, names in groups.items():
        if names:
            yield f"{group}: {', '.join(names)}"


def module_of_function(value: object) -> str:
    """Return the dotted prefix that says where a function is from; ``""`` for the notebook's own."""
    module = getattr(value, "__module__", None)
    return f"{module}." if type(module) is str and module not in {"__main__", "builtins"} else ""


def _signature(value: Any) -> str:
    try:
        return str(inspect.signature(value))
    except (ValueError, TypeError):
        return "(…)"


def _annotation(kind: object) -> str:
    return kind if type(kind) is str else inspect.formatannotation(kind)


def _doc(value: object, budget: int) -> Iterator[str]:
    yield from _shown_doc(inspect.getdoc(value), budget)


def _shown_doc(doc: object, budget: int) -> Iterator[str]:
    if type(doc) is str and doc:
        yield shortened(doc[:DOC_CHARACTERS], max(budget // 3, 1))


def _source(value: Any) -> str:
    try:
        return inspect.cleandoc("\n" + inspect.getsource(value)).strip("\n")
    except (OSError, TypeError, IndentationError, SyntaxError):
        return ""


def _is_plain(value: type) -> bool:
    """Whether the class of a class is Python's own. Any other one may run code at each question that is put to it."""
    return all(library(kind) in _PYTHONS for kind in classes(value))


def _class_source(value: type) -> str:
    source = _source(value) if _is_plain(value) else ""
    return source or _source_in_cells(type.__dict__["__qualname__"].__get__(value))


def _source_in_cells(qualname: str) -> str:
    """Return the source of a class that a cell defined: the cells have no file that `inspect` would look into."""
    name = qualname.rpartition(".")[2]
    for file, entry in reversed(list(linecache.cache.items())):
        # IPython keeps its cells under names that are no files, or files that do not exist.
        if len(entry) < 3 or entry[1] is not None:  # noqa: PLR2004 - (size, changed, lines, name)
            continue
        source = "".join(entry[2])
        if f"class {name}" not in source or file.startswith("<frozen"):
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                return "".join(entry[2][first - 1 : node.end_lineno]).rstrip("\n")
    return ""
