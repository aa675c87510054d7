"""Run a case against a provider, and judge what came of it."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from os.path import commonpath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..core import ChatError, Finish, MessageDict, ModelName, Notice, Reasoning, Text, TextWasReasoning, ToolCall, Usage
from .cases import ELSEWHERE, KEY, Case
from .server import Answer, LocalServer, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ..core import DeltaGenerator
    from ..providers import AsyncGeneratorProvider, Provider

    Connect: TypeAlias = Callable[[str], Provider]

QUESTION: Final = (MessageDict(role="user", content="Hello"),)
MODEL: Final = "test-model"
CLOSE_SECONDS: Final = 0.2
EARLY_SECONDS: Final = 0.3
"""After which a reader is cancelled that has read nothing yet."""
_ENOUGH: Final = 30
"""More requests than any client makes."""


@dataclass
class Outcome:
    """What a client made of a case.

    Attributes
    ----------
    text, reasoning : str
        What it yielded.
    finish : str
        The finish reason that it reported; ``""`` if it did not come to that.
    kind : str
        The kind of its error; ``""`` if it did not fail, ``"foreign"`` for an error outside the tree, ``"hung"`` if it
        had to be stopped.
    """

    text: str = ""
    reasoning: str = ""
    finish: str = ""
    kind: str = ""
    error: BaseException | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    """The calls of tools that it reported, each a name and its arguments."""
    usage: tuple[int | None, int | None] | None = None
    model: str = ""
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0
    first_text: float | None = None
    closed: bool = False
    """Whether the server saw the connection close in time, after a reader that stopped early."""
    requests: list[Request] = field(default_factory=list)
    elsewhere: list[Request] = field(default_factory=list)
    """What the second server heard."""

    @property
    def shown(self) -> str:
        """Everything of an error that a person or a log may get to see."""
        return "".join(traceback.format_exception(self.error)) + repr(self.error) if self.error else ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an outcome.

    Attributes
    ----------
    what : str
        The finding, in one line.
    essential : bool
        Whether the person is misled or harmed by it: wrong text, success or failure reported wrongly, a wrong number of
        attempts, a hanging client, a key that leaks. The rest is precision: the error's kind, the usage, the notices.
    false_success : bool
        Whether it is a failure reported as success, the worst of all.
    """

    what: str
    essential: bool = True
    false_success: bool = False


def check(provider: Provider | Connect, case: Case) -> None:
    """Run `case` against `provider` on a real server of this machine, and raise if anything is wrong.

    Parameters
    ----------
    provider : provider class or callable
        A class is pointed to the server by a subclass with the server's address as ``url``; where the class has
        ``url_variable`` and ``key_variable``, those environment variables are set meanwhile too. A function is called
        with the address and returns the class to be asked.
    case : Case
        One of :func:`~chatanywhere_magic.testing.conformance_cases`.

    Raises
    ------
    AssertionError
        It names the behaviour, what is wrong, and why.

    Examples
    --------
    ::

        import pytest
        from chatanywhere_magic.testing import check, conformance_cases


        @pytest.mark.parametrize("case", conformance_cases("openai"), ids=lambda case: case.name)
        def test_conformance(case):
            check(MyProvider, case)
    """
    findings = judge(case, run(provider, case))
    if findings:
        found = "".join(f"\n  - {finding.what}" for finding in findings)
        raise AssertionError(
            f"{case.protocol}: {case.name}{found}\n  The server: {case.server}"
            f"\n  Demanded: {case.demanded}\n  Because: {case.why}"
        )


def run(provider: Provider | Connect, case: Case) -> Outcome:
    """Return what `provider` makes of `case`; see :func:`check`."""

    async def ask(url: str, outcome: Outcome) -> None:
        target = _aimed(provider, url) if isinstance(provider, type) else provider(url)
        options = {**({"dialect": "responses"} if case.protocol == "responses" else {}), **case.options}
        deltas = target.create_delta_generator(MODEL, list(QUESTION), **options)
        try:
            await _read(deltas, outcome, case)
        except ChatError as error:
            outcome.kind, outcome.error = error.kind, error

    with _environment(provider if isinstance(provider, type) else None) as point_to:
        return run_with(ask, case, point_to)


def run_with(
    ask: Callable[[str, Outcome], Awaitable[None]], case: Case, prepare: Callable[[str], object] | None = None
) -> Outcome:
    """Run `case` with any client at all.

    Parameters
    ----------
    ask : coroutine function
        Called with the server's address and an empty outcome. It asks once, and fills in the outcome: ``text``,
        ``reasoning``, ``finish``, ``kind`` and so on. What it raises is a foreign error.
    case : Case
        The behaviour.
    prepare : callable, optional
        Called with the server's address before that.

    Returns
    -------
    Outcome
    """
    outcome = Outcome()
    with ExitStack() as stack:
        server = stack.enter_context(LocalServer())
        other = None
        answers = case.answers
        if any(ELSEWHERE in value for answer in answers for value in answer.headers.values()):
            other = stack.enter_context(LocalServer())
            other.queue(*[Answer(status=404, raw=[b""])] * _ENOUGH)
            answers = tuple(
                replace(answer, headers={k: v.replace(ELSEWHERE, other.url) for k, v in answer.headers.items()})
                for answer in answers
            )
        server.queue(*answers, *answers[-1:] * _ENOUGH)  # a client that asks too often gets the same again
        url = server.url if case.protocol == "web" else server.api_url
        if prepare is not None:
            prepare(url)
        started = time.monotonic()
        try:
            asyncio.run(_limited(ask(url, outcome), outcome, case, server))
        finally:
            outcome.seconds = time.monotonic() - started
            outcome.first_text = None if outcome.first_text is None else outcome.first_text - started
            outcome.requests = list(server.requests)
            outcome.elsewhere = list(other.requests) if other else []
    return outcome


async def _limited(turn: Awaitable[None], outcome: Outcome, case: Case, server: LocalServer) -> None:
    task = asyncio.ensure_future(turn)
    _, waiting = await asyncio.wait([task], timeout=case.within)
    if waiting:
        outcome.kind = "hung"
        task.cancel()
        await asyncio.wait([task], timeout=1)
        return
    try:
        task.result()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - that nothing else escapes is what is looked at
        outcome.kind, outcome.error = "foreign", error
    if case.stop and server.requests:
        last = server.requests[-1]
        outcome.closed = last.answered or await asyncio.to_thread(last.closed_by_client.wait, CLOSE_SECONDS)


async def _read(deltas: DeltaGenerator, outcome: Outcome, case: Case) -> None:
    first = asyncio.Event()

    async def read() -> None:
        async with aclosing(deltas):
            async for delta in deltas:
                _take(delta, outcome)
                if outcome.text:
                    first.set()
                    if case.stop == "leave":
                        return

    if not case.stop.startswith("cancel"):
        await read()
        return
    reading = asyncio.ensure_future(read())
    waiting = asyncio.ensure_future(first.wait() if case.stop == "cancel" else asyncio.sleep(EARLY_SECONDS))
    await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    reading.cancel()
    await asyncio.wait([reading])
    if not reading.cancelled():
        reading.result()


def _take(delta: object, outcome: Outcome) -> None:
    outcome.finish = delta.reason if isinstance(delta, Finish) else ""  # the last word, or none
    if isinstance(delta, Text):
        outcome.text += delta.text
        outcome.first_text = outcome.first_text or time.monotonic()
    elif isinstance(delta, Reasoning):
        outcome.reasoning += delta.text
    elif isinstance(delta, TextWasReasoning):
        outcome.reasoning, outcome.text = outcome.reasoning + outcome.text, ""
    elif isinstance(delta, ToolCall):
        outcome.calls.append((delta.name, delta.arguments))
    elif isinstance(delta, Usage):
        outcome.usage = (delta.prompt_tokens, delta.completion_tokens)
    elif isinstance(delta, ModelName):
        outcome.model = delta.name
    elif isinstance(delta, Notice):
        outcome.notices.append(delta.text)


def judge(case: Case, outcome: Outcome) -> list[Finding]:
    """Compare what came of `case` with what it demands; an empty list means that everything is right."""
    return [*_judge_truth(case, outcome), *_judge_requests(case, outcome), *_judge_precision(case, outcome)]


def _judge_truth(case: Case, outcome: Outcome) -> Iterator[Finding]:
    failed = bool(outcome.kind)
    if case.stop:
        if failed:
            yield Finding(f"stopping it ended in {_described(outcome)}")
        elif not outcome.closed:
            yield Finding(f"the connection was not closed within {CLOSE_SECONDS} s")
        return
    if outcome.kind == "hung":
        yield Finding(f"it had not come to an end after {case.within} s")
    elif outcome.kind == "foreign":
        yield Finding(f"an error outside the tree escaped: {outcome.error!r}", essential=not case.kinds)
    elif failed and not case.kinds:
        yield Finding(f"it failed with {_described(outcome)}")
    elif not failed and not case.finish:
        yield Finding("a failure was reported as success", false_success=True)
    if outcome.text != case.text:
        yield Finding(f"the text is {_excerpt(outcome.text, case.text)}")
    if case.first_within and (outcome.first_text is None or outcome.first_text > case.first_within):
        yield Finding(f"the first text took longer than {case.first_within} s")


def _judge_requests(case: Case, outcome: Outcome) -> Iterator[Finding]:
    attempts = len(outcome.requests)
    if attempts not in case.attempts:
        yield Finding(f"{attempts} attempts instead of {' or '.join(map(str, case.attempts))}")
    if any(KEY in request.header("Authorization") for request in outcome.elsewhere):
        yield Finding("the key was sent to another server")
    elif outcome.elsewhere:
        yield Finding("another server was asked")
    if KEY in outcome.shown + "".join(outcome.notices):
        yield Finding("the key stands in what is shown")
    if case.pause and attempts > 1:
        least, most = case.pause
        paused = outcome.requests[1].arrived_at - outcome.requests[0].arrived_at
        if not least <= paused <= most:
            yield Finding(f"the second attempt came after {paused:.2f} s instead of {least} to {most} s")
    if case.demand is not None and (complaint := case.demand(outcome.requests)):
        yield Finding(complaint)


def _judge_precision(case: Case, outcome: Outcome) -> Iterator[Finding]:
    if case.stop or outcome.kind in {"foreign", "hung"}:
        return
    if outcome.kind and case.kinds and outcome.kind not in case.kinds:
        yield Finding(f"the error is {_described(outcome)}", essential=False)
    if not outcome.kind and case.finish and outcome.finish != case.finish:
        yield Finding(f"the finish reason is {outcome.finish!r}", essential=False)
    if outcome.reasoning != case.reasoning:
        yield Finding(f"the reasoning is {_excerpt(outcome.reasoning, case.reasoning)}", essential=False)
    if case.calls and tuple(outcome.calls) != case.calls:
        yield Finding(f"the calls of tools are {outcome.calls}", essential=False)
    if case.usage and outcome.usage != case.usage:
        yield Finding(f"the usage is {outcome.usage}", essential=False)
    if case.model and outcome.model != case.model:
        yield Finding(f"the model is {outcome.model!r} instead of {case.model!r}", essential=False)
    if case.notice and not outcome.notices:
        yield Finding("the waiting person saw no notice", essential=False)
    if outcome.error is not None:
        yield from _judge_error(case, outcome)


def _judge_error(case: Case, outcome: Outcome) -> Iterator[Finding]:
    words = f"{outcome.error}\n{getattr(outcome.error, 'server_message', '')}"
    if case.says not in words:
        yield Finding(f"the error does not say {case.says!r}, but {words[:200]!r}", essential=False)
    request_id = getattr(outcome.error, "request_id", None)
    if case.request_id and request_id != case.request_id:
        yield Finding(f"the error's request id is {request_id!r}", essential=False)
    if not words.replace("\n", "").isprintable() or len(words) > _MOST_WORDS:
        yield Finding("the error's words are not fit to be shown", essential=False)


_MOST_WORDS: Final = 5_000
_EXCERPT_CHARACTERS: Final = 60


def _described(outcome: Outcome) -> str:
    return f"{outcome.kind!r}: {outcome.error!r}"[:300]


def _excerpt(got: str, wanted: str) -> str:
    same = len(commonpath([got, wanted]))
    start = max(0, same - 10)
    end = start + _EXCERPT_CHARACTERS
    return f"{got[start:end]!r} instead of {wanted[start:end]!r} from character {start} on"


# --- pointing a provider to the server --------------------------------------------------------------------------


def _aimed(provider: type[AsyncGeneratorProvider], url: str) -> Provider:
    aimed: Provider = type(provider.__name__, (provider,), {"url": url})
    return aimed


@contextmanager
def _environment(provider: type[Any] | None) -> Iterator[Callable[[str], None]]:
    """Give `provider` its key, keep proxies out, and yield a function that gives it an address; undo all at the end."""
    names: Sequence[str] = [getattr(provider, name, "") for name in ("url_variable", "key_variable")]
    before = {name: os.environ.get(name) for name in (*names, "NO_PROXY", "no_proxy") if name}
    url_variable, key_variable = names
    if key_variable:
        os.environ[key_variable] = KEY
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

    def point_to(url: str) -> None:
        if url_variable:
            os.environ[url_variable] = url

    try:
        yield point_to
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
