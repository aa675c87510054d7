"""Connections: reused between requests, dropped when stale, and the certificates they trust."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import aiohttp

from ...core import ConfigurationError, phrase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from typing_extensions import Self

KEEP_SECONDS: Final = 60.0
"""An unused connection is kept this long."""


@dataclass
class Exchange:
    """The state of one request and its response, passed as its ``trace_request_ctx``."""

    is_on_kept: bool = False
    """Whether it got a connection that was used before."""
    has_answer: bool = False
    """Whether the headers of a response came."""
    request_id: str | None = None
    """The server's own id of it."""


class Client:
    """An aiohttp session and its number of users."""

    def __init__(self, connector: aiohttp.BaseConnector | None = None) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_kept)
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies of one prompt have no place in the next
            auto_decompress=False,
            trace_configs=[tracing],
        )
        self.is_retired = False
        self._users = 0
        self._used_at = time.time()

    def is_stale(self) -> bool:
        """Whether it has been unused for so long that its connections are gone.

        By the wall clock: a machine that slept counts no time otherwise, while the servers hung up.
        """
        return self.is_retired or (not self._users and abs(time.time() - self._used_at) > KEEP_SECONDS)

    async def retire(self) -> None:
        """Stop further use; it closes when its last user is done."""
        self.is_retired = True
        if not self._users:
            await asyncio.sleep(0)  # what was aborted a moment ago is closed in the loop's next round
            await self.session.close()

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._users -= 1
        self._used_at = time.time()
        if self.is_retired:
            await self.retire()


async def _note_kept(_session: object, context: Any, _params: object) -> None:
    context.trace_request_ctx.is_on_kept = True


@asynccontextmanager
async def open_client(socket_path: str | None) -> AsyncGenerator[Client, None]:
    """Open a client; on a loop that tells when it closes, such as the engine's, one for all requests.

    So connections are used again from one prompt to the next.
    """
    loop = asyncio.get_running_loop()
    closers = getattr(loop, "at_close", None)
    if closers is None or socket_path is not None:
        connector = aiohttp.UnixConnector(socket_path, force_close=True) if socket_path else None
        async with Client(connector) as client:
            try:
                yield client
            finally:
                client.is_retired = True
        return
    before = _kept.get(loop)
    if before is None:
        closers.append(lambda: _close(loop))
    if before is None or before.is_stale():
        # Put in its place before the old one is waited for, or two prompts at once would make two.
        _kept[loop] = Client(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS))
        if before is not None:
            await before.retire()
    async with _kept[loop] as client:
        yield client


async def _close(loop: asyncio.AbstractEventLoop) -> None:
    await _kept[loop].session.close()


_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()


def trusted(ca_bundle: str) -> ssl.SSLContext:
    """Return the certificates to trust: those in the file `ca_bundle`, else those that the environment names.

    aiohttp reads the environment (``SSL_CERT_FILE``, ``SSL_CERT_DIR``) once, when it is imported; here it may be set
    later, in a cell.

    Raises
    ------
    ConfigurationError
        If there are no certificates.
    """
    return _context(ca_bundle, os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))


@lru_cache(maxsize=8)
def _context(bundle: str, file: str, _directory: str) -> ssl.SSLContext:
    # OpenSSL looks at the variables itself, but says nothing where it finds no file.
    if not bundle and file and not Path(file).is_file():
        raise ConfigurationError(phrase("error.ca_bundle", path=file, source="SSL_CERT_FILE"))
    try:
        return ssl.create_default_context(cafile=str(Path(bundle).expanduser()) if bundle else None)
    except (OSError, ssl.SSLError):
        raise ConfigurationError(phrase("error.ca_bundle", path=bundle, source="ChatSession.ca_bundle")) from None
