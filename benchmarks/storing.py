"""What is on the disk after kernels were killed, and after many wrote at once; and what a long conversation costs.

::

    python -m benchmarks.storing --kills 50 --kernels 8
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.store.store import Store
from tests.kernel.conftest import LOAD, environment
from tests.support.kernels import Kernel
from tests.support.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

RATE: Final = 100
"""Pieces a second, of four letters, of an answer during which a kernel is killed."""
ASK: Final = "for number in range({count}):\n    chat.ask_sync(f'{name} {{number}}')"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storing", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=50, help="kernels killed while they respond (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="within which they are (default: %(default)s)")
    parser.add_argument("--kernels", type=int, default=8, help="that write at once (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=25, help="of each of them (default: %(default)s)")
    parser.add_argument("--long", type=int, default=1000, help="turns of a long conversation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments (default: another each time)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"seed {seed}, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with LocalServer(rate=RATE) as server:
        _kill(server, options.kills, options.seconds, random.Random(seed))
    with LocalServer() as server:
        _write_at_once(server, options.kernels, options.turns)
    _measure_long(options.long)


def _kill(server: LocalServer, count: int, seconds: float, moments: random.Random) -> None:
    """Kill kernels in the middle of an answer, and look at what the next one finds."""
    lost_questions = lost_files = 0
    lost_seconds = []
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            server.forget()
            with Kernel(Path(home), env=environment(server)) as kernel:
                kernel.run(LOAD)
                question = f"stream {1000 + number}x4@{RATE}"
                kernel.start(f"%chat {question}")
                if moments.random() < 0.9:
                    server.wait_for_request()
                time.sleep(moments.uniform(0, seconds))
                os.kill(kernel.pid, signal.SIGKILL)
                killed = time.monotonic()
            directory = _directory(Path(home))
            lost_files += not _is_whole(directory)
            if not server.requests:
                continue  # it was not sent yet, and may be anywhere
            version = _find(directory, question)
            if version is None:
                lost_questions += 1
                continue
            sent = (killed - server.requests[0].arrived_at) * RATE
            lost_seconds.append(max(0.0, sent - len(version.text) / 4) / RATE)
            if version.status != "interrupted":
                print(f"  kill {number}: {version.status}")
    print(f"{count} kernels killed: {lost_questions} prompts lost, {lost_files} files that do not open")
    if lost_seconds:
        middle, most = median(lost_seconds), max(lost_seconds)
        print(f"  of {len(lost_seconds)} responses were lost: median {middle:.2f} s, at most {most:.2f} s")


def _write_at_once(server: LocalServer, kernels: int, turns: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        started = [Kernel(Path(home), env=environment(server)) for _ in range(kernels)]
        for kernel in started:
            kernel.run(LOAD)
        running = [
            kernel.start(ASK.format(count=turns, name=f"kernel {number}")) for number, kernel in enumerate(started)
        ]
        begin = time.perf_counter()
        for each in running:
            each.wait(600)
        elapsed = time.perf_counter() - begin
        for kernel in started:
            kernel.shutdown()
        directory = _directory(Path(home))
        with closing(sqlite3.connect(directory / "chat.db")) as connection:
            rows = connection.execute("SELECT prompt FROM versions WHERE status = 'complete'").fetchall()
    asked = {f"kernel {number} {turn}" for number in range(kernels) for turn in range(turns)}
    found = {question for (question,) in rows}
    print(f"{kernels} kernels, {turns} turns each, in {elapsed:.1f} s: {len(asked & found)} of {len(asked)} are there")


def _measure_long(turns: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        store = Store.open(Path(home))
        long = Conversation(tuple(_turn(number) for number in range(turns)))
        store.save("long", long)
        short = Conversation()
        early, late = [], []
        for number in range(50):  # by turns, so that what else the machine does falls on both alike
            short = replace(short, turns=(*short.turns, _turn(number)))
            early.append(_timed(lambda made=short: store.save("short", made)))
            long = replace(long, turns=(*long.turns, _turn(turns + number)))
            late.append(_timed(lambda made=long: store.save("long", made)))
        store.close()
        opened = [_timed(lambda: Store.open(Path(home)).load("long")) for _ in range(5)]
        store = Store.open(Path(home))
        searched = _timed(lambda: store.search("Question 777"))
        store.close()
    first, last = median(early) * 1000, median(late) * 1000
    print(f"save: the first turns {first:.2f} ms, those after turn {turns} {last:.2f} ms, ratio {last / first:.2f}")
    print(f"open and load {turns} turns: {median(opened) * 1000:.0f} ms; search in them: {searched * 1000:.1f} ms")


def _turn(number: int) -> Turn:
    return Turn((Version.of(f"Question {number}", "An answer. " * 100, status="complete"),))


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _directory(home: Path) -> Path:
    (path,) = home.rglob("chat.db")
    return path.parent


def _is_whole(directory: Path) -> bool:
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        told: list[tuple[str]] = connection.execute("PRAGMA integrity_check").fetchall()
    return told == [("ok",)] and not list(directory.glob("*.broken-*"))


def _find(directory: Path, question: str) -> Version | None:
    """Return the version with this question, as the next kernel finds it."""
    store = Store.open(directory)
    loaded = [store.load(listed.id) for listed in store.conversations(question)]
    store.close()
    turns = [turn for conversation in loaded if conversation for turn in conversation.turns]
    return next((turn.current for turn in turns if turn.current.prompt == question), None)


if __name__ == "__main__":
    main()
