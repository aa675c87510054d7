"""Tell reasoning from text where a model writes both into one, between ``<think>`` and ``</think>``."""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["text", "reasoning", "text was reasoning"]
Piece = tuple[Kind, str]

_TAG: Final = re.compile(r"<(/?)think>", re.IGNORECASE)
_TAGS: Final = ("<think>", "</think>")
_FENCE: Final = re.compile(r"[\s>]*(?:[-*+]\s+|\d{1,9}[.)]\s+)?(?P<fence>`{3,}(?!`)|~{3,}(?!~))(?P<info>[^\n]*)")
_RUN: Final = re.compile("`+")
_HEAD_CHARACTERS: Final = 200
"""So much of a line is looked at for a fence."""
_SETTLED_CHARACTERS: Final = 4_096


class ThinkSplitter:
    """An incremental splitter: feed it text, and it returns pieces of text and of reasoning.

    A tag opens a block at the beginning of a line; once there was one, anywhere. In code it is text. Where only the
    closing tag comes, because the prompt's template opened the block, all the text before it turns out to be
    reasoning: a piece of the third kind says so. A tag may be split between pieces anywhere.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._had_blocks = False
        self._held = ""
        """What may be the beginning of a tag."""
        self._code = _CodeState()
        self._is_blank = True
        """Whether nothing but white space has come as text."""
        self._strips = False
        """Whether white space is left out: that between a block and the text."""
        self._after_end: list[str] | None = None
        """What follows a closing tag that stands in code; it is text if no other one closes the block."""

    def feed(self, words: str) -> list[Piece]:
        """Take in `words`, and return the pieces that are certain."""
        pieces: list[Piece] = []
        if "<" not in words and not self._held:
            self._add(pieces, words)
            return pieces
        words = self._held + words
        start = 0
        for tag in _TAG.finditer(words):
            self._add(pieces, words[start : tag.start()])
            start = tag.start()
            if self._take_tag(pieces, is_end=bool(tag[1])):
                start = tag.end()
        end = _whole(words, start)
        self._held = words[end:]
        self._add(pieces, words[start:end])
        return pieces

    def flush(self) -> list[Piece]:
        """Return what was held back: the text has ended."""
        pieces: list[Piece] = []
        held, self._held = self._held, ""
        self._add(pieces, held)
        if self._is_open and self._after_end is not None:
            said = "".join(self._after_end).partition(">")[2].lstrip()
            if said:
                pieces.append(("text", said))
        self._is_open = False
        return pieces

    def _take_tag(self, pieces: list[Piece], *, is_end: bool) -> bool:
        """Return whether a tag that comes now is one."""
        in_code = self._code.is_inside()
        if self._is_open:
            if is_end and in_code and self._after_end is None:
                self._after_end = []
            if not is_end or in_code:
                return False
        elif in_code or (is_end and self._had_blocks):
            return False
        elif is_end:
            pieces.append(("text was reasoning", ""))
            self._is_blank = True
        elif not self._had_blocks and not self._code.is_at_line_start():
            return False
        self._is_open = not is_end
        self._had_blocks = True
        self._code = _CodeState()
        self._after_end = None
        self._strips = True
        return True

    def _add(self, pieces: list[Piece], words: str) -> None:
        if not words:
            return
        self._code.feed(words)
        if self._after_end is not None:
            self._after_end.append(words)
        if self._strips:
            # A block's own white space at its beginning, and that between it and the first text.
            stripped = words.lstrip() if self._is_open or self._is_blank else words
            if not stripped:
                return
            words, self._strips = stripped, False
        if self._is_open:
            pieces.append(("reasoning", words))
            return
        if self._is_blank:
            self._is_blank = words.isspace()
        pieces.append(("text", words))


def _whole(words: str, start: int) -> int:
    """Return where the last characters begin that may be the beginning of a tag."""
    place = words.rfind("<", max(start, len(words) - len(_TAGS[1]) + 1))
    rest = words[place:].lower() if place >= 0 else ""
    return place if rest and any(tag.startswith(rest) for tag in _TAGS) else len(words)


class _CodeState:
    """Whether the end of a text stands in a code fence or in inline code; worked out when it is asked for."""

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._size = 0
        self._head = ""
        """How the line begins."""
        self._run = 0
        """Backticks that opened inline code in this line."""
        self._fence = ""

    def feed(self, words: str) -> None:
        self._pending.append(words)
        self._size += len(words)
        if self._size > _SETTLED_CHARACTERS and not words.endswith("`"):
            self._settle()

    def is_inside(self) -> bool:
        self._settle()
        return bool(self._fence or self._run)

    def is_at_line_start(self) -> bool:
        self._settle()
        return not self._head.strip()

    def _settle(self) -> None:
        words = "".join(self._pending)
        self._pending.clear()
        self._size = 0
        *ended, rest = words.split("\n")
        for line in ended:
            self._take(line)
            self._end_line()
        self._take(rest)

    def _take(self, words: str) -> None:
        self._head += words[: _HEAD_CHARACTERS - len(self._head)]
        if not self._fence:
            for run in _RUN.findall(words):
                self._run = len(run) if not self._run else 0 if len(run) == self._run else self._run

    def _end_line(self) -> None:
        if found := _FENCE.match(self._head):
            fence, info = found["fence"], found["info"]
            if not self._fence:
                self._fence = fence if fence[0] == "~" or "`" not in info else ""
            elif fence[0] == self._fence[0] and len(fence) >= len(self._fence) and not info.strip():
                self._fence = ""
        self._head = ""
        self._run = 0
