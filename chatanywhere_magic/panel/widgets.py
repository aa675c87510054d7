"""Workarounds for ipywidgets and ipykernel: close a widget completely, and handle messages while a cell runs."""

from __future__ import annotations

from typing import Any

import ipywidgets


def close_tree(widget: Any) -> None:
    """Close `widget` with what is in it; ipywidgets closes a box alone, and its layout and style never."""
    parts = [*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)]
    ipywidgets.Widget.close(widget)
    for part in parts:
        if part is not None:
            close_tree(part)


def answer_in_own_subshell(widget: Any) -> None:
    """Work around ipykernel 7.4.0, so that buttons work while a cell runs.

    It sends a widget's replies to the shell that last published on the comm: for a widget made in a cell,
    the one that the cell blocks.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way
