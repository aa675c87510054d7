"""Fit a conversation into the context: known and learned limits, and the turns to leave out."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, overload

from ..core import (
    IMAGE_TOKENS,
    START_TOKENS,
    ContextLengthError,
    Image,
    Picked,
    ToolCall,
    content_text,
    estimate_messages,
    phrase,
    to_dicts,
    total,
)
from .summary import with_summary

if TYPE_CHECKING:
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
    kept, left_out : sequence of int
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
    kept: Sequence[int]
    left_out: Sequence[int] = ()
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
            return Prompt(request.messages(_of(versions)), tuple(index for index, _ in versions), versions=versions)
        room = int((limit.room(request) - reserved) * part)
        return self._chosen(request, earlier, limit, room, await _counts(request, earlier, room))

    def likely(
        self, request: Request, earlier: Sequence[tuple[int, Turn]], setting: int | None
    ) -> tuple[tuple[int, Version], ...]:
        """Return the versions of which :meth:`fit` may choose; of a long conversation only the last, and the pinned."""
        limit = self.limit(request, setting)
        return _versions(earlier if limit is None else _likely(earlier, limit.room(request)))

    def outlook(self, request: Request, earlier: Sequence[tuple[int, Turn]], setting: int | None) -> Prompt:
        """Return roughly what :meth:`fit` would, instantly and by estimates alone."""
        limit = self.limit(request, setting)
        if limit is None:
            return Prompt([], _Indices(earlier), tokens=request.tokens + _about(earlier))
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
        pinned = _pinned(earlier)
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
        always = dict(_pinned(older))
        sent = [*always.items(), *earlier[begin:]]
        left_out: Sequence[int] = _Indices(older)
        if always:
            left_out = [index for index in left_out if index not in always]
        return Prompt(
            request.messages(_of(_versions(sent))),
            kept=tuple(index for index, _ in sent),
            left_out=left_out,
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


class _Indices(Sequence[int]):
    """The indices of turns that need not be looked at to count them."""

    def __init__(self, turns: Sequence[tuple[int, Turn]]) -> None:
        self._turns = turns

    def __len__(self) -> int:
        return len(self._turns)

    @overload
    def __getitem__(self, number: int) -> int: ...
    @overload
    def __getitem__(self, number: slice) -> _Indices: ...
    def __getitem__(self, number: int | slice) -> int | _Indices:
        if isinstance(number, slice):
            return _Indices(self._turns[number])
        return self._turns.index_of(number) if isinstance(self._turns, Picked) else self._turns[number][0]

    def __contains__(self, index: object) -> bool:
        if not isinstance(index, int):
            return False
        at = bisect_left(self, index)  # they ascend
        return at < len(self) and self[at] == index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list


def _pinned(turns: Sequence[tuple[int, Turn]]) -> list[tuple[int, Turn]]:
    return turns.pinned() if isinstance(turns, Picked) else [each for each in turns if each[1].pinned]


def _likely(turns: Sequence[tuple[int, Turn]], room: int) -> list[tuple[int, Turn]]:
    """Return the turns that may have room, whatever their tokens are by another's count."""
    found = dict(_pinned(turns))
    tokens = 0
    for index, turn in reversed(turns):
        if tokens > room / LOWEST_RATIO:
            break
        tokens += turn.current.tokens
        found[index] = turn
    return sorted(found.items())


def _about(turns: Sequence[tuple[int, Turn]]) -> int:
    """Return what these are put at, oldest first; of a long conversation the oldest by the size of the others.

    It tells a person how much there is, between two paints of a response, and nothing is decided by it.
    """
    tokens = characters = 0
    for count, (_, turn) in enumerate(reversed(turns)):
        if characters > CLOSELY:
            return tokens * len(turns) // count
        tokens += turn.current.tokens
        characters += _length(turn.current)
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
    """Return the model's own counts: of what is always sent, and of the turns that may fit; None if it has none.

    Nothing is counted where there is no doubt that everything fits.
    """
    sure = room / HIGHEST_RATIO - request.tokens
    for _, turn in reversed(earlier):
        if sure < 0:
            break
        sure -= turn.current.tokens
    if sure >= 0:
        return None
    if await request.provider.count_tokens(request.model, []) is None:
        return None
    always = request.messages([])
    texts = [_counted(message) for message in always]
    lengths: list[tuple[int, int]] = []
    for index, turn in _likely(earlier, room):
        sent = [_counted(message) for message in to_dicts(turn.current.messages)]
        lengths.append((index, len(sent)))
        texts += sent
    counts = await request.provider.count_tokens(request.model, texts)
    if counts is None:
        return None
    own, rest = counts[: len(always)], iter(counts[len(always) :])
    pictures = IMAGE_TOKENS * sum(isinstance(each, Image) for message in request.asked for each in message.attachments)
    fixed = START_TOKENS + pictures + total(own)
    return fixed, {index: total(islice(rest, length)) for index, length in lengths}


def _counted(message: MessageDict) -> str:
    """Return the text of a message that counts, calls of tools included."""
    calls = message.get("tool_calls")
    return content_text(message.get("content")) + (json.dumps(calls, ensure_ascii=False) if calls else "")
