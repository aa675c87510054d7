"""What one response may cost this machine, whatever the server sends: past any of it the response is cut off."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from ...core import ProtocolError, phrase

MAX_CHARACTERS: Final = 16 * 1024 * 1024
"""Of text, reasoning and tool calls together. More than any model writes."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""After decompression, each layer of it counted. A few kilobytes can be compressed to gigabytes."""
MAX_EVENT_CHARACTERS: Final = 16 * 1024 * 1024
"""Of one event or one whole object, which stands in memory at once. Generated pictures take a few million."""
MAX_EVENTS: Final = 500_000
"""Servers write about one for each token, and models write at most 128,000 of these."""
MAX_LINES: Final = 4 * MAX_EVENTS
"""Of fields, comments and blanks between them, which keep a connection alive."""
MAX_VALUES: Final = 1_000_000
"""Of JSON in one event. Three characters, ``[],``, become 64 bytes of objects."""
MAX_PIECES: Final = 10_000
"""Of content, choices or calls in one event."""
MAX_CALLS: Final = 1_000
"""Of tools. More than any response asks for."""
PAUSE_SECONDS: Final = 0.02
"""How long work that needs no waiting may keep the loop from everybody else."""


class AnswerBudget:
    """What one response has cost so far. Each method raises ``ProtocolError`` where it becomes too much.

    Parameters
    ----------
    host : str
        Who sends it.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._bytes = self._characters = self._events = self._lines = self._calls = 0
        self._paused = time.monotonic()

    def take_bytes(self, count: int) -> None:
        """Count bytes that came out of a step of decompression, or that were not compressed."""
        self._bytes += count
        if self._bytes > MAX_BYTES:
            raise self._exceeded("error.endless_bytes", MAX_BYTES)

    def take_characters(self, count: int) -> None:
        """Count what a person or a tool gets of it."""
        self._characters += count
        if self._characters > MAX_CHARACTERS:
            raise self._exceeded("error.endless_answer", MAX_CHARACTERS)

    def take_event(self) -> None:
        """Count an event, or an object in a row of objects."""
        self._events += 1
        if self._events > MAX_EVENTS:
            raise self._exceeded("error.endless_events", MAX_EVENTS)

    def take_lines(self, data: bytes) -> None:
        """Count the lines that `data` ends."""
        self._lines += max(data.count(b"\n"), data.count(b"\r"))
        if self._lines > MAX_LINES:
            raise self._exceeded("error.endless_lines", MAX_LINES)

    def take_call(self) -> None:
        """Count a call of a tool."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise self._exceeded("error.endless_calls", MAX_CALLS)

    def check_event(self, size: int) -> None:
        """Check the size of an event, whole or not."""
        if size > MAX_EVENT_CHARACTERS:
            raise self._exceeded("error.endless", MAX_EVENT_CHARACTERS)

    def check_pieces(self, count: int) -> None:
        """Check the length of a list that is read piece by piece."""
        if count > MAX_PIECES:
            raise self._exceeded("error.crowded_event", MAX_PIECES)

    def check_values(self, data: str | bytearray) -> None:
        """Check JSON before it is parsed. Every object, array and further member costs memory of its own."""
        if len(data) <= MAX_VALUES:
            return
        count = (
            sum(data.count(mark) for mark in "[{,")
            if isinstance(data, str)
            else sum(data.count(mark) for mark in b"[{,")
        )
        if count > MAX_VALUES:
            raise self._exceeded("error.crowded_event", MAX_VALUES)

    async def breathe(self) -> None:
        """Let others run if none could for a while, so that a Stop is seen."""
        if time.monotonic() > self._paused + PAUSE_SECONDS:
            await asyncio.sleep(0)
            self._paused = time.monotonic()

    def _exceeded(self, key: str, limit: int) -> ProtocolError:
        return ProtocolError(phrase(key, host=self._host, limit=limit))
