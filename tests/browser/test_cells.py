"""Code, keys and answers side by side, as a person meets them in cells of JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import NotebookPage
    from tests.support.server import LocalServer

KEY = "sk-Abc123dEf456gHi789jKl012"
_SOURCES = "jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"


def open_with(notebook_page: OpenNotebook, server: LocalServer, *cells: str) -> NotebookPage:
    notebook = notebook_page("%load_ext chatanywhere_magic", *cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    return notebook


def sources(notebook: NotebookPage) -> list[str]:
    found: list[str] = notebook.page.evaluate(_SOURCES)
    return found


def test_code_of_an_answer_waits_in_the_next_cell(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.queue(Answer(text=["So:\n\n```python\nprint('never by itself')\n```"]))
    notebook = open_with(notebook_page, server, "%chat --code Print something.")
    notebook.run_cell(1)
    notebook.page.wait_for_function(f"{_SOURCES}.length === 3")
    notebook.wait_idle()
    assert sources(notebook)[2] == "print('never by itself')"
    assert notebook.cell_output_text(2) == ""


def test_a_failed_cell_is_followed_by_the_corrected_one(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.queue(Answer(text=["A comma.\n\n```python\nprint(1, '<img src=x onerror=window.ran=1>')\n```"]))
    notebook = open_with(notebook_page, server, "print(1 '<i>')", "%chat_fix")
    notebook.run_cell(1)
    notebook.wait_idle()
    notebook.run_cell(2)
    notebook.page.wait_for_function(f"{_SOURCES}.length === 4")
    notebook.wait_idle()
    diff = notebook.output(2).locator(".chatanywhere-diff")
    expect(diff).to_contain_text("-print(1 '<i>')")
    expect(diff).to_contain_text("+print(1, '<img src=x onerror=window.ran=1>')")
    assert diff.locator("img, i").count() == 0
    assert notebook.page.evaluate("window.ran") is None
    assert sources(notebook)[3].startswith("print(1, ")


def test_a_key_that_is_typed_disappears_from_the_notebook(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook = open_with(notebook_page, server, f"%env OPENAI_API_KEY={KEY}")
    notebook.run_cell(1)
    notebook.page.wait_for_function(f"{_SOURCES}[1] === '%chat_login openai'")
    expect(notebook.output(1)).to_contain_text("Nothing was run: this cell contains a key")
    assert KEY not in notebook.page.content()


def test_a_key_is_typed_unseen(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.keys = {KEY}
    notebook = open_with(notebook_page, server, "%chat_login openai --session", "%chat Hello")
    notebook.run_cell(1)
    field = notebook.page.locator("input.jp-Stdin-input")
    expect(field).to_have_attribute("type", "password")
    field.fill(KEY)
    field.press("Enter")
    expect(notebook.output(1)).to_contain_text("The key was accepted; models: 2.")
    notebook.wait_idle()
    notebook.run_cell(2)
    expect(notebook.output(2)).to_contain_text("I was sent 1 messages")
    notebook.wait_idle()
    assert KEY not in notebook.page.content()


def test_answers_stand_side_by_side(notebook_page: OpenNotebook, server: LocalServer) -> None:
    long = "word " * 200
    server.queue(
        Answer(text=[f"**One** {long}"], model="one"), Answer(text=[f"Two\n\n```python\n{'x' * 300}\n```"], model="two")
    )
    notebook = open_with(notebook_page, server, "%chat -m one,two Hello")
    notebook.run_cell(1)
    notebook.wait_idle()
    first, second = (notebook.output(1).get_by_text(f"openai · {name}", exact=False).first for name in ("one", "two"))
    expect(first).to_contain_text("▸")
    left, right = first.bounding_box(), second.bounding_box()
    assert left is not None
    assert right is not None
    assert abs(left["y"] - right["y"]) < 2
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["width"] - right["width"]) < 2


def test_the_cell_that_asked_shows_the_answer_of_a_retry(notebook_page: OpenNotebook, server: LocalServer) -> None:
    long = [f"Paragraph {number} of the first answer.\n\n" for number in range(200)]
    server.queue(Answer(text=long, delay=0.003), Answer(text=["**Another** answer."]))
    notebook = open_with(notebook_page, server, "%chat Hello", "%chat_retry", "%chat_versions --select 1")
    for cell, shown in ((1, "Paragraph 199"), (2, "Another answer."), (3, "Paragraph 199")):
        notebook.run_cell(cell)
        notebook.wait_idle()
        expect(notebook.output(1)).to_contain_text(shown)
        expect(notebook.output(1).locator(".jp-OutputArea-child")).to_have_count(1)
    expect(notebook.output(2).locator("strong")).to_have_text("Another")
