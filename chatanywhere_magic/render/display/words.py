"""The lines around a response: what it waits for, how it ended, its model and its cost."""

from __future__ import annotations

import time
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Final

from ...core import text

if TYPE_CHECKING:
    from ...core import Timing, Version

CALL_LENGTH: Final = 120
_CUT: Final = {
    "length": "status.cut_at_limit",
    "max_steps": "status.max_steps",
    "max_turn_seconds": "status.max_turn",
    "max_turn_tokens": "status.max_turn",
}
"""Reasons for an end that was not the response's own."""


def final_words(version: Version) -> list[str]:
    """Return what the person must know of how the turn ended; nothing for a good response."""
    if version.status == "complete":
        words = _calls(version)
        if version.finish_reason in _CUT:
            words.append(text(_CUT[version.finish_reason]))
        if version.sent_tokens and version.usage:
            read = version.usage.prompt_tokens or 0
            words.append(text("status.cut_prompt", read=read, sent=version.sent_tokens))
        return words
    return [text(f"status.{version.status}")]


def _calls(version: Version) -> list[str]:
    """Return what tools the model asks for that are not run here, shortly."""
    calls = [f"{call.name}({call.arguments})" for message in version.response[-1:] for call in message.tool_calls]
    shown = [call if len(call) <= CALL_LENGTH else f"{call[: CALL_LENGTH - 2]}…)" for call in calls]
    return [text("status.tool_calls", calls=", ".join(shown))] if shown else []


def footer_words(version: Version) -> list[str]:
    """Return who answered, at what cost and how fast, as far as it is known."""
    words = [version.provider]
    if version.model:
        words.append(version.model)
    if version.attachments:
        from ...context import notes  # loaded when something is sent along

        words.append(text("footer.sent", items=", ".join(notes(version.attachments))))
    counted, tokens, about = _tokens(version)
    words += counted
    if version.replayed:
        return [*words, text("footer.replayed")]
    if version.left_out and version.summary:
        words.append(text("footer.summarised", count=version.left_out))
    elif version.left_out:
        words.append(text("footer.left_out", count=version.left_out))
    if version.status == "failed" and version.timing.first_text is None:
        return words  # a refusal is not fast or slow
    return [*words, *_speed(version.timing, tokens, about)]


def _tokens(version: Version) -> tuple[list[str], int, str]:
    """Return the counts in words, the count of the response, and a sign before it if it is an estimate."""
    usage = version.usage
    if usage and usage.prompt_tokens is not None and usage.completion_tokens is not None:
        words = text("footer.tokens", prompt=usage.prompt_tokens, completion=usage.completion_tokens)
        return [words], usage.completion_tokens, ""
    if not version.text:
        return [], 0, ""
    from ...core import estimate  # loaded where nobody counted

    tokens = estimate(version.text)
    return [text("footer.tokens_estimated", completion=tokens)], tokens, "≈ "


def _speed(timing: Timing, tokens: int, about: str) -> list[str]:
    if timing.total is None:
        return []
    words = [text("footer.seconds", seconds=float(timing.total))]
    if timing.first_text is not None:
        words.insert(0, text("footer.first_text", seconds=float(timing.first_text)))
        writing = timing.total - timing.first_text
        if tokens and writing > 0:
            words.append(text("footer.rate", rate=f"{about}{tokens / writing:.0f}"))
    return words


def waiting_words(version: Version, notice: str, *, thinking: bool = False) -> str:
    """Return what is being waited for, before there is any text."""
    if notice:
        return notice
    if version.status == "queued":
        return text("status.queued")
    key = "status.reasoning" if thinking or version.reasoning else "status.waiting"
    return text(key, seconds=int(time.time() - version.timing.started))


@lru_cache(maxsize=4)  # mostly it is the line of the paint before
def state_line(words: str) -> str:
    """Return `words` as the small line below a response."""
    from ..markdown import IGNORED_BY_MATHJAX  # loaded with the first response, not with the extension

    return (
        f'<div class="chatanywhere-state {IGNORED_BY_MATHJAX}" dir="auto" '
        f'style="font-size: 85%; line-height: 1.5; opacity: 0.75">{escape(words)}</div>'
    )


def reasoning_details(html: str) -> str:
    """Return what the model thought, as HTML, folded under one word."""
    summary = escape(text("answer.reasoning"))
    return (
        '<details class="chatanywhere-reasoning" style="font-size: 92%; margin: 0 0 0.3em">'
        f'<summary style="cursor: pointer; opacity: 0.75">{summary}</summary>'
        '<div style="border-inline-start: 3px solid var(--jp-border-color2, rgba(128, 128, 128, 0.5)); '
        f'padding-inline-start: 0.75em; opacity: 0.85">{html}</div></details>'
    )
