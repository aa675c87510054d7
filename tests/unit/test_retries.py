"""When a failure is tried again, after how long, and at which address."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatAnywhereAPI, OpenAI
from chatanywhere_magic.core.errors import (
    AuthenticationError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    IncompleteError,
    QuotaError,
    RateLimitError,
    ServerError,
    TimeoutExceededError,
)
from chatanywhere_magic.core.messages import Notice
from chatanywhere_magic.providers.wire.retry import (
    FIRST_PAUSE_SECONDS,
    LONGEST_ASKED_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    pause_before,
    retry_after,
)
from chatanywhere_magic.testing.server import Answer, LocalServer
from tests.unit.helpers import ask

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "250", "Retry-After": "7"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "7"}, 7.0),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_it_may_ask_by_date() -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=30)
    seconds = retry_after({"Retry-After": format_datetime(moment, usegmt=True)})
    assert seconds == pytest.approx(30, abs=2)
    assert retry_after({"Retry-After": format_datetime(moment - timedelta(days=1), usegmt=True)}) == 0.0


@pytest.mark.parametrize("kind", [RateLimitError, ServerError, ConnectionFailedError])
def test_pauses_grow_up_to_a_limit(kind: type[ChatError]) -> None:
    for attempt in range(1, 12):
        pause = pause_before(attempt, kind("…"))
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
        assert pause is not None
        assert 0.75 * longest <= pause <= longest


@pytest.mark.parametrize("kind", [AuthenticationError, QuotaError, IncompleteError])
def test_what_will_not_pass_is_not_tried_again(kind: type[ChatError]) -> None:
    assert pause_before(1, kind("…")) is None


def test_a_time_limit_is_not_waited_out_twice() -> None:
    assert pause_before(1, TimeoutExceededError("…", retryable=False)) is None


def test_a_server_is_waited_for_as_long_as_it_asks_but_not_for_ever() -> None:
    assert pause_before(1, RateLimitError("…", retry_after=4.0)) == 4.0
    assert pause_before(1, RateLimitError("…", retry_after=LONGEST_ASKED_PAUSE_SECONDS + 1)) is None


def test_the_first_text_may_have_a_limit_of_its_own(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    never = threading.Event()
    server.queue(Answer(raw=[b"Late."], hold=never, hold_after=0))
    error = ask(OpenAI, first_timeout=0.2, idle_timeout=60.0).error
    assert isinstance(error, TimeoutExceededError)
    assert "0.2 s" in str(error)
    server.queue(Answer(text=["Slow ", "but ", "sure."], delay=0.3))
    assert ask(OpenAI, first_timeout=5.0, idle_timeout=2.0).text == "Slow but sure."
    server.queue(Answer(text=["Half", " and never whole."], hold=never, hold_after=1))
    outcome = ask(OpenAI, first_timeout=60.0, idle_timeout=0.2)
    assert outcome.text == "Half"
    assert isinstance(outcome.error, TimeoutExceededError)
    assert len(server.requests) == 3


def test_the_limit_that_was_reached_is_the_one_that_is_named(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    server.queue(Answer(text=["Half", " and never whole."], hold=threading.Event(), hold_after=1))
    error = ask(OpenAI, first_timeout=60, idle_timeout=1).error
    assert isinstance(error, TimeoutExceededError)
    assert "sent nothing for 1 s" in str(error)


def test_the_person_sees_how_long_it_is_until_it_is_tried_again(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-made-up")
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    server.queue(Answer(status=429, headers={"retry-after-ms": "1400"}), Answer(text=["Yes."]))
    outcome = ask(ChatAnywhereAPI, max_retries=1)
    assert outcome.text == "Yes."
    assert [notice.text for notice in outcome.of(Notice)] == [
        "Too many requests; retrying in 2 s …",
        "Too many requests; retrying in 1 s …",
    ]


def test_the_other_host_is_tried_if_the_person_gave_the_key_for_it(
    server: LocalServer, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-made-up")
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", f"{closed_url}/v1")
    monkeypatch.setenv("CHATANYWHERE_FALLBACK_URL", server.api_url)
    server.queue(Answer(text=["Yes."]))
    assert ask(ChatAnywhereAPI, max_retries=1).text == "Yes."


def test_a_key_goes_to_no_other_host_unasked(
    server: LocalServer, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-made-up")
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", f"{closed_url}/v1")
    assert isinstance(ask(ChatAnywhereAPI, max_retries=1).error, ConnectionFailedError)
    assert not server.requests


def test_the_other_host_must_be_safe_too(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-made-up")
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_FALLBACK_URL", "http://api.invalid/v1")
    assert isinstance(ask(ChatAnywhereAPI).error, ConfigurationError)
    assert not server.requests


def test_a_refusal_is_not_taken_to_the_other_host(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-made-up")
    monkeypatch.setenv("CHATANYWHERE_BASE_URL", server.api_url)
    server.queue(Answer(status=500, headers={"retry-after-ms": "1"}), Answer(text=["Yes."]))
    with LocalServer() as other:
        monkeypatch.setenv("CHATANYWHERE_FALLBACK_URL", other.api_url)
        assert ask(ChatAnywhereAPI, max_retries=1).text == "Yes."
        assert not other.requests
