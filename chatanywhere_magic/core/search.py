"""Search within a conversation. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conversation import Conversation

EXCERPT: Final = 60
"""Characters shown on each side of a match."""


@dataclass(frozen=True)
class Found:
    """A turn that matches a search."""

    conversation_id: str
    name: str
    turn: int
    version: int
    asked: float
    """Seconds since the epoch."""
    excerpt: str


def search_in(conversation_id: str, conversation: Conversation, words: list[str]) -> Iterator[Found]:
    """Yield the shown turns of a conversation that contain all of `words`, the last first."""
    for index, turn in reversed(conversation.visible):
        for number, version in reversed(tuple(enumerate(turn.versions))):
            said = f"{version.prompt}\n{version.text}".casefold()
            if all(word.casefold() in said for word in words):
                around = excerpt(version.prompt, version.text, words)
                yield Found(conversation_id, conversation.name, index, number, version.timing.started, around)
                break


def excerpt(prompt: str, response: str, words: list[str]) -> str:
    """Return the surroundings of the first word, on one line."""
    word = words[0].casefold()
    said = prompt if word in prompt.casefold() else response
    at = max(0, said.casefold().find(word))
    begin, end = max(0, at - EXCERPT), at + len(word) + EXCERPT
    cut = " ".join(said[begin:end].split())
    return f"{'…' if begin else ''}{cut}{'…' if end < len(said) else ''}"
