"""The chat panel: the conversation of the cells, in a window to talk in."""

from __future__ import annotations

from .chatpanel import ChatPanel

__all__ = ["ChatPanel"]
