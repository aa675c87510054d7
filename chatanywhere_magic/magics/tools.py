"""``%chat_tools``: the functions that the model may call, what is allowed of them, and how that is taken back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from IPython.core.magic import Magics, line_magic, magics_class

from ..core import UsageError, phrase, text
from .options import Namespace, Option, Options, takes
from .tables import show_table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession
    from ..tools import Tool

_TOOLS: Final = Options(
    "chat_tools",
    "about.chat_tools",
    Option(("--allow",), "help.tools_allow"),
    Option(("--revoke",), "help.tools_revoke"),
    words=("[NAME …]",),
)


@magics_class
class ToolMagics(Magics):
    """The magic for tools, on one session."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self.session = session

    @line_magic
    @takes(_TOOLS)
    def chat_tools(self, given: Namespace) -> None:
        """List the tools and what is allowed of them; allow tools, or take approvals back."""
        tools = self.session.tools
        if given.allow:
            if not given.words or given.revoke:
                raise UsageError(phrase("error.tools_allow"))
            for name in given.words:
                tools.allow(name)
        elif given.revoke:
            count = sum(map(tools.revoke, given.words or [""]))
            sys.stdout.write(text("notice.revoked", count=count) + "\n")
        self._show()

    def _show(self) -> None:
        tools = self.session.tools
        offered: list[Tool] = [*tools, *(tools.of_kernel if self.session.settings.agent else ())]
        rows = [[each.name, each.description.partition("\n")[0], self._allowed(each.name, each)] for each in offered]
        known = {each.name for each in offered}
        others = dict.fromkeys(each.tool for each in tools.standing if each.tool not in known)
        rows += [[name, "", self._allowed(name)] for name in others]
        if not rows:
            sys.stdout.write(text("notice.no_tools") + "\n")
            return
        show_table([text("label.tool"), "", text("label.approval")], rows)

    def _allowed(self, name: str, tool: Tool | None = None) -> str:
        """Return in words when a call of a tool is asked about."""
        if tool is not None and tool.approval == "never":
            return text("label.unasked")
        words = []
        for each in self.session.tools.standing:
            if each.tool == name and (tool is None or each.function is tool.source or each.function == tool.source):
                key = "label.allowed_turn" if each.turn else "label.allowed_here" if each.conversation else ""
                where = text(key or "label.allowed_everywhere")
                words.append(f"{where}: {each.covers}" if each.covers else where)
        return "; ".join(dict.fromkeys(words)) or text("label.asked")
