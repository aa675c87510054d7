"""Nothing reads what others wrote again and again: every pattern of the package, and every reader made of loops.

The patterns are found by importing all modules. Texts that nearly match are made from each of them: what it matches, as
often as one likes, and then something that it does not.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
import re
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import chatanywhere_magic
from chatanywhere_magic.context.mentions import find_ats
from chatanywhere_magic.core.errors import AnswerFormatError
from chatanywhere_magic.core.reply import Reply, code_blocks, find_json
from chatanywhere_magic.export.inert import _PERHAPS_FENCE, inert
from chatanywhere_magic.export.transcript import from_markdown
from chatanywhere_magic.keys import forms
from chatanywhere_magic.magics.transform import LinesAsTyped
from chatanywhere_magic.providers.chatanywhere import _is_page
from chatanywhere_magic.providers.dialects import thinking
from chatanywhere_magic.render.markdown import growing, unfinished

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        from re import _constants as constants  # type: ignore[attr-defined]
        from re import _parser as sre  # type: ignore[attr-defined]
    except ImportError:  # Python 3.10
        import sre_constants as constants  # type: ignore[no-redef]
        import sre_parse as sre  # type: ignore[no-redef]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _pytest.mark import ParameterSet

pytestmark = pytest.mark.slow

SHORT, LONG = 2_000, 8_000
SLACK_SECONDS = 0.05
"""What takes no longer than this is not looked at more closely."""
MATCHED_ONLY = frozenset(
    {_PERHAPS_FENCE, growing._ITEM, thinking._FENCE, unfinished._TEX, *(form.rest for form in forms._FORMS.values())}
)
"""Patterns of what follows a beginning that was found."""
TIMES = 9
"""So many times as long may four times the text take; it is 16 times, if it grows with the square."""


def patterns() -> Iterator[ParameterSet]:
    """Yield the compiled patterns of the package."""
    seen: set[tuple[str | bytes, int]] = set()
    for info in pkgutil.walk_packages(chatanywhere_magic.__path__, "chatanywhere_magic."):
        if ".testing" in info.name or info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in list(vars(module).items()):
            for found in _within(value, 0):
                if (found.pattern, found.flags) not in seen:
                    seen.add((found.pattern, found.flags))
                    yield pytest.param(found, id=f"{info.name.partition('.')[2]}.{name}-{len(seen)}")


def _within(value: Any, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 4:
        if isinstance(value, dict):
            value = list(value.values())
        elif isinstance(value, type) and value.__module__.startswith("chatanywhere_magic"):
            value = list(vars(value).values())
        if isinstance(value, (list, tuple, set, frozenset)):
            for each in value:
                yield from _within(each, depth + 1)


def near_misses(pattern: re.Pattern[Any]) -> list[str]:
    """Return pieces of which hostile texts for `pattern` are made: what each part of it matches."""
    draw = random.Random(1)  # noqa: S311 - the same in every run
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = sre.parse(text, pattern.flags & ~re.DEBUG)
    pieces = {_example(list(tree), draw, repeats) for repeats in (0, 1, 2)}
    for node in _nodes(list(tree)):
        pieces |= {_example([node], draw, 1), _example([node], draw, 3)}
    pieces |= {" ", "\n", "a", "1", "\\", "`", "(", "[", "<", "a ", "-", '"', "@", "\t"}
    return sorted(filter(None, pieces))[:40]


def _nodes(tree: list[Any]) -> Iterator[Any]:
    for node in tree:
        yield node
        for part in _parts(node):
            yield from _nodes(part)


def _parts(node: Any) -> list[list[Any]]:
    operation, argument = node
    if operation in {constants.MAX_REPEAT, constants.MIN_REPEAT}:
        return [list(argument[2])]
    if operation is constants.SUBPATTERN:
        return [list(argument[3])]
    if operation is constants.BRANCH:
        return [list(branch) for branch in argument[1]]
    if operation in {constants.ASSERT, constants.ASSERT_NOT}:
        return [list(argument[1])]
    return []


def _example(tree: list[Any], draw: random.Random, repeats: int) -> str:
    """Return a text that `tree` matches, or nearly."""
    found = []
    for operation, argument in tree:
        if operation is constants.LITERAL:
            found.append(chr(argument))
        elif operation in {constants.NOT_LITERAL, constants.ANY}:
            found.append("b")
        elif operation is constants.IN:
            found.append(_one_of(argument, draw))
        elif operation in {constants.MAX_REPEAT, constants.MIN_REPEAT}:
            low, high, part = argument
            count = min(max(int(low), repeats), int(high), 70)
            found.append("".join(_example(list(part), draw, repeats) for _ in range(count)))
        elif operation is constants.BRANCH:
            found.append(_example(list(draw.choice(argument[1])), draw, repeats))
        else:
            found += [_example(part, draw, repeats) for part in _parts((operation, argument))]
    return "".join(found)


_CLASSES = {
    constants.CATEGORY_DIGIT: "7",
    constants.CATEGORY_SPACE: " ",
    constants.CATEGORY_WORD: "w",
    constants.CATEGORY_NOT_SPACE: "s",
    constants.CATEGORY_NOT_WORD: "-",
    constants.CATEGORY_NOT_DIGIT: "d",
}


def _one_of(choices: list[Any], draw: random.Random) -> str:
    if choices[0][0] is constants.NEGATE:
        return next((each for each in "b1 -x" if not any(_holds(choice, each) for choice in choices[1:])), "é")
    operation, argument = draw.choice(choices)
    if operation is constants.LITERAL:
        return chr(argument)
    if operation is constants.RANGE:
        return chr(argument[0])
    return _CLASSES.get(argument, "c")


def _holds(choice: Any, letter: str) -> bool:
    operation, argument = choice
    if operation is constants.LITERAL:
        return bool(ord(letter) == argument)
    if operation is constants.RANGE:
        return bool(argument[0] <= ord(letter) <= argument[1])
    return {
        "CATEGORY_DIGIT": letter.isdigit(),
        "CATEGORY_SPACE": letter.isspace(),
        "CATEGORY_WORD": letter.isalnum(),
    }.get(str(argument), False)


def grows_with_the_length(work: Callable[[str], object], piece: str, tail: str) -> bool:
    """Tell whether `work` takes about four times as long for four times as much of `piece`."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece) + 1) + tail
        start = time.thread_time()
        work(text)
        return time.thread_time() - start

    if seconds(LONG) < SLACK_SECONDS:
        return True
    return min(seconds(LONG) for _ in range(2)) < TIMES * max(min(seconds(SHORT) for _ in range(3)), SLACK_SECONDS / 16)


@pytest.mark.parametrize("pattern", list(patterns()))
def test_every_pattern_takes_time_with_the_length_of_the_text(
    pattern: re.Pattern[Any], request: pytest.FixtureRequest
) -> None:
    # What the person types is matched from its beginning.
    is_matched_only = pattern in MATCHED_ONLY or "[magics." in request.node.name

    def work(text: str) -> None:
        words: Any = text if isinstance(pattern.pattern, str) else text.encode()
        pattern.match(words)
        pattern.fullmatch(words)
        for _ in pattern.finditer(words) if not is_matched_only else ():
            pass

    pieces = near_misses(pattern)
    slow = [
        (piece, tail) for piece in pieces for tail in ("", "\x01\n!") if not grows_with_the_length(work, piece, tail)
    ]
    assert not slow


def _json(text: str) -> None:
    with suppress(AnswerFormatError):
        find_json(text + "\x00")


def _transformed(text: str) -> None:
    LinesAsTyped()(text.splitlines(keepends=True)[:500])


def _transcript(text: str) -> None:
    number = 'chatanywhere:0 conversation {"schema": 1}'
    with suppress(ValueError):
        from_markdown(f"<!-- {number} -->\n{text}")


READERS: dict[str, Callable[[str], object]] = {
    "json": _json,
    "code": code_blocks,
    "tables": lambda text: Reply(text).tables,
    "mentions": lambda text: list(find_ats(text)),
    "inert": inert,
    "transcript": _transcript,
    "page": _is_page,
}
PIECES = [
    "[",
    "[1,",
    '["a", ',
    '{"a": ',
    '{"a": [',
    "[[1],",
    '"[',
    "```\n",
    "```a\n",
    "~~~\n",
    "`a ``b ",
    "`",
    "@x\n",
    "@a ",
    "@a://b ",
    "a.b://",
    "    @x\n",
    "<!---->",
    "<!-- ",
    "<?xml ",
    "\\(a ",
    "$a\\$",
    "|\n",
    "|a|b|\n|-|-|\n",
    "> ",
    "- a\n",
    "\\",
    "![",
    "![",
    "<!-- chatanywhere:0 question {} -->\n",
    "<!-- chatanywhere:0 end -->\n",
    "chatanywhere:1 ",
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_every_reader_takes_time_with_the_length_of_the_text(reader: str, piece: str) -> None:
    assert grows_with_the_length(READERS[reader], piece, "x")


def test_a_web_page_is_known_behind_comments() -> None:
    assert _is_page("\n<!-- a --> <!---->\n<?xml version='1.0'?>\n<!DOCTYPE html>")
    assert _is_page("<HTML>")
    assert not _is_page("<!---->" * 300 + "x")
    assert not _is_page("<!-- <html>")
    assert not _is_page("<headline>")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ('[1 [2, {"a": [3]}] x', [2, {"a": [3]}]),
        ('see [x] and {y}: {"a": 1} or [2]', {"a": 1}),
        ('[1, [2], "cut', [2]),
        ("[" * 300 + "1]", [1]),
        ('{"a": "[1]", "b": ', None),
    ],
)
def test_the_first_value_that_is_whole_is_found(words: str, value: Any) -> None:
    if value is None:
        with pytest.raises(AnswerFormatError):
            find_json(words)
    else:
        assert find_json(words) == value


def test_many_lines_of_ours_are_rewritten_at_once() -> None:
    lines = ["%chat What is a list?\n", "if x:\n", "    y = %chat And a set?\n", "    z = 1\n", "w = 2\n"] * 200
    start = time.thread_time()
    rewritten = LinesAsTyped()(lines)
    assert time.thread_time() - start < 3
    assert sum("run_line_magic" in line for line in rewritten) == 400
    assert json.dumps(rewritten).count("%chat") == 0


@pytest.mark.parametrize("opening", ['x = """\n', "x = [\n"], ids=["string", "brackets"])
def test_lines_of_ours_that_are_no_statements_are_not_read_again_and_again(opening: str) -> None:
    def spent(count: int) -> float:
        start = time.thread_time()
        LinesAsTyped()([opening, *["%chat a\n"] * count])
        return time.thread_time() - start

    # Where each was read from the opening on, sixteen times as many took 256 times as long.
    assert min(spent(16_000) for _ in range(2)) < 40 * max(spent(1_000), 0.05)
