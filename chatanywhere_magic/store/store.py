"""The store of conversations on disk: written while they happen, searchable, and never in the way of the chat.

Imported with the first prompt, since it loads sqlite3.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..core import (
    ConfigurationError,
    Conversation,
    FormatError,
    Found,
    Listed,
    Version,
    codec,
    encodable,
    excerpt,
    phrase,
    search_in,
    text,
)
from . import database
from .database import identity, reading, transaction
from .jobs import Jobs
from .processes import Process
from .rows import Rows
from .salvage import salvage

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

T = TypeVar("T")
_log = logging.getLogger(__name__)

FILE_NAME: Final = "chat.db"
RETRY_SECONDS: Final = 5.0
"""Between two tries to write while something is wrong."""
RETRY_BUSY_SECONDS: Final = 0.2
"""How long such a try waits for another program's lock."""
LOCK_SECONDS: Final = 0.3
"""Other kernels hold a lock for a few thousandths."""
SILENT_SECONDS: Final = 600.0
"""After which a turn of a process that cannot be seen from here, on another machine, is over."""
TRIGRAM: Final = 3
"""Letters from which a word is in the index."""

_WARNINGS: Final = {
    "foreign": "store.foreign",
    "full": "store.full",
    "locked": "store.locked",
    "newer": "store.newer",
    "other": "store.other",
    "read_only": "store.read_only",
}
LAST_MOMENT: Final = 253_000_000_000
"""In the year 9987."""
_TAKEN_OVER: Final = -1
"""The key of a conversation that was read from a file which has been set aside since."""
_left_open: Final[list[sqlite3.Connection]] = []


@dataclass(frozen=True)
class _Draft:
    """A conversation to write."""

    conversation: Conversation
    notebook: str


@dataclass(frozen=True)
class _Known:
    """A conversation as it stands in the file: what of it is still the same object need not be written again."""

    key: int
    revision: int
    conversation: Conversation
    notebook: str = ""
    is_ours: bool = False
    """Whether this process wrote it last."""


@dataclass(frozen=True)
class _File:
    """The open database file."""

    connection: sqlite3.Connection
    rows: Rows
    has_index: bool
    can_write: bool
    identity: tuple[int, int] | None
    pid: int
    """Of the process that opened it: not this one, after a fork."""


class _NotYetError(sqlite3.Error):
    """Something failed, and it is too early to try again."""


class Store:
    """The conversations of one user, in one file that all kernels share.

    For one thread at a time. Nothing that is wrong with the file or the disk is raised: `problem` says it, and what
    could not be written is kept, and written as soon as that works again.

    Parameters
    ----------
    path : Path
        The file; it and its directory are made when they are needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _File | None = None
        self._seen: tuple[int, int] | None = None
        """What was at our path when it was opened last."""
        self._owner_id: int | None = None
        self._known: dict[str, _Known] = {}
        self._unsaved: dict[str, _Draft] = {}
        self._names: dict[str, str] = {}
        """Where two kernels went on with the same conversation: our id ↔ the id in the file."""
        self._trouble = ""
        self._notice = ""
        self._retry_at = 0.0

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Return the store in `directory`, with the turns of processes that no longer run ended."""
        store = cls(directory / FILE_NAME)
        store.recover()
        return store

    @property
    def problem(self) -> str:
        """The current problem with the file, in one line for the user; ``""`` if there is none."""
        return self._trouble or self._notice

    @property
    def hindrance(self) -> str:
        """Why nobody should wait for it: writing has failed, or another program holds a lock. From any thread."""
        is_locked = database.seconds_of_locking() > LOCK_SECONDS
        return self._trouble or (text("store.locked", path=_short(self._path)) if is_locked else "")

    # --- writing ----------------------------------------------------------------------------------------------

    def save(self, conversation_id: str, conversation: Conversation, notebook: str = "") -> bool:
        """Write what has changed since the last call, and return whether it is in the file.

        Of a response that grows only the new text is written. If another kernel has changed the conversation since it
        was loaded here, that one stays as it is, and this one becomes a conversation of its own.

        Parameters
        ----------
        notebook : str, optional
            The notebook's path, by which :meth:`conversations` finds it.
        """
        known = self._known.get(conversation_id)
        if conversation_id not in self._unsaved:
            if known is None and not conversation.turns:
                return True
            if known is not None and known.conversation is conversation and known.notebook == notebook:
                return True
        self._unsaved[conversation_id] = _Draft(conversation, notebook)
        return self._write_unsaved()

    def _write_unsaved(self, *, at_once: bool = False) -> bool:
        if at_once:
            self._retry_at = 0.0

        def write(file: _File) -> bool:
            for conversation_id, draft in tuple(self._unsaved.items()):
                with transaction(file.connection):
                    name, known = self._write(file, conversation_id, draft)
                # Only now is it in the file.
                if name != self._names.get(conversation_id, conversation_id):
                    self._names.update({conversation_id: name, name: conversation_id})
                self._known[conversation_id] = known
                del self._unsaved[conversation_id]
            return True

        return self._attempt(write, writing=True) or False

    def _write(self, file: _File, conversation_id: str, draft: _Draft) -> tuple[str, _Known]:
        """Write a conversation; return its id in the file, and how it stands there now."""
        execute = file.connection.execute
        known = self._known.get(conversation_id)
        name = self._names.get(conversation_id, conversation_id)
        owner = self._owner(file)
        row = execute("SELECT key, revision, owner FROM conversations WHERE id = ?", (name,)).fetchone()
        if row is None:
            known = None
        elif known is None or (known.key, known.revision) != row[:2]:
            is_same = known is not None and (known.key, known.revision) == (_TAKEN_OVER, row[1])
            if is_same or row[2] == owner:
                known = _Known(row[0], row[1], file.rows.read(row[0]))
            else:
                known, name = None, os.urandom(16).hex()
        conversation, visible = draft.conversation, draft.conversation.visible
        if known is None:
            insert = "INSERT INTO conversations VALUES (NULL, ?, '', '', '', '', 0, ?, 0, 0, ?)"
            key = execute(insert, (name, _started(conversation), owner)).lastrowid or 0
            known = _Known(key, 0, Conversation())
        file.rows.write(known.key, known.conversation, conversation)
        about = {
            "title": encodable(conversation.title),
            "name": encodable(conversation.name),
            "notebook": encodable(draft.notebook),
            "model": encodable(visible[-1][1].current.model) if visible else "",
            "turns": len(visible),
            "updated": time.time(),
            "revision": known.revision + 1,
            "owner": owner,
        }
        changes = ", ".join(f"{column} = :{column}" for column in about)
        execute(f"UPDATE conversations SET {changes} WHERE key = :key", {**about, "key": known.key})
        return name, _Known(known.key, known.revision + 1, conversation, draft.notebook, is_ours=True)

    def _owner(self, file: _File) -> int:
        if self._owner_id is None:
            process = Process.current()
            values = process.machine, process.pid, process.started
            file.connection.execute("INSERT OR IGNORE INTO owners (machine, pid, started) VALUES (?, ?, ?)", values)
            select = "SELECT id FROM owners WHERE machine = ? AND pid = ? AND started = ?"
            (self._owner_id,) = file.connection.execute(select, values).fetchone()
        return self._owner_id or 0

    def recover(self) -> int:
        """End the turns of processes that no longer run as interrupted, with the text that came; return how many."""

        def find(file: _File) -> list[tuple[int, int]]:
            found = file.connection.execute(
                "SELECT v.id, v.conversation, c.updated, o.machine, o.pid, o.started FROM versions v"
                " JOIN conversations c ON c.key = v.conversation JOIN owners o ON o.id = c.owner"
                " WHERE v.status IN ('queued', 'streaming')"
            ).fetchall()
            return [(row[0], row[1]) for row in found if _is_over(Process(*row[3:]), row[2])]

        def end(file: _File) -> int:
            with transaction(file.connection):
                cut = find(file)  # again, since another kernel may do the same
                for version, conversation in cut:
                    file.rows.interrupt(version)
                    update = "UPDATE conversations SET revision = revision + 1 WHERE key = ?"
                    file.connection.execute(update, (conversation,))
            return len(cut)

        return self._attempt(end, writing=True) or 0 if self._attempt(find) else 0

    def forget(self, conversation_id: str) -> bool:
        """Delete a conversation for good, and return whether the file contains nothing of it.

        What is removed is overwritten, in the index and in the log, too. The log stays as it is while another kernel
        reads; then it is the last one to close the file who removes it.
        """
        name = self._names.get(conversation_id, conversation_id)

        def remove(file: _File) -> bool:
            with transaction(file.connection):
                row = file.connection.execute("SELECT key FROM conversations WHERE id = ?", (name,)).fetchone()
                if row is not None:
                    file.rows.remove(row[0])
            database.empty_log(file.connection)
            return True

        if not self._attempt(remove, writing=True):
            return False
        # Its name in the file stays: where one conversation became two, the other one still has it.
        self._known.pop(conversation_id, None)
        self._unsaved.pop(conversation_id, None)
        return True

    # --- reading ----------------------------------------------------------------------------------------------

    def load(self, conversation_id: str) -> Conversation | None:
        """Return the conversation with an id, or None."""
        if conversation_id in self._unsaved:
            return self._unsaved[conversation_id].conversation
        self.recover()
        name = self._names.get(conversation_id, conversation_id)

        def read(file: _File) -> Conversation | None:
            select = "SELECT key, revision, notebook FROM conversations WHERE id = ?"
            with reading(file.connection):
                row = file.connection.execute(select, (name,)).fetchone()
                known = self._known.get(conversation_id)
                if row is None or (known is not None and (known.key, known.revision) == row[:2]):
                    return known.conversation if row and known else None
                conversation = file.rows.read(row[0])
            self._known[conversation_id] = _Known(row[0], row[1], conversation, row[2])
            return conversation

        return self._attempt(read)

    def conversations(self, search: str = "", limit: int = 50, *, notebook: str | None = None) -> list[Listed]:
        """Return the conversations, most recently changed first.

        Parameters
        ----------
        search : str, optional
            Words that all occur in the title, a prompt or a response.
        limit : int, default 50
            Most of them.
        notebook : str, optional
            Only those that were held in the notebook at this path.
        """
        words = search.split()

        def read(file: _File) -> list[Listed]:
            conditions = ["TRUE"]
            parameters: list[str] = []
            for word in words:
                holds, values = _holding(word, file)
                conditions.append(
                    "(instr(casefold(CAST(c.name AS BLOB)), ?)"
                    " OR c.key IN (SELECT v.conversation FROM versions v JOIN turns t"
                    f" ON t.conversation = v.conversation AND t.position = v.turn WHERE NOT t.hidden AND {holds}))"
                )
                parameters += [encodable(word.casefold()), *values]
            if notebook is not None:
                conditions.append("c.notebook = ?")
                parameters.append(encodable(notebook))
            rows = file.connection.execute(
                "SELECT c.id, c.name, c.started, c.updated, c.model, c.turns, c.notebook FROM conversations c"
                f" WHERE {' AND '.join(conditions)} ORDER BY c.updated DESC LIMIT ?",
                (*parameters, limit + len(self._unsaved)),
            )
            found = (_listed_row(row) for row in rows)
            return [replace(each, id=self._names.get(each.id, each.id)) for each in found if each.id]

        unsaved = [
            _listed(conversation_id, draft.conversation)
            for conversation_id, draft in self._unsaved.items()
            if (notebook is None or draft.notebook == notebook) and _holds_all(draft.conversation, words)
        ]
        saved = [each for each in self._attempt(read) or [] if each.id not in self._unsaved]
        return sorted([*unsaved, *saved], key=lambda each: each.updated, reverse=True)[:limit]

    def search(self, search: str, limit: int = 50) -> list[Found]:
        """Return the turns of all conversations that contain all of the words, latest first."""
        words = search.split()
        if not words:
            return []

        def read(file: _File) -> list[Found]:
            conditions = ["NOT t.hidden"]
            parameters: list[str] = []
            for word in words:
                holds, values = _holding(word, file)
                conditions.append(holds)
                parameters += values
            rows = file.connection.execute(
                "SELECT c.id, c.name, v.turn, v.number, v.fields, v.prompt, v.text FROM versions v"
                " JOIN conversations c ON c.key = v.conversation"
                " JOIN turns t ON t.conversation = v.conversation AND t.position = v.turn"
                f" WHERE {' AND '.join(conditions)} ORDER BY v.id DESC",
                parameters,
            )
            found: dict[tuple[str, int], Found] = {}
            for name, title, turn, number, fields, prompt, said in rows:
                if len(found) == limit:  # however many there are, no others are looked at
                    break
                own = self._names.get(name, name)
                if own not in self._unsaved:
                    around = excerpt(_word(prompt), _word(said), words)
                    found.setdefault((own, turn), Found(own, title, turn, number, _asked(fields), around))
            return list(found.values())

        saved = self._attempt(read) or []
        unsaved = [
            found
            for conversation_id, draft in self._unsaved.items()
            for found in search_in(conversation_id, draft.conversation, words)
        ]
        return [*unsaved, *saved][:limit]

    def find_replay(self, fingerprint: str) -> Version | None:
        """Return the latest complete version with a request's fingerprint, or None."""
        if not fingerprint:
            return None
        for draft in self._unsaved.values():
            for turn in draft.conversation.turns:
                for version in turn.versions:
                    if version.fingerprint == fingerprint and version.status == "complete":
                        return version
        return self._attempt(lambda file: file.rows.find_complete(fingerprint))

    def with_jobs(self, action: Callable[[Jobs], T], *, writing: bool = True) -> T | None:
        """Do something with the jobs in the file; None if that is not possible now, and `problem` says why."""
        return self._attempt(lambda file: action(Jobs(file.connection)), writing=writing)

    def try_jobs(self, action: Callable[[Jobs], None]) -> bool:
        """Write something at once, on whatever thread; return whether that was possible without waiting.

        It outlives this process, whatever kills it. To outlive the machine's power, too, takes the disk some
        milliseconds; the next write that is none of these sees to that.
        """
        file = self._file
        if file is None or not file.can_write or self._trouble or self._is_elsewhere(file):
            return False
        execute = file.connection.execute
        try:
            execute("PRAGMA busy_timeout = 0")
            execute("PRAGMA synchronous = NORMAL")
            execute("PRAGMA wal_autocheckpoint = 0")
            action(Jobs(file.connection))
        except sqlite3.Error:
            return False
        finally:
            with suppress(sqlite3.Error):
                execute("PRAGMA wal_autocheckpoint = 1000")
                execute("PRAGMA synchronous = FULL")
                _be_patient(file, database.BUSY_SECONDS)
        return True

    # --- the file ---------------------------------------------------------------------------------------------

    def backup(self, path: Path) -> None:
        """Copy the store to another file, whatever other kernels write meanwhile.

        Raises
        ------
        ConfigurationError
            If that does not work.
        """
        self._write_unsaved(at_once=True)
        try:
            database.copy(self._opened().connection, path)
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(phrase("error.backup", path=path.name, reason=error)) from None

    def close(self) -> None:
        """Write what is not written yet and close the file; whatever is called next opens it again."""
        if self._unsaved:
            self._write_unsaved(at_once=True)
        self._shut()

    def _attempt(self, action: Callable[[_File], T], *, writing: bool = False, again: bool = False) -> T | None:
        """Do something with the file; None if that is not possible now, and `problem` says why."""
        try:
            if self._trouble and writing and time.monotonic() < self._retry_at:
                raise _NotYetError  # noqa: TRY301 - it is dealt with as the others are
            file = self._opened(writing=writing)
            if self._trouble:
                _be_patient(file, RETRY_BUSY_SECONDS)
            done = action(file)
            if writing and self._is_elsewhere(file) and not again:
                # It was set aside before this was in it, and what can be read of it is in another by now.
                return self._attempt(action, writing=True, again=True)
            if self._trouble and writing:
                self._trouble = ""
                _be_patient(file, database.BUSY_SECONDS)
        except (sqlite3.Error, OSError) as error:
            # With the letters that can be read, on a new index, or on a new file, if the old one was broken.
            if not again and (self._read_leniently(error) or self._renew_index(error) or self._deal_with(error)):
                return self._attempt(action, writing=writing, again=True)
            return None
        except Exception as error:  # noqa: BLE001 - values that no release of ours has written
            _log.debug("a row cannot be read", exc_info=error)
            self._notice = text("store.other", path=_short(self._path), reason=type(error).__name__)
            return None
        return done

    def _read_leniently(self, error: sqlite3.Error | OSError) -> bool:
        """Return whether it was only that a text is not in UTF-8, and it is read all the same from now on."""
        if self._file is None or not database.is_encoding(error):
            return False
        self._file.connection.text_factory = _decoded
        return True

    def _renew_index(self, error: sqlite3.Error | OSError) -> bool:
        """Return whether it was the full-text index alone that is damaged, and has been made again."""
        file = self._file
        if (
            isinstance(error, _NotYetError)
            or file is None
            or not file.has_index
            or database.diagnose(error) not in {"broken", "other"}
        ):
            return False
        try:
            if database.is_index_whole(file.connection):
                return False
            database.renew_index(file.connection)
        except sqlite3.Error:
            return False
        return True

    def _opened(self, *, writing: bool = False) -> _File:
        file = self._file
        if file is not None and self._is_elsewhere(file):
            self._shut()
            self._forget_file()
        elif file is not None and (file.can_write or not writing):
            return file
        if self._trouble and time.monotonic() < self._retry_at:
            raise _NotYetError
        self._seen = identity(self._path)
        patience = RETRY_BUSY_SECONDS if self._trouble else database.BUSY_SECONDS
        try:
            return self._use(database.connect(self._path, patience), can_write=True)
        except (sqlite3.Error, OSError) as error:
            if database.diagnose(error) != "read_only" or not self._path.exists():
                raise
            file = self._file or self._use(database.connect_to_read(self._path), can_write=False)
            if writing:
                raise  # but what is there can be read
            return file

    def _is_elsewhere(self, file: _File) -> bool:
        """Whether another kernel has set the file aside, or this is another process than opened it."""
        return file.pid != os.getpid() or file.identity != identity(self._path)

    def _use(self, connection: sqlite3.Connection, *, can_write: bool) -> _File:
        self._shut()
        try:
            has_index = database.has_index(connection)
        except BaseException:
            connection.close()
            raise
        rows = Rows(connection, has_index=has_index)
        self._file = _File(connection, rows, has_index, can_write, identity(self._path), os.getpid())
        return self._file

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if file.pid != os.getpid():
            _left_open.append(file.connection)  # the parent's: to close it here would take the parent's locks away
            return
        with suppress(sqlite3.Error):
            file.connection.close()

    def _forget_file(self) -> None:
        """Get ready for another file: what this process wrote is to be written again."""
        self._owner_id = None
        for conversation_id, known in tuple(self._known.items()):
            if known.is_ours:
                self._unsaved.setdefault(conversation_id, _Draft(known.conversation, known.notebook))
                del self._known[conversation_id]
            else:
                self._known[conversation_id] = replace(known, key=_TAKEN_OVER)

    def _deal_with(self, error: sqlite3.Error | OSError) -> bool:
        """Note what is wrong; return whether there is a new file now."""
        if isinstance(error, _NotYetError):
            return False
        _log.debug("the store failed", exc_info=error)
        self._owner_id = None  # it may have been written by what is undone now
        trouble = database.diagnose(error)
        if trouble == "broken":
            try:
                self._begin_anew()
            except (sqlite3.Error, OSError) as failure:
                error, trouble = failure, "other"
            else:
                return True
        if trouble not in {"full", "locked", "read_only"}:
            self._shut()
        self._trouble = text(_WARNINGS[trouble], path=_short(self._path), reason=error)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return False

    def _begin_anew(self) -> None:
        """Set the broken file aside, and take over into a new one what can be read of it."""
        broken = self._file.identity if self._file else self._seen
        self._shut()
        self._forget_file()
        aside = database.set_aside(self._path, broken)
        if aside is None:
            return  # another kernel has done it
        self._notice = text("store.broken", path=_short(self._path), aside=aside.name)
        file = self._opened(writing=True)
        with suppress(sqlite3.DatabaseError), closing(database.connect_to_read(aside)) as source:
            salvage(source, file.connection)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _be_patient(file: _File, seconds: float) -> None:
    file.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _holding(word: str, file: _File) -> tuple[str, list[str]]:
    """Return the SQL for "the version holds the word", and its parameters."""
    contains, folded = (
        "instr(casefold(CAST(v.prompt || char(10) || v.text AS BLOB)), ?)",
        encodable(word.casefold()),
    )
    if not file.has_index or len(word) < TRIGRAM:
        return contains, [folded]
    quoted = '"' + encodable(word).replace('"', '""') + '"'
    indexed = f"(v.id IN (SELECT rowid FROM {database.INDEX} WHERE {database.INDEX} MATCH ?) OR NOT v.indexed)"
    return f"({indexed} AND {contains})", [quoted, folded]


def _holds_all(conversation: Conversation, words: list[str]) -> bool:
    said = [part for _, turn in conversation.visible for each in turn.versions for part in (each.prompt, each.text)]
    whole = "\n".join([conversation.name, *said]).casefold()
    return all(word.casefold() in whole for word in words)


def _listed_row(row: tuple[Any, ...]) -> Listed:
    """Return a row of the list. SQLite keeps anything in any column, and one odd row must not hide the others."""
    conversation_id, name, started, updated, model, turns, notebook = row
    return Listed(
        _word(conversation_id),
        _word(name),
        _moment(started),
        _moment(updated),
        _word(model),
        _number(turns),
        _word(notebook),
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: object) -> float:
    """Return seconds since the epoch that a calendar holds; 0 for anything else."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= LAST_MOMENT else 0.0


def _asked(fields: str) -> float:
    with suppress(FormatError, AttributeError, TypeError, ValueError):
        return _moment(codec.loads(fields).get("timing", {}).get("started", 0.0))
    return 0.0


def _started(conversation: Conversation) -> float:
    times = (version.timing.started for turn in conversation.turns for version in turn.versions)
    return min((each for each in times if each), default=time.time())


def _listed(conversation_id: str, conversation: Conversation) -> Listed:
    visible = conversation.visible
    model = visible[-1][1].current.model if visible else ""
    return Listed(conversation_id, conversation.name, _started(conversation), time.time(), model, len(visible))


def _is_over(process: Process, updated: float) -> bool:
    runs = process.runs
    return not runs if runs is not None else time.time() > updated + SILENT_SECONDS


def _short(path: Path) -> str:
    """Return a path as it is shown: notebooks are given away, and need not tell whose they are."""
    with suppress(ValueError, RuntimeError):
        return f"~{os.sep}{path.relative_to(Path.home())}"
    return str(path)
