"""The commands that a page may send to the kernel, with their fields and checks.

Whatever runs in the page can send widget messages, and so can anybody who is connected to the kernel. A message is
therefore input: it is one of these commands with values of the right types and sizes, or it is refused. Nothing of
it is evaluated, and no command runs a magic or code.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core import Attachment, Document, Image, encodable
from ..session import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_QUESTION: Final = 1_000_000
"""Characters; more is no prompt but a file, and those have a limit of their own."""
MAX_FILES: Final = 10
MAX_BYTES: Final = 5_000_000
"""Of all files of a prompt: in base64 they still fit into the 10 MB that Jupyter's server takes in a message."""
MEDIA_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_TURNS: Final = 50
"""That a page asks for at a time."""
EXPORTS: Final = ("md", "ipynb", "json")
OPTIONS: Final = ("system", "temperature", "max_tokens", "budget", "agent")
"""The session's options that a page may set."""

_NAME: Final = 200
_REASON: Final = 2_000
_ID: Final = 100
_MAX_INDEX: Final = 10_000_000
_REQUIRED: Final = object()


class Command(NamedTuple):
    """A checked command."""

    name: str
    id: str
    """Under which the page waits for a response; ``""`` if it does not."""
    fields: dict[str, Any]


class MalformedError(ValueError):
    """A message is not a command, or has fields that the command does not accept."""


def read(message: object) -> Command:
    """Return the command that a page's message is.

    Raises
    ------
    MalformedError
        If it is none.
    """
    if not isinstance(message, dict):
        raise MalformedError("a command is an object")
    name = message.get("type")
    if not isinstance(name, str) or name not in COMMANDS:
        raise MalformedError("there is no such command")
    takes = COMMANDS[name]
    unknown = message.keys() - takes.keys() - {"type", "id"}
    if unknown:
        raise MalformedError(f"{name} does not take so many fields")
    fields = {}
    for field, (check, default) in takes.items():
        if field in message:
            fields[field] = check(message[field])
        elif default is _REQUIRED:
            raise MalformedError(f"{name} needs {field}")
        else:
            fields[field] = default
    return Command(name, _text(_ID)(message.get("id", "")), fields)


def _text(limit: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise MalformedError(f"a text of at most {limit} characters is expected")
        return encodable(value)

    return check


def _maybe(check: Callable[[object], str]) -> Callable[[object], str | None]:
    return lambda value: None if value is None else check(value)


def _index(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INDEX:
        raise MalformedError("an index is expected")
    return value


def _indices(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_TURNS:
        raise MalformedError(f"a list of at most {MAX_TURNS} indices is expected")
    return tuple(map(_index, value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise MalformedError("true or false is expected")
    return value


def _number(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise MalformedError("a number is expected")
    return value


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise MalformedError("another value is expected")
        return value

    return check


def _size(file: Attachment) -> int:
    return len(file.text.encode()) if isinstance(file, Document) else len(file.data) * 3 // 4


def _attachments(value: object) -> tuple[Attachment, ...]:
    if not isinstance(value, list) or len(value) > MAX_FILES:
        raise MalformedError(f"a list of at most {MAX_FILES} files is expected")
    files = tuple(map(_attachment, value))
    if sum(map(_size, files)) > MAX_BYTES:
        raise MalformedError(f"the files have more than {MAX_BYTES} bytes")
    return files


def _attachment(value: object) -> Attachment:
    if not isinstance(value, dict):
        raise MalformedError("a file is an object")
    name = _text(_NAME)(value.get("name"))
    media_type = _text(_NAME)(value.get("media_type"))
    if "data" not in value:
        return Document(name, _text(MAX_BYTES)(value.get("text")))
    if media_type not in MEDIA_TYPES:
        raise MalformedError("a picture in one of the known formats is expected")
    _bytes(value["data"])
    return Image(name, media_type, value["data"])


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_text(2 * MAX_BYTES)(value), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("base64 is expected") from None


_Field = tuple["Callable[[object], Any]", Any]

_TURN: Final[_Field] = (_index, _REQUIRED)
_PROVIDER: Final[_Field] = (_text(_NAME), "")
_MODEL: Final[_Field] = (_text(_NAME), "")
_QUESTION: Final[_Field] = (_text(MAX_QUESTION), _REQUIRED)

COMMANDS: Final[dict[str, dict[str, _Field]]] = {
    # A page has opened; it is gone.
    "hello": {"page": (_text(_ID), _REQUIRED)},
    "bye": {"page": (_text(_ID), _REQUIRED)},
    # Its reader has come near older turns.
    "fetch": {"page": (_text(_ID), _REQUIRED), "turns": (_indices, _REQUIRED)},
    # Asking and stopping.
    "send": {"text": _QUESTION, "attachments": (_attachments, ()), "allow_secrets": (_flag, False)},
    "stop": {},
    "cancel": {"turn": _TURN},
    "command": {"name": (_text(_NAME), _REQUIRED), "argument": (_text(MAX_QUESTION), "")},
    # A call of a tool that waits for an answer.
    "approve": {
        "approval": (_text(_ID), _REQUIRED),
        "answer": (_one_of(*ANSWERS), _REQUIRED),
        "reason": (_text(_REASON), ""),
        "edited": (_maybe(_text(MAX_QUESTION)), None),
    },
    # A turn.
    "proceed": {"turn": _TURN},
    "source": {"turn": _TURN},
    "retry": {"turn": _TURN, "provider": _PROVIDER, "model": _MODEL},
    "revise": {"turn": _TURN, "text": _QUESTION},
    "select": {"turn": _TURN, "version": (_index, _REQUIRED)},
    "pin": {"turn": _TURN, "pinned": (_flag, _REQUIRED)},
    "delete": {"turn": _TURN},
    "fork": {"turn": _TURN},
    # The conversation.
    "new": {},
    "undo": {},
    "restore": {},
    "clear": {},
    "rename": {"title": (_text(_NAME), _REQUIRED)},
    "conversations": {"search": (_text(_NAME), "")},
    "switch": {"conversation": (_text(_ID), _REQUIRED)},
    "export": {"format": (_one_of(*EXPORTS), _REQUIRED)},
    # Who answers, and how.
    "models": {},
    "model": {"provider": _PROVIDER, "model": _MODEL},
    "option": {"name": (_one_of(*OPTIONS), _REQUIRED), "words": (_text(MAX_QUESTION), ""), "number": (_number, None)},
    "preset": {"name": (_text(_NAME), _REQUIRED)},
    # The composer.
    "complete": {"word": (_text(_NAME), _REQUIRED)},
    "read": {"name": (_text(_NAME), _REQUIRED), "data": (_bytes, _REQUIRED)},
}
