"""One streaming POST over aiohttp: time limits, proxies, and every foreign error translated in one place."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
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
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ..credentials import Secret

CONNECT_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 120.0
"""Longest silence while waiting for the next bytes."""
MAX_ERROR_BYTES: Final = 65_536
MAX_SERVER_WORDS: Final = 2_000


def check_url(url: str, source: str) -> str:
    """Return `url` without a trailing slash, or raise ``ConfigurationError`` if it is not http(s) with a host."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(text("error.url", source=source, url=url))
    return url.strip().rstrip("/")


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for `url`, honouring ``NO_PROXY``.

    aiohttp's own ``trust_env`` also reads ``.netrc``, which clashes with the key's header.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


class Stream:
    """An open answer: its status, headers, and body in chunks with a watchdog on each read."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self._idle = idle
        self.content_type = response.content_type

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive, decompressed, never empty."""
        content = self._response.content
        while True:
            # aiohttp's own sock_read does not fire when its parser is stuck on a bad chunk size.
            chunk = await asyncio.wait_for(content.readany(), self._idle)
            if not chunk:
                return
            yield chunk


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
    host = urlsplit(url).netloc
    error: ChatError
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        connector = aiohttp.UnixConnector(socket_path, force_close=True) if socket_path else None
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=idle),
            # A key must not follow a redirect, and cookies of one question have no place in the next.
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            async with session.post(
                url,
                data=_encode(body),
                headers=_with_key({"Content-Type": "application/json", **headers}, secret),
                proxy=proxy if proxy or socket_path else proxy_for(url),
                allow_redirects=False,
            ) as response:
                if response.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                    raise await _refusal(response, host, secret)
                yield Stream(response, idle)
                return
    except ChatError:
        raise
    except (aiohttp.ServerTimeoutError, asyncio.TimeoutError) as caught:
        elapsed = loop.time() - started
        error = _timeout(caught, host, total=total if total and elapsed >= total else None, idle=idle)
    except aiohttp.ClientProxyConnectionError:
        error = ConnectionFailedError(text("error.proxy", host=host))
    except aiohttp.ClientConnectorDNSError:
        error = ConnectionFailedError(text("error.dns", host=host))
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as caught:
        error = ConnectionFailedError(text("error.tls", host=host, reason=_words(caught, secret)))
    except aiohttp.ClientPayloadError:
        error = IncompleteError(text("error.cut", host=host))
    except (aiohttp.ServerDisconnectedError, ConnectionError):
        error = ConnectionFailedError(text("error.disconnected", host=host))
    except aiohttp.ClientConnectorError as caught:
        error = ConnectionFailedError(text("error.unreachable", host=host, reason=_os_reason(caught)))
    except aiohttp.InvalidURL:
        error = ConfigurationError(text("error.url", source="URL", url=url))
    except aiohttp.ClientHttpProxyError as caught:
        error = ConnectionFailedError(text("error.proxy_refused", host=host, status=caught.status))
    except (aiohttp.ClientError, OSError, ValueError) as caught:
        error = ProtocolError(text("error.protocol", host=host, reason=_words(caught, secret)))
    # Raised here, outside the handlers, so that no exception whose repr holds headers is chained.
    raise error from None


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


def _os_reason(caught: aiohttp.ClientConnectorError) -> str:
    return caught.os_error.strerror or type(caught.os_error).__name__


def _timeout(caught: BaseException, host: str, *, total: float | None, idle: float) -> ChatError:
    if isinstance(caught, aiohttp.ConnectionTimeoutError):
        return TimeoutExceededError(text("error.connect_timeout", host=host, seconds=CONNECT_SECONDS))
    if total is not None:
        return TimeoutExceededError(text("error.total_timeout", host=host, seconds=total))
    return TimeoutExceededError(text("error.idle_timeout", host=host, seconds=idle))


async def _refusal(response: aiohttp.ClientResponse, host: str, secret: Secret | None) -> ChatError:
    try:
        raw = await asyncio.wait_for(response.content.read(MAX_ERROR_BYTES), CONNECT_SECONDS)
    except (aiohttp.ClientError, asyncio.TimeoutError):
        raw = b""
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
    if status is None and isinstance(fields.get("code"), int):
        status = fields["code"]
    kind, key = _classify(status, marks, words.lower())
    said = text("error.server_said", words=words) if words else ""
    message = text(key, host=host, status=status or "", said=said).strip()
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
