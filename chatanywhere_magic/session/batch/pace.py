"""When the next row may be asked: how many at a time, how many a minute, and what the server says.

One refusal says nothing about the others: its row waits as long as the server asks, and the rest goes on. Refusals in
a row say that all ask too much: then all wait, and go on at the rate that was let through before.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Final

from ...core import OverloadedError, RateLimitError

if TYPE_CHECKING:
    from ...core import ChatError

LOOKED_AT: Final = 8
MANY: Final = 5
"""So many refusals among the last that were looked at are no chance."""
LOOKED_AT_LONGER: Final = 50
TOO_MANY: Final = 0.16
"""At a rate that was measured, this share of refusals says that it is too high."""
GROWTH: Final = 1.01
GROWS_AFTER: Final = 50
"""Rows that go well until a rate that was measured is tried a little higher,"""
GROWS_FASTER_AFTER: Final = 10
"""and after so many times without a refusal of all a little more."""
FASTEST_GROWTH: Final = 1.08
WINDOWS: Final = (60, 10, 1)
"""Seconds for which servers count requests."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
SHORTEST_PAUSE_SECONDS: Final = 0.1
MINUTE: Final = 60.0


class Pace:
    """Who may begin when. For one event loop.

    Parameters
    ----------
    concurrency : int
        How many rows are asked at a time at most.
    rpm, tpm : float, optional
        Requests and tokens a minute at most.
    """

    def __init__(self, concurrency: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self.most = concurrency
        self.limit = float(concurrency)
        """How many at a time now."""
        self._fixed = rpm / MINUTE if rpm else math.inf
        self._tokens = tpm / MINUTE if tpm else math.inf
        self._rate = math.inf
        """Requests a second, as far as it was measured."""
        self._running = 0
        self._next = self._next_tokens = 0.0
        self._until = 0.0
        """Until when everybody waits."""
        self._since = 0.0
        """When the last wait of all ended."""
        self._paused_at = 0.0
        self._passed: deque[list[int]] = deque(maxlen=WINDOWS[0])
        """How many responses came in each of the last seconds in which any came."""
        self._passed_at_rate = self._grown = 0
        self._pauses = 0
        self._refusals: deque[bool] = deque(maxlen=LOOKED_AT)
        self._failures: deque[bool] = deque(maxlen=LOOKED_AT)
        self._longer: deque[bool] = deque(maxlen=LOOKED_AT_LONGER)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._time = asyncio.get_running_loop().time

    @property
    def pause_left(self) -> float:
        """For how many seconds everybody waits."""
        return max(self._until - self._time(), 0.0)

    async def begin(self, tokens: float = 0.0) -> float:
        """Wait until a request of so many `tokens` may be sent, and return the time."""
        while True:
            now = self._time()
            self._since = self._since or now
            rate = min(self._rate, self._fixed)
            due = max(self._until, self._next if rate < math.inf else 0.0, self._next_tokens)
            if due > now:
                await asyncio.sleep(due - now)
            elif self._running >= max(int(self.limit), 1):
                await self._freed()
            else:
                break
        self._running += 1
        if rate < math.inf:
            self._next = max(self._next, now - 1 / rate) + 1 / rate
        if self._tokens < math.inf:
            self._next_tokens = max(self._next_tokens, now) + tokens / self._tokens
        return now

    async def _freed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def end(self, tokens: float = 0.0) -> None:
        """Take note that a request is over, which took so many `tokens` more than was expected."""
        self._running -= 1
        if self._tokens < math.inf:
            self._next_tokens += tokens / self._tokens
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def succeeded(self) -> None:
        """Take note of a response."""
        second = int(self._time())
        if self._passed and self._passed[-1][0] == second:
            self._passed[-1][1] += 1
        else:
            self._passed.append([second, 1])
        self._pauses = 0
        for recent in (self._refusals, self._failures, self._longer):
            recent.append(False)
        if self.limit < self.most:
            self.limit = min(self.limit + 1 / self.limit, self.most)
            if int(self.limit) > self._running and self._waiting:
                self._wake()
        self._passed_at_rate += 1
        if self._passed_at_rate >= GROWS_AFTER:
            self._passed_at_rate = 0
            self._grown += 1
            self._rate *= min(GROWTH + 0.01 * max(self._grown - GROWS_FASTER_AFTER, 0), FASTEST_GROWTH)

    def _wake(self) -> None:
        waiter = self._waiting.popleft()
        if not waiter.done():
            waiter.set_result(None)

    def refused(self, error: ChatError, began: float) -> None:
        """Take note of a refusal, or of a failure of the server or the network, of a request that `began` then."""
        if began < self._paused_at:
            return  # it was on its way when all began to wait
        is_limit = isinstance(error, RateLimitError)
        recent = self._refusals if is_limit else self._failures
        recent.append(True)
        if sum(recent) >= MANY:
            self._pause(error, self._time())
        elif is_limit and self._rate < math.inf:
            self._longer.append(True)
            if len(self._longer) == LOOKED_AT_LONGER and sum(self._longer) > TOO_MANY * LOOKED_AT_LONGER:
                self._slow_down(self._rate * 0.85)

    def _pause(self, error: ChatError, now: float) -> None:
        """Have everybody wait, for as long as the server asks, and go on more slowly."""
        asked = error.retry_after
        self._pauses += 1
        longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (self._pauses - 1), LONGEST_PAUSE_SECONDS)
        pause = asked if asked is not None else longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret
        pause = max(pause, SHORTEST_PAUSE_SECONDS)
        elapsed = now - self._since
        if isinstance(error, OverloadedError):
            self.limit = max(self.limit / 2, 1.0)
        elif isinstance(error, RateLimitError):
            self._measure(now, elapsed, elapsed + pause)
        self._paused_at = now
        self._until = self._since = now + pause
        self._refusals.clear()
        self._failures.clear()

    def _measure(self, now: float, elapsed: float, span: float) -> None:
        """Find out which rate the server takes: what it let through in the time for which it counts."""
        window = next((each for each in WINDOWS if span >= 0.95 * each), 0)
        passed = sum(count for second, count in self._passed if second >= int(now) - (window or 1))
        if window and passed and self._rate == math.inf:
            self._slow_down(passed / window)
        else:
            share = max(1 - sum(self._refusals) / len(self._refusals), 0.6)
            rate = self._rate if self._rate < math.inf else passed / min(max(elapsed, 0.05), 1.0)
            self._slow_down(max(share * rate, 1.0))

    def _slow_down(self, rate: float) -> None:
        self._rate = rate
        self._passed_at_rate = self._grown = 0
        self._longer.clear()
