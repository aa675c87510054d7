"""A text that grows is in the end what it would have been if it had come whole."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.render.markdown import IncrementalRenderer, page, to_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

LONG = {
    "code": "```python\n" + "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(1500)) + "```\n",
    "list": "".join(f"{n}. item **{n}** and more words\n" for n in range(1, 1500)),
    "table": "| a | b |\n|---|---|\n" + "".join(f"| cell {n} | other {n} |\n" for n in range(1500)),
    "paragraphs": "A paragraph with *some* words in it.\n\n" * 1000,
}
WORDS = st.sampled_from(
    ["median", "**bold**", "*it", "al*", "`code`", "`", "$x^2$", "$5", "\\(a\\)",
     "[a link](https://x.org)", "[later]",
     "[later][1]", "![image](https://x.org/i.png)", "~~gone~~", "<b>", "&amp;", "слово",
     "中位数", "🙂", "a_b_c", "\\*", "https://x.org", "**“引”**文", "__字：__文", "H<sub>2</sub>O", "<sup>", "</sub>*",
     "<br>", "www.x.org。", "שלום", "\\begin{cases} a \\\\ b", "\\end{cases}"]
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
    st.sampled_from(["\\begin{align}\na\n\n- b\n\\end{align}", "\\begin{align}\nx", "a\n\\begin{gather}\nb"]),
    st.sampled_from(["- ", "1.", "```"]),
    st.sampled_from(["[later]: https://later.org", "[1]: https://one.org 'one'"]),
    st.sampled_from(["[1]:\nhttps://two.org\n'two", "[^1]: a note"]),
    st.builds(lambda kind, size: LONG[kind][:size], st.sampled_from(sorted(LONG)), st.integers(800, 4000)),
    st.text("-=#*>|`~$[]:\\ \n\r\t\0a1.", max_size=12),
)  # fmt: skip
GAPS = st.sampled_from(["\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", " \n", "\r"])
TEXTS = st.lists(st.tuples(BLOCKS, GAPS), max_size=8).map(lambda parts: "".join(map("".join, parts)))


# Mostly plain, with what makes something else of plain words, and lists that go on.
PROSE = st.sampled_from(
    ["word ", "and ", "слово ", "中位", "more, ", "so. ", "item", "a", "x1", "\n- item ", "\n- ", "\n", "\n\n", "1. ",
     "\n2. two", "\n10. ten", "\n2) two", "  - in", "\n  - in", "\n* new", "-", "\n-", "\n---", "=", "\n==", "# ", "> ",
     "**b** ", "*", "`", "[", "[x] ", "[a]: http://x.org ", "$", "5", "&am", "p;", "\\", "|", "<b", '"t" ', "  ",
     "    ", "\t", "https", "://x", ".org", "ww", "w.x", "<su", "b>", "</sub>", "“", "”", "**", "שלום ", "_", "。"]
)  # fmt: skip


@contextmanager
def sys_calls() -> Iterator[list[str]]:
    """Note the files of the functions that are called inside."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


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


@pytest.mark.parametrize("before", ["> median", "- median", "1. median", "median"])
def test_a_formula_that_a_later_line_closes_ends_what_stands_before_it(before: str) -> None:
    pieces = [f"{before}\n$$\nx\n\n", "- y\n$$\n"]
    assert page(*grown(pieces).pieces) == to_html("".join(pieces))


@given(pieces())
def test_however_it_is_cut_it_ends_as_the_whole(pieces: list[str]) -> None:
    assert page(*grown(pieces).pieces) == to_html("".join(pieces))


def shown(pieces: Sequence[str], *, often: bool) -> str:
    """Return what a reader sees at the end of the pieces, who has looked after each of them or not before."""
    renderer = IncrementalRenderer()
    for piece in pieces:
        renderer.feed(piece)
        if often:
            renderer.tail()
    return page(*renderer.pieces, renderer.tail())


@given(st.one_of(pieces(), st.lists(PROSE, max_size=16)))
def test_an_open_end_looks_the_same_however_often_it_was_looked_at(pieces: list[str]) -> None:
    for count in range(len(pieces) + 1):
        assert shown(pieces[:count], often=True) == shown(pieces[:count], often=False)


@pytest.mark.parametrize(
    "pieces",
    [
        ["A heading", "\n-", "\n\nand words"],
        ["A heading", "\n---\n\n", "and words"],
        ["[a]: https://x.org\nwords", " and more", ".\n\n[a] b"],  # the definition counts, though nothing shows it
        ["- [a] b\n\n[a]: https:", "//x.org"],
        ["- [x] done\n- and *mo", "re*", "\n- still *mo"],
        ["- one", "\n  - in", "\n  - in", "\n- out"],
        ["1. one", "\n2. two", "\n- three", "\n3) four"],
        ["- one", "\n\n- two", "\n- three"],
        ["> quoted", "\nlazily", "\n- item"],
        ["costs $x$", "5 or more"],
        ["слово", " and many words of English that are more than those"],
        ["one", "  \ntwo"],
        ["R&am", "p;B"],
        ["    code", " and words"],
        ["words", " *", "\n\nmore"],
        ["words `", "\n\nmore"],
        ["words", "`_"],
    ],
    ids=repr,
)
def test_and_so_where_it_turns_into_something_else(pieces: list[str]) -> None:
    for count in range(len(pieces) + 1):
        assert shown(pieces[:count], often=True) == shown(pieces[:count], often=False)


@given(st.lists(st.sampled_from(["word ", "слово ", "中位数", "3, ", '"said" ', "so. "]), min_size=1))
def test_plain_words_look_as_they_will_in_the_end(words: list[str]) -> None:
    text = f"So {''.join(words)}"
    assert shown([text], often=False) == to_html(text)


def test_only_the_last_words_may_be_half_written() -> None:
    assert shown(["a *\n***\n"], often=False) == to_html("a *\n***")


@pytest.mark.slow
@pytest.mark.parametrize("words", ["plain words, ", "**bold** words, ", "слова, "])
def test_a_very_long_paragraph_is_seldom_another_one(words: str) -> None:
    renderer = IncrementalRenderer()
    tails = set()
    for _ in range(3_000):
        renderer.feed(words)
        tails.add(renderer.tail())
    # As often as it is another one, it is sent as a whole.
    assert len(tails) < 3_000 // len(words) + 60


def test_plain_words_are_not_parsed_again() -> None:
    renderer = IncrementalRenderer()
    renderer.feed("**Bold** words")
    renderer.tail()
    with sys_calls() as calls:
        renderer.feed(", and more of them.")
        assert renderer.tail() == '<p dir="auto"><strong>Bold</strong> words, and more of them.</p>\n'
        assert renderer.feed(" The end.\n\n") == [
            '<p dir="auto"><strong>Bold</strong> words, and more of them. The end.</p>\n'
        ]
    assert not [call for call in calls if "markdown_it" in call]


@given(pieces())
def test_what_is_finished_stays(pieces: list[str]) -> None:
    renderer = IncrementalRenderer()
    finished = [html for piece in pieces for html in renderer.feed(piece)]
    finished += renderer.finish()
    assert renderer.is_revised or finished == renderer.pieces


def test_a_link_defined_after_its_use_is_a_link_in_the_end() -> None:
    renderer = IncrementalRenderer()
    assert renderer.feed("See [this][1].\n\nMore.\n") == ['<p dir="auto">See [this][1].</p>\n']
    renderer.feed("\n[1]: https://x.org\n")
    renderer.finish()
    assert renderer.is_revised
    assert '<a href="https://x.org"' in renderer.pieces[0]


@pytest.mark.parametrize("line", ["$$", "\\[", "```", "- a", "| a |", "1. b", "> c", "text"])
def test_an_open_block_is_not_finished(line: str) -> None:
    renderer = IncrementalRenderer()
    assert len(renderer.feed(f"Before.\n\n{line}\n")) == 1
    assert renderer.feed("more\n") == []


@pytest.mark.parametrize("block", ["Text.", "# Head", "> c", "| a |\n|---|\n| b |", "---"])
def test_a_block_is_finished_where_an_empty_line_comes(block: str) -> None:
    renderer = IncrementalRenderer()
    assert renderer.feed(f"{block}\n") == []
    assert len(renderer.feed("\n")) == 1


@pytest.mark.parametrize("block", ["- a\n- b", "1. a\n\n   b"])
def test_a_list_is_finished_as_soon_as_something_else_begins(block: str) -> None:
    renderer = IncrementalRenderer()
    assert renderer.feed(f"{block}\n\n") == []
    assert len(renderer.feed("М")) == 1  # not only once its line has ended: most paragraphs are a single one


@pytest.mark.parametrize("block", ["```\ncode", "$$\nx", "- a"])
@pytest.mark.parametrize("behind", ["- b", "  c", "\n", "1"])
def test_but_not_where_it_may_go_on(block: str, behind: str) -> None:
    renderer = IncrementalRenderer()
    renderer.feed(f"{block}\n\n")
    assert renderer.feed(behind) == []


ANSWER = """\
# The *median*

A **median** is *the value* in the middle: `half` of them. See [the docs](https://x.org/a "t"), ~~or not~~, ***both***.

1. first **item**
   - nested `code`
2. second

- [ ] to do
- [x] done

| a | **b** |
|---|:-:|
| 1 | `x` |

Inline $x^2 + 1$ and \\(a+b\\), and by itself:

$$
\\int_0^1 x
$$

\\[ y = 2 \\]

```python
def f(x):
    return x
```

> quoted *text*
> and more

Title
-----

***

Слово **жирное**. 中文**粗体**文字。[^1]

[^1]: A note.
"""
MARKS = re.compile(r"[*`~|#\[\]]|--|==|\$")


def test_no_mark_is_seen_while_it_is_half_written() -> None:
    renderer = IncrementalRenderer()
    for letter in ANSWER:
        renderer.feed(letter)
        tail = re.sub(r"\\[(\[].*?\\[)\]]", "", renderer.tail(), flags=re.DOTALL)  # whole formulas
        shown = re.sub(r"<[^>]*>", "", tail)
        assert not MARKS.search(shown), (renderer.open_text, shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a **bold", "a <strong>bold</strong>"),
        ("a `cod", "a <code>cod</code>"),
        ("a [link](https://x.", "a link"),
        ("a ![image](https://x.", "a image"),
        ("a $x^", "a <code>x^</code>"),
        ("a \\(x", "a <code>x</code>"),
        ("costs $5 and", "costs $5 and"),
        ("2 * 3 and 4*x", "2 * 3 and 4*x"),
        ("a snake_case", "a snake_case"),
        ("list[0", "list[0"),
    ],
)
def test_what_is_open_looks_closed(text: str, shown: str) -> None:
    renderer = IncrementalRenderer()
    renderer.feed(text)
    assert renderer.tail() == f'<p dir="auto">{shown}</p>\n'


def test_a_table_is_one_from_its_first_line_on() -> None:
    renderer = IncrementalRenderer()
    for line in ("| a", " | b |", "\n|--", "-|---|\n", "| 1"):
        renderer.feed(line)
        assert "<table" in renderer.tail()


@pytest.mark.slow
@pytest.mark.parametrize("kind", LONG)
def test_the_work_grows_with_the_text_and_not_with_its_square(kind: str) -> None:
    def work(text: str) -> int:
        """Count the characters of HTML that are made, which is what takes the time."""
        renderer, made = IncrementalRenderer(), 0
        for at in range(0, len(text), 400):
            made += sum(map(len, renderer.feed(text[at : at + 400]))) + len(renderer.tail())
        return made

    text = LONG[kind]
    whole = work(text)
    assert whole < 2.2 * work(text[: len(text) // 2])
    assert whole < 40 * len(text)


@pytest.mark.slow
def test_the_parts_of_a_long_block_make_one() -> None:
    parts = grown([LONG["code"]]).pieces
    assert len(parts) > 20
    code = "".join(re.sub(r"<div style.*?</div>|<[^>]*>", "", part) for part in parts)
    assert re.findall(r"def f\d+", code) == [f"def f{n}" for n in range(1500)]
    first, *others = grown([LONG["list"]]).pieces
    count = first.count("<li>")
    for part in others:
        assert f'<ol start="{count + 1}"' in part
        count += part.count("<li>")
    assert count == 1499


def test_code_is_not_cut_inside_of_a_text() -> None:
    code = '```python\ndef f():\n    """Doc.\n\n' + "\nwords and words\n" * 200 + '    """\n    return 1\n```\n'
    pieces = IncrementalRenderer().feed(code)
    assert all('class="k"' not in piece.partition("words")[2].rpartition("words")[0] for piece in pieces)


@pytest.mark.parametrize("kind", LONG)
def test_the_open_text_is_the_end_of_the_text(kind: str) -> None:
    renderer, text = IncrementalRenderer(), LONG[kind][:5000]
    for at in range(0, len(text), 50):
        renderer.feed(text[at : at + 50])
        assert text[: at + 50].endswith(renderer.open_text)
