"""What a cell of JupyterLab looks like from the question to the end of its answer."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.support.server import LocalServer

PARAGRAPH = "A paragraph of *some* words that is as long as they are in most of the answers.\n\n"
# Every height that the output has had in any frame that was painted.
_WATCH = """cell => {
  const { node } = jupyterapp.shell.currentWidget.content.widgets[cell].outputArea;
  window.heights = [];
  const look = () => {
    const height = Math.round(node.getBoundingClientRect().height);
    if (height !== window.heights.at(-1)) window.heights.push(height);
    requestAnimationFrame(look);
  };
  look();
}"""
FLICKER = 64
"""The height of a paragraph and the line below it, which a single frame may show twice when they change outputs."""

BUSY = Answer(status=429, headers={"Retry-After": "1"}, raw=[b'{"error": {"message": "Slow down."}}'])


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ([BUSY, Answer(reasoning=["Let me *think*."], text=[PARAGRAPH] * 15, delay=0.05)], "tokens/s"),
        ([Answer(text=[PARAGRAPH] * 15, delay=0.05, finish_reason=None)], "✗ failed"),
    ],
    ids=["complete", "failed"],
)
def test_nothing_jumps_from_one_state_to_the_next(
    notebook_page: OpenNotebook, server: LocalServer, answers: list[Answer], end: str
) -> None:
    server.queue(*answers)
    notebook = notebook_page("%load_ext chatanywhere_magic", "%%chat\nHello", env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    notebook.page.evaluate(_WATCH, 1)
    notebook.run_cell(1)
    if BUSY in answers:
        expect(notebook.output(1)).to_contain_text("retrying in 1 s …")
    expect(notebook.output(1)).to_contain_text(end)
    notebook.wait_idle()
    heights = notebook.page.evaluate("window.heights")
    assert len(heights) > 5
    assert all(after >= before - FLICKER for before, after in pairwise(heights)), heights


def test_the_cause_of_a_failure_and_a_stop_are_each_read_once(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.queue(
        Answer(status=400, raw=[b'{"error": {"message": "No such model."}}']),
        Answer(text=["Half of"], hold=threading.Event()),
    )
    cells = ["%load_ext chatanywhere_magic", "%%chat\nHello", "%%chat\nHello"]
    notebook = notebook_page(*cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    notebook.run_cell(1)
    notebook.wait_idle()
    assert notebook.cell_output_text(1).count("No such model.") == 1
    notebook.run_cell(2)
    expect(notebook.output(2)).to_contain_text("Half of")
    notebook.command("notebook:interrupt-kernel")
    notebook.wait_idle()
    shown = notebook.cell_output_text(2)
    assert shown.startswith("Half of")
    assert "■ stopped" in shown
    assert shown.count("the text so far is kept") == 1
