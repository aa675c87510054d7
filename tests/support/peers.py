"""Real gateways between us and a server of the test's own. Where one is not installed, its tests are skipped."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS: Final = 10.0
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"
_CONFIGURATIONS: Final = {
    "nginx": """daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{target}; {more} }} }}
}}
""",
    "haproxy": """defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
listen all
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{target} {more}
""",
    "tinyproxy": "Port {port}\nListen 127.0.0.1\nTimeout 30\nMaxClients 20\nLogLevel Critical\n{more}\n",
}
_COMMANDS: Final = {
    "nginx": ["-e", "{folder}/errors", "-c", "{folder}/configuration"],
    "haproxy": ["-db", "-q", "-f", "{folder}/configuration"],
    "tinyproxy": ["-d", "-c", "{folder}/configuration"],
}


@contextmanager
def running(name: str, folder: Path, target: int = 0, more: str = "") -> Iterator[int]:
    """Run a peer before the server at port `target` while the block lasts, and yield the port at which it listens.

    `more` is added to its configuration.
    """
    program = shutil.which(name) or shutil.which(name, path=_PATH)
    if program is None:
        pytest.skip(f"{name} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    fields = {"folder": folder, "port": port, "target": target, "more": more}
    (folder / "configuration").write_text(_CONFIGURATIONS[name].format(**fields), encoding="utf-8")
    arguments = [argument.format(**fields) for argument in _COMMANDS[name]]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + SECONDS
            while not _listens(port):
                assert process.poll() is None, f"{name} did not start"
                assert time.monotonic() < end, f"{name} does not listen"
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
