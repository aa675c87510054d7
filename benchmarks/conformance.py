"""The conformance kit's cases of OpenAI's protocols, through the official SDK and through our provider.

The SDK is read as its documentation reads it: ``async for`` over the chunks or events, the text from the first choice's
delta, or from ``response.output_text.delta``.
Whatever ends the loop without an exception was told as success, except for what a careful reader sees in the chunks:
a refusal, a call of a tool, ``content_filter``. The score counts what is essential: the text, the truth about success
and failure, the number of attempts, no hanging. The kinds of errors and other matters of precision are not held against
the SDK. Cases about options that only this package has are left out.

Run it with ``python -m benchmarks.conformance``; ``--protocol responses`` takes the other protocol.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import openai

from chatanywhere_magic import OpenAI
from chatanywhere_magic.testing import Case, Finding, Outcome, conformance_cases, judge, run, run_with
from chatanywhere_magic.testing.cases import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SECONDS: Final = 5.0
_REASONS: Final = {"max_output_tokens": "length"}
_TOLD: Final = {"content_filter": "content_filter", "tool_calls": "unsupported", "function_call": "unsupported"}


@dataclass
class Score:
    cases: int = 0
    exact: int = 0
    essential: int = 0
    false_successes: int = 0
    unfinished: int = 0
    """Of those, where no finish reason was given either, which a careful reader could see."""
    wrong: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, case: Case, outcome: Outcome) -> None:
        findings = judge(case, outcome)
        essential = [finding for finding in findings if finding.essential]
        self.cases += 1
        self.exact += not findings
        self.essential += not essential
        told = any(finding.false_success for finding in findings)
        self.false_successes += told
        self.unfinished += told and not outcome.finish
        if essential:
            self.wrong[case.name] = essential


async def ask_sdk(url: str, outcome: Outcome, case: Case) -> None:
    """Ask by the SDK, with the time limits that the case asks for in the SDK's own way."""
    idle = case.options.get("idle_timeout", READ_SECONDS)
    timeout = openai.Timeout(case.options.get("timeout", READ_SECONDS), read=idle)
    async with openai.AsyncOpenAI(
        base_url=url, api_key=KEY, timeout=timeout, max_retries=case.options.get("max_retries", 2)
    ) as client:
        try:
            if case.protocol == "responses":
                events = await client.responses.create(model="test-model", input="Hello", stream=True, store=False)
                async with events:
                    async for event in events:
                        _take_event(event, outcome, takes_calls="tools" in case.options)
            else:
                stream = await client.chat.completions.create(
                    model="test-model", messages=[{"role": "user", "content": "Hello"}], stream=True
                )
                async with stream:
                    async for chunk in stream:
                        _take(chunk, outcome)
        except openai.OpenAIError as error:
            outcome.kind, outcome.error = type(error).__name__, error
    if not outcome.kind:
        outcome.kind = _TOLD.get(outcome.finish, "")


def _take(chunk: Any, outcome: Outcome) -> None:
    if chunk.usage:
        outcome.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    for choice in chunk.choices or ():
        if choice.index:
            continue
        delta = choice.delta
        if delta and isinstance(delta.content, str):
            outcome.text += delta.content
            outcome.first_text = outcome.first_text or time.monotonic()
        if delta and delta.refusal:
            outcome.kind = "refusal"
        if delta and (delta.tool_calls or delta.function_call):
            outcome.kind = "unsupported"
        if choice.finish_reason:
            outcome.finish = choice.finish_reason


def _take_event(event: Any, outcome: Outcome, *, takes_calls: bool) -> None:
    kind = getattr(event, "type", "")
    if kind == "response.output_text.delta" and isinstance(event.delta, str):
        outcome.text += event.delta
        outcome.first_text = outcome.first_text or time.monotonic()
    elif kind == "response.refusal.delta":
        outcome.kind = "refusal"
    elif kind == "response.output_item.done" and getattr(event.item, "type", "") == "function_call":
        outcome.kind = "" if takes_calls else "unsupported"
        outcome.calls.append((event.item.name, event.item.arguments))
    elif kind in {"error", "response.failed"}:
        outcome.kind = "stream"
    elif kind == "response.completed":
        outcome.finish = "tool_calls" if outcome.calls else "stop"
    elif kind == "response.incomplete":
        details = event.response.incomplete_details
        outcome.finish = _REASONS.get(details.reason, details.reason) if details else "length"


def run_sdk(case: Case) -> Outcome:
    async def ask(url: str, outcome: Outcome) -> None:
        await ask_sdk(url, outcome, case)

    return run_with(ask, case)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument("--only", default="", help="run the cases alone whose names hold this")
    parser.add_argument("--protocol", choices=["openai", "responses"], default="openai", help="default: openai")
    parser.add_argument("--list", action="store_true", help="list what each got wrong")
    options = parser.parse_args()
    # Leaving early has another form in every client, and the time limit for the whole is not one that the SDK has.
    cases = [case for case in conformance_cases(options.protocol) if options.only in case.name and _is_fair(case)]
    clients: dict[str, Callable[[Case], Outcome]] = {
        f"openai {version('openai')}": run_sdk,
        "chatanywhere_magic": lambda case: run(OpenAI, case),
    }
    scores = {name: score(cases, client) for name, client in clients.items()}
    _print(scores)
    if options.list:
        for name, one in scores.items():
            print(f"\n{name}")
            for case, findings in one.wrong.items():
                print(f"  {case}: {'; '.join(finding.what for finding in findings)[:160]}")


def score(cases: list[Case], client: Callable[[Case], Outcome]) -> Score:
    total = Score()
    for case in cases:
        total.add(case, client(case))
    return total


def _is_fair(case: Case) -> bool:
    return not case.stop and "timeout" not in case.options


def _print(scores: dict[str, Score]) -> None:
    print(f"{'':34}" + "".join(f"{name:>22}" for name in scores))
    rows: dict[str, Callable[[Score], int]] = {
        "cases": lambda one: one.cases,
        "right on the essentials": lambda one: one.essential,
        "failure reported as success": lambda one: one.false_successes,
        "  without a finish reason at least": lambda one: one.unfinished,
        "right in everything": lambda one: one.exact,
    }
    for row, value in rows.items():
        print(f"{row:34}" + "".join(f"{value(one):>22}" for one in scores.values()))
    groups = {name: Counter(case.partition("/")[0] for case in one.wrong) for name, one in scores.items()}
    for group in sorted(set().union(*groups.values())):
        print(f"{f'  wrong in {group}':34}" + "".join(f"{groups[name][group]:>22}" for name in scores))


if __name__ == "__main__":
    main()
