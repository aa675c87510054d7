"""A forked child: it has none of the parent's threads, and ends at once and without touching what is the parent's."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")]

FORKING = """
import os, sys, time
from chatanywhere_magic import ChatSession, Scripted
from chatanywhere_magic.providers import local

class Process:
    def kill(self): print("killed", flush=True)
    def communicate(self): time.sleep(60)
class Server:
    process, directory = Process(), None

chat = ChatSession()
print(chat.ask_sync("Hello", provider=Scripted.of("from the parent")), flush=True)
local._loaded = Server()
local._lock.acquire()
child = os.fork()
if child == 0:
    if "asks" in sys.argv:
        print(chat.ask_sync("Hello", provider=Scripted.of("from the child"), history=False), flush=True)
    sys.exit()
local._lock.release()
began = time.monotonic()
os.waitpid(child, 0)
print("in time" if time.monotonic() < began + 3 else "late", flush=True)
print(chat.ask_sync("Hello", provider=Scripted.of("from the parent again")), flush=True)
local._loaded = None
"""


@pytest.mark.parametrize("does", ["asks", "ends"])
def test_a_child_ends_at_once(tmp_path: Path, does: str) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "CHATANYWHERE_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, does], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    said = ["from the parent", *(["from the child"] if does == "asks" else []), "in time", "from the parent again"]
    assert done.stdout.splitlines() == said, done.stderr
