"""``%chat_panel``: the other door into the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class

from ..errors import ConfigurationError
from ..strings import text
from .options import Namespace, Options, takes

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession


@magics_class
class PanelMagics(Magics):
    """Opens panels."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session

    @line_magic
    @takes(Options("chat_panel", "about.chat_panel"))
    def chat_panel(self, _given: Namespace) -> None:
        """Open a chat panel below this cell, on the same conversation."""
        if not hasattr(self._shell, "kernel"):
            raise ConfigurationError(text("error.panel_needs_notebook"))
        from IPython.display import display

        from ..panel import ChatPanel  # ipywidgets is loaded when a panel is wanted

        display(ChatPanel(self.session))
