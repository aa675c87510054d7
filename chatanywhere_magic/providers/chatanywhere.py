"""ChatAnywhere: the web endpoint that this project grew from, and the API that people reach it by today."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import secrets
import string
from contextlib import aclosing
from importlib.util import find_spec
from typing import Any, Final

from ..errors import ConfigurationError, EmptyAnswerError, ProtocolError
from ..messages import AsyncResult, Messages, encodable
from ..strings import text
from ._http import IDLE_SECONDS, check_url, host_of, post_stream
from .base import AsyncGeneratorProvider
from .openai import OpenAI

_WEB_URL: Final = "https://chatanywhere.cn"
_WEB_URL_VARIABLE: Final = "CHATANYWHERE_WEB_URL"
_MODEL_NUMBER: Final = "61490748"
"""The service's own number for gpt-3.5-turbo, the one model that it had."""
_ID_CHARACTERS: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 18
_HTML_PAGE: Final = re.compile(r"\s*<(?:!doctype|html)\b", re.IGNORECASE)
"""What a page of a domain that changed hands begins with. An answer may be HTML too, but is no page."""


class ChatAnywhere(AsyncGeneratorProvider):
    """The web endpoint of chatanywhere.cn: no key, no framing, the answer as plain streamed text.

    The public service stopped answering on 2023-11-22, hence ``working = False``. The protocol is
    complete; ``CHATANYWHERE_WEB_URL``, or ``url`` on the class, points it at a server that speaks it.

    Attributes
    ----------
    url : str
        The service's address.
    supports_gpt_35_turbo : bool
        It answers as ``gpt-3.5-turbo``, whatever model is named.
    supports_message_history : bool
        Earlier messages are understood.
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
    default_model = "gpt-3.5-turbo"

    @classmethod
    async def create_async_generator(
        cls,
        model: str,  # noqa: ARG003 - the endpoint has one model
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = 0.5,
        **kwargs: Any,
    ) -> AsyncResult:
        """Ask, and yield the answer's text as it arrives.

        Parameters
        ----------
        **kwargs
            ``conversation_id`` (str) keeps one id over the questions of a conversation; by default each
            call begins a new one. ``idle_timeout`` (float, 120) is the silence allowed, in seconds. Others
            are ignored: the protocol has no place for them.

        Yields
        ------
        str
            Whole characters, however the bytes were split.

        Raises
        ------
        ChatError
            In one of its kinds; ``IncompleteError`` if the connection is cut.
        """
        own = os.environ.get(_WEB_URL_VARIABLE, "").strip() if cls.url == _WEB_URL else ""
        base_url = check_url(own or cls.url, _WEB_URL_VARIABLE if own else "url")
        if not messages:
            raise ConfigurationError(text("error.empty_prompt"))
        history = [{**message, "content": encodable(message["content"])} for message in messages]
        body = {
            "list": history,
            "id": _web_id(str(kwargs.get("conversation_id") or "")),
            "title": history[-1]["content"],
            "prompt": "",
            "temperature": temperature,
            "models": _MODEL_NUMBER,
            "continuous": True,
        }
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        request = post_stream(
            f"{base_url}/v1/chat/gpt/",
            body,
            headers=_browser_headers(base_url),
            proxy=proxy,
            total=timeout,
            idle=kwargs.get("idle_timeout", IDLE_SECONDS),
        )
        host = host_of(base_url)
        answered = False
        async with request as stream, aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                if words := decode(chunk):
                    if not answered and stream.content_type == "text/html" and _HTML_PAGE.match(words):
                        raise ProtocolError(text("error.protocol", host=host, reason=stream.content_type))
                    answered = True
                    yield words
        if words := decode(b"", True):  # noqa: FBT003 - the codec takes `final` by position only
            answered = True
            yield words
        if not answered:
            raise EmptyAnswerError(text("error.empty_answer", host=host))


def _web_id(conversation_id: str) -> str:
    """Return an id of the service's form, ``s1_`` and 18 letters and digits: the same for one conversation."""
    if conversation_id:
        numbers = hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).digest()
    else:
        numbers = secrets.token_bytes()
    return "s1_" + "".join(_ID_CHARACTERS[number % len(_ID_CHARACTERS)] for number in numbers[:_ID_LENGTH])


def _browser_headers(base_url: str) -> dict[str, str]:
    # Brotli is named only if it can be read: aiohttp fails on a body that it cannot decompress.
    brotli = ", br" if find_spec("brotli") or find_spec("brotlicffi") else ""
    return {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0",
        "Accept": "application/json, text/plain, */*",
        "Accept-Language": "de,en-US;q=0.7,en;q=0.3",
        "Accept-Encoding": f"gzip, deflate{brotli}",
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
    """The ChatAnywhere API: many makers' models behind one key, in OpenAI's protocol.

    The key comes from ``CHATANYWHERE_API_KEY``. ``CHATANYWHERE_BASE_URL`` chooses the host:
    ``https://api.chatanywhere.tech/v1`` (the default; faster inside China) or
    ``https://api.chatanywhere.org/v1`` (elsewhere).
    """

    name = "chatanywhere"
    url = "https://api.chatanywhere.tech/v1"
    default_model = "gpt-4o-mini"
    key_variable = "CHATANYWHERE_API_KEY"
    url_variable = "CHATANYWHERE_BASE_URL"
    model_variable = "CHATANYWHERE_MODEL"
    key_required = True
