"""Values that travel between every layer: messages in, deltas out. No behaviour, no identity."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import NotRequired

Content = str | list[dict[str, Any]]
"""A message's text; or, where a picture goes with it, a list of parts as OpenAI's protocol writes them."""


class Message(TypedDict):
    """One message as every provider takes it (the field's ``{"role", "content"}`` form)."""

    role: Literal["system", "user", "assistant"]
    content: Content
    tool_calls: NotRequired[list[dict[str, Any]]]


Messages = list[Message]
AsyncResult = AsyncGenerator[str, None]
"""What :meth:`AsyncGeneratorProvider.create_async_generator` returns: text chunks as they arrive."""


@dataclass(frozen=True)
class Attachment:
    """What goes to the model beside the question: a variable's summary, a file, a picture.

    Parameters
    ----------
    name : str
        What the person called it: ``@df``, ``photo.png``.
    kind : "text" or "image"
        Which of the following fields hold it.
    text : str
        What the model reads, for a text.
    media_type, data : str
        For a picture: ``image/png`` and the like, and its bytes in base64.
    """

    name: str
    kind: Literal["text", "image"] = "text"
    text: str = ""
    media_type: str = ""
    data: str = ""


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's reasoning, which is never part of the answer."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for, whole: its pieces are put together before it is yielded."""

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
    """The provider's own word that the answer is over.

    ``reason`` is the field's ``finish_reason``: ``stop``, ``length``, ``content_filter``, …
    An answer whose stream ends without one is incomplete.
    """

    reason: str


@dataclass(frozen=True)
class ModelName:
    """The model that really answers, as the provider names it."""

    name: str


@dataclass(frozen=True)
class Notice:
    """What the person should see while waiting ("loading the model …"); already in their language."""

    text: str


Delta = Text | Reasoning | ToolCall | Usage | Finish | ModelName | Notice
DeltaGenerator = AsyncGenerator[Delta, None]


def encodable(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD.

    A cell can hold half of a surrogate pair, which neither JSON over UTF-8 nor a database can carry.
    """
    # Hardly any text has one, and every piece of every answer comes through here.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def user_content(question: str, attachments: Iterable[Attachment] = ()) -> Content:
    """Return what the model is sent of a question with its attachments.

    Texts follow the question, each under its name; pictures are parts of their own
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
    """Return a model's answer as a message, with the calls of tools that it asks for.

    What a tool gave back follows it as ``{"role": "tool", "tool_call_id": …, "content": …}``
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
