"""Show several responses to one prompt: side by side in a notebook, one after the other in a terminal."""

from __future__ import annotations

import sys
import time
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final

from ...core import text
from ..markdown import IncrementalRenderer, page
from .metadata import METADATA_KEY, turn_metadata
from .painting import PAINT_SECONDS, Watch, follow_turn, shows_updates
from .terminal import TerminalPainter, printable
from .words import final_words, footer_words, state_line, waiting_words

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from ...session import LiveTurn

BYTES_PER_SECOND: Final = 256_000
"""Columns are painted whole; long ones less often, so that the page keeps up."""
_GRID: Final = "display: grid; grid-template-columns: repeat({count}, minmax(0, 1fr)); gap: 0 1.5em"
_HEAD: Final = "font-weight: 600; border-bottom: 1px solid var(--jp-border-color2, #bdbdbd); margin-bottom: 0.5em"


class _Column:
    """One response of several."""

    def __init__(self, live: LiveTurn) -> None:
        self.live = live
        self._renderer = IncrementalRenderer(live.stopping.hurries)
        self._read = self._begin = 0

    @property
    def name(self) -> str:
        version = self.live.draft.outline
        return f"{version.provider} · {version.model}" if version.model else version.provider

    def html(self, *, footer: bool, mark: str = "") -> str:
        """Return the column as it stands."""
        if self._begin != self.live.response.text_begin:  # what was read was reasoning
            self._begin = self.live.response.text_begin
            self._renderer = IncrementalRenderer(self.live.stopping.hurries)
        fresh, self._read = self.live.response.text_since(self._read)
        self._renderer.feed(fresh)
        response = page(*self._renderer.pieces, self._renderer.tail()) if self._read else ""
        version = self.live.draft.outline
        if not self.live.done.is_set():
            words = [text("status.streaming") if self._read else waiting_words(version, self.live.draft.notice)]
        else:
            words = [*final_words(version), *([str(self.live.error)] if self.live.error else [])]
            words += footer_words(version)[2:] if footer else []
        head = f'<div style="{_HEAD}">{escape(f"{mark} {self.name}".strip())}</div>'
        return f"<div>{head}{response}{state_line(' · '.join(words)) if words else ''}</div>"

    @property
    def plain(self) -> str:
        response = self.live.response.text_since(0)[0]
        state = final_words(self.live.draft.outline) if self.live.done.is_set() else [text("status.streaming")]
        words = response or f"[{' · '.join(state)}]"
        return f"{self.name}:\n{words}"


def follow_all(
    shell: InteractiveShell, lives: Sequence[LiveTurn], changed: threading.Event, *, footer: bool
) -> list[Columns]:
    """Show turns that run, and their corrections, until all are over; return what then can show which one is kept."""
    shown: list[Columns] = []
    while lives:
        shown += _follow(shell, lives, changed, footer=footer)
        again = [(live.draft.outline.model, live.correction) for live in lives if live.correction is not None]
        sys.stdout.writelines(printable(f"{model}: {correction.request.notice}\n") for model, correction in again)
        lives = [correction for _, correction in again]
    return shown


def _follow(
    shell: InteractiveShell, lives: Sequence[LiveTurn], changed: threading.Event, *, footer: bool
) -> list[Columns]:
    if not shows_updates(shell):
        for live in lives:
            sys.stdout.write(printable(f"── {_Column(live).name} ──\n"))
            # Those behind it go on meanwhile.
            another = partial(_terminal_painter, footer=footer)
            follow_turn(live, Watch(live), another(0), another)
        return []
    columns = Columns(lives, footer=footer)
    while not all(live.is_over for live in lives):
        changed.wait(1.0)
        changed.clear()
        for live in lives:
            live.serve()
        size = columns.paint()
        time.sleep(max(PAINT_SECONDS, size / BYTES_PER_SECOND))
    columns.finish(None)
    return [columns]


def _terminal_painter(section: int, *, footer: bool) -> TerminalPainter:
    return TerminalPainter(footer=footer, section=section)


class Columns:
    """Answers in columns, in one output."""

    def __init__(self, lives: Sequence[LiveTurn], *, footer: bool) -> None:
        from IPython.display import DisplayHandle

        self.lives = lives
        self._columns = [_Column(live) for live in lives]
        self._footer = footer
        self._handle = DisplayHandle()
        self._is_shown = False

    def paint(self) -> int:
        """Show the answers as they stand, and return how many characters that took."""
        return self._publish({}, None)

    def finish(self, kept: LiveTurn | None) -> None:
        """Leave them all, with the one that is kept marked and in the output's metadata."""
        metadata: dict[str, Any] = {}
        if kept is not None:
            about = turn_metadata(kept.version, conversation=kept.conversation_id, turn=kept.index, number=kept.at)
            # What stands beside it is more than its answer.
            metadata[METADATA_KEY] = {**about, "text": kept.version.text}
        self._publish(metadata, kept)

    def _publish(self, metadata: dict[str, Any], kept: LiveTurn | None) -> int:
        marks = ["▸" if column.live is kept else "" for column in self._columns]
        parts = [column.html(footer=self._footer, mark=mark) for column, mark in zip(self._columns, marks, strict=True)]
        html = f'<div style="{_GRID.format(count=len(parts))}">{"".join(parts)}</div>'
        plain = "\n\n".join(column.plain for column in self._columns)
        show = self._handle.update if self._is_shown else self._handle.display
        show({"text/html": html, "text/plain": plain}, raw=True, metadata=metadata)  # type: ignore[no-untyped-call]  # IPython's is untyped
        self._is_shown = True
        return len(html) + len(plain)
