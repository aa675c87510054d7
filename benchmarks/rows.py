"""Rows a second of ``chat.map`` beside a bare loop over aiohttp: ``python -m benchmarks.rows``."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from typing import Any

import aiohttp

from chatanywhere_magic import ChatSession

AT_A_TIME = 32


class _Server(asyncio.Protocol):
    """As little of HTTP as there can be, so that it is the client that is measured."""

    delay = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport, self._data = transport, b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + size:
                return
            self._data = self._data[end + 4 + size :]
            asyncio.get_running_loop().call_later(self.delay, self._answer)

    def _answer(self) -> None:
        message = {"role": "assistant", "content": "good"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 1}
        body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _serve(delay: float, ports: Any) -> None:
    async def serve() -> None:
        _Server.delay = delay
        server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def _bare(url: str, rows: int) -> float:
    numbers = iter(range(rows))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_A_TIME)) as session:

        async def work() -> None:
            for number in numbers:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Classify row {number}"}]}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    (await response.json())["choices"][0]["message"]["content"]

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_A_TIME)))
        return rows / (time.perf_counter() - begun)


def _ours(chat: ChatSession, rows: int, *, persist: bool) -> float:
    chat.settings.persist = persist
    prompts = [f"Classify row {number}" for number in range(rows)]
    begun = time.perf_counter()
    chat.map(prompts, model="m", concurrency=AT_A_TIME, fresh=True, progress=False)
    return rows / (time.perf_counter() - begun)


def main() -> None:
    os.environ["CHATANYWHERE_DATA_DIR"] = tempfile.mkdtemp()
    for delay, name, bars in ((0.05, "50 ms", (0.95, 0.95)), (0.0, "at once", (0.25, 0.15))):
        ports: Any = multiprocessing.Queue()
        server = multiprocessing.Process(target=_serve, args=(delay, ports), daemon=True)
        server.start()
        os.environ["OPENAI_BASE_URL"] = url = f"http://127.0.0.1:{ports.get()}/v1"
        chat = ChatSession(provider="openai")
        rows = 2_000
        for persist in (False, True):
            _ours(chat, 100, persist=persist)
        for persist, bar in zip((False, True), bars, strict=True):
            ratios = []
            for _ in range(3):
                bare = asyncio.run(_bare(url, rows))
                ratios.append(_ours(chat, rows, persist=persist) / bare)
            kept = "on disk" if persist else "in memory"
            print(f"server {name:8} rows {kept:10} {sorted(ratios)[1]:.2f} × the bare loop (bar: ≥ {bar})")
        chat.close()
        server.terminate()


if __name__ == "__main__":
    main()
