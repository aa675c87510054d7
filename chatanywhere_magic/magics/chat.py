"""``%%chat`` and ``%chat``: parse the line, ask the session, show the turn."""

from __future__ import annotations

import re
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ..context import REPLAY_MODES
from ..core import ChatError, ChatInterrupted, LeakError, UsageError, phrase, text
from ..keys import keystore
from ..providers import EFFORTS
from ..render import FORMS, HEAD_START_SECONDS, Watch, follow_turn, painter_for, printable
from ..session import MAX_TEMPERATURE, Interrupts, cells
from ..tools import Schema
from .cells import code_for_cell, fill_cell
from .names import find_own
from .options import Namespace, Option, Options, one_of, takes
from .outputs import note
from .transform import ASKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from ..core import Reply
    from ..render import Columns, Painter
    from ..session import Cell, ChatSession, LiveTurn


def as_temperature(value: str) -> float:
    """Return the temperature that was typed."""
    try:
        return float(value)
    except ValueError:
        raise UsageError(phrase("error.temperature", value=value, limit=MAX_TEMPERATURE)) from None


def _max_tokens(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(phrase("error.max_tokens", value=value)) from None


def as_variable(name: str) -> str:
    """Return the name of a variable that was typed."""
    if not name.isidentifier() or iskeyword(name):
        raise UsageError(phrase("error.variable_name", name=name))
    return name


_INTO_NAME: Final = re.compile(r"([^\W\d]\w*)\s*<<(?:\s+|$)")
"""``NAME << `` before a prompt."""
_BEGINS_WITH: Final = re.compile(r"(?:[ \t]*(?:#.*)?\n)*[ \t]*(?:[\w,][\w, ]*=[ \t]*)?%(?P<cell>%?)(?P<magic>[^\s%]+)")
"""A magic before which a cell can have shown nothing."""

_CHAT: Final = Options(
    "chat",
    "about.chat",
    Option(("-m", "--model"), "help.models", "MODEL", str),
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    Option(("-s", "--system"), "help.system", "TEXT", str),
    Option(("-t", "--temperature"), "help.temperature", "0…2", as_temperature),
    Option(("--max-tokens",), "help.max_tokens", "N", _max_tokens),
    Option(("--effort",), "help.effort", "|".join(EFFORTS), one_of(*EFFORTS)),
    Option(("--agent",), "help.agent"),
    Option(("-T", "--tools"), "help.tools", "NAME,…", str),
    Option(("-o", "--output"), "help.output", "NAME", as_variable),
    Option(("-f", "--format"), "help.format", "|".join(FORMS), one_of(*FORMS)),
    Option(("-q", "--quiet"), "help.quiet"),
    Option(("--json",), "help.json"),
    Option(("--schema",), "help.schema", "SCHEMA", str),
    Option(("--code",), "help.code"),
    Option(("--replace",), "help.replace"),
    Option(("--comment",), "help.comment"),
    Option(("--value",), "help.value"),
    Option(("--keep",), "help.keep", "MODEL", str),
    Option(("--replay",), "help.replay", "|".join(REPLAY_MODES), str),
    Option(("-a", "--attach"), "help.attach", "FILE", str, repeat=True),
    Option(("--dry-run",), "help.dry_run"),
    Option(("--allow-secrets",), "help.allow_secrets"),
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
        self._cells: list[Cell] = []
        self._is_untouched = False
        """Whether the cell has shown nothing yet."""

    def begin_cell(self, info: ExecutionInfo) -> None:
        """Record which cell runs: another prompt from the same place revises its turn."""
        self._is_untouched = not self._cells and self._asks_first(info.raw_cell or "")
        if self._is_untouched:
            keystore.look()  # now, and not when the thread is awake that saves IPython's history
        self._cells.append(cells.enter(getattr(info, "cell_id", None) or ""))

    def _asks_first(self, cell: str) -> bool:
        """Tell whether nothing can have been shown when the first prompt of `cell` is asked."""
        match = _BEGINS_WITH.match(cell)
        called = find_own(self._shell, "cell" if match["cell"] else "line", match["magic"]) if match else None
        return called is not None and called[0] in ASKING

    def end_cell(self, result: ExecutionResult) -> None:
        """Hide the turns that the cell no longer asks, and report that and any problem with the store."""
        if not self._cells:
            return  # the extension was loaded by this very cell
        cell = self._cells.pop()
        cells.leave(cell)
        if result.success and (gone := self.session.turns.leave_cell(cell)):
            numbers = ", ".join(str(index + 1) for index in gone)
            sys.stdout.write(text("notice.cell_asks_less", numbers=numbers) + "\n")
        for warning in self.session.conversations.take_warnings():
            sys.stderr.write(f"{warning}\n")

    @no_var_expand  # braces and dollars in a prompt are the prompt's
    @line_magic("chat")  # type: ignore[arg-type]  # IPython annotates its decorator with Never
    @takes(_CHAT)
    def chat_line(self, given: Namespace) -> Reply | None:
        """Ask the model: ``%chat [options] PROMPT``. ``%chat --help`` lists the options."""
        return self._ask(given, _take_name(given))

    @no_var_expand
    @cell_magic("chat")  # type: ignore[arg-type]  # as above
    @takes(_CHAT)
    def chat_cell(self, given: Namespace, cell: str) -> Reply | None:
        """Ask the model the cell's prompt: ``%%chat [options]``, then the prompt below."""
        if rest := _take_name(given):
            raise UsageError(phrase("error.cell_line", rest=rest))
        return self._ask(given, cell.removesuffix("\n"))

    def _ask(self, given: Namespace, prompt: str) -> Reply | None:
        if not prompt.strip():
            raise UsageError(phrase("error.empty_prompt"))
        for option in ("replace", "comment"):
            if getattr(given, option) and not given.code:
                raise UsageError(phrase("error.option_needs", option=f"--{option}", needed="--code"))
        models = [name.strip() for name in (given.model or "").split(",") if name.strip()]
        if len(models) > 1 and not given.dry_run:
            return self._give(given, prompt, self._compare(given, prompt, models))
        if given.keep:
            raise UsageError(phrase("error.keep_one", model=given.keep))
        with Interrupts() as interrupts:
            live = self._prepare(given, prompt)
            if given.dry_run:
                self._preview(live)
                return None
            interrupts.stop(live)
            form = given.format or "markdown"
            painter = show_turn(self._shell, self.session, live, quiet=given.quiet, alone=self._is_untouched, form=form)
            note(live, painter, form)
            self._is_untouched = self._is_untouched and given.quiet
        return self._give(given, prompt, live.reply())

    def _give(self, given: Namespace, prompt: str, reply: Reply) -> Reply | None:
        """Do with a response what the options say, and return it if it is wanted as a value."""
        if given.output:
            self._shell.push({given.output: reply})
        if given.code:
            self._fill_cell(given, prompt, reply)
        return reply if given.value else None

    def _compare(self, given: Namespace, prompt: str, models: list[str]) -> Reply:
        """Ask several models at the same time, and return the answer that is kept: the first, or as ``--keep`` says."""
        wanted = given.keep or models[0]
        if wanted not in models:
            raise UsageError(phrase("error.keep_unknown", model=wanted, models=", ".join(models)))
        self._is_untouched = False
        with Interrupts() as interrupts:
            given.model = models[0]
            first = self._prepare(given, prompt)
            lives = [first, *(self.session.compare(first, provider=given.provider, model=name) for name in models[1:])]
            interrupts.stop(first)
            shown = self._side_by_side(lives, quiet=given.quiet)
        last = [live.last for live in lives]
        chosen = last[models.index(wanted)]
        # One that failed is not kept where another one is good.
        kept = next((live for live in (chosen, *last) if _is_good(live)), chosen)
        self.session.turns.choose(kept)
        for columns in shown:
            if kept in columns.lives and kept.status == "complete":
                columns.finish(kept)
        if kept is not chosen and not given.quiet:
            sys.stdout.write(text("notice.kept_instead", model=kept.version.model) + "\n")
        return kept.reply()

    def _side_by_side(self, lives: Sequence[LiveTurn], *, quiet: bool) -> list[Columns]:
        """Ask all of `lives` and show their answers as they come; return what can show later which one is kept."""
        changed = threading.Event()
        for live in lives:
            live.listen(lambda _: changed.set())
            live.attend(self.session.tools.host)
            self.session.start(live)
        if quiet:
            for live in lives:
                live.wait()
            return []
        from ..render import follow_all  # loaded where there are several responses

        return follow_all(self._shell, lives, changed, footer=self.session.settings.footer)

    def _prepare(self, given: Namespace, prompt: str, *, allow_secrets: bool = False) -> LiveTurn:
        try:
            return self.session.prepare(
                prompt,
                provider=given.provider,
                model=given.model or "",
                system=given.system,
                temperature=given.temperature,
                max_tokens=given.max_tokens,
                effort=given.effort,
                history=not given.no_history,
                append=given.append,
                origin=cells.here("cell"),
                replay=given.replay,
                schema=schema_named(self._shell, given.schema) if given.schema else True if given.json else None,
                agent=given.agent or None,
                tools=self._tools(given),
                namespace=self.session.names,
                attach=given.attach,
                allow_secrets=allow_secrets or given.allow_secrets or given.dry_run,
            )
        except LeakError as leak:
            if self.session.settings.secrets != "ask" or not _agreed(text("ask.secrets", places=leak.places)):
                raise
        return self._prepare(given, prompt, allow_secrets=True)

    def _preview(self, live: LiveTurn) -> None:
        """Show what would be sent."""
        from ..render import preview_data  # with the first preview, not with the extension

        data = preview_data(live.request, self.session.preview(live))
        if hasattr(self._shell, "kernel"):
            from IPython.display import publish_display_data

            publish_display_data(data)
        else:
            sys.stdout.write(printable(data["text/plain"]) + "\n")

    def _tools(self, given: Namespace) -> list[Any] | None:
        """Return the functions that are named: variables, and tools that are offered; None where none are."""
        if given.tools is None:
            return None
        names = [name.strip() for name in given.tools.split(",") if name.strip()]
        return [self._function(name) for name in names]

    def _function(self, name: str) -> Any:
        found = self._shell.user_ns.get(name)
        if callable(found) and name not in self._shell.user_ns_hidden:
            return found
        return self.session.tools[name]

    def _fill_cell(self, given: Namespace, prompt: str, reply: Reply) -> None:
        code = code_for_cell(reply, prompt if given.comment else "")
        if code:
            fill_cell(self._shell, code, replace=given.replace)
        elif not given.quiet:
            sys.stdout.write(text("notice.no_code") + "\n")


def schema_named(shell: InteractiveShell, name: str) -> Schema:
    """Return the schema that a variable or a file names.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name in shell.user_ns:
        return Schema(shell.user_ns[name], name)
    with suppress(RuntimeError):  # the home of somebody who is not known here
        if Path(name).expanduser().is_file():
            return Schema(Path(name))
    close = get_close_matches(name, shell.user_ns, n=1)
    hint = text("hint.did_you_mean", name=close[0]) if close else ""
    raise UsageError(phrase("error.no_such_schema", name=name, hint=hint))


def show_turn(
    shell: InteractiveShell,
    session: ChatSession,
    live: LiveTurn,
    *,
    quiet: bool = False,
    alone: bool = False,
    form: str = "markdown",
) -> Painter | None:
    """Ask what was prepared and show the response as it comes, and its corrections; return what has shown the last.

    Parameters
    ----------
    alone : bool
        Whether the cell's output has been empty so far.
    form : str
        What is left of the response when it is over.
    """
    live.attend(session.tools.host)
    if quiet:
        session.start(live)
        live.wait()
        return None
    settings = session.settings
    watch = Watch(live)

    def another(section: int = 0, *, alone: bool = False) -> Painter:
        return painter_for(
            shell,
            footer=settings.footer,
            reasoning=settings.reasoning,
            rich=settings.rich,
            alone=alone,
            form=form,
            section=section,
        )

    with _history_waiting(shell):
        session.start(live)  # first of all: what painting needs is loaded while it is on its way
        live.draft.asked.wait(HEAD_START_SECONDS)
        painter = another(alone=alone)
        watch.get_ready(painter)
        live.response.begun.wait(HEAD_START_SECONDS)
    painter = follow_turn(live, watch, painter, another)
    while live.correction is not None:
        live = live.correction
        sys.stdout.write(live.request.notice + "\n")
        painter = follow_turn(live, Watch(live), another(), another)
    return painter


@contextmanager
def _history_waiting(shell: InteractiveShell) -> Iterator[None]:
    """Let the thread that saves IPython's history wait for a moment.

    It wakes when a cell begins, and would take the interpreter just when the prompt is on its way to the engine.
    """
    lock = getattr(shell.history_manager, "db_input_cache_lock", None) or threading.Lock()
    is_held = lock.acquire(blocking=False)
    try:
        yield
    finally:
        if is_held:
            lock.release()


def _is_good(live: LiveTurn) -> bool:
    """Whether a response is complete and has the form asked for."""
    try:
        live.reply()
    except (ChatError, ChatInterrupted):
        return False
    return True


def _agreed(question: str) -> bool:
    """Ask a yes-or-no question; without anyone to ask, as under nbclient, the answer is no."""
    is_main = threading.current_thread() is threading.main_thread()
    # While a prompt is asked of a model, an interrupt stops that and raises nothing; here it is a no.
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if is_main else None
    try:
        return input(question).strip().lower() in {"y", "yes", "д", "да", "是"}
    except (EOFError, KeyboardInterrupt, NotImplementedError):  # ipykernel's StdinNotImplementedError is the last
        return False
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def _take_name(given: Namespace) -> str:
    """Return the prompt of a line; a ``NAME << `` before it becomes the option."""
    match = None if given.is_quoted else _INTO_NAME.match(given.prompt)
    if match is None or iskeyword(match[1]):
        return str(given.prompt)
    given.output = match[1]
    return str(given.prompt[match.end() :])
