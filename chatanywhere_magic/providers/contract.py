"""The provider contract: the base class of every provider."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias

from ..core import (
    AsyncResult,
    DeltaGenerator,
    EmptyAnswerError,
    Finish,
    IncompleteError,
    Messages,
    ModelName,
    Text,
    TextWasReasoning,
    ToolCall,
    UnsupportedError,
    Usage,
    phrase,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ..keys import Secret


class DefaultTemperature(float):
    """A temperature that nobody chose: a provider whose service has a default of its own does not send it."""


DEFAULT_TEMPERATURE: Final = DefaultTemperature(0.5)


def chosen_temperature(temperature: float | None) -> float | None:
    """Return `temperature` if somebody chose it, else None."""
    return None if isinstance(temperature, DefaultTemperature) else temperature


class Completion(NamedTuple):
    """A whole response: its text, why it ended, and what it took."""

    text: str
    finish_reason: str
    usage: Usage | None = None
    model: str = ""


async def gathered(deltas: DeltaGenerator) -> Completion:
    """Return the whole response that `deltas` are.

    Raises
    ------
    ChatError
        If they end without a finish, or hold no text.
    """
    async with aclosing(deltas):
        return completion_of([delta async for delta in deltas])


def completion_of(deltas: Iterable[Any]) -> Completion:
    """Return what `deltas` are together; see :func:`gathered`."""
    words: list[str] = []
    finish = model = ""
    usage: Usage | None = None
    for delta in deltas:
        if isinstance(delta, Text):
            words.append(delta.text)
        elif isinstance(delta, TextWasReasoning):
            words.clear()
        elif isinstance(delta, Finish):
            finish = delta.reason
        elif isinstance(delta, Usage):
            usage = delta
        elif isinstance(delta, ModelName):
            model = delta.name
    if not finish:
        raise IncompleteError(phrase("error.incomplete", host=model))
    if not (said := "".join(words)).strip():
        raise EmptyAnswerError(phrase("error.empty_answer", host=model))
    return Completion(said, finish, usage, model)


class AsyncGeneratorProvider:
    """Base class of every provider: never instantiated, its responses are async generators.

    A subclass implements one of two methods and inherits the other:

    - :meth:`create_async_generator`, the public face, yields text;
    - :meth:`create_delta_generator` yields typed deltas (text, reasoning, usage, finish reason, notices).

    Attributes
    ----------
    name : str
        What ``-p`` takes, and what the footer shows.
    url : str
        The service's address.
    working : bool
        Whether the service answers the public.
    supports_message_history : bool
        Whether earlier messages are understood. If not, only the last one is sent.
    supports_images : bool
        Whether a message's content may hold pictures, as parts in OpenAI's form.
    supports_response_format : bool
        Whether it takes ``response_format`` in OpenAI's form, and keeps its answers to a JSON schema.
    supports_tools : bool
        Whether it takes ``tools`` in OpenAI's form, and yields a ``ToolCall`` for each call of the model.
    learns_parameters : bool
        Whether :meth:`create_delta_generator` takes ``optional``: the names of fields that nobody typed, to be left
        out where the model refuses them.
    default_model : str
        Used when no model is named; ``""`` lets the provider choose.
    """

    name: ClassVar[str] = ""
    url: ClassVar[str] = ""
    working: ClassVar[bool] = True
    supports_gpt_35_turbo: ClassVar[bool] = False
    supports_message_history: ClassVar[bool] = True
    supports_response_format: ClassVar[bool] = False
    supports_images: ClassVar[bool] = False
    supports_tools: ClassVar[bool] = False
    learns_parameters: ClassVar[bool] = False
    default_model: ClassVar[str] = ""

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = DEFAULT_TEMPERATURE,
        **kwargs: Any,
    ) -> AsyncResult:
        """Ask `model`, and yield the response's text as it arrives.

        Parameters
        ----------
        model : str
            The model's name; ``""`` for the provider's default.
        messages : list of dict
            The conversation, oldest first, as ``{"role": …, "content": …}``.
        proxy : str, optional
            URL of an HTTP proxy. By default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, …).
        timeout : float, default 120
            Seconds for the whole response; None or 0, as in aiohttp, for no limit.
        temperature : float, default 0.5
            Sampling temperature. OpenAI-compatible providers send it only if it is given: many models take none.
        **kwargs
            Further parameters of the provider.

        Yields
        ------
        str
            Text, never empty.

        Raises
        ------
        ChatError
            In one of its kinds. If it comes after the first chunk, the response is not complete.
        """
        if cls.create_delta_generator.__func__ is AsyncGeneratorProvider.create_delta_generator.__func__:  # type: ignore[attr-defined]  # mypy does not know that a bound classmethod has __func__
            msg = f"{cls.__name__} implements neither create_async_generator nor create_delta_generator"
            raise TypeError(msg)
        deltas = cls.create_delta_generator(
            model, messages, proxy=proxy, timeout=timeout, temperature=temperature, **kwargs
        )
        has_text = False
        calls: list[str] = []
        async with aclosing(deltas):
            async for delta in deltas:
                if isinstance(delta, Text):
                    has_text = True
                    yield delta.text
                elif isinstance(delta, ToolCall):
                    calls.append("".join(filter(str.isprintable, delta.name)))
        if calls and not has_text:  # which text cannot say
            raise UnsupportedError(phrase("error.tool_calls", names=", ".join(calls)))

    @classmethod
    async def create_delta_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,
        timeout: float | None = 120,
        temperature: float = DEFAULT_TEMPERATURE,
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Ask `model` and yield typed deltas; the last one of a complete response is a ``Finish``.

        Parameters and errors are those of :meth:`create_async_generator`. This default wraps it: a
        generator that ends without an error has said that the response is whole.

        Yields
        ------
        Text, Reasoning, ToolCall, Usage, Finish, ModelName or Notice
        """
        chunks = cls.create_async_generator(
            model, messages, proxy=proxy, timeout=timeout, temperature=temperature, **kwargs
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield Text(_checked(chunk))
        yield Finish("stop")

    @classmethod
    def whole_responses(cls, model: str, **options: Any) -> Callable[[Messages], Awaitable[Completion]]:
        """Return what asks `model` for whole responses, again and again with the same `options`.

        For many prompts, of which nobody reads the responses as they come. The options are those of
        :meth:`create_delta_generator`, which by default is what it calls. It retries nothing.
        """

        async def ask(messages: Messages) -> Completion:
            return await gathered(cls.create_delta_generator(model, messages, **options))

        return ask

    @classmethod
    def model_for(cls, model: str) -> str:
        """Return the model that is meant by `model`, where ``""`` stands for the one of choice."""
        return model or cls.default_model

    @classmethod
    def shown_model(cls, model: str) -> str:
        """Return the name of the model that will answer, as far as it is known, where `model` is asked for."""
        return cls.model_for(model)

    @classmethod
    def context_tokens(cls, model: str) -> int | None:  # noqa: ARG003 - the contract
        """Return how many tokens prompt and response may have together, if the provider itself knows."""
        return None

    @classmethod
    def advice(cls, model: str, prompt: str) -> str:  # noqa: ARG003 - the contract
        """Return what a person should know of `model` who asks it `prompt`; it is said once. ``""`` for nothing."""
        return ""

    @classmethod
    def daily_requests(cls, model: str) -> int | None:  # noqa: ARG003 - the contract
        """Return how many requests a day the service's free key allows, if there is such a limit."""
        return None

    @classmethod
    async def count_tokens(cls, model: str, texts: Sequence[str]) -> list[int] | None:  # noqa: ARG003 - the contract
        """Return the model's token count of each of `texts` if it is available instantly, else None.

        Called before every request, to fit the conversation into the context.
        """
        return None

    @classmethod
    async def takes_tools(cls, model: str) -> bool:  # noqa: ARG003 - the contract
        """Whether `model` can call tools, as far as that is known before it is asked."""
        return cls.supports_tools

    @classmethod
    def account(cls) -> str:
        """Return an identifier of the account at the service that does not reveal the key.

        Limits learned from a refusal apply to this account only.
        """
        return ""

    @classmethod
    def address(cls) -> str:
        """Return the service's address; a provider with several returns the one in use."""
        return cls.url

    @classmethod
    async def list_models(
        cls,
        *,
        secret: Secret | None = None,  # noqa: ARG003 - for those that need a key
        proxy: str | None = None,  # noqa: ARG003 - for those that are asked over the network
        ca_bundle: str = "",  # noqa: ARG003 - the same
    ) -> list[str]:
        """Return the names of the available models; by default, the default model only.

        Parameters
        ----------
        secret : Secret, optional
            A key to try instead of the saved one.
        proxy, ca_bundle : str, optional
            As in :meth:`create_async_generator`.

        Raises
        ------
        ChatError
            If the service cannot be reached, or refuses.
        """
        return [cls.default_model] if cls.default_model else []

    @classmethod
    def about_model(cls, model: str) -> str:  # noqa: ARG003 - the contract
        """Return further information about a model for the user, such as the path of its file."""
        return ""

    @classmethod
    def is_configured(cls) -> bool:
        """Whether this provider is set up here, correctly or not; :meth:`check` says what is wrong.

        Called when no provider is named: it must be quick and not use the network.
        """
        return True

    @classmethod
    def secrets(cls) -> tuple[Secret, ...]:
        """Return the provider's keys, which must never be part of a prompt."""
        return ()

    @classmethod
    def check(cls, model: str = "") -> None:
        """Check that this provider can be asked for `model`, before anything is recorded.

        It must be quick and not use the network. By default, nothing is wrong.

        Raises
        ------
        ConfigurationError
            If something is missing; the message says what to do.
        """


def _checked(chunk: object) -> str:
    """Return what a provider's generator yielded, if it is text."""
    if not isinstance(chunk, str):
        msg = f"it yielded {type(chunk).__name__} instead of str"
        raise TypeError(msg)
    return chunk


Provider: TypeAlias = type[AsyncGeneratorProvider]
