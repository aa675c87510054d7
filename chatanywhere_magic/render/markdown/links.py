"""Addresses in plain text, as links.

linkify-it knows more forms, but takes ``utils.py`` for one, reads what follows each ``://`` anew, and goes on behind
Chinese punctuation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

_TEXT_ENDS: Final = re.compile(
    r"[\n!#$%&*+\-:<=>@[\\\]^_`{}~]|[hH][tT]{2}[pP][sS]?://|(?:www|WWW)\.|(?:mailto|MAILTO):"
)
"""Where plain text is over for markdown-it, or an address begins."""
_BEGINNING: Final = re.compile(r"(?i:https?://(?=[^\W_]|\[[\da-f]*:)|www\.(?=[^\W_])|mailto:(?=[\w.+-]{1,64}@[^\W_]))")
# Ends: white space, quotation marks, brackets, and all punctuation of Chinese, Japanese, Arabic and the like.
_PART: Final = (
    r"[^\s<>\"`|\\()\[\]*~&\x00-\x1f\u00ab\u00bb\u060c\u061b\u061f\u06d4\u0964\u0965\u2014\u2015\u2018-\u2027\u2030-\u205e"
    r"\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f\u30fb\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f\uff1a-\uff20"
    r"\uff3b-\uff40\uff5b-\uff65]"
    r"|\*(?!\*)|~(?!~)|&(?!(?:lt|gt|quot|apos|nbsp|\#39);)|\\[!-/:-@\[-`{-~]"
)
_ADDRESS: Final = re.compile(rf"(?:{_PART}|\((?:{_PART})*\)|\[(?:{_PART})*\])+")
_NOT_BEFORE: Final = re.compile(r"[a-zA-Z0-9<+./@-]")
_NOT_AT_END: Final = "?!.,:;*_~'"
_MARKS: Final = ("://", "www.", "WWW.", "mailto:", "MAILTO:")


def add_links(parser: MarkdownIt) -> None:
    """Teach `parser` to find addresses."""
    from markdown_it.rules_inline import text

    known = ("", False)

    def text_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
        nonlocal known
        source, may_be_there = known
        if state.src is not source:
            may_be_there = has_address(state.src)
            known = (state.src, may_be_there)
        return (_text_before_address if may_be_there else text)(state, silent)

    parser.inline.ruler.at("text", text_rule)
    parser.inline.ruler.after("text", "address", _address_rule)


def has_address(words: str) -> bool:
    """Tell whether an address may stand in `words`, or half of one."""
    return any(mark in words for mark in _MARKS)


def ends_in_address(words: str) -> bool:
    """Tell whether `words` end in an address, which may go on."""
    return has_address(words[max(words.rfind(" "), words.rfind("\n")) + 1 :])


def _text_before_address(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - as above
    found = _TEXT_ENDS.search(state.src, state.pos, state.posMax)
    end = found.start() if found else state.posMax
    if end == state.pos:
        return False
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _address_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - as above
    begin = state.pos
    beginning = _BEGINNING.match(state.src, begin, state.posMax) if state.src[begin] in "hHwWmM" else None
    if beginning is None or state.linkLevel > 0 or _NOT_BEFORE.match(state.src[begin - 1 : begin]):
        return False
    from markdown_it.common.utils import unescapeAll

    found = _ADDRESS.match(state.src, beginning.end(), state.posMax)
    written = beginning[0] + (found[0].rstrip(_NOT_AT_END) if found else "")
    words = unescapeAll(written)
    url = state.md.normalizeLink(f"http://{words}" if beginning[0][0] in "wW" else words)
    if len(written) <= beginning.end() - begin or not state.md.validateLink(url):
        return False
    if not silent:
        state.push("link_open", "a", 1).attrs = {"href": url}
        state.push("text", "", 0).content = state.md.normalizeLinkText(words)
        state.push("link_close", "a", -1)
    state.pos += len(written)
    return True
