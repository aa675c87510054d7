"""Calls of tools as an answer: data for whoever offered the tools, and never a text that is empty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import AsyncGeneratorProvider, ChatSession, Scripted
from chatanywhere_magic.core.codec import version_from_json, version_to_json
from chatanywhere_magic.core.errors import ConfigurationError, UnsupportedError
from chatanywhere_magic.core.messages import DeltaGenerator, Finish, Text, ToolCall
from tests.unit.helpers import user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALL = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
ASKED = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
TOOLS = [{"type": "function", "function": {"name": "get_weather"}}]


class Caller(AsyncGeneratorProvider):
    """Calls a tool, after a few words if it is asked to say some."""

    name = "caller"
    asked = 0

    @classmethod
    async def create_delta_generator(cls, model: str, messages: Any, **_: Any) -> DeltaGenerator:  # type: ignore[override]  # noqa: ARG003 - the contract's
        cls.asked += 1
        if "words" in str(messages[-1]["content"]):
            yield Text("Let me see.")
        yield CALL
        yield Finish("tool_calls")


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSession]:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "data"))
    session = ChatSession(provider=Caller)
    session.conversations.keep()
    yield session
    session.close()


@pytest.mark.parametrize(("question", "said"), [("the weather?", ""), ("the weather, in words?", "Let me see.")])
def test_a_reply_has_the_calls_and_how_to_go_on(chat: ChatSession, question: str, said: str) -> None:
    reply = chat.ask_sync(question, tools=TOOLS)
    assert (reply, reply.finish_reason, reply.tool_calls) == (said, "tool_calls", [CALL])
    assert reply.messages == [*user(question), {"role": "assistant", "content": said, "tool_calls": [ASKED]}]


def test_an_answer_in_words_has_none(chat: ChatSession) -> None:
    reply = chat.ask_sync("Hello", provider=Scripted.of("Hello!"))
    assert reply.tool_calls == []
    assert "tool_calls" not in reply.messages[-1]


def test_a_call_without_a_result_is_sent_as_interrupted(chat: ChatSession) -> None:
    chat.ask_sync("the weather?", tools=TOOLS)
    parrot = Scripted.of("Hello!")
    chat.ask_sync("Hello", provider=parrot)
    assert parrot.requests[-1] == [
        *user("the weather?"),
        {"role": "assistant", "content": "", "tool_calls": [ASKED]},
        {"role": "tool", "tool_call_id": CALL.id, "content": "interrupted", "name": CALL.name},
        *user("Hello"),
    ]
    assert len(chat.conversation.turns[0].current.messages) == 2


def test_a_result_is_sent_by_hand(chat: ChatSession) -> None:
    chat.ask_sync("the weather?", tools=TOOLS)
    parrot = Scripted.of("Sunny.")
    result = {"role": "tool", "tool_call_id": CALL.id, "content": "18 °C"}
    assert chat.ask_sync(messages=[result], provider=parrot) == "Sunny."
    assert parrot.requests[-1][-2:] == [{"role": "assistant", "content": "", "tool_calls": [ASKED]}, result]
    assert chat.conversation.turns[1].current.prompt == "18 °C"
    again = chat.turns.retry(1)
    assert again.request.asked == chat.conversation.turns[1].current.messages[:1]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ([], "must end with"),
        ([{"role": "assistant", "content": "Hi"}], "must end with"),
        ([{"role": "robot", "content": "Hi"}], r"messages\[0\]"),
        ([{"role": "tool", "content": "18"}], "tool_call_id"),
        ("Hello", "messages"),
    ],
)
def test_messages_that_cannot_be_sent_are_refused(chat: ChatSession, given: Any, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        chat.ask_sync(messages=given)
    with pytest.raises(ConfigurationError, match="not both"):
        chat.ask_sync("Hello", messages=user("Hello"))
    assert chat.conversation.turns == ()


def test_a_whole_conversation_is_sent_by_hand(chat: ChatSession) -> None:
    parrot = Scripted.of("Ada.")
    given = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Who am I?"},
    ]
    assert chat.ask_sync(messages=given, history=False, provider=parrot) == "Ada."
    assert parrot.requests[-1] == given


def test_calls_are_kept(chat: ChatSession) -> None:
    chat.ask_sync("the weather?", tools=TOOLS)
    version = chat.conversation.turns[0].current
    assert (version.status, version.tool_calls) == ("complete", (CALL,))
    assert version_from_json(version_to_json(version)) == version
    here = chat.conversations.id
    chat.close()
    other = ChatSession()
    other.conversations.keep()
    other.conversations.switch(here)
    assert other.conversation.turns[0].current.tool_calls == (CALL,)
    other.close()


def test_calls_are_replayed(chat: ChatSession) -> None:
    chat.ask_sync("the weather?", tools=TOOLS)
    asked = Caller.asked
    chat.conversations.new()
    again = chat.ask_sync("the weather?", tools=TOOLS, replay="replay-only")
    assert (again, again.tool_calls, Caller.asked) == ("", [CALL], asked)


def test_a_call_is_not_read_as_json_nor_corrected(chat: ChatSession) -> None:
    asked = Caller.asked
    reply = chat.ask_sync("the weather?", tools=TOOLS, schema=True)
    assert (reply.value, reply.tool_calls, Caller.asked) == (None, [CALL], asked + 1)


def test_who_reads_text_alone_is_told() -> None:
    async def read(question: str) -> str:
        return "".join([chunk async for chunk in Caller.create_async_generator("", user(question))])

    with pytest.raises(UnsupportedError, match="get_weather"):
        asyncio.run(read("the weather?"))
    assert asyncio.run(read("the weather, in words?")) == "Let me see."
