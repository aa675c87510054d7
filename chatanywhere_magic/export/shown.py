"""The part of a conversation that is exported: the shown turns, without details of this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..core import codec

if TYPE_CHECKING:
    from ..core import Conversation


def shown(conversation: Conversation) -> Conversation:
    """Return the conversation for export: without hidden turns, and with unfinished ones marked as interrupted."""
    turns = (
        replace(turn, versions=tuple(codec.shareable(version) for version in turn.versions))
        for _, turn in conversation.settled().visible
    )
    return replace(conversation, turns=tuple(turns))


def selected(conversation: Conversation) -> Conversation:
    """Return the conversation for export, with only the selected version of each turn."""
    conversation = shown(conversation)
    turns = (replace(turn, versions=(turn.current,), selected=0) for turn in conversation.turns)
    return replace(conversation, turns=tuple(turns))
