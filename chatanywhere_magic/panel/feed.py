"""The conversation as it is sent to a page: all of it first, then each change once.

It lives on the engine's thread, where the conversation changes; it knows of no widget and sends nothing itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..core import Conversation, Document, Phrase
from ..render import (
    IncrementalRenderer,
    Section,
    calls_html,
    final_words,
    footer_words,
    live_view,
    response_pieces,
    step_views,
    waiting_words,
)
from .card import card_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..core import Attachment, Turn, Version
    from ..session import ChatSession, LiveTurn

Change = dict[str, Any]
"""What happened to one turn; the fields are those of ``Change`` in ``page/protocol.js``."""

PIECE_SIZE: Final = 4_000
"""Finished blocks are put together up to about this many characters: each costs the page an element."""
FIRST_TURNS: Final = 8
"""Turns that a page gets at once; the older ones follow."""
AT_ONCE: Final = 20_000
"""Characters that are rendered in one go, unless one turn alone has more: others wait for the engine."""
UNASKED: Final = 250_000
"""Characters of older turns that a page gets unasked, up to a megabyte as HTML; the others on request."""


class Feed:
    """What pages know of `session`'s conversation, and what they do not know yet."""

    def __init__(self, session: ChatSession) -> None:
        self._session = session
        self._order: list[int] = []
        self._conversation = Conversation()
        """As it was when pages were told last."""
        self._shown: dict[int, _Shown] = {}
        """Of the turns that were looked at; of the others pages have what they held when the first page came."""
        self._has_begun = False

    def changes(self) -> tuple[list[Change], list[int] | None]:
        """Return what has happened since the last call, and the turns to show if they are others now.

        At first nothing has: that is for :meth:`begin` to tell.
        """
        if not self._has_begun:
            self._start()
            return [], None
        conversation, before = self._session.conversation, self._conversation
        running = self._session.turns.running
        changed = dict(conversation.all.changed(before.all))
        growing = (index for index, shown in self._shown.items() if shown.growth is not None)
        found: list[Change] = []
        is_moved = len(conversation.turns) < len(before.turns)
        for index in sorted({*changed, *growing, *running}):
            turn = conversation.turns[index] if index < len(conversation.turns) else None
            was = changed.get(index, turn)
            is_moved |= was is None or turn is None or bool(was.hidden) != bool(turn.hidden)
            if turn is None or turn.hidden:
                self._shown.pop(index, None)  # shown again, it is sent from the beginning
            elif change := self._change(index, turn, running.get(index)):
                found.append(change)
        self._conversation = conversation
        if not is_moved:
            return found, None
        self._order = list(conversation.visible.indices())
        return found, self._order

    def reset(self) -> None:
        """Forget what pages know: they are gone, or show another conversation."""
        self._has_begun = False
        self._order = []
        self._conversation = Conversation()
        self._shown = {}

    def begin(self) -> tuple[list[int], list[Change], list[int]]:
        """Return the turns to show, the last of them with everything, and the indices of the others, newest first.

        It holds what :meth:`changes` has returned up to now, so that a page which begins here goes on with what that
        returns next.
        """
        newest = self._order[::-1]
        count = self.batch(newest[:FIRST_TURNS])
        return self._order, self.whole(newest[:count][::-1]), newest[count:]

    def batch(self, indices: Sequence[int], room: int = AT_ONCE) -> int:
        """Return how many of these turns, from the first on, have together about `room` characters: at least one."""
        for count, index in enumerate(indices):
            turn = self._turn(index)
            room -= turn.length if turn else 0
            if room < 0 and count:
                return count
        return len(indices)

    def sketches(self, indices: Iterable[int]) -> list[tuple[int, float, int]]:
        """Return what a page needs to keep a place for each of these turns: ``Sketch`` in ``page/protocol.js``."""
        turns = [(index, self._conversation.turns[index]) for index in indices]
        return [(index, turn.started, turn.length) for index, turn in turns]

    def whole(self, indices: Iterable[int]) -> list[Change]:
        """Return everything about these turns, as far as they are still shown."""
        found: list[Change] = []
        for index in indices:
            shown = self._known(index)
            if shown is None:
                continue
            if not shown.head:
                turn = shown.turn
                shown.head = head_of(turn, shown.version or turn.current, None, footer=self._session.settings.footer)
            found.append({"turn": index, "fresh": True, "head": shown.head, **shown.whole()})
        return found

    @property
    def is_waiting(self) -> bool:
        """Whether a turn shows for how long it has been waiting."""
        return any(
            live.status in {"queued", "streaming"} and (live.step is not None or not live.response.text_since(0)[1])
            for live in self._session.turns.running.values()
        )

    def _start(self) -> None:
        """Take note of all turns; what is not asked for is not rendered."""
        self._has_begun = True
        self._conversation = self._session.conversation
        self._order = list(self._conversation.visible.indices())
        for index, live in self._session.turns.running.items():
            turn = self._turn(index)
            if turn is not None and live.at == turn.selected:
                shown = self._shown[index] = _Shown(turn)
                shown.growth = _Growth(live)
                shown.growth.more()
                shown.head = head_of(turn, live.version, live, footer=self._session.settings.footer)

    def _turn(self, index: int) -> Turn | None:
        """Return a turn as pages know it; None if they show none there."""
        turns = self._conversation.turns
        return turns[index] if index < len(turns) and not turns[index].hidden else None

    def _known(self, index: int) -> _Shown | None:
        """Return what pages know of a turn; None if they have not heard of it."""
        turn = self._turn(index)
        if turn is not None and index not in self._shown:
            self._shown[index] = _Shown(turn, version=turn.current)
        return self._shown.get(index)

    def _change(self, index: int, turn: Turn, live: LiveTurn | None) -> Change | None:
        shown = self._known(index)
        if live is not None and live.at != turn.selected:
            live = None  # the reader looks at another version
        if shown is not None and shown.turn is turn and live is None and shown.growth is None:
            return None
        version = live.version if live is not None else turn.current
        change: Change = {"turn": index}
        if shown is None:
            shown = self._shown[index] = _Shown(turn)
        change.update(shown.follow(turn, version, live))
        head = head_of(turn, version, live, footer=self._session.settings.footer)
        if head != shown.head:
            shown.head = change["head"] = head
        return change if len(change) > 1 else None


@dataclass
class _Shown:
    """What pages know of a turn."""

    turn: Turn
    head: dict[str, Any] = field(default_factory=dict)
    """Empty until it is sent to a page."""
    version: Version | None = None
    """Whose answer they have, once it has ended."""
    growth: _Growth | None = None
    """The response that they see grow."""

    def follow(self, turn: Turn, version: Version, live: LiveTurn | None) -> Change:
        """Return what is new of the response."""
        growth = self.growth
        same = growth is not None and (growth.live is live or (live is None and growth.live.at == turn.selected))
        self.turn = turn
        if live is not None:
            if growth is None or not same:
                self.growth = self.version = None
                self.growth = _Growth(live)
                return {"fresh": True, **self.growth.more()}
            return growth.more()
        self.growth = None
        known = self.version
        self.version = version
        if growth is not None and same:
            return growth.end(version)
        if known is not None and (known.text, known.reasoning) == (version.text, version.reasoning):
            return {}
        return {"fresh": True, **whole(version)}

    def whole(self) -> Change:
        """Return everything that has been sent of the response."""
        if self.growth is not None:
            return self.growth.so_far()
        return whole(self.version or self.turn.current)


class _Growth:
    """A response as it is rendered while it comes."""

    def __init__(self, live: LiveTurn) -> None:
        self.live = live
        self._begin_again()

    def _begin_again(self) -> None:
        self._renderer = IncrementalRenderer(self.live.stopping.hurries)
        self._section = Section()
        self._before: list[str] = []
        """Of the sections that are over, with the calls at their ends."""
        self._begin = self._text_read = self.live.response.text_begin
        self._reasoning_read = 0
        self._tail = ""

    def more(self) -> Change:
        """Return what has come since the last call."""
        change: Change = {}
        if self._begin != self.live.response.text_begin:  # what was shown as the response was reasoning
            self._begin_again()
            change["fresh"] = True
        reasoning, self._reasoning_read = self.live.response.reasoning_since(self._reasoning_read)
        if reasoning:
            change["reasoning"] = reasoning
        html: list[str] = []
        while self._is_left():
            html += self._feed()
            html += self._renderer.finish()
            calls = calls_html(step_views(self.live, self._section.number))
            html.append(calls)
            self._before += [*self._renderer.pieces, calls]
            renderer = IncrementalRenderer(self.live.stopping.hurries)
            self._renderer, self._section = renderer, Section(self._section.number + 1)
            self._text_read = self._begin
        html += self._feed()
        if html:
            change["html"] = grouped(html)
        tail = self._renderer.tail()
        change.update(_difference(self._tail, tail))
        self._tail = tail
        return change

    def _is_left(self) -> bool:
        """Whether the calls after the section that grows are over."""
        number = self._section.number
        return self._section.is_over(self.live) and (self.live.step is None or len(self.live.marks) > number + 1)

    def _feed(self) -> list[str]:
        text, self._text_read = self._section.read(self.live, self._text_read)
        return self._renderer.feed(text) if text else []

    def end(self, version: Version) -> Change:
        """Return the rest, of which only the finished `version` is left."""
        if self._begin != self.live.response.text_begin:
            return {"fresh": True, **whole(version)}
        change = self.more()
        html = change.get("html", []) + grouped(self._renderer.finish())
        if self._renderer.is_revised:
            return {"fresh": True, **whole(version)}
        return {**{key: value for key, value in change.items() if key != "keep"}, "html": html, "tail": ""}

    def so_far(self) -> Change:
        """Return everything that the calls before have returned."""
        reasoning, _ = self.live.response.reasoning_since(0)
        return {
            "html": grouped([*self._before, *self._renderer.pieces]),
            "tail": self._tail,
            "reasoning": reasoning[: self._reasoning_read],
        }


def _difference(before: str, after: str) -> Change:
    """Return how `after` differs: most of a long open block stays, and is not sent again."""
    if before == after:
        return {}
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before.startswith(after[low:middle], low):
            low = middle
        else:
            high = middle - 1
    if not low:
        return {"tail": after}
    # Counted as the page counts, to which a character beyond the first 65,536 is two.
    return {"tail": after[low:], "keep": len(after[:low].encode("utf-16-le")) // 2}


def whole(version: Version) -> Change:
    """Return a response that has ended."""
    return {"html": grouped(response_pieces(version)), "tail": "", "reasoning": version.reasoning}


def grouped(pieces: Iterable[str]) -> list[str]:
    """Return `pieces` joined to fewer and larger ones."""
    groups: list[str] = []
    for piece in pieces:
        if groups and len(groups[-1]) + len(piece) <= PIECE_SIZE:
            groups[-1] += piece
        else:
            groups.append(piece)
    return groups


def head_of(turn: Turn, version: Version, live: LiveTurn | None, *, footer: bool) -> dict[str, Any]:
    """Return everything about a turn but its response: the fields of ``Head`` in ``page/protocol.js``."""
    running = version.status in {"queued", "streaming"}
    waiting = ""
    step = (live.step if live is not None else None) or []
    if running and not version.text and not step:
        waiting = waiting_words(version, live.draft.notice if live is not None else "")
    asking = [call.approval for call in step if call.approval is not None and call.state == "asking"]
    words = []
    if not running:
        # What failed is said by the problem, with more than this one word.
        words = [*(() if version.error else final_words(version)), *(footer_words(version) if footer else ())]
    return {
        "prompt": version.prompt,
        "chips": [{"name": each.name, "kind": each.kind, "size": _size(each)} for each in version.attachments],
        "source": version.origin.source,
        "cell": version.origin.cell_id,
        "started": version.timing.started or time.time(),
        "status": version.status,
        "waiting": waiting,
        "problem": problem_of(version),
        "footer": " · ".join(words),
        "version": turn.selected + 1,
        "versions": len(turn.versions),
        "pinned": turn.pinned,
        "calls": calls_html(map(live_view, step)),
        "approvals": [card_of(each) for each in asking],
        "proceeds": not running and _stopped_between(version),
    }


def _stopped_between(version: Version) -> bool:
    """Whether a turn ended between calls of tools, and can go on."""
    has_results = any(message.role == "tool" for message in version.response)
    return has_results and (version.status != "complete" or version.finish_reason.startswith("max_"))


def problem_of(version: Version) -> dict[str, Any] | None:
    """Return why a turn failed: the fields of ``Problem`` in ``page/protocol.js``."""
    failure = version.error
    if failure is None:
        return None
    ended = version.timing.started + (version.timing.total or 0.0)
    retry_at = None if failure.retry_after is None else ended + failure.retry_after
    return {"words": words_of(failure.message), "kind": failure.kind, "retry_at": retry_at}


def words_of(message: str | Phrase) -> str:
    """Return an error's message as the panel shows it: it has buttons where a magic has options."""
    return message.without_options() if isinstance(message, Phrase) else message


def _size(attachment: Attachment) -> int:
    """Return the characters of a text, the bytes of a picture."""
    if isinstance(attachment, Document):
        return len(attachment.text)
    return len(attachment.data) * 3 // 4 - attachment.data.count("=")
