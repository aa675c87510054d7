"""The session: turns that are queued, streamed, stopped and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from . import cells
    from .cells import Cell
    from .interrupts import Interrupts
    from .listeners import Change
    from .live_turn import LiveTurn
    from .session import ChatSession, get_session
    from .settings import MAX_TEMPERATURE
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "cells": "Cell cells",
            "interrupts": "Interrupts",
            "listeners": "Change",
            "live_turn": "LiveTurn",
            "session": "ChatSession get_session",
            "settings": "MAX_TEMPERATURE",
        },
    )

__all__ = [
    "MAX_TEMPERATURE",
    "Cell",
    "Change",
    "ChatSession",
    "Interrupts",
    "LiveTurn",
    "cells",
    "get_session",
]
