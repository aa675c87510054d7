"""One turn on its way: what was asked, what has come so far, and the way to stop it."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .conversation import Origin, Status, Timing, Version
from .engine import STOP_SECONDS
from .errors import ChatError, ChatInterrupted
from .messages import Delta, Finish, Message, Messages, ModelName, Notice, Reasoning, Text, Usage
from .strings import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .providers.base import Provider


class Reply(str):
    """An answer: a string, with what is known about it.

    Attributes
    ----------
    provider, model : str
        Who answered.
    finish_reason : str
        ``stop``; ``length`` if the provider cut the answer at its token limit.
    usage : Usage or None
        Token counts as the provider reported them.
    """

    __slots__ = ("finish_reason", "model", "provider", "usage")

    provider: str
    model: str
    finish_reason: str
    usage: Usage | None

    @classmethod
    def of(cls, version: Version) -> Reply:
        """Return the reply of a complete version."""
        reply = cls(version.answer)
        reply.provider = version.provider
        reply.model = version.model
        reply.finish_reason = version.finish_reason
        reply.usage = version.usage
        return reply


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked, checked and complete."""

    prompt: str
    provider: Provider
    model: str
    system: str
    temperature: float
    history: bool
    append: bool
    origin: Origin
    params: dict[str, Any]

    def messages(self, earlier: Messages) -> Messages:
        """Return everything that is sent."""
        system = [Message(role="system", content=self.system)] if self.system else []
        known = earlier if self.provider.supports_message_history else []
        return [*system, *known, Message(role="user", content=self.prompt)]


class LiveTurn:
    """A turn on its way: what has come so far, from any thread; and the way to stop it.

    Made by :meth:`ChatSession.prepare`. A front end reads it, listens to it and may :meth:`cancel` it.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.index: int | None = None
        """The turn's place in the conversation; None while it has none, or for a question aside."""
        self.error: ChatError | None = None
        self.notice = ""
        self.done = threading.Event()
        self._version = Version(
            request.prompt,
            provider=request.provider.name,
            model=request.model or request.provider.default_model,
            timing=Timing(started=time.time()),
            origin=request.origin,
        )
        self.at = 0
        self._clock = time.monotonic()
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled = False
        self.listeners: list[Callable[[LiveTurn], None]] = []

    @property
    def version(self) -> Version:
        """The version as it stands, with the text so far."""
        return replace(self._version, answer="".join(self._answer), reasoning="".join(self._reasoning))

    @property
    def status(self) -> Status:
        """The status as it stands, without copying the text."""
        return self._version.status

    def listen(self, listener: Callable[[LiveTurn], None]) -> None:
        """Have `listener` called on the engine's thread after every change. It must be quick."""
        self.listeners.append(listener)

    def cancel(self) -> None:
        """Stop the turn, whether it waits, queues or streams; from any thread, any number of times."""
        self._cancelled = True
        task, loop = self._task, self._loop
        if task is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def wait(self) -> None:
        """Block until the turn is over. A ``KeyboardInterrupt`` on the way stops it.

        Raises
        ------
        ChatInterrupted
            If it was interrupted.
        """
        try:
            # In slices, because on Windows a wait without a limit cannot be interrupted.
            while not self.done.wait(0.1):
                pass
        except KeyboardInterrupt:
            self.cancel()
            self.done.wait(STOP_SECONDS)
            raise ChatInterrupted(text("status.stopped")) from None

    def reply(self) -> Reply:
        """Return the answer of a turn that is over.

        Raises
        ------
        ChatError
            If it failed.
        ChatInterrupted
            If it was stopped.
        """
        if self.error is not None:
            raise self.error
        if self.status != "complete":
            raise ChatInterrupted(text("status.stopped"))
        return Reply.of(self.version)

    # What follows is the session's, on the engine's thread only.

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note the task that runs the turn; if it was cancelled before it began, cancel it now."""
        self._loop = loop
        self._task = asyncio.current_task()
        if self._cancelled and self._task is not None:
            self._task.cancel()

    def take(self, delta: Delta) -> None:
        """Take in what the provider yielded."""
        if isinstance(delta, Text):
            if not self._answer:
                self.notice = ""
                elapsed = time.monotonic() - self._clock
                self.change(timing=replace(self._version.timing, first_text=elapsed))
            self._answer.append(delta.text)
        elif isinstance(delta, Reasoning):
            self._reasoning.append(delta.text)
        elif isinstance(delta, Usage):
            self.change(usage=delta)
        elif isinstance(delta, ModelName):
            self.change(model=delta.name)
        elif isinstance(delta, Notice):
            self.notice = delta.text
        elif isinstance(delta, Finish):
            self.change(finish_reason=delta.reason)

    def change(self, **fields: Any) -> None:
        """Replace fields of the version, other than its text."""
        self._version = replace(self._version, **fields)

    def end(self, status: Status, error: ChatError | None = None) -> None:
        """Note how the turn ended."""
        self.error = error
        self.notice = ""
        elapsed = time.monotonic() - self._clock
        self.change(
            status=status,
            error=str(error) if error else "",
            timing=replace(self._version.timing, total=elapsed),
        )
