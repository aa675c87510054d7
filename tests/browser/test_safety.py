"""Whatever a model, a server or a question says, the page runs nothing of it and fetches nothing for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.support.lab import READY
from tests.support.server import COMPLETIONS_PATH, Answer
from tests.support.vectors import PLAIN, TEX, VECTORS

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Locator, Page, Request

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import Lab, NotebookPage
    from tests.support.server import LocalServer

# What the panel puts around and into an answer. No answer can make an element with a class.
_OWN = ".chatanywhere-actions, .chatanywhere-code-actions, .chatanywhere-remedies, .chatanywhere-meta"
# Everything of an element that could run or fetch something, now or at a click.
_FINDINGS = """(root, own) => {
  const ELEMENTS = [
    "script", "style", "link", "meta", "base", "template", "iframe", "frame", "object", "embed", "svg", "use", "image",
    "form", "input", "button", "textarea", "img", "picture", "source", "video", "audio",
  ];
  const ATTRIBUTES = ["src", "srcset", "srcdoc", "action", "formaction", "poster", "background", "id"];
  return [...root.querySelectorAll(".jp-OutputArea-output *, .chatanywhere-turn *")].flatMap(element => {
    if (element.closest(own)) return [];
    const tag = element.localName;
    const found = ELEMENTS.includes(tag) ? [`<${tag}>`] : [];
    for (const { name, value } of element.attributes) {
      const reaches = /(^|:)href$/.test(name) && !/^(https?|mailto):/.test(value);
      const paints = name === "style" && /url\\(|position: *(fixed|absolute)/.test(value) && !tag.startsWith("mjx-");
      if (name.startsWith("on") || ATTRIBUTES.includes(name) || reaches || paints)
        found.push(`${tag} ${name}="${value}"`);
    }
    if (element.href && !(element.target === "_blank" && element.relList.contains("noopener")))
      found.push(`opens over the notebook: ${element.outerHTML}`);
    return found;
  });
}"""
# As a reader would who tries everything. Links to the web may open, so they are left alone; _FINDINGS sees the rest.
# Whatever an earlier picture of the page would run has run when this one has failed, and a frame has been drawn.
_LAST_IN_LINE = """() => new Promise(done => {
    const picture = new Image();
    picture.onerror = () => requestAnimationFrame(() => setTimeout(done));
    picture.src = "https://last.example/picture.png";
})"""
_TOUCH_EVERYTHING = """(root, own) => {
  for (const element of root.querySelectorAll("*")) {
    if (element.closest(own)) continue;
    element.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
    element.dispatchEvent(new FocusEvent("focus"));
    if (!/^https?:/.test(element.href ?? "")) element.dispatchEvent(new MouseEvent("click", { bubbles: false }));
  }
}"""


@dataclass
class Watch:
    """What a page did that a safe page does not do."""

    page: Page
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._home = urlsplit(self.page.url).netloc
        # In every frame, so that what runs in an iframe is seen as well.
        self.page.expose_function("pwned", lambda name: self.seen.append(f"ran {name}"))
        self.page.on("request", self._on_request)
        self.page.on("dialog", self._on_dialog)
        self.page.on("popup", lambda popup: self.seen.append(f"opened {popup.url}"))

    def check(self, *roots: Locator) -> None:
        found = [finding for root in roots for finding in root.evaluate(_FINDINGS, _OWN)]
        for root in roots:
            root.evaluate(_TOUCH_EVERYTHING, _OWN)
        self.page.evaluate("new Promise(requestAnimationFrame)")  # what these have set off is reported before
        assert (self.seen, found) == ([], [])

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https"} and address.netloc != self._home:
            self.seen.append(f"fetched {request.url}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.seen.append(f"asked {dialog.message}")
        dialog.dismiss()


@dataclass
class Doors:
    """A notebook with a panel in its first cell and a question in the second, and the watch over both."""

    notebook: NotebookPage
    panel: PanelPage
    watch: Watch
    server: LocalServer

    def armed(self, name: str, vector: str) -> str:
        return vector.replace("RUN", f"pwned('{name}')").replace("SINK", f"{self.server.url}/{name}")

    def answer(self, text: str) -> tuple[Locator, Locator]:
        """Have `text` answered in a cell, and return where it is shown."""
        self.server.queue(Answer(text=[text]))
        self.notebook.run_cell(1)
        expect(self.panel.turn(0)).to_contain_text("openai · test-model")
        self.notebook.wait_idle()
        return self.notebook.output(1), self.panel.turn(0)


@pytest.fixture
def doors(notebook_page: OpenNotebook, server: LocalServer) -> Doors:
    notebook = notebook_page(
        "%load_ext chatanywhere_magic\n%chat_panel",
        "%%chat\nWhat is a median?",
        env={"OPENAI_BASE_URL": server.api_url},
    )
    watch = Watch(notebook.page)
    notebook.run_cell(0)
    notebook.wait_idle()
    return Doors(notebook, PanelPage(notebook), watch, server)


def test_an_answer_runs_and_fetches_nothing(doors: Doors) -> None:
    armed = [doors.armed(name, f"{name}:\n\n{vector}\n\n") for name, vector in VECTORS.items()]
    # In pieces, so that every vector is also painted while it is only half there.
    pieces = [piece for one in armed for piece in (one[: len(one) * 2 // 3], one[len(one) * 2 // 3 :])]
    pieces += [r"The sum is still $\sum$. ", "The end."]
    doors.server.queue(Answer(text=pieces, delay=0.03, model=doors.armed("model", PLAIN)))
    cell, turn = doors.notebook.output(1), doors.panel.turn(0)

    doors.notebook.run_cell(1)
    expect(turn).to_contain_text("script:")
    while "The end." not in turn.inner_text():
        doors.watch.check(cell, turn)

    expect(cell).to_contain_text("tokens/s")  # the footer, with the model's name
    expect(turn).to_contain_text("tokens/s")
    # Formulas are typeset a moment after the rest is shown.
    expect(cell.locator("mjx-container")).not_to_have_count(0)
    expect(turn.locator("mjx-container")).not_to_have_count(0)
    doors.watch.check(cell, turn)
    for door in (cell, turn):
        shown = "".join(door.inner_text().split())
        assert [name for name in VECTORS if f"{name}:" not in shown] == []
        assert [tex for name, tex in TEX.items() if "".join(doors.armed(name, tex).split()) not in shown] == []
        expect(door.locator("mjx-container math").last).to_have_text("∑")
        expect(door).to_contain_text("The end.")
    assert {request.path for request in doors.server.requests} == {COMPLETIONS_PATH}


def test_a_question_and_an_error_run_and_fetch_nothing(doors: Doors) -> None:
    error = doors.armed("error", PLAIN).replace('"', '\\"').replace("\\href", "\\\\href")
    doors.server.queue(Answer(status=400, raw=[f'{{"error": {{"message": "{error}"}}}}'.encode()]))
    doors.notebook.run_cell(1)
    expect(doors.panel.turn(0)).to_contain_text("pwned('error')")
    expect(doors.notebook.output(1)).to_contain_text("pwned('error')")

    question = "\n".join(doors.armed(name, vector) for name, vector in {**VECTORS, "plain": PLAIN}.items())
    doors.panel.composer.fill(question.replace("@", "\\@"))  # or it would be the name of a variable
    doors.panel.send_button.click()
    expect(doors.panel.turn(1)).to_contain_text("openai · test-model")

    doors.watch.check(doors.notebook.output(1), doors.panel.turn(0), doors.panel.turn(1))
    # The question stands there as it was typed, formulas and all.
    assert question in doors.panel.turn(1).inner_text()
    assert doors.server.requests[1].messages[-1]["content"] == question
    assert {request.path for request in doors.server.requests} == {COMPLETIONS_PATH}


def test_nothing_runs_after_a_reload_nor_in_the_page_that_nbconvert_makes(
    doors: Doors, lab: Lab, browser: Browser, tmp_path: Path
) -> None:
    text = "\n\n".join(doors.armed(name, f"{name}:\n\n{vector}") for name, vector in VECTORS.items())
    doors.server.queue(Answer(text=[text, "\n\nThe end."], reasoning=[text], model=doors.armed("model", PLAIN)))
    doors.notebook.run_cell(1)
    doors.notebook.wait_idle()
    doors.notebook.command("docmanager:save")
    doors.notebook.wait_idle()

    page = doors.notebook.page
    page.reload()
    page.wait_for_function("window.jupyterapp !== undefined")
    page.evaluate(READY)
    expect(doors.notebook.output(1)).to_contain_text("The end.")
    doors.notebook.output(1).locator("summary").click()
    doors.watch.check(doors.notebook.output(1))

    (file,) = lab.root.glob("test_nothing_runs*.ipynb")
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(file)]
    subprocess.run(convert, check=True, capture_output=True, timeout=100)
    (made,) = tmp_path.glob("*.html")
    ran: list[str] = []
    context = browser.new_context()
    still = context.new_page()
    still.expose_function("pwned", lambda name: ran.append(name))  # noqa: PLW0108 - Playwright takes no built-in
    # Its template loads MathJax from the network, which is not there.
    still.route(lambda url: not url.startswith((made.parent.as_uri(), doors.server.url)), lambda route: route.abort())
    still.goto(made.as_uri())
    still.get_by_text("The end.").first.wait_for()
    still.evaluate(_TOUCH_EVERYTHING.replace("root =>", "() =>").replace("root.", "document."))
    still.evaluate(_LAST_IN_LINE)
    context.close()
    assert ran == []
    assert {request.path for request in doors.server.requests} == {COMPLETIONS_PATH}


def test_names_of_files_and_a_failure_in_the_middle_run_nothing(doors: Doors, lab: Lab) -> None:
    name = "<img src=x onerror=pwned('file')>.txt"
    (lab.root / name).write_text("words", encoding="utf-8")
    doors.server.queue(Answer(text=[doors.armed("half", '<img src="x:" onerror="RUN"> and')], finish_reason=None))
    cell = doors.notebook.page.evaluate(
        """name => { const cell = jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel;
        cell.setSource(`%%chat -a "${name}"\nWhat is this?`); }""",
        name,
    )
    assert cell is None
    doors.notebook.run_cell(1)
    doors.notebook.wait_idle()
    expect(doors.notebook.output(1)).to_contain_text("✗ failed")
    expect(doors.notebook.output(1)).to_contain_text("onerror=pwned('file')")
    doors.watch.check(doors.notebook.output(1), doors.panel.turn(0))


def test_formulas_are_typeset_and_prices_and_code_are_not(doors: Doors) -> None:
    text = (
        "In a line $x^2$ and \\(a+1\\), **bold $m$**, and on their own:\n\n"
        "\\[b=2 \\label{two}\\]\n\n"
        "$$\nc<3\n$$\n\n"
        "It costs $5 and $6, or \\$7\\$. Code is `$y$` and `\\(z\\)`.\n\n"
        "```python\nprice = '$8' + '$9$'\n```\n\n"
        "Without dollars: \\begin{equation}q\\end{equation}"
    )

    doors.answer(text)
    for door in doors.answer(text):  # twice, since an answer is painted many times
        expect(door.locator("mjx-container")).to_have_count(6, timeout=3000)
        typeset = door.locator("mjx-container math").evaluate_all("nodes => nodes.map(node => node.textContent)")
        assert typeset == ["x2", "a+1", "m", "b=2", "c<3", "q"]
        expect(door.locator("mjx-container[display]")).to_have_count(3)
        expect(door.locator("mjx-merror")).to_have_count(0)
        for words in (
            "It costs $5 and $6, or $7$.",
            "$y$",
            r"\(z\)",
            "'$8' + '$9$'",
        ):
            expect(door).to_contain_text(words)
