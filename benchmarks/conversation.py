"""Long conversations: what the last turns cost beside the first, and what it takes to go on with one.

::

    python -m benchmarks.conversation --turns 1000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from chatanywhere_magic import ChatSession
from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.keys import DIRECTORY_VARIABLE
from chatanywhere_magic.store.store import Store
from tests.support.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUESTION = "What is the median of these numbers, and why is it not their mean? {number}"
ANSWER = "The median is the value in the middle: half of the numbers are smaller, half are larger. " * 8
NOTEBOOK = "/home/ada/notebook.ipynb"
RESUME = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
start = time.perf_counter()
shell.run_line_magic("load_ext", "chatanywhere_magic")
loaded = time.perf_counter()
shell.run_line_magic("chat_switch", sys.argv[1])
json.dump([loaded - start, time.perf_counter() - loaded], sys.stderr)
"""
FIRST = """
import json, sys, time
from pathlib import Path
from benchmarks.conversation import answer
from chatanywhere_magic import ChatSession
chat = ChatSession(provider=answer, budget=4096)
chat.conversations.keep("")
times = [time.perf_counter()]
for action in (
    lambda: chat.conversations.switch(sys.argv[1]),
    lambda: chat.ask_sync("And now?"),
    lambda: chat.ask_sync("And then?"),
    lambda: chat.conversations.search("number 777 "),
    lambda: chat.conversations.search("smaller"),
    lambda: chat.conversations.list(),
):
    action()
    times.append(time.perf_counter())
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.is_file() else []
memory = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0)
json.dump([*(later - earlier for earlier, later in zip(times, times[1:])), memory], sys.stderr)
"""


async def answer(messages: list[dict[str, str]]) -> AsyncIterator[str]:  # noqa: ARG001 - the provider contract
    for word in range(0, len(ANSWER), 100):
        yield ANSWER[word : word + 100]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversation", description=__doc__)
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=4096, help="0 for none")
    parser.add_argument("--repeat", type=int, default=5, help="times it is gone on with (default: %(default)s)")
    parser.add_argument("--long", type=int, default=100_000, help="turns of a kept one; 0 for none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        name = _hold(options.turns, options.budget or None)
        _go_on(Path(directory), name, options.repeat)
    if options.long:
        with tempfile.TemporaryDirectory() as directory:
            _compare(Path(directory), options.long, options.repeat)


def _hold(turns: int, budget: int | None) -> str:
    chat = ChatSession(provider=answer, budget=budget)
    chat.conversations.keep(NOTEBOOK)
    chat.ask_sync("warm up")
    chat.conversations.new()
    wall, cpu, sizes = [], [], []
    for number in range(turns):
        if number == turns // 4:
            tracemalloc.start()
        if number in {turns // 2, turns * 3 // 4, turns - 1} and tracemalloc.is_tracing():
            sizes.append(tracemalloc.get_traced_memory()[0])
            if number == turns - 1:
                tracemalloc.stop()
                break
        before = time.perf_counter(), time.process_time()
        chat.ask_sync(QUESTION.format(number=number))
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    # Tracing slows things down; these are asked without.
    for number in range(20):
        before = time.perf_counter(), time.process_time()
        chat.ask_sync(QUESTION.format(number=turns + number))
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    for measure, values in (("wall", wall), ("CPU", cpu)):
        first, last = median(values[:20]) * 1000, median(values[-20:]) * 1000
        print(f"turn 1 to 20, {measure}: {first:.2f} ms; turn {turns}: {last:.2f} ms; ratio {last / first:.2f}")
    quarter = [later - earlier for earlier, later in pairwise(sizes)]
    print(f"memory by quarters, kB: {', '.join(f'{size / 1024:.0f}' for size in quarter)}")
    name = chat.conversations.id
    chat.close()
    return name


def _go_on(directory: Path, name: str, repeat: int) -> None:
    load, switch = (1000 * seconds for seconds in _resumed(RESUME, directory, name[:8], repeat))
    print(f"%load_ext, which offers it: {load:.0f} ms; %chat_switch to its first screen: {switch:.0f} ms")


def _compare(directory: Path, turns: int, repeat: int) -> None:
    """Print what it costs to go on with a long conversation, beside a short one."""
    store = Store.open(directory)
    for name, count in (("short", 20), ("long", turns)):
        asked = (Version.of(QUESTION.format(number=number), ANSWER, status="complete") for number in range(count))
        store.save(name, Conversation(tuple(Turn((version,)) for version in asked)))
    store.close()
    short, long = (_resumed(FIRST, directory, name, repeat) for name in ("short", "long"))
    what = ("switch", "first question", "second", "search for one turn", "search for all", "list")
    print(f"{turns:,} turns beside 20, ms:")
    for each, first, last in zip(what, short, long, strict=False):
        print(f"  {each}: {first * 1000:.1f} and {last * 1000:.1f}, ratio {last / first:.2f}")
    texts = turns * (len(QUESTION) + len(ANSWER)) / 2**20
    print(f"  memory: {long[-1] - short[-1]:.0f} MB more, for {texts:.0f} MB of text")


def _resumed(code: str, directory: Path, name: str, repeat: int) -> list[float]:
    """Return the medians of what `code` prints in processes of its own."""
    runs = []
    for _ in range(repeat + 1):
        done = subprocess.run(
            [sys.executable, "-c", code, name],
            env=clean_environment(directory, {DIRECTORY_VARIABLE: str(directory), "JPY_SESSION_NAME": NOTEBOOK}),
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stderr.splitlines()[-1]))
    return [median(values) for values in zip(*runs[1:], strict=True)]


if __name__ == "__main__":
    main()
