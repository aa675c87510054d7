"""Bodies that are small on the wire and large when they are read: they are cut off, soon, and never a good answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any, Final

import brotli
import pytest
import zstandard

from chatanywhere_magic import ChatSession, OpenAI, Scripted
from chatanywhere_magic.core import ChatError, FormatError, ProtocolError, RefusalError, ToolCall, Usage, codec
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.wire import budget as limits
from chatanywhere_magic.providers.wire.budget import AnswerBudget
from chatanywhere_magic.providers.wire.inflate import MAX_STREAMS, PIECE_BYTES, Inflater
from chatanywhere_magic.providers.wire.refusals import api_error
from chatanywhere_magic.providers.wire.retry import LONGEST_NAMED_PAUSE_SECONDS, retry_after
from chatanywhere_magic.testing.server import Answer, LocalServer
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE: Final = 1 << 20
LARGE: Final = 64 * MEGABYTE


def by_brotli(data: bytes) -> bytes:
    return brotli.compress(data, quality=4)


def by_zlib(data: bytes) -> bytes:
    return zlib.compress(data)


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": by_zlib,
    "br": by_brotli,
    "zstd": zstandard.compress,
}


@pytest.fixture
def api(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    return server


def delta(fields: str) -> bytes:
    return f'data: {{"choices": [{{"index": 0, "delta": {{{fields}}}}}]}}\n\n'.encode()


def read(reader: CompletionReader, fields: dict[str, Any], *, finish: str | None = None) -> None:
    chunk = {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}
    list(reader.read_value(chunk, ""))


# --- decompression ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKERS)
def test_what_is_inflated_at_a_time_is_little(name: str) -> None:
    packed = PACKERS[name](bytes(LARGE))
    tracemalloc.start()
    sizes = [len(piece) for piece in Inflater(name).feed(packed)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == LARGE
    assert max(sizes) <= 4 * PIECE_BYTES  # Brotli takes its limit for a hint
    assert peak < 8 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PACKERS, "gzip, gzip"])
def test_a_body_that_explodes_is_cut_off(api: LocalServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 4 * MEGABYTE)
    packed = bytes(LARGE)
    for step in name.split(", "):
        packed = PACKERS[step](packed)
    api.queue(Answer(raw=[packed], headers={"Content-Encoding": name}))
    assert_for_people(ask(OpenAI).error, ProtocolError, "4,194,304")


def test_many_empty_streams_are_no_body() -> None:
    packed = gzip.compress(b"") * (MAX_STREAMS + 2)
    with pytest.raises(ValueError, match="so many"):
        list(Inflater("gzip").feed(packed))
    # As the content of another stream they are few bytes, and each is work that gives out nothing.
    pieces = list(Inflater("gzip, gzip").feed(gzip.compress(gzip.compress(b"") * 1_000)))
    assert len(pieces) >= 1_000
    assert b"".join(pieces) == b""


def test_a_heap_of_encodings_is_not_undone() -> None:
    with pytest.raises(ValueError, match="so many"):
        Inflater("gzip, " * 4)
    with pytest.raises(ValueError, match="no library"):
        Inflater("br, unknown")


def test_no_answer_is_asked_for_in_a_compressed_form(api: LocalServer) -> None:
    ask(OpenAI)
    assert api.requests[-1].headers["Accept-Encoding"] == "identity"
    asyncio.run(OpenAI.list_models())
    assert "gzip" in api.requests[-1].headers["Accept-Encoding"]


def test_others_run_while_much_is_read_that_needs_no_waiting(api: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a Stop is seen: not one delta comes of it at which anybody could look."""
    monkeypatch.setattr(limits, "PAUSE_SECONDS", 0.0)
    api.queue(Answer(raw=[gzip.compress(b" " * (8 * MEGABYTE))], headers={"Content-Encoding": "gzip"}))

    async def rounds_while_it_is_asked() -> int:
        rounds = 0

        def again() -> None:
            nonlocal rounds
            rounds += 1
            loop.call_soon(again)

        loop = asyncio.get_running_loop()
        asking = asyncio.ensure_future(
            anext(OpenAI.create_delta_generator("m", [{"role": "user", "content": "x"}], max_retries=0))
        )
        await loop.run_in_executor(None, api.wait_for_request)
        loop.call_soon(again)
        with pytest.raises(ChatError):
            await asking
        return rounds

    assert asyncio.run(rounds_while_it_is_asked()) > 8 * MEGABYTE / PIECE_BYTES / 2


# --- events ---------------------------------------------------------------------------------------------------------

CALL: Final = '{"index": 0, "id": "%s", "function": {"name": "f"}}'
ENDLESS: Final[dict[str, tuple[str, int, bytes]]] = {
    "a line without an end": ("MAX_EVENT_CHARACTERS", 100_000, b"data: " + b"x" * 200_000),
    "an event of empty lines": ("MAX_EVENT_CHARACTERS", 100_000, b"data:\n" * 200_000),
    "an object without an end": ("MAX_EVENT_CHARACTERS", 100_000, b'{"choices": "' + b"x" * 200_000),
    "comments": ("MAX_LINES", 10_000, b":\n\n" * 20_000),
    "blank lines": ("MAX_LINES", 10_000, b": a\n" + b"\n" * 20_000),
    "events": ("MAX_EVENTS", 1_000, b"data: {}\n\n" * 2_000),
    "objects": ("MAX_EVENTS", 1_000, b"{}" * 2_000),
    "values": ("MAX_VALUES", 10_000, b'data: {"choices": [' + b"[]," * 10_000 + b"0]}\n\n"),
    "values of an object": ("MAX_VALUES", 10_000, b'{"choices": [' + b"[]," * 10_000 + b"0]}"),
    "choices": ("MAX_PIECES", 100, b'data: {"choices": [' + b"{}," * 200 + b"{}]}\n\n"),
    "parts": ("MAX_PIECES", 100, delta('"content": [' + '"",' * 200 + '""]')),
    "pieces of calls": ("MAX_PIECES", 100, delta('"tool_calls": [' + "{}," * 200 + "{}]")),
    "calls": (
        "MAX_CALLS",
        100,
        delta(f'"tool_calls": [{CALL % "a"}, {CALL % "b"}]') * 100,
    ),
    "text": ("MAX_CHARACTERS", 10_000, delta('"content": "0123456789"') * 2_000),
    "reasoning": ("MAX_CHARACTERS", 10_000, delta('"reasoning": "0123456789"') * 2_000),
    "a refusal": ("MAX_CHARACTERS", 10_000, delta('"refusal": "0123456789"') * 2_000),
    "arguments": (
        "MAX_CHARACTERS",
        10_000,
        delta('"tool_calls": [{"function": {"arguments": "0123456789"}}]') * 2_000,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_off(api: LocalServer, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    name, limit, body = ENDLESS[what]
    monkeypatch.setattr(limits, name, limit)
    end = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    api.queue(Answer(raw=[body + end]))
    outcome = ask(OpenAI)
    assert outcome.finish_reason is None
    assert_for_people(outcome.error, ProtocolError, f"{limit:,}")


def test_blanks_before_a_body_are_not_kept(api: LocalServer) -> None:
    whole = b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'
    api.queue(Answer(raw=[b" " * 500_000, b"\n" * 500_000, whole]))
    assert ask(OpenAI).text == "Hello"


def test_a_list_of_models_that_is_none(api: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_VALUES", 10_000)
    monkeypatch.setattr(api, "models", ["x" * 100] * 20_000)
    with pytest.raises(ProtocolError):
        asyncio.run(OpenAI.list_models())


@pytest.mark.parametrize("field", ["arguments", "refusal"])
def test_many_small_pieces_after_a_large_one_are_joined_once(field: str) -> None:
    reader = CompletionReader("host", None, takes_calls=True)
    pieces = ["x" * 8_000_000, *"y" * 20_000]
    began = time.process_time()
    for piece in pieces:
        fields = {"refusal": piece} if field == "refusal" else {"tool_calls": [{"function": {"arguments": piece}}]}
        read(reader, fields)
    read(reader, {}, finish="stop")
    if field == "refusal":
        with pytest.raises(RefusalError):
            list(reader.finish())
    else:
        (call,) = (each for each in reader.finish() if isinstance(each, ToolCall))
        assert call.arguments == "".join(pieces)
    assert time.process_time() - began < 5  # joined at each piece it takes a minute


def test_many_calls_are_gathered_in_linear_time() -> None:
    live = ChatSession().prepare("Hello", provider=Scripted)
    began = time.process_time()
    for number in range(100_000):
        live.draft.take(ToolCall(str(number), "f", "{}"))
    assert time.process_time() - began < 5
    assert len(live.version.tool_calls) == 100_000


def test_an_event_that_is_nested_too_deeply() -> None:
    content: object = "x"
    for _ in range(700):
        content = [{"text": content}]
    reader = CompletionReader("host", None)
    with pytest.raises(ProtocolError):
        read(reader, {"content": content})
    error: object = "x"
    for _ in range(10_000):
        error = [error]
    assert "host" in str(api_error({"error": {"message": error, "type": error, "code": error}}, host="host"))


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10**400, 10**13, -1, True, 1.5, "7", None])
def test_a_count_that_is_none(api: LocalServer, count: object) -> None:
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": count}})
    api.queue(
        Answer(raw=[delta('"content": "Hello"}, "finish_reason": "stop", "x": {'), f"data: {usage}\n\n".encode()])
    )
    outcome = ask(OpenAI)
    assert outcome.text == "Hello"
    assert [each for each in outcome.deltas if isinstance(each, Usage)] == [Usage(3, None)]


def test_such_a_count_of_another_provider() -> None:
    live = ChatSession().prepare("Hello", provider=Scripted)
    live.draft.take(Usage(10**400, -5))
    assert live.version.usage == Usage(None, None)
    live.draft.take(Usage(12, 34))
    assert live.version.usage == Usage(12, 34)


@pytest.mark.parametrize(
    "value",
    ["1e300", "9" * 400, "1e400", "-5", "nan", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT"],
)
def test_a_pause_that_no_calendar_holds(value: str) -> None:
    pause = retry_after({"Retry-After": value})
    assert pause is None or 0 <= pause <= LONGEST_NAMED_PAUSE_SECONDS
    error = api_error({"error": {"message": f"try again in {'9' * 400}s"}}, host="host", status=429, wait=pause)
    assert error.retry_after is None or 0 <= error.retry_after <= LONGEST_NAMED_PAUSE_SECONDS


def test_a_budget_is_of_one_answer() -> None:
    budget = AnswerBudget("host")
    budget.take_characters(limits.MAX_CHARACTERS)
    AnswerBudget("host").take_characters(limits.MAX_CHARACTERS)
    with pytest.raises(ProtocolError):
        budget.take_characters(1)


def test_a_provider_that_never_ends_is_stopped_where_its_text_can_still_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "MAX_TEXT", 1_000)
    session = ChatSession()
    with pytest.raises(ProtocolError, match="1,000"):
        session.ask_sync("Hello", provider=Scripted.of(["x" * 300] * 5))
    version = session.conversation.turns[0].current
    assert (version.status, len(version.text)) == ("failed", 900)
    assert codec.conversation_from_json(codec.conversation_to_json(session.conversation)) == session.conversation
    session.close()


def test_a_document_of_nothing_but_brackets_is_not_parsed() -> None:
    for document in ("[" + "[]," * 1_000_000 + "0]", b"[" + b"{}," * 1_000_000 + b"0]"):
        tracemalloc.start()
        with pytest.raises(FormatError):
            codec.loads(document)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEGABYTE
    assert len(codec.loads("[" + "1," * 1_000_000 + "0]")) == 1_000_001
