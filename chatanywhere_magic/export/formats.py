"""The export formats, and how a file's format is determined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..core import FormatError, codec, phrase
from .foreign import PRODUCTS, conversations
from .messages import conversation_of, from_messages, lines_of, to_jsonl, to_messages
from .notebook import Rebuilt, from_notebook, to_notebook
from .shown import shown
from .transcript import from_markdown, to_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core import Conversation

__all__ = [
    "FORMATS",
    "Rebuilt",
    "export",
    "format_of",
    "from_json",
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


_MOST_SHOWN: Final = 100
_MAX_SHOWN: Final = 80
"""Conversations, and characters of the name of each, in the error that lists them."""


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


def read(document: str | bytes, format: str, number: int | None = None) -> Rebuilt:  # noqa: A002 - as above
    """Return the conversation in a document of a format, or of the one that its file's name implies.

    Parameters
    ----------
    document : str or bytes
        What :func:`export` wrote, or another product's export.
    format : str
        A format of :data:`FORMATS`, or the name of a file.
    number : int, optional
        Which conversation, from 1 on, if there are several.

    Raises
    ------
    FormatError
        If it is something else, or several and `number` chooses none.
    """
    if document[:2] in {"PK", b"PK"}:
        raise FormatError(phrase("error.data_archive"))
    ending = format.rpartition(".")[2].lower()
    kind = format_of(format) if ending in FORMATS or not _is_json(document) else "json"
    if kind == "ipynb":
        return from_notebook(document)
    if kind == "md":
        return Rebuilt(from_markdown(document))
    value = lines_of(document) if kind == "jsonl" else codec.loads(document)
    if isinstance(value, dict) and value.get("format") == codec.FORMAT:
        return Rebuilt(from_json(document))
    found = conversations(value)
    if not found and isinstance(value, list) and value and all(map(_has_messages, value)):
        found = [("", each) for each in value]
    if found:
        title, messages = _chosen(found, number)
        return Rebuilt(conversation_of(messages, title))
    if not _has_messages(value) and not (
        isinstance(value, list) and all("role" in _fields(each) for each in value[:1])
    ):
        raise FormatError(phrase("error.data_unknown", products=PRODUCTS))
    return Rebuilt(conversation_of(value))


def _is_json(document: str | bytes) -> bool:
    return document[:100].lstrip()[:1] in {"{", "[", b"{", b"["}


def _has_messages(value: Any) -> bool:
    return isinstance(value, dict) and "messages" in value


def _fields(value: Any) -> Any:
    return value if isinstance(value, dict) else ()


def _chosen(found: Sequence[tuple[str, Any]], number: int | None) -> tuple[str, Any]:
    if len(found) == 1 and number is None:
        return found[0]
    if number is not None and 1 <= number <= len(found):
        return found[number - 1]
    names = [f"{at} {title or '–'}"[:_MAX_SHOWN] for at, (title, _) in enumerate(found[:_MOST_SHOWN], 1)]
    more = "" if len(found) <= _MOST_SHOWN else " …"
    raise FormatError(phrase("error.data_several", count=len(found), names=" · ".join(names) + more))
