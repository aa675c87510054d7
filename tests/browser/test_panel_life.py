"""The panel's life: docked, run again, reloaded, without its kernel; in JupyterLab and in Notebook 7."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.support.lab import NotebookPage

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import Lab
    from tests.support.server import LocalServer

OPEN_PANEL = "%load_ext chatanywhere_magic\n%chat_panel"


def opened(notebook_page: OpenNotebook, server: LocalServer, *cells: str) -> NotebookPage:
    notebook = notebook_page(*cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    return notebook


@pytest.mark.parametrize("where", ["right", "bottom"])
def test_it_is_docked_and_stays_so_when_the_page_is_reloaded(
    notebook_page: OpenNotebook, server: LocalServer, where: str
) -> None:
    docked = f"%load_ext chatanywhere_magic\n%chat_panel --dock {where}"
    notebook = opened(notebook_page, server, docked, "%%chat\nWhat is a median?")
    panel = PanelPage(notebook)
    expect(notebook.output(0)).to_contain_text("The chat panel is open beside the notebook.")
    notebook.run_cell(1)
    expect(panel.turn(0)).to_contain_text("The last one says: What is a median?")
    beside, cells = panel.root.bounding_box(), notebook.page.locator(".jp-Notebook").bounding_box()
    assert beside is not None
    assert cells is not None
    if where == "right":
        assert beside["x"] >= cells["x"] + cells["width"] - 20
    else:
        assert beside["y"] >= cells["y"] + cells["height"] - 20
    panel.turn(0).get_by_title("Go to the cell").click()
    expect(notebook.page.locator(".jp-Cell").nth(1)).to_have_class(re.compile("jp-mod-active"))
    notebook.command("docmanager:save")
    notebook.wait_idle()
    notebook.page.reload()
    expect(panel.turn(0)).to_contain_text("The last one says: What is a median?", timeout=30_000)


def test_a_cell_that_runs_again_shows_the_same_conversation(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook = opened(notebook_page, server, OPEN_PANEL)
    panel = PanelPage(notebook)
    panel.send("Hello")
    expect(panel.turn(0)).to_contain_text("The last one says: Hello")
    panel.composer.fill("half a thou")
    notebook.run_cell(0)
    notebook.wait_idle()
    again = PanelPage(notebook)
    expect(again.root).to_have_count(1)
    expect(again.turn(0)).to_contain_text("The last one says: Hello")
    expect(again.composer).to_have_value("half a thou")


def test_without_its_kernel_there_is_a_transcript(
    notebook_page: OpenNotebook, server: LocalServer, lab: Lab, tmp_path: Path
) -> None:
    notebook = opened(notebook_page, server, OPEN_PANEL)
    page = notebook.page
    panel = PanelPage(notebook)
    panel.send("Hello")
    expect(panel.turn(0)).to_contain_text("The last one says: Hello")
    transcript = page.locator(".chatanywhere-transcript")
    expect(transcript).to_contain_text("The last one says: Hello")
    expect(transcript).to_be_hidden()
    notebook.command("docmanager:save")
    notebook.wait_idle()
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    expect(panel.root.get_by_role("alert").first).to_contain_text("This panel's kernel is gone.")
    page.reload()
    expect(transcript).to_be_visible()
    expect(transcript).to_contain_text("The last one says: Hello")
    expect(page.locator(".jp-OutputArea")).not_to_contain_text("Error displaying widget")
    name = "test_without_its_kernel_there_is_a_transcript-0"
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(lab.root / f"{name}.ipynb")], check=True, capture_output=True, timeout=60)
    page.goto((tmp_path / f"{name}.html").as_uri())
    expect(transcript).to_contain_text("The last one says: Hello")


def test_a_kernel_that_dies_is_told(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook = opened(notebook_page, server, OPEN_PANEL, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    panel = PanelPage(notebook)
    notebook.run_cell(1)
    expect(panel.root.get_by_role("alert").first).to_contain_text("This panel's kernel is gone.")
    expect(panel.send_button).to_be_disabled()


def test_it_works_in_notebook_7(server: LocalServer, lab: Lab, browser: Browser) -> None:
    lab.add_notebook("seven.ipynb", [OPEN_PANEL], env={"OPENAI_BASE_URL": server.api_url})
    page = browser.new_context().new_page()
    page.goto(lab.address("seven.ipynb", front_end="notebooks"))
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel")
    page.locator(".jp-Cell .jp-InputArea-editor").first.click()
    page.keyboard.press("Shift+Enter")
    box = page.locator(".chatanywhere-box")
    box.click()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(page.locator(".chatanywhere-turn")).to_contain_text("I was sent 1 messages. The last one says: one")
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[1]:")
    page.context.close()


def test_two_pages_and_a_cell_at_once_agree(
    notebook_page: OpenNotebook, server: LocalServer, lab: Lab, browser: Browser
) -> None:
    notebook = opened(notebook_page, server, OPEN_PANEL, "%%chat\nfrom the cell")
    notebook.command("docmanager:save")
    notebook.wait_idle()
    other = NotebookPage.open(
        browser.new_context().new_page(), lab.address(notebook.page.url.partition("?")[0].rpartition("/")[2])
    )
    panels = [PanelPage(notebook), PanelPage(other)]
    for panel, words in zip(panels, ("from one page", "from another page"), strict=True):
        panel.composer.fill(words)
    notebook.run_cell(1)
    for panel in panels:
        panel.composer.press("Enter")
    for panel in panels:
        expect(panel.root.locator('.chatanywhere-turn[data-status="complete"]')).to_have_count(3)
    shown = [panel.root.locator(".chatanywhere-turn").all_inner_texts() for panel in panels]
    assert shown[0] == shown[1]
    asked = [request.json["messages"] for request in server.requests if request.json]
    assert [len(messages) for messages in asked] == [1, 3, 5]
    assert {messages[-1]["content"] for messages in asked} == {"from one page", "from another page", "from the cell"}
    for turn, messages in zip(shown[0], asked, strict=True):
        assert messages[-1]["content"] in turn
    other.page.context.close()


@pytest.mark.model
def test_the_embedded_model_answers(notebook_page: OpenNotebook) -> None:
    notebook = notebook_page(OPEN_PANEL, env={"CHATANYWHERE_LANG": "en"})
    notebook.run_cell(0)
    panel = PanelPage(notebook)
    expect(panel.root.get_by_title("Change model")).to_contain_text("local")
    panel.send("What is a median? Answer in one short sentence.")
    expect(panel.turn(0).locator(".chatanywhere-tail:not(:empty), .chatanywhere-piece").first).to_be_visible()
    expect(panel.turn(0)).to_have_attribute("data-status", "complete", timeout=60_000)
    expect(panel.turn(0)).to_contain_text("local · SmolLM2")
