"""The export formats, and how a file's format is determined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core import FormatError, codec, phrase
from .messages import from_jsonl, from_messages, to_jsonl, to_messages
from .notebook import Rebuilt, from_notebook, to_notebook
from .shown import shown
from .transcript import from_markdown, to_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Conversation

__all__ = [
    "FORMATS",
    "Rebuilt",
    "export",
    "format_of",
    "from_json",
    "from_jsonl",
    "from_markdown",
    "from_messages",
    "from_notebook",
    "read",
    "to_json",
    "to_jsonl",
    "to_markdown",
    "to_messages",
    "to_notebook",
]


def to_json(conversation: Conversation) -> str:
    """Return the shown turns of the conversation, with every version, as the JSON of ``docs/export.md``."""
    return codec.dumps(codec.conversation_to_json(shown(conversation)), indent=2) + "\n"


def from_json(document: str | bytes) -> Conversation:
    """Return the conversation in a document written by :func:`to_json`.

    Raises
    ------
    FormatError
        If it is another document.
    """
    return codec.conversation_from_json(codec.loads(document)).settled()


FORMATS: Final[dict[str, Callable[[Conversation], str]]] = {
    "ipynb": to_notebook,
    "json": to_json,
    "jsonl": to_jsonl,
    "md": to_markdown,
    "messages": to_messages,
}
"""What writes each format, by its name; but for ``messages``, which is JSON as well, that is how a file's name ends."""


def format_of(name: str) -> str:
    """Return the format that is named, or that a file's name implies.

    Raises
    ------
    FormatError
        If there is none.
    """
    ending = name.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise FormatError(phrase("error.export_format", name=name, formats=", ".join(FORMATS)))
    return ending


def export(conversation: Conversation, format: str) -> str:  # noqa: A002 - what it is
    """Return the conversation in a format of :data:`FORMATS`, or in the one that a file's name implies."""
    return FORMATS[format_of(format)](conversation)


def read(document: str | bytes, format: str) -> Rebuilt:  # noqa: A002 - as above
    """Return the conversation in a document of a format, or of the one that its file's name implies.

    Raises
    ------
    FormatError
        If it is something else.
    """
    kind = format_of(format)
    if kind == "ipynb":
        return from_notebook(document)
    if kind == "json":
        # Messages end their files' names so as well.
        value = codec.loads(document)
        is_ours = isinstance(value, dict) and "messages" not in value
        kind = "json" if is_ours else "messages"
    reading = {"json": from_json, "jsonl": from_jsonl, "md": from_markdown, "messages": from_messages}[kind]
    return Rebuilt(reading(document))
