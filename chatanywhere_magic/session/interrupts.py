"""Interrupts (SIGINT) that stop a turn instead of raising an exception anywhere."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol

from ..core import ChatInterrupted, text

if TYPE_CHECKING:
    from typing_extensions import Self


class Stoppable(Protocol):
    """What an interrupt can stop: a live turn, or a job."""

    def cancel(self) -> None:
        """Stop it."""


class Interrupts:
    """A context in which an interrupt (SIGINT) stops a turn and raises nothing.

    An exception that may come between any two instructions could leave a turn running or half shown, above all
    if the user interrupts again while the first interrupt is being handled.
    """

    def __init__(self) -> None:
        self._came = False
        self._turn: Stoppable | None = None
        self._previous: Any = None

    def stop(self, live: Stoppable) -> None:
        """Stop `live` from now on.

        Raises
        ------
        ChatInterrupted
            If an interrupt has come already, while the prompt was prepared.
        """
        self._turn = live
        if self._came:
            raise ChatInterrupted(text("status.stopped_unasked"))

    def __enter__(self) -> Self:
        # Python runs signal handlers on the main thread, and only there they can be set.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, _signal: int, _frame: object) -> None:
        self._came = True
        if self._turn is not None:
            self._turn.cancel()
