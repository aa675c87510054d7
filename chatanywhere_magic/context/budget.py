"""Fit a conversation into the context: known and learned limits, and the turns to leave out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..core import (
    IMAGE_TOKENS,
    START_TOKENS,
    ContextLengthError,
    Image,
    ToolCall,
    content_text,
    estimate_messages,
    phrase,
    to_dicts,
    total,
)
from .summary import with_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import MessageDict, Messages, Turn, Usage, Version
    from .request import Request, Who

ANSWER_TOKENS: Final = 1_024
"""Room that is kept for a response whose length nobody limited; a quarter of the whole if that is less."""
CLOSELY: Final = 300_000
"""So many characters of a conversation without a limit are looked at closely, which takes about 30 ms."""
DOUBT: Final = 1.5
"""A prompt by itself is refused here only if its estimate is so many times the limit: estimates err high."""
MARGIN: Final = 1.03
"""On what was measured: the next prompt is not quite like the last."""
LOWEST_RATIO: Final = 0.7
HIGHEST_RATIO: Final = 4.0

# Tokens of prompt and response together, by how the model's name begins; the longest beginning counts. Makers' figures.
_WINDOWS: Final = {
    "chatgpt-4o": 128_000,
    "claude": 200_000,
    "deepseek": 128_000,
    "gemini": 1_048_576,
    "glm": 128_000,
    "gpt-3.5-turbo": 16_385,
    "gpt-3.5-turbo-instruct": 4_096,
    "gpt-4": 8_192,
    "gpt-4-0125": 128_000,
    "gpt-4-1106": 128_000,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 128_000,
    "gpt-4-vision": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-4.5": 128_000,
    "gpt-4o": 128_000,
    "gpt-5": 400_000,
    "gpt-oss": 131_072,
    "grok": 131_072,
    "kimi": 131_072,
    "minimax": 200_000,
    "moonshot-v1-128k": 131_072,
    "moonshot-v1-32k": 32_768,
    "moonshot-v1-8k": 8_192,
    "o1": 200_000,
    "o1-mini": 128_000,
    "o1-preview": 128_000,
    "o3": 200_000,
    "o4": 200_000,
    "qwen": 131_072,
    "qwen-max": 32_768,
}
# The web endpoint had one model, with what that took then. What a ChatAnywhere key takes depends on its plan, which
# only a refusal tells: 4,096 tokens of prompt on the free one.
_PROVIDERS: Final = {"chatanywhere-web": 4_096}

_LIMIT_WORDS: Final = (
    r"context (?:length|window|size)|\bmax(?:imum)?\b|max_\w{3,5}_len|at most|limit\w*(?! exceeded by)|up to|allowed"
    r"|cannot exceed|less than|<="
)
# Where a refusal's limit stands: the first that is found counts.
_LIMITS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\d (?:tokens? )?> (\d[\d,]{2,12})\b(?! ?[-+])",  # 210000 tokens > 200000
        r"\[\d{1,3}, ?(\d[\d,]{2,12})\]",  # [1, 30720]
        r"(?<![\d,])(\d[\d,]{2,12})(?: tokens?)? (?:maximum|context)\b",  # 32768 maximum context length
        r"n_ctx (\d[\d,]{2,12})",
        rf"(?:{_LIMIT_WORDS})\D{{0,60}}?(\d[\d,]{{2,12}})",
    )
)
_COUNTED: Final = re.compile(r"token|length|n_ctx|max_\w{3,5}_len|context size", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9_.-])\d[\d,]{2,12}")


@dataclass(frozen=True)
class Limit:
    """How many tokens are taken, and whether the response's are among them."""

    tokens: int
    with_answer: bool = True

    def room(self, request: Request) -> int:
        """Return the tokens that are left for the prompt of `request`."""
        if not self.with_answer:
            return self.tokens
        asked_for = request.params.get("max_tokens") or request.params.get("max_completion_tokens")
        response = asked_for if isinstance(asked_for, int) else min(ANSWER_TOKENS, self.tokens // 4)
        return self.tokens - min(response, self.tokens // 2)


@dataclass(frozen=True)
class Prompt:
    """The part of the conversation to send.

    Parameters
    ----------
    messages : list of dict
        Everything that is sent.
    kept, left_out : tuple of int
        Indices of the turns that are among them, and of those that had no room.
    tokens : int
        What `messages` are put at, before any correction.
    limit : Limit, optional
        What they must fit into.
    counted : bool
        Whether the model's own tokenizer said so.
    summary : str
        What stands for the turns that were left out.
    """

    messages: Messages
    kept: tuple[int, ...]
    left_out: tuple[int, ...] = ()
    tokens: int = 0
    limit: Limit | None = None
    counted: bool = False
    summary: str = ""
    versions: tuple[tuple[int, Version], ...] = ()
    """The versions among them, each with its turn's index."""

    def with_summary(self, words: str) -> Prompt:
        """Return the prompt with a summary of the turns left out."""
        return replace(self, messages=with_summary(self.messages, words), summary=words)


class Budget:
    """Known and learned limits, for one kernel; none of them outlive it."""

    def __init__(self) -> None:
        self._learnt: dict[Who, Limit] = {}
        self._ratios: dict[tuple[Who, bool], float] = {}
        """By what an estimate (or a count) must be multiplied to give what the provider counts."""
        self._refused: set[tuple[Who, bool]] = set()
        """Where a prompt was too long though it should have fitted: these are corrected upwards only."""

    def limit(self, request: Request, setting: int | None) -> Limit | None:
        """Return the limit for a prompt of `request`; None if it is unknown.

        Parameters
        ----------
        setting : int, optional
            What the person wants to be the limit.
        """
        learnt = self._learnt.get(request.who) if self._learnt else None  # who it is, may take a look at the disk
        if setting is not None and (learnt is None or setting < learnt.tokens):
            return Limit(setting, with_answer=False)
        return learnt or known_limit(request)

    def corrected(self, tokens: int, request: Request, *, counted: bool = False) -> int:
        """Return the expected count of the provider, from an estimate (or the model's own count)."""
        return round(tokens * self._ratio(request, counted=counted))

    def _ratio(self, request: Request, *, counted: bool) -> float:
        return self._ratios.get((request.who, counted), 1.0) if self._ratios else 1.0

    def check(self, request: Request, setting: int | None) -> None:
        """Refuse a prompt that does not fit by itself, before anything is sent or recorded.

        Raises
        ------
        ContextLengthError
            If even its estimate leaves no doubt; it names both numbers.
        """
        limit = self.limit(request, setting)
        if limit is None:
            return
        tokens = self.corrected(request.tokens, request)
        if tokens > limit.tokens * (1.0 if setting is not None else DOUBT):
            raise too_long(request, tokens, limit)

    async def fit(
        self,
        request: Request,
        earlier: Sequence[tuple[int, Turn]],
        setting: int | None,
        *,
        reserved: int = 0,
        part: float = 1.0,
    ) -> Prompt:
        """Return what is sent of `earlier`, the turns that may be, with the prompt: the newest that fit.

        Pinned turns are always sent, and so are system prompt, prompt and attachments, whether they fit or not:
        the provider has the last word.

        Parameters
        ----------
        reserved : int
            Tokens to leave free for something else.
        part : float
            How much of the room to use.
        """
        if not request.provider.supports_message_history:
            earlier = []
        limit = self.limit(request, setting)
        if limit is None:
            versions = _versions(earlier)
            return Prompt(request.messages(_of(versions)), tuple(index for index, _ in earlier), versions=versions)
        room = int((limit.room(request) - reserved) * part)
        return self._chosen(request, earlier, limit, room, await _counts(request, earlier, room))

    def outlook(self, request: Request, earlier: Sequence[tuple[int, Turn]], setting: int | None) -> Prompt:
        """Return roughly what :meth:`fit` would, instantly and by estimates alone."""
        limit = self.limit(request, setting)
        if limit is None:
            tokens = request.tokens + _about([turn.current for _, turn in earlier])
            return Prompt([], tuple(index for index, _ in earlier), tokens=tokens)
        return self._chosen(request, earlier, limit, limit.room(request), None)

    def _chosen(
        self,
        request: Request,
        earlier: Sequence[tuple[int, Turn]],
        limit: Limit,
        room: int,
        counts: tuple[int, dict[int, int]] | None,
    ) -> Prompt:
        fixed, sizes = counts or (request.tokens, {})
        counted = counts is not None
        pinned = [(index, turn) for index, turn in earlier if turn.pinned]
        tokens = fixed + sum(sizes.get(index) or turn.current.tokens for index, turn in pinned)
        begin = len(earlier)
        ratio = self._ratio(request, counted=counted)
        while begin:
            index, turn = earlier[begin - 1]
            more = tokens if turn.pinned else tokens + (sizes.get(index) or turn.current.tokens)
            if round(more * ratio) > room:
                break
            tokens = more
            begin -= 1
        older = earlier[:begin]
        sent = [each for each in older if each[1].pinned] if pinned else []
        sent += earlier[begin:]
        return Prompt(
            request.messages(_of(_versions(sent))),
            kept=tuple(index for index, _ in sent),
            left_out=tuple(index for index, turn in older if not turn.pinned),
            tokens=tokens,
            limit=limit,
            counted=counted,
            versions=_versions(sent),
        )

    def measured(self, request: Request, prompt: Prompt, usage: Usage) -> None:
        """Record the provider's count for `prompt`."""
        if not usage.prompt_tokens or prompt.limit is None or prompt.tokens < 10 * START_TOKENS:
            return
        place = request.who, prompt.counted
        ratio = min(HIGHEST_RATIO, max(LOWEST_RATIO, MARGIN * usage.prompt_tokens / prompt.tokens))
        if place in self._refused:
            ratio = max(ratio, self._ratios[place])
        self._ratios[place] = ratio

    def learn(self, request: Request, prompt: Prompt, refusal: ContextLengthError) -> Limit:
        """Record that `prompt` was too long, and return the limit learned from the refusal."""
        place = request.who, prompt.counted
        tokens = prompt.tokens or START_TOKENS + estimate_messages(prompt.messages)
        words = refusal.server_message or str(refusal)
        said, used = numbers(words)
        if used:
            self._ratios[place] = min(HIGHEST_RATIO, MARGIN * used / tokens)
        believed = self.corrected(tokens, request, counted=prompt.counted)
        limit = Limit(said or believed * 3 // 4, with_answer="context" in words.lower())
        if prompt.limit is not None and said is None:
            limit = replace(limit, tokens=min(limit.tokens, prompt.limit.tokens))
        if believed <= limit.room(request):
            self._ratios[place] = min(HIGHEST_RATIO, 1.2 * limit.tokens / tokens)
        self._refused.add(place)
        self._ratios.setdefault(place, 1.0)
        self._learnt[request.who] = limit
        return limit


def known_limit(request: Request) -> Limit | None:
    """Return the known limit of the model or the provider."""
    name, model = request.provider.name, _model(request)
    window = request.provider.context_tokens(model) or _PROVIDERS.get(name)
    if window is None:
        model = model.rpartition("/")[2].lower()
        beginnings = [beginning for beginning in _WINDOWS if model.startswith(beginning)]
        window = _WINDOWS[max(beginnings, key=len)] if beginnings else None
    return Limit(window) if window else None


def numbers(words: str) -> tuple[int | None, int | None]:
    """Return the limit and the number of tokens that a refusal names."""
    found = [_int(number) for number in _NUMBER.findall(words)]
    match = next((match for pattern in _LIMITS if (match := pattern.search(words))), None)
    if match is None or not _COUNTED.search(words):  # else it may be a code
        return (found[0] if len(found) == 1 and match is None else None), None
    limit = _int(match[1])
    return limit, min((number for number in found if number > limit), default=None)


def too_long(
    request: Request, tokens: int, limit: Limit, refusal: ContextLengthError | None = None
) -> ContextLengthError:
    """Return the error for a prompt that does not fit by itself; it names both numbers."""
    return ContextLengthError(
        phrase("error.too_long", tokens=tokens, limit=limit.tokens, model=_model(request) or request.provider.name),
        status=refusal.status if refusal else None,
        server_message=refusal.server_message if refusal else "",
        request_id=refusal.request_id if refusal else None,
    )


def _model(request: Request) -> str:
    return request.provider.model_for(request.model)


def _int(number: str) -> int:
    return int(number.replace(",", "")[:12])


def _versions(turns: Sequence[tuple[int, Turn]]) -> tuple[tuple[int, Version], ...]:
    return tuple((index, turn.current) for index, turn in turns)


def _of(versions: Sequence[tuple[int, Version]]) -> list[Version]:
    return [version for _, version in versions]


def _about(versions: Sequence[Version]) -> int:
    """Return what these are put at, oldest first; of a long conversation the oldest by the rate of the others.

    It tells a person how much there is, between two paints of a response, and nothing is decided by it.
    """
    tokens = characters = 0
    for count, version in enumerate(reversed(versions)):
        if characters > CLOSELY:
            rest = sum(map(_length, versions[: len(versions) - count]))
            return tokens + rest * tokens // characters
        tokens += version.tokens
        characters += _length(version)
    return tokens


def _length(version: Version) -> int:
    parts = (part for message in version.messages for part in message.parts)
    return sum(
        len(part.arguments if isinstance(part, ToolCall) else part.text)
        for part in parts
        if not isinstance(part, Image)
    )


async def _counts(
    request: Request, earlier: Sequence[tuple[int, Turn]], room: int
) -> tuple[int, dict[int, int]] | None:
    """Return the model's own counts: of what is always sent, and of the turns that may fit; None if it has none."""
    if await request.provider.count_tokens(request.model, []) is None:
        return None
    always = request.messages([])
    texts = [_counted(message) for message in always]
    candidates: list[tuple[int, int]] = []
    likely = 0
    for index, turn in reversed(earlier):
        if turn.pinned or likely <= room / LOWEST_RATIO:
            likely += turn.current.tokens
            sent = [_counted(message) for message in to_dicts(turn.current.messages)]
            candidates.append((index, len(sent)))
            texts += sent
    counts = await request.provider.count_tokens(request.model, texts)
    if counts is None:
        return None
    own, rest = counts[: len(always)], iter(counts[len(always) :])
    pictures = IMAGE_TOKENS * sum(isinstance(each, Image) for message in request.asked for each in message.attachments)
    fixed = START_TOKENS + pictures + total(own)
    return fixed, {index: total(islice(rest, length)) for index, length in candidates}


def _counted(message: MessageDict) -> str:
    """Return the text of a message that counts, calls of tools included."""
    calls = message.get("tool_calls")
    return content_text(message.get("content")) + (json.dumps(calls, ensure_ascii=False) if calls else "")
