"""``%chat_tools`` in a real kernel: what is offered, what is allowed, and how that is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import evaluate, the_error_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kernels import Kernel


@pytest.fixture
def tools(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel in which two functions are offered."""
    kernel.run(
        '@chat.tool\ndef save(name: str) -> str:\n    "Save <b>it</b>."\n    return name\n'
        '@chat.tool(approval="never")\ndef look() -> str:\n    "Look."\n    return "seen"'
    )
    yield kernel
    kernel.run("chat.tools.revoke()\nfor _tool in [*chat.tools]: chat.tools.remove(_tool.name)")


def rows(kernel: Kernel, line: str) -> list[str]:
    result = kernel.run(line)
    assert result.errors == []
    (output,) = [each for each in result.outputs if "data" in each]
    assert "<b>it" not in output["data"]["text/html"]
    return [" ".join(row.split()) for row in output["data"]["text/plain"].splitlines()[2:]]


def test_without_any_it_says_how_to_offer_one(kernel: Kernel) -> None:
    assert "@chat.tool" in kernel.run("%chat_tools").stdout


def test_it_lists_what_is_offered(tools: Kernel) -> None:
    assert rows(tools, "%chat_tools") == ["save Save <b>it</b>. asked each time", "look Look. runs without asking"]
    tools.run("chat.agent = True")
    assert "run_code Run code as a cell of the notebook" in " ".join(rows(tools, "%chat_tools"))


def test_tools_are_allowed_and_approvals_taken_back(tools: Kernel) -> None:
    assert rows(tools, "%chat_tools --allow save")[0] == "save Save <b>it</b>. allowed in every conversation"
    result = tools.run("%chat_tools --revoke save")
    assert "Approvals taken back: 1." in result.stdout
    assert evaluate(tools, "len(chat.tools.standing)") == 0
    tools.run("%chat_tools --allow save")
    assert "Approvals taken back: 1." in tools.run("%chat_tools --revoke").stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%chat_tools --allow", "Name the tools to allow"),
        ("%chat_tools --allow sav", "There is no tool called sav."),
        ("%chat_tools --allow --revoke save", "Name the tools to allow"),
    ],
)
def test_what_cannot_be_done_is_one_line(tools: Kernel, line: str, words: str) -> None:
    assert words in the_error_line(tools.run(line))
