"""What stays alive after many short turns. ``python -m benchmarks.soak``, a minute."""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from tests.support.soak import Alive, soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--turns", type=int, default=5_000, help="short turns (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=10, help="looks at what is alive (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, XDG_CONFIG_HOME=home, XDG_DATA_HOME=home)
        with soak() as session:
            session.run(50)
            before = session.alive()
            print(f"{'turns':>8}{'ms each':>12}" + "".join(f"{name:>14}" for name in Alive._fields))
            done = 0
            for _ in range(options.rows):
                step = options.turns // options.rows
                began = time.perf_counter()
                alive = session.run(step)
                done += step
                each = (time.perf_counter() - began) * 1000 / step
                print(f"{done:>8,}{each:>12.1f}" + "".join(f"{number:>14,}" for number in alive))
            print(f"kilobytes a turn: {(alive.kilobytes - before.kilobytes) / done:.1f} (bar: 20)")


if __name__ == "__main__":
    main()
