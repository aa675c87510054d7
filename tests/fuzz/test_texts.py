"""Responses, prompts and documents that are made of what their readers look for, some of it hundreds of times."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import export
from chatanywhere_magic.context.mentions import find_ats
from chatanywhere_magic.core import ChatError
from chatanywhere_magic.keys.scan import leaks_in, redacted
from chatanywhere_magic.render.markdown import IncrementalRenderer

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 2.0
"""For one example of at most `LENGTH` characters."""
LENGTH: Final = 8_000
MARKS: Final = (
    *"`*_~[]()<>!#|-+=\\$@&%:;'\"\n\t {}0a字",
    *(
        "```\n",
        "$$",
        "\\[",
        "\\)",
        "|-|\n",
        "://",
        "sk-",
        "eyJ",
        "KEY=",
        "-----BEGIN PRIVATE KEY-----",
        "file:",
        "<!-- ",
    ),
    *("chatanywhere:0 question ", '{"role": "user", "content": "', '{"schema": 1, "turns": [', "]}", "%41", "\\u0041"),
)
TEXTS = st.lists(st.tuples(st.sampled_from(MARKS), st.integers(1, 300)), max_size=40).map(
    lambda parts: "".join(mark * count for mark, count in parts)[:LENGTH]
)


def _render(text: str) -> None:
    whole, pieces = IncrementalRenderer(), IncrementalRenderer()
    whole.feed(text)
    for at in range(0, len(text), 997):
        pieces.feed(text[at : at + 997])
        pieces.tail()
    whole.finish()
    pieces.finish()
    assert pieces.pieces == whole.pieces


def _scan(text: str) -> None:
    assert bool(leaks_in(text)) == (redacted(text) != text)


def _read(text: str) -> None:
    for name in ("markdown", "json", "messages", "ipynb"):
        with suppress(ValueError, ChatError):
            export.read(text.encode("utf-8", "surrogatepass"), name)


READERS: Final[dict[str, Callable[[str], object]]] = {
    "renderer": _render,
    "key scan": _scan,
    "@ names": lambda text: list(find_ats(text)),
    "import": _read,
}


@pytest.mark.parametrize("reader", READERS)
@given(TEXTS)
def test_any_text_is_read_in_time(reader: str, text: str) -> None:
    began = time.thread_time()
    READERS[reader](text)
    assert time.thread_time() < began + SECONDS
