"""Convert a conversation to rows and back. Only objects that changed are written."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    BLOCK,
    ENDED,
    SENT,
    Block,
    Conversation,
    FormatError,
    Message,
    Reasoning,
    Text,
    Turn,
    Turns,
    Usage,
    Version,
    codec,
    encodable,
)
from .database import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SELECT_VERSION: Final = (
    "SELECT v.turn, v.number, v.id, CAST(v.status AS TEXT), v.fingerprint, v.prompt, CAST(v.text AS TEXT),"
    " v.reasoning, v.messages, CAST(v.fields AS TEXT), a.content"
    " FROM versions v LEFT JOIN attachments a ON a.version = v.id"
)
_Row = tuple[Any, ...]
"""What that selects of a version."""
_Pieces = dict[int, list[tuple[str, str]]]
"""What came of texts and reasoning after their versions were written."""
_STARTED: Final = re.compile(r'"started":(\d{1,20}(?:\.\d{1,20})?)')
_USED: Final = tuple(re.compile(rf'"{name}":(\d{{1,20}})') for name in ("prompt_tokens", "completion_tokens"))

LAST_STEP: Final = 2**31
"""Nobody hides turns more often."""
MAX_INDEXED: Final = 1_000_000
"""Characters of a version. To index a longer one takes seconds, for which the next prompt would wait; to look through
it takes a tenth of one."""


class Rows:
    """The rows of a database, within the caller's transaction.

    Parameters
    ----------
    has_index : bool
        Whether there is a full-text index to keep.
    """

    def __init__(self, connection: sqlite3.Connection, *, has_index: bool) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._has_index = has_index

    # --- reading ----------------------------------------------------------------------------------------------

    def read(self, key: int) -> Conversation:
        """Read a conversation.

        Raises
        ------
        sqlite3.DatabaseError
            If a part of it is missing.
        """
        (title,) = self._execute("SELECT title FROM conversations WHERE key = ?", (key,)).fetchone()
        pieces = self._read_pieces(key)
        kept: list[tuple[_Row, ...]] = []
        count = 0
        select = f"{_SELECT_VERSION} WHERE v.conversation = ? ORDER BY v.turn, v.number"
        for row in self._execute(select, (key,)):
            if row[0] == count and row[1] == 0:
                kept.append((row,))
                count += 1
            elif row[0] == count - 1 and row[1] == len(kept[-1]):
                kept[-1] = (*kept[-1], row)
            else:
                raise sqlite3.DatabaseError("malformed: a turn or a version is missing")
        # SQLite keeps anything in any column.
        select = (
            "SELECT position, CAST(selected AS INTEGER), CAST(pinned AS INTEGER),"
            f" min(max(CAST(hidden AS INTEGER), 0), {LAST_STEP:d})"
            " FROM turns WHERE conversation = ? ORDER BY position"
        )
        states = self._execute(select, (key,)).fetchall()
        if [state[0] for state in states] != list(range(count)) or any(
            not 0 <= state[1] < len(rows) for state, rows in zip(states, kept, strict=True)
        ):
            raise sqlite3.DatabaseError("malformed: a turn is missing")
        blocks = (slice(at, at + BLOCK) for at in range(0, len(kept), BLOCK))
        return Conversation(Turns.of(_Block(states[block], kept[block], pieces) for block in blocks), _text(title))

    def _read_pieces(self, key: int) -> _Pieces:
        pieces: _Pieces = {}
        select = (
            "SELECT p.version, p.text, p.reasoning FROM versions v JOIN pieces p ON p.version = v.id"
            " WHERE v.conversation = ? AND v.status IN ('queued', 'streaming') ORDER BY p.id"
        )
        for version, said, reasoning in self._execute(select, (key,)):
            pieces.setdefault(version, []).append((said, reasoning))
        return pieces

    def find_complete(self, fingerprint: str) -> Version | None:
        """Return the latest complete version with this fingerprint."""
        select = f"{_SELECT_VERSION} WHERE v.fingerprint = ? AND v.status = 'complete' ORDER BY v.id DESC LIMIT 1"
        row = self._execute(select, (fingerprint,)).fetchone()
        return None if row is None else _version(row[2:])

    # --- writing ----------------------------------------------------------------------------------------------

    def write(self, key: int, before: Conversation, after: Conversation) -> None:
        """Make `after` of the conversation that stands there as `before`."""
        for index, old in after.all.changed(before.all):
            self._write_turn(key, index, old, after.turns[index])
        if len(before.turns) > len(after.turns):
            self._delete_versions("conversation = ? AND turn >= ?", key, len(after.turns))
            self._execute("DELETE FROM turns WHERE conversation = ? AND position >= ?", (key, len(after.turns)))

    def _write_turn(self, key: int, index: int, old: Turn | None, new: Turn) -> None:
        state = new.selected, new.pinned, new.hidden
        if old is None or (old.selected, old.pinned, old.hidden) != state:
            self._execute("INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?, ?)", (key, index, *state))
        if old is not None and new.is_version_of(old):
            return
        before = old.versions if old else ()
        for number, version in enumerate(new.versions):
            earlier = before[number] if number < len(before) else None
            if earlier is None:
                self._insert((key, index, number), version)
            elif earlier is not version:
                self._update((key, index, number), earlier, version)
        if len(before) > len(new.versions):
            self._delete_versions("conversation = ? AND turn = ? AND number >= ?", key, index, len(new.versions))

    def _insert(self, place: tuple[int, int, int], version: Version) -> None:
        columns, attachments = _columns(version)
        marks = ", ".join("?" * (len(place) + len(columns)))
        insert = f"INSERT INTO versions (conversation, turn, number, {', '.join(columns)}) VALUES ({marks})"
        row = self._execute(insert, (*place, *columns.values())).lastrowid or 0
        self._write_attachments(row, attachments)
        self._index_if_over(row, version)

    def _update(self, place: tuple[int, int, int], old: Version, new: Version) -> None:
        select = "SELECT id FROM versions WHERE conversation = ? AND turn = ? AND number = ?"
        (row,) = self._execute(select, place).fetchone()
        if _grows(old, new):
            # Only what a long response has gained since the last time.
            piece = encodable(new.text[len(old.text) :]), encodable(new.reasoning[len(old.reasoning) :])
            if any(piece):
                self._execute("INSERT INTO pieces VALUES (NULL, ?, ?, ?)", (row, *piece))
            if _but_last_text(old) == _but_last_text(new):
                return
        columns, attachments = _columns(new)
        if _grows(old, new):
            del columns["text"], columns["reasoning"]
        else:
            self._forget_words(row)
            self._execute("DELETE FROM pieces WHERE version = ?", (row,))
        changes = ", ".join(f"{name} = ?" for name in columns)
        self._execute(f"UPDATE versions SET {changes} WHERE id = ?", (*columns.values(), row))
        if old.attachments != new.attachments:
            self._execute("DELETE FROM attachments WHERE version = ?", (row,))
            self._write_attachments(row, attachments)
        self._index_if_over(row, new)

    def _write_attachments(self, row: int, attachments: list[Any]) -> None:
        if attachments:
            self._execute("INSERT INTO attachments VALUES (?, ?)", (row, codec.dumps(attachments)))

    def _delete_versions(self, where: str, *parameters: int) -> None:
        for (row,) in self._execute(f"SELECT id FROM versions WHERE {where}", parameters).fetchall():
            self._forget_words(row)
            self._execute("DELETE FROM pieces WHERE version = ?", (row,))
            self._execute("DELETE FROM attachments WHERE version = ?", (row,))
            self._execute("DELETE FROM versions WHERE id = ?", (row,))

    def remove(self, key: int) -> None:
        """Remove a conversation, and every trace of its words from the index."""
        self._delete_versions("conversation = ?", key)
        self._execute("DELETE FROM turns WHERE conversation = ?", (key,))
        self._execute("DELETE FROM conversations WHERE key = ?", (key,))
        if self._has_index:
            # Until its parts are joined, the index only notes what is no longer there.
            self._execute(f"INSERT INTO {INDEX} ({INDEX}) VALUES ('optimize')")

    def interrupt(self, row: int) -> None:
        """Mark a version whose writer is gone as interrupted, with the text so far."""
        select = (
            "SELECT text, reasoning FROM versions WHERE id = ?"
            " UNION ALL SELECT * FROM (SELECT text, reasoning FROM pieces WHERE version = ? ORDER BY id)"
        )
        texts = self._execute(select, (row, row)).fetchall()
        update = "UPDATE versions SET status = 'interrupted', text = ?, reasoning = ? WHERE id = ?"
        self._execute(update, (*("".join(parts) for parts in zip(*texts, strict=True)), row))
        self._execute("DELETE FROM pieces WHERE version = ?", (row,))
        self._index(row)

    # --- the index --------------------------------------------------------------------------------------------

    def _index_if_over(self, row: int, version: Version) -> None:
        if version.status in ENDED:
            self._index(row)

    def _index(self, row: int) -> None:
        if self._has_index:
            short = f"id = ? AND length(prompt) + length(text) <= {MAX_INDEXED:d}"
            insert = f"INSERT INTO {INDEX} (rowid, prompt, text) SELECT id, prompt, text FROM versions WHERE {short}"
            self._execute(insert, (row,))
            self._execute(f"UPDATE versions SET indexed = 1 WHERE {short}", (row,))

    def _forget_words(self, row: int) -> None:
        # The index keeps no copy of the text, and needs it in order to delete it.
        if self._has_index:
            self._execute(
                f"INSERT INTO {INDEX} ({INDEX}, rowid, prompt, text)"
                " SELECT 'delete', id, prompt, text FROM versions WHERE id = ? AND indexed",
                (row,),
            )
            self._execute("UPDATE versions SET indexed = 0 WHERE id = ? AND indexed", (row,))


def _columns(version: Version) -> tuple[dict[str, str], list[Any]]:
    """Return a version's columns, and its attachments."""
    values = codec.version_to_json(version)
    attachments = values.pop("attachments", [])
    columns = {name: values.pop(name, "") for name in ("status", "fingerprint", "prompt", "text", "reasoning")}
    columns["reasoning"] = columns["reasoning"] or encodable(version.reasoning)
    messages = {name: values.pop(name) for name in ("messages", "asked") if name in values}
    columns["messages"] = codec.dumps(messages) if messages else ""
    return {**columns, "fields": codec.dumps(values)}, attachments


class _Kept:
    """The rows of a turn's versions. To make values of them takes far longer than to read them."""

    def __init__(self, rows: tuple[_Row, ...], pieces: _Pieces) -> None:
        self._rows = rows
        self._pieces = pieces
        self._versions: list[tuple[Version, ...]] = []

    def versions(self) -> tuple[Version, ...]:
        if not self._versions:
            self._versions.append(tuple(_version(row[2:], self._pieces.get(row[2], ())) for row in self._rows))
        return self._versions[0]

    def started(self, number: int) -> float:
        found = _STARTED.search(self._rows[number][9])
        return float(found[1]) if found else 0.0

    def length(self, number: int) -> int:
        return sum(map(len, self._rows[number][5:8]))

    def usages(self) -> Iterator[Usage]:
        for row in self._rows:
            if "usage" in (fields := row[9]):
                yield Usage(*(int(found[1]) if (found := name.search(fields)) else None for name in _USED))


class _Block(Block):
    """Turns that were kept, of which only so much is looked at as is asked for."""

    def __init__(self, states: list[tuple[int, int, int, int]], kept: list[tuple[_Row, ...]], pieces: _Pieces) -> None:
        self._states, self._kept, self._pieces = states, kept, pieces
        self.size = len(states)
        is_shown = not any(state[3] for state in states)
        self.shown = range(self.size) if is_shown else [at for at, state in enumerate(states) if not state[3]]
        self.sent = [at for at in self.shown if self._answers(at, states[at][1])]
        self.pinned = [at for at, state in enumerate(states) if state[2]]
        self.step = max(state[3] for state in states)
        self.has_ended = all(row[3] in ENDED for rows in kept for row in rows)

    def _answers(self, at: int, selected: int) -> bool:
        row = self._kept[at][selected]
        # Where there is no text there may be a call of a tool.
        return row[3] in SENT and (bool(row[6][:1].strip()) or self.turns[at].versions[selected].is_sent)

    def make(self) -> Iterator[Turn]:
        for rows, (_, selected, pinned, hidden) in zip(self._kept, self._states, strict=True):
            yield Turn.stored(_Kept(rows, self._pieces), selected, hidden, pinned=bool(pinned))

    @cached_property
    def latest(self) -> float:
        newest = max((rows[-1] for rows in self._kept), key=itemgetter(2))
        found = _STARTED.search(newest[9])
        return float(found[1]) if found else 0.0

    def of_cell(self, cell_id: str) -> list[int]:
        name = codec.dumps(encodable(cell_id))
        maybe = [at for at, rows in enumerate(self._kept) for row in rows if name in row[9]]
        return [at for at in dict.fromkeys(maybe) if cell_id in self.turns[at].cells]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _version(row: Sequence[Any], pieces: Iterable[tuple[str, str]] = ()) -> Version:
    _, status, fingerprint, prompt, said, reasoning, messages, fields, attachments = row
    values = {
        "prompt": prompt,
        "text": "".join(map(_text, [said, *(piece[0] for piece in pieces)])),
        "reasoning": "".join(map(_text, [reasoning, *(piece[1] for piece in pieces)])),
        "status": status,
        "fingerprint": fingerprint,
    }
    try:
        rest = codec.loads(fields)
        if attachments is not None:
            rest["attachments"] = codec.loads(attachments)
        if not messages:
            return codec.version_from_json({**rest, **values})
        version = codec.version_from_json({**rest, **codec.loads(messages), **values})
        return _with_rest(version, values["text"], values["reasoning"])
    except (FormatError, TypeError, AttributeError):  # somebody has written into the file by hand
        try:
            return codec.version_from_json(values)
        except FormatError:
            known = status if isinstance(status, str) and status in ENDED else "interrupted"
            return Version.of(encodable(_text(prompt)), encodable(_text(said)), status=known)


def _with_rest(version: Version, said: str, reasoning: str) -> Version:
    """Return a version with what has come since its messages were written: the end of the last part of its kind."""
    messages = list(version.messages)
    for kind, more in ((Reasoning, reasoning[len(version.reasoning) :]), (Text, said[len(version.text) :])):
        if more:
            last = messages.pop() if messages[-1].role == "assistant" else Message("assistant")
            parts = list(last.parts)
            if parts and isinstance(end := parts[-1], kind):
                parts[-1] = kind(end.text + more)
            else:
                parts.append(kind(more))
            messages.append(replace(last, parts=tuple(parts)))
    return replace(version, messages=tuple(messages))


def _grows(old: Version, new: Version) -> bool:
    """Whether `new` is `old` with more text, and still on its way."""
    return (
        old.status not in ENDED
        and new.status not in ENDED
        and new.text.startswith(old.text)
        and new.reasoning.startswith(old.reasoning)
    )


def _but_last_text(version: Version) -> Version:
    """Return the version without what grows in it: the text of its last part."""
    if len(version.messages) <= version.asked or not version.messages[-1].parts:
        return version
    *before, last = version.messages
    *parts, end = last.parts
    if isinstance(end, Text | Reasoning):
        end = replace(end, text="")
    return replace(version, messages=(*before, replace(last, parts=(*parts, end))))
