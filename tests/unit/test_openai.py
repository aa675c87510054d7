"""OpenAI's protocol, and its ChatAnywhere preset, spoken to a real server that speaks it."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import ChatAnywhereAPI, OpenAI
from chatanywhere_magic.core.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
    EmptyAnswerError,
    IncompleteError,
    MissingKeyError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    QuotaError,
    RateLimitError,
    RedirectError,
    ServerError,
    StreamError,
    TimeoutExceededError,
)
from chatanywhere_magic.core.messages import Finish, MessageDict, ModelName, Text, Usage
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.wire.budget import MAX_CHARACTERS
from chatanywhere_magic.providers.wire.sse import Event
from chatanywhere_magic.testing.server import COMPLETIONS_PATH, Answer, LocalServer
from tests.unit.helpers import Outcome, ask, assert_for_people, faces, locals_of, outcome_of, user

if TYPE_CHECKING:
    from chatanywhere_magic.providers.contract import Provider

KEY: Final = "sk-0123456789-do-not-show-me"


@pytest.fixture
def api(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """A server that stands in for OpenAI's, and a key for it."""
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return server


def event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def chunk(content: str | None = None, finish_reason: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def error_body(message: str, kind: str = "", code: object = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def answered(api: LocalServer, *raw: bytes, **options: Any) -> Outcome:
    """Have the server answer with exactly these bytes."""
    api.queue(Answer(raw=raw, **options))
    return ask(OpenAI)


# --- what is sent ---------------------------------------------------------------------------------------------


def test_the_request(api: LocalServer) -> None:
    messages = [
        MessageDict(role="system", content="Be brief."),
        MessageDict(role="user", content="2+2?"),
        MessageDict(role="assistant", content="4"),
        MessageDict(role="user", content="Почему? 为什么 😀"),
    ]
    ask(OpenAI, messages, "gpt-5", temperature=0.2)
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", COMPLETIONS_PATH)
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.json == {
        "model": "gpt-5",
        "messages": messages,
        "temperature": 0.2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_further_parameters_go_into_the_body(api: LocalServer) -> None:
    ask(OpenAI, max_tokens=5, seed=1, stop=["\n"], conversation_id="abc", idle_timeout=30)
    body = api.requests[0].json
    assert (body["max_tokens"], body["seed"], body["stop"]) == (5, 1, ["\n"])
    assert not {"conversation_id", "idle_timeout", "proxy", "timeout"} & set(body)


def test_half_a_character_in_the_question_does_not_stop_it(api: LocalServer) -> None:
    ask(OpenAI, "half of 😀: \ud83d")
    assert api.requests[0].messages[-1]["content"] == "half of 😀: �"


def test_messages_about_tools_go_as_they_are(api: LocalServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    assert not ask(OpenAI, messages=messages).error
    assert api.requests[0].json["messages"] == messages


def test_the_model_comes_from_the_call_else_the_environment_else_the_class(
    api: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(OpenAI)
    monkeypatch.setenv("OPENAI_MODEL", "qwen3")
    ask(OpenAI)
    ask(OpenAI, model="gpt-5")
    assert [request.json["model"] for request in api.requests] == [OpenAI.default_model, "qwen3", "gpt-5"]


# --- where it goes, and with which key ------------------------------------------------------------------------


def test_the_default_addresses() -> None:
    assert OpenAI.base_url() == "https://api.openai.com/v1"
    assert ChatAnywhereAPI.base_url() == "https://api.chatanywhere.tech/v1"


@pytest.mark.parametrize(
    ("provider", "variable"), [(OpenAI, "OPENAI_BASE_URL"), (ChatAnywhereAPI, "CHATANYWHERE_BASE_URL")]
)
def test_the_address_comes_from_the_environment(
    provider: type[OpenAI], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, " https://api.chatanywhere.org/v1/ ")
    assert provider.base_url() == "https://api.chatanywhere.org/v1"
    monkeypatch.setenv(variable, "api.chatanywhere.org")
    with pytest.raises(ConfigurationError) as caught:
        provider.base_url()
    assert_for_people(caught.value, ConfigurationError, variable, "api.chatanywhere.org")


def test_chatanywhere_has_variables_of_its_own(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-house")
    monkeypatch.setenv("CHATANYWHERE_API_KEY", KEY)
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_MODEL", "deepseek-v3-ca")
    assert ask(ChatAnywhereAPI).finish_reason == "stop"
    (request,) = server.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.json["model"] == "deepseek-v3-ca"


@pytest.mark.parametrize(
    ("provider", "variable"), [(OpenAI, "OPENAI_API_KEY"), (ChatAnywhereAPI, "CHATANYWHERE_API_KEY")]
)
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_without_a_key_the_error_names_the_variable(
    provider: Provider, variable: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv(variable, value)
    with pytest.raises(MissingKeyError):
        provider.check()
    assert_for_people(ask(provider).error, MissingKeyError, provider.name, variable)


def test_chatanywhere_needs_a_key_at_any_address(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    assert_for_people(ask(ChatAnywhereAPI).error, MissingKeyError, "CHATANYWHERE_API_KEY")
    assert not server.requests


def test_a_server_of_ones_own_needs_no_key(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    OpenAI.check()
    assert ask(OpenAI).finish_reason == "stop"
    assert "Authorization" not in server.requests[0].headers


def test_a_preset_is_a_subclass(server: LocalServer) -> None:
    class Mine(OpenAI):
        name = "mine"
        url = server.api_url
        key_variable = "CHATANYWHERE_TEST_MINE_KEY"
        url_variable = "CHATANYWHERE_TEST_MINE_URL"
        model_variable = "CHATANYWHERE_TEST_MINE_MODEL"
        default_model = "mine-1"

    Mine.check()
    assert ask(Mine).finish_reason == "stop"
    assert server.requests[0].json["model"] == "mine-1"


@pytest.mark.parametrize("key", ["sk-two words", "sk-two\nlines", "ключ"])
def test_a_key_that_cannot_be_one_is_not_sent_and_not_shown(
    api: LocalServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    error = assert_for_people(ask(OpenAI).error, ConfigurationError, "OPENAI_API_KEY")
    assert key not in str(error)
    assert not api.requests


def test_quotation_marks_around_a_key_are_dropped(api: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"“{KEY}”")
    ask(OpenAI)
    assert api.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_white_space_around_a_key_is_dropped(api: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    ask(OpenAI)
    assert api.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_key_does_not_go_unencrypted_over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:password@models.example.org/v1")
    with pytest.raises(ConfigurationError) as caught:
        OpenAI.check()
    error = assert_for_people(caught.value, ConfigurationError, "OPENAI_BASE_URL", "models.example.org", "https")
    assert "password" not in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_a_key_may_go_unencrypted_within_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{host}:8000/v1")
    OpenAI.check()


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "localhost.example.org", "127.0.0.1@example.org"])
def test_what_only_looks_like_this_machine_gets_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{host}/v1")
    with pytest.raises(ConfigurationError):
        OpenAI.check()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(api: LocalServer, status: int) -> None:
    with LocalServer() as elsewhere:
        api.queue(Answer(status=status, raw=[b""], headers={"Location": f"{elsewhere.api_url}/chat/completions"}))
        assert_for_people(ask(OpenAI).error, RedirectError, "redirect", str(status))
        assert not elsewhere.requests


# --- what comes back ------------------------------------------------------------------------------------------


def test_an_answer(api: LocalServer) -> None:
    api.queue(Answer(text=["4", " of course"], model="gpt-5-2026", usage=(12, 3), finish_reason="length"))
    assert ask(OpenAI).deltas == [
        ModelName("gpt-5-2026"),
        Text("4"),
        Text(" of course"),
        Usage(prompt_tokens=12, completion_tokens=3),
        Finish("length"),
    ]


def test_the_public_face_yields_the_text_alone(api: LocalServer) -> None:
    api.queue(Answer(text=["4", " of course"], reasoning=["two and two"]))

    async def read() -> str:
        return "".join([chunk async for chunk in OpenAI.create_async_generator("gpt-5", user("2+2?"))])

    assert asyncio.run(read()) == "4 of course"


def test_the_first_words_of_a_read_wait_for_none_of_the_others(api: LocalServer) -> None:
    outcome = answered(api, b"".join([chunk("One"), chunk(" two"), chunk(" three"), chunk(None, "stop")]))
    assert [delta.text for delta in outcome.of(Text)] == ["One", " two three"]


@pytest.mark.usefixtures("api")
def test_the_model_is_sent_what_was_said_before() -> None:
    messages = [
        MessageDict(role="user", content="I am Ada."),
        MessageDict(role="assistant", content="Hello Ada."),
        MessageDict(role="user", content="Who am I?"),
    ]
    assert ask(OpenAI, messages).text == "I was sent 3 messages. The last one says: Who am I?"


def test_reasoning_is_apart_from_the_answer(api: LocalServer) -> None:
    api.queue(Answer(text=["4"], reasoning=["two ", "and two"]))
    outcome = ask(OpenAI)
    assert (outcome.text, outcome.reasoning) == ("4", "two and two")


def test_the_other_name_of_reasoning(api: LocalServer) -> None:
    delta = {"choices": [{"delta": {"reasoning": "hm", "content": "4"}, "finish_reason": "stop"}]}
    outcome = answered(api, event(delta))
    assert (outcome.text, outcome.reasoning) == ("4", "hm")


def test_chunks_are_yielded_as_they_arrive(api: LocalServer) -> None:
    more = threading.Event()
    api.queue(Answer(text=["one ", "two"], hold=more, hold_after=1))

    async def read() -> list[str]:
        async with aclosing(OpenAI.create_async_generator("", user("Count"))) as chunks:
            first = await anext(chunks)
            more.set()
            return [first, *[chunk async for chunk in chunks]]

    assert asyncio.run(read()) == ["one ", "two"]


def test_leaving_early_closes_the_connection(api: LocalServer) -> None:
    api.queue(Answer(text=["one"], hold=threading.Event()))

    async def leave() -> None:
        async with aclosing(OpenAI.create_async_generator("", user("Count"))) as chunks:
            assert await anext(chunks) == "one"

    asyncio.run(leave())
    assert api.requests[0].closed_by_client.wait(5)


def test_cancelling_closes_the_connection(api: LocalServer) -> None:
    api.queue(Answer(hold=threading.Event()))

    async def cancel() -> float:
        asking = asyncio.create_task(outcome_of(OpenAI))
        await asyncio.to_thread(api.wait_for_request)
        cancelled_at = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return cancelled_at

    cancelled_at = asyncio.run(cancel())
    request = api.requests[0]
    assert request.closed_by_client.wait(5)
    assert request.closed_at is not None
    assert request.closed_at >= cancelled_at


def test_events_in_any_framing(api: LocalServer) -> None:
    stream = b": OPENROUTER PROCESSING\r\n\r\n" + chunk("你好").replace(b"\n", b"\r\n") + chunk("!", "stop")
    for size in (1, 7):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert answered(api, *pieces).text == "你好!"


def test_a_stream_without_its_last_blank_line(api: LocalServer) -> None:
    assert answered(api, chunk("4"), chunk(finish_reason="stop").rstrip()).finish_reason == "stop"


def test_events_without_data_keep_the_connection_alive(api: LocalServer) -> None:
    assert answered(api, b"data:\n\n", chunk("4"), b"data: \n\n", chunk(finish_reason="stop")).text == "4"


def test_a_character_split_between_events_is_whole(api: LocalServer) -> None:
    # A server that counts in UTF-16 cuts an emoji in two; each half is half of a surrogate pair.
    outcome = answered(api, chunk("a\ud83d"), chunk("\ude00b\ud83d"), chunk("c", "stop"))
    assert outcome.text == "a😀b�c"
    outcome.text.encode()


def test_a_text_in_parts(api: LocalServer) -> None:
    parts = [{"type": "text", "text": "4 "}, {"type": "text", "text": "of course"}, {"type": "image_url"}]
    body = {"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}
    assert answered(api, event(body)).text == "4 of course"


def test_only_the_first_choice_is_read(api: LocalServer) -> None:
    other = event({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
    outcome = answered(api, chunk("yes"), other, chunk(finish_reason="stop"))
    assert (outcome.text, outcome.finish_reason) == ("yes", "stop")


def test_a_server_that_does_not_stream(api: LocalServer) -> None:
    body = {
        "model": "m",
        "choices": [{"message": {"content": "4", "reasoning_content": "hm"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }
    whole = json.dumps(body).encode()
    outcome = answered(api, whole[:9], whole[9:], headers={"Content-Type": "application/json; charset=utf-8"})
    assert (outcome.text, outcome.reasoning, outcome.finish_reason) == ("4", "hm", "stop")
    assert outcome.of(Usage) == [Usage(5, 1)]


def test_usage_that_is_no_number_is_no_usage(api: LocalServer) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": "12", "completion_tokens": True}})
    assert answered(api, chunk("4", "stop"), usage).of(Usage) == [Usage(None, None)]


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error_body("temperature is out of range", "invalid_request_error"), BadRequestError),
        (400, error_body("too long", "invalid_request_error", "context_length_exceeded"), ContextLengthError),
        (400, error_body("too long", "exceed_context_size_error", 400), ContextLengthError),
        (401, error_body("Incorrect API key provided", code="invalid_api_key"), AuthenticationError),
        (402, error_body("Insufficient balance"), QuotaError),
        (403, error_body("no access to this model", "chatanywhere_error", "403 FORBIDDEN"), PermissionDeniedError),
        (403, error_body("免费KEY 限制输入token 4096", "chatanywhere_error", "403 FORBIDDEN"), ContextLengthError),
        (404, error_body("The model `x` does not exist", code="model_not_found"), NotFoundError),
        (429, error_body("Rate limit reached", "requests"), RateLimitError),
        (429, error_body("You exceeded your current quota", "insufficient_quota"), QuotaError),
        (
            403,
            error_body("You have insufficient permissions for this operation.", "insufficient_permissions"),
            PermissionDeniedError,
        ),
        (402, error_body("Insufficient Balance"), QuotaError),
        (500, error_body("The server had an error"), ServerError),
        (503, b'{"detail": "overloaded"}', OverloadedError),
        (503, b"plain words", OverloadedError),
        (520, b"<html><title>cloud</title></html>", ServerError),
        (500, b"", ServerError),
        (500, b"[]", ServerError),
        (500, b"null", ServerError),
        (422, b'{"error": "just words"}', BadRequestError),
        (422, b'{"detail": [{"loc": ["body"]}]}', BadRequestError),
    ],
)
def test_a_refusal(api: LocalServer, status: int, body: bytes, kind: type[APIError]) -> None:
    outcome = answered(api, body, status=status, headers={"x-request-id": "req-7"})
    error = assert_for_people(outcome.error, kind)
    assert error.status == status
    assert error.request_id == "req-7"
    assert "<" not in str(error)
    assert outcome.deltas == []


def test_a_refusal_tells_what_the_server_said(api: LocalServer) -> None:
    outcome = answered(api, error_body("The model `gpt-9` does\nnot\x00 exist"), status=404)
    error = assert_for_people(outcome.error, NotFoundError, "“The model `gpt-9` does not exist”", "404")
    assert error.server_message == "The model `gpt-9` does not exist"


def test_a_refusal_that_comes_in_pieces_is_read_to_its_end(api: LocalServer) -> None:
    body = error_body("免费KEY 限制输入token 4096", "chatanywhere_error", "403 FORBIDDEN")
    api.queue(Answer(status=403, raw=[body[:20], body[20:]], delay=0.05))
    assert_for_people(ask(OpenAI).error, ContextLengthError)


def test_a_refusal_that_is_cut_short_is_one_still(api: LocalServer) -> None:
    api.queue(Answer(status=401, raw=[b'{"error": {"mess'], cut=True))
    assert_for_people(ask(OpenAI).error, AuthenticationError, "401")


def test_a_refusal_of_many_words_is_shown_in_part(api: LocalServer) -> None:
    error = answered(api, error_body("no " * 10_000), status=400).error
    assert error is not None
    assert len(error.server_message) <= 2_000


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"message": "boom"}, StreamError, None),
        ("boom", StreamError, None),
        ({"message": "boom", "type": "server_error", "code": None}, StreamError, None),
        ({"message": "boom", "code": 429}, RateLimitError, 429),
        ({"message": "boom", "code": "429"}, RateLimitError, 429),
        ({"message": "boom 4096", "type": "chatanywhere_error", "code": "403 FORBIDDEN"}, ContextLengthError, 403),
        ({"message": "boom", "code": "context_length_exceeded"}, ContextLengthError, None),
    ],
)
def test_an_error_in_the_middle_of_a_stream(
    api: LocalServer, error: object, kind: type[APIError], status: int | None
) -> None:
    outcome = answered(api, chunk("so far"), event({"error": error}), b"data: [DONE]\n\n")
    assert outcome.text == "so far"
    assert outcome.finish_reason is None
    assert assert_for_people(outcome.error, kind, "boom").status == status


# --- answers that are not good ones ---------------------------------------------------------------------------


def test_without_a_finish_reason_an_answer_is_incomplete(api: LocalServer) -> None:
    for done in (True, False):
        api.queue(Answer(text=["so far"], finish_reason=None, done=done))
        outcome = ask(OpenAI)
        assert outcome.text == "so far"
        assert outcome.finish_reason is None
        assert_for_people(outcome.error, IncompleteError)


def test_with_a_finish_reason_an_answer_is_whole_without_done(api: LocalServer) -> None:
    api.queue(Answer(text=["whole"], done=False))
    assert ask(OpenAI).finish_reason == "stop"


@pytest.mark.parametrize("end", [{"cut": True}, {"hold": threading.Event()}, {"reset": True}])
def test_with_a_finish_reason_an_answer_is_whole_however_the_stream_ends(api: LocalServer, end: dict[str, Any]) -> None:
    api.queue(Answer(raw=[chunk("whole"), chunk(finish_reason="stop")], **end))
    outcome = ask(OpenAI, idle_timeout=0.2)
    assert (outcome.text, outcome.finish_reason, outcome.error) == ("whole", "stop", None)


def test_content_filter(api: LocalServer) -> None:
    api.queue(Answer(text=["so far"], finish_reason="content_filter"))
    outcome = ask(OpenAI)
    assert outcome.text == "so far"
    assert_for_people(outcome.error, ContentFilterError)


@pytest.mark.parametrize("reasoning", [[], ["thinking only"]])
def test_an_empty_answer(api: LocalServer, reasoning: list[str]) -> None:
    api.queue(Answer(reasoning=reasoning))
    assert_for_people(ask(OpenAI).error, EmptyAnswerError)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_in_the_middle_keeps_what_came(api: LocalServer, reset: bool) -> None:
    api.queue(Answer(text=["It was a dark ", "and stormy"], delay=0.02, cut=True, reset=reset))
    outcome = ask(OpenAI)
    assert outcome.text == "It was a dark and stormy"
    assert_for_people(outcome.error, IncompleteError)


def test_an_event_cut_in_two_by_the_end_of_the_body(api: LocalServer) -> None:
    outcome = answered(api, chunk("so far"), b'data: {"choices": [{"delta": {"cont')
    assert outcome.text == "so far"
    assert_for_people(outcome.error, IncompleteError)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_closed_without_an_answer(api: LocalServer, reset: bool) -> None:
    api.queue(Answer(drop=True, reset=reset))
    assert_for_people(ask(OpenAI).error, ConnectionFailedError)


def test_nobody_there(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{closed_url}/v1")
    assert_for_people(ask(OpenAI).error, ConnectionFailedError, closed_url.removeprefix("http://"))


def test_time_limits(api: LocalServer) -> None:
    api.queue(Answer(text=["slow "] * 100, delay=0.05), Answer(text=["one"], hold=threading.Event()))
    outcome = ask(OpenAI, timeout=0.3)
    assert outcome.text.startswith("slow slow ")
    assert_for_people(outcome.error, TimeoutExceededError, "0.3 s")
    outcome = ask(OpenAI, idle_timeout=0.2)
    assert outcome.text == "one"
    assert_for_people(outcome.error, TimeoutExceededError, "0.2 s")


def test_a_web_page_instead_of_an_answer(api: LocalServer) -> None:
    page = b"<!DOCTYPE html><html><body>Welcome!</body></html>"
    outcome = answered(api, page, headers={"Content-Type": "text/html; charset=utf-8"})
    assert_for_people(outcome.error, ProtocolError, "text/html", "base URL")


@pytest.mark.parametrize("data", ["no JSON", '{"choices": ', "[1, 2]", '"words"', "[" * 100_000])
def test_an_event_that_is_not_the_protocol(api: LocalServer, data: str) -> None:
    outcome = answered(api, chunk("so far"), f"data: {data}\n\n".encode(), chunk("!", "stop"))
    assert outcome.text == "so far"
    error = assert_for_people(outcome.error, ProtocolError)
    assert len(str(error)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 600) | st.sampled_from(["", "x", "stop", "429", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "message", "content", "index", "text", "finish_reason", "error"])
            | st.sampled_from(["usage", "prompt_tokens", "model", "reasoning", "code", "type", "prompt_progress"])
            | st.sampled_from(["total", "cache", "processed"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries({"choices": st.lists(st.dictionaries(st.sampled_from(["delta", "index"]), JSON))})


@given(st.lists(JSON | CHOICES, max_size=3))
def test_no_json_at_all_can_do_worse_than_our_own_errors(values: list[object]) -> None:
    reader = CompletionReader("host", None)
    with suppress(ChatError):
        for value in values:
            for delta in reader.read(Event("message", json.dumps(value))):
                assert not isinstance(delta, Text) or delta.text.encode()
        reader.finish()


# --- keys stay where they belong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "echo",
    [
        Answer(status=401, raw=[error_body(f"Incorrect API key provided: {KEY}.")]),
        Answer(status=401, raw=[f"Who is {KEY}?".encode()]),
        Answer(status=400, raw=[error_body("refused", code=f"code-of-{KEY}", kind=KEY)]),
        Answer(raw=[event({"error": {"message": f"bad key {KEY}", "code": KEY, "type": KEY}})]),
        Answer(raw=[event({"error": {"code": KEY}})]),
        Answer(raw=[f"data: your key is {KEY}\n\n".encode()]),
        Answer(raw=[KEY.encode()], headers={"Content-Type": "application/json"}),
        Answer(text=["so far"], garbage=f"{KEY}\r\n".encode()),
    ],
)
def test_a_key_that_the_server_echoes_is_in_no_error(api: LocalServer, echo: Answer) -> None:
    api.queue(echo)
    error = ask(OpenAI, idle_timeout=0.2).error
    assert error is not None
    assert KEY in api.requests[0].headers["Authorization"]
    assert KEY not in faces(error)


@pytest.mark.parametrize(
    "failure",
    [
        Answer(status=401, raw=[error_body("Incorrect API key provided")]),
        Answer(raw=[event({"error": "boom"})]),
        Answer(raw=[b"data: no JSON\n\n"]),
        Answer(text=["so far"], garbage=b"no chunk size\r\n"),
        Answer(text=["so far"], cut=True),
        Answer(text=["so far"], finish_reason=None),
        Answer(drop=True),
        Answer(drop=True, reset=True),
        Answer(hold=threading.Event()),
        Answer(raw=[b"HTML"], headers={"Content-Type": "text/html"}),
        Answer(raw=[b"no gzip"], headers={"Content-Encoding": "gzip"}),
    ],
)
def test_a_key_is_in_no_frame_of_an_error(api: LocalServer, failure: Answer) -> None:
    api.queue(failure)
    error = ask(OpenAI, idle_timeout=0.2).error
    assert error is not None
    assert KEY in api.requests[0].headers["Authorization"]
    assert KEY not in faces(error) + locals_of(error)


def test_a_key_is_in_no_frame_when_nobody_is_there(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{closed_url}/v1")
    error = assert_for_people(ask(OpenAI).error, ConnectionFailedError)
    assert KEY not in faces(error) + locals_of(error)


def test_a_password_in_the_address_is_in_no_error(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{closed_url.replace('//', '//me:hunter22@')}/v1")
    error = assert_for_people(ask(OpenAI).error, ConnectionFailedError, closed_url.removeprefix("http://"))
    assert "hunter22" not in str(error)


def test_what_came_together_goes_on_together(api: LocalServer) -> None:
    """Of a fast server's hundreds of pieces few deltas are made, and what came before a failure is among them."""
    pieces = [f"{number} " for number in range(500)]
    chunks = [event({"choices": [{"index": 0, "delta": {"content": piece}}]}) for piece in pieces]
    api.queue(Answer(raw=[b"".join([*chunks, event({"error": {"message": "out of memory"}})])]))
    outcome = ask(OpenAI)
    texts = [delta.text for delta in outcome.deltas if isinstance(delta, Text)]
    assert "".join(texts) == "".join(pieces)
    assert len(texts) < len(pieces) / 10
    assert isinstance(outcome.error, StreamError)


@pytest.mark.slow
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_a_few_kilobytes_that_hold_a_gigabyte_are_not_read_to_the_end(api: LocalServer, field: str) -> None:
    event = b'data: {"choices": [{"delta": {"%s": "%s"}}]}\n\n' % (field.encode(), b"a" * 100_000)
    bomb = gzip.compress(event * (4 * MAX_CHARACTERS // 100_000))
    api.queue(Answer(raw=[bomb], headers={"Content-Encoding": "gzip"}))
    outcome = ask(OpenAI)
    assert_for_people(outcome.error, ProtocolError, "16,777,216")
    assert len(bomb) < len(outcome.text + outcome.reasoning) <= MAX_CHARACTERS
