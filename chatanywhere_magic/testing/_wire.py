"""The bytes that the cases are made of: HTTP's framing, server-sent events, chunks of a chat completion."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
PLAIN: Final = "text/plain"
HTML: Final = "text/html"
DONE: Final = b"data: [DONE]\n\n"
QUICKLY: Final = {"retry-after-ms": "1"}
"""So that a case about something else does not wait for a pause between attempts."""
HTML_PAGE: Final = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Please log in</body></html>"


def chunk(content: object = None, finish: str | None = None, *, usage: object = None, **delta: object) -> bytes:
    """Return one chunk of a streamed completion as JSON; `delta` holds further fields of the delta."""
    if content is not None:
        delta = {**delta, "content": content}
    return whole([{"index": 0, "delta": delta, "finish_reason": finish}], usage=usage)


def whole(choices: object, *, usage: object = None, **fields: object) -> bytes:
    """Return one chunk as JSON with `choices` and further fields as they are given."""
    value: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "test-model",
        "choices": choices,
        **({} if usage is None else {"usage": usage}),
        **fields,
    }
    return json.dumps(value, ensure_ascii=False).encode()


def tokens(prompt: int, completion: int) -> dict[str, int]:
    """Return a usage object."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(content: object, finish: str | None = "stop", **fields: object) -> bytes:
    """Return a completion that is not streamed."""
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "test-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
        **fields,
    }
    return json.dumps(value, ensure_ascii=False).encode()


def event(data: bytes, *, end: bytes = b"\n", name: bytes = b"") -> bytes:
    """Frame `data`, of one line, as a server-sent event."""
    return (b"event: " + name + end if name else b"") + b"data: " + data + end + end


def events(*texts: object, finish: str | None = "stop", done: bool = True, end: bytes = b"\n") -> list[bytes]:
    """Return an ordinary stream, one event a piece: the texts, the finish, ``[DONE]``."""
    pieces = [event(chunk("", role="assistant"), end=end)]
    pieces += [event(chunk(text), end=end) for text in texts]
    if finish is not None:
        pieces.append(event(chunk(None, finish), end=end))
    if done:
        pieces.append(event(b"[DONE]", end=end))
    return pieces


def split(body: bytes, *at: int) -> list[bytes]:
    """Cut `body` at these places."""
    edges = [0, *at, len(body)]
    return [body[start:stop] for start, stop in itertools.pairwise(edges)]


def every(body: bytes, size: int) -> list[bytes]:
    """Cut `body` into pieces of `size` bytes."""
    return [body[start : start + size] for start in range(0, len(body), size)]


def error(message: str, kind: str = "", code: object = None) -> bytes:
    """Return OpenAI's error object as JSON."""
    return as_json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def as_json(value: object) -> bytes:
    """Return `value` as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def head(kind: str = EVENTS, *lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    """Return a status line and headers, byte for byte."""
    return "\r\n".join((status, f"Content-Type: {kind}", *lines, "", "")).encode()


def chunked(pieces: Iterable[bytes], *, last: bool = True) -> list[bytes]:
    """Frame `pieces` by HTTP's chunks; without the `last`, empty one the body is cut short."""
    framed = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return [*framed, b"0\r\n\r\n"] if last else framed


def compressed(pieces: Sequence[bytes], how: str) -> list[bytes]:
    """Compress `pieces` so that each can be read as soon as it arrives; ``how`` is gzip, deflate or raw."""
    window = {"gzip": 31, "deflate": 15, "raw": -15}[how]
    packer = zlib.compressobj(wbits=window)
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*packed, packer.flush()]


def gzipped(body: bytes) -> bytes:
    """Return `body` compressed as a whole, the same at every run."""
    return gzip.compress(body, mtime=0)


def with_headers(kind: str, **headers: str) -> Mapping[str, str]:
    """Return a content type and further headers, with dashes for their underscores."""
    return {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
