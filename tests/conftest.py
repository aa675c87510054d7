"""For all tests: a home directory of their own, and how many examples Hypothesis tries.

Nothing of the contributor's is read or written: no stored conversations, settings, keys or IPython profile.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from tests.support import examples
from tests.support.environment import PERSONAL

# Playwright's browsers are large, and are looked for below the home directory.
_BROWSERS = user_cache_path("ms-playwright", appauthor=False, opinion=False)
if _BROWSERS.is_dir():
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(_BROWSERS))

# At import, before anything of the package could ask where its files are. Each xdist worker makes one of its own.
_HOME = Path(tempfile.mkdtemp(prefix="chatanywhere-tests-"))
for _name in [name for name in os.environ if name.startswith(PERSONAL)]:
    del os.environ[_name]
os.environ.update(HOME=str(_HOME), USERPROFILE=str(_HOME))

examples.load_profile()


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_finish() -> None:
    """Leave what the tests were collected from to no collection of garbage: each would take half a second of a test."""
    gc.collect()
    gc.freeze()
