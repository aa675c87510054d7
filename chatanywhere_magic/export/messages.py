"""OpenAI's messages: the messages that would be sent to a model, as JSON or JSON Lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..core import Attachment, Conversation, FormatError, Message, Turn, Version, codec, encodable_content, phrase
from .shown import selected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core import Messages

_PICTURE: Final = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/]*={0,2})", re.ASCII)


def to_messages(conversation: Conversation) -> str:
    """Return the messages as a JSON array, with each system prompt where it starts to apply."""
    return codec.dumps(_messages(conversation), indent=2) + "\n"


def to_jsonl(conversation: Conversation) -> str:
    """Return the messages as one line of JSON, ``{"messages": […]}``, as for fine-tuning."""
    return codec.dumps({"messages": _messages(conversation)}) + "\n"


def _messages(conversation: Conversation) -> Messages:
    messages: Messages = []
    system = ""
    for turn in selected(conversation).turns:
        version = turn.current
        if version.is_sent:
            if version.system != system:
                system = version.system
                messages.append(Message(role="system", content=system))
            messages += version.messages
    return [Message(role=each["role"], content=encodable_content(each["content"])) for each in messages]


def from_messages(document: str | bytes) -> Conversation:
    """Return the conversation in a JSON array of messages, or in an object's ``messages``.

    Raises
    ------
    FormatError
        If it is something else.
    """
    value = codec.loads(document)
    return _conversation(value.get("messages") if isinstance(value, dict) else value)


def from_jsonl(document: str | bytes) -> Conversation:
    """Return the conversation in JSON Lines: one ``{"messages": […]}``, or one message per line.

    Raises
    ------
    FormatError
        If it is something else, or several conversations.
    """
    if isinstance(document, bytes):
        document = codec.decode(document)
    values = [codec.loads(line) for line in document.removeprefix("\ufeff").split("\n") if line.strip()]
    if len(values) == 1 and isinstance(values[0], dict) and "messages" in values[0]:
        return _conversation(values[0]["messages"])
    if any(isinstance(value, dict) and "messages" in value for value in values):
        raise FormatError(phrase("error.data_several", count=len(values)))
    return _conversation(values)


@dataclass
class _Said:
    """One side's words, put together from several messages in a row."""

    texts: list[str] = field(default_factory=list)
    pictures: list[Attachment] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n\n".join(self.texts)


def _conversation(messages: Any) -> Conversation:
    turns: list[Turn] = []
    system = ""
    question, answer = _Said(), _Said()

    def end() -> None:
        nonlocal question, answer
        if question.texts or question.pictures or answer.texts:
            version = Version(
                question.text,
                answer.text,
                status="complete" if answer.texts else "interrupted",
                finish_reason="stop" if answer.texts else "",
                system=system,
                attachments=tuple(question.pictures),
            )
            turns.append(Turn((version,)))
        question, answer = _Said(), _Said()

    for role, words, pictures in _read(messages):
        if role in {"system", "developer"}:
            end()
            system = words
        elif role == "user":
            if answer.texts:
                end()
            question.texts.append(words)
            question.pictures += pictures
        elif role == "assistant" and words:
            answer.texts.append(words)
    end()
    if not turns:
        raise FormatError(phrase("error.data_empty"))
    return Conversation(tuple(turns))


def _read(messages: Any) -> Iterator[tuple[str, str, list[Attachment]]]:
    """Yield role, text and pictures of each message. What tools were asked and said is left out."""
    if not isinstance(messages, list) or len(messages) > codec.MAX_ITEMS:
        raise codec.unlike("messages", f"[…], ≤ {codec.MAX_ITEMS}")
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise codec.unlike(place, '{"role": "…", "content": "…"}')
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        texts: list[str] = []
        pictures: list[Attachment] = []
        for part in parts:
            if not isinstance(part, dict):
                raise codec.unlike(f"{place}.content", '[{"type": "text", "text": "…"}]')
            picture = _PICTURE.fullmatch(_address(part))
            if picture:
                media_type, data = picture.groups()
                name = f"{len(pictures) + 1}.{media_type.removeprefix('image/').partition('+')[0]}"
                pictures.append(Attachment(name, "image", media_type=media_type, data=data))
            elif part.get("type") in {"text", "input_text", "output_text"}:
                texts.append(codec.checked_text(part.get("text"), f"{place}.content"))
        yield message["role"], "".join(texts), pictures


def _address(part: dict[str, Any]) -> str:
    """Return the address of a picture, ``""`` if the part is none."""
    value = part.get("image_url")
    address = value.get("url") if isinstance(value, dict) else value
    return address if isinstance(address, str) else ""
