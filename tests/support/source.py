"""The package's own source, which many tests look through: each module is read and parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import chatanywhere_magic

PACKAGE: Final = Path(chatanywhere_magic.__file__).parent


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module by its path in the package, such as ``core/errors.py``."""
    paths = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in paths.items()}


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    """Return everything that is in a module, in no particular order."""
    return tuple(ast.walk(modules()[name]))


@cache
def strings(name: str) -> dict[str, int]:
    """Return the strings in a module, each with a line where it stands."""
    return {
        node.value: node.lineno
        for node in nodes(name)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
