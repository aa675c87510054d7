"""``ChatPanel``: the rich panel where its front end runs, the stock one where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ipywidgets
from IPython.display import DisplayHandle, publish_display_data

from ..core import text
from ..session import get_session
from .rich import RichPanel
from .stock import StockPanel
from .transcript import transcript_html, transcript_text
from .widgets import close_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..session import Change, ChatSession, LiveTurn

PATIENCE: Final = 2.0
"""Seconds after which a front end that has not spoken up is taken to be missing."""
TRANSCRIPT_SECONDS: Final = 0.5
"""Between two writings of what takes the panel's place where there is no kernel."""


class ChatPanel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A chat panel for the kernel's conversation: prompts from cells appear in it, and the other way round.

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
        self._transcript: _Transcript | None = None
        self._rich = RichPanel(self.session, self._on_page)
        self._curtain = ipywidgets.Box([self._rich], layout={"display": "none"})
        super().__init__([self._curtain])
        self.add_class("chatanywhere-panel")
        self.session.engine.call_later(PATIENCE, self._give_up)

    def close(self) -> None:
        """Close the panel; the conversation continues."""
        self._is_closed = True
        if self._transcript is not None:
            self._transcript.end()
        self._rich.close()
        if self._stock is not None:
            self._stock.close()
        close_tree(self)

    def __repr__(self) -> str:
        """Return a note for a notebook that is read without its kernel."""
        return text("panel.closed")

    def _ipython_display_(self) -> None:
        """Show the panel, and beside it what takes its place where there is no kernel."""
        if self._transcript is None:
            self._transcript = _Transcript(self.session)
        self._transcript.show()
        publish_display_data(self._repr_mimebundle_())

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


class _Transcript:
    """The conversation in an output of its own, rewritten when a response has ended."""

    def __init__(self, session: ChatSession) -> None:
        self._session = session
        self._handles: list[DisplayHandle] = []
        self._is_scheduled = False
        self._end_listening: Callable[[], None] = session.conversations.listen(self._on_change)

    def show(self) -> None:
        """Show it in one more place."""
        handle = DisplayHandle()
        handle.display(self._bundle(), raw=True)
        self._handles.append(handle)

    def end(self) -> None:
        """Leave it as it is."""
        self._end_listening()

    def _on_change(self, change: Change, live: LiveTurn | None) -> None:
        ended = live is not None and live.status not in {"queued", "streaming"}
        if (ended or change == "reset") and not self._is_scheduled:
            self._is_scheduled = True
            self._session.engine.call_later(TRANSCRIPT_SECONDS, self._write)

    def _write(self) -> None:
        self._is_scheduled = False
        bundle = self._bundle()
        for handle in self._handles:
            handle.update(bundle, raw=True)

    def _bundle(self) -> dict[str, str]:
        conversation = self._session.conversation
        return {"text/html": transcript_html(conversation), "text/plain": transcript_text(conversation)}
