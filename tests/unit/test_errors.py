"""The error tree: one kind, one class, one line."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chatanywhere_magic.core import errors
from chatanywhere_magic.core.errors import ChatError, ChatInterrupted, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator


def family(kind: type[ChatError]) -> Iterator[type[ChatError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


KINDS = tuple(family(ChatError))


def test_every_class_has_a_kind_of_its_own() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS)


def test_the_modules_first_lines_draw_the_tree_as_it_is() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for prefix, name in re.findall(r"^    ([ │├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        path[len(prefix) // 4 :] = [name]
        drawn[name] = path[-2] if len(path) > 1 else "Exception"
    assert drawn == {kind.__name__: kind.__mro__[1].__name__ for kind in KINDS}


def test_ipython_shows_one_line() -> None:
    assert RateLimitError("Too many.")._render_traceback_() == ["RateLimitError: Too many."]
    assert ChatInterrupted("Stopped.")._render_traceback_() == ["ChatInterrupted: Stopped."]


def test_an_interrupted_turn_interrupts_run_all() -> None:
    assert issubclass(ChatInterrupted, KeyboardInterrupt)


def test_an_error_goes_between_processes_with_all_it_knows() -> None:
    error = RateLimitError("Too many.", status=429, server_message="slow down", request_id="req-7")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is RateLimitError
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_what_may_be_tried_again() -> None:
    again = {kind.__name__ for kind in KINDS if kind.retryable}
    assert again == {
        "ConnectionFailedError",
        "DNSError",
        "EmptyAnswerError",
        "IncompleteError",
        "OverloadedError",
        "RateLimitError",
        "ServerError",
        "StreamError",
        "TimeoutExceededError",
    }


def test_the_documentation_tells_of_every_kind() -> None:
    document = (Path(__file__).parents[2] / "docs" / "network.md").read_text(encoding="utf-8")
    told = {
        kind
        for row in re.findall(r"^\| (`[^|]*) \|", document.partition("## What the errors mean")[2], re.MULTILINE)
        for kind in re.findall("`([a-z_]+)`", row)
    }
    # The beginnings of branches have names only; the others say nothing of a network.
    elsewhere = {"error", "api", "answer", "usage", "answer_format", "format", "leak", "not_recorded"}
    elsewhere |= {"approval", "not_asked", "tool_call"}
    assert told == {kind.kind for kind in KINDS} - elsewhere
