"""Any OpenAI-compatible endpoint: streaming chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
import os
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .. import credentials
from ..errors import (
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    ContentFilterError,
    EmptyAnswerError,
    IncompleteError,
    ProtocolError,
)
from ..messages import (
    DeltaGenerator,
    Finish,
    Messages,
    ModelName,
    Notice,
    Reasoning,
    Text,
    Usage,
    encodable,
)
from ..strings import text
from ._http import (
    IDLE_SECONDS,
    Stream,
    api_error,
    check_url,
    host_of,
    is_loopback,
    post_stream,
    without_password,
)
from ._sse import EventDecoder
from .base import AsyncGeneratorProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    def check(cls, model: str = "") -> None:  # noqa: ARG003 - only the server knows its models
        """See whether there is an address and, where one is needed, a key.

        Raises
        ------
        ConfigurationError
            If not.
        """
        cls._secret(cls.base_url())

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
    async def create_delta_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        *,
        idle_timeout: float = IDLE_SECONDS,
        conversation_id: str = "",  # noqa: ARG003 - the protocol has no place for it
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Ask for a streamed chat completion.

        Parameters
        ----------
        idle_timeout : float, default 120
            Seconds of silence allowed at a time.
        **kwargs
            Further fields of the request's body, such as ``max_tokens`` or ``seed``.

        Yields
        ------
        Text, Reasoning, Usage, Finish or ModelName
        """
        base_url = cls.base_url()
        deltas = stream_completion(
            f"{base_url}/chat/completions",
            request_body(
                model or os.environ.get(cls.model_variable, "").strip() or cls.default_model,
                messages,
                temperature,
                kwargs,
            ),
            secret=cls._secret(base_url),
            proxy=proxy,
            total=timeout,
            idle=idle_timeout,
        )
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta


def request_body(model: str, messages: Messages, temperature: float, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON body of a streamed chat completion."""
    return {
        "model": model,
        "messages": [{**message, "content": encodable(message["content"])} for message in messages],
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
    total: float | None = None,
    idle: float = IDLE_SECONDS,
    socket_path: str | None = None,
) -> DeltaGenerator:
    """POST a chat completion and yield its deltas.

    The answer is whole once the server gave a finish reason. Usage may follow it. ``[DONE]`` alone, or
    the end of the body alone, is no finish.

    Yields
    ------
    Text, Reasoning, Usage, Finish, ModelName or Notice

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
        total=total,
        idle=idle,
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
    yield reader.finish()


async def _read(stream: Stream, reader: _CompletionReader, host: str) -> DeltaGenerator:
    if stream.content_type == "text/html":  # a front page or a log-in page, with a status that says all is well
        raise ProtocolError(text("error.protocol", host=host, reason=stream.content_type))
    if stream.content_type == "application/json":
        for delta in reader.read_object(await _whole_body(stream)):
            yield delta
        return
    decoder = EventDecoder()
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            for event in decoder.feed(chunk):
                for delta in reader.read(event.data):
                    yield delta
            if reader.done:
                return
    # What the end of the body cuts through is no event; that the answer is incomplete is said by `finish`.
    with suppress(ProtocolError):
        for event in decoder.feed(b"", final=True):
            for delta in reader.read(event.data):
                yield delta


async def _whole_body(stream: Stream) -> str:
    async with aclosing(stream.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks]).decode("utf-8", "replace")


class _CompletionReader:
    """Event data in, deltas out; remembers whether the answer was said to be finished."""

    def __init__(self, host: str, secret: Secret | None) -> None:
        self.done = False
        self._host = host
        self._secret = secret
        self._finish_reason = ""
        self._has_text = False
        self._half = ""
        self._model = ""

    @property
    def finished(self) -> bool:
        """Whether the server gave a finish reason."""
        return bool(self._finish_reason)

    def read(self, data: str) -> Iterator[Text | Reasoning | Usage | ModelName | Notice]:
        """Read one event."""
        if self.done or not data.strip():  # an event without data keeps the connection alive
            return
        if data.strip() == _DONE:
            self.done = True
            return
        yield from self.read_object(data)

    def read_object(self, data: str) -> Iterator[Text | Reasoning | Usage | ModelName | Notice]:
        """Read one JSON object: a chunk of a stream, or a whole completion where no stream was to be had."""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise self._protocol_error("JSON", data) from None
        if not isinstance(chunk, dict):
            raise self._protocol_error("object", data)
        if chunk.get("error"):
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

    def _read_choice(self, choice: dict[str, Any]) -> Iterator[Text | Reasoning]:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str) and reasoning:
                yield Reasoning(encodable(reasoning))
            if content := self._whole(_content_text(delta.get("content"))):
                self._has_text = True
                yield Text(content)
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish_reason = reason

    def _whole(self, words: str) -> str:
        """Return `words` in whole characters: servers that count in UTF-16 split an emoji between two chunks."""
        words = self._half + words
        self._half = words[-1:] if "\ud800" <= words[-1:] <= "\udbff" else ""
        return encodable(words.removesuffix(self._half))

    def finish(self) -> Finish:
        """Return the finish, or raise if the answer that was read is not a good one."""
        error: ChatError
        if not self._finish_reason:
            error = IncompleteError(text("error.incomplete", host=self._host))
        elif self._finish_reason == "content_filter":
            error = ContentFilterError(text("error.content_filter", host=self._host))
        elif not self._has_text:
            error = EmptyAnswerError(text("error.empty_answer", host=self._host))
        else:
            return Finish(self._finish_reason)
        raise error

    def _protocol_error(self, expected: str, data: str) -> ProtocolError:
        shown = self._secret.redact(data) if self._secret else data
        return ProtocolError(text("error.bad_event", host=self._host, expected=expected, data=repr(shown[:80])))


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
