"""Replay: an earlier answer to the same request instead of a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import AsyncGeneratorProvider, ChatSession, ConfigurationError, Script, Scripted
from chatanywhere_magic.core import Conversation, Turn
from chatanywhere_magic.core.errors import NotFoundError, NotRecordedError
from chatanywhere_magic.core.messages import Extras, Message, Reasoning, Text, ToolCall, ToolResult
from chatanywhere_magic.session import cells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatanywhere_magic import Reply
    from chatanywhere_magic.context.request import Replay
    from chatanywhere_magic.core.conversation import Version
    from chatanywhere_magic.core.messages import AsyncResult, Messages


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession()
    yield session
    session.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path))
    return tmp_path


def last(chat: ChatSession) -> Version:
    return chat.conversation.visible[-1][1].current


def test_the_same_request_is_answered_from_before_and_labelled(chat: ChatSession) -> None:
    parrot = Scripted.of(Script("first", reasoning="hm"), "second")
    chat.ask_sync("a", provider=parrot)
    chat.conversations.new()
    assert chat.ask_sync("a", provider=parrot, replay="replay") == "first"
    assert len(parrot.requests) == 1
    version = last(chat)
    assert (version.status, version.replayed, version.reasoning, version.usage) == ("complete", True, "hm", None)


def test_what_differs_is_asked_anew(chat: ChatSession) -> None:
    parrot = Scripted.of("first", *"bcdefg")
    chat.ask_sync("a", provider=parrot)
    chat.replay = "replay"
    for options in ({"model": "other"}, {"temperature": 0.1}, {"seed": 1}, {"system": "Be brief."}):
        chat.conversations.new()
        chat.ask_sync("a", provider=parrot, **options)
    chat.conversations.new()
    chat.ask_sync("another", provider=parrot)
    chat.ask_sync("a", provider=parrot)  # after another question
    assert len(parrot.requests) == 7


def test_whole_conversations_are_replayed_turn_by_turn(chat: ChatSession) -> None:
    parrot = Scripted.of("A", "B", "C")
    for question in "abc":
        chat.ask_sync(question, provider=parrot)
    chat.conversations.new()
    chat.replay = "replay-only"
    assert [chat.ask_sync(question, provider=parrot) for question in "abc"] == ["A", "B", "C"]
    assert len(parrot.requests) == 3


def test_a_miss_is_asked_or_an_error(chat: ChatSession) -> None:
    parrot = Scripted.of("A")
    with pytest.raises(NotRecordedError, match="replay-only"):
        chat.ask_sync("a", provider=parrot, replay="replay-only")
    assert parrot.requests == []
    assert last(chat).status == "failed"
    assert chat.ask_sync("a", provider=parrot, replay="replay") == "A"


def test_off_and_record_always_ask(chat: ChatSession) -> None:
    parrot = Scripted.of("first", "second", "third")
    assert chat.ask_sync("a", provider=parrot) == "first"
    chat.conversations.new()
    assert chat.ask_sync("a", provider=parrot) == "second"
    chat.conversations.new()
    assert chat.ask_sync("a", provider=parrot, replay="record") == "third"
    chat.conversations.new()
    assert chat.ask_sync("a", provider=parrot, replay="replay") == "third"  # the latest


def test_only_whole_answers_are_replayed(chat: ChatSession) -> None:
    parrot = Scripted.of(Script("half", finish_reason=""), "whole")
    chat.start(chat.prepare("a", provider=parrot)).result(10)
    chat.conversations.new()
    assert chat.ask_sync("a", provider=parrot, replay="replay") == "whole"


def test_answers_outlive_the_session(chat: ChatSession, data: Path) -> None:
    chat.conversations.keep()
    chat.ask_sync("a", provider=Scripted.of("A"))
    chat.close()
    another = ChatSession(replay="replay-only")
    another.conversations.keep()
    try:
        assert another.ask_sync("a", provider=Scripted) == "A"
    finally:
        another.close()
    assert list(data.glob("*.db"))


def test_a_document_that_is_trusted_is_enough_to_replay_it(chat: ChatSession) -> None:
    chat.ask_sync("a", provider=Scripted.of("A"))
    document = chat.conversations.export("json")
    reader = ChatSession(replay="replay-only")
    try:
        reader.conversations.import_(document, "json", replay=True)
        reader.conversations.new()
        assert reader.ask_sync("a", provider=Scripted) == "A"
    finally:
        reader.close()


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("ending", ["json", "ipynb", "md"])
def test_what_somebody_else_wrote_answers_no_question_of_ones_own(chat: ChatSession, ending: str) -> None:
    chat.ask_sync("a", provider=Scripted.of("A"))
    hostile = chat.conversations.export(ending).replace('"A"', '"evil"')
    reader = ChatSession(replay="replay-only")
    reader.conversations.keep()
    try:
        reader.conversations.import_(hostile, ending)
        reader.conversations.new()
        with pytest.raises(NotRecordedError):
            reader.ask_sync("a", provider=Scripted)
        reader.close()  # and what it has kept by now does not either
        with pytest.raises(NotRecordedError):
            reader.ask_sync("a", provider=Scripted)
    finally:
        reader.close()


def test_nobody_need_be_there_to_ask(chat: ChatSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader has neither key nor model; who answered in the first place is found out from the record."""
    monkeypatch.setenv("PATH", "")
    recorded = Scripted.of("A")
    recorded.name, recorded.default_model = "openai", "gpt-4o-mini"
    chat.ask_sync("a", provider=recorded)
    chat.conversations.new()
    assert chat.ask_sync("a", provider="openai", replay="replay-only") == "A"
    assert last(chat).provider == "openai"
    with pytest.raises(ConfigurationError):
        chat.ask_sync("another", provider="openai", replay="replay")


def test_a_mode_that_is_none_is_refused(chat: ChatSession) -> None:
    with pytest.raises(ConfigurationError, match="replay-only"):
        chat.ask_sync("a", provider=Scripted.of("A"), replay="always")  # type: ignore[arg-type]


def test_recording_without_a_store_is_warned_of(chat: ChatSession) -> None:
    chat.ask_sync("a", provider=Scripted.of("A"), replay="record")
    assert any("cannot be replayed" in warning for warning in chat.conversations.take_warnings())
    assert chat.conversations.take_warnings() == []


def test_an_answer_belongs_to_the_question_as_it_was_typed(chat: ChatSession) -> None:
    asked: list[str] = []

    class Listed(AsyncGeneratorProvider):
        name = "listed"

        @classmethod
        async def create_async_generator(cls, model: str, messages: Messages, **kwargs: Any) -> AsyncResult:  # noqa: ARG003
            asked.append(model)
            if model != "clever":
                msg = "no such model"
                raise NotFoundError(msg, server_message=msg)
            yield "an answer"

        @classmethod
        async def list_models(cls, **kwargs: Any) -> list[str]:  # noqa: ARG003
            return ["clever"]

    def ask(replay: Replay) -> Reply:
        chat.conversations.new()
        return chat.ask_sync("a", provider=Listed, model="clev", replay=replay, origin=cells.here("cell"))

    assert ask("off") == "an answer"
    assert asked == ["clev", "clever"]
    assert ask("replay-only") == "an answer"
    assert len(asked) == 2


def test_a_response_in_steps_is_replayed_in_steps_and_asks_nobody(chat: ChatSession) -> None:
    parrot = Scripted.of("Sunny.")
    chat.ask_sync("Weather?", provider=parrot)
    call = ToolCall("1", "look", "{}", Extras("scripted", "", {"signature": "s"}))
    steps = (
        Message("assistant", (Reasoning("Look."), Text("One moment."), call)),
        Message("tool", (ToolResult("1", "18 °C"),)),
        Message("assistant", (Text("Sunny."),)),
    )
    recorded = chat.conversation.turns[0].current
    whole = replace(recorded, messages=(*recorded.messages[:1], *steps))
    chat._here.change(Conversation((Turn((whole,)),)))
    chat.conversations.new()
    assert chat.ask_sync("Weather?", provider=parrot, replay="replay-only") == "One moment.\n\nSunny."
    replayed = last(chat)
    assert (replayed.replayed, len(parrot.requests)) == (True, 1)
    assert [message.role for message in replayed.response] == ["assistant", "tool", "assistant"]
    assert replayed.response[0].parts[:2] == steps[0].parts[:2]
    assert replayed.response[1:] == steps[1:]
