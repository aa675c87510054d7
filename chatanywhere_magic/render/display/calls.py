"""Show the calls of tools in a turn: what is called, how it stands and what came of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from ...core import ToolResult, text, visible
from ..markdown import IGNORED_BY_MATHJAX, IncrementalRenderer, as_text_html, code_html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...core import Image, Message, Version
    from ...session import Approval, LiveCall, LiveTurn

LINE_LENGTH: Final = 160
_BLOCK: Final = (
    "margin: 0.3em 0; padding-inline-start: 0.75em; "
    "border-inline-start: 3px solid var(--jp-border-color2, rgba(128, 128, 128, 0.5)); font-size: 92%"
)


@dataclass(frozen=True)
class CallView:
    """What is shown of a call, whether it is on its way or recorded."""

    name: str
    arguments: str
    words: str
    """How it stands."""
    details: str = ""
    """What came of it."""
    images: tuple[Image, ...] = ()
    is_over: bool = True

    @property
    def line(self) -> str:
        """The call on one line."""
        try:
            given = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            given = self.arguments
        if isinstance(given, dict):
            given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
        line = visible(" ".join(f"{self.name}({given})".split()))
        return line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 2]}…)"

    @property
    def plain(self) -> str:
        """The call and how it stands, on one line."""
        return f"▸ {self.line} · {self.words}"

    def html(self) -> str:
        """Return the call as HTML, with what came of it folded."""
        head = f'<code>{escape(self.line)}</code> <span style="opacity: 0.75">{escape(self.words)}</span>'
        shown = f"<div>{head}</div>"
        if self.details:
            details = as_text_html(visible(self.details))
            shown = f'<details><summary style="cursor: pointer">{head}</summary>{details}</details>'
        pictures = "".join(
            f'<img alt="{escape(each.name)}" style="max-width: 100%" src="data:{each.media_type};base64,{each.data}">'
            for each in self.images
            if each.media_type.startswith("image/")
        )
        return f'<div class="chatanywhere-call {IGNORED_BY_MATHJAX}" style="{_BLOCK}">{shown}{pictures}</div>'


def live_view(call: LiveCall, *, in_cell: bool = False) -> CallView:
    """Return what is shown of a call on its way; `in_cell`, beside what it shows there itself."""
    result = call.result
    seconds = call.seconds if call.is_over else time.monotonic() - call.began if call.began is not None else 0.0
    words = text(f"call.{call.state}", seconds=float(seconds))
    if call.progress and not call.is_over:
        words = f"{words} · {visible(call.progress)}"
    details = call.traceback or (result.text if result is not None else "")
    images = result.images if result is not None and not (in_cell and call.captured.passing) else ()
    return CallView(call.call.name, call.call.arguments, words.rstrip(" ·"), details, images, is_over=call.is_over)


def recorded_views(message: Message, results: Message | None) -> list[CallView]:
    """Return what is shown of the calls in a message, with their results, if there are any."""
    found = {each.call_id: each for each in (results.tool_results if results is not None else ())}
    return [_recorded(call.name, call.arguments, found.get(call.id)) for call in message.tool_calls]


def _recorded(name: str, arguments: str, result: ToolResult | None) -> CallView:
    if result is None:
        return CallView(name, arguments, text("call.stopped"))
    state = "refused" if result.approval == "no" else "failed" if result.is_error else "recorded"
    return CallView(name, arguments, text(f"call.{state}"), result.text, result.images)


def calls_html(views: Iterable[CallView]) -> str:
    """Return calls as HTML."""
    return "".join([view.html() for view in views])


def response_pieces(version: Version) -> list[str]:
    """Return a whole response as pieces of HTML: its texts, and the calls between them."""
    pieces: list[str] = []
    messages = version.response
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        if message.text:
            renderer = IncrementalRenderer()
            renderer.feed(message.text)
            renderer.finish()
            pieces += renderer.pieces
        after = messages[index + 1] if index + 1 < len(messages) else None
        # Calls that were not run here are told of below.
        if message.tool_calls and (after is not None or version.status != "complete"):
            results = after if after is not None and after.role == "tool" else None
            pieces.append(calls_html(recorded_views(message, results)))
    return pieces


def step_views(live: LiveTurn, step: int, *, in_cell: bool = False) -> list[CallView]:
    """Return what is shown of the calls of one step."""
    return [live_view(call, in_cell=in_cell) for call in tuple(live.calls) if call.place.step == step]


def busy_words(live: LiveTurn) -> str:
    """Return what a turn waits for that calls tools; ``""`` if it calls none now."""
    for call in live.step or ():
        if not call.is_over:
            return f"{call.call.name} · {live_view(call).words}"
    return ""


def approval_html(approval: Approval) -> str:
    """Return the whole call that is to be approved as HTML: nothing of it is hidden, and nothing in it runs."""
    return code_html(approval.body, approval.language)


class Section:
    """A part of a response's text: what the model says before its first calls, between calls, and after the last."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def read(self, live: LiveTurn, position: int) -> tuple[str, int]:
        """Return the text after `position`, and its end, as :meth:`GrowingResponse.text_since` does for all of it."""
        response, base = live.response, live.response.text_begin
        begin, end = self._limits(live, 0)
        at = max(position - base, 0)
        fresh, _ = response.text.since(begin + at)
        fresh = fresh if end is None else fresh[: max(end - begin - at, 0)]
        if not at and begin:
            stripped = fresh.lstrip("\n")
            return stripped, base + at + len(fresh)
        return fresh, base + at + len(fresh)

    def read_reasoning(self, live: LiveTurn, position: int) -> tuple[str, int]:
        """Return the reasoning after its first `position` characters, and the current length."""
        begin, end = self._limits(live, 1)
        fresh, _ = live.response.reasoning.since(begin + position)
        fresh = fresh if end is None else fresh[: max(end - begin - position, 0)]
        return fresh, position + len(fresh)

    def is_over(self, live: LiveTurn) -> bool:
        """Whether the model has called tools after it."""
        return len(live.marks) > self.number

    def _limits(self, live: LiveTurn, which: int) -> tuple[int, int | None]:
        marks: list[tuple[int, int]] = live.marks
        begin = marks[self.number - 1][which] if self.number else 0
        return begin, marks[self.number][which] if self.is_over(live) else None
