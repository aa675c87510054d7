"""Any OpenAI-compatible endpoint: streaming chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from ..errors import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    IncompleteError,
    ProtocolError,
)
from ..keys import Owner, find_secret, places_of
from ..messages import (
    Delta,
    DeltaGenerator,
    Message,
    Messages,
    Reasoning,
    Text,
    encodable_content,
)
from ..strings import text
from ._addresses import (
    PLAIN_HTTP_VARIABLE,
    check_url,
    endpoint,
    host_of,
    may_carry_key,
    without_password,
)
from ._completion import CompletionReader
from ._http import Stream, post_stream
from ._limits import CONNECT_SECONDS, IDLE_SECONDS, Deadline, Limits
from ._refusals import MAX_SERVER_WORDS
from ._retry import MAX_RETRIES, with_retries
from ._small import ask_json, model_names
from ._sse import EventDecoder
from .base import AsyncGeneratorProvider

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ..credentials import Secret

MAX_EVENT_CHARACTERS: Final = 128 * 1024 * 1024
"""More than any event has: a line that never ends must not take all memory."""
_FIELD: Final = re.compile(r"(?:data|event|id|retry)?(?::|$)", re.MULTILINE)
_SPACE: Final = re.compile(r"\s*")
"""Names of models in a message."""


class OpenAI(AsyncGeneratorProvider):
    """OpenAI, or any server that speaks its protocol.

    The key comes from ``OPENAI_API_KEY``, the address from ``OPENAI_BASE_URL``, the default model from
    ``OPENAI_MODEL``. A server at another address than OpenAI's may need no key.

    Attributes
    ----------
    key_variable, url_variable, model_variable : str
        Names of the environment variables; a subclass that names its own is a new preset.
    """

    name = "openai"
    url = "https://api.openai.com/v1"
    default_model = "gpt-4o-mini"
    supports_response_format = True
    supports_images = True
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    model_variable: ClassVar[str] = "OPENAI_MODEL"
    key_required: ClassVar[bool] = False

    @classmethod
    def is_configured(cls) -> bool:
        """Whether there is a key or, where none is needed, an address of one's own."""
        variables = (cls.key_variable,) if cls.key_required else (cls.key_variable, cls.url_variable)
        if any(os.environ.get(variable, "").strip() for variable in variables):
            return True
        try:
            owner = cls.key_owner()
        except ConfigurationError:  # the address is none, and nothing else is there
            return False
        return bool(places_of(owner))

    @classmethod
    def address(cls) -> str:
        """Return the address in use, as :meth:`base_url`."""
        return cls.base_url()

    @classmethod
    def key_owner(cls) -> Owner:
        """Return whom its key is for: this provider, at the address in use.

        Raises
        ------
        ConfigurationError
            If the address is none.
        """
        return cls._owner(cls.base_url())

    @classmethod
    def _owner(cls, base_url: str) -> Owner:
        return Owner(cls.name, cls.key_variable, base_url)

    @classmethod
    async def list_models(
        cls, *, secret: Secret | None = None, proxy: str | None = None, ca_bundle: str = ""
    ) -> list[str]:
        """Return the names of the models that the server lists (``GET /models``).

        Parameters and errors are those of :meth:`AsyncGeneratorProvider.list_models`.
        """
        base_url = cls.base_url()
        secret = cls._allowed(base_url, secret) if secret else cls._secret(base_url)
        return model_names(
            await ask_json("GET", endpoint(base_url, "/models"), secret=secret, proxy=proxy, ca_bundle=ca_bundle)
        )

    @classmethod
    def check(cls, model: str = "") -> None:
        """See whether there is an address and, where one is needed, a key.

        Which models there are, only the server knows.

        Raises
        ------
        ConfigurationError
            If not.
        """
        cls._model(model)
        cls._secret(cls.base_url())

    @classmethod
    def _model(cls, model: str) -> str:
        model = cls.model_for(model)
        if not model.isprintable():
            raise ConfigurationError(text("error.model_characters", model=repr(model)))
        return model

    @classmethod
    def model_for(cls, model: str) -> str:
        """Return `model`, or the environment's, or the class's own."""
        return model or os.environ.get(cls.model_variable, "").strip() or cls.default_model

    @classmethod
    def account(cls) -> str:
        """Return the address, with the key's mark."""
        base_url = cls.base_url()
        secret = cls._secret(base_url)
        return f"{secret.mark if secret else ''}@{without_password(base_url)}"

    @classmethod
    def secrets(cls) -> tuple[Secret, ...]:
        """Return the key, if there is one."""
        with suppress(ConfigurationError):
            secret = cls._secret(cls.base_url())
            return (secret,) if secret else ()
        return ()

    @classmethod
    def _fallback(cls) -> tuple[str, ...]:
        """Return further addresses for the same key, to try when the first cannot be reached."""
        return ()

    @classmethod
    def base_url(cls) -> str:
        """Return the address in use: the environment's, else the class's own.

        Raises
        ------
        ConfigurationError
            If it is not an http(s) URL.
        """
        own = os.environ.get(cls.url_variable, "").strip()
        return check_url(own or cls.url, cls.url_variable)

    @classmethod
    def _secret(cls, base_url: str, further: str = "") -> Secret | None:
        """Return the key of `base_url`, the address in use, to send there or to a further address for the same key."""
        secret = find_secret(cls._owner(base_url))
        address = further or base_url
        if secret is not None:
            return cls._allowed(address, secret)
        if cls.key_required or address == OpenAI.url:
            raise ConfigurationError(text("error.no_key", provider=cls.name, variable=cls.key_variable))
        return None

    @classmethod
    def _allowed(cls, base_url: str, secret: Secret) -> Secret:
        """Return `secret` if it may go to `base_url`."""
        if not may_carry_key(base_url):
            raise ConfigurationError(
                text(
                    "error.key_over_http",
                    url=without_password(base_url),
                    host=host_of(base_url),
                    variable=cls.url_variable,
                    allowing=PLAIN_HTTP_VARIABLE,
                )
            )
        return secret

    @classmethod
    async def create_delta_generator(  # noqa: PLR0913 - the contract's parameters, and three more
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        *,
        first_timeout: float | None = None,
        idle_timeout: float = IDLE_SECONDS,
        connect_timeout: float = CONNECT_SECONDS,
        ca_bundle: str = "",
        max_retries: int = MAX_RETRIES,
        conversation_id: str = "",  # noqa: ARG003 - the protocol has no place for it
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Ask for a streamed chat completion.

        Parameters
        ----------
        first_timeout : float, optional
            Seconds until the first word of the answer, be it text, reasoning or a call of a tool. By default silence
            is limited, by `idle_timeout`, and a server that keeps the connection alive to 15 minutes.
        idle_timeout : float, default 120
            Seconds of silence allowed at a time.
        connect_timeout : float, default 15
            Seconds until there is a connection.
        ca_bundle : str, optional
            A file of certificates to trust instead of the system's.
        max_retries : int, default 2
            Further tries after a failure that may pass, as long as the answer has not begun.
        **kwargs
            Further fields of the request's body, such as ``max_tokens`` or ``seed``.

        Yields
        ------
        Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice
        """
        base_url = cls.base_url()
        body = request_body(cls._model(model), messages, temperature, kwargs)
        addresses = deque([base_url, *cls._fallback()])
        # None may be one where a key must not go.
        secret, *_ = [cls._secret(base_url, address) for address in addresses]
        limits = Limits(Deadline(timeout or None), first_timeout, idle_timeout, connect_timeout)

        def ask(before: ChatError | None) -> DeltaGenerator:
            if isinstance(before, ConnectionFailedError) and before.status is None:
                addresses.rotate(-1)
            return stream_completion(
                endpoint(addresses[0], "/chat/completions"),
                body,
                secret=secret,
                proxy=proxy,
                limits=limits,
                ca_bundle=ca_bundle,
            )

        async with aclosing(with_retries(ask, max_retries, limits.total)) as deltas:
            async for delta in deltas:
                yield delta


def request_body(model: str, messages: Messages, temperature: float, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON body of a streamed chat completion."""
    return {
        "model": model,
        "messages": [_as_sent(message) for message in messages],
        "temperature": temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **extra,
    }


def _as_sent(message: Message) -> dict[str, Any]:
    """Return `message` as it is sent; one of the model's own that only calls tools has no content."""
    content = message.get("content")
    return {**message} if content is None else {**message, "content": encodable_content(content)}


async def stream_completion(
    url: str,
    body: dict[str, Any],
    *,
    secret: Secret | None,
    proxy: str | None = None,
    limits: Limits | None = None,
    ca_bundle: str = "",
    socket_path: str | None = None,
) -> DeltaGenerator:
    """POST a chat completion and yield its deltas.

    The answer is whole once the server gave a finish reason. Usage may follow it. ``[DONE]`` alone, or
    the end of the body alone, is no finish.

    Yields
    ------
    Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice

    Raises
    ------
    ChatError
        A refusal, a network failure, an error inside the stream, an answer that is cut short or empty.
    """
    host = host_of(url)
    reader = CompletionReader(host, secret, takes_calls=bool(body.get("tools") or body.get("functions")))
    request = post_stream(
        url,
        body,
        headers={"Accept": "text/event-stream"},
        secret=secret,
        proxy=proxy,
        limits=limits,
        ca_bundle=ca_bundle,
        socket_path=socket_path,
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
        # After the finish reason nothing of the answer can be missing, at most the usage.
        if not (reader.finished and isinstance(error, IncompleteError | ConnectionFailedError)):
            raise
    for delta in reader.finish():
        yield delta


async def _read(stream: Stream, reader: CompletionReader, host: str) -> DeltaGenerator:
    async with aclosing(stream.chunks()) as chunks:
        beginning = await _beginning(chunks, stream.content_type)
        form = _form(beginning, stream.content_type)
        if form == "page":
            raise ProtocolError(text("error.protocol", host=host, reason=stream.content_type))
        read = _read_objects if form == "object" else _read_events
        async with aclosing(read(beginning, chunks, reader, stream)) as deltas:
            async for delta in deltas:
                yield delta


async def _read_events(
    beginning: bytes, chunks: AsyncGenerator[bytes, None], reader: CompletionReader, stream: Stream
) -> DeltaGenerator:
    decoder = EventDecoder()
    async for piece in _with_first(beginning, chunks):
        deltas = (delta for event in decoder.feed(piece) for delta in reader.read(event))
        for delta in _joined(deltas, begun=reader.has_answer):
            yield delta
        stream.note(begun=reader.has_answer, finished=reader.finished)
        if reader.done:
            return
        if decoder.waiting > MAX_EVENT_CHARACTERS:
            raise ProtocolError(text("error.endless", host=reader.host))
    # What the end of the body cuts through is no event; that the answer is incomplete is said by `finish`.
    with suppress(ProtocolError):
        for event in decoder.feed(b"", final=True):
            for delta in reader.read(event):
                yield delta
    words = beginning.decode("utf-8", "replace").strip()
    if not reader.has_events and words and not _FIELD.match(words):
        raise reader.protocol_error("data:", words)


def _joined(deltas: Iterator[Delta], *, begun: bool) -> Iterator[Delta]:
    """Yield `deltas`, all that one read brought, with neighbouring pieces of text as one.

    A server that is fast sends hundreds together, and each by itself would cost more on its way than to be read. But
    if nothing has come before, as `begun` tells, the first words wait for nothing.
    """
    kind: type[Text | Reasoning] = Text
    words: list[str] = []
    failure: ChatError | None = None
    try:
        for delta in deltas if not begun else ():
            yield delta
            if isinstance(delta, Text | Reasoning):
                break
        for delta in deltas:
            if words and type(delta) is not kind:
                yield kind("".join(words))
                words.clear()
            if isinstance(delta, Text | Reasoning):
                kind = type(delta)
                words.append(delta.text)
            else:
                yield delta
    except ChatError as caught:
        failure = caught  # what came before it is shown first
    if words:
        yield kind("".join(words))
    if failure is not None:
        raise failure


async def _read_objects(
    beginning: bytes, chunks: AsyncGenerator[bytes, None], reader: CompletionReader, _stream: Stream
) -> DeltaGenerator:
    """Read a whole completion where no stream was to be had, or chunks in a row without the framing of events."""
    pieces = [beginning]
    size = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > MAX_EVENT_CHARACTERS:
            raise ProtocolError(text("error.endless", host=reader.host))
    body = b"".join(pieces).decode("utf-8-sig", "replace").strip()
    decoder = json.JSONDecoder()
    start = 0
    while start < len(body):
        try:
            value, end = decoder.raw_decode(body, start)
        except (ValueError, RecursionError):
            raise reader.protocol_error("JSON", body[start:]) from None
        for delta in reader.read_value(value, body[start : start + MAX_SERVER_WORDS]):
            yield delta
        start = end + len(_SPACE.match(body, end)[0])  # type: ignore[index]  # it matches anywhere


async def _beginning(chunks: AsyncGenerator[bytes, None], content_type: str) -> bytes:
    """Return the body's beginning, long enough to tell what it is, without blank lines before it."""
    beginning = b""
    # A type that is a page's is not believed alone: the first field's name tells.
    enough = len(b"event") if content_type == "text/html" else 1
    async for chunk in chunks:
        beginning = (beginning + chunk).lstrip(b"\r\n")
        if len(_after_mark(beginning)) >= enough and not codecs.BOM_UTF8.startswith(beginning):
            break
    return beginning


def _after_mark(beginning: bytes) -> bytes:
    return beginning.removeprefix(codecs.BOM_UTF8).lstrip()


def _form(beginning: bytes, content_type: str) -> Literal["page", "object", "events"]:
    """Tell what a body is by what it begins with: servers label any of the three with the type of another."""
    start = _after_mark(beginning)
    if start[:1] in {b"{", b"["}:
        return "object"
    if start[:1] == b"<" or (content_type == "text/html" and not start.startswith((b"data", b"event", b"id", b":"))):
        return "page"  # a front page or a log-in page, with a status that says all is well
    return "events"


async def _with_first(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in chunks:
        yield chunk
