"""An exported notebook is opened by programs that are not ours: nothing in it runs, and nothing is fetched for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.export import export
from tests.browser.test_safety import PLAIN, VECTORS, Watch
from tests.support.lab import Lab, NotebookPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.server import LocalServer

# What of a rendered cell could run or fetch something at once, or run something at a click.
_FINDINGS = """root => [...root.querySelectorAll(".jp-RenderedMarkdown *")].flatMap(element => {
  const tags = ["script", "iframe", "object", "embed", "img", "video", "audio", "link", "meta", "base", "form"];
  // JupyterLab draws diagrams itself, as pictures that are part of the page.
  const drawn = element.localName === "img" && element.src.startsWith("data:image/svg+xml");
  const found = tags.includes(element.localName) && !drawn ? [element.outerHTML] : [];
  for (const { name, value } of element.attributes)
    if (name.startsWith("on") || (/(^|:)href$/.test(name) && /^\\s*(javascript|vbscript|data):/i.test(value))
        || (name === "style" && /url\\(/.test(value)))
      found.push(`${element.localName} ${name}="${value}"`);
  return found;
})"""


def test_what_was_exported_runs_and_fetches_nothing(lab: Lab, browser: Browser, server: LocalServer) -> None:
    def armed(name: str, vector: str) -> str:
        return vector.replace("RUN", f"pwned('{name}')").replace("SINK", f"{server.url}/{name}")

    said = [(armed(name, PLAIN), armed(name, f"{name}:\n\n{vector}\n\nend")) for name, vector in VECTORS.items()]
    turns = [Turn((Version.of(*each, status="complete", model=armed("model", PLAIN)),)) for each in said]
    title = armed("title", PLAIN)
    document = export(Conversation(tuple(turns), title), "ipynb")
    (lab.root / "exported.ipynb").write_text(document, encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(lab.address("exported.ipynb").partition("/lab/")[0])  # so that nothing of ours is loaded unseen
    watch = Watch(page)
    NotebookPage.open(page, lab.address("exported.ipynb"))
    # Cells are rendered when they come into view.
    for index in range(1 + 2 * len(turns)):
        page.evaluate("index => jupyterapp.shell.currentWidget.content.scrollToItem(index)", index)
        cell = page.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')
        expect(cell.locator(".jp-RenderedMarkdown")).not_to_be_empty()
        assert cell.evaluate(_FINDINGS) == []
    assert watch.seen == []
    assert server.requests == []
    context.close()
