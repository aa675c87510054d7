"""Formulas: found in the four forms that models write, and marked for MathJax if they hold nothing it would obey."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from .tex import is_harmless

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

IGNORED_BY_MATHJAX: Final = "mathjax_ignore tex2jax_ignore"
_READ_BY_MATHJAX: Final = "mathjax_process tex2jax_process"
# Painted again, a formula with a label would be refused: MathJax remembers the label of the painting before. A tag
# would become an anchor of the page.
_LABEL: Final = re.compile(r"\\label\s*\{[^{}]*\}")
_TAG: Final = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
MAX_LENGTH: Final = 4000
"""Of a formula that stands by itself. What is longer is text, or a lone ``$$`` would keep everything after it open."""
CLOSING: Final = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_OPENING_LINE: Final = re.compile(r"^ {0,3}(\$\$|\\\[)", re.MULTILINE)


def add_formulas(parser: MarkdownIt) -> None:
    """Teach `parser` to find formulas and to render them."""
    parser.inline.ruler.before("escape", "formula", _formula_rule)
    parser.block.ruler.before(
        "fence", "formula", _formula_block_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.add_render_rule("formula", _render_formula)


def open_formula(source: str, begin: int, end: int) -> int | None:
    """Return where in the paragraph from `begin` to `end` of `source` a formula begins that later lines may close."""
    while found := _OPENING_LINE.search(source, begin, end):
        closing = CLOSING[found[1]]
        closed = source.find(closing, found.end(), found.start() + MAX_LENGTH)
        if closed < 0:
            return found.start() if len(source) - found.start() < MAX_LENGTH else None
        begin = closed + len(closing)
    return None


def _render_formula(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    token = tokens[index]
    tex = _TAG.sub(r"\\qquad(\1)", _LABEL.sub(" ", token.content))
    if not is_harmless(tex):
        return f"<code>{escape(token.markup + tex + CLOSING[token.markup])}</code>"
    if token.block:
        style = "margin: 0 0 1em; overflow: auto hidden"
        return f'<p class="{_READ_BY_MATHJAX}" style="{style}">\\[{escape(tex)}\\]</p>\n'
    opening, closing = (r"\[", r"\]") if token.meta["display"] else (r"\(", r"\)")
    return f'<span class="{_READ_BY_MATHJAX}">{opening}{escape(tex)}{closing}</span>'


def _delimiter_at(source: str, position: int) -> str:
    return next((mark for mark in ("$$", r"\(", r"\[", "$") if source.startswith(mark, position)), "")


def _formula_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    if state.src[state.pos] not in "$\\":
        return False
    opening = _delimiter_at(state.src, state.pos)
    if not opening:
        return False
    start = state.pos + len(opening)
    closing = CLOSING[opening]
    # After a letter or number a dollar sign is no opening one: it costs 5$, or 6$.
    begins = opening != "$" or not state.src[state.pos - 1 : state.pos].isalnum()
    end = find_closing(state.src, start, state.posMax, closing) if begins else -1
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


def find_closing(source: str, start: int, limit: int, closing: str) -> int:
    """Return where the formula that begins at `start` ends, or -1.

    For ``$`` by Pandoc's rule, which tells formulas from prices: no space after the opening mark or before
    the closing one, and no digit after that. Nor does a formula reach into code: in "$5, or `$HOME`" is none.
    """
    if closing == "$" and (start >= limit or source[start].isspace()):
        return -1
    position = start
    limit = min(limit, start + MAX_LENGTH)
    while True:
        end = source.find(closing, position, limit)
        if end < 0 or not source[start:end].strip() or (closing[0] == "$" and "`" in source[start:end]):
            return -1
        if closing != "$" or (source[end - 1] not in " \t\n\\" and not source[end + 1 : end + 2].isdigit()):
            return end
        if source[end - 1] != "\\":
            return -1
        position = end + 1


def _closing_of_block(source: str, begin: int, closing: str) -> int:
    """Return where the formula that begins at `begin` is closed, if that is at the end of a line and near; else -1."""
    closed = source.find(closing, begin + len(closing), begin + MAX_LENGTH)
    end = source.find("\n", closed) if closed >= 0 else 0
    end = len(source) if end < 0 else end
    is_alone = not source[closed + len(closing) : end].strip()
    return closed if closed >= 0 and end <= begin + MAX_LENGTH and is_alone else -1


def _formula_block_rule(
    state: StateBlock,
    start_line: int,
    end_line: int,
    silent: bool,  # noqa: FBT001 - markdown-it's signature
) -> bool:
    begin = state.bMarks[start_line] + state.tShift[start_line]
    opening = state.src[begin : begin + 2]
    if opening not in {"$$", r"\["} or state.is_code_block(start_line):
        return False
    closing = CLOSING[opening]
    closed = _closing_of_block(state.src, begin, closing)
    # Of a text in which every line begins as a formula does, an end that one of them cannot reach is looked for once.
    key = closed, end_line, state.blkIndent
    broken = state.env.setdefault("broken_formulas", {})
    if closed < 0 or broken.get(key, begin) < begin:
        return False
    lines = [state.src[begin + len(opening) : state.eMarks[start_line]]]
    line = start_line
    while closing not in lines[-1]:
        line += 1
        is_over = line >= end_line or (not state.isEmpty(line) and state.sCount[line] < state.blkIndent)
        if is_over:
            broken[key] = begin
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
