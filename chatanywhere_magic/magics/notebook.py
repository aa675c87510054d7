"""Find the notebook that this kernel belongs to, and its earlier conversation."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..core import text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core import Listed
    from ..session import ChatSession

SHORT_ID: Final = 8
"""Characters of an id that are enough to name a conversation."""
MAX_READ: Final = 50_000_000
"""Bytes of a notebook in which ids are looked for."""
ALL: Final = sys.maxsize >> 1
"""More conversations than there are."""
_NAMED: Final = "JPY_SESSION_NAME"
_CONVERSATION: Final = re.compile(rb'"conversation":\s*"([0-9a-f]{32})"')
"""An id in the metadata of an output, as :func:`turn_metadata` writes it."""


def notebook_path(shell: InteractiveShell) -> str:
    """Return the path of the notebook that runs in `shell`; ``""`` where nobody says (a terminal, nbclient).

    Jupyter's server names it in the environment, as it was called when the kernel started; VS Code in a variable.
    """
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get(_NAMED, "")
    if not isinstance(named, str) or not named.endswith(".ipynb") or _is_inherited(named):
        return ""
    path = Path(named)
    # A server that does not know its own directories names the path below its root; the kernel runs beside the file.
    return str(path if path.is_absolute() else Path.cwd() / path.name)


def _is_inherited(named: str) -> bool:
    """Whether the notebook is that of a kernel which has started this one, and left it its environment."""
    try:
        from psutil import Error, Process  # which ipykernel needs, too
    except ImportError:
        return False
    for process in Process().parents():
        with suppress(Error, OSError):  # another user's, or gone
            if process.environ().get(_NAMED) == named:
                return True
    return False


def take_up(session: ChatSession, notebook: str) -> None:
    """Offer the notebook's earlier conversation or continue it, as the option ``resume`` says."""
    if (
        not notebook
        or session.settings.resume == "never"
        or session.conversation.turns
        or not session.conversations.has_kept
    ):
        return
    named = _ids(notebook)
    earlier = _earlier(session, notebook, named or set())
    if earlier is None:
        return
    if earlier.notebook != notebook:
        session.conversations.claim(earlier.id)
    # A notebook in which no response stands may be another one, under a name that became free: that is asked.
    is_certain = named is None or earlier.id in named
    if session.settings.resume == "always" and is_certain:
        session.conversations.switch(earlier.id)
        sys.stdout.write(text("notice.resumed", **described(earlier)) + "\n")
    else:
        sys.stdout.write(text("notice.can_resume", **described(earlier)) + "\n")


def _earlier(session: ChatSession, notebook: str, named: set[str]) -> Listed | None:
    """Return the notebook's last conversation: by its path, unless all that its outputs name is held elsewhere.

    A notebook that was renamed or moved is known by what stands in it. A copy is not: the conversation is that of the
    notebook that was copied.
    """
    found = session.conversations.list(limit=ALL, notebook=notebook)
    if named.isdisjoint(listed.id for listed in found):
        everything = session.conversations.list(limit=ALL) if named else []
        moved = [listed for listed in everything if listed.id in named and not _stands_there(listed)]
        found = [*moved, *found]
    return found[0] if found else None


def _stands_there(listed: Listed) -> bool:
    """Whether the notebook of a conversation is still where it was, and no other under its name."""
    named = _ids(listed.notebook)
    return os.path.lexists(listed.notebook) if named is None else listed.id in named


def _ids(notebook: str) -> set[str] | None:
    """Return the conversations whose outputs are in a saved notebook; None if it cannot be read."""
    try:
        with Path(notebook).open("rb") as file:
            return {found.decode() for found in _CONVERSATION.findall(file.read(MAX_READ))}
    except OSError:
        return None


def described(listed: Listed) -> dict[str, object]:
    """Return what a line about a conversation says of it."""
    return {
        "title": listed.title,
        "turns": listed.turns,
        "date": date(listed.updated),
        "id": listed.id[:SHORT_ID],
    }


def date(seconds: float) -> str:
    """Return a time as people write it here."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
