"""The context budget: what is left out of a prompt, what a refusal teaches, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from chatanywhere_magic import ChatSession, Script, Scripted
from chatanywhere_magic.context.budget import numbers
from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.core.errors import ContextLengthError
from chatanywhere_magic.core.messages import Usage
from chatanywhere_magic.core.tokens import estimate_messages
from chatanywhere_magic.testing.server import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from chatanywhere_magic.core.messages import Delta, Message, Messages
    from chatanywhere_magic.session.live_turn import LiveTurn
    from chatanywhere_magic.testing.server import LocalServer

LONG = "word " * 60  # about 60 tokens


class Small(Scripted):
    """A provider that refuses prompts of more than `takes` tokens and answers all others."""

    name = "small"
    takes: ClassVar[int] = 300
    says: ClassVar[str] = "This model's maximum context length is {limit} tokens. However, you sent {used} tokens."
    tries: ClassVar[list[Messages]] = []

    @classmethod
    def new(cls, **fields: Any) -> type[Small]:
        made: type[Small] = type(cls.__name__, (cls,), {"tries": [], "requests": [], **fields})
        return made

    @classmethod
    async def create_delta_generator(
        cls, model: str, messages: Messages, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Delta, None]:
        cls.tries.append(list(messages))
        used = estimate_messages(messages)
        if used > cls.takes:
            said = cls.says.format(limit=cls.takes, used=used)
            raise ContextLengthError("too long", status=400, server_message=said)
        provider = Scripted.of("answer " * 10)
        async for delta in provider.create_delta_generator(model, messages, *args, **kwargs):
            yield delta
        yield Usage(used, 12)


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession()
    yield session
    session.close()


def ask(chat: ChatSession, provider: type[Scripted], prompt: str, **options: Any) -> LiveTurn:
    live = chat.prepare(prompt, provider=provider, **options)
    chat.start(live).result(10)
    return live


def fill(chat: ChatSession, turns: int = 8) -> None:
    """Hold a conversation of `turns` turns, each of about 80 tokens."""
    parrot = Scripted.of(*["answer " * 10] * turns)
    for number in range(turns):
        ask(chat, parrot, f"{number} {LONG}")


def questions(messages: Messages) -> list[str]:
    return [str(message["content"]).split(maxsplit=1)[0] for message in messages if message["role"] == "user"]


# --- leaving out ----------------------------------------------------------------------------------------------


def test_without_a_known_limit_everything_is_sent(chat: ChatSession) -> None:
    fill(chat)
    parrot = Scripted.of("yes")
    live = ask(chat, parrot, "last")
    assert questions(parrot.requests[0]) == ["0", "1", "2", "3", "4", "5", "6", "7", "last"]
    assert live.version.left_out == 0


def test_how_much_there_is_without_a_limit_is_told_from_the_end_of_a_long_conversation(chat: ChatSession) -> None:
    chat.provider = Scripted.of("answer")
    versions = [Version.of("a question", f"{number} " + "word " * 2_000, status="complete") for number in range(100)]
    chat._here.current.conversation = Conversation(tuple(Turn((version,)) for version in versions))
    tokens, limit, _ = chat.turns.context_used()
    assert limit is None
    looked_at = [number for number, version in enumerate(versions) if "tokens" in vars(version)]
    assert looked_at == list(range(100 - len(looked_at), 100))
    assert len(looked_at) < 50
    assert tokens == pytest.approx(sum(version.tokens for version in versions), rel=0.05)


def test_the_oldest_turns_are_left_out_whole_and_counted(chat: ChatSession) -> None:
    fill(chat)
    chat.budget = 400
    parrot = Scripted.of("yes")
    live = ask(chat, parrot, "last", system="Be brief.")
    sent = parrot.requests[0]
    assert [message["role"] for message in sent] == ["system", *["user", "assistant"] * 4, "user"]
    assert questions(sent) == ["4", "5", "6", "7", "last"]
    assert live.version.left_out == 4
    assert estimate_messages(sent) <= 400


def test_a_pinned_turn_is_never_left_out(chat: ChatSession) -> None:
    fill(chat)
    chat.turns.pin(0)
    chat.budget = 400
    parrot = Scripted.of("yes")
    ask(chat, parrot, "last")
    assert questions(parrot.requests[0])[0] == "0"
    assert questions(parrot.requests[0])[-2:] == ["7", "last"]


def test_the_known_window_of_a_model_is_kept_to_with_room_for_the_answer(chat: ChatSession) -> None:
    parrot = Scripted.of(*["answer " * 10] * 3)
    for number in range(3):
        ask(chat, parrot, f"{number} {'word ' * 2_500}")
    parrot.queue("yes", "yes")
    assert ask(chat, parrot, "last", model="gpt-4").version.left_out == 1
    assert ask(chat, parrot, "last", model="openai/gpt-4", max_tokens=4_000).version.left_out == 2


def test_a_revised_turn_counts_only_what_stands_before_it(chat: ChatSession) -> None:
    fill(chat)
    chat.budget = 400
    parrot = Scripted.of("yes")
    live = chat.turns.revise(2, "again", provider=parrot)
    chat.start(live).result(10)
    assert questions(parrot.requests[0]) == ["0", "1", "again"]
    assert live.version.left_out == 0


def test_what_the_provider_counts_corrects_the_estimate(chat: ChatSession) -> None:
    fill(chat)
    chat.budget = 700

    class Wasteful(Small):
        tries: ClassVar[list[Messages]] = []

        @classmethod
        async def create_delta_generator(
            cls, model: str, messages: Messages, *args: Any, **kwargs: Any
        ) -> AsyncGenerator[Delta, None]:
            cls.tries.append(list(messages))
            async for delta in Scripted.of("yes").create_delta_generator(model, messages, *args, **kwargs):
                yield delta
            yield Usage(2 * estimate_messages(messages), 1)

    ask(chat, Wasteful, "first")
    ask(chat, Wasteful, "second")
    assert [2 * estimate_messages(messages) <= 700 for messages in Wasteful.tries] == [False, True]


# --- refusals -------------------------------------------------------------------------------------------------


def test_a_refusal_teaches_the_limit_and_is_tried_once_more_without_the_oldest_turns(chat: ChatSession) -> None:
    fill(chat)
    small = Small.new()
    notices: list[str] = []
    live = chat.prepare("last", provider=small)
    live.listen(lambda turn: notices.append(turn.draft.notice))
    chat.start(live).result(10)
    assert live.status == "complete"
    assert [len(messages) for messages in small.tries] == [17, 5]
    assert live.version.left_out == 6
    assert any("limit is 300 tokens" in notice and "6 oldest" in notice for notice in notices)
    # It need not be told twice.
    assert ask(chat, small, "one more").status == "complete"
    assert len(small.tries) == 3


def test_a_limit_of_ones_own_does_not_stand_in_the_way_of_what_was_learnt(chat: ChatSession) -> None:
    fill(chat)
    chat.budget = 600
    small = Small.new()
    assert ask(chat, small, "last").status == "complete"
    chat.budget = 200
    assert estimate_messages(ask(chat, small, "again").draft.sent) <= 200


def test_what_was_learnt_holds_for_that_model_alone(chat: ChatSession) -> None:
    fill(chat)
    small = Small.new()
    ask(chat, small, "last", model="one")
    ask(chat, small, "last", model="other")
    assert [len(messages) for messages in small.tries] == [17, 5, 19, 7]


def test_a_refusal_that_names_no_number_teaches_too(chat: ChatSession) -> None:
    fill(chat)
    small = Small.new(takes=500, says="too long")
    live = ask(chat, small, "last")
    assert live.status == "complete"
    assert 0 < live.version.left_out < 8


def test_a_second_refusal_is_final(chat: ChatSession) -> None:
    fill(chat)
    stubborn = Small.new(takes=0, says="The limit is 300 tokens.")
    live = ask(chat, stubborn, "last")
    assert len(stubborn.tries) == 2
    assert isinstance(live.error, ContextLengthError)
    assert live.status == "failed"


def test_a_question_that_is_too_long_by_itself_fails_with_both_numbers(chat: ChatSession) -> None:
    small = Small.new(takes=100)
    live = ask(chat, small, LONG * 2)
    assert len(small.tries) == 1
    assert isinstance(live.error, ContextLengthError)
    assert "accepts 100" in str(live.error)
    assert "about 1" in str(live.error)
    assert live.error.status == 400


def test_nothing_is_recorded_of_a_question_that_cannot_fit(chat: ChatSession) -> None:
    chat.budget = 100
    small = Small.new()
    with pytest.raises(ContextLengthError, match="accepts 100"):
        chat.ask_sync("word " * 100, provider=small)
    chat.budget = None
    with pytest.raises(ContextLengthError, match="accepts 8,192"):
        chat.ask_sync("word " * 13_000, provider=small, model="gpt-4")
    assert (small.tries, chat.conversation.turns) == ([], ())


REFUSALS = {
    "OpenAI": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9031 tokens.",
        (8192, 9031),
    ),
    "OpenAI, with an answer": (
        "maximum context length is 4097 tokens, however you requested 9000 (8000 in your prompt; 1000 to complete it).",
        (4097, 8000),
    ),
    "llama.cpp": (
        "request (9031 tokens) exceeds the available context size (8192 tokens), try increasing it",
        (8192, 9031),
    ),
    "ChatAnywhere": ("The number of prompt tokens for free accounts is limited to 4096.", (4096, None)),
    "ChatAnywhere, in Chinese": ("免费API限制模型输入token小于4096，如有更多需求，请购买付费API。", (4096, None)),
    "Anthropic": ("prompt is too long: 210000 tokens > 200000 maximum", (200_000, 210_000)),
    "Gemini": (
        "The input token count (1,200,000) exceeds the maximum number of tokens allowed (1,048,576).",
        (1_048_576, 1_200_000),
    ),
    "Qwen": ("Range of input length should be [1, 30720]", (30_720, None)),
    "without numbers": ("too long", (None, None)),
}


@pytest.mark.parametrize(("words", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_the_numbers_of_a_refusal_are_read(words: str, expected: tuple[int | None, int | None]) -> None:
    assert numbers(words) == expected


def test_the_free_key_of_chatanywhere_goes_on_after_its_refusal(
    chat: ChatSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-free-key-of-a-student")
    fill(chat, 30)
    for index in (0, 1):
        parrot = Scripted.of("answer " * 10)
        chat.start(chat.turns.revise(index, "word " * 2_000, provider=parrot)).result(10)
    refusal = (
        b'{"error": {"message": "The number of prompt tokens for free accounts is limited to 4096.", '
        b'"type": "chatanywhere_error", "param": null, "code": "403 FORBIDDEN"}}'
    )
    server.queue(Answer(status=403, raw=[refusal]), Answer(text=["yes"]), Answer(text=["yes"]))
    live = chat.prepare("last", provider="chatanywhere")
    chat.start(live).result(10)
    assert live.version.text == "yes"
    assert live.version.left_out == 2
    first, second = (request.messages for request in server.requests)
    assert len(first) - len(second) == 4
    # Another key has its own limits.
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-paid-key-of-a-professor")
    chat.start(paid := chat.prepare("last", provider="chatanywhere")).result(10)
    assert paid.version.left_out == 0


def test_no_key_is_kept_with_what_was_learnt(
    chat: ChatSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    server.queue(Answer(status=400, raw=[b'{"error": {"message": "limit 4096", "code": "context_length_exceeded"}}']))
    chat.start(chat.prepare("a", provider="openai")).result(10)
    assert "learnt" in str(vars(chat._turn_loop.budget))
    assert "secret" not in str(vars(chat._turn_loop.budget))


# --- summaries ------------------------------------------------------------------------------------------------


class Summarising(Scripted):
    """Answers what it is asked; asked for a summary it gives one."""

    name = "summarising"
    prompts: ClassVar[list[Messages]] = []

    @classmethod
    async def create_delta_generator(
        cls, model: str, messages: Messages, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Delta, None]:
        cls.prompts.append(list(messages))
        wanted = str(messages[0]["content"]).startswith("Summarise")
        answer = f"SUMMARY {len(cls.prompts)}" if wanted else "answer " * 10
        async for delta in Scripted.of(answer).create_delta_generator(model, messages, *args, **kwargs):
            yield delta


@pytest.fixture
def summarising() -> type[Summarising]:
    made: type[Summarising] = type("Summarising", (Summarising,), {"prompts": []})
    return made


def systems(messages: Sequence[Message]) -> str:
    return "".join(str(message["content"]) for message in messages if message["role"] == "system")


def summaries(provider: type[Summarising]) -> list[str]:
    """Return what the provider was given to summarise."""
    return [str(prompt[-1]["content"]) for prompt in provider.prompts if systems(prompt).startswith("Summarise")]


def test_what_is_left_out_is_summarised_if_the_person_wants_it(
    chat: ChatSession, summarising: type[Summarising]
) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    live = ask(chat, summarising, "last", system="Be brief.")
    asked = summaries(summarising)
    assert "Person: 0 word" in asked[0]
    assert all(f"SUMMARY {number}\n" in said for number, said in enumerate(asked[1:], 1))
    sent = summarising.prompts[-1]
    assert systems(sent).startswith("Be brief.")
    assert systems(sent).endswith(f"SUMMARY {len(asked)}")
    assert live.version.summary == f"SUMMARY {len(asked)}"
    assert live.version.left_out == 20 - (len(sent) - 2) // 2 > 0
    assert all(estimate_messages(prompt) <= 1_200 for prompt in summarising.prompts)


def test_a_summary_is_used_again_while_it_does(chat: ChatSession, summarising: type[Summarising]) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    first = ask(chat, summarising, "one").version
    asked = len(summaries(summarising))
    second = ask(chat, summarising, "two").version
    assert len(summaries(summarising)) == asked
    assert (second.summary, second.left_out) == (first.summary, first.left_out)


def test_a_summary_grows_by_what_is_left_out_later(chat: ChatSession, summarising: type[Summarising]) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    first = ask(chat, summarising, "one").version
    asked = len(summaries(summarising))
    for _ in range(8):
        last = ask(chat, summarising, LONG).version
    later = summaries(summarising)[asked:]
    assert 0 < len(later) < 8
    assert first.summary in later[0]
    assert not any("Person: 0 word" in said for said in later)
    assert last.left_out > first.left_out


def test_a_summary_of_what_was_changed_is_made_anew(chat: ChatSession, summarising: type[Summarising]) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    ask(chat, summarising, "one")
    asked = len(summaries(summarising))
    chat.turns.delete(0)
    ask(chat, summarising, "two")
    first, *_ = summaries(summarising)[asked:]
    assert "Person: 1 word" in first
    assert "SUMMARY" not in first


def test_without_a_summary_the_question_is_asked_all_the_same(chat: ChatSession) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    parrot = Scripted.of("", "yes")  # the first, which is no answer, would be the summary
    live = ask(chat, parrot, "last")
    assert (live.version.text, live.version.summary) == ("yes", "")
    assert live.version.left_out > 0


def test_nobody_is_asked_for_a_summary_where_nobody_is_to_be_asked(
    chat: ChatSession, summarising: type[Summarising]
) -> None:
    fill(chat, 20)
    chat.budget, chat.summarise = 1_200, True
    assert ask(chat, summarising, "last", replay="replay-only").status == "failed"
    assert summarising.prompts == []


def test_by_default_nothing_is_summarised(chat: ChatSession, summarising: type[Summarising]) -> None:
    fill(chat, 20)
    chat.budget = 1_200
    ask(chat, summarising, "last")
    assert len(summarising.prompts) == 1


def test_text_is_never_lost_when_a_refusal_comes_after_it(chat: ChatSession) -> None:
    late = Scripted.of(Script("half", error=ContextLengthError("too long")))
    live = ask(chat, late, "a")
    assert (live.status, live.version.text) == ("failed", "half")
