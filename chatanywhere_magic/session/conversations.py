"""A session's conversation, and the others there are: seen, observed and changed."""

from __future__ import annotations

import asyncio
import atexit
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, Found, encodable, phrase, search_in
from .autosave import Autosave
from .engine import STOP_SECONDS, Engine
from .open_conversation import OpenConversation
from .settings import Settings
from .turn_loop import Change, TurnLoop, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core import Conversation, Listed, Turn, Version
    from .cells import Cell
    from .live_turn import LiveTurn

MOST_LISTED: Final = 10_000


class History(Settings):
    """What was said, here and earlier. Every change happens on the engine's thread, whoever asks for it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine = Engine()
        self._open = OpenConversation()
        self._open_conversations = {self._open.id: self._open}
        """The conversations of this kernel, by id."""
        self._claimed: set[str] = set()
        self._listeners: list[Callable[[Change, LiveTurn | None], None]] = []
        self._autosave = Autosave(self._engine, self, lambda opened: opened.snapshot(self._turn_loop.live))
        self._turn_loop = TurnLoop(
            self, self._autosave, on_change=self._turn_changed, earlier_answer=self._earlier_answer
        )
        atexit.register(self.close)

    # --- what there is --------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands."""
        return self._open.conversation

    @property
    def conversation_id(self) -> str:
        """The conversation's id: the same in every kernel, and what :meth:`switch` takes."""
        return self._open.id

    @property
    def is_private(self) -> bool:
        """Whether the conversation is never written to the disk."""
        return self._open.private

    @property
    def live(self) -> tuple[LiveTurn, ...]:
        """The turns on their way, the running one first."""
        return tuple(self._turn_loop.live)

    @property
    def running(self) -> dict[int, LiveTurn]:
        """The turns on their way in the open conversation, by their index; of versions the one that is shown."""
        running: dict[int, LiveTurn] = {}
        for live in self.live:
            if live.index is not None and live.opened is self._open:
                is_shown = live.at == self.conversation.turns[live.index].selected
                running[live.index] = live if is_shown else running.get(live.index, live)
        return running

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

    def shown_turn(self, conversation_id: str, index: int) -> Turn | None:
        """Return the turn at `index` of a conversation; None if that is not open, or the turn is hidden."""
        opened = self._open  # once, since another thread may open another one
        turn = opened.conversation.turns[index] if opened.id == conversation_id else None
        return None if turn is None or turn.hidden else turn

    def listen(self, listener: Callable[[Change, LiveTurn | None], None]) -> Callable[[], None]:
        """Have `listener` called on the engine's thread when the conversation changes; return how to end that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def stop(self) -> int:
        """Stop every turn that runs or waits, and return how many there were. Text that came is kept."""
        going = self.live
        for live in going:
            live.cancel()
        return len(going)

    # --- changing it ----------------------------------------------------------------------------------------

    def undo(self) -> Turn | None:
        """Hide the last turn, and return it; None if there is none. :meth:`restore` takes it back."""

        def hide() -> Turn | None:
            visible = self.conversation.visible
            if not visible:
                return None
            index, turn = visible[-1]
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def delete(self, index: int) -> Turn:
        """Hide the turn at `index`, and return it; the turns around it keep their indices.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def hide() -> Turn:
            turn = self.turn(index)
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def clear(self) -> int:
        """Hide every turn, and return how many that were."""

        def hide() -> int:
            indices = [index for index, _ in self.conversation.visible]
            self._hide(indices)
            return len(indices)

        return self._engine.call(hide)

    def restore(self) -> list[int]:
        """Take the last undo, delete or clear back, and return the indices of the turns that are shown again.

        Each further call takes back the one before.
        """

        def show() -> list[int]:
            hidden = [index for index, turn in enumerate(self.conversation.turns) if turn.hidden]
            if hidden:
                self._change(self.conversation.restored())
            return [index for index in hidden if not self.conversation.turns[index].hidden]

        return self._engine.call(show)

    redo = restore

    def select(self, index: int, version: int) -> Turn:
        """Have the turn at `index` show and send another of its versions, counted from 0.

        Raises
        ------
        ConfigurationError
            If there is no such turn or version.
        """

        def choose() -> Turn:
            turn = self.turn(index)
            if not 0 <= version < len(turn.versions):
                raise ConfigurationError(phrase("error.no_version", number=version + 1, count=len(turn.versions)))
            return self._change_turn(index, selected=version)

        return self._engine.call(choose)

    def choose(self, live: LiveTurn) -> None:
        """Have its turn show and send the version that `live` became, unless the turn is not shown any more."""

        def choose() -> None:
            if live.index is None or live.opened is not self._open:
                return
            turn = self.shown_turn(self._open.id, live.index)
            if turn is not None and turn.selected != live.at:
                self._change_turn(live.index, selected=live.at)

        self._engine.call(choose)

    def pin(self, index: int, pinned: bool = True) -> Turn:  # noqa: FBT001, FBT002 - pin(3, False) reads well
        """Have the turn at `index` never left out of what is sent.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """
        return self._engine.call(lambda: self._change_turn(index, pinned=pinned))

    def rename(self, title: str) -> None:
        """Give the conversation a title; without one it is called as its first question."""
        words = " ".join(encodable(title).split())
        self._engine.call(lambda: self._change(replace(self.conversation, title=words)))

    def leave_cell(self, cell: Cell) -> list[int]:
        """Hide what a cell that ran to its end asked earlier and does not ask any more; return the indices.

        It is one step, which :meth:`restore` takes back.
        """

        def is_gone(index: int) -> bool:
            turn = self.conversation.turns[index]
            origins = [version.origin for version in turn.versions if version.origin.cell_id == cell.id]
            return not turn.hidden and all(origin.ordinal >= cell.asked for origin in origins)

        def hide() -> list[int]:
            gone = [index for index in self.conversation.find_cell(cell.id) if is_gone(index)]
            self._hide(gone)
            return gone

        # Asked after every cell of the notebook: the engine is not started for it.
        return self._engine.call(hide) if any(map(is_gone, self.conversation.find_cell(cell.id))) else []

    def _hide(self, indices: Sequence[int]) -> None:
        for live in self.live:
            if live.index in indices:
                live.cancel()
        if indices:
            self._change(self.conversation.hiding(indices))

    def _change(self, conversation: Conversation) -> None:
        self._open.conversation = conversation
        self._autosave.changed(self._open)
        tell(self._listeners, "reset", None)

    def _change_turn(self, index: int, **fields: Any) -> Turn:
        turn = replace(self.turn(index), **fields)
        self._change(self.conversation.with_turn(index, turn))
        return turn

    # --- other conversations --------------------------------------------------------------------------------

    def new(self, *, private: bool = False) -> None:
        """Begin a new conversation. What still streams in the old one is stopped.

        Parameters
        ----------
        private : bool, default False
            True never writes it to the disk.
        """
        self._engine.call(lambda: self._enter(OpenConversation(private=private)))

    def fork(self, index: int | None = None) -> str:
        """Begin a conversation of its own with the turns up to the one at `index`, and return its id.

        By default with all turns. The conversation that it was made of stays as it is; what still streams in it is
        stopped.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def copy() -> str:
            if index is not None:
                self.turn(index)
            source = self._open.snapshot(self.live)
            forked = source.forked(len(source.turns) if index is None else index)
            self._enter(OpenConversation(forked, private=self._open.private))
            self._autosave.changed(self._open)
            return self._open.id

        return self._engine.call(copy)

    def conversations(
        self, search: str = "", limit: int = 50, *, notebook: str | None = None, to_forget: bool = False
    ) -> list[Listed]:
        """Return the conversations there are, those that were changed last first.

        Parameters
        ----------
        search : str, optional
            Words of which all stand in the title, a question or an answer.
        limit : int, default 50
            Most of them.
        notebook : str, optional
            Only those of the notebook at this path.
        to_forget : bool, default False
            True looks on the disk also where `persist` is off: what was kept before can still be removed.
        """
        behind = self._behind()
        listed_there = self._autosave.conversations(search, limit, notebook=notebook, to_forget=to_forget)
        kept = {listed.id: listed for listed in listed_there if listed.id not in behind}
        words = search.split()
        if notebook in {None, self._autosave.notebook}:
            for opened in tuple(self._open_conversations.values()):
                if opened.conversation.visible and opened.has_all(words):
                    kept.setdefault(opened.id, opened.listed())
        return sorted(kept.values(), key=attrgetter("updated"), reverse=True)[:limit]

    def _behind(self) -> set[str]:
        """Return the ids of conversations of which the disk does not know the newest yet."""
        return {opened.id for opened in tuple(self._open_conversations.values()) if self._autosave.is_behind(opened)}

    def search(self, words: str, limit: int = 50) -> list[Found]:
        """Return the turns in which each of `words` stands, in any conversation; those of late first."""
        if not words.split():
            return []
        behind = self._behind()
        kept = [found for found in self._autosave.search(words, limit) if found.conversation_id not in behind]
        known = {found.conversation_id for found in kept}
        here = [
            found
            for opened in tuple(self._open_conversations.values())
            if opened.id not in known
            for found in search_in(opened.id, opened.conversation, words.split())
        ]
        return sorted([*kept, *here], key=attrgetter("asked"), reverse=True)[:limit]

    def switch(self, conversation_id: str) -> None:
        """Go on with another conversation. What still streams in this one is stopped.

        Parameters
        ----------
        conversation_id : str
            Its id, or how that begins.

        Raises
        ------
        ConfigurationError
            If there is none of that id, or more than one.
        """
        meant = self._meant(conversation_id)
        opened = self._open_conversations.get(meant)
        if opened is None:
            conversation = self._autosave.load(meant)
            if conversation is None:
                raise ConfigurationError(phrase("error.no_conversation", id=conversation_id))
            opened = OpenConversation(conversation.settled(), meant)
        entered = opened

        def enter() -> None:
            self._enter(entered)
            if meant in self._claimed:
                self._autosave.changed(entered)

        self._engine.call(enter)

    def forget(self, conversation_id: str, *, current: bool = False) -> None:
        """Remove a conversation for good, here and from the disk; nothing takes that back.

        Parameters
        ----------
        conversation_id : str
            Its id, or how that begins.
        current : bool, default False
            True removes the open one, too. What still streams in it is stopped, and a new one is begun.

        Raises
        ------
        ConfigurationError
            If there is none of that id, or more than one; if it is the open one and that was not said; if it could
            not be removed from the disk.
        """
        meant = self._meant(conversation_id, to_forget=True)
        if meant == self._open.id and not current:
            raise ConfigurationError(phrase("error.forget_current"))
        opened = self._open_conversations.get(meant)
        was_private = opened is not None and opened.private

        def let_go() -> None:
            if opened is not None:
                opened.private = True  # what comes in it from now on must not be written after all
                self._autosave.leave(opened)

        def take_back() -> None:
            if opened is not None:
                opened.private = was_private
                self._autosave.changed(opened)  # what was waiting is written when that works again

        def drop() -> None:
            if opened is self._open:
                self._enter(OpenConversation())
            self._open_conversations.pop(meant, None)

        self._engine.call(let_go)
        if not self._autosave.forget(meant):
            self._engine.call(take_back)
            raise ConfigurationError(phrase("error.not_forgotten", reason=self._autosave.problem))
        self._engine.call(drop)

    def _meant(self, conversation_id: str, *, to_forget: bool = False) -> str:
        """Return the id that is meant by how it begins."""
        if conversation_id in self._open_conversations:
            return conversation_id
        ids = [listed.id for listed in self.conversations(limit=MOST_LISTED, to_forget=to_forget)]
        meant = [each for each in ids if each.startswith(conversation_id)] if conversation_id else []
        if not meant:
            raise ConfigurationError(phrase("error.no_conversation", id=conversation_id))
        if len(meant) > 1:
            raise ConfigurationError(phrase("error.several_conversations", id=conversation_id, count=len(meant)))
        return meant[0]

    def export(self, format: str = "md") -> str:  # noqa: A002 - what it is
        """Return the conversation as a document: ``md``, ``json``, ``ipynb``, ``messages`` or ``jsonl``.

        What streams is in it as far as it has come; what is hidden is not.

        Raises
        ------
        FormatError
            If there is no such format.
        """
        from ..export import export

        return export(self._open.snapshot(self.live).settled(), format)

    def import_(self, document: str | bytes, format: str, *, replay: bool = False) -> int:  # noqa: A002 - as above
        """Go on with the conversation that a document holds, as a new one.

        Parameters
        ----------
        document : str or bytes
            From anybody; nothing in it runs.
        format : str
            As for :meth:`export`, or the name of its file.
        replay : bool, default False
            True lets its answers be replayed, for a document that is trusted; otherwise none of them ever answers a
            question of one's own.

        Returns
        -------
        int
            How many turns of it could not be read.

        Raises
        ------
        FormatError
            If it holds no conversation.
        """
        from ..export import read

        rebuilt = read(document, format)
        conversation = rebuilt.conversation.settled()

        def enter() -> None:
            self._enter(OpenConversation(conversation if replay else conversation.without_fingerprints()))
            self._autosave.changed(self._open)

        self._engine.call(enter)
        return rebuilt.left_out

    def _enter(self, opened: OpenConversation) -> None:
        if opened is not self._open:
            self.stop()
        self._open_conversations[opened.id] = self._open = opened
        tell(self._listeners, "reset", None)

    # --- the disk and the thread ----------------------------------------------------------------------------

    def keep(self, notebook: str = "") -> None:
        """Keep conversations on the disk from now on, as ``%load_ext`` does; `persist` turns it off.

        Parameters
        ----------
        notebook : str, optional
            The path of the notebook to which they belong.
        """
        self._autosave.begin(notebook)

    def claim(self, conversation_id: str) -> None:
        """Have a conversation belong to this kernel's notebook as soon as it is gone on with, not with its next turn.

        For that of a notebook that had another path, at which something else may stand now.
        """
        self._claimed.add(conversation_id)

    @property
    def has_kept(self) -> bool:
        """Whether anything was ever kept on this machine; told without opening the store."""
        return self._autosave.has_file

    def take_warnings(self) -> list[str]:
        """Return what the person must be told of the store, each once."""
        warnings = self._autosave.warnings
        taken = tuple(warnings)
        del warnings[: len(taken)]
        return list(taken)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` on the engine's thread after `seconds`; from any thread."""
        loop = self._engine.loop()
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, action))

    def close(self) -> None:
        """Stop what runs, write what is not yet on the disk, and end the engine's threads.

        The conversation stays; asking again starts the engine anew.
        """
        going = self.live
        self.stop()
        for live in going:
            live.done.wait(STOP_SECONDS)
        self._autosave.close()
        self._engine.stop()
        self._open.lock = asyncio.Lock()

    def _turn_changed(self, opened: OpenConversation, change: Change, live: LiveTurn) -> None:
        if opened is self._open:
            tell(self._listeners, change, live)

    def _earlier_answer(self, fingerprint: str) -> Version | None:
        """Return the answer that this kernel has to the same request; of several the last."""
        found = [
            version
            for opened in self._open_conversations.values()
            for turn in opened.conversation.turns
            for version in turn.versions
            if version.fingerprint == fingerprint and version.status == "complete" and version.has_answer
        ]
        return max(found, key=lambda version: version.timing.started, default=None)
