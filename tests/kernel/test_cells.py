"""A cell is a turn: what becomes of the conversation when cells run again, ask less, or are other cells than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.kernel.seen import evaluate, the_answer

if TYPE_CHECKING:
    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer


def shown(kernel: Kernel) -> list[str]:
    """Return the questions of the turns that are shown, in their order."""
    questions: list[str] = evaluate(kernel, "[turn.current.prompt for _, turn in chat.conversation.visible]")
    return questions


def ask(kernel: Kernel, question: str, cell_id: str) -> Result:
    result = kernel.run(f"%%chat\n{question}", cell_id=cell_id)
    assert result.status == "ok", result
    return result


def test_running_a_cell_again_revises_its_turn_and_sends_what_stands_before_it(
    kernel: Kernel, server: LocalServer
) -> None:
    for number, question in enumerate(("a", "b", "c")):
        ask(kernel, question, f"cell-{number}")
    ask(kernel, "B", "cell-1")
    assert shown(kernel) == ["a", "B", "c"]
    assert [message["content"] for message in server.requests[-1].messages][::2] == ["a", "B"]


def test_questions_from_code_have_the_place_of_their_cell_too(kernel: Kernel, server: LocalServer) -> None:
    code = "for question in {}:\n    chat.ask_sync(question)"
    kernel.run(code.format(["a", "b"]), cell_id="cell-1")
    kernel.run(code.format(["A", "B"]), cell_id="cell-1")
    assert shown(kernel) == ["A", "B"]
    kernel.run("import asyncio\nawait asyncio.gather(chat.ask('x'), chat.ask('y'))", cell_id="cell-2")
    kernel.run("import asyncio\nawait asyncio.gather(chat.ask('X'), chat.ask('Y'))", cell_id="cell-2")
    assert shown(kernel) == ["A", "B", "X", "Y"]
    assert len(server.requests) == 8


def test_a_magic_in_the_place_of_code_revises_what_the_code_asked(kernel: Kernel) -> None:
    kernel.run("_ = chat.ask_sync('a')", cell_id="cell-1")
    kernel.run("%chat b", cell_id="cell-1")
    assert shown(kernel) == ["b"]


def test_what_a_cell_does_not_ask_any_more_is_hidden_and_it_says_so(kernel: Kernel) -> None:
    kernel.run("%chat a\n%chat b\n%chat c", cell_id="cell-1")
    ask(kernel, "d", "cell-2")
    result = kernel.run("%chat a", cell_id="cell-1")
    assert shown(kernel) == ["a", "d"]
    assert "(turn 2, 3)" in result.stdout
    assert "%chat_undo --back" in result.stdout
    assert evaluate(kernel, "chat.turns.redo()") == [1, 2]


def test_a_cell_that_asks_nothing_any_more_has_no_turn(kernel: Kernel) -> None:
    ask(kernel, "a", "cell-1")
    assert "(turn 1)" in kernel.run("1 + 1", cell_id="cell-1").stdout
    assert shown(kernel) == []
    ask(kernel, "a again", "cell-1")
    assert evaluate(kernel, "[len(turn.versions) for _, turn in chat.conversation.visible]") == [2]


def test_a_cell_that_fails_hides_nothing(kernel: Kernel) -> None:
    kernel.run("%chat a\n%chat b", cell_id="cell-1")
    kernel.run("%chat a\nraise RuntimeError\n%chat b", cell_id="cell-1")
    assert shown(kernel) == ["a", "b"]


def test_cells_without_ids_append(kernel: Kernel) -> None:
    kernel.run("%chat a")
    kernel.run("%chat a")
    assert shown(kernel) == ["a", "a"]


def test_a_copied_cell_has_a_turn_of_its_own(kernel: Kernel) -> None:
    ask(kernel, "a", "cell-1")
    ask(kernel, "a", "copy-of-cell-1")
    assert shown(kernel) == ["a", "a"]


def test_append_adds_a_turn_and_the_next_run_revises_that_one(kernel: Kernel) -> None:
    ask(kernel, "a", "cell-1")
    kernel.run("%%chat --append\nb", cell_id="cell-1")
    assert shown(kernel) == ["a", "b"]
    ask(kernel, "c", "cell-1")
    assert shown(kernel) == ["a", "c"]


def test_a_question_aside_leaves_no_trace(kernel: Kernel, server: LocalServer) -> None:
    ask(kernel, "a", "cell-1")
    kernel.run("%%chat --no-history\naside", cell_id="cell-2")
    assert shown(kernel) == ["a"]
    assert [message["content"] for message in server.requests[-1].messages] == ["aside"]


def test_a_cell_that_is_run_again_after_an_undo_comes_back_in_its_place(kernel: Kernel) -> None:
    for number, question in enumerate(("a", "b")):
        ask(kernel, question, f"cell-{number}")
    kernel.run("chat.turns.clear()")
    ask(kernel, "c", "cell-2")
    ask(kernel, "a", "cell-0")
    assert shown(kernel) == ["a", "c"]


def test_a_cell_that_another_cell_runs_has_no_place_and_the_other_keeps_its_own(kernel: Kernel) -> None:
    kernel.run("get_ipython().run_cell('%chat inner')\n%chat outer", cell_id="cell-1")
    kernel.run("%chat OUTER", cell_id="cell-1")
    assert shown(kernel) == ["inner", "OUTER"]


def test_the_footer_says_what_was_left_out(kernel: Kernel) -> None:
    for number in range(4):
        ask(kernel, f"{number} " + "word " * 60, f"cell-{number}")
    kernel.run("chat.budget = 330")
    page = the_answer(ask(kernel, "last", "cell-4")).data["text/html"]
    assert "2 earlier turns left out" in page
