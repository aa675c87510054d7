"""Documentation of what has a name: its signature, docstring and source, looked up without running code."""

from __future__ import annotations

import builtins
import sys
import unicodedata
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, phrase
from .code import is_function
from .describing import describe
from .lookup import MissingError, RunsCodeError, attribute, is_instance

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_STEPS: Final = 10
_PROPERTIES: Final = (property, cached_property)


def documentation(variables: Mapping[str, Any], path: str, budget: int) -> str:
    """Return what a model is told of ``path``, such as ``df.groupby``, ``numpy.linalg.norm`` or ``print``.

    Names are those of variables, of modules that are loaded, and Python's own. Of an object that is no function,
    class or module, its class is described.

    Raises
    ------
    ConfigurationError
        If there is none, or it cannot be looked up without running code.
    """
    names = [unicodedata.normalize("NFKC", name) for name in path.strip().removesuffix("()").split(".")]
    if len(names) > MAX_STEPS or not all(name.isidentifier() for name in names):
        raise ConfigurationError(phrase("error.context_unknown", name=path[:80], hint=""))
    value, rest = _beginning(variables, names, path)
    for name in rest:
        owner = value if is_instance(value, (type, ModuleType)) else type(value)
        try:
            value = attribute(value, name)
        except MissingError:
            missing = phrase("error.context_missing", name=path[:80], step=name, hint="")
            raise ConfigurationError(missing) from None
        except RunsCodeError:  # a property tells what it is without being asked
            value = _unasked(owner, name, path)
    if is_instance(value, _PROPERTIES):
        doc = getattr(value, "__doc__", None)
        return f"property {path}\n\n{doc if type(doc) is str else ''}".strip()
    is_known = is_function(value) or is_instance(value, (type, ModuleType))
    return describe(value if is_known else type(value), budget)


def _beginning(variables: Mapping[str, Any], names: list[str], path: str) -> tuple[Any, list[str]]:
    if names[0] in variables:
        return variables[names[0]], names[1:]
    for end in range(len(names), 0, -1):
        if module := sys.modules.get(".".join(names[:end])):
            return module, names[end:]
    if names[0] in vars(builtins):
        return vars(builtins)[names[0]], names[1:]
    raise ConfigurationError(phrase("error.context_unknown", name=path[:80], hint=""))


def _unasked(owner: Any, name: str, path: str) -> Any:
    try:
        found = attribute(owner, name)
    except LookupError:
        found = None
    if not is_instance(found, _PROPERTIES):
        raise ConfigurationError(phrase("error.context_computed", name=path[:80]))
    return found
