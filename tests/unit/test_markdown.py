"""Model text to HTML: the dialect, and what never gets through."""

from __future__ import annotations

import re
from html import escape, unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.render.markdown import IncrementalRenderer, to_html
from chatanywhere_magic.render.markdown.languages import language_of
from chatanywhere_magic.render.markdown.tex import is_harmless
from tests.support.vectors import VECTORS

PRICES_AND_VARIABLES = re.split(
    r" {3}|\n",
    r"""
$HOME/bin:$PATH   PATH=$HOME/bin:$PATH   $A$B   $USER@$HOST   "$HOME"/"$PATH"   $(pwd)/$(date)   $HOME/*:$(ls)
$HOME\bin:$PATH   $env:USERPROFILE\Documents;$env:TEMP   $1,$2   $?/$!   echo $$; echo $$   $MY_A/$MY_B   ${x}
${a}-${b}   ${a}${b}   ${name}$   $user->name.$other->x   $row['a'].$row['b']   $('#a'),$('#b')   $a=$b
^a+$|^b$   (^|$) and (^|$)   (foo)$|(bar)$   '^$' or '$'   US$5 to US$6   US$5/US$6   HK$5、HK$6   $5-$10
$5,000–$6,000   $100k-$200k   $5 or 6$   $5M (€4M) vs $6M   between $5 and $10 (or US$20)   R$5,00 e R$6,00
售价$5，原价$10。   人民币$5和$6   $5到10$   $AAPL/$MSFT   $AAPL和$MSFT   $$ to $$$   $$ and $$   $name costs 5$
""".strip(),
)
FORMULAS_IN_TEXT = re.split(
    r" {3}|\n",
    r"""
其中$x$是   是$x$，   其中$a_1$和$b_2$   $x$是$y$的$z$   は$x$です   $x$가   “$x$”   $x$、$y$   （$x$）   $n$th
the $k$s   **$x$**   _$x$_   $|x|$   $|0>$   $-5$   $5$   $x=5$，$y=6$   $面积 = 长 × 宽$   $90°$   $(0,1)$
$x$, $y$ and $z$.   $x$/$y$   $a$ mod $b$   (1)$x^2$   $x$-axis   $\alpha$helix   $f$(x)
""".strip(),
)
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
ELEMENTS = {
    "a", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "aria-checked", "aria-disabled", "class", "dir", "href", "lang", "rel", "role", "start", "style", "target", "title",
    "translate",
}  # fmt: skip
HOSTILE = st.text("<>\"'&;=/\\()[]!`*_~$#|-:\n javscriptonerhfldmg:.x1{}^\u202e", max_size=80)
PIECES = st.lists(
    st.sampled_from(
        ["<sub>", "</sub>", "<SUP>", "</sup>", "<br>", "**", "*", "_", "“", "”", "。", "引", "A", " ", "\n",
         "https://x.org/", "www.x.org", "javascript:", "(", ")", "[", "](", "$", "\\begin{align}", "\\end{align}",
         "\\begin{cases}", "\\end{cases}", "\\href{x}{y}", "| ", "ש", "> ", "- ", "&amp;", '"', "<", ">", "`"]
    ),
    max_size=16,
).map("".join)  # fmt: skip


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
        ("[^1]: not/a/link", '<p dir="auto"><sup>1</sup> not/a/link</p>\n'),
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


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**“引号”**文字", "<strong>“引号”</strong>文字"),
        ("文字**“引号”**文字", "文字<strong>“引号”</strong>文字"),
        ("**重点：**后面", "<strong>重点：</strong>后面"),
        ("**重点:**后面", "<strong>重点:</strong>后面"),
        ("__重点：__后面", "<strong>重点：</strong>后面"),
        ("文字__“引号”__文字", "文字<strong>“引号”</strong>文字"),
        ("**“引号”**API", "<strong>“引号”</strong>API"),
        ("*（a）*文字", "<em>（a）</em>文字"),
        ("~~「删」~~文字", "<s>「删」</s>文字"),
        ("**『書』**と", "<strong>『書』</strong>と"),
        ("文**——破折号**文", "文<strong>——破折号</strong>文"),
        ("**이 용어(This term)**를", "<strong>이 용어(This term)</strong>를"),
        ("**“A”**B", "**“A”**B"),
        ("**(note)**text", "**(note)**text"),
        ("变量_名_称 snake_case_中文", "变量_名_称 snake_case_中文"),
        ("2*3*文 a * b", "2<em>3</em>文 a * b"),
    ],
)
def test_emphasis_needs_no_space_beside_punctuation_of_cjk(markdown: str, html: str) -> None:
    assert re.sub("^<p[^>]*>|</p>$", "", body(markdown).strip()) == html


@pytest.mark.parametrize(
    "mark", "、。〈〉《》「」『』【】〔〕〖〗〘〙〚〛〜！（），．：；？［］｛｝～｡｢｣､･・…—“”‘’·﹁﹂︵︶﹏"
)
def test_every_punctuation_of_cjk_may_be_the_last_or_first_that_is_emphasized(mark: str) -> None:
    assert f"前<strong>字{mark}</strong>后<strong>{mark}字</strong>后" in body(f"前**字{mark}**后**{mark}字**后")


@pytest.mark.parametrize(
    ("markdown", "url", "behind"),
    [
        ("见https://x.org/a，然后", "https://x.org/a", "，然后"),
        ("https://x.org/路径。", "https://x.org/%E8%B7%AF%E5%BE%84", "。"),
        ("（https://x.org/a）", "https://x.org/a", "）"),
        ("“http://x.org”", "http://x.org", "”"),
        ("(https://x.org/a_(b)_c).", "https://x.org/a_(b)_c", ")."),
        ("**https://x.org/a**后", "https://x.org/a", "</strong>后"),
        ("https://x.org?a=1&b=$x *y*", "https://x.org?a=1&amp;b=$x", " <em>y</em>"),
        (r"https://x.org/a\_b", "https://x.org/a_b", ""),
        ("http://localhost:8888/tree?token=a", "http://localhost:8888/tree?token=a", ""),
        ("www.x.org/a!", "http://www.x.org/a", "!"),
        ("mailto:a@x.org.", "mailto:a@x.org", "."),
        ("[1]: see https://x.org", "https://x.org", ""),
    ],
)
def test_a_bare_address_is_a_link_up_to_its_end(markdown: str, url: str, behind: str) -> None:
    found = re.search(r'<a href="([^"]*)"[^>]*>[^<]*</a>(.*)</p>', body(markdown))
    assert found
    assert (found[1], found[2]) == (url, behind)


@pytest.mark.parametrize(
    "markdown",
    ["`https://x.org`", "```\nhttps://x.org\n```", "javascript://x", "git+https://x.org", "file:///etc/passwd",
     "utils.py", "README.md", "a@x.org", "https://", "https://{host}/a", "<https://x.org/a b>", "xhttps://x.org"],
)  # fmt: skip
def test_what_is_no_link(markdown: str) -> None:
    assert "<a " not in body(markdown)


def test_a_link_holds_no_other() -> None:
    assert body("[see https://x.org/a](https://y.org)").count("<a ") == 1
    assert "https://y.org" in body("[https://x.org/a](https://y.org)")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("H<sub>2</sub>O", "H<sub>2</sub>O"),
        ("10<SUP>**2**</SUP>", "10<sup><strong>2</strong></sup>"),
        ("a<br>b<br/>c<BR />d", "a<br />\nb<br />\nc<br />\nd"),
        ("x<sub>2", "x&lt;sub&gt;2"),
        ("</sup>x", "&lt;/sup&gt;x"),
        ("<sub>a</sup></sub>", "<sub>a&lt;/sup&gt;</sub>"),
        ("*<sub>a*</sub>", "<em>&lt;sub&gt;a</em>&lt;/sub&gt;"),
        ("<sub onclick=x>a</sub>", "&lt;sub onclick=x&gt;a&lt;/sub&gt;"),
        ("<br onclick=x>", "&lt;br onclick=x&gt;"),
        ("`<sub>a</sub><br>`", "<code>&lt;sub&gt;a&lt;/sub&gt;&lt;br&gt;</code>"),
    ],
)
def test_three_tags_without_attributes_are_understood(markdown: str, html: str) -> None:
    assert body(markdown) == f'<p dir="auto">{html}</p>\n'


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

    @pytest.mark.parametrize("markdown", PRICES_AND_VARIABLES)
    def test_a_dollar_sign_alone_makes_none(self, markdown: str) -> None:
        html = body(markdown)
        assert "mathjax_process" not in html
        assert "<code>" not in html

    @pytest.mark.parametrize("markdown", FORMULAS_IN_TEXT)
    def test_text_around_them_needs_no_spaces(self, markdown: str) -> None:
        assert body(markdown).count("mathjax_process") == markdown.count("$") // 2

    @pytest.mark.parametrize("name", ["align", "align*", "equation", "gather", "cases", "pmatrix", "array"])
    def test_an_environment_is_one_by_itself(self, name: str) -> None:
        tex = f"\\begin{{{name}}}\na_1 &= *b* \\\\\n- c_2 &= d*e \\\\\n=\n\nf\n\\end{{{name}}}"
        assert f"\\[{escape(tex)}\\]</p>" in body(f"Then\n{tex}\nand *so* on")

    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            (
                r"x = \begin{cases} a_1*b \\ c*d_1 \end{cases}, *y*",
                r"\(\begin{cases} a_1*b \\ c*d_1 \end{cases}\)</span>, <em>y",
            ),
            (r"so \begin{align}a\\b\end{align} is", r"\[\begin{align}a\\b\end{align}\]</span> is"),
            ("- a\n  \\begin{gather}\n  a\n  \\end{gather}", "\\[\\begin{gather}\na\n\\end{gather}\\]</p>\n</li>"),
            ("> \\begin{gather}\n> a\n> \\end{gather}.", "\\[\\begin{gather}\na\n\\end{gather}.\\]</p>\n</blockquote>"),
            ("|a|\n|-|\n| \\begin{matrix}1\\\\2\\end{matrix} |", r"\(\begin{matrix}1\\2\end{matrix}\)</span></td>"),
            (
                r"\begin{matrix}\begin{matrix}1\end{matrix}\end{matrix}",
                r"\[\begin{matrix}\begin{matrix}1\end{matrix}\end{matrix}\]",
            ),
            (r"\begin{align}\href{x}{y}\end{align}", r"<code>\begin{align}\href{x}{y}\end{align}</code>"),
            (r"`\begin{align}x\end{align}`", r"<code>\begin{align}x\end{align}</code>"),
            (r"\begin{itemize}\item a\end{itemize}", r"\begin{itemize}\item a\end{itemize}</p>"),
            (r"\begin{align}x", r"\begin{align}x</p>"),
        ],
    )
    def test_where_an_environment_may_stand(self, markdown: str, html: str) -> None:
        assert html in body(markdown)

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
    assert html.count("<sub>") == html.count("</sub>")
    for tex in re.findall(r'class="mathjax_process[^>]*>(.*?)</(?:p|span)>', html, re.DOTALL):
        assert is_harmless(unescape(tex)[2:-2])


@given(st.one_of(HOSTILE, PIECES))
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
