"""Connections: reused between requests, dropped when stale, and the certificates they trust."""

from __future__ import annotations

import asyncio
import os
import socket
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
from .addresses import is_localhost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiohttp.abc import ResolveResult
    from typing_extensions import Self

KEEP_SECONDS: Final = 60.0
"""An unused connection is kept this long."""
MAX_HEADER_BYTES: Final = 65_536
"""Of one header. Some gateways send long ones, and more than any browser takes is no answer."""


@dataclass
class Exchange:
    """The state of one request and its response, passed as its ``trace_request_ctx``."""

    is_on_kept: bool = False
    """Whether it got a connection that was used before."""
    has_answer: bool = False
    """Whether the headers of a response came."""
    request_id: str | None = None
    """The server's own id of it."""


class Resolver(aiohttp.ThreadedResolver):
    """The system's resolver, but for names below ``localhost``: not every system knows that they are this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`."""
        found = await super().resolve("localhost" if is_localhost(host) else host, port, family)
        return [{**each, "hostname": host} for each in found]


class Client:
    """An aiohttp session and its number of users."""

    def __init__(self, connector: aiohttp.BaseConnector | None = None) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_kept)
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies of one prompt have no place in the next
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
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
        connector = (
            aiohttp.UnixConnector(socket_path, force_close=True)
            if socket_path
            else aiohttp.TCPConnector(resolver=Resolver())
        )
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
        _kept[loop] = Client(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, resolver=Resolver()))
        if before is not None:
            await before.retire()
    async with _kept[loop] as client:
        yield client


async def _close(loop: asyncio.AbstractEventLoop) -> None:
    await _kept[loop].session.close()


_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()


def trusted(ca_bundle: str) -> ssl.SSLContext:
    """Return the certificates to trust: those in the file `ca_bundle`, else those that the environment names.

    These are ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, which aiohttp reads once, when it is imported, while here they may
    be set later, in a cell; and ``REQUESTS_CA_BUNDLE``, in addition.

    Raises
    ------
    ConfigurationError
        If there are no certificates.
    """
    if ca_bundle:
        return _context(ca_bundle, "", "", "")
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
    return _context("", *(os.environ.get(name, "") for name in names))


@lru_cache(maxsize=8)
def _context(bundle: str, file: str, _directory: str, more: str) -> ssl.SSLContext:
    # OpenSSL looks at its variables itself, but says nothing where it finds no file.
    if file and not Path(file).is_file():
        raise ConfigurationError(phrase("error.ca_bundle", path=file, source="SSL_CERT_FILE"))
    path = Path(bundle or more).expanduser()
    try:
        context = ssl.create_default_context(cafile=str(path) if bundle else None)
        if more:
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})
    except (OSError, ssl.SSLError):
        source = "ChatSession.ca_bundle" if bundle else "REQUESTS_CA_BUNDLE"
        raise ConfigurationError(phrase("error.ca_bundle", path=path, source=source)) from None
    return context
