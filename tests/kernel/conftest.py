"""Real kernels for the tests in this directory, and a real server for them to ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import assert_nothing_left_open, complaints
from tests.support.kernels import Kernel
from tests.support.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOAD = "%load_ext chatanywhere_magic\nfrom chatanywhere_magic import chat"
RESET = """
chat.conversations.new()
for _name in chat.settings.trait_names(config=True):
    setattr(chat, _name, chat.settings.trait_defaults(_name))
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("kernel")


def environment(server: LocalServer) -> dict[str, str]:
    """Return the variables under which a kernel asks `server`, and says what it leaves open."""
    return {
        "OPENAI_BASE_URL": server.api_url,
        "CHATANYWHERE_BASE_URL": server.api_url,
        "CHATANYWHERE_WEB_URL": server.url,
        # Python keeps these to itself otherwise, and an unclosed connection would go unseen.
        "PYTHONWARNINGS": "default::ResourceWarning",
    }


@pytest.fixture(scope="module")
def shared_server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_kernel(shared_server: LocalServer) -> Iterator[Kernel]:
    with Kernel(env=environment(shared_server)) as kernel:
        kernel.run(LOAD)
        yield kernel


@pytest.fixture
def server(shared_server: LocalServer) -> LocalServer:
    """The module's server, which has not been asked anything yet."""
    shared_server.forget()
    return shared_server


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    """The module's kernel with the extension, a new conversation, and every option at its default.

    Whatever the test does, it must leave nothing open behind it.
    """
    shared_kernel.run(RESET)
    known = complaints(shared_kernel)
    yield shared_kernel
    assert_nothing_left_open(shared_kernel, known)


@pytest.fixture
def new_kernel(server: LocalServer) -> Iterator[Callable[..., Kernel]]:
    """Start kernels for one test, without the extension; arguments are environment variables."""
    started: list[Kernel] = []

    def start(**env: str) -> Kernel:
        kernel = Kernel(env={**environment(server), **env})
        started.append(kernel)
        return kernel

    yield start
    for kernel in started:
        kernel.shutdown()
