"""A conversation that is open here: its value as it stands, and how turns on their way get their places in it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from ..core import Conversation, Listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..context import Request, Summary
    from .live_turn import LiveTurn


class OpenConversation:
    """One conversation in motion. All that changes it runs on the engine's thread.

    Parameters
    ----------
    conversation : Conversation, optional
        What was said so far.
    id : str, optional
        Its name, for ever and in every kernel; by default a new one.
    private : bool, default False
        Whether it is never written to the disk.
    """

    def __init__(
        self,
        conversation: Conversation | None = None,
        id: str = "",  # noqa: A002 - its name
        *,
        private: bool = False,
    ) -> None:
        self.conversation = conversation or Conversation()
        self.id = id or os.urandom(16).hex()
        self.private = private
        self.lock = asyncio.Lock()
        """Held by the turn that is being answered; the others queue."""
        self.summary: Summary | None = None
        """What stands for the turns that have no room in a prompt."""

    def place(self, live: LiveTurn, others: Iterable[LiveTurn]) -> None:
        """Give a turn its place: the one that it revises, the one that its cell already has, or a new one at the end.

        Of `others` those in the same place are stopped: whoever asks again does not wait for the first answer.
        """
        conversation = self.conversation
        live.opened = self
        first = live.alongside
        if first is not None and first.index is not None and first.opened is self:
            turn = conversation.turns[first.index].with_version(live.version)
            self.conversation = conversation.with_turn(first.index, turn)
            live.index, live.at = first.index, len(turn.versions) - 1
            return
        known = self.place_of(live.request)
        if known is None:
            self.conversation = conversation.appended(live.version)
            live.index = len(conversation.turns)
            return
        for other in others:
            if other.index == known and other.opened is self:
                other.cancel()
        turn = conversation.turns[known].revised(live.version)
        self.conversation = conversation.with_turn(known, turn)
        live.index, live.at = known, turn.selected

    def place_of(self, request: Request) -> int | None:
        """Return the index of the turn of which a question becomes a version; None if it becomes a new one."""
        if request.revises and request.revises[0] == self.id:
            return request.revises[1]
        return None if request.append else self.conversation.find(request.origin)

    def update(self, live: LiveTurn) -> bool:
        """Take a turn's version over if its status has changed, and tell whether it had."""
        if live.index is None:
            return False
        turn = self.conversation.turns[live.index]
        if turn.versions[live.at].status == live.status:
            return False
        self.conversation = self.conversation.with_turn(live.index, turn.updated(live.version, live.at))
        return True

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is on its way."""
        return not self.lock.locked()

    def snapshot(self, lives: Iterable[LiveTurn]) -> Conversation:
        """Return the conversation with what has come so far of the turns on their way."""
        conversation = self.conversation
        for live in lives:
            if live.index is not None and live.opened is self:
                turn = conversation.turns[live.index].updated(live.version, live.at)
                conversation = conversation.with_turn(live.index, turn)
        return conversation

    def has_all(self, words: Iterable[str]) -> bool:
        """Whether each of the words stands in what is shown of it, whatever its capitals."""
        turns = [turn.current for _, turn in self.conversation.visible]
        said = "\n".join([self.conversation.title, *(part for turn in turns for part in (turn.question, turn.answer))])
        return all(word.casefold() in said.casefold() for word in words)

    def listed(self) -> Listed:
        """Return it as a list shows it."""
        versions = [turn.current for _, turn in self.conversation.visible]
        times = [version.timing.started for version in versions] or [0.0]
        model = versions[-1].model if versions else ""
        # Other people's messages do not tell when they were written: they are of now.
        updated = max(times) or time.time()
        return Listed(self.id, self.conversation.name, min(times), updated, model, len(versions))
