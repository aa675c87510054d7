"""The kernel's half of the rich panel: commands come in, changes go out."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import anywidget

from ..core import ENDED, ChatError, LeakError, get_language, text, texts
from .actions import carry_out, slash_commands
from .card import card_strings
from .commands import Command, MalformedError, read
from .feed import UNASKED, Feed, words_of
from .frontend import script, style
from .header import header_of
from .widgets import answer_in_own_subshell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..session import Change, ChatSession, LiveTurn

_log = logging.getLogger(__name__)

PAINT_SECONDS: Final = 0.08
"""Between two messages to the pages, however fast a response comes."""
SHARE: Final = 4
"""It is the engine that renders: for each second of that it has this many for the streams."""
FILL_SECONDS: Final = 0.01
"""Between two slices of older turns, or longer where they are long: see `SHARE`."""
FILL_TURNS: Final = 10
"""Older turns reach a page that has opened so many at a time."""
EVERY_PAGE: Final = ""
OPTIONS: Final = (
    "provider",
    "model",
    "system",
    "temperature",
    "max_tokens",
    "budget",
    "agent",
    "presets",
    "footer",
    "language",
)
"""The session's options that a page shows."""


class RichPanel(anywidget.AnyWidget):
    """The panel in the pages that show it; there may be several, or none.

    Parameters
    ----------
    session : ChatSession
        Whose conversation it shows.
    on_page : callable
        Called when a page has opened and its front end runs.
    """

    _esm = script()
    _css = style()

    def __init__(self, session: ChatSession, on_page: Callable[[], None]) -> None:
        self._session = session
        self._on_page = on_page
        self._feed = Feed(session)
        self._pages: set[str] = set()
        self._conversation_id = session.conversations.id
        self._sequence = 0
        self._header: dict[str, Any] = {}
        """What pages know of it."""
        self._is_header_old = True
        """Whether it is to be made again. Apart from the header, or a change while it is made would be lost."""
        self._running = 0
        self._pause = PAINT_SECONDS
        self._told = 0.0
        """When pages were last notified, by the monotonic clock."""
        self._is_scheduled = False
        self._is_ticking = False
        self._is_closed = False
        self._sending = threading.Lock()
        super().__init__(layout={"flex": "1 1 auto", "width": "100%"})
        answer_in_own_subshell(self)
        self.on_msg(self._hear)
        self._end_listening = session.conversations.listen(self._on_change)
        session.settings.observe(self._on_option, OPTIONS)

    def close(self) -> None:
        """Close it in all pages; the conversation goes on."""
        if not self._is_closed:  # ipywidgets closes once more what it collects
            self._is_closed = True
            self._session.tools.approvals.front_ends.discard(self)
            self._end_listening()
            self._session.settings.unobserve(self._on_option, OPTIONS)
            super().close()

    # --- what pages say, on the kernel's threads ------------------------------------------------------------------

    def _hear(self, _widget: object, content: object, _buffers: object) -> None:
        try:
            command = read(content)
        except MalformedError as error:
            _log.warning("a page's message was refused: %s", error)
            return
        if command.name == "hello":
            self._on_page()
            self._pages.add(command.fields["page"])
            self._session.tools.approvals.front_ends.add(self)
            self._session.engine.call_later(0, lambda: self._greet(command.fields["page"]))
        elif command.name == "fetch":
            self._session.engine.call_later(
                0, lambda: self._fill(**command.fields, conversation_id=self._conversation_id)
            )
        elif command.name == "bye":
            self._pages.discard(command.fields["page"])
            if not self._pages:
                self._session.tools.approvals.front_ends.discard(self)
            self._session.engine.call_later(0, self._rest)
        else:
            self._answer(command)

    def _answer(self, command: Command) -> None:
        answer: dict[str, Any] = {"type": "answer", "id": command.id, "ok": True}
        try:
            answer["data"] = carry_out(self._session, command)
        except LeakError as error:
            may_send = self._session.settings.secrets == "ask"
            answer.update(ok=False, words=words_of(error.message), kind=error.kind, may_send=may_send)
        except ChatError as error:
            answer.update(ok=False, words=words_of(error.message), kind=error.kind)
        except Exception:  # noqa: BLE001 - a provider's class is anybody's code, and the page waits
            _log.exception("the panel's command %s failed", command.name)
            answer.update(ok=False, words=text("panel.failed"))
        self._publish(answer)

    # --- what changes, from any thread ------------------------------------------------------------------------------

    def _on_change(self, change: Change, live: LiveTurn | None) -> None:
        if change == "reset":
            self._is_header_old = True
        self._schedule(at_once=live is not None and live.status in ENDED)

    def _on_option(self, change: dict[str, Any]) -> None:
        self._is_header_old = True
        if change["name"] == "language":
            self._session.engine.call_later(0, self._begin_anew)
        self._schedule()

    def _schedule(self, *, at_once: bool = False) -> None:
        """Schedule an update of the pages: now if the last was a while ago, else when it is.

        The end of a response is sent at once: the user clicked Stop, or waits to continue.
        """
        if self._pages and not self._is_closed and (at_once or not self._is_scheduled):
            self._is_scheduled = True
            since = time.monotonic() - self._told
            self._session.engine.call_later(0 if at_once else max(0, self._pause - since), self._tell)

    # --- what pages receive, on the engine's thread ----------------------------------------------------------------

    def _tell(self, *, with_header: bool = True) -> None:
        self._is_scheduled = False
        if self._is_closed:
            return
        if self._session.conversations.id != self._conversation_id:
            self._begin_anew()
            return
        began = time.monotonic()
        changes, order = self._feed.changes()
        message: dict[str, Any] = {"type": "changes", "changes": changes}
        if order is not None:
            message["order"] = order
        running = len(self._session.turns.running)
        if order is not None or running != self._running:
            self._running = running
            self._is_header_old = True
        if with_header and self._is_header_old:
            self._is_header_old = False
            self._header = message["header"] = header_of(self._session)
        if changes or len(message) > 2:  # noqa: PLR2004 - more than its type and no changes
            self._sequence += 1
            self._publish({**message, "sequence": self._sequence})
        self._told = time.monotonic()
        self._pause = max(PAINT_SECONDS, SHARE * (self._told - began))
        if self._feed.is_waiting and not self._is_ticking:
            self._is_ticking = True
            self._session.engine.call_later(1.0, self._tick)

    def _tick(self) -> None:
        """Count the seconds of waiting."""
        self._is_ticking = False
        self._schedule()

    def _rest(self) -> None:
        """Where no page looks, there is nothing to keep up with."""
        if not self._pages:
            self._feed.reset()

    def _begin_anew(self) -> None:
        """Have all pages show what is now another conversation, or the same one in another language."""
        self._feed.reset()
        self._conversation_id = self._session.conversations.id
        self._greet(EVERY_PAGE)

    def _greet(self, page: str) -> None:
        """Tell a page that has just opened everything; what others get in the meantime is the same."""
        # Who answers and how full the context is may take a while to find out in a long conversation: it follows.
        self._tell(with_header=False)
        order, changes, older = self._feed.begin()
        unasked = self._feed.batch(older, UNASKED)
        self._publish(
            {
                "type": "snapshot",
                "page": page,
                "sequence": self._sequence,
                "order": order,
                "changes": changes,
                "sketches": self._feed.sketches(older[unasked:]),
                "header": None if self._is_header_old else self._header,
                "strings": card_strings() | {key: text(key) for key in texts("en") if key.startswith("panel.")},
                "language": get_language(),
                "commands": slash_commands(),
            }
        )
        if self._is_header_old:
            self._schedule()
        self._fill(page, older[:unasked], self._conversation_id)

    def _fill(self, page: str, turns: Sequence[int], conversation_id: str) -> None:
        if not turns or self._is_closed or conversation_id != self._conversation_id:
            return
        began = time.monotonic()
        count = self._feed.batch(turns[:FILL_TURNS])
        self._publish({"type": "fill", "page": page, "changes": self._feed.whole(turns[:count])})
        pause = max(FILL_SECONDS, SHARE * (time.monotonic() - began))
        self._session.engine.call_later(pause, lambda: self._fill(page, turns[count:], conversation_id))

    def _publish(self, message: dict[str, Any]) -> None:
        with self._sending:
            if not self._is_closed:
                self.send(message)
