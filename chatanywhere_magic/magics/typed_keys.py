"""Find keys in the text of a cell: all known forms, where they are meant for us, and what sets our variables."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from .. import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "***"
_ABBREVIATED: Final = re.compile(r"\.{3}|…|\*{3}|<")
"""Placeholders for a key in instructions, as in ``sk-…``; no key contains them."""
_MARKS: Final = ("://", "key", "token", "secret", "pass", "pwd", "cred", "_pat", "bearer", "basic", "login", "curl")
_LONG: Final = re.compile(r"[A-Za-z0-9+/=_.~$:-]{15,}")
_LONGER: Final = 30
_GLUE: Final = re.compile(r"""["'][ \t]{0,80}\\?\n\s{0,200}[rbufRBUF]{0,2}["']|\\\n""")
"""What separates two pieces of one string that goes on in the next line."""
_STRING: Final = r"""[\s\\(]{0,200}[rbufRBUF]{0,2}(?:"{3}|'{3}|["'])\s{0,50}(?P<key>[^\s"'{$][^"'\n]{0,500})"""
_MADE: Final = re.compile(r"""["']{0,3}\s{0,20}(?:\.\s{0,20}(?:join|format|format_map)\b|%)""")
"""Behind a string that a key is made with."""
_UPDATE: Final = re.compile(r"\benviron[ \t]{0,9}(?:\.update[ \t]{0,9}(?=\()|\|=[ \t]{0,9}(?=[({]|dict\())")
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


def masked(words: str, found: Iterable[str]) -> str:
    """Return `words` without the keys that were `found`, which may also stand in a string literal."""
    tree: dict[str, Any] = {}
    for typed in {each for key in found for each in (key, repr(key)[1:-1])}:
        node = tree
        for character in typed:
            node = node.setdefault(character, {})
        node[""] = True
    if not tree:
        return words
    begins = re.compile("|".join(map(re.escape, tree)))
    pieces: list[str] = []
    at, match = 0, begins.search(words)
    while match:
        end = _longest(tree, words, match.start())
        if end:
            pieces += words[at : match.start()], MASK
            at = end
        match = begins.search(words, end or match.end())
    return "".join([*pieces, words[at:]])


def _longest(tree: dict[str, Any], words: str, at: int) -> int:
    """Return where the longest of the keys in `tree` ends that begins at `at`; 0 if there is none."""
    end, node = 0, tree
    while at < len(words) and (node := node.get(words[at], {})):
        at += 1
        end = at if "" in node else end
    return end


def prompts(source: str) -> list[tuple[int, int]]:
    """Return where calls of our session stand in `source`, without those that allow secrets."""
    return [(start, end) for start, end in _regions(_CALL, source) if not _ALLOWED.search(source, start, end)]


def set_variables(source: str, variables: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield which of some variables are set in the environment, each with its value, over however many lines."""
    item, entry = _assignments(variables)
    found = [*item.finditer(source)]
    for start, end in _regions(_UPDATE, source):
        found += entry.finditer(source, start, end)
    for match in found:
        if is_typed(match) and "{" not in match["key"]:
            yield match["variable"], match["key"]


@lru_cache(maxsize=4)
def _assignments(variables: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    variable = any_of(variables)
    return (
        re.compile(rf"""\benviron\[\s{{0,9}}["']{variable}["']\s{{0,9}}\]\s{{0,9}}={_STRING}"""),
        re.compile(rf"""\b{variable}["']?\s{{0,20}}[=:,]{_STRING}"""),
    )


def any_of(variables: Iterable[str]) -> str:
    """Return the pattern of one of `variables`."""
    return rf"(?P<variable>{'|'.join(map(re.escape, variables))})"


def is_typed(match: re.Match[str]) -> bool:
    """Tell whether what was found is a key, and not what stands for one or what one is made with."""
    return not _ABBREVIATED.search(match["key"]) and not _MADE.match(match.string, match.end())


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
