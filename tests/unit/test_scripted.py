"""The provider of queued answers."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import Script, Scripted
from chatanywhere_magic.core.errors import ConfigurationError, RateLimitError
from chatanywhere_magic.core.messages import Finish, ModelName, Reasoning, Text, Usage
from tests.unit.helpers import ask, assert_for_people, user


def test_it_answers_what_was_queued_word_by_word() -> None:
    parrot = Scripted.of("Hello there!", "Hello again!")
    assert ask(parrot).deltas == [ModelName("scripted"), Text("Hello"), Text(" there!"), Finish("stop")]
    assert ask(parrot).text == "Hello again!"


@given(st.text().filter(str.strip))
def test_no_character_is_lost_between_the_words(answer: str) -> None:
    assert "".join(Script(answer).chunks) == answer


def test_a_script_says_all_that_a_model_can() -> None:
    script = Script(["4", "!"], reasoning="two and two", finish_reason="length", usage=Usage(5, 2))
    assert ask(Scripted.of(script), model="m").deltas == [
        ModelName("m"),
        Reasoning("two and two"),
        Text("4"),
        Text("!"),
        Usage(5, 2),
        Finish("length"),
    ]


def test_a_script_can_fail_or_stop_short() -> None:
    outcome = ask(Scripted.of(Script("so far", error=RateLimitError("Too many."))))
    assert outcome.text == "so far"
    assert_for_people(outcome.error, RateLimitError)
    assert ask(Scripted.of(Script("so far", finish_reason=""))).finish_reason is None


def test_each_has_a_queue_and_a_record_of_its_own() -> None:
    one, two = Scripted.of("1"), Scripted.of("2")
    assert (ask(two, "second").text, ask(one, "first").text) == ("2", "1")
    assert one.requests == [user("first")]
    assert Scripted.requests == []


def test_an_empty_queue_is_told() -> None:
    assert_for_people(ask(Scripted.of()).error, ConfigurationError, 'Scripted.queue("…")')


def test_a_text_is_split_where_words_begin() -> None:
    assert Script("One two.\n\n- three\n").chunks == re.split(r"(?=\s+\S)(?<=\S)", "One two.\n\n- three\n")
