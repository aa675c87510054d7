"""What the readers of all dialects have in common: deltas out, and the truth about how the response ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...core import (
    ChatError,
    ContentFilterError,
    Delta,
    EmptyAnswerError,
    Extras,
    Finish,
    IncompleteError,
    ModelName,
    ProtocolError,
    Reasoning,
    RefusalError,
    StreamError,
    Text,
    TextWasReasoning,
    ToolCall,
    UnsupportedError,
    encodable,
    phrase,
    text,
)
from ...keys import AnswerRedactor
from ..wire.budget import AnswerBudget
from ..wire.refusals import MAX_CODE_WORDS, MAX_SERVER_WORDS, api_error, printable_words
from .thinking import ThinkSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Self

    from ...keys import Secret
    from ..wire.sse import Event
    from .thinking import Piece

_decode: Final = json.JSONDecoder().raw_decode
_DONE: Final = "[DONE]"
_LONGEST_DONE: Final = 20
"""Characters of it with quotes around it, and some more: a response's chunks need not be looked at for it."""
MAX_NAME_CHARACTERS: Final = 200
MAX_COUNT: Final = 10**12
"""More tokens than any response has. What is more is no count, and neither a database nor JSON may hold it."""
MAX_REFUSAL_CHARACTERS: Final = 100_000
"""How much of a refusal is kept; its first words are shown."""
_WITHHELD: Final = frozenset({"content_filter", "safety", "recitation", "prohibited_content", "blocklist", "sensitive"})
_FAILED: Final = frozenset(
    {
        "error",  # gateways, when the model behind them fails
        "insufficient_system_resource",  # DeepSeek
        "network_error",  # Zhipu
        "abort",  # SGLang and vLLM
        "aborted",
        "cancelled",
        "failed",
        "timeout",
    }
)
_MOST_JOINED: Final = 100
"""Pieces of arguments that are joined to see whether they are whole, each time that a piece names its tool again."""
_CALLING: Final = frozenset({"function_call", "stop", "tool_use", "end_turn"})
"""How some servers finish what calls tools."""


class ResponseReader:
    """Events in, deltas out; remembers whether the response was said to be finished.

    Parameters
    ----------
    takes_calls : bool, default False
        Whether tools were offered, so that a response may be nothing but calls of them.
    budget : AnswerBudget, optional
        What the response may cost; by default one of its own.
    calls_before : int, default 0
        How many calls of tools the request holds: ids that a server leaves out begin after them.
    in_tool_turn : bool, default False
        Whether the response follows the results of calls.
    """

    def __init__(
        self,
        host: str,
        secret: Secret | None,
        *,
        takes_calls: bool = False,
        budget: AnswerBudget | None = None,
        calls_before: int = 0,
        in_tool_turn: bool = False,
    ) -> None:
        self.host = host
        self._budget = budget if budget is not None else AnswerBudget(host)
        self._takes_calls = takes_calls
        self._calls_before = calls_before
        self._in_tool_turn = in_tool_turn
        self.done = False
        """Whether nothing more belongs to the response."""
        self.has_answer = False
        """Whether the first word came, be it text, reasoning, a refusal or a part of a tool call."""
        self.has_events = False
        self._secret = secret
        self._finish_reason = ""
        self._has_text = False
        self._refused: list[str] = []
        self._tool_calls: list[Call] = []
        self._half = ""
        self._model = ""
        self._odd: object = None
        """An object that is no part of a response, and may turn out to tell why nothing else came."""
        self._thinking = ThinkSplitter()
        self._answer = AnswerRedactor(secret)
        self._reasoning = AnswerRedactor(secret)

    @classmethod
    def of(cls, body: Mapping[str, Any], host: str, secret: Secret | None, budget: AnswerBudget) -> Self:
        """Return the reader of what answers the request with this `body`."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """Whether the server said that the response is over."""
        return bool(self._finish_reason)

    def read(self, event: Event) -> Iterator[Delta]:
        """Read one event."""
        data = event.data.strip()
        if self.done:
            return
        if event.name == "error":
            raise api_error(_parsed(data), host=self.host, secret=self._secret)
        # An event without data, or with a comment in its place, keeps the connection alive.
        if not data or data[0] == ":":
            return
        if len(data) < _LONGEST_DONE and data.strip('"').upper() == _DONE:
            self.done = True
            return
        self._budget.take_event()
        self._budget.check_event(len(data))
        self._budget.check_values(data)
        try:
            value, end = _decode(data)
        except (ValueError, RecursionError):
            end = -1
        if end != len(data):
            raise self.protocol_error("JSON", data)
        yield from self.read_value(value, data, event.name)

    def read_value(self, value: object, data: str, name: str = "") -> Iterator[Delta]:
        """Read one object of a stream, or a whole response where no stream was to be had; `data` is its JSON."""
        deltas: list[Delta] = []
        try:
            if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("error"):
                value = value[0]  # Google's errors
            if not isinstance(value, dict):
                raise self.protocol_error("object", data)
            self.has_events = True
            self._read_object(value, data, name, deltas)
        except RecursionError:  # it was parsed, but is nested too deeply for anything else
            raise self.protocol_error("JSON", data) from None
        except ChatError:
            yield from deltas  # what came before what is wrong
            raise
        yield from deltas

    def _read_object(self, value: dict[str, Any], data: str, name: str, deltas: list[Delta]) -> None:
        """Read one object, whose event has this name."""
        raise NotImplementedError

    # --- pieces of the response ---------------------------------------------------------------------------------

    def _take_model(self, model: object, deltas: list[Delta]) -> None:
        if model and model != self._model and isinstance(model, str):
            self._model = model
            deltas.append(ModelName(self._shown(model, MAX_NAME_CHARACTERS)))

    def _take_words(self, words: str, deltas: list[Delta]) -> None:
        words = self._whole(words)
        if words:
            self.has_answer = True
            self._budget.take_characters(len(words))
            self._take_pieces(self._thinking.feed(words), deltas)

    def _take_reasoning(self, words: str, deltas: list[Delta]) -> None:
        if words:
            self._budget.take_characters(len(words))
            self._take_pieces([("reasoning", encodable(words))], deltas)

    def _take_pieces(self, pieces: Iterable[Piece], deltas: list[Delta]) -> None:
        for kind, words in pieces:
            self.has_answer = True
            if kind == "reasoning":
                if shown := self._reasoning.feed(words):
                    deltas.append(Reasoning(shown))
            elif kind == "text":
                self._has_text = self._has_text or not words.isspace()
                if shown := self._answer.feed(words):
                    deltas.append(Text(shown))
            else:
                if shown := self._answer.flush():
                    deltas.append(Text(shown))
                deltas.append(TextWasReasoning())
                self._has_text = False

    def _take_refusal(self, refusal: str) -> None:
        if refusal:
            self.has_answer = True
            self._budget.take_characters(len(refusal))
            self._refused.append(refusal)

    def _begin_call(self) -> Call:
        self.has_answer = True
        self._budget.take_call()
        self._tool_calls.append(call := Call())
        return call

    def _whole(self, words: str) -> str:
        """Return `words` in whole characters: servers that count in UTF-16 split an emoji between two chunks."""
        if words.isascii() and not self._half:
            return words
        words = self._half + words
        self._half = words[-1:] if "\ud800" <= words[-1:] <= "\udbff" else ""
        return encodable(words.removesuffix(self._half))

    # --- the end ------------------------------------------------------------------------------------------------

    def flush(self) -> Iterator[Delta]:
        """Yield what was held back until more should come."""
        deltas: list[Delta] = []
        self._take_pieces(self._thinking.flush(), deltas)
        yield from deltas
        if reasoning := self._reasoning.flush():
            yield Reasoning(reasoning)
        if words := self._answer.flush():
            yield Text(words)

    def finish(self) -> Iterator[Delta]:
        """Yield what remains and the finish, or raise if the response that was read is not a good one."""
        yield from self.flush()
        if self.finished:  # else the last call may be half of one
            yield from self._calls()
            if (fields := self._extras()) and (extras := self._owned(fields)):
                yield extras
        if error := self._failure():
            raise error
        calls = self._tool_calls and (self._takes_calls or not self._has_text)
        only_calls = calls and self._finish_reason.lower() in _CALLING
        yield Finish("tool_calls" if only_calls else self._shown(self._finish_reason, MAX_CODE_WORDS))

    def _calls(self) -> Iterator[Delta]:
        """Yield the calls, each with an id of its own."""
        used: set[str] = set()
        for number, call in enumerate(self._tool_calls, self._calls_before):
            # Nine letters and digits, for Mistral takes nothing else.
            if not call.id or call.id in used:
                call.id = f"call{number:05d}"
            used.add(call.id)
            arguments = "".join(call.arguments)
            extras = self._owned(call.extras) if call.extras else None
            yield ToolCall(
                self._redacted(call.id), self._redacted(call.name), self._redacted(arguments) or "{}", extras
            )

    def _extras(self) -> dict[str, Any]:
        """Return what the server wants back untouched with the message."""
        return {}

    def _owned(self, fields: Mapping[str, Any]) -> Extras | None:
        """Return fields as what goes back, None if they are nothing that could be kept and sent."""
        try:
            written = json.dumps(fields, ensure_ascii=False, allow_nan=False)
            # A key in them would stand in the database, and half a character cannot.
            kept = encodable(self._redacted(written))
            found = dict(fields) if kept == written else json.loads(kept)
        except (ValueError, RecursionError):
            return None
        return Extras("", "", found)  # whose they are is known to who asked

    def _failure(self) -> ChatError | None:  # noqa: PLR0911 - a list of cases
        """Return what is wrong with the response that was read to its end; None if it is a good one."""
        host = self.host
        reason = self._finish_reason.lower()
        if not self.finished and not self.has_answer and self._odd is not None:
            return api_error(self._odd, host=host, secret=self._secret)
        if not self.has_events:
            return EmptyAnswerError(phrase("error.empty_answer", host=host))
        if not self.finished:
            return IncompleteError(phrase("error.incomplete", host=host))
        if reason in _WITHHELD:
            return ContentFilterError(phrase("error.content_filter", host=host))
        if reason in _FAILED:
            return StreamError(phrase("error.stream", host=host, said=""))
        if refusal := "".join(self._refused)[:MAX_REFUSAL_CHARACTERS]:
            shown = self._shown(refusal)
            return RefusalError(phrase("error.refusal", words=shown), server_message=shown)
        if self._tool_calls and not self._has_text:
            if self._takes_calls:
                return None
            names = ", ".join(call.name for call in self._tool_calls)
            return UnsupportedError(phrase("error.tool_calls", names=self._shown(names)))
        if not self._has_text:
            return EmptyAnswerError(phrase("error.empty_answer", host=host))
        return None

    def _redacted(self, words: str) -> str:
        redactor = AnswerRedactor(self._secret)
        return redactor.feed(words) + redactor.flush()

    def _shown(self, words: str, limit: int = MAX_SERVER_WORDS) -> str:
        """Return the model's or the server's words as one printable line."""
        return printable_words(words, self._secret, limit)

    def protocol_error(self, expected: str, data: str) -> ProtocolError:
        """Return the error for `data` that should have been something else."""
        shown = self._shown(data[: 2 * MAX_SERVER_WORDS])
        message = text("error.bad_event", host=self.host, expected=expected, data=repr(shown[:80]))
        return ProtocolError(message, server_message=shown)


class Call:
    """A call of a tool whose pieces still come."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.extras: dict[str, Any] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the arguments so far are a whole object."""
        if (
            len(self.arguments) > _MOST_JOINED
            or not self.arguments[-1:]
            or not self.arguments[-1].rstrip().endswith("}")
        ):
            return False
        written = "".join(self.arguments)
        try:
            return isinstance(json.loads(written), dict)
        except (ValueError, RecursionError):
            return False


def count(value: object) -> int | None:
    """Return `value` if it can be a count of tokens."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def cached_count(usage: Mapping[str, Any]) -> int | None:
    """Return the tokens of a prompt that a server had read before, wherever it counts them."""
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    places = (details if isinstance(details, dict) else {}, usage)
    return next((found for place in places for name in _CACHED if (found := count(place.get(name))) is not None), None)


_CACHED: Final = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")


def _parsed(data: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data
