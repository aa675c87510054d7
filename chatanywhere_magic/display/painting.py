"""When a turn is painted: its first text at once, then by clock, its end at once."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import threading

    from IPython.core.interactiveshell import InteractiveShell

    from ..live import LiveTurn

FORMS: Final = ("markdown", "text", "code", "json", "html-source")
"""What can be left of an answer when it is over."""
PAINT_SECONDS: Final = 0.09
"""Between two paints, at least. Painting by clock keeps a fast answer from costing more than a slow one.

A little less than what is gathered of one that comes word by word, so that its painter wakes once for each paint.
"""
HEAD_START_SECONDS: Final = 0.002
"""That long the engine has the interpreter to itself, until the question is out."""
UNSHOWN_SECONDS: Final = 0.1
"""That long nothing says what is waited for: to show it would hold up the answer that may be just about to come."""


class Painter(Protocol):
    """What shows a turn while it runs and when it is over."""

    def get_ready(self) -> None:
        """Load what painting needs; called while the first text is awaited."""
        ...

    def paint(self, live: LiveTurn) -> None:
        """Show the turn as it stands."""
        ...

    def finish(self, live: LiveTurn) -> None:
        """Show the turn as it ended."""
        ...


def painter_for(
    shell: InteractiveShell,
    *,
    footer: bool = True,
    reasoning: bool = True,
    alone: bool = False,
    form: str = "markdown",
    rich: bool = False,
) -> Painter:
    """Return the painter that fits where `shell` runs.

    Parameters
    ----------
    footer, reasoning : bool
        Whether to show them.
    alone : bool
        Whether the cell has shown nothing before, so that its output area may be used as a whole.
    form : str
        What is left of the answer when it is over: one of `FORMS`.
    rich : bool
        Whether a terminal may show formatted Markdown, if the package ``rich`` is there.
    """
    from IPython.core.displaypub import CapturingDisplayPublisher

    if not hasattr(shell, "kernel"):
        from .terminal import RichPainter, TerminalPainter

        is_rich = rich and sys.stdout.isatty() and find_spec("rich") is not None
        return (RichPainter if is_rich else TerminalPainter)(footer=footer, form=form)
    from .notebook import CellPainter, FinalPainter, OutputPainter

    kind: type[FinalPainter] = OutputPainter
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        kind = FinalPainter
    elif alone:
        kind = CellPainter
    return kind(footer=footer, reasoning=reasoning, form=form)


def follow(live: LiveTurn, painter: Painter, changed: threading.Event) -> None:
    """Paint `live` until it is over.

    Parameters
    ----------
    changed : threading.Event
        Set by a listener of `live` at every change.
    """
    begun = time.monotonic()
    painter.get_ready()
    live.begun.wait(begun + UNSHOWN_SECONDS - time.monotonic())
    while not live.is_over:
        changed.clear()
        painted = time.monotonic()
        painter.paint(live)
        # Once a second at least, for the seconds waited.
        changed.wait(1.0)
        if live.has_text and (early := painted + PAINT_SECONDS - time.monotonic()) > 0:
            live.done.wait(early)
