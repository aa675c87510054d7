"""The conversation as values: turns with versions, and what of them a model is sent. No I/O, no identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from .messages import Attachment, Message, Messages, ToolCall, Usage, user_content
from .tokens import estimate_messages

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["queued", "streaming", "complete", "interrupted", "failed"]
SENT: Final = frozenset({"complete", "interrupted"})
"""Statuses whose question and answer are part of what the next turn is sent."""
ENDED: Final = frozenset({"complete", "interrupted", "failed"})
"""Statuses of what is no longer on its way."""
NAME_LENGTH: Final = 60


@dataclass(frozen=True)
class Origin:
    """Where a turn was asked.

    ``cell_id`` is the notebook's name for the cell, ``""`` where it has none (nbclient, a terminal, the panel);
    ``ordinal`` tells apart the questions that one run of a cell asks.
    """

    source: Literal["cell", "panel", "api"] = "api"
    cell_id: str = ""
    ordinal: int = 0

    @property
    def is_place(self) -> bool:
        """Whether asking again from here means the same turn."""
        return bool(self.cell_id)


@dataclass(frozen=True)
class Timing:
    """Seconds since the epoch at the start; seconds from there to the first text and to the end."""

    started: float = 0.0
    first_text: float | None = None
    total: float | None = None


@dataclass(frozen=True)
class Version:
    """One question and what came of it."""

    question: str
    answer: str = ""
    reasoning: str = ""
    status: Status = "queued"
    provider: str = ""
    model: str = ""
    finish_reason: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that the model asks for, of tools that the question offered (``tools=``)."""
    usage: Usage | None = None
    error: str = ""
    timing: Timing = field(default_factory=Timing)
    origin: Origin = field(default_factory=Origin)
    attachments: tuple[Attachment, ...] = ()
    """What went to the model beside the question."""
    system: str = ""
    temperature: float | None = None
    parameters: tuple[tuple[str, Any], ...] = ()
    """Further parameters of the request, by name, as JSON values."""
    history: bool = True
    """False for a question aside, which neither sees nor changes the conversation."""
    left_out: int = 0
    """How many turns of the conversation were left out of what was sent, to keep it under the limit."""
    summary: str = ""
    """What was sent in their place, where they were summarised."""
    replayed: bool = False
    """Whether the answer is that of an earlier, equal request."""
    fingerprint: str = ""
    """What tells the request from others: provider, model, parameters and messages, as a digest."""

    @property
    def has_answer(self) -> bool:
        """Whether the model said anything: a text, or that a tool be called."""
        return bool(self.answer or self.tool_calls)

    @cached_property
    def is_sent(self) -> bool:
        """Whether later questions are sent this one with its answer."""
        return self.status in SENT and bool(self.answer)

    @property
    def messages(self) -> Messages:
        """The question and its answer, as a model is sent them."""
        return [
            Message(role="user", content=user_content(self.question, self.attachments)),
            Message(role="assistant", content=self.answer),
        ]

    @cached_property
    def tokens(self) -> int:
        """What these messages are put at, at most; see :mod:`.tokens`."""
        return estimate_messages(self.messages)


@dataclass(frozen=True)
class Turn:
    """A place in the conversation: its versions, oldest first, one of them selected."""

    versions: tuple[Version, ...]
    selected: int = 0
    pinned: bool = False
    """Never left out of what is sent."""
    hidden: int = 0
    """Which undo, delete or clear hid it, counted up in the conversation; 0 while it is shown."""

    @cached_property
    def current(self) -> Version:
        """The version that is shown and sent."""
        return self.versions[self.selected]

    @cached_property
    def is_sent(self) -> bool:
        """Whether later questions are sent this turn."""
        return not self.hidden and self.current.is_sent

    def revised(self, version: Version) -> Turn:
        """Return the turn with `version` added and selected; a hidden turn is shown again."""
        return replace(self, versions=(*self.versions, version), selected=len(self.versions), hidden=0)

    def with_version(self, version: Version) -> Turn:
        """Return the turn with `version` added, and the same one selected as before."""
        return replace(self, versions=(*self.versions, version))

    def updated(self, version: Version, at: int) -> Turn:
        """Return the turn with the version at index `at` replaced."""
        return replace(self, versions=(*self.versions[:at], version, *self.versions[at + 1 :]))

    def is_from(self, place: Origin) -> bool:
        """Whether one of its versions was asked from there, through whatever door."""
        return any(
            (version.origin.cell_id, version.origin.ordinal) == (place.cell_id, place.ordinal)
            for version in self.versions
        )


@dataclass(frozen=True)
class Conversation:
    """An ordered list of turns. No turn ever leaves it, so that an index always means the same one; some are hidden."""

    turns: tuple[Turn, ...] = ()
    title: str = ""
    """What the person called it."""

    @cached_property
    def visible(self) -> list[tuple[int, Turn]]:
        """The turns that are shown, each with its index. The list is not to be changed."""
        return [(index, turn) for index, turn in enumerate(self.turns) if not turn.hidden]

    @property
    def name(self) -> str:
        """The title, or, where there is none, how the first question begins."""
        if self.title:
            return self.title
        first = next((turn.current.question for turn in self.turns if not turn.hidden), "")
        words = " ".join(first[: 4 * NAME_LENGTH].split())
        return words if len(words) <= NAME_LENGTH else words[: NAME_LENGTH - 1].rstrip() + "…"

    def find(self, origin: Origin) -> int | None:
        """Return the index of the turn that was asked from `origin`, or None; of several, the last that is shown.

        A turn whose cell's question was edited elsewhere is still the cell's.
        """
        if not origin.is_place:
            return None
        hidden = None
        for index in range(len(self.turns) - 1, -1, -1):
            if self.turns[index].is_from(origin):
                if not self.turns[index].hidden:
                    return index
                hidden = index if hidden is None else hidden
        return hidden

    def find_cell(self, cell_id: str) -> list[int]:
        """Return the indices of the turns that were asked from the cell, and are shown."""
        if not cell_id:
            return []
        return [
            index for index, turn in self.visible if any(version.origin.cell_id == cell_id for version in turn.versions)
        ]

    def appended(self, version: Version) -> Conversation:
        """Return the conversation with a new turn at its end."""
        return replace(self, turns=(*self.turns, Turn((version,))))

    def with_turn(self, index: int, turn: Turn) -> Conversation:
        """Return the conversation with the turn at `index` replaced."""
        return replace(self, turns=(*self.turns[:index], turn, *self.turns[index + 1 :]))

    def hiding(self, indices: Iterable[int]) -> Conversation:
        """Return the conversation with those of the turns at `indices` hidden that were shown, in one step."""
        step = 1 + max((turn.hidden for turn in self.turns), default=0)
        gone = set(indices)
        return replace(
            self,
            turns=tuple(
                replace(turn, hidden=step) if index in gone and not turn.hidden else turn
                for index, turn in enumerate(self.turns)
            ),
        )

    def restored(self) -> Conversation:
        """Return the conversation with the turns shown again that the last step hid."""
        step = max((turn.hidden for turn in self.turns), default=0)
        return replace(
            self, turns=tuple(replace(turn, hidden=0) if turn.hidden == step else turn for turn in self.turns)
        )

    def forked(self, index: int) -> Conversation:
        """Return a conversation of its own with the shown turns up to the one at `index`."""
        return replace(self, turns=tuple(turn for at, turn in self.visible if at <= index)).settled()

    def settled(self) -> Conversation:
        """Return the conversation with nothing on its way: what was, is interrupted."""
        turns = tuple(_settled(turn) for turn in self.turns)
        is_same = all(before is after for before, after in zip(self.turns, turns, strict=True))
        return self if is_same else replace(self, turns=turns)

    def without_fingerprints(self) -> Conversation:
        """Return the conversation with no answer that could be taken for that of an equal request."""
        turns = tuple(
            replace(turn, versions=tuple(replace(version, fingerprint="") for version in turn.versions))
            for turn in self.turns
        )
        return replace(self, turns=turns)

    def sent_before(self, index: int) -> list[tuple[int, Turn]]:
        """Return the turns before `index` of which a model is sent question and answer, each with its index.

        Complete answers, and interrupted ones with the text that came; nothing of failed turns, nor of those
        stopped before their first text, since roles must alternate and there is no answer to stand there.
        """
        return [(at, turn) for at, turn in enumerate(self.turns[:index]) if turn.is_sent]

    def messages_before(self, index: int) -> Messages:
        """Return what a model is sent of the turns before `index`: whole turns, roles alternating."""
        return [message for _, turn in self.sent_before(index) for message in turn.current.messages]


def _settled(turn: Turn) -> Turn:
    if all(version.status in ENDED for version in turn.versions):
        return turn
    return replace(
        turn,
        versions=tuple(
            version if version.status in ENDED else replace(version, status="interrupted") for version in turn.versions
        ),
    )


@dataclass(frozen=True)
class Listed:
    """A conversation as a list of them shows it."""

    id: str
    title: str
    started: float
    """Seconds since the epoch, as `updated`."""
    updated: float
    model: str
    turns: int
    notebook: str = ""
    """The path of the notebook in which it was held, as that was called then; ``""`` where nobody said."""
