"""Decompress a body by its ``Content-Encoding``, piece by piece.

aiohttp does so too, but accepts a gzip body that ends too early.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE_BYTES: Final = 32_768
"""At most so much is inflated at a time; a few bytes can be made to hold a gigabyte."""
MAX_ENCODINGS: Final = 3
"""One on another. A server applies one, a proxy perhaps a second."""
MAX_STREAMS: Final = 10_000
"""In a row. A stream of a few bytes may hold nothing, and a small body, compressed twice, millions of them."""
_ZSTD_INPUT_BYTES: Final = 64
"""Where a library knows no limit for what it gives out: as few blocks as these hold, of 128 KiB at most each."""
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, all that HTTP allows (RFC 9659)."""
_BROTLI: Final = ("brotli", "brotlicffi")
_ZSTD: Final = ("compression.zstd", "backports.zstd", "zstandard")
"""The first is Python's own, from 3.14 on."""


@cache
def accepted_encodings() -> str:
    """Return the value of ``Accept-Encoding``: the encodings available here."""
    return f"gzip, deflate{', br' if _brotli() else ''}{', zstd' if _zstd() else ''}"


class Inflater:
    """Undo the encodings named by a ``Content-Encoding`` header; several were applied in its order.

    Parameters
    ----------
    encodings : str
        The header's value.
    take : callable, optional
        Called with the size of what each step gives out. What it raises ends the work.

    Raises
    ------
    ValueError
        If one of them cannot be undone here.
    """

    def __init__(self, encodings: str, take: Callable[[int], None] | None = None) -> None:
        names = [name for each in encodings.split(",") if (name := each.strip().lower()) not in {"", "identity"}]
        if len(names) > MAX_ENCODINGS:
            msg = "no server applies so many"
            raise ValueError(msg)
        self._take = take
        self._steps = [_step(name) for name in reversed(names)]

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """Yield what `raw` adds to the body, in pieces of a bounded size.

        A piece may be empty: work was done that added nothing.

        Raises
        ------
        ValueError
            If it is not what the header said.
        """
        pieces = _cut(raw)
        if not self._steps:
            return self._counted(pieces)
        for step in self._steps:
            pieces = self._counted(step.feed(pieces))
        return pieces

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._take is not None:
                self._take(len(piece))
            yield piece

    def is_open(self) -> bool:
        """Whether a compressed stream has begun that has not ended: a body that ends here ends too early."""
        return any(step.is_open for step in self._steps)


class _Step:
    """Undo one encoding. A body may be several compressed streams (gzip members, zstd frames) in a row."""

    def __init__(self, begin: Callable[[bytes], Any]) -> None:
        self._begin = begin
        self._stream: Any = None
        self._ended = 0

    def feed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            rest = piece
            if not rest:
                yield b""
            while rest:
                if self._stream is None:
                    if self._ended and not (rest := rest.lstrip(b"\0")):  # padding, which means nothing
                        break
                    self._stream = self._begin(rest)
                yield from self._undone(rest)
                if not self._stream.eof:
                    break
                yield b""  # thousands of empty streams in a row are work, too
                rest = self._stream.unused_data
                self._stream = None
                self._ended += 1
                if self._ended > MAX_STREAMS:
                    msg = "no server sends so many"
                    raise ValueError(msg)

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
    """A stream of zlib's."""

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
        piece = bytes(self._stream.process(raw, output_buffer_limit=PIECE_BYTES))
        yield piece
        while not self._stream.is_finished() and (piece or not self._stream.can_accept_more_data()):
            piece = bytes(self._stream.process(b"", output_buffer_limit=PIECE_BYTES))
            yield piece

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstandard:
    """A frame of Zstandard's, read by Python's own module or the one that stands in for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._stream = make()

    def decompress(self, raw: bytes) -> Iterator[bytes]:
        yield bytes(self._stream.decompress(raw, PIECE_BYTES))
        while not (self._stream.eof or self._stream.needs_input):
            yield bytes(self._stream.decompress(b"", PIECE_BYTES))

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)


class _ZstandardModule:
    """A frame of Zstandard's, read by ``zstandard``, which gives out at once all that its input holds."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._stream = make()
        self._rest = b""

    def decompress(self, raw: bytes) -> Iterator[bytes]:
        for start in range(0, len(raw), _ZSTD_INPUT_BYTES):
            yield from _cut(self._stream.decompress(raw[start : start + _ZSTD_INPUT_BYTES]))
            if self._stream.eof:
                self._rest = raw[start + _ZSTD_INPUT_BYTES :]
                return

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data) + self._rest


def _cut(data: bytes) -> Iterator[bytes]:
    if len(data) <= PIECE_BYTES:
        yield data
        return
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def _step(name: str) -> _Step:
    if name in {"gzip", "x-gzip"}:
        return _Step(lambda _: _Zlib(16 + zlib.MAX_WBITS))
    if name == "deflate":
        # Meant is zlib's format (RFC 9110, 8.4.1.2); some servers send the bare one.
        return _Step(lambda raw: _Zlib(zlib.MAX_WBITS if raw[0] & 0xF == 8 else -zlib.MAX_WBITS))  # noqa: PLR2004
    if name == "br" and _brotli():
        return _Step(lambda _: _Brotli())
    if name == "zstd" and (begin := _zstd()):
        return _Step(lambda _: begin())
    msg = "no library here undoes this encoding"
    raise ValueError(msg)


def _brotli() -> Any:
    """Return the module that reads Brotli, or None if there is none that can stop when it has given out enough."""
    modules = (import_module(name) for name in _BROTLI if _is_here(name))
    return next((module for module in modules if hasattr(module.Decompressor, "can_accept_more_data")), None)


def _zstd() -> Callable[[], Any] | None:
    """Return what makes a stream that reads Zstandard, or None if there is no library for it."""
    name = next(filter(_is_here, _ZSTD), None)
    if name is None:
        return None
    module = import_module(name)
    if name == "zstandard":
        make = module.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG).decompressobj
        return lambda: _ZstandardModule(make)
    options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return lambda: _Zstandard(lambda: module.ZstdDecompressor(options=options))


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not here
        return False
