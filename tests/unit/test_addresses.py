"""Addresses: which are none, what of them is shown, and to which a key may go."""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from chatanywhere_magic import ChatAnywhere, ChatAnywhereAPI, OpenAI
from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.providers.wire.addresses import (
    check_url,
    endpoint,
    host_of,
    is_loopback,
    may_carry_key,
    proxy_for,
)
from chatanywhere_magic.testing.server import Answer
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from pathlib import Path

    from chatanywhere_magic.testing.server import LocalServer

KEY = "sk-0123456789-for-one-address"


@pytest.mark.parametrize(
    "url",
    [
        *("", "host", "ftp://host", "file:///etc/passwd", "javascript:alert(1)", "//host/v1", "http://", "https:///v1"),
        *("http://host:port", "http://host:99999", "http://host:0", "http://[::1", "http://[zz]/", "http://ho st/"),
        *("http://host/v1\nX: y", "http://host\r\n/v1", "http://host/\tv1", "http://host\x00/", "http://host/\x7f"),
        *("http://good.example\\@evil.example/", "http://good.example#@evil.example/", "http://host/v1#part"),
        *("http://<host>/", 'http://"host"/', "http://{host}/", "http://host/\u2028v1"),
    ],
)
def test_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_url(url, "OPENAI_BASE_URL")
    assert_for_people(caught.value, ConfigurationError, "OPENAI_BASE_URL")
    if url and "\x00" not in url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("CHATANYWHERE_WEB_URL", url)
        assert isinstance(ask(OpenAI).error, ConfigurationError)
        assert isinstance(ask(ChatAnywhere).error, ConfigurationError)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_whatever_passes_is_read_alike_by_all(rest: str) -> None:
    # The host that is checked must be the host that is asked.
    try:
        url = check_url(f"http://127.0.0.1{rest}", "url")
    except ConfigurationError:
        return
    try:
        asked = URL(url).host
    except ValueError:  # aiohttp will refuse it too
        return
    if is_loopback(url):
        assert asked == "localhost" or ip_address(asked or "").is_loopback


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        ("https://host/v1", "https://host/v1/chat"),
        ("https://host/v1/", "https://host/v1/chat"),
        ("https://host", "https://host/chat"),
        ("https://host/openai?api-version=2026-01-01", "https://host/openai/chat?api-version=2026-01-01"),
        ("https://host:8443/a/b?x=1&y=2", "https://host:8443/a/b/chat?x=1&y=2"),
    ],
)
def test_what_is_asked_stands_below_the_base(base: str, whole: str) -> None:
    assert endpoint(base, "/chat") == whole


def test_the_query_of_the_base_goes_along(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.api_url}?api-version=2026-01-01")
    assert ask(OpenAI).finish_reason == "stop"
    assert server.requests[0].target == "/v1/chat/completions?api-version=2026-01-01"


# --- to which a key may go --------------------------------------------------------------------------------------


HERE = [
    *("http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:1", "http://localhost", "http://LOCALHOST:1"),
    *("http://localhost.:8000", "http://ollama.localhost:8000", "http://a.b.localhost.", "http://0.0.0.0:8000"),
    *("http://[::]:8000", "http://[::ffff:127.0.0.1]:1", "http://127.1:8000", "http://2130706433", "http://0x7f.1"),
    f"http://{socket.gethostname()}:8000",
]


@pytest.mark.parametrize("url", HERE)
def test_what_means_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert may_carry_key(url)
    assert proxy_for(url) is None


def test_an_address_of_this_machines_own_means_it_and_its_neighbour_does_not() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it tells which address would be used
        except OSError:
            pytest.skip("this machine has no network")
        own = ip_address(probe.getsockname()[0])
    assert may_carry_key(f"http://{own}:8000")
    assert not may_carry_key(f"http://{ip_address(int(own) ^ 1)}:8000")


def test_names_below_localhost_are_reached(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = server.url.rpartition(":")[2]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://models.localhost:{port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ask(OpenAI).finish_reason == "stop"
    assert server.requests[0].headers["Host"] == f"models.localhost:{port}"


def test_a_key_may_go_where_it_is_encrypted() -> None:
    assert may_carry_key("https://any.example/v1")


@pytest.mark.parametrize(
    "url",
    [
        *("http://any.example/v1", "http://10.255.0.5:8000", "http://127.0.0.1.example.org", "http://128.1:8000"),
        *("http://localhost.example.org", "http://[::ffff:10.255.0.5]", "http://2147483649", "http://notlocalhost"),
        *("http://localhost.com", "http://127.0.0.1.nip.io", "http://8.8.8.8", "http://[fe80::1]", "http://.org"),
    ],
)
def test_where_it_may_not(url: str) -> None:
    assert not may_carry_key(url)


@pytest.mark.parametrize("allowing", ["models.lan", "models.lan:8000", "other.lan, MODELS.LAN:8000"])
def test_where_the_person_allows_it(allowing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://models.lan:8000/v1"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        OpenAI.check()
    assert_for_people(caught.value, ConfigurationError, "CHATANYWHERE_PLAIN_HTTP=models.lan:8000")
    monkeypatch.setenv("CHATANYWHERE_PLAIN_HTTP", allowing)
    OpenAI.check()
    for other in ("http://models.lan.example.org:8000", "http://lan:8000", "http://xmodels.lan:8000"):
        assert not may_carry_key(other)
    if ":" in allowing:
        assert not may_carry_key("http://models.lan:9000/v1")


@pytest.mark.parametrize("provider", [OpenAI, ChatAnywhereAPI, ChatAnywhere])
def test_netrc_has_no_say(
    server: LocalServer, provider: type[OpenAI], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter22\ndefault login me password hunter22\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("OPENAI", "CHATANYWHERE"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
        monkeypatch.setenv(f"{name}_BASE_URL", server.api_url)
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url)
    assert ask(provider).finish_reason == "stop"
    sent = server.requests[0].header("Authorization")
    assert sent == ("" if provider is ChatAnywhere else f"Bearer {KEY}")


@pytest.mark.parametrize("provider", [OpenAI, ChatAnywhere])
def test_a_password_in_the_address_has_no_place_beside_the_key(
    server: LocalServer, provider: type[OpenAI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url.replace("//", "//me:hunter22@"))
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url.replace("//", "//me:hunter22@"))
    error = assert_for_people(ask(provider).error, ConfigurationError, host_of(server.url))
    assert "hunter22" not in str(error)
    assert not server.requests


def test_only_the_models_own_variables_are_looked_at(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("OPENAI_MODEL", "bad\x1b[31mname")
    assert isinstance(ask(OpenAI).error, ConfigurationError)
    assert not server.requests
    assert os.environ["OPENAI_MODEL"]


# --- as people paste them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/v1/chat/completions/", "https://host/v1"),
        ("https://host/v1/models", "https://host/v1"),
        ("https://host/v1/responses", "https://host/v1"),
        ("https://host/", "https://host"),
        ("http://0.0.0.0:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::]:8000/v1", "http://[::1]:8000/v1"),
        ("http://0.0.0.0", "http://127.0.0.1"),
        (
            "https://me.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2026-01-01",
            "https://me.openai.azure.com/openai/deployments/mine?api-version=2026-01-01",
        ),
    ],
)
def test_the_base_of_a_pasted_address(pasted: str, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", pasted)
    assert OpenAI.base_url() == base


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/chat/completions"])
def test_with_or_without_its_version_an_address_is_reached(
    end: str, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}{end}")
    assert ask(OpenAI).finish_reason == "stop"
    first = len(server.requests)
    assert first == (1 if "v1" in end else 2)
    assert ask(OpenAI).finish_reason == "stop"
    assert len(server.requests) == first + 1
    assert asyncio.run(OpenAI.list_models()) == sorted(server.models)
    assert len(server.requests) == first + 2


def test_a_version_that_is_too_much_is_left_out(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rule = lambda request: Answer(text=["Yes."]) if request.path == "/chat/completions" else None
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    server.queue(Answer(status=404, raw=[b'{"detail": "Not Found"}']))
    assert ask(OpenAI).finish_reason == "stop"
    assert [request.path for request in server.requests] == ["/v1/chat/completions", "/chat/completions"]


def test_where_neither_is_there_the_first_refusal_counts(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rule = lambda request: Answer(status=404, raw=[request.path.encode()])
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    assert "/v1/chat/completions" in str(ask(OpenAI).error)
    assert len(server.requests) == 2


def test_a_model_that_is_missing_is_no_wrong_address(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.rule = lambda _: Answer(status=404, raw=[b'{"error": {"message": "model x not found, try pulling it"}}'])
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    assert ask(OpenAI).error is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize("model", ["", "other"])
def test_azure_has_deployments_and_a_header_of_its_own(
    model: str, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.rule = lambda _: Answer(text=["Yes."])
    path = "/openai/deployments/mine/chat/completions?api-version=2026-01-01"
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}{path}")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ask(OpenAI, model=model).error is None
    (request,) = server.requests
    assert request.target == path.replace("mine", model or "mine")
    assert (request.header("api-key"), request.header("Authorization")) == (KEY, "")
    assert OpenAI.model_for("") == "mine"
