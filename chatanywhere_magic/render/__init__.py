"""Rendering: model text as safe HTML, a turn in a cell or a terminal, and a preview of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .display import (
        FORMS,
        HEAD_START_SECONDS,
        Painter,
        Watch,
        final_words,
        footer_words,
        painter_for,
        printable,
        state_line,
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
            "display": "FORMS HEAD_START_SECONDS Painter Watch final_words footer_words painter_for printable "
            "state_line turn_metadata waiting_words",
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
    "Watch",
    "as_text_html",
    "final_words",
    "follow_all",
    "footer_words",
    "painter_for",
    "preview_data",
    "printable",
    "repaint",
    "state_line",
    "to_html",
    "turn_metadata",
    "waiting_words",
]
