"""A proxy on this machine: it tunnels what asks for CONNECT, or refuses in the ways in which proxies do."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self


@dataclass
class Asked:
    """One request to the proxy: its first line and its headers, with lower-case names."""

    line: str
    headers: dict[str, str]


class Proxy:
    """The proxy, in a thread of its own while the ``with`` block lasts.

    Parameters
    ----------
    credentials : str
        ``user:password`` that it wants; ``""`` for none.
    status : str
        What it answers instead of tunnelling, such as ``"502 Bad Gateway"``; ``""`` to tunnel.
    silent : bool
        It never answers.
    tls : ssl.SSLContext, optional
        With it, the way to the proxy itself is encrypted.
    """

    def __init__(
        self, *, credentials: str = "", status: str = "", silent: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[Asked] = []
        self._wanted = f"Basic {b64encode(credentials.encode()).decode()}" if credentials else ""
        self._status = status
        self._silent = silent
        self._tls = tls
        self._port = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_end(asyncio.all_tasks(self._loop)))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = (header.partition(":") for header in headers if header)
            asked = Asked(line, {name.lower(): value.strip() for name, _, value in pairs})
            self.asked.append(asked)
            if self._silent:
                await reader.read()  # until the client has had enough
            elif self._wanted and asked.headers.get("proxy-authorization") != self._wanted:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            elif self._status:
                writer.write(f"HTTP/1.1 {self._status}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                await self._tunnel(line.split()[1], reader, writer)

    async def _tunnel(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Every name is this machine: the tests ask for hosts that only the proxy knows.
        behind, ahead = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pipe(reader, ahead), _pipe(behind, writer))


async def _end(tasks: set[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.01)  # what they closed is gone in the loop's next rounds


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()
