"""A turn in progress: its request, the text so far, and how to stop it."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    BETWEEN_MESSAGES,
    ChatError,
    ChatInterrupted,
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
    Reply,
    Status,
    Text,
    TextWasReasoning,
    Timing,
    ToolCall,
    Usage,
    Version,
    codec,
    encodable,
    phrase,
    text,
    to_dicts,
)
from .engine import STOP_SECONDS
from .listeners import notify

MAX_COUNT: Final = 10**12
"""Of tokens: more than any turn has."""
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..context import Request


class _Growing:
    """A text that grows in one thread and is read in others, for the price of what is new.

    Half of a surrogate pair is held back until its other half comes with the next piece.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._ends: list[int] = []
        """Where each piece ends. A piece is added before its end, so that a reader finds every piece it knows of."""
        self._half = ""

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __str__(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        piece = self._half + piece
        self._half = piece[-1] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        self._append(piece.removesuffix(self._half))

    def end(self) -> None:
        """Give up the other half."""
        self._append(self._half)
        self._half = ""

    def _append(self, piece: str) -> None:
        if piece:
            piece = piece if piece.isascii() else encodable(piece)
            self._pieces.append(piece)
            self._ends.append(len(self) + len(piece))

    def since(self, position: int) -> tuple[str, int]:
        known = len(self._ends)
        first = bisect_right(self._ends, position, 0, known)
        if first == known:
            return "", position
        begin = self._ends[first - 1] if first else 0
        return "".join(self._pieces[first:known])[position - begin :], self._ends[known - 1]


def _count(tokens: object) -> int | None:
    """Return a provider's count of tokens if it is one that a database and a file can hold."""
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens <= MAX_COUNT else None


@dataclass
class _Segment:
    """A text of one message: where it stands in what has come of its kind."""

    kind: type[Text | Reasoning]
    begin: int
    end: int


class _GrowingResponse:
    """What comes of a turn, in order: texts, reasoning and calls of tools; and, between messages, their results."""

    def __init__(self) -> None:
        self.text = _Growing()
        self.reasoning = _Growing()
        self.extras: Extras | None = None
        """Of the message that comes now."""
        self._earlier: list[tuple[list[_Segment | ToolCall], Extras | None, Message]] = []
        self._parts: list[_Segment | ToolCall] = []

    def add(self, delta: Text | Reasoning | ToolCall) -> None:
        if isinstance(delta, ToolCall):
            self._parts.append(delta)
            return
        growing = self.text if isinstance(delta, Text) else self.reasoning
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Segment) or last.kind is not type(delta):
            if len(growing) and self._last(type(delta)) is None:
                growing.add(BETWEEN_MESSAGES)
            last = _Segment(type(delta), len(growing), len(growing))
            self._parts.append(last)
        growing.add(delta.text)
        last.end = len(growing)

    def text_was_reasoning(self) -> int:
        """Make the text of the message that comes now its reasoning; return of how many characters it was."""
        segments = [part for part in self._parts if isinstance(part, _Segment) and part.kind is Text]
        if not segments:
            return 0
        self.text.end()
        said, begin = str(self.text), segments[0].begin
        kept, self.text = said[:begin].removesuffix(BETWEEN_MESSAGES), _Growing()
        self._parts = [part for part in self._parts if part not in segments]
        self.text.add(kept)
        self.add(Reasoning(said[begin:]))
        return len(said)

    def _last(self, kind: type[Text | Reasoning]) -> _Segment | None:
        """Return the last text of its kind in the message that comes now."""
        return next((each for each in reversed(self._parts) if isinstance(each, _Segment) and each.kind is kind), None)

    def end(self) -> None:
        """Take in what was held back until more should come."""
        for kind, growing in ((Text, self.text), (Reasoning, self.reasoning)):
            growing.end()
            if (last := self._last(kind)) is not None:
                last.end = len(growing)

    def end_message(self, results: Message) -> None:
        self.end()
        self._earlier.append((self._parts, self.extras, results))
        self._parts, self.extras = [], None

    def calls(self) -> tuple[ToolCall, ...]:
        parts = [part for parts, _, _ in self._earlier for part in parts] + self._parts
        return tuple(part for part in parts if isinstance(part, ToolCall))

    def messages(self) -> list[Message]:
        """Return the messages as they stand. Other threads may ask: the texts are read after their places."""
        earlier = list(self._earlier)
        pending = [(list(self._parts), self.extras, None)] if self._parts else []
        places = [
            ([part if isinstance(part, ToolCall) else replace(part) for part in parts], extras, results)
            for parts, extras, results in (*earlier, *pending)
        ]
        texts = {Text: str(self.text), Reasoning: str(self.reasoning)}
        found: list[Message] = []
        for parts, extras, results in places:
            said = [
                part if isinstance(part, ToolCall) else part.kind(texts[part.kind][part.begin : part.end])
                for part in parts
            ]
            found.append(Message("assistant", tuple(said), extras))
            if results is not None:
                found.append(results)
        return found


class LiveTurn:
    """A turn in progress: the text so far, readable from any thread, and how to stop it.

    Made by :meth:`ChatSession.prepare`. A front end reads it, listens to it and may :meth:`cancel` it. Where the answer
    will not do, the turn goes on in its :attr:`correction`, which becomes a further version, has the same listeners,
    and is stopped and waited for with it.
    """

    def __init__(self, request: Request, *, version_of: LiveTurn | None = None) -> None:
        self.request = request
        self.version_of = version_of
        """The turn of which this becomes a further version: it is asked at the same time, or is corrected by this."""
        self.correction: LiveTurn | None = None
        """What is asked because this response will not do. It is there, if there is one, before `done` is set."""
        self.index: int | None = None
        """The turn's place in the conversation; None while it has none, or for a prompt aside."""
        self.conversation_id = ""
        """The id of the conversation in which it has its place; ``""`` while it has none."""
        self.error: ChatError | None = None
        self.sent: Messages = []
        """What the provider was sent."""
        self.notice = request.notice
        self.asked = threading.Event()
        """Set when the prompt is on its way to the provider, and when the turn ends without that."""
        self.begun = threading.Event()
        """Set when the first text has come, of the response or of the reasoning, and when the turn ends without any."""
        self.done = threading.Event()
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
        self._response = _GrowingResponse()
        self.answer_begin = 0
        """Where the response begins, as :meth:`answer_since` counts. It moves when text turns out to be reasoning."""
        self.at = 0
        """Which of the turn's versions it is."""
        self._clock = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled_at: float | None = None
        self._stopped_with_it: list[LiveTurn] = []
        self._listeners: list[Callable[[LiveTurn], None]] = []

    @property
    def version(self) -> Version:
        """The version as it stands, with the text so far."""
        version = replace(self._version, messages=(*self._version.messages, *self._response.messages()))
        if self.is_over and not self.done.is_set():
            return replace(version, status="interrupted")
        return version

    @property
    def status(self) -> Status:
        """The status as it stands, without copying the text."""
        return self._version.status

    @property
    def outline(self) -> Version:
        """The version without its text, which it costs nothing to look at; the calls of tools are in it."""
        calls = self._response.calls()
        if not calls:
            return self._version
        return replace(self._version, messages=(*self._version.messages, Message("assistant", calls)))

    @property
    def has_text(self) -> bool:
        """Whether any of the response or of its reasoning has come."""
        return bool(len(self._response.text) or len(self._response.reasoning))

    def answer_since(self, position: int) -> tuple[str, int]:
        """Return the response's text after `position`, and its end, which is the position to go on from.

        It costs what is new, however long the response has become; :attr:`version` copies it whole. What comes from
        before :attr:`answer_begin` is not text any more, and all of the text is returned.
        """
        begin = self.answer_begin
        fresh, end = self._response.text.since(max(position - begin, 0))
        return fresh, begin + end

    def reasoning_since(self, position: int) -> tuple[str, int]:
        """Return the reasoning after its first `position` characters, and the current length."""
        return self._response.reasoning.since(position)

    def listen(self, listener: Callable[[LiveTurn], None]) -> None:
        """Call `listener` on the engine's thread after every change, of a correction too. It must be quick."""
        self._listeners.append(listener)

    def also_stop(self, other: LiveTurn) -> None:
        """Have `other` stopped with this turn, as what another model is asked at the same time."""
        self._stopped_with_it.append(other)

    def cancel(self) -> None:
        """Stop the turn, whether it waits, queues or streams; from any thread, any number of times."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
        for live in self._stopped_with_it:
            live.cancel()
        task, loop = self._task, self._loop
        if task is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    @property
    def is_cancelled(self) -> bool:
        """Whether the person stopped it."""
        return self._cancelled_at is not None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for: it ended, or its provider does not let itself be stopped."""
        if self.done.is_set():
            return True
        return self._cancelled_at is not None and time.monotonic() > self._cancelled_at + STOP_SECONDS

    @property
    def last(self) -> LiveTurn:
        """The last of its corrections up to now, or the turn itself if there is none."""
        return self if self.correction is None else self.correction.last

    def wait(self) -> None:
        """Block until the turn is over, with its corrections."""
        while not self.is_over:
            # In slices, because on Windows a wait without a limit cannot be interrupted.
            self.done.wait(0.1)
        if self.correction is not None:
            self.correction.wait()

    def reply(self) -> Reply:
        """Return the response of a turn that is over; if it was corrected, that of the last correction.

        Raises
        ------
        ChatError
            If it failed, or does not hold what it must.
        ChatInterrupted
            If it was stopped.
        """
        if self.correction is not None:
            return self.correction.reply()
        if self.error is not None:
            raise self.error
        if self.status != "complete":
            raise ChatInterrupted(text("status.stopped") if self.has_text else text("status.stopped_early"))
        version = self.version
        schema = self.request.schema if version.text else None  # a call of a tool holds nothing to be read yet
        return Reply(
            version.text,
            provider=version.provider,
            model=version.model,
            finish_reason=version.finish_reason,
            usage=version.usage,
            messages=[*self.sent, *to_dicts(version.response, self.request.owner)],
            tool_calls=version.tool_calls,
            turn=self.index,
            value=schema.read(version.text) if schema else None,
        )

    # What follows is the turn loop's, on the engine's thread only.

    def correct(self, request: Request) -> LiveTurn:
        """Have `request` asked because this response will not do: a further version, with the same listeners."""
        self.correction = correction = LiveTurn(request, version_of=self)
        correction._listeners = self._listeners
        self.also_stop(correction)
        return correction

    def notify(self) -> None:
        """Notify the listeners that something has changed."""
        notify(self._listeners, self)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note the task that runs the turn."""
        self._loop = loop
        self._task = asyncio.current_task()

    def take(self, delta: Delta) -> None:  # noqa: C901 - a list of cases
        """Take in what the provider yielded."""
        if isinstance(delta, Text):
            if self._version.timing.first_text is None:
                self.notice = ""
                elapsed = time.monotonic() - self._clock
                self.change(timing=replace(self._version.timing, first_text=elapsed))
            self._check_length(len(self._response.text) + len(delta.text))
            self._response.add(delta)
            self._begin_text()
        elif isinstance(delta, Reasoning):
            self._check_length(len(self._response.reasoning) + len(delta.text))
            self._response.add(delta)
            self._begin_text()
        elif isinstance(delta, TextWasReasoning):
            # Another thread may read between the two: it must find neither a text twice nor none of the new one.
            self.answer_begin += self._response.text_was_reasoning()
        elif isinstance(delta, ToolCall):
            self._response.add(replace(delta, extras=self._own(delta.extras)))
        elif isinstance(delta, Extras):
            self._response.extras = self._own(delta)
        elif isinstance(delta, Usage):
            self.change(usage=Usage(_count(delta.prompt_tokens), _count(delta.completion_tokens)))
        elif isinstance(delta, ModelName):
            self.change(model=delta.name)
        elif isinstance(delta, Notice):
            self.notice = delta.text
        elif isinstance(delta, Finish):
            self.change(finish_reason=delta.reason)

    def _check_length(self, length: int) -> None:
        """Stop a provider that never ends. What is longer could be written, and not be read again."""
        if length > codec.MAX_TEXT:
            raise ProtocolError(phrase("error.endless_answer", host=self.request.provider.name, limit=codec.MAX_TEXT))

    def take_results(self, results: Message) -> None:
        """Take in what came of the calls of tools; what follows is a further message of the model's."""
        self._response.end_message(results)

    def _own(self, extras: Extras | None) -> Extras | None:
        """Return extras as those of the provider that is asked: nobody can name another one."""
        return None if extras is None else Extras(*self.request.owner, extras.fields)

    def _begin_text(self) -> None:
        if not self.begun.is_set() and self.has_text:
            self.begun.set()

    def change(self, **fields: Any) -> None:
        """Replace fields of the version, other than its text."""
        self._version = replace(self._version, **fields)

    def end(self, status: Status, error: ChatError | None = None) -> None:
        """Note how the turn ended."""
        self.error = error
        self.notice = ""
        self._response.end()
        elapsed = time.monotonic() - self._clock
        self.change(
            status=status,
            error=Failure.of(error) if error else None,
            timing=replace(self._version.timing, total=elapsed),
        )
        self.asked.set()
        self.begun.set()
