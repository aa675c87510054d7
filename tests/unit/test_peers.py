"""Gateways of other makers, as they are installed and with their default settings, between us and a server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.core.errors import ChatError, ConnectionFailedError, IncompleteError, NotFoundError
from chatanywhere_magic.testing.server import Answer
from tests.support.peers import running
from tests.unit.helpers import PATIENCE_SECONDS, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatanywhere_magic.testing.server import LocalServer

WORDS = [f"word{number} " for number in range(20)]


@pytest.fixture(params=["nginx", "haproxy"])
def gateway(
    request: pytest.FixtureRequest, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The name of one of them, before the test's server, where our requests go."""
    with running(request.param, tmp_path, int(server.url.rpartition(":")[2])) as port:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}")  # as people paste it, without /v1
        yield request.param


@pytest.mark.usefixtures("gateway")
def test_a_conversation_goes_through_it(server: LocalServer) -> None:
    server.queue(Answer(text=WORDS), Answer(text=["Yes."]), Answer(text=["No."]))
    chat = ChatSession(provider="openai")
    assert chat.ask_sync("Hello") == "".join(WORDS)
    assert [chat.ask_sync("Again"), chat.ask_sync("And again")] == ["Yes.", "No."]
    chat.close()


@pytest.mark.usefixtures("gateway")
def test_refusals_come_through_it_in_the_servers_words(server: LocalServer) -> None:
    server.queue(Answer(status=404, raw=[b'{"error": {"message": "The model does not exist"}}']))
    error = ask(OpenAI).error
    assert (type(error), error and error.server_message) == (NotFoundError, "The model does not exist")


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("failure", [Answer(text=WORDS, cut=True), Answer(text=WORDS, reset=True)])
def test_a_response_that_is_cut_behind_it_is_not_taken_for_a_whole_one(server: LocalServer, failure: Answer) -> None:
    server.queue(failure)
    outcome = ask(OpenAI)
    assert isinstance(outcome.error, IncompleteError | ConnectionFailedError), outcome.error
    assert "".join(WORDS).startswith(outcome.text)


@pytest.mark.usefixtures("gateway")
def test_a_server_that_hangs_up_behind_it_is_asked_again(server: LocalServer) -> None:
    server.queue(Answer(drop=True), Answer(text=["Yes."]))
    outcome = ask(OpenAI, max_retries=2)
    assert (outcome.text, outcome.error) == ("Yes.", None)


def test_stopping_reaches_the_server_behind_it(gateway: str, server: LocalServer) -> None:
    server.queue(Answer(text=["word " * 100] * 4_000, delay=0.01))  # soon more than a gateway holds back
    chat = ChatSession(provider="openai")
    live = chat.prepare("Hello")
    chat.start(live)
    request = server.wait_for_request()
    assert live.response.begun.wait(PATIENCE_SECONDS)
    chat.turns.stop()
    assert request.closed_by_client.wait(PATIENCE_SECONDS), gateway
    chat.close()


def test_nginx_streams_where_it_is_told_to(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("nginx", tmp_path, int(server.url.rpartition(":")[2]), "proxy_buffering off;") as port:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}")
        server.queue(Answer(text=["first "], hold=threading.Event()))
        chat = ChatSession(provider="openai")
        live = chat.prepare("Hello")
        chat.start(live)
        assert live.response.begun.wait(PATIENCE_SECONDS)
        chat.turns.stop()
        chat.close()


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_gateway_without_a_server_behind_it_says_so(
    name: str, closed_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(name, tmp_path, int(closed_url.rpartition(":")[2])) as port:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}")
        error = ask(OpenAI).error
    assert isinstance(error, ChatError)
    assert error.status in {502, 503}
    assert error.retryable


def test_a_proxy_that_hangs_up_after_each_response_is_asked_on_a_fresh_connection(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("tinyproxy", tmp_path) as port:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        chat = ChatSession(provider="openai", max_retries=0, proxy=f"http://127.0.0.1:{port}")
        answers = [str(number) for number in range(20)]
        server.queue(*(Answer(text=[answer]) for answer in answers))
        assert [chat.ask_sync("Hello") for _ in answers] == answers
        chat.close()
