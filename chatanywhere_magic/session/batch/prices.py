"""What models cost, where that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...providers import Provider

AS_OF: Final = "2026-03"
"""The table holds what OpenAI published up to then."""
MILLION: Final = 1_000_000
_OPENAI: Final = {
    "gpt-4.1": (2.0, 8.0),
    "gpt-4.1-mini": (0.4, 1.6),
    "gpt-4.1-nano": (0.1, 0.4),
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-5": (1.25, 10.0),
    "gpt-5-mini": (0.25, 2.0),
    "gpt-5-nano": (0.05, 0.4),
    "o3": (2.0, 8.0),
    "o4-mini": (1.1, 4.4),
}
"""Dollars for a million tokens of prompt and of response, at OpenAI's own address."""


def price_of(provider: Provider, model: str, own: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Return what a token of the prompt and one of the response cost; None if that is not known.

    Parameters
    ----------
    own : mapping
        What the person says, for a million tokens.
    """
    price = own.get(model)
    if price is None and provider.name == "openai" and provider.address() == provider.url:
        price = _OPENAI.get(model)
    return None if price is None else (price[0] / MILLION, price[1] / MILLION)
