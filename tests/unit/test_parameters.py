"""Parameters: what a model refuses is left out or renamed once, remembered, and never what the person set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.core.errors import BadRequestError, ChatError
from chatanywhere_magic.core.messages import MessageDict, Notice
from chatanywhere_magic.keys import data_directory
from chatanywhere_magic.providers import forget_lessons, lessons, list_lessons
from chatanywhere_magic.testing.server import Answer, LocalServer, Request
from tests.unit.helpers import Outcome, ask, assert_for_people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def refusal(message: str, *, status: int = 400, **fields: Any) -> Answer:
    return Answer(status=status, raw=[json.dumps({"error": {"message": message, **fields}}).encode()])


def openai_refusal(name: str, words: str, code: str = "unsupported_parameter") -> Answer:
    return refusal(words, type="invalid_request_error", param=name, code=code)


def gpt_5(request: Request) -> Answer | None:
    body = request.json
    if "max_tokens" in body:
        return openai_refusal(
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
        )
    if body.get("temperature", 1) != 1:
        return openai_refusal(
            "temperature",
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported.",
            "unsupported_value",
        )
    return None


def o3_mini(request: Request) -> Answer | None:
    if "temperature" in request.json:
        words = "Unsupported parameter: 'temperature' is not supported with this model."
        return openai_refusal("temperature", words)
    return gpt_5(request)


def o1_mini(request: Request) -> Answer | None:
    if request.messages[0]["role"] == "system":
        words = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
        return openai_refusal("messages[0].role", words, "unsupported_value")
    return o3_mini(request)


def gemma(request: Request) -> Answer | None:
    if request.messages[0]["role"] == "system":
        return refusal("System role not supported", type="BadRequestError", code=400)
    return None


def strict_vllm(request: Request) -> Answer | None:
    if "stream_options" not in request.json:
        return None
    words = (
        "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', "
        "'input': {'include_usage': True}}]"
    )
    body = {"object": "error", "message": words, "type": "BadRequestError", "param": None, "code": 400}
    return Answer(status=400, raw=[json.dumps(body).encode()])


def fastapi(request: Request) -> Answer | None:
    if "stream_options" not in request.json:
        return None
    problem = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
    return Answer(status=422, raw=[json.dumps({"detail": [problem]}).encode()])


def old_reseller(request: Request) -> Answer | None:
    if "stream_options" not in request.json:
        return None
    return refusal("Unrecognized request argument supplied: stream_options", status=500)


def unverified(request: Request) -> Answer | None:
    if not request.json.get("stream"):
        if "stream_options" in request.json:
            return openai_refusal(
                "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is on."
            )
        whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
        return Answer(raw=[json.dumps(whole).encode()], headers={"Content-Type": "application/json"})
    words = "Your organization must be verified to stream this model. Please go to the settings and verify."
    return openai_refusal("stream", words, "unsupported_value")


def mistral_old(request: Request) -> Answer | None:
    if "max_completion_tokens" in request.json:
        return refusal("Unknown field `max_completion_tokens`, expected `max_tokens`", status=422)
    return None


SERVERS: dict[str, tuple[Callable[[Request], Answer | None], dict[str, Any], int]] = {
    "GPT-5": (gpt_5, {}, 1),
    "GPT-5, with a limit": (gpt_5, {"max_tokens": 50}, 2),
    "o3-mini": (o3_mini, {}, 1),
    "o3-mini, with a limit": (o3_mini, {"max_tokens": 50}, 2),
    "o1-mini, with a system prompt": (o1_mini, {"system": "Be brief."}, 2),
    "Gemma, with a system prompt": (gemma, {"system": "Be brief."}, 2),
    "strict vLLM": (strict_vllm, {}, 2),
    "FastAPI": (fastapi, {}, 2),
    "an old reseller": (old_reseller, {}, 2),
    "an organization that is not verified": (unverified, {}, 2),
    "Mistral": (mistral_old, {"max_completion_tokens": 50}, 2),
}


@pytest.fixture(autouse=True)
def _no_memory(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession(provider="openai")
    yield session
    session.close()


def as_a_new_kernel() -> None:
    """Forget what this process knows, not what is on the disk."""
    lessons._memory.begin(None)


@pytest.mark.parametrize(("rule", "options", "first"), SERVERS.values(), ids=SERVERS)
def test_every_model_answers_with_default_settings(
    rule: Callable[[Request], Answer | None],
    options: dict[str, Any],
    first: int,
    chat: ChatSession,
    server: LocalServer,
) -> None:
    server.rule = rule
    notices: list[str] = []
    live = chat.prepare("Hello", **options)
    live.listen(lambda turn: notices.append(turn.draft.notice))
    chat.start(live).result(20)
    assert live.error is None
    assert live.reply()
    assert len(server.requests) == first
    assert any("retrying" in notice for notice in notices) == (first == 2)
    chat.ask_sync("And again?", **options)
    assert len(server.requests) == first + 1
    as_a_new_kernel()
    chat.ask_sync("And now?", **options)
    assert len(server.requests) == first + 2


def test_no_temperature_is_sent_unless_somebody_sets_one(chat: ChatSession, server: LocalServer) -> None:
    chat.ask_sync("a")
    assert "temperature" not in server.requests[-1].json
    ask(OpenAI)
    assert "temperature" not in server.requests[-1].json
    ask(OpenAI, temperature=0.5)
    assert server.requests[-1].json["temperature"] == 0.5
    chat.ask_sync("a", temperature=0.0)
    assert server.requests[-1].json["temperature"] == 0.0
    chat.settings.temperature = 0.7
    chat.ask_sync("a")
    assert server.requests[-1].json["temperature"] == 0.7


def test_a_parameter_of_the_persons_is_never_left_out(chat: ChatSession, server: LocalServer) -> None:
    server.rule = gpt_5
    with pytest.raises(BadRequestError) as caught:
        chat.ask_sync("a", temperature=0.5, model="gpt-5")
    error = assert_for_people(
        caught.value, BadRequestError, "gpt-5 does not accept -t/--temperature 0.5", "default (1)"
    )
    assert (error.status, len(server.requests), list_lessons()) == (400, 1, [])
    server.rule = strict_vllm
    outcome = ask(OpenAI, stream_options={"include_usage": False})
    assert_for_people(outcome.error, BadRequestError, "does not accept stream_options (status 400)")
    assert len(server.requests) == 2


def test_a_value_that_is_out_of_range_is_not_sent_under_another_name(chat: ChatSession, server: LocalServer) -> None:
    words = "max_tokens is too large: 99999. This model supports at most 16384 completion tokens."
    server.rule = lambda _: openai_refusal("max_tokens", words, "invalid_value")
    with pytest.raises(BadRequestError, match=r"--max-tokens 99999.*at most 16384"):
        chat.ask_sync("a", max_tokens=99_999)
    assert len(server.requests) == 1


def test_the_limit_of_the_person_is_kept_under_its_other_name(chat: ChatSession, server: LocalServer) -> None:
    server.rule = gpt_5
    chat.ask_sync("a", max_tokens=50)
    assert server.requests[1].json["max_completion_tokens"] == 50
    assert "max_tokens" not in server.requests[1].json


def test_what_the_system_says_stands_before_the_prompt(chat: ChatSession, server: LocalServer) -> None:
    server.rule = gemma
    chat.ask_sync("Hello", system="Be brief.")
    assert server.requests[1].messages == [{"role": "user", "content": "Be brief.\n\nHello"}]


def no_pictures(request: Request) -> Answer | None:
    if any(isinstance(message["content"], list) for message in request.messages):
        words = "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text`"
        return refusal(words, type="invalid_request_error", param=None, code="invalid_request_error")
    return None


def test_pictures_of_earlier_turns_are_left_out_where_they_are_refused(server: LocalServer) -> None:
    server.rule = no_pictures
    shown: list[Any] = [
        MessageDict(role="user", content=[{"type": "text", "text": "See?"}, PICTURE]),
        MessageDict(role="assistant", content="Yes."),
        MessageDict(role="user", content="What was it?"),
    ]
    outcome = ask(OpenAI, shown)
    assert outcome.finish_reason == "stop"
    assert "no pictures" in notices_of(outcome)
    assert server.requests[1].messages[0]["content"] == "See?"
    assert ask(OpenAI, shown).finish_reason == "stop"
    assert len(server.requests) == 3


def test_a_picture_of_this_prompt_is_the_persons(server: LocalServer) -> None:
    server.rule = no_pictures
    message: Any = MessageDict(role="user", content=[{"type": "text", "text": "See?"}, PICTURE])
    assert_for_people(ask(OpenAI, [message]).error, BadRequestError, "does not accept -a/--attach (status 400)")
    assert len(server.requests) == 1


def test_structured_output_is_left_out_where_it_is_refused(chat: ChatSession, server: LocalServer) -> None:
    def rule(request: Request) -> Answer | None:
        if "response_format" in request.json:
            return refusal("response_format of type json_object is not supported by this model", param=None)
        return Answer(text=['{"a": 1}'])

    server.rule = rule
    assert chat.ask_sync("a", schema=True).value == {"a": 1}
    assert len(server.requests) == 2
    assert len(chat.conversation.turns[0].versions) == 1
    assert chat.ask_sync("b", schema=True).value == {"a": 1}
    assert len(server.requests) == 3


def test_two_refusals_teach_two_things(chat: ChatSession, server: LocalServer) -> None:
    server.rule = lambda request: strict_vllm(request) or gpt_5(request)
    chat.ask_sync("a", max_tokens=5)
    assert len(server.requests) == 3
    chat.ask_sync("b", max_tokens=5)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        refusal("Something about stream_options is wrong today", status=401),
        refusal("The prompt mentions stream_options, and the weather is bad"),
        refusal("maximum context length is 100 tokens; reduce max_tokens", code="context_length_exceeded"),
        refusal("Invalid value for stream_options", status=429),
    ],
    ids=["another kind", "a mention", "a length", "a rate"],
)
def test_what_is_no_refusal_of_a_parameter(answer: Answer, server: LocalServer) -> None:
    server.queue(answer)
    assert ask(OpenAI, max_tokens=5).error is not None
    assert (len(server.requests), list_lessons()) == (1, [])


def test_nothing_is_remembered_of_what_did_not_help(server: LocalServer) -> None:
    server.rule = lambda _: refusal("Extra inputs are not permitted: stream_options")
    outcome = ask(OpenAI)
    assert isinstance(outcome.error, BadRequestError)
    assert (len(server.requests), list_lessons()) == (2, [])


def test_a_server_that_refuses_everything_is_asked_a_few_times_at_most(server: LocalServer) -> None:
    def rule(request: Request) -> Answer:
        name = next(
            (name for name in ("stream_options", "max_tokens", "max_completion_tokens") if name in request.json), ""
        )
        return refusal(f"Unsupported parameter: {name or 'messages'}", param=name or None)

    server.rule = rule
    assert isinstance(ask(OpenAI, max_tokens=5).error, ChatError)
    assert len(server.requests) <= 5


def test_lessons_hold_for_one_model_at_one_address(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rule = strict_vllm
    for model in ("one", "other"):
        ask(OpenAI, model=model)
    assert len(server.requests) == 4
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url.replace("127.0.0.1", "localhost"))
    ask(OpenAI, model="one")
    assert len(server.requests) == 6
    assert {lesson.model for lesson in list_lessons()} == {"one", "other"}
    assert all(lesson.date.startswith("20") for lesson in list_lessons())


def test_lessons_are_forgotten(server: LocalServer) -> None:
    server.rule = strict_vllm
    ask(OpenAI)
    assert forget_lessons() == 1
    assert list_lessons() == []
    ask(OpenAI)
    assert len(server.requests) == 4


def test_the_file_holds_no_secret_and_is_private(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rule = strict_vllm
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.api_url}?key=sk-in-the-address")
    ask(OpenAI)
    path = data_directory() / lessons.FILE_NAME
    assert "sk-in" not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("document", ["", "[", "[]", '{"lessons": 1}', '{"lessons": [1, {"provider": 1}, {}]}', "\x00"])
def test_a_damaged_file_is_as_good_as_none(document: str, server: LocalServer) -> None:
    path = data_directory() / lessons.FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_text(document, encoding="utf-8")
    server.rule = strict_vllm
    assert ask(OpenAI).finish_reason == "stop"
    as_a_new_kernel()
    assert len(list_lessons()) == 1


def test_what_another_kernel_learned_holds_here_at_once(server: LocalServer) -> None:
    server.rule = strict_vllm
    ask(OpenAI)
    path = data_directory() / lessons.FILE_NAME
    written = path.read_text(encoding="utf-8")
    forget_lessons()
    path.write_text(written, encoding="utf-8")
    ask(OpenAI)
    assert len(server.requests) == 3


def test_where_nothing_can_be_written_lessons_hold_for_the_process(server: LocalServer, home: Path) -> None:
    home.mkdir()
    (home / "data").write_text("a file")
    server.rule = strict_vllm
    assert [ask(OpenAI).finish_reason for _ in range(2)] == ["stop", "stop"]
    assert len(server.requests) == 3


def test_there_are_never_too_many() -> None:
    for number in range(lessons.MAX_LESSONS + 3):
        lessons._memory.add([lessons.Lesson("p", "a", str(number), "x", "", "2026-12-01")])
    assert len(lessons._memory.lessons) == lessons.MAX_LESSONS
    assert ("p", "a", "0", "x") not in lessons._memory.lessons


def notices_of(outcome: Outcome) -> str:
    return " ".join(delta.text for delta in outcome.of(Notice))
