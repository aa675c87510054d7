"""Show a turn: in an output area of a notebook, or as text in a terminal."""

from __future__ import annotations

from .metadata import METADATA_KEY, turn_metadata
from .painting import FORMS, HEAD_START_SECONDS, PAINT_SECONDS, Painter, Watch, painter_for
from .terminal import printable
from .words import final_words, footer_words, state_line, waiting_words

__all__ = [
    "FORMS",
    "HEAD_START_SECONDS",
    "METADATA_KEY",
    "PAINT_SECONDS",
    "Painter",
    "Watch",
    "final_words",
    "footer_words",
    "painter_for",
    "printable",
    "state_line",
    "turn_metadata",
    "waiting_words",
]
