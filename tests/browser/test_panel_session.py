"""A person's session in the panel, from the empty window to the export; looked at in two themes and narrow.

With ``CHATANYWHERE_SCREENSHOTS=DIRECTORY`` each step leaves a picture there.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.support.server import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import OpenNotebook
    from tests.support.lab import NotebookPage
    from tests.support.server import LocalServer

AXE = Path(__file__).parents[1] / "page/node_modules/axe-core/axe.min.js"
ANSWER = (
    "It is **the value in the middle**, as $x_{(n+1)/2}$.\n\n```python\nimport statistics\n"
    "statistics.median([3, 1, 2])\n```\n\n| n | median |\n|---|---|\n| 3 | 2 |\n"
)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


class Session:
    """A notebook with a panel, and its pictures."""

    def __init__(self, notebook: NotebookPage, name: str) -> None:
        self.notebook = notebook
        self.page: Page = notebook.page
        self.panel = PanelPage(notebook)
        self.root = self.panel.root
        self._name = name
        self._taken = 0

    def picture(self, what: str) -> None:
        """Keep what is seen now, if anybody wants it."""
        if directory := os.environ.get("CHATANYWHERE_SCREENSHOTS"):
            self._taken += 1
            self.page.mouse.move(0, 0)
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(
                path=Path(directory) / f"{self._name}-{self._taken:02}-{what}.png", animations="disabled"
            )

    def theme(self, name: str) -> None:
        self.page.evaluate(
            "name => jupyterapp.commands.execute('apputils:change-theme', { theme: name })", THEMES[name]
        )
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", str(name == "light").lower())

    def narrow(self, width: int) -> None:
        """Make the panel as narrow as a side bar."""
        self.page.add_style_tag(content=f".chatanywhere-panel {{ max-width: {width}px; }}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def ask(self, question: str) -> None:
        self.panel.composer.click()
        self.page.keyboard.type(question)
        self.press("Enter")

    def do(self, turn: int, action: str) -> None:
        """Click one of a turn's buttons."""
        self.panel.turn(turn).hover()
        self.panel.turn(turn).get_by_role("button", name=action, exact=True).click()

    def choose(self, item: str) -> None:
        self.root.get_by_role("menuitem", name=item, exact=True).click()

    def violations(self) -> list[str]:
        """Return what axe finds wrong in the panel, with the elements."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate("axe.run('.chatanywhere-root')")["violations"]
        return [
            f"{each['impact']} {each['id']}: {node['target']} {node.get('failureSummary', '')}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]


@pytest.fixture
def session(notebook_page: OpenNotebook, server: LocalServer, request: pytest.FixtureRequest) -> Session:
    language, *cells = request.param
    opening = f"%load_ext chatanywhere_magic\n%config ChatSession.language = '{language}'\n%chat_panel"
    notebook = notebook_page(opening, *cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook.run_cell(0)
    notebook.wait_idle()
    return Session(notebook, f"{request.node.name.partition('[')[0].removeprefix('test_')}-{language}")


@pytest.mark.parametrize("session", [("en", "%%chat\nWhat is a mode?", "numbers = [3, 1, 2]")], indirect=True)
def test_twenty_steps(session: Session, server: LocalServer) -> None:  # noqa: PLR0915 - it is one long session
    panel, root, page = session.panel, session.root, session.page
    expect(root).to_contain_text("Ask something.")
    session.picture("empty")  # 1
    session.notebook.run_cell(2)
    server.queue(Answer(reasoning=["Sort them. ", "Take the middle."], text=[ANSWER]))
    panel.composer.click()
    page.keyboard.type("What is the median of @numb")
    expect(root.get_by_role("option")).to_have_text(["@numberslist 3"])
    session.picture("names")  # 2
    session.press("Tab", "Backspace", "?", "Enter")
    expect(panel.turn(0)).to_contain_text("the value in the middle")
    expect(panel.turn(0).locator("mjx-container")).to_have_count(1)
    expect(panel.turn(0).locator(".chatanywhere-chip")).to_contain_text("@numbers")
    expect(panel.turn(0).get_by_text("Sort them.")).to_be_hidden()
    panel.turn(0).get_by_text("Reasoning").click()
    expect(panel.turn(0).get_by_text("Sort them.")).to_be_visible()
    session.picture("answer")  # 3
    session.notebook.run_cell(1)
    expect(panel.turn(1)).to_contain_text("The last one says: What is a mode?")
    panel.turn(1).get_by_title("Go to the cell").click()
    expect(page.locator(".jp-Cell").nth(1)).to_have_class(re.compile("jp-mod-active"))
    session.picture("from-a-cell")  # 4
    panel.turn(0).locator(".highlight").hover()
    panel.turn(0).get_by_role("button", name="Insert the code into a new cell").first.click()
    expect(page.locator(".jp-Cell.jp-CodeCell")).to_have_count(4)
    expect(root.locator(".chatanywhere-note")).to_contain_text("it has not been run")
    session.picture("code-inserted")  # 5
    server.queue(Answer(text=["Another answer."]))
    session.do(1, "Retry")
    expect(panel.turn(1)).to_contain_text("Another answer.")
    expect(panel.turn(1)).to_contain_text("2/2")
    session.do(1, "Previous version")  # 6
    expect(panel.turn(1)).to_contain_text("The last one says: What is a mode?")
    session.do(1, "Edit the prompt")
    session.picture("editing")  # 7
    session.press("ControlOrMeta+a")
    page.keyboard.type("What is a mean?")
    session.press("Enter")
    expect(panel.turn(1)).to_contain_text("The last one says: What is a mean?")
    expect(panel.turn(1)).to_contain_text("3/3")
    session.do(1, "Pin: always send this turn")  # 8
    expect(panel.turn(1).locator(".chatanywhere-pin")).to_be_visible()
    session.do(1, "More")
    session.picture("menu")  # 9
    session.choose("Delete")
    expect(root.locator(".chatanywhere-turn")).to_have_count(1)
    root.locator(".chatanywhere-note").get_by_role("button", name="Undo").click()  # 10
    expect(root.locator(".chatanywhere-turn")).to_have_count(2)
    server.queue(Answer(status=401, raw=[b"{}"]))
    session.ask("And now?")
    expect(panel.turn(2)).to_contain_text("rejected the key")
    expect(panel.turn(2).get_by_role("button", name="Log in")).to_be_in_viewport()
    session.picture("failed")  # 11
    panel.turn(2).get_by_role("button", name="Log in").click()
    expect(page.locator(".jp-InputArea-editor").filter(has_text="%chat_login")).to_have_count(1)
    session.do(2, "Retry")  # 12
    expect(panel.turn(2)).to_contain_text("The last one says: And now?")
    root.get_by_role("button", name="Settings").click()
    root.get_by_label("System prompt").fill("Be brief.")
    root.get_by_label("Temperature").fill("0.2")
    session.press("Tab")
    session.picture("settings")  # 13
    session.ask("Briefly?")
    expect(panel.turn(3)).to_contain_text("The last one says: Briefly?")
    asked = [request.json for request in server.requests if request.json][-1]
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert asked["temperature"] == 0.2
    root.get_by_role("button", name="Settings").click()
    root.get_by_title("Change model").click()
    page.keyboard.type("tiny")
    expect(root.get_by_role("menuitemradio", name="Use “tiny”")).to_be_visible()
    session.picture("models")  # 14
    session.press("ArrowDown", "End", "Enter")
    expect(root.get_by_title("Change model")).to_have_text("openai · tiny")
    session.do(3, "More")
    session.choose("Fork here")  # 15
    expect(root.locator(".chatanywhere-turn")).to_have_count(4)
    root.get_by_title("Conversations").click()
    session.choose("Rename")
    page.keyboard.type("About the middle")
    session.press("Enter")  # 16
    expect(root.get_by_title("Conversations")).to_have_text("About the middle")
    root.get_by_title("Conversations").click()
    session.choose("New conversation")
    expect(root).to_contain_text("Ask something.")
    root.get_by_title("Conversations").click()
    page.keyboard.type("middle")
    expect(root.get_by_role("menuitemradio", name="About the middle")).to_be_visible()
    session.picture("conversations")  # 17
    session.press("Enter")
    expect(root.locator(".chatanywhere-turn")).to_have_count(4)
    root.locator(".chatanywhere-header").get_by_role("button", name="More").click()
    with page.expect_download() as download:
        session.choose("Export as a notebook")  # 18
    exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert "What is a mean?" in json.dumps(exported)
    session.theme("dark")
    session.picture("dark")  # 19
    session.narrow(240)
    session.picture("narrow")  # 20
    assert root.evaluate("each => each.scrollWidth <= each.clientWidth")
    session.theme("light")


@pytest.mark.parametrize("session", [("ru",), ("zh",)], indirect=True, ids=["ru", "zh"])
def test_other_languages_at_240_pixels(session: Session, server: LocalServer) -> None:
    server.queue(Answer(text=[ANSWER]), Answer(status=401, raw=[b"{}"]))
    session.picture("empty")
    session.ask("?")
    expect(session.panel.turn(0).locator("mjx-container")).to_have_count(1)
    session.ask("??")
    expect(session.panel.turn(1).locator(".chatanywhere-problem")).to_be_visible()
    session.picture("wide")
    session.narrow(240)
    session.picture("narrow")
    session.root.locator(".chatanywhere-header button").nth(2).click()
    session.picture("settings")
    assert session.root.evaluate("each => each.scrollWidth <= each.clientWidth")
    words = session.root.inner_text()
    assert not re.search(r"\b(Settings|Send|Retry|Temperature|Cancel|You)\b", words)


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe (`npm ci` in tests/page): accessibility is not checked")
@pytest.mark.parametrize("session", [("en",)], indirect=True)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_stands_in_anybodys_way(session: Session, server: LocalServer, theme: str) -> None:
    server.queue(Answer(reasoning=["Hm."], text=[ANSWER]), Answer(status=401, raw=[b"{}"]))
    session.theme(theme)
    assert session.violations() == []
    session.ask("What is a median?")
    expect(session.panel.turn(0).locator("mjx-container")).to_have_count(1)
    session.ask("And now?")
    expect(session.panel.turn(1).locator(".chatanywhere-problem")).to_be_visible()
    assert session.violations() == []
    session.root.get_by_role("button", name="Settings").click()
    session.root.locator(".chatanywhere-header").get_by_role("button", name="More").click()
    assert session.violations() == []
    session.press("Escape")
    session.panel.composer.fill("/")
    session.panel.composer.click()
    expect(session.root.get_by_role("option").first).to_be_visible()
    assert session.violations() == []
    session.theme("light")


@pytest.mark.parametrize("session", [("en",)], indirect=True)
def test_by_keyboard_alone(session: Session, server: LocalServer) -> None:
    server.queue(Answer(text=["One."]), Answer(text=["Two."]), Answer(text=["Three."]))
    session.panel.composer.focus()
    session.page.keyboard.type("first")
    session.press("Enter")
    expect(session.panel.turn(0)).to_contain_text("One.")
    announced = session.root.locator(".chatanywhere-announcer")
    expect(announced).to_have_text("The response is complete.")
    session.page.keyboard.type("second")
    session.press("Enter")
    expect(session.panel.turn(1)).to_contain_text("Two.")
    focused = session.page.locator(":focus")
    session.root.get_by_role("log").focus()
    session.press("ArrowUp", "ArrowUp")
    expect(focused).to_have_attribute("aria-label", "Turn 1")
    session.press("Tab")
    expect(focused).to_have_attribute("aria-label", "Copy the response")
    session.press("Tab", "Enter")
    expect(session.panel.turn(0)).to_contain_text("Three.")
    session.press("d", "d")
    expect(session.page.locator(".jp-Cell")).to_have_count(1)
    outline = focused.evaluate("each => getComputedStyle(each).outlineStyle")
    assert outline == "solid"
