"""Summaries of the turns that are left out of a request, if the user wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..core import MessageDict, content_text, estimate, to_dicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..core import Messages, Turn, Version

SUMMARY_TOKENS: Final = 400
"""Room for a summary in a prompt, and the length that the model is held to."""
ROOM: Final = 0.6
"""Once some turns must be summarised, others are too, down to this part of the room: or every turn would need it."""
_HEADING: Final = "Summary of the earlier part of this conversation:"
_TASK: Final = (
    "Summarise this conversation between a person and an assistant, so that the assistant can go on with it. Keep "
    "names, numbers, decisions, open questions and identifiers of code. At most 200 words, in the language of the "
    "conversation, the summary alone."
)
_CUT: Final = "\n[…]\n"


@dataclass(frozen=True)
class Summary:
    """A summary, and the versions for which it stands."""

    versions: tuple[Version, ...]
    words: str

    def covers(self, turns: Sequence[tuple[int, Turn]]) -> bool:
        """Whether it stands for nothing else than the first of `turns`, as they are now."""
        known = {id(version) for version in self.versions}
        return known <= {id(turn.current) for _, turn in turns}

    def rest(self, turns: Sequence[tuple[int, Turn]]) -> list[tuple[int, Turn]]:
        """Return those of `turns` for which it does not stand."""
        known = {id(version) for version in self.versions}
        return [(index, turn) for index, turn in turns if id(turn.current) not in known]


def with_summary(messages: Messages, words: str) -> Messages:
    """Return the messages with a summary of what is not among them, as a part of the system prompt."""
    heading = f"{_HEADING}\n{words}"
    if messages and messages[0]["role"] == "system":
        first = MessageDict(role="system", content=f"{content_text(messages[0]['content'])}\n\n{heading}")
        return [first, *messages[1:]]
    return [MessageDict(role="system", content=heading), *messages]


def requests(turns: Sequence[tuple[int, Turn]], room: int) -> Iterator[str]:
    """Yield what there is to summarise as text, in parts that each fit into `room` tokens."""
    part: list[str] = []
    size = 0
    for _, turn in turns:
        said = _fitted(_transcript(turn), room)
        tokens = estimate(said)
        if part and size + tokens > room:
            yield "\n\n".join(part)
            part, size = [], 0
        part.append(said)
        size += tokens
    if part:
        yield "\n\n".join(part)


def task(before: str, said: str) -> Messages:
    """Return the messages that ask for a summary of `said`, which follows what `before` is a summary of."""
    known = f"{_HEADING}\n{before}\n\n" if before else ""
    return [
        MessageDict(role="system", content=_TASK),
        MessageDict(role="user", content=f"{known}{said}\n\n---\n{_TASK}"),
    ]


def _transcript(turn: Turn) -> str:
    speakers = {"user": "Person", "assistant": "Assistant", "tool": "Tool"}
    said = ((each["role"], content_text(each.get("content"))) for each in to_dicts(turn.current.messages))
    return "\n\n".join(f"{speakers.get(role, role)}: {words}" for role, words in said if words)


def _fitted(said: str, room: int) -> str:
    """Return `said`, without its middle if it would not fit."""
    while (tokens := estimate(said)) > room:
        keep = max(1, int(len(said) * room / tokens * 0.45))
        said = f"{said[:keep]}{_CUT}{said[-keep:]}"
        if keep == 1:
            break
    return said
