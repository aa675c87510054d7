"""Model text to HTML: the dialect, and what never gets through."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.render.markdown import IncrementalRenderer, to_html
from chatanywhere_magic.render.markdown.languages import language_of
from chatanywhere_magic.render.markdown.tex import is_harmless
from tests.support.vectors import VECTORS

TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
ELEMENTS = {
    "a", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "aria-checked", "aria-disabled", "class", "dir", "href", "lang", "rel", "role", "start", "style", "target", "title",
    "translate",
}  # fmt: skip
HOSTILE = st.text("<>\"'&;=/\\()[]!`*_~$#|-:\n javscriptonerhfldmg:.x1{}^\u202e", max_size=80)


def body(markdown: str) -> str:
    return to_html(markdown).partition(">")[2].removesuffix("</div>")


def words(markdown: str) -> str:
    return TAG.sub("", body(markdown)).strip()


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("# One", '<h1 dir="auto">One</h1>\n'),
        ("*a* **b** ~~c~~ `d`", '<p dir="auto"><em>a</em> <strong>b</strong> <s>c</s> <code>d</code></p>\n'),
        ("3. a\n4. b", '<ol start="3" dir="auto">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        ("> a", '<blockquote dir="auto">\n<p dir="auto">a</p>\n</blockquote>\n'),
        ("a  \nb", '<p dir="auto">a<br />\nb</p>\n'),
        ("***", "<hr />\n"),
        ("a<b>c</b> &lt;", '<p dir="auto">a&lt;b&gt;c&lt;/b&gt; &lt;</p>\n'),
        ("a[^1].\n\n[^1]: b", '<p dir="auto">a<sup>1</sup>.</p>\n<p dir="auto"><sup>1</sup> b</p>\n'),
        ("[^1]: https://x.org", '<p dir="auto"><sup>1</sup> https://x.org</p>\n'),
        ("the pattern [^a-z]", '<p dir="auto">the pattern [^a-z]</p>\n'),
        ("Слово", '<p dir="auto" lang="ru">Слово</p>\n'),
    ],
)
def test_the_dialect(markdown: str, html: str) -> None:
    assert body(markdown) == html


def test_tasks_are_boxes_that_cannot_be_clicked() -> None:
    html = body("- [ ] one\n- [x] two\n- [y] three")
    assert "☐</span> one" in html
    assert 'aria-checked="true" aria-disabled="true">☑</span> two' in html
    assert "[y] three" in html
    assert "<input" not in html


def test_links_open_elsewhere_and_tell_nothing() -> None:
    assert 'href="https://x.org" title="t" rel="noopener noreferrer" target="_blank">a</a>' in body(
        '[a](https://x.org "t")'
    )
    assert "<a" not in body("[a](javascript:x) [b](data:text/html,x) [c](//x.org) [d](/etc) <file:///etc>")


def test_images_are_links_that_say_so() -> None:
    html = body("![a cat](https://x.org/cat.png)")
    assert "<img" not in html
    assert ">image: a cat</a>" in html


class TestCode:
    def test_it_has_the_name_of_its_language_and_the_colours_of_the_notebook(self) -> None:
        html = body("```python\nreturn 1 # one\n```")
        assert ">python</div>" in html
        assert '<span class="k">return</span> <span class="m">1</span> <span class="c"># one</span>' in html

    def test_an_unknown_language_is_shown_as_it_is(self) -> None:
        assert "graph LR; A--&gt;B\n</code>" in body("```mermaid\ngraph LR; A-->B\n```")

    @pytest.mark.parametrize(
        "markdown", ["`a\u202eb`", "```\na\u202eb\n```", "```python\nx = 'a\u202eb'\n```", "    a\u202eb"]
    )
    def test_characters_that_hide_something_are_named(self, markdown: str) -> None:
        html = body(markdown)
        assert "\u202e" not in html
        assert ">U+202E</span>" in html

    def test_it_reads_from_left_to_right_whatever_is_around_it(self) -> None:
        assert 'dir="ltr"' in body("עברית\n\n```\nx\n```")


class TestFormulas:
    @pytest.mark.parametrize(
        ("markdown", "tex"),
        [
            ("$x^2$", r"\(x^2\)"),
            (r"\(a<b\)", r"\(a&lt;b\)"),
            ("$$y$$", r"\[y\]"),
            ("$$\ny\n\nz\n$$", "\\[y\n\nz\\]"),
            (r"\[z\]", r"\[z\]"),
            ("a $$y$$ b", r"\[y\]"),
            (r"$$x \tag{1}\label{a}$$", r"\[x \qquad(1) \]"),
            (r"$\hspace{1em}\color{red}x$", r"\(\hspace{1em}\color{red}x\)"),
        ],
    )
    def test_they_are_left_to_mathjax(self, markdown: str, tex: str) -> None:
        html = body(markdown)
        assert f">{tex}<" in html
        assert html.count("mathjax_process") == 1

    @pytest.mark.parametrize(
        "markdown", ["$5 and $6", "it costs 5$, or 6$", "$HOME and $PATH", r"\$x\$", "`$x$`", "    $x$", "$ x $"]
    )
    def test_prices_and_code_are_none(self, markdown: str) -> None:
        assert "mathjax_process" not in body(markdown)
        assert words(markdown).count("$") >= 1

    @pytest.mark.parametrize(
        "tex",
        [r"\href{x}{y}", r"\\\href{x}{y}", r"\require{html}", r"\def\a{b}", r"\unicode{x41}", r"\begin{bad}\end{bad}",
         r"\mmlToken{mi}[href='x']{y}", r"\newcommand{\a}{b}", r"\text{\href{x}{y}}", r"\color{url(x)}y",
         r"\rule{9em}{9em}",
         r"\hspace{-1000em}x", r"\\[99999em]", r"\raise 99em x", r"\style{x}{y}", r"\cssId{x}{y}", r"\class{x}{y}",
         r"\setOptions{x}", r"\DeclareMathOperator{\a}{b}", r"\includegraphics{x}", r"\toggle{a}{b}",
         r"\bbox[url(x)]{y}"],
    )  # fmt: skip
    def test_a_command_that_is_not_known_to_be_harmless_is_shown_as_it_is(self, tex: str) -> None:
        assert not is_harmless(tex)
        assert "mathjax_process" not in body(f"$$\n{tex}\n$$")

    def test_what_mathematicians_write_is_harmless(self) -> None:
        assert is_harmless(
            r"\begin{aligned}\hat{\beta} &= \operatorname*{arg\,min}_{\beta\in\mathbb{R}^p} \left\lVert y - X\beta"
            r"\right\rVert_2^2 + \lambda\|\beta\|_1 \\ &\implies \frac{\partial\mathcal{L}}{\partial\theta} \neq 0 \\"
            r"[1em] \ce{2 H2 + O2 -> 2 H2O}\quad\bra{\psi}\ket{\phi} \text{ if } 5\% \gg"
            r"\sqrt[3]{x} \{a_1, \dots\} \end{aligned}"
        )


def assert_harmless(html: str) -> None:
    assert "<" not in TAG.sub("", html)
    for _, element, attributes in TAG.findall(html):
        assert element in ELEMENTS
        assert set(re.findall(r'([\w-]+)="[^"]*"', attributes)) <= ATTRIBUTES
        assert re.sub(r'\s[\w-]+="[^"]*"', "", attributes).strip() in {"", "/"}
        assert "url(" not in "".join(re.findall(r'style="([^"]*)"', attributes))
    assert all(url.startswith(("http://", "https://", "mailto:")) for url in re.findall(r'href="([^"]*)"', html))
    for tex in re.findall(r'class="mathjax_process[^>]*>(.*?)</(?:p|span)>', html, re.DOTALL):
        assert is_harmless(unescape(tex)[2:-2])


@given(HOSTILE)
def test_only_what_is_harmless_gets_through(markdown: str) -> None:
    assert_harmless(to_html(markdown))


@pytest.mark.parametrize(
    ("text", "language"),
    [("median", ""), ("медиана", "ru"), ("медіана", "uk"), ("中位数", "zh"), ("中央値です", "ja"), ("중앙값", "ko"),
     ("חציון", "he"), ("الوسيط", "ar"), ("The word медиана in English text", ""), ("Функция len() считает", "ru")],
)  # fmt: skip
def test_languages_are_told_by_their_letters(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("name", VECTORS)
def test_an_attack_is_harmless_wherever_it_is_cut(name: str) -> None:
    text = f"Before.\n\n{VECTORS[name]}\n\nAfter."
    renderer = IncrementalRenderer()
    for letter in text:
        finished = renderer.feed(letter)
        assert_harmless("".join(finished) + renderer.tail())
    assert_harmless(to_html(text))
