"""The usage of a session: responses and tokens by model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core import Usage, Version


@dataclass(frozen=True)
class ModelUsage:
    """The usage of one model.

    Parameters
    ----------
    responses : int
        The number of requests, whatever their outcome.
    prompt_tokens, completion_tokens : int
        As far as the provider reported them.
    unreported : int
        For how many responses it did not.
    """

    responses: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unreported: int = 0


class UsageTotals:
    """Add up the usage of a session."""

    def __init__(self) -> None:
        self.by_model: dict[tuple[str, str], ModelUsage] = {}
        """By the names of provider and model."""

    def add(self, version: Version) -> None:
        """Count a response that has ended. A replayed one costs nothing."""
        if version.replayed:
            return
        self.count(version.provider, version.model, version.usage)

    def count(self, provider: str, model: str, usage: Usage | None) -> None:
        """Count a response of a model."""
        before = self.by_model.get((provider, model), ModelUsage())
        prompt = usage.prompt_tokens if usage else None
        completion = usage.completion_tokens if usage else None
        self.by_model[provider, model] = ModelUsage(
            before.responses + 1,
            before.prompt_tokens + (prompt or 0),
            before.completion_tokens + (completion or 0),
            before.unreported + (prompt is None or completion is None),
        )
