"""Whatever a model, a server or a question says, the page runs nothing of it and fetches nothing for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.support.server import COMPLETIONS_PATH, Answer

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Locator, Page, Request

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import NotebookPage
    from tests.support.server import LocalServer

# RUN becomes a script that reports its vector's name; SINK an address, with that name, at which somebody listens.
HTML = {
    "script": "<script>RUN</script>",
    "script-src": '<script src="SINK"></script>',
    "inline-script": "Words <script>RUN</script> and words",
    "img-onerror": '<img src="x:" onerror="RUN">',
    "img-unclosed": '<img src="x:" onerror="RUN" alt="',
    "img-remote": '<img src="SINK">',
    "svg-onload": '<svg onload="RUN"><image href="SINK"/></svg>',
    "svg-script": "<svg><script>RUN</script></svg>",
    "iframe-srcdoc": '<iframe srcdoc="<script>RUN</script>"></iframe>',
    "iframe-javascript": '<iframe src="javascript:RUN"></iframe>',
    "iframe-remote": '<iframe src="SINK"></iframe>',
    "object": '<object data="SINK"></object><embed src="SINK">',
    "style-import": "<style>@import url(SINK); body { display: none }</style>",
    "style-attribute": '<p style="background: url(SINK)">words</p>',
    "stylesheet": '<link rel="stylesheet" href="SINK">',
    "meta-refresh": '<meta http-equiv="refresh" content="0; url=SINK">',
    "base": '<base href="SINK/">',
    "form": '<form action="SINK"><input autofocus onfocus="RUN"><button>Click me</button></form>',
    "details": '<details open ontoggle="RUN"><summary>more</summary></details>',
    "media": '<video poster="SINK" src="SINK" onerror="RUN"></video><audio src="SINK" onerror="RUN">',
    "handler": '<b onclick="RUN" onmouseover="RUN">words</b>',
    "link-html": '<a href="javascript:RUN">words</a>',
    "comment": '<!--><img src="x:" onerror="RUN">-->',
    "declaration": '<![CDATA[><img src="x:" onerror="RUN">]]>',
    "in-list": '- item\n\n  <img src="x:" onerror="RUN">',
    "in-quote": '> <img src="x:" onerror="RUN">',
    "in-table": '| a |\n|---|\n| <img src="x:" onerror="RUN"> |',
}
MARKDOWN = {
    "link": "[words](javascript:RUN)",
    "link-case": "[words](JaVaScRiPt:RUN)",
    "link-entity": "[words](&#106;avascript&colon;RUN)",
    "link-tab": "[words](<java&#9;script:RUN>)",
    "link-vbscript": "[words](vbscript:RUN)",
    "link-data": "[words](data:text/html,<script>RUN</script>)",
    "link-title": '[words](SINK "\\" onmouseover=\\"RUN")',
    "link-protocol-relative": "[words](//SINK)",
    "autolink": "<javascript:RUN>",
    "autolink-data": "<data:text/html,RUN>",
    "reference": "[words][reference]\n\n[reference]: javascript:RUN",
    "image": "![words](SINK)",
    "image-reference": "![words][image]\n\n[image]: SINK",
    "image-javascript": "![words](javascript:RUN)",
    "image-label": '![" onerror="RUN](SINK)',
    "image-title": '![words](SINK "\\" onerror=\\"RUN")',
    "image-in-link": "[![words](SINK)](javascript:RUN)",
    "image-in-heading": "# ![words](SINK)",
    "fence-language": '```"onmouseover="RUN\nwords\n```',
    "fence-html": '```html\n<img src="x:" onerror="RUN">\n```',
    "fence": '```\n<img src="x:" onerror="RUN">\n```',
    "fence-unknown": '```nonsense\n<img src="x:" onerror="RUN">\n```',
    "indented-code": '    <img src="x:" onerror="RUN">',
    "mermaid": '```mermaid\ngraph LR\nA --> B\nclick A href "javascript:RUN"\n```',
    "code": '`<img src="x:" onerror="RUN">`',
}
# Commands that MathJax would obey: their source is shown instead.
TEX = {
    "href": r"$\href{javascript:RUN}{x}$",
    "href-parentheses": r"\(\href{javascript:RUN}{x}\)",
    "href-brackets": "\\[\n\\href{javascript:RUN}{x}\n\\]",
    "href-dollars": "$$\n\\href{javascript:RUN}{x}\n$$",
    "href-text": r"$\text{\href{javascript:RUN}{x}}$",
    "href-environment": r"\begin{equation}\href{javascript:RUN}{x}\end{equation}",
    "href-html": r'$\href{javascript:RUN}{<img src="x:" onerror="RUN">}$',
    "url": r"$\url{javascript:RUN}$",
    "require": r"$\require{html}\href{javascript:RUN}{x}$",
    "def": r"$\def\x{\href{javascript:RUN}{x}}\x$",
    "newcommand": r"$\newcommand{\sum}{\href{javascript:RUN}{x}}\sum$",
    "unicode": r"$\unicode[url(SINK)]{x41}$",
    "style": r"$\style{background: url(SINK)}{x}$",
    "class": r"$\class{jp-mod-trusted}{x}$",
    "cssId": r"$\cssId{main}{x}$",
    "data": r"$\data{onclick=RUN}{x}$",
    "mmlToken": r'$\mmlToken{mi}[onclick="RUN" href="javascript:RUN"]{x}$',
    "declare": r"$\DeclarePairedDelimiter{\sum}{\href{javascript:RUN}{x}}{x}\sum{x}$",
}
AROUND_TEX = {
    "href-escaped": r"\\(\href{javascript:RUN}{x}\\) \$\href{javascript:RUN}{x}\$",
    "href-entities": r"&#36;\href{javascript:RUN}{x}&#36;",
    "href-split": r"$\hr*ef*{javascript:RUN}{x}$ $\**href*{javascript:RUN}{x}$",
    "tex-html": r'$\text{<img src="x:" onerror="RUN">}$',
    "tex-html-raw": '$x<img src="x:" onerror="RUN">$',
}
VECTORS = {**HTML, **MARKDOWN, **TEX, **AROUND_TEX}
# Model names, error messages and questions are no Markdown, so the worst they could hold is this.
PLAIN = r'<img src="SINK" onerror="RUN"> <script>RUN</script> $\href{javascript:RUN}{x}$ ![](SINK)'

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
    doors.panel.composer.fill(question)
    doors.panel.send_button.click()
    expect(doors.panel.turn(1)).to_contain_text("openai · test-model")

    doors.watch.check(doors.notebook.output(1), doors.panel.turn(0), doors.panel.turn(1))
    # The question stands there as it was typed, formulas and all.
    assert question in doors.panel.turn(1).inner_text()
    assert doors.server.requests[1].messages[-1]["content"] == question
    assert {request.path for request in doors.server.requests} == {COMPLETIONS_PATH}


def test_formulas_are_typeset_and_prices_and_code_are_not(doors: Doors) -> None:
    text = (
        "In a line $x^2$ and \\(a+1\\), **bold $m$**, and on their own:\n\n"
        "\\[b=2 \\label{two}\\]\n\n"
        "$$\nc<3\n$$\n\n"
        "It costs $5 and $6, or \\$7\\$. Code is `$y$` and `\\(z\\)`.\n\n"
        "```python\nprice = '$8' + '$9$'\n```\n\n"
        "Outside of a formula: \\begin{equation}q\\end{equation}"
    )

    doors.answer(text)
    for door in doors.answer(text):  # twice, since an answer is painted many times
        expect(door.locator("mjx-container")).to_have_count(5, timeout=3000)
        typeset = door.locator("mjx-container math").evaluate_all("nodes => nodes.map(node => node.textContent)")
        assert typeset == ["x2", "a+1", "m", "b=2", "c<3"]
        expect(door.locator("mjx-container[display]")).to_have_count(2)
        expect(door.locator("mjx-merror")).to_have_count(0)
        for words in (
            "It costs $5 and $6, or $7$.",
            "$y$",
            r"\(z\)",
            "'$8' + '$9$'",
            r"\begin{equation}q\end{equation}",
        ):
            expect(door).to_contain_text(words)
