"""The conversations that are open here: their values as they stand, and the turns on their way in them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from ..core import ConfigurationError, Conversation, Listed, phrase
from .listeners import Change, notify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..context import Request, Summary
    from ..core import Turn, Version
    from ..tools import Toolbox
    from .autosave import Autosave
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
        self.toolboxes: dict[int, Toolbox] = {}
        """The functions that turns were asked with, by their indices: to ask again with the same ones."""
        self.system = ""
        """The system prompt with which it was imported; it holds where the session has none."""
        self.live: list[LiveTurn] = []
        """Its turns that are on their way, the running one first."""

    def turn(self, index: int) -> Turn:
        """Return the turn at `index`.

        Raises
        ------
        ConfigurationError
            If there is none, or it is hidden.
        """
        turns = self.conversation.turns
        if not 0 <= index < len(turns) or turns[index].hidden:
            raise ConfigurationError(phrase("error.no_turn", number=index + 1))
        return turns[index]

    def place(self, live: LiveTurn) -> None:
        """Give a turn its place: the one that it revises, the one that its cell already has, or a new one at the end.

        Others on their way in the same place are stopped: the person who asks again does not wait for the first answer.
        """
        first = live.version_of
        known = self.place_of(live.request)
        if first is not None and first.index is not None and first.conversation_id == self.id:
            is_shown = self.conversation.turns[first.index].selected == first.at
            self._add_version(live, first.index, select=is_shown and live is first.correction)
        elif known is None:
            live.index = len(self.conversation.turns)
            self.conversation = self.conversation.appended(live.version)
        else:
            for other in self.live:
                if other.index == known:
                    other.cancel()
            self._add_version(live, known, select=True)
        live.conversation_id = self.id
        if live.index is not None and live.request.toolbox is not None:
            self.toolboxes[live.index] = live.request.toolbox
        self.live.append(live)

    def leave(self, live: LiveTurn) -> None:
        """Note that a turn is over."""
        if live in self.live:
            self.live.remove(live)

    def _add_version(self, live: LiveTurn, index: int, *, select: bool = False) -> None:
        before = self.conversation.turns[index]
        turn = before.revised(live.version) if select else before.with_version(live.version)
        self.conversation = self.conversation.with_turn(index, turn)
        live.index, live.at = index, len(turn.versions) - 1

    def place_of(self, request: Request) -> int | None:
        """Return the index of the turn that a prompt revises; None if it becomes a new turn."""
        if request.revises and request.revises[0] == self.id:
            return request.revises[1]
        return None if request.append else self.conversation.find(request.origin)

    def update(self, live: LiveTurn) -> bool:
        """Take a turn's version over if its status has changed, and return whether it had."""
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

    @property
    def running(self) -> dict[int, LiveTurn]:
        """The turns on their way, by their index; of versions the one that is shown."""
        running: dict[int, LiveTurn] = {}
        for live in tuple(self.live):
            if live.index is not None:
                is_shown = live.at == self.conversation.turns[live.index].selected
                running[live.index] = live if is_shown else running.get(live.index, live)
        return running

    def snapshot(self) -> Conversation:
        """Return the conversation with the text so far of the turns that still stream."""
        conversation = self.conversation
        for live in self.live:
            if live.index is not None:
                turn = conversation.turns[live.index].updated(live.version, live.at)
                conversation = conversation.with_turn(live.index, turn)
        return conversation

    def has_all(self, words: Iterable[str]) -> bool:
        """Whether each of the words stands in what is shown of it, whatever its capitals."""
        words = list(words)
        if not words:
            return True
        turns = [turn.current for _, turn in self.conversation.visible]
        said = "\n".join([self.conversation.title, *(part for turn in turns for part in (turn.prompt, turn.text))])
        folded = said.casefold()
        return all(word.casefold() in folded for word in words)

    def listed(self) -> Listed:
        """Return it as a list shows it."""
        shown = self.conversation.visible
        model = shown[-1][1].current.model if shown else ""
        # Other people's messages do not say when they were written: they are of now.
        updated = max((block.latest for block in self.conversation.all.blocks), default=0.0) or time.time()
        started = shown[0][1].started if shown else 0.0
        return Listed(self.id, self.conversation.name, started, updated, model, len(shown))


class OpenConversations:
    """The conversations of this kernel, the one that is shown, and all turns on their way.

    What changes them runs on the engine's thread.
    """

    def __init__(self, autosave: Autosave) -> None:
        self.current = OpenConversation()
        """The one that is shown, and in which is asked."""
        self.by_id = {self.current.id: self.current}
        self.system = ""
        """The system prompt with which it was imported; it holds where the session has none."""
        self.live: list[LiveTurn] = []
        """The turns on their way, the running one first; also those that have no place in a conversation."""
        self._autosave = autosave
        self._listeners: list[Callable[[Change, LiveTurn | None], None]] = []

    def listen(self, listener: Callable[[Change, LiveTurn | None], None]) -> Callable[[], None]:
        """Have `listener` called on the engine's thread when the current one changes; return how to end that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def notify(self, opened: OpenConversation, change: Change, live: LiveTurn) -> None:
        """Notify the listeners of a change of a turn, if its conversation is the current one."""
        if opened is self.current:
            notify(self._listeners, change, live)

    def enter(self, opened: OpenConversation) -> None:
        """Make `opened` the current one. What still streams in the one before is stopped."""
        if opened is not self.current:
            self.stop()
        self.by_id[opened.id] = self.current = opened
        notify(self._listeners, "reset", None)

    def change(self, conversation: Conversation) -> None:
        """Make `conversation` what the current one holds."""
        self.current.conversation = conversation
        self._autosave.changed(self.current)
        notify(self._listeners, "reset", None)

    def stop(self) -> int:
        """Stop every turn that runs or waits, and return how many there were; from any thread."""
        going = tuple(self.live)
        for live in going:
            live.cancel()
        return len(going)

    def find_answer(self, fingerprint: str) -> Version | None:
        """Return the response that this kernel has to the same request; of several the last."""
        found = [
            version
            for opened in self.by_id.values()
            for turn in opened.conversation.turns
            for version in turn.versions
            if version.fingerprint == fingerprint and version.status == "complete" and version.has_response
        ]
        return max(found, key=lambda version: version.timing.started, default=None)
