"""Write a document to a file, completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NOT_HERE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.ENOTSUP}
)
"""No file can be made beside this one, take its place (it is mounted), or have its owner."""


def write_whole(path: Path, document: str, *, replace: bool = False) -> None:
    """Write `document` to the file at `path`. If anything fails half way, the old file is still there.

    A symbolic link stays one, and a file keeps its rights, owner and group. Where no other can take its place with all
    that, or at all, as in a directory that may not be written, the file itself is written, from its beginning.

    Parameters
    ----------
    replace : bool, default False
        Whether a file that is there may go.

    Raises
    ------
    FileExistsError
        If there is one that may not.
    OSError
        If the file cannot be written.
    """
    target = type(path)(os.path.realpath(path)) if replace else path
    before = _status(target)
    if before is None:
        _put(target, document, reserve=not replace)
    elif not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    elif not stat.S_ISREG(before.st_mode):
        _write_into(target, document)  # a pipe, a device: nothing to put in its place
    elif not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    else:
        try:
            _put(target, document, before=before)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            _write_into(target, document)


def _put(target: Path, document: str, *, before: os.stat_result | None = None, reserve: bool = False) -> None:
    """Write a new file, and put it in the place of the one that was there, or of none."""
    # Beside it, for only there the one can take the other's place in one step.
    new = target.with_name(f".chat-{os.urandom(8).hex()}.tmp")
    try:
        # What was private is, from the first word on.
        new.touch(mode=0o666 if before is None else 0o600, exist_ok=False)
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            _take_over(new, before)
        if reserve:
            target.open("x").close()  # if another process was quicker, its file stays
        try:
            new.replace(target)
        except OSError:
            if reserve:
                target.unlink()
            raise
    finally:
        with suppress(OSError):  # where nothing can be made, nothing can be removed
            new.unlink(missing_ok=True)


def _write_into(target: Path, document: str) -> None:
    # Not to be made: a directory that all share may refuse even the opening of another's file in that way.
    there = os.open(target, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0))
    with os.fdopen(there, "w", encoding="utf-8", newline="\n") as file:
        file.write(document)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _take_over(path: Path, before: os.stat_result) -> None:
    """Give a file the owner, the group and the rights of the one whose place it takes.

    Raises
    ------
    OSError
        If it may not have them.
    """
    now = path.stat()
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.chown(path, before.st_uid, before.st_gid)
    path.chmod(stat.S_IMODE(before.st_mode))
