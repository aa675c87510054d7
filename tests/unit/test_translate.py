"""Whatever aiohttp, its parsers or the operating system can raise becomes one of our errors, of the right kind."""

from __future__ import annotations

import asyncio
import inspect
import pkgutil
import socket
import ssl
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import http_exceptions
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.keys.secret import Secret
from chatanywhere_magic.providers.wire.connections import Exchange
from chatanywhere_magic.providers.wire.http import _translated_errors
from chatanywhere_magic.providers.wire.translate import FOREIGN_ERRORS, Way, translate
from tests.unit.helpers import assert_for_people, faces

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-0123456789-do-not-show-me"
SECRET = Secret(KEY, "OPENAI_API_KEY")
DIRECT = Way("https://models.example.org/v1/chat/completions", None, 15.0)
BY_PROXY = Way("https://models.example.org/v1/chat/completions", "http://me:hunter22@proxy.example.org:3128", 15.0)

# Raised by servers, by uploads, by parts of the client that a POST of bytes does not use, or to its own programmers.
_OF_OTHER_PARTS = {
    "BadContentDispositionHeader",
    "BadContentDispositionParam",
    "EncodingError",
    "InvalidHeader",
    "LookupError",
    "NotAppKeyWarning",
    "WSHandshakeError",
    "WSMessageTypeError",
    "WebSocketError",
}


def family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def of_aiohttp() -> list[type[Exception]]:
    """Every exception class that a module of aiohttp defines, but for those of its server."""
    found = set()
    for module in pkgutil.iter_modules(aiohttp.__path__):
        if module.name.startswith(("web", "worker", "pytest", "test")):
            continue
        for value in vars(import_module(f"aiohttp.{module.name}")).values():
            if inspect.isclass(value) and issubclass(value, Exception) and value.__module__.startswith("aiohttp."):
                found.add(value)
    kinds = [
        kind for kind in found if not kind.__module__.startswith("aiohttp.web") and kind.__name__ not in _OF_OTHER_PARTS
    ]
    return sorted(kinds, key=lambda kind: kind.__name__)


def of_the_system() -> list[type[Exception]]:
    kinds = [kind for kind in family(OSError) if kind.__module__ in {"builtins", "socket", "ssl", "_ssl"}]
    others = [asyncio.TimeoutError, EOFError, UnicodeError, UnicodeEncodeError, RuntimeError, ValueError, zlib.error]
    return sorted({*kinds, *others}, key=lambda kind: kind.__name__)  # type: ignore[arg-type]


HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}"}))
REQUEST = aiohttp.RequestInfo(URL(DIRECT.url), "POST", HEADERS, URL(DIRECT.url))
CONNECTION = ConnectionKey("models.example.org", 443, True, True, None, None, None)


def made(kind: type[Exception]) -> Exception:  # noqa: PLR0911 - a list of cases
    """Return an instance as the library makes it, with the key wherever there is room for it."""
    system = OSError(111, f"Connection refused for {KEY}")
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(CONNECTION, ssl.SSLCertVerificationError(1, f"certificate of {KEY}"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        first: tuple[Any, ...] = ("/socket",) if "Unix" in kind.__name__ else ()
        return kind(*first, CONNECTION, system)  # type: ignore[call-arg]
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"a", b"b", "models.example.org", 443)
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(REQUEST, (), status=502, message=f"bad {KEY}", headers=HEADERS)
    if issubclass(kind, UnicodeEncodeError):
        return kind("idna", KEY, 0, 1, "label too long")
    if issubclass(kind, ssl.SSLError):
        return kind(1, f"[SSL] {KEY}")
    if issubclass(kind, OSError) and not issubclass(kind, aiohttp.ClientError):
        return kind(111, f"refused {KEY}")
    if issubclass(kind, http_exceptions.HttpProcessingError | aiohttp.InvalidURL):
        arguments = [KEY for name in inspect.signature(kind).parameters if name not in {"headers", "description"}]
        with_headers = (
            issubclass(kind, http_exceptions.HttpProcessingError) and kind is http_exceptions.HttpProcessingError
        )
        if with_headers:
            return kind(code=400, message=KEY, headers=HEADERS)  # type: ignore[call-arg]
        return kind(*arguments[:2])
    return kind(f"about {KEY}")


async def raised(caught: Exception, way: Way) -> ChatError:
    """Return what comes out where `caught` goes in."""
    try:
        async with _translated_errors(way, SECRET, Exchange(request_id="req-7")):
            raise caught
    except ChatError as error:
        return error


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        pytest.param(kind, way, id=f"{kind.__name__}-{'by-proxy' if way.proxy else 'direct'}")
        for kind in (*of_aiohttp(), *of_the_system())
        for way in (DIRECT, BY_PROXY)
        if way.proxy or "Proxy" not in kind.__name__
    ],
)
def test_none_escapes(kind: type[Exception], way: Way) -> None:
    error = asyncio.run(raised(made(kind), way))
    assert_for_people(error, type(error))
    assert error.request_id == "req-7"
    assert KEY not in faces(error)
    assert "hunter22" not in faces(error)
    assert type(error).kind != "error"


def test_there_is_something_to_walk_through() -> None:
    names = {kind.__name__ for kind in of_aiohttp()}
    assert {"ClientPayloadError", "ServerDisconnectedError", "BadStatusLine", "TransferEncodingError"} <= names
    assert len(names) > 35


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (aiohttp.ClientConnectorError, "connection"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        (aiohttp.ClientConnectorSSLError, "tls"),
        (aiohttp.ClientConnectorCertificateError, "tls"),
        (aiohttp.ServerFingerprintMismatch, "tls"),
        (aiohttp.ClientProxyConnectionError, "proxy"),
        (aiohttp.ServerDisconnectedError, "connection"),
        (aiohttp.ClientOSError, "connection"),
        (aiohttp.ClientConnectionResetError, "connection"),
        (aiohttp.ServerTimeoutError, "timeout"),
        (aiohttp.SocketTimeoutError, "timeout"),
        (aiohttp.ConnectionTimeoutError, "timeout"),
        (asyncio.TimeoutError, "timeout"),
        (aiohttp.ClientPayloadError, "incomplete"),
        (aiohttp.ClientResponseError, "protocol"),
        (aiohttp.ContentTypeError, "protocol"),
        (aiohttp.TooManyRedirects, "protocol"),
        (http_exceptions.BadStatusLine, "protocol"),
        (http_exceptions.LineTooLong, "protocol"),
        (http_exceptions.TransferEncodingError, "protocol"),
        (aiohttp.InvalidURL, "configuration"),
        (aiohttp.NonHttpUrlClientError, "configuration"),
        (ConnectionRefusedError, "connection"),
        (ConnectionResetError, "connection"),
        (BrokenPipeError, "connection"),
        (PermissionError, "connection"),
        (FileNotFoundError, "connection"),
        (OSError, "connection"),
        (socket.gaierror, "dns"),
        (UnicodeError, "dns"),
        (ssl.SSLError, "tls"),
        (ssl.SSLCertVerificationError, "tls"),
        (RuntimeError, "connection"),
        (EOFError, "connection"),
        (ValueError, "protocol"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_each_is_of_the_right_kind(kind: type[Exception], ours: str) -> None:
    assert translate(made(kind), DIRECT, SECRET).kind == ours


@pytest.mark.parametrize(("status", "ours"), [(407, "proxy"), (403, "proxy"), (502, "connection"), (504, "connection")])
def test_what_a_proxy_answers(status: int, ours: str) -> None:
    caught = aiohttp.ClientHttpProxyError(REQUEST, (), status=status, message="no", headers=HEADERS)
    error = translate(caught, BY_PROXY, SECRET)
    assert (error.kind, error.status) == (ours, status)


@pytest.mark.parametrize("way", [DIRECT, BY_PROXY], ids=["direct", "by-proxy"])
def test_a_name_that_is_looked_up_on_the_way_to_a_proxy_is_the_proxys(way: Way) -> None:
    caught = aiohttp.ClientConnectorDNSError(CONNECTION, OSError(-2, "Name or service not known"))
    assert translate(caught, way, None).kind == ("dns" if way.proxy is None else "proxy")


def test_nothing_of_the_cause_is_chained() -> None:
    error = asyncio.run(raised(made(aiohttp.ClientResponseError), DIRECT))
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_our_own_mistakes_are_not_taken_for_the_networks() -> None:
    assert not issubclass(TypeError, FOREIGN_ERRORS)
    assert not issubclass(AssertionError, FOREIGN_ERRORS)
    assert not issubclass(asyncio.CancelledError, FOREIGN_ERRORS)
