"""The bytes of OpenAI's Responses protocol, as the server and the cases write them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MODEL: Final = "test-model"


def named(kind: str, **fields: object) -> bytes:
    """Return an event of the protocol: its type is its name, too."""
    value = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {value}\n\n".encode()


def response(status: str = "completed", **fields: object) -> dict[str, Any]:
    """Return a response object."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": MODEL,
        "output": [],
        "usage": None,
        **fields,
    }


def counted(prompt: int, completion: int) -> dict[str, Any]:
    """Return a usage object."""
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def message_item(words: str = "", status: str = "completed", **fields: object) -> dict[str, Any]:
    """Return an output item that is a message."""
    content = [{"type": "output_text", "text": words, "annotations": []}] if words else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content, **fields}


def call_item(name: str, arguments: str, call_id: str = "call_1", **fields: object) -> dict[str, Any]:
    """Return an output item that calls a function."""
    item = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "call_id": call_id}
    return {**item, "name": name, "arguments": arguments, **fields}


def reasoning_item(words: str = "", encrypted: str = "", **fields: object) -> dict[str, Any]:
    """Return an output item that is reasoning: its summary, and itself where only the server can read it."""
    summary = [{"type": "summary_text", "text": words}] if words else []
    sealed = {"encrypted_content": encrypted} if encrypted else {}
    return {"id": "rs_1", "type": "reasoning", "summary": summary, **sealed, **fields}


def begin(model: str = MODEL) -> list[bytes]:
    """Return the first events of a response."""
    return [
        named(f"response.{kind}", response=response("in_progress", model=model)) for kind in ("created", "in_progress")
    ]


def delta(words: str, *, index: int = 0, part: int = 0) -> bytes:
    """Return a piece of text."""
    return named(
        "response.output_text.delta", item_id="msg_1", output_index=index, content_index=part, delta=words, logprobs=[]
    )


def message(texts: Sequence[str], *, index: int = 0) -> list[bytes]:
    """Return the events of a message, one for each of the texts and some around them."""
    place: dict[str, Any] = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    words = "".join(texts)
    part = {"type": "output_text", "annotations": []}
    return [
        named("response.output_item.added", output_index=index, item=message_item(status="in_progress")),
        named("response.content_part.added", **place, part={**part, "text": ""}),
        *[delta(text, index=index) for text in texts],
        named("response.output_text.done", **place, text=words),
        named("response.content_part.done", **place, part={**part, "text": words}),
        named("response.output_item.done", output_index=index, item=message_item(words)),
    ]


def reasoning(pieces: Sequence[str], *, index: int = 0, encrypted: str = "") -> list[bytes]:
    """Return the events of reasoning with a summary in pieces."""
    place: dict[str, Any] = {"item_id": "rs_1", "output_index": index, "summary_index": 0}
    words = "".join(pieces)
    part = {"type": "summary_text", "text": words}
    return [
        named("response.output_item.added", output_index=index, item=reasoning_item()),
        named("response.reasoning_summary_part.added", **place, part={**part, "text": ""}),
        *[named("response.reasoning_summary_text.delta", **place, delta=piece) for piece in pieces],
        named("response.reasoning_summary_text.done", **place, text=words),
        named("response.reasoning_summary_part.done", **place, part=part),
        named("response.output_item.done", output_index=index, item=reasoning_item(words, encrypted)),
    ]


def call(name: str, pieces: Sequence[str], call_id: str = "call_1", *, index: int = 0) -> list[bytes]:
    """Return the events of a call, its arguments in pieces."""
    place: dict[str, Any] = {"item_id": f"fc_{call_id}", "output_index": index}
    arguments = "".join(pieces)
    begun = call_item(name, "", call_id, status="in_progress")
    return [
        named("response.output_item.added", output_index=index, item=begun),
        *[named("response.function_call_arguments.delta", **place, delta=piece) for piece in pieces],
        named("response.function_call_arguments.done", **place, arguments=arguments),
        named("response.output_item.done", output_index=index, item=call_item(name, arguments, call_id)),
    ]


def end(status: str = "completed", **fields: object) -> bytes:
    """Return the event that ends a response."""
    return named(f"response.{status}", response=response(status, **fields))


def cut_off(reason: str, **fields: object) -> bytes:
    """Return the event that ends a response that is not complete."""
    return end("incomplete", incomplete_details={"reason": reason}, **fields)


def numbered(events: Iterable[bytes]) -> list[bytes]:
    """Give events their sequence numbers."""
    found = itertools.count()
    return [event.replace(b'", ', b'", "sequence_number": %d, ' % next(found), 1) for event in events]


def events(*texts: object, usage: tuple[int, int] | None = (7, 3), model: str = MODEL) -> list[bytes]:
    """Return an ordinary stream, one event a piece."""
    written = [str(text) for text in texts]
    output = [message_item("".join(written))]
    last = end(output=output, usage=counted(*usage) if usage else None, model=model)
    return numbered([*begin(model), *message(written), last])


def messages_of(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the messages of a request's body, as chat completions have them."""
    found = [{"role": "system", "content": str(body["instructions"])}] if body.get("instructions") else []
    for item in body.get("input") or ():
        if isinstance(item, dict) and "role" in item:
            content = item.get("content")
            texts = [str(part.get("text", "")) for part in content] if isinstance(content, list) else [str(content)]
            found.append({"role": str(item["role"]), "content": "".join(texts)})
    return found
