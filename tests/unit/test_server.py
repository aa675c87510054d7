"""The tests' own server, where other tests and the benchmarks rely on more than an answer."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import OpenAI
from chatanywhere_magic.core.messages import Text
from tests.unit.helpers import ask

if TYPE_CHECKING:
    from chatanywhere_magic.testing.server import LocalServer


@pytest.fixture(autouse=True)
def _ask_it(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)


def test_a_prompt_can_name_the_stream() -> None:
    # So slow that the client reads each by itself.
    assert [len(delta.text) for delta in ask(OpenAI, "stream 4x4@20").of(Text)] == [4] * 4
    outcome = ask(OpenAI, "stream 400x4")
    assert len(outcome.text) == 1_600
    assert outcome.finish_reason == "stop"


def test_the_rate_holds() -> None:
    started = time.monotonic()
    assert len(ask(OpenAI, "stream 41x1@100").text) == 41
    assert 0.4 <= time.monotonic() - started < 10  # a busy machine is slower, but does not take the whole of it


def test_it_lists_models(server: LocalServer) -> None:
    with urllib.request.urlopen(f"{server.api_url}/models") as response:  # noqa: S310 - our own server
        assert [model["id"] for model in json.load(response)["data"]] == server.models


def test_it_says_what_it_was_sent(server: LocalServer) -> None:
    assert ask(OpenAI, "Hi").text == "I was sent 1 messages. The last one says: Hi"
    assert server.wait_for_request().messages == [{"role": "user", "content": "Hi"}]
    assert not server.requests[0].closed_by_client.is_set()


def test_waiting_for_a_request_that_does_not_come(server: LocalServer) -> None:
    with pytest.raises(TimeoutError):
        server.wait_for_request(seconds=0.05)
