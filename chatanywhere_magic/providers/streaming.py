"""Post a request and turn the response into deltas, whatever framing the server chose."""

from __future__ import annotations

import codecs
import json
import re
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from ..core import (
    ChatError,
    ConnectionFailedError,
    Delta,
    DeltaGenerator,
    IncompleteError,
    ProtocolError,
    Reasoning,
    Text,
    TextWasReasoning,
    phrase,
)
from .contract import completion_of
from .dialects.choice import CHAT
from .wire.addresses import host_of
from .wire.budget import AnswerBudget
from .wire.http import Stream, post_stream
from .wire.refusals import MAX_SERVER_WORDS
from .wire.sse import EventDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ..core import Messages
    from ..keys import Secret
    from .contract import Completion
    from .dialects.choice import Dialect
    from .dialects.reader import ResponseReader
    from .wire.limits import Limits

MAX_BLANK_BYTES: Final = 1_024
"""Of blanks before a body's beginning so many are kept. Some servers send them while their model thinks."""
_FIELD: Final = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.MULTILINE)
_SPACE: Final = re.compile(r"\s*")


def request_body(
    model: str, messages: Messages, temperature: float | None, extra: dict[str, Any], dialect: Dialect = CHAT
) -> dict[str, Any]:
    """Return the JSON body of a request in a dialect; `extra` holds its further options."""
    return dialect.encode(messages, {"model": model, "temperature": temperature, **extra})


async def stream_completion(  # noqa: PLR0913 - where, what, and how the connection is made
    url: str,
    body: dict[str, Any],
    dialect: Dialect = CHAT,
    *,
    secret: Secret | None,
    proxy: str | None = None,
    limits: Limits | None = None,
    ca_bundle: str = "",
    socket_path: str | None = None,
) -> DeltaGenerator:
    """POST a request in a dialect and yield the deltas of its response.

    The response is complete once the server said so, in a chat completion by a finish reason. Usage may follow it.
    ``[DONE]`` alone, or the end of the body alone, does not complete it.

    Yields
    ------
    Text, Reasoning, TextWasReasoning, ToolCall, Extras, Usage, Finish, ModelName or Notice

    Raises
    ------
    ChatError
        A refusal, a network failure, an error inside the stream, or a response that is incomplete or empty.
    """
    host = host_of(url)
    budget = AnswerBudget(host)
    reader = dialect.reader.of(body, host, secret, budget)
    request = post_stream(
        url,
        body,
        headers={"Accept": "text/event-stream"},
        secret=secret,
        proxy=proxy,
        limits=limits,
        ca_bundle=ca_bundle,
        socket_path=socket_path,
        budget=budget,
    )
    try:
        async with request as stream:
            async with aclosing(_read(stream, reader, host)) as deltas:
                async for delta in deltas:
                    yield delta
            for delta in reader.finish():
                yield delta
            if reader.done:
                await stream.drain()
            return
    except ChatError as error:
        for delta in reader.flush():
            yield delta
        # After the finish reason, only the usage can still be missing.
        if not (reader.finished and isinstance(error, IncompleteError | ConnectionFailedError)):
            raise
    for delta in reader.finish():
        yield delta


async def whole_completion(
    url: str,
    body: dict[str, Any],
    dialect: Dialect = CHAT,
    *,
    secret: Secret | None,
    proxy: str | None = None,
    limits: Limits | None = None,
    ca_bundle: str = "",
) -> Completion:
    """POST a request in a dialect and return its response when it is whole.

    A server that streams all the same is understood. Complete is what :func:`stream_completion` says.

    Raises
    ------
    ChatError
        As :func:`stream_completion`.
    """
    host = host_of(url)
    budget = AnswerBudget(host)
    reader = dialect.reader.of(body, host, secret, budget)
    request = post_stream(
        url,
        body,
        headers={"Accept": "application/json"},
        secret=secret,
        proxy=proxy,
        limits=limits,
        ca_bundle=ca_bundle,
        budget=budget,
    )
    async with request as stream:
        deltas = [delta async for delta in _read(stream, reader, host)]
        deltas += reader.finish()
        if reader.done:
            await stream.drain()
    return completion_of(deltas)


async def _read(stream: Stream, reader: ResponseReader, host: str) -> DeltaGenerator:
    async with aclosing(stream.chunks()) as chunks:
        beginning = await _beginning(chunks, stream.content_type)
        form = _form(beginning, stream.content_type)
        if form == "page":
            raise ProtocolError(phrase("error.protocol", host=host, reason=stream.content_type))
        read = _read_objects if form == "object" else _read_events
        async with aclosing(read(beginning, chunks, reader, stream)) as deltas:
            async for delta in deltas:
                yield delta


async def _read_events(
    beginning: bytes, chunks: AsyncGenerator[bytes, None], reader: ResponseReader, stream: Stream
) -> DeltaGenerator:
    decoder = EventDecoder()
    async for piece in _with_first(beginning, chunks):
        stream.budget.take_lines(piece)
        deltas = (delta for event in decoder.feed(piece) for delta in reader.read(event))
        for delta in _joined(deltas, begun=reader.has_answer):
            yield delta
        stream.note(begun=reader.has_answer, finished=reader.finished)
        if reader.done:
            return
        stream.budget.check_event(decoder.waiting)
    # What the end of the body cuts off is not an event; `finish` reports an incomplete response.
    with suppress(ProtocolError):
        for event in decoder.feed(b"", final=True):
            for delta in reader.read(event):
                yield delta
    words = beginning.decode("utf-8", "replace").strip()
    if not reader.has_events and words and not _FIELD.match(words):
        raise reader.protocol_error("data:", words)


def _joined(deltas: Iterator[Delta], *, begun: bool) -> Iterator[Delta]:  # noqa: C901 - one loop over what comes
    """Yield the `deltas` of one read with neighbouring pieces of text joined.

    A fast server sends hundreds at once, and passing each on would cost more than reading it. Unless the response has
    `begun`, the first text is not held up. Of usage, names and notices, which
    some servers write into every event, the last of each kind counts.
    """
    kind: type[Text | Reasoning] = Text
    words: list[str] = []
    latest: dict[type[Delta], Delta] = {}
    failure: ChatError | None = None
    try:
        for delta in deltas if not begun else ():
            yield delta
            if isinstance(delta, Text | Reasoning):
                break
        for delta in deltas:
            if not isinstance(delta, Text | Reasoning | TextWasReasoning):
                latest[type(delta)] = delta
                continue
            if words and type(delta) is not kind:
                yield kind("".join(words))
                words.clear()
            if isinstance(delta, TextWasReasoning):
                yield delta
                continue
            kind = type(delta)
            words.append(delta.text)
    except ChatError as caught:
        failure = caught  # what came before is shown first
    if words:
        yield kind("".join(words))
    for delta in latest.values():
        yield delta
    if failure is not None:
        raise failure


async def _read_objects(
    beginning: bytes, chunks: AsyncGenerator[bytes, None], reader: ResponseReader, stream: Stream
) -> DeltaGenerator:
    """Read a whole completion from a server that does not stream, or chunks in a row without event framing."""
    pieces = bytearray(beginning)
    async for chunk in chunks:
        pieces += chunk
        stream.budget.check_event(len(pieces))
    body = pieces.decode("utf-8-sig", "replace").strip()
    decoder = json.JSONDecoder()
    start = 0
    stream.budget.check_values(body)
    while start < len(body):
        stream.budget.take_event()
        await stream.budget.breathe()
        try:
            value, end = decoder.raw_decode(body, start)
        except (ValueError, RecursionError):
            raise reader.protocol_error("JSON", body[start:]) from None
        for delta in reader.read_value(value, body[start : start + MAX_SERVER_WORDS]):
            yield delta
        start = end + len(_SPACE.match(body, end)[0])  # type: ignore[index]  # it matches anywhere


async def _beginning(chunks: AsyncGenerator[bytes, None], content_type: str) -> bytes:
    """Return enough of the body's beginning to recognize its form, without leading blank lines."""
    beginning = b""
    # The content type of a page is not trusted alone: the first field's name decides.
    enough = len(b"event") if content_type == "text/html" else 1
    async for chunk in chunks:
        beginning = (beginning + chunk).lstrip(b"\r\n")
        if len(beginning) > MAX_BLANK_BYTES and beginning.isspace():
            beginning = beginning[-MAX_BLANK_BYTES:]
        if len(_after_mark(beginning)) >= enough and not codecs.BOM_UTF8.startswith(beginning):
            break
    return beginning


def _after_mark(beginning: bytes) -> bytes:
    return beginning.removeprefix(codecs.BOM_UTF8).lstrip()


def _form(beginning: bytes, content_type: str) -> Literal["page", "object", "events"]:
    """Determine a body's form by its beginning: servers label any of the three with the type of another."""
    start = _after_mark(beginning)
    if start[:1] in {b"{", b"["}:
        return "object"
    if start[:1] == b"<" or (content_type == "text/html" and not start.startswith((b"data", b"event", b"id", b":"))):
        return "page"  # a front page or a login page, sent with a success status
    return "events"


async def _with_first(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in chunks:
        yield chunk
