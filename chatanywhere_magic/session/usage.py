"""The usage of a session: responses and tokens by model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core import Version


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
        before = self.by_model.get((version.provider, version.model), ModelUsage())
        prompt = version.usage.prompt_tokens if version.usage else None
        completion = version.usage.completion_tokens if version.usage else None
        self.by_model[version.provider, version.model] = ModelUsage(
            before.responses + 1,
            before.prompt_tokens + (prompt or 0),
            before.completion_tokens + (completion or 0),
            before.unreported + (prompt is None or completion is None),
        )
