"""``%%chat``, ``%chat`` and their family: parse the line, ask the session, show the turn."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import sys
import threading
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn

from IPython.core.inputtransformer2 import make_tokens_by_line
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from .conversation import Origin
from .display import follow, painter_for
from .errors import ConfigurationError, UsageError
from .live import Interrupts
from .session import MAX_TEMPERATURE, ChatSession, get_session
from .strings import text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    from .live import LiveTurn

MAGICS: Final = {"line": ("chat", "chat_panel", "chat_new", "chat_stop"), "cell": ("chat",)}


@dataclass(frozen=True)
class _Option:
    """One option of ``%chat``: its spellings, its help, and how its value is read (None for a flag)."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    type: Any = None


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


_OPTIONS: Final = (
    _Option(("-m", "--model"), "help.model", "MODEL", str),
    _Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    _Option(("-s", "--system"), "help.system", "TEXT", str),
    _Option(("-t", "--temperature"), "help.temperature", "0…2", _temperature),
    _Option(("--max-tokens",), "help.max_tokens", "N", _max_tokens),
    _Option(("--append",), "help.append"),
    _Option(("--no-history",), "help.no_history"),
    _Option(("-h", "--help"), "help.help"),
)
_FLAGS: Final = {flag: option for option in _OPTIONS for flag in option.flags}


class _Parser(argparse.ArgumentParser):
    """argparse that raises our one-line error instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(text("error.option", message=message))


def _parser() -> _Parser:
    parser = _Parser(usage=text("help.usage").replace("%", "%%"), add_help=False, allow_abbrev=False)
    for option in _OPTIONS:
        if option.type is None:
            parser.add_argument(*option.flags, action="store_true", help=text(option.help))
        else:
            parser.add_argument(*option.flags, type=option.type, metavar=option.metavar, help=text(option.help))
    return parser


def parse_line(line: str) -> tuple[argparse.Namespace, str]:
    """Split a magic's line into its options and the prompt, which is left exactly as it was typed.

    Options stand first and are read as a shell reads words; the prompt begins at the first word that is no
    option, or after ``--``.

    Raises
    ------
    UsageError
        If an option is unknown, lacks its value or has one that cannot be read.
    """
    words: list[str] = []
    rest = line.lstrip()
    while rest.startswith("-") and not re.match(r"-(?:[\s\d.]|$)", rest):
        word, rest = _next_word(rest)
        if word == "--":
            break
        words.append(word)
        if _needs_value(word):
            if not rest:
                raise UsageError(text("error.option_value", option=word))
            value, rest = _next_word(rest)
            # Joined, so that a value that is empty or begins with a dash is not taken for something else.
            words[-1] = f"{_FLAGS[word].flags[-1]}={value}"
    return _parser().parse_args(words), rest.rstrip("\r\n")


def _next_word(line: str) -> tuple[str, str]:
    stream = io.StringIO(line)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if sys.platform == "win32":
        lexer.escape = ""  # paths are written with backslashes there
    try:
        word = lexer.get_token()
    except ValueError:
        raise UsageError(text("error.quote", line=line)) from None
    return word or "", stream.read().lstrip()


def _needs_value(word: str) -> bool:
    name = word.split("=", 1)[0] if word.startswith("--") else word[:2]
    option = _FLAGS.get(name)
    if option is None:
        close = get_close_matches(word, _FLAGS, n=1)
        hint = text("hint.did_you_mean", name=close[0]) if close else ""
        raise UsageError(text("error.option_unknown", option=word, hint=hint))
    return option.type is not None and word == name


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

    @line_magic
    def chat_panel(self, line: str) -> None:
        """Open a chat panel below this cell, on the same conversation."""
        self._expect_nothing("chat_panel", line)
        if not hasattr(self._shell, "kernel"):
            raise ConfigurationError(text("error.panel_needs_notebook"))
        from IPython.display import display

        from .panel import ChatPanel  # ipywidgets is loaded when a panel is wanted

        display(ChatPanel(self.session))

    @line_magic
    def chat_new(self, line: str) -> None:
        """Begin a new conversation."""
        self._expect_nothing("chat_new", line)
        self.session.new()
        sys.stdout.write(text("notice.new_conversation") + "\n")

    @line_magic
    def chat_stop(self, line: str) -> None:
        """Stop every answer that is on its way, such as one asked in a panel. Text that came is kept."""
        self._expect_nothing("chat_stop", line)
        sys.stdout.write(text("notice.stopped", count=self.session.stop()) + "\n")

    def _expect_nothing(self, magic: str, line: str) -> None:
        if line.strip():
            raise UsageError(text("error.no_arguments", magic=magic, line=line.strip()))

    def _print_help(self) -> None:
        sys.stdout.write(_parser().format_help())

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


def keep_question_marks(lines: list[str]) -> list[str]:
    """Rewrite ``%chat What is a list?`` before IPython takes its end for a request for help on ``list``.

    ``%chat?`` and ``%chat??`` stay what they are: help on the magic.
    """
    lines = list(lines)
    for row, line in enumerate(lines):
        match = re.fullmatch(r"(\s*)%chat\s+(\S.*?)\s*", line)
        # Each becomes a call, whatever its end, so that brackets left open in a prompt do not reach the next line.
        if match and not match[2].endswith("\\") and _begins_statement([*lines[:row], f"{match[1]}pass\n"]):
            lines[row] = f"{match[1]}get_ipython().run_line_magic('chat', {match[2]!r})\n"
    return lines


def _begins_statement(lines: list[str]) -> bool:
    """Whether the last of `lines`, a lone ``pass``, is a statement and not inside a string or brackets."""
    for statement in make_tokens_by_line(lines):
        words = [token for token in statement if token.string.strip()]
        if words and words[0].start[0] == len(lines):
            return bool(words[0].string == "pass")
    return False


_loaded: dict[int, ChatMagics] = {}
"""What this module added, by shell."""


def load(shell: InteractiveShell) -> None:
    """Add the magics, the input transformer and the session's traits to `shell`.

    Raises
    ------
    ConfigurationError
        If another extension already owns ``%%chat``.
    """
    if id(shell) in _loaded:
        return
    for kind, names in MAGICS.items():
        if any(name in shell.magics_manager.magics[kind] for name in names):
            raise ConfigurationError(text("error.magic_taken"))
    session = get_session()
    magics = ChatMagics(shell, session)
    shell.register_magics(magics)
    shell.events.register("pre_run_cell", magics.begin_cell)
    shell.input_transformers_cleanup.append(keep_question_marks)
    # IPython annotates the list with InteractiveShell; it holds whatever %config can set.
    configurables: list[Any] = shell.configurables
    configurables.append(session)
    session.update_config(shell.config)
    _loaded[id(shell)] = magics


def unload(shell: InteractiveShell) -> None:
    """Take away what :func:`load` added and stop what runs. The conversation is kept for the next load."""
    magics = _loaded.pop(id(shell), None)
    if magics is None:
        return
    for kind, names in MAGICS.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    shell.events.unregister("pre_run_cell", magics.begin_cell)
    shell.input_transformers_cleanup.remove(keep_question_marks)
    configurables: list[Any] = shell.configurables
    configurables.remove(magics.session)
    configurables.remove(magics)
    magics.session.close()
