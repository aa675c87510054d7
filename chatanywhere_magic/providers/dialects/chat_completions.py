"""Decode chunks of a chat completion into deltas, without I/O, in the variants that real servers write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...core import (
    ChatError,
    ContentFilterError,
    Delta,
    EmptyAnswerError,
    Finish,
    IncompleteError,
    ModelName,
    Notice,
    ProtocolError,
    Reasoning,
    RefusalError,
    StreamError,
    Text,
    ToolCall,
    UnsupportedError,
    Usage,
    encodable,
    phrase,
    text,
)
from ...keys import AnswerRedactor
from ..wire.budget import AnswerBudget
from ..wire.refusals import MAX_CODE_WORDS, MAX_SERVER_WORDS, api_error, is_telling, printable_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...keys import Secret
    from ..wire.sse import Event

_decode: Final = json.JSONDecoder().raw_decode
_DONE: Final = "[DONE]"
_LONGEST_DONE: Final = 20
"""Characters of it with quotes around it, and some more: a response's chunks need not be looked at for it."""
MAX_NAME_CHARACTERS: Final = 200
MAX_COUNT: Final = 10**12
"""More tokens than any response has. What is more is no count, and neither a database nor JSON may hold it."""
MAX_REFUSAL_CHARACTERS: Final = 100_000
"""Of a refusal so much is kept, of which its first words are shown."""
_FIRST: Final = (0, None, "0")
"""The first choice's index, as servers write it. One response was asked for, and never a mixture is shown."""
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
_CALLING: Final = frozenset({"function_call", "stop"})
"""How some servers finish what is nothing but calls of tools."""
_PART_KINDS: Final = {
    "text": "text",
    "output_text": "text",
    "thinking": "thinking",
    "reasoning": "thinking",
    "refusal": "refusal",
}


class CompletionReader:
    """Event data in, deltas out; remembers whether the response was said to be finished.

    Parameters
    ----------
    takes_calls : bool, default False
        Whether tools were offered, so that a response may be nothing but calls of them.
    budget : AnswerBudget, optional
        What the response may cost; by default one of its own.
    """

    def __init__(
        self, host: str, secret: Secret | None, *, takes_calls: bool = False, budget: AnswerBudget | None = None
    ) -> None:
        self.host = host
        self._budget = budget if budget is not None else AnswerBudget(host)
        self._takes_calls = takes_calls
        self.done = False
        """Whether ``[DONE]`` came."""
        self.has_answer = False
        """Whether the first word came, be it text, reasoning, a refusal or a part of a tool call."""
        self.has_events = False
        self._secret = secret
        self._finish_reason = ""
        self._has_text = False
        self._refused: list[str] = []
        self._tool_calls: list[_Call] = []
        self._open_calls: dict[int, _Call] = {}
        """Those that pieces still come for, by the index that the server gives them."""
        self._half = ""
        self._model = ""
        self._odd: object = None
        """A chunk without choices, which may turn out to tell why nothing else came."""
        self._answer = AnswerRedactor(secret)
        self._reasoning = AnswerRedactor(secret)

    @property
    def finished(self) -> bool:
        """Whether the server gave a finish reason."""
        return bool(self._finish_reason)

    def read(self, event: Event) -> Iterator[Delta]:
        """Read one event."""
        data = event.data.strip()
        if self.done:
            return
        if event.name == "error":
            raise api_error(_parsed(data), host=self.host, secret=self._secret)
        if not data:  # an event without data keeps the connection alive
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
        yield from self.read_value(value, data)

    def read_value(self, chunk: object, data: str) -> Iterator[Delta]:
        """Read one chunk of a stream, or a whole completion where no stream was to be had; `data` is its JSON."""
        deltas: list[Delta] = []
        try:
            self._read_chunk(chunk, data, deltas)
        except RecursionError:  # it was parsed, but is nested too deeply for anything else
            raise self.protocol_error("JSON", data) from None
        except ChatError:
            yield from deltas  # what came before what is wrong
            raise
        yield from deltas

    def _read_chunk(self, chunk: object, data: str, deltas: list[Delta]) -> None:
        if isinstance(chunk, list) and chunk and isinstance(chunk[0], dict) and chunk[0].get("error"):
            chunk = chunk[0]  # Google's errors
        if not isinstance(chunk, dict):
            raise self.protocol_error("object", data)
        self.has_events = True
        if chunk.get("error") or chunk.get("object") == "error" or chunk.get("type") == "error":
            raise api_error(chunk, host=self.host, secret=self._secret)
        if (model := chunk.get("model")) and model != self._model and isinstance(model, str):
            self._model = model
            deltas.append(ModelName(self._shown(model, MAX_NAME_CHARACTERS)))
        progress = chunk.get("prompt_progress")  # llama.cpp, when asked for it
        if isinstance(progress, dict) and (share := _progress(progress)):
            deltas.append(Notice(share))
        choices = chunk.get("choices")
        if choices:
            self._read_choices(choices, data, deltas)
        elif choices is None and is_telling(chunk):
            self._odd = chunk
        if (usage := _usage(chunk, choices)) is not None:
            deltas.append(usage)

    def _read_choices(self, choices: object, data: str, deltas: list[Delta]) -> None:
        """Read what belongs to the one response. What has no known form may belong to it, so it is not passed over."""
        if not isinstance(choices, list):
            raise self.protocol_error("choices: […]", data)
        self._budget.check_pieces(len(choices))
        for choice in choices:
            if not choice:
                continue
            if not isinstance(choice, dict):
                raise self.protocol_error("choices: [{…}]", data)
            if choice.get("index") not in _FIRST:
                continue
            if choice.get("error"):  # a router, when the model behind it fails
                raise api_error(choice, host=self.host, secret=self._secret)
            self._read_choice(choice, data, deltas)

    def _read_choice(self, choice: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # A whole message where nothing streams; text alone is how completions are written that are no chats.
            delta = choice.get("message") or {"content": delta or choice.get("text")}
        if isinstance(delta, dict):
            self._read_delta(delta, data, deltas)
        if (reason := choice.get("finish_reason")) and isinstance(reason, str):
            self._finish_reason = reason
        self.has_answer = self.has_answer or self._has_text or bool(self._refused or self._tool_calls)

    def _read_delta(self, delta: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        content = delta.get("content")
        if content is None or isinstance(content, str):  # most hold text and nothing else
            words, thinking, refusal = content or "", "", ""
        elif isinstance(content, list):
            self._budget.check_pieces(len(content))
            words, thinking, refusal = _sorted_parts(content)
        else:  # 42 where "42" was meant, for example
            raise self.protocol_error('content: "…"', data)
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or thinking
        if reasoning and isinstance(reasoning, str):
            self.has_answer = True
            self._budget.take_characters(len(reasoning))
            if shown := self._reasoning.feed(encodable(reasoning)):
                deltas.append(Reasoning(shown))
        self._take_refusal(_parts(delta.get("refusal"), "text") + refusal)
        if calls := delta.get("tool_calls"):
            self._take_tool_calls(calls)
        if function := delta.get("function_call"):  # how it was before there were several
            self._take_tool_calls([{"function": function}])
        if words := self._whole(words):
            self._has_text = True
            self._budget.take_characters(len(words))
            if shown := self._answer.feed(words):
                deltas.append(Text(shown))

    def _take_refusal(self, refusal: str) -> None:
        if refusal:
            self._budget.take_characters(len(refusal))
            self._refused.append(refusal)

    def _take_tool_calls(self, calls: object) -> None:
        """Put the pieces of tool calls together: the name comes first, then its arguments bit by bit."""
        if not isinstance(calls, list):
            return
        self._budget.check_pieces(len(calls))
        for place, call in enumerate(calls):
            if not isinstance(call, dict):
                continue
            index = _count(call.get("index"))
            index = place if index is None else index
            function = call.get("function")
            fields = {"id": call.get("id"), **(function if isinstance(function, dict) else {})}
            known = self._open_calls.get(index)
            if known is None or _is_another(fields, known):
                self._budget.take_call()
                known = self._open_calls[index] = _Call()
                self._tool_calls.append(known)
            self._budget.take_characters(known.take(fields))

    def _whole(self, words: str) -> str:
        """Return `words` in whole characters: servers that count in UTF-16 split an emoji between two chunks."""
        if words.isascii() and not self._half:
            return words
        words = self._half + words
        self._half = words[-1:] if "\ud800" <= words[-1:] <= "\udbff" else ""
        return encodable(words.removesuffix(self._half))

    def flush(self) -> Iterator[Delta]:
        """Yield what was held back until more should come."""
        if reasoning := self._reasoning.flush():
            yield Reasoning(reasoning)
        if words := self._answer.flush():
            yield Text(words)

    def finish(self) -> Iterator[Delta]:
        """Yield what remains and the finish, or raise if the response that was read is not a good one."""
        yield from self.flush()
        for call in self._tool_calls if self.finished else ():  # else the last of them may be half a call
            yield ToolCall(self._redacted(call.id), self._redacted(call.name), self._redacted("".join(call.arguments)))
        if error := self._failure():
            raise error
        only_calls = self._tool_calls and not self._has_text and self._finish_reason in _CALLING
        yield Finish("tool_calls" if only_calls else self._shown(self._finish_reason, MAX_CODE_WORDS))

    def _failure(self) -> ChatError | None:  # noqa: PLR0911 - a list of cases
        """Return what is wrong with the response that was read to its end; None if it is a good one."""
        host = self.host
        reason = self._finish_reason.lower()
        if not self.finished and not self.has_answer and self._odd is not None:
            return api_error(self._odd, host=host, secret=self._secret)
        if not self.has_events:
            return EmptyAnswerError(phrase("error.empty_answer", host=host))
        if not reason:
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


class _Call:
    """A call of a tool whose pieces still come."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []

    def take(self, fields: dict[str, Any]) -> int:
        """Take a piece in, and return of how many characters it is."""
        new_id, name, arguments = (
            value if isinstance(value := fields.get(field), str) else "" for field in ("id", "name", "arguments")
        )
        self.id = new_id or self.id
        self.name = name or self.name
        if arguments:
            self.arguments.append(arguments)
        return len(new_id) + len(name) + len(arguments)


def _parsed(data: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


def _is_another(fields: dict[str, Any], known: _Call) -> bool:
    """Whether `fields` begin a call of their own, though the server gives it the index of the `known` one.

    Some give every call index 0, or none. Others give every piece of a call its own id, but only the first a name.
    """
    return bool(known.id and fields.get("id") and fields["id"] != known.id and fields.get("name"))


def _parts(content: object, kind: str) -> str:
    """Return what a delta's content holds of one kind: text if it is a string, else the parts of that kind."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    if not isinstance(content, list):
        return ""
    return "".join(_part_text(part) for part in content if _part_kind(part) == kind)


def _sorted_parts(content: object) -> tuple[str, str, str]:
    """Return the text, the thinking and the refusal that a delta's content holds."""
    return _parts(content, "text"), _parts(content, "thinking"), _parts(content, "refusal")


def _part_kind(part: object) -> str:
    if isinstance(part, str):
        return "text"
    if not isinstance(part, dict):
        return ""
    kind = part.get("type", "text")
    return _PART_KINDS.get(kind, "") if isinstance(kind, str) else ""


def _part_text(part: str | dict[str, Any]) -> str:
    if isinstance(part, str):
        return part
    for name in ("text", "thinking", "reasoning", "refusal"):
        value = part.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):  # Mistral's thinking is a list of parts in its turn
            return _parts(value, "text")
    return ""


def _usage(chunk: dict[str, Any], choices: object) -> Usage | None:
    """Return the token counts of a chunk, wherever servers put them."""
    for place in (chunk, chunk.get("x_groq"), choices[0] if isinstance(choices, list) and choices else None):
        if isinstance(place, dict) and isinstance(usage := place.get("usage"), dict):
            return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    return None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _progress(progress: dict[str, Any]) -> str:
    total, cached, processed = (_count(progress.get(name)) or 0 for name in ("total", "cache", "processed"))
    if not cached <= processed < total:
        return ""
    return text("notice.reading_prompt", percent=100 * (processed - cached) // (total - cached))
