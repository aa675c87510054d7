"""Fit texts into a number of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core import estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEAST_TOKENS: Final = 24
"""A piece of less than this says nothing any more."""


_LONGEST_TOKEN: Final = 64


def fits(text: str, budget: int) -> bool:
    """Whether `text` has at most `budget` tokens, by estimate."""
    # A huge text need not be looked through.
    return len(text) <= budget * _LONGEST_TOKEN and estimate(text) <= budget


def shortened(text: str, budget: int) -> str:
    """Return `text` with its middle left out, so that it has at most `budget` tokens."""
    if fits(text, budget):
        return text
    low, high = 0, min(len(text), budget * _LONGEST_TOKEN)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_without_middle(text, middle), budget):
            low = middle
        else:
            high = middle - 1
    # The beginning says what it is, which is worth more than the end.
    if low:
        return _without_middle(text, low)
    return next((text[:end] for end in range(max(budget, 0), 0, -1) if fits(text[:end], budget)), "")


def _without_middle(text: str, kept: int) -> str:
    tail = kept * 2 // 5
    head = kept - tail
    gap = f"\n[… {len(text) - kept:,} characters left out …]\n"
    return f"{text[:head]}{gap}{text[len(text) - tail :]}"


def joined(blocks: Iterable[str | Sequence[str]], budget: int) -> str:
    """Return as many of `blocks`, the most important first, as have at most `budget` tokens together.

    Parameters
    ----------
    blocks : iterable of str or sequence of str
        A block is one text, or alternatives: the first that fits is taken. If none does, the last is shortened.
    """
    whole = ""
    for block in blocks:
        texts = [block] if isinstance(block, str) else block
        before = f"{whole}\n\n" if whole else ""
        longer = next((f"{before}{text}" for text in texts if fits(f"{before}{text}", budget)), "")
        if not longer:
            left = budget - estimate(before)
            if whole and left < LEAST_TOKENS:
                break
            longer = f"{before}{shortened(texts[-1], left)}"
            if not fits(longer, budget):
                break
        whole = longer
    return whole
