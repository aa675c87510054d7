r"""Find the ``@names`` in a prompt, and tell them from a literal ``@``. Text only; nothing is looked up.

``@`` is text in e-mail addresses, URLs and npm scopes (``@types/node``), in `` `code` `` and fenced code, before a
definition (a decorator), and behind a backslash.
"""

from __future__ import annotations

import math
import re
import sys
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT: Final = re.compile(r"(\\?)@(?=[^\W\d])")
NAME: Final = re.compile(r"[^\W\d]\w*")
_FENCE: Final = re.compile(
    r"^ {0,3}(`{3,}(?=[^`\n]*\n)|~{3,}(?!~))[^\n]*\n(?:.*?^ {0,3}\1[`~]*[ \t]*$|.*\Z)", re.MULTILINE | re.DOTALL
)
_TICKS: Final = re.compile(r"`+|\n[ \t]*(?=\n)")
"""Backticks, and where a paragraph ends, which no code goes beyond."""
_URL: Final = re.compile(r"(?<=[A-Za-z0-9+.-])://[^\s<>\"']+")
_DEFINITION: Final = re.compile(r"(?:async[ \t]+def|def|class)\b")
_FILE: Final = re.compile(
    r"""file:(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>[^\s"'`<>|，。；：！？、（）《》“”「」【】]+))"""
)
_LITERAL: Final = r"""-?\d{1,300}(?:\.\d{1,300})?(?:e[+-]?\d{1,3})?|"[^"\n\]]*"|'[^'\n\]]*'|None|True|False|nan"""
_ITEM: Final = re.compile(
    rf"\[\s*(?:(?P<one>{_LITERAL})|\(\s*(?P<many>(?:{_LITERAL})(?:\s*,\s*(?:{_LITERAL}))*)\s*,?\s*\))\s*\]"
)
_PARTS: Final = re.compile(_LITERAL)
_CONSTANTS: Final = {"None": None, "True": True, "False": False, "nan": math.nan}
MAX_READ: Final = 200
"""Characters of a name that may be shorter than what is written."""
_HANDLE: Final = re.compile(r"@|/[^\W\d]")
_SENTENCE_END: Final = ".,;:!?…)]}"

# Scripts that are written without spaces, or with endings behind foreign words.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class At:
    """An ``@`` that is meant: where it stands, and whether a backslash takes its meaning away."""

    position: int
    is_escaped: bool


def find_ats(prompt: str) -> Iterator[At]:
    """Yield every ``@`` that names something, or would without its backslash."""
    if "@" not in prompt:
        return
    fences = [match.span() for match in _FENCE.finditer(prompt)]
    code = (span for span in _code(prompt) if not _is_within(span[0], fences))
    texts = _joined([*fences, *code, *_decorators(prompt), *(match.span() for match in _URL.finditer(prompt))])
    for match in _AT.finditer(prompt):
        position = match.end() - 1
        if _is_within(position, texts):
            continue
        if _may_begin(prompt, match.start()) and not _is_handle(prompt, position):
            yield At(position, bool(match[1]))


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return `spans` in order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _is_within(position: int, spans: list[tuple[int, int]]) -> bool:
    """Tell whether one of `spans`, which are in order and apart, holds `position`."""
    index = bisect_right(spans, (position, sys.maxsize)) - 1
    return index >= 0 and spans[index][0] <= position < spans[index][1]


def _code(prompt: str) -> Iterator[tuple[int, int]]:
    """Yield where `` `code` `` stands: from some backticks to as many in the same paragraph."""
    following: dict[int, int] = {}
    closings: dict[int, int] = {}
    runs = [match.span() for match in _TICKS.finditer(prompt)]
    for start, end in reversed(runs):
        if prompt[start] == "`":
            if end - start in following:
                closings[start] = following[end - start]
            following[end - start] = end
        else:
            following = {}
    at = 0
    for start, _ in runs:
        if start >= at and start in closings:
            at = closings[start]
            yield start, at


def _decorators(prompt: str) -> Iterator[tuple[int, int]]:
    """Yield the lines that begin with ``@`` and stand, as indented as it is, before a definition.

    A call may go on over further lines, and blank lines and comments may stand between.
    """
    end = len(prompt)
    indent: str | None = None
    closed = 0
    """Where the call ends whose closing bracket has been read."""
    for line in reversed(prompt.splitlines(keepends=True)):
        start, words = end - len(line), line.lstrip(" \t")
        before = line[: len(line) - len(words)]
        is_level = before == indent
        if words.startswith("@") and is_level:
            yield start, closed or end
            closed = 0
        elif is_level and words[0] in ")]}":
            closed = end
        elif indent is None or not (closed or not words.strip() or words[0] == "#"):
            indent, closed = before if _DEFINITION.match(words) else None, 0
        end = start


def _may_begin(prompt: str, position: int) -> bool:
    """Whether a name can begin at `position`, which in an address it cannot."""
    before = prompt[position - 1 : position]
    return not before or not (before in "_.+-%/@\\" or (before.isalnum() and not _UNSPACED.match(before)))


def _is_handle(prompt: str, at: int) -> bool:
    """Whether this is ``@scope/package`` or ``@user@host``."""
    name = NAME.match(prompt, at + 1)
    return name is not None and bool(_HANDLE.match(prompt, name.end()))


def readings(name: str) -> Iterator[str]:
    """Yield what a name may be, the longest first: in ``df的列`` it may end where another script begins."""
    for end in (len(name), *range(min(len(name) - 1, MAX_READ), 0, -1)):
        if (end == len(name) or _UNSPACED.match(name[end])) and name[:end].isidentifier():
            yield name[:end]


def likely(name: str) -> str:
    """Return what of an unknown name is meant: ``df`` of ``df的列``, and all of ``销量``."""
    script = _UNSPACED.search(name, 1)
    return name[: script.start()] if script and not _UNSPACED.match(name) else name


def file_path(prompt: str, position: int) -> tuple[str, int] | None:
    """Return the path that is named by ``file:…`` at `position`, and where it ends."""
    match = _FILE.match(prompt, position)
    if match is None:
        return None
    quoted = match["double"] or match["single"]
    if quoted:
        return quoted, match.end()
    bare = match["bare"].rstrip(_SENTENCE_END)
    return (bare, match.start("bare") + len(bare)) if bare else None


def item_key(prompt: str, position: int) -> tuple[Any, int] | None:
    """Return the key of ``[3]``, ``["key"]`` or ``[("a", 1)]`` at `position`, and where it ends."""
    match = _ITEM.match(prompt, position)
    if match is None:
        return None
    if match["one"]:
        return _value(match["one"]), match.end()
    return tuple(_value(part[0]) for part in _PARTS.finditer(match["many"])), match.end()


def _value(literal: str) -> str | float | bool | None:
    if literal[0] in "\"'":
        return literal[1:-1]
    if literal in _CONSTANTS:
        return _CONSTANTS[literal]
    return int(literal) if literal.removeprefix("-").isdecimal() else float(literal)
