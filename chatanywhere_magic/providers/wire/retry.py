"""Retries: whether to ask again after a failure, and after what pause. Never once the response has started."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from contextlib import aclosing, suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from ...core import APIError, ChatError, ConnectionFailedError, DeltaGenerator, Notice, Reasoning, Text, ToolCall, text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from .limits import Deadline

MAX_RETRIES: Final = 2
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 8.0
LONGEST_ASKED_PAUSE_SECONDS: Final = 60.0
"""A server that asks for more than this is not waited for; its error says when to come back."""

LONGEST_NAMED_PAUSE_SECONDS: Final = 366 * 86_400.0
"""A server that names more means that it is not to be asked again, and no calendar has to hold it."""


_DURATION: Final = (
    r"(?=\d)(?:(?P<d>\d{1,4})\s?d(?:ays?)?(?![a-z])\s?(?:and\s)?)?"
    r"(?:(?P<h>\d{1,6})\s?h(?:ours?|rs?)?\s?(?:and\s)?)?(?:(?P<m>\d{1,6})\s?m(?:in(?:ute)?s?)?(?![a-z])\s?(?:and\s)?)?"
    r"(?:(?P<s>\d{1,6}(?:\.\d{1,9})?)\s?s(?:ec(?:ond)?s?)?)?(?:(?P<ms>\d{1,9}(?:\.\d{1,9})?)\s?(?:ms|milliseconds?))?"
)
_NAMED_PAUSE: Final = re.compile(
    rf"(?:again|retry|wait|resets?)\s(?:in|after|for)?\s?(?:about\s)?{_DURATION}", re.IGNORECASE
)
_CHINESE_PAUSE: Final = re.compile(
    r"(?=\d)(?:(?P<d>\d{1,4})\s?天)?(?:(?P<h>\d{1,6})\s?(?:个)?小时)?(?:(?P<m>\d{1,6})\s?分钟?)?"
    r"(?:(?P<s>\d{1,6}(?:\.\d{1,9})?)\s?秒钟?)?\s?(?:之|以)?后"
)
_NAMED_MOMENT: Final = re.compile(
    r"(?:again|retry|resets?|until)\s(?:at|on|after)?\s?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)"
    r"(?:\.\d{1,9})?\s?([+-]\d\d:\d\d)?",
    re.IGNORECASE,
)
_WHOLE_DURATION: Final = re.compile(_DURATION, re.IGNORECASE)
_EPOCH: Final = 1e9
"""From here on a number is a moment, in seconds since 1970, and from a thousand times as much in milliseconds."""


def named_pause(words: str) -> float | None:
    """Return the seconds that a server asks to wait in words, such as "try again in 1m0.36s"; None if it does not."""
    if found := _NAMED_MOMENT.search(words):
        with suppress(ValueError):
            moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or '+00:00'}")
            return _seconds_to(moment)
    found = _NAMED_PAUSE.search(words) or _CHINESE_PAUSE.search(words)
    return _seconds(found) if found else None


def _seconds_to(moment: datetime) -> float:
    return min(max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()), LONGEST_NAMED_PAUSE_SECONDS)


def _seconds(found: re.Match[str]) -> float | None:
    units = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    named = [(value, units[name]) for name, value in found.groupdict().items() if value]
    if not named:
        return None
    return min(sum(float(value) * unit for value, unit in named), LONGEST_NAMED_PAUSE_SECONDS)


def reset_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a limit is reset, by a server's ``x-ratelimit-reset-*``; None if unknown.

    Of several limits, those count that are used up.
    """
    found: list[float] = []
    for name, value in headers.items():
        _, is_reset, _ = name.lower().partition("ratelimit-reset")
        remaining = headers.get(name.lower().replace("-reset", "-remaining"))
        seconds = _until(value) if is_reset and remaining in {None, "0"} else None
        if seconds is not None:
            found.append(seconds)
    return max(found, default=None)


def _until(value: str) -> float | None:
    """Return the seconds in "6m0s" or "17", or until a moment in seconds or milliseconds since 1970."""
    value = value.strip()
    try:
        number = float(value)
    except ValueError:
        found = _WHOLE_DURATION.fullmatch(value)
        return _seconds(found) if found else None
    if number >= _EPOCH * 1000:
        number /= 1000
    if number >= _EPOCH:
        number -= time.time()
    return min(max(0.0, number), LONGEST_NAMED_PAUSE_SECONDS) if math.isfinite(number) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, or None.

    ``retry-after-ms`` (OpenAI's) goes before ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3).
    """
    milliseconds, value = headers.get("retry-after-ms"), headers.get("Retry-After")
    for number, unit in ((milliseconds, 1000.0), (value, 1.0)):
        try:
            seconds = float(number or "") / unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(max(0.0, seconds), LONGEST_NAMED_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": by the RFC it is UTC all the same
        moment = moment.replace(tzinfo=timezone.utc)
    return _seconds_to(moment)


def pause_before(attempt: int, error: ChatError) -> float | None:
    """Return how many seconds to wait before try number `attempt` (the first retry is 1); None to give up.

    What the server asks for, else exponentially longer pauses, with jitter, so that a class of students who
    were refused together does not come back together.
    """
    if not error.retryable or not isinstance(error, APIError | ConnectionFailedError):
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_ASKED_PAUSE_SECONDS else None
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret


async def with_retries(
    ask: Callable[[ChatError | None], DeltaGenerator], retries: int = MAX_RETRIES, total: Deadline | None = None
) -> DeltaGenerator:
    """Yield the deltas of ``ask(None)``; if it fails before the response starts, report it, wait and retry.

    Parameters
    ----------
    ask : callable
        Makes the generator of one try; it is given the error of the try before, None for the first.
    retries : int, default 2
        Further tries at most.
    total : Deadline, optional
        The limit for all of them; a pause that would not end before it is not begun.

    Yields
    ------
    Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice

    Raises
    ------
    ChatError
        Of the last try. It comes without the frames below and without what caused it: these hold what the server
        sent, and the request's headers.
    """
    attempt = 0
    before: ChatError | None = None
    while True:
        begun = False
        try:
            async with aclosing(ask(before)) as deltas:
                async for delta in deltas:
                    begun = begun or isinstance(delta, Text | Reasoning | ToolCall)
                    yield delta
        except ChatError as error:
            attempt += 1
            # Where a kept connection was gone, the server has seen nothing: it is asked on a fresh one in any case.
            is_stale = attempt == 1 and isinstance(error, ConnectionFailedError) and error.retry_after == 0
            pause = None if begun or attempt > max(retries, is_stale) else pause_before(attempt, error)
            if pause is None or (total is not None and pause >= total.left()):
                raise error.bare() from None
            before = error
        else:
            return
        why = text("why.rate_limit" if before.kind == "rate_limit" else "why.failed")
        async with aclosing(_counted_down(why, pause)) as notices:
            async for notice in notices:
                yield notice


async def _counted_down(why: str, pause: float) -> AsyncGenerator[Notice, None]:
    """Wait for `pause` seconds, and report each second how many are left; report a retry without a pause, too."""
    until = time.monotonic() + pause
    left = pause
    while True:
        yield Notice(text("notice.retrying", why=why, seconds=math.ceil(left)))
        await asyncio.sleep(min(left, 1.0))
        left = until - time.monotonic()
        if left <= 0:
            return
