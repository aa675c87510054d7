"""One JupyterLab and one Chromium for all tests in this directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support.chromium import find_chromium
from tests.support.lab import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.support.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, BrowserContext


# Pages are waited for, never slept for, so this only says when a slow machine is given up.
expect.set_options(timeout=20_000)


class OpenNotebook(Protocol):
    """Opens a new notebook with these code cells; `env` goes to its kernel."""

    def __call__(self, *cells: str, env: Mapping[str, str] | None = None) -> NotebookPage: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


# Not for the whole session: while Playwright's synchronous interface is open, asyncio.run() fails in this
# thread, and the tests of the other directories need it.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.fail("no Chromium; `python -m tests.support.chromium` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def notebook_page(lab: Lab, browser: Browser, request: pytest.FixtureRequest) -> Iterator[OpenNotebook]:
    contexts: list[BrowserContext] = []

    def open_notebook(*cells: str, env: Mapping[str, str] | None = None) -> NotebookPage:
        # Of its own for each parameter: a notebook that is opened again goes on with its kernel.
        name = re.sub(r"\W+", "-", request.node.name).strip("-") + f"-{len(contexts)}.ipynb"
        contexts.append(browser.new_context())
        return NotebookPage.open(contexts[-1].new_page(), lab.add_notebook(name, cells, env=env))

    yield open_notebook
    for context in contexts:
        context.close()
