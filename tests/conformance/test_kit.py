"""The kit itself: what it promises to those who run it against providers of their own."""

from __future__ import annotations

import ast
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import chatanywhere_magic.testing
from chatanywhere_magic import AsyncGeneratorProvider, OpenAI, Scripted
from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.core.messages import DeltaGenerator, Finish, Text
from chatanywhere_magic.testing import check, conformance_cases, judge, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatanywhere_magic.providers.contract import Provider

CASES: Final = {(case.protocol, case.name): case for case in conformance_cases()}
KIT: Final = Path(chatanywhere_magic.testing.__file__).parent


def test_the_names_are_unique_and_there_are_enough() -> None:
    assert len(CASES) == len(conformance_cases()) >= 150
    assert Counter(protocol for protocol, _ in CASES).keys() == {"openai", "responses", "web"}
    assert len(conformance_cases("responses")) >= 120
    assert {case.protocol for case in conformance_cases("web")} == {"web"}


def test_every_case_demands_something_and_says_why() -> None:
    kinds = {kind.kind for kind in _tree(ChatError)}
    for case in CASES.values():
        assert case.finish or case.kinds or case.stop, case.name
        assert set(case.kinds) <= kinds, case.name
        assert case.answers, case.name
        assert case.server, case.name
        assert case.why.endswith("."), case.name
        assert "/" in case.name


def _tree(root: type[ChatError]) -> Iterator[type[ChatError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def test_the_kit_needs_no_test_framework() -> None:
    imported = {
        name.split(".")[0]
        for path in KIT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert not imported & {"pytest", "hypothesis", "openai"}


def always(*deltas: Text | Finish, error: Exception | None = None) -> Provider:
    """Return a provider that never asks anybody."""

    class Always(AsyncGeneratorProvider):
        @classmethod
        async def create_delta_generator(cls, *_: Any, **__: Any) -> DeltaGenerator:  # type: ignore[override]
            for delta in deltas:
                yield delta
            if error:
                raise error

    return Always


def test_a_failure_told_as_success_is_found() -> None:
    case = CASES["openai", "truth/no-finish"]
    findings = judge(case, run(always(Text(case.text), Finish("stop")), case))
    assert [finding.what for finding in findings if finding.false_success] == ["a failure was reported as success"]
    with pytest.raises(AssertionError, match=r"openai: truth/no-finish\n  - a failure was reported as success"):
        check(always(Text(case.text), Finish("stop")), case)


def test_a_wrong_text_and_a_missing_request_are_found() -> None:
    case = CASES["openai", "framing/lf"]
    findings = judge(case, run(always(Text("Hello, world"), Finish("stop")), case))
    assert ["text" in findings[0].what, findings[1].what] == [True, "0 attempts instead of 1"]


def test_an_error_outside_the_tree_is_found() -> None:
    case = CASES["openai", "status/500"]
    outcome = run(always(error=ZeroDivisionError()), case)
    assert outcome.kind == "foreign"
    assert "ZeroDivisionError" in judge(case, outcome)[0].what


def test_a_provider_may_be_made_from_the_address() -> None:
    addresses: list[str] = []

    def connect(url: str) -> Provider:
        addresses.append(url)
        return Scripted.of("Hello, world!")

    findings = judge(CASES["web", "text/one-piece"], run(connect, CASES["web", "text/one-piece"]))
    assert [finding.what for finding in findings] == ["0 attempts instead of 1"]
    assert addresses[0].startswith("http://127.0.0.1:")


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    before = dict(os.environ)
    check(OpenAI, CASES["openai", "framing/lf"])
    assert dict(os.environ) == before
