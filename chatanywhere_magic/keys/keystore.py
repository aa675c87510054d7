"""Where keys are kept and found: in this session alone, the environment, the system's keyring, or a private file.

A key is kept for one provider and one origin (scheme, host and port), and is found for no other. What is kept where is
noted in the file, so that a provider can be chosen without opening a keyring; the file holds a key only where the
person chose it for that.
"""

from __future__ import annotations

import json
import os
import stat
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
from .secret import Secret, secret_from_environment

if TYPE_CHECKING:
    from pathlib import Path

Place = Literal["session", "environment", "keyring", "file"]
PRECEDENCE: Final[tuple[Place, ...]] = ("session", "environment", "keyring", "file")
"""The first place that has a key is the one that counts."""
SERVICE: Final = "chatanywhere_magic"
"""What the entries of the keyring are found under."""
_DIRECTORY_VARIABLES: Final = ("XDG_CONFIG_HOME", "HOME") if os.name == "posix" else ("APPDATA", "LOCALAPPDATA")
"""What can say where a person's settings are."""
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700


@dataclass(frozen=True)
class Owner:
    """Whom a key is for.

    Parameters
    ----------
    provider : str
        The provider's name.
    variable : str
        The environment variable that may hold its key.
    url : str
        The address to which the key may go.
    """

    provider: str
    variable: str
    url: str

    @property
    def entry(self) -> str:
        """What it is called in the keyring and the file: the provider and the origin."""
        return _entry(self.provider, self.url)


@lru_cache(maxsize=100)
def _entry(provider: str, url: str) -> str:
    parts = urlsplit(url)
    return f"{provider} {parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


@dataclass(frozen=True)
class _Note:
    """What the file says of one entry."""

    in_keyring: bool = False
    key: Secret | None = None


_NOTHING: Final = _Note()


class _Look(NamedTuple):
    """What was found when the file was last looked at."""

    path: Path
    at: float
    notes: dict[str, _Note]


FRESH_SECONDS: Final = 0.05
"""One look at the file serves a question, which asks for its key several times."""
_looked: _Look | None = None
_session: Final[dict[str, Secret]] = {}
"""Keys of this session alone, by entry."""
_opened: Final[dict[str, Secret]] = {}
"""Keys that the keyring gave out, by entry: asking it again may take long, or ask the person again."""


def find_secret(owner: Owner) -> Secret | None:
    """Return the key for `owner`, from the first place that has one; None if none has.

    Raises
    ------
    ConfigurationError
        If a place that should have it cannot be read.
    """
    for place in places_of(owner):
        return _read(owner, place)
    return None


def look() -> None:
    """Look at the file; for `FRESH_SECONDS` no further look is needed."""
    with suppress(ConfigurationError):  # told to whoever needs a key
        _notes()


def places_of(owner: Owner) -> list[Place]:
    """Return the places that have a key for `owner`, the one that counts first. Opens no keyring."""
    entry = owner.entry
    note = _notes().get(entry, _NOTHING)
    in_environment = os.environ.get(owner.variable, "").strip()
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


def check_place(place: Place) -> None:
    """See whether a key can be kept in `place`, before the person is asked for one.

    Raises
    ------
    ConfigurationError
        If there is no keyring; the message names the other ways.
    """
    if place == "keyring":
        _keyring()


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
    """Forget every key that is kept for `owner`, and return where there was one.

    The environment is the person's own affair, and stays as it is.
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
    """Return the package ``keyring``, if it has a keyring to use here."""
    if find_spec("keyring") is None:
        raise ConfigurationError(phrase("error.no_keyring"))
    keyring = import_module("keyring")
    if keyring.get_keyring().priority <= 0:  # its way to say that there is none
        raise ConfigurationError(phrase("error.keyring_unusable"))
    return keyring


def _asked(action: str, *arguments: str | Secret) -> str | None:
    """Ask the keyring, with a failure told in our words and without what it was asked."""
    keyring = _keyring()
    failure = ""
    try:
        # The key itself is in no variable of ours: a traceback may show them.
        answer: str | None = getattr(keyring, action)(*(a.reveal() if isinstance(a, Secret) else a for a in arguments))
    except Exception as caught:  # noqa: BLE001 - keyrings are many, and each has errors of its own
        failure = type(caught).__name__
    else:
        return answer
    # Raised out here, so that nothing is chained to it: the frames of the keyring's own error hold the key.
    raise ConfigurationError(phrase("error.keyring_failed", reason=failure))


# --- the file ------------------------------------------------------------------------------------------------------


def file_path() -> Path:
    """Return the file that notes which keys are kept where."""
    return _file_path(*map(os.environ.get, _DIRECTORY_VARIABLES))


def config_directory() -> Path:
    """Return the directory of this person's settings."""
    return file_path().parent


@cache
def _file_path(*_environment: str | None) -> Path:
    """Found out once for an environment: every question asks for it several times."""
    from platformdirs import user_config_path  # with the first question, not with the extension

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
    """Return what is in the file, nothing if there is no file, None if it cannot be read."""
    try:
        mode = path.stat().st_mode
        keys = json.loads(path.read_text(encoding="utf-8"))["keys"]
        notes = {
            name: _Note(note.get("keyring") is True, Secret(note["key"], str(path)) if "key" in note else None)
            for name, note in keys.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ConfigurationError):
        return None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        with suppress(OSError):  # somebody else's file, and so somebody else's care
            path.chmod(_PRIVATE_FILE)
    return notes


def _write(notes: dict[str, _Note]) -> None:
    global _looked  # noqa: PLW0603 - as above
    path = file_path()
    new = path.with_suffix(f".{os.getpid()}.new")
    keys = {
        name: {"keyring": note.in_keyring, **({"key": note.key} if note.key else {})} for name, note in notes.items()
    }
    try:
        path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
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
    return os.open(path, flags | os.O_EXCL, _PRIVATE_FILE)
