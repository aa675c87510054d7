"""Which notebook this kernel belongs to, and what its earlier conversation is offered with."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..strings import text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..conversation import Listed
    from ..session import ChatSession

SHORT_ID: Final = 8
"""Characters of an id that are enough to name a conversation."""
MAX_READ: Final = 50_000_000
"""Bytes of a notebook in which ids are looked for."""
_CONVERSATION: Final = re.compile(rb'"conversation":\s*"([0-9a-f]{32})"')
"""An id in the metadata of an output, as :func:`turn_metadata` writes it."""


def notebook_path(shell: InteractiveShell) -> str:
    """Return the path of the notebook that runs in `shell`; ``""`` where nobody says (a terminal, nbclient).

    Jupyter's server names it in the environment, as it was called when the kernel started; VS Code in a variable.
    """
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    if not isinstance(named, str) or not named.endswith(".ipynb"):
        return ""
    path = Path(named)
    # A server that does not know its own directories names the path below its root; the kernel runs beside the file.
    return str(path if path.is_absolute() else Path.cwd() / path.name)


def take_up(session: ChatSession, notebook: str) -> None:
    """Say that the notebook has an earlier conversation, or go on with it, as the session's option says."""
    if not notebook or session.resume == "never" or session.conversation.turns or not session.has_kept:
        return
    earlier = session.conversations(limit=1, notebook=notebook) or _held_elsewhere(session, notebook)
    if not earlier:
        return
    if session.resume == "always":
        session.switch(earlier[0].id)
        sys.stdout.write(text("notice.resumed", **described(earlier[0])) + "\n")
    else:
        sys.stdout.write(text("notice.can_resume", **described(earlier[0])) + "\n")


def _held_elsewhere(session: ChatSession, notebook: str) -> list[Listed]:
    """Return the conversations of which the notebook's outputs are, and whose own notebook is no longer there.

    A notebook that was renamed or moved is known by what stands in it. A copy is not: the conversation is that of the
    notebook that was copied.
    """
    try:
        with Path(notebook).open("rb") as file:
            ids = {found.decode() for found in _CONVERSATION.findall(file.read(MAX_READ))}
    except OSError:
        return []
    if not ids:
        return []
    return [
        listed
        for listed in session.conversations(limit=sys.maxsize >> 1)
        if listed.id in ids and not (listed.notebook and os.path.lexists(listed.notebook))
    ]


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
