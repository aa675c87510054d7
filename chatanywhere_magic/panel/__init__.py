"""The chat panel: the same conversation as in the cells, with a composer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .card import ApprovalCard
    from .chatpanel import ChatPanel
    from .dock import Dock
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "card": "ApprovalCard",
            "chatpanel": "ChatPanel",
            "dock": "Dock",
        },
    )

__all__ = [
    "ApprovalCard",
    "ChatPanel",
    "Dock",
]
