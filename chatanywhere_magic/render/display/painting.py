"""Decide when a turn is painted: its first text at once, then by clock, its end at once."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ...session import LiveTurn

_log = logging.getLogger(__name__)

FORMS: Final = ("markdown", "text", "code", "json", "html-source")
"""What can be left of a response when it is over."""
PAINT_SECONDS: Final = 0.09
"""Between two paints, at least. Painting by clock keeps a fast response from costing more than a slow one.

A little less than what is gathered of one that comes word by word, so that its painter wakes once for each paint.
"""
HEAD_START_SECONDS: Final = 0.01
"""That long at most the engine has the interpreter to itself until the prompt is out, and again until a response comes
that is just behind."""
FIRST_SIZE: Final = 1000
"""Characters of a first text that are painted at once: more would hold up what else is on its way."""
UNSHOWN_SECONDS: Final = 0.1
"""That long nothing says what is waited for: to show it would hold up the response that may be just about to come."""


class Painter(Protocol):
    """What shows a turn while it runs and when it is over."""

    paints_anywhere: bool
    """Whether it can paint on any thread, one at a time."""

    def get_ready(self) -> None:
        """Load what painting needs; called while the first text is awaited."""
        ...

    def paint(self, live: LiveTurn) -> None:
        """Show the turn as it stands."""
        ...

    def show_calls(self, live: LiveTurn) -> None:
        """Show the calls of tools that follow what is painted, as they stand; nothing more is painted before them."""
        ...

    def finish(self, live: LiveTurn) -> None:
        """Show the turn as it ended."""
        ...


_PYTHON_CLIENT: Final = re.compile(r"_\d+_\d+\Z")
"""How jupyter_client ends the ids of messages; a page's are those of a browser."""


def shows_updates(shell: InteractiveShell) -> bool:
    """Tell whether what `shell` shows can be replaced later.

    It cannot in a terminal, nor in jupyter console, qtconsole and Spyder, which ignore it without a word: programs
    in Python that can ask a person, and name no cells.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return False
    request = kernel.get_parent()
    is_python = _PYTHON_CLIENT.search(str(request.get("header", {}).get("msg_id", ""))) is not None
    asks = bool(request.get("content", {}).get("allow_stdin"))
    return not (is_python and asks) or "cellId" in request.get("metadata", {})


def painter_for(
    shell: InteractiveShell,
    *,
    footer: bool = True,
    reasoning: bool = True,
    alone: bool = False,
    form: str = "markdown",
    rich: bool = False,
    section: int = 0,
) -> Painter:
    """Return the painter that fits where `shell` runs.

    Parameters
    ----------
    footer, reasoning : bool
        Whether to show them.
    alone : bool
        Whether the cell has shown nothing before, so that its output area may be used as a whole.
    form : str
        What is left of the response when it is over: one of `FORMS`.
    rich : bool
        Whether a terminal may show formatted Markdown, if the package ``rich`` is there.
    section : int
        Which part of the response it shows: each step of calls ends one.
    """
    from IPython.core.displaypub import CapturingDisplayPublisher

    if not shows_updates(shell):
        from .terminal import RichPainter, TerminalPainter

        is_rich = rich and sys.stdout.isatty() and find_spec("rich") is not None
        return (RichPainter if is_rich else TerminalPainter)(footer=footer, form=form, section=section)
    from .notebook import CellPainter, FinalPainter, OutputPainter

    kind: type[FinalPainter] = OutputPainter
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        kind = FinalPainter
    elif alone:
        kind = CellPainter
    return kind(footer=footer, reasoning=reasoning, form=form, section=section)


def follow_turn(live: LiveTurn, watch: Watch, painter: Painter, another: Callable[[int], Painter]) -> Painter:
    """Show a turn until it is over: what the model says, its calls of tools, what it says then, and so on.

    Parameters
    ----------
    another : callable
        Makes the painter for a section.

    Returns
    -------
    Painter
        The one that has shown the end.
    """
    section = 0
    while not watch.follow(painter, section):
        watch.follow_calls(painter, section)
        section += 1
        painter = another(section)
    painter.finish(live)
    return painter


class Watch:
    """Paints a turn while it runs, from before it is started until it is over.

    Its first text is painted on the thread that brings it, if the painter can do that: to wake another one takes longer
    than the paint. Everything else is painted on the thread that calls :meth:`follow`.
    """

    def __init__(self, live: LiveTurn) -> None:
        self._live = live
        self._changed = threading.Event()
        self._painting = threading.Lock()
        self._first: Painter | None = None
        """Who paints the first text, as soon as it is ready and as long as there is none."""
        live.listen(self._note_change)

    def get_ready(self, painter: Painter) -> None:
        """Load what `painter` needs; from now on it may be painting."""
        painter.get_ready()
        if painter.paints_anywhere:
            self._first = painter

    def follow(self, painter: Painter, section: int = 0) -> bool:
        """Paint one section of the turn until it is over, and return whether the turn is, too."""
        live, changed = self._live, self._changed
        live.response.begun.wait(UNSHOWN_SECONDS)
        while not live.is_over and len(live.marks) <= section:
            changed.clear()
            painted = time.monotonic()
            with self._painting:
                painter.paint(live)
            # Once a second at least, for the seconds waited.
            changed.wait(1.0)
            if live.response.has_text and (early := painted + PAINT_SECONDS - time.monotonic()) > 0:
                live.done.wait(early)
        with self._painting:
            self._first = None
        return len(live.marks) <= section

    def follow_calls(self, painter: Painter, section: int) -> None:
        """Show the calls that end a section until the model goes on, and run here what must run here."""
        live, changed = self._live, self._changed
        while True:
            changed.clear()
            is_over = live.is_over or live.step is None or len(live.marks) > section + 1
            painter.show_calls(live)
            if is_over:
                return
            live.serve()
            if not changed.is_set():
                changed.wait(1.0)

    def _note_change(self, live: LiveTurn) -> None:
        if self._first is not None and live.response.has_text:
            self._paint_first(live)
        if not self._changed.is_set():  # which costs less than to set it again
            self._changed.set()

    def _paint_first(self, live: LiveTurn) -> None:
        if not self._painting.acquire(blocking=False):
            return  # the other thread paints just now
        try:
            painter, self._first = self._first, None
            if (
                painter is not None
                and live.response.text_since(0)[1] + live.response.reasoning_since(0)[1] <= FIRST_SIZE
            ):
                painter.paint(live)
        except Exception:  # noqa: BLE001 - the other thread meets it again, and can report it
            _log.debug("the first text could not be painted", exc_info=True)
        finally:
            self._painting.release()
