"""Three tags of HTML that models write for want of a mark: ``<br>``, ``<sub>`` and ``<sup>``, without attributes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

_BREAK: Final = re.compile(r"<(?:br\s?/?|/br)>", re.IGNORECASE)
TAG: Final = re.compile(r"<(/?)(su[bp])>", re.IGNORECASE)


def add_tags(parser: MarkdownIt) -> None:
    """Teach `parser` these tags."""
    parser.inline.ruler.before("autolink", "tag", _tag_rule)
    parser.inline.ruler2.after("emphasis", "tag", _pair)


def _tag_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    if state.src[state.pos] != "<":
        return False
    found = _BREAK.match(state.src, state.pos, state.posMax) or TAG.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        if found.re is _BREAK:
            state.push("hardbreak", "br", 0)
        else:
            token = state.push("tag", found[2].lower(), 0)
            token.content, token.info = found[0], found[1]
    state.pos = found.end()
    return True


def _pair(state: StateInline) -> None:
    """Make elements of the tags that are balanced, also with the emphasis around them; of the others, text."""
    opened: list[int] = []
    for at, token in enumerate(state.tokens):
        if token.type == "tag" and token.info:
            first = state.tokens[opened[-1]] if opened else token
            if first.type == "tag" and not first.info and first.tag == token.tag:
                opened.pop()
                first.type, first.nesting, first.content = f"{token.tag}_open", 1, ""
                token.type, token.nesting, token.content = f"{token.tag}_close", -1, ""
        elif token.type == "tag" or token.nesting == 1:
            opened.append(at)
        elif token.nesting == -1:
            while opened and state.tokens[opened.pop()].type == "tag":
                pass
    for token in state.tokens:
        if token.type == "tag":
            token.type, token.tag, token.info = "text", "", ""
