"""Fences around code as models write them: what names the language, and fences in fences."""

from __future__ import annotations

import re
from typing import Final

_FENCE: Final = re.compile(
    r"[ \t]{0,40}(?:(?:[*+>-]|\d{1,9}[.)])[ \t]{1,9}){0,5}(?P<fence>`{3,}(?!`)|~{3,}(?!~))(?P<info>[^\n]*)"
)
_BRACES: Final = re.compile(r"\{(?P<inner>[^}]*)\}?(?P<after>.*)")
_DIRECTIVES: Final = frozenset({"code", "code-block", "code-cell", "highlight", "sourcecode"})
"""What stands before the language in Markdown for Sphinx and Jupyter Book."""
_CLASS: Final = re.compile(r"(?:^|\s)\.([\w+#-]+)")
_ATTRIBUTE: Final = re.compile(r"""(?:[\w-]{1,20}=|\d{1,6}:(?:\d{1,6}:)?)(?P<value>"[^"]*"|'[^']*'|\S*)""")
_PATH: Final = re.compile(r"[\w./\\@+ -]{0,200}\.(?P<suffix>[a-z]\w{0,8})")
_NAME: Final = re.compile(r"\.?(?:(?:lang|language|jupyter)-(?=\w))?(?P<name>[\w+#-]*)")


def language_of(info: str) -> str:
    """Return the language that a fence's info string names, in lower case; ``""`` if it names none.

    Beside it may stand a file (``python:plot.py``), attributes (``{.python #id}``), what to do with it
    (``python {cmd}``) or lines to mark (``python{1,3}``). A file may stand alone (``plot.py``, ``title="plot.py"``).
    """
    info = info.strip().lower()
    if braces := _BRACES.match(info):
        name = (braces["inner"].split() or [""])[0]
        if name in _DIRECTIVES:
            return language_of(braces["after"])
        found = _CLASS.search(braces["inner"])
        info = found[1] if found else name.lstrip("=")
    attribute = _ATTRIBUTE.match(info)
    word = attribute["value"].strip("\"'") if attribute else (info.split() or [""])[0]
    if path := _PATH.fullmatch(word):
        return path["suffix"]
    match = None if attribute else _NAME.match(word)
    return match["name"] if match else ""


def with_outer_fences(markdown: str) -> str:
    r"""Return a text in which a block ends at its own fence, and not at that of a block inside it.

    Models write Markdown in Markdown with fences of one length, where the first that closes would end both. A fence
    with an info string opens a block inside the one that is open; the outer fences are made longer than those inside.
    Where not every fence is closed then, nothing is changed.
    """
    lines = markdown.split("\n")
    opened: list[tuple[int, str]] = []
    longest = 0
    """The longest fence inside the outermost block."""
    wanted: dict[int, int] = {}
    for row, line in enumerate(lines):
        found = _FENCE.match(line)
        if found is None or (found["fence"][0] == "`" and "`" in found["info"]):
            continue
        fence = found["fence"]
        is_same = bool(opened) and opened[-1][1][0] == fence[0] and len(fence) >= len(opened[-1][1])
        if not opened or (is_same and found["info"].strip()):
            longest = max(longest, len(fence)) if opened else 0
            opened.append((row, fence))
        elif is_same:
            begin, outer = opened.pop()
            if not opened and longest >= len(outer):
                wanted |= dict.fromkeys((begin, row), longest + 1)
    if opened or not wanted:
        return markdown
    for row, length in wanted.items():
        fence = _FENCE.match(lines[row])["fence"]  # type: ignore[index]  # it matched above
        lines[row] = lines[row].replace(fence, fence[0] * length, 1)
    return "\n".join(lines)
