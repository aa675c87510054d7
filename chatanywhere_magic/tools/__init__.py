"""What a model can be asked for besides text: a response in a given form, and calls of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .definition import BadToolCall, Shown, Tool, ToolFailure
    from .schema import Schema
    from .toolbox import Toolbox
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "definition": "BadToolCall Shown Tool ToolFailure",
            "schema": "Schema",
            "toolbox": "Toolbox",
        },
    )

__all__ = [
    "BadToolCall",
    "Schema",
    "Shown",
    "Tool",
    "ToolFailure",
    "Toolbox",
]
