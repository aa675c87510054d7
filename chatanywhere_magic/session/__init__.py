"""The session: turns that are queued, streamed, stopped and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from . import cells
    from .approval import ANSWERS, Approval, Approvals
    from .calls import LiveCall
    from .cells import Cell
    from .interrupts import Interrupts
    from .jobs import Interruptible
    from .listeners import Change
    from .live_turn import LiveTurn
    from .session import ChatSession, get_session
    from .settings import MAX_TEMPERATURE, OptionError
    from .terminal_host import TerminalHost, approval_words, ask_by_input
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "approval": "ANSWERS Approval Approvals",
            "calls": "LiveCall",
            "cells": "Cell cells",
            "interrupts": "Interrupts",
            "jobs": "Interruptible",
            "listeners": "Change",
            "live_turn": "LiveTurn",
            "session": "ChatSession get_session",
            "settings": "MAX_TEMPERATURE OptionError",
            "terminal_host": "TerminalHost approval_words ask_by_input",
        },
    )

__all__ = [
    "ANSWERS",
    "MAX_TEMPERATURE",
    "Approval",
    "Approvals",
    "Cell",
    "Change",
    "ChatSession",
    "Interruptible",
    "Interrupts",
    "LiveCall",
    "LiveTurn",
    "OptionError",
    "TerminalHost",
    "approval_words",
    "ask_by_input",
    "cells",
    "get_session",
]
