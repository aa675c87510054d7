"""Servers of other makers as they are installed: gateways before a server of ours, and llama.cpp."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.core.errors import (
    AuthenticationError,
    ChatError,
    ConnectionFailedError,
    ContextLengthError,
    IncompleteError,
    NotFoundError,
)
from chatanywhere_magic.core.messages import Usage
from chatanywhere_magic.providers.model_files import find_model
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


_LLAMA = """
import json, os, sys, xllamacpp

config, params = json.loads(sys.stdin.readline()), xllamacpp.CommonParams()
params.model.path, params.api_keys, params.port = config["model"], [config["key"]], 0
params.n_ctx, params.n_parallel, params.use_jinja, params.cpuparams.n_threads = 2048, 1, True, 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture(scope="module")
def llama() -> Iterator[tuple[str, str]]:
    """llama.cpp's own server with the embedded model, at a port: its address and its key."""
    pytest.importorskip("xllamacpp")
    key = secrets.token_urlsafe(16)
    config = {"model": str(find_model("")), "key": key}
    with subprocess.Popen(
        [sys.executable, "-c", _LLAMA],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        yield process.stdout.readline().strip(), key
        process.stdin.close()


@pytest.mark.model
@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_llama_cpp_answers_in_both_dialects(
    llama: tuple[str, str], dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, key = llama
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    tools = [{"type": "function", "function": function}]
    outcome = ask(OpenAI, "Say hello.", dialect=dialect, max_tokens=8, tools=tools)
    assert outcome.error is None
    assert outcome.text
    (usage,) = outcome.of(Usage)
    assert (usage.prompt_tokens or 0) > 8
    assert usage.completion_tokens == 8
    assert outcome.finish_reason == "length"
    assert isinstance(ask(OpenAI, "word " * 4000, dialect=dialect).error, ContextLengthError)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    assert isinstance(ask(OpenAI, "Hi", dialect=dialect).error, AuthenticationError)
