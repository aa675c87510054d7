"""``%%chat`` and ``%chat``: parse the line, ask the session, show the turn."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ..conversation import Origin
from ..display import follow, painter_for
from ..errors import UsageError
from ..live import Interrupts
from ..strings import text
from .options import parse_line, parser

if TYPE_CHECKING:
    import argparse

    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    from ..live import LiveTurn
    from ..session import ChatSession


@magics_class
class ChatMagics(Magics):
    """The magics, on one session."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session
        self._cell_id = ""
        self._asked = 0

    def begin_cell(self, info: ExecutionInfo) -> None:
        """Note which cell runs: asking again from the same place revises its turn."""
        self._cell_id = getattr(info, "cell_id", None) or ""
        self._asked = 0

    @no_var_expand  # braces and dollars in a prompt are the prompt's
    @line_magic("chat")  # type: ignore[arg-type]  # IPython annotates its decorator with Never
    def chat_line(self, line: str) -> None:
        """Ask the model: ``%chat [options] PROMPT``. ``%chat --help`` lists the options."""
        options, prompt = parse_line(line)
        if options.help:
            self._print_help()
        else:
            self._ask(options, prompt)

    @no_var_expand
    @cell_magic("chat")  # type: ignore[arg-type]  # as above
    def chat_cell(self, line: str, cell: str) -> None:
        """Ask the model what stands in the cell: ``%%chat [options]``, then the prompt below."""
        options, rest = parse_line(line)
        if options.help:
            self._print_help()
            return
        if rest:
            raise UsageError(text("error.cell_line", rest=rest))
        self._ask(options, cell.removesuffix("\n"))

    def _print_help(self) -> None:
        sys.stdout.write(parser().format_help())

    def _ask(self, options: argparse.Namespace, prompt: str) -> None:
        if not prompt.strip():
            raise UsageError(text("error.empty_prompt"))
        with Interrupts() as interrupts:
            live = self.session.prepare(
                prompt,
                provider=options.provider,
                model=options.model or "",
                system=options.system,
                temperature=options.temperature,
                max_tokens=options.max_tokens,
                history=not options.no_history,
                append=options.append,
                origin=Origin("cell", self._cell_id, self._asked),
            )
            interrupts.stop(live)
            self._asked += 1
            self._show(live)
        live.reply()

    def _show(self, live: LiveTurn) -> None:
        painter = painter_for(self._shell, footer=self.session.footer)
        changed = threading.Event()
        live.listen(lambda _: changed.set())
        painter.paint(live.version, live.notice)
        self.session.start(live)
        follow(live, painter, changed)
        painter.finish(live.version)
