"""Notice that a server has cut a prompt without a word, by the tokens that it counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core import START_TOKENS, content_text, estimate_messages, fewest

if TYPE_CHECKING:
    from ..core import Messages, Usage
    from .request import Who

SHARE: Final = 0.4
"""Of the fewest tokens that a prompt can have: no tokenizer needs so few."""
LEAST_MISSING: Final = 100
BYTES_A_TOKEN: Final = 8
"""A prompt with so few bytes for each token counted is looked at no further: this is usual, and quickly known."""


class CutPrompts:
    """Compare what providers counted with what they were sent."""

    def __init__(self) -> None:
        self._before: dict[Who, tuple[list[int], bool]] = {}
        """For each, the messages of its last request, as digests, and whether it cut them."""

    def sent_tokens(self, who: Who, messages: Messages, usage: Usage) -> int:
        """Return what `messages` are put at if far fewer tokens were counted; 0 if they may all have been read."""
        texts = [content_text(message.get("content")) for message in messages]
        digests = [hash((message.get("role"), said)) for message, said in zip(messages, texts, strict=True)]
        before, was_cut = self._before.get(who, ([], False))
        pairs = enumerate(zip(before, digests, strict=False))
        kept = 0 if was_cut else next((at for at, (old, new) in pairs if old != new), min(len(before), len(digests)))
        is_cut = _is_cut(texts, kept, usage)
        self._before[who] = digests, is_cut
        return START_TOKENS + estimate_messages(messages) if is_cut else 0


def _is_cut(texts: list[str], kept: int, usage: Usage) -> bool:
    """Whether the tokens counted are too few for `texts`; the first `kept` of them were sent the last time, too."""
    counted = (usage.prompt_tokens or 0) + (usage.cached_tokens or 0)
    size = sum(len(said.encode("utf-8", "replace")) for said in texts)
    if not usage.prompt_tokens or counted * BYTES_A_TOKEN >= size or not _is_far_below(counted, texts):
        return False
    # Some servers count only what they did not remember of the request before.
    new = texts[kept:]
    most = START_TOKENS + estimate_messages([{"role": "user", "content": said} for said in new])
    return not kept or counted > most or _is_far_below(counted, new)


def _is_far_below(counted: int, texts: list[str]) -> bool:
    least = sum(map(fewest, texts))
    return counted < SHARE * least and least - counted >= LEAST_MISSING
