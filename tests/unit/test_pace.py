"""How jobs pace themselves: against servers that limit and fail, on a clock that is only counted."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic.core import IncompleteError, OverloadedError, RateLimitError, ServerError, Usage
from chatanywhere_magic.providers import Completion
from chatanywhere_magic.session.batch.job import Asking, Bounds, Job, Unit
from chatanywhere_magic.session.usage import UsageTotals

if TYPE_CHECKING:
    from collections.abc import Callable


class CountedLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only while it sleeps, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        select = self._selector.select  # type: ignore[attr-defined]

        def at_once(timeout: float | None = None) -> Any:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = at_once  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


class NoDisk:
    async def with_jobs(self, _action: Any) -> None:
        return None


class LimitedServer:
    """A server that takes so many requests a second, and fails now and then."""

    def __init__(self, limit: int, latency: float, asks_to_wait: Callable[[float], float | None], seed: int) -> None:
        self.limit = limit
        self.latency = latency
        self.chance = random.Random(seed)  # noqa: S311 - chance picks failures, not secrets
        self.requests = self.let_through = 0
        self._asks_to_wait = asks_to_wait
        self._log: deque[float] = deque()
        self.most = 0
        self._now = 0

    async def ask(self, _messages: Any) -> Completion:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._answer(asyncio.get_running_loop().time())
        finally:
            self._now -= 1

    async def _answer(self, now: float) -> Completion:
        self.requests += 1
        while self._log and self._log[0] < now - 1:
            self._log.popleft()
        if len(self._log) >= self.limit:
            await asyncio.sleep(0.002)
            raise RateLimitError("busy", status=429, retry_after=self._asks_to_wait(self._log[0] + 1 - now))
        self._log.append(now)
        self.let_through += 1
        fate = self.chance.random()
        if fate < 0.05:
            raise RateLimitError("busy", status=429, retry_after=self._asks_to_wait(0.2))
        if fate < 0.07:
            raise ServerError("broken", status=500)
        await asyncio.sleep(self.latency * self.chance.uniform(0.8, 1.2))
        if fate < 0.08:
            raise IncompleteError("cut")
        return Completion("fine", "stop", Usage(10, 2), "m")


def run(ask: Any, rows: int = 600, **bounds: Any) -> tuple[Job, float]:
    """Ask so many rows, and return the job and how long it took by the clock that is counted."""
    loop = CountedLoop()
    asking = Asking(ask, "test", "m", lambda unit: [{"role": "user", "content": unit.prompt}], lambda _: None)

    async def go() -> tuple[Job, float]:
        job = Job(asking, Bounds(**bounds), NoDisk(), UsageTotals())
        job.units = [Unit(str(number), (), number.to_bytes(4, "big")) for number in range(rows)]
        for place, unit in enumerate(job.units):
            unit.places.append(place)
        await job.begin(lambda _: (0, []), again=False)
        begun = loop.time()
        await job.run()
        return job, loop.time() - begun

    try:
        return loop.run_until_complete(go())
    finally:
        loop.close()


def good(job: Job) -> int:
    return sum(isinstance(value, str) for value in job.values())


@pytest.mark.parametrize("latency", [0.005, 0.01, 0.02, 0.03, 0.05])
@pytest.mark.parametrize("seed", range(4))
def test_a_limit_and_failures_cost_neither_rows_nor_requests_nor_much_time(latency: float, seed: int) -> None:
    """200 requests a second, 5 % 429, 2 % 500, 1 % cut off; nothing is set."""
    server = LimitedServer(200, latency, lambda seconds: seconds, seed)
    job, seconds = run(server.ask)
    ideal = max(server.let_through / 200, server.let_through * latency / 8)
    assert good(job) == 600
    assert server.requests <= 1.05 * server.let_through
    assert seconds <= 1.3 * ideal


@pytest.mark.parametrize("asks_to_wait", [lambda seconds: float(math.ceil(seconds)), lambda _: None])
def test_whole_seconds_and_silence_are_understood_too(asks_to_wait: Any) -> None:
    server = LimitedServer(200, 0.01, asks_to_wait, 1)
    job, _ = run(server.ask)
    assert good(job) == 600
    assert server.requests <= 1.08 * server.let_through


def test_one_refusal_keeps_only_its_own_row_waiting() -> None:
    asked: list[str] = []

    async def ask(messages: Any) -> Completion:
        row = messages[0]["content"]
        asked.append(row)
        await asyncio.sleep(0.01)
        if row == "3" and asked.count("3") == 1:
            raise RateLimitError("busy", retry_after=30.0)
        return Completion("fine", "stop")

    job, seconds = run(ask, rows=100)
    assert good(job) == 100
    assert asked[-1] == "3"
    assert 30 <= seconds < 31


def test_a_server_that_is_overloaded_is_asked_less_at_a_time_and_more_again_when_it_recovers() -> None:
    running, most = 0, [0]
    refused = 0

    async def ask(_messages: Any) -> Completion:
        nonlocal running, refused
        running += 1
        most.append(running)
        try:
            await asyncio.sleep(0.05)
            if 100 < len(most) < 300 and running > 4:
                refused += 1
                raise OverloadedError("overloaded", status=503, retry_after=0.5)
            return Completion("fine", "stop")
        finally:
            running -= 1

    job, _ = run(ask, rows=1000, concurrency=16)
    assert good(job) == 1000
    assert max(most[:100]) == 16
    assert max(most[200:300]) <= 8
    assert max(most[-200:]) == 16
    assert refused < 120


@pytest.mark.parametrize(("bound", "seconds"), [({"rpm": 600}, 10.0), ({"tpm": 60 * 100}, 12.0)])
def test_requests_and_tokens_a_minute_are_held(bound: dict[str, Any], seconds: float) -> None:
    async def ask(_messages: Any) -> Completion:
        return Completion("fine", "stop", Usage(10, 2))

    job, took = run(ask, rows=100, **bound)
    assert good(job) == 100
    assert took == pytest.approx(seconds, rel=0.1)


def test_a_server_that_never_answers_is_given_up_in_the_end() -> None:
    async def ask(_messages: Any) -> Completion:
        raise RateLimitError("busy", status=429, retry_after=5.0)

    job, seconds = run(ask, rows=1000)
    assert good(job) == 0
    assert job.error is not None
    assert 600 <= seconds < 700


def test_a_broken_server_fails_each_row_after_some_tries() -> None:
    asked = 0

    async def ask(_messages: Any) -> Completion:
        nonlocal asked
        asked += 1
        raise ServerError("broken", status=500)

    job, _ = run(ask, rows=10)
    assert {getattr(value, "kind", "") for value in job.values()} == {"server"}
    assert asked == 10 * 5
