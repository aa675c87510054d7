"""What the server receives is what the notebook shows: after a second run, an interrupt and a restart of the kernel."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from chatanywhere_magic.testing.server import Answer

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import NotebookPage
    from tests.support.server import LocalServer

_WRITE = "([cell, source]) => jupyterapp.shell.currentWidget.content.widgets[cell].model.sharedModel.setSource(source)"
_SHOWN = """cells => cells.map(cell => {
  const { model } = jupyterapp.shell.currentWidget.content.widgets[cell];
  const [, question] = model.sharedModel.getSource().split("%%chat\\n");
  return [question, model.outputs.get(0).data["text/plain"]];
})"""
_INTERRUPT = "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
_RESTART = """async () => {
  const { sessionContext } = jupyterapp.shell.currentWidget;
  await sessionContext.session.kernel.restart();
  await sessionContext.session.kernel.info;
}"""


def shown(notebook: NotebookPage, *cells: int) -> list[str]:
    """Return what a reader sees of the turns in these cells: question and answer of each."""
    turns: list[list[str]] = notebook.page.evaluate(_SHOWN, list(cells))
    return [words for turn in turns for words in turn]


def sent(server: LocalServer) -> list[str]:
    return [message["content"] for message in server.requests[-1].messages]


def run(notebook: NotebookPage, *cells: int) -> None:
    for cell in cells:
        notebook.run_cell(cell)
        notebook.wait_idle()


def test_the_notebook_is_the_transcript(notebook_page: OpenNotebook, server: LocalServer) -> None:
    notebook = notebook_page(
        "%load_ext chatanywhere_magic",
        "%%chat\nI am Ada.",
        "%%chat\nI like numbers.",
        "%%chat\nI live in London.",
        "%%chat\nTell me a long story.",
        "%%chat\nWas that all?",
        "",
        "%%chat\nWho am I?",
        env={"OPENAI_BASE_URL": server.api_url},
    )
    run(notebook, 0, 1, 2, 3)

    server.queue(Answer(text=["Once upon ", "a time"], hold=threading.Event()))
    notebook.run_cell(4)
    expect(notebook.output(4)).to_contain_text("Once upon a time")
    notebook.page.evaluate(_INTERRUPT)
    notebook.wait_idle()
    expect(notebook.output(4)).to_contain_text("stopped")
    run(notebook, 5)
    assert sent(server) == [*shown(notebook, 1, 2, 3, 4), "Was that all?"]

    notebook.page.evaluate(_WRITE, [2, "%%chat\nI like letters."])
    run(notebook, 2)
    assert sent(server) == [*shown(notebook, 1), "I like letters."]

    notebook.page.evaluate(_RESTART)
    run(notebook, 0)
    offer = notebook.cell_output_text(0)
    assert "This notebook has a conversation: “I am Ada.” (turns: 5" in offer
    (resume,) = re.findall(r"%chat_switch \w+", offer)
    notebook.page.evaluate(_WRITE, [6, resume])
    run(notebook, 6, 7)
    assert sent(server) == [*shown(notebook, 1, 2, 3, 4, 5), "Who am I?"]

    # The cells are still their turns.
    notebook.page.evaluate(_WRITE, [5, "%%chat\nGo on."])
    run(notebook, 5)
    assert sent(server) == [*shown(notebook, 1, 2, 3, 4), "Go on."]
    run(notebook, 7)
    assert sent(server) == [*shown(notebook, 1, 2, 3, 4, 5), "Who am I?"]


def test_the_saved_notebook_is_enough_to_rebuild_the_conversation(
    notebook_page: OpenNotebook, server: LocalServer
) -> None:
    notebook = notebook_page(
        "%load_ext chatanywhere_magic\n%config ChatSession.persist = False",
        "%%chat\nI am Ada.",
        "%%chat\nI like numbers.",
        "%chat_import this",
        "%%chat\nWho am I?",
        env={"OPENAI_BASE_URL": server.api_url},
    )
    run(notebook, 0, 2, 1)
    notebook.command("docmanager:save")
    notebook.wait_idle()
    notebook.page.evaluate(_RESTART)
    run(notebook, 0, 3, 4)
    assert sent(server) == [*shown(notebook, 1, 2), "Who am I?"]
