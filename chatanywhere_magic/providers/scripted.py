"""A provider with queued responses, for tests, demonstrations and documentation."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core import (
    ChatError,
    ConfigurationError,
    DeltaGenerator,
    Finish,
    Messages,
    ModelName,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    phrase,
)
from .contract import AsyncGeneratorProvider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self


@dataclass(frozen=True)
class Script:
    """One scripted response.

    Parameters
    ----------
    text : str or sequence of str
        The response: in these chunks or, if it is one string, word by word.
    reasoning : str
        The model's reasoning before the text.
    calls : sequence
        Calls of tools after the text, each a name and its arguments: ``[("load", {"path": "a.csv"})]``. Arguments
        that are text are sent as they are, whether they are JSON or not.
    delay : float, default 0
        Seconds before each chunk.
    finish_reason : str, default "stop"
        ``""`` leaves it out, as in a stream that is cut off.
    usage : Usage, optional
        Token counts to report.
    error : ChatError, optional
        Raised after the text instead of finishing.
    """

    text: str | Sequence[str] = ""
    reasoning: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    delay: float = 0.0
    finish_reason: str = "stop"
    usage: Usage | None = None
    error: ChatError | None = None

    @property
    def chunks(self) -> Sequence[str]:
        """The text in the chunks in which it is sent."""
        return re.findall(r"\s*\S+\s*$|\s*\S+", self.text) if isinstance(self.text, str) else self.text


class Scripted(AsyncGeneratorProvider):
    """A real provider whose responses are queued.

    Each subclass made by :meth:`of` has its own queue and its own record of requests.

    Attributes
    ----------
    requests : list
        The messages of every request.

    Examples
    --------
    >>> from chatanywhere_magic import chat, Scripted
    >>> parrot = Scripted.of("Hello!", "Hello again!")
    >>> chat.ask_sync("Hi", provider=parrot)
    'Hello!'
    """

    name = "scripted"
    default_model = "scripted"
    supports_images = True
    supports_tools = True
    requests: ClassVar[list[Messages]] = []
    _queue: ClassVar[deque[Script]] = deque()

    @classmethod
    def of(cls, *scripts: Script | str) -> type[Self]:
        """Return a new provider with `scripts` queued."""
        provider: type[Self] = type(cls.__name__, (cls,), {"requests": [], "_queue": deque()})
        provider.queue(*scripts)
        return provider

    @classmethod
    def queue(cls, *scripts: Script | str) -> None:
        """Add responses to the end of the queue."""
        cls._queue.extend(script if isinstance(script, Script) else Script(script) for script in scripts)

    @classmethod
    async def create_delta_generator(
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,  # noqa: ARG003 - the provider contract
        timeout: float | None = 120,  # noqa: ARG003 - the provider contract
        temperature: float = 0.5,  # noqa: ARG003 - the provider contract
        **kwargs: Any,  # noqa: ARG003 - the provider contract
    ) -> DeltaGenerator:
        """Yield the next scripted response.

        Yields
        ------
        Text, Reasoning, ToolCall, Usage, Finish or ModelName

        Raises
        ------
        ConfigurationError
            If the queue is empty.
        ChatError
            The script's error.
        """
        cls.requests.append(list(messages))
        if not cls._queue:
            raise ConfigurationError(phrase("error.script_empty"))
        script = cls._queue.popleft()
        yield ModelName(model or cls.default_model)
        if script.reasoning:
            await asyncio.sleep(script.delay)
            yield Reasoning(script.reasoning)
        for chunk in script.chunks:
            await asyncio.sleep(script.delay)
            yield Text(chunk)
        for number, (name, arguments) in enumerate(script.calls):
            written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            yield ToolCall(f"call{len(cls.requests):03d}{number:02d}", name, written)
        if script.usage:
            yield script.usage
        if script.error:
            raise script.error
        if script.finish_reason:
            yield Finish(script.finish_reason)
