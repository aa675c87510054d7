"""What every unit test stands on: an environment that says nothing, and a real server where one is asked for."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.core import i18n
from chatanywhere_magic.providers import registry
from chatanywhere_magic.testing.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCRUBBED = ("CHATANYWHERE_", "OPENAI_", "LC_", "LANG")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where tests have their home directories; few tests put anything there, so none is made."""
    homes = tmp_path_factory.mktemp("homes")
    return (homes / str(number) for number in count())


@pytest.fixture
def home(_homes: Iterator[Path]) -> Path:
    """The test's own home directory, which is not there yet."""
    return next(_homes)


@pytest.fixture(autouse=True)
def _clean_slate(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """No keys, addresses, proxies, files or languages from the machine; no registered providers from other tests."""
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
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
