"""The context budget with the embedded model, whose own tokenizer counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, Local, Scripted
from chatanywhere_magic.core.tokens import estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.model

RUSSIAN = "Медиана это значение посередине, и половина чисел меньше него. "
CHINESE = "中位数是位于中间的数值，一半的数比它小，另一半比它大。"
ENGLISH = "A median is the value in the middle, and half of the numbers are smaller. "
CODE = "def median(values):\n    ordered = sorted(values)\n    return ordered[len(ordered) // 2]\n"


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatSession]:
    session = ChatSession(provider=Local, max_tokens=1, temperature=0.0)
    session.ask_sync("Hello", history=False)  # so that the model is loaded
    yield session
    session.close()


def counts(*texts: str) -> list[int]:
    counted = asyncio.run(Local.count_tokens("", texts))
    assert counted is not None
    return counted


def test_the_models_own_tokenizer_counts(chat: ChatSession) -> None:  # noqa: ARG001 - which loaded it
    assert counts("", "Hello world, how are you?", "1234567890") == [0, 7, 10]


def test_the_estimate_is_not_far_below_a_small_vocabulary_either(chat: ChatSession) -> None:  # noqa: ARG001 - as above
    english, code, russian, chinese = counts(ENGLISH * 10, CODE * 10, RUSSIAN * 10, CHINESE * 10)
    assert 0.9 * english <= estimate(ENGLISH * 10) <= 1.6 * english
    assert 0.9 * code <= estimate(CODE * 10) <= 1.6 * code
    # Of other scripts its 49,152 pieces know few words.
    assert 0.6 * russian <= estimate(RUSSIAN * 10) <= 1.6 * russian
    assert 0.7 * chinese <= estimate(CHINESE * 10) <= 1.6 * chinese


@pytest.mark.parametrize("words", [RUSSIAN, CHINESE, ENGLISH], ids=["Russian", "Chinese", "English"])
def test_as_much_is_sent_as_fits_and_no_more(chat: ChatSession, words: str) -> None:
    chat.conversations.new()
    parrot = Scripted.of(*[words] * 20)
    for _ in range(20):
        chat.ask_sync(words, provider=parrot)
    chat.budget = 200
    chat.start(live := chat.prepare(words)).result(60)
    chat.budget = None
    usage = live.version.usage
    assert usage is not None
    assert usage.prompt_tokens is not None
    assert 120 <= usage.prompt_tokens <= 200
    assert 0 < live.version.left_out < 20
