"""Show a turn: in an output area of a notebook, or as text in a terminal."""

from __future__ import annotations

from .calls import Section, approval_html, calls_html, live_view, response_pieces, step_views
from .metadata import METADATA_KEY, turn_metadata
from .painting import FORMS, HEAD_START_SECONDS, PAINT_SECONDS, Painter, Watch, follow_turn, painter_for
from .terminal import printable
from .words import final_words, footer_words, state_line, waiting_words

__all__ = [
    "FORMS",
    "HEAD_START_SECONDS",
    "METADATA_KEY",
    "PAINT_SECONDS",
    "Painter",
    "Section",
    "Watch",
    "approval_html",
    "calls_html",
    "final_words",
    "follow_turn",
    "footer_words",
    "live_view",
    "painter_for",
    "printable",
    "response_pieces",
    "state_line",
    "step_views",
    "turn_metadata",
    "waiting_words",
]
