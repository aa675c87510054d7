"""Asking a provider from a synchronous test, and looking at everything that came of it."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatanywhere_magic import ChatAnywhere, OpenAI
from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.core.messages import Delta, Finish, MessageDict, Messages, Reasoning, Text

if TYPE_CHECKING:
    from chatanywhere_magic.providers.contract import Provider

T = TypeVar("T")
PATIENCE_SECONDS: Final = 30


@dataclass
class Outcome:
    """The deltas that a provider yielded, and the error that ended them, if one did."""

    deltas: list[Delta] = field(default_factory=list)
    error: ChatError | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.of(Text))

    @property
    def reasoning(self) -> str:
        return "".join(delta.text for delta in self.of(Reasoning))

    @property
    def finish_reason(self) -> str | None:
        """What the last delta says, for an answer is whole only if it ends with its finish."""
        last = self.deltas[-1] if self.deltas else None
        return last.reason if isinstance(last, Finish) else None

    def of(self, kind: type[T]) -> list[T]:
        return [delta for delta in self.deltas if isinstance(delta, kind)]


def user(content: str) -> Messages:
    """Return a conversation of one question."""
    return [MessageDict(role="user", content=content)]


async def outcome_of(
    provider: Provider, messages: Messages | str = "Hello", model: str = "", **options: Any
) -> Outcome:
    """Ask; keep what came even where an error ended it. Anything but a ``ChatError`` fails the test."""
    outcome = Outcome()
    if issubclass(provider, OpenAI | ChatAnywhere):
        options.setdefault("max_retries", 0)  # one answer of the server is what a test looks at
    messages = user(messages) if isinstance(messages, str) else messages
    try:
        async with aclosing(provider.create_delta_generator(model, messages, **options)) as deltas:
            async for delta in deltas:
                outcome.deltas.append(delta)
    except ChatError as error:
        outcome.error = error
    return outcome


def ask(provider: Provider, messages: Messages | str = "Hello", model: str = "", **options: Any) -> Outcome:
    """Ask, on an event loop of the call's own. Waiting for ever fails the test before it holds up the others."""
    return asyncio.run(asyncio.wait_for(outcome_of(provider, messages, model, **options), PATIENCE_SECONDS))


def assert_for_people(error: ChatError | None, kind: type[ChatError], *words: str) -> ChatError:
    """Check that `error` is of exactly this kind, and its message one readable line that holds `words`."""
    assert type(error) is kind, repr(error)
    message = str(error)
    assert message.isprintable(), repr(message)
    assert "  " not in message
    assert "()" not in message
    assert message.endswith((".", "”")), message
    for word in words:
        assert word in message
    return error


def faces(error: ChatError) -> str:
    """Return everything that an error shows of itself."""
    return "\n".join(
        [
            *(str(error), repr(error), repr(vars(error)), error.server_message),
            *error._render_traceback_(),
            *traceback.format_exception(error),
        ]
    )


def locals_of(error: ChatError) -> str:
    """Return its traceback as IPython's verbose mode and error reporters have it: with all local variables."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
