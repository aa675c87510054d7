"""Proxies: which one is taken, and what goes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatAnywhere, OpenAI
from chatanywhere_magic.errors import ConfigurationError, ProxyError
from chatanywhere_magic.providers._addresses import proxy_for
from chatanywhere_magic.testing.server import Answer
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from chatanywhere_magic.testing.server import LocalServer


class Elsewhere(ChatAnywhere):
    """A web endpoint that only a proxy could reach."""

    url = "http://chat.invalid"


def test_without_proxies_in_the_environment_there_is_none() -> None:
    assert proxy_for("https://api.openai.com/v1") is None


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_the_proxy_of_the_addresss_scheme(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://proxy:3128")
    assert proxy_for("https://api.openai.com/v1") == "http://proxy:3128"
    assert proxy_for("http://models.example.org/v1") is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("openai.com", "https://api.openai.com/v1", True),
        (".openai.com", "https://api.openai.com/v1", True),
        ("api.openai.com:443", "https://api.openai.com:443/v1", True),
        ("api.openai.com:8443", "https://api.openai.com:443/v1", False),
        ("*", "https://api.openai.com/v1", True),
        ("example.org, openai.com", "https://api.openai.com/v1", True),
        ("notopenai.com", "https://api.openai.com/v1", False),
        ("openai.com", "https://notopenai.com/v1", False),
        ("", "https://api.openai.com/v1", False),
    ],
)
def test_no_proxy_is_honoured(no_proxy: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(url) is None) == direct


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_this_machine_is_never_reached_through_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert proxy_for(f"http://{host}/v1") is None


def test_a_question_goes_through_the_proxy_that_is_named(server: LocalServer) -> None:
    server.queue(Answer(text=["by proxy"]))
    assert ask(Elsewhere, proxy=server.url).text == "by proxy"
    assert server.requests[0].target == "http://chat.invalid/v1/chat/gpt/"


@pytest.mark.parametrize("prefix", ["http://", ""])
def test_a_question_goes_through_the_proxy_of_the_environment(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.replace("http://", prefix))
    assert ask(Elsewhere).finish_reason == "stop"
    assert server.requests[0].headers["Host"] == "chat.invalid"


def test_a_proxy_that_is_not_there(closed_url: str) -> None:
    assert_for_people(ask(Elsewhere, proxy=closed_url).error, ProxyError, "proxy", "chat.invalid")


def test_a_proxy_that_refuses(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-not-for-a-proxy"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.invalid/v1")
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.queue(Answer(status=407, raw=[b""]))
    error = ask(OpenAI, proxy=server.url.replace("//", "//me:hunter22@")).error
    assert_for_people(error, ProxyError, "proxy", "407")
    assert "hunter22" not in str(error)
    assert server.requests[0].method == "CONNECT"
    assert key not in str(server.requests[0].headers)


@pytest.mark.parametrize("proxy", ["socks5://me:hunter22@proxy:1080", "http://", "http://proxy:port"])
def test_a_proxy_that_is_none(proxy: str) -> None:
    error = assert_for_people(ask(Elsewhere, proxy=proxy).error, ConfigurationError, "proxy")
    assert "hunter22" not in str(error)
