"""A streaming POST over aiohttp, with a watchdog over everything it waits for."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from ...core import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    IncompleteError,
    ProtocolError,
    TimeoutExceededError,
    phrase,
)
from .addresses import check_proxy, has_password, host_of, is_loopback, may_carry_key, proxy_for, without_password
from .budget import PAUSE_SECONDS, AnswerBudget
from .connections import Client, Exchange, open_client, trusted
from .inflate import Inflater
from .limits import Deadline, Limits, Patience
from .refusals import MAX_CODE_WORDS, api_error, printable_words, refusal_detail, request_id_of
from .retry import reset_after, retry_after
from .translate import FOREIGN_ERRORS, Way, translate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping

    from ...keys import Secret

WATCH_SECONDS: Final = 1.0
"""Between two looks at whether a silent connection is still there."""
GATHER_SECONDS: Final = 0.098
"""How long to gather what is written word by word: ten times a second, as often as it is painted."""
TRICKLE_BYTES: Final = 2048
TRICKLE_AFTER_SECONDS: Final = 0.2
"""A response that still comes in chunks as small as this after so long is written word by word."""
DRAIN_SECONDS: Final = 0.1
"""How long the end of a body is waited for after the end of its response, so that its connection can be used again."""
MAX_ERROR_BYTES: Final = 65_536
ERROR_SECONDS: Final = 5.0
"""For a refusal's words: the status is known, and nobody should wait long for what it adds."""
ERROR_IDLE_SECONDS: Final = 2.0


class Stream:
    """An open answer: its type, and its body in chunks with a watchdog over the reads."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        patience: Patience,
        host: str,
        secret: Secret | None,
        lost: asyncio.Future[None] | None = None,
        budget: AnswerBudget | None = None,
    ) -> None:
        self._lost = lost
        self.budget = budget if budget is not None else AnswerBudget(host)
        self._response = response
        self._secret = secret
        self._patience = patience
        self._host = host
        self.content_type = response.content_type
        self._loop = asyncio.get_running_loop()
        self._reading: float | None = None
        """When the read began that is going on."""
        self._reached: TimeoutExceededError | None = None
        self._was_lost = False
        self._held: asyncio.Transport | None = None
        """From which nothing is read for a little while."""
        self._gathering: asyncio.TimerHandle
        self._began = self._paused = self._loop.time()
        self._timer = self._loop.call_later(self._next_look(0.0), self._watch)

    def close(self) -> None:
        """Stop watching the reads, and release the connection."""
        self._timer.cancel()
        self._end_gathering()

    def note(self, *, begun: bool = True, finished: bool = False) -> None:
        """Take note of how far the response is: once its first word has come, only silence and the whole are limited.

        Once it is finished, little time is left for what may follow.
        """
        if begun and not self._patience.has_answer:
            self._patience.has_answer = True
            self._look_again()
        if finished:
            self._end_gathering()
            if self._patience.end_soon():
                self._look_again()
        else:
            self._patience.go_on()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body's bytes as they arrive, decompressed, never empty, in pieces that are soon read."""
        encoding = self._response.headers.get("Content-Encoding", "")
        try:
            inflate = Inflater(encoding, self.budget.take_bytes)
            async with aclosing(self._raw_chunks()) as raw_chunks:
                async for raw in raw_chunks:
                    for chunk in inflate.feed(raw):
                        if chunk:
                            yield chunk
                        await self.budget.breathe()
        except ValueError:
            named = printable_words(encoding, self._secret, MAX_CODE_WORDS)
            raise ProtocolError(phrase("error.encoding", host=self._host, encoding=named)) from None
        if inflate.is_open():
            raise IncompleteError(phrase("error.cut", host=self._host))

    async def drain(self) -> None:
        """Read what little may stand between the end of the response and that of the body."""
        self._patience = Patience(Limits(Deadline(DRAIN_SECONDS)), self._host)
        self._look_again()
        with suppress(*FOREIGN_ERRORS, ChatError):
            while await self._read():
                pass

    async def _raw_chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while chunk := await self._read():
                now = self._loop.time()
                if len(chunk) < TRICKLE_BYTES and now > self._began + TRICKLE_AFTER_SECONDS:
                    self._gather()
                yield chunk
                if now > self._paused + PAUSE_SECONDS and self._held is None:
                    # A server that is always ahead would leave the loop to nobody else.
                    self._paused = now
                    await asyncio.sleep(0)
            if self._lost is not None and self._lost.done() and self._lost.exception() is not None:
                raise aiohttp.ClientPayloadError
        except (*FOREIGN_ERRORS, TimeoutExceededError) as caught:
            # What came before the failure lies in the buffer still, and aiohttp would not give it out.
            if left := self._response.content._read_nowait(-1):  # noqa: SLF001
                yield left
            if isinstance(caught, TimeoutExceededError):
                raise
            if not self._patience.has_answer:
                raise aiohttp.ServerDisconnectedError from None  # the response never began
            raise aiohttp.ClientPayloadError from None

    def _gather(self) -> None:
        """Let word-by-word chunks gather a little in the system's buffer.

        Waking for every word would cost more than all other work on it, and no one reads that fast.
        """
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        if transport is None or transport.is_closing():
            return
        transport.pause_reading()
        self._held = transport
        self._gathering = self._loop.call_later(GATHER_SECONDS, self._end_gathering)

    def _end_gathering(self) -> None:
        if self._held is None:
            return
        self._gathering.cancel()
        if self._reading is not None:
            self._reading = self._loop.time()  # it was not the server that was silent
        self._held.resume_reading()
        self._held = None

    async def _read(self) -> bytes:
        """Return the next chunk, ``b""`` at the end."""
        if self._reached is not None:
            raise self._reached
        self._reading = self._loop.time()
        self._was_lost = False
        try:
            return await self._response.content.readany()
        except FOREIGN_ERRORS:
            if self._reached is not None:
                raise self._reached from None
            raise
        finally:
            self._reading = None

    def _watch(self) -> None:
        """Look after the read that is going on. One timer for all of them: a stream has thousands of reads.

        aiohttp's own sock_read does not fire when its parser is stuck on a bad chunk size. And not wait_for() around
        each read, which until Python 3.12 swallows a cancellation that comes together with a chunk.
        """
        silence = 0.0 if self._reading is None or self._held is not None else self._loop.time() - self._reading
        self._reached = self._patience.reached(silence)
        if self._reading is None:
            if self._reached is not None:
                return  # the next read tells it
        else:
            connection = self._response.connection
            transport = connection.transport if connection is not None else None
            # Seen twice, for the end of a good body loses the connection too, a moment before it is read.
            is_lost = not self._response.content.is_eof() and (transport is None or transport.is_closing())
            if self._reached is not None or (is_lost and self._was_lost):
                self._response.close()  # wakes the reader, whatever aiohttp's parser is stuck in
                return
            self._was_lost = is_lost
        self._timer = self._loop.call_later(self._next_look(silence), self._watch)

    def _look_again(self) -> None:
        """Look when the limits ask for it, which are others now."""
        self._reached = None
        self._timer.cancel()
        self._timer = self._loop.call_later(self._next_look(0.0), self._watch)

    def _next_look(self, silence: float) -> float:
        return min(self._patience.left(silence), WATCH_SECONDS)


@asynccontextmanager
async def post_stream(  # noqa: PLR0913 - each is an option of its own
    url: str,
    body: Mapping[str, Any] | None,
    *,
    headers: Mapping[str, str],
    method: str = "POST",
    secret: Secret | None = None,
    proxy: str | None = None,
    limits: Limits | None = None,
    ca_bundle: str = "",
    socket_path: str | None = None,
    budget: AnswerBudget | None = None,
) -> AsyncGenerator[Stream, None]:
    """POST `body` as JSON and open the response for reading; closing it closes the connection.

    Parameters
    ----------
    url, body, headers
        The request; a body of None is an empty one. `headers` hold no key.
    method : str, default "POST"
        The request's method.
    secret : Secret, optional
        Sent in its header, and redacted from whatever the server echoes.
    proxy : str, optional
        Proxy URL; by default the environment's.
    limits : Limits, optional
        Time limits.
    ca_bundle : str, optional
        A file of certificates to trust instead of the system's.
    socket_path : str, optional
        Talk over this Unix socket instead of the network.
    budget : AnswerBudget, optional
        What the response may cost, where more than its bytes count.

    Raises
    ------
    ChatError
        For every failure; no error of aiohttp or the operating system escapes.
    """
    limits = limits or Limits()
    host = host_of(url)
    proxy = None if socket_path else check_proxy(proxy or proxy_for(url))
    _check_way(url, proxy, secret)
    patience = Patience(limits, host)
    connect = min(limits.connect, patience.left(0))
    exchange = Exchange()
    async with (
        _translated_errors(Way(url, proxy, limits.connect), secret, exchange),
        open_client(socket_path) as client,
        _not_stale(client, exchange, host),
        _answer(
            client.session.request(
                method,
                url,
                data=None if body is None else _encode(body),
                headers=_with_key(
                    {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}, secret
                ),
                proxy=proxy,
                allow_redirects=False,  # a key must not follow one
                timeout=aiohttp.ClientTimeout(total=None, connect=max(connect, 1e-3)),  # 0 would be no limit
                ssl=trusted(ca_bundle) if url.startswith("https:") or (proxy or "").startswith("https:") else True,
                trace_request_ctx=exchange,
            ),
            patience,
        ) as (response, lost),
    ):
        exchange.has_answer = True
        exchange.request_id = request_id_of(response.headers, secret)
        if response.status < 200:  # noqa: PLR2004 - HTTP's own number
            raise ProtocolError(phrase("error.protocol", host=host, reason=f"HTTP {response.status}"))
        if response.status >= 300:  # noqa: PLR2004 - the same
            raise await _refusal(response, host, secret, limits)
        stream = Stream(response, patience, host, secret, lost, budget)
        try:
            yield stream
        finally:
            stream.close()


def _check_way(url: str, proxy: str | None, secret: Secret | None) -> None:
    if secret is None:
        return
    if has_password(url):
        raise ConfigurationError(phrase("error.url_password", url=without_password(url)))
    if proxy and url.startswith("http:") and is_loopback(url) and not may_carry_key(proxy):
        raise ConfigurationError(
            phrase("error.key_over_proxy", url=without_password(url), proxy=without_password(proxy))
        )


@asynccontextmanager
async def _answer(
    request: Awaitable[aiohttp.ClientResponse], patience: Patience
) -> AsyncGenerator[tuple[aiohttp.ClientResponse, asyncio.Future[None] | None], None]:
    """Send `request`, wait for the headers of its response, and give the connection back in the end.

    With a timer of our own, for aiohttp's limits know neither the first word nor a server that sends its headers byte
    by byte. And again not by wait_for(), which swallows a cancellation that comes together with the headers.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    begun = loop.time()
    reached: TimeoutExceededError | None = None
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer, reached
        elapsed = loop.time() - begun
        reached = patience.reached(elapsed)
        if reached is None:
            timer = loop.call_later(patience.left(elapsed), look)
        elif task is not None:
            task.cancel()

    timer = loop.call_later(patience.left(0.0), look)
    try:
        response, lost = await _opened(request)
    except asyncio.CancelledError:
        if reached is None or _is_stopped(task):
            raise
        raise reached from None
    finally:
        timer.cancel()
    try:
        yield response, lost
    finally:
        connection = response.connection
        if connection is not None and connection.transport is not None:
            # The body is not read to its end. Over TLS a farewell would wait for the other side's.
            connection.transport.abort()
        response.release()


async def _opened(
    request: Awaitable[aiohttp.ClientResponse],
) -> tuple[aiohttp.ClientResponse, asyncio.Future[None] | None]:
    """Return a response, and what will tell how its connection ended if that is what ends its body.

    HTTP/1.0 has no other end for it, and aiohttp takes a reset for one. Looked at before anything else can happen, for
    the connection of a response that has been read to its end is not known any more.
    """
    response = await request
    ends_itself = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
    connection = response.connection
    lost = None if ends_itself or connection is None else getattr(connection.protocol, "closed", None)
    if lost is not None:
        lost.add_done_callback(lambda done: done.cancelled() or done.exception())  # its exception counts as retrieved
    return response, lost


def _is_stopped(task: asyncio.Task[Any] | None) -> bool:
    """Whether somebody else, too, has cancelled a task that we have (of which only Python 3.11 and later can tell)."""
    return task is not None and sys.version_info >= (3, 11) and task.uncancel() > 0


@asynccontextmanager
async def _translated_errors(way: Way, secret: Secret | None, exchange: Exchange) -> AsyncGenerator[None, None]:
    """Translate errors of aiohttp and the operating system into ours."""
    try:
        yield
    except ChatError as caught:
        error = caught
    except FOREIGN_ERRORS as caught:
        error = translate(caught, way, secret)
    else:
        return
    error.request_id = error.request_id or exchange.request_id
    raise error from None


@asynccontextmanager
async def _not_stale(client: Client, exchange: Exchange, host: str) -> AsyncGenerator[None, None]:
    """If a kept connection turns out to be gone, let none of the others be used, and have it asked again at once.

    The server hung up while nobody asked anything; the prompt did not reach it.
    """
    try:
        yield
    except aiohttp.ClientConnectionError as caught:
        if not exchange.is_on_kept or exchange.has_answer or isinstance(caught, aiohttp.ClientConnectorError):
            raise
    else:
        return
    await client.retire()
    raise ConnectionFailedError(phrase("error.disconnected", host=host), retry_after=0.0)


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _with_key(headers: dict[str, str], secret: Secret | None) -> dict[str, str]:
    if secret is None:
        return headers
    name, prefix = secret.header
    return {**headers, name: f"{prefix}{secret.reveal()}"}


async def _refusal(response: aiohttp.ClientResponse, host: str, secret: Secret | None, limits: Limits) -> ChatError:
    """Return the error that a status of its own means, with as many of the server's words as come soon."""
    soon = Limits(Deadline(min(ERROR_SECONDS, limits.total.left())), idle=min(ERROR_IDLE_SECONDS, limits.idle))
    raw = bytearray()
    stream = Stream(response, Patience(soon, host), host, secret)
    with suppress(*FOREIGN_ERRORS, ChatError):
        async with aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                raw += chunk
                if len(raw) >= MAX_ERROR_BYTES:
                    break
    stream.close()
    detail = refusal_detail(raw.decode("utf-8", "replace"))
    location = response.headers.get("Location")
    return api_error(
        location.partition("?")[0] if location and response.status < 400 else detail,  # noqa: PLR2004 - HTTP's own number
        host=host,
        status=response.status,
        secret=secret,
        wait=retry_after(response.headers),
        reset=reset_after(response.headers),
    )
