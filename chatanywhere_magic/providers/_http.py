"""One streaming POST over aiohttp: time limits, proxies, and every foreign error translated in one place."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ..errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    ContextLengthError,
    IncompleteError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    QuotaError,
    RateLimitError,
    ServerError,
    TimeoutExceededError,
)
from ..strings import text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ..credentials import Secret

CONNECT_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 120.0
"""Longest silence while waiting for the next bytes."""
MAX_ERROR_BYTES: Final = 65_536
MAX_SERVER_WORDS: Final = 2_000
MAX_CODE_WORDS: Final = 40
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_url(url: str, source: str) -> str:
    """Return `url` without a trailing slash, or raise ``ConfigurationError`` if it is no http(s) URL."""
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        fine = False
    if not fine:
        raise ConfigurationError(text("error.url", source=source, url=without_password(url)))
    return url.strip().rstrip("/")


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


class Stream:
    """An open answer: its status, headers, and body in chunks with a watchdog on each read."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self._idle = idle
        self.content_type = response.content_type

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body's bytes as they arrive, decompressed, never empty."""
        content = self._response.content
        loop = asyncio.get_running_loop()
        heard = loop.time()
        silent = False

        watchdog: asyncio.TimerHandle

        def watch() -> None:
            nonlocal watchdog, silent
            left = heard + self._idle - loop.time()
            silent = left <= 0
            if silent:
                self._response.close()  # wakes the reader, whatever aiohttp's parser is stuck in
            else:
                watchdog = loop.call_later(left, watch)

        # aiohttp's own sock_read does not fire when its parser is stuck on a bad chunk size. And not wait_for()
        # around each read, which until Python 3.12 swallows a cancellation that comes together with a chunk.
        watchdog = loop.call_later(self._idle, watch)
        try:
            while chunk := await content.readany():
                heard = loop.time()
                yield chunk
        except (aiohttp.ClientError, RuntimeError) as caught:
            # What came before the failure lies in the buffer still, and aiohttp would not give it out.
            if left := content._read_nowait(-1):  # noqa: SLF001
                yield left
            if silent:
                raise asyncio.TimeoutError from None
            if isinstance(caught, RuntimeError):  # aiohttp's word for bad framing, sometimes
                raise aiohttp.ClientPayloadError from None
            raise
        finally:
            watchdog.cancel()


@asynccontextmanager
async def post_stream(  # noqa: PLR0913 - one place where a request's parts meet
    url: str,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    secret: Secret | None = None,
    proxy: str | None = None,
    total: float | None = None,
    idle: float = IDLE_SECONDS,
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
    total : float, optional
        Seconds for everything, from connecting to the last byte.
    idle : float
        Seconds of silence allowed at a time.
    socket_path : str, optional
        Talk over this Unix socket instead of the network.

    Raises
    ------
    ChatError
        Every failure, in its kind; nothing of aiohttp or the operating system escapes.
    """
    host = host_of(url)
    connector = aiohttp.UnixConnector(socket_path, force_close=True) if socket_path else None
    timeout = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=idle)
    async with (
        _translated_errors(url, secret, total=total, idle=idle),
        # Cookies of one question have no place in the next.
        aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(
            url,
            data=_encode(body),
            headers=_with_key({"Content-Type": "application/json", **headers}, secret),
            proxy=None if socket_path else _checked_proxy(proxy or proxy_for(url)),
            allow_redirects=False,  # a key must not follow one
        ) as response,
    ):
        if response.status != 200:  # noqa: PLR2004 - the one status that carries an answer
            raise await _refusal(response, host, secret)
        yield Stream(response, idle)


@asynccontextmanager
async def _translated_errors(
    url: str, secret: Secret | None, *, total: float | None, idle: float
) -> AsyncGenerator[None, None]:
    """Turn whatever aiohttp or the operating system raises inside into one of our errors."""
    started = time.monotonic()
    try:
        yield
    except ChatError:
        raise
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as caught:
        ended = total is not None and time.monotonic() - started >= total
        error = _translate(caught, url, secret, total=total if ended else None, idle=idle)
    else:
        return
    # Raised outside the handler, and with nothing chained: the frames and the repr of aiohttp's own hold the headers.
    raise error from None


def _translate(caught: Exception, url: str, secret: Secret | None, *, total: float | None, idle: float) -> ChatError:
    """Return our error for a foreign one; the most specific kinds stand first."""
    host = host_of(url)
    if isinstance(caught, asyncio.TimeoutError):
        return _timeout(caught, host, total=total, idle=idle)
    reason = _words(caught, secret)
    if isinstance(caught, aiohttp.ClientConnectorError):
        reason = caught.os_error.strerror or type(caught.os_error).__name__
    kinds: tuple[tuple[type[Exception], type[ChatError], str], ...] = (
        (aiohttp.ClientProxyConnectionError, ConnectionFailedError, "error.proxy"),
        (aiohttp.ClientHttpProxyError, ConnectionFailedError, "error.proxy_refused"),
        (aiohttp.ClientConnectorDNSError, ConnectionFailedError, "error.dns"),
        (aiohttp.ClientConnectorCertificateError, ConnectionFailedError, "error.tls"),
        (aiohttp.ClientSSLError, ConnectionFailedError, "error.tls"),
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


def _checked_proxy(proxy: str | None) -> str | None:
    """Return `proxy` as a URL; it is often written without a scheme."""
    return check_url(proxy if "://" in proxy else f"http://{proxy}", "proxy") if proxy else None


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _with_key(headers: dict[str, str], secret: Secret | None) -> dict[str, str]:
    return {**headers, "Authorization": f"Bearer {secret.reveal()}"} if secret else headers


def _words(caught: object, secret: Secret | None) -> str:
    """Return foreign text as one printable, redacted, bounded line."""
    words = str(caught)
    if secret:
        words = secret.redact(words)
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:MAX_SERVER_WORDS]


def _timeout(caught: BaseException, host: str, *, total: float | None, idle: float) -> ChatError:
    if isinstance(caught, aiohttp.ConnectionTimeoutError):
        return TimeoutExceededError(text("error.connect_timeout", host=host, seconds=CONNECT_SECONDS))
    if total is not None:
        return TimeoutExceededError(text("error.total_timeout", host=host, seconds=total))
    return TimeoutExceededError(text("error.idle_timeout", host=host, seconds=idle))


async def _refusal(response: aiohttp.ClientResponse, host: str, secret: Secret | None) -> ChatError:
    raw = bytearray()

    async def read() -> None:
        while len(raw) < MAX_ERROR_BYTES and (chunk := await response.content.readany()):
            raw.extend(chunk)

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
    )


def api_error(
    detail: Any,
    *,
    host: str,
    status: int | None = None,
    secret: Secret | None = None,
    request_id: str | None = None,
) -> ChatError:
    """Turn a server's refusal, in a status or in the middle of a stream, into our error.

    Parameters
    ----------
    detail : object
        The parsed body: OpenAI's ``{"error": {"message", "type", "code"}}`` and its common variants.
    host : str
        Who said it.
    status : int, optional
        The HTTP status, or the one that the body names.
    """
    error = detail.get("error", detail) if isinstance(detail, dict) else detail
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    words = _words(fields.get("message") or fields.get("detail") or "", secret)
    marks = f"{fields.get('type')} {fields.get('code')}".lower()
    if status is None:
        # In a stream: 429, "429" and "403 FORBIDDEN" all occur.
        known = re.match(r"[345]\d\d\b", str(fields.get("code")))
        status = int(known[0]) if known else None
    kind, key = _classify(status, marks, words.lower())
    said = text("error.server_said", words=words) if words else ""
    shown = status or _words(fields.get("code") or fields.get("type") or "?", secret)[:MAX_CODE_WORDS]
    message = text(key, host=host, status=shown, said=said).strip()
    return kind(message, status=status, server_message=words, request_id=request_id)


def _classify(status: int | None, marks: str, words: str) -> tuple[type[APIError], str]:  # noqa: PLR0911 - a table of cases
    # ChatAnywhere answers 403 for prompts over the free key's 4,096 tokens.
    if (
        "context_length" in marks
        or "exceed_context_size" in marks
        or ("chatanywhere_error" in marks and "4096" in words)
    ):
        return ContextLengthError, "error.context_length"
    if status == 401:  # noqa: PLR2004 - HTTP's own numbers say more than names for them
        return AuthenticationError, "error.authentication"
    if status == 402 or "insufficient_quota" in marks:  # noqa: PLR2004
        return QuotaError, "error.quota"
    if status == 403:  # noqa: PLR2004
        return PermissionDeniedError, "error.permission"
    if status == 404 or "model_not_found" in marks:  # noqa: PLR2004
        return NotFoundError, "error.not_found"
    if status == 429:  # noqa: PLR2004
        return RateLimitError, "error.rate_limit"
    if status is not None and 300 <= status < 400:  # noqa: PLR2004
        return APIError, "error.redirect"
    if status is None or status >= 500:  # noqa: PLR2004
        return ServerError, "error.server"
    return BadRequestError, "error.bad_request"
