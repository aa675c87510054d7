"""Files that are this person's: directories made for them alone, and a look at whose a file is before it is used.

Another user who may write into a directory on the way can put a file of keys or conversations there.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

DIRECTORY_VARIABLE = "CHATANYWHERE_DATA_DIR"
PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
# What decides where a person's programs keep their data; asked several times a prompt.
_PERSON = ("HOME", "XDG_DATA_HOME", "USERPROFILE", "LOCALAPPDATA")
_SYSTEM = 0
"""Root, who could do anything anyway."""


class ForeignFileError(PermissionError):
    """The file, or the directory that it is in, belongs to another user. Its text is the path."""


def data_directory() -> Path:
    """Return where conversations are kept: where the environment says, else where this person's programs do so."""
    own = os.environ.get(DIRECTORY_VARIABLE, "").strip()
    if own:
        return Path(own).expanduser()
    return _usual_directory(*(os.environ.get(variable) for variable in _PERSON))


@lru_cache(maxsize=8)
def _usual_directory(*_person: str | None) -> Path:
    from platformdirs import user_data_path  # with the first prompt, not with the extension

    return user_data_path("chatanywhere_magic", appauthor=False)


def make_directory(path: Path) -> None:
    """Make `path` and what is missing above it, for this person alone, whatever the umask is.

    What exists already keeps its rights: it may be shared on purpose.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        with suppress(FileExistsError):  # another kernel has just made it
            each.mkdir(mode=PRIVATE_DIRECTORY)
    if not path.is_dir():
        raise NotADirectoryError(str(path))


def check_owner(path: Path) -> None:
    """See whether `path`, and the directory that it is in, are this person's or the system's.

    Raises
    ------
    ForeignFileError
        If not.
    """
    if os.name != "posix":
        return
    # The link is whose it is, and so is what it leads to.
    for each in (path.parent, path):
        for find in (each.lstat, each.stat):
            try:
                owner = find().st_uid
            except (FileNotFoundError, NotADirectoryError):
                continue
            if owner not in {os.geteuid(), _SYSTEM} and owner != _owner_of_new_files(path.parent):
                raise ForeignFileError(str(each))


def make_private(path: Path) -> None:
    """Take the rights of all others from a file of ours. A link is left alone: what it leads to is kept elsewhere."""
    if os.name != "posix" or path.is_symlink():
        return
    found = path.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & ~PRIVATE_FILE:
        with suppress(OSError):
            path.chmod(PRIVATE_FILE)


def _owner_of_new_files(directory: Path) -> int | None:
    """Return whose the files are that we make there: some network drives and containers know one owner only."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".chatanywhere-") as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return None
