"""A text that grows is in the end what it would have been if it had come whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.markdown import IncrementalRenderer, page, to_html

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = st.sampled_from(
    ["median", "**bold**", "*it", "al*", "`code`", "`", "$x^2$", "$5", "\\(a\\)",
     "[a link](https://x.org)", "[later]",
     "[later][1]", "![image](https://x.org/i.png)", "~~gone~~", "<b>", "&amp;", "слово",
     "中位数", "🙂", "a_b_c", "\\*", "https://x.org"]
)  # fmt: skip
SENTENCES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
LINES = st.lists(SENTENCES, min_size=1, max_size=4)
BLOCKS = st.one_of(
    SENTENCES,
    LINES.map("\n".join),
    st.builds(lambda level, words: "#" * level + " " + words, st.integers(1, 6), SENTENCES),
    st.builds(lambda words, line: words + "\n" + line, SENTENCES, st.sampled_from(["---", "===", "-", "- - -"])),
    LINES.map(lambda lines: "\n".join(f"- {line}" for line in lines)),
    LINES.map(lambda lines: "\n\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))),
    LINES.map(lambda lines: "\n".join(f"{'  ' * n}* {line}" for n, line in enumerate(lines))),
    LINES.map(lambda lines: "\n".join(f"> {line}" for line in lines)),
    LINES.map(lambda lines: "| a | b |\n|---|:-:|\n" + "\n".join(f"| {line} | 1 |" for line in lines)),
    LINES.map(lambda lines: "```python\n" + "\n\n".join(lines) + "\n```"),
    LINES.map(lambda lines: "~~~~\n" + "\n".join(lines) + "\n~~~"),
    LINES.map(lambda lines: "\n".join(f"    {line}" for line in lines)),
    st.sampled_from(["$$\nx\n\n- y\n$$", "\\[\nz\n\\]", "$$ is no formula", "\\[ nor is\nthis", "---"]),
    st.sampled_from(["- ", "1.", "```"]),
    st.sampled_from(["[later]: https://later.org", "[1]: https://one.org 'one'"]),
    st.sampled_from(["[1]:\nhttps://two.org\n'two", "[^1]: a note"]),
    st.text("-=#*>|`~$[]:\\ \n\r\t\0a1.", max_size=12),
)  # fmt: skip
GAPS = st.sampled_from(["\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", " \n", "\r"])
TEXTS = st.lists(st.tuples(BLOCKS, GAPS), max_size=8).map(lambda parts: "".join(map("".join, parts)))


@st.composite
def pieces(draw: st.DrawFn) -> list[str]:
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def grown(pieces: Sequence[str]) -> IncrementalRenderer:
    renderer = IncrementalRenderer()
    for piece in pieces:
        renderer.feed(piece)
        renderer.tail()
    renderer.finish()
    return renderer


@given(pieces())
def test_however_it_is_cut_it_ends_as_the_whole(pieces: list[str]) -> None:
    assert page(*grown(pieces).pieces) == to_html("".join(pieces))


@given(pieces())
def test_what_is_finished_stays(pieces: list[str]) -> None:
    renderer = IncrementalRenderer()
    finished = [html for piece in pieces for html in renderer.feed(piece)]
    finished += renderer.finish()
    assert renderer.is_revised or finished == renderer.pieces


def test_a_link_defined_after_its_use_is_a_link_in_the_end() -> None:
    renderer = IncrementalRenderer()
    assert renderer.feed("See [this][1].\n\nMore.\n") == ["<p>See [this][1].</p>\n"]
    renderer.feed("\n[1]: https://x.org\n")
    renderer.finish()
    assert renderer.is_revised
    assert '<a href="https://x.org"' in renderer.pieces[0]


@pytest.mark.parametrize("line", ["$$", "\\[", "```", "- a", "| a |", "1. b", "> c", "text"])
def test_an_open_block_is_not_finished(line: str) -> None:
    renderer = IncrementalRenderer()
    assert len(renderer.feed(f"Before.\n\n{line}\n")) == 1
    assert renderer.feed("more\n") == []
