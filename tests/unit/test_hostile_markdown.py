"""Answers written to be slow to show: the work grows with their length, and every long block is finished at last."""

from __future__ import annotations

import time

import pytest

from chatanywhere_magic.render.display.terminal import printable
from chatanywhere_magic.render.markdown import IncrementalRenderer, to_html
from chatanywhere_magic.render.markdown import incremental as module
from chatanywhere_magic.render.markdown.code import highlighted

pytestmark = pytest.mark.slow

END = "\n\nDone **well**"
SHOWN_END = "Done <strong>well</strong>"


@pytest.mark.parametrize(
    "table",
    [
        "|" + "a" * 3_100 + "|b|\n|-|-|\n" + "|1|2|\n" * 500,
        "|" + "a|" * 1_600 + "\n|" + "-|" * 1_600 + "\n" + "|" + "1|" * 1_600 + "\n",
        "|a|b|\n|" + "-" * 4_000 + "|-|\n" + "|1|2|\n" * 10,
        "|" + "a" * 60_000 + "|b|\n|-|-|\n|1|2|\n",
    ],
)
def test_a_table_with_a_long_head_is_shown_at_last(table: str) -> None:
    html = to_html(table + END)
    assert SHOWN_END in html
    assert len(html) < 40 * len(table) + 10_000  # a head is not repeated for every row


def test_rows_of_cells_that_are_not_there_are_not_made() -> None:
    table = "|" + "a|" * 500 + "\n|" + "-|" * 500 + "\n" + "|\n" * 4_000
    assert len(to_html(table)) < 10 * len(table)
    wide = "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n" + ("|" + "1|" * 300 + "\n") * 3
    assert wide.count("1|") == to_html(wide).count("<td")


BLOCKS = {
    "a formula that is never closed": "\\[\n",
    "a formula that is closed elsewhere": "$$ a\n",
    "formulas in a line": r"\(a ",
    "dollars": "$a\\$",
    "brackets": "[",
    "links": "[a](",
    "pictures": "![",
    "code": "`a``b",
    "emphasis": "**a *b",
    "quotes": "> ",
    "items": "- a\n",
    "nested items": "* a\n    ",
    "definitions": "[a]: https://a.example 'c\n",
    "entities": "&a;",
    "cells": "|\n",
    "rules": "- - - x\n",
    "fences": "```\n",
    "differences": "```diff\n+a\n\n",
    "one word": "a",
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_it_is_shown_in_time_that_grows_with_its_length(kind: str) -> None:
    def seconds(size: int) -> float:
        text = BLOCKS[kind] * (size // len(BLOCKS[kind]))
        start = time.thread_time()
        to_html(text)
        return time.thread_time() - start

    seconds(300)
    short = min(seconds(3_000) for _ in range(2))
    # 16 times as long, if it grew with the square. The best of three: a collection of garbage takes its time, too.
    assert min(seconds(12_000) for _ in range(3)) < 9 * short + 0.3


@pytest.mark.parametrize("language", ["diff", "perl", "python", "md"])
@pytest.mark.parametrize("code", ["\n", "+", "q{", "x = '\n\n"])
def test_colours_take_a_bounded_time(language: str, code: str) -> None:
    code *= 10_000 // len(code)
    start = time.thread_time()
    html = highlighted(code, language)
    to_html(f"```{language}\n{code}\n```{END}")
    assert time.thread_time() - start < 4
    assert html.count("+") == code.count("+")


def test_code_that_is_one_long_line_stays_code() -> None:
    html = to_html("```json\n" + '{"a": 1},' * 20_000 + "\n```" + END)
    assert SHOWN_END in html
    assert html.count("<pre") > 20
    assert "white-space: pre-wrap" not in html


@pytest.mark.parametrize("words", ["a *b* ", "a *b*\n", "> a\n", "- ", "[", "x"])
def test_a_block_without_end_is_shown_as_it_is_written(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK", 8_000)
    monkeypatch.setattr(module, "_FREE_SECONDS", 3_600.0)  # on a busy machine time would cut it, too
    text = words * (20_000 // len(words))
    whole = IncrementalRenderer()
    whole.feed(text + END)
    whole.finish()
    assert SHOWN_END in "".join(whole.pieces)
    pieces = IncrementalRenderer()
    for at in range(0, len(text + END), 1_001):
        pieces.feed((text + END)[at : at + 1_001])
        assert len(pieces.open_text) < 1.2 * module.MAX_BLOCK
    pieces.finish()
    assert pieces.pieces == whole.pieces


def test_past_its_time_a_text_is_shown_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FREE_SECONDS", -1.0)
    renderer = IncrementalRenderer()
    renderer.feed("One *word*.\n\nAnd <b>")
    assert "*word*" in "".join([*renderer.pieces, renderer.tail()])
    renderer.finish()
    html = "".join(renderer.pieces)
    assert "One *word*." in html
    assert "And &lt;b&gt;" in html


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x200B, 0x200E, 0x200F, 0xFEFF, 0xAD])
def test_a_terminal_gets_nothing_that_turns_or_hides_words(code: int) -> None:
    assert printable(f"a{chr(code)}b") == "ab"


def test_a_terminal_gets_everything_else() -> None:
    words = "a\tb\nключ 字 שלום می‌خواهم 👩‍🚀 é ❤️"
    assert printable(words) == words
    assert printable("a\x1b[31mb\x9b\x7f\ud800\x00") == "a[31mb"


@pytest.mark.parametrize("kind", [*BLOCKS, "a long paragraph"])
@pytest.mark.parametrize("finishes", [True, False])
def test_what_is_left_is_shown_as_it_is_written_once_somebody_waits(kind: str, finishes: bool) -> None:
    """However a block is made: the parser asks in the middle of it."""
    piece = BLOCKS.get(kind, "a *b* [c](d) `e` ")
    words = piece * (100_000 // len(piece)) + END
    looks = 0

    def hurries() -> bool:
        nonlocal looks
        looks += 1
        return looks > 20

    began = time.thread_time()
    renderer = IncrementalRenderer(hurries)
    renderer.feed(words)
    shown = "".join([*renderer.pieces, *(renderer.finish() if finishes else [renderer.tail()])])
    assert time.thread_time() - began < 0.5
    assert "Done" in shown
