"""Dock a panel beside the notebook with ipylab; without ipylab or its front end, show it in the cell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import traitlets
from IPython.display import DisplayHandle

from ..core import ConfigurationError, phrase, text
from .widgets import answer_in_own_subshell, close_tree

if TYPE_CHECKING:
    from .chatpanel import ChatPanel

PLACES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "right": ("right", {"rank": 0}),
    "left": ("left", {"rank": 0}),
    "bottom": ("main", {"mode": "split-bottom"}),
    "tab": ("main", {"mode": "tab-after"}),
}
"""Where a panel can be docked: JupyterLab's area, and how it is added there."""
PATIENCE: Final = 3.0
"""Seconds after which a front end that has not answered is taken to be missing."""


class Dock:
    """The place of one panel beside the notebook.

    Parameters
    ----------
    panel : ChatPanel
    where : str
        One of `PLACES`.

    Raises
    ------
    ConfigurationError
        If ipylab is not installed where the kernel runs.
    """

    def __init__(self, panel: ChatPanel, where: str) -> None:
        try:
            import ipylab
        except ImportError:
            raise ConfigurationError(phrase("error.no_ipylab")) from None
        self._panel = panel
        self._where = where
        self._settled = threading.Lock()
        self._note = DisplayHandle()
        self._app = ipylab.JupyterFrontEnd()
        # ipywidgets would take a layout for its own, and with it the position that JupyterLab gives its tabs.
        placed = type("Place", (ipylab.Panel,), {"layout": traitlets.Any().tag(sync=True)})
        # From the beginning, or a page that already shows the place would show the panel twice for a moment.
        self._place = placed([panel])
        self._place.add_class("chatanywhere-place")
        self._place.title.label = text("panel.name")
        self._place.title.caption = text("panel.name")
        answer_in_own_subshell(self._app)
        self._app.on_ready(self._open)

    def show(self) -> None:
        """Dock the panel as soon as the page answers, and say so below the cell; or show it there."""
        self._note.display(_Words(text("panel.docking")))
        self._panel.session.engine.call_later(PATIENCE, self._give_up)

    def close(self) -> None:
        """Leave the place; the panel's owner closes the panel."""
        self._settled.acquire(blocking=False)
        self._place.children = ()
        close_tree(self._place.title)
        close_tree(self._place)
        for part in ("shell", "commands", "sessions", "menu", "toolbar"):
            close_tree(getattr(self._app, part))
        close_tree(self._app)

    def _open(self) -> None:
        if not self._settled.acquire(blocking=False):
            return
        area, how = PLACES[self._where]
        self._panel.add_class("chatanywhere-docked")
        self._app.shell.add(self._place, area, how)
        if self._where in {"left", "right"}:
            getattr(self._app.shell, f"expand_{self._where}")()
        self._note.update(_Words(text("panel.docked")))

    def _give_up(self) -> None:
        if self._settled.acquire(blocking=False):
            self._note.update(self._panel._repr_mimebundle_(), raw=True)


class _Words:
    """Words as an output of a cell."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words
