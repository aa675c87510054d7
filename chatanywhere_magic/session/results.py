"""What a model is told of a call's result: a bounded summary, as of a variable that a prompt names."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final

from ..context import describe, is_picture, picture, shortened
from ..core import Image, encodable
from ..tools import ToolFailure

if TYPE_CHECKING:
    from .capture import Captured

MAX_PICTURES: Final = 3
ERROR_TOKENS: Final = 400
_PLAIN: Final = (bool, int, float, type(None))
_NOTHING: Final = "Done; it returned nothing."


def summary(
    value: Any, captured: Captured, name: str, *, budget: int, sees_pictures: bool
) -> tuple[str, tuple[Image, ...]]:
    """Return the words and the pictures that a model is sent of a call.

    Parameters
    ----------
    value : object
        What the function returned.
    captured : Captured
        What it showed.
    name : str
        The tool's, for the pictures.
    budget : int
        Most tokens of the words.
    sees_pictures : bool
        Whether the model does. If not, figures are described in words.
    """
    shown = captured.text
    room = budget if not shown else budget * 2 // 3
    images = [Image(f"{name} {number}", kind, data) for number, (kind, data) in enumerate(captured.pictures, 1)]
    if sees_pictures and is_picture(value) and isinstance(made := picture(value, name), Image):
        images.insert(0, made)
    words = _words(value, room)
    if shown:
        said = f"It printed:\n{shortened(shown, budget - room)}"
        words = said if value is None else f"{words}\n\n{said}"
    elif value is None and images:
        words = "It showed a picture."
    return encodable(words), tuple(images[:MAX_PICTURES])


def _words(value: Any, budget: int) -> str:
    if value is None:
        return _NOTHING
    if type(value) in _PLAIN:
        return repr(value)
    if type(value) is str:
        return shortened(value, budget) if value else "(an empty text)"
    return describe(value, budget)


def failure(error: BaseException) -> tuple[str, str]:
    """Return what the model reads of an exception, its last lines, and the whole traceback for the person.

    One of our own tools says itself what the model reads.
    """
    if isinstance(error, ToolFailure):
        return encodable(str(error)), failure(error.__cause__)[1] if error.__cause__ is not None else ""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_globals.get("__name__", "").startswith("chatanywhere_magic.session"):
        place = place.tb_next  # our own calls help nobody
    whole = "".join(traceback.format_exception(type(error), error, place)).rstrip("\n")
    last = "".join(traceback.format_exception_only(type(error), error)).rstrip("\n")
    frames = traceback.extract_tb(place)
    where = [f"line {frame.lineno}, in {frame.name}: {frame.line}" for frame in frames[-3:] if frame.line]
    words = "\n".join([shortened(last, ERROR_TOKENS // 2), *where])
    return encodable(shortened(f"It failed: {words}", ERROR_TOKENS)), encodable(whole)
