"""Proxies: which one is taken, and what goes through it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import trustme

from chatanywhere_magic import ChatAnywhere, ChatSession, OpenAI
from chatanywhere_magic.core.errors import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    DNSError,
    PermissionDeniedError,
    ProxyError,
    ServerError,
    TimeoutExceededError,
    TLSError,
)
from chatanywhere_magic.providers.wire.addresses import proxy_for, without_password
from chatanywhere_magic.testing.server import Answer, LocalServer
from tests.support.proxy import Proxy
from tests.support.tls import server_side
from tests.unit.helpers import ask, assert_for_people, faces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-0123456789-not-for-a-proxy"


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


def test_a_network_in_no_proxy_holds_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, fd00::/8, nonsense/99")
    assert proxy_for("http://10.1.2.3/v1") is None
    assert proxy_for("http://[fd00::7]:8000/v1") is None
    assert proxy_for("http://192.168.0.1/v1") == "http://proxy:3128"
    assert proxy_for("http://10.example.org/v1") == "http://proxy:3128"


def test_the_proxy_for_everything_counts_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
    assert proxy_for("https://api.openai.com/v1") == "http://proxy:3128"
    monkeypatch.setenv("HTTPS_PROXY", "http://other:3128")
    assert proxy_for("https://api.openai.com/v1") == "http://other:3128"
    monkeypatch.delenv("HTTPS_PROXY")


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "SOCKS_PROXY"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_a_socks_proxy_alone_is_refused_and_not_gone_around(
    variable: str, scheme: str, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"{scheme}://person:password@proxy.invalid:1080")
    error = assert_for_people(ask(Elsewhere).error, ConfigurationError, "SOCKS is not supported")
    assert "password" not in str(error)
    # Beside one that can be used it stands there for other programs, and this machine needs none.
    monkeypatch.setenv("http_proxy", server.url)
    assert ask(Elsewhere).finish_reason == "stop"
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    assert ask(OpenAI).finish_reason == "stop"


# --- what can go wrong on the way -------------------------------------------------------------------------------


def test_a_proxy_that_is_not_there(closed_url: str) -> None:
    host = closed_url.removeprefix("http://")
    assert_for_people(ask(Elsewhere, proxy=closed_url).error, ProxyError, "proxy", host, "chat.invalid")


def test_a_proxy_whose_name_is_not_known() -> None:
    assert_for_people(ask(Elsewhere, proxy="http://no-such-proxy.invalid:1").error, ProxyError, "no-such-proxy.invalid")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(407, ProxyError, "password"), (502, ServerError, ""), (403, PermissionDeniedError, "")],
)
def test_a_proxy_that_refuses_a_request_that_is_not_encrypted(
    server: LocalServer, status: int, kind: type[ChatError], words: str
) -> None:
    # What such a proxy answers cannot be told from what the server would.
    server.queue(Answer(status=status, raw=[b""]))
    assert_for_people(ask(Elsewhere, proxy=server.url).error, kind, words)


@pytest.mark.parametrize("proxy", ["socks5://me:hunter22@proxy:1080", "http://", "http://proxy:port", "http://a b:1"])
def test_a_proxy_that_is_none(proxy: str) -> None:
    error = assert_for_people(ask(Elsewhere, proxy=proxy).error, ConfigurationError, "proxy", "http://host:port")
    assert "hunter22" not in str(error)


# --- encrypted, through a tunnel --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def behind(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server that speaks TLS under a name that a proxy alone knows."""
    with LocalServer(tls=server_side(authority.issue_cert("models.invalid"))) as server:
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("OPENAI_BASE_URL", f"https://models.invalid:{port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        server.queue(Answer(text=["by tunnel"]))
        yield server


@pytest.mark.parametrize("how", ["argument", "HTTPS_PROXY", "https_proxy"])
def test_an_encrypted_question_goes_through_a_tunnel(
    behind: LocalServer, bundle: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        if how != "argument":
            monkeypatch.setenv(how, proxy.url)
        outcome = ask(OpenAI, proxy=proxy.url if how == "argument" else None, ca_bundle=bundle)
        assert outcome.text == "by tunnel"
        assert behind.requests[0].headers["Authorization"] == f"Bearer {KEY}"
        (asked,) = proxy.asked
        assert asked.line.startswith("CONNECT models.invalid:")
        assert KEY not in str(asked)
        assert "authorization" not in asked.headers


def test_no_proxy_leads_around_it(behind: LocalServer, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "models.invalid")
        assert isinstance(ask(OpenAI, ca_bundle=bundle).error, DNSError)
        assert not proxy.asked
    assert not behind.requests


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio speaks no TLS within TLS before")
@pytest.mark.usefixtures("behind")
def test_the_way_to_the_proxy_may_be_encrypted_too(authority: trustme.CA, bundle: str) -> None:
    with Proxy(tls=server_side(authority.issue_cert("127.0.0.1"))) as proxy:
        assert ask(OpenAI, proxy=proxy.url, ca_bundle=bundle).text == "by tunnel"
        assert len(proxy.asked) == 1


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("password", ["hunter22", "p@ss:wörd/%"])
def test_a_proxy_that_knows_the_person(bundle: str, password: str) -> None:
    with Proxy(credentials=f"me:{password}") as proxy:
        right = proxy.url.replace("//", f"//me:{quote(password, safe='')}@")
        error = assert_for_people(ask(OpenAI, proxy=proxy.url, ca_bundle=bundle).error, ProxyError, "password", "407")
        assert error.status == 407
        wrong = right.replace(quote(password, safe=""), "wrong-one")
        error = assert_for_people(ask(OpenAI, proxy=wrong, ca_bundle=bundle).error, ProxyError, "407")
        assert "wrong-one" not in faces(error)
        if password.isascii():
            assert ask(OpenAI, proxy=right, ca_bundle=bundle).text == "by tunnel"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("403 Forbidden", ProxyError),
        ("502 Bad Gateway", ConnectionFailedError),
        ("503 Service Unavailable", ConnectionFailedError),
        ("504 Gateway Timeout", ConnectionFailedError),
    ],
)
def test_a_proxy_that_forbids_is_told_from_a_server_that_is_not_there(
    behind: LocalServer, bundle: str, status: str, kind: type[ChatError]
) -> None:
    with Proxy(status=status) as proxy:
        host = proxy.url.removeprefix("http://")
        error = ask(OpenAI, proxy=proxy.url, ca_bundle=bundle).error
        assert_for_people(error, kind, host, "models.invalid", status[:3])
    assert not behind.requests


def test_a_dead_server_behind_a_proxy(bundle: str, closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://models.invalid:{closed_url.rpartition(':')[2]}/v1")
    with Proxy() as proxy:  # it closes the tunnel without a word
        error = ask(OpenAI, proxy=proxy.url, ca_bundle=bundle).error
    assert isinstance(error, ConnectionFailedError)


@pytest.mark.usefixtures("behind")
def test_a_proxy_that_is_silent_ends_with_the_time_for_connecting(bundle: str) -> None:
    with Proxy(silent=True) as proxy:
        for limit in ("connect_timeout", "first_timeout", "idle_timeout", "timeout"):
            error = ask(OpenAI, proxy=proxy.url, ca_bundle=bundle, **{limit: 0.3}).error
            assert_for_people(error, TimeoutExceededError, "0.3 s")


def test_a_certificate_is_looked_at_through_a_tunnel_too(behind: LocalServer) -> None:
    with Proxy() as proxy:
        assert isinstance(ask(OpenAI, proxy=proxy.url).error, TLSError)
    assert not behind.requests


def test_a_key_for_this_machine_does_not_go_through_a_proxy_elsewhere(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    error = ask(OpenAI, proxy="http://me:hunter22@proxy.invalid:3128").error
    assert "hunter22" not in str(assert_for_people(error, ConfigurationError, "proxy.invalid:3128"))
    with LocalServer() as proxy:  # one of this machine's own is no other place
        assert ask(OpenAI, proxy=proxy.url).finish_reason == "stop"
        assert proxy.requests[0].target.startswith(server.url)


@pytest.mark.parametrize("password", ["plain", "with/slash", "12/34", "a@b/c", "sp ace"])
def test_its_password_is_shown_nowhere(password: str) -> None:
    proxy = f"http://user:{password}@proxy.example:3128"
    assert without_password(proxy) == "http://***@proxy.example:3128"
    session = ChatSession()
    for value in (proxy, proxy.removeprefix("http://")):
        session.settings.proxy = value
        shown = [repr(session.settings.proxy), type(session.settings).class_get_help(session.settings)]
        assert all(password not in each and "***@proxy.example:3128" in each for each in shown)
        assert session.settings.network["proxy"] == value
    session.settings.proxy = ""
    assert repr(session.settings.proxy) == "''"
