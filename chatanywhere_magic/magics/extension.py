"""Load and unload the extension: what ``%load_ext chatanywhere_magic`` adds, and ``%unload_ext`` removes."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..core import text
from ..session import OptionError, TerminalHost, get_session
from .chat import ChatMagics
from .completion import ChatCompleter
from .conversation import ConversationMagics
from .fix import FixMagics
from .guard import KeyGuard
from .host import CellHost, IdleKernel
from .kernel import ShellKernel
from .login import LoginMagics
from .models import ModelMagics
from .names import find_own, new_names, rename, take_away
from .namespace import KernelNames
from .notebook import notebook_path, take_up
from .panel import PanelMagics
from .rows import RowMagics
from .tools import ToolMagics
from .transform import ASKING, CellAsTyped, LinesAsTyped, NothingAbove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

_CLASSES: Final = (
    ChatMagics,
    ConversationMagics,
    FixMagics,
    LoginMagics,
    ModelMagics,
    PanelMagics,
    RowMagics,
    ToolMagics,
)

_key_guard: Final = KeyGuard()

_loaded: dict[int, list[Magics]] = {}
"""What this module added, by shell."""


def load(shell: InteractiveShell) -> None:
    """Add the magics, the input transformer and the session's traits to `shell`.

    Raises
    ------
    ConfigurationError
        If other extensions have the names of a magic.
    """
    if id(shell) in _loaded:
        return
    renamed = new_names(shell, _names())
    session = get_session()
    chat = ChatMagics(shell, session)
    added: list[Magics] = [chat, *(kind(shell, session) for kind in _CLASSES if kind is not ChatMagics)]
    rename(shell, added, renamed)
    shell.register_magics(*added)
    shell.events.register("pre_run_cell", chat.begin_cell)
    shell.events.register("post_run_cell", chat.end_cell)
    names = KernelNames(shell)
    names.begin()
    session.names = names
    session.tools.kernel = names, ShellKernel(shell, names)
    if hasattr(shell, "kernel"):
        session.tools.host = CellHost(shell)
        session.tools.main_thread = idle = IdleKernel(shell)
        idle.begin()
    shell.events.register("post_run_cell", _key_guard.end_cell)
    in_cells = partial(find_own, shell, "cell")
    shell.input_transformers_cleanup[:0] = [_key_guard, NothingAbove(in_cells), CellAsTyped(in_cells)]
    shell.input_transformers_cleanup.append(LinesAsTyped(partial(find_own, shell, "line")))
    # IPython annotates the list with InteractiveShell; it holds whatever %config can set.
    configurables: list[Any] = shell.configurables
    configurables.append(session.settings)
    try:
        session.settings.update_config(shell.config)
    except OptionError as error:  # also what %config has refused is in there, and could not be changed without us
        sys.stderr.write(f"{error}\n")
    shell.Completer.custom_matchers.append(ChatCompleter(shell, session).match)
    _loaded[id(shell)] = added
    if renamed:
        sys.stdout.write(text("notice.renamed_magics", theirs=_spelt(renamed), ours=_spelt(renamed.values())) + "\n")
    notebook = notebook_path(shell)
    session.conversations.keep(notebook)
    take_up(session, notebook)


def unload(shell: InteractiveShell) -> None:
    """Remove what :func:`load` added, and stop running turns. The conversation is kept for the next load."""
    added = _loaded.pop(id(shell), None)
    if added is None:
        return
    take_away(shell, added)
    configurables: list[Any] = shell.configurables
    for magics in added:
        shell.magics_manager.registry.pop(type(magics).__name__, None)
        configurables.remove(magics)
        if isinstance(magics, ChatMagics):
            shell.events.unregister("pre_run_cell", magics.begin_cell)
            shell.events.unregister("post_run_cell", magics.end_cell)
            configurables.remove(magics.session.settings)
            if isinstance(magics.session.names, KernelNames):
                magics.session.names.end()
            magics.session.names = magics.session.tools.kernel = None
            if isinstance(idle := magics.session.tools.main_thread, IdleKernel):
                idle.end()
            magics.session.tools.main_thread, magics.session.tools.host = None, TerminalHost()
            magics.session.close()
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if not isinstance(getattr(matcher, "__self__", None), ChatCompleter)]
    shell.events.unregister("post_run_cell", _key_guard.end_cell)
    _key_guard.forget()  # the cell that unloads may have a key in it, and does not end with us
    transformers = shell.input_transformers_cleanup
    ours = KeyGuard | NothingAbove | CellAsTyped | LinesAsTyped
    transformers[:] = [each for each in transformers if not isinstance(each, ours)]


def _names() -> list[tuple[str, str]]:
    """Return every magic of this package as ``("line" or "cell", name)``."""
    return [(kind, name) for owner in _CLASSES for kind, names in owner.magics.items() for name in names]


def _spelt(names: Iterable[str]) -> str:
    """Return magics' names as they are typed."""
    return ", ".join(f"%%{name}, %{name}" if name in ASKING else f"%{name}" for name in names)
