"""Context: the names and files sent with a prompt, and the part of the conversation that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .budget import Budget, Prompt, too_long
    from .changes import Snapshot
    from .completing import candidates
    from .describing import describe
    from .documenting import documentation
    from .files import read_bytes, read_file
    from .fitting import shortened
    from .lookup import Cell, Lookup, is_a
    from .pictures import is_picture, picture
    from .request import REPLAY_MODES, Replay, Request
    from .resolving import named, notes, resolve
    from .summary import ROOM, SUMMARY_TOKENS, Summary, requests, task
    from .template import Template, is_missing
    from .unread import CutPrompts
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "budget": "Budget Prompt too_long",
            "changes": "Snapshot",
            "completing": "candidates",
            "describing": "describe",
            "documenting": "documentation",
            "files": "read_bytes read_file",
            "fitting": "shortened",
            "lookup": "Cell Lookup is_a",
            "pictures": "is_picture picture",
            "request": "REPLAY_MODES Replay Request",
            "resolving": "named notes resolve",
            "summary": "ROOM SUMMARY_TOKENS Summary requests task",
            "template": "Template is_missing",
            "unread": "CutPrompts",
        },
    )

__all__ = [
    "REPLAY_MODES",
    "ROOM",
    "SUMMARY_TOKENS",
    "Budget",
    "Cell",
    "CutPrompts",
    "Lookup",
    "Prompt",
    "Replay",
    "Request",
    "Snapshot",
    "Summary",
    "Template",
    "candidates",
    "describe",
    "documentation",
    "is_a",
    "is_missing",
    "is_picture",
    "named",
    "notes",
    "picture",
    "read_bytes",
    "read_file",
    "requests",
    "resolve",
    "shortened",
    "task",
    "too_long",
]
