"""Rename our magics where another extension already has their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from IPython.core.magic import MagicAlias

from ..core import ConfigurationError, phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

_OWN: Final = "chat"
_OTHER: Final = "chatanywhere"
_MOST_ALIASES: Final = 9
"""So many aliases of aliases are followed; they may be a circle."""


def new_names(shell: InteractiveShell, names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return new names for those of `names`, each ``("line" or "cell", name)``, that are taken.

    A line and a cell magic of one name keep one: ``%chat`` is never another's where ``%%chat`` is ours.

    Raises
    ------
    ConfigurationError
        If the other name is taken as well.
    """
    taken = {name for kind, name in names if name in shell.magics_manager.magics[kind]}
    renamed = {name: name.replace(_OWN, _OTHER, 1) for name in sorted(taken)}
    again = [name for name in renamed.values() if any(name in known for known in shell.magics_manager.magics.values())]
    if again:
        raise ConfigurationError(
            phrase("error.magic_taken", names=", ".join(f"%{name}" for name in [*renamed, *again]))
        )
    return renamed


def rename(magics: Iterable[Magics], renamed: dict[str, str]) -> None:
    """Give magics new names, in the shell and in their messages."""
    for functions in (functions for each in magics for functions in each.magics.values()):
        for old, new in renamed.items():
            if old in functions:
                functions[new] = functions.pop(old)
                functions[new].options.magic = new


def take_away(shell: InteractiveShell, magics: Iterable[Magics]) -> None:
    """Remove our magics from `shell`, whatever their names, and no others."""
    ours = {id(each) for each in magics}  # others' methods may be of objects that cannot be hashed or compared
    for functions in shell.magics_manager.magics.values():
        for name, function in list(functions.items()):
            if id(getattr(function, "__self__", None)) in ours:
                del functions[name]
                function.options.magic = name.replace(_OTHER, _OWN, 1)


def is_free(shell: InteractiveShell, name: str, kinds: Iterable[str] = ("line", "cell")) -> bool:
    """Whether no one else has a magic of that name, be it of one of `kinds`: it is ours, or none."""
    called = (shell.magics_manager.magics[kind].get(name) for kind in kinds)
    return all(hasattr(function, "options") for function in called if function is not None)


def aliases(shell: InteractiveShell) -> dict[str, str]:
    """Return the names that ``%alias_magic`` gave to our magics, each with the magic's own."""
    found: dict[str, str] = {}
    for functions in shell.magics_manager.magics.values():
        for name, function in functions.items():
            if isinstance(function, MagicAlias):
                target, final = function.magic_name, functions.get(function.magic_name)
                for _ in range(_MOST_ALIASES):
                    if not isinstance(final, MagicAlias):
                        break
                    target, final = final.magic_name, functions.get(final.magic_name)
                if hasattr(final, "options"):
                    found[name] = target
    return found
