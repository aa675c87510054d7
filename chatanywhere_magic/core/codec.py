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

from .conversation import Conversation, Origin, Status, Timing, Version
from .errors import Failure, FormatError
from .i18n import Phrase, phrase
from .messages import (
    Attachment,
    Document,
    Extras,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    encodable,
)
from .turns import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Messages

FORMAT: Final = "chatanywhere-conversation"
SCHEMA: Final = 2
"""Counted up when what is written can no longer be read by what was released before."""

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
    """Return a version as JSON values: prompt, text and status always, the rest where it says something.

    One prompt and one response are written as such. ``messages`` says the rest, where there is more: results of tools,
    several responses, what a provider wants back.
    """
    usage, timing, origin = version.usage, version.timing, version.origin
    written: dict[str, Any] = {
        "prompt": encodable(version.prompt),
        "text": encodable(version.text),
        "status": version.status,
        **_contents(version),
        **_said(
            provider=encodable(version.provider),
            model=encodable(version.model),
            finish_reason=encodable(version.finish_reason),
            error=_failure_to_json(version.error) if version.error else None,
            timing=_given(started=timing.started or None, first_text=timing.first_text, total=timing.total),
            origin=_said(
                source=origin.source if origin.source != Origin.source else "",
                cell_id=encodable(origin.cell_id),
                ordinal=origin.ordinal,
            ),
            system=encodable(version.system),
            parameters={encodable(name): _plain(value) for name, value in version.parameters},
            left_out=version.left_out,
            summary=encodable(version.summary),
            sent_tokens=version.sent_tokens,
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


def _contents(version: Version) -> dict[str, Any]:
    """Return what goes with prompt and text: each part by its name, or all messages in order."""
    attachments, calls = version.attachments, version.tool_calls
    plain = Version.of(
        version.prompt, version.text, version.reasoning, attachments=attachments, tool_calls=calls
    ).messages
    if version.asked == 1 and version.messages == plain:
        return _said(
            reasoning=encodable(version.reasoning),
            attachments=[_part_to_json(each) for each in attachments],
            tool_calls=[_part_to_json(call) for call in calls],
        )
    messages = [message_to_json(message) for message in version.messages]
    return {"messages": messages, **({} if version.asked == 1 else {"asked": version.asked})}


def message_to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON values, with everything that its provider wants back."""
    return {
        "role": message.role,
        "parts": [{"type": _TYPES[type(part)], **_part_to_json(part)} for part in message.parts],
        **_said(extras=_extras_to_json(message.extras)),
    }


_TYPES: Final[dict[type[Part], str]] = {
    Text: "text",
    Reasoning: "reasoning",
    Image: "image",
    Document: "document",
    ToolCall: "tool_call",
    ToolResult: "tool_result",
}


def _part_to_json(part: Part) -> dict[str, Any]:
    written: dict[str, Any] = {
        name: encodable(value) if isinstance(value, str) else value for name, value in vars(part).items()
    }
    match part:
        case Image():
            written["kind"] = part.kind
        case ToolCall():
            written["extras"] = _extras_to_json(part.extras)
        case ToolResult():
            written["images"] = [_part_to_json(image) for image in part.images]
    required = {"name"} if isinstance(part, Image | Document) else {"text"} if isinstance(part, Text) else set()
    return {name: value for name, value in written.items() if value or name in required}


def _extras_to_json(extras: Extras | None) -> dict[str, Any] | None:
    if extras is None:
        return None
    return {"provider": extras.provider, "address": extras.address, "fields": _plain(extras.fields)}


def _failure_to_json(failure: Failure) -> dict[str, Any]:
    return {
        **_said(kind=failure.kind),
        **_message_of_failure(failure.message),
        **_given(status=failure.status, retry_after=failure.retry_after),
    }


def failure_to_json(failure: Failure) -> dict[str, Any]:
    """Return a failure as JSON values."""
    return _failure_to_json(failure)


def failure_from_json(value: Any) -> Failure:
    """Return the failure in JSON values; raise ``FormatError`` if there is none."""
    return _failure(_Fields({"error": value}, "")) or Failure("", "")


def _message_of_failure(message: str | Phrase) -> dict[str, Any]:
    if isinstance(message, Phrase):
        return {"key": message.key, **_said(fields={name: _field(value) for name, value in message.fields.items()})}
    return {"text": encodable(message)}


def _field(value: Any) -> Any:
    if isinstance(value, Phrase):
        return _message_of_failure(value)
    return value if isinstance(value, int | float) and abs(value) <= MAX_NUMBER else encodable(str(value))


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
        error=_shareable_failure(version.error) if version.error else None,
        # VS Code names a cell by the address of its notebook's file.
        origin=replace(version.origin, cell_id="") if re.search(r"[\\/]", place) else version.origin,
        messages=tuple(
            replace(message, parts=tuple(map(_shareable_part, message.parts))) for message in version.messages
        ),
    )


def _shareable_part(part: Part) -> Part:
    if isinstance(part, Image | Document):
        return replace(part, name=re.split(r"[\\/]", part.name.rstrip("\\/"))[-1])
    return part


def _shareable_failure(failure: Failure) -> Failure:
    message = failure.message
    if isinstance(message, str):
        return replace(failure, message=_DIRECTORIES.sub("", message))
    fields = {
        name: _DIRECTORIES.sub("", value) if isinstance(value, str) else value for name, value in message.fields.items()
    }
    return replace(failure, message=Phrase(message.key, fields))


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
    messages, asked = _messages(fields)
    return Version(
        messages,
        asked,
        status=fields.word("status", get_args(Status), "complete"),
        provider=fields.text("provider", limit=MAX_NAME),
        model=fields.text("model", limit=MAX_NAME),
        finish_reason=fields.text("finish_reason", limit=MAX_NAME),
        usage=None
        if usage is None
        else Usage(**{each.name: usage.maybe_count(each.name) for each in dataclass_fields(Usage)}),
        error=_failure(fields),
        timing=Timing(timing.number("started") or 0.0, timing.number("first_text"), timing.number("total")),
        origin=Origin(
            origin.word("door" if origin.has("door") else "source", ("cell", "panel", "api"), Origin.source),
            origin.text("cell_id", limit=MAX_NAME),
            origin.count("ordinal"),
        ),
        system=fields.text("system"),
        temperature=fields.number("temperature"),
        parameters=parameters.plain(),
        left_out=fields.count("left_out"),
        summary=fields.text("summary"),
        sent_tokens=fields.count("sent_tokens"),
        replayed=fields.flag("replayed"),
        fingerprint=fields.text("fingerprint", limit=MAX_NAME),
        history=fields.flag("history", default=True),
    )


def _messages(fields: _Fields) -> tuple[tuple[Message, ...], int]:
    """Return a version's messages, and how many of them are its prompt."""
    if not fields.has("messages"):
        # Schema 1 said "question" and "answer".
        plain = Version.of(
            fields.text("question" if fields.has("question") else "prompt"),
            fields.text("answer" if fields.has("answer") else "text"),
            fields.text("reasoning"),
            attachments=[_attachment(each) for each in fields.each("attachments")],
            tool_calls=[_tool_call(each) for each in fields.each("tool_calls")],
        )
        return plain.messages, plain.asked
    messages = tuple(_message(each) for each in fields.each("messages"))
    asked = fields.count("asked") if fields.has("asked") else 1
    if not 0 < asked <= len(messages):
        raise unlike(fields.at("asked"), f"1 … {len(messages)}")
    return messages, asked


def message_from_json(value: Any, place: str = "message") -> Message:
    """Return the message that JSON values describe; see :func:`conversation_from_json`."""
    return _message(_Fields(value, place))


def _message(fields: _Fields) -> Message:
    role = fields.word("role", get_args(Role), "")
    return Message(role, tuple(_part(each) for each in fields.each("parts")), _extras(fields.inner("extras")))


def _part(fields: _Fields) -> Part:
    match fields.word("type", tuple(_TYPES.values()), ""):
        case "text":
            return Text(fields.text("text"))
        case "reasoning":
            return Reasoning(fields.text("text"))
        case "tool_call":
            return _tool_call(fields)
        case "tool_result":
            return ToolResult(
                fields.text("call_id", limit=MAX_NAME),
                fields.text("text"),
                fields.text("name", limit=MAX_NAME),
                is_error=fields.flag("is_error"),
                images=tuple(_image(each) for each in fields.each("images")),
                approval=fields.text("approval", limit=MAX_NAME),
            )
        case "image":
            return _image(fields)
        case _:
            return Document(fields.text("name", limit=MAX_NAME), fields.text("text"))


def _tool_call(fields: _Fields) -> ToolCall:
    return ToolCall(
        fields.text("id", limit=MAX_NAME),
        fields.text("name", limit=MAX_NAME),
        fields.text("arguments"),
        _extras(fields.inner("extras")),
    )


def _extras(fields: _Fields | None) -> Extras | None:
    if fields is None:
        return None
    inner = fields.inner("fields") or _Fields({}, "")
    return Extras(fields.text("provider", limit=MAX_NAME), fields.text("address", limit=MAX_NAME), dict(inner.plain()))


def _attachment(fields: _Fields) -> Attachment:
    # Schema 1 called a document a text.
    if fields.word("kind", ("text", "document", "image"), "document") == "image":
        return _image(fields)
    return Document(fields.text("name", limit=MAX_NAME), fields.text("text"))


def _image(fields: _Fields) -> Image:
    media_type, data = fields.text("media_type", limit=MAX_NAME), fields.text("data")
    # They become part of a data: URL.
    if not re.fullmatch(r"(?:[\w.+-]+/[\w.+-]+)?", media_type, re.ASCII):
        raise unlike(fields.at("media_type"), "image/png")
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", data):
        raise unlike(fields.at("data"), "base64")
    return Image(fields.text("name", limit=MAX_NAME), media_type, data)


def _failure(fields: _Fields) -> Failure | None:
    if fields.is_text("error"):  # as schema 1 had it: words in the language of then
        words = fields.text("error")
        return Failure("", words) if words else None
    inner = fields.inner("error")
    if inner is None:
        return None
    status = inner.maybe_count("status")
    kind = inner.text("kind", limit=MAX_NAME)
    return Failure(kind, _failure_message(inner), status, inner.number("retry_after"))


def _failure_message(fields: _Fields, depth: int = 0) -> str | Phrase:
    """Return the message of a failure; a phrase only if it can be put into words here."""
    if not fields.has("key") or depth > MAX_DEPTH:
        return fields.text("text")
    inner = fields.inner("fields") or _Fields({}, "")
    filled = {
        name: _failure_message(_Fields(value, fields.at(name)), depth + 1) if isinstance(value, dict) else value
        for name, value in inner.plain()
    }
    message = Phrase(fields.text("key", limit=MAX_NAME), filled)
    try:
        str(message)
    except (LookupError, ValueError, TypeError):  # a text that this version does not have, or with other fields
        return message.key
    return message


class _Fields:
    """A JSON object whose fields are read with the expected types; a missing field has its default."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise unlike(place, "{…}")
        self._value = value
        self._place = place

    def text(self, name: str, *, limit: int = MAX_TEXT) -> str:
        return checked_text(self._value.get(name, ""), self.at(name), limit)

    def word(self, name: str, allowed: tuple[Any, ...], default: Any) -> Any:
        value = self._value.get(name, default)
        # Not `in` alone: 1 == True, and a list is in no set.
        if not isinstance(value, str) or value not in allowed:
            raise unlike(self.at(name), " | ".join(allowed))
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise unlike(self.at(name), "true | false")
        return value

    def count(self, name: str) -> int:
        return self.maybe_count(name) or 0

    def maybe_count(self, name: str) -> int | None:
        return checked_count(self._value.get(name), self.at(name))

    def number(self, name: str) -> float | None:
        value = self._value.get(name)
        if value is None:
            return None
        # Compared before it is converted, because a whole number may be too large for that; NaN fails every comparison.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMBER:
            raise unlike(self.at(name), "≥ 0")
        return float(value)

    def items(self, name: str) -> list[Any]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise unlike(self.at(name), f"[…], ≤ {MAX_ITEMS}")
        return value

    def each(self, name: str) -> list[_Fields]:
        """Return the objects of a list."""
        return [_Fields(value, f"{self.at(name)}[{index}]") for index, value in enumerate(self.items(name))]

    def has(self, name: str) -> bool:
        return name in self._value

    def is_text(self, name: str) -> bool:
        return isinstance(self._value.get(name), str)

    def inner(self, name: str) -> _Fields | None:
        value = self._value.get(name)
        return None if value is None else _Fields(value, self.at(name))

    def plain(self) -> tuple[tuple[str, Any], ...]:
        """Return all fields, whatever their names."""
        if len(self._value) > MAX_ITEMS:
            raise unlike(self._place, f"{{…}}, ≤ {MAX_ITEMS}")
        for name, value in self._value.items():
            if not isinstance(name, str):
                raise unlike(self._place, '{"…": …}')
            _check_plain(value, self.at(name))
        return tuple(
            sorted(((encodable(name), _plain(value)) for name, value in self._value.items()), key=itemgetter(0))
        )

    def at(self, name: str) -> str:
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
