"""A long answer growing in the chat panel of a long conversation: what it costs the page.

``python -m benchmarks.panel``; beside it the ChatInterface of Panel on the same text in the same browser, where Panel
is installed (``pip install panel``).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from playwright.sync_api import sync_playwright

from tests.support.chromium import find_chromium
from tests.support.lab import CHROMIUM_FLAGS, Lab, NotebookPage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

# Runs in both: the answer, and the conversation before it.
TEXT = r"""
WORDS = "An answer grows by words and lines, *some* of them **marked**, as `code` or as [links](https://a.org/b). "
CODE = "```python\n" + "for number in range(10):\n    print(number ** 2, 'squared')\n" * 4 + "```\n\n"
LIST = "- one point\n- another point, which is longer\n- a third one\n\n"
SECTION = "## A section\n\n" + WORDS * 4 + "\n\n" + CODE + WORDS * 3 + "\n\n" + LIST
def answer(size):
    return (SECTION * (size // len(SECTION) + 1))[:size]
"""
NOTEBOOK = """
%load_ext chatanywhere_magic
from chatanywhere_magic import Script, Scripted, chat
from chatanywhere_magic.core import Conversation, Origin, Timing, Turn, Version
chat.persist = False
def turn(number):
    told = answer(SIZE if (TURNS - number) % 10 == 1 else 1000)
    return Turn((Version.of(f"Question {number}?", told, status="complete", timing=Timing(started=1e9 + number)),))
chat._here.current.conversation = Conversation(tuple(turn(number) for number in range(TURNS)))
text = answer(SIZE)
pieces = [text[at : at + 20] for at in range(0, len(text), 20)]
chat.provider = Scripted.of(Script(pieces, delay=SECONDS / len(pieces)))
"""
# How long the log was in coming.
OPENED = """([selector, words]) => {
  const began = performance.now();
  return new Promise((resolve) => {
    const look = () => {
      const found = [...document.querySelectorAll(selector)].some((each) => each.innerText?.includes(words));
      if (found) requestAnimationFrame(() => resolve(performance.now() - began));
      else requestAnimationFrame(look);
    };
    look();
  });
}"""


class Cost(NamedTuple):
    """What the page was put to."""

    opening: float
    """Seconds from the command to the last turn on the page."""
    longest: float
    """Milliseconds of the page's longest task while the answer grew."""
    longest_cpu: float
    """The same without the time for which other processes had its core."""
    long_tasks: int
    """Of more than 50 ms."""
    busy: float
    """Seconds of work in the page."""
    bytes: int
    """That came over its WebSockets while the answer grew."""


class Meter:
    """Counts what comes over a page's WebSockets, and what the page does meanwhile."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        self._page = page
        self._begun = 0.0, 0
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._session.send("Performance.enable")
        self._session.on("Network.webSocketFrameReceived", self._count)

    def begin(self) -> None:
        """Begin to count."""
        self._begun = self._busy(), self.bytes
        self._browser.start_tracing(page=self._page, categories=["toplevel"])

    def cost(self, opening: float) -> Cost:
        """Return what there was since :meth:`begin`."""
        busy, came = self._begun
        cost = self._busy() - busy, self.bytes - came
        tasks = _tasks(json.loads(self._browser.stop_tracing())["traceEvents"])
        longest, cpu = (max(each) for each in zip(*tasks, strict=True))
        return Cost(opening / 1000, longest, cpu, sum(wall > 50 for wall, _ in tasks), *cost)

    @property
    def _browser(self) -> Browser:
        browser = self._page.context.browser
        assert browser is not None  # noqa: S101 - it was launched below
        return browser

    def _busy(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    def wait_until_quiet(self) -> None:
        """Wait until older turns have come."""
        known = -1
        while known < self.bytes:
            known = self.bytes
            self._page.wait_for_timeout(3000)

    def _count(self, event: dict[str, dict[str, str]]) -> None:
        self.bytes += len(event["response"]["payloadData"])


def _tasks(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return the tasks of the page's main thread, each with its milliseconds by the clock and of the processor."""
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    found: dict[tuple[int, int], list[tuple[float, float]]] = {thread: [] for thread in threads}
    for event in events:
        thread = event["pid"], event["tid"]
        if event["name"] == "ThreadControllerImpl::RunTask" and thread in threads and "dur" in event:
            found[thread].append((event["dur"] / 1000, event.get("tdur", event["dur"]) / 1000))
    return max(found.values(), key=len)


def of_the_panel(browser: Browser, turns: int, size: int, seconds: float) -> Cost:
    """Measure our panel."""
    setup = f"{TEXT}\nTURNS, SIZE, SECONDS = {turns}, {size}, {seconds}\n{NOTEBOOK}"
    with tempfile.TemporaryDirectory() as directory, Lab(Path(directory)) as lab:
        page = browser.new_context().new_page()
        notebook = NotebookPage.open(page, lab.add_notebook("panel.ipynb", [setup, "%chat_panel", "None"]))
        notebook.run_cell(0)
        notebook.wait_idle()
        notebook.run_cell(1)  # imports what a panel needs
        page.wait_for_selector(".chatanywhere-box")
        notebook.run_cell(1)
        opening = page.evaluate(OPENED, [".chatanywhere-turn", f"Question {turns - 1}?"]) if turns else 0.0
        meter = Meter(page)
        meter.wait_until_quiet()
        page.click(".chatanywhere-box")
        page.keyboard.type("Write.")
        meter.begin()
        page.keyboard.press("Enter")
        page.wait_for_function(
            f"document.querySelector('[data-turn=\"{turns}\"]')?.dataset.status === 'complete'",
            timeout=seconds * 10_000,
        )
        page.wait_for_timeout(500)
        cost = meter.cost(opening)
        page.context.close()
        return cost


# Panel's own server, which is how its ChatInterface is shown at its best: outside of a notebook.
PEER = """
import asyncio
import panel as pn
pn.extension()
text = answer(SIZE)
async def callback(contents, user, instance):
    shown = ""
    for at in range(0, len(text), 20):
        shown += text[at : at + 20]
        await asyncio.sleep(20 * SECONDS / len(text))
        yield shown
chat = pn.chat.ChatInterface(callback=callback, height=600)
for number in range(TURNS):
    chat.send(f"Question {number}?", user="User", respond=False)
    chat.send(answer(1000), user="Assistant", respond=False)
chat.servable()
"""


def of_the_peer(browser: Browser, turns: int, size: int, seconds: float) -> Cost:
    """Measure Panel's ChatInterface."""
    with tempfile.TemporaryDirectory() as directory, _panel_server(Path(directory), turns, size, seconds) as url:
        page = browser.new_context().new_page()
        meter = Meter(page)
        began = time.monotonic()
        page.goto(url, wait_until="commit", timeout=300_000)
        page.wait_for_function("window.Bokeh?.documents?.length", timeout=300_000)
        page.evaluate(_PEER_OPENED, f"Question {turns - 1}?")
        opening = 1000 * (time.monotonic() - began)
        page.wait_for_timeout(3000)
        box = page.locator(".chat-interface-input-widget textarea, textarea").first
        box.click()
        page.keyboard.type("Write.")
        meter.begin()
        page.keyboard.press("Enter")
        page.wait_for_timeout(seconds * 1000 * 1.3 + 3000)
        cost = meter.cost(opening)
        page.context.close()
        return cost


# Every message is in a shadow root of its own.
_PEER_OPENED = """(words) => {
  const began = performance.now();
  const has = (root) => [...root.querySelectorAll("*")].some(
    (each) => (each.shadowRoot && has(each.shadowRoot)) || (!each.children.length && each.textContent.includes(words)));
  return new Promise((resolve) => {
    const look = () => has(document) ? resolve(performance.now() - began) : setTimeout(look, 50);
    look();
  });
}"""


class _panel_server:  # noqa: N801 - used as a function
    def __init__(self, directory: Path, turns: int, size: int, seconds: float) -> None:
        self._script = directory / "peer.py"
        self._script.write_text(f"{TEXT}\nTURNS, SIZE, SECONDS = {turns}, {size}, {seconds}\n{PEER}")

    def __enter__(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "panel", "serve", str(self._script), "--port", str(port)]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        return f"http://127.0.0.1:{port}/peer"

    def __exit__(self, *_exc_info: object) -> None:
        self._server.terminate()
        self._server.wait()


def rows(options: argparse.Namespace) -> Iterator[tuple[str, int, Cost]]:
    """Measure what there is, one after the other in the same browser."""
    measured = [("chatanywhere_magic", of_the_panel, options.turns)]
    if importlib.util.find_spec("panel") is not None:
        # After some minutes and 1.6 GB it has not yet opened a conversation of 500 turns.
        measured.append(("Panel's ChatInterface", of_the_peer, options.peer_turns))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        for name, measure, turns in measured:
            for size in (options.size // 2, options.size):
                yield name, size, measure(browser, turns, size, options.seconds * size / options.size)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.panel", description=__doc__)
    parser.add_argument("--turns", type=int, default=500, help="in the conversation before (default: %(default)s)")
    parser.add_argument("--size", type=int, default=100_000, help="characters of the response (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=25, help="in which it comes (default: %(default)s)")
    parser.add_argument("--peer-turns", type=int, default=50, help="as --turns, for the peer (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each measurement")
    options = parser.parse_args()
    head = f"{'':24}{'text':>9}{'opening':>10}{'longest task':>14}{'of CPU':>10}{'> 50 ms':>9}{'busy':>8}{'bytes':>12}"
    print(f"{head}{'/ text':>9}{'/ half':>9}")
    half = 0
    for name, size, cost in rows(options):
        growth = f"{cost.bytes / half:.2f}" if half and size == options.size else ""
        half = cost.bytes
        if options.json:
            print(json.dumps({"name": name, "size": size, **cost._asdict()}), flush=True)
            continue
        print(
            f"{name:24}{size:>9,}{cost.opening:>8.2f} s{cost.longest:>11.0f} ms{cost.longest_cpu:>7.0f} ms"
            f"{cost.long_tasks:>9}{cost.busy:>6.1f} s{cost.bytes:>12,}{cost.bytes / size:>9.1f}{growth:>9}",
            flush=True,
        )


if __name__ == "__main__":
    main()
