"""Approval: bound to one call, answered once, and taken back by whoever gave it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.core.messages import ToolCall
from chatanywhere_magic.session.approval import Approval, Approvals, Place
from chatanywhere_magic.tools import Shown, Tool

CALL = ToolCall("call_1", "load", '{"path": "a.csv"}')
PLACE = Place("conversation", 3, 0, 0, 0)


def load(path: str) -> str:
    """Load a file."""
    return path


def tool(**options: Any) -> Tool:
    return Tool.of(load, **options)


def asked(
    approvals: Approvals, call: ToolCall = CALL, place: Place = PLACE, *, covers: str = "", **options: Any
) -> Approval:
    return approvals.request(tool(**options), call, place, Shown(call.arguments, "json"), covers)


class TestAnAnswer:
    def test_it_permits_the_call_once(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        assert approvals.waiting == (approval,)
        assert not approval.take(CALL, PLACE)
        approvals.answer(approval.id, "once")
        assert (approvals.waiting, approval.state, approval.decided.done()) == ((), "once", True)
        assert approval.take(CALL, PLACE)
        assert not approval.take(CALL, PLACE)
        assert approvals.standing == ()

    def test_a_no_permits_nothing_and_has_its_reason(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "no", "  not that file  ")
        assert (approval.state, approval.reason) == ("no", "not that file")
        assert not approval.take(CALL, PLACE)

    @pytest.mark.parametrize(
        "other",
        [
            replace(CALL, arguments='{"path": "b.csv"}'),
            replace(CALL, arguments='{"path":  "a.csv"}'),
            replace(CALL, name="delete"),
            replace(CALL, id="call_2"),
        ],
    )
    def test_it_permits_no_other_call(self, other: ToolCall) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "once")
        assert not approval.take(other, PLACE)
        assert approval.take(CALL, PLACE)

    @pytest.mark.parametrize("field", ["conversation", "turn", "version", "step", "position"])
    def test_nor_the_same_call_in_another_place(self, field: str) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "once")
        elsewhere = replace(PLACE, **{field: "other" if field == "conversation" else 7})
        assert not approval.take(CALL, elsewhere)

    def test_the_first_one_counts_and_a_second_one_is_told_so(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "no")
        with pytest.raises(ConfigurationError, match="already answered"):
            approvals.answer(approval.id, "always")
        assert (approval.state, approvals.standing) == ("no", ())

    def test_one_for_what_nobody_asked_is_refused(self) -> None:
        approvals = Approvals()
        approval, other = asked(approvals), asked(Approvals())
        for forged in ("", "0" * 64, other.id, approval.id[:-1]):
            with pytest.raises(ConfigurationError):
                approvals.answer(forged, "once")
        assert approvals.waiting == (approval,)

    def test_a_word_that_is_none_leaves_the_call_waiting(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        with pytest.raises(ConfigurationError, match="once, always, no"):
            approvals.answer(approval.id, "yes")  # type: ignore[arg-type]
        assert approvals.waiting == (approval,)

    def test_the_same_call_asked_twice_has_two_ids(self) -> None:
        approvals = Approvals()
        assert asked(approvals).id != asked(approvals).id

    def test_of_many_threads_one_is_first(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        heard: list[Approval] = []
        accepted: list[str] = []
        approvals.listen(heard.append)
        gate = threading.Barrier(8)

        def answer(word: Any) -> None:
            gate.wait()
            try:
                approvals.answer(approval.id, word)
            except ConfigurationError:
                return
            accepted.append(word)

        threads = [threading.Thread(target=answer, args=(("once", "no")[number % 2],)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert accepted == [approval.state]
        assert heard == [approval]

    def test_what_the_person_edited_is_what_runs(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "once", arguments='{"path": "mine.csv"}')
        assert approval.take(CALL, PLACE)
        assert approval.arguments == '{"path": "mine.csv"}'


class TestAStandingAnswer:
    def given(self, **options: Any) -> Approvals:
        approvals = Approvals()
        approvals.answer(asked(approvals, **options).id, "always")
        return approvals

    def test_it_holds_for_the_function_in_the_conversation(self) -> None:
        approvals = self.given()
        assert approvals.permits(tool(), replace(PLACE, turn=9, version=2))
        assert not approvals.permits(tool(), replace(PLACE, conversation="another"))

    def test_not_for_another_function_of_that_name(self) -> None:
        def load(path: str) -> str:  # noqa: ARG001 - as the cell defines it again
            """Load another file."""
            return ""

        assert not self.given().permits(Tool.of(load), PLACE)
        assert not self.given().permits(tool(name="load_it"), PLACE)

    def test_for_a_method_that_is_looked_up_anew(self) -> None:
        class Files:
            def load(self, path: str) -> str:
                """Load a file."""
                return path

        mine, others = Files(), Files()
        approvals = Approvals()
        approval = approvals.request(Tool.of(mine.load), CALL, PLACE, Shown(""))
        approvals.answer(approval.id, "always")
        assert approvals.permits(Tool.of(mine.load), PLACE)
        assert not approvals.permits(Tool.of(others.load), PLACE)

    def test_for_a_turn_alone_where_the_tool_says_so(self) -> None:
        approvals = self.given(standing="turn")
        assert approvals.permits(tool(standing="turn"), replace(PLACE, step=5))
        assert not approvals.permits(tool(standing="turn"), replace(PLACE, version=1))
        assert not approvals.permits(tool(standing="turn"), replace(PLACE, turn=4))
        approvals.end_turn(PLACE.of_turn)
        assert approvals.standing == ()

    def test_not_at_all_where_the_tool_says_so(self) -> None:
        approvals = Approvals()
        approval = asked(approvals, standing="never")
        assert approval.answers == ("once", "no")
        with pytest.raises(ConfigurationError):
            approvals.answer(approval.id, "always")
        approvals.answer(approval.id, "once")
        assert approvals.standing == ()

    def test_a_yes_holds_for_all_that_it_covers(self) -> None:
        approvals = Approvals()
        approvals.answer(asked(approvals, covers="/data").id, "once")
        assert approvals.permits(tool(), PLACE, "/data")
        assert not approvals.permits(tool(), PLACE, "/etc")
        assert not approvals.permits(tool(), PLACE)

    def test_it_answers_what_it_covers_and_waits_already(self) -> None:
        approvals = Approvals()
        options = {"covers": lambda given: given["path"]}
        first, same, other = (
            approvals.request(tool(**options), CALL, replace(PLACE, position=at), Shown("x"), covers)
            for at, covers in enumerate(("./data", "./data", "./"))
        )
        approvals.answer(first.id, "once")
        assert [each.state for each in (first, same, other)] == ["once", "always", "waiting"]
        assert same.take(CALL, same.place)
        assert not other.take(CALL, other.place)

    def test_it_is_listed_and_taken_back(self) -> None:
        approvals = self.given()
        assert [(each.tool, each.conversation) for each in approvals.standing] == [("load", "conversation")]
        assert approvals.revoke("save") == 0
        assert approvals.revoke("load") == 1
        assert not approvals.permits(tool(), PLACE)

    def test_one_given_beforehand_holds_everywhere(self) -> None:
        approvals = Approvals()
        approvals.allow(tool())
        assert approvals.permits(tool(), replace(PLACE, conversation="another"))
        assert approvals.revoke() == 1


class TestTheEndOfATurn:
    def test_it_withdraws_what_waits(self) -> None:
        approvals = Approvals()
        mine, other = asked(approvals), asked(approvals, place=replace(PLACE, turn=4))
        approvals.end_turn(PLACE.of_turn)
        assert (mine.state, mine.decided.done(), approvals.waiting) == ("withdrawn", True, (other,))
        with pytest.raises(ConfigurationError, match="its turn has ended"):
            approvals.answer(mine.id, "once")
        assert not mine.take(CALL, PLACE)

    def test_an_answer_is_not_withdrawn(self) -> None:
        approvals = Approvals()
        approval = asked(approvals)
        approvals.answer(approval.id, "once")
        approvals.withdraw(approval)
        assert approval.take(CALL, PLACE)


def test_listeners_hear_of_the_question_and_of_the_answer() -> None:
    approvals = Approvals()
    heard: list[str] = []
    end = approvals.listen(lambda approval: heard.append(approval.state))
    approvals.answer(asked(approvals).id, "once")
    end()
    asked(approvals)
    assert heard == ["waiting", "once"]
