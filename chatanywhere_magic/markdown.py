"""Model text to HTML that runs nothing and fetches nothing. The only road from an answer to a page.

Raw HTML becomes text, images become links, links keep only harmless schemes, and formulas are marked for
MathJax while everything else is kept from it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .strings import text

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

LINK_SCHEMES: Final = frozenset({"http", "https", "mailto"})

# MathJax reads what stands between its delimiters as a program. These commands make links, load code, set
# attributes or define others; a formula that holds one is shown as its source.
_UNSAFE_TEX: Final = re.compile(
    r"\\(?:href|url|require|unicode|class|cssId|style|data|html\w*|mmlToken|includegraphics|"
    r"(?:g|e|x)?def|let|futurelet|(?:re|provide)?[nN]ew\w*|Declare\w*|definecolor|mathtoolsset|"
    r"csname|input|include|toggle|mathtip|texttip|action|bbox|enclose|char|verb|begingroup|global|long)(?![a-zA-Z])"
)
# Painted again, a formula with a label would be refused: MathJax remembers the label of the painting before.
_LABEL: Final = re.compile(r"\\label\s*\{[^{}]*\}")
_IGNORED_BY_MATHJAX: Final = "mathjax_ignore tex2jax_ignore"
_READ_BY_MATHJAX: Final = "mathjax_process tex2jax_process"

# Jupyter's own classes for rendered text, so that an answer looks in a panel, which is no output of this kind, as
# it does below a cell: as the notebook's Markdown.
_TYPOGRAPHY: Final = "jp-RenderedHTMLCommon jp-RenderedMarkdown"
# As the notebook shows the code that is in it.
_CODE_STYLE: Final = (
    "background: var(--jp-cell-editor-background, rgba(128, 128, 128, 0.1)); "
    "border: 1px solid var(--jp-cell-editor-border-color, transparent); "
    "padding: 0.5em 0.75em; margin: 0.5em 0 1em; overflow-x: auto"
)
# What is too wide scrolls by itself, and the text around it stays where it is.
_TABLE_STYLE: Final = "display: block; width: max-content; max-width: 100%; overflow-x: auto; margin: 0 0 1em"
_TEXT_STYLE: Final = "padding-right: 0; overflow-wrap: break-word"


def to_html(markdown: str) -> str:
    r"""Return `markdown`, written by a model, as a safe HTML fragment.

    Parameters
    ----------
    markdown : str
        CommonMark with tables, strikethrough and formulas in ``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``.

    Returns
    -------
    str
        HTML without scripts, event handlers, styles, embedded or remote content.
    """
    body = _parser().render(markdown)
    classes = f"chatanywhere-text {_TYPOGRAPHY} {_IGNORED_BY_MATHJAX}"
    return f'<div class="{classes}" dir="auto" style="{_TEXT_STYLE}">{body}</div>'


def as_text_html(words: str) -> str:
    """Return `words` as HTML that shows them exactly as they are: no Markdown, no formulas."""
    return (
        f'<div class="chatanywhere-text {_IGNORED_BY_MATHJAX}" dir="auto" '
        f'style="white-space: pre-wrap; overflow-wrap: break-word">{escape(words)}</div>'
    )


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # loaded with the first answer, not with the extension

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _is_harmless  # type: ignore[method-assign]  # markdown-it's documented way
    parser.inline.ruler.before("escape", "formula", _formula_rule)
    parser.block.ruler.before(
        "fence", "formula", _formula_block_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.core.ruler.push("attributes", _set_attributes)
    parser.add_render_rule("fence", _render_fence)
    parser.add_render_rule("code_block", _render_fence)
    parser.add_render_rule("image", _render_image)
    parser.add_render_rule("formula", _render_formula)
    return parser


def _is_harmless(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in LINK_SCHEMES
    except ValueError:
        return False


def _set_attributes(state: StateCore) -> None:
    for block in state.tokens:
        if block.type == "table_open":
            block.attrSet("style", _TABLE_STYLE)
        elif block.type in {"th_open", "td_open"} and not block.attrGet("style"):
            block.attrSet("style", "text-align: left")  # Jupyter would set it right, for numbers
        for token in block.children or ():
            if token.type == "link_open":
                token.attrSet("rel", "noopener noreferrer")
                token.attrSet("target", "_blank")


def _render_image(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    url, label = str(tokens[index].attrGet("src") or ""), tokens[index].content
    shown = escape(text("answer.image", label=label or url))
    return f'<a href="{escape(url)}" rel="noopener noreferrer" target="_blank">{shown}</a>'


def _render_fence(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    token = tokens[index]
    language = (token.info.split() or [""])[0]
    code = _highlight(token.content, language)
    return f'<div class="highlight" style="{_CODE_STYLE}"><pre style="background: none">{code}</pre></div>\n'


def _highlight(code: str, language: str) -> str:
    from pygments import highlight  # lexers are loaded when code is to be shown
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        return f'<code style="background: none">{escape(code)}</code>'
    return f'<code style="background: none">{highlight(code, lexer, HtmlFormatter(nowrap=True))}</code>'


def _render_formula(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    token = tokens[index]
    tex = _LABEL.sub(" ", token.content)
    if _UNSAFE_TEX.search(tex):
        return f"<code>{escape(token.markup + tex + _CLOSING[token.markup])}</code>"
    if token.block:
        style = "margin: 0; overflow: auto hidden"
        return f'<p class="{_READ_BY_MATHJAX}" style="{style}">\\[{escape(tex)}\\]</p>\n'
    opening, closing = (r"\[", r"\]") if token.meta["display"] else (r"\(", r"\)")
    return f'<span class="{_READ_BY_MATHJAX}">{opening}{escape(tex)}{closing}</span>'


_CLOSING: Final = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}


def _delimiter_at(source: str, position: int) -> str:
    return next((mark for mark in ("$$", r"\(", r"\[", "$") if source.startswith(mark, position)), "")


def _formula_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    opening = _delimiter_at(state.src, state.pos)
    if not opening:
        return False
    start = state.pos + len(opening)
    closing = _CLOSING[opening]
    end = _find_closing(state.src, start, state.posMax, closing)
    if end < 0:
        if opening.startswith("$"):
            # Take the whole mark as text, or "$$" would be tried again as "$".
            if not silent:
                state.pending += opening
            state.pos = start
            return True
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = state.src[start:end], opening
        token.meta = {"display": opening in {"$$", r"\["}}
    state.pos = end + len(closing)
    return True


def _find_closing(source: str, start: int, limit: int, closing: str) -> int:
    """Return where the formula that begins at `start` ends, or -1.

    For ``$`` by Pandoc's rule, which tells formulas from prices: no space after the opening mark or before
    the closing one, and no digit after that. Nor does a formula reach into code: in "$5, or `$HOME`" is none.
    """
    if closing == "$" and (start >= limit or source[start].isspace()):
        return -1
    position = start
    while True:
        end = source.find(closing, position, limit)
        if end < 0 or not source[start:end].strip() or (closing[0] == "$" and "`" in source[start:end]):
            return -1
        if closing != "$" or (source[end - 1] not in " \t\n\\" and not source[end + 1 : end + 2].isdigit()):
            return end
        if source[end - 1] != "\\":
            return -1
        position = end + 1


def _formula_block_rule(  # noqa: PLR0911 - a rule says no in many ways
    state: StateBlock,
    start_line: int,
    end_line: int,
    silent: bool,  # noqa: FBT001 - markdown-it's signature
) -> bool:
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    opening = _delimiter_at(state.src, begin)
    if opening not in {"$$", r"\["}:
        return False
    closing = _CLOSING[opening]
    lines = [state.src[begin + len(opening) : state.eMarks[start_line]]]
    line = start_line
    while closing not in lines[-1]:
        line += 1
        if line >= end_line:
            return False
        if not state.isEmpty(line) and state.sCount[line] < state.blkIndent:
            return False  # the list item or quote that it stands in has ended
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
    tail, _, after = lines[-1].partition(closing)
    tex = "\n".join((*lines[:-1], tail)).strip()
    if after.strip() or not tex:
        return False
    if silent:
        return True
    token = state.push("formula", "math", 0)
    token.block, token.content, token.markup = True, tex, opening
    token.map = [start_line, line + 1]
    state.line = line + 1
    return True
