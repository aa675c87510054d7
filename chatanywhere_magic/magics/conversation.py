"""The magics of the conversation itself: beginning, stopping, and everything else that asks nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class

from ..strings import text
from .options import Namespace, Options, takes

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession


@magics_class
class ConversationMagics(Magics):
    """What a person does with the conversation as a whole."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self.session = session

    @line_magic
    @takes(Options("chat_new", "about.chat_new"))
    def chat_new(self, _given: Namespace) -> None:
        """Begin a new conversation."""
        self.session.new()
        sys.stdout.write(text("notice.new_conversation") + "\n")

    @line_magic
    @takes(Options("chat_stop", "about.chat_stop"))
    def chat_stop(self, _given: Namespace) -> None:
        """Stop every answer that is on its way, such as one asked in a panel. Text that came is kept."""
        sys.stdout.write(text("notice.stopped", count=self.session.stop()) + "\n")
