"""Jobs on disk: the rows that were asked of a model, each with its response as soon as it has one.

A row is known by its job and by its request's fingerprint, which holds everything that decides the response. So rows
that another job has asked before are taken from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

WAITING: Final = "waiting"
DONE: Final = "done"
FAILED: Final = "failed"
_CHUNK: Final = 1_000
"""Rows that are written in one transaction: other kernels are not kept waiting."""

Stored = tuple[bytes, str, str, str]
"""A row that has ended: its fingerprint, its status, its text, and the rest as JSON."""


@dataclass(frozen=True)
class JobRecord:
    """A job, as it stands on disk."""

    id: int
    label: str
    provider: str
    model: str
    rows: int
    done: int
    failed: int
    started: float
    updated: float
    spec: str
    """How to ask its rows again, as JSON; ``""`` where that cannot be written."""


class Jobs:
    """The jobs in an open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, key: str, about: Sequence[str], rows: Iterable[tuple[bytes, str, str]], *, fresh: bool) -> int:
        """Note a job and its rows, and return its number.

        Parameters
        ----------
        key : str
            What tells it from other jobs.
        about : sequence of str
            Its label, provider, model and specification.
        rows : iterable of (bytes, str, str)
            The fingerprint, prompt and places of each.
        fresh : bool
            Whether nothing that was asked before counts.
        """
        execute = self._connection.execute
        now = time.time()
        with transaction(self._connection):
            execute(
                "INSERT INTO jobs (key, label, provider, model, spec, fresh, started, updated)"
                " VALUES (?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT (key) DO UPDATE SET label = excluded.label,"
                " spec = excluded.spec, updated = excluded.updated",
                (key, *about, now, now),
            )
            (job,) = execute("SELECT id FROM jobs WHERE key = ?", (key,)).fetchone()
            if fresh:
                execute("UPDATE jobs SET fresh = 1 WHERE id = ?", (job,))
                execute("UPDATE job_rows SET status = 'waiting', text = '', fields = '' WHERE job = ?", (job,))
        insert = (
            "INSERT INTO job_rows VALUES (?, ?, ?, ?, 'waiting', '', '')"
            " ON CONFLICT (job, fingerprint) DO UPDATE SET places = excluded.places"
        )
        several: list[tuple[int, bytes, str, str]] = []
        for row in rows:
            several.append((job, *row))
            if len(several) >= _CHUNK:
                self._write(insert, several)
        self._write(insert, several)
        with transaction(self._connection):
            same = "FROM job_rows AS other WHERE other.fingerprint = job_rows.fingerprint AND other.status = 'done'"
            execute(
                f"UPDATE job_rows SET (status, text, fields) = (SELECT status, text, fields {same}"
                " ORDER BY other.job DESC LIMIT 1) WHERE job = ? AND status = 'waiting'"
                f" AND NOT (SELECT fresh FROM jobs WHERE id = job) AND EXISTS (SELECT 1 {same})",
                (job,),
            )
        return int(job)

    def _write(self, statement: str, several: list[tuple[int, bytes, str, str]]) -> None:
        with transaction(self._connection):
            self._connection.executemany(statement, several)
        several.clear()

    def ended(self, job: int) -> list[Stored]:
        """Return the rows of a job that have ended."""
        select = "SELECT fingerprint, status, text, fields FROM job_rows WHERE job = ? AND status != 'waiting'"
        return self._connection.execute(select, (job,)).fetchall()

    def end(self, job: int, rows: Iterable[Stored]) -> None:
        """Write how rows of a job ended, all in one transaction."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE job_rows SET status = ?2, text = ?3, fields = ?4 WHERE job = ?5 AND fingerprint = ?1",
                [(*row, job) for row in rows],
            )

    def touch(self, job: int) -> None:
        """Note that a job is being worked on, and have the disk keep all that was written before."""
        with transaction(self._connection):
            self._connection.execute("UPDATE jobs SET updated = ? WHERE id = ?", (time.time(), job))

    def listed(self) -> list[JobRecord]:
        """Return the jobs, the latest first."""
        found = self._connection.execute(
            "SELECT id, label, provider, model, count(status), count(CASE status WHEN 'done' THEN 1 END),"
            " count(CASE status WHEN 'failed' THEN 1 END), started, updated, spec"
            " FROM jobs LEFT JOIN job_rows ON job = id GROUP BY id ORDER BY updated DESC, id DESC"
        )
        return [JobRecord(*row) for row in found]

    def rows(self, job: int) -> list[tuple[str, str]]:
        """Return the prompt and the places of each row of a job."""
        return self._connection.execute("SELECT prompt, places FROM job_rows WHERE job = ?", (job,)).fetchall()

    def forget(self, job: int) -> None:
        """Delete a job and its rows."""
        with transaction(self._connection):
            self._connection.execute("DELETE FROM job_rows WHERE job = ?", (job,))
            self._connection.execute("DELETE FROM jobs WHERE id = ?", (job,))
