"""The default models: for each provider one that its free or cheapest key reaches."""

from __future__ import annotations

from typing import Final

CHECKED: Final = "2026-12-01"
"""The day on which the table was last compared with what the services document."""
MODELS: Final = {
    "chatanywhere": "gpt-4o-mini",  # 200 prompts a day with a free key
    "chatanywhere-web": "gpt-3.5-turbo",  # its only model
    "openai": "gpt-4o-mini",
}
