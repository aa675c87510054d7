"""End the reading of a text that takes too long, in whatever block it is."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from markdown_it import MarkdownIt


class OutOfPatienceError(Exception):
    """The text is to be shown as it is written."""


_is_over: Final[ContextVar[Callable[[], bool] | None]] = ContextVar("chatanywhere_patience", default=None)


@contextmanager
def patience(is_over: Callable[[], bool]) -> Iterator[None]:
    """Have the parser ask, at every line and every piece of a line, whether it has to stop.

    Raises
    ------
    OutOfPatienceError
        Out of the parser, if so.
    """
    token = _is_over.set(is_over)
    try:
        yield
    finally:
        _is_over.reset(token)


def add_patience(parser: MarkdownIt) -> None:
    """Make the parser ask; see :func:`patience`."""
    others = ["paragraph", "blockquote", "list"]
    parser.block.ruler.before("table", "patience", _ask, {"alt": others})
    parser.inline.ruler.after("text", "patience", _ask)  # where a mark may begin


def _ask(*_state: object) -> bool:
    is_over = _is_over.get()
    if is_over is not None and is_over():
        raise OutOfPatienceError
    return False
