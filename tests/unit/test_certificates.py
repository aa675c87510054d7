"""Whom the client trusts, and what it says of those whom it does not."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from chatanywhere_magic import OpenAI
from chatanywhere_magic.errors import ConfigurationError, TLSError
from tests.unit.helpers import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVENTS = b'data: {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\n'


@contextmanager
def serving(certificate: trustme.LeafCert) -> Iterator[str]:
    """Serve one and the same answer over TLS, and tell the address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    loop = asyncio.new_event_loop()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=EVENTS, content_type="text/event-stream")

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


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
    assert "issuer that is not known" in str(error)


def test_an_issuer_that_the_person_trusts(authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(authority.issue_cert("127.0.0.1")) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert ask(OpenAI, ca_bundle=bundle).text == "Yes."


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
