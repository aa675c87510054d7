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
    return conversation_of(codec.loads(document))


def lines_of(document: str | bytes) -> list[Any]:
    """Return the values in JSON Lines."""
    if isinstance(document, bytes):
        document = codec.decode(document)
    return [codec.loads(line) for line in document.removeprefix("\ufeff").split("\n") if line.strip()]


def conversation_of(value: Any, title: str = "") -> Conversation:
    """Return the conversation of messages: a turn begins with each of the user's that follows a response.

    System prompts in a row are one.
    """
    turns: list[Turn] = []
    system = ""
    asked: list[Message] = []
    response: list[Message] = []

    def end() -> None:
        if asked or response:
            turns.append(Turn((_version(asked, response, system),)))
        asked.clear()
        response.clear()

    is_system = False
    for message in from_dicts(_messages_in(value)):
        is_further, is_system = is_system, message.role == "system"
        if is_system:
            end()
            system = "\n\n".join(filter(None, (system if is_further else "", message.text)))
        elif message.role == "user":
            if response:
                end()
            asked.append(message)
        elif message.parts:
            response.append(message)
    end()
    if not turns:
        raise FormatError(phrase("error.data_empty"))
    return Conversation(tuple(turns), title)


def _messages_in(value: Any) -> Any:
    """Return messages, or an object's, with the system prompt that stands beside them in Anthropic's requests."""
    if not isinstance(value, dict):
        return value
    system, messages = value.get("system"), value.get("messages")
    beside = [{"role": "system", "content": system}] if isinstance(system, str | list) else []
    return [*beside, *messages] if isinstance(messages, list) else messages


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
