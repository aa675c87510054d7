"""What of a conversation is exported: what is shown of it, without what would tell of this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..core import codec

if TYPE_CHECKING:
    from ..core import Conversation


def shown(conversation: Conversation) -> Conversation:
    """Return the conversation without hidden turns, with nothing on its way, for other people's eyes."""
    turns = (
        replace(turn, versions=tuple(codec.shareable(version) for version in turn.versions))
        for _, turn in conversation.settled().visible
    )
    return replace(conversation, turns=tuple(turns))


def selected(conversation: Conversation) -> Conversation:
    """Return what is shown of the conversation, with the selected version of each turn alone."""
    conversation = shown(conversation)
    turns = (replace(turn, versions=(turn.current,), selected=0) for turn in conversation.turns)
    return replace(conversation, turns=tuple(turns))
