"""Emphasis next to Chinese, Japanese and Korean punctuation: ``**重点：**后面``.

CommonMark expects a space behind a mark that ends with punctuation, and there is none in these scripts. The rule is
that of https://github.com/tats-u/markdown-cjk-friendly, and reaches a little further: quotation marks and dashes count
as what they stand beside, and ``_`` works between such punctuation and a letter, too.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

_LOOKED_AT: Final = 4
"""Quotation marks and the like in a row."""
_SELECTORS: Final = ("\ufe00", "\ufe0e"), ("\U000e0100", "\U000e01ef")
"""They choose how the character before them looks."""
_EMOJI: Final = ("\U0001f000", "\U0001faff")


def add_emphasis(parser: MarkdownIt) -> None:
    """Teach `parser` where emphasis begins and ends in text without spaces."""
    from markdown_it.rules_inline import emphasis, strikethrough

    parser.inline.ruler.at("emphasis", _with_scan(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", _with_scan(strikethrough.tokenize))


def _with_scan(tokenize: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    def rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
        if state.src[state.pos] not in "*_~":
            return False
        if not state.src.isascii():
            state.scanDelims = lambda start, can_split: _scan(state, start, can_split)  # type: ignore[assignment,method-assign]
        return tokenize(state, silent)

    return rule


def _scan(state: StateInline, start: int, can_split_word: bool) -> Any:  # noqa: FBT001 - markdown-it's signature
    """Return whether the marks at `start` can begin and can end emphasis, and how many they are."""
    from markdown_it.rules_inline.state_inline import Scanned

    source, end = state.src, start
    while end < state.posMax and source[end] == source[start]:
        end += 1
    before = _kind(source[start - 1] if start else " ")
    behind = _kind(source[end] if end < state.posMax else " ")
    cjk_before, cjk_behind = _is_cjk_at(source, start - 1, -1, 0), _is_cjk_at(source, end, 1, state.posMax)
    foreign_before, foreign_behind = before == "mark" and not cjk_before, behind == "mark" and not cjk_behind
    left = behind != "space" and (not foreign_behind or before == "space" or foreign_before or cjk_before)
    right = before != "space" and (not foreign_before or behind == "space" or foreign_behind or cjk_behind)
    is_edge = (before == "mark") != (behind == "mark") and (cjk_before or cjk_behind)
    can_open = left and (can_split_word or not right or before == "mark" or is_edge)
    can_close = right and (can_split_word or not left or behind == "mark" or is_edge)
    return Scanned(can_open, can_close, end - start)


def _kind(letter: str) -> str:
    if letter.isspace():
        return "space"
    return "mark" if unicodedata.category(letter)[0] in "PS" else "letter"


def _is_cjk_at(source: str, at: int, step: int, end: int) -> bool:
    """Tell whether the character at `at` is of CJK text; for quotation marks and dashes, what is beyond them."""
    for _ in range(_LOOKED_AT):
        if not 0 <= at < len(source) or (step > 0 and at == end):
            return False
        letter = source[at]
        is_selector = any(first <= letter <= last for first, last in _SELECTORS)
        if not is_selector and not (unicodedata.east_asian_width(letter) == "A" and _kind(letter) == "mark"):
            return _is_cjk(letter)
        at += step
    return False


@lru_cache(maxsize=1024)
def _is_cjk(letter: str) -> bool:
    if unicodedata.east_asian_width(letter) in "WFH":
        is_picture = unicodedata.category(letter) == "So" and letter < "\u2e80"
        return not is_picture and not _EMOJI[0] <= letter <= _EMOJI[1]
    return "\u1100" <= letter <= "\u11ff"  # parts of Korean syllables
