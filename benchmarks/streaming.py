"""An answer streamed into a cell by ``%%chat``, beside a raw read of it and what is written by hand, in one kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.support.kernels import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

# Runs in the kernel. A cell says when it begins; when its first text is at hand and when it is over, the raw read says
# itself, and of the others the messages tell, in which the kernel notes when it made them.
SETUP = r"""
import asyncio, json, os, re, time
import aiohttp, openai
from IPython.display import Markdown, display
told, measured = {}, {}

def begin(_info=None):
    global measured
    if "cpu" in told:
        time.sleep(0.2)  # until the thread that sends messages has sent the last of the cell before
        measured = {**told, "cpu": time.process_time() - told["cpu"]}
    told.clear()
    told.update(start=time.time(), cpu=time.process_time())

def end(_result=None):
    told["end"] = time.time()

get_ipython().events.register("pre_run_cell", begin)
get_ipython().events.register("post_run_cell", end)
# After that, so that what it does when a cell begins is measured, too.
%load_ext chatanywhere_magic

async def raw(prompt):
    head = b""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        async for chunk in response.content.iter_any():
            if "first" not in told:
                head += chunk
                if re.search(rb'"content": ?"[^"]', head):
                    told["first"] = time.time()

def by_hand(prompt, pause):
    # As the SDK's documentation and Jupyter's put together; with a pause, the whole text is shown so often at most.
    text, shown = "", 0.0
    handle = display(Markdown(""), display_id=True)
    client = openai.OpenAI(api_key="none")
    messages = [{"role": "user", "content": prompt}]
    for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            if time.monotonic() >= shown + pause:
                handle.update(Markdown(text))
                shown = time.monotonic()
    handle.update(Markdown(text))
"""
RAW: Final = "raw read"
CHAT: Final = "%%chat"
BY_HAND: Final = {"SDK, every chunk": 0.0, "SDK, 20 Hz": 0.05}
_SHOWN: Final = {"display_data", "update_display_data"}


class Cost(NamedTuple):
    """What one way of reading an answer took."""

    first: float
    total: float
    cpu: float
    messages: float
    bytes: float


@dataclass(frozen=True)
class Stream:
    """An answer of so many chunks of so many characters; at `rate` chunks a second, or as fast as they come.

    The first comes after `wait` seconds.
    """

    chunks: int
    size: int
    rate: float = 0.0
    wait: float = 0.0

    @property
    def prompt(self) -> str:
        """The question to which the test server answers with it."""
        rate = f"@{self.rate:g}" if self.rate else ""
        return f"stream {self.chunks}x{self.size}{rate}" + (f" after {self.wait:g}" if self.wait else "")

    @property
    def doubled(self) -> Stream:
        """An answer of twice the length."""
        return replace(self, chunks=2 * self.chunks)

    def __str__(self) -> str:
        speed = f"{self.rate:g}/s" if self.rate else "full speed"
        return f"{self.chunks:,} × {self.size} at {speed}" + (f", after {self.wait:g} s" if self.wait else "")


class Reader:
    """A kernel that reads answers of a server in another process, in any of the ways."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        result = kernel.run(SETUP)
        if result.status != "ok":
            raise RuntimeError(result.errors[0].evalue)
        for way in (RAW, CHAT, *BY_HAND):
            self.cost(way, Stream(20, 4))  # imports, the engine's thread

    def median(self, ways: tuple[str, ...], stream: Stream, repeat: int) -> dict[str, Cost]:
        """Return the medians of all ways, which take turns."""
        runs = [{way: self.cost(way, stream) for way in ways} for _ in range(repeat)]
        return {way: Cost(*map(median, zip(*(run[way] for run in runs), strict=True))) for way in ways}

    def cost(self, way: str, stream: Stream) -> Cost:
        """Read `stream` once."""
        prompt = stream.prompt
        if way == RAW:
            code = f"await raw({prompt!r})"
        elif way == CHAT:
            code = f"%%chat --no-history\n{prompt}"
        else:
            code = f"by_hand({prompt!r}, {BY_HAND[way]})"
        result = self._kernel.run(code, timeout=600)
        if result.status != "ok":
            raise RuntimeError(result.errors[0].evalue)
        told = json.loads(self._kernel.run("print(json.dumps(measured))").stdout)
        shown = [at for at, kind in result.sent if kind in _SHOWN]
        first = told.get("first") or result.first_text
        return Cost(first - told["start"], told["end"] - told["start"], told["cpu"], len(shown), result.bytes)


@contextmanager
def reader(python: str) -> Iterator[Reader]:
    with server() as url, Kernel(env={"OPENAI_BASE_URL": url}, python=python) as kernel:
        yield Reader(kernel)


@contextmanager
def server() -> Iterator[str]:
    """Start the test server in a process of its own: on a thread it would wait for whoever reads the messages."""
    command = [sys.executable, "-m", "tests.support.server"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            lines = iter(process.stdout or ())
            told = dict(next(lines).strip().split("=", 1) for _ in range(2))
            yield told["OPENAI_BASE_URL"]
        finally:
            process.terminate()
