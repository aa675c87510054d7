"""A job: rows that are asked of a model on the engine, many at a time, each on disk before it counts."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...core import (
    AnswerFormatError,
    AuthenticationError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    Failure,
    IncompleteError,
    LeakError,
    NotAskedError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProxyError,
    QuotaError,
    RateLimitError,
    RedirectError,
    Reply,
    TLSError,
    UnsupportedError,
    Usage,
    codec,
    encodable,
    estimate_messages,
    phrase,
)
from ...store import DONE, FAILED
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from ...core import Messages
    from ...providers import Completion, Provider
    from ...store import Jobs, Stored
    from ...tools import Schema
    from ..autosave import Autosave
    from ..usage import UsageTotals

_log = logging.getLogger(__name__)

CONCURRENCY: Final = 8
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 8.0
LONGEST_ASKED_PAUSE_SECONDS: Final = 600.0
"""A server that asks for more ends the job; what is missing can be asked later."""
GIVE_UP_SECONDS: Final = 600.0
"""A job that is refused for so long without a single response ends."""
HOPELESS: Final = 16
"""So many rows that fail alike before any has a response end the job: it is not the rows."""
SYNC_SECONDS: Final = 0.5
"""What a failing power supply can cost at most."""
SLOW_SECONDS: Final = 0.05
"""A disk that takes longer is waited for on a thread of its own."""
_ENDING: Final = (AuthenticationError, QuotaError, TLSError, ProxyError, RedirectError)
"""What the next row would be told, too."""
_OF_A_ROW: Final = (LeakError, UnsupportedError)


class Unit:
    """A request of a job, which may stand for several equal rows."""

    __slots__ = ("digest", "images", "places", "prompt", "refusals", "tries", "value")

    def __init__(self, prompt: str, images: tuple[str, ...], digest: bytes) -> None:
        self.prompt = prompt
        self.images = images
        self.digest = digest
        self.places: list[int] = []
        self.tries = self.refusals = 0
        self.value: Any = None
        """Its result: a `Reply`, a value of the schema's type or a ``ChatError``; None while there is none."""


@dataclass(frozen=True)
class Asking:
    """What is the same for all rows of a job.

    Parameters
    ----------
    ask : callable
        Asks the provider for a whole response.
    provider, model : str
        Their names.
    messages : callable
        Returns the messages of a unit; it may raise ``ChatError``.
    check : callable
        Raises ``LeakError`` if a prompt holds what looks like a key.
    schema : Schema, optional
        The form of the responses.
    retries : int
        Retries of a row after a temporary failure.
    price : tuple of float, optional
        Of a token of the prompt and of the response.
    """

    ask: Callable[[Messages], Awaitable[Completion]]
    provider: str
    model: str
    messages: Callable[[Unit], Messages]
    check: Callable[[str], None]
    schema: Schema | None = None
    retries: int = 4
    price: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bounds:
    """What a job may use: requests at a time and a minute, tokens a minute, and money."""

    concurrency: int = CONCURRENCY
    rpm: float | None = None
    tpm: float | None = None
    max_cost: float | None = None


class Progress(NamedTuple):
    """How far a job is. Rows that were taken from disk are among the ones that are done."""

    rows: int
    done: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float
    pause: float
    """For how many seconds the server has asked everybody to wait."""


class Job:
    """Rows that are asked. Made by ``chat.map(…, background=True)``; it goes on by itself.

    Every method may be called from any thread.
    """

    def __init__(self, asking: Asking, bounds: Bounds, autosave: Autosave, usage: UsageTotals) -> None:
        self.label = ""
        self.id: int | None = None
        """The job's number on disk; None where nothing is kept."""
        self.asking = asking
        self.bounds = bounds
        self.error: ChatError | None = None
        """Why it ended before all of its rows were asked."""
        self.is_stopped = False
        self.give_back: Callable[[list[Any]], Any] = lambda values: values
        self.provider_class: Provider | None = None
        self.max_tokens: int | None = None
        self.fields: list[str] = []
        self.taken = 0
        """How many rows were taken from disk."""
        self.requests = 0
        self.units: list[Unit] = []
        self._autosave = autosave
        self._usage = usage
        self._waiting: deque[Unit] = deque()
        self._later: list[tuple[float, int, Unit]] = []
        self._pace: Pace | None = None
        self._time: Callable[[], float] = time.monotonic
        """The clock of the loop on which it runs."""
        self._workers: set[asyncio.Task[None]] = set()
        self._running: dict[Unit, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsaved: list[tuple[Unit, Any, Stored]] = []
        self._saving: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._is_disk_slow = False
        self._saved: asyncio.Future[None] | None = None
        self._done = self._failed = 0
        self._prompt_tokens = self._completion_tokens = 0
        self._answers = 0
        self._under_way = 0
        """Rows of which it is not known yet what they cost."""
        self._succeeded_at = self._synced = 0.0
        self._failures: list[str] = []
        self._began = self._ended = 0.0
        self.listeners: list[Callable[[Job], None]] = []
        self.over = threading.Event()

    # --- from any thread ------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.over.is_set()

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(len(unit.places) for unit in self.units)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        price = self.asking.price
        cost = None
        if price is not None:
            cost = self._prompt_tokens * price[0] + self._completion_tokens * price[1]
        end = self._ended or time.monotonic()
        return Progress(
            self._rows,
            self._done,
            self._failed,
            self._prompt_tokens,
            self._completion_tokens,
            cost,
            end - self._began if self._began else 0.0,
            self._pace.pause_left if self._pace is not None and not self.done else 0.0,
        )

    _rows = 0

    def cancel(self) -> None:
        """Stop it. What is done is kept."""
        loop = self._loop
        self.is_stopped = True
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stop)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, and return whether it is."""
        return self.over.wait(timeout)

    def values(self) -> list[Any]:
        """Return the results in the order of the rows, None where there is none yet."""
        found: list[Any] = [None] * self.rows
        for unit in self.units:
            for place in unit.places:
                found[place] = unit.value
        return found

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the results, and return them in the form of what was handed over.

        Raises
        ------
        TimeoutError
            If it is not over after `timeout` seconds.
        ChatError
            If it ended without a single result, as with a wrong key.
        """
        if not self.wait(timeout):
            raise TimeoutError
        if self.error is not None and self._done == 0:
            raise self.error
        return self.give_back(self.values())

    def __repr__(self) -> str:
        done, failed = self._done, self._failed
        return f"<Job {self.label!r}: {done:,} of {self._rows:,} rows done, {failed:,} of them failed>"

    # --- on the engine's thread -----------------------------------------------------------------------------------

    async def begin(self, begin: Callable[[Jobs], tuple[int, list[Stored]]], *, again: bool) -> None:
        """Note the job on disk, and take over what was asked before.

        Parameters
        ----------
        begin : callable
            Notes the job on disk, and returns its number and the rows that have ended.
        again : bool
            Whether rows that failed are asked again.
        """
        self._rows = self.rows
        for unit in self.units:
            if unit.value is not None:  # it cannot be asked
                self._count(unit)
        begun = await self._autosave.with_jobs(begin)
        if begun is not None:
            self.id, ended = begun
            self._take(ended, again=again)
        self._waiting.extend(unit for unit in self.units if unit.value is None)

    @property
    def left(self) -> list[Unit]:
        """What is to be asked."""
        return list(self._waiting)

    async def run(self) -> None:
        """Ask everything that has no result yet."""
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._began = time.monotonic()
        try:
            await self._run()
        except asyncio.CancelledError:
            self.is_stopped = True
        except Exception as caught:  # noqa: BLE001 - whoever waits must not wait for ever
            _log.debug("a job failed", exc_info=True)
            self.error = self.error or ChatError(str(caught))
        finally:
            self._finish()

    async def _run(self) -> None:
        bounds = self.bounds
        self._pace = self._pace or Pace(bounds.concurrency, bounds.rpm, bounds.tpm)
        self._succeeded_at = self._time()
        if self.is_stopped:
            return
        self._spawn(len(self._waiting))
        while self._workers:
            await asyncio.wait(set(self._workers))
        await self._all_saved()

    async def _all_saved(self) -> None:
        """Wait until everything is on disk."""
        if self._saving is not None:
            await self._saving
        if self._syncing is not None:
            await self._syncing
        if self.id is not None and self.requests:
            await self._sync(self.id)

    def _spawn(self, rows: int) -> None:
        for _ in range(min(rows, self.bounds.concurrency) - len(self._workers)):
            self._begin_worker(self._work())

    def _begin_worker(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    def _stop(self) -> None:
        for task in self._workers:
            task.cancel()

    def _finish(self) -> None:
        for unit in self.units:
            if unit.value is None:
                unit.value = NotAskedError(self._why())
        self._ended = time.monotonic()
        self.over.set()
        self._notify()

    def _why(self) -> Any:
        if self.error is not None:
            return phrase("error.not_asked_since", reason=self.error.message)
        return phrase("error.not_asked")

    def _notify(self) -> None:
        for listener in self.listeners:
            listener(self)

    # --- rows -----------------------------------------------------------------------------------------------------

    def _take(self, ended: Iterable[Stored], *, again: bool) -> None:
        """Take results over from disk."""
        units = {unit.digest: unit for unit in self.units}
        for digest, status, text, fields in ended:
            unit = units.get(digest)
            if unit is None or unit.value is not None or (again and status == FAILED):
                continue
            unit.value = restored(self.asking, status, text, fields)
            if unit.value is not None:
                self.taken += len(unit.places)
                self._count(unit)

    def _count(self, unit: Unit) -> None:
        self._done += len(unit.places)
        if isinstance(unit.value, ChatError):
            self._failed += len(unit.places)

    async def _work(self) -> None:
        pace = self._pace
        assert pace is not None  # noqa: S101 - made before any worker is
        while (unit := await self._next()) is not None:
            self._running[unit] = None
            try:
                if not await self._asked(unit, pace):
                    return
            finally:
                del self._running[unit]

    async def _next(self) -> Unit | None:
        """Return the next unit to ask; None if there is none for this worker."""
        while True:
            if self.is_stopped or self.error is not None:
                return None
            left = self._later[0][0] - self._time() if self._later else 0.0
            if self._later and left <= 0:
                return heappop(self._later)[2]
            if self._waiting:
                return self._waiting.popleft()
            if not self._later:
                return None
            await asyncio.sleep(left)

    async def _asked(self, unit: Unit, pace: Pace) -> bool:
        """Ask a unit once; return whether to go on."""
        try:
            messages = self.asking.messages(unit)
            self.asking.check(unit.prompt)
        except ChatError as error:
            await self._end(unit, error.bare())
            return True
        tokens = float(estimate_messages(messages)) if self.bounds.tpm else 0.0
        if self._is_too_dear():
            self.error = NotAskedError(phrase("error.max_cost", limit=self.bounds.max_cost))
            self._waiting.appendleft(unit)
            return False
        self._under_way += 1
        began = await pace.begin(tokens)
        used = 0.0
        try:
            try:
                value, completion = await self._answered(messages)
            finally:
                self._under_way -= 1
            pace.succeeded()
            used = self._used(completion) - tokens if self.bounds.tpm else 0.0
            self._succeeded_at = self._time()
            self._failures.clear()
            # Its place is free only when it is on disk: so a kill loses no more than is under way.
            self._received(unit, completion)
            await self._write(unit, value, stored(unit.digest, completion))
        except ChatError as caught:
            failure = caught.bare()
        except (Exception, KeyboardInterrupt, SystemExit) as caught:  # noqa: BLE001 - a provider is anybody's code
            failure = self._provider_error(caught)
        else:
            return True
        finally:
            pace.end(used)
        await self._refused(unit, failure, began, pace)
        return True

    def _received(self, unit: Unit, completion: Completion) -> None:
        """Take note of a unit's good response."""

    def _provider_error(self, caught: BaseException) -> ChatError:
        reason, kind = " ".join(str(caught).split())[:500], type(caught).__name__
        return ChatError(phrase("error.provider_failed", provider=self.asking.provider, error=kind, reason=reason))

    async def _answered(self, messages: Messages) -> tuple[Any, Completion]:
        """Return the result for messages, after a correction if that is needed, and the last response."""
        asking = self.asking
        schema = asking.schema
        completion = await self._request(messages)
        if schema is None:
            return self._reply(completion), completion
        try:
            return schema.read(completion.text), completion
        except AnswerFormatError as error:
            objection = schema.objection(error)
        corrected: Messages = [
            *messages,
            {"role": "assistant", "content": completion.text},
            {"role": "user", "content": objection},
        ]
        completion = await self._request(corrected)
        return schema.read(completion.text), completion

    async def _request(self, messages: Messages) -> Completion:
        self.requests += 1
        completion = await self.asking.ask(messages)
        self._count_usage(completion)
        return completion

    def _count_usage(self, completion: Completion) -> None:
        self._answers += 1
        usage = completion.usage or Usage()
        self._prompt_tokens += usage.prompt_tokens or 0
        self._completion_tokens += usage.completion_tokens or 0
        self._usage.count(self.asking.provider, completion.model or self.asking.model, completion.usage)

    def _reply(self, completion: Completion) -> Reply:
        return Reply(
            completion.text,
            provider=self.asking.provider,
            model=completion.model or self.asking.model,
            finish_reason=completion.finish_reason,
            usage=completion.usage,
        )

    @staticmethod
    def _used(completion: Completion) -> float:
        usage = completion.usage or Usage()
        return float((usage.prompt_tokens or 0) + (usage.completion_tokens or 0))

    def _is_too_dear(self) -> bool:
        """Whether one row more may cost more than the person wants."""
        most = self.bounds.max_cost
        cost = self.progress.cost
        if most is None or cost is None:
            return False
        each = cost / max(self._answers, 1)
        return cost + each * (self._under_way + 1) > most

    # --- failures -------------------------------------------------------------------------------------------------

    async def _refused(self, unit: Unit, error: ChatError, began: float, pace: Pace) -> None:
        """Have a unit asked again later, or end it."""
        is_busy = isinstance(error, RateLimitError | OverloadedError)
        if is_busy or isinstance(error, ConnectionFailedError) or (error.status or 0) >= 500:  # noqa: PLR2004 - HTTP's
            pace.refused(error, began)
        pause = self._pause(unit, error, is_busy=is_busy)
        if pause is not None:
            heappush(self._later, (self._time() + pause, id(unit), unit))
            return
        await self._give_up(unit, error)

    async def _give_up(self, unit: Unit, error: ChatError) -> None:
        """End a unit by an error, and with it the job if it would end every other unit, too."""
        if self._ends_all(error):
            self.error = self.error or error
            unit.value = error
            self._stop()
            return
        await self._end(unit, error)

    def _pause(  # noqa: PLR0911 - a list of cases
        self, unit: Unit, error: ChatError, *, is_busy: bool
    ) -> float | None:
        """Return for how long a unit waits before it is asked again; None if it is not."""
        asked = error.retry_after
        if is_busy:
            if (asked or 0.0) > LONGEST_ASKED_PAUSE_SECONDS:
                return None
            if self._time() - self._succeeded_at > GIVE_UP_SECONDS:
                return None
            unit.refusals += 1
            return asked if asked is not None else _backoff(2 * FIRST_PAUSE_SECONDS, unit.refusals)
        if not error.retryable:
            return None
        if asked == 0.0 and not unit.refusals:  # of a connection that was gone: nothing was asked
            unit.refusals += 1
            return 0.0
        unit.tries += 1
        if unit.tries > self.asking.retries:
            return None
        if isinstance(error, IncompleteError) and unit.tries == 1:
            return 0.0
        if asked is not None:
            return asked if asked <= LONGEST_ASKED_PAUSE_SECONDS else None
        return _backoff(FIRST_PAUSE_SECONDS, unit.tries)

    def _ends_all(self, error: ChatError) -> bool:
        """Whether what a row was told concerns all that follow."""
        if isinstance(error, _ENDING) or (isinstance(error, ConfigurationError) and not isinstance(error, _OF_A_ROW)):
            return True
        if isinstance(error, RateLimitError | OverloadedError):
            return True  # after all patience
        if self._failures is not None:
            self._failures.append(error.kind)
        if self._done > self._failed + self.taken or len(set(self._failures[-HOPELESS:])) > 1:
            return False
        if isinstance(error, NotFoundError | PermissionDeniedError):
            return isinstance(error, NotFoundError) or len(self._failures) >= HOPELESS
        return isinstance(error, ConnectionFailedError) and len(self._failures) >= HOPELESS

    # --- the disk -------------------------------------------------------------------------------------------------

    async def _end(self, unit: Unit, error: ChatError) -> None:
        fields = json.dumps({"failure": codec.failure_to_json(Failure.of(error))}, ensure_ascii=False)
        await self._write(unit, error, (unit.digest, FAILED, "", fields))

    async def _write(self, unit: Unit, value: Any, row: Stored) -> None:
        """Write how a unit ended, together with others that end at the same time, and wait until it is on disk."""
        if self.id is None:
            self._settle([(unit, value, row)])
            return
        self._unsaved.append((unit, value, row))
        if self._saved is None:
            self._saved = asyncio.get_running_loop().create_future()
        if self._saving is None:
            # In the loop's next round, so that all that came in this one goes together.
            self._saving = asyncio.ensure_future(self._save())
        await asyncio.shield(self._saved)

    async def _save(self) -> None:
        job = self.id
        assert job is not None  # noqa: S101 - else nothing is written
        while self._unsaved:
            several, self._unsaved = self._unsaved, []
            saved, self._saved = self._saved, None
            await self._save_now(job, [row for _, _, row in several])
            self._settle(several)
            if saved is not None and not saved.done():
                saved.set_result(None)
        self._saving = None

    async def _save_now(self, job: int, rows: list[Stored]) -> None:
        now = time.monotonic()
        if not self._is_disk_slow:
            done = self._autosave.try_jobs(lambda jobs: jobs.end(job, rows))
            self._is_disk_slow = time.monotonic() > now + SLOW_SECONDS
            if done:
                if self._syncing is None and now > self._synced + SYNC_SECONDS:
                    self._synced = now
                    self._syncing = asyncio.ensure_future(self._sync(job))
                return
        # Where that fails, a warning says so, and the job goes on.
        await self._autosave.with_jobs(lambda jobs: jobs.end(job, rows))

    async def _sync(self, job: int) -> None:
        await self._autosave.with_jobs(lambda jobs: jobs.touch(job))
        self._syncing = None

    def _settle(self, several: list[tuple[Unit, Any, Stored]]) -> None:
        for unit, value, _ in several:
            unit.value = value
            self._count(unit)
        self._notify()


def stored(digest: bytes, completion: Completion) -> Stored:
    """Return a response as it stands on disk."""
    usage = completion.usage
    fields = {
        "finish": completion.finish_reason,
        "model": completion.model,
        "usage": [usage.prompt_tokens, usage.completion_tokens] if usage is not None else None,
    }
    return digest, DONE, encodable(completion.text), json.dumps(fields, ensure_ascii=False)


def restored(asking: Asking, status: str, text: str, fields: str) -> Any:
    """Return the result in a row from disk; None if there is none that holds today."""
    try:
        found = json.loads(fields)
        if status == FAILED:
            return codec.failure_from_json(found["failure"]).error()
        if asking.schema is not None:
            return asking.schema.read(text)
        usage = Usage(*found["usage"]) if found["usage"] else None
        model, finish = str(found["model"]) or asking.model, str(found["finish"])
    except (ChatError, ValueError, KeyError, TypeError):
        return None
    return Reply(text, provider=asking.provider, model=model, finish_reason=finish, usage=usage)


def _backoff(first: float, tries: int) -> float:
    longest = min(first * 2.0 ** (tries - 1), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret
