"""OpenAI's messages: the messages that would be sent to a model, as JSON or JSON Lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import (
    Conversation,
    FormatError,
    Message,
    MessageDict,
    Turn,
    Version,
    codec,
    encodable_content,
    from_dicts,
    phrase,
    repaired,
    to_dicts,
    user_message,
)
from .shown import selected

if TYPE_CHECKING:
    from ..core import Messages


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
                messages.append(MessageDict(role="system", content=system))
            messages += to_dicts(repaired(version.messages))
    return [{**each, "content": encodable_content(each["content"])} for each in messages]


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


def _conversation(value: Any) -> Conversation:
    """Return the conversation of messages: a turn begins with each of the user's that follows a response."""
    turns: list[Turn] = []
    system = ""
    asked: list[Message] = []
    response: list[Message] = []

    def end() -> None:
        if asked or response:
            turns.append(Turn((_version(asked, response, system),)))
        asked.clear()
        response.clear()

    for message in from_dicts(value):
        if message.role == "system":
            end()
            system = message.text
        elif message.role == "user":
            if response:
                end()
            asked.append(message)
        elif message.parts:
            response.append(message)
    end()
    if not turns:
        raise FormatError(phrase("error.data_empty"))
    return Conversation(tuple(turns))


def _version(asked: list[Message], response: list[Message], system: str) -> Version:
    """Return the version of messages in a row."""
    prompts = asked or [user_message("")]
    is_complete = any(message.role == "assistant" for message in response)
    return Version(
        (*prompts, *response),
        len(prompts),
        status="complete" if is_complete else "interrupted",
        finish_reason="stop" if is_complete else "",
        system=system,
    )
