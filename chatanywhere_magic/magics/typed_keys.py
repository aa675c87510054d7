"""Find keys in the text of a cell: all known forms, where they are meant for us, and what sets our variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .. import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "***"
VARIABLE: Final = r"(?P<variable>OPENAI_API_KEY|CHATANYWHERE_API_KEY)"
ABBREVIATED: Final = re.compile(r"\.{3}|…|\*{3}|<")
"""Placeholders for a key in instructions, as in ``sk-…``; no key contains them."""
_MARKS: Final = ("://", "key", "token", "secret", "pass", "pwd", "cred", "_pat", "bearer", "basic", "login", "curl")
_LONG: Final = re.compile(r"[A-Za-z0-9+/=_.~$:-]{15,}")
_LONGER: Final = 30
_GLUE: Final = re.compile(r"""["'][ \t]{0,80}\\?\n\s{0,200}[rbufRBUF]{0,2}["']|\\\n""")
"""What separates two pieces of one string that goes on in the next line."""
_STRING: Final = r"""[\s\\(]{0,200}[rbufRBUF]{0,2}(?:"{3}|'{3}|["'])\s{0,50}(?P<key>[^\s"'{$][^"'\n]{0,500})"""
_ITEM: Final = re.compile(rf"""\benviron\[\s{{0,9}}["']{VARIABLE}["']\s{{0,9}}\]\s{{0,9}}={_STRING}""")
_UPDATE: Final = re.compile(r"\benviron[ \t]{0,9}(?:\.update[ \t]{0,9}(?=\()|\|=[ \t]{0,9}(?=[({]|dict\())")
_ENTRY: Final = re.compile(rf"""\b{VARIABLE}["']?\s{{0,20}}[=:,]{_STRING}""")
_CALL: Final = re.compile(r"(?<![\w.])chat(?:\.\w{1,40}){0,4}[ \t]{0,9}(?=\()")
_ALLOWED: Final = re.compile(r"\ballow_secrets[ \t]{0,9}=[ \t]{0,9}True\b")
_TOKEN: Final = re.compile(r"""\\[\s\S]|"{3}|'{3}|["'#\n()\[\]{}]""")


def spans_of_keys(source: str) -> list[tuple[int, int]]:
    """Return where keys of known forms stand in `source`, also those that go on in the next line."""
    if not _may_hold_keys(source):
        return []
    spans = {(leak.start, leak.end) for leak in keys.find_leaks(source)}
    if _GLUE.search(source):
        spans.update(_spans_across_lines(source))
    return sorted(spans)


def keys_in(source: str) -> set[str]:
    """Return the keys of known forms in `source`, as they are written there."""
    return {source[start:end] for start, end in spans_of_keys(source)}


def masked(words: str, found: Iterable[str]) -> str:
    """Return `words` without the keys that were `found`, which may also stand in a string literal."""
    for key in sorted(found, key=len, reverse=True):
        words = words.replace(key, MASK).replace(repr(key)[1:-1], MASK)
    return words


def prompts(source: str) -> list[tuple[int, int]]:
    """Return where calls of our session stand in `source`, without those that allow secrets."""
    return [(start, end) for start, end in _regions(_CALL, source) if not _ALLOWED.search(source, start, end)]


def set_variables(source: str) -> Iterator[tuple[str, str]]:
    """Yield which of our variables are set in the environment, each with its value, over however many lines."""
    found = [*_ITEM.finditer(source)]
    for start, end in _regions(_UPDATE, source):
        found += _ENTRY.finditer(source, start, end)
    for match in found:
        if not ABBREVIATED.search(match["key"]) and "{" not in match["key"]:
            yield match["variable"], match["key"]


def _may_hold_keys(source: str) -> bool:
    """Tell quickly whether `source` is worth a closer look: most cells are not."""
    small = source.lower()
    if any(mark in small for mark in _MARKS):
        return True
    if _GLUE.search(source):
        source = _GLUE.sub("", source)
    return any(len(word) >= _LONGER or any(c.isdigit() for c in word) for word in _LONG.findall(source))


def _spans_across_lines(source: str) -> Iterator[tuple[int, int]]:
    pieces: list[str] = []
    begins: list[tuple[int, int]] = []
    """Where each piece begins: joined, and in `source`."""
    at = length = 0
    for glue in [*_GLUE.finditer(source), None]:
        end = glue.start() if glue else len(source)
        pieces.append(source[at:end])
        begins.append((length, at))
        length += end - at
        at = glue.end() if glue else end
    row = 0
    for leak in keys.find_leaks("".join(pieces)):
        while row + 1 < len(begins) and begins[row + 1][0] <= leak.start:
            row += 1
        last = row
        while last + 1 < len(begins) and begins[last + 1][0] < leak.end:
            last += 1
        if last > row:
            (joined, typed), (joined_last, typed_last) = begins[row], begins[last]
            yield typed + leak.start - joined, typed_last + leak.end - joined_last


def _regions(pattern: re.Pattern[str], source: str) -> Iterator[tuple[int, int]]:
    """Yield what `pattern` begins, up to the bracket that ends it."""
    at = 0
    while match := pattern.search(source, at):
        at = _end_of_brackets(source, match.end())
        yield match.start(), at


def _end_of_brackets(source: str, at: int) -> int:
    """Return where the bracket that opens behind `at` is closed; the end of the text where it is not."""
    depth, inside = 0, ""
    for token in _TOKEN.finditer(source, at):
        mark = token[0]
        if inside:  # a string, or a comment, which ends with its line as a string of one line does
            if mark[0] != "\\" and (mark.startswith(inside) or (mark == "\n" and len(inside) == 1)):
                inside = ""
        elif mark[0] in "\"'#":
            inside = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
            if depth <= 0:
                return token.end()
    return len(source)
