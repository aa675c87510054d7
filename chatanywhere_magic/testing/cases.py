"""What a conformance case is: a server's behaviour, and what a correct client makes of it. No input, no output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from .server import Answer, Request

Protocol: TypeAlias = Literal["openai", "responses", "web"]
Demand: TypeAlias = Callable[[Sequence[Request]], str]
"""Looks at the requests that came, and says what is wrong with them; ``""`` if nothing."""

KEY: Final = "sk-conformance-0123456789abcdef"
"""The key that a client is given. It may stand in nothing that it shows."""
ELSEWHERE: Final = "{elsewhere}"
"""In a header of an answer: the address of a second server, which must hear nothing."""
DEFAULT_SECONDS: Final = 10.0
ONCE_TO_THRICE: Final = (1, 2, 3)
"""Attempts where nothing of the answer was shown yet, and whether to ask again is the client's own choice."""


@dataclass(frozen=True)
class Case:
    """One named behaviour.

    With `kinds` the client must fail, with one of them; without, it must succeed with `finish`. With both, either will
    do: the case is one of those in which only a lie would be wrong.

    Parameters
    ----------
    name : str
        ``group/what-happens``; unique.
    protocol : {"openai", "responses", "web"}
        Which one is spoken.
    server : str
        What the server does, in a sentence.
    why : str
        Why the demand is what it is, in a sentence.
    answers : tuple of Answer
        What the server does with each attempt.
    text, reasoning : str
        What must have been yielded, exactly, also where the client fails.
    finish : str
        The finish reason to report; ``""`` if there can be no success.
    kinds : tuple of str
        The kinds of error that are right, as in ``ChatError.kind``, the best one first.
    attempts : tuple of int
        How many requests the server may have seen.
    calls : tuple of tuple
        The calls of tools to report, each a name and its arguments.
    usage : tuple, optional
        Prompt and completion tokens to report last.
    model : str
        The model's name to report; ``""`` for any.
    says : str
        What the error must tell, in its message or in its copy of the server's own words.
    request_id : str
        What the error's ``request_id`` must be; ``""`` for anything.
    notice : bool
        Whether the waiting person must see a notice, for example of a retry.
    options : mapping
        Passed to the provider beside the question: ``timeout``, ``idle_timeout``, ``max_retries``, ``tools``.
    within : float
        Seconds after which the client counts as hanging.
    first_within : float, optional
        Seconds after which the first text must have been there.
    pause : tuple, optional
        Least and most seconds from the first attempt to the second.
    stop : {"", "leave", "cancel", "cancel-early"}
        What the reader does after its first piece of text: close the generator, or be cancelled. ``cancel-early``
        cancels it while it waits for that. It must end at once, and the server must see the connection close.
    demand : callable, optional
        What is to be said of the requests that came.
    """

    name: str
    protocol: Protocol
    server: str
    why: str
    answers: tuple[Answer, ...]
    text: str = ""
    reasoning: str = ""
    finish: str = ""
    kinds: tuple[str, ...] = ()
    attempts: tuple[int, ...] = (1,)
    calls: tuple[tuple[str, str], ...] = ()
    usage: tuple[int | None, int | None] | None = None
    model: str = ""
    says: str = ""
    request_id: str = ""
    notice: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    within: float = DEFAULT_SECONDS
    first_within: float | None = None
    pause: tuple[float, float] | None = None
    stop: Literal["", "leave", "cancel", "cancel-early"] = ""
    demand: Demand | None = None

    @property
    def group(self) -> str:
        """What stands before the name's slash."""
        return self.name.partition("/")[0]

    @property
    def demanded(self) -> str:
        """What a correct client must deliver, in a few words."""
        if self.stop:
            return "the end at once, and the connection closed"
        ends = [f"finish reason `{self.finish}`"] if self.finish else []
        if self.kinds:
            ends.append(f"error of kind {' or '.join(f'`{kind}`' for kind in self.kinds)}")
        parts = [" or ".join(ends)]
        parts.append(f"text {_shown(self.text)}" if self.text else "no text")
        if self.reasoning:
            parts.append(f"reasoning {_shown(self.reasoning)}")
        parts += [f"call `{name}({arguments})`" for name, arguments in self.calls]
        if self.usage:
            parts.append("usage {} + {}".format(*("none" if count is None else count for count in self.usage)))
        least, most = min(self.attempts), max(self.attempts)
        parts.append(f"{least} attempt{'s' if least > 1 else ''}" if least == most else f"{least} to {most} attempts")
        return "; ".join(parts)


_SHOWN_CHARACTERS: Final = 40


def _shown(words: str) -> str:
    if len(words) > _SHOWN_CHARACTERS:
        return f"of {len(words):,} characters"
    return f"`{ascii(words)[1:-1]}`" if "`" not in words else repr(words)
