"""A Chromium for the browser tests: the one that is there, or one that is installed now.

``python -m tests.support.chromium`` makes sure that there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_ADVICE = """\
The browser tests need Chromium, and none could be found or installed. Do one of these:
  - install Chromium or Google Chrome with the system's package manager
    (as root on Debian: apt-get install chromium);
  - run `playwright install chromium`;
  - set CHROMIUM to the path of a Chromium or Chrome."""


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome that starts, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        # Falling back to another browser would hide a typo.
        return named if _starts(named) else None
    found = (shutil.which(name) for name in _NAMES)
    return next((path for path in found if path and _starts(path)), None) or _playwrights_own()


def _starts(path: str) -> bool:
    # On Ubuntu chromium-browser may be only a script that asks for a snap.
    try:
        tried = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _install() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # The font is for the tests' Chinese text; Chromium alone would show boxes.
        install = ["install", "-y", "--no-install-recommends", "chromium", "fonts-wqy-zenhei"]
        for arguments in (["update"], install):
            subprocess.run(["apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, check=False)
    if find_chromium() is None:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)


def _main() -> int:
    named = os.environ.get("CHROMIUM")
    if find_chromium() is None and not named:
        _install()
    path = find_chromium()
    if path is None:
        advice = f"CHROMIUM names {named}, which does not start as a browser." if named else _ADVICE
        sys.stderr.write(advice + "\n")
        return 1
    sys.stdout.write(f"Chromium: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
