"""A request: checked, complete and not yet sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..core import (
    START_TOKENS,
    Attachment,
    ConfigurationError,
    Content,
    Message,
    Messages,
    Origin,
    content_text,
    estimate_messages,
    user_content,
)

if TYPE_CHECKING:
    from ..providers import Provider
    from ..tools import Schema

Replay = Literal["off", "record", "replay", "replay-only"]
REPLAY_MODES: Final[tuple[Replay, ...]] = get_args(Replay)

Who = tuple[str, str, str]
"""Provider, model and account: what a limit belongs to."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A checked and complete request."""

    prompt: str
    provider: Provider
    model: str
    system: str
    temperature: float
    history: bool
    append: bool
    origin: Origin
    params: dict[str, Any]
    attachments: tuple[Attachment, ...] = ()
    revises: tuple[str, int] | None = None
    """The turn that it is to be a version of: its conversation's id, and its index there."""
    schema: Schema | None = None
    """What the response must hold."""
    correction: tuple[Message, ...] = ()
    """The responses that did not hold it, each with what the model is told about that."""
    notice: str = ""
    """Why it is asked again, for the person; ``""`` where it is asked first."""
    replay: Replay = "off"
    alternatives: tuple[Provider, ...] = ()
    """Whose earlier responses are taken too, where nobody can be asked here."""
    unready: ConfigurationError | None = None
    """Why the provider cannot be asked, where that is needed only if there is no earlier response."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        """Whose earlier responses are taken: the provider's own first."""
        return (self.provider, *self.alternatives)

    @cached_property
    def who(self) -> Who:
        """Who is asked. Found out once, for an account's key may lie in a file."""
        account = ""
        with suppress(ConfigurationError):  # nobody there to ask, as when all responses are replayed
            account = self.provider.account()
        return self.provider.name, self.provider.model_for(self.model), account

    @cached_property
    def tokens(self) -> int:
        """What is always sent, by an estimate: everything but the earlier turns."""
        return START_TOKENS + estimate_messages(self.messages([]))

    @property
    def parameters(self) -> tuple[tuple[str, Any], ...]:
        """The further parameters as what is recorded of them: by name, and of JSON values only."""
        return tuple(sorted((name, value) for name, value in self.params.items() if _is_plain(value)))

    @property
    def content(self) -> Content:
        """The prompt with its attachments, as it is sent."""
        return user_content(self.prompt, self.attachments)

    def messages(self, earlier: Messages) -> Messages:
        """Return the messages that are sent."""
        told = "\n\n".join(filter(None, [self.system, self.schema.instruction if self.schema else ""]))
        system = [Message(role="system", content=told)] if told else []
        known = earlier if self.provider.supports_message_history else []
        question = Message(role="user", content=self.content)
        messages = [*system, *known, question, *self.correction]
        if self.provider.supports_images:
            return messages
        # Pictures of earlier turns, which another provider was shown.
        return [{**message, "content": content_text(message["content"])} for message in messages]


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, str | int | float | bool)
