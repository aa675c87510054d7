"""Describe an error for a model: what it is, then where, with the code, in the order of the calls."""

from __future__ import annotations

import linecache
import sys
import traceback
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import IPython

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

FRAMES_SHOWN: Final = 30
LINES_AROUND: Final = 3
"""Shown of the person's code on either side of the line that failed."""
_LEFT_OUT: Final = (str(Path(__file__).parents[1]), str(Path(IPython.__file__).parent))
"""Frames of this package and of IPython help nobody."""


def error_text(error: BaseException, cells: Mapping[str, int]) -> str:
    """Describe an error and its place, and the errors that led to it.

    Parameters
    ----------
    error : BaseException
        The error.
    cells : mapping
        The numbers of the cells, by the names of the files that stand for them.
    """
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append(_one_error(current, cells))
        if current.__cause__ is not None:
            current, link = current.__cause__, "It was raised because of this one:"
        elif not current.__suppress_context__ and current.__context__ is not None:
            current, link = current.__context__, "It was raised while this one was handled:"
        else:
            break
        parts.append(link)
    return "\n\n".join(parts)


def _one_error(error: BaseException, cells: Mapping[str, int]) -> str:
    words = "".join(traceback.format_exception_only(type(error), error)).rstrip("\n")
    frames: list[str] = []
    for frame, same in groupby(_frames(error.__traceback__)):
        frames.append(_frame_text(*frame, cells))
        if more := len(list(same)) - 1:
            frames.append(f"(the same {more:,} more times)")
    if len(frames) > FRAMES_SHOWN:
        frames[FRAMES_SHOWN // 3 : -FRAMES_SHOWN * 2 // 3] = [f"({len(frames) - FRAMES_SHOWN:,} more calls)"]
    return "\n\n".join([words, *frames])


def _frames(trace: TracebackType | None) -> list[tuple[str, int, str]]:
    found = [(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_tb(trace)]
    return [each for each in found if not each[0].startswith(_LEFT_OUT)]


def _frame_text(file: str, line: int, function: str, cells: Mapping[str, int]) -> str:
    place, is_library = _place(file, cells)
    where = f"{place}, line {line}" + (f", in {function}" if function != "<module>" else "")
    lines = linecache.getlines(file)
    if not lines:
        return where
    around = 0 if is_library else LINES_AROUND
    first, last = max(1, line - around), min(len(lines), line + around)
    width = len(str(last))
    code = [
        f"{'-->' if number == line else '   '} {number:{width}} {lines[number - 1].rstrip()}"
        for number in range(first, last + 1)
    ]
    return "\n".join([where, *code])


def _place(file: str, cells: Mapping[str, int]) -> tuple[str, bool]:
    """Return how a person knows a file, and whether it is a library's.

    Where things lie on this machine is nobody's concern.
    """
    if file in cells:
        return f"cell {cells[file]}", False
    if "ipykernel_" in file or file.startswith("<ipython-input"):
        return "a cell", False
    path = Path(file)
    is_library = path.is_relative_to(sys.base_prefix) or bool({"site-packages", "dist-packages"} & set(path.parts))
    bases = [base for base in (str(Path.cwd()), *sys.path, sys.base_prefix) if base and path.is_relative_to(base)]
    return (path.relative_to(max(bases, key=len)).as_posix() if bases else path.name), is_library
