"""The store's database file: open it for its owner only, migrate its schema, and diagnose problems.

Imported with the first prompt, since it loads sqlite3.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

from ..keys import ForeignFileError, check_owner, make_directory, make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_SECONDS: Final = 5.0
INDEX: Final = "search_index"
"""The full-text index over prompts and texts."""
BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite adds to the file's name for those beside it."""

Trouble = Literal["broken", "foreign", "full", "locked", "newer", "other", "read_only"]


class NewerSchemaError(sqlite3.Error):
    """A later version of this package wrote the file."""


_locking_since: Final[list[float]] = []


@contextmanager
def _locking() -> Iterator[None]:
    _locking_since.append(time.monotonic())
    try:
        yield
    finally:
        _locking_since.pop()


def seconds_of_locking() -> float:
    """Return for how long a lock is being waited for; 0 if none is, as while a slow disk writes. From any thread."""
    since = min(tuple(_locking_since), default=None)
    return 0.0 if since is None else time.monotonic() - since


def connect(path: Path, patience: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the database at `path`, for its owner alone, with the schema of today.

    Parameters
    ----------
    patience : float, default 5
        Seconds to wait for another program's lock.

    Raises
    ------
    sqlite3.Error, OSError
        What is wrong then, :func:`diagnose` says.
    """
    make_directory(path.parent)
    check_owner(path)
    while True:
        _wait_for_move(path)
        before = identity(path)
        connection = _connect(path, patience)
        # A file that was set aside meanwhile could have been opened with the log of another.
        if not _moving(path).exists() and before in {None, identity(path)}:
            return connection
        connection.close()


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    _create(path)
    _check_locks(path)
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        with _locking():  # already to read, where another program wants the file for itself
            refuse_foreign(connection)
        _use_log(connection, patience)
        # A prompt is on the disk before it is sent, not only with the operating system.
        connection.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten, so that it cannot be read from the file's bytes.
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        _migrate(connection)
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database for reading, as far as possible: nothing is checked, and nothing is written beside it."""
    try:
        return _connect_to_read(path, "mode=ro")
    except sqlite3.OperationalError:
        # In a directory that cannot be written, SQLite reads only what it may take for unchanging.
        return _connect_to_read(path, "immutable=1")


def _connect_to_read(path: Path, how: str) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?{how}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.create_function("casefold", 1, _casefold, deterministic=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(_nothing_through_views)
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _nothing_through_views(
    _action: int, _what: str | None, _part: str | None, _file: str | None, via: str | None
) -> int:
    """Permit what is read as it stands, and nothing that a view or a trigger does: it could go on for ever."""
    return sqlite3.SQLITE_OK if via is None else sqlite3.SQLITE_DENY


def _casefold(words: object) -> str:
    # SQLite's own comparison knows the two cases of English letters only, and any column may hold anything.
    # As bytes, for SQLite hands over no text that is not in UTF-8.
    return words.decode("utf-8", "replace").casefold() if isinstance(words, bytes) else ""


def _create(path: Path) -> None:
    # Before SQLite does, with these rights: what SQLite puts beside it has the same.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    make_private(path)


def _check_locks(path: Path) -> None:
    """See whether files can be locked here: SQLite takes a drive without locks for one that is busy, and waits.

    Raises
    ------
    OSError
        If not.
    """
    try:
        import fcntl
    except ImportError:  # Windows, whose drives all know locks
        return
    # Not the database itself: to close it here would take this process's own locks on it away.
    try:
        file = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed below, where it was made
    except OSError:  # the directory may not be written; the file perhaps may
        return
    with file:
        try:
            with _locking():
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"files cannot be locked there: {error.strerror}"
            raise OSError(error.errno, msg) from None


def _use_log(connection: sqlite3.Connection, patience: float) -> None:
    """Switch to the write-ahead log. While another kernel does the same, SQLite fails at once instead of waiting."""
    end = time.monotonic() + patience
    with _locking():
        while not _is_using_log(connection, patient=time.monotonic() < end):
            time.sleep(0.02)


def _is_using_log(connection: sqlite3.Connection, *, patient: bool) -> bool:
    try:
        # Where the log cannot be, as on some network drives, SQLite stays with its journal.
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if patient and diagnose(error) == "locked":
            return False
        raise
    return True


def empty_log(connection: sqlite3.Connection) -> None:
    """Have what stands in the log written into the file and the log emptied, as far as nobody reads it now."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing. Other writers wait from the start, since the reads here decide what is written."""
    with _begun(connection, "BEGIN IMMEDIATE"):
        yield


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Read a snapshot, whatever others write meanwhile."""
    with _begun(connection, "BEGIN"):
        yield


@contextmanager
def _begun(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    with _locking():
        connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors have ended the transaction already
            connection.execute("ROLLBACK")
        raise


# --- schema -------------------------------------------------------------------------------------------------------
# A change is a new function at the end of _MIGRATIONS. What was released is never edited.


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE owners (
            id INTEGER PRIMARY KEY,
            machine TEXT NOT NULL,
            pid INTEGER NOT NULL,
            started TEXT NOT NULL,
            UNIQUE (machine, pid, started)
        )"""
    )
    connection.execute(
        """CREATE TABLE conversations (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            name TEXT NOT NULL,
            notebook TEXT NOT NULL,
            model TEXT NOT NULL,
            turns INTEGER NOT NULL,
            started REAL NOT NULL,
            updated REAL NOT NULL,
            revision INTEGER NOT NULL,
            owner INTEGER NOT NULL REFERENCES owners
        )"""
    )
    connection.execute("CREATE INDEX conversations_by_time ON conversations (updated)")
    connection.execute(
        """CREATE TABLE turns (
            conversation INTEGER NOT NULL REFERENCES conversations,
            position INTEGER NOT NULL,
            selected INTEGER NOT NULL,
            pinned INTEGER NOT NULL,
            hidden INTEGER NOT NULL,
            PRIMARY KEY (conversation, position)
        ) WITHOUT ROWID"""
    )
    connection.execute(
        """CREATE TABLE versions (
            id INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations,
            turn INTEGER NOT NULL,
            number INTEGER NOT NULL,
            status TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            indexed INTEGER NOT NULL DEFAULT 0,
            question TEXT NOT NULL,
            answer TEXT NOT NULL,
            reasoning TEXT NOT NULL,
            fields TEXT NOT NULL,
            UNIQUE (conversation, turn, number)
        )"""
    )
    connection.execute("CREATE INDEX versions_by_fingerprint ON versions (fingerprint) WHERE fingerprint != ''")
    connection.execute(
        "CREATE INDEX versions_on_their_way ON versions (conversation) WHERE status IN ('queued', 'streaming')"
    )
    connection.execute("CREATE INDEX versions_to_index ON versions (id) WHERE NOT indexed")
    # Apart from the versions: a picture is written once, not with every change of a status.
    connection.execute(
        "CREATE TABLE attachments (version INTEGER PRIMARY KEY REFERENCES versions, content TEXT NOT NULL)"
    )
    connection.execute(
        """CREATE TABLE pieces (
            id INTEGER PRIMARY KEY,
            version INTEGER NOT NULL REFERENCES versions,
            answer TEXT NOT NULL,
            reasoning TEXT NOT NULL
        )"""
    )
    connection.execute("CREATE INDEX pieces_by_version ON pieces (version)")


def _keep_messages(connection: sqlite3.Connection) -> None:
    """Give a version a place for its messages with their parts, and call prompt and text what everything else does."""
    with suppress(sqlite3.OperationalError):  # this SQLite may have no full-text search
        connection.execute("DROP TABLE IF EXISTS words")
    connection.execute("ALTER TABLE versions RENAME COLUMN question TO prompt")
    connection.execute("ALTER TABLE versions RENAME COLUMN answer TO text")
    connection.execute("ALTER TABLE versions ADD COLUMN messages TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE pieces RENAME COLUMN answer TO text")
    connection.execute("UPDATE versions SET indexed = 0 WHERE indexed")


def _keep_jobs(connection: sqlite3.Connection) -> None:
    """Give jobs a place, and the rows that each has asked."""
    connection.execute(
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            label TEXT NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            spec TEXT NOT NULL,
            fresh INTEGER NOT NULL,
            started REAL NOT NULL,
            updated REAL NOT NULL
        )"""
    )
    connection.execute(
        """CREATE TABLE job_rows (
            job INTEGER NOT NULL REFERENCES jobs,
            fingerprint BLOB NOT NULL,
            prompt TEXT NOT NULL,
            places TEXT NOT NULL,
            status TEXT NOT NULL,
            text TEXT NOT NULL,
            fields TEXT NOT NULL,
            PRIMARY KEY (job, fingerprint)
        ) WITHOUT ROWID"""
    )
    connection.execute("CREATE INDEX job_rows_by_fingerprint ON job_rows (fingerprint) WHERE status = 'done'")


_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_create_tables, _keep_messages, _keep_jobs)

_COLUMNS: Final = {
    "owners": "id, machine, pid, started",
    "conversations": "key, id, title, name, notebook, model, turns, started, updated, revision, owner",
    "turns": "conversation, position, selected, pinned, hidden",
    "versions": "id, conversation, turn, number, status, fingerprint, indexed, prompt, text, reasoning, fields,"
    " messages",
    "attachments": "version, content",
    "pieces": "id, version, text, reasoning",
    "jobs": "id, key, label, provider, model, spec, fresh, started, updated",
    "job_rows": "job, fingerprint, prompt, places, status, text, fields",
}


def _migrate(connection: sqlite3.Connection) -> None:
    if _schema(connection) == len(_MIGRATIONS):
        return
    with transaction(connection):
        done = _schema(connection)  # another kernel may have been quicker
        for number, migration in enumerate(_MIGRATIONS[done:], done + 1):
            migration(connection)
            connection.execute(f"PRAGMA user_version = {number}")


def _schema(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number > len(_MIGRATIONS):
        raise NewerSchemaError(f"schema {number}")
    return int(number)


def _check(connection: sqlite3.Connection) -> None:
    """Ask for every column, so that a damaged schema shows itself now and not in the middle of a conversation.

    We make no views and triggers. One could run for ever when it is read, or write what nobody asked for.
    """
    _schema(connection)
    refuse_foreign(connection)
    for table, columns in _COLUMNS.items():
        connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")


def refuse_foreign(connection: sqlite3.Connection) -> None:
    """See whether there are tables and indexes only, as in every database of ours.

    Raises
    ------
    sqlite3.DatabaseError
        If there is anything else.
    """
    select = "SELECT type FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 1"
    if (found := connection.execute(select).fetchone()) is not None:
        msg = f"malformed: there is a {found[0]} in it"
        raise sqlite3.DatabaseError(msg)


def has_index(connection: sqlite3.Connection) -> bool:
    """Return whether there is a full-text index here, made now if there was none.

    It is no migration, because it depends on the SQLite that comes with the Python. Trigrams, which find Chinese as
    well as parts of words, came with SQLite 3.34, and some builds have no full-text search at all.
    """
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (INDEX,)).fetchone():
            return _has_new_index(connection)
        connection.execute(f"SELECT prompt, text FROM {INDEX} WHERE {INDEX} MATCH 'abc' LIMIT 1").fetchall()
    except sqlite3.DatabaseError as error:
        return diagnose(error) not in {"full", "locked", "read_only"} and _has_new_index(connection)
    return True


_CREATE_INDEX: Final = (
    f"CREATE VIRTUAL TABLE {INDEX}"
    " USING fts5 (prompt, text, content = 'versions', content_rowid = 'id', tokenize = 'trigram')"
)


def is_index_whole(connection: sqlite3.Connection) -> bool:
    """Return whether the full-text index can be read to its end. It can be made again; what it is made of cannot."""
    try:
        connection.execute(f"INSERT INTO {INDEX} ({INDEX}) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        return diagnose(error) in {"locked", "read_only", "full"}
    return True


def _has_new_index(connection: sqlite3.Connection) -> bool:
    """Return whether there is a new, empty index now, in place of one that is damaged."""
    try:
        renew_index(connection)
    except sqlite3.DatabaseError:
        return False
    return True


def renew_index(connection: sqlite3.Connection) -> None:
    """Make the index again, from the versions that have ended; others get into it when they do."""
    with transaction(connection):
        try:
            connection.execute(f"DROP TABLE IF EXISTS {INDEX}")
        except sqlite3.DatabaseError:
            # A virtual table that cannot be opened cannot be dropped either; what it stood on can.
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("DELETE FROM sqlite_master WHERE name = ?", (INDEX,))
            connection.execute("PRAGMA writable_schema = RESET")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE name GLOB ?", (f"{INDEX}_*",)
        ).fetchall():
            connection.execute('DROP TABLE "{}"'.format(name.replace('"', '""')))
        connection.execute(_CREATE_INDEX)
        ended = "status IN ('complete', 'failed', 'interrupted')"
        connection.execute(
            f"INSERT INTO {INDEX} (rowid, prompt, text) SELECT id, prompt, text FROM versions WHERE {ended}"
        )
        connection.execute(f"UPDATE versions SET indexed = {ended}")


# --- trouble ------------------------------------------------------------------------------------------------------

_SIGNS: Final[tuple[tuple[str, Trouble], ...]] = (
    ("malformed", "broken"),
    ("not a database", "broken"),
    ("no such table", "broken"),
    ("no such column", "broken"),
    ("already exists", "broken"),
    ("unsupported file format", "broken"),
    ("is full", "full"),
    ("locked", "locked"),
    ("locking protocol", "locked"),
    ("readonly", "read_only"),
    ("unable to open", "read_only"),
)
"""Words of SQLite's messages; their numbers are not to be had before Python 3.11."""


def diagnose(error: sqlite3.Error | OSError) -> Trouble:
    """Return the problem with the database."""
    if isinstance(error, NewerSchemaError):
        return "newer"
    if isinstance(error, ForeignFileError):
        return "foreign"
    if isinstance(error, PermissionError):
        return "read_only"
    words = str(error).lower()
    if isinstance(error, OSError):
        if "read-only" in words:
            return "read_only"
        return "full" if "space" in words or "quota" in words else "other"
    return next((trouble for sign, trouble in _SIGNS if sign in words), "other")


def is_encoding(error: sqlite3.Error | OSError) -> bool:
    """Return whether a text was not in UTF-8, which Python's module refuses to read."""
    return "could not decode" in str(error).lower()


def identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, which differs from that of another by the same name; None if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def set_aside(path: Path, broken: tuple[int, int] | None) -> Path | None:
    """Rename a broken database and the files beside it.

    Parameters
    ----------
    broken : tuple or None
        The identity of the file that was found to be broken.

    Returns
    -------
    Path or None
        The new name; None if another kernel has been quicker.
    """
    _wait_for_move(path)
    try:
        os.close(os.open(_moving(path), os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return None
    try:
        return _set_aside(path) if identity(path) == broken else None
    finally:
        _moving(path).unlink(missing_ok=True)


def _moving(path: Path) -> Path:
    """Return the file that is there while a database and its log get another name, which is not one step."""
    return path.with_name(path.name + ".moving")


def _wait_for_move(path: Path) -> None:
    end = time.monotonic() + BUSY_SECONDS
    while _moving(path).exists():
        if time.monotonic() > end:  # the process that began it is gone
            _moving(path).unlink(missing_ok=True)
        time.sleep(0.01)


def _set_aside(path: Path) -> Path:
    date = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{date}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.broken-{date}-{number}")
    path.rename(aside)
    for ending in BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    return aside


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the open database to `path`, whole, whatever others write meanwhile."""
    _create(path)
    with closing(sqlite3.connect(path)) as target:
        connection.backup(target)
