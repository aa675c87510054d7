"""The metadata of a turn in a saved notebook, from which the conversation can be rebuilt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...core import SCHEMA, shareable, version_to_json

if TYPE_CHECKING:
    from ...core import Version

METADATA_KEY: Final = "chatanywhere"


def turn_metadata(
    version: Version, *, conversation: str = "", turn: int | None = None, number: int = 0
) -> dict[str, Any]:
    """Return a version as JSON values, with its place.

    Parameters
    ----------
    conversation : str
        The conversation's id.
    turn : int, optional
        The turn's index there; none for a prompt aside.
    number : int
        The version's index in the turn.

    Returns
    -------
    dict
        ``schema``, ``conversation``, ``turn``, ``number``, and the version as :func:`serial.version_to_json` writes it.
        The response is left out if there is one: it stands beside the metadata, as the output's ``text/plain``.
    """
    written = version_to_json(shareable(version))
    if version.text:
        del written["text"]
    place = {} if turn is None else {"conversation": conversation, "turn": turn, "number": number}
    return {"schema": SCHEMA, **place, **written}
