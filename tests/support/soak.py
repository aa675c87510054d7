"""Many short turns in one session, and what is alive after them: everything but their text has to stay the same."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ipywidgets

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.panel.stock import StockPanel
from chatanywhere_magic.session import LiveTurn
from chatanywhere_magic.testing.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Alive(NamedTuple):
    """What there is at one moment."""

    live_turns: int
    widgets: int
    """Each has a comm to the page."""
    timers: int
    """Of the engine's loop, due or cancelled."""
    descriptors: int
    threads: int
    kilobytes: int
    """Of resident memory; 0 where the system does not say."""


class Soak:
    """A session that is asked again and again, over HTTP, with a panel of stock widgets on it."""

    def __init__(self, server: LocalServer) -> None:
        self.session = ChatSession()
        self._server = server
        self._panel = StockPanel(self.session)
        self._asked = 0

    def run(self, turns: int) -> Alive:
        """Ask so many short questions and tell what is alive then."""
        for _ in range(turns):
            self._asked += 1
            self.session.ask_sync(f"Question {self._asked}?", provider=OpenAI)
            self._server.requests.clear()
        return self.alive()

    def alive(self) -> Alive:
        """Tell what is alive."""
        self.session._engine.call(self._panel._paint)
        gc.collect()
        loop = self.session._engine.loop()
        objects = gc.get_objects()
        return Alive(
            sum(issubclass(type(each), LiveTurn) for each in objects),
            sum(issubclass(type(each), ipywidgets.Widget) and each.comm is not None for each in objects),
            len(loop._scheduled),  # type: ignore[attr-defined]  # asyncio's own
            _count("/proc/self/fd"),
            threading.active_count(),
            _resident(),
        )

    def close(self) -> None:
        """Close the panel and the session."""
        self._panel.close()
        self.session.close()


@contextmanager
def soak() -> Iterator[Soak]:
    """Provide a session on a server of its own, which `OPENAI_BASE_URL` names for as long."""
    with LocalServer() as server:
        before = os.environ.get("OPENAI_BASE_URL")
        os.environ["OPENAI_BASE_URL"] = server.api_url
        soaked = Soak(server)
        try:
            yield soaked
        finally:
            soaked.close()
            os.environ.pop("OPENAI_BASE_URL")
            if before is not None:
                os.environ["OPENAI_BASE_URL"] = before


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir()) if Path(folder).is_dir() else 0


def _resident() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])
