"""A document into a file: whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, document: str, *, replace: bool = False) -> None:
    """Write `document` into the file at `path`. Whatever goes wrong half way, what was there before is there still.

    A link stays one, and a file keeps its rights.

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
    target = Path(os.path.realpath(path)) if replace else path
    before = _status(target)
    if before is not None and not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if before is not None and not stat.S_ISREG(before.st_mode):
        with target.open("w", encoding="utf-8", newline="\n") as file:  # a pipe, a device: nothing to put in its place
            file.write(document)
        return
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    # Beside it, for only there the one can take the other's place in one step.
    new = target.with_name(f".chat-{os.urandom(8).hex()}.tmp")
    try:
        with new.open("x", encoding="utf-8", newline="\n") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            _take_over(new, before)
        elif not replace:
            target.open("x").close()  # if somebody was quicker, theirs stays
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _take_over(path: Path, before: os.stat_result) -> None:
    """Give a file the owner, as far as that is allowed, and the rights of the one whose place it takes."""
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(path, before.st_uid, before.st_gid)
    path.chmod(stat.S_IMODE(before.st_mode))
