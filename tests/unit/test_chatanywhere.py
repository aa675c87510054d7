"""The seed's provider: the web protocol, spoken to a real server that speaks it."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import re
import threading
from contextlib import aclosing
from importlib.util import find_spec

import pytest

import chatanywhere_magic
from chatanywhere_magic import AsyncGeneratorProvider, ChatAnywhere
from chatanywhere_magic.core.errors import (
    AnswerError,
    APIError,
    ConfigurationError,
    ConnectionFailedError,
    EmptyAnswerError,
    IncompleteError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    ServerError,
    TimeoutExceededError,
    TLSError,
)
from chatanywhere_magic.core.messages import MessageDict, Text
from chatanywhere_magic.providers.wire.budget import MAX_CHARACTERS
from chatanywhere_magic.testing.server import WEB_PATH, Answer, LocalServer
from tests.unit.helpers import ask, assert_for_people, outcome_of, user


@pytest.fixture
def web(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """A server that stands in for chatanywhere.cn."""
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url)
    return server


# --- the class, as the seed describes it ----------------------------------------------------------------------


def test_the_attributes() -> None:
    assert ChatAnywhere.url == "https://chatanywhere.cn"
    assert ChatAnywhere.supports_gpt_35_turbo is True
    assert ChatAnywhere.supports_message_history is True
    assert ChatAnywhere.working is False  # the public service stopped answering on 2023-11-22


def test_it_inherits_the_provider_base() -> None:
    assert issubclass(ChatAnywhere, AsyncGeneratorProvider)
    assert chatanywhere_magic.ChatAnywhere is ChatAnywhere


def test_the_signature() -> None:
    ours = inspect.getattr_static(ChatAnywhere, "create_async_generator")
    assert isinstance(ours, classmethod)
    assert inspect.isasyncgenfunction(ours.__func__)
    plain, keywords = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_KEYWORD
    required = inspect.Parameter.empty
    parameters = inspect.signature(ours.__func__).parameters.values()
    assert [(parameter.name, parameter.kind, parameter.default) for parameter in parameters] == [
        ("cls", plain, required),
        ("model", plain, required),
        ("messages", plain, required),
        ("proxy", plain, None),
        ("timeout", plain, 120),
        ("temperature", plain, 0.5),
        ("kwargs", keywords, required),
    ]


def test_the_seeds_example_runs_as_it_is_written(web: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    async def example() -> None:
        messages = [{"role": "user", "content": "Hello, how are you?"}]
        async for chunk in ChatAnywhere.create_async_generator(model="gpt-3.5-turbo", messages=messages):  # type: ignore[arg-type]
            print(chunk, end="")  # noqa: T201 - the seed's own words

    web.queue(Answer(text=["I am ", "fine, ", "thank you."]))
    asyncio.run(example())
    assert capsys.readouterr().out == "I am fine, thank you."
    assert web.requests[0].messages == [{"role": "user", "content": "Hello, how are you?"}]


def test_the_address_can_be_the_classes_own(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mirror(ChatAnywhere):
        url = server.url

    monkeypatch.setenv("CHATANYWHERE_WEB_URL", "http://not.used.invalid")
    assert ask(Mirror, "Hi").text == "I was sent 1 messages. The last one says: Hi"
    assert server.requests[0].headers["Origin"] == server.url


@pytest.mark.parametrize("url", ["chatanywhere.cn", "ftp://host", "http://", "http://[::1", "http://host:port"])
def test_an_address_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", url)
    assert_for_people(ask(ChatAnywhere).error, ConfigurationError, "CHATANYWHERE_WEB_URL", url)


# --- what is sent ---------------------------------------------------------------------------------------------


def test_the_request(web: LocalServer) -> None:
    messages = [
        MessageDict(role="system", content="Be brief."),
        MessageDict(role="user", content="2+2?"),
        MessageDict(role="assistant", content="4"),
        MessageDict(role="user", content="Почему? 为什么 😀"),
    ]
    ask(ChatAnywhere, messages, "gpt-3.5-turbo", temperature=0.2)
    (request,) = web.requests
    assert (request.method, request.path) == ("POST", WEB_PATH)
    assert re.fullmatch(r"s1_[A-Za-z0-9]{18}", request.json.pop("id"))
    assert request.json == {
        "list": messages,
        "title": "Почему? 为什么 😀",
        "prompt": "",
        "temperature": 0.2,
        "models": "61490748",
        "continuous": True,
    }


def test_the_defaults(web: LocalServer) -> None:
    ask(ChatAnywhere)
    assert web.requests[0].json["temperature"] == 0.5


def test_the_headers_of_a_browser(web: LocalServer) -> None:
    ask(ChatAnywhere)
    headers = web.requests[0].headers
    assert headers.pop("User-Agent").startswith("Mozilla/5.0 (")
    assert headers.pop("Accept-Language")
    assert headers.pop("Host") == web.url.removeprefix("http://")
    assert headers.pop("Content-Length")
    # Brotli is asked for only where it can be read.
    brotli = ", br" if find_spec("brotli") or find_spec("brotlicffi") else ""
    assert headers == {
        "Accept": "application/json, text/plain, */*",
        "Accept-Encoding": f"gzip, deflate{brotli}",
        "Content-Type": "application/json",
        "Referer": f"{web.url}/",
        "Origin": web.url,
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-origin",
        "Authorization": "",
        "Connection": "keep-alive",
        "TE": "trailers",
    }


def test_no_key_goes_to_the_web_endpoint(web: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-not-for-this-host")
    ask(ChatAnywhere)
    assert "sk-not-for-this-host" not in f"{web.requests[0].headers} {web.requests[0].body!r}"


def test_each_call_begins_a_conversation_of_its_own(web: LocalServer) -> None:
    for _ in range(3):
        ask(ChatAnywhere)
    assert len({request.json["id"] for request in web.requests}) == 3


@pytest.mark.parametrize("known", ["a", "0123456789abcdef0123456789abcdef", "беседа"])
def test_a_conversation_keeps_its_id(web: LocalServer, known: str) -> None:
    ask(ChatAnywhere, conversation_id=known)
    ask(ChatAnywhere, conversation_id=known)
    ask(ChatAnywhere, conversation_id=f"{known} and another")
    first, second, other = (request.json["id"] for request in web.requests)
    assert first == second != other
    assert re.fullmatch(r"s1_[A-Za-z0-9]{18}", first)


def test_half_a_character_in_the_question_does_not_stop_it(web: LocalServer) -> None:
    ask(ChatAnywhere, "half of 😀: \ud83d")
    assert web.requests[0].json["title"] == "half of 😀: �"


def test_no_messages_are_no_question(web: LocalServer) -> None:
    assert_for_people(ask(ChatAnywhere, []).error, ConfigurationError)
    assert not web.requests


# --- what comes back ------------------------------------------------------------------------------------------


def test_chunks_are_yielded_as_they_arrive(web: LocalServer) -> None:
    more = threading.Event()
    web.queue(Answer(text=["one ", "two"], hold=more, hold_after=1))

    async def read() -> list[str]:
        chunks = ChatAnywhere.create_async_generator("", user("Count"))
        async with aclosing(chunks):
            first = await anext(chunks)
            more.set()
            return [first, *[chunk async for chunk in chunks]]

    assert asyncio.run(read()) == ["one ", "two"]


@pytest.mark.parametrize("word", ["é", "你好", "😀"])
def test_a_character_split_between_chunks_is_whole(web: LocalServer, word: str) -> None:
    encoded = word.encode()
    for cut in range(1, len(encoded)):
        web.queue(Answer(raw=[b"<" + encoded[:cut], encoded[cut:] + b">"], delay=0.02))
        outcome = ask(ChatAnywhere)
        assert outcome.text == f"<{word}>"
        assert all("�" not in delta.text for delta in outcome.of(Text))


def test_the_end_of_the_body_is_the_end_of_the_answer(web: LocalServer) -> None:
    web.queue(Answer(text=["whole"]))
    assert ask(ChatAnywhere).finish_reason == "stop"


def test_a_body_that_ends_within_a_character_says_so(web: LocalServer) -> None:
    web.queue(Answer(raw=["ещё".encode()[:-1]]))
    assert ask(ChatAnywhere).text == "ещ�"


def test_an_answer_may_be_html(web: LocalServer) -> None:
    web.queue(Answer(text=["<html>", "a page as asked for"]))
    assert ask(ChatAnywhere).text == "<html>a page as asked for"


def test_leaving_early_closes_the_connection(web: LocalServer) -> None:
    web.queue(Answer(text=["one"], hold=threading.Event()))

    async def leave() -> None:
        async with aclosing(ChatAnywhere.create_async_generator("", user("Count"))) as chunks:
            assert await anext(chunks) == "one"

    asyncio.run(leave())
    assert web.requests[0].closed_by_client.wait(5)


def test_cancelling_closes_the_connection(web: LocalServer) -> None:
    web.queue(Answer(hold=threading.Event()))

    async def cancel() -> None:
        asking = asyncio.create_task(outcome_of(ChatAnywhere))
        await asyncio.to_thread(web.wait_for_request)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(cancel())
    assert web.requests[0].closed_by_client.wait(5)


# --- what can go wrong ----------------------------------------------------------------------------------------


def test_nobody_there(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", closed_url)
    host = closed_url.removeprefix("http://")
    assert_for_people(ask(ChatAnywhere).error, ConnectionFailedError, host, "Connect")


def test_no_tls_where_tls_is_expected(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url.replace("http:", "https:"))
    assert_for_people(ask(ChatAnywhere).error, TLSError, "secure connection")


@pytest.mark.parametrize(
    ("status", "kind"), [(500, ServerError), (502, ServerError), (429, RateLimitError), (302, RedirectError)]
)
def test_a_refusal(web: LocalServer, status: int, kind: type[APIError]) -> None:
    web.queue(Answer(status=status, raw=[b"<html><body>Sorry!</body></html>"]))
    error = assert_for_people(ask(ChatAnywhere).error, kind)
    assert error.status == status
    assert "<" not in str(error)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_closed_without_an_answer(web: LocalServer, reset: bool) -> None:
    web.queue(Answer(drop=True, reset=reset))
    assert_for_people(ask(ChatAnywhere).error, ConnectionFailedError, "without responding")


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_in_the_middle_keeps_what_came(web: LocalServer, reset: bool) -> None:
    web.queue(Answer(text=["It was a dark ", "and stormy"], delay=0.02, cut=True, reset=reset))
    outcome = ask(ChatAnywhere)
    assert outcome.text == "It was a dark and stormy"
    assert outcome.finish_reason is None
    assert_for_people(outcome.error, IncompleteError, "middle")


def test_what_came_before_a_cut_is_kept_even_by_a_slow_reader(web: LocalServer) -> None:
    web.queue(Answer(text=["one ", "two ", "three"], delay=0.01, cut=True))
    words: list[str] = []

    async def read_slowly() -> None:
        async for chunk in ChatAnywhere.create_async_generator("", user("Count")):
            words.append(chunk)
            await asyncio.sleep(0.1)

    with pytest.raises(IncompleteError):
        asyncio.run(read_slowly())
    assert "".join(words) == "one two three"


def test_a_body_shorter_than_it_was_said_to_be(web: LocalServer) -> None:
    web.queue(Answer(raw=[b"half"], headers={"Content-Length": "8"}, cut=True))
    outcome = ask(ChatAnywhere)
    assert outcome.text == "half"
    assert_for_people(outcome.error, IncompleteError)


@pytest.mark.parametrize(
    ("garbage", "text"), [(b"no chunk size\r\n", "one"), (b"3\r\ntwo\r\nno chunk size\r\n", "onetwo")]
)
def test_broken_framing(web: LocalServer, garbage: bytes, text: str) -> None:
    web.queue(Answer(text=["one"], garbage=garbage))
    # aiohttp's parser may fall silent over it; then it is the watchdog that ends the wait.
    outcome = ask(ChatAnywhere, idle_timeout=0.3)
    assert outcome.text == text
    assert isinstance(outcome.error, (AnswerError, TimeoutExceededError))


def test_broken_compression(web: LocalServer) -> None:
    web.queue(Answer(raw=[b"this is no gzip"], headers={"Content-Encoding": "gzip"}))
    assert_for_people(ask(ChatAnywhere).error, ProtocolError, "gzip")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json"])
def test_a_few_kilobytes_that_hold_a_gigabyte_are_not_read_to_the_end(web: LocalServer, kind: str) -> None:
    bomb = gzip.compress(b"[" * (4 * MAX_CHARACTERS))
    web.queue(Answer(raw=[bomb], headers={"Content-Encoding": "gzip", "Content-Type": kind}))
    outcome = ask(ChatAnywhere)
    assert_for_people(outcome.error, ProtocolError, "16,777,216")
    assert len(bomb) < len(outcome.text) <= MAX_CHARACTERS


def test_an_empty_body_is_no_answer(web: LocalServer) -> None:
    web.queue(Answer(text=[]))
    outcome = ask(ChatAnywhere)
    assert outcome.finish_reason is None
    assert_for_people(outcome.error, EmptyAnswerError)


def test_the_page_of_another_site_is_no_answer(web: LocalServer) -> None:
    page = b"\n<!DOCTYPE html><html><body>This domain is for sale.</body></html>"
    web.queue(Answer(raw=[page], headers={"Content-Type": "text/html; charset=utf-8"}))
    outcome = ask(ChatAnywhere)
    assert outcome.text == ""
    assert_for_people(outcome.error, ProtocolError, "text/html")


def test_the_time_limit_for_the_whole_answer(web: LocalServer) -> None:
    web.queue(Answer(text=["slow"] * 100, delay=0.05), Answer(hold=threading.Event()))
    outcome = ask(ChatAnywhere, timeout=0.3)
    assert outcome.text.startswith("slowslow")
    assert_for_people(outcome.error, TimeoutExceededError, "0.3 s", "the text so far is kept")
    outcome = ask(ChatAnywhere, timeout=0.3)
    assert "text so far" not in str(assert_for_people(outcome.error, TimeoutExceededError, "0.3 s"))


@pytest.mark.parametrize("text", [[], ["one"]])
def test_the_time_limit_for_silence(web: LocalServer, text: list[str]) -> None:
    web.queue(Answer(text=text, hold=threading.Event()))
    outcome = ask(ChatAnywhere, idle_timeout=0.2)
    assert outcome.text == "".join(text)
    error = assert_for_people(outcome.error, TimeoutExceededError, "sent nothing for 0.2 s")
    assert ("the text so far is kept" in str(error)) == bool(text)
    assert web.requests[0].closed_by_client.wait(5)


@pytest.mark.usefixtures("web")
def test_no_time_limit() -> None:
    assert ask(ChatAnywhere, timeout=None).finish_reason == "stop"
