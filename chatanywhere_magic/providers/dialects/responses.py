"""OpenAI's Responses protocol, stateless: messages to input items, and named events to deltas. No I/O.

Wire format: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...core import StreamError, Text, TextWasReasoning, Usage, encodable, phrase
from ..wire.refusals import api_error, is_telling
from .reader import MAX_COUNT, Call, ResponseReader, cached_count, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from typing_extensions import Self

    from ...core import Delta, MessageDict, Messages
    from ...keys import Secret
    from ..wire.budget import AnswerBudget

PATH: Final = "/responses"
OWN: Final = frozenset({"include", "reasoning", "reasoning.summary", "store"})
"""What a request holds though nobody asked for it."""
ITEMS: Final = "response_items"
"""The field of an assistant's message that holds its output items in order: reasoning as it came, and the places of
texts and calls."""
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_TRANSLATED: Final = frozenset(
    {
        *_LIMITS,
        "model",
        "host",
        "effort",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "text",
        "verbosity",
        "tools",
        "functions",
        "tool_choice",
        "stream_options",
        "summary",
    }
)
_UNREASONING: Final = ("gpt-3.5", "gpt-4", "chatgpt-4o")
"""Models that refuse to be asked for their reasoning, for they have none."""


# --- the request ----------------------------------------------------------------------------------------------------


def encode(messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON body of a streamed response that the server does not keep.

    Parameters
    ----------
    messages : list of dict
        The conversation, as chat completions have it.
    options : mapping
        ``model``, ``effort``, and fields under the names that they have in chat completions (``max_tokens``,
        ``tools``, ``response_format``), which are translated; all others go along as they are.
    """
    model = str(options.get("model") or "")
    instructions, following = _instructions(messages)
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in following for item in _items(message)],
        "stream": True,
        "store": False,
    }
    if instructions:
        body["instructions"] = instructions
    reasoning = _reasoning(model, options)
    if reasoning:
        body |= {"reasoning": reasoning, "include": [_ENCRYPTED]}
    limit = next((options[name] for name in _LIMITS if options.get(name) is not None), None)
    if limit is not None:
        body["max_output_tokens"] = limit
    if text := _text_options(options):
        body["text"] = text
    tools = [*(options.get("tools") or ()), *(options.get("functions") or ())]
    if tools:
        body["tools"] = [_flat(tool) for tool in tools]
    if (choice := options.get("tool_choice")) is not None:
        body["tool_choice"] = _flat(choice) if isinstance(choice, dict) else choice
    further = {name: value for name, value in options.items() if name not in _TRANSLATED}
    if further.get("temperature", 0) is None:  # the service's own
        del further["temperature"]
    return {**body, **further}


def _reasoning(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    effort = options.get("effort") or options.get("reasoning_effort")
    own = options.get("reasoning")
    if not effort and not own and model.rpartition("/")[2].startswith(_UNREASONING):
        return {}
    return {**({"effort": effort} if effort else {}), "summary": "auto", **(own if isinstance(own, dict) else {})}


def _text_options(options: Mapping[str, Any]) -> dict[str, Any]:
    own = options.get("text")
    text = dict(own) if isinstance(own, dict) else {}
    form = options.get("response_format")
    if isinstance(form, dict):
        schema = form.get("json_schema")
        text["format"] = {"type": form.get("type"), **(schema if isinstance(schema, dict) else {})}
    if verbosity := options.get("verbosity"):
        text["verbosity"] = verbosity
    return text


def _flat(tool: Any) -> Any:
    """Return a tool, or the choice of one, as this protocol has it: without a level for its function."""
    if not isinstance(tool, dict):
        return tool
    function = tool.get("function")
    if isinstance(function, dict):
        return {**{name: value for name, value in tool.items() if name != "function"}, **function}
    return {"type": "function", **tool}


def _instructions(messages: Messages) -> tuple[str, Messages]:
    """Return the system prompts that come first, and the messages after them."""
    first = next((n for n, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages))
    prompts = [_plain(message.get("content")) for message in messages[:first]]
    if first == len(messages):  # an input is demanded
        return "", messages
    return "\n\n".join(filter(None, prompts)), messages[first:]


_SYSTEM: Final = ("system", "developer")


def _items(message: MessageDict) -> Iterator[dict[str, Any]]:
    """Yield the input items of a message."""
    role: str = message["role"]
    if role == "tool":
        output = _plain(message.get("content"))
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id", ""), "output": output}
    elif role == "assistant":
        yield from _assistant_items(message)
    else:
        yield {"type": "message", "role": role, "content": _content(message.get("content"))}


def _assistant_items(message: MessageDict) -> Iterator[dict[str, Any]]:
    """Yield what a message of the model's consists of: in the order in which it came, where that is known."""
    said = _plain(message.get("content"))
    calls = {str(call.get("id")): _call_item(call) for call in message.get("tool_calls") or ()}
    kept: Any = message.get(ITEMS)
    items = [item for item in kept if isinstance(item, dict)] if isinstance(kept, list) else []
    sizes = [count(item.get("size")) or 0 for item in items if item.get("type") == "message"]
    is_whole = sum(sizes) == len(said)
    for item in items:
        kind = item.get("type")
        if kind == "message":
            size = count(item.get("size")) or 0
            words, said = (said[:size], said[size:]) if is_whole else (said, "")
            if words:
                yield _said(words, item.get("phase"))
        elif kind == "function_call":
            if (call := calls.pop(str(item.get("call_id")), None)) is not None:
                yield call
        else:
            yield item
    if said:
        yield _said(said)
    yield from calls.values()


def _said(words: str, phase: object = None) -> dict[str, Any]:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]}
    return {**message, "phase": phase} if phase else message


def _call_item(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "type": "function_call",
        "call_id": str(call.get("id") or ""),
        "name": function.get("name", ""),
        "arguments": function.get("arguments", ""),
    }


def _content(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": encodable(content)}]
    return [_input(part) for part in content or ()]


def _input(part: dict[str, Any]) -> dict[str, Any]:
    if isinstance(words := part.get("text"), str):
        return {"type": "input_text", "text": encodable(words)}
    picture = part.get("image_url")
    if isinstance(picture, dict):
        detail = {"detail": picture["detail"]} if picture.get("detail") else {}
        return {"type": "input_image", "image_url": picture.get("url", ""), **detail}
    return part


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return encodable(content)
    return encodable("".join(part["text"] for part in content or () if isinstance(part.get("text"), str)))


# --- the response ---------------------------------------------------------------------------------------------------

_ENDS: Final = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_STATUSES: Final = frozenset(_ENDS.values())
_REASONS: Final = {"max_output_tokens": "length", "max_tokens": "length"}
_REASONING: Final = {
    "response.reasoning_summary_text": "summary",
    "response.reasoning_summary": "summary",
    "response.reasoning_text": "text",
    "response.reasoning": "text",
}


class ResponsesReader(ResponseReader):
    """Events of a response in, deltas out. Only one of the events that end it makes it whole."""

    def __init__(self, host: str, secret: Secret | None, **options: Any) -> None:
        super().__init__(host, secret, **options)
        self._parts: set[tuple[object, ...]] = set()
        """Parts that have begun: by the kind of their item, its index, and theirs in it."""
        self._reasoning_kind = ""
        """Which of both comes: the reasoning itself, or a summary of it."""
        self._open_calls: dict[object, Call] = {}
        """Those that pieces still come for, by the places of their items."""
        self._items: dict[tuple[object, ...], dict[str, Any]] = {}
        """What is kept of the items, by kind and place."""
        self._message: dict[str, Any] = {}
        """What is kept of the message whose text is arriving."""
        self._limit: int | None = None
        """The most tokens that were asked for."""

    @classmethod
    def of(cls, body: Mapping[str, Any], host: str, secret: Secret | None, budget: AnswerBudget) -> Self:
        """Return the reader of what answers the request with this `body`."""
        items = [item for item in body.get("input") or () if isinstance(item, dict)]
        calls = sum(item.get("type") == "function_call" for item in items)
        reader = cls(host, secret, takes_calls=bool(body.get("tools")), budget=budget, calls_before=calls)
        reader._limit = count(body.get("max_output_tokens"))
        return reader

    def _read_object(  # noqa: C901 - a list of cases
        self, value: dict[str, Any], data: str, name: str, deltas: list[Delta]
    ) -> None:
        kind = value.get("type")
        if not isinstance(kind, str):
            kind = name if name.startswith("response.") else ""
        if kind == "error" or value.get("object") == "error" or (value.get("error") and "output" not in value):
            raise api_error(value, host=self.host, secret=self._secret)
        before, _, what = kind.rpartition(".")
        response = value.get("response")
        if isinstance(response, dict):
            self._take_model(response.get("model"), deltas)
        if what == "delta":
            self._take_delta(before, value, data, deltas)
        elif kind in _ENDS:
            self._end(_ENDS[kind], response if isinstance(response, dict) else value, data, deltas)
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            if isinstance(item := value.get("item"), dict):
                self._take_item(item, _place(value, item), data, deltas, is_done=what == "done")
        elif what == "done":
            self._take_part(before, value, data, deltas)
        elif kind == "response.reasoning_summary_part.added":
            if self._reasoning_kind == "summary":
                self._take_reasoning("\n\n", deltas)
        elif not kind and (value.get("object") == "response" or isinstance(value.get("output"), list)):
            self._take_model(value.get("model"), deltas)  # a whole response where nothing streams
            status = value.get("status")
            self._end(status if isinstance(status, str) else "", value, data, deltas)
        elif not kind and is_telling(value):
            self._odd = value

    def _take_delta(self, kind: str, value: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        delta = value.get("delta")
        if isinstance(delta, dict):
            delta = delta.get("text")
        place = _place(value)
        if kind == "response.output_text":
            if not isinstance(delta, str):
                raise self.protocol_error('delta: "…"', data)
            self._parts.add(("message", place, _part(value)))
            self._say(place, delta, deltas)
        elif not isinstance(delta, str):
            return
        elif kind == "response.refusal":
            self._parts.add(("message", place, _part(value)))
            self._take_refusal(delta)
        elif kind in _REASONING:
            self._parts.add((place, _REASONING[kind], _part(value)))
            self._think(_REASONING[kind], delta, deltas)
        elif kind == "response.function_call_arguments":
            self._budget.take_characters(len(delta))
            self._call(place, "").arguments.append(delta)

    def _take_part(self, kind: str, value: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        """Take in a complete part that the server did not stream."""
        place = _place(value)
        if kind == "response.function_call_arguments":
            call = self._call(place, "")
            call.name = _string(value.get("name")) or call.name
            self._take_arguments(call, value.get("arguments"))
        elif kind in _REASONING:
            self._take_thought(place, _REASONING[kind], _part(value), value.get("text"), deltas)
        elif kind in {"response.output_text", "response.refusal"}:
            field = kind.rpartition(".")[2].removeprefix("output_")
            self._take_content({"type": field, field: value.get(field)}, place, _part(value), data, deltas)

    def _take_item(self, item: dict[str, Any], place: object, data: str, deltas: list[Delta], *, is_done: bool) -> None:
        kind = item.get("type")
        if kind == "function_call":
            call = self._call(place, _string(item.get("call_id")) or _string(item.get("id")))
            call.name = _string(item.get("name")) or call.name
            if is_done:
                self._take_arguments(call, item.get("arguments"))
        elif kind == "message":
            kept = self._items.setdefault((kind, place), {"type": kind, "size": 0})
            if phase := item.get("phase"):
                kept["phase"] = phase
            if is_done:
                self._take_contents(item.get("content"), place, data, deltas)
        elif kind == "reasoning" and is_done:
            self._items[kind, place] = item
            self._budget.take_characters(len(_string(item.get("encrypted_content"))))
            for name, which in (("summary", "summary"), ("content", "text")):
                thoughts = item.get(name)
                for index, each in enumerate(thoughts if isinstance(thoughts, list) else ()):
                    if isinstance(each, dict):
                        self._take_thought(place, which, index, each.get("text"), deltas)

    def _take_contents(self, contents: object, place: object, data: str, deltas: list[Delta]) -> None:
        if isinstance(contents, str):
            contents = [{"type": "text", "text": contents}]
        if not isinstance(contents, list):
            return
        self._budget.check_pieces(len(contents))
        for index, each in enumerate(contents):
            if isinstance(each, dict):
                self._take_content(each, place, index, data, deltas)

    def _take_content(self, part: dict[str, Any], place: object, index: int, data: str, deltas: list[Delta]) -> None:
        known = ("message", place, index)
        if known in self._parts:
            return
        kind = part.get("type")
        if kind in {"output_text", "text"} and part.get("text") is not None:
            if not isinstance(part["text"], str):
                raise self.protocol_error('text: "…"', data)
            self._parts.add(known)
            self._say(place, part["text"], deltas)
        elif kind == "refusal":
            self._parts.add(known)
            self._take_refusal(_string(part.get("refusal")))

    def _take_thought(self, place: object, kind: str, index: int, words: object, deltas: list[Delta]) -> None:
        if (place, kind, index) not in self._parts and isinstance(words, str) and words:
            self._parts.add((place, kind, index))
            self._think(kind, words, deltas)

    def _think(self, kind: str, words: str, deltas: list[Delta]) -> None:
        """Take in reasoning. Where a server sends it and a summary of it, the first is enough."""
        if kind == (self._reasoning_kind or kind):
            self._reasoning_kind = kind
            self._take_reasoning(words, deltas)

    def _say(self, place: object, words: str, deltas: list[Delta]) -> None:
        self._message = self._items.setdefault(("message", place), {"type": "message", "size": 0})
        self._take_words(words, deltas)

    def _call(self, place: object, call_id: str) -> Call:
        """Return the call at a place, and give it its id. Without indices, another id means another call."""
        known = self._open_calls.get(place)
        if known is None or (call_id and known.id and call_id != known.id):
            known = self._open_calls[place] = self._begin_call()
            self._items["function_call", place, len(self._tool_calls)] = {"type": "function_call", "call": known}
        known.id = call_id or known.id
        return known

    def _take_arguments(self, call: Call, arguments: object) -> None:
        """Take in arguments that are whole."""
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str) and arguments and not call.is_complete:
            self._budget.take_characters(len(arguments))
            call.arguments = [arguments]

    def _end(self, status: str, response: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        """Take in the last word about the response, and what of it was not streamed."""
        own = response.get("status")
        if isinstance(own, str) and own in _STATUSES:
            status = own
        output = response.get("output")
        if isinstance(output, list):
            self._budget.check_pieces(len(output))
            self._take_missing(output, data, deltas)
        usage = _usage(response.get("usage"))
        if usage is not None:
            deltas.append(usage)
        if status not in _STATUSES:
            return
        self.done = True
        if status == "failed":
            if response.get("error"):
                raise api_error({"error": response["error"]}, host=self.host, secret=self._secret)
            raise StreamError(phrase("error.stream", host=self.host, said=""))
        details = response.get("incomplete_details")
        reason = _string(details.get("reason")) if isinstance(details, dict) else ""
        used = usage.completion_tokens if usage is not None else None
        is_full = self._limit is not None and used is not None and used >= self._limit
        if status == "completed" and is_full:  # llama.cpp calls that complete, too
            self._finish_reason = "length"
        elif status == "incomplete":
            self._finish_reason = _REASONS.get(reason, reason or "length")
        else:
            self._finish_reason = "stop" if status == "completed" else status

    def _take_missing(self, output: list[Any], data: str, deltas: list[Delta]) -> None:
        """Take in the items that were not streamed."""
        streamed = {str(kind) for kind, *_ in self._items}
        calls = {call.id for call in self._tool_calls}
        for index, item in enumerate(output):
            kind = _string(item.get("type")) if isinstance(item, dict) else ""
            is_known = _string(item.get("call_id")) in calls if kind == "function_call" else kind in streamed
            if kind and not is_known:
                self._take_item(item, index if not streamed else f"end {index}", data, deltas, is_done=True)

    def _take_words(self, words: str, deltas: list[Delta]) -> None:
        before = len(deltas)
        super()._take_words(words, deltas)
        self._measure(deltas[before:])

    def flush(self) -> Iterator[Delta]:
        """Yield what was held back until more should come."""
        deltas = list(super().flush())
        self._measure(deltas)
        yield from deltas

    def _measure(self, deltas: Sequence[Delta]) -> None:
        """Note how long the text of the message is that comes now: several in one response stay apart."""
        for delta in deltas:
            if isinstance(delta, TextWasReasoning):
                for item in self._items.values():
                    if item["type"] == "message":
                        item["size"] = 0
            elif isinstance(delta, Text) and self._message:
                self._message["size"] += len(delta.text)

    def _extras(self) -> dict[str, Any]:
        """Return the items in order, if there is reasoning that can be sent back."""
        items = [item for _, item in sorted(self._items.items(), key=_order)]
        kept = [_kept(item) for item in items if item["type"] != "reasoning" or _can_go_back(item)]
        has_more = any(item.get("type") == "reasoning" or item.get("phase") for item in kept)
        return {ITEMS: kept} if has_more else {}


def _order(entry: tuple[tuple[object, ...], Any]) -> int:
    place = entry[0][1]
    return place if isinstance(place, int) else MAX_COUNT  # by numbers, else as they came


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    if item["type"] != "function_call":
        return item
    call: Call = item["call"]
    return {"type": "function_call", "call_id": call.id}


def _can_go_back(item: dict[str, Any]) -> bool:
    """Whether reasoning says something to a server that keeps nothing."""
    return bool(item.get("encrypted_content") or item.get("content"))


def _place(value: Mapping[str, Any], item: Mapping[str, Any] | None = None) -> object:
    """Return the place of an item. Some servers give every event of an item another id, some number nothing."""
    index = count(value.get("output_index"))
    if index is not None:
        return index
    named = item or {}
    return _string(value.get("item_id")) or _string(named.get("id")) or _string(named.get("call_id"))


def _part(value: Mapping[str, Any]) -> int:
    index = count(value.get("content_index"))
    return index if index is not None else count(value.get("summary_index")) or 0


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = (
        usage.get(ours) if usage.get(ours) is not None else usage.get(other)
        for ours, other in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    )
    return Usage(count(prompt), count(completion), cached_count(usage))
