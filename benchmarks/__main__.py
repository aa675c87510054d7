"""Print one table: what a response costs in ``%%chat``, beside a raw read of it and what people write by hand."""

from __future__ import annotations

import argparse
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

from benchmarks import loading
from benchmarks.page import watch
from benchmarks.streaming import BY_HAND, CHAT, RAW, Stream, reader
from tests.support.chromium import find_chromium
from tests.support.kernels import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.streaming import Cost

WAYS: Final = (RAW, CHAT, *BY_HAND)
SLOW_WAYS: Final = {"SDK, every chunk"}
"""Left out at full speed, where they take minutes and gigabytes, unless asked for."""
MODEL_SECONDS: Final = 0.1
"""Until the first word, of a model that is fast."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--chunks", type=int, default=4_000, help="chunks of the slow response (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4, help="characters a chunk (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=100, help="chunks a second (default: %(default)s)")
    parser.add_argument("--fast", type=int, default=20_000, help="chunks of the fast response (default: %(default)s)")
    parser.add_argument("--page", type=int, default=100_000, help="characters in JupyterLab (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="runs, of which the median (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="measure by hand at full speed and every chunk, too")
    parser.add_argument("--python", default=PYTHON, help="whose kernel is measured (default: this one)")
    options = parser.parse_args()
    slow = Stream(options.chunks, options.size, options.rate)
    fast = Stream(options.fast, options.size)
    print(_surroundings(options.python))
    _print_row(("", "", *WAYS, f"{CHAT} / raw", "bar"))
    with reader(options.python) as read:
        # The first text has to do with the length of nothing, so it is the median of many short answers.
        # From a server that answers at once it is all the work; a model reads the prompt first.
        for wait in (0.0, MODEL_SECONDS):
            short = Stream(20, options.size, options.rate, wait)
            costs = read.median(WAYS, short, max(options.repeat, 31))
            _print_measure(str(short), "first text, ms", costs, lambda c: c.first * 1000, 1.5)
        costs = read.median(WAYS, slow, options.repeat)
        _print_measure(str(slow), "kernel CPU, s", costs, lambda c: c.cpu, 2)
        _print_bytes(slow, costs, 60)
        _print_measure("", "paints a second", costs, lambda c: c.messages / c.total if c.messages else None)
        doubled = read.median((CHAT, "SDK, 20 Hz"), slow.doubled, 1)
        growth = {way: doubled[way].bytes / costs[way].bytes for way in doubled}
        _print_row((str(slow.doubled), "bytes / bytes of the half", *_cells(growth), "", "≤ 2.2 × (%%chat)"))
        costs = read.median(WAYS if options.all else tuple(w for w in WAYS if w not in SLOW_WAYS), fast, 3)
        _print_measure(str(fast), "total, s", costs, lambda c: c.total, 1.5)
        _print_bytes(fast, costs, 5)
    for row in _page_rows(options.page):
        _print_row(row)
    bare, load = loading.measure(max(options.repeat, 5), options.python)
    _print_row(("%load_ext", "ms", f"{bare * 1000:.0f} (IPython)", f"+{load * 1000:.0f}", "", "", "", "≤ 60 ms"))


def _print_measure(
    name: str, measure: str, costs: Mapping[str, Cost], value: Callable[[Cost], float | None], bar: float = 0
) -> None:
    values = {way: value(cost) for way, cost in costs.items()}
    raw, chat = values[RAW], values[CHAT]
    ratio = f"{chat / raw:.2f} ×" if raw and chat else ""
    _print_row((name, measure, *_cells(values), ratio, f"≤ {bar:g} ×" if bar else ""))


def _print_bytes(stream: Stream, costs: Mapping[str, Cost], bar: float) -> None:
    text = stream.chunks * stream.size
    values = {way: None if way == RAW else cost.bytes / text for way, cost in costs.items()}
    _print_row(("", "IOPub bytes / text", *_cells(values), "", f"≤ {bar:g} × (%%chat)"))


def _page_rows(size: int) -> Iterator[tuple[str, ...]]:
    chromium = find_chromium()
    if chromium is None:
        yield f"{size:,} in JupyterLab", "no Chromium", *([""] * (len(WAYS) + 2))
        return
    seen = watch(size, chromium)
    name = f"{size:,} in JupyterLab"
    for measure, value, bar in (
        ("longest task while it streams, ms", seen.longest, "≤ 50 ms"),
        ("tasks over 50 ms while it streams", seen.long_tasks, ""),
        ("longest task at its end, ms", seen.last, ""),
        ("the reader's scroll position moves, px", seen.moved, "0 px"),
    ):
        yield name, measure, *_cells({CHAT: value}), "", bar
        name = ""


def _cells(values: Mapping[str, float | None]) -> list[str]:
    return [_cell(values.get(way)) for way in WAYS]


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _print_row(cells: tuple[Any, ...]) -> None:
    name, measure, *values, ratio, bar = cells
    print(f"{name:32}{measure:40}" + "".join(f"{value:>18}" for value in values) + f"{ratio:>14}  {bar}", flush=True)


def _surroundings(python: str) -> str:
    ask = "import platform, ipykernel; print(platform.python_version(), ipykernel.__version__)"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return "Python {}, ipykernel {}".format(*told) + f", {os.cpu_count()} cores{load}"


if __name__ == "__main__":
    main()
