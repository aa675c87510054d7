"""Values that travel between every layer: messages in, deltas out. No behaviour, no identity."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, TypedDict


class Message(TypedDict):
    """One message as every provider takes it (the field's ``{"role", "content"}`` form)."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = list[Message]
AsyncResult = AsyncGenerator[str, None]
"""What :meth:`AsyncGeneratorProvider.create_async_generator` returns: text chunks as they arrive."""


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's reasoning, which is never part of the answer."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for, whole: its pieces are put together before it is yielded."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""


@dataclass(frozen=True)
class Usage:
    """Token counts as the provider reported them; ``None`` where it did not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Finish:
    """The provider's own word that the answer is over.

    ``reason`` is the field's ``finish_reason``: ``stop``, ``length``, ``content_filter``, …
    An answer whose stream ends without one is incomplete.
    """

    reason: str


@dataclass(frozen=True)
class ModelName:
    """The model that really answers, as the provider names it."""

    name: str


@dataclass(frozen=True)
class Notice:
    """What the person should see while waiting ("loading the model …"); already in their language."""

    text: str


Delta = Text | Reasoning | ToolCall | Usage | Finish | ModelName | Notice
DeltaGenerator = AsyncGenerator[Delta, None]


def encodable(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD.

    A cell can hold half of a surrogate pair, which neither JSON over UTF-8 nor a database can carry.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
