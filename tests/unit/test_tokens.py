"""How long a text is to a model: an estimate that errs high."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.core.messages import MessageDict
from chatanywhere_magic.core.tokens import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    SAMPLED_LENGTH,
    estimate,
    estimate_content,
    estimate_messages,
    fewest,
)

# With what GPT-4's tokenizer (cl100k_base) and GPT-4o's (o200k_base) make of each; see `benchmarks/tokens.py`.
SAMPLES: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).parents[1].joinpath("support", "tokens.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_prose_and_code_are_hardly_ever_put_too_low(sample: dict[str, Any]) -> None:
    tokens = estimate(sample["text"])
    assert 0.9 * sample["cl100k_base"] <= tokens <= 1.6 * sample["cl100k_base"]
    assert tokens >= sample["o200k_base"]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_no_tokenizer_needs_fewer_tokens_than_the_fewest(sample: dict[str, Any]) -> None:
    assert 0.2 * sample["o200k_base"] <= fewest(sample["text"]) <= sample["o200k_base"]


def test_nothing_is_nothing() -> None:
    assert estimate("") == 0
    assert estimate_messages([]) == 0


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_texts_are_about_as_long_together_as_apart(one: str, other: str) -> None:
    # Words, numbers and runs may meet where the texts do; nothing else is gained or lost.
    assert abs(estimate(one + other) - estimate(one) - estimate(other)) <= 20


@given(st.text(max_size=300))
def test_no_text_is_put_at_more_than_twice_its_bytes(words: str) -> None:
    assert estimate(words) <= 2 * len(words.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("character", ["a", "Я", "ї", "中", "가", "é", "א", "न", "7", "_", "\n", "😀"])
def test_no_character_that_is_written_is_free(character: str) -> None:
    assert estimate(character) >= 1


def test_a_picture_and_the_marks_around_a_message_count_too() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    content = [{"type": "text", "text": "What is this?"}, picture]
    assert estimate_content(content) == estimate("What is this?") + IMAGE_TOKENS
    messages = [MessageDict(role="user", content="a"), MessageDict(role="assistant", content="b")]
    assert estimate_messages(messages) == 2 * MESSAGE_TOKENS + 2


@pytest.mark.parametrize("words", ["A sentence of plain words. ", "> ", "数字和词 ", "Zx9" * 20, "a\n\n"])
def test_a_long_text_costs_no_more_than_one_that_is_not(words: str) -> None:
    whole = words * (8 * SAMPLED_LENGTH // len(words))
    part = whole[: SAMPLED_LENGTH // 2]
    assert abs(estimate(whole) / estimate(part) / (len(whole) / len(part)) - 1) < 0.1

    def seconds(text: str) -> float:
        begun = time.thread_time()
        estimate(text)
        return time.thread_time() - begun

    assert min(seconds(whole) for _ in range(3)) < 4 * min(seconds(part) for _ in range(3))
