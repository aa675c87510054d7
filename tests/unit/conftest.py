"""What every unit test stands on: an environment that says nothing, and a real server where one is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.core import i18n
from chatanywhere_magic.providers import registry
from chatanywhere_magic.testing.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCRUBBED = ("CHATANYWHERE_", "OPENAI_", "LC_", "LANG")


@pytest.fixture(autouse=True)
def _clean_slate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No keys, addresses, proxies, files or languages from the machine; no registered providers from other tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / "home" / kind.lower()))
    for name in tuple(os.environ):
        if name.startswith(_SCRUBBED) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    i18n.set_language("")
    registered = dict(registry._registered)
    yield
    i18n.set_language("")
    registry._registered.clear()
    registry._registered.update(registered)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server of the test's own."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def closed_url() -> str:
    """An address on this machine at which nobody listens."""
    with LocalServer() as server:
        return server.url
