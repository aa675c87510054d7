"""Decode server-sent events, without I/O, by the WHATWG standard (https://html.spec.whatwg.org/#server-sent-events)."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_END: Final = re.compile("\r\n|\r|\n")


class Event(NamedTuple):
    """One event: its ``event:`` name (``message`` by default) and its ``data:`` lines joined by newlines."""

    name: str
    data: str


class EventDecoder:
    """An incremental decoder: feed it chunks, and it yields the events that they complete.

    Characters, line ends and fields may be split between chunks anywhere. Invalid bytes become U+FFFD.
    A line that arrives in many chunks is joined once, when it ends, so long lines cost linear work.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._line_size = self._data_size = 0
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._name = ""
        self._data: list[str] = []

    @property
    def waiting(self) -> int:
        """How many characters have come of an event that is not complete."""
        return self._line_size + self._data_size

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Event]:
        """Take in `chunk` and yield the events now complete.

        With `final`, what stands in the buffer counts as ended: a stream whose last blank line is missing
        still delivers its last event. (The standard drops it; servers that forget the line mean it.)
        """
        *ended, rest = self._lines(self._decode(chunk, final))
        for line in ended:
            if line:
                self._take_line(line)
            elif (event := self._end_event()) is not None:
                yield event
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
        if final:
            if self._line:
                self._take_line("".join(self._line))
                self._line.clear()
            if (event := self._end_event()) is not None:
                yield event

    def _lines(self, words: str) -> list[str]:
        """Return the lines that `words` end, and what they begin of another one."""
        if self._at_start and words:
            self._at_start = False
            words = words.removeprefix("\ufeff")
        # A CR ends its line at once; if an LF follows, even in the next chunk, it belongs to that CR.
        if self._after_cr and words:
            self._after_cr = False
            words = words.removeprefix("\n")
        if words.endswith("\r"):
            self._after_cr = True
        lines = _LINE_END.split(words) if "\r" in words else words.split("\n")
        if self._line and len(lines) > 1:
            lines[0] = "".join((*self._line, lines[0]))
            self._line.clear()
            self._line_size = 0
        return lines

    def _take_line(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._data_size += len(value) + 1  # an empty line is kept, too
        elif field == "event":
            self._name = value

    def _end_event(self) -> Event | None:
        """Return the event that a blank line completes, if there is any."""
        event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
        self._data_size = 0
        self._data.clear()
        self._name = ""
        return event
