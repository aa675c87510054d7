"""The conversation: turns with versions, and what of them a model is sent."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.core import SENT, Conversation, Origin, Status, Turn, Version

CELL = Origin("cell", "cell-1")


def version(question: str, answer: str = "", status: Status = "complete", origin: Origin | None = None) -> Version:
    return Version.of(question, answer, status=status, origin=origin or Origin())


def conversation(*versions: Version) -> Conversation:
    made = Conversation()
    for each in versions:
        made = made.appended(each)
    return made


def contents(made: Conversation, before: int | None = None) -> list[str]:
    """What a model is sent, shortly: questions and answers in turn."""
    messages = made.messages_before(len(made.turns) if before is None else before)
    return [message["content"] for message in messages]


def questions(made: Conversation) -> list[str]:
    return [turn.current.prompt for _, turn in made.visible]


# --- turns and versions ---------------------------------------------------------------------------------------


def test_a_turn_shows_its_selected_version() -> None:
    turn = Turn((version("2+2?", "5"), version("2+2?", "4")), selected=1)
    assert turn.current.text == "4"


def test_revising_adds_a_version_and_selects_it() -> None:
    first = Turn((version("2+2?", "5"), version("2+2?", "6")), selected=0)
    revised = first.revised(version("2+2?", "4"))
    assert [each.text for each in revised.versions] == ["5", "6", "4"]
    assert revised.current.text == "4"
    assert first.current.text == "5"


def test_a_version_is_updated_in_its_place() -> None:
    turn = Turn((version("a"), version("b"), version("c")), selected=2)
    updated = turn.updated(version("b", "answer"), at=1)
    assert [each.text for each in updated.versions] == ["", "answer", ""]
    assert updated.selected == 2


def test_values_do_not_change() -> None:
    made = conversation(version("a"))
    with pytest.raises(FrozenInstanceError):
        made.turns[0].versions[0].text = "changed"  # type: ignore[misc]
    made.appended(version("b"))
    made.hiding([0])
    assert made == conversation(version("a"))


def test_turns_are_appended_and_replaced() -> None:
    made = conversation(version("a"), version("b"), version("c"))
    assert questions(made) == ["a", "b", "c"]
    assert questions(made.with_turn(1, Turn((version("B"),)))) == ["a", "B", "c"]


def test_revising_keeps_a_turn_pinned_and_shows_it_again() -> None:
    revised = Turn((version("a"),), pinned=True, hidden=3).revised(version("b"))
    assert (revised.pinned, revised.hidden) == (True, 0)


# --- hiding and taking that back ------------------------------------------------------------------------------


def test_a_hidden_turn_is_neither_shown_nor_sent_and_the_others_keep_their_indices() -> None:
    made = conversation(version("a", "A"), version("b", "B"), version("c", "C")).hiding([1])
    assert [(index, turn.current.prompt) for index, turn in made.visible] == [(0, "a"), (2, "c")]
    assert contents(made) == ["a", "A", "c", "C"]


def test_what_was_hidden_comes_back_step_by_step_the_last_first() -> None:
    made = conversation(*map(version, "abcd")).hiding([3]).hiding([0]).hiding([1, 2])
    assert questions(made) == []
    assert questions(made := made.restored()) == ["b", "c"]
    assert questions(made := made.restored()) == ["a", "b", "c"]
    assert questions(made := made.restored()) == ["a", "b", "c", "d"]
    assert made.restored() == made


def test_hiding_again_what_is_hidden_changes_nothing_of_it() -> None:
    made = conversation(*map(version, "abc")).hiding([1]).hiding([1, 2])
    assert questions(made.restored()) == ["a", "c"]


# --- forks ----------------------------------------------------------------------------------------------------


def test_a_fork_has_the_shown_turns_up_to_one_with_all_their_versions() -> None:
    made = conversation(*map(version, "abcd")).hiding([1])
    made = made.with_turn(2, made.turns[2].revised(version("C")))
    fork = made.forked(2)
    assert [[each.prompt for each in turn.versions] for turn in fork.turns] == [["a"], ["c", "C"]]


def test_nothing_is_on_its_way_in_a_fork() -> None:
    made = conversation(version("a", "so f", "streaming"), version("b", status="queued"), version("c", "C"))
    assert [turn.current.status for turn in made.forked(2).turns] == ["interrupted", "interrupted", "complete"]


# --- names ----------------------------------------------------------------------------------------------------


def test_a_conversation_is_called_by_its_title_or_by_its_first_question() -> None:
    assert Conversation().name == ""
    assert conversation(version("What is\n a median?"), version("b")).name == "What is a median?"
    assert Conversation(conversation(version("a")).turns, title="Statistics").name == "Statistics"
    assert conversation(version("word " * 100)).name == "word " * 11 + "word…"


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


def test_a_cell_keeps_its_turn_when_the_question_is_edited_in_the_panel() -> None:
    turn = Turn((version("a", origin=CELL),)).revised(version("a again", origin=Origin("panel")))
    assert Conversation((turn,)).find(CELL) == 0


def test_a_cell_finds_its_hidden_turn_only_if_it_has_no_other() -> None:
    made = conversation(version("a", origin=CELL), version("b", origin=CELL)).hiding([1])
    assert made.find(CELL) == 0
    assert made.hiding([0]).find(CELL) == 1


def test_a_cell_knows_all_of_its_turns_that_are_shown() -> None:
    origins = [replace(CELL, ordinal=0), Origin("panel"), replace(CELL, ordinal=1), replace(CELL, ordinal=2)]
    made = conversation(*(version("a", origin=origin) for origin in origins)).hiding([2])
    assert made.find_cell("cell-1") == [0, 3]
    assert made.find_cell("") == []


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
    assert contents(conversation(Version.of("a", "A", "hm", status="complete"))) == ["a", "A"]


WORDS = st.sampled_from(["", "a", "b"])
VERSIONS = st.builds(version, WORDS, WORDS, st.sampled_from(get_args(Status)))


@given(st.lists(VERSIONS, max_size=6))
def test_roles_always_alternate_and_the_last_word_is_the_models(versions: list[Version]) -> None:
    messages = conversation(*versions).messages_before(len(versions))
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant"] * (len(messages) // 2)
    assert all(message["content"] for message in messages[1::2])
