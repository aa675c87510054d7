"""A real HTTP server on this machine that speaks ChatAnywhere's web endpoint and both of OpenAI's protocols.

Tests queue what it answers, in the protocol or byte for byte, and look at what it was sent. By hand::

    python -m chatanywhere_magic.testing.server --port 8000 --rate 100

A prompt of the form ``stream 4000x4@100 after 0.5`` is answered with 4,000 chunks of 4 characters at 100 a second, half
a second after it came; without ``@`` as fast as they go, without ``after`` at once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from ..core import content_text
from . import _responses

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Self

WEB_PATH: Final = "/v1/chat/gpt/"
COMPLETIONS_PATH: Final = "/v1/chat/completions"
RESPONSES_PATH: Final = "/v1/responses"
MODELS_PATH: Final = "/v1/models"
START_SECONDS: Final = 10.0
_TICK_SECONDS: Final = 0.002

_STREAM_PROMPT: Final = re.compile(r"stream (\d+)x(\d+)(?:@(\d+(?:\.\d+)?))?(?: after (\d+(?:\.\d+)?))?")
_PROSE: Final = (
    "A **median** is the value in the middle: half of the numbers are smaller, half are larger. "
    "Unlike the mean it does not move when one number is very far from the others.\n\n"
    "- sort the numbers,\n- take the one in the middle,\n- or, of two, their mean.\n\n"
)


@dataclass
class Answer:
    """What the server does with one request.

    With `raw` the body is exactly these bytes; otherwise it is `text` and the rest, in the protocol that was
    asked for. Either way it goes out piece by piece, a piece being an element of `raw` or `text`.
    """

    text: Sequence[str] = ()
    reasoning: Sequence[str] = ()
    model: str = "test-model"
    finish_reason: str | None = "stop"
    """None leaves the finish reason out."""
    usage: tuple[int, int] | None = (7, 3)
    """Prompt and completion tokens; sent if the request asks for them. None leaves them out."""
    done: bool = True
    """Whether ``[DONE]`` ends the stream."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Sequence[bytes] | None = None

    wait: float = 0.0
    """Seconds before the first piece, as if a model were reading the prompt."""
    delay: float = 0.0
    """Seconds from one piece to the next."""
    hold: threading.Event | None = None
    """Stop here until it is set, which may be never: after the pieces, before the end."""
    hold_after: int | None = None
    """Hold after so many pieces instead."""
    cut: bool = False
    """Cut the connection after the pieces."""
    reset: bool = False
    """The same, by a TCP reset: what a crashed server or a firewall does."""
    drop: bool = False
    """Cut the connection at once, without any answer."""
    garbage: bytes = b""
    """After the pieces, put this on the connection as it is, outside HTTP's framing, and fall silent."""
    wire: Sequence[bytes] | None = None
    """The whole answer as it goes over the connection, status line, headers and framing included.

    Nothing is added. Then the connection is closed, or reset, or held open, as the other fields say.
    """
    retry_after_date: int | None = None
    """Send ``Retry-After`` as the date so many seconds from now."""


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    target: str
    """The address as the request line has it; a whole URL if the server was used as a proxy."""
    headers: dict[str, str]
    """As they were written, capitals included."""
    json: Any
    """The body, or None if it is missing or not JSON."""
    body: bytes
    arrived_at: float = field(default_factory=time.monotonic)
    """``time.monotonic()`` of its coming."""
    closed_by_client: threading.Event = field(default_factory=threading.Event)
    """Set when the client closes the connection before it has the whole answer."""
    closed_at: float | None = None
    """``time.monotonic()`` of that."""
    cut_by_server: bool = False
    answered: bool = False
    """Whether the whole answer went out."""

    def header(self, name: str) -> str:
        """Return a header whatever its capitals; ``""`` if it was not sent."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation that was sent, in either protocol; empty where the body has none."""
        if not isinstance(self.json, dict):
            return []
        if self.path == RESPONSES_PATH:
            return _responses.messages_of(self.json)
        messages: list[dict[str, str]] = self.json.get("list" if self.path == WEB_PATH else "messages", [])
        return messages


class LocalServer:
    """The server, in a thread of its own while the ``with`` block lasts.

    With nothing queued it says how many messages it was sent and what the last one was, so that a test of a
    follow-up question can see what the model was given.

    Parameters
    ----------
    port : int, default 0
        0 takes any free one.
    host : str, default "127.0.0.1"
        The address of this machine on which it listens; ``"::1"`` is the other one.
    tls : ssl.SSLContext, optional
        With it, the server speaks https.
    rate : float, optional
        Words a second of the answers that are not queued; by default as fast as they go.

    Attributes
    ----------
    requests : list of Request
        All requests so far, in the order in which they came, those for the list of models among them.
    models : list of str
        What ``GET /v1/models`` lists.
    keys : set of str
        With any in it, only who brings one is answered.
    rule : callable, optional
        Given a request, it returns the answer, or None to leave it to the queue.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        rate: float | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.models = ["test-model", "another-model"]
        self.keys: set[str] = set()
        self.rule: Callable[[Request], Answer | None] | None = None
        self._port = port
        self._host = host
        self._tls = tls
        self._rate = rate
        self._answers: deque[Answer] = deque()
        self._arrived = threading.Condition()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, as ``CHATANYWHERE_WEB_URL`` takes it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self._port}"

    @property
    def api_url(self) -> str:
        """The address of the API, as ``OPENAI_BASE_URL`` and ``CHATANYWHERE_BASE_URL`` take it."""
        return f"{self.url}/v1"

    def queue(self, *answers: Answer) -> None:
        """Answer the next requests for a chat with these, one each."""
        self._answers.extend(answers)

    def forget(self) -> None:
        """Forget the requests that came, the rule, and the answers that are queued."""
        self.requests.clear()
        self.rule = None
        self._answers.clear()

    def wait_for_request(self, count: int = 1, *, seconds: float = 10.0) -> Request:
        """Return the `count`-th request, waiting for it if it has not come yet."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, seconds):
                msg = f"only {len(self.requests)} of {count} requests came in {seconds} s"
                raise TimeoutError(msg)
            return self.requests[count - 1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="local-server", daemon=True)
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            msg = "the server did not start"
            raise TimeoutError(msg)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_SECONDS)

    # --- on the server's thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as failure:  # the port is taken
            self._failure = failure
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        # Without a router, so that a proxy's requests come through too. Cancelling the handler is how it learns at
        # once that the client has gone.
        handler = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(handler, shutdown_timeout=0.01)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, ssl_context=self._tls)
            await site.start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._stopping.wait()
        finally:
            for connection in handler.connections:
                if connection.transport is not None:
                    connection.transport.abort()  # nobody waits for what was not sent
            await runner.cleanup()
            await asyncio.sleep(_TICK_SECONDS)  # what was closed is gone in the loop's next rounds

    async def _record(self, request: web.BaseRequest) -> Request:
        body = await request.content.read()
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        received = Request(
            method=request.method,
            path=request.path,
            target=request.raw_path,
            headers={name.decode(): value.decode() for name, value in request.raw_headers},
            json=parsed,
            body=body,
        )
        with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        return received

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = await self._record(request)
        if self.keys and received.header("Authorization").removeprefix("Bearer ") not in self.keys:
            refusal = {"error": {"message": f"Incorrect API key: {received.header('Authorization')}"}}
            return web.json_response(refusal, status=401)
        if (received.method, received.path) == ("GET", MODELS_PATH):
            listed = [{"id": name, "object": "model", "owned_by": "test"} for name in self.models]
            return web.json_response({"object": "list", "data": listed})
        answer = self._answer(received)
        body = _Body.of(answer, received)
        response = web.StreamResponse(status=answer.status, headers={**body.headers, **_own_headers(answer)})
        try:
            if answer.drop or answer.wire is not None:
                await self._send_wire(request, answer)
                received.cut_by_server = True
                _close(request, reset=answer.reset)
                return response
            await response.prepare(request)
            await self._send(request, response, answer, body, received)
            if answer.cut or answer.reset:
                received.cut_by_server = True
                _close(request, reset=answer.reset)
        except (asyncio.CancelledError, ConnectionError) as gone:
            stopping = self._stopping is None or self._stopping.is_set()
            if not stopping and not received.cut_by_server:
                received.closed_at = time.monotonic()
                received.closed_by_client.set()
            if isinstance(gone, asyncio.CancelledError):
                raise
        return response

    def _answer(self, received: Request) -> Answer:
        """Return the answer by the rule, else the next that is queued, else the server's own."""
        answer = self.rule(received) if self.rule is not None else None
        if answer is not None:
            return answer
        if self._answers:
            return self._answers.popleft()
        if received.path in {WEB_PATH, COMPLETIONS_PATH, RESPONSES_PATH}:
            return self._own_answer(received.messages)
        return Answer(status=404, raw=[b'{"error": {"message": "no such path"}}'])

    async def _send(
        self, request: web.BaseRequest, response: web.StreamResponse, answer: Answer, body: _Body, received: Request
    ) -> None:
        for head in body.begin:
            await response.write(head)
        hold_after = len(body.pieces) if answer.hold_after is None else answer.hold_after
        await asyncio.sleep(answer.wait)
        # By the clock, so that the rate holds however long the writing takes.
        due = time.monotonic()
        for number, piece in enumerate(body.pieces):
            if number == hold_after:
                await _held(answer)
                due = time.monotonic()
            if number and answer.delay:
                due += answer.delay
                await asyncio.sleep(due - time.monotonic())
            await response.write(piece)
        if hold_after >= len(body.pieces):
            await _held(answer)
        if answer.garbage and request.transport is not None:
            await asyncio.sleep(0.02)  # so that what went before arrives before it
            request.transport.write(answer.garbage)
            await asyncio.Event().wait()
        if not answer.cut and not answer.reset:
            # In one piece: a client may rightly go away at the last word of the protocol.
            await response.write_eof(b"".join(body.end))
            received.answered = True

    async def _send_wire(self, request: web.BaseRequest, answer: Answer) -> None:
        for piece in () if answer.drop else answer.wire or ():
            if request.transport is None:
                return
            request.transport.write(piece)
            await asyncio.sleep(answer.delay)
        if not answer.drop:
            # What is written has to be on its way: closing throws away what still waits here.
            while request.transport is not None and request.transport.get_write_buffer_size():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_TICK_SECONDS)
            await asyncio.sleep(_TICK_SECONDS)
            await _held(answer)

    def _own_answer(self, messages: Sequence[Mapping[str, Any]]) -> Answer:
        question = content_text(messages[-1].get("content")) if messages else ""
        if match := _STREAM_PROMPT.fullmatch(question.strip()):
            count, size, rate = int(match[1]), int(match[2]), float(match[3] or 0)
            return Answer(
                text=list(itertools.islice(_prose(size), count)),
                wait=float(match[4] or 0),
                delay=1 / rate if rate else 0.0,
                usage=(1, count),
            )
        words = re.findall(r"\S+\s*", f"I was sent {len(messages)} messages. The last one says: {question}")
        return Answer(text=words, delay=1 / self._rate if self._rate else 0.0, usage=(len(messages), len(words)))


def _prose(size: int) -> Iterator[str]:
    """Yield endless Markdown in chunks of `size` characters."""
    characters = itertools.cycle(_PROSE)
    while True:
        yield "".join(itertools.islice(characters, size))


async def _held(answer: Answer) -> None:
    # Looked at by the clock: it is set from another thread.
    while answer.hold is not None and not answer.hold.is_set():  # noqa: ASYNC110
        await asyncio.sleep(_TICK_SECONDS)


def _own_headers(answer: Answer) -> Mapping[str, str]:
    if answer.retry_after_date is None:
        return answer.headers
    return {**answer.headers, "Retry-After": formatdate(time.time() + answer.retry_after_date, usegmt=True)}


def _close(request: web.BaseRequest, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        # Lingering for no time at all makes closing a reset.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@dataclass
class _Body:
    """An answer in bytes, in the protocol that was asked for."""

    pieces: Sequence[bytes]
    headers: Mapping[str, str]
    begin: Sequence[bytes] = ()
    end: Sequence[bytes] = ()

    @classmethod
    def of(cls, answer: Answer, received: Request) -> _Body:
        if answer.raw is not None:
            kind = "text/event-stream" if answer.status == web.HTTPOk.status_code else "application/json"
            return cls(answer.raw, {"Content-Type": kind})
        if received.path == WEB_PATH:
            return cls([piece.encode() for piece in answer.text], {"Content-Type": "text/plain"})
        if received.path == RESPONSES_PATH:
            return cls._response(answer, received)
        if received.json and received.json.get("stream"):
            return cls._events(answer, received)
        return cls([json.dumps(_completion(answer)).encode()], {"Content-Type": "application/json"})

    @classmethod
    def _response(cls, answer: Answer, received: Request) -> _Body:
        words = "".join(answer.text)
        thoughts = [_responses.reasoning_item("".join(answer.reasoning))] if answer.reasoning else []
        status = "incomplete" if answer.finish_reason in {"length", "content_filter"} else "completed"
        reason = {"length": "max_output_tokens"}.get(answer.finish_reason or "", answer.finish_reason)
        fields: dict[str, Any] = {
            "model": answer.model,
            "output": [*thoughts, _responses.message_item(words)],
            "usage": _responses.counted(*answer.usage) if answer.usage else None,
            "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        }
        if not (received.json and received.json.get("stream")):
            whole = json.dumps(_responses.response(status, **fields)).encode()
            return cls([whole], {"Content-Type": "application/json"})
        begin = _responses.begin(answer.model)
        begin += _responses.reasoning(answer.reasoning) if answer.reasoning else []
        message = _responses.message(answer.text, index=len(thoughts))
        begin += message[:2]
        end = message[2 + len(answer.text) :]
        if answer.finish_reason is not None:
            end.append(_responses.end(status, **fields))
        return cls(message[2 : 2 + len(answer.text)], {"Content-Type": "text/event-stream"}, begin, end)

    @classmethod
    def _events(cls, answer: Answer, received: Request) -> _Body:
        chunk = _chunk_maker(answer.model)
        begin = [chunk({"role": "assistant", "content": ""})]
        begin += [chunk({"reasoning_content": piece}) for piece in answer.reasoning]
        end = []
        if answer.finish_reason is not None:
            end.append(chunk({}, answer.finish_reason))
        asked = (received.json.get("stream_options") or {}).get("include_usage")
        if asked and answer.usage is not None:
            end.append(chunk(None, usage=_usage(answer.usage)))
        if answer.done:
            end.append(b"data: [DONE]\n\n")
        pieces = [chunk({"content": piece}) for piece in answer.text]
        return cls(pieces, {"Content-Type": "text/event-stream"}, begin, end)


def _chunk_maker(model: str) -> Callable[..., bytes]:
    def chunk(
        delta: Mapping[str, str] | None,
        finish_reason: str | None = None,
        usage: Mapping[str, int] | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        value = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": model,
            "choices": [] if delta is None else [choice],
            **({"usage": usage} if usage else {}),
        }
        return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()

    return chunk


def _completion(answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(answer.text)}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        **({"usage": _usage(answer.usage)} if answer.usage else {}),
    }


def _usage(counts: tuple[int, int]) -> dict[str, int]:
    prompt, completion = counts
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m chatanywhere_magic.testing.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--rate", type=float, help="words a second; default: as fast as they go")
    options = parser.parse_args()
    with LocalServer(port=options.port, rate=options.rate) as server:
        print(f"CHATANYWHERE_WEB_URL={server.url}")  # noqa: T201 - a program's output
        print(f"OPENAI_BASE_URL={server.api_url}", flush=True)  # noqa: T201 - the same
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
