"""The conversation in motion: asking, queueing, streaming, stopping and saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from . import cells
    from .autosave import data_directory
    from .cells import Cell
    from .interrupts import Interrupts
    from .live_turn import LiveTurn
    from .session import ChatSession, get_session
    from .settings import MAX_TEMPERATURE
    from .turn_loop import Change
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "autosave": "data_directory",
            "cells": "Cell cells",
            "interrupts": "Interrupts",
            "live_turn": "LiveTurn",
            "session": "ChatSession get_session",
            "settings": "MAX_TEMPERATURE",
            "turn_loop": "Change",
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
    "data_directory",
    "get_session",
]
