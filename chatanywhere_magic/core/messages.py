"""Values passed between all layers: messages in, deltas out. No behaviour, no identity."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import NotRequired

Content = str | list[dict[str, Any]]
"""A message's text or, if it has pictures, a list of parts in OpenAI's form."""


class Message(TypedDict):
    """One message in the form that every provider accepts, ``{"role", "content"}``."""

    role: Literal["system", "user", "assistant"]
    content: Content
    tool_calls: NotRequired[list[dict[str, Any]]]


Messages = list[Message]
AsyncResult = AsyncGenerator[str, None]
"""What :meth:`AsyncGeneratorProvider.create_async_generator` returns: text chunks as they arrive."""


@dataclass(frozen=True)
class Attachment:
    """Something sent with a prompt: a variable's summary, a file or a picture.

    Parameters
    ----------
    name : str
        The name the user gave: ``@df``, ``photo.png``.
    kind : "text" or "image"
        Which of the following fields are used.
    text : str
        The text that the model reads.
    media_type, data : str
        A picture's media type, such as ``image/png``, and its bytes in base64.
    """

    name: str
    kind: Literal["text", "image"] = "text"
    text: str = ""
    media_type: str = ""
    data: str = ""


@dataclass(frozen=True)
class Text:
    """A piece of the response's text."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's reasoning, which is not part of the response's text."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A complete tool call by the model: its pieces are joined before it is yielded."""

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
    """The end of the response, as reported by the provider.

    ``reason`` is the field's ``finish_reason``: ``stop``, ``length``, ``content_filter``, …
    A response whose stream ends without one is incomplete.
    """

    reason: str


@dataclass(frozen=True)
class ModelName:
    """The name of the model that actually answers, as the provider reports it."""

    name: str


@dataclass(frozen=True)
class Notice:
    """A notice to show while waiting ("loading the model …"), in the user's language."""

    text: str


Delta = Text | Reasoning | ToolCall | Usage | Finish | ModelName | Notice
DeltaGenerator = AsyncGenerator[Delta, None]


def encodable(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD.

    A cell can hold half of a surrogate pair, which neither JSON over UTF-8 nor a database can carry.
    """
    # Hardly any text has one, and every piece of every response comes through here.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def user_content(question: str, attachments: Iterable[Attachment] = ()) -> Content:
    """Return the message content of a prompt with its attachments.

    Texts follow the prompt, each under its name; pictures are separate parts
    (https://platform.openai.com/docs/guides/images-vision).
    """
    attachments = tuple(attachments)
    words = "\n\n".join([question, *(_as_text(each) for each in attachments if each.kind == "text")])
    images = [each for each in attachments if each.kind == "image"]
    if not images:
        return words
    return [
        {"type": "text", "text": words},
        *(
            {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
            for image in images
        ),
    ]


def _as_text(attachment: Attachment) -> str:
    # Longer than any fence inside, or the text could end its own quotation.
    longest = max((len(run) for run in re.findall("`+", attachment.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{attachment.name}:\n{fence}\n{attachment.text}\n{fence}"


def answer_message(answer: str, calls: Iterable[ToolCall] = ()) -> Message:
    """Return a response as an assistant message, with its tool calls.

    The result of a tool follows it as ``{"role": "tool", "tool_call_id": …, "content": …}``
    (https://platform.openai.com/docs/guides/function-calling).
    """
    message = Message(role="assistant", content=answer)
    asked = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    if asked:
        message["tool_calls"] = asked
    return message


def encodable_content(content: Content) -> Content:
    """Return a message's content with lone surrogates as U+FFFD; see :func:`encodable`."""
    if isinstance(content, str):
        return encodable(content)
    return [
        {**part, "text": encodable(part["text"])} if isinstance(part.get("text"), str) else part for part in content
    ]


def content_text(content: Content) -> str:
    """Return the text of a message's content, without its pictures."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
