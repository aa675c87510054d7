"""Rename our magics where another extension already has their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from IPython.core.magic import MagicAlias

from ..core import ConfigurationError, phrase
from .transform import aliases_made, by_form

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

    from .transform import Called

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


def rename(shell: InteractiveShell, magics: Iterable[Magics], renamed: dict[str, str]) -> None:
    """Give magics new names, in the shell and in their messages; the others get a second one, if that is free.

    A notebook that was written where the first name was taken then runs here, and ours are there by the second name
    when another extension takes the first one later.
    """
    for functions in (functions for each in magics for functions in each.magics.values()):
        for old, new in renamed.items():
            if old in functions:
                functions[new] = functions.pop(old)
                functions[new].options.magic = new
        for name in functions.keys() - renamed.values():
            second = name.replace(_OWN, _OTHER, 1)
            if not any(second in known for known in shell.magics_manager.magics.values()):
                functions[second] = functions[name]


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


def find_own(shell: InteractiveShell, kind: Literal["line", "cell"], name: str) -> Called | None:
    """Return which of our magics `name` calls, be it as an alias; one of our form that nobody has is ours, too."""
    functions = shell.magics_manager.magics[kind]
    function, before = functions.get(name), ""
    for _ in range(_MOST_ALIASES):
        if not isinstance(function, MagicAlias):
            break
        name, before = function.magic_name, f"{function.magic_params or ''} {before}".strip()
        function = functions.get(name)
    if function is None:
        return by_form(name) and (name, before)
    return (name, before) if hasattr(function, "options") else None


def aliases(shell: InteractiveShell, cell: str = "") -> dict[str, str]:
    """Return the names that ``%alias_magic`` gave to our magics, or `cell` gives, each with the magic's own."""
    made = ((name, find_own(shell, "line", target)) for name, (target, _) in aliases_made(cell).items())
    return {name: called[0] for name, called in made if called} | {
        name: called[0]
        for kind, functions in shell.magics_manager.magics.items()
        for name, function in functions.items()
        if isinstance(function, MagicAlias) and (called := find_own(shell, kind, name))
    }
