"""Any OpenAI-compatible endpoint: streaming chat completions.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import os
import re
from collections import deque
from contextlib import aclosing, suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from ..core import (
    APIError,
    ChatError,
    ConfigurationError,
    ConnectionFailedError,
    DeltaGenerator,
    Messages,
    MissingKeyError,
    NotFoundError,
    Notice,
    ProtocolError,
    RateLimitError,
    phrase,
    text,
)
from ..keys import Owner, find_secret, places_of
from . import defaults, lessons
from .contract import DEFAULT_TEMPERATURE, AsyncGeneratorProvider, chosen_temperature
from .dialects.choice import Dialect, in_dialect
from .parameters import Body, Parameters, adjusted
from .streaming import request_body, stream_completion
from .wire.addresses import (
    PLAIN_HTTP_VARIABLE,
    at_deployment,
    base_of,
    check_url,
    deployment_of,
    endpoint,
    host_of,
    is_azure,
    may_carry_key,
    other_form,
    place_of,
    without_password,
)
from .wire.limits import CONNECT_SECONDS, IDLE_SECONDS, Deadline, Limits
from .wire.retry import MAX_RETRIES, with_retries
from .wire.small import ask_json, model_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from ..keys import Secret
    from .contract import Completion


_ABOUT_AN_ADDRESS: Final = re.compile(
    r"not found|\b404\b|/chat/completions|/responses|cannot (?:post|get)"
    r"|(?:invalid|unknown|no such|no matching|no) (?:url|path|route|endpoint|page|resource|handler)",
    re.IGNORECASE,
)
_ABOUT_A_MODEL: Final = re.compile("model|模型|deployment", re.IGNORECASE)


class OpenAI(AsyncGeneratorProvider):
    """OpenAI, or any server that speaks its protocol.

    The key comes from ``OPENAI_API_KEY``, the address from ``OPENAI_BASE_URL``, the default model from
    ``OPENAI_MODEL``. A server at another address than OpenAI's may need no key.

    Attributes
    ----------
    key_variable, url_variable, model_variable : str
        Names of the environment variables; a subclass with its own is a new preset.
    key_header, key_prefix : str
        The request's header with the key, and what stands there before it.
    """

    name = "openai"
    url = "https://api.openai.com/v1"
    default_model = defaults.MODELS["openai"]
    supports_response_format = True
    supports_images = True
    supports_tools = True
    learns_parameters = True
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    model_variable: ClassVar[str] = "OPENAI_MODEL"
    key_required: ClassVar[bool] = False
    key_header: ClassVar[str] = "Authorization"
    key_prefix: ClassVar[str] = "Bearer "

    @classmethod
    def is_configured(cls) -> bool:
        """Whether there is a key or, if none is needed, a custom address."""
        variables = (cls.key_variable,) if cls.key_required else (cls.key_variable, cls.url_variable)
        if any(os.environ.get(variable, "").strip() for variable in variables):
            return True
        try:
            owner = cls.key_owner()
        except ConfigurationError:  # the address is invalid, and nothing else is set
            return False
        return bool(places_of(owner))

    @classmethod
    def address(cls) -> str:
        """Return the address in use; see :meth:`base_url`."""
        return cls.base_url()

    @classmethod
    def key_owner(cls) -> Owner:
        """Return the owner of its key: this provider at the address in use.

        Raises
        ------
        ConfigurationError
            If the address is invalid.
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
        if deployment := deployment_of(base_url):
            return [deployment]
        reached = cls._reached(base_url)
        ask = partial(ask_json, "GET", secret=secret, proxy=proxy, ca_bundle=ca_bundle)
        try:
            return model_names(await ask(endpoint(reached, "/models")))
        except NotFoundError as error:
            other = other_form(reached)
            if other is None:
                raise error.bare() from None
            refused = error
        try:
            names = model_names(await ask(endpoint(other, "/models")))
        except ChatError:
            raise refused.bare() from None
        cls._remember(base_url, other)
        return names

    @classmethod
    async def lists_to_anybody(cls, *, proxy: str | None = None, ca_bundle: str = "") -> bool:
        """Whether the server's list of models says nothing of a key: it is refused to nobody who brings none."""
        try:
            await ask_json("GET", endpoint(cls._reached(cls.base_url()), "/models"), proxy=proxy, ca_bundle=ca_bundle)
        except APIError as error:
            return isinstance(error, RateLimitError) or not 400 <= (error.status or 0) < 500  # noqa: PLR2004 - HTTP's own
        except ChatError:
            pass
        return True

    @classmethod
    def check(cls, model: str = "") -> None:
        """Check that there is an address and, if one is needed, a key.

        Only the server knows which models there are.

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
            raise ConfigurationError(phrase("error.model_characters", model=repr(model)))
        return model

    @classmethod
    def model_for(cls, model: str) -> str:
        """Return `model`, or the environment's default, or Azure's deployment in the address, or the class's."""
        model = model or os.environ.get(cls.model_variable, "").strip()
        if not model:
            with suppress(ConfigurationError):
                model = deployment_of(cls.base_url())
        return model or cls.default_model

    @classmethod
    def account(cls) -> str:
        """Return the address and the key's mark."""
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
        """Return the address in use: the environment's, else the class's.

        Raises
        ------
        ConfigurationError
            If it is not an http(s) URL.
        """
        own = os.environ.get(cls.url_variable, "").strip()
        return base_of(check_url(own or cls.url, cls.url_variable))

    @classmethod
    def _secret(cls, base_url: str, further: str = "") -> Secret | None:
        """Return the key for `base_url`, to send there or to a further address for the same key."""
        secret = find_secret(cls._owner(base_url))
        address = further or base_url
        if secret is not None:
            return cls._allowed(address, secret)
        if cls.key_required or address == OpenAI.url:
            raise MissingKeyError(phrase("error.no_key", provider=cls.name, variable=cls.key_variable))
        return None

    @classmethod
    def _allowed(cls, base_url: str, secret: Secret) -> Secret:
        """Return `secret`, in the header that the server wants it in, if it may go to `base_url`."""
        if not may_carry_key(base_url):
            raise ConfigurationError(
                phrase(
                    "error.key_over_http",
                    url=without_password(base_url),
                    host=host_of(base_url),
                    variable=cls.url_variable,
                    allowing=PLAIN_HTTP_VARIABLE,
                )
            )
        if is_azure(base_url):
            return secret.sent_as("api-key")
        return secret.sent_as(cls.key_header, cls.key_prefix)

    @classmethod
    async def create_delta_generator(  # noqa: PLR0913 - the contract's parameters, and three more
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float | None = DEFAULT_TEMPERATURE,
        *,
        first_timeout: float | None = None,
        idle_timeout: float = IDLE_SECONDS,
        connect_timeout: float = CONNECT_SECONDS,
        ca_bundle: str = "",
        max_retries: int = MAX_RETRIES,
        conversation_id: str = "",  # noqa: ARG003 - the protocol has no place for it
        dialect: str = "auto",
        effort: str = "",
        optional: Collection[str] = (),
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Request a streamed response.

        What the model refuses of the fields that nobody typed is left out, once and visibly, and remembered.

        Parameters
        ----------
        temperature : float, optional
            Sampling temperature; sent only if it is given, since many models take none.
        first_timeout : float, optional
            Seconds until the first text, reasoning or tool call. By default `idle_timeout` limits silence, and a
            server that keeps the connection alive has 15 minutes.
        idle_timeout : float, default 120
            Seconds of silence allowed at a time.
        connect_timeout : float, default 15
            Seconds until there is a connection.
        ca_bundle : str, optional
            A file of certificates to trust instead of the system's.
        max_retries : int, default 2
            Retries after a temporary failure, as long as the response has not started.
        dialect : {"auto", "chat", "responses"}
            The protocol: chat completions, or OpenAI's Responses. By default the first, or what the server asks for.
        effort : str, optional
            How much the model reasons: none, minimal, low, medium, high or xhigh. By default its own choice.
        optional : collection of str
            Names of further fields that may be left out where the model refuses them.
        **kwargs
            Further fields of the request's body, such as ``max_tokens`` or ``seed``, as chat completions name them.

        Yields
        ------
        Text, Reasoning, TextWasReasoning, ToolCall, Extras, Usage, Finish, ModelName or Notice
        """
        base_url = cls.base_url()
        model = cls._model(model)
        addresses = deque([cls._reached(base_url), *cls._fallback()])
        # Each must be an address that the key may be sent to.
        secret, *_ = [cls._secret(base_url, address) for address in (base_url, *cls._fallback())]
        limits = Limits(Deadline(timeout or None), first_timeout, idle_timeout, connect_timeout)

        place = cls.name, place_of(base_url), model
        typed = {*kwargs, *(("reasoning", "reasoning_effort") if effort else ())} - set(optional)

        def ask_once(spoken: Dialect, body: Body, before: ChatError | None) -> DeltaGenerator:
            if isinstance(before, ConnectionFailedError) and before.status is before.retry_after is None:
                addresses.rotate(-1)
            return stream_completion(
                endpoint(at_deployment(addresses[0], model), spoken.path),
                body,
                spoken,
                secret=secret,
                proxy=proxy,
                limits=limits,
                ca_bundle=ca_bundle,
            )

        def ask(spoken: Dialect) -> DeltaGenerator:
            options = {"effort": effort, "host": host_of(base_url), **kwargs}
            body = request_body(model, messages, chosen_temperature(temperature), options, spoken)
            return adjusted(
                Parameters(body, place, {*optional, *spoken.own} - typed),
                lambda body: with_retries(partial(ask_once, spoken, body), max_retries, limits.total),
            )

        def begin() -> DeltaGenerator:
            return in_dialect(dialect, place, ask)

        async with aclosing(_in_either_form(addresses, begin, partial(cls._remember, base_url))) as deltas:
            async for delta in deltas:
                yield delta

    @classmethod
    def whole_responses(cls, model: str, **options: Any) -> Callable[[Messages], Awaitable[Completion]]:
        """Return what asks `model` for whole responses; see :meth:`AsyncGeneratorProvider.whole_responses`."""
        from .whole import WholeResponses  # where there are many

        options.pop("max_retries", None)
        options.pop("conversation_id", None)
        return WholeResponses(cls, model, options)

    @classmethod
    def _reached(cls, base_url: str) -> str:
        """Return the form of `base_url` in which it was reached before."""
        other = other_form(base_url)
        learned = lessons.known(cls.name, place_of(base_url), "").get("path")
        return other if other is not None and learned == urlsplit(other).path else base_url

    @classmethod
    def _remember(cls, base_url: str, other: str) -> None:
        lessons.remember(cls.name, place_of(base_url), "", "path", urlsplit(other).path)


def _is_elsewhere(error: NotFoundError) -> bool:
    """Whether a server has nothing at an address, and does not just lack a model."""
    words = error.server_message
    is_address = not words or _ABOUT_AN_ADDRESS.search(words)
    return error.status == HTTPStatus.NOT_FOUND and bool(is_address) and not _ABOUT_A_MODEL.search(words)


async def _in_either_form(
    addresses: deque[str], ask: Callable[[], DeltaGenerator], remember: Callable[[str], None]
) -> DeltaGenerator:
    """Yield the deltas of ``ask()``; where the first address has nothing, ask once more in its other form."""
    begun = False
    try:
        async with aclosing(ask()) as deltas:
            async for delta in deltas:
                begun = begun or not isinstance(delta, Notice)
                yield delta
    except NotFoundError as error:
        other = other_form(addresses[0])
        if begun or other is None or not _is_elsewhere(error):
            raise error.bare() from None
        refused = error
    else:
        return
    yield Notice(text("notice.other_address", host=host_of(other), path=urlsplit(other).path or "/"))
    addresses[0] = other
    try:
        async with aclosing(ask()) as deltas:
            async for delta in deltas:
                if not begun and not isinstance(delta, Notice):
                    begun = True
                    remember(other)
                yield delta
    except (NotFoundError, ProtocolError) as error:  # it was not the address
        raise (error if begun else refused).bare() from None
