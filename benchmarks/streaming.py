"""An answer streamed into a cell by ``%%chat``, beside a raw read of the same answer in the same kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.support.kernels import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Runs in the kernel. Both sides are timed there, from the call to the moment when the text is at hand: for the raw
# read in the cell's own code, for %%chat in the message that shows it.
MEASURE = r"""
import asyncio, json, os, re, time
import aiohttp
from IPython import get_ipython

class Clock:
    def __init__(self):
        self.first, self.start, self.cpu = None, time.perf_counter(), time.process_time()

    def text(self):
        if self.first is None:
            self.first = time.perf_counter() - self.start

    def stop(self):
        total = time.perf_counter() - self.start
        time.sleep(0.2)  # until the thread that sends messages has sent the last
        return {"first": self.first, "total": total, "cpu": time.process_time() - self.cpu}

async def raw(prompt):
    clock, head = Clock(), b""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        async for chunk in response.content.iter_any():
            if clock.first is None:
                head += chunk
                if re.search(rb'"content": ?"[^"]', head):
                    clock.text()
    return clock.stop()

def chat(prompt):
    shell = get_ipython()
    clock = Clock()

    def shown(message):
        # Before there is any text the cell says in brackets what it waits for.
        if message["content"].get("data", {}).get("text/plain", "[")[:1] != "[":
            clock.text()
        return message

    shell.display_pub.register_hook(shown)
    try:
        shell.run_cell_magic("chat", "--no-history", prompt)
    finally:
        shell.display_pub.unregister_hook(shown)
    return clock.stop()
"""


class Cost(NamedTuple):
    """What one way of reading an answer took."""

    first: float
    total: float
    cpu: float
    messages: float
    bytes: float


@dataclass(frozen=True)
class Stream:
    """An answer of so many chunks of so many characters; at `rate` chunks a second, or as fast as they come."""

    chunks: int
    size: int
    rate: float = 0.0

    @property
    def prompt(self) -> str:
        """The question to which the test server answers with it."""
        return f"stream {self.chunks}x{self.size}" + (f"@{self.rate:g}" if self.rate else "")

    def __str__(self) -> str:
        speed = f"{self.rate:g}/s" if self.rate else "full speed"
        return f"{self.chunks:,} × {self.size} at {speed}"


def compare(streams: list[Stream], repeat: int, python: str) -> Iterator[tuple[Stream, Cost, Cost]]:
    """Yield each stream with the medians of the raw read and of ``%%chat``, which take turns."""
    with _server() as url, Kernel(env={"OPENAI_BASE_URL": url}, python=python) as kernel:
        kernel.run(f"%load_ext chatanywhere_magic\n{MEASURE}")
        sides: list[Callable[[str], Cost]] = [
            lambda prompt: _measure(kernel, f"await raw({prompt!r})"),
            lambda prompt: _measure(kernel, f"chat({prompt!r})"),
        ]
        for side in sides:
            side("stream 20x4")  # imports, the engine's thread
        for stream in streams:
            runs = [[side(stream.prompt) for side in sides] for _ in range(repeat)]
            raw, chat = (Cost(*map(median, zip(*side, strict=True))) for side in zip(*runs, strict=True))
            yield stream, raw, chat


def _measure(kernel: Kernel, call: str) -> Cost:
    result = kernel.run(f"measured = {call}", timeout=300)
    if result.status != "ok":
        raise RuntimeError(result.errors[0].evalue)
    told = json.loads(kernel.run("print(json.dumps(measured))").stdout)
    messages = sum(kind in {"display_data", "update_display_data"} for _, kind in result.arrivals)
    return Cost(**told, messages=messages, bytes=result.bytes)


@contextmanager
def _server() -> Iterator[str]:
    # A process of its own: on this one's thread it would wait for whoever reads the kernel's messages.
    command = [sys.executable, "-m", "tests.support.server"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
        try:
            lines = iter(server.stdout or ())
            told = dict(next(lines).strip().split("=", 1) for _ in range(2))
            yield told["OPENAI_BASE_URL"]
        finally:
            server.terminate()
