"""When a turn is painted, and on which thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chatanywhere_magic import ChatSession
from chatanywhere_magic.core.messages import Text
from chatanywhere_magic.render.display.painting import FIRST_SIZE, Watch
from tests.unit.test_live_turn import live_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chatanywhere_magic.session.live_turn import LiveTurn

ENGINE = "chatanywhere-engine"
SECONDS = 10.0


class Paint(NamedTuple):
    """What was painted, and by which thread."""

    words: str
    thread: str


class NotingPainter:
    """Notes what it is to paint, and fails first, if it is to."""

    def __init__(self, *, paints_anywhere: bool = True, fails: bool = False) -> None:
        self.paints_anywhere = paints_anywhere
        self.paints: SimpleQueue[Paint] = SimpleQueue()
        self._fails = fails
        self.has_failed = threading.Event()

    def get_ready(self) -> None:
        """Be ready always."""

    def paint(self, live: LiveTurn) -> None:
        if self._fails and not self.has_failed.is_set():
            self.has_failed.set()
            raise RuntimeError
        self.paints.put(Paint(live.version.text, threading.current_thread().name))

    def finish(self, live: LiveTurn) -> None:
        """Leave it to the test."""


class Answering:
    """A session whose provider says what the test puts into the queue, and ends with None."""

    def __init__(self) -> None:
        self.words: SimpleQueue[str | None] = SimpleQueue()
        self.session = ChatSession()

    def turn(self) -> LiveTurn:
        async def provider(model: str, messages: list[dict[str, str]]) -> AsyncIterator[str]:
            del model, messages
            while (words := await asyncio.to_thread(self.words.get, timeout=SECONDS)) is not None:
                yield words

        return self.session.prepare("Hello", provider=provider)


@contextmanager
def watched(painter: NotingPainter) -> Iterator[Answering]:
    """Have an answer painted by a thread of its own, which waits for it."""
    answering = Answering()
    live = answering.turn()
    watch = Watch(live)
    answering.session.start(live)
    assert live.draft.asked.wait(SECONDS)
    watch.get_ready(painter)
    waiting = threading.Thread(target=watch.follow, args=(painter,), name="waiting")
    waiting.start()
    try:
        yield answering
    finally:
        answering.words.put(None)
        waiting.join(SECONDS)
        assert not waiting.is_alive()


def paint_of(painter: NotingPainter, words: str) -> Paint:
    """Return the first paint of these words; those before it are of less."""
    while (paint := painter.paints.get(timeout=SECONDS)).words != words:
        assert words.startswith(paint.words)
    return paint


def test_the_first_text_is_painted_on_the_thread_that_brings_it_and_the_rest_is_not() -> None:
    painter = NotingPainter()
    with watched(painter) as answering:
        answering.words.put("One")
        assert paint_of(painter, "One").thread == ENGINE
        answering.words.put(" two")
        assert paint_of(painter, "One two").thread == "waiting"


@pytest.mark.parametrize(
    ("painter", "first"),
    [
        pytest.param(NotingPainter(paints_anywhere=False), "One", id="who paints on one thread only"),
        pytest.param(NotingPainter(), "One " * FIRST_SIZE, id="a long text"),
    ],
)
def test_the_thread_that_waits_paints_everything_else(painter: NotingPainter, first: str) -> None:
    with watched(painter) as answering:
        answering.words.put(first)
        assert paint_of(painter, first).thread == "waiting"


def test_a_painter_that_fails_on_the_other_thread_is_asked_again_on_its_own() -> None:
    painter = NotingPainter(fails=True)
    answering = Answering()
    live = answering.turn()
    watch = Watch(live)
    watch.get_ready(painter)
    answering.session.start(live)
    answering.words.put("One")
    assert painter.has_failed.wait(SECONDS)
    waiting = threading.Thread(target=watch.follow, args=(painter,), name="waiting")
    waiting.start()
    assert paint_of(painter, "One").thread == "waiting"
    assert live._listeners  # it hears of what comes, and need not look once a second
    answering.words.put(None)
    waiting.join(SECONDS)


def test_nothing_is_painted_when_nobody_follows_the_turn_any_more() -> None:
    live = live_turn()
    painter = NotingPainter()
    watch = Watch(live)
    watch.get_ready(painter)
    live.done.set()
    watch.follow(painter)
    live.draft.take(Text("Too late."))  # of a provider that does not let itself be stopped
    live.notify()
    assert painter.paints.empty()
