"""ChatAnywhere: the web endpoint that this project grew from, and today's API."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import secrets
import string
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    AsyncResult,
    ChatError,
    ConfigurationError,
    DeltaGenerator,
    EmptyAnswerError,
    Finish,
    Messages,
    ProtocolError,
    Text,
    content_text,
    encodable,
    phrase,
)
from . import defaults
from .contract import AsyncGeneratorProvider
from .openai import OpenAI
from .wire.addresses import check_url, endpoint, has_password, host_of, without_password
from .wire.http import post_stream
from .wire.inflate import accepted_encodings
from .wire.limits import CONNECT_SECONDS, IDLE_SECONDS, Deadline, Limits
from .wire.refusals import api_error, is_telling
from .wire.retry import MAX_RETRIES, with_retries
from .wire.small import ask_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from .wire.http import Stream

_WEB_URL: Final = "https://chatanywhere.cn"
_FALLBACK_VARIABLE: Final = "CHATANYWHERE_FALLBACK_URL"
_WEB_URL_VARIABLE: Final = "CHATANYWHERE_WEB_URL"
_MODEL_NUMBER: Final = "61490748"
"""The service's number for gpt-3.5-turbo, its only model."""
_ID_CHARACTERS: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 18
PAGE_CHARACTERS: Final = 16
"""Characters needed to recognize a web page,"""
PAGE_COMMENT_CHARACTERS: Final = 4_096
"""or so many if a comment comes first."""
_HTML_PAGE: Final = re.compile(r"<(?:!doctype|html|head)\b", re.IGNORECASE)
_BEFORE_A_PAGE: Final = (("<!--", "-->"), ("<?xml", ">"))
"""How a page of a domain that changed hands begins. A response may be HTML too, but is not a page."""


class ChatAnywhere(AsyncGeneratorProvider):
    """The web endpoint of chatanywhere.cn: no key, no framing, the response as plain streamed text.

    The public service stopped answering on 2023-11-22, hence ``working = False``. The protocol is
    complete; ``CHATANYWHERE_WEB_URL``, or ``url`` on the class, points it at a server that speaks it.

    Attributes
    ----------
    url : str
        The service's address.
    supports_gpt_35_turbo : bool
        Whether it answers as ``gpt-3.5-turbo``, whatever model is named.
    supports_message_history : bool
        Whether earlier messages are understood.
    working : bool
        Whether the public service answers.

    Examples
    --------
    >>> messages = [{"role": "user", "content": "Hello, how are you?"}]
    >>> async for chunk in ChatAnywhere.create_async_generator(model="gpt-3.5-turbo", messages=messages):
    ...     print(chunk, end="")  # doctest: +SKIP
    """

    name = "chatanywhere-web"
    url = _WEB_URL
    supports_gpt_35_turbo = True
    supports_message_history = True
    working = False
    default_model = defaults.MODELS["chatanywhere-web"]

    @classmethod
    def is_configured(cls) -> bool:
        """Whether somebody set it up: the public service answers no more."""
        return cls.working or cls.url != _WEB_URL or bool(os.environ.get(_WEB_URL_VARIABLE, "").strip())

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        **kwargs: Any,
    ) -> AsyncResult:
        """Yield the response's text as it arrives.

        Parameters
        ----------
        **kwargs
            ``conversation_id`` (str) keeps one id for the prompts of a conversation; by default each
            call starts a new one. ``idle_timeout`` (float, 120) is the silence allowed, in seconds, ``first_timeout``
            (float) and ``connect_timeout`` (float, 15) limit the wait for the first text and for a connection.
            ``max_retries`` (int, 2) is the number of retries after a temporary failure, as long as
            the response has not started. Others are ignored: the protocol has no place for them.

        Yields
        ------
        str
            Whole characters, however the bytes were split.

        Raises
        ------
        ChatError
            Of some kind; ``IncompleteError`` if the connection is dropped.
        """
        deltas = cls.create_delta_generator(
            model, messages, proxy=proxy, timeout=timeout, temperature=temperature, **kwargs
        )
        async with aclosing(deltas):
            async for delta in deltas:
                if isinstance(delta, Text):
                    yield delta.text

    @classmethod
    async def create_delta_generator(  # noqa: PLR0913 - the contract's parameters, and three more
        cls,
        model: str,  # noqa: ARG003 - the endpoint has one model
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
        conversation_id: str = "",
        **kwargs: Any,  # noqa: ARG003 - the protocol has no place for more
    ) -> DeltaGenerator:
        """Yield the response as typed deltas; see :meth:`create_async_generator` for parameters and errors.

        Yields
        ------
        Text, Finish or Notice
        """
        own = os.environ.get(_WEB_URL_VARIABLE, "").strip() if cls.url == _WEB_URL else ""
        base_url = check_url(own or cls.url, _WEB_URL_VARIABLE if own else "url")
        if has_password(base_url):  # the protocol's own Authorization leaves no place for it
            raise ConfigurationError(phrase("error.url_password", url=without_password(base_url)))
        if not messages:
            raise ConfigurationError(phrase("error.empty_prompt"))
        history = [{**message, "content": encodable(content_text(message.get("content")))} for message in messages]
        body = {
            "list": history,
            "id": _web_id(conversation_id),
            "title": history[-1]["content"],
            "prompt": "",
            "temperature": temperature,
            "models": _MODEL_NUMBER,
            "continuous": True,
        }
        limits = Limits(Deadline(timeout or None), first_timeout, idle_timeout, connect_timeout)

        def ask(_before: ChatError | None) -> DeltaGenerator:
            return _stream_text(base_url, body, proxy=proxy, limits=limits, ca_bundle=ca_bundle)

        async with aclosing(with_retries(ask, max_retries, limits.total)) as deltas:
            async for delta in deltas:
                yield delta


async def _stream_text(
    base_url: str, body: dict[str, Any], *, proxy: str | None, limits: Limits, ca_bundle: str
) -> DeltaGenerator:
    """POST a prompt and yield the response; the end of the body is the end of the response."""
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    host = host_of(base_url)
    request = post_stream(
        endpoint(base_url, "/v1/chat/gpt/"),
        body,
        headers=_browser_headers(base_url),
        proxy=proxy,
        limits=limits,
        ca_bundle=ca_bundle,
    )
    is_answer: bool | None = None  # held until it is clear
    held: list[str] = []
    try:
        async with request as stream, aclosing(_decoded(stream, decode)) as pieces:
            content_type = stream.content_type
            async for words in pieces:
                stream.note()
                held.append(words)
                if is_answer is None:
                    is_answer = _is_answer("".join(held), content_type)
                if is_answer:
                    yield Text("".join(held))
                    held.clear()
    except ChatError:
        if held:
            yield Text("".join(held))
        raise
    words = "".join(held) + decode(b"", True)  # noqa: FBT003 - the codec takes `final` by position only
    if not is_answer:
        _check_answer(words, content_type, host)
    if words:
        yield Text(words)
    elif not is_answer:
        raise EmptyAnswerError(phrase("error.empty_answer", host=host))
    yield Finish("stop")


async def _decoded(stream: Stream, decode: Callable[[bytes], str]) -> AsyncGenerator[str, None]:
    """Yield the body's text in non-empty pieces, up to the longest allowed response."""
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            if words := decode(chunk):
                stream.budget.take_characters(len(words))
                yield words


def _is_answer(beginning: str, content_type: str) -> bool | None:
    """Whether the body begins like a response; None if more is needed, False if only its end can tell.

    It may be a web page, or an error sent without an error status.
    """
    start = beginning.lstrip()
    if content_type == "text/html":
        if _is_page(start):
            return False
        comment = start.startswith(("<!--", "<?"))
        return None if len(start) < (PAGE_COMMENT_CHARACTERS if comment else PAGE_CHARACTERS) else True
    if _is_json(content_type):
        return (not start.startswith(("{", "["))) if start else None
    return True


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _is_page(body: str) -> bool:
    """Tell whether `body` begins as a web page does, behind comments."""
    at = 0
    while True:
        at += len(body[at : at + PAGE_COMMENT_CHARACTERS]) - len(body[at : at + PAGE_COMMENT_CHARACTERS].lstrip())
        opening, closing = next((each for each in _BEFORE_A_PAGE if body.startswith(each[0], at)), ("", ""))
        if not opening:
            return _HTML_PAGE.match(body, at) is not None
        end = body.find(closing, at + len(opening))
        if end < 0:
            return False
        at = end + len(closing)


def _check_answer(body: str, content_type: str, host: str) -> None:
    if content_type == "text/html" and _is_page(body):
        raise ProtocolError(phrase("error.protocol", host=host, reason=content_type))
    if _is_json(content_type):
        with suppress(ValueError, RecursionError):
            detail = json.loads(body)
            found = detail[0] if isinstance(detail, list) and detail else detail
            if isinstance(found, dict) and (found.get("error") or is_telling(found)):
                raise api_error(detail, host=host)


def _web_id(conversation_id: str) -> str:
    """Return an id of the service's form, ``s1_`` and 18 letters and digits: the same for one conversation."""
    if conversation_id:
        numbers = hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).digest()
    else:
        numbers = secrets.token_bytes()
    return "s1_" + "".join(_ID_CHARACTERS[number % len(_ID_CHARACTERS)] for number in numbers[:_ID_LENGTH])


def _browser_headers(base_url: str) -> dict[str, str]:
    return {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0",
        "Accept": "application/json, text/plain, */*",
        "Accept-Language": "de,en-US;q=0.7,en;q=0.3",
        "Accept-Encoding": accepted_encodings().removesuffix(", zstd"),  # a browser's of that time
        "Content-Type": "application/json",
        "Referer": f"{base_url}/",
        "Origin": base_url,
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-origin",
        "Authorization": "",
        "Connection": "keep-alive",
        "TE": "trailers",
    }


class ChatAnywhereAPI(OpenAI):
    """The ChatAnywhere API: models of many makers behind one key, in OpenAI's protocol.

    The key comes from ``CHATANYWHERE_API_KEY``. ``CHATANYWHERE_BASE_URL`` chooses the host:
    ``https://api.chatanywhere.tech/v1`` (the default; faster inside China) or
    ``https://api.chatanywhere.org/v1`` (elsewhere).
    """

    name = "chatanywhere"
    url = "https://api.chatanywhere.tech/v1"
    default_model = defaults.MODELS["chatanywhere"]
    key_variable = "CHATANYWHERE_API_KEY"
    url_variable = "CHATANYWHERE_BASE_URL"
    model_variable = "CHATANYWHERE_MODEL"
    key_required = True

    @classmethod
    def _fallback(cls) -> tuple[str, ...]:
        """Return the other host, if ``CHATANYWHERE_FALLBACK_URL`` allows the key to be sent there too."""
        own = os.environ.get(_FALLBACK_VARIABLE, "").strip()
        return (check_url(own, _FALLBACK_VARIABLE),) if own else ()

    @classmethod
    def daily_requests(cls, model: str) -> int | None:
        """Return how many requests a day a free key allows; for large models it is fewer."""
        return 30 if "deepseek" in model else 200

    @classmethod
    async def balance(cls, *, proxy: str | None = None, ca_bundle: str = "") -> tuple[float | None, float | None]:
        """Return the total and the used balance of the key's account, in the service's unit.

        Either is None if the service does not report it.

        Raises
        ------
        ChatError
            If the service cannot be reached, or refuses.
        """
        base_url = cls.base_url()
        secret = cls._secret(base_url)
        # This one endpoint takes the key without "Bearer".
        reply = await ask_json(
            "POST",
            endpoint(base_url, "/query/balance"),
            secret=secret.sent_as("Authorization") if secret else None,
            proxy=proxy,
            ca_bundle=ca_bundle,
        )
        total, used = (reply.get(name) if isinstance(reply, dict) else None for name in ("balanceTotal", "balanceUsed"))
        return _number(total), _number(used)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
