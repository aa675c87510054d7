"""Time limits: for the first word of a response, for silence, and for the whole."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Final

from ...core import TimeoutExceededError, phrase

CONNECT_SECONDS: Final = 15.0
"""For the name, the connection, the proxy and the certificate together."""
IDLE_SECONDS: Final = 120.0
"""Longest silence while waiting for the next bytes."""
FIRST_SECONDS: Final = 900.0
"""Longest wait for the first word of a server that is not silent: one that keeps the connection alive by comments."""

LAST_SECONDS: Final = 3.0
"""For what may follow the end of a response, such as its token counts. Some servers then leave the connection open."""


class Deadline:
    """A time limit over several tries, in seconds from now; None for none."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the remaining seconds, at least 0; infinity without a limit."""
        return max(self._end - time.monotonic(), 0.0)


@dataclass(frozen=True)
class Limits:
    """The time limits of a request.

    Parameters
    ----------
    total : Deadline
        The moment by which everything must be over, from connecting to the last byte, all tries together.
    first : float, optional
        Seconds of a try until the response's first word, be it text, reasoning or a call of a tool. By default only
        silence is limited, and a server that lives without a word to `FIRST_SECONDS`.
    idle : float, default 120
        Seconds of silence allowed at a time. Comments and blank lines break it: they say that the server lives.
    connect : float, default 15
        Seconds until there is a connection.
    """

    total: Deadline = field(default_factory=lambda: Deadline(None))
    first: float | None = None
    idle: float = IDLE_SECONDS
    connect: float = CONNECT_SECONDS


class Patience:
    """The limits of one attempt, which starts now."""

    def __init__(self, limits: Limits, host: str) -> None:
        self.has_answer = False
        """Whether the first word has come."""
        self._limits = limits
        self._host = host
        self._first = Deadline(FIRST_SECONDS if limits.first is None else limits.first)
        self._last = Deadline(None)
        self._is_ending = False

    def end_soon(self) -> bool:
        """Allow little more, for the response is whole; return whether that is news."""
        if self._is_ending:
            return False
        self._is_ending = True
        self._last = Deadline(LAST_SECONDS)
        return True

    def go_on(self) -> None:
        """Take back that little more is allowed: the response goes on."""
        if self._is_ending:
            self._is_ending = False
            self._last = Deadline(None)

    def left(self, silence: float) -> float:
        """Return the seconds until the nearest limit, after so many seconds of `silence`."""
        return min(self._all(silence))[0]

    def reached(self, silence: float) -> TimeoutExceededError | None:
        """Return the error for the limit that is reached, or None."""
        left, key, seconds = min(self._all(silence))
        if left > 0:
            return None
        return TimeoutExceededError(phrase(key, host=self._host, seconds=seconds), retryable=False)

    def _all(self, silence: float) -> list[tuple[float, str, float]]:
        limits = self._limits
        # What came is kept; before the first word nothing has come.
        total, idle = (
            ("error.total_timeout", "error.idle_timeout")
            if self.has_answer
            else ("error.total_timeout_early", "error.idle_timeout_early")
        )
        every = [
            (limits.total.left(), total, limits.total.seconds),
            (self._last.left(), "error.idle_timeout", self._last.seconds),
        ]
        if self.has_answer or limits.first is None:
            every.append((max(limits.idle - silence, 0.0), idle, limits.idle))
        if not self.has_answer:
            every.append((self._first.left(), "error.first_timeout", self._first.seconds))
        return every
