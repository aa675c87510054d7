"""Rendering: model text as safe HTML, a turn in a cell or a terminal, and a preview of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .display import (
        FORMS,
        HEAD_START_SECONDS,
        Painter,
        Section,
        Watch,
        approval_html,
        calls_html,
        final_words,
        follow_turn,
        footer_words,
        live_view,
        painter_for,
        printable,
        response_pieces,
        state_line,
        step_views,
        turn_metadata,
        waiting_words,
    )
    from .display.columns import Columns, follow_all
    from .display.notebook import repaint
    from .markdown import IncrementalRenderer, as_text_html, to_html
    from .preview import preview_data
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "display": "FORMS HEAD_START_SECONDS Painter Section Watch approval_html calls_html final_words "
            "follow_turn footer_words live_view painter_for printable response_pieces state_line step_views "
            "turn_metadata waiting_words",
            "display.columns": "Columns follow_all",
            "display.notebook": "repaint",
            "markdown": "IncrementalRenderer as_text_html to_html",
            "preview": "preview_data",
        },
    )

__all__ = [
    "FORMS",
    "HEAD_START_SECONDS",
    "Columns",
    "IncrementalRenderer",
    "Painter",
    "Section",
    "Watch",
    "approval_html",
    "as_text_html",
    "calls_html",
    "final_words",
    "follow_all",
    "follow_turn",
    "footer_words",
    "live_view",
    "painter_for",
    "preview_data",
    "printable",
    "repaint",
    "response_pieces",
    "state_line",
    "step_views",
    "to_html",
    "turn_metadata",
    "waiting_words",
]
