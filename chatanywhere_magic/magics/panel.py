"""``%chat_panel``: open the chat panel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from IPython.core.magic import Magics, line_magic, magics_class

from ..core import ConfigurationError, UsageError, phrase
from .options import Namespace, Option, Options, takes

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession


_PLACES: Final = ("right", "left", "bottom", "tab")


def _place(word: str) -> str:
    if word not in _PLACES:
        raise UsageError(phrase("error.dock", value=word, places=", ".join(_PLACES)))
    return word


@magics_class
class PanelMagics(Magics):
    """The magic that opens panels."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session
        self._closers: dict[str, Callable[[], None]] = {}
        """How to close what was opened from a cell, by the cell's id; docked panels under the name of their place."""

    @line_magic
    @takes(Options("chat_panel", "about.chat_panel", Option(("--dock",), "help.dock", "|".join(_PLACES), _place)))
    def chat_panel(self, given: Namespace) -> None:
        """Open a chat panel below this cell or beside the notebook, for the same conversation."""
        if not hasattr(self._shell, "kernel"):
            raise ConfigurationError(phrase("error.panel_needs_notebook"))
        from IPython.display import display

        from ..panel import (
            ChatPanel,  # ipywidgets is loaded when a panel is wanted
            Dock,
        )

        name = given.dock or self._cell_id()
        # A cell that runs again opens a new panel; the one before would go on unseen.
        self._closers.pop(name, _nothing)()
        panel = ChatPanel(self.session)
        if not given.dock:
            display(panel)
            if name:
                self._closers[name] = panel.close
            return
        try:
            dock = Dock(panel, given.dock)
        except ConfigurationError as error:
            sys.stdout.write(f"{error}\n")
            display(panel)
            return
        dock.show()

        def close() -> None:
            dock.close()
            panel.close()

        self._closers[name] = close

    def _cell_id(self) -> str:
        """Return the id of the cell that runs; ``""`` where cells have none."""
        metadata = self._shell.kernel.get_parent("shell").get("metadata", {})  # type: ignore[attr-defined]
        return str(metadata.get("cellId", ""))


def _nothing() -> None:
    """Do nothing."""
