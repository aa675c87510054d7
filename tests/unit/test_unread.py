"""A prompt that its server cut without a word: noticed by the tokens that it counted, and told with the response."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatSession, Script, Scripted
from chatanywhere_magic.core import Usage, codec
from chatanywhere_magic.panel.feed import head_of
from chatanywhere_magic.render import final_words
from chatanywhere_magic.testing.server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatanywhere_magic.testing.server import LocalServer

LONG = "The quick brown fox jumps over the lazy dog, and never looks back. " * 600  # 7,800 words
WORDS = 7_800


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession()
    yield session
    session.close()


def told(chat: ChatSession, *turns: tuple[str, Usage | None]) -> list[bool]:
    """Ask each prompt, for which the provider counts so much, and return of which it is said that it was cut."""
    chat.provider = Scripted.of(*(Script("Yes.", usage=usage) for _, usage in turns))
    for prompt, _ in turns:
        chat.ask_sync(prompt)
    return [any("cut the prompt" in each for each in final_words(turn.current)) for turn in chat.conversation.turns]


def test_the_response_says_what_was_read_of_what_was_sent(chat: ChatSession) -> None:
    assert told(chat, (LONG, Usage(2_048, 2))) == [True]
    turn = chat.conversation.turns[0]
    words = final_words(turn.current)[0]
    assert words.startswith("⚠ the server cut the prompt: it read 2048 of about ")
    for footer in (True, False):
        assert head_of(turn, turn.current, None, footer=footer)["footer"].startswith(words)
    written = codec.version_to_json(turn.current)
    assert codec.version_from_json(written) == turn.current
    del written["sent_tokens"]  # as earlier releases wrote it
    assert final_words(codec.version_from_json(written)) == []


@pytest.mark.parametrize(
    "usage",
    [
        None,
        Usage(None, 2),
        Usage(0, 2),
        Usage(WORDS, 2),
        Usage(WORDS // 2, 2),  # no tokenizer is so good
        Usage(30, 2, cached_tokens=9_000),  # counted apart, as Anthropic does
    ],
)
def test_what_says_nothing_of_a_cut_is_not_taken_for_one(chat: ChatSession, usage: Usage | None) -> None:
    assert told(chat, (LONG, usage)) == [False]


def test_a_short_prompt_is_never_said_to_be_cut(chat: ChatSession) -> None:
    assert told(chat, ("What is a median? " * 20, Usage(1, 2))) == [False]


def test_a_server_that_counts_only_what_is_new_has_not_cut_the_rest(chat: ChatSession) -> None:
    assert told(chat, (LONG, Usage(10_000, 2)), ("And then?", Usage(9, 2)), ("Why?", Usage(8, 2))) == [False] * 3


def test_the_same_prompt_again_may_be_known_as_a_whole(chat: ChatSession) -> None:
    chat.provider = Scripted.of(Script("Yes.", usage=Usage(10_000, 2)), Script("Again.", usage=Usage(1, 2)))
    chat.ask_sync(LONG)
    chat.start(chat.turns.retry()).result(10)
    (turn,) = chat.conversation.turns
    assert (turn.current.text, final_words(turn.current)) == ("Again.", [])


def test_whoever_cut_a_prompt_has_cut_the_next_one_too(chat: ChatSession) -> None:
    assert told(chat, (LONG, Usage(2_048, 2)), ("And then?", Usage(9, 2))) == [True, True]


def test_a_long_prompt_late_in_a_conversation_is_cut_like_a_first_one(chat: ChatSession) -> None:
    assert told(chat, ("Hello", Usage(8, 2)), (LONG, Usage(2_048, 2))) == [False, True]


def test_a_cut_prompt_teaches_nothing_about_the_tokenizer(chat: ChatSession) -> None:
    chat.budget = 20_000
    told(chat, (LONG, Usage(2_048, 2)))
    tokens, _, is_estimated = chat.turns.context_used()
    assert (tokens > WORDS, is_estimated) == (True, True)


@pytest.mark.parametrize(
    "details",
    [
        {"prompt_tokens_details": {"cached_tokens": 9_000}},
        {"prompt_cache_hit_tokens": 9_000},
        {"cache_read_input_tokens": 9_000},
        {},
    ],
)
@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_cached_tokens_are_read_wherever_a_server_counts_them(
    chat: ChatSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch, details: dict[str, Any], dialect: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    names = ("prompt_tokens", "completion_tokens") if dialect == "chat" else ("input_tokens", "output_tokens")
    usage = {names[0]: 40, names[1]: 2, **details}
    if dialect == "chat":
        body: dict[str, Any] = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}], "usage": usage}
    else:
        if "prompt_tokens_details" in usage:
            usage["input_tokens_details"] = usage.pop("prompt_tokens_details")
        output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}]
        body = {"object": "response", "status": "completed", "output": output, "usage": usage}
    server.queue(Answer(raw=[json.dumps(body).encode()]))
    chat.dialect = dialect
    chat.ask_sync(LONG, provider="openai")
    assert bool(final_words(chat.conversation.turns[0].current)) is not bool(details)
