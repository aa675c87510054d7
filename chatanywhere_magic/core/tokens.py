"""Estimate the tokens of a text where no tokenizer is available; the estimate errs high. No I/O.

Measured against the tokenizers of GPT-4 and GPT-4o (``benchmarks/tokens.py``): a page of prose, in any of twenty
languages, or of code is estimated at 0.9 to 1.6 times GPT-4's count, and hardly ever below. Newer vocabularies cover
more of the other scripts, so there it errs higher. Only text that no page contains, such as rare Chinese characters
in random order, is estimated too low.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .messages import Content, MessageDict, Messages

START_TOKENS: Final = 30
"""Tokens that a model's template adds to a request."""
MESSAGE_TOKENS: Final = 5
"""What a message costs beside its text: its role and the marks around it."""
CALL_TOKENS: Final = 8
"""What a tool call costs beside its name and its arguments."""
SAMPLED_LENGTH: Final = 200_000
SAMPLE: Final = 1_000
SAMPLES: Final = 100
"""Of a text of more characters so many samples of so many characters are looked at."""
IMAGE_TOKENS: Final = 1_100
"""A picture of a million pixels at OpenAI's high detail; other services ask for less."""

# What one token mostly consists of. A long run of letters and digits is not a word but a key, a digest or base64.
_PIECES: Final = re.compile(
    r"""
      (?P<run>[A-Za-z0-9]{20,})
    | [A-Z]?[a-z]{1,6} | [A-Z]{1,3}
    | \d{1,2}
    | \ +(?=[ \d-]) | \t+ | (?:\r?\n)+    # a single space belongs to the word behind it
    | ([!-/:-@\[-`{-~])\2{0,3}
    | [А-Яа-яЁё]{1,2}
    """,
    re.VERBOSE,
)
_RUN_TOKENS: Final = 0.8
# Tokens per character, by script: the rarer a script is in training data, the more.
_SCRIPTS: Final = (
    (re.compile("[\u0080-\u024f]"), 1.5),  # Latin letters with accents, which also break words up
    (re.compile("[\u0250-\u03ff]"), 1.05),  # Greek
    (re.compile("[\u0400-\u040f\u0450-\u052f]"), 1.05),  # Cyrillic other than Russian's
    (re.compile("[\u0530-\u07ff]"), 0.95),  # Hebrew, Arabic
    (re.compile("[\u0800-\u0dff]"), 1.5),  # of India
    (re.compile("[\u0e00-\uffff]"), 1.35),  # Chinese, Japanese, Korean, Thai
    (re.compile("[\U00010000-\U0010ffff]"), 3.2),  # emoji
)

_WORDS: Final = re.compile(r"(?:[A-Za-z]|[^\x00-\x7f\s])+|\d+|[!-/:-@\[-`{-~]+(?![A-Za-z])")
_IDEOGRAMS: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


def estimate(text: str) -> int:
    """Estimate the tokens of `text`; of a very long one from samples, at a price that does not grow with it."""
    if len(text) > SAMPLED_LENGTH:
        step = (len(text) - SAMPLE) / (SAMPLES - 1)
        samples = (text[begin : begin + SAMPLE] for begin in (int(number * step) for number in range(SAMPLES)))
        return ceil(sum(map(_estimate, samples)) * len(text) / (SAMPLE * SAMPLES))
    return _estimate(text)


def _estimate(text: str) -> int:
    tokens = 0.0
    for piece in _PIECES.finditer(text):
        tokens += 1 if piece["run"] is None else _RUN_TOKENS * len(piece["run"])
    if not text.isascii():
        tokens += sum(each * len(script.findall(text)) for script, each in _SCRIPTS)
    return ceil(tokens)


def fewest(text: str) -> int:
    """Return how many tokens `text` has at the least, whatever the tokenizer: none joins words, or marks after them."""
    return len(_WORDS.findall(text)) + len(_IDEOGRAMS.findall(text)) // 2


def estimate_content(content: Content | None) -> int:
    """Return the same for a message's content, pictures included."""
    if isinstance(content, str):
        return estimate(content)
    return sum(estimate(part["text"]) if isinstance(part.get("text"), str) else IMAGE_TOKENS for part in content or ())


def estimate_messages(messages: Messages) -> int:
    """Return the same for messages, with what each costs beside its text."""
    return total(estimate_content(message.get("content")) + _estimate_calls(message) for message in messages)


def _estimate_calls(message: MessageDict) -> int:
    functions = [call.get("function") for call in message.get("tool_calls") or ()]
    said = [f"{each.get('name')}{each.get('arguments')}" for each in functions if isinstance(each, dict)]
    return sum(CALL_TOKENS + estimate(each) for each in said)


def total(contents: Iterable[int]) -> int:
    """Return the tokens of a request from those of each message's content."""
    return sum(MESSAGE_TOKENS + tokens for tokens in contents)
