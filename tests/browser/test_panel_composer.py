"""The panel's composer in a real page: keys, input methods, drafts, files, commands."""

from __future__ import annotations

import threading
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import NotebookPage
    from tests.support.server import LocalServer

# A paste or a drop as the browser makes it of what the person brings.
_BRING = """([selector, kind, name, type, base64, text]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  if (text) data.setData("text/plain", text);
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent("paste", { ...options, clipboardData: data })
    : new DragEvent("drop", { ...options, dataTransfer: data });
  document.querySelector(selector).dispatchEvent(event);
}"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def notebook(notebook_page: OpenNotebook, server: LocalServer) -> NotebookPage:
    opened = notebook_page("%load_ext chatanywhere_magic\n%chat_panel", env={"OPENAI_BASE_URL": server.api_url})
    opened.run_cell(0)
    opened.wait_idle()
    return opened


@pytest.fixture
def panel(notebook: NotebookPage) -> PanelPage:
    return PanelPage(notebook)


def test_enter_sends_and_shift_enter_stays_out_of_the_notebook(
    notebook: NotebookPage, panel: PanelPage, server: LocalServer
) -> None:
    keyboard = notebook.page.keyboard
    panel.composer.click()
    for line in ("one", "two", "dd"):
        keyboard.type(line)
        keyboard.press("Shift+Enter")
    keyboard.press("Backspace")
    keyboard.press("Enter")
    expect(panel.turn(0)).to_contain_text("one\ntwo\ndd")
    expect(panel.composer).to_be_focused()
    expect(panel.turn(0)).to_contain_text("The last one says")
    assert server.requests[0].messages[-1]["content"] == "one\ntwo\ndd"
    expect(notebook.page.locator(".jp-Cell .jp-InputPrompt").first).to_have_text("[1]:")
    expect(notebook.page.locator(".jp-Cell.jp-CodeCell")).to_have_count(1)


def test_an_input_methods_enter_takes_its_word(notebook: NotebookPage, panel: PanelPage, server: LocalServer) -> None:
    page = notebook.page
    panel.composer.click()
    method = page.context.new_cdp_session(page)
    method.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    # As Chromium reports the Enter that chooses a word: under the code that says "the input method has it".
    enter = {"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    method.send("Input.dispatchKeyEvent", enter)
    method.send("Input.insertText", {"text": "你好"})
    expect(panel.composer).to_have_value("你好")
    assert not server.requests
    page.keyboard.press("Enter")
    expect(panel.turn(0)).to_contain_text("The last one says: 你好")


def test_escape_stops_and_up_recalls(notebook: NotebookPage, panel: PanelPage, server: LocalServer) -> None:
    keyboard = notebook.page.keyboard
    server.queue(Answer(text=["Half of the ", "answer."], hold=threading.Event(), hold_after=1))
    panel.composer.click()
    keyboard.type("Tell me more.")
    keyboard.press("Enter")
    expect(panel.turn(0)).to_contain_text("Half of the")
    keyboard.press("Escape")
    expect(panel.turn(0)).to_contain_text("■ stopped")
    keyboard.press("ArrowUp")
    expect(panel.composer).to_have_value("Tell me more.")
    keyboard.press("ArrowDown")
    expect(panel.composer).to_have_value("")


def test_a_draft_survives_a_reload(notebook: NotebookPage, panel: PanelPage) -> None:
    page = notebook.page
    panel.send("Hello")
    expect(panel.turn(0)).to_contain_text("The last one says: Hello")
    notebook.command("docmanager:save")
    panel.composer.click()
    page.keyboard.type("A thought that is not fin")
    page.wait_for_function("Object.keys(localStorage).some((key) => key.startsWith('chatanywhere:draft'))")
    page.reload()
    again = PanelPage(notebook)
    expect(again.composer).to_have_value("A thought that is not fin")
    expect(again.turn(0)).to_contain_text("The last one says: Hello")
    again.composer.click()
    page.keyboard.type("ished")
    page.keyboard.press("Enter")
    expect(again.turn(1)).to_contain_text("finished")


def test_files_are_pasted_dropped_and_picked(notebook: NotebookPage, panel: PanelPage, server: LocalServer) -> None:
    page = notebook.page
    server.queue(Answer(text=["I see them."]))
    page.evaluate(_BRING, [".chatanywhere-box", "paste", "shot.png", "image/png", PIXEL])
    page.evaluate(_BRING, [".chatanywhere-root", "drop", "notes.txt", "text/plain", "QSBub3RlLg=="])
    with page.expect_file_chooser() as chooser:
        panel.root.get_by_role("button", name="Attach files").click()
    chooser.value.set_files([{"name": "data.bin", "mimeType": "application/octet-stream", "buffer": b"\xff\xfe\x00"}])
    expect(panel.root.get_by_role("alert")).to_contain_text("data.bin is not a file that a model can read")
    chips = panel.root.locator(".chatanywhere-composer .chatanywhere-chip")
    expect(chips).to_have_count(2)
    panel.composer.click()
    page.keyboard.type("What is this?")
    page.keyboard.press("Enter")
    expect(panel.turn(0)).to_contain_text("I see them.")
    expect(panel.turn(0).locator(".chatanywhere-chip")).to_have_text(["shot.png70 B", "notes.txt7 B"])
    expect(chips).to_have_count(0)
    text, picture = server.requests[0].messages[-1]["content"]
    assert "A note." in text["text"]
    assert picture["image_url"]["url"].endswith(PIXEL)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "cp1251", "cp932"])
def test_a_file_in_another_encoding_is_read_as_text(
    notebook: NotebookPage, panel: PanelPage, server: LocalServer, encoding: str
) -> None:
    words = {"cp1251": "Средние значения", "cp932": "平均値はこれです"}.get(encoding, "平均值如下")
    data = b64encode(words.encode(encoding)).decode()
    notebook.page.evaluate(_BRING, [".chatanywhere-root", "drop", "notes.txt", "", data, ""])
    expect(panel.root.locator(".chatanywhere-composer .chatanywhere-chip")).to_have_count(1)
    panel.send("What is this?")
    expect(panel.turn(0)).to_contain_text("The last one says")
    assert words in str(server.requests[0].messages[-1]["content"])


def test_a_file_copied_in_a_file_manager_is_attached_without_its_name(notebook: NotebookPage, panel: PanelPage) -> None:
    brought = [".chatanywhere-box", "paste", "notes.txt", "text/plain", "QSBub3RlLg==", "/home/me/notes.txt"]
    notebook.page.evaluate(_BRING, brought)
    expect(panel.root.locator(".chatanywhere-composer .chatanywhere-chip")).to_have_text(["notes.txt7 B"])
    expect(panel.composer).to_have_value("")


def test_undo_stays_in_the_composer(notebook_page: OpenNotebook) -> None:
    first = "%load_ext chatanywhere_magic\nsales = [1]\n%chat_panel"
    notebook = notebook_page(first)
    notebook.run_cell(0)
    notebook.wait_idle()
    panel, page = PanelPage(notebook), notebook.page
    sources = "jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"
    page.evaluate("jupyterapp.commands.execute('notebook:insert-cell-below')")
    page.keyboard.press("Enter")
    page.keyboard.type("x = 1")
    page.wait_for_function(f"{sources}[1] === 'x = 1'")
    panel.composer.click()
    page.keyboard.type("one")
    page.keyboard.press("Alt+Enter")
    page.keyboard.type("two @sal")
    expect(panel.root.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.type("end")
    steps = ["one\ntwo @sales ", "one\ntwo @sal", "one\ntwo ", "one\n", "one", ""]
    for keys in (["Control+z"] * 6, ["Meta+z"] * 4):
        for key, words in zip(keys, steps, strict=False):
            page.keyboard.press(key)
            expect(panel.composer).to_have_value(words if key == "Control+z" else "")
    for words in [*reversed(steps[:-1]), "one\ntwo @sales end"]:
        page.keyboard.press("Control+Shift+z")
        expect(panel.composer).to_have_value(words)
    assert page.evaluate(sources) == [first, "x = 1"]


def test_commands_are_completed_and_done(notebook: NotebookPage, panel: PanelPage) -> None:
    keyboard = notebook.page.keyboard
    panel.send("Hello")
    expect(panel.turn(0)).to_contain_text("The last one says: Hello")
    panel.composer.click()
    keyboard.type("/un")
    expect(panel.root.get_by_role("option")).to_have_text(["/undoUndo the last turn"])
    keyboard.press("Enter")
    expect(panel.composer).to_have_value("/undo")
    keyboard.press("Enter")
    expect(panel.root.locator(".chatanywhere-turn")).to_have_count(0)
    expect(panel.root).to_contain_text("Ask something.")
    panel.send("/redo")
    expect(panel.turn(0)).to_contain_text("The last one says: Hello")
    panel.send("/usr/bin is what?")
    expect(panel.turn(1)).to_contain_text("The last one says: /usr/bin is what?")


def test_what_cannot_be_asked_stays_in_the_box(notebook: NotebookPage, panel: PanelPage) -> None:
    panel.send("/model   ")
    panel.composer.click()
    notebook.page.keyboard.type("/temperature 7")
    notebook.page.keyboard.press("Enter")
    expect(panel.root.get_by_role("alert")).to_contain_text("Temperature: 7.0 is not allowed.")
    expect(panel.composer).to_have_value("/temperature 7")
