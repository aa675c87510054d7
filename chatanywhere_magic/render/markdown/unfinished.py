"""The open end of a text that is still being written, as if it was finished.

Without this a reader would see ``**``, half a link or a row of dashes for a moment, and then see them turn into
something else. What is done here is undone with the next letter, so it may guess; it must not be wrong for long.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from .formulas import closing_of, find_closing, open_formula, opening_at
from .parser import parser
from .tags import TAG

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from markdown_it.rules_inline import StateInline
    from markdown_it.rules_inline.state_inline import Delimiter
    from markdown_it.token import Token

# A line that the next letter may turn into a heading, an item, a rule, a fence, the second line of a table, a note.
_CONTAINERS: Final = re.compile(r"(?:[ \t]*(?:[-*+>]|\d{1,9}[.)])(?=[ \t>]))*[ \t]*")
_HALF_LINE: Final = re.compile(
    r"(?:#{1,6}|\d{1,9}[.)]?|>|`{1,2}|~{1,2}|=+|[-*_+ ]+|[|:\- ]+|\[\^\d{0,3}\]?:?|\[[ xX]?\]?)?"
)
_HALF_LINK: Final = re.compile(r"!?(?<!\w)\[([^\[\]^\n]*)(?:\](?:\([^()\n]*)?)?\Z|\[(?:\^\d{0,3})?()\Z")
_HALF_ADDRESS: Final = re.compile(r"<([a-z]+:[^\s<>]*)\Z")
_MARK: Final = re.compile(r"`+|\$+|\\.", re.DOTALL)
# What follows a dollar sign if it begins a formula: no space, no price, no further dollar sign, not a whole sentence.
_TEX: Final = re.compile(
    r"(?!\d+(?:[.,]\d+)*\s|\{\w)(?=\S{0,40}(?:[\\^]|\b[a-zA-Z][_=])|[a-zA-Z]\Z)[^\s$][^$`]{0,200}\Z"
)
_HALF_TAG: Final = re.compile(r"<(?:/?s(?:u[bp]?)?|/?(?:br?)?|br\s?/?)\Z", re.IGNORECASE)
_HALF_BEGIN: Final = re.compile(r"\\b(?:e(?:g(?:i(?:n(?:\{[a-zA-Z]{0,20}\*?)?)?)?)?)?\Z")


def settle_blocks(source: str, parse: Callable[[str], list[Token]]) -> tuple[list[Token], bool]:
    """Return the blocks of `source`, the last of which may be half written, and whether they are just what it says."""
    tokens = parse(source)
    settled = _settled_source(source, tokens, parse)
    return (tokens, True) if settled == source else (parse(settled), False)


def settle_words(tokens: Sequence[Token], env: MutableMapping[str, Any], *, in_line: bool) -> bool:
    """Close in the last words of `tokens` what is opened there, and tell whether nothing was.

    Parameters
    ----------
    in_line : bool
        Whether the line of these words goes on.
    """
    leaves = (token for token in reversed(tokens) if token.nesting == 0)
    last = next((leaf for leaf in leaves if leaf.content or leaf.type != "inline"), None)  # behind it only empty cells
    if last is None or last.type != "inline":
        return True
    words = last.content
    last.content, last.children = _settled_words(words, env, in_line=in_line)
    return last.content == words


def _settled_source(source: str, tokens: list[Token], parse: Callable[[str], list[Token]]) -> str:
    before, newline, line = source.rpartition("\n")
    leaf = next((token for token in reversed(tokens) if token.nesting == 0), None)
    if leaf is not None and leaf.type == "fence" and not _is_closed(leaf, source):
        if leaf.map and leaf.map[0] == source.count("\n"):
            # The name of the language is still being written.
            return before + newline + line[: line.find(leaf.markup) + len(leaf.markup)]
        mark = line.strip(" \t>")
        return source if mark.strip(leaf.markup[0]) or not mark else before + newline
    formula = _open_formula(source, tokens)
    if formula is not None:
        return source[:formula] + _as_code(source[formula:].strip())
    if line and _HALF_LINE.fullmatch(line.rstrip(" \t"), _after_containers(line.rstrip(" \t"))):
        before, newline, line = before.rpartition("\n")
        source = before + newline + line
        tokens = parse(source)
    elif not line:
        before, newline, line = before.rpartition("\n")
    row = _after_containers(line)
    if (
        line.startswith("|", row)
        and line[row:].strip("| \t")
        and not any(token.map and token.map[1] > source.rstrip("\n").count("\n") for token in _tables(tokens))
    ):
        # The first line of a table is one before its second line comes.
        indent = re.sub(r"[^>\s]", " ", line[:row])
        count = len(re.sub(r"\\.", "", line[row + 1 :]).strip().removesuffix("|").split("|"))
        return f"{before}{newline}{line}\n{indent}|{'---|' * count}"
    return source


def _after_containers(line: str) -> int:
    """Return where in `line` its own text begins, behind the marks of the quotes and the lists that it is in."""
    found = _CONTAINERS.match(line)
    return found.end() if found else 0


def _without_half_mark(words: str) -> str:
    """Return `words` without marks of emphasis at their end, or the backslash of an escape."""
    kept = words.rstrip("*_~")
    if kept != words:
        return kept
    kept = words.rstrip("\\")
    return kept if (len(words) - len(kept)) % 2 else words


def _open_formula(source: str, tokens: Sequence[Token]) -> int | None:
    paragraphs = [token for token in tokens if token.type == "paragraph_open" and token.level == 0 and token.map]
    starts = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    found = (open_formula(source, starts[each.map[0]], starts[each.map[1]]) for each in paragraphs if each.map)
    return next((position for position in found if position is not None), None)


def _tables(tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if token.type == "table_open"]


def _is_closed(fence: Token, source: str) -> bool:
    begin, end = fence.map or (0, 0)
    last = source.split("\n")[end - 1].strip(" \t>") if end - 1 > begin else ""
    return len(last) >= len(fence.markup) and not last.strip(fence.markup[0])


def _settled_words(words: str, env: MutableMapping[str, Any], *, in_line: bool) -> tuple[str, list[Token]]:
    """Return the words with what closes them, and as tokens if they have been read: else none."""
    words, is_open = _close_code(words)
    if in_line and not is_open:
        words = _HALF_LINK.sub(r"\1", words)
        words = _HALF_ADDRESS.sub(r"\1", words)
        words = _HALF_BEGIN.sub("", _HALF_TAG.sub("", words))
    words = _without_half_mark(words).rstrip()
    if not any(mark in words for mark in ("*", "_", "~", "<")):
        return words, []
    from markdown_it.rules_inline import StateInline

    md = parser()
    state = StateInline(words, md, env, [])
    md.inline.tokenize(state)
    find_pairs, *others = md.inline.ruler2.getRules("")
    find_pairs(state)
    if marks := sorted([*_open_marks(state), *_open_tags(state.tokens)], reverse=True):
        return words + "".join(mark for _, mark in marks), []
    for rule in others:
        rule(state)
    return words, state.tokens


def _close_code(words: str) -> tuple[str, bool]:
    """Close the code or formula that `words` end in, and tell whether they do."""
    position = 0
    while found := _MARK.search(words, position):
        mark, begin = found[0], found.end()
        if mark[0] == "`":
            closing = re.compile(rf"(?<!`){mark}(?!`)").search(words, begin)
            if closing is None:
                code = words[begin:].rstrip("`")
                return words[: found.start()] + (f"{mark}{code}{mark}" if code.strip() else ""), True
            position = closing.end()
        elif opening := opening_at(words, found.start()):
            begin = found.start() + len(opening)
            end = find_closing(words, begin, len(words), opening)
            if end >= 0:
                position = end + len(closing_of(opening))
            elif opening[0] != "$" or _TEX.match(words, begin) or begin == len(words):
                return words[: found.start()] + _as_code(words[found.start() :]), True
            else:
                position = begin
        else:
            position = begin
    return words, False


def _as_code(formula: str) -> str:
    """Return half a formula as code: as a formula it would be an error."""
    tex = formula.lstrip("$") if formula.startswith("$") else formula.removeprefix("\\(").removeprefix("\\[")
    tex = " ".join(tex.rstrip("$\\").replace("`", "").split())
    return f"`{tex}`" if tex else ""


def _open_marks(state: StateInline) -> list[tuple[int, str]]:
    """Return the marks of emphasis that are opened and not closed, each with its place among the tokens."""
    return [
        (each.token, chr(each.marker) * (2 if each.marker == ord("~") else 1))
        for each in _unmatched(state.delimiters, state.tokens)
    ]


def _open_tags(tokens: Sequence[Token]) -> list[tuple[int, str]]:
    """Return what closes the tags that are opened and not closed, each with its place among the tokens."""
    found: list[tuple[int, str]] = []
    for at, token in enumerate(tokens):
        tag = TAG.fullmatch(token.content) if token.type == "tag" else None
        if tag and not tag[1]:
            found.append((at, f"</{token.tag}>"))
        elif tag and found and found[-1][1] == f"</{token.tag}>":
            found.pop()
    return found


def _unmatched(delimiters: Sequence[Delimiter], tokens: Sequence[Token]) -> list[Delimiter]:
    ends = {each.end for each in delimiters}
    found: list[Delimiter] = []
    for at, each in enumerate(delimiters):
        if each.open and each.end < 0 and at not in ends:
            before = tokens[each.token - 1].content[-1:] if each.token else ""
            # Between letters it is rather a multiplication (or Chinese, which has no spaces).
            if not (before.isalnum() and before.isascii()):
                found.append(each)
    return found
