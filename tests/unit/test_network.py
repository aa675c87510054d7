"""The network as it is: both versions of the protocol, names that nobody knows, compressed bodies, forks and sleep."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
import zstandard

from chatanywhere_magic import ChatAnywhere, ChatSession, OpenAI
from chatanywhere_magic.core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DNSError,
    IncompleteError,
    ProtocolError,
    ServerError,
    TimeoutExceededError,
)
from chatanywhere_magic.core.messages import Notice
from chatanywhere_magic.providers.wire import connections as _connections
from chatanywhere_magic.providers.wire import http as _http
from chatanywhere_magic.providers.wire import inflate as _inflate
from chatanywhere_magic.providers.wire.limits import Limits, Patience
from chatanywhere_magic.testing.server import Answer, LocalServer
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Never

KEY = "sk-0123456789-do-not-show-me"
SAID = "It was a dark and stormy night. "
EVENTS = b'data: {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def web(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", server.url)
    return server


# --- addresses and names --------------------------------------------------------------------------------------


def test_a_server_at_an_address_of_ip_version_6(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(host="::1") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        server.queue(Answer(text=["Yes."]), Answer(status=500, raw=[b""]))
        assert ask(OpenAI).text == "Yes."
        assert server.requests[0].headers["Host"] == server.url.removeprefix("http://")
        assert "[::1]:" in str(ask(OpenAI).error)


@pytest.mark.parametrize("size", [10_000, 60_000])
def test_long_headers_are_read(size: int, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    policy = {"Content-Security-Policy": "x" * size}
    server.queue(Answer(text=["Yes."], headers=policy), Answer(status=401, headers=policy, raw=[b"{}"]))
    assert ask(OpenAI).text == "Yes."
    assert isinstance(ask(OpenAI).error, AuthenticationError)


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", "http://no-such-host.invalid")
    assert_for_people(ask(ChatAnywhere).error, DNSError, "no-such-host.invalid")


@pytest.mark.parametrize("host", [f"{'a' * 70}.invalid", "a..invalid", "-.invalid", "xn--a.invalid"])
def test_a_name_that_cannot_be_one(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", f"http://{host}")
    error = ask(ChatAnywhere).error
    assert isinstance(error, (ConfigurationError, ConnectionFailedError, ProtocolError))


def test_a_name_is_asked_for_again_as_connections_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_WEB_URL", "http://no-such-host.invalid")
    outcome = ask(ChatAnywhere, max_retries=1)
    assert len(outcome.of(Notice)) == 1
    assert isinstance(outcome.error, DNSError)


# --- what is kept, and what of it has gone ----------------------------------------------------------------------


def test_a_connection_that_the_server_hung_up_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server takes the second question on the kept connection and closes: to the client it is as if the
    # connection had been dead before.
    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        session = ChatSession()
        assert session.ask_sync("Hi", provider=OpenAI)
        server.queue(Answer(drop=True), Answer(text=["Yes."]))
        begun = time.monotonic()
        assert session.ask_sync("Hi", provider=OpenAI) == "Yes."
        assert time.monotonic() - begun < _connections.KEEP_SECONDS
        assert len(server.requests) == 3
        server.queue(*[Answer(drop=True)] * 5)
        with pytest.raises(ConnectionFailedError):
            session.ask_sync("Hi", provider=OpenAI)
        assert len(server.requests) == 6  # no more tries than otherwise
        session.close()


def test_it_is_replaced_even_where_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        session = ChatSession(provider=OpenAI, max_retries=0)
        session.ask_sync("Hi")
        server.queue(Answer(drop=True), Answer(text=["Yes."]), Answer(status=500, raw=[b"{}"]))
        assert session.ask_sync("Hi") == "Yes."
        with pytest.raises(ServerError):
            session.ask_sync("Hi")
        assert len(server.requests) == 4
        session.close()


def test_what_was_kept_while_the_machine_slept_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        session = ChatSession()
        for _ in range(2):
            assert session.ask_sync("Hi", provider=OpenAI)
        (kept,) = [client for loop, client in _connections._kept.items() if loop is session._engine.loop()]
        kept._used_at -= 3_600  # the wall clock went on, the loop's did not
        assert session.ask_sync("Hi", provider=OpenAI)
        assert kept.session.closed
        session.close()


def test_the_body_may_end_after_the_answer_and_the_connection_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        session = ChatSession()
        for _ in range(3):
            server.queue(Answer(raw=[EVENTS, b": the end\n\n"], delay=0.03))
            assert session.ask_sync("Hi", provider=OpenAI) == "Yes."
        assert [request.closed_by_client.is_set() for request in server.requests] == [False] * 3
        session.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_both_sides_go_on(tmp_path: Path) -> None:
    program = tmp_path / "forked.py"
    program.write_text(
        textwrap.dedent(
            """
            import gc, os, sys
            from chatanywhere_magic import ChatSession, OpenAI

            session = ChatSession()
            assert session.ask_sync("Hi", provider=OpenAI)
            child = os.fork()
            if not child:
                assert session.ask_sync("Hi from the child", provider=OpenAI)
                gc.collect()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            for _ in range(2):
                assert session.ask_sync("Hi from the parent", provider=OpenAI)
            session.close()
            """
        )
    )
    with LocalServer() as server:
        environment = {**os.environ, "OPENAI_BASE_URL": server.api_url}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", program], check=False, env=environment, capture_output=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(server.requests) == 4


def test_many_questions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_at_once() -> list[str]:
        async def one(number: int) -> str:
            chunks = OpenAI.create_async_generator("", [{"role": "user", "content": str(number)}])
            return "".join([chunk async for chunk in chunks])

        return await asyncio.gather(*[one(number) for number in range(120)])

    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        answers = asyncio.run(all_at_once())
    assert all(answer.endswith(f"says: {number}") for number, answer in enumerate(answers))


# --- compressed bodies ------------------------------------------------------------------------------------------


def by_brotli(pieces: Sequence[bytes]) -> list[bytes]:
    packer = brotli.Compressor()
    return [*(packer.process(piece) + packer.flush() for piece in pieces), packer.finish()]


def by_zstandard(pieces: Sequence[bytes]) -> list[bytes]:
    packer = zstandard.ZstdCompressor().compressobj()
    return [
        *(packer.compress(piece) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for piece in pieces),
        packer.flush(),
    ]


LIBRARIES: dict[str, Callable[[Sequence[bytes]], list[bytes]]] = {"br": by_brotli, "zstd": by_zstandard}


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("delay", [0.0, 0.01])
def test_a_body_compressed_by_a_library_of_its_own(web: LocalServer, name: str, delay: float) -> None:
    pieces = LIBRARIES[name]([SAID.encode()] * 20)
    web.queue(Answer(raw=pieces, headers={"Content-Encoding": name}, delay=delay))
    assert ask(ChatAnywhere).text == SAID * 20
    web.queue(Answer(raw=[bytes([byte]) for byte in b"".join(pieces)], headers={"Content-Encoding": name}))
    assert ask(ChatAnywhere).text == SAID * 20


@pytest.mark.parametrize("name", LIBRARIES)
def test_such_a_body_that_ends_too_early(web: LocalServer, name: str) -> None:
    pieces = LIBRARIES[name]([SAID.encode()] * 3)
    for cut in (False, True):
        web.queue(Answer(raw=pieces[:-1], headers={"Content-Encoding": name}, delay=0.01, cut=cut))
        outcome = ask(ChatAnywhere)
        assert outcome.text == SAID * 3
        assert_for_people(outcome.error, IncompleteError)


@pytest.mark.parametrize("name", LIBRARIES)
def test_such_a_body_that_is_none(web: LocalServer, name: str) -> None:
    web.queue(Answer(raw=[b"this is nothing of the kind"], headers={"Content-Encoding": name}))
    assert_for_people(ask(ChatAnywhere).error, ProtocolError, name)


def test_several_frames_of_zstandard_are_one_body(web: LocalServer) -> None:
    body = zstandard.compress(SAID.encode()) * 3
    for pieces in ([body], [body[:40], body[40:]], [bytes([byte]) for byte in body]):
        web.queue(Answer(raw=pieces, headers={"Content-Encoding": "zstd"}))
        assert ask(ChatAnywhere).text == SAID * 3


@pytest.fixture
def looked_for_anew() -> Iterator[Callable[[], None]]:
    """Have the libraries looked for again, which is done once otherwise."""
    yield _inflate.accepted_encodings.cache_clear
    _inflate.accepted_encodings.cache_clear()


def test_they_are_asked_for_where_their_libraries_are(
    web: LocalServer, monkeypatch: pytest.MonkeyPatch, looked_for_anew: Callable[[], None]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", web.api_url)
    asyncio.run(OpenAI.list_models())
    assert web.requests[-1].headers["Accept-Encoding"] == "gzip, deflate, br, zstd"
    # Import machinery's own way to say that a module is not there.
    for module in (*_inflate._BROTLI, *_inflate._ZSTD):
        monkeypatch.setitem(sys.modules, module, None)
    looked_for_anew()
    asyncio.run(OpenAI.list_models())
    assert web.requests[-1].headers["Accept-Encoding"] == "gzip, deflate"
    web.queue(Answer(raw=[brotli.compress(EVENTS)], headers={"Content-Encoding": "br"}))
    assert_for_people(ask(OpenAI).error, ProtocolError, "br")


def test_a_small_body_may_be_a_large_text(web: LocalServer) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(SAID.encode() * 100_000) + packer.flush()
    assert len(packed) < len(SAID) * 1_000
    web.queue(Answer(raw=[packed], headers={"Content-Encoding": "gzip"}))
    assert len(ask(ChatAnywhere).text) == len(SAID) * 100_000


def test_it_is_not_inflated_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(bytes(50_000_000)) + packer.flush()
    sizes = [len(piece) for piece in _inflate.Inflater("gzip").feed(packed)]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= _inflate.PIECE_BYTES


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_what_stands_before_the_damage_is_kept(web: LocalServer, delay: float) -> None:
    packer = zlib.compressobj(wbits=31)
    good = packer.compress(SAID.encode() * 3) + packer.flush(zlib.Z_SYNC_FLUSH)
    web.queue(Answer(raw=[good, b"\xff" * 40], headers={"Content-Encoding": "gzip"}, delay=delay))
    outcome = ask(ChatAnywhere)
    assert outcome.text == SAID * 3
    assert_for_people(outcome.error, ProtocolError, "gzip")


# --- time -------------------------------------------------------------------------------------------------------


def test_a_slow_reader_is_no_silent_server(web: LocalServer) -> None:
    web.queue(Answer(text=["one ", "two ", "three"], delay=0.01))
    words: list[str] = []

    async def read_slowly() -> None:
        chunks = ChatAnywhere.create_async_generator("", [{"role": "user", "content": "Count"}], idle_timeout=0.3)
        async for chunk in chunks:
            words.append(chunk)
            await asyncio.sleep(0.6)

    asyncio.run(read_slowly())
    assert "".join(words) == "one two three"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_stop_in_the_very_moment_of_a_limit_is_a_stop(stopped: bool) -> None:
    async def never() -> Never:
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> None:
        patience = Patience(Limits(first=0.02), "host")
        async with _http._answer(never(), patience):
            pass

    async def run() -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        if stopped:
            asyncio.get_running_loop().call_later(0.03, task.cancel)
        time.sleep(0.05)  # noqa: ASYNC251 - now both are due in the same round of the loop
        await task

    # Python 3.10 cannot tell the one from the other.
    is_stop = stopped and sys.version_info >= (3, 11)
    with pytest.raises(asyncio.CancelledError if is_stop else TimeoutExceededError):
        asyncio.run(run())
