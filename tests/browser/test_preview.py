"""The preview in JupyterLab: what would be sent, hostile or not, is shown and neither run nor fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook

HOSTILE = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'> $x^2$ **bold** ![](http://127.0.0.1:9/a.png)"
)


def test_what_a_variable_holds_is_shown_as_it_is(notebook_page: OpenNotebook) -> None:
    notebook = notebook_page(
        f"%load_ext chatanywhere_magic\nimport sys\nnames = {{'page': {HOSTILE!r}, 'rows': list(range(5))}}",
        "%chat -p scripted --dry-run -s 'Be brief.' What is in @names?",
    )
    notebook.run_all()
    notebook.wait_idle()

    output = notebook.output(1)
    expect(output).to_contain_text("Nothing was sent. The request would be: scripted")
    expect(output).to_contain_text("system, about")
    expect(output).to_contain_text(HOSTILE)
    expect(output.locator("img, script, strong, mjx-container")).to_have_count(0)
    assert notebook.page.evaluate("window.ran") is None
