"""The kernel as its tools see it: run code as a cell, with its place in the history, and write a cell below."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, phrase
from .cells import fill_cell
from .notebook import notebook_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from .namespace import KernelNames

MARK: Final = "# approved and run in the chat"
"""Stands below the code in the history, which has no other place for it."""


@dataclass
class Ran:
    """What came of a cell that was run."""

    number: int
    seconds: float
    error: BaseException | None
    words: str = ""


class ShellKernel:
    """Runs cells in an IPython shell."""

    def __init__(self, shell: InteractiveShell, names: KernelNames) -> None:
        self._shell = shell
        self._names = names

    @property
    def folder(self) -> Path:
        """The notebook's folder; without a notebook, where the kernel runs."""
        notebook = notebook_path(self._shell)
        return Path(notebook).parent if notebook else Path.cwd()

    def run(self, code: str) -> Ran:
        """Run code as a cell, as if it were typed below the one that runs.

        What it shows is shown where it runs; an exception is returned, not shown.
        """
        shell: Any = self._shell
        try:
            _check(shell, code)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            return Ran(0, 0.0, problem, self._names.as_text(problem))
        marked = code if code.lstrip().startswith("%%") else f"{code.rstrip()}\n{MARK}"
        history = shell.history_manager.input_hist_raw
        # IPython counts a cell at its beginning or at its end, depending on its version.
        behind = shell.execution_count - len(history)
        shell.execution_count = number = len(history)
        began = time.monotonic()
        try:
            with _values_displayed(shell), _errors_returned(shell):
                result = shell.run_cell(marked, store_history=True)
        finally:
            shell.execution_count = len(history) + behind
        error = result.error_before_exec or result.error_in_exec
        return Ran(number, time.monotonic() - began, error, "" if error is None else self._names.as_text(error))

    def write(self, code: str) -> None:
        """Put code into a new cell below the one that runs.

        Raises
        ------
        ConfigurationError
            If no cell runs: what is given to the next one would appear out of place. Or if there is a new cell
            already, of which a front end adds only one.
        """
        if not self._names.is_running:
            raise ConfigurationError(phrase("error.no_cell_below"))
        shell: Any = self._shell
        waiting = [each for each in shell.payload_manager.read_payload() if each.get("source") == "set_next_input"]
        if waiting or getattr(shell, "rl_next_input", None):
            raise ConfigurationError(phrase("error.one_cell_below"))
        fill_cell(self._shell, code)


def _check(shell: Any, code: str) -> None:
    """Compile code, which tells what is wrong with it where nothing has run yet.

    There is no `await` outside functions, for the event loop is busy with the turn.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are shown when it runs
        compile(shell.transform_cell(code), "<code>", "exec", shell.compile.flags, dont_inherit=True)


@contextmanager
def _values_displayed(shell: Any) -> Iterator[None]:
    """Have the value of a cell's last line displayed as other output is: its result would be that of the outer cell."""
    hook = shell.displayhook

    def shown(value: object = None) -> None:
        hook.check_for_underscore()
        if value is None or hook.quiet():
            return
        data, metadata = hook.compute_format_data(value)
        hook.update_user_ns(value)
        hook.fill_exec_result(value)
        if data:
            hook.log_output(data)
            sys.stdout.flush()
            shell.display_pub.publish(data, metadata)

    trap, before = shell.display_trap, sys.displayhook
    trap.hook, sys.displayhook = shown, shown
    try:
        yield
    finally:
        trap.hook, sys.displayhook = hook, before


@contextmanager
def _errors_returned(shell: Any) -> Iterator[None]:
    """Have no traceback shown: it is shown with the call, and the outer cell has not failed."""
    before = shell.custom_exceptions, shell.CustomTB
    shell.set_custom_exc((BaseException,), lambda *_, **__: None)
    try:
        yield
    finally:
        shell.custom_exceptions, shell.CustomTB = before
