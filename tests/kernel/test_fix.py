"""``%chat_fix`` in a real kernel: after an error, what the model is sent, and what the person is offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import evaluate, the_error_line
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer

FAILS = "numbers = [3, 1, 2]\ntotal = 0\nfor n in numbers:\n    total += n\nprint('<b>mean</b>', totl / len(numbers))"
FIXED = FAILS.replace("totl", "total")
ANSWER = f"The name is misspelt.\n\n```python\n{FIXED}\n```"


def kinds(result: Result) -> list[str]:
    return [output["output_type"] for output in result.outputs]


@pytest.fixture
def failed(kernel: Kernel) -> Kernel:
    """A kernel whose last cell failed."""
    kernel.run("globals().pop('total', None)")
    assert kernel.run(FAILS).status == "error"
    return kernel


class TestAsking:
    def test_the_model_is_sent_the_cell_and_the_error(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ANSWER]))
        failed.run("%chat_fix")
        (request,) = server.requests
        asked = request.messages[-1]["content"]
        assert FAILS in asked
        assert "NameError: name 'totl' is not defined" in asked
        assert asked.startswith("A cell of the notebook failed.")

    def test_with_what_the_person_adds(self, failed: Kernel, server: LocalServer) -> None:
        failed.run("%chat_fix -m gpt-test Keep the loop, please? {x}")
        (request,) = server.requests
        assert "Keep the loop, please? {x}" in request.messages[-1]["content"]
        assert request.json["model"] == "gpt-test"

    @pytest.mark.parametrize(
        ("cell", "error"),
        [
            ("for i in range(3)\n    print(i)", "SyntaxError"),
            ("if True:\nx = 1", "IndentationError"),
            ("%nomagic", "UsageError"),
        ],
    )
    def test_after_a_cell_that_could_not_even_begin(
        self, kernel: Kernel, server: LocalServer, cell: str, error: str
    ) -> None:
        kernel.run(cell)
        server.queue(Answer(text=["```python\nfor i in range(3):\n    print(i)\n```"]))
        result = kernel.run("%chat_fix")
        asked = server.requests[0].messages[-1]["content"]
        assert cell in asked
        assert error in asked
        assert result.payload[0]["text"] == "for i in range(3):\n    print(i)"

    def test_an_error_of_ours_is_not_the_last_error(self, failed: Kernel, server: LocalServer) -> None:
        the_error_line(failed.run("%chat -p nobody Hello"))
        failed.run("%chat_fix")
        assert "NameError" in server.requests[0].messages[-1]["content"]

    def test_where_nothing_failed(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run("%load_ext chatanywhere_magic")
        assert "No cell has failed" in the_error_line(kernel.run("%chat_fix"))


class TestOffering:
    def test_the_corrected_cell_is_put_into_the_next_one_and_not_run(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ANSWER]))
        result = failed.run("%chat_fix")
        assert result.payload == [{"source": "set_next_input", "text": FIXED, "replace": False}]
        assert result.stdout == ""
        assert evaluate(failed, "total") == 6

    def test_what_changed_is_shown_beside_it(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ANSWER]))
        result = failed.run("%chat_fix")
        assert kinds(result) == ["display_data", "display_data"]
        diff = result.outputs[1]["data"]
        assert "-print('<b>mean</b>', totl / len(numbers))" in diff["text/plain"]
        assert "+print('<b>mean</b>', total / len(numbers))" in diff["text/plain"]
        assert " numbers = [3, 1, 2]" not in diff["text/plain"]
        assert "&lt;b&gt;mean&lt;/b&gt;" in diff["text/html"]
        assert "<b>" not in diff["text/html"]

    def test_into_this_cell_instead(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ANSWER]))
        assert failed.run("%chat_fix -q --replace").payload[0]["replace"] is True

    def test_an_answer_without_code(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["I do not know."]))
        result = failed.run("%chat_fix")
        assert result.payload == []
        assert "There is no code in the response." in result.stdout

    def test_an_answer_that_changes_nothing(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[f"```python\n{FAILS}\n```"]))
        result = failed.run("%chat_fix")
        assert result.payload == []
        assert "the same code" in result.stdout

    def test_a_failure_fills_no_cell(self, failed: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["```python\nx = 1\n"], cut=True))
        result = failed.run("%chat_fix")
        assert result.status == "error"
        assert result.payload == []
