"""Jobs: functions of the person's that run on the thread that waits for a turn, where their variables live."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .approval import Approval, Approvals
    from .live_turn import LiveTurn


class Host(Protocol):
    """A front end that waits for a turn and can ask the person, on the thread that waits."""

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask."""
        ...

    def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
        """Ask the person; return when the call is decided, here or elsewhere."""
        ...


class MainThread(Protocol):
    """A kernel's main thread, for turns that no cell waits for."""

    def when_idle(self, action: Callable[[], object]) -> None:
        """Run `action` there as soon as no cell runs; from any thread."""
        ...


class Interruptible:
    """A context in which an interrupt (SIGINT) raises KeyboardInterrupt; another thread can have it do so, once.

    On the main thread only: elsewhere nothing interrupts a function.

    Parameters
    ----------
    on_interrupt : callable
        Called when the person interrupts, before the exception.
    """

    def __init__(self, on_interrupt: Callable[[], None]) -> None:
        self._on_interrupt = on_interrupt
        self._lock = threading.Lock()
        self._is_inside = False
        self._can_interrupt = False
        self._is_interrupted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
            self._is_inside = self._can_interrupt = True
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._is_inside = False
        if self._before is not None:
            with self._lock:  # a signal that is on its way arrives before this is had
                self._can_interrupt = False
            signal.signal(signal.SIGINT, self._before)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what runs inside, unless that has happened."""
        with self._lock:
            if not self._can_interrupt or self._is_interrupted:
                return
            self._is_interrupted = True
            if sys.platform == "win32":
                signal.raise_signal(signal.SIGINT)
            else:  # which ends a call of the system, too
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _handle(self, _signal: int, _frame: object) -> None:
        if self._is_inside:  # not where the exception would leave the context half closed
            is_ours, self._is_interrupted = self._is_interrupted, True
            if not is_ours:
                self._on_interrupt()
            raise KeyboardInterrupt


class Job:
    """A function to be run once, by the thread that waits.

    Parameters
    ----------
    function : callable
        The function, without arguments.
    on_interrupt : callable
        Called when the person interrupts it.
    """

    def __init__(self, function: Callable[[], Any], on_interrupt: Callable[[], None]) -> None:
        self.future: Future[Any] = Future()
        self._function = function
        self._interruptible = Interruptible(on_interrupt)
        self._is_stopped = False

    def run(self) -> None:
        """Run it here, unless it was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            with self._interruptible:
                if self._is_stopped:  # just now
                    raise KeyboardInterrupt  # noqa: TRY301 - as if it had begun
                value = self._function()
        except BaseException as caught:  # noqa: BLE001 - it is for the one who waits for the result
            self.future.set_exception(caught)
        else:
            self.future.set_result(value)

    def stop(self) -> None:
        """See to it that it does not run, or interrupt it as a cell is interrupted."""
        self._is_stopped = True
        if not self.future.cancel():
            self._interruptible.interrupt()
