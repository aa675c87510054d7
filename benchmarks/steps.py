"""What a step of calls costs beyond the model and the tool: checked, run on the main thread, stored, and asked again.

::

    python -m benchmarks.steps --steps 20 --turns 10
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from chatanywhere_magic import ChatSession, Script, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=10, help="of which the median (default: %(default)s)")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {options.steps} steps a turn")
    for name, kept in (("nothing stored", False), ("stored", True)):
        wall, work = _measure(options.steps, options.turns, kept=kept)
        print(f"{name}: {wall:.2f} ms a step, {work:.2f} ms of the processor (bar: 3, stored)")


def _measure(steps: int, turns: int, *, kept: bool) -> tuple[float, float]:
    """Return the median milliseconds of a step, by the clock and of the processor."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CHATANYWHERE_DATA_DIR"] = directory
        chat = ChatSession(max_steps=steps + 1)
        if kept:
            chat.conversations.keep()
        plain = _turns(chat, 0, turns)
        chat.tools.add(_look, approval="never")
        called = _turns(chat, steps, turns)
        chat.close()
    return tuple((median(each) - median(none)) / steps for each, none in zip(called, plain, strict=True))  # type: ignore[return-value]


def _turns(chat: ChatSession, steps: int, turns: int) -> tuple[list[float], list[float]]:
    clocks: tuple[Callable[[], float], ...] = (time.perf_counter, time.process_time)
    measured: tuple[list[float], ...] = ([], [])
    for number in range(turns + 1):
        chat.conversations.new()
        call: Any = ("_look", {"place": "Paris", "days": 3})
        chat.settings.provider = Scripted.of(*[Script(calls=[call])] * steps, "Warm.")
        begun = [clock() for clock in clocks]
        chat.ask_sync("How warm will it be?")
        if number:  # what the first one loads belongs to no step
            for found, clock, begin in zip(measured, clocks, begun, strict=True):
                found.append((clock() - begin) * 1000)
    return measured[0], measured[1]


def _look(place: str, days: int) -> dict[str, Any]:
    """Return the weather."""
    return {"place": place, "days": [{"high": 18 + day, "low": 9} for day in range(days)]}


if __name__ == "__main__":
    main()
