"""Lessons: what servers were found to accept in place of what they refused, remembered across kernels.

A lesson belongs to one provider, address and model. It names a field of the request, or the path of the address, and
what the server takes instead.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, phrase
from ..keys import ForeignFileError, check_owner, data_directory, make_directory, make_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE_NAME: Final = "lessons.json"
MAX_LESSONS: Final = 500
"""More than anybody has models. The oldest are dropped first."""
MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True)
class Lesson:
    """One thing learned.

    Parameters
    ----------
    provider, address, model : str
        Where it holds: a provider's name, its address without query and password, and the model, ``""`` for all.
    parameter : str
        The field that was refused.
    instead : str
        What the server takes in its place; ``""`` if it takes nothing.
    date : str
        The day on which it was learned, as ``2026-12-01``.
    """

    provider: str
    address: str
    model: str
    parameter: str
    instead: str
    date: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it holds."""
        return self.provider, self.address, self.model


class _Memory:
    """The lessons of one file, as this process knows them."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, path: Path | None) -> None:
        """Know nothing, and belong to the file at `path`."""
        self.path = path
        self.stamp: tuple[int, int] | None = None
        """Of the file when it was last read or written; None if there was none."""
        self.lessons: dict[tuple[str, str, str, str], Lesson] = {}

    def add(self, lessons: Iterable[Lesson]) -> None:
        """Take in `lessons`, oldest first."""
        for lesson in lessons:
            place = (*lesson.place, lesson.parameter)
            self.lessons.pop(place, None)  # the newest stands last
            self.lessons[place] = lesson
        while len(self.lessons) > MAX_LESSONS:
            del self.lessons[next(iter(self.lessons))]


_memory = _Memory()


def known(provider: str, address: str, model: str) -> dict[str, str]:
    """Return what was learned at a place: by each field that was refused, what to send instead."""
    _look_again()
    place = provider, address, model
    return {key[-1]: lesson.instead for key, lesson in _memory.lessons.items() if key[:-1] == place}


def list_lessons() -> list[Lesson]:
    """Return all lessons, the oldest first."""
    _look_again()
    return list(_memory.lessons.values())


def _look_again() -> None:
    """Take in what another kernel has learned or forgotten."""
    path = data_directory() / FILE_NAME
    if path != _memory.path:
        _memory.begin(path)  # another directory: nothing of the former one holds
    stamp = _stamp(path)
    if stamp is not None and stamp != _memory.stamp:
        read = _read(path)
        if _memory.stamp is not None:
            _memory.lessons.clear()  # another kernel may have forgotten some
        _memory.add(read)
        _memory.stamp = stamp
    elif stamp is None and _memory.stamp is not None:
        _memory.lessons.clear()
        _memory.stamp = None


def remember(provider: str, address: str, model: str, parameter: str, instead: str) -> None:
    """Remember a lesson. Where the file cannot be written, it holds for this process."""
    _look_again()
    _memory.add([Lesson(provider, address, model, parameter, instead, date.today().isoformat())])  # noqa: DTZ011 - the day where the person is
    path = data_directory() / FILE_NAME
    with suppress(OSError, ForeignFileError):
        _write(path, _memory.lessons.values())
        _memory.stamp = _stamp(path)


def forget_lessons() -> int:
    """Forget every lesson, and return how many there were.

    Raises
    ------
    ConfigurationError
        If the file cannot be deleted.
    """
    count = len(list_lessons())
    _memory.lessons.clear()
    path = data_directory() / FILE_NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as caught:
        reason = caught.strerror or type(caught).__name__
        raise ConfigurationError(phrase("error.file", path=path, reason=reason)) from None
    _memory.stamp = None
    return count


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: Path) -> list[Lesson]:
    """Return what a file holds, as far as it can be read: a lesson that is missing is learned again."""
    with suppress(OSError, ForeignFileError, ValueError, RecursionError, TypeError, KeyError):
        check_owner(path)
        with path.open("rb") as file:
            found: Any = json.loads(file.read(MAX_BYTES))
        return [Lesson(**each) for each in found["lessons"] if _is_lesson(each)]
    return []


def _is_lesson(each: Any) -> bool:
    names = {field.name for field in fields(Lesson)}
    return isinstance(each, dict) and each.keys() == names and all(isinstance(value, str) for value in each.values())


def _write(path: Path, kept: Iterable[Lesson]) -> None:
    make_directory(path.parent)
    check_owner(path)
    new = path.with_suffix(f".{os.getpid()}.new")
    document = json.dumps({"version": 1, "lessons": [asdict(lesson) for lesson in kept]}, ensure_ascii=False, indent=1)
    try:
        new.write_text(document, encoding="utf-8")
        make_private(new)
        new.replace(path)  # whole at every moment: another kernel may be reading it
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
