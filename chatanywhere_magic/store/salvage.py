"""Salvage the readable part of a broken database into a new one."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from .database import transaction

Row = tuple[Any, ...]

_ABOUT: Final = "id, title, name, notebook, model, started, updated, revision"


def salvage(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy the conversations of `source` into `target`, each as far as it can be read.

    Raises
    ------
    sqlite3.Error
        If `target` cannot be written; then nothing is.
    """
    with transaction(target):
        for key, owner, *about in _readable(source, f"SELECT key, owner, {_ABOUT} FROM conversations", "key"):
            _copy_conversation(source, target, key, owner, about)


def _copy_conversation(
    source: sqlite3.Connection, target: sqlite3.Connection, old: int, owner: int, about: list[Any]
) -> None:
    select = f"SELECT turn, id, status, fingerprint, prompt FROM versions WHERE conversation = {old:d}"
    versions = _readable(source, select, "turn, number")
    known = target.execute("SELECT 1 FROM conversations WHERE id = ?", about[:1]).fetchone()
    if known or not versions:
        return
    insert = f"INSERT INTO conversations ({_ABOUT}, owner, turns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
    key = target.execute(insert, (*about, _copy_owner(source, target, owner))).lastrowid
    select = f"SELECT position, selected, pinned, hidden FROM turns WHERE conversation = {old:d}"
    states = {position: state for position, *state in _readable(source, select, "position")}
    # Numbered anew: there may be gaps now, and a conversation has none.
    for index, (turn, found) in enumerate(groupby(versions, itemgetter(0))):
        rows = list(found)
        selected, pinned, hidden = states.get(turn, (len(rows), 0, 0))
        state = min(selected, len(rows) - 1), pinned, hidden
        target.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", (key, index, *state))
        for number, (_, version, *values) in enumerate(rows):
            _copy_version(source, target, version, (key, index, number, *values))
    target.execute(
        "UPDATE conversations SET turns = (SELECT count(*) FROM turns WHERE conversation = key AND NOT hidden)"
        " WHERE key = ?",
        (key,),
    )


def _copy_version(source: sqlite3.Connection, target: sqlite3.Connection, old: int, values: Row) -> None:
    insert = (
        "INSERT INTO versions (conversation, turn, number, status, fingerprint, prompt, text, reasoning, fields)"
        " VALUES (?, ?, ?, ?, ?, ?, '', '', '{}')"
    )
    new = target.execute(insert, values).lastrowid
    # One by one: a long answer stands on pages of its own, and the question before it can often still be read.
    for column in ("text", "reasoning", "messages", "fields"):
        found = _readable(source, f"SELECT {column} FROM versions WHERE id = {old:d}", "id")
        if found:
            target.execute(f"UPDATE versions SET {column} = ? WHERE id = ?", (*found[0], new))
        else:
            # What is not whole is not passed off as a good response, nor replayed as one.
            target.execute("UPDATE versions SET status = 'interrupted', fingerprint = '' WHERE id = ?", (new,))
    for table, columns, order in (("pieces", "text, reasoning", "id"), ("attachments", "content", "version")):
        select = f"SELECT {columns} FROM {table} WHERE version = {old:d}"
        for row in _readable(source, select, order):
            marks = ", ".join("?" * len(row))
            target.execute(f"INSERT INTO {table} (version, {columns}) VALUES (?, {marks})", (new, *row))


def _copy_owner(source: sqlite3.Connection, target: sqlite3.Connection, owner: int) -> int:
    select = f"SELECT machine, pid, started FROM owners WHERE id = {owner:d}"
    values = next(iter(_readable(source, select, "id")), ("", 0, ""))
    target.execute("INSERT OR IGNORE INTO owners (machine, pid, started) VALUES (?, ?, ?)", values)
    select = "SELECT id FROM owners WHERE machine = ? AND pid = ? AND started = ?"
    return int(target.execute(select, values).fetchone()[0])


def _readable(source: sqlite3.Connection, select: str, order: str) -> list[Row]:
    """Return the rows that can be read, in order: those before the damage, and, from the other end, those after it."""
    before: list[Row] = []
    after: list[Row] = []
    try:
        for row in source.execute(f"{select} ORDER BY {order}"):
            before.append(row)  # noqa: PERF402 - what came before an error counts
    except sqlite3.DatabaseError:
        with suppress(sqlite3.DatabaseError):
            for row in source.execute(f"{select} ORDER BY {order.replace(',', ' DESC,')} DESC"):
                if row in before:
                    break
                after.append(row)
    return [*before, *reversed(after)]
