"""``%chat_fix``: explain the error of the cell that failed last, and propose a corrected cell with a diff."""

from __future__ import annotations

import sys
from difflib import unified_diff
from html import escape
from typing import TYPE_CHECKING, Final

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ..core import ConfigurationError, Document, phrase, text
from ..render import printable
from ..session import Interrupts, cells
from .cells import code_for_cell, fill_cell
from .chat import show_turn
from .namespace import KernelNames
from .options import Namespace, Option, Options, takes
from .outputs import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from ..core import Reply
    from ..session import ChatSession

_FIX: Final = Options(
    "chat_fix",
    "about.chat_fix",
    Option(("-m", "--model"), "help.model", "MODEL", str),
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    Option(("-q", "--quiet"), "help.quiet"),
    Option(("--replace",), "help.fix_replace"),
    Option(("--no-history",), "help.no_history"),
    usage="help.fix_usage",
)
CONTEXT_LINES: Final = 3
_STYLES: Final = {
    "+": "background: rgba(46, 160, 67, 0.18)",
    "-": "background: rgba(248, 81, 73, 0.18)",
    "@": "opacity: 0.6",
}


@magics_class
class FixMagics(Magics):
    """The magic that proposes a fix for the cell that failed; nothing is run."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session

    @no_var_expand
    @line_magic
    @takes(_FIX)
    def chat_fix(self, given: Namespace) -> None:
        """Ask about the last error, and put the corrected cell below for you to read and run."""
        names = self.session.names
        error = names.error() if names is not None else ""
        if not error:
            raise ConfigurationError(phrase("error.no_last_error"))
        source = names.failed_cell if isinstance(names, KernelNames) else ""
        sent = [Document("error", error)]
        if source:
            sent.insert(0, Document("cell", source))
        with Interrupts() as interrupts:
            live = self.session.prepare(
                f"{text('prompt.fix')} {given.prompt}".strip(),
                provider=given.provider,
                model=given.model or "",
                history=not given.no_history,
                origin=cells.here("cell"),
                attachments=sent,
            )
            interrupts.stop(live)
            note(live, show_turn(self._shell, self.session, live, quiet=given.quiet))
        self._offer(given, source, live.reply())

    def _offer(self, given: Namespace, source: str, reply: Reply) -> None:
        code = code_for_cell(reply)
        if not code:
            sys.stdout.write(text("notice.no_code") + "\n")
            return
        if source and code.strip() == source.strip():
            sys.stdout.write(text("notice.fix_same") + "\n")
            return
        if source and not given.quiet:
            show_diff(self._shell, diff_lines(source, code))
        fill_cell(self._shell, code, replace=given.replace)


def diff_lines(before: str, after: str) -> list[str]:
    """Return what changes from one source to the other, as a unified diff without its head."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm="")
    return list(lines)[2:]


def show_diff(shell: InteractiveShell, lines: Sequence[str]) -> None:
    """Show a diff: coloured in a notebook, as text in a terminal. It is model text, and shown as text."""
    plain = "\n".join(lines)
    if not hasattr(shell, "kernel"):
        sys.stdout.write(printable(plain) + "\n")
        return
    from IPython.display import display

    display({"text/html": diff_html(lines), "text/plain": plain}, raw=True)


def diff_html(lines: Sequence[str]) -> str:
    """Return a diff as HTML."""
    rows = "".join(f'<div style="{_STYLES.get(line[:1], "")}">{escape(line) or " "}</div>' for line in lines)
    return (
        '<div class="chatanywhere-diff mathjax_ignore tex2jax_ignore" style="overflow-x: auto">'
        f'<pre style="width: max-content; min-width: 100%">{rows}</pre></div>'
    )
