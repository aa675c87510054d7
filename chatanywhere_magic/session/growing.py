"""A response as it grows: written by one thread, read by others for the price of what is new."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass, replace

from ..core import BETWEEN_MESSAGES, Extras, Message, Reasoning, Text, ToolCall, encodable


class GrowingText:
    """A text that grows in one thread and is read in others, for the price of what is new.

    Half of a surrogate pair is held back until its other half comes with the next piece.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._ends: list[int] = []
        """Where each piece ends. A piece is added before its end, so that a reader finds every piece it knows of."""
        self._half = ""

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __str__(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """Add a piece, as it came."""
        piece = self._half + piece
        self._half = piece[-1] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        self._append(piece.removesuffix(self._half))

    def end(self) -> None:
        """Give up the other half."""
        self._append(self._half)
        self._half = ""

    def _append(self, piece: str) -> None:
        if piece:
            piece = piece if piece.isascii() else encodable(piece)
            self._pieces.append(piece)
            self._ends.append(len(self) + len(piece))

    def since(self, position: int) -> tuple[str, int]:
        """Return the text after its first `position` characters, and the current length."""
        known = len(self._ends)
        first = bisect_right(self._ends, position, 0, known)
        if first == known:
            return "", position
        begin = self._ends[first - 1] if first else 0
        return "".join(self._pieces[first:known])[position - begin :], self._ends[known - 1]


@dataclass
class _Segment:
    """A text of one message: where it stands among the texts so far."""

    kind: type[Text | Reasoning]
    begin: int
    end: int


class GrowingResponse:
    """What comes of a turn, in order: texts, reasoning and calls of tools; and, between messages, their results."""

    def __init__(self) -> None:
        self.text = GrowingText()
        self.reasoning = GrowingText()
        self.extras: Extras | None = None
        """Of the message that comes now."""
        self.text_begin = 0
        """Where the text begins, as :meth:`text_since` counts. It moves when text turns out to be reasoning."""
        self.begun = threading.Event()
        """Set when the first text or reasoning has come, and when the response ends without any."""
        self._earlier: list[tuple[list[_Segment | ToolCall], Extras | None, Message | None]] = []
        self._parts: list[_Segment | ToolCall] = []

    @property
    def has_text(self) -> bool:
        """Whether any of the text or of the reasoning has come."""
        return bool(len(self.text) or len(self.reasoning))

    def text_since(self, position: int) -> tuple[str, int]:
        """Return the text after `position`, and its end, which is the position to go on from.

        It costs what is new, however long the text has become. What comes from before :attr:`text_begin` is not text
        any more, and all of the text is returned.
        """
        begin = self.text_begin
        fresh, end = self.text.since(max(position - begin, 0))
        return fresh, begin + end

    def reasoning_since(self, position: int) -> tuple[str, int]:
        """Return the reasoning after its first `position` characters, and the current length."""
        return self.reasoning.since(position)

    def add(self, delta: Text | Reasoning | ToolCall) -> None:
        """Add what comes next."""
        if isinstance(delta, ToolCall):
            self._parts.append(delta)
            return
        growing = self.text if isinstance(delta, Text) else self.reasoning
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Segment) or last.kind is not type(delta):
            if len(growing) and self._last(type(delta)) is None:
                growing.add(BETWEEN_MESSAGES)
            last = _Segment(type(delta), len(growing), len(growing))
            self._parts.append(last)
        growing.add(delta.text)
        last.end = len(growing)
        if not self.begun.is_set() and self.has_text:
            self.begun.set()

    def text_was_reasoning(self) -> None:
        """Make the text of the message that comes now its reasoning."""
        segments = [part for part in self._parts if isinstance(part, _Segment) and part.kind is Text]
        if not segments:
            return
        self.text.end()
        said, begin = str(self.text), segments[0].begin
        kept, self.text = said[:begin].removesuffix(BETWEEN_MESSAGES), GrowingText()
        self._parts = [part for part in self._parts if part not in segments]
        self.text.add(kept)
        self.add(Reasoning(said[begin:]))
        # Another thread may read before this: it must find neither a text twice nor none of the new one.
        self.text_begin += len(said)

    def _last(self, kind: type[Text | Reasoning]) -> _Segment | None:
        """Return the last text of its kind in the message that comes now."""
        return next((each for each in reversed(self._parts) if isinstance(each, _Segment) and each.kind is kind), None)

    def end(self) -> None:
        """Take in what was held back until more should come."""
        for kind, growing in ((Text, self.text), (Reasoning, self.reasoning)):
            growing.end()
            if (last := self._last(kind)) is not None:
                last.end = len(growing)

    def end_message(self, results: Message | None) -> None:
        """Take in what came of the calls of tools, if anything; what follows is a further message of the model's."""
        self.end()
        self._earlier.append((self._parts, self.extras, results))
        self._parts, self.extras = [], None

    @property
    def has_begun(self) -> bool:
        """Whether anything of the message that comes now has come."""
        return bool(self._parts)

    def last_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the message that comes now: those without results."""
        return tuple(part for part in self._parts if isinstance(part, ToolCall))

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of tools up to now."""
        parts = [part for parts, _, _ in self._earlier for part in parts] + self._parts
        return tuple(part for part in parts if isinstance(part, ToolCall))

    def messages(self) -> list[Message]:
        """Return the messages as they stand. Other threads may ask: the texts are read after their places."""
        earlier = list(self._earlier)
        pending = [(list(self._parts), self.extras, None)] if self._parts else []
        places = [
            ([part if isinstance(part, ToolCall) else replace(part) for part in parts], extras, results)
            for parts, extras, results in (*earlier, *pending)
        ]
        texts = {Text: str(self.text), Reasoning: str(self.reasoning)}
        found: list[Message] = []
        for parts, extras, results in places:
            said = [
                part if isinstance(part, ToolCall) else part.kind(texts[part.kind][part.begin : part.end])
                for part in parts
            ]
            found.append(Message("assistant", tuple(said), extras))
            if results is not None:
                found.append(results)
        return found
