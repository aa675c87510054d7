"""Answers in a notebook that is left and opened again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import nbformat
from playwright.sync_api import expect

from tests.support.lab import READY
from tests.support.server import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import Lab, NotebookPage
    from tests.support.server import LocalServer

PARAGRAPH = "A paragraph of *some* words that is as long as they are in most of the answers.\n\n"
TEXT = [PARAGRAPH] * 20
CELL = "%%chat\nTell me more."
_LOADED = "window.jupyterapp?.shell.currentWidget?.content.widgets.length > 1"


def open_with(notebook_page: OpenNotebook, server: LocalServer, *cells: str) -> NotebookPage:
    notebook = notebook_page("%load_ext chatanywhere_magic", *cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    return notebook


def save(notebook: NotebookPage) -> None:
    saved = notebook.page.evaluate("jupyterapp.shell.currentWidget.context.save().then(() => true)")
    assert saved


def outputs(path: Path, cell: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = nbformat.read(path, as_version=4).cells[cell].outputs
    return found


def file_of(lab: Lab, name: str) -> Path:
    (path,) = lab.root.glob(f"{name}*.ipynb")
    return path


def test_an_answer_that_comes_while_the_page_is_reloaded_is_kept(
    notebook_page: OpenNotebook, server: LocalServer, lab: Lab
) -> None:
    # JupyterLab gives a page that is loaded anew nothing of what the cells that run then still show.
    rest = threading.Event()
    server.queue(Answer(text=TEXT, hold=rest, hold_after=10), Answer(text=["Another **answer**."]))
    notebook = open_with(notebook_page, server, CELL, "%chat_history 1 --full")
    page = notebook.page
    notebook.run_cell(1)
    expect(notebook.output(1).locator("p")).to_have_count(10)
    save(notebook)
    page.reload()
    page.wait_for_function(_LOADED)
    expect(notebook.output(1).locator("p")).to_have_count(10)  # the text so far, as it was saved

    rest.set()
    page.evaluate(READY)
    notebook.run_cell(2)
    expect(notebook.output(2).locator("em")).to_have_count(20)
    expect(notebook.output(2)).to_contain_text("tokens/s")
    assert len(server.requests) == 1

    notebook.run_cell(1)
    expect(notebook.output(1).locator(".chatanywhere-text")).to_have_text("Another answer.\n")
    notebook.wait_idle()
    save(notebook)
    (output,) = outputs(file_of(lab, "test_an_answer_that_comes"), 1)
    assert output["data"]["text/plain"] == "Another **answer**."
    assert output["metadata"]["chatanywhere"]["status"] == "complete"


def test_a_saved_answer_is_shown_without_a_kernel(notebook_page: OpenNotebook, server: LocalServer, lab: Lab) -> None:
    server.queue(Answer(text=[*TEXT, "```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"], reasoning=["Hm."]))
    notebook = open_with(notebook_page, server, CELL)
    page = notebook.page
    notebook.run_cell(1)
    notebook.wait_idle()
    before = notebook.cell_output_text(1)
    save(notebook)
    assert len(outputs(file_of(lab, "test_a_saved_answer"), 1)) == 1
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.route("**/api/sessions*", lambda route: route.abort())
    page.reload()
    page.wait_for_function(_LOADED)
    expect(notebook.output(1).locator("td")).to_have_count(2)
    assert notebook.cell_output_text(1) == before
    assert page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session") is None
