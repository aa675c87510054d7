"""Which dialect a model is asked in: the person's choice, or what its server has asked for."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...core import BadRequestError, ChatError, ConfigurationError, NotFoundError, Notice, phrase, text
from .. import lessons
from . import chat_completions, responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...core import DeltaGenerator, Messages
    from .reader import ResponseReader


class Dialect(NamedTuple):
    """A wire format: two pure things, and where they go.

    Parameters
    ----------
    name : str
        What ``%config ChatSession.dialect`` takes.
    path : str
        Below the server's address.
    encode : callable
        Messages and options to a request's body.
    reader : type
        Events of the response to deltas; one is made for each response.
    own : frozenset of str
        The fields that a request holds though nobody asked for them.
    """

    name: str
    path: str
    encode: Callable[[Messages, Mapping[str, Any]], dict[str, Any]]
    reader: type[ResponseReader]
    own: frozenset[str]


CHAT: Final = Dialect(
    "chat", chat_completions.PATH, chat_completions.encode, chat_completions.CompletionReader, chat_completions.OWN
)
RESPONSES: Final = Dialect("responses", responses.PATH, responses.encode, responses.ResponsesReader, responses.OWN)
DIALECTS: Final = {dialect.name: dialect for dialect in (CHAT, RESPONSES)}
LESSON: Final = "dialect"
"""By what name the dialect that a server asked for is remembered."""
_POINTER: Final = re.compile(r"v1/responses\b|\bresponses (?:api|endpoint)\b", re.IGNORECASE)


def chosen_dialect(name: str, learned: str = "") -> Dialect:
    """Return the dialect called `name`; for ``"auto"`` the one that was `learned`, else chat completions.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    if name == "auto":
        return DIALECTS.get(learned, CHAT)
    if name not in DIALECTS:
        known = ", ".join(("auto", *DIALECTS))
        raise ConfigurationError(phrase("error.dialect", name=name, known=known))
    return DIALECTS[name]


async def in_dialect(
    name: str, place: tuple[str, str, str], ask: Callable[[Dialect], DeltaGenerator]
) -> DeltaGenerator:
    """Yield the deltas of ``ask(dialect)``; a refusal that points to the other dialect is followed, once.

    Parameters
    ----------
    name : str
        ``"auto"``, or the dialect to use in any case.
    place : tuple of str
        Provider, address and model, for which it is remembered.
    ask : callable
        Makes the generator of a request in a dialect.

    Yields
    ------
    Text, Reasoning, TextWasReasoning, ToolCall, Extras, Usage, Finish, ModelName or Notice
    """
    dialect = chosen_dialect(name, lessons.known(*place).get(LESSON, "") if name == "auto" else "")
    begun = False
    try:
        async with aclosing(ask(dialect)) as deltas:
            async for delta in deltas:
                begun = begun or not isinstance(delta, Notice)
                yield delta
            return
    except ChatError as error:
        if begun or name != "auto" or dialect is not CHAT or not _points_to_responses(error):
            raise
    yield Notice(text("notice.responses_dialect", model=place[2]))
    begun = False
    async with aclosing(ask(RESPONSES)) as deltas:
        async for delta in deltas:
            if not begun and not isinstance(delta, Notice):
                begun = True
                lessons.remember(*place, LESSON, RESPONSES.name)
            yield delta


def _points_to_responses(error: ChatError) -> bool:
    """Whether a server refused a chat completion and named the Responses protocol instead."""
    return isinstance(error, BadRequestError | NotFoundError) and bool(_POINTER.search(error.server_message))
