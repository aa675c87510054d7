"""Whole responses, many from the same model: nobody watches them grow, so they are not streamed.

What is the same for all of them (address, key, protocol, what the model refuses) is found out once. Whatever is not as
expected goes the general way, which learns, streams and looks at everything anew.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..core import (
    AuthenticationError,
    BadRequestError,
    ChatError,
    ConnectionFailedError,
    NotFoundError,
    TimeoutExceededError,
    TooLargeError,
)
from . import lessons
from .contract import Completion, chosen_temperature, gathered
from .dialects.choice import LESSON, chosen_dialect
from .parameters import Parameters
from .streaming import request_body, whole_completion
from .wire.addresses import at_deployment, endpoint, host_of, place_of
from .wire.limits import CONNECT_SECONDS, IDLE_SECONDS, Deadline, Limits

if TYPE_CHECKING:
    from ..core import DeltaGenerator, Messages
    from .openai import OpenAI

_GAVE_UP: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT, 524})
"""How gateways say that a response took too long without a word. Streamed it may come."""
_NEVER_ANOTHER_WAY: Final = 2
"""How often in a row the general way has to help where the quick one does not, until only that one is gone."""


class WholeResponses:
    """Ask one model many times. Calling it with messages asks once, and retries nothing.

    Parameters
    ----------
    provider : type
        The provider.
    model : str
        The model's name.
    options : dict
        What :meth:`OpenAI.create_delta_generator` takes beside them.
    """

    def __init__(self, provider: type[OpenAI], model: str, options: dict[str, Any]) -> None:
        self._provider = provider
        self._model = model
        self._options = options
        self._way: _Way | None = None
        self._helped = 0
        """How often in a row the general way has helped."""
        self._hopeless: set[tuple[type[ChatError], int | None, str]] = set()
        """What the general way could not help either."""

    async def __call__(self, messages: Messages) -> Completion:
        """Return the whole response.

        Raises
        ------
        ChatError
            A refusal, a failure of the network, or a response that is incomplete or empty.
        """
        if self._helped >= _NEVER_ANOTHER_WAY:
            return await gathered(self._generally(messages))
        way = self._way = self._way or self._found()
        if way is None:
            return await gathered(self._generally(messages))
        try:
            completion = await way.ask(messages)
        except ChatError as caught:
            error = caught
        else:
            self._helped = 0
            return completion
        if isinstance(error, AuthenticationError | ConnectionFailedError):
            self._way = None  # another key or address may have been set meanwhile
        kind = type(error), error.status, getattr(error, "parameter", "")
        if not _may_be_helped(error) or kind in self._hopeless:
            raise error.bare() from None
        try:
            completion = await gathered(self._generally(messages))
        except ChatError as caught:
            if type(caught) is type(error) and not isinstance(error, TimeoutExceededError):
                self._hopeless.add(kind)
            raise caught.bare() from None
        new = self._found()
        self._helped = self._helped + 1 if new == way else 0  # else it was a lesson, by which all go on
        self._way = new
        return completion

    def _generally(self, messages: Messages) -> DeltaGenerator:
        return self._provider.create_delta_generator(self._model, messages, max_retries=0, **self._options)

    def _found(self) -> _Way | None:
        return _Way.found(self._provider, self._model, **self._options)


class _Way:
    """Where and how a model is asked, as it was found out."""

    def __init__(self, **found: Any) -> None:
        self._found = found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Way) and self._found == other._found

    __hash__ = None  # type: ignore[assignment]  # compared only

    @classmethod
    def found(  # noqa: PLR0913 - the provider's options
        cls,
        provider: type[OpenAI],
        model: str,
        *,
        proxy: str | None = None,
        timeout: float | None = None,
        temperature: float | None = None,
        first_timeout: float | None = None,
        idle_timeout: float = IDLE_SECONDS,
        connect_timeout: float = CONNECT_SECONDS,
        ca_bundle: str = "",
        dialect: str = "auto",
        effort: str = "",
        optional: tuple[str, ...] = (),
        **fields: Any,
    ) -> _Way | None:
        """Return the way to a model; None if it is to be asked the general way."""
        base_url = provider.base_url()
        if provider._fallback():  # noqa: SLF001 - it is the provider that asks here
            return None
        model = provider._model(model)  # noqa: SLF001 - the same
        place = provider.name, place_of(base_url), model
        known = lessons.known(*place)
        spoken = chosen_dialect(dialect, known.get(LESSON, "") if dialect == "auto" else "")
        if "stream" in known:
            return None
        url = endpoint(at_deployment(provider._reached(base_url), model), spoken.path)  # noqa: SLF001 - the same
        typed = {*fields, *(("reasoning", "reasoning_effort") if effort else ())} - set(optional)
        return cls(
            url=url,
            secret=provider._secret(base_url),  # noqa: SLF001 - the same
            model=model,
            place=place,
            learned={name: instead for name, instead in known.items() if name != LESSON},
            spoken=spoken,
            temperature=chosen_temperature(temperature),
            options={"effort": effort, "host": host_of(base_url), **fields},
            optional={*optional, *spoken.own} - typed,
            times=(timeout or None, first_timeout, idle_timeout, connect_timeout),
            network={"proxy": proxy, "ca_bundle": ca_bundle},
        )

    async def ask(self, messages: Messages) -> Completion:
        found = self._found
        spoken = found["spoken"]
        body = request_body(found["model"], messages, found["temperature"], found["options"], spoken)
        if found["learned"]:
            body = Parameters(body, found["place"], found["optional"]).body
        body["stream"] = False
        body.pop("stream_options", None)
        timeout, first, idle, connect = found["times"]
        limits = Limits(Deadline(timeout), first, idle, connect)
        return await whole_completion(
            found["url"], body, spoken, secret=found["secret"], limits=limits, **found["network"]
        )


def _may_be_helped(error: ChatError) -> bool:
    """Whether what learns from refusals, or a stream, may get a response where there was none."""
    if isinstance(error, BadRequestError | NotFoundError):
        return not isinstance(error, TooLargeError)
    return isinstance(error, TimeoutExceededError) or error.status in _GAVE_UP
