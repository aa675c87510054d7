"""The conversation: turns with versions, and what of them a model is sent."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.conversation import SENT, Conversation, Origin, Status, Turn, Version

CELL = Origin("cell", "cell-1")


def version(question: str, answer: str = "", status: Status = "complete", origin: Origin | None = None) -> Version:
    return Version(question, answer, status=status, origin=origin or Origin())


def conversation(*versions: Version) -> Conversation:
    made = Conversation()
    for each in versions:
        made = made.appended(each)
    return made


def contents(made: Conversation, before: int | None = None) -> list[str]:
    """What a model is sent, shortly: questions and answers in turn."""
    messages = made.messages_before(len(made.turns) if before is None else before)
    return [message["content"] for message in messages]


# --- turns and versions ---------------------------------------------------------------------------------------


def test_a_turn_shows_its_selected_version() -> None:
    turn = Turn((version("2+2?", "5"), version("2+2?", "4")), selected=1)
    assert turn.current.answer == "4"


def test_revising_adds_a_version_and_selects_it() -> None:
    first = Turn((version("2+2?", "5"), version("2+2?", "6")), selected=0)
    revised = first.revised(version("2+2?", "4"))
    assert [each.answer for each in revised.versions] == ["5", "6", "4"]
    assert revised.current.answer == "4"
    assert first.current.answer == "5"


def test_a_version_is_updated_in_its_place() -> None:
    turn = Turn((version("a"), version("b"), version("c")), selected=2)
    updated = turn.updated(version("b", "answer"), at=1)
    assert [each.answer for each in updated.versions] == ["", "answer", ""]
    assert updated.selected == 2


def test_values_do_not_change() -> None:
    made = conversation(version("a"))
    with pytest.raises(FrozenInstanceError):
        made.turns[0].versions[0].answer = "changed"  # type: ignore[misc]
    made.appended(version("b"))
    made.without(0)
    assert made == conversation(version("a"))


def test_turns_are_appended_replaced_and_removed() -> None:
    made = conversation(version("a"), version("b"), version("c"))
    assert [turn.current.question for turn in made.turns] == ["a", "b", "c"]
    replaced = made.with_turn(1, Turn((version("B"),)))
    assert [turn.current.question for turn in replaced.turns] == ["a", "B", "c"]
    assert [turn.current.question for turn in made.without(1).turns] == ["a", "c"]


# --- places ---------------------------------------------------------------------------------------------------


def test_a_cell_finds_its_turn() -> None:
    made = conversation(version("a", origin=CELL), version("b", origin=Origin("cell", "cell-2")))
    assert made.find(CELL) == 0
    assert made.find(Origin("cell", "cell-2")) == 1
    assert made.find(Origin("cell", "cell-3")) is None


def test_the_questions_of_one_cell_are_told_apart() -> None:
    first, second = replace(CELL, ordinal=0), replace(CELL, ordinal=1)
    made = conversation(version("a", origin=first), version("b", origin=second))
    assert (made.find(first), made.find(second)) == (0, 1)


def test_of_two_turns_from_one_cell_the_last_is_meant() -> None:
    made = conversation(version("a", origin=CELL), version("b"), version("c", origin=CELL))
    assert made.find(CELL) == 2


@pytest.mark.parametrize("origin", [Origin(), Origin("panel"), Origin("cell", "")])
def test_without_a_place_no_turn_is_found(origin: Origin) -> None:
    assert conversation(version("a", origin=origin)).find(origin) is None


def test_a_turn_is_found_where_it_was_asked_last() -> None:
    turn = Turn((version("a", origin=CELL),)).revised(version("a again", origin=Origin("panel")))
    assert Conversation((turn,)).find(CELL) is None


# --- what is sent ---------------------------------------------------------------------------------------------


def test_a_follow_up_is_sent_what_was_said() -> None:
    made = conversation(version("I am Ada.", "Hello Ada."), version("Who am I?", "Ada."))
    assert made.messages_before(2) == [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Who am I?"},
        {"role": "assistant", "content": "Ada."},
    ]


def test_a_turn_is_sent_what_stands_before_it() -> None:
    made = conversation(version("a", "A"), version("b", "B"), version("c", "C"))
    assert contents(made, before=0) == []
    assert contents(made, before=1) == ["a", "A"]
    assert contents(made, before=2) == ["a", "A", "b", "B"]


def test_only_the_selected_version_is_sent() -> None:
    made = Conversation((Turn((version("a", "old"), version("a", "new")), selected=1),))
    assert contents(made) == ["a", "new"]


def test_an_interrupted_answer_is_sent_as_far_as_it_came() -> None:
    assert contents(conversation(version("a", "so far", "interrupted"))) == ["a", "so far"]


def test_a_turn_stopped_before_its_first_word_is_not_sent() -> None:
    assert contents(conversation(version("a", "", "interrupted"), version("b", "B"))) == ["b", "B"]


@pytest.mark.parametrize("status", sorted(set(get_args(Status)) - SENT))
def test_failed_and_unfinished_turns_are_not_sent(status: Status) -> None:
    assert contents(conversation(version("a", "A"), version("b", "part", status), version("c", "C"))) == [
        *("a", "A", "c", "C"),
    ]


def test_reasoning_is_never_sent() -> None:
    assert contents(conversation(replace(version("a", "A"), reasoning="hm"))) == ["a", "A"]


WORDS = st.sampled_from(["", "a", "b"])
VERSIONS = st.builds(version, WORDS, WORDS, st.sampled_from(get_args(Status)))


@given(st.lists(VERSIONS, max_size=6))
def test_roles_always_alternate_and_the_last_word_is_the_models(versions: list[Version]) -> None:
    messages = conversation(*versions).messages_before(len(versions))
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant"] * (len(messages) // 2)
    assert all(message["content"] for message in messages[1::2])
