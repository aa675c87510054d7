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
    Message,
    Messages,
    Origin,
    estimate_messages,
    repaired,
    to_dicts,
    user_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core import Version
    from ..providers import Provider
    from ..tools import Schema, Toolbox

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
    temperature: float | None
    history: bool
    append: bool
    origin: Origin
    params: dict[str, Any]
    attachments: tuple[Attachment, ...] = ()
    allow_secrets: bool = False
    """Whether the person lets the provider have what looks like a key."""
    revises: tuple[str, int] | None = None
    """The turn that it is to be a version of: its conversation's id, and its index there."""
    given: tuple[Message, ...] = ()
    """Messages to ask with, such as a tool's results, in place of a prompt."""
    schema: Schema | None = None
    """What the response must hold."""
    correction: tuple[Message, ...] = ()
    """The responses that did not fit it, each with the correction that the model is sent."""
    toolbox: Toolbox | None = None
    """The functions that the model may call; their descriptions are among the parameters."""
    offers: bool = False
    """Whether these go with every prompt, and not because this one asks for them."""
    steps: tuple[Message, ...] = ()
    """What has come of this turn so far: calls of tools, and their results."""
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
    def owner(self) -> tuple[str, str]:
        """The provider that is asked, and its address: whose extras are sent back to it."""
        address = ""
        with suppress(ConfigurationError):  # nobody to ask, as when all responses are replayed
            address = self.provider.address()
        return self.provider.name, address

    @cached_property
    def asked(self) -> tuple[Message, ...]:
        """What the person asks with: messages given as such, or the prompt with its attachments."""
        return self.given or (user_message(self.prompt, self.attachments),)

    @property
    def instructions(self) -> str:
        """The system prompt, with what the response must hold."""
        return "\n\n".join(filter(None, [self.system, self.schema.instruction if self.schema else ""]))

    def messages(self, earlier: Iterable[Version]) -> Messages:
        """Return everything that is sent: instructions, the earlier versions' messages and the prompt."""
        sent: Messages = [{"role": "system", "content": self.instructions}] if self.instructions else []
        row: list[Message] = []  # what may need a repair, or a look at whose it is
        for version in earlier if self.provider.supports_message_history else ():
            if version.plain is None:
                row += version.messages
            else:
                sent += self._written(row) if row else ()
                row = []
                sent += version.plain
        return [*sent, *self._written([*row, *self.asked, *self.correction, *self.steps])]

    def _written(self, messages: Iterable[Message]) -> Messages:
        return to_dicts(repaired(messages), self.owner, images=self.provider.supports_images)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, str | int | float | bool)
