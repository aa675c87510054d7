"""Store and find keys: in this session only, the environment, the system keyring, or a private file.

A key belongs to one provider and one origin (scheme, host and port), and is never used for another. The file records
which keys are kept where, so that a provider can be chosen without opening the keyring; it contains a key only if the
user chose the file for that.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from ..core import ConfigurationError, phrase, text
from .owned import PRIVATE_FILE, ForeignFileError, check_owner, make_directory, make_private
from .pasted import cleaned_key
from .secret import Secret, secret_from_environment

if TYPE_CHECKING:
    from pathlib import Path

Place = Literal["session", "environment", "keyring", "file"]
PRECEDENCE: Final[tuple[Place, ...]] = ("session", "environment", "keyring", "file")
"""The places in order of precedence: the first that has a key is used."""
SERVICE: Final = "chatanywhere_magic"
"""The service name of the entries in the keyring."""
_DIRECTORY_VARIABLES: Final = ("XDG_CONFIG_HOME", "HOME") if os.name == "posix" else ("APPDATA", "LOCALAPPDATA")
"""Environment variables that can set the directory of the user's settings."""


@dataclass(frozen=True)
class Owner:
    """The provider and address that a key belongs to.

    Parameters
    ----------
    provider : str
        The provider's name.
    variable : str
        The environment variable that may hold its key.
    url : str
        The address that the key may be sent to.
    """

    provider: str
    variable: str
    url: str

    @property
    def entry(self) -> str:
        """The entry's name in the keyring and the file: the provider and the origin."""
        return _entry(self.provider, self.url)


@lru_cache(maxsize=100)
def _entry(provider: str, url: str) -> str:
    parts = urlsplit(url)
    return f"{provider} {parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


@dataclass(frozen=True)
class _Note:
    """The file's record of one entry."""

    in_keyring: bool = False
    key: Secret | None = None


_NOTHING: Final = _Note()


class _Look(NamedTuple):
    """The file's contents when it was last read."""

    path: Path
    at: float
    notes: dict[str, _Note]


FRESH_SECONDS: Final = 0.05
"""How long the file's contents are reused: a prompt needs its key several times."""
_looked: _Look | None = None
_session: Final[dict[str, Secret]] = {}
"""Keys kept for this session only, by entry."""
_opened: Final[dict[str, Secret]] = {}
"""Keys read from the keyring, by entry: reading again may be slow, or prompt the user again."""


def find_secret(owner: Owner) -> Secret | None:
    """Return the key for `owner` from the first place that has one, or None.

    Raises
    ------
    ConfigurationError
        If the place that should have it cannot be read.
    """
    for place in places_of(owner):
        return _read(owner, place)
    return None


def look() -> None:
    """Read the file, so that it need not be read again for `FRESH_SECONDS`."""
    with suppress(ConfigurationError):  # reported when a key is needed
        _notes()


def places_of(owner: Owner) -> list[Place]:
    """Return the places that have a key for `owner`, in order of precedence, without opening the keyring."""
    entry = owner.entry
    note = _notes().get(entry, _NOTHING)
    in_environment = cleaned_key(os.environ.get(owner.variable, ""))
    # In the order of PRECEDENCE.
    return list(compress(PRECEDENCE, (entry in _session, in_environment, note.in_keyring, note.key)))


def _read(owner: Owner, place: Place) -> Secret | None:
    if place == "session":
        return _session[owner.entry]
    if place == "environment":
        return secret_from_environment(owner.variable)
    if place == "file":
        return _notes()[owner.entry].key
    if owner.entry not in _opened:
        value = _asked("get_password", SERVICE, owner.entry)
        if not value:
            raise ConfigurationError(phrase("error.keyring_empty", provider=owner.provider))
        _opened[owner.entry] = Secret(value, text("key.keyring"))
    return _opened[owner.entry]


def keep(owner: Owner, secret: Secret, place: Place) -> None:
    """Keep the key for `owner` in `place`: the session, the keyring, or the file.

    Raises
    ------
    ConfigurationError
        If that place cannot be written.
    """
    if place == "session":
        _session[owner.entry] = secret
        return
    notes = dict(_notes())
    note = notes.get(owner.entry, _NOTHING)
    if place == "keyring":
        _asked("set_password", SERVICE, owner.entry, secret)
        _opened[owner.entry] = secret
        notes[owner.entry] = replace(note, in_keyring=True)
    else:
        notes[owner.entry] = replace(note, key=secret)
    _write(notes)


def forget(owner: Owner) -> list[Place]:
    """Delete every key kept for `owner`, and return the places that had one.

    The environment is left alone.
    """
    gone: list[Place] = [place for place in places_of(owner) if place != "environment"]
    _session.pop(owner.entry, None)
    _opened.pop(owner.entry, None)
    if "keyring" in gone:
        _asked("delete_password", SERVICE, owner.entry)
    notes = dict(_notes())
    if notes.pop(owner.entry, None) is not None:
        _write(notes)
    return gone


# --- the keyring ---------------------------------------------------------------------------------------------------


def _keyring() -> Any:
    """Return the package ``keyring`` if it is installed and has a usable backend."""
    if find_spec("keyring") is None:
        raise ConfigurationError(phrase("error.no_keyring"))
    keyring = import_module("keyring")
    if keyring.get_keyring().priority <= 0:  # how it says that there is none
        raise ConfigurationError(phrase("error.keyring_unusable"))
    return keyring


def _asked(action: str, *arguments: str | Secret) -> str | None:
    """Call the keyring, and raise its failures in our words, without the call's arguments."""
    keyring = _keyring()
    failure = ""
    try:
        # The key itself is in no variable of ours: a traceback may show them.
        answer: str | None = getattr(keyring, action)(*(a.reveal() if isinstance(a, Secret) else a for a in arguments))
    except Exception as caught:  # noqa: BLE001 - keyrings are many, and each has errors of its own
        failure = type(caught).__name__
    else:
        return answer
    # Raised outside the handler, so that nothing is chained to it: the frames of the keyring's error hold the key.
    raise ConfigurationError(phrase("error.keyring_failed", reason=failure))


# --- the file ------------------------------------------------------------------------------------------------------


def file_path() -> Path:
    """Return the path of the file that records which keys are kept where."""
    return _file_path(*map(os.environ.get, _DIRECTORY_VARIABLES))


def config_directory() -> Path:
    """Return the directory of the user's settings."""
    return file_path().parent


@cache
def _file_path(*_environment: str | None) -> Path:
    """Determine the path once for each environment: every prompt needs it several times."""
    from platformdirs import user_config_path  # loaded with the first prompt, not with the extension

    return user_config_path(SERVICE, appauthor=False) / "keys.json"


def _notes() -> dict[str, _Note]:
    global _looked  # noqa: PLW0603 - of the one file
    path = file_path()
    # The path of one environment is one object.
    if _looked is None or _looked.path is not path or time.monotonic() > _looked.at + FRESH_SECONDS:
        notes = _read_notes(path)
        # Raised from here, where no frame holds what is in the file.
        if notes is None:
            raise ConfigurationError(phrase("error.key_file", path=path))
        _looked = _Look(path, time.monotonic(), notes)
    return _looked.notes


def _read_notes(path: Path) -> dict[str, _Note] | None:
    """Return the file's contents: empty if there is no file, None if it cannot be read.

    Raises
    ------
    ConfigurationError
        If it is another user's.
    """
    try:
        check_owner(path)
    except ForeignFileError as foreign:
        raise ConfigurationError(phrase("error.key_file_owner", path=foreign)) from None
    except OSError:
        return None
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))["keys"]
        notes = {
            name: _Note(note.get("keyring") is True, Secret(note["key"], str(path)) if "key" in note else None)
            for name, note in keys.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ConfigurationError):
        return None
    with suppress(OSError):  # it has just been removed
        make_private(path)
    return notes


def _write(notes: dict[str, _Note]) -> None:
    global _looked  # noqa: PLW0603 - as above
    path = file_path()
    new = path.with_suffix(f".{os.getpid()}.new")
    keys = {
        name: {"keyring": note.in_keyring, **({"key": note.key} if note.key else {})} for name, note in notes.items()
    }
    try:
        make_directory(path.parent)
        check_owner(path)
        # Private from its first byte on, and whole at every moment: another kernel may be reading it.
        with open(new, "w", encoding="utf-8", opener=_open_private) as file:
            json.dump({"version": 1, "keys": keys}, file, indent=1, default=Secret.reveal)
        new.replace(path)
        _looked = None
    except OSError as caught:
        reason = caught.strerror or type(caught).__name__
        with suppress(OSError):
            new.unlink()
    else:
        return
    raise ConfigurationError(phrase("error.key_file_write", path=path, reason=reason))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, PRIVATE_FILE)
