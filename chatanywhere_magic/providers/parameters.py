"""Parameters: send a model what it accepts, by what its refusals teach.

What we send by ourselves is left out where it is refused, once and visibly. What the person set is never left out: at
most it goes under another name. The rest is an error that names the option.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    BadRequestError,
    ChatError,
    DeltaGenerator,
    NotFoundError,
    Notice,
    TooLargeError,
    content_text,
    phrase,
    text,
)
from . import lessons
from .wire.refusals import said_by_server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

MAX_LESSONS_A_PROMPT: Final = 4
_OTHER_NAMES: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Fields that mean the same; a model accepts one of them."""
_OPTIONS: Final = {
    "image_url": "-a/--attach",
    "max_completion_tokens": "--max-tokens",
    "max_output_tokens": "--max-tokens",
    "max_tokens": "--max-tokens",
    "reasoning": "--effort",
    "reasoning_effort": "--effort",
    "temperature": "-t/--temperature",
}
"""What the person types for a field."""
_FIRST: Final = ("stream_options", "response_format", "max_tokens", "max_completion_tokens", "temperature")
"""Looked for in a server's words before other fields, whose names are everyday words."""
_NEVER: Final = frozenset({"model", "messages", "input", "stream"})
_SYSTEM: Final = "system"
_PICTURE: Final = "image_url"
_SUMMARY: Final = "reasoning.summary"
_MAX_VALUE: Final = 40

_REFUSING: Final = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|extra|permitted|invalid|not allowed|deprecated|must|should|between"
    r"|range|cannot|can't|at (?:most|least)|不支持|无效|未知|参数",
    re.IGNORECASE,
)
_NO_STREAM: Final = re.compile(
    r"verified to stream|\bstream(?:ing)?\b[^.]{0,40}(?:not (?:support|allow|enabled)|unsupported)"
    r"|not support[^.]{0,20}\bstream(?:ing)?\b",
    re.IGNORECASE,
)
_NO_SYSTEM: Final = re.compile(
    r"\bsystem[ '\"`]{1,2}(?:role|message|prompt|instruction)|\bdeveloper[ '\"`]{1,2}(?:role|message|instruction)"
    r"|role\b[^.]{0,60}\bsystem\b|does not support '(?:system|developer)'|roles must alternate",
    re.IGNORECASE,
)
_NO_PICTURE: Final = re.compile(r"\bimage|\bvision\b|multi-?modal|图片|图像|视觉|多模态", re.IGNORECASE)
_NO_SUMMARY: Final = re.compile(r"reasoning[. _]summar", re.IGNORECASE)
_NO_ENCRYPTED: Final = re.compile(r"encrypted[ _]content", re.IGNORECASE)
_LONGER: Final = 2_000
"""More words than any refusal of a parameter has are not looked through."""

Body = dict[str, Any]


class Parameters:
    """The body of one request, as far as it is known what the model accepts of it.

    Parameters
    ----------
    body : dict
        The request's body.
    place : tuple of str
        Provider, address and model, where what is learned belongs.
    optional : collection of str
        Fields that nobody typed: they may be left out.
    """

    def __init__(self, body: Mapping[str, Any], place: tuple[str, str, str], optional: Collection[str]) -> None:
        self.body: Body = dict(body)
        self._place = place
        # Where structured output is asked for in the Responses protocol.
        self._optional = {*optional, "text"} if "response_format" in optional else optional
        self._pending: list[tuple[str, str]] = []
        for name, instead in lessons.known(*self._place).items():
            self._apply(name, instead)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._place[2]

    def learn(self, error: ChatError) -> Notice | None:
        """Change the body by what a refusal says, and return what to tell the person; None if it helps nothing."""
        if len(self._pending) >= MAX_LESSONS_A_PROMPT:
            return None
        name = self._refused(error)
        if not name:
            return None
        instead = _OTHER_NAMES.get(name, "") if self._has_other_name(name, error) else ""
        if name == _SYSTEM:
            instead = "user"
        if not self._apply(name, instead):
            return None
        self._pending.append((name, instead))
        return Notice(self._described(name, instead))

    def _described(self, name: str, instead: str) -> str:
        if name == _SYSTEM:
            return text("notice.system_in_prompt", model=self.model)
        if name == _PICTURE:
            return text("notice.without_pictures", model=self.model)
        if instead:
            return text("notice.other_parameter", model=self.model, name=name, instead=instead)
        return text("notice.without_parameter", model=self.model, name=name)

    def confirm(self) -> None:
        """Remember what was learned, since the model answered."""
        for name, instead in self._pending:
            lessons.remember(*self._place, name, instead)
        self._pending.clear()

    def explained(self, error: ChatError) -> ChatError:
        """Return `error`, or one that names the option of the person's that was refused."""
        name = self._refused(error)
        if name not in self.body and not (name == _PICTURE and self._has_pictures(self.body["messages"])):
            return error
        value = self.body.get(name)
        shown = str(value) if isinstance(value, str | int | float) else ""
        given = f"{_OPTIONS.get(name, name)} {shown if len(shown) <= _MAX_VALUE else ''}".rstrip()
        explained = BadRequestError(
            phrase(
                "error.parameter",
                model=self.model,
                given=given,
                status=error.status or "?",
                said=said_by_server(error.server_message),
            ),
            status=error.status,
            server_message=error.server_message,
            request_id=error.request_id,
        )
        explained.parameter = name
        return explained

    # --- what was refused -----------------------------------------------------------------------------------------

    def _refused(self, error: ChatError) -> str:
        """Return the field of the body that an error is about, ``""`` if it is about none."""
        words = error.server_message[:_LONGER]
        messages = self.body.get("messages")
        if isinstance(error, BadRequestError | NotFoundError) and isinstance(messages, list):
            is_refusing = _REFUSING.search(words) or "not " in words
            if _NO_PICTURE.search(words) and is_refusing and self._has_pictures(messages):
                return _PICTURE
        if not isinstance(error, BadRequestError) or isinstance(error, TooLargeError):
            return ""
        return self._of_reasoning(error, words) or self._named(error, words)

    def _of_reasoning(self, error: BadRequestError, words: str) -> str:
        """Return what of the wish to get the model's reasoning a refusal is about."""
        if "reasoning" in self.body and _NO_SUMMARY.search(f"{error.parameter} {words}"):
            return _SUMMARY
        return "include" if "include" in self.body and _NO_ENCRYPTED.search(words) else ""

    def _named(self, error: BadRequestError, words: str) -> str:
        """Return the field of the body that a refusal names; ``system`` for what the system says."""
        messages = self.body.get("messages")
        root = re.match(r"\w*", error.parameter)[0]  # type: ignore[index]  # it matches anything
        if root in self.body and root not in _NEVER:
            return root
        if self.body.get("stream") and (root == "stream" or _NO_STREAM.search(words)):
            return "stream"
        if isinstance(messages, list) and _first_role(messages) == _SYSTEM and _NO_SYSTEM.search(words):
            return _SYSTEM
        if not _REFUSING.search(words):
            return ""
        names = [name for name in dict.fromkeys((*_FIRST, *self.body)) if name in self.body and name not in _NEVER]
        return next((name for name in names if re.search(rf"\b{re.escape(name)}\b", words)), "")

    def _has_other_name(self, name: str, error: ChatError) -> bool:
        """Whether it is the name that was refused, not the value."""
        other = _OTHER_NAMES.get(name)
        if other is None or other in self.body:
            return False
        words = error.server_message
        return other in words or bool(re.search(r"(?:not|un)[ -]?(?:support|know|recogni|permit|expect)", words))

    # --- what is sent instead -------------------------------------------------------------------------------------

    def _apply(self, name: str, instead: str) -> bool:  # noqa: PLR0911 - a list of cases
        """Change the body, and return whether that was possible."""
        if name == _SUMMARY:
            return name in self._optional and self._leave_out_summary()
        if name in {_SYSTEM, _PICTURE}:
            change = _without_system if name == _SYSTEM else _without_pictures
            messages = change(self.body.get("messages"))
            if messages == self.body.get("messages"):
                return False
            self.body["messages"] = messages
            return True
        if name not in self.body:
            return False
        if instead:
            self.body[instead] = self.body.pop(name)
            return True
        if name == "stream":  # what is not streamed has no options for it
            self.body.pop("stream_options", None)
        elif name not in self._optional:
            return False
        del self.body[name]
        return True

    def _leave_out_summary(self) -> bool:
        reasoning = dict(self.body.get("reasoning") or {})
        if not reasoning.pop("summary", ""):
            return False
        self.body["reasoning"] = reasoning
        return True

    @staticmethod
    def _has_pictures(messages: Any) -> bool:
        return isinstance(messages, list) and any(map(_pictures_of, messages))


async def adjusted(parameters: Parameters, ask: Callable[[Body], DeltaGenerator]) -> DeltaGenerator:
    """Yield the deltas of ``ask(parameters.body)``; where a parameter is refused, change it and ask again.

    Yields
    ------
    Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice

    Raises
    ------
    ChatError
        Of the last try; it names the option where the person's own parameter was refused.
    """
    while True:
        begun = False
        try:
            async with aclosing(ask(parameters.body)) as deltas:
                async for delta in deltas:
                    if not begun and not isinstance(delta, Notice):
                        begun = True
                        parameters.confirm()
                    yield delta
        except ChatError as error:
            notice = None if begun else parameters.learn(error)
            if notice is None:
                raise (error if begun else parameters.explained(error)).bare() from None
        else:
            return
        yield notice


def _first_role(messages: list[Any]) -> str:
    return str(messages[0].get("role")) if messages and isinstance(messages[0], dict) else ""


def _without_system(messages: Any) -> Any:
    """Return the messages with what the system says put in front of the first prompt."""
    if not isinstance(messages, list) or _first_role(messages) != _SYSTEM:
        return messages
    said = content_text(messages[0].get("content"))
    rest = [*messages[1:]]
    at = next((at for at, message in enumerate(rest) if message.get("role") == "user"), None)
    if at is None:
        return [{"role": "user", "content": said}, *rest]
    content = rest[at].get("content")
    joined: Any = f"{said}\n\n{content}"
    if isinstance(content, list):
        joined = [{"type": "text", "text": said}, *content]
    rest[at] = {**rest[at], "content": joined}
    return rest


def _without_pictures(messages: Any) -> Any:
    """Return the messages without the pictures of earlier prompts; those of this one are the person's."""
    if not isinstance(messages, list):
        return messages
    answered = [at for at, message in enumerate(messages) if message.get("role") == "assistant"]
    if not answered:
        return messages
    return [
        {**message, "content": content_text(message["content"])}
        if at < answered[-1] and _pictures_of(message)
        else message
        for at, message in enumerate(messages)
    ]


def _pictures_of(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, dict) and part.get("type") == _PICTURE]
