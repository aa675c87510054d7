"""The panel while the kernel is busy: with JupyterLab's subshells, and without them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage, needs_subshells
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import Lab, NotebookPage
    from tests.support.server import LocalServer

# With slack for a busy machine: what is stopped would not end by itself. The benchmarks say how long it takes.
STOP_SECONDS = 10
"""From the click to "stopped" as seen from here; in the page it is about 0.1 (``benchmarks/stopping.py``)."""
BUSY = (
    "import pathlib, time\n"
    "print('begun')\n"
    "while not pathlib.Path('enough').exists():\n"
    "    time.sleep(0.02)\n"
    "print('ended')"
)


@pytest.fixture
def without_subshells(lab: Lab) -> Iterator[None]:
    """JupyterLab as it is before 4.4, or with a kernel before ipykernel 7: widget messages wait for the cell."""
    settings = lab.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    file = settings / "kernels-settings.jupyterlab-settings"
    file.write_text(json.dumps({"commsOverSubshells": "disabled"}))
    yield
    file.unlink()


def open_panel(notebook_page: OpenNotebook, server: LocalServer, *cells: str) -> tuple[NotebookPage, PanelPage]:
    opening = "%load_ext chatanywhere_magic\n%chat_panel"
    notebook = notebook_page(opening, *cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    return notebook, PanelPage(notebook)


def half_an_answer() -> Answer:
    return Answer(text=["Half of the ", "answer, and the rest."], hold=threading.Event(), hold_after=1)


def seconds_to_stop(panel: PanelPage) -> float:
    begin = time.monotonic()
    panel.stop_button.click()
    expect(panel.turn(0)).to_contain_text("■ stopped")
    return time.monotonic() - begin


def test_stop_during_run_all_ends_the_run(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook, panel = open_panel(notebook_page, server, "%%chat\nTell me more.", "print('behind')")
    server.queue(half_an_answer())
    notebook.command("notebook:run-all-below", 1)
    expect(panel.turn(0)).to_contain_text("Half of the")
    assert seconds_to_stop(panel) < STOP_SECONDS
    expect(notebook.output(1)).to_contain_text("Half of the")
    notebook.wait_idle()
    assert "behind" not in notebook.cell_output_text(2)


@needs_subshells
def test_questions_asked_during_a_cell_queue_and_can_be_taken_back(
    notebook_page: OpenNotebook, server: LocalServer, lab: Lab
) -> None:
    notebook, panel = open_panel(notebook_page, server, BUSY)
    server.queue(half_an_answer())
    notebook.run_cell(1)
    expect(notebook.output(1)).to_contain_text("begun")
    panel.send("one")
    expect(panel.turn(0)).to_contain_text("Half of the")
    panel.send("two")
    expect(panel.turn(1)).to_contain_text("waiting for the previous turn")
    expect(panel.root.locator(".chatanywhere-queue")).to_have_text("waiting: 1")
    panel.turn(1).get_by_role("button", name="Cancel").click()
    expect(panel.root.locator(".chatanywhere-turn")).to_have_count(1)
    expect(panel.composer).to_have_value("two")
    assert seconds_to_stop(panel) < STOP_SECONDS
    (lab.root / "enough").touch()
    expect(notebook.output(1)).to_contain_text("ended")
    (lab.root / "enough").unlink()
    assert len(server.requests) == 1


@pytest.mark.usefixtures("without_subshells")
def test_without_subshells_stop_interrupts_the_cell_that_asks(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook, panel = open_panel(notebook_page, server, "%%chat\nTell me more.")
    server.queue(half_an_answer())
    notebook.run_cell(1)
    expect(panel.turn(0)).to_contain_text("Half of the")
    assert seconds_to_stop(panel) < STOP_SECONDS
    expect(notebook.output(1)).to_contain_text("Half of the")


@pytest.mark.usefixtures("without_subshells")
def test_without_subshells_nobody_elses_cell_is_interrupted_unasked(
    notebook_page: OpenNotebook, server: LocalServer
) -> None:
    notebook, panel = open_panel(notebook_page, server, BUSY)
    server.queue(half_an_answer())
    panel.send("Are you there?")
    expect(panel.turn(0)).to_contain_text("Half of the")
    notebook.run_cell(1)
    expect(notebook.output(1)).to_contain_text("begun")
    panel.stop_button.click()
    note = panel.root.locator(".chatanywhere-note")
    expect(note).to_contain_text("A cell is keeping the kernel busy")
    panel.send("And now?")
    expect(panel.root).to_contain_text("Waiting for the kernel, which is busy")
    note.get_by_role("button", name="Interrupt the cell").click()
    expect(notebook.output(1)).to_contain_text("KeyboardInterrupt")
    expect(panel.turn(0)).to_contain_text("■ stopped")
    expect(panel.turn(1)).to_contain_text("The last one says: And now?")
