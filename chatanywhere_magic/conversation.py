"""The conversation as values: turns with versions, and what of them a model is sent. No I/O, no identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from .messages import Attachment, Message, Messages, Usage, user_content

if TYPE_CHECKING:
    from collections.abc import Sequence

Status = Literal["queued", "streaming", "complete", "interrupted", "failed"]
SENT: Final = frozenset({"complete", "interrupted"})
"""Statuses whose question and answer are part of what the next turn is sent."""


@dataclass(frozen=True)
class Origin:
    """Where a turn was asked.

    ``cell_id`` is the notebook's name for the cell, ``""`` where it has none (nbclient, a terminal, the panel);
    ``ordinal`` tells apart the questions that one run of a cell asks.
    """

    door: Literal["cell", "panel", "api"] = "api"
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
    usage: Usage | None = None
    error: str = ""
    timing: Timing = field(default_factory=Timing)
    origin: Origin = field(default_factory=Origin)
    attachments: tuple[Attachment, ...] = ()
    """What went to the model beside the question."""


@dataclass(frozen=True)
class Turn:
    """A place in the conversation: its versions, oldest first, one of them selected."""

    versions: tuple[Version, ...]
    selected: int = 0

    @property
    def current(self) -> Version:
        """The version that is shown and sent."""
        return self.versions[self.selected]

    def revised(self, version: Version) -> Turn:
        """Return the turn with `version` added and selected."""
        return Turn((*self.versions, version), len(self.versions))

    def updated(self, version: Version, at: int) -> Turn:
        """Return the turn with the version at index `at` replaced."""
        return replace(self, versions=(*self.versions[:at], version, *self.versions[at + 1 :]))


@dataclass(frozen=True)
class Conversation:
    """An ordered list of turns."""

    turns: tuple[Turn, ...] = ()

    def find(self, origin: Origin) -> int | None:
        """Return the index of the turn that was asked from `origin`, or None."""
        if not origin.is_place:
            return None
        for index in range(len(self.turns) - 1, -1, -1):
            if self.turns[index].current.origin == origin:
                return index
        return None

    def appended(self, version: Version) -> Conversation:
        """Return the conversation with a new turn at its end."""
        return Conversation((*self.turns, Turn((version,))))

    def with_turn(self, index: int, turn: Turn) -> Conversation:
        """Return the conversation with the turn at `index` replaced."""
        return Conversation((*self.turns[:index], turn, *self.turns[index + 1 :]))

    def without(self, index: int) -> Conversation:
        """Return the conversation without the turn at `index`."""
        return Conversation((*self.turns[:index], *self.turns[index + 1 :]))

    def messages_before(self, index: int) -> Messages:
        """Return what a model is sent of the turns before `index`: whole turns, roles alternating.

        Complete answers, and interrupted ones with the text that came; nothing of failed turns, nor of those
        stopped before their first text, since roles must alternate and there is no answer to stand there.
        """
        return _as_messages([turn.current for turn in self.turns[:index]])


def _as_messages(versions: Sequence[Version]) -> Messages:
    messages: Messages = []
    for version in versions:
        if version.status in SENT and version.answer:
            messages.append(Message(role="user", content=user_content(version.question, version.attachments)))
            messages.append(Message(role="assistant", content=version.answer))
    return messages
