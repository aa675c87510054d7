"""Any OpenAI-compatible endpoint: streaming chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import codecs
import json
import os
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from .. import credentials
from ..errors import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    ContentFilterError,
    EmptyAnswerError,
    IncompleteError,
    ProtocolError,
    RefusalError,
    StreamError,
    UnsupportedError,
)
from ..messages import (
    Delta,
    DeltaGenerator,
    Finish,
    Messages,
    ModelName,
    Notice,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    encodable,
    encodable_content,
)
from ..strings import text
from ._http import (
    IDLE_SECONDS,
    Deadline,
    Limits,
    Stream,
    api_error,
    check_url,
    host_of,
    is_loopback,
    post_stream,
    printable_words,
    without_password,
)
from ._retry import MAX_RETRIES, with_retries
from ._sse import Event, EventDecoder
from .base import AsyncGeneratorProvider

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from ..credentials import Secret

_DONE: Final = "[DONE]"


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
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    model_variable: ClassVar[str] = "OPENAI_MODEL"
    key_required: ClassVar[bool] = False

    @classmethod
    def is_configured(cls) -> bool:
        """Whether there is a key or, where none is needed, an address of one's own."""
        variables = (cls.key_variable,) if cls.key_required else (cls.key_variable, cls.url_variable)
        return any(os.environ.get(variable, "").strip() for variable in variables)

    @classmethod
    def check(cls, model: str = "") -> None:
        """See whether there is an address and, where one is needed, a key.

        Which models there are, only the server knows.

        Raises
        ------
        ConfigurationError
            If not.
        """
        if not model.isprintable():
            raise ConfigurationError(text("error.model_characters", model=repr(model)))
        cls._secret(cls.base_url())

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
    def _secret(cls, base_url: str) -> Secret | None:
        secret = credentials.secret_from_environment(cls.key_variable)
        if secret is None:
            if cls.key_required or base_url == OpenAI.url:
                raise ConfigurationError(text("error.no_key", provider=cls.name, variable=cls.key_variable))
            return None
        if not base_url.startswith("https:") and not is_loopback(base_url):
            raise ConfigurationError(
                text("error.key_over_http", url=without_password(base_url), variable=cls.url_variable)
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
        ca_bundle: str = "",
        max_retries: int = MAX_RETRIES,
        conversation_id: str = "",  # noqa: ARG003 - the protocol has no place for it
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Ask for a streamed chat completion.

        Parameters
        ----------
        first_timeout : float, optional
            Seconds from the headers to the first bytes of the answer; by default as `idle_timeout`.
        idle_timeout : float, default 120
            Seconds of silence allowed at a time.
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
        cls.check(model)
        model = model or os.environ.get(cls.model_variable, "").strip() or cls.default_model
        body = request_body(model, messages, temperature, kwargs)
        addresses = deque([base_url, *cls._fallback()])
        secret, *_ = [cls._secret(address) for address in addresses]  # none may be one where a key must not go
        limits = Limits(Deadline(timeout), first_timeout, idle_timeout, ca_bundle)

        def ask(before: ChatError | None) -> DeltaGenerator:
            if isinstance(before, ConnectionFailedError):
                addresses.rotate(-1)
            return stream_completion(
                f"{addresses[0]}/chat/completions",
                body,
                secret=secret,
                proxy=proxy,
                limits=limits,
            )

        async with aclosing(with_retries(ask, max_retries)) as deltas:
            async for delta in deltas:
                yield delta


def request_body(model: str, messages: Messages, temperature: float, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON body of a streamed chat completion."""
    return {
        "model": model,
        "messages": [{**message, "content": encodable_content(message["content"])} for message in messages],
        "temperature": temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **extra,
    }


async def stream_completion(
    url: str,
    body: dict[str, Any],
    *,
    secret: Secret | None,
    proxy: str | None = None,
    limits: Limits | None = None,
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
    reader = _CompletionReader(host, secret)
    request = post_stream(
        url,
        body,
        headers={"Accept": "text/event-stream"},
        secret=secret,
        proxy=proxy,
        limits=limits,
        socket_path=socket_path,
    )
    try:
        async with request as stream, aclosing(_read(stream, reader, host)) as deltas:
            async for delta in deltas:
                yield delta
    except (IncompleteError, ConnectionFailedError):
        # After the finish reason nothing of the answer can be missing, at most the usage.
        if not reader.finished:
            raise
    for delta in reader.finish():
        yield delta


async def _read(stream: Stream, reader: _CompletionReader, host: str) -> DeltaGenerator:
    async with aclosing(stream.chunks()) as chunks:
        beginning = b""
        async for chunk in chunks:
            beginning += chunk
            if beginning.strip():
                break
        form = _form(beginning, stream.content_type)
        if form == "page":
            raise ProtocolError(text("error.protocol", host=host, reason=stream.content_type))
        if form == "object":
            body = beginning + b"".join([chunk async for chunk in chunks])
            for delta in reader.read_object(body.decode("utf-8-sig", "replace")):
                yield delta
            return
        decoder = EventDecoder()
        async for piece in _with_first(beginning, chunks):
            for delta in _read_events(decoder.feed(piece), reader):
                yield delta
            if reader.done:
                return
    # What the end of the body cuts through is no event; that the answer is incomplete is said by `finish`.
    with suppress(ProtocolError):
        for delta in _read_events(decoder.feed(b"", final=True), reader):
            yield delta


def _form(beginning: bytes, content_type: str) -> Literal["page", "object", "events"]:
    """Tell what a body is by what it begins with: servers label any of the three with the type of another."""
    start = beginning.lstrip().removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] in {b"{", b"["}:
        return "object"
    if start[:1] == b"<" or (content_type == "text/html" and not start.startswith((b"data", b"event", b":"))):
        return "page"  # a front page or a log-in page, with a status that says all is well
    return "events"


def _read_events(events: Iterable[Event], reader: _CompletionReader) -> Iterator[Delta]:
    for event in events:
        yield from reader.read(event)


async def _with_first(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in chunks:
        yield chunk


class _CompletionReader:
    """Event data in, deltas out; remembers whether the answer was said to be finished."""

    def __init__(self, host: str, secret: Secret | None) -> None:
        self.done = False
        self._host = host
        self._secret = secret
        self._finish_reason = ""
        self._has_events = False
        self._has_text = False
        self._refusal = ""
        self._tool_calls: dict[int, dict[str, str]] = {}
        self._half = ""
        self._model = ""

    @property
    def finished(self) -> bool:
        """Whether the server gave a finish reason."""
        return bool(self._finish_reason)

    def read(self, event: Event) -> Iterator[Delta]:
        """Read one event."""
        data = event.data.strip()
        if self.done or not data:  # an event without data keeps the connection alive
            return
        if data == _DONE:
            self.done = True
        elif event.name == "error":
            raise api_error(_parsed(data), host=self._host, secret=self._secret)
        else:
            yield from self.read_object(event.data)

    def read_object(self, data: str) -> Iterator[Delta]:
        """Read one JSON object: a chunk of a stream, or a whole completion where no stream was to be had."""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise self._protocol_error("JSON", data) from None
        if not isinstance(chunk, dict):
            raise self._protocol_error("object", data)
        self._has_events = True
        if chunk.get("error") or chunk.get("object") == "error":
            raise api_error(chunk, host=self._host, secret=self._secret)
        if (model := chunk.get("model")) and isinstance(model, str) and model != self._model:
            self._model = model
            yield ModelName(model)
        progress = chunk.get("prompt_progress")  # llama.cpp, when asked for it
        if isinstance(progress, dict) and (share := _progress(progress)):
            yield Notice(share)
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                yield from self._read_choice(choice)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            yield Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))

    def _read_choice(self, choice: dict[str, Any]) -> Iterator[Delta]:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str) and reasoning:
                yield Reasoning(encodable(reasoning))
            self._refusal += _content_text(delta.get("refusal"))
            self._take_tool_calls(delta.get("tool_calls"))
            if function := delta.get("function_call"):  # how it was before there were several
                self._take_tool_calls([{"function": function}])
            if content := self._whole(_content_text(delta.get("content"))):
                self._has_text = True
                yield Text(content)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._finish_reason = reason

    def _take_tool_calls(self, calls: object) -> None:
        """Put the pieces of tool calls together: the name comes first, then its arguments bit by bit."""
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if not isinstance(call, dict):
                continue
            index = _count(call.get("index"))
            known = self._tool_calls.setdefault(
                place if index is None else index, {"id": "", "name": "", "arguments": ""}
            )
            function = call.get("function")
            fields = {"id": call.get("id"), **(function if isinstance(function, dict) else {})}
            for field, value in known.items():
                if isinstance(piece := fields.get(field), str):
                    known[field] = value + piece if field == "arguments" else piece

    def _whole(self, words: str) -> str:
        """Return `words` in whole characters: servers that count in UTF-16 split an emoji between two chunks."""
        words = self._half + words
        self._half = words[-1:] if "\ud800" <= words[-1:] <= "\udbff" else ""
        return encodable(words.removesuffix(self._half))

    def finish(self) -> Iterator[Delta]:
        """Yield what remains and the finish, or raise if the answer that was read is not a good one."""
        error: ChatError | None = None
        if not self._has_events:
            error = EmptyAnswerError(text("error.empty_answer", host=self._host))
        elif not self._finish_reason:
            error = IncompleteError(text("error.incomplete", host=self._host))
        elif self._finish_reason == "content_filter":
            error = ContentFilterError(text("error.content_filter", host=self._host))
        elif self._finish_reason == "error":  # gateways, when the model behind them fails
            error = StreamError(text("error.stream", host=self._host, said=""))
        elif self._refusal:
            error = RefusalError(text("error.refusal", words=self._shown(self._refusal)))
        elif self._tool_calls and not self._has_text:
            names = ", ".join(call["name"] for call in self._tool_calls.values())
            error = UnsupportedError(text("error.tool_calls", names=self._shown(names)))
        elif not self._has_text:
            error = EmptyAnswerError(text("error.empty_answer", host=self._host))
        for call in self._tool_calls.values():
            yield ToolCall(**call)
        if error is not None:
            raise error
        yield Finish(self._finish_reason)

    def _shown(self, words: str) -> str:
        """Return the model's or the server's words as one printable line."""
        return printable_words(words, self._secret)

    def _protocol_error(self, expected: str, data: str) -> ProtocolError:
        shown = repr(self._shown(data)[:80])
        return ProtocolError(text("error.bad_event", host=self._host, expected=expected, data=shown))


def _parsed(data: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


def _content_text(content: object) -> str:
    """Return a delta's text: a string, or the text parts of a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _progress(progress: dict[str, Any]) -> str:
    total, cached, processed = (_count(progress.get(name)) or 0 for name in ("total", "cache", "processed"))
    if not cached <= processed < total:
        return ""
    return text("notice.reading_prompt", percent=100 * (processed - cached) // (total - cached))
