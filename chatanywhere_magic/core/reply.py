"""A response as a value: a string with its model and usage, and the code, tables and JSON in it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from .errors import AnswerFormatError
from .fences import language_of, with_outer_fences
from .i18n import phrase
from .tables import tables_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Self

    from .messages import Messages, ToolCall, Usage

_BEGINNING: Final = re.compile(r"""\[(?=[ \t\r\n]*[\["{\d\-tfnNI\]])|\{(?=[ \t\r\n]*["}])""")
_TOKEN: Final = re.compile(r"""[\[\]{}]|"(?:[^"\\]|\\.)*(?:"|\Z)""", re.DOTALL)
_DEEP: Final = 100
"""Tries for which one counts that is nested too deep."""
MAX_TRIES: Final = 1_000
"""Most places in a response at which a JSON value is looked for."""


class Code(str):
    """A block of code from a response: a string, with the language that the model named.

    Attributes
    ----------
    language : str
        As the model named it after the fence, in lower case and without what else stands there, such as a file's name;
        ``""`` if it named none.
    """

    __slots__ = ("language",)

    language: str

    def __new__(cls, source: str = "", language: str = "") -> Self:
        """Make a string that knows its language."""
        code = super().__new__(cls, source)
        code.language = language
        return code


class Reply(str):
    """A response: a string, with what is known about it.

    Attributes
    ----------
    provider, model : str
        Which provider and model answered.
    finish_reason : str
        ``stop``; ``length`` if it was cut off at the token limit; ``tool_calls`` if it ends in calls.
    usage : Usage or None
        Token counts as the provider reported them.
    tool_calls : list of ToolCall
        The model's tool calls, if ``tools`` were offered; each has ``id``, ``name`` and ``arguments``, JSON as the
        model wrote it. The string may be empty then.
    messages : list of dict
        The request's messages and the response, as ``{"role": …, "content": …}``.
    turn : int or None
        Its index in the conversation, ``chat.conversation.turns[reply.turn]``; None if it was asked without history.
    value : object
        The value parsed from the response if a form was asked for (``--json``, ``--schema``); else None.
    """

    __slots__ = ("finish_reason", "messages", "model", "provider", "tool_calls", "turn", "usage", "value")

    provider: str
    model: str
    finish_reason: str
    usage: Usage | None
    tool_calls: list[ToolCall]
    messages: Messages
    turn: int | None
    value: Any

    def __new__(  # noqa: PLR0913 - what is known
        cls,
        response: str = "",
        *,
        provider: str = "",
        model: str = "",
        finish_reason: str = "",
        usage: Usage | None = None,
        tool_calls: Iterable[ToolCall] = (),
        messages: Sequence[Any] = (),
        turn: int | None = None,
        value: Any = None,
    ) -> Self:
        """Make a string that knows what is given."""
        reply = super().__new__(cls, response)
        reply.provider = provider
        reply.model = model
        reply.finish_reason = finish_reason
        reply.usage = usage
        reply.tool_calls = list(tool_calls)
        reply.messages = list(messages)
        reply.turn = turn
        reply.value = value
        return reply

    @property
    def code(self) -> list[Code]:
        """The fenced code blocks, in order, each with its language."""
        return code_blocks(self)

    @property
    def tables(self) -> list[Any]:
        """The tables: pandas DataFrames if pandas is installed, else lists of rows, the header first.

        A column in which every cell is a plain number holds numbers; values of all others are as they are written.
        """
        return tables_in(self)

    def json(self) -> Any:
        """Return the JSON value in the response: the whole text, else a fenced block, else the first value found.

        Raises
        ------
        AnswerFormatError
            If there is none. It is a ``ValueError``, too.
        """
        return find_json(self)


def code_blocks(markdown: str) -> list[Code]:
    """Return the fenced code blocks in a Markdown text."""
    from markdown_it import MarkdownIt  # loaded with the first response that is searched, not with the extension

    tokens = MarkdownIt("commonmark").disable("inline").parse(with_outer_fences(markdown))
    fences = (token for token in tokens if token.type == "fence")
    return [Code(fence.content.removesuffix("\n"), language_of(fence.info)) for fence in fences]


def find_json(response: str) -> Any:
    """Return the JSON value in `response`, or raise ``AnswerFormatError``; see :meth:`Reply.json`."""
    for candidate in _candidates(response):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):  # noqa: PERF203 - each may be it
            continue
    decoder = json.JSONDecoder()
    at = tried = 0
    cited: list[tuple[Any, int]] = []
    """A list of numbers that may be a citation, and where it ends."""
    while tried < MAX_TRIES and (found := _BEGINNING.search(response, at)):
        tried += 1
        try:
            value, end = decoder.raw_decode(response, found.start())
        except json.JSONDecodeError as caught:
            # Whatever is open there fails there too, and whatever is closed before is a value.
            at = _first_closed(response, found.start(), caught.pos)
        except (ValueError, RecursionError):
            at = found.end()
            tried += _DEEP  # to fail a thousand levels down takes long, and the next level fails so, too
        else:
            if not _may_be_citation(value, response, found.start(), end):
                return value
            if not cited or not response[cited[0][1] : found.start()].strip(": \n"):
                cited = [(value, end)]  # the first one, or what it is the mark of
            at = end
    if cited:
        return cited[0][0]
    shown = response if len(response) <= 80 else f"{response[:79]}…"  # noqa: PLR2004 - a line
    raise AnswerFormatError(phrase("error.no_json", response=" ".join(shown.split())))


def _may_be_citation(value: Any, response: str, start: int, end: int) -> bool:
    """Tell whether a list that begins in the midst of a text may be ``[1]``, ``[2, 3]``, an index, a link or a box."""
    if not isinstance(value, list):
        return False
    if response[end : end + 1] == "(" or (start and (response[start - 1].isalnum() or response[start - 1] in "_)]")):
        return True
    if not value:
        return end - start > 2  # noqa: PLR2004 - [ ], which is a task
    are_numbers = all(type(each) is int and each > 0 for each in value)
    return are_numbers and all(before < after for before, after in pairwise(value))


def _first_closed(response: str, start: int, end: int) -> int:
    """Return where the first list or object of `answer` begins that stands in the one from `start` on.

    Up to `end` it is JSON; if nothing is closed up to there it is `end` that is returned.
    """
    opened: list[int] = []
    closed = []
    for token in _TOKEN.finditer(response, start, end):
        if token[0] in "[{":
            opened.append(token.start())
        elif token[0] in "]}" and opened:
            closed.append(opened.pop())
    return min(closed, default=max(end, start + 1))


def _candidates(response: str) -> Iterator[str]:
    yield response
    blocks = code_blocks(response)
    yield from (block for block in blocks if block.language.startswith("json"))
    yield from (block for block in blocks if not block.language)
