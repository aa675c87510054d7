"""Capture what a function shows while it runs: what it prints, displays and draws."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT: Final = 40_000
"""Characters of what one call prints; of more, the beginning and the end are kept."""
MAX_BUNDLES: Final = 12
"""Of what one call displays."""
MAX_BUNDLE: Final = 4_000_000
"""Characters of one of them."""
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PICTURES: Final = ("image/png", "image/jpeg")


class Captured:
    """What one call has shown.

    Parameters
    ----------
    passing : bool
        Whether it is shown where it is printed, too: in the cell that waits for the turn.
    """

    def __init__(self, *, passing: bool) -> None:
        self.passing = passing
        self.bundles: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """Data and metadata of what was displayed."""
        self._head = ""
        self._tail: list[str] = []
        self._tail_size = 0
        self._left_out = False

    def write(self, words: str) -> None:
        """Take in what is printed."""
        room = max(MAX_TEXT // 2 - len(self._head), 0)
        self._head += words[:room]
        if more := words[room:]:
            self._tail.append(more)
            self._tail_size += len(more)
            if self._tail_size > MAX_TEXT:  # seldom, for each time it is copied
                self._tail = ["".join(self._tail)[-MAX_TEXT // 2 :]]
                self._tail_size = len(self._tail[0])
                self._left_out = True

    def show(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Take in what is displayed."""
        picture = any(kind in data for kind in _PICTURES)
        if not picture:  # a picture's own words name nothing but its class
            self.write(f"{data.get('text/plain', '')}\n")
        if len(self.bundles) < MAX_BUNDLES and sum(map(_size, data.values())) <= MAX_BUNDLE:
            self.bundles.append((data, metadata))

    @property
    def text(self) -> str:
        """What was printed, and the plain form of what was displayed, as it looks in the end."""
        gap = "\n…\n" if self._left_out else ""
        plain = _ESCAPES.sub("", f"{self._head}{gap}{''.join(self._tail)}")
        # A progress bar writes over its own line.
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")).strip("\n")

    @property
    def pictures(self) -> list[tuple[str, str]]:
        """The pictures among it: media type, and the bytes in base64."""
        return [(kind, str(data[kind]).strip()) for data, _ in self.bundles for kind in _PICTURES if data.get(kind)]


_current: ContextVar[Captured | None] = ContextVar("chatanywhere_captured", default=None)
_lock = threading.Lock()
_count = 0


@contextmanager
def capturing(captured: Captured) -> Iterator[None]:
    """Have `captured` take in what is shown in this context: not by other threads, tasks or cells."""
    before = _current.set(captured)
    _route()
    shell = _shell()
    publisher = shell.display_pub if hasattr(getattr(shell, "display_pub", None), "register_hook") else None

    def hook(message: dict[str, Any]) -> dict[str, Any] | None:
        if _current.get() is not captured:
            return message
        if message["msg_type"] == "display_data":
            captured.show(message["content"]["data"], message["content"]["metadata"])
        return message if captured.passing else None

    if publisher is not None:
        publisher.register_hook(hook)
    figures = _figures()
    try:
        yield
        _draw(shell, figures)
    finally:
        if publisher is not None:
            publisher.unregister_hook(hook)
        _unroute()
        _current.reset(before)


class _Routed:
    """A standard stream while calls are captured: what belongs to none of them goes where it always did."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, words: str) -> int:
        captured = _current.get()
        if captured is not None:
            captured.write(words)
            if not captured.passing:
                return len(words)
        return int(self._stream.write(words) or len(words))

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _route() -> None:
    global _count  # noqa: PLW0603 - the standard streams are global, too
    with _lock:
        _count += 1
        for name in ("stdout", "stderr"):
            if not isinstance(getattr(sys, name), _Routed):
                setattr(sys, name, _Routed(getattr(sys, name)))


def _unroute() -> None:
    global _count  # noqa: PLW0603 - as above
    with _lock:
        _count -= 1
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not _count and isinstance(stream, _Routed):
                setattr(sys, name, stream._stream)  # noqa: SLF001 - of this module


def _shell() -> Any:
    """Return IPython's shell, if there is one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _inline() -> Any:
    """Return pyplot where figures are drawn in the notebook; None elsewhere."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    is_inline = pyplot is not None and "inline" in str(pyplot.get_backend()).lower()
    return pyplot if is_inline else None


def _figures() -> set[int]:
    pyplot = _inline()
    return set(pyplot.get_fignums()) if pyplot is not None else set()


def _draw(shell: Any, before: set[int]) -> None:
    """Display the figures that were drawn meanwhile, which would else appear at the end of the cell."""
    pyplot = _inline()
    if pyplot is None or threading.current_thread() is not threading.main_thread():
        return
    for number in pyplot.get_fignums():
        if number not in before:
            figure = pyplot.figure(number)
            shell.display_pub.publish(*shell.display_formatter.format(figure))
            pyplot.close(figure)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else 1000
