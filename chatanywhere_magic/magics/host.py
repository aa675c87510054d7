"""Ask the person in the cell that waits: by buttons where they work while a cell runs, else by ``input()``."""

from __future__ import annotations

import sys
import time
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.display import DisplayHandle

from ..core import text, visible
from ..render import state_line
from ..session import approval_words, ask_by_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..session import Approval, Approvals, LiveTurn

CARD_SECONDS: Final = 3.0
"""A page that has not shown the buttons by then does not show any while a cell runs."""
SLICE_SECONDS: Final = 0.02


class CellHost:
    """The cell that waits for a turn."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._has_buttons: bool | None = None
        """Whether they work here; None until they were tried."""

    @property
    def can_ask(self) -> bool:
        """Whether the front end asks its person for input, and what is shown can be seen."""
        is_shown = not isinstance(self._shell.display_pub, CapturingDisplayPublisher)
        return is_shown and bool(getattr(self._shell.kernel, "_allow_stdin", False))  # type: ignore[attr-defined]  # a kernel's shell has it

    def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
        """Ask the person; return when the call is decided, here or elsewhere."""
        if self._has_buttons is not False and self._ask_by_card(approval, approvals):
            return
        sys.stdout.write(f"{approval_words(approval)}\n")
        ask_by_input(approval, approvals, live)

    def _ask_by_card(self, approval: Approval, approvals: Approvals) -> bool:
        """Show buttons and wait; return whether the call is decided, or False where no page shows them."""
        if find_spec("anywidget") is None or not getattr(self._shell.kernel, "_supports_kernel_subshells", False):  # type: ignore[attr-defined]  # as above
            return False
        from ..panel import ApprovalCard  # with the first question

        card = ApprovalCard(approval, approvals)
        handle = DisplayHandle()
        try:
            handle.display(card)
            self._wait_until(lambda: card.is_seen.is_set() or approval.decided.done(), CARD_SECONDS)
            self._has_buttons = card.is_seen.is_set() or self._has_buttons or approval.decided.done()
            if self._has_buttons:
                self._wait_until(approval.decided.done)
            return approval.decided.done()
        finally:
            card.close()
            words = ""
            if approval.decided.done():
                words = text(f"answered.{approval.state}", name=visible(approval.tool.name))
            # Not the widget's view: a notebook that is opened again has no widget.
            handle.update({"text/html": state_line(words) if words else "", "text/plain": words}, raw=True)

    def _wait_until(self, is_so: Callable[[], bool], seconds: float = float("inf")) -> None:
        end = time.monotonic() + seconds
        while not is_so() and time.monotonic() < end:
            time.sleep(SLICE_SECONDS)


class IdleKernel:
    """Runs functions on the kernel's main thread when no cell runs, for turns that no cell waits for."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._running = 0
        self._waiting: deque[Callable[[], object]] = deque()

    def begin(self) -> None:
        """Take note of cells from now on."""
        self._shell.events.register("pre_run_cell", self._begin_cell)
        self._shell.events.register("post_run_cell", self._end_cell)

    def end(self) -> None:
        """Take note of cells no longer."""
        self._shell.events.unregister("pre_run_cell", self._begin_cell)
        self._shell.events.unregister("post_run_cell", self._end_cell)

    def when_idle(self, action: Callable[[], object]) -> None:
        """Run `action` on the main thread as soon as no cell runs; from any thread."""
        self._shell.kernel.io_loop.add_callback(self._run, action)  # type: ignore[attr-defined]  # a kernel's shell has it

    def _run(self, action: Callable[[], object]) -> None:
        if self._running:
            self._waiting.append(action)
        else:
            action()

    def _begin_cell(self, _info: Any) -> None:
        self._running += 1

    def _end_cell(self, _result: Any) -> None:
        self._running = max(self._running - 1, 0)  # the extension was loaded by a cell that had begun
        while self._waiting and not self._running:
            self.when_idle(self._waiting.popleft())
