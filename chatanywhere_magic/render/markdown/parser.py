"""The Markdown parser and renderer, set up for text that must not be trusted."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ...core import text
from .code import add_code
from .emphasis import add_emphasis
from .formulas import add_formulas
from .languages import begins_from_right, is_from_right, language_of
from .links import add_links
from .patience import add_patience
from .tags import add_tags

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

LINK_SCHEMES: Final = frozenset({"http", "https", "mailto"})
# What is too wide scrolls by itself, and the text around it stays where it is.
_TABLE_STYLE: Final = (
    "display: block; width: max-content; max-width: 100%; overflow-x: auto; margin: 0 0 1em; margin-inline: 0 auto"
)
_QUOTE_STYLE: Final = "border-left: 0; border-inline-start: 5px solid var(--jp-border-color1, silver)"

_WITH_DIRECTION: Final = frozenset(
    {"paragraph_open", "heading_open", "bullet_list_open", "ordered_list_open", "blockquote_open", "table_open"}
)
_AROUND: Final = frozenset({"blockquote_open", "bullet_list_open", "ordered_list_open"})
_MANY_COLUMNS: Final = 20
_MANY_CELLS: Final = 1_000
_TASK: Final = re.compile(r"\[([ xX])\] ")
# With numbers only: in prose "[^a-z]" is a regular expression.
_FOOTNOTE: Final = re.compile(r"\[\^(\d{1,3})\]:(?=[ \t])")
_FOOTNOTE_MARK: Final = re.compile(r"\[\^(\d{1,3})\]")


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the one parser."""
    from markdown_it import MarkdownIt  # loaded with the first response, not with the extension

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _is_harmless  # type: ignore[method-assign]  # markdown-it's documented way
    parser.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before("reference", "footnote", _footnote_rule, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("link", "footnote", _footnote_mark_rule)
    parser.core.ruler.push("tasks", _mark_tasks)
    parser.core.ruler.push("attributes", _set_attributes)
    parser.add_render_rule("image", _render_image)
    parser.add_render_rule("footnote", _render_footnote_mark)
    parser.add_render_rule("task", _render_task)
    add_code(parser)
    add_emphasis(parser)
    add_formulas(parser)
    add_links(parser)
    add_tags(parser)
    add_patience(parser)
    return parser


def _table_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    from markdown_it.rules_block import table

    return not _is_inflated(state, start_line, end_line) and table(state, start_line, end_line, silent)


def _is_inflated(state: StateBlock, start_line: int, end_line: int) -> bool:
    """Tell whether a table would mostly be cells that are not there: a short line is a row, of thousands of columns."""
    if start_line + 2 > end_line:
        return False
    marks = state.src[state.bMarks[start_line + 1] : state.eMarks[start_line + 1]]
    columns = marks.count("|")
    if columns < _MANY_COLUMNS or marks.strip("|-: \t"):
        return False
    size = missing = 0
    for line in range(start_line, end_line):
        begin, end = state.bMarks[line], state.eMarks[line]
        if state.isEmpty(line):
            break
        size += end - begin
        missing += max(0, columns - 2 - state.src.count("|", begin, end))
        if missing > size + _MANY_CELLS:
            return True
    return False


def _is_harmless(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in LINK_SCHEMES
    except ValueError:
        return False


def _footnote_rule(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    """Keep ``[^1]: https://…`` from being taken for the definition of a link; it is a paragraph of its own."""
    from markdown_it.rules_block import paragraph

    begin = state.bMarks[start_line] + state.tShift[start_line]
    if not state.src.startswith("[^", begin) or not _FOOTNOTE.match(state.src, begin):
        return False
    return silent or paragraph(state, start_line, end_line, silent)


def _footnote_mark_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - as above
    if not state.src.startswith("[^", state.pos):
        return False
    found = _FOOTNOTE.match(state.src, state.pos) if state.pos == 0 else None
    found = found or _FOOTNOTE_MARK.match(state.src, state.pos)
    if not found:
        return False
    if not silent:
        state.push("footnote", "sup", 0).content = found[1]
    state.pos = found.end()
    return True


def _mark_tasks(state: StateCore) -> None:
    """Turn ``[ ]`` and ``[x]`` at the beginning of a list's item into boxes."""
    tokens = state.tokens
    for item, inline in zip(tokens, tokens[2:], strict=False):
        if item.type != "list_item_open" or inline.type != "inline" or not inline.children:
            continue
        first = inline.children[0]
        found = _TASK.match(first.content) if first.type == "text" else None
        if found:
            first.content = first.content[found.end() :]
            box = type(first)("task", "span", 0)
            box.content = "" if found[1] == " " else "x"
            inline.children.insert(0, box)
        if inline.children[0].type == "task":  # which it may be from before
            item.attrSet("style", "list-style: none")


def _set_attributes(state: StateCore) -> None:
    for block in state.tokens:
        if block.nesting == 1 and block.type in _WITH_DIRECTION:
            # Each by itself: a response may hold Hebrew next to English.
            block.attrSet("dir", "auto")
        if block.type == "table_open":
            block.attrSet("style", _TABLE_STYLE)
        elif block.type in {"th_open", "td_open"} and not block.attrGet("style"):
            block.attrSet("style", "text-align: start")  # Jupyter would set it right, for numbers
        for token in block.children or ():
            if token.type == "link_open":
                token.attrSet("rel", "noopener noreferrer")
                token.attrSet("target", "_blank")
    _set_languages(state.tokens)
    _close_gaps(state)


def _set_languages(tokens: Sequence[Token]) -> None:
    """Name the language of paragraphs and headings, where the letters tell it: for voices and for fonts."""
    undecided: list[Token] = []
    for block, inline in pairwise(tokens):
        if block.type in _AROUND:
            undecided.append(block)
        if inline.type != "inline":
            continue
        if undecided and (is_right := begins_from_right(inline.content)) is not None:
            # A browser looks into no paragraphs for it.
            for each in undecided if is_right else ():
                each.attrSet("dir", "rtl")
                if each.type == "blockquote_open":
                    each.attrSet("style", _QUOTE_STYLE)
            undecided = []
        if inline.content.isascii():
            continue
        language = language_of(inline.content)
        if language:
            block.attrSet("lang", language)
        if block.type == "paragraph_open" and is_from_right(inline.content):
            block.attrSet("style", "text-align: start")  # Jupyter would set it left, and nothing else


def _close_gaps(state: StateCore) -> None:
    """Have the parts of a long list or table follow each other as one."""
    first, last = state.tokens[0], state.tokens[-1]
    if first.type in {"bullet_list_open", "ordered_list_open", "table_open"}:
        style = str(first.attrGet("style") or "")
        if state.env.get("number"):
            style += "; margin-top: 0"
            if first.type == "ordered_list_open":
                first.attrSet("start", state.env["number"])
        if state.env.get("goes_on") and last.level == 0:
            style += "; margin-bottom: 0"
        if style:
            first.attrSet("style", style.removeprefix("; "))


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


def _render_footnote_mark(
    renderer: RendererProtocol,  # noqa: ARG001 - as above
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    return f"<sup>{escape(tokens[index].content)}</sup>"


def _render_task(
    renderer: RendererProtocol,  # noqa: ARG001 - as above
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    # No real checkbox: one could click on it, and nothing would come of it.
    done = bool(tokens[index].content)
    checked, box = ("true", "☑") if done else ("false", "☐")
    return f'<span role="checkbox" aria-checked="{checked}" aria-disabled="true">{box}</span> '
