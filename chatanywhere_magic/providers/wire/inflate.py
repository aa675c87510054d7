"""A body's ``Content-Encoding`` undone, piece by piece, and which encodings can be undone here.

aiohttp does so too, but takes a gzip body that ends too early for a whole one.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE_BYTES: Final = 1_048_576
_BROTLI: Final = ("brotli", "brotlicffi")
_ZSTD: Final = ("compression.zstd", "backports.zstd", "zstandard")
"""The first is Python's own, from 3.14 on."""


@cache
def accepted_encodings() -> str:
    """Return the value of ``Accept-Encoding``: only what can be read here."""
    return f"gzip, deflate{', br' if _brotli() else ''}{', zstd' if _zstd() else ''}"


class Inflater:
    """Undoes the encodings that a ``Content-Encoding`` header names; several were applied in its order.

    Raises
    ------
    ValueError
        If one of them cannot be undone here.
    """

    def __init__(self, encodings: str) -> None:
        names = [name.strip().lower() for name in encodings.split(",")]
        self._steps = [_step(name) for name in reversed(names) if name not in {"", "identity"}]

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """Yield what `raw` adds to the body, in pieces of a bounded size where the encoding allows it.

        Raises
        ------
        ValueError
            If it is not what the header said.
        """
        pieces: Iterator[bytes] = iter((raw,))
        for step in self._steps:
            pieces = step.feed(pieces)
        return pieces

    def is_open(self) -> bool:
        """Whether a compressed stream has begun that has not ended: a body that ends here ends too early."""
        return any(step.is_open for step in self._steps)


class _Step:
    """One encoding undone. A body may be several compressed streams (gzip's members, zstd's frames) in a row."""

    def __init__(self, begin: Callable[[bytes], Any]) -> None:
        self._begin = begin
        self._stream: Any = None
        self._has_ended = False

    def feed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            rest = piece
            while rest:
                if self._stream is None:
                    if self._has_ended and not (rest := rest.lstrip(b"\0")):  # padding, which means nothing
                        break
                    self._stream = self._begin(rest)
                yield from self._undone(rest)
                if not self._stream.eof:
                    break
                rest = self._stream.unused_data
                self._stream = None
                self._has_ended = True

    def _undone(self, raw: bytes) -> Iterator[bytes]:
        try:
            yield from self._stream.decompress(raw)
        except Exception:  # noqa: BLE001 - zlib.error, or a library's own
            msg = "this is not the encoding that it was said to be"
            raise ValueError(msg) from None

    @property
    def is_open(self) -> bool:
        """Whether a stream has begun that has not ended."""
        return self._stream is not None


class _Zlib:
    """A stream of zlib's, in pieces: a few bytes can be made to hold a gigabyte."""

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)

    def decompress(self, raw: bytes) -> Iterator[bytes]:
        before = self._stream.copy()
        try:
            while piece := self._stream.decompress(raw, PIECE_BYTES):
                yield piece
                raw = self._stream.unconsumed_tail
                before = self._stream.copy()
        except zlib.error:
            for byte in raw:  # what stands before the damage is good
                yield before.decompress(bytes((byte,)))
            raise

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


class _Brotli:
    """A stream of Brotli's."""

    unused_data = b""

    def __init__(self) -> None:
        self._stream = _brotli().Decompressor()

    def decompress(self, raw: bytes) -> Iterator[bytes]:
        yield bytes(self._stream.process(raw))

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstandard:
    """A frame of Zstandard's."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._stream = make()

    def decompress(self, raw: bytes) -> Iterator[bytes]:
        yield self._stream.decompress(raw)

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)


def _step(name: str) -> _Step:
    if name in {"gzip", "x-gzip"}:
        return _Step(lambda _: _Zlib(16 + zlib.MAX_WBITS))
    if name == "deflate":
        # Meant is zlib's format (RFC 9110, 8.4.1.2); some servers send the bare one.
        return _Step(lambda raw: _Zlib(zlib.MAX_WBITS if raw[0] & 0xF == 8 else -zlib.MAX_WBITS))  # noqa: PLR2004
    if name == "br" and _brotli():
        return _Step(lambda _: _Brotli())
    if name == "zstd" and (begin := _zstd()):
        return _Step(lambda _: _Zstandard(begin))
    msg = "no library here undoes this encoding"
    raise ValueError(msg)


def _brotli() -> Any:
    """Return the module that reads Brotli, or None if there is none."""
    return next((import_module(name) for name in _BROTLI if _is_here(name)), None)


def _zstd() -> Callable[[], Any] | None:
    """Return what makes a stream that reads Zstandard, or None if there is no library for it."""
    name = next(filter(_is_here, _ZSTD), None)
    if name is None:
        return None
    make: Callable[[], Any] = import_module(name).ZstdDecompressor
    return make if name != "zstandard" else lambda: make().decompressobj()


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not here
        return False
