"""Which output of the page shows which turn, so that another version of it can be shown there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..render import turn_metadata

if TYPE_CHECKING:
    from ..render import Painter
    from ..session import ChatSession, LiveTurn


@dataclass(frozen=True)
class _Place:
    handle: Any
    """IPython's handle of the output."""
    prompt: int
    """The hash of the prompt: no text of a forgotten conversation may stay here."""
    form: str


_places: Final[dict[tuple[str, int], _Place]] = {}
"""By conversation and turn."""


def note(live: LiveTurn, painter: Painter | None, form: str = "markdown") -> None:
    """Remember where a turn that is over was shown."""
    handle = getattr(painter, "place", None)
    if handle is not None and live.index is not None:
        _places[live.conversation_id, live.index] = _Place(handle, hash(live.version.prompt), form)


def show_anew(session: ChatSession, conversation_id: str, index: int) -> bool:
    """Show the selected version of a turn where the turn was shown in this kernel; tell whether it was.

    Only a response to the prompt that stands there, and one that is sent: a failure leaves what is shown. So does a
    turn that was hidden meanwhile, or whose conversation is not the open one any more.
    """
    place = _places.get((conversation_id, index))
    if place is None:
        return False
    turn = session.turns.shown(conversation_id, index)
    if turn is not None and turn.current.is_sent and hash(turn.current.prompt) == place.prompt:
        from ..render import repaint  # where there is an output, there is a notebook

        version = turn.current
        about = turn_metadata(version, conversation=conversation_id, turn=index, number=turn.selected)
        repaint(
            place.handle,
            version,
            about,
            footer=session.settings.footer,
            reasoning=session.settings.reasoning,
            form=place.form,
        )
    return True
