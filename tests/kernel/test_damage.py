"""Whatever becomes of the kernel or of the file: nothing that was asked is lost, and the chat goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.store.store import Store
from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import evaluate, text_so_far
from tests.support.kernels import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chatanywhere_magic.core.conversation import Version
    from tests.support.server import LocalServer


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(directory: Path, server: LocalServer) -> Iterator[Callable[[], Kernel]]:
    """Start kernels that share a directory, with the extension."""
    started: list[Kernel] = []

    def kernel() -> Kernel:
        started.append(Kernel(env={**environment(server), "CHATANYWHERE_DATA_DIR": str(directory)}))
        started[-1].run(LOAD)
        return started[-1]

    yield kernel
    for each in started:
        each.shutdown()


def stored(directory: Path, question: str) -> Version:
    """Return a version as the next kernel finds it."""
    store = Store.open(directory)
    (found,) = store.search(question)
    conversation = store.load(found.conversation_id)
    store.close()
    assert conversation is not None
    return conversation.turns[found.turn].versions[found.version]


@pytest.mark.parametrize("chunks", [1, 30, 90])
def test_a_killed_kernel_leaves_its_question_and_what_came(
    start: Callable[[], Kernel], server: LocalServer, directory: Path, chunks: int
) -> None:
    kernel = start()
    running = kernel.start("%chat stream 5000x4@100")
    server.wait_for_request()
    running.wait_until(lambda result: len(text_so_far(result)) >= 4 * chunks)
    seen = text_so_far(running.result)
    os.kill(kernel.pid, signal.SIGKILL)
    while kernel.alive:
        time.sleep(0.01)
    version = stored(directory, "stream 5000x4@100")
    assert version.status == "interrupted"
    assert seen.startswith(version.text) or version.text.startswith(seen)
    assert version.text or chunks == 1
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_kernel_that_answers_is_not_disturbed_by_another_that_starts(
    start: Callable[[], Kernel], server: LocalServer, directory: Path
) -> None:
    first = start()
    running = first.start("%chat stream 300x4@40")
    server.wait_for_request()
    second = start()
    second.run("%chat hello")
    assert evaluate(second, "[each.title for each in chat.conversations.list()]") == ["hello", "stream 300x4@40"]
    running.wait()
    time.sleep(0.5)  # until it is written
    version = stored(directory, "stream 300x4@40")
    assert (version.status, len(version.text)) == ("complete", 1_200)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def cut_short(path: Path) -> None:
    os.truncate(path, 5_000)


def take_away(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [overwrite, cut_short, take_away])
def test_a_file_that_is_damaged_under_a_kernel_stops_nothing(
    start: Callable[[], Kernel], directory: Path, damage: Callable[[Path], None]
) -> None:
    kernel = start()
    kernel.run("%chat before")
    kernel.run("chat.close()")  # so that all of it stands in the file that is damaged
    damage(directory / "chat.db")
    result = kernel.run("%chat after")
    assert result.status == "ok"
    assert result.stderr.count("\n") == (damage is not take_away)
    assert kernel.run("%chat later").stderr == ""
    kernel.shutdown()
    for question in ("before", "after", "later"):
        assert stored(directory, question).status == "complete"


def test_a_locked_file_keeps_no_question_waiting_for_long(
    start: Callable[[], Kernel], server: LocalServer, directory: Path
) -> None:
    kernel = start()
    kernel.run("%chat before")
    with closing(sqlite3.connect(directory / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first, second = kernel.run("%chat meanwhile"), kernel.run("%chat still")
        other.execute("ROLLBACK")
    assert (first.status, second.status) == ("ok", "ok")
    assert "locked" in first.stderr
    assert second.stderr == ""
    assert len(server.requests) == 3
    kernel.shutdown()
    for question in ("before", "meanwhile", "still"):
        assert stored(directory, question).status == "complete"
