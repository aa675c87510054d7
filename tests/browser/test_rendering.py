"""What models write, as the page shows it: typeset, aligned, linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage
from tests.browser.test_cells import open_with
from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.support.server import LocalServer

FROM_RIGHT = """\
## כותרת

פסקה ארוכה **מודגשת** עם `code`.

- פריט ראשון

- פריט שני

1. אחת

> ציטוט

| עמודה | ערך |
|---|---|
| חציון | 5 |
"""
FORMULAS = r"""
Bare:

\begin{align}
a_1 &= b * c \\
- d_1 &= *e*
\end{align}

其中$x$是，and x = \begin{cases} 1 & a_1*b \\ 0 & c*d_2 \end{cases} or not; PATH is $HOME/bin:$PATH.

| matrix |
|---|
| \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} |

**重点：**后面，H<sub>2</sub>O，见https://x.org/a，然后。
"""


def test_text_from_right_to_left_begins_at_the_right(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.queue(Answer(text=[FROM_RIGHT]), Answer(text=[FROM_RIGHT]))
    notebook = open_with(notebook_page, server, "%chat Hebrew", "%chat_panel")
    notebook.run_cell(1)
    notebook.wait_idle()
    notebook.run_cell(2)
    panel = PanelPage(notebook)
    panel.send("Hebrew")
    for shown in (notebook.output(1), panel.turn(1)):
        expect(shown.locator("table")).to_be_visible()
        begins = shown.locator("h2, p, table, li:not(:has(p))").evaluate_all(
            """blocks => blocks.map(block => {
                const range = document.createRange();
                range.selectNodeContents(block);
                const text = range.getBoundingClientRect();
                const all = block.closest(".chatanywhere-text").getBoundingClientRect();
                return [block.textContent.trim(), text.left - all.left > all.right - text.right];
            })"""
        )
        assert len(begins) == 7
        assert all(at_the_right for _, at_the_right in begins), begins
        assert shown.locator("blockquote").evaluate("quote => getComputedStyle(quote).borderRightWidth") == "5px"


def test_formulas_are_typeset_and_nothing_else_is(notebook_page: OpenNotebook, server: LocalServer) -> None:
    server.queue(Answer(text=[FORMULAS]), Answer(text=[FORMULAS]))
    notebook = open_with(notebook_page, server, "%chat Formulas", "%chat_panel")
    notebook.run_cell(1)
    output = notebook.output(1)
    expect(output.locator("mjx-container")).to_have_count(4)
    expect(output.locator("mjx-merror, [data-mjx-error]")).to_have_count(0)
    expect(output).to_contain_text("PATH is $HOME/bin:$PATH.")
    notebook.wait_idle()
    notebook.run_cell(2)
    panel = PanelPage(notebook)
    panel.send("Formulas")
    expect(panel.turn(1).locator("mjx-container")).to_have_count(4)
    expect(panel.turn(1).locator("mjx-merror, [data-mjx-error]")).to_have_count(0)
