"""Show a turn in a terminal: text as it comes, never printed twice, without control characters."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from .calls import Section, step_views
from .words import final_words, footer_words

if TYPE_CHECKING:
    from ...session import LiveTurn


# Control characters, half characters, and formatting ones but for those that join letters or parts of an emoji.
_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class TerminalPainter:
    """Print the response as it arrives."""

    paints_anywhere = False

    def __init__(self, *, footer: bool, form: str = "markdown", section: int = 0) -> None:
        self._footer = footer
        self._form = form
        self._section = Section(section)
        self._text_read = 0
        self._calls_shown: dict[int, str] = {}

    def get_ready(self) -> None:
        """Do nothing: a terminal shows text as it is."""

    def paint(self, live: LiveTurn) -> None:
        """Print what has come since the last time, if it is to be shown as it comes."""
        if self._form not in {"markdown", "text"}:
            return
        fresh = self._read(live)
        if fresh:
            sys.stdout.write(printable(fresh))
            sys.stdout.flush()

    def _read(self, live: LiveTurn) -> str:
        """Return what is new of the response. What was printed stays, also where it turns out to be reasoning."""
        before = self._text_read
        fresh, self._text_read = self._section.read(live, before)
        return f"\n\n{fresh}" if fresh and 0 < before <= live.response.text_begin else fresh

    def show_calls(self, live: LiveTurn) -> None:
        """Print each call when it begins to run, and how it ended."""
        self.paint(live)
        if self._text_read and not self._calls_shown and not self._section.read(live, 0)[0].endswith("\n"):
            sys.stdout.write("\n")
        for number, view in enumerate(step_views(live, self._section.number)):
            mark = "over" if view.is_over else "begun"
            if self._calls_shown.get(number) == mark or self._form not in {"markdown", "text"}:
                continue
            known = self._calls_shown.get(number)
            self._calls_shown[number] = mark
            line = f"{view.words}" if known else view.line if not view.is_over else f"{view.line} · {view.words}"
            sys.stdout.write(f"▸ {printable(line)}\n")
        sys.stdout.flush()

    def finish(self, live: LiveTurn) -> None:
        """Print the rest, and, where a person reads it, how the turn ended."""
        self.paint(live)
        version = live.version
        if self._form not in {"markdown", "text"} and version.text:
            from .forms import formed  # loaded where a form is asked for

            sys.stdout.write(printable(formed(version.text, self._form)[1]))
        said = self._section.read(live, 0)[0] if self._section.number else version.text
        if said and not said.endswith("\n"):
            sys.stdout.write("\n")
        self._end(live)

    def _end(self, live: LiveTurn) -> None:
        version = live.version
        words = final_words(version)
        if self._footer and sys.stdout.isatty():
            words = [*words, *footer_words(version)]
        if words:
            sys.stdout.write(f"[{printable(' · '.join(words))}]\n")
        sys.stdout.flush()


class RichPainter(TerminalPainter):
    """Prints the response as formatted Markdown, block by block as they are finished."""

    def __init__(self, *, footer: bool, form: str = "markdown", section: int = 0) -> None:
        from rich.console import Console  # optional, and loaded where it is asked for

        from ..markdown import IncrementalRenderer

        super().__init__(footer=footer, form=form, section=section)
        self._console = Console(file=sys.stdout, highlight=False)
        self._renderer = IncrementalRenderer()
        self._waiting = ""

    def paint(self, live: LiveTurn) -> None:
        """Print the blocks that are finished now."""
        if self._form != "markdown":
            super().paint(live)
            return
        fresh = self._read(live)
        self._renderer.feed(fresh)
        self._waiting += fresh.replace("\r\n", "\n")
        size = len(self._waiting) - len(self._renderer.open_text)
        self._print(self._waiting[: max(0, size)])
        self._waiting = self._waiting[max(0, size) :]

    def show_calls(self, live: LiveTurn) -> None:
        """Print the last block before the calls, and them."""
        self.paint(live)
        self._print(self._waiting)
        self._waiting = ""
        super().show_calls(live)

    def finish(self, live: LiveTurn) -> None:
        """Print the last block, and how the turn ended."""
        self.paint(live)
        self._print(self._waiting)
        self._waiting = ""
        self._end(live)

    def _print(self, source: str) -> None:
        from rich.markdown import Markdown

        if source.strip():
            # Its links would be escape codes that a click obeys, with an address that is not seen.
            self._console.print(Markdown(printable(source), hyperlinks=False))


def printable(words: str) -> str:
    """Return `words` without characters that a terminal obeys.

    These are control characters other than newline and tab, and those that are not seen and change the order in which
    others are shown, or hide a word in another.
    """
    return words if words.isascii() and words.isprintable() else _OBEYED.sub("", words)
