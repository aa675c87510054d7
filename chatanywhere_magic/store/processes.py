"""Identify processes, and check whether they still run. A process id alone is not enough: it is reused."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process, distinct from every other one, even from an earlier or later one with the same number.

    Parameters
    ----------
    machine : str
        Where its number means something: the machine since it was started, or the container.
    pid : int
        Its number there.
    started : str
        When it was started; ``""`` where that cannot be known.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """Return the current process."""
        return cls(_machine(), os.getpid(), _started(os.getpid()) or "")

    @property
    def runs(self) -> bool | None:
        """Whether it still runs; None where that cannot be known from here."""
        if self.machine != _machine():
            return None
        if self.pid == os.getpid():
            return self == Process.current()
        started = _started(self.pid)
        if started is None:
            return False
        return started == self.started if started and self.started else None


def _machine() -> str:
    places = platform.node(), _told_by("sys/kernel/random/boot_id"), _told_by("self/ns/pid")
    return " ".join(place for place in places if place)


def _told_by(name: str) -> str:
    path = _PROC / name
    try:
        return str(path.readlink()) if path.is_symlink() else path.read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when the process of that number was started, ``""`` if that cannot be known, None if there is none."""
    if (_PROC / "self/stat").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        # The name, in parentheses, may hold anything; the state comes next, and the start is the 20th from there.
        fields = stat.rpartition(b")")[2].split()
        return None if fields[0] in {b"Z", b"X"} else fields[19].decode()
    try:
        import psutil  # comes with ipykernel; a terminal's IPython may be without
    except ImportError:
        return ""
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return ""
