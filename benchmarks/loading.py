"""``%load_ext`` beside the start of bare IPython, each time in a new process."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from tests.support.environment import clean_environment

MEASURE = """
import json, time
start = time.perf_counter()
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
shell.run_line_magic("load_ext", "storemagic")  # one's own first extension pays for IPython's machinery
bare = time.perf_counter()
shell.run_line_magic("load_ext", "chatanywhere_magic")
print(json.dumps([bare - start, time.perf_counter() - bare]))
"""


def measure(repeat: int, python: str) -> tuple[float, float]:
    """Return the medians, in seconds, of the start of bare IPython and of ``%load_ext`` after it."""
    with tempfile.TemporaryDirectory() as home:
        runs = [_run_once(Path(home), python) for _ in range(repeat + 1)]
    # The first one read the files from disk.
    bare, load = (median(times) for times in zip(*runs[1:], strict=True))
    return bare, load


def _run_once(home: Path, python: str) -> tuple[float, float]:
    command = [python, "-c", MEASURE]
    done = subprocess.run(command, env=clean_environment(home), cwd=home, capture_output=True, text=True, check=True)
    bare, load = json.loads(done.stdout)
    return bare, load
