r"""Formulas, marked for MathJax if they hold nothing it would obey.

They are found in ``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``, and in a bare environment such as ``\begin{align}``.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from .languages import is_unspaced
from .tex import DISPLAYED, ENVIRONMENTS, is_harmless

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
_CLOSING: Final = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_OPENING: Final = re.compile(r"\$+|\\[(\[]|\\begin\s{0,3}\{([a-zA-Z]{1,20}\*?)\}")
_OPENING_LINE: Final = re.compile(r"^ {0,3}(?=\$\$|\\\[|\\begin)", re.MULTILINE)
_MAX_NESTED: Final = 20
"""Environments of the same name in one another."""
_BEHIND: Final = re.compile(r"[.,;:。，；：]?\s*")
"""What may follow an environment on its last line."""

# Dollar signs are prices, variables, and the ends of regular expressions, too.
_NO_BEGINNING: Final = re.compile(r"""[)};,'"/:?!@#%&]|\|\^|\.[a-zA-Z]|\{\w{1,40}\}$""")
_PRICE: Final = re.compile(r"\d[\d.,]{0,20}[kKmMbB%]?(?:\s{1,4}[^\W\d_]{2}|[\u3040-\u9fff\uac00-\ud7a3])")
_WORDS: Final = re.compile(r"\s{1,4}[^\W\d_]{2,}(?:[\s,/]{1,4}[^\W\d_]{2,})*\s{0,4}")
_SENTENCE: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,}\s{1,4}[^\W\d_]{2,}")
_GOES_ON: Final = re.compile(r"[a-zA-Z{]|_\w")
_SUFFIX: Final = re.compile(r"(?:th|st|nd|rd|s)\b")
_COMMAND: Final = re.compile(r"\\[a-zA-Z]|\^")
_NO_END: Final = frozenset(":/;,.=@+-、，。；：！？")


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
        opening = opening_at(source, found.end())
        closed = find_closing(source, found.end() + len(opening), len(source), opening) if opening else begin
        if closed < 0:
            return found.start() if len(source) - found.start() < MAX_LENGTH else None
        begin = max(closed, found.end() + 1)
    return None


def opening_at(source: str, position: int) -> str:
    """Return the mark at `position` if it is one that may begin a formula; else ``""``."""
    found = _OPENING.match(source, position)
    if found is None or found[0].startswith("$$$"):
        return ""
    if found[1]:
        return found[0] if found[1].rstrip("*") in ENVIRONMENTS else ""
    before = source[position - 1 : position]
    # After a letter or number a dollar sign is no opening one: it costs 5$, or 6$. Chinese has no spaces.
    is_inside = before == "^" or (before.isalnum() and not is_unspaced(before))
    return "" if found[0] == "$" and is_inside else found[0]


def find_closing(source: str, start: int, limit: int, opening: str) -> int:
    """Return where the formula ends whose `opening` ends at `start`, or -1.

    For ``$`` by Pandoc's rule, which tells formulas from prices: no space after the opening mark or before
    the closing one, and no digit after that. Nor does a formula reach into code: in "$5, or `$HOME`" is none.
    """
    limit = min(limit, start + MAX_LENGTH)
    if opening not in _CLOSING:
        return _end_of_environment(source, start, limit, opening)
    closing = _CLOSING[opening]
    if opening == "$" and (start >= limit or source[start].isspace()):
        return -1
    position = start
    while True:
        end = source.find(closing, position, limit)
        if end < 0 or not source[start:end].strip() or (closing[0] == "$" and "`" in source[start:end]):
            return -1
        if closing[0] != "$" or (source[end - 1] != "\\" and (closing == "$$" or source[end - 1] not in " \t\n")):
            behind = source[end + len(closing) : end + len(closing) + 4]
            return end if closing[0] != "$" or _is_formula(source[start:end], behind, closing) else -1
        if source[end - 1] != "\\":
            return -1
        position = end + 1


def _is_formula(tex: str, behind: str, mark: str) -> bool:
    """Tell whether what stands between two dollar signs, or two pairs of them, can be a formula."""
    if _NO_BEGINNING.match(tex.lstrip()):
        return False
    if mark == "$$":
        return not (behind[:1] == "$" or behind[:1].isdigit() or _WORDS.fullmatch(tex))
    has_command = _COMMAND.search(tex) is not None
    if behind[:1].isdigit() or (behind[:1] == "(" and (tex[0] == "(" or tex[-1] in _NO_END)):
        return False
    if _GOES_ON.match(behind):
        is_short = len(tex) <= 2 and tex.isalnum()  # noqa: PLR2004 - the nth, the ks
        is_tex = has_command and tex[-1] not in _NO_END and is_harmless(tex)
        return is_tex or (is_short and _SUFFIX.match(behind) is not None)
    if tex[0] == "|" and tex[-1] != ">" and tex.count("|") % 2:  # of a regular expression, if it is no |psi>
        return has_command and is_harmless(tex)
    return has_command or not (tex[-1] in "、，。；：！？" or _PRICE.match(tex) or _SENTENCE.search(tex))


def _end_of_environment(source: str, start: int, limit: int, opening: str) -> int:
    r"""Return where ``\end`` stands that closes an environment; -1 if there is none."""
    name = opening[opening.index("{") :]
    if source.find(name, start, limit) < 0:
        return -1
    depth = 1
    for found in re.compile(rf"\\(begin|end)\s{{0,3}}{re.escape(name)}").finditer(source, start, limit):
        depth += 1 if found[1] == "begin" else -1
        if not depth:
            return found.start()
        if depth > _MAX_NESTED:
            break
    return -1


def closing_of(opening: str) -> str:
    r"""Return what closes a formula: for an environment, which shows both as it is written, ``\end{…}``."""
    return _CLOSING.get(opening) or "\\end" + opening[opening.index("{") :]


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
        return f"<code>{escape(token.markup + tex + _CLOSING.get(token.markup, ''))}</code>"
    if token.block:
        style = "margin: 0 0 1em; overflow: auto hidden"
        return f'<p class="{_READ_BY_MATHJAX}" style="{style}">\\[{escape(tex)}\\]</p>\n'
    opening, closing = (r"\[", r"\]") if token.meta["display"] else (r"\(", r"\)")
    return f'<span class="{_READ_BY_MATHJAX}">{opening}{escape(tex)}{closing}</span>'


def _formula_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    if state.src[state.pos] not in "$\\":
        return False
    begin = state.pos
    opening = opening_at(state.src, begin)
    start = begin + len(opening)
    end = find_closing(state.src, start, state.posMax, opening) if opening else -1
    if end < 0:
        marks = _OPENING.match(state.src, begin)
        if marks is None or marks[0][0] != "$":
            return False
        # Take the whole mark as text, or "$$" would be tried again as "$".
        if not silent:
            state.pending += marks[0]
        state.pos = min(marks.end(), state.posMax)
        return True
    closing = closing_of(opening)
    state.pos = end + len(closing)
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = state.src[start:end], opening
        token.meta = {"display": opening in {"$$", r"\["}}
        if opening not in _CLOSING:
            token.content, token.markup = state.src[begin : state.pos], ""
            token.meta["display"] = opening[opening.index("{") + 1 : -1].rstrip("*") in DISPLAYED
    return True


def _closing_of_block(source: str, begin: int, opening: str) -> tuple[int, int]:
    """Return where the formula that begins at `begin` is closed, and where its line ends.

    It must be near, and nothing may follow it on its line; else it is -1.
    """
    closed = find_closing(source, begin + len(opening), begin + MAX_LENGTH, opening) if opening[1:] else -1
    if closed < 0:
        return -1, 0
    end = source.find("\n", closed)
    end = len(source) if end < 0 else end
    behind = source[closed + len(closing_of(opening)) : end]
    is_alone = _BEHIND.fullmatch(behind) if opening not in _CLOSING else not behind.strip()
    return (closed, end) if is_alone and end <= begin + MAX_LENGTH else (-1, 0)


def _formula_block_rule(
    state: StateBlock,
    start_line: int,
    end_line: int,
    silent: bool,  # noqa: FBT001 - markdown-it's signature
) -> bool:
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if state.src[begin : begin + 2] not in {"$$", r"\[", r"\b"} or state.is_code_block(start_line):
        return False
    opening = opening_at(state.src, begin)
    closed, end = _closing_of_block(state.src, begin, opening)
    # Of a text in which every line begins as a formula does, an end that one of them cannot reach is looked for once.
    key = closed, end_line, state.blkIndent
    broken = state.env.setdefault("broken_formulas", {})
    if closed < 0 or broken.get(key, begin) < begin:
        return False
    lines: list[str] = []
    line = start_line
    while True:
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
        if state.eMarks[line] >= end:
            break
        line += 1
        is_over = line >= end_line or (not state.isEmpty(line) and state.sCount[line] < state.blkIndent)
        if is_over:
            broken[key] = begin
            return False  # the list item or quote that it stands in has ended
    tex, markup = "\n".join(lines).strip(), ""
    if opening in _CLOSING:
        tex, markup = tex[len(opening) : -len(opening)].strip(), opening
    if not tex:
        return False
    if silent:
        return True
    token = state.push("formula", "math", 0)
    token.block, token.content, token.markup = True, tex, markup
    token.map = [start_line, line + 1]
    state.line = line + 1
    return True
