"""Print one table: what an answer costs in ``%%chat``, what a raw read of it costs, and the ratio."""

from __future__ import annotations

import argparse
import os
import subprocess
from typing import TYPE_CHECKING

from benchmarks import loading
from benchmarks.streaming import Stream, compare
from tests.support.kernels import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.streaming import Cost

Row = tuple[str, str, str, str, str]
HEAD: Row = ("answer", "measure", "raw read", "%%chat", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--chunks", type=int, default=600, help="of the slow answer (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4, help="characters a chunk (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=100, help="chunks a second (default: %(default)s)")
    parser.add_argument("--fast", type=int, default=20_000, help="chunks of the fast answer (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median (default: %(default)s)")
    parser.add_argument("--python", default=PYTHON, help="whose kernel is measured (default: this one)")
    options = parser.parse_args()
    streams = [Stream(options.chunks, options.size, options.rate), Stream(options.fast, options.size)]
    print(_surroundings(options.python))
    _print_row(HEAD)
    for stream, raw, chat in compare(streams, options.repeat, options.python):
        for row in _rows(stream, raw, chat):
            _print_row(row)
    bare, load = loading.measure(max(options.repeat, 5), options.python)
    ratio = f"{(bare + load) / bare:.2f}"
    _print_row(("%load_ext", "ms (raw: bare IPython's start)", f"{bare * 1000:.0f}", f"+{load * 1000:.0f}", ratio))


def _rows(stream: Stream, raw: Cost, chat: Cost) -> Iterator[Row]:
    text = stream.chunks * stream.size
    measures = [
        ("first text, ms", raw.first * 1000, chat.first * 1000, 1),
        ("total, s", raw.total, chat.total, 2),
        ("kernel CPU, s", raw.cpu, chat.cpu, 2),
        ("IOPub bytes (raw: the text)", text, chat.bytes, 0),
    ]
    name = str(stream)
    for measure, before, after, digits in measures:
        yield name, measure, f"{before:,.{digits}f}", f"{after:,.{digits}f}", f"{after / before:.2f}"
        name = ""
    yield "", "IOPub display messages", "", f"{chat.messages:,.0f}", ""


def _print_row(row: Row) -> None:
    answer, measure, raw, chat, ratio = row
    print(f"{answer:26}{measure:32}{raw:>12}{chat:>12}{ratio:>9}", flush=True)


def _surroundings(python: str) -> str:
    ask = "import platform, ipykernel; print(platform.python_version(), ipykernel.__version__)"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return "Python {}, ipykernel {}".format(*told) + f", {os.cpu_count()} cores{load}"


if __name__ == "__main__":
    main()
