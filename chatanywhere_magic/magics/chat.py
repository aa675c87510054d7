"""``%%chat`` and ``%chat``: parse the line, ask the session, show the turn."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ..conversation import Origin
from ..display import follow, painter_for
from ..errors import UsageError
from ..live import Interrupts
from ..settings import MAX_TEMPERATURE
from ..strings import text
from .options import Namespace, Option, Options, takes

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    from ..live import LiveTurn
    from ..session import ChatSession


def _temperature(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(text("error.temperature", value=value, limit=MAX_TEMPERATURE)) from None


def _max_tokens(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(text("error.max_tokens", value=value)) from None


_CHAT: Final = Options(
    "chat",
    "about.chat",
    Option(("-m", "--model"), "help.model", "MODEL", str),
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    Option(("-s", "--system"), "help.system", "TEXT", str),
    Option(("-t", "--temperature"), "help.temperature", "0…2", _temperature),
    Option(("--max-tokens",), "help.max_tokens", "N", _max_tokens),
    Option(("--append",), "help.append"),
    Option(("--no-history",), "help.no_history"),
    usage="help.usage",
)


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
    @takes(_CHAT)
    def chat_line(self, given: Namespace) -> None:
        """Ask the model: ``%chat [options] PROMPT``. ``%chat --help`` lists the options."""
        self._ask(given, given.prompt)

    @no_var_expand
    @cell_magic("chat")  # type: ignore[arg-type]  # as above
    @takes(_CHAT)
    def chat_cell(self, given: Namespace, cell: str) -> None:
        """Ask the model what stands in the cell: ``%%chat [options]``, then the prompt below."""
        if given.prompt:
            raise UsageError(text("error.cell_line", rest=given.prompt))
        self._ask(given, cell.removesuffix("\n"))

    def _ask(self, given: Namespace, prompt: str) -> None:
        if not prompt.strip():
            raise UsageError(text("error.empty_prompt"))
        with Interrupts() as interrupts:
            live = self.session.prepare(
                prompt,
                provider=given.provider,
                model=given.model or "",
                system=given.system,
                temperature=given.temperature,
                max_tokens=given.max_tokens,
                history=not given.no_history,
                append=given.append,
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
