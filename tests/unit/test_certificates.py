"""Whom the client trusts, and what it says of those whom it does not."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import trustme

from chatanywhere_magic import OpenAI
from chatanywhere_magic.core.errors import ConfigurationError, TLSError
from chatanywhere_magic.testing.server import Answer, LocalServer
from tests.support.tls import server_side
from tests.unit.helpers import ask, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(certificate: trustme.LeafCert) -> Iterator[str]:
    """Serve over TLS with this certificate, and tell the address."""
    with LocalServer(tls=server_side(certificate)) as server:
        yield server.api_url


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_an_issuer_that_is_not_known(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(authority.issue_cert("127.0.0.1")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        error = ask(OpenAI).error
    assert isinstance(error, TLSError)
    assert "authority that is not trusted" in str(error)
    for way in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ChatSession.ca_bundle"):
        assert way in str(error)


def test_an_issuer_that_the_person_trusts(authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(authority.issue_cert("127.0.0.1")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert ask(OpenAI, ca_bundle=bundle).finish_reason == "stop"


def test_another_hosts_certificate(authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(authority.issue_cert("other.example")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        error = ask(OpenAI, ca_bundle=bundle).error
    assert isinstance(error, TLSError)
    assert "for another host" in str(error)


def test_a_certificate_that_has_expired(authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    with serving(authority.issue_cert("127.0.0.1", not_after=yesterday)) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        error = ask(OpenAI, ca_bundle=bundle).error
    assert isinstance(error, TLSError)
    assert "expired" in str(error)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_that_holds_no_certificates(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://127.0.0.1:9/v1")
    error = ask(OpenAI, ca_bundle=str(path)).error
    assert isinstance(error, ConfigurationError)
    assert "ca_bundle" in str(error)


def test_the_environment_may_name_the_certificates_at_any_time(
    authority: trustme.CA, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(authority.issue_cert("127.0.0.1")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert isinstance(ask(OpenAI).error, TLSError)
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
        assert ask(OpenAI).finish_reason == "stop"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "not-there.pem"))
        error = ask(OpenAI).error
    assert isinstance(error, ConfigurationError)
    assert "SSL_CERT_FILE" in str(error)


def test_what_other_programs_are_told_to_trust_is_trusted_too(
    authority: trustme.CA, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(authority.issue_cert("127.0.0.1")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        assert ask(OpenAI).finish_reason == "stop"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "not-there.pem"))
        error = ask(OpenAI).error
        assert isinstance(error, ConfigurationError)
        assert "REQUESTS_CA_BUNDLE" in str(error)
        assert ask(OpenAI, ca_bundle=bundle).finish_reason == "stop"


def test_a_certificate_that_is_not_valid_yet(
    authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    certificate = authority.issue_cert("127.0.0.1", not_before=tomorrow, not_after=tomorrow + timedelta(days=1))
    with serving(certificate) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        error = ask(OpenAI, ca_bundle=bundle).error
    assert isinstance(error, TLSError)
    assert "not valid yet" in str(error)


def test_a_certificate_that_its_owner_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = trustme.CA(), trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    own.cert_pem.write_to_path(str(tmp_path / "own.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with LocalServer(tls=context) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        error = ask(OpenAI, ca_bundle=str(tmp_path / "other.pem")).error
    assert isinstance(error, TLSError)
    assert "self-signed" in str(error)


def test_a_server_that_speaks_no_tls(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url.replace("http:", "https:"))
    error = ask(OpenAI).error
    assert isinstance(error, TLSError)
    assert "does not speak TLS" in str(error)


def test_what_is_not_trusted_is_not_asked_again_and_gets_no_key(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalServer(tls=server_side(authority.issue_cert("127.0.0.1"))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
        outcome = ask(OpenAI, max_retries=2)
        assert isinstance(outcome.error, TLSError)
        assert outcome.deltas == []
        assert not server.requests


def test_stopping_closes_an_encrypted_connection_too(
    authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalServer(tls=server_side(authority.issue_cert("127.0.0.1"))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        server.queue(Answer(text=["Yes."], hold=threading.Event()))

        async def leave() -> None:
            chunks = OpenAI.create_async_generator("", user("Hi"), ca_bundle=bundle)
            async with aclosing(chunks):
                assert await anext(chunks) == "Yes."

        asyncio.run(leave())
        assert server.requests[0].closed_by_client.wait(5)
