"""Values that travel between every layer: messages with parts in, deltas out. No behaviour, no identity.

A message has two forms. Inside the package it is a :class:`Message`, a role and its parts in order. Providers
take, and people write, the field's dictionaries, ``{"role": …, "content": …}``; :mod:`.dictionaries` turns one
into the other.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import NotRequired

Role = Literal["system", "user", "assistant", "tool"]

Content = str | list[dict[str, Any]]
"""A message's text or, if it has pictures, a list of parts in OpenAI's form."""


class MessageDict(TypedDict):
    """One message as every provider takes it (the field's ``{"role", "content"}`` form)."""

    role: Role
    content: Content
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


Messages = list[MessageDict]
AsyncResult = AsyncGenerator[str, None]
"""What :meth:`AsyncGeneratorProvider.create_async_generator` returns: text chunks as they arrive."""


@dataclass(frozen=True)
class Extras:
    """What a provider wants back untouched: opaque, never shown, and returned to nobody else.

    Parameters
    ----------
    provider, address : str
        The provider that sent it, and the address at which it was asked.
    fields : mapping
        JSON values by name, as they came: DeepSeek's ``reasoning_content``, Gemini's ``extra_content`` and the like.
    """

    provider: str
    address: str
    fields: Mapping[str, Any]

    def belongs_to(self, owner: tuple[str, str]) -> bool:
        """Whether they came from this provider, at this address. What came from nobody goes back to nobody."""
        return any(owner) and (self.provider, self.address) == owner


# --- parts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """Text of a message; as a delta, a piece of the response."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """The model's reasoning, which is never part of the response; as a delta, a piece of it."""

    text: str


@dataclass(frozen=True)
class Image:
    """A picture that goes with a prompt, or comes out of a tool.

    Parameters
    ----------
    name : str
        What the person called it: ``@figure``, ``photo.png``.
    media_type, data : str
        ``image/png`` and the like, and the bytes in base64.
    """

    kind: ClassVar[Literal["image"]] = "image"

    name: str
    media_type: str
    data: str


@dataclass(frozen=True)
class Document:
    """A text that goes with a prompt: a variable's summary, a file.

    Parameters
    ----------
    name : str
        What the person called it: ``@df``, ``notes.txt``.
    text : str
        What the model reads.
    """

    kind: ClassVar[Literal["document"]] = "document"

    name: str
    text: str


Attachment = Image | Document
"""What goes to the model beside the prompt."""


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for, complete: its fragments are joined before it is yielded."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""
    extras: Extras | None = None


@dataclass(frozen=True)
class ToolResult:
    """What came of a call.

    Parameters
    ----------
    call_id : str
        The call's id.
    text : str
        What the model reads.
    name : str
        The tool's name; some servers want it back.
    is_error : bool
        Whether the call failed.
    images : tuple of Image
        Pictures that the tool made.
    approval : str
        How the person allowed the call: ``once``, ``always``, or ``no``; ``""`` where nobody was asked.
    """

    call_id: str
    text: str
    name: str = ""
    is_error: bool = False
    images: tuple[Image, ...] = ()
    approval: str = ""


Part = Text | Image | Document | Reasoning | ToolCall | ToolResult


@dataclass(frozen=True)
class Message:
    """A role and its parts, in order."""

    role: Role
    parts: tuple[Part, ...] = ()
    extras: Extras | None = None

    @property
    def text(self) -> str:
        """The text of its parts, without reasoning, documents and results."""
        return "".join([part.text for part in self.parts if isinstance(part, Text)])

    @property
    def reasoning(self) -> str:
        """The reasoning of its parts."""
        return "".join([part.text for part in self.parts if isinstance(part, Reasoning)])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that it asks for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results that it brings."""
        return tuple(part for part in self.parts if isinstance(part, ToolResult))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Its pictures and documents."""
        return tuple(part for part in self.parts if isinstance(part, Image | Document))


def user_message(prompt: str, attachments: Iterable[Attachment] = ()) -> Message:
    """Return a person's prompt as a message, with what goes beside it."""
    return Message("user", (*((Text(prompt),) if prompt else ()), *attachments))


def repaired(messages: Iterable[Message]) -> list[Message]:
    """Return messages that every server takes: each call is followed at once by its result.

    A call without a result gets one that says it was interrupted. A result without a call is left out, and so is a
    message of the model's that says nothing. What is recorded stays as it is: this is for the copy that is sent.
    """
    sent: list[Message] = []
    waiting: dict[str, ToolCall] = {}

    def end() -> None:
        missing = tuple(ToolResult(call.id, INTERRUPTED, call.name, is_error=True) for call in waiting.values())
        waiting.clear()
        if missing:
            if sent[-1].role == "tool":
                sent[-1] = Message("tool", (*sent[-1].parts, *missing))
            else:
                sent.append(Message("tool", missing))

    for message in messages:
        if message.role == "tool":
            results = tuple(result for result in message.tool_results if waiting.pop(result.call_id, None))
            if results and sent[-1].role == "tool":
                sent[-1] = Message("tool", (*sent[-1].parts, *results))
            elif results:
                sent.append(Message("tool", results))
            continue
        if message.role == "assistant" and not (message.text or message.tool_calls):
            continue
        end()
        sent.append(message)
        waiting.update({call.id: call for call in message.tool_calls})
    end()
    return sent


INTERRUPTED = "interrupted"
"""What a model reads as the result of a call that has none."""


# --- deltas ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextWasReasoning:
    """All text of this message so far was reasoning, as the provider sees only now.

    Some servers mark only where reasoning ends.
    """


@dataclass(frozen=True)
class Usage:
    """Token counts as the provider reported them; ``None`` where it did not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """The prompt's tokens that the server had read before. Most servers count them in `prompt_tokens`, too."""


@dataclass(frozen=True)
class Finish:
    """The provider's own statement that the response is over.

    ``reason`` is the field's ``finish_reason``: ``stop``, ``length``, ``content_filter``, …
    A response whose stream ends without one is incomplete.
    """

    reason: str


@dataclass(frozen=True)
class ModelName:
    """The model that really responds, as the provider names it."""

    name: str


@dataclass(frozen=True)
class Notice:
    """A notice to show while waiting ("loading the model …"), in the user's language."""

    text: str


Delta = Text | Reasoning | TextWasReasoning | ToolCall | Extras | Usage | Finish | ModelName | Notice
DeltaGenerator = AsyncGenerator[Delta, None]


def encodable(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD.

    A cell can hold half of a surrogate pair, which neither JSON over UTF-8 nor a database can carry.
    """
    # Hardly any text has one, and every piece of every response comes through here.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def user_content(prompt: str, attachments: Iterable[Attachment] = ()) -> Content:
    """Return what the model is sent of a prompt with its attachments.

    Documents follow the prompt, each under its name; pictures are parts of their own
    (https://platform.openai.com/docs/guides/images-vision).
    """
    attachments = tuple(attachments)
    texts = [_as_text(each) for each in attachments if isinstance(each, Document)]
    words = "\n\n".join([prompt, *texts] if prompt or not texts else texts)
    images = [each for each in attachments if isinstance(each, Image)]
    if not images:
        return words
    return [
        {"type": "text", "text": words},
        *(
            {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
            for image in images
        ),
    ]


def _as_text(document: Document) -> str:
    # Longer than any fence inside, or the text could end its own quotation.
    longest = max((len(run) for run in re.findall("`+", document.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{document.name}:\n{fence}\n{document.text}\n{fence}"


def encodable_content(content: Content) -> Content:
    """Return a message's content with lone surrogates as U+FFFD; see :func:`encodable`."""
    if isinstance(content, str):
        return encodable(content)
    return [
        {**part, "text": encodable(part["text"])} if isinstance(part.get("text"), str) else part for part in content
    ]


def content_text(content: Content | None) -> str:
    """Return the text of a message's content, without its pictures."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if isinstance(part.get("text"), str))
