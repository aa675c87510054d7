"""The notebook "Let it look, let it run" with a person who is asked: every call, once, and nothing in a replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.kernel.seen import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kernels import Kernel

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "tools.ipynb"
PERSON = """
class _Person:
    can_ask, asked = True, []
    def ask(self, approval, approvals, live):
        self.asked.append(approval.shown.text)
        approvals.answer(approval.id, "once")
_host, chat.tools.host = chat.tools.host, _Person()
"""
ANSWERED = """[
    [result.name, result.approval]
    for turn in chat.conversation.turns for message in turn.current.messages for result in message.tool_results
]"""


def cells(*, without: str) -> list[str]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    left = [source for source in sources if without not in source]
    assert len(left) == len(sources) - 1
    return left


@pytest.fixture
def asked(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel whose person answers *Once*, and where responses are recorded."""
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    kernel.run(PERSON + "chat.replay = 'record'")
    yield kernel
    kernel.run("chat.tools.host = _host\nif 'with_tax' in chat.tools: chat.tools.remove('with_tax')")


def test_each_call_is_asked_for_once_and_a_replay_runs_nothing(asked: Kernel) -> None:
    for source in cells(without="--allow"):
        result = asked.run(source)
        assert result.errors == [], source
    seen = evaluate(asked, "_Person.asked")
    assert seen == [evaluate(asked, name) for name in ("FIND_ODD", "FIX", "PLOT")]
    answered = evaluate(asked, ANSWERED)
    assert [how for name, how in answered if name == "run_code"] == ["once"] * 3
    assert all(how == "" for name, how in answered if name != "run_code")
    assert evaluate(asked, "fixed.price.max()") == 39.0

    asked.run("del odd, fixed\nchat.tools.remove('with_tax')  # another offer would be another request")
    asked.run("chat.conversations.new()\nchat.replay = 'replay-only'")
    for source in cells(without="--allow"):
        if source.startswith("%%chat"):
            assert asked.run(source).errors == [], source
    assert evaluate(asked, "_Person.asked") == seen
    assert evaluate(asked, "'odd' in globals() or 'fixed' in globals()") is False
    assert [how for name, how in evaluate(asked, ANSWERED) if name == "run_code"] == ["once"] * 3
