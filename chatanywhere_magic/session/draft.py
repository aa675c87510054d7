"""The version that a turn in progress is writing."""

from __future__ import annotations

import threading
import time
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    ChatError,
    Delta,
    Extras,
    Failure,
    Finish,
    Message,
    Messages,
    ModelName,
    Notice,
    ProtocolError,
    Reasoning,
    Status,
    Text,
    TextWasReasoning,
    Timing,
    ToolCall,
    Usage,
    Version,
    codec,
    phrase,
)
from .growing import GrowingResponse

if TYPE_CHECKING:
    from ..context import Request

MAX_COUNT: Final = 10**12
"""Of tokens: more than any turn has."""


def _count(tokens: object) -> int | None:
    """Return a provider's count of tokens if it is one that a database and a file can hold."""
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens <= MAX_COUNT else None


def _added(before: Usage, now: Usage) -> Usage:
    """Return the tokens of the steps so far: of this one alone where the earlier ones were not counted."""
    counts = zip(astuple(before), map(_count, astuple(now)), strict=True)
    return Usage(*(more if known is None or more is None else known + more for known, more in counts))


class Draft:
    """A version while it is written, by the turn loop on the engine's thread; others read it.

    Parameters
    ----------
    request : Request
        What it will be the response to.
    """

    def __init__(self, request: Request) -> None:
        self.response = GrowingResponse()
        self.sent: Messages = []
        """What the provider was sent."""
        self.asked = threading.Event()
        """Set when the prompt is on its way to the provider, and when the turn ends without that."""
        self.notice = request.notice
        """What is being done about it at the moment, such as a retry; ``""`` if there is nothing to say."""
        self.error: ChatError | None = None
        self._request = request
        self._used = Usage()
        """By the steps before this one."""
        self._clock = time.monotonic()
        self._version = Version(
            request.asked,
            len(request.asked),
            provider=request.provider.name,
            model=request.provider.model_for(request.model),
            timing=Timing(started=time.time()),
            origin=request.origin,
            system=request.system,
            temperature=request.temperature,
            parameters=request.parameters,
            history=request.history,
        )

    @property
    def status(self) -> Status:
        """The status as it stands, without copying the text."""
        return self._version.status

    @property
    def seconds(self) -> float:
        """How long the turn has taken so far."""
        return time.monotonic() - self._clock

    @property
    def version(self) -> Version:
        """The version as it stands, with the text so far."""
        return replace(self._version, messages=(*self._version.messages, *self.response.messages()))

    @property
    def outline(self) -> Version:
        """The version without its text, which it costs nothing to look at; the calls of tools are in it."""
        calls = self.response.calls()
        if not calls:
            return self._version
        return replace(self._version, messages=(*self._version.messages, Message("assistant", calls)))

    def take(self, delta: Delta) -> None:  # noqa: C901 - a list of cases
        """Take in what the provider yielded."""
        response = self.response
        if isinstance(delta, Text):
            if self._version.timing.first_text is None:
                self.notice = ""
                elapsed = time.monotonic() - self._clock
                self.change(timing=replace(self._version.timing, first_text=elapsed))
            self._check_length(len(response.text) + len(delta.text))
            response.add(delta)
        elif isinstance(delta, Reasoning):
            self._check_length(len(response.reasoning) + len(delta.text))
            response.add(delta)
        elif isinstance(delta, TextWasReasoning):
            response.text_was_reasoning()
        elif isinstance(delta, ToolCall):
            response.add(replace(delta, extras=self._own(delta.extras)))
        elif isinstance(delta, Extras):
            response.extras = self._own(delta)
        elif isinstance(delta, Usage):
            self.change(usage=_added(self._used, delta))
        elif isinstance(delta, ModelName):
            self.change(model=delta.name)
        elif isinstance(delta, Notice):
            self.notice = delta.text
        elif isinstance(delta, Finish):
            self.change(finish_reason=delta.reason)

    def _check_length(self, length: int) -> None:
        """Stop a provider that never ends. What is longer could be written, and not be read again."""
        if length > codec.MAX_TEXT:
            raise ProtocolError(phrase("error.endless_answer", host=self._request.provider.name, limit=codec.MAX_TEXT))

    def _own(self, extras: Extras | None) -> Extras | None:
        """Return extras as those of the provider that is asked: nobody can name another one."""
        return None if extras is None else Extras(*self._request.owner, extras.fields)

    def change(self, **fields: Any) -> None:
        """Replace fields of the version, other than its text."""
        self._version = replace(self._version, **fields)

    def begin_step(self) -> None:
        """Note that the model is asked to go on."""
        self._used = self._version.usage or Usage()
        self.change(finish_reason="")

    def end(self, status: Status, error: ChatError | None = None) -> None:
        """Note how the turn ended."""
        self.error = error
        self.notice = ""
        self.response.end()
        elapsed = time.monotonic() - self._clock
        self.change(
            status=status,
            error=Failure.of(error) if error else None,
            timing=replace(self._version.timing, total=elapsed),
        )
        self.asked.set()
        self.response.begun.set()
