"""Translate errors of aiohttp and the operating system into ours; no other module does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from ...core import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    DNSError,
    IncompleteError,
    ProtocolError,
    ProxyError,
    TimeoutExceededError,
    TLSError,
    text,
)
from .addresses import host_of, without_password
from .refusals import printable_words

if TYPE_CHECKING:
    from ...keys import Secret

FOREIGN_ERRORS: Final = (
    aiohttp.ClientError,
    HttpProcessingError,  # of its parsers, which wrap it only in part
    asyncio.TimeoutError,  # another class than the builtin one until Python 3.11
    OSError,
    EOFError,
    aiohttp.EofStream,
    ValueError,  # an address that its parser does not take, a header, a character set
    RuntimeError,  # a session or a loop that is closed
    zlib.error,
)
"""Everything that may come out of a request."""
# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_CERTIFICATE_PROBLEMS: Final = {
    9: "tls.not_yet_valid",
    10: "tls.expired",
    18: "tls.self_signed",
    19: "tls.self_signed",
    20: "tls.unknown_issuer",
    21: "tls.unknown_issuer",
    62: "tls.wrong_host",
    64: "tls.wrong_host",
}
_UNKNOWN_ISSUERS: Final = frozenset({18, 19, 20, 21})
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})
_NO_WAY_STATUSES: Final = frozenset({500, 502, 503, 504})
"""What a proxy answers that could not reach the server."""


@dataclass(frozen=True)
class Way:
    """The route of a request, for error messages.

    Parameters
    ----------
    url : str
        The address that is asked.
    proxy : str, optional
        The proxy in use.
    connect_seconds : float
        How long connecting may take.
    """

    url: str
    proxy: str | None
    connect_seconds: float


def translate(caught: Exception, way: Way, secret: Secret | None) -> ChatError:
    """Return our error for a foreign one that ended a request before its response began, or while it came."""
    if isinstance(caught, ChatError):
        return caught
    ours, key = _kind(caught, way)
    if isinstance(caught, aiohttp.ClientConnectorCertificateError) and _problem(caught) in _UNKNOWN_ISSUERS:
        key = "error.tls_issuer"
    return ours(
        text(
            key,
            host=host_of(way.url),
            proxy=host_of(way.proxy or ""),
            reason=_reason(caught, secret),
            status=getattr(caught, "status", ""),
            seconds=way.connect_seconds,
            source="URL",
            url=without_password(way.url),
        ),
        status=getattr(caught, "status", None) if isinstance(caught, aiohttp.ClientHttpProxyError) else None,
    )


def _kind(caught: Exception, way: Way) -> tuple[type[ChatError], str]:
    if way.proxy:
        # The server's name is for the proxy to find; here only that of the proxy is looked up.
        if isinstance(caught, aiohttp.ClientConnectorDNSError):
            return ProxyError, "error.proxy"
        if isinstance(caught, aiohttp.ClientSSLError) and caught.host == urlsplit(way.proxy).hostname:
            return ProxyError, "error.proxy"
        if isinstance(caught, asyncio.TimeoutError):
            return TimeoutExceededError, "error.proxy_timeout"
    if isinstance(caught, aiohttp.ClientHttpProxyError):
        if caught.status == 407:  # noqa: PLR2004 - HTTP's own number
            return ProxyError, "error.proxy_password"
        if caught.status in _NO_WAY_STATUSES:
            return ConnectionFailedError, "error.proxy_no_way"
    return next((ours, key) for foreign, ours, key in _KINDS if isinstance(caught, foreign))


# The most specific kinds stand first.
_KINDS: Final[tuple[tuple[type[BaseException], type[ChatError], str], ...]] = (
    (aiohttp.ClientProxyConnectionError, ProxyError, "error.proxy"),
    (aiohttp.ClientHttpProxyError, ProxyError, "error.proxy_refused"),
    (aiohttp.ClientConnectorDNSError, DNSError, "error.dns"),
    (aiohttp.ClientConnectorCertificateError, TLSError, "error.tls"),
    (aiohttp.ClientSSLError, TLSError, "error.tls"),
    (aiohttp.ServerFingerprintMismatch, TLSError, "error.tls"),
    (aiohttp.ConnectionTimeoutError, TimeoutExceededError, "error.connect_timeout"),
    (aiohttp.ServerTimeoutError, TimeoutExceededError, "error.connect_timeout"),
    (aiohttp.ClientConnectorError, ConnectionFailedError, "error.unreachable"),
    (aiohttp.ServerDisconnectedError, ConnectionFailedError, "error.disconnected"),
    (aiohttp.ClientOSError, ConnectionFailedError, "error.disconnected"),  # a reset before the first byte
    (aiohttp.ClientConnectionError, ConnectionFailedError, "error.disconnected"),
    (aiohttp.ClientPayloadError, IncompleteError, "error.cut"),
    (aiohttp.InvalidURL, ConfigurationError, "error.url"),
    (aiohttp.NonHttpUrlClientError, ConfigurationError, "error.url"),
    (aiohttp.ClientError, ProtocolError, "error.protocol"),
    (HttpProcessingError, ProtocolError, "error.protocol"),
    (ssl.SSLError, TLSError, "error.tls"),
    (socket.gaierror, DNSError, "error.dns"),
    (UnicodeError, DNSError, "error.dns"),  # a name too long to be one
    (ConnectionError, ConnectionFailedError, "error.disconnected"),
    (asyncio.TimeoutError, TimeoutExceededError, "error.connect_timeout"),
    (OSError, ConnectionFailedError, "error.unreachable"),
    (EOFError, ConnectionFailedError, "error.disconnected"),
    (aiohttp.EofStream, ConnectionFailedError, "error.disconnected"),
    (RuntimeError, ConnectionFailedError, "error.disconnected"),
    (Exception, ProtocolError, "error.protocol"),
)


def _problem(caught: aiohttp.ClientConnectorCertificateError) -> Any:
    """Return OpenSSL's number of what is wrong with a certificate."""
    return getattr(caught.certificate_error, "verify_code", None)


def _reason(caught: Exception, secret: Secret | None) -> str:
    """Say in a few words what happened, without addresses: they may hold a password."""
    if isinstance(caught, aiohttp.ClientConnectorCertificateError):
        problem = _problem(caught)
        if problem in _CERTIFICATE_PROBLEMS:
            return text(_CERTIFICATE_PROBLEMS[problem])
        return printable_words(caught.certificate_error, secret)
    source = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    if isinstance(source, OSError):
        said = getattr(source, "reason", None)  # OpenSSL's word for it
        if said in _NO_TLS:
            return text("tls.not_spoken")
        return printable_words(said or source.strerror or type(source).__name__, secret)
    said = caught.message if isinstance(caught, aiohttp.ClientResponseError) else caught
    return printable_words(said, secret) or type(caught).__name__
