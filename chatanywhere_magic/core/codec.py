"""Convert values to JSON and back, for files, output metadata and the store; reading is strict.

A document may come from anywhere, so everything is checked before a value is made of it. Unknown fields are ignored,
so that a later version can add some. ``docs/export.md`` describes the format.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, get_args

from .conversation import Conversation, Origin, Status, Timing, Turn, Version
from .errors import FormatError
from .i18n import phrase
from .messages import Attachment, ToolCall, Usage, encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Messages

FORMAT: Final = "chatanywhere-conversation"
SCHEMA: Final = 1
"""Raised when earlier releases can no longer read what is written."""

MAX_DOCUMENT: Final = 50_000_000
"""Largest document, in characters or bytes. Parsing hostile JSON takes twenty times as much memory."""
MAX_CONTAINERS: Final = 1_000_000
"""Arrays and objects of a document. Two characters, ``[]``, become 64 bytes."""
MAX_TEXT: Final = 20_000_000
MAX_NAME: Final = 10_000
MAX_ITEMS: Final = 100_000
MAX_DEPTH: Final = 30
MAX_NUMBER: Final = 2**64
MAX_DIGITS: Final = 400
"""Most digits of one number: the time to parse it grows with their square."""

_NAME: Final = r"[^\s\\/'\"<>|:*?]+"
_DIRECTORIES: Final = re.compile(
    rf"(?<![\w:/\\.])(?:file:|[A-Za-z]:)?(?:[\\/]+{_NAME}(?: {_NAME})*)*[\\/]+(?=[^\s\\/])", re.IGNORECASE
)
"""The start of an absolute path, which a URL does not have."""


# --- documents ----------------------------------------------------------------------------------------------------


def dumps(value: object, *, indent: int | None = None) -> str:
    """Serialize JSON values."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)


def loads(document: str | bytes) -> Any:
    """Parse an untrusted JSON document.

    Raises
    ------
    FormatError
        If it is not JSON, too large or too deeply nested, or contains numbers such as NaN.
    """
    if len(document) > MAX_DOCUMENT:
        raise FormatError(phrase("error.data_size", size=len(document), limit=MAX_DOCUMENT))
    if isinstance(document, str):
        document = document.removeprefix("\ufeff")
    if len(document) > MAX_CONTAINERS and _containers(document) > MAX_CONTAINERS:
        raise FormatError(phrase("error.data_json", reason=f"more than {MAX_CONTAINERS:,} [ and {{"))
    try:
        return json.loads(document, parse_constant=_refuse, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise FormatError(phrase("error.data_json", reason=reason)) from None


def decode(document: bytes) -> str:
    """Decode a document as UTF-8 text.

    Raises
    ------
    FormatError
        If it is not UTF-8.
    """
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(phrase("error.data_encoding")) from None


def _containers(document: str | bytes) -> int:
    """Return how many arrays and objects `document` begins, at most: some may be letters of a text."""
    if isinstance(document, str):
        return document.count("[") + document.count("{")
    return document.count(b"[") + document.count(b"{")


def _refuse(word: str) -> None:
    raise ValueError(word)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(digits[:MAX_DIGITS])
    return int(digits)


# --- writing ------------------------------------------------------------------------------------------------------


def conversation_to_json(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as JSON values."""
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "title": encodable(conversation.title),
        "turns": [turn_to_json(turn) for turn in conversation.turns],
    }


def turn_to_json(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON values."""
    return {
        "selected": turn.selected,
        **_said(pinned=turn.pinned, hidden=turn.hidden),
        "versions": [version_to_json(version) for version in turn.versions],
    }


def version_to_json(version: Version) -> dict[str, Any]:
    """Return a version as JSON values: prompt, response and status always, other fields if they are not empty."""
    usage, timing, origin = version.usage, version.timing, version.origin
    written: dict[str, Any] = {
        "question": encodable(version.question),
        "answer": encodable(version.answer),
        "status": version.status,
        **_said(
            reasoning=encodable(version.reasoning),
            provider=encodable(version.provider),
            model=encodable(version.model),
            finish_reason=encodable(version.finish_reason),
            tool_calls=[{name: encodable(value) for name, value in vars(call).items()} for call in version.tool_calls],
            error=encodable(version.error),
            timing=_given(started=timing.started or None, first_text=timing.first_text, total=timing.total),
            origin=_said(
                door=origin.source if origin.source != Origin.source else "",
                cell_id=encodable(origin.cell_id),
                ordinal=origin.ordinal,
            ),
            system=encodable(version.system),
            parameters={encodable(name): _plain(value) for name, value in version.parameters},
            attachments=[_attachment_to_json(attachment) for attachment in version.attachments],
            left_out=version.left_out,
            summary=encodable(version.summary),
            replayed=version.replayed,
            fingerprint=version.fingerprint,
        ),
        **_given(temperature=version.temperature),
    }
    if usage is not None:
        written["usage"] = _given(**vars(usage))
    if not version.history:
        written["history"] = False
    return written


def _attachment_to_json(attachment: Attachment) -> dict[str, str]:
    fields = {name: encodable(value) for name, value in vars(attachment).items()}
    return {name: value for name, value in fields.items() if value or name == "name"}


def _said(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not empty."""
    return {name: value for name, value in fields.items() if value}


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None, zeros included."""
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a provider's parameters as JSON values; anything else is replaced by the name of its type."""
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return {encodable(str(name)): _plain(inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return encodable(value)
    if value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= MAX_NUMBER):
        return value
    return f"<{type(value).__name__}>"


def fingerprint(
    provider: str, model: str, temperature: float | None, parameters: Mapping[str, Any], messages: Messages
) -> str:
    """Return a digest that identifies a request: equal for the same prompt to the same model, across kernels."""
    asked = [provider, model, temperature, _plain(dict(parameters)), messages]
    # Sorted, because the order of options does not matter.
    return sha256(json.dumps(asked, sort_keys=True, allow_nan=False).encode()).hexdigest()


# --- for other people's eyes --------------------------------------------------------------------------------------


def shareable(version: Version) -> Version:
    """Return the version without details of this machine, such as the directories of files.

    The texts of the user and the model are not changed.
    """
    place = version.origin.cell_id
    return replace(
        version,
        error=_DIRECTORIES.sub("", version.error),
        # VS Code names a cell by the address of its notebook's file.
        origin=replace(version.origin, cell_id="") if re.search(r"[\\/]", place) else version.origin,
        attachments=tuple(
            replace(each, name=re.split(r"[\\/]", each.name.rstrip("\\/"))[-1]) for each in version.attachments
        ),
    )


# --- reading ------------------------------------------------------------------------------------------------------


def conversation_from_json(value: Any) -> Conversation:
    """Return the conversation described by untrusted JSON values.

    Raises
    ------
    FormatError
        If they do not describe one, or exceed a limit; the message names the place.
    """
    fields = _Fields(value, "")
    if fields.text("format", limit=MAX_NAME) != FORMAT:
        raise unlike("format", f'"{FORMAT}"')
    check_schema(value)
    turns = fields.items("turns")
    return Conversation(
        tuple(turn_from_json(turn, f"turns[{index}]") for index, turn in enumerate(turns)),
        title=fields.text("title", limit=MAX_NAME),
    )


def check_schema(value: Any) -> None:
    """Check that a later version of this package did not write this document.

    Raises
    ------
    FormatError
        If it did, or if the document is not an object.
    """
    schema = _Fields(value, "").count("schema")
    if schema > SCHEMA:
        raise FormatError(phrase("error.data_newer", schema=schema, known=SCHEMA))


def turn_from_json(value: Any, place: str = "turn") -> Turn:
    """Return the turn described by JSON values; see :func:`conversation_from_json`."""
    fields = _Fields(value, place)
    versions = fields.items("versions")
    selected = fields.count("selected")
    if selected >= len(versions):
        raise unlike(f"{place}.selected", f"< {len(versions)}")
    return Turn(
        tuple(version_from_json(version, f"{place}.versions[{index}]") for index, version in enumerate(versions)),
        selected,
        pinned=fields.flag("pinned"),
        hidden=fields.count("hidden"),
    )


def version_from_json(value: Any, place: str = "version") -> Version:
    """Return the version described by JSON values; see :func:`conversation_from_json`."""
    fields = _Fields(value, place)
    usage = fields.inner("usage")
    timing = fields.inner("timing") or _Fields({}, place)
    origin = fields.inner("origin") or _Fields({}, place)
    parameters = fields.inner("parameters") or _Fields({}, place)
    return Version(
        fields.text("question"),
        fields.text("answer"),
        fields.text("reasoning"),
        status=fields.word("status", get_args(Status), "complete"),
        provider=fields.text("provider", limit=MAX_NAME),
        model=fields.text("model", limit=MAX_NAME),
        finish_reason=fields.text("finish_reason", limit=MAX_NAME),
        tool_calls=tuple(
            _tool_call_from_json(each, f"{place}.tool_calls[{index}]")
            for index, each in enumerate(fields.items("tool_calls"))
        ),
        usage=None
        if usage is None
        else Usage(**{each.name: usage.maybe_count(each.name) for each in dataclass_fields(Usage)}),
        error=fields.text("error"),
        timing=Timing(timing.number("started") or 0.0, timing.number("first_text"), timing.number("total")),
        origin=Origin(
            origin.word("door", ("cell", "panel", "api"), Origin.source),
            origin.text("cell_id", limit=MAX_NAME),
            origin.count("ordinal"),
        ),
        attachments=tuple(
            _attachment_from_json(each, f"{place}.attachments[{index}]")
            for index, each in enumerate(fields.items("attachments"))
        ),
        system=fields.text("system"),
        temperature=fields.number("temperature"),
        parameters=parameters.parameters(),
        left_out=fields.count("left_out"),
        summary=fields.text("summary"),
        replayed=fields.flag("replayed"),
        fingerprint=fields.text("fingerprint", limit=MAX_NAME),
        history=fields.flag("history", default=True),
    )


def _tool_call_from_json(value: Any, place: str) -> ToolCall:
    fields = _Fields(value, place)
    return ToolCall(fields.text("id", limit=MAX_NAME), fields.text("name", limit=MAX_NAME), fields.text("arguments"))


def _attachment_from_json(value: Any, place: str) -> Attachment:
    fields = _Fields(value, place)
    media_type, data = fields.text("media_type", limit=MAX_NAME), fields.text("data")
    # They become part of a data: URL.
    if not re.fullmatch(r"(?:[\w.+-]+/[\w.+-]+)?", media_type, re.ASCII):
        raise unlike(f"{place}.media_type", "image/png")
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", data):
        raise unlike(f"{place}.data", "base64")
    return Attachment(
        fields.text("name", limit=MAX_NAME),
        "image" if fields.word("kind", ("text", "image"), "text") == "image" else "text",
        fields.text("text"),
        media_type,
        data,
    )


class _Fields:
    """A JSON object whose fields are read with the expected types; a missing field has its default."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise unlike(place, "{…}")
        self._value = value
        self._place = place

    def text(self, name: str, *, limit: int = MAX_TEXT) -> str:
        return checked_text(self._value.get(name, ""), self._at(name), limit)

    def word(self, name: str, allowed: tuple[Any, ...], default: Any) -> Any:
        value = self._value.get(name, default)
        # Not `in` alone: 1 == True, and a list is in no set.
        if not isinstance(value, str) or value not in allowed:
            raise unlike(self._at(name), " | ".join(allowed))
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise unlike(self._at(name), "true | false")
        return value

    def count(self, name: str) -> int:
        return self.maybe_count(name) or 0

    def maybe_count(self, name: str) -> int | None:
        return checked_count(self._value.get(name), self._at(name))

    def number(self, name: str) -> float | None:
        value = self._value.get(name)
        if value is None:
            return None
        # Compared before it is converted, because a whole number may be too large for that; NaN fails every comparison.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMBER:
            raise unlike(self._at(name), "≥ 0")
        return float(value)

    def items(self, name: str) -> list[Any]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise unlike(self._at(name), f"[…], ≤ {MAX_ITEMS}")
        return value

    def inner(self, name: str) -> _Fields | None:
        value = self._value.get(name)
        return None if value is None else _Fields(value, self._at(name))

    def parameters(self) -> tuple[tuple[str, Any], ...]:
        """Return all fields, whatever their names."""
        if len(self._value) > MAX_ITEMS:
            raise unlike(self._place, f"{{…}}, ≤ {MAX_ITEMS}")
        for name, value in self._value.items():
            if not isinstance(name, str):
                raise unlike(self._place, '{"…": …}')
            _check_plain(value, self._at(name))
        return tuple(
            sorted(((encodable(name), _plain(value)) for name, value in self._value.items()), key=itemgetter(0))
        )

    def _at(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name


def checked_text(value: Any, place: str, limit: int = MAX_TEXT) -> str:
    """Check the text at a place in a document; see :func:`conversation_from_json`."""
    if not isinstance(value, str) or len(value) > limit:
        raise unlike(place, f'"…", ≤ {limit}')
    return encodable(value)


def checked_count(value: Any, place: str) -> int | None:
    """Check the count, or None, at a place in a document; see :func:`conversation_from_json`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER):
        raise unlike(place, "0, 1, 2 …")
    return value


def _check_plain(value: Any, place: str, depth: int = 0) -> None:
    """Reject values that JSON cannot have produced, or that are too deep to be written again."""
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise unlike(place, f"≤ {MAX_DEPTH} × […]")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_plain(inner, place, depth + 1)
    elif isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:  # NaN is neither above nor below
        raise unlike(place, f"≤ {MAX_NUMBER}")
    elif value is not None and not isinstance(value, str | int | float):
        raise unlike(place, "JSON")


def unlike(place: str, expected: str) -> FormatError:
    """Return the error for an unexpected value at a place in a document."""
    return FormatError(phrase("error.data_field", place=place[:200], expected=expected))
