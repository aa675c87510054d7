"""``ChatPanel``: the rich panel where its front end runs, the stock one where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ipywidgets

from ..session import get_session
from ..strings import text
from .rich import RichPanel
from .stock import StockPanel
from .widgets import close_tree

if TYPE_CHECKING:
    from ..session import ChatSession

PATIENCE: Final = 2.0
"""Seconds after which a front end that has not spoken up is taken to be missing."""


class ChatPanel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A panel on the kernel's conversation: what is asked in cells appears in it, and the other way round.

    anywidget's front end must be installed where the Jupyter *server* runs, which may be another environment than the
    kernel's. Where it is missing a page would show an error instead of the panel; so the rich panel stays out of sight
    until it has spoken up, and if it never does, one of stock widgets takes its place.

    Parameters
    ----------
    session : ChatSession, optional
        By default the kernel's.
    """

    def __init__(self, session: ChatSession | None = None) -> None:
        self.session = session if session is not None else get_session()
        self._is_closed = False
        self._stock: StockPanel | None = None
        self._rich = RichPanel(self.session, self._on_page)
        self._curtain = ipywidgets.Box([self._rich], layout={"display": "none"})
        super().__init__([self._curtain])
        self.add_class("chatanywhere-panel")
        self.session.call_later(PATIENCE, self._give_up)

    def close(self) -> None:
        """Close the panel; the conversation goes on."""
        self._is_closed = True
        self._rich.close()
        if self._stock is not None:
            self._stock.close()
        close_tree(self)

    def __repr__(self) -> str:
        """Say what stands here, for a notebook that is read without its kernel."""
        return text("panel.closed")

    def _on_page(self) -> None:
        """Show the rich panel: a page has opened in which it runs."""
        self._curtain.layout.display = "flex"
        stock, self._stock = self._stock, None
        if stock is not None:
            self.children = [self._curtain]
            stock.close()

    def _give_up(self) -> None:
        if not self._is_closed and self._stock is None and self._curtain.layout.display == "none":
            self._stock = StockPanel(self.session)
            self.children = [self._curtain, self._stock]
