"""The panel for pages without anywidget's front end: the conversation in stock widgets, a text box and two buttons."""

from __future__ import annotations

import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from ..core import ChatError, Origin, Version, text
from ..render import as_text_html, final_words, footer_words, state_line, to_html
from .feed import words_of
from .widgets import answer_in_own_subshell, close_tree

if TYPE_CHECKING:
    from ..session import Change, ChatSession, LiveTurn

PAINT_SECONDS: Final = 0.1
LOG_HEIGHT: Final = "420px"
SHOWN_TURNS: Final = 30
"""The last so many. Each is widgets, for which the kernel and the page keep an open channel each, for as long as the
panel is there; and a list of all of them would be sent again with every turn."""
_PROMPT_STYLE: Final = (
    "background: var(--jp-layout-color2); border-left: 3px solid var(--jp-brand-color1); "
    "padding: 6px 10px; margin-right: 4px; line-height: 1.4"
)
_RESPONSE_STYLE: Final = "padding: 4px 10px 0 13px"  # begins below the prompt's text


class StockPanel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A panel made only of ipywidgets' own parts, which exist wherever widgets do.

    Parameters
    ----------
    session : ChatSession
        Whose conversation it shows.
    """

    def __init__(self, session: ChatSession) -> None:
        self.session = session
        self._boxes: list[_TurnBox] = []
        """That of turn i is number i modulo `SHOWN_TURNS`: a new turn takes the place of the oldest one."""
        self._shown: list[tuple[Any, ...]] = []
        self._painting = threading.Lock()
        self._is_closed = False
        self._scheduled = False
        self._pause = PAINT_SECONDS
        self._earlier_line = ipywidgets.HTML()
        # Never shrunk, or it would scroll itself, and the box around it, which knows where the end is, could not.
        self._turns = ipywidgets.VBox([self._earlier_line], layout={"flex": "0 0 auto", "overflow": "visible"})
        # Reversed around one child: the browser then keeps the log at its end while it grows, without a script.
        log = ipywidgets.Box(
            [self._turns],
            layout={"flex_flow": "column-reverse", "max_height": LOG_HEIGHT, "overflow": "auto"},
        )
        # Not continuously: what is still being typed would wait for the kernel's answer to the letter before, and
        # a click on Send would overtake it. Leaving the box for the button sends the whole text, once and first.
        self._composer = ipywidgets.Textarea(
            placeholder=text("panel.placeholder"),
            continuous_update=False,
            layout={"width": "auto", "height": "5em"},
        )
        self._send_button = ipywidgets.Button(
            description=text("panel.send"), icon="paper-plane", button_style="primary"
        )
        self._stop_button = ipywidgets.Button(description=text("panel.stop"), icon="stop", disabled=True)
        self._queue_line = ipywidgets.HTML()
        self._problem_line = ipywidgets.HTML()
        self._send_button.on_click(self._on_send)
        self._stop_button.on_click(self._on_stop)
        controls = ipywidgets.HBox([self._send_button, self._stop_button, self._queue_line, self._problem_line])
        super().__init__([log, self._composer, controls])
        for widget in (self._composer, self._send_button, self._stop_button):
            answer_in_own_subshell(widget)
        self._end_listening = self.session.conversations.listen(self._on_change)
        self._paint()

    def close(self) -> None:
        """Close the panel; the conversation goes on."""
        self._end_listening()
        with self._painting:
            self._is_closed = True
            close_tree(self)

    def _on_send(self, _button: object) -> None:
        self._composer.focus()  # the next prompt, or another try at this one
        prompt = self._composer.value.strip("\n")
        if not prompt.strip():
            return
        try:
            live = self.session.prepare(prompt, origin=Origin("panel"), namespace=self.session.names)
        except ChatError as error:
            self._problem_line.value = escape(words_of(error.message))
            return
        self._problem_line.value = ""
        self._composer.value = ""
        self.session.start(live)

    def _on_stop(self, _button: object) -> None:
        self.session.stop()

    # --- on the engine's thread -----------------------------------------------------------------------------

    def _on_change(self, _change: Change, _live: LiveTurn | None) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.session.engine.call_later(self._pause, self._paint)

    def _paint(self) -> None:
        self._scheduled = False
        began = time.monotonic()
        with self._painting:
            if self._is_closed:  # since this was to be painted
                return
            live = {turn.index: turn for turn in self.session.turns.live if turn.index is not None}
            self._stop_button.disabled = not live
            turns = self.session.conversation.turns
            first = max(len(turns) - SHOWN_TURNS, 0)
            boxes = self._boxes
            while len(boxes) < len(turns) - first:
                boxes.append(_TurnBox())
                self._shown.append(())
            for index, turn in enumerate(turns[first:], first):
                running = live.get(index)
                version = running.version if running else turn.current
                notice = running.draft.notice if running else ""
                place = index % SHOWN_TURNS
                mark = (index, turn.selected, version.prompt, version.status, len(version.text), notice)
                if self._shown[place] != mark:
                    self._shown[place] = mark
                    boxes[place].show(version, notice, footer=self.session.settings.footer)
            gone = boxes[len(turns) :]
            del boxes[len(turns) :], self._shown[len(turns) :]
            oldest = first % SHOWN_TURNS
            in_order = (self._earlier_line, *boxes[oldest:], *boxes[:oldest])
            if in_order != self._turns.children:
                self._turns.children = in_order
            self._earlier_line.value = state_line(text("panel.left_out", count=first)) if first else ""
            for box in gone:
                close_tree(box)
            self._queue_line.value = text("panel.queued", count=len(live) - 1) if len(live) > 1 else ""
        # A long response takes long to paint, and it is the engine that paints: most of its time is for the stream.
        self._pause = max(PAINT_SECONDS, 4 * (time.monotonic() - began))


class _TurnBox(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """One turn: the prompt, the response, and a line on how it stands."""

    def __init__(self) -> None:
        block = {"display": "block"}  # or the text would be as wide as its words, not as the panel
        self._prompt = ipywidgets.HTML(layout=block)
        # HTMLMath, not HTML: only the former has its formulas typeset.
        self._response = ipywidgets.HTMLMath(layout=block)
        self._state_line = ipywidgets.HTML(layout=block)  # not typeset: servers' words are hostile too
        super().__init__(
            [self._prompt, self._response, self._state_line],
            layout={"flex": "0 0 auto", "overflow": "visible", "margin": "0 0 12px 0"},
        )
        self.add_class("chatanywhere-turn")

    def show(self, version: Version, notice: str, *, footer: bool) -> None:
        """Show `version`."""
        asked_in = text("panel.from_cell") if version.origin.source == "cell" else text("panel.you")
        prompt = f"{state_line(asked_in)}{as_text_html(version.prompt)}"
        self._prompt.value = f'<div style="{_PROMPT_STYLE}">{prompt}</div>'
        response = to_html(version.text) if version.text else ""
        self._response.value = f'<div style="{_RESPONSE_STYLE}">{response}</div>'
        problem = ""
        if version.status in {"queued", "streaming"}:
            words = [notice or text("status.queued" if version.status == "queued" else "status.streaming")]
        else:
            words = list(footer_words(version)) if footer else []
            if not version.error:
                words = [*final_words(version), *words]
            else:
                problem = (
                    f'<div style="color: var(--jp-error-color1)">{as_text_html(words_of(version.error.message))}</div>'
                )
        below = f"{problem}{state_line(' · '.join(words))}" if words else problem
        self._state_line.value = f'<div style="{_RESPONSE_STYLE}; line-height: 1.4">{below}</div>'
