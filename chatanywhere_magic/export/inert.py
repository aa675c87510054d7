"""Make Markdown inert, so that no program that opens it runs or fetches anything.

An exported answer is rendered by programs that are not ours. All of them leave code as it is; everywhere else the
beginnings of HTML and of pictures are taken apart here. Where programs could disagree on what is code, it is taken not
to be: then a backslash too many is seen, and nothing is fetched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FENCE: Final = re.compile(r"(`{3,}(?=[^`]*$)|~{3,}(?!~))[ \t]*(.*)")
"""At the beginning of a line only: in a list or a quotation a fence can end in more than one way."""
_PERHAPS_FENCE: Final = re.compile(r"[ \t>*+\-\d.)]*(`{3,}(?=[^`]*$)|~{3,})")
"""At the beginning of a line that is indented, of a list or a quotation."""
_ALIVE: Final = re.compile(
    r"<(?=[A-Za-z/!?])|!(?=\[)|\\(?=(?:href|url|style|class|cssId|data|bbox|unicode|mmlToken|includegraphics|require"
    r"|[a-z]*def|[fg]?let|(?:re|provide)?newcommand|providecommand|(?:re)?newenvironment|Declare\w+)(?![A-Za-z]))"
)
"""What begins HTML, an address in angle brackets, a picture; or a command that makes a link or a style of a formula, or
another such command."""
_FORMULA: Final = re.compile(r"\$|\\[(\[]")
_CLOSING: Final = {"$": "$", "\\(": "\\)", "\\[": "\\]"}
_LONGEST_FORMULA: Final = 1_000
_BACKTICKS: Final = re.compile("`+")
_RUN: Final = re.compile(r"\\.|`+")
_NO_INFO: Final = re.compile(r"[^\w+#.,:=/ -]")
"""What some programs take for text, and then the fence for none."""
_BLANK: Final = " \t"
"""Of other white space a line can be made that is not blank."""
_IN_CODE: Final = 1
_IN_FORMULA: Final = 2


def inert(markdown: str) -> str:
    """Return Markdown that looks the same, with LF line ends, in which nothing runs or is fetched."""
    return "\n".join(line for block in blocks(markdown) for line in block.written)


def inert_line(words: str) -> str:
    """Return words, such as a title, on one line in which nothing runs or is fetched."""
    return "".join(_paragraph_taken_apart([" ".join(words.split())]))


class Block:
    """Some lines of Markdown: a fenced code block, or text up to one.

    Attributes
    ----------
    language : str or None
        The first word after the fence, in lower case; None for text.
    lines : list of str
        Its lines, without those of the fences.
    """

    def __init__(self, fence: str = "", info: str = "") -> None:
        self.fence = fence
        self.language = None if not fence else info.strip().partition(" ")[0].lower()
        self.lines: list[str] = []
        self.end = ""
        self._info = info

    @property
    def written(self) -> Iterator[str]:
        """The lines as they are written, fences among them."""
        if not self.fence:
            yield from _taken_apart(self.lines)
            return
        yield self.fence + _NO_INFO.sub("", self._info)
        yield from self.lines
        # One that was left open, since the response was cut, would take in what follows.
        yield self.end or self.fence


def blocks(markdown: str) -> list[Block]:
    """Return the Markdown's blocks in order; text blocks may be empty."""
    found = [Block()]
    for line in _LINE_END.split(markdown):
        block = found[-1]
        if block.fence and not block.end:
            if re.fullmatch(rf" {{0,3}}{re.escape(block.fence[0])}{{{len(block.fence)},}}[ \t]*", line):
                block.end = line
                found.append(Block())
            else:
                block.lines.append(line)
        elif fence := _FENCE.fullmatch(line):
            found.append(Block(fence[1], line[len(fence[1]) :]))
        else:
            block.lines.append(line)
    return [block for block in found if block.fence or block.lines]


def _taken_apart(lines: list[str]) -> Iterator[str]:
    paragraph: list[str] = []
    at = 0
    while at < len(lines):
        end = _end_of_indented_code(lines, at, paragraph)
        if end is None and lines[at].strip(_BLANK):
            paragraph.append(lines[at])
            at += 1
            continue
        yield from _paragraph_taken_apart(paragraph)
        paragraph = []
        # A blank line is made empty: for some programs a tab continues the paragraph.
        yield from (line if line.strip(_BLANK) else "" for line in lines[at : end or at + 1])
        at = end or at + 1
    yield from _paragraph_taken_apart(paragraph)


def _end_of_indented_code(lines: list[str], at: int, before: list[str]) -> int | None:
    """Return where the fenced block that begins at a line ends, if all programs see one there, as in a list; else None.

    Whether it belongs to the list or, for its indentation, to the paragraph `before` it, its lines are code: none is
    less indented than its fences, none holds another, and nothing is open before it.
    """
    fence = re.fullmatch(r"( +)(`{3,})[^`]*", lines[at])
    if fence is None or any("```" in line or _code_spans(line) is None for line in reversed(before)):
        return None
    for index in range(at + 1, len(lines)):
        line = lines[index]
        if line.rstrip(_BLANK) == fence[1] + fence[2]:
            return index + 1
        if "```" in line or (line.strip(_BLANK) and not line.startswith(fence[1])):
            return None
    return None


def _paragraph_taken_apart(lines: list[str]) -> Iterator[str]:
    # A code span may go on in the next line, unless something else begins there: only spans within a line are sure.
    spans = [_code_spans(line) for line in lines]
    sure = all(found is not None for found in spans)
    opened = 0
    for line, found in zip(lines, spans, strict=True):
        begins = line.count("\\begin{")
        is_formula = opened + begins > 0  # what is taken apart as in a formula is inert anywhere
        opened = max(0, opened + begins - line.count("\\end{"))
        yield _line_taken_apart(line, found if sure and found else [], is_formula=is_formula)


def _code_spans(line: str) -> list[tuple[int, int]] | None:
    """Return where code begins and ends in a line; None if that depends on other lines, or on the program."""
    spans: list[tuple[int, int]] = []
    at = 0
    while found := _RUN.search(line, at):
        at = found.end()
        if found[0].startswith("`"):
            runs = (run.span() for run in _BACKTICKS.finditer(line, at))
            end = next((end for begin, end in runs if end - begin == len(found[0])), 0)
            if not end or "|" in line[found.start() : end]:  # a stroke parts the cells of a table
                return None
            spans.append((found.start(), end))
            at = end
    return spans


def _formulas(line: str) -> Iterator[tuple[int, int]]:
    at = 0
    while found := _FORMULA.search(line, at):
        closing = _CLOSING[found[0]]
        end = line.find(closing, found.end(), found.end() + _LONGEST_FORMULA + len(closing))
        at = end + len(closing) if end >= 0 else found.end()
        if end >= 0:
            yield found.start(), at


def _line_taken_apart(line: str, code: list[tuple[int, int]], *, is_formula: bool) -> str:
    kinds = bytearray(len(line))
    formulas = [(0, len(line))] if is_formula else _formulas(line)
    for kind, spans in ((_IN_FORMULA, formulas), (_IN_CODE, code)):
        for begin, end in spans:
            kinds[begin:end] = bytes([kind]) * (end - begin)

    def apart(found: re.Match[str]) -> str:
        at = found.start()
        if kinds[at] == _IN_CODE or _is_escaped(line, at):
            return found[0]
        if found[0] != "<":
            # "!\\[" is no picture, and in a formula "\\ " is a space.
            return "!\\" if found[0] == "!" else "\\ "
        # In a formula a backslash would begin a command; a space says the same to MathJax.
        return "< " if kinds[at] == _IN_FORMULA else "\\<"

    line = _ALIVE.sub(apart, line)
    # A doubtful fence is defused for every reader, or it would turn the next ones round.
    fence = _PERHAPS_FENCE.match(line)
    if fence is None:
        return line
    begin, end = fence.span(1)
    return line[:begin] + "".join(f"\\{each}" for each in fence[1]) + line[end:]


def _is_escaped(line: str, at: int) -> bool:
    begin = at
    while begin and line[begin - 1] == "\\":
        begin -= 1
    return (at - begin) % 2 == 1
