"""The tests leave alone what is the contributor's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHERE = """
import tests.conftest
from IPython.paths import get_ipython_dir
from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir
from chatanywhere_magic.keys.keystore import config_directory
from chatanywhere_magic.keys import data_directory

for find in (get_ipython_dir, jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir, config_directory, data_directory):
    print(find())
tests.conftest.pytest_unconfigure()
"""  # noqa: E501 - one line of the program


def test_no_test_finds_the_files_of_the_contributor(tmp_path: Path) -> None:
    named = [
        *("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    ]
    theirs = {**os.environ, **{name: str(tmp_path / name) for name in named}}
    command = [sys.executable, "-c", WHERE]
    found = subprocess.run(command, env=theirs, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(found.splitlines()) == 6
    assert str(tmp_path) not in found
    assert not list(tmp_path.iterdir())
