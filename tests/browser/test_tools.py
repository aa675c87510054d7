"""Calls of tools as a person sees them: approved in the panel while a cell runs, approved at the cell, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage, needs_subshells

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import OpenNotebook

SETUP = """%load_ext chatanywhere_magic
import time
from chatanywhere_magic import Script, Scripted, chat
ran = []
"""
LOAD = """
@chat.tool(thread_safe=True)
def load(path: str) -> str:
    "Load a file."
    ran.append(path)
    return f"{path}: 3 rows"
call = ("load", {"path": "a\\u202eb.csv"})
chat.settings.provider = Scripted.of(Script("Let me look.", calls=[call]), "It has 3 rows.")
"""
DRAW = """
%matplotlib inline
import matplotlib.pyplot as plt
@chat.tool
def draw(title: str) -> None:
    "Draw."
    print("drawing", title)
    plt.figure(figsize=(3, 2))
    plt.plot([1, 3, 2])
    plt.title(title)
chat.settings.provider = Scripted.of(Script("A plot:", calls=[("draw", {"title": "Sales"})]), "There it is.")
"""


@needs_subshells
def test_a_call_is_approved_in_the_panel_while_a_cell_runs(notebook_page: OpenNotebook, tmp_path: Path) -> None:
    notebook = notebook_page(SETUP + LOAD, "%chat_panel", "time.sleep(30)\nprint('slept')", "print(ran)")
    for cell in (0, 1):
        notebook.run_cell(cell)
        notebook.wait_idle()
    panel = PanelPage(notebook)
    notebook.run_cell(2)
    panel.send("How long is it?")
    card = panel.turn(0).locator(".chatanywhere-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text("load")
    expect(card).to_contain_text("a⟨U+202E⟩b.csv")
    notebook.screenshot(tmp_path / "card.png")
    card.locator("[data-answer=once]").click()
    expect(panel.turn(0)).to_contain_text("It has 3 rows.")
    expect(card).to_have_count(0)
    assert "slept" not in notebook.cell_output_text(2)
    expect(panel.turn(0).locator(".chatanywhere-call")).to_contain_text("✓")
    notebook.screenshot(tmp_path / "approved.png")


@needs_subshells
def test_a_call_is_approved_at_the_cell_and_its_plot_is_kept(notebook_page: OpenNotebook, tmp_path: Path) -> None:
    notebook = notebook_page(SETUP + DRAW, "%chat_panel", "%%chat\nDraw the sales.")
    for cell in (0, 1):
        notebook.run_cell(cell)
        notebook.wait_idle()
    panel = PanelPage(notebook)
    notebook.run_cell(2)
    card = notebook.output(2).locator(".chatanywhere-card")
    expect(card).to_be_visible()
    expect(panel.turn(0).locator(".chatanywhere-card")).to_be_visible()
    notebook.screenshot(tmp_path / "cell-card.png")
    card.locator("[data-answer=once]").click()
    expect(notebook.output(2)).to_contain_text("There it is.")
    expect(panel.turn(0)).to_contain_text("There it is.")
    expect(panel.turn(0).locator(".chatanywhere-card")).to_have_count(0)
    expect(notebook.output(2).locator("img")).to_have_count(1)
    expect(panel.turn(0).locator(".chatanywhere-call img")).to_have_count(1)
    notebook.wait_idle()
    notebook.screenshot(tmp_path / "plot.png")
    notebook.command("docmanager:save")
    notebook.wait_idle()
    notebook.page.reload()
    notebook.page.wait_for_function("window.jupyterapp !== undefined")
    expect(notebook.output(2)).to_contain_text("There it is.")
    expect(notebook.output(2).locator("img")).to_have_count(1)
    expect(notebook.output(2)).not_to_contain_text("Error displaying widget")
    notebook.screenshot(tmp_path / "reopened.png")
