"""One streaming POST over aiohttp: time limits, proxies, and every foreign error translated in one place."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
import zlib
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp

from ..errors import (
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
    DNSError,
    IncompleteError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProxyError,
    QuotaError,
    RateLimitError,
    RedirectError,
    ServerError,
    StreamError,
    TimeoutExceededError,
    TLSError,
    TooLargeError,
)
from ..strings import text
from ._retry import retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ..credentials import Secret

CONNECT_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 120.0
"""Longest silence while waiting for the next bytes."""
KEEP_SECONDS: Final = 60.0
"""An unused connection is kept this long."""
WATCH_SECONDS: Final = 0.5
"""Between two looks at whether a silent connection is still there."""
MAX_ERROR_BYTES: Final = 65_536
MAX_SERVER_WORDS: Final = 2_000
MAX_CODE_WORDS: Final = 40
# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_CERTIFICATE_PROBLEMS: Final = {
    10: "tls.expired",
    18: "tls.self_signed",
    19: "tls.self_signed",
    20: "tls.unknown_issuer",
    21: "tls.unknown_issuer",
    62: "tls.wrong_host",
    64: "tls.wrong_host",
}
_DAILY: Final = re.compile(r"per day|daily|\brpd\b|\bday\b|24 ?h|当日|每日|每天|今日|天的?限", re.IGNORECASE)
_BALANCE: Final = re.compile(r"balance|余额|quota|billing|insufficient[ _](?:funds|credit)", re.IGNORECASE)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_url(url: str, source: str) -> str:
    """Return `url` without a trailing slash, or raise ``ConfigurationError`` if it is no http(s) URL."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        fine = fine and url.isprintable() and " " not in url
    except ValueError:  # a port or an IPv6 address that is none
        fine = False
    if not fine:
        raise ConfigurationError(text("error.url", source=source, url=without_password(url)))
    return url.rstrip("/")


def without_password(url: str) -> str:
    """Return `url` with what stands before its host as ``***``, fit to be shown."""
    return re.sub(r"//[^/]*@", "//***@", url)


def host_of(url: str) -> str:
    """Return host and port of `url`, without the user and password that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_loopback(url: str) -> bool:
    """Whether what is sent to `url` stays on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for `url`, honouring ``NO_PROXY``; None for this machine itself.

    aiohttp's own ``trust_env`` also reads ``.netrc``, which clashes with the key's header.
    """
    parts = urlsplit(url)
    # No proxy has a way to this machine, and none should see a key that goes there unencrypted.
    if not parts.hostname or is_loopback(url):
        return None
    if proxy_bypass(parts.hostname) or proxy_bypass(f"{parts.hostname}:{parts.port}"):
        return None
    return getproxies().get(parts.scheme)


class Deadline:
    """A time limit over several tries, in seconds from now; None for none."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds that are left, or None without a limit; never 0, which means no limit to aiohttp."""
        return None if self._end is None else max(self._end - time.monotonic(), 1e-3)

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() >= self._end


@dataclass(frozen=True)
class Limits:
    """How long may be waited, and whose certificates are trusted.

    Parameters
    ----------
    total : Deadline
        The moment by which everything must be over, from connecting to the last byte.
    first : float, optional
        Seconds until the answer's first bytes; by default as `idle`.
    idle : float, default 120
        Seconds of silence allowed at a time.
    ca_bundle : str, optional
        A file of certificates to trust instead of the system's (which ``SSL_CERT_FILE`` may name too).
    """

    total: Deadline = field(default_factory=lambda: Deadline(None))
    first: float | None = None
    idle: float = IDLE_SECONDS
    ca_bundle: str = ""

    @property
    def until_first(self) -> float:
        """Seconds until the first bytes."""
        return self.idle if self.first is None else self.first


class Stream:
    """An open answer: its type, and its body in chunks with a watchdog over the reads."""

    def __init__(self, response: aiohttp.ClientResponse, limits: Limits) -> None:
        self._response = response
        self._idle = limits.until_first
        self._idle_later = limits.idle
        self.content_type = response.content_type

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body's bytes as they arrive, decompressed, never empty."""
        inflate = Inflater(self._response.headers.get("Content-Encoding", ""))
        async with aclosing(self._raw_chunks()) as raw_chunks:
            async for raw in raw_chunks:
                if chunk := inflate.feed(raw):
                    yield chunk
        inflate.finish()

    async def _raw_chunks(self) -> AsyncGenerator[bytes, None]:
        content = self._response.content
        loop = asyncio.get_running_loop()
        heard = loop.time()
        silent = was_lost = False
        watchdog: asyncio.TimerHandle

        def watch() -> None:
            nonlocal watchdog, silent, was_lost
            quiet = loop.time() - heard
            silent = quiet >= self._idle
            connection = self._response.connection
            transport = connection.transport if connection is not None else None
            # Seen twice, for the end of a good body loses the connection too, a moment before it is read.
            is_lost = not content.is_eof() and (transport is None or transport.is_closing())
            if silent or (is_lost and was_lost):
                self._response.close()  # wakes the reader, whatever aiohttp's parser is stuck in
            else:
                was_lost = is_lost
                watchdog = loop.call_later(min(self._idle - quiet, WATCH_SECONDS), watch)

        # aiohttp's own sock_read does not fire when its parser is stuck on a bad chunk size. And not wait_for()
        # around each read, which until Python 3.12 swallows a cancellation that comes together with a chunk.
        watchdog = loop.call_later(min(self._idle, WATCH_SECONDS), watch)
        try:
            while chunk := await content.readany():
                heard = loop.time()
                self._idle = self._idle_later
                yield chunk
                await asyncio.sleep(0)  # or a server that is always ahead would leave the loop to nobody else
        except (aiohttp.ClientError, RuntimeError) as caught:
            # What came before the failure lies in the buffer still, and aiohttp would not give it out.
            if left := content._read_nowait(-1):  # noqa: SLF001
                yield left
            # aiohttp's own limit, for the headers, may be the first to notice.
            if silent or isinstance(caught, asyncio.TimeoutError):
                raise asyncio.TimeoutError(self._idle) from None
            if isinstance(caught, RuntimeError | aiohttp.ClientConnectionError):  # its word for bad framing, at times
                raise aiohttp.ClientPayloadError from None
            raise
        finally:
            watchdog.cancel()


class Inflater:
    """A body's ``Content-Encoding`` undone, piece by piece.

    aiohttp does so too, but takes a gzip body that ends too early for a whole one.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        self._inflate: Any = None
        if self._encoding in {"gzip", "x-gzip"}:
            self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif self._encoding == "br" and (module := brotli()):
            self._brotli = module.Decompressor()
        elif self._encoding == "zstd" and find_spec("zstandard"):
            self._inflate = import_module("zstandard").ZstdDecompressor().decompressobj()
        elif self._encoding not in {"", "identity", "deflate"}:
            raise aiohttp.ClientPayloadError

    def feed(self, raw: bytes) -> bytes:
        """Return what `raw` adds to the body.

        Raises
        ------
        aiohttp.ClientPayloadError
            If it is not what the header said.
        """
        if self._encoding == "deflate" and self._inflate is None:
            # Meant is zlib's format (RFC 9110, 8.4.1.2); some servers send the bare one.
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if raw[0] & 0xF == 8 else -zlib.MAX_WBITS)  # noqa: PLR2004
        try:
            if self._encoding == "br":
                return bytes(self._brotli.process(raw))
            return self._inflate.decompress(raw) if self._inflate is not None else raw
        except Exception:  # noqa: BLE001 - zlib.error, or brotli's own
            raise aiohttp.ClientPayloadError from None

    def finish(self) -> None:
        """Raise ``aiohttp.ClientPayloadError`` if the body ended too early."""
        if (self._inflate is not None and not self._inflate.eof) or (
            self._encoding == "br" and not self._brotli.is_finished()
        ):
            raise aiohttp.ClientPayloadError


def brotli() -> Any:
    """Return the module that reads Brotli, or None if there is none."""
    for name in ("brotli", "brotlicffi"):
        if find_spec(name):
            return import_module(name)
    return None


def accepted_encodings() -> str:
    """Return the value of ``Accept-Encoding``: only what can be read here."""
    return f"gzip, deflate{', br' if brotli() else ''}{', zstd' if find_spec('zstandard') else ''}"


@asynccontextmanager
async def post_stream(
    url: str,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    secret: Secret | None = None,
    proxy: str | None = None,
    limits: Limits | None = None,
    socket_path: str | None = None,
) -> AsyncGenerator[Stream, None]:
    """POST `body` as JSON and open the answer for reading; closing it closes the connection.

    Parameters
    ----------
    url, body, headers
        The request. `headers` hold no key.
    secret : Secret, optional
        Sent as ``Authorization: Bearer``, and redacted from whatever the server echoes.
    proxy : str, optional
        Proxy URL; by default the environment's.
    limits : Limits, optional
        Time limits and trusted certificates.
    socket_path : str, optional
        Talk over this Unix socket instead of the network.

    Raises
    ------
    ChatError
        Every failure, in its kind; nothing of aiohttp or the operating system escapes.
    """
    host = host_of(url)
    limits = limits or Limits()
    left, first = limits.total.left(), limits.until_first
    async with (
        _translated_errors(url, secret, limits),
        _client(socket_path) as client,
        client.post(
            url,
            data=_encode(body),
            headers=_with_key(
                {"Content-Type": "application/json", "Accept-Encoding": accepted_encodings(), **headers}, secret
            ),
            proxy=None if socket_path else _checked_proxy(proxy or proxy_for(url)),
            allow_redirects=False,  # a key must not follow one
            timeout=aiohttp.ClientTimeout(total=left, sock_connect=CONNECT_SECONDS, sock_read=max(first, limits.idle)),
            ssl=_trusted(limits.ca_bundle) if limits.ca_bundle else True,
        ) as response,
    ):
        if not 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's own numbers
            raise await _refusal(response, host, secret)
        yield Stream(response, limits)


@lru_cache(maxsize=8)
def _trusted(ca_bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError):
        raise ConfigurationError(text("error.ca_bundle", path=ca_bundle)) from None


@asynccontextmanager
async def _client(socket_path: str | None) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Open a client; on a loop that tells when it closes, such as the engine's, one for all requests.

    So connections are used again from one question to the next.
    """
    loop = asyncio.get_running_loop()
    closers = getattr(loop, "at_close", None)
    if closers is None or socket_path is not None:
        async with _new_client(aiohttp.UnixConnector(socket_path, force_close=True) if socket_path else None) as client:
            yield client
        return
    kept = _kept.get(loop)
    if kept is None or kept.closed:
        kept = _kept[loop] = _new_client(aiohttp.TCPConnector(keepalive_timeout=KEEP_SECONDS))
        closers.append(kept.close)
    yield kept


def _new_client(connector: aiohttp.BaseConnector | None) -> aiohttp.ClientSession:
    # Cookies of one question have no place in the next.
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)


_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


@asynccontextmanager
async def _translated_errors(url: str, secret: Secret | None, limits: Limits) -> AsyncGenerator[None, None]:
    """Turn whatever aiohttp or the operating system raises inside into one of our errors."""
    try:
        yield
    except ChatError:
        raise
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as caught:
        error = _translate(caught, url, secret, limits)
    else:
        return
    # Raised outside the handler, and with nothing chained: the frames and the repr of aiohttp's own hold the headers.
    raise error from None


def _translate(caught: Exception, url: str, secret: Secret | None, limits: Limits) -> ChatError:
    """Return our error for a foreign one; the most specific kinds stand first."""
    host = host_of(url)
    if isinstance(caught, asyncio.TimeoutError):
        return _timeout(caught, host, limits)
    reason = printable_words(caught, secret)
    if isinstance(caught, aiohttp.ClientConnectorCertificateError):
        reason = _certificate_problem(caught) or reason
    elif isinstance(caught, aiohttp.ClientConnectorError):
        reason = caught.os_error.strerror or type(caught.os_error).__name__
    kinds: tuple[tuple[type[Exception], type[ChatError], str], ...] = (
        (aiohttp.ClientProxyConnectionError, ProxyError, "error.proxy"),
        (aiohttp.ClientHttpProxyError, ProxyError, "error.proxy_refused"),
        (aiohttp.ClientConnectorDNSError, DNSError, "error.dns"),
        (aiohttp.ClientConnectorCertificateError, TLSError, "error.tls"),
        (aiohttp.ClientSSLError, TLSError, "error.tls"),
        (aiohttp.ClientConnectorError, ConnectionFailedError, "error.unreachable"),
        (aiohttp.ClientPayloadError, IncompleteError, "error.cut"),
        (aiohttp.ServerDisconnectedError, ConnectionFailedError, "error.disconnected"),
        (aiohttp.ClientOSError, ConnectionFailedError, "error.disconnected"),  # a reset before the first byte
        (ConnectionError, ConnectionFailedError, "error.disconnected"),
        (aiohttp.InvalidURL, ConfigurationError, "error.url"),
        (Exception, ProtocolError, "error.protocol"),
    )
    ours, key = next((ours, key) for foreign, ours, key in kinds if isinstance(caught, foreign))
    status = getattr(caught, "status", "")
    return ours(text(key, host=host, reason=reason, status=status, source="URL", url=without_password(url)))


def _certificate_problem(caught: aiohttp.ClientConnectorCertificateError) -> str:
    """Say in a word what is wrong with a certificate, where OpenSSL's code for it is a common one."""
    code = getattr(caught.certificate_error, "verify_code", None)
    return text(_CERTIFICATE_PROBLEMS[code]) if code in _CERTIFICATE_PROBLEMS else ""


def _checked_proxy(proxy: str | None) -> str | None:
    """Return `proxy` as a URL; it is often written without a scheme."""
    return check_url(proxy if "://" in proxy else f"http://{proxy}", "proxy") if proxy else None


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _with_key(headers: dict[str, str], secret: Secret | None) -> dict[str, str]:
    return {**headers, "Authorization": f"Bearer {secret.reveal()}"} if secret else headers


def printable_words(caught: object, secret: Secret | None) -> str:
    """Return foreign text as one printable, redacted, bounded line."""
    words = str(caught)
    if secret:
        words = secret.redact(words)
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:MAX_SERVER_WORDS]


def _timeout(caught: BaseException, host: str, limits: Limits) -> ChatError:
    if isinstance(caught, aiohttp.ConnectionTimeoutError):
        return TimeoutExceededError(text("error.connect_timeout", host=host, seconds=CONNECT_SECONDS))
    if limits.total.is_over():
        message = text("error.total_timeout", host=host, seconds=limits.total.seconds)
    else:
        # From the body's watchdog with its limit; from aiohttp while the headers were awaited.
        told = caught.args[0] if caught.args else None
        seconds = told if isinstance(told, int | float) else max(limits.until_first, limits.idle)
        message = text("error.idle_timeout", host=host, seconds=seconds)
    return TimeoutExceededError(message, retryable=False)


async def _refusal(response: aiohttp.ClientResponse, host: str, secret: Secret | None) -> ChatError:
    raw = bytearray()

    async def read() -> None:
        async with aclosing(Stream(response, Limits(idle=CONNECT_SECONDS)).chunks()) as chunks:
            async for chunk in chunks:
                raw.extend(chunk)
                if len(raw) >= MAX_ERROR_BYTES:
                    return

    with suppress(aiohttp.ClientError, asyncio.TimeoutError):
        await asyncio.wait_for(read(), CONNECT_SECONDS)
    body = raw.decode("utf-8", "replace")
    try:
        detail = json.loads(body)
    except ValueError:
        detail = body if "<" not in body[:100] else ""  # an HTML page helps nobody
    return api_error(
        detail,
        host=host,
        status=response.status,
        secret=secret,
        request_id=response.headers.get("x-request-id"),
        wait=retry_after(response.headers),
    )


def api_error(
    detail: Any,
    *,
    host: str,
    status: int | None = None,
    secret: Secret | None = None,
    request_id: str | None = None,
    wait: float | None = None,
) -> ChatError:
    """Turn a server's refusal, in a status or in the middle of a stream, into our error.

    Parameters
    ----------
    detail : object
        The parsed body: OpenAI's ``{"error": {"message", "type", "code"}}`` and its common variants.
    host : str
        Who said it.
    status : int, optional
        The HTTP status; without it, the failure came inside a stream, and may name one.
    """
    error = detail.get("error", detail) if isinstance(detail, dict) else detail
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    words = printable_words(fields.get("message") or fields.get("detail") or "", secret)
    marks = f"{fields.get('type')} {fields.get('code')}".lower()
    if status is None:
        # In a stream: 429, "429" and "403 FORBIDDEN" all occur.
        known = re.match(r"[345]\d\d\b", str(fields.get("code")))
        status = int(known[0]) if known else None
    kind, key = _classify(status, marks, words.lower())
    said = text("error.server_said", words=words) if words else ""
    shown = status or printable_words(fields.get("code") or fields.get("type") or "?", secret)[:MAX_CODE_WORDS]
    message = text(key, host=host, status=shown, said=said).strip()
    return kind(
        message,
        status=status,
        server_message=words,
        request_id=request_id,
        retry_after=wait,
        retryable=True if status in _RETRYABLE_STATUSES else None,
    )


def _classify(  # noqa: PLR0911 - a list of cases
    status: int | None, marks: str, words: str
) -> tuple[type[ChatError], str]:
    """Return our class and text for a refusal: by what it says where that is more exact than its status."""
    if "context_length" in marks or "exceed_context_size" in marks:
        return ContextLengthError, "error.context_length"
    if "chatanywhere_error" in marks and "4096" in words:
        return ContextLengthError, "error.chatanywhere_length"
    if re.search(r"insufficient_\w*(?:quota|balance|funds|credit)", marks) or (
        status in {402, 403, 429} and _BALANCE.search(words) and "minute" not in words
    ):
        return QuotaError, "error.quota"
    if status == 429 and _DAILY.search(words):  # noqa: PLR2004 - as in the table
        return QuotaError, "error.daily_quota"
    if "model_not_found" in marks:
        return NotFoundError, "error.not_found"
    if status is None:
        kinds = ((kind, key) for mark, kind, key in _BY_MARK if mark in marks)
        return next(kinds, (StreamError, "error.stream"))
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:  # noqa: PLR2004 - what is left below are redirects
        return RedirectError, "error.redirect"
    return (ServerError, "error.server") if status >= 500 else (BadRequestError, "error.bad_request")  # noqa: PLR2004


_RETRYABLE_STATUSES: Final = frozenset({408, 409})
_BY_STATUS: Final[dict[int, tuple[type[ChatError], str]]] = {
    401: (AuthenticationError, "error.authentication"),
    402: (QuotaError, "error.quota"),
    403: (PermissionDeniedError, "error.permission"),
    404: (NotFoundError, "error.not_found"),
    407: (ProxyError, "error.proxy_refused"),
    408: (TimeoutExceededError, "error.server"),
    413: (TooLargeError, "error.too_large"),
    429: (RateLimitError, "error.rate_limit"),
    503: (OverloadedError, "error.overloaded"),
    529: (OverloadedError, "error.overloaded"),
}
# In a stream the HTTP status is spent; these are the types that servers name instead.
_BY_MARK: Final[tuple[tuple[str, type[ChatError], str], ...]] = (
    ("rate_limit", RateLimitError, "error.rate_limit"),
    ("overloaded", OverloadedError, "error.overloaded"),
    ("authentication", AuthenticationError, "error.authentication"),
    ("invalid_api_key", AuthenticationError, "error.authentication"),
    ("permission", PermissionDeniedError, "error.permission"),
    ("content_filter", ContentFilterError, "error.content_filter"),
)
