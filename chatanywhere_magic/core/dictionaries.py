"""Messages to the field's dictionaries, ``{"role": …, "content": …}``, and a strict reading of them.

The form is that of OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat/create), which
every provider here takes and other products export.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .errors import FormatError
from .i18n import phrase
from .messages import (
    Extras,
    Image,
    Message,
    MessageDict,
    Messages,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    encodable,
    user_content,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
MAX_MESSAGES: Final = 100_000
MAX_TEXT: Final = 20_000_000
MAX_NAME: Final = 10_000
_PICTURE: Final = re.compile(r"data:(image/[\w.+-]{1,100});base64,([A-Za-z0-9+/]*={0,2})", re.ASCII)
_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
_KNOWN: Final = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "refusal", "audio", "annotations"})


# --- writing --------------------------------------------------------------------------------------------------------


def to_dicts(messages: Iterable[Message], owner: tuple[str, str] = ("", ""), *, images: bool = True) -> Messages:
    """Return messages as dictionaries.

    Parameters
    ----------
    owner : tuple of str
        Provider and address that they go to: only extras of these are among them. By default there are none.
    images : bool, default True
        False leaves pictures out, for a provider that takes none.
    """
    return [each for message in messages for each in _message_to_dicts(message, owner, images=images)]


def _message_to_dicts(message: Message, owner: tuple[str, str], *, images: bool) -> Messages:
    if message.role == "tool":
        return _results_to_dicts(message.tool_results, images=images)
    if message.role == "assistant":
        return [_assistant_to_dict(message, owner)]
    attachments = [part for part in message.attachments if images or not isinstance(part, Image)]
    return [MessageDict(role=message.role, content=user_content(message.text, attachments))]


def _assistant_to_dict(message: Message, owner: tuple[str, str]) -> MessageDict:
    written: dict[str, Any] = {"role": "assistant", "content": message.text}
    if calls := message.tool_calls:
        written["tool_calls"] = [
            {
                **_owned(call.extras, owner),
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    return {**_owned(message.extras, owner), **written}  # type: ignore[typeddict-item]  # extras are the provider's own


def _owned(extras: Extras | None, owner: tuple[str, str]) -> Mapping[str, Any]:
    return extras.fields if extras is not None and extras.belongs_to(owner) else {}


def _results_to_dicts(results: Iterable[ToolResult], *, images: bool) -> Messages:
    """Return one message a result. Pictures follow in a message of the person's: a result may hold text alone."""
    written: Messages = []
    pictures: list[Image] = []
    for result in results:
        said = MessageDict(role="tool", tool_call_id=result.call_id, content=result.text)
        if result.name:
            said["name"] = result.name
        written.append(said)
        pictures += result.images
    if pictures and images:
        written.append(MessageDict(role="user", content=user_content("", pictures)))
    return written


# --- reading --------------------------------------------------------------------------------------------------------


def from_dicts(messages: Any, owner: tuple[str, str] | None = None) -> list[Message]:
    """Return the messages of dictionaries that anybody may have written.

    Parameters
    ----------
    messages : list of dict
        ``{"role": …, "content": …}``, with the roles system (or developer), user, assistant and tool. Content is text
        or a list of parts: texts, and pictures as data URLs.
    owner : tuple of str, optional
        Provider and address to which further fields of an assistant's messages belong. Without, they are left out,
        and so are calls and results that name no function or call.

    Raises
    ------
    FormatError
        If they are something else; it names the place.
    """
    if not isinstance(messages, list | tuple) or len(messages) > MAX_MESSAGES:
        raise _unlike("messages", f"[…], ≤ {MAX_MESSAGES}")
    read: list[Message] = []
    for index, value in enumerate(messages):
        if owner is None and isinstance(value, dict) and value.get("role") == "tool" and "tool_call_id" not in value:
            continue
        message = _message_from_dict(value, f"messages[{index}]", owner)
        before = read[-1] if read and read[-1].role == "tool" else None
        if before is not None and message.role == "tool":
            read[-1] = Message("tool", (*before.parts, *message.parts))
        elif before is not None and message.parts and all(isinstance(part, Image) for part in message.parts):
            read[-1] = _with_pictures(before, message)
        else:
            read.append(message)
    return read


def _with_pictures(results: Message, pictures: Message) -> Message:
    """Return results with the pictures that follow them, since a result in a dictionary holds text alone."""
    *others, last = results.tool_results
    images = tuple(part for part in pictures.parts if isinstance(part, Image))
    return Message("tool", (*others, replace(last, images=(*last.images, *images))))


def _message_from_dict(value: Any, place: str, owner: tuple[str, str] | None) -> Message:
    role = value.get("role") if isinstance(value, dict) else None
    if not isinstance(role, str) or role not in ROLES:
        raise _unlike(place, '{"role": "system" | "user" | "assistant" | "tool", "content": "…"}')
    content = _content(value.get("content"), f"{place}.content")
    match ROLES[role]:
        case "tool":
            call_id = _text(value.get("tool_call_id"), f"{place}.tool_call_id", MAX_NAME)
            name = _text(value.get("name", ""), f"{place}.name", MAX_NAME)
            pictures = tuple(part for part in content if isinstance(part, Image))
            words = "".join(part.text for part in content if isinstance(part, Text))
            return Message("tool", (ToolResult(call_id, words, name, images=pictures),))
        case "assistant":
            calls = _calls(value.get("tool_calls"), f"{place}.tool_calls", owner)
            return Message("assistant", (*content, *calls), _extras(value, _KNOWN, owner))
        case "system":
            return Message("system", content)
        case _:
            return Message("user", content)


def _content(value: Any, place: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(_text(value, place)),) if value else ()
    if not isinstance(value, list) or len(value) > MAX_MESSAGES:
        raise _unlike(place, '"…" | [{"type": "text", "text": "…"}]')
    parts: list[Part] = []
    for part in value:
        if not isinstance(part, dict):
            raise _unlike(place, '[{"type": "text", "text": "…"}]')
        if picture := _PICTURE.fullmatch(_address(part)):
            media_type, data = picture.groups()
            count = 1 + sum(isinstance(each, Image) for each in parts)
            name = f"{count}.{media_type.removeprefix('image/').partition('+')[0]}"
            parts.append(Image(name, media_type, data))
        elif part.get("type") in _TEXT_PARTS:
            if words := _text(part.get("text"), place):
                parts.append(Text(words))
        elif part.get("type") in {"thinking", "reasoning"} and isinstance(part.get("text"), str):
            parts.append(Reasoning(_text(part["text"], place)))
    return tuple(parts)


def _address(part: dict[str, Any]) -> str:
    """Return the address of a picture, ``""`` if the part is something else."""
    value = part.get("image_url")
    address = value.get("url") if isinstance(value, dict) else value
    return address if isinstance(address, str) else ""


def _calls(value: Any, place: str, owner: tuple[str, str] | None) -> list[ToolCall]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_MESSAGES:
        raise _unlike(place, '[{"id": "…", "function": {"name": "…", "arguments": "{…}"}}]')
    calls: list[ToolCall] = []
    for each in value:
        function = each.get("function") if isinstance(each, dict) else None
        if not isinstance(function, dict) and owner is None:
            continue  # other products' exports hold what was never a function's call
        if not isinstance(function, dict):
            raise _unlike(place, '[{"id": "…", "function": {"name": "…", "arguments": "{…}"}}]')
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # as some write it
            arguments = json.dumps(arguments, ensure_ascii=False)
        calls.append(
            ToolCall(
                _text(each.get("id"), f"{place}.id", MAX_NAME),
                _text(function.get("name"), f"{place}.function.name", MAX_NAME),
                _text(arguments or "", f"{place}.function.arguments"),
                _extras(each, frozenset({"id", "type", "function", "index"}), owner),
            )
        )
    return calls


def _extras(value: dict[str, Any], known: frozenset[str], owner: tuple[str, str] | None) -> Extras | None:
    further = {name: each for name, each in value.items() if name not in known and each is not None}
    return Extras(*owner, further) if owner is not None and further else None


def _text(value: Any, place: str, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise _unlike(place, f'"…", ≤ {limit}')
    return encodable(value)


def _unlike(place: str, expected: str) -> FormatError:
    return FormatError(phrase("error.data_field", place=place, expected=expected))
