"""The conversation as values: turns, their versions, and which of them are sent to a model. No I/O, no identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from .dictionaries import to_dicts
from .messages import (
    Attachment,
    Image,
    Message,
    Messages,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    repaired,
    user_message,
)
from .tokens import estimate_messages
from .turns import BLOCK, ENDED, Picked, Turn, Turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .errors import Failure

Status = Literal["queued", "streaming", "complete", "interrupted", "failed"]
SENT: Final = frozenset({"complete", "interrupted"})
"""Statuses of a version that later requests include."""
NAME_LENGTH: Final = 60
BETWEEN_MESSAGES: Final = "\n\n"
"""What the texts of several messages of one response are joined with."""


@dataclass(frozen=True)
class Origin:
    """Where a turn was asked.

    ``cell_id`` is the notebook's name for the cell, ``""`` where it has none (nbclient, a terminal, the panel);
    ``ordinal`` distinguishes the prompts of one run of a cell.
    """

    source: Literal["cell", "panel", "api"] = "api"
    cell_id: str = ""
    ordinal: int = 0

    @property
    def is_place(self) -> bool:
        """Whether another prompt from here replaces the same turn."""
        return bool(self.cell_id)


@dataclass(frozen=True)
class Timing:
    """Seconds since the epoch at the start; seconds from there to the first text and to the end."""

    started: float = 0.0
    first_text: float | None = None
    total: float | None = None


@dataclass(frozen=True)
class Version:
    """One attempt at a turn: the prompt and everything that came of it, in order.

    Parameters
    ----------
    messages : tuple of Message
        What its turn contributes to the conversation: the prompt, then assistant messages and tool results as they
        came.
    asked : int, default 1
        How many of them, from the first, the person asked with; the others are the response.
    """

    messages: tuple[Message, ...]
    asked: int = 1
    status: Status = "queued"
    provider: str = ""
    model: str = ""
    finish_reason: str = ""
    usage: Usage | None = None
    error: Failure | None = None
    timing: Timing = field(default_factory=Timing)
    origin: Origin = field(default_factory=Origin)
    system: str = ""
    temperature: float | None = None
    parameters: tuple[tuple[str, Any], ...] = ()
    """Other parameters of the request, by name, as JSON values."""
    history: bool = True
    """False for a prompt aside, which neither sees nor changes the conversation."""
    left_out: int = 0
    """How many turns were left out of the request to keep it under the limit."""
    summary: str = ""
    """The summary that was sent in their place, if any."""
    sent_tokens: int = 0
    """What was sent, by an estimate, where the server counted far fewer and so cut the prompt; else 0."""
    replayed: bool = False
    """Whether the response is that of an earlier, equal request."""
    fingerprint: str = ""
    """A digest of the request: provider, model, parameters and messages."""

    @classmethod
    def of(
        cls,
        prompt: str,
        text: str = "",
        reasoning: str = "",
        *,
        attachments: Iterable[Attachment] = (),
        tool_calls: Iterable[ToolCall] = (),
        **fields: Any,
    ) -> Version:
        """Return the version of a prompt and one response to it. Further fields are those of the class."""
        parts = (
            *((Reasoning(reasoning),) if reasoning else ()),
            *((Text(text),) if text else ()),
            *tool_calls,
        )
        response = (Message("assistant", parts),) if parts else ()
        return cls((user_message(prompt, attachments), *response), **fields)

    def with_prompt(self, prompt: str) -> Version:
        """Return the version with another prompt, as somebody has edited it."""
        return replace(self, messages=(user_message(prompt, self.attachments), *self.response), asked=1)

    def with_text(self, text: str) -> Version:
        """Return the version with another text for its response, as somebody has edited it."""
        edited = Version.of("", text, self.reasoning, tool_calls=self.tool_calls).response
        return replace(self, messages=(*self.messages[: self.asked], *edited))

    @property
    def response(self) -> tuple[Message, ...]:
        """What came: assistant messages, and the results of the calls in them."""
        return self.messages[self.asked :]

    @cached_property
    def prompt(self) -> str:
        """The text that the person asked with; where a tool's result was sent by hand, that."""
        asked = self.messages[: self.asked]
        prompts = [message.text for message in asked if message.role == "user"]
        if prompts:
            return BETWEEN_MESSAGES.join(filter(None, prompts))
        return "\n\n".join(result.text for message in asked for result in message.tool_results)

    @cached_property
    def attachments(self) -> tuple[Attachment, ...]:
        """What went to the model beside the prompt."""
        return tuple(each for message in self.messages[: self.asked] for each in message.attachments)

    @cached_property
    def text(self) -> str:
        """The text of the response; that of several messages as paragraphs."""
        return BETWEEN_MESSAGES.join(filter(None, [each.text for each in self.response if each.role == "assistant"]))

    @cached_property
    def reasoning(self) -> str:
        """The reasoning of the response."""
        return BETWEEN_MESSAGES.join(filter(None, [each.reasoning for each in self.response]))

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the model asked for."""
        return tuple(call for message in self.response for call in message.tool_calls)

    @property
    def has_response(self) -> bool:
        """Whether the model said anything: a text that is more than white space, or that a tool be called."""
        return bool(self.tool_calls) or bool(self.text.strip())

    @cached_property
    def plain(self) -> Messages | None:
        """The messages as every provider is sent them; None if that depends on the provider, or on what follows."""
        depends = any(
            message.extras or any(isinstance(part, Image | ToolCall | ToolResult) for part in message.parts)
            for message in self.messages
        )
        return None if depends else to_dicts(repaired(self.messages))

    @cached_property
    def is_sent(self) -> bool:
        """Whether later prompts are sent this one with its response."""
        return self.status in SENT and self.has_response

    @cached_property
    def tokens(self) -> int:
        """An upper estimate of the tokens of these messages; see :mod:`.tokens`."""
        return estimate_messages(self.plain or to_dicts(self.messages))


@dataclass(frozen=True)
class Conversation:
    """An ordered list of turns. Turns are hidden, never removed, so that an index always means the same turn."""

    turns: Sequence[Turn] = ()
    title: str = ""
    """The title given by the user."""

    def __post_init__(self) -> None:
        if not isinstance(self.turns, Turns):
            object.__setattr__(self, "turns", Turns(self.turns))

    @property
    def all(self) -> Turns:
        """The turns as what they are kept in."""
        return cast("Turns", self.turns)

    @property
    def visible(self) -> Picked:
        """The turns that are shown, each with its index."""
        return self.all.shown

    @property
    def name(self) -> str:
        """The title, or else the start of the first prompt."""
        if self.title:
            return self.title
        first = self.visible[0][1].current.prompt if self.visible else ""
        words = " ".join(first[: 4 * NAME_LENGTH].split())
        return words if len(words) <= NAME_LENGTH else words[: NAME_LENGTH - 1].rstrip() + "…"

    def find(self, origin: Origin) -> int | None:
        """Return the index of the turn that came from `origin`, or None; if several did, the last that is shown.

        A cell's turn stays the cell's even if its prompt was edited elsewhere.
        """
        hidden = None
        for index in reversed(self.all.of_cell(origin.cell_id) if origin.is_place else ()):
            if self.turns[index].is_from(origin):
                if not self.turns[index].hidden:
                    return index
                hidden = index if hidden is None else hidden
        return hidden

    def find_cell(self, cell_id: str) -> list[int]:
        """Return the indices of the shown turns that came from a cell."""
        return [index for index in self.all.of_cell(cell_id) if not self.turns[index].hidden]

    def appended(self, version: Version) -> Conversation:
        """Return the conversation with a new turn at its end."""
        return replace(self, turns=self.all.appended(Turn((version,))))

    def with_turn(self, index: int, turn: Turn) -> Conversation:
        """Return the conversation with the turn at `index` replaced."""
        return replace(self, turns=self.all.replaced({index: turn}))

    @property
    def step(self) -> int:
        """The number of the last step that hid turns."""
        return max((block.step for block in self.all.blocks), default=0)

    def hiding(self, indices: Iterable[int]) -> Conversation:
        """Return the conversation with the turns at `indices` hidden, in one step that can be undone."""
        step = 1 + self.step
        shown = ((index, self.turns[index]) for index in indices)
        return replace(
            self, turns=self.all.replaced({index: turn.hidden_by(step) for index, turn in shown if not turn.hidden})
        )

    def last_hidden(self) -> list[int]:
        """Return the indices of the turns that the last step has hidden."""
        step = self.step
        return [
            number * BLOCK + at
            for number, block in enumerate(self.all.blocks)
            if step and block.step == step
            for at, turn in enumerate(block.turns)
            if turn.hidden == step
        ]

    def restored(self) -> Conversation:
        """Return the conversation with the turns of the last hiding step shown again."""
        turns = {index: self.turns[index].hidden_by(0) for index in self.last_hidden()}
        return replace(self, turns=self.all.replaced(turns))

    def forked(self, index: int) -> Conversation:
        """Return a new conversation with the shown turns up to the one at `index`."""
        return replace(self, turns=Turns(turn for _, turn in self.visible.before(index + 1))).settled()

    def settled(self) -> Conversation:
        """Return the conversation with every unfinished turn marked as interrupted."""
        unfinished = {
            number * BLOCK + at: _settled(turn)
            for number, block in enumerate(self.all.blocks)
            if not block.has_ended
            for at, turn in enumerate(block.turns)
            if not turn.has_ended
        }
        return replace(self, turns=self.all.replaced(unfinished)) if unfinished else self

    def without_fingerprints(self) -> Conversation:
        """Return the conversation without fingerprints, so that its responses are not replayed."""
        turns = tuple(
            replace(turn, versions=tuple(replace(version, fingerprint="") for version in turn.versions))
            for turn in self.turns
        )
        return replace(self, turns=turns)

    def sent_before(self, index: int) -> Picked:
        """Return the turns before `index` that are sent to a model, each with its index.

        Complete responses are sent, and interrupted ones with the text so far. Failed turns are not, nor those
        stopped before their first text: roles must alternate, and there is no response to send.
        """
        return self.all.sent.before(index)

    def messages_before(self, index: int) -> Messages:
        """Return what a model is sent of the turns before `index`: whole turns, as dictionaries."""
        return to_dicts(repaired(each for _, turn in self.sent_before(index) for each in turn.current.messages))


def _settled(turn: Turn) -> Turn:
    return replace(
        turn,
        versions=tuple(
            version if version.status in ENDED else replace(version, status="interrupted") for version in turn.versions
        ),
    )


@dataclass(frozen=True)
class Listed:
    """A conversation's entry in a list of conversations."""

    id: str
    title: str
    started: float
    """Seconds since the epoch, as `updated`."""
    updated: float
    model: str
    turns: int
    notebook: str = ""
    """The notebook's path at that time; ``""`` if unknown."""
