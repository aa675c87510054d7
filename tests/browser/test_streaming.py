"""The embedded model answers in a cell of JupyterLab, and the rest of the notebook goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook

# Every length that the answer has had on the page, by the page's own account, so that nothing depends on when a
# test looks.
_WATCH = """cell => {
  const { node } = jupyterapp.shell.currentWidget.content.widgets[cell];
  window.lengths = [];
  new MutationObserver(() => {
    const length = node.querySelector(".chatanywhere-text")?.textContent.length;
    if (length && length !== window.lengths.at(-1)) window.lengths.push(length);
  }).observe(node, { childList: true, subtree: true });
}"""


@pytest.mark.model
def test_the_embedded_model_streams_into_a_cell_and_the_cells_behind_it_run(
    notebook_page: OpenNotebook,
) -> None:
    notebook = notebook_page(
        "%load_ext chatanywhere_magic",
        "%%chat -p local -t 0 --max-tokens 200\nTell me a long story about a cat.",
        "print('behind')",
        "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')",
        "%chat -p local -t 0 --max-tokens 5 What was the story about?",
        "print('the last one')",
    )
    notebook.page.evaluate(_WATCH, 1)

    notebook.run_all()
    notebook.wait_idle()

    *growing, final = notebook.page.evaluate("window.lengths")
    assert len({length for length in growing if length < final}) >= 3, (growing, final)
    footer = notebook.output(1).locator(".chatanywhere-state")
    expect(footer).to_have_text(
        re.compile(
            r"local · SmolLM2\S+ · tokens: \d+ in, \d+ out · first \S+ after [\d.]+ s · [\d.]+ s · \d+ tokens/s$"
        )
    )
    expect(notebook.output(2)).to_have_text("behind")
    expect(notebook.output(3)).to_have_text("awaited")
    expect(notebook.output(4)).to_contain_text("tokens/s")
    expect(notebook.output(5)).to_have_text("the last one")
