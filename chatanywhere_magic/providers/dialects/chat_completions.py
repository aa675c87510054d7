"""Chat completions: messages to a body, and chunks to deltas in the variants that real servers write. No I/O.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...core import Notice, Usage, encodable_content, text
from ..wire.refusals import api_error, is_telling
from .effort import effort_fields
from .reader import Call, ResponseReader, cached_count, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

    from ...core import Delta, MessageDict, Messages
    from ...keys import Secret
    from ..wire.budget import AnswerBudget

PATH: Final = "/chat/completions"
OWN: Final = frozenset({"stream_options"})
"""What a request holds though nobody asked for it."""
_NOT_FIELDS: Final = frozenset({"model", "effort", "host"})
_FIRST: Final = (0, None, "0")
"""The first choice's index, as servers write it. One response was asked for, and never a mixture is shown."""
_COUNTING: Final = 2
"""An index that was counted up to this counts tokens, as TGI's did, and no choices."""
_PART_KINDS: Final = {
    "text": "text",
    "output_text": "text",
    "thinking": "thinking",
    "reasoning": "thinking",
    "refusal": "refusal",
}
_REASONING: Final = ("reasoning_content", "reasoning")
_OTHERS_EXTRAS: Final = frozenset({"response_items"})
"""What only another dialect of the same server understands."""
_KEPT: Final = ("extra_content",)
"""Fields of a message that a server wants back whenever it sent them: Gemini's signatures."""
_KEPT_OF_CALLS: Final = ("extra_content", "provider_specific_fields", "thought_signature")


# --- the request ----------------------------------------------------------------------------------------------------


def encode(messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON body of a streamed chat completion.

    Parameters
    ----------
    messages : list of dict
        The conversation.
    options : mapping
        ``model``; ``effort``, and ``host``, by which it is worded; all others are fields of the body.
    """
    further = {name: value for name, value in options.items() if name not in _NOT_FIELDS}
    if further.get("temperature", 0) is None:  # the service's own
        del further["temperature"]
    effort = effort_fields(str(options.get("effort") or ""), str(options.get("host") or ""))
    return {
        "model": options.get("model", ""),
        "messages": [_as_sent(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **effort,
        **further,
    }


def _as_sent(message: MessageDict) -> dict[str, Any]:
    """Return `message` as it is sent; one of the model's own that only calls tools has no content."""
    sent = {name: value for name, value in message.items() if name not in _OTHERS_EXTRAS}
    if (content := message.get("content")) is not None:
        sent["content"] = encodable_content(content)
    return sent


# --- the response ---------------------------------------------------------------------------------------------------


class CompletionReader(ResponseReader):
    """Chunks of a chat completion in, deltas out."""

    def __init__(self, host: str, secret: Secret | None, **options: Any) -> None:
        super().__init__(host, secret, **options)
        self._open_calls: dict[int, Call] = {}
        """Those that pieces still come for, by the index that the server gives them."""
        self._was_early = False
        """Whether a finish reason does not count, because text followed it."""
        self._counted: bool | None = None
        """Whether the choices' index counts tokens; None while nobody can know."""
        self._index = self._pieces_at_zero = 0
        self._waiting: list[tuple[dict[str, Any], str]] = []
        """Choices that may still turn out to be the first one."""
        self._said: dict[str, list[str]] = {}
        """Reasoning by the name of its field."""
        self._details: list[dict[str, Any]] = []
        self._kept: dict[str, Any] = {}

    @classmethod
    def of(cls, body: Mapping[str, Any], host: str, secret: Secret | None, budget: AnswerBudget) -> Self:
        """Return the reader of what answers the request with this `body`."""
        messages = body.get("messages") or []
        calls = [len(each.get("tool_calls") or ()) for each in messages if each.get("role") == "assistant"]
        return cls(
            host,
            secret,
            takes_calls=bool(body.get("tools") or body.get("functions")),
            budget=budget,
            calls_before=sum(calls),
            in_tool_turn=bool(calls and calls[-1]),
        )

    @property
    def finished(self) -> bool:
        """Whether the server gave a finish reason. One that gives it with every chunk has to say ``[DONE]``, too."""
        return bool(self._finish_reason) and (self.done or not self._was_early)

    def _read_object(self, value: dict[str, Any], data: str, name: str, deltas: list[Delta]) -> None:  # noqa: ARG002 - chunks have no names
        if value.get("error") or value.get("object") == "error" or value.get("type") == "error":
            raise api_error(value, host=self.host, secret=self._secret)
        self._take_model(value.get("model"), deltas)
        progress = value.get("prompt_progress")  # llama.cpp, when asked for it
        if isinstance(progress, dict) and (share := _progress(progress)):
            deltas.append(Notice(share))
        choices = value.get("choices")
        if choices:
            self._read_choices(choices, data, deltas)
        elif choices is None and is_telling(value):
            self._odd = value
        if (usage := _usage(value, choices)) is not None:
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
            index = choice.get("index")
            if index in _FIRST:
                self._pieces_at_zero += 1
                if self._index:  # it did not count after all
                    self._counted = False
                    self._waiting.clear()
            elif self._counted is not True:
                self._look_at_index(index, choice, data, deltas, is_alone=len(choices) == 1)
                continue
            self._take_choice(choice, data, deltas)

    def _look_at_index(
        self, index: object, choice: dict[str, Any], data: str, deltas: list[Delta], *, is_alone: bool
    ) -> None:
        """Take in a choice that is either another one than was asked for, or the next token of the only one."""
        if self._counted is False or not is_alone or index != self._index + 1 or self._pieces_at_zero > 1:
            self._counted = False
            self._waiting.clear()
            return
        self._index += 1
        self._waiting.append((choice, data))
        if self._index >= _COUNTING:
            self._counted = True
            self._take_waiting(deltas)

    def _take_waiting(self, deltas: list[Delta]) -> None:
        waiting, self._waiting = self._waiting, []
        for choice, data in waiting:
            self._take_choice(choice, data, deltas)

    def _take_choice(self, choice: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        if choice.get("error"):  # a router, when the model behind it fails
            raise api_error(choice, host=self.host, secret=self._secret)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # A whole message where nothing streams; text alone is how completions are written that are no chats.
            delta = choice.get("message") or {"content": delta or choice.get("text")}
        if isinstance(delta, dict):
            self._read_delta(delta, data, deltas)
        if (reason := choice.get("finish_reason")) and isinstance(reason, str):
            self._finish_reason = reason

    def _read_delta(self, delta: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        content = delta.get("content")
        if content is None or isinstance(content, str):  # most hold text and nothing else
            words, thinking, refusal = content or "", "", ""
        elif isinstance(content, list):
            self._budget.check_pieces(len(content))
            words, thinking, refusal = _sorted_parts(content)
        else:  # 42 where "42" was meant, for example
            raise self.protocol_error('content: "…"', data)
        if len(delta) > 1 or not isinstance(content, str):
            self._read_fields(delta, thinking, refusal, deltas)
        if words:
            self._go_on(words)
            self._take_words(words, deltas)

    def _read_fields(self, delta: dict[str, Any], thinking: str, refusal: str, deltas: list[Delta]) -> None:
        """Read what a delta holds beside its text."""
        reasoning = ""
        for name in _REASONING:
            if isinstance(said := delta.get(name), str):
                self._said.setdefault(name, []).append(said)
                reasoning = reasoning or said
        if isinstance(details := delta.get("reasoning_details"), list):
            self._budget.check_pieces(len(details))
            reasoning = reasoning or "".join(map(_detail_text, details))
            self._take_details(details)
        if reasoning := reasoning or thinking:
            self._go_on(reasoning)
            self._take_reasoning(reasoning, deltas)
        for name in _KEPT:
            if delta.get(name):
                self._kept[name] = _merged(self._kept.get(name), delta[name])
        self._take_refusal(_parts(delta.get("refusal"), "text") + refusal)
        if calls := delta.get("tool_calls"):
            self._take_tool_calls(calls)
        if function := delta.get("function_call"):  # how it was before there were several
            self._take_tool_calls([{"function": function}])

    def _go_on(self, words: str) -> None:
        """Take note that text comes: an earlier finish reason does not count."""
        if self._finish_reason and not words.isspace():
            self._finish_reason = ""
            self._was_early = True

    def _take_details(self, details: list[Any]) -> None:
        """Put OpenRouter's reasoning details together, which have to be sent back as if they had come whole."""
        for detail in details:
            if not isinstance(detail, dict):
                continue
            last = self._details[-1] if self._details else {}
            place = ("type", "index")
            field = _DETAIL_TEXTS.get(str(detail.get("type")), "")
            sizes = [len(each) for each in (detail.get("data"), detail.get(field)) if isinstance(each, str)]
            self._budget.take_characters(sum(sizes))
            goes_on = field and last and all(last.get(name) == detail.get(name) for name in place)
            if not goes_on:
                self._details.append({**detail, **({field: [detail[field]]} if field in detail else {})})
                continue
            words = last.setdefault(field, [])
            last.update({name: value for name, value in detail.items() if name != field and value is not None})
            if field in detail:
                words.append(detail[field])

    def _take_tool_calls(self, calls: object) -> None:
        """Put the pieces of tool calls together: the name comes first, then its arguments bit by bit."""
        if not isinstance(calls, list):
            return
        self._budget.check_pieces(len(calls))
        for place, call in enumerate(calls):
            if not isinstance(call, dict):
                continue
            index = count(call.get("index"))
            index = place if index is None else index
            function = call.get("function")
            fields = {"id": call.get("id"), **(function if isinstance(function, dict) else {})}
            if isinstance(fields.get("arguments"), dict | list):  # LiteLLM and others, where JSON in a string is meant
                fields["arguments"] = json.dumps(fields["arguments"], ensure_ascii=False)
            if fields.get("name") or fields.get("arguments"):
                self._go_on("a call")
            known = self._open_calls.get(index)
            if known is None or _is_another(fields, known):
                known = self._open_calls[index] = self._begin_call()
            self._budget.take_characters(_add(fields, known))
            for name in _KEPT_OF_CALLS:
                if call.get(name):
                    known.extras[name] = _merged(known.extras.get(name), call[name])

    def flush(self) -> Iterator[Delta]:
        """Yield what was held back until more should come."""
        deltas: list[Delta] = []
        if self._counted is None and not self._pieces_at_zero:
            self._take_waiting(deltas)  # the only choice that ever came
        yield from deltas
        yield from super().flush()

    def _extras(self) -> dict[str, Any]:
        """Return what the server wants back: Gemini's signatures, OpenRouter's details, the reasoning before calls."""
        fields = dict(self._kept)
        if self._details:
            fields["reasoning_details"] = list(map(_joined, self._details))
        elif self._tool_calls or self._in_tool_turn:
            # DeepSeek refuses a turn with calls without it. Elsewhere nobody wants it back.
            fields |= {name: "".join(said) for name, said in self._said.items()}
        return fields


_DETAIL_TEXTS: Final = {"reasoning.text": "text", "reasoning.summary": "summary"}


def _detail_text(detail: object) -> str:
    field = _DETAIL_TEXTS.get(str(detail.get("type")), "") if isinstance(detail, dict) else ""
    words = detail.get(field) if isinstance(detail, dict) else ""
    return words if isinstance(words, str) else ""


def _joined(detail: dict[str, Any]) -> dict[str, Any]:
    field = _DETAIL_TEXTS.get(str(detail.get("type")), "")
    words = detail.get(field)
    return {**detail, field: "".join(map(str, words))} if isinstance(words, list) else detail


def _merged(before: Any, new: Any) -> Any:
    """Return an opaque value with what a later piece adds to it."""
    if isinstance(before, dict) and isinstance(new, dict):
        before.update(new)
        return before
    return new


def _is_another(fields: dict[str, Any], known: Call) -> bool:
    """Whether `fields` begin a call of their own, though the server gives it the index of the `known` one.

    Some give every call index 0, or none, or the same id. Others give every piece of a call its own id, but only the
    first a name; or name the tool again with every piece.
    """
    if not fields.get("name"):
        return False
    if known.id and fields.get("id") and fields["id"] != known.id and known.name:
        return True
    return bool(fields.get("arguments")) and known.is_complete


def _add(fields: dict[str, Any], call: Call) -> int:
    """Take a piece of a call in, and return of how many characters it is."""
    new_id, name, arguments = (
        value if isinstance(value := fields.get(field), str) else "" for field in ("id", "name", "arguments")
    )
    call.id = new_id or call.id
    if not call.arguments and name != call.name:
        # Some send it in pieces, some all of it so far.
        call.name = name if name.startswith(call.name) else call.name + name
    if arguments:
        call.arguments.append(arguments)
    return len(new_id) + len(name) + len(arguments)


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
            prompt, completion = (count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
            return Usage(prompt, completion, cached_count(usage))
    return None


def _progress(progress: dict[str, Any]) -> str:
    total, cached, processed = (count(progress.get(name)) or 0 for name in ("total", "cache", "processed"))
    if not cached <= processed < total:
        return ""
    return text("notice.reading_prompt", percent=100 * (processed - cached) // (total - cached))
