"""A turn in progress: its request, the text so far, and how to stop it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from ..core import ChatInterrupted, Reply, text, to_dicts
from .draft import Draft
from .engine import STOP_SECONDS
from .listeners import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..context import Request
    from ..core import ChatError, Status, Version
    from .calls import LiveCall
    from .growing import GrowingResponse
    from .jobs import Host, Job

current_turn: ContextVar[LiveTurn | None] = ContextVar("chatanywhere_current_turn", default=None)
"""The turn whose provider or tool is running in this context."""
WAIT_SECONDS: Final = 0.1
"""A wait is made of slices, because on Windows one without a limit cannot be interrupted."""


class Stopping:
    """How a turn is stopped, whether it waits, queues or streams, from any thread."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._since: float | None = None
        self._others: list[LiveTurn] = []

    @property
    def is_wanted(self) -> bool:
        """Whether the person stopped the turn."""
        return self._since is not None

    def hurries(self) -> bool:
        """Return :attr:`is_wanted`, for what may take long to show the turn."""
        return self._since is not None

    @property
    def is_overdue(self) -> bool:
        """Whether the turn's provider does not let itself be stopped."""
        return self._since is not None and time.monotonic() > self._since + STOP_SECONDS

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note the task that runs the turn."""
        self._loop = loop
        self._task = asyncio.current_task()

    def include(self, other: LiveTurn) -> None:
        """Have `other` stopped with the turn, as what another model is asked at the same time."""
        self._others.append(other)

    def cancel(self) -> None:
        """Stop the turn, and what is stopped with it."""
        if self._since is None:
            self._since = time.monotonic()
        for live in self._others:
            live.cancel()
        task, loop = self._task, self._loop
        if task is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)


class LiveTurn:
    """A turn in progress: the text so far, readable from any thread, and how to stop it.

    Made by :meth:`ChatSession.prepare`. A front end reads it, listens to it and may :meth:`cancel` it. Where the
    response will not do, the turn goes on in its :attr:`correction`, which becomes a further version, has the same
    listeners, and is stopped and waited for with it.
    """

    def __init__(
        self, request: Request, *, version_of: LiveTurn | None = None, continues: Version | None = None
    ) -> None:
        self.request = request
        self.continues = continues
        """The version that this one begins as: of a turn that goes on."""
        self.version_of = version_of
        """The turn that this adds a version to: it runs at the same time, or is corrected by this."""
        self.correction: LiveTurn | None = None
        """The turn that corrects this response, if any; it is set before `done` is."""
        self.index: int | None = None
        """The turn's place in the conversation; None while it has none, or for a prompt aside."""
        self.conversation_id = ""
        """The id of the conversation in which it has its place; ``""`` while it has none."""
        self.at = 0
        """Which of the turn's versions it is."""
        self.draft = Draft(request)
        """The version as it is written."""
        self.stopping = Stopping()
        self.done = threading.Event()
        self.calls: list[LiveCall] = []
        """The calls of tools, in the order in which the model asked for them."""
        self.step: list[LiveCall] | None = None
        """Those that are being approved and run now."""
        self.steps = 0
        """How often the model has asked for calls."""
        self.marks: list[tuple[int, int]] = []
        """How long text and reasoning were each time."""
        self.bad_steps = 0
        """How often in a row it could do nothing right."""
        self.asked_seconds = 0.0
        """How long the person was waited for."""
        self.host: Host | None = None
        """The front end that waits for the turn."""
        self.is_attended = False
        """Whether somebody waits for the turn who runs what must run on that thread."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._listeners: list[Callable[[LiveTurn], None]] = []

    @property
    def version(self) -> Version:
        """The version as it stands, with the text so far; it copies the text whole."""
        version = self.draft.version
        if self.is_over and not self.done.is_set():
            return replace(version, status="interrupted")
        return version

    @property
    def status(self) -> Status:
        """The status as it stands, without copying the text."""
        return self.draft.status

    @property
    def response(self) -> GrowingResponse:
        """The response as it grows, to be read from any thread for the price of what is new."""
        return self.draft.response

    @property
    def error(self) -> ChatError | None:
        """Why it failed, if it did."""
        return self.draft.error

    def listen(self, listener: Callable[[LiveTurn], None]) -> None:
        """Call `listener` on the engine's thread after every change, of a correction too. It must be quick."""
        self._listeners.append(listener)

    def cancel(self) -> None:
        """Stop the turn, whether it waits, queues or streams; from any thread, any number of times."""
        self.stopping.cancel()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for: it ended, or its provider does not let itself be stopped."""
        return self.done.is_set() or self.stopping.is_overdue

    @property
    def last(self) -> LiveTurn:
        """The last of its corrections up to now, or the turn itself if there is none."""
        return self if self.correction is None else self.correction.last

    def wait(self) -> None:
        """Block until the turn is over, with its corrections; functions that it calls run here meanwhile."""
        self.is_attended = True
        while not self.is_over:
            self._serve_next(WAIT_SECONDS)
        self.serve()  # of a job that was stopped, its end
        if self.correction is not None:
            self.correction.wait()

    def serve(self) -> None:
        """Run, on this thread, what waits for the thread that waits for the turn."""
        while self._serve_next(0):
            pass

    def _serve_next(self, seconds: float) -> bool:
        try:
            job = self._jobs.get(timeout=seconds) if seconds else self._jobs.get_nowait()
        except Empty:
            return False
        if job is not None:
            job.run()
        return True

    def attend(self, host: Host | None) -> None:
        """Note that a front end waits for the turn, which will :meth:`serve` it."""
        self.host = host
        self.is_attended = True

    def share_jobs(self, outer: LiveTurn) -> None:
        """Have the thread that waits for `outer` run what must not run on the engine's."""
        self._jobs, self.host, self.is_attended = outer._jobs, outer.host, outer.is_attended

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
            raise ChatInterrupted(text("status.stopped") if self.response.has_text else text("status.stopped_early"))
        version = self.version
        schema = self.request.schema if version.text else None  # a call of a tool holds nothing to be read yet
        return Reply(
            version.text,
            provider=version.provider,
            model=version.model,
            finish_reason=version.finish_reason,
            usage=version.usage,
            messages=[*self.draft.sent, *to_dicts(version.response, self.request.owner)],
            tool_calls=version.tool_calls,
            turn=self.index,
            value=schema.read(version.text) if schema else None,
        )

    # What follows is the turn loop's, on the engine's thread only.

    def correct(self, request: Request) -> LiveTurn:
        """Have `request` asked because this response will not do: a further version, with the same listeners."""
        self.correction = correction = LiveTurn(request, version_of=self)
        correction._listeners = self._listeners
        correction.share_jobs(self)
        self.stopping.include(correction)
        return correction

    def notify(self) -> None:
        """Notify the listeners that something has changed."""
        notify(self._listeners, self)

    def add_job(self, job: Job) -> None:
        """Have the thread that waits run `job`."""
        self._jobs.put(job)
        self.notify()

    def end(self) -> None:
        """Note that the turn is over."""
        self.done.set()
        self._jobs.put(None)  # for who waits for jobs
        self.notify()  # once more, for those who wait for `done` by listening
