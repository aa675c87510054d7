"""Run third-party code for a limited time: the ``repr`` of an object may never return."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class _GivenUp(BaseException):
    """Raised in code that took too long."""


class Job:
    """One call in its own thread.

    A signal would need the main thread, where the user may have a handler; so the work moves and the caller waits.
    Work that is given up is interrupted: otherwise an endless loop would take a core, and the interpreter's lock,
    until the kernel ends.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self.error: Exception | None = None
        self._function = function
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="chatanywhere-context", daemon=True
        )

    def run(self, seconds: float) -> bool:
        """Return whether the call ended within `seconds`, with or without an :attr:`error`."""
        self._thread.start()
        if self._over.wait(seconds):
            return True
        self._give_up()
        return False

    def _run(self) -> None:
        try:
            self._function()
        except Exception as caught:  # noqa: BLE001 - anybody's code
            self.error = caught
        except BaseException as caught:  # noqa: BLE001 - SystemExit and the like must not pass for success either
            self.error = RuntimeError(type(caught).__name__)
        finally:
            self._over.set()

    def _give_up(self) -> None:
        import ctypes  # rarely needed

        identity = self._thread.ident
        if identity is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(_GivenUp))
