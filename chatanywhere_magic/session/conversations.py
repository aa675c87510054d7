"""All conversations: start, list, search, switch, delete, export and import them."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from ..core import ConfigurationError, Conversation, Found, encodable, phrase, search_in
from .open_conversation import OpenConversation

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Listed
    from .autosave import Autosave
    from .engine import Engine
    from .listeners import Change
    from .live_turn import LiveTurn
    from .open_conversation import OpenConversations

MOST_LISTED: Final = 10_000


class Conversations:
    """The conversations of this kernel and those on disk; one of them is open."""

    def __init__(self, engine: Engine, autosave: Autosave, conversations: OpenConversations) -> None:
        self._engine = engine
        self._autosave = autosave
        self._here = conversations
        self._claimed: set[str] = set()

    # --- the open one -------------------------------------------------------------------------------------------

    @property
    def current(self) -> Conversation:
        """The open conversation as it stands."""
        return self._here.current.conversation

    @property
    def id(self) -> str:
        """The open conversation's id: the same in every kernel, and what :meth:`switch` takes."""
        return self._here.current.id

    @property
    def is_private(self) -> bool:
        """Whether the open conversation is never written to the disk."""
        return self._here.current.private

    def listen(self, listener: Callable[[Change, LiveTurn | None], None]) -> Callable[[], None]:
        """Call `listener` on the engine's thread when the conversation changes; return a function that ends that."""
        return self._here.listen(listener)

    def rename(self, title: str) -> None:
        """Give the conversation a title; without one, its first prompt is its name.

        Raises
        ------
        ConfigurationError
            If the title contains what looks like a key: titles are saved and listed.
        """
        words = _checked_title(title)
        self._engine.call(lambda: self._here.change(replace(self.current, title=words)))

    # --- others -------------------------------------------------------------------------------------------------

    def new(self, title: str = "", *, private: bool = False) -> None:
        """Start a new conversation. Turns in progress in the old one are stopped.

        Parameters
        ----------
        title : str, optional
            Its title, as for :meth:`rename`.
        private : bool, default False
            True never writes it to the disk.

        Raises
        ------
        ConfigurationError
            As :meth:`rename`; then nothing has changed.
        """
        conversation = Conversation(title=_checked_title(title)) if title else None
        self._engine.call(lambda: self._here.enter(OpenConversation(conversation, private=private)))

    def fork(self, index: int | None = None) -> str:
        """Continue in a new conversation with the turns up to the one at `index`, and return its id.

        By default with all turns. The conversation that it was made of stays as it is; what still streams in it is
        stopped.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def copy() -> str:
            if index is not None:
                self._here.current.turn(index)
            source = self._here.current.snapshot()
            forked = source.forked(len(source.turns) if index is None else index)
            opened = OpenConversation(forked, private=self._here.current.private)
            opened.system = self._here.current.system
            self._here.enter(opened)
            self._autosave.changed(self._here.current)
            return self._here.current.id

        return self._engine.call(copy)

    def search(self, words: str, limit: int = 50) -> list[Found]:
        """Return the turns of all conversations that contain all of `words`, latest first."""
        if not words.split():
            return []
        behind = self._behind()
        kept = [found for found in self._autosave.search(words, limit) if found.conversation_id not in behind]
        known = {found.conversation_id for found in kept}
        here = [
            found
            for opened in tuple(self._here.by_id.values())
            if opened.id not in known and not self._autosave.has_all_of(opened)
            for found in search_in(opened.id, opened.conversation, words.split())
        ]
        return sorted([*kept, *here], key=attrgetter("asked"), reverse=True)[:limit]

    def switch(self, conversation_id: str) -> None:
        """Switch to another conversation. Turns in progress in this one are stopped.

        Parameters
        ----------
        conversation_id : str
            Its id, or the beginning of it.

        Raises
        ------
        ConfigurationError
            If no conversation has that id, or more than one has.
        """
        meant = self._meant(conversation_id)
        opened = self._here.by_id.get(meant)
        if opened is None:
            conversation = self._autosave.load(meant)
            if conversation is None:
                raise ConfigurationError(phrase("error.no_conversation", id=conversation_id))
            opened = OpenConversation(conversation.settled(), meant)
        entered = opened

        def enter() -> None:
            self._here.enter(entered)
            if meant in self._claimed:
                self._autosave.changed(entered)

        self._engine.call(enter)

    def forget(self, conversation_id: str, *, current: bool = False) -> None:
        """Delete a conversation for good, here and from the disk; this cannot be undone.

        Parameters
        ----------
        conversation_id : str
            Its id, or the beginning of it.
        current : bool, default False
            True deletes even the open one. Its turns in progress are stopped, and a new one is started.

        Raises
        ------
        ConfigurationError
            If no conversation has that id, or more than one has; if it is the open one and `current` does not say so;
            if it could not be removed from the disk.
        """
        meant = self._meant(conversation_id, to_forget=True)
        if meant == self._here.current.id and not current:
            raise ConfigurationError(phrase("error.forget_current"))
        opened = self._here.by_id.get(meant)
        was_private = opened is not None and opened.private

        def let_go() -> None:
            if opened is not None:
                opened.private = True  # what comes in it from now on must not be written after all
                self._autosave.leave(opened)

        def keep_it() -> None:
            if opened is not None:
                opened.private = was_private
                self._autosave.changed(opened)  # what was waiting is written when that works again

        def drop() -> None:
            if opened is self._here.current:
                self._here.enter(OpenConversation())
            self._here.by_id.pop(meant, None)

        self._engine.call(let_go)
        if not self._autosave.forget(meant):
            self._engine.call(keep_it)
            raise ConfigurationError(phrase("error.not_forgotten", reason=self._autosave.problem))
        self._engine.call(drop)

    def export(self, format: str = "md") -> str:  # noqa: A002 - what it is
        """Return the conversation as a document: ``md``, ``json``, ``ipynb``, ``messages`` or ``jsonl``.

        What streams is in it as far as it has come; what is hidden is not.

        Raises
        ------
        FormatError
            If there is no such format.
        """
        from ..export import export

        return export(self._here.current.snapshot().settled(), format)

    def import_(
        self,
        document: str | bytes,
        format: str,  # noqa: A002 - as above
        *,
        replay: bool = False,
        number: int | None = None,
    ) -> int:
        """Import a document as a new conversation, and continue it.

        Parameters
        ----------
        document : str or bytes
            An untrusted document; nothing in it runs.
        format : str
            As for :meth:`export`, or the name of its file.
        replay : bool, default False
            True lets its responses be replayed, for a document that is trusted; otherwise none of them ever answers a
            prompt of one's own.
        number : int, optional
            Which conversation, from 1 on, of a document that holds several.

        Returns
        -------
        int
            How many turns of it could not be read.

        Raises
        ------
        FormatError
            If it contains no conversation.
        """
        from ..export import read

        rebuilt = read(document, format, number)
        conversation = rebuilt.conversation.settled()
        last = conversation.visible[-1:]

        def enter() -> None:
            opened = OpenConversation(conversation if replay else conversation.without_fingerprints())
            opened.system = last[0][1].current.system if last else ""
            self._here.enter(opened)
            self._autosave.changed(self._here.current)

        self._engine.call(enter)
        return rebuilt.left_out

    # --- the disk -----------------------------------------------------------------------------------------------

    def keep(self, notebook: str = "") -> None:
        """Start saving conversations on disk, as ``%load_ext`` does; `persist` turns it off.

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
        """Whether anything was ever kept on this machine; known without opening the store."""
        return self._autosave.has_file

    def take_warnings(self) -> list[str]:
        """Return the store's warnings for the user, each once."""
        warnings = self._autosave.warnings
        taken = tuple(warnings)
        del warnings[: len(taken)]
        return list(taken)

    # Last, for below it `list` means this.

    def list(
        self, search: str = "", limit: int = 50, *, notebook: str | None = None, to_forget: bool = False
    ) -> list[Listed]:
        """Return the conversations, most recently changed first.

        Parameters
        ----------
        search : str, optional
            Words that all occur in the title, a prompt or a response.
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
            for opened in tuple(self._here.by_id.values()):
                if (
                    opened.id not in kept
                    and not (words and self._autosave.has_all_of(opened))
                    and opened.conversation.visible
                    and opened.has_all(words)
                ):
                    kept[opened.id] = opened.listed()
        return sorted(kept.values(), key=attrgetter("updated"), reverse=True)[:limit]

    def _meant(self, conversation_id: str, *, to_forget: bool = False) -> str:
        """Return the id with a given beginning."""
        if conversation_id in self._here.by_id:
            return conversation_id
        ids = [listed.id for listed in self.list(limit=MOST_LISTED, to_forget=to_forget)]
        meant = [each for each in ids if each.startswith(conversation_id)] if conversation_id else []
        if not meant:
            raise ConfigurationError(phrase("error.no_conversation", id=conversation_id))
        if len(meant) > 1:
            raise ConfigurationError(phrase("error.several_conversations", id=conversation_id, count=len(meant)))
        return meant[0]

    def _behind(self) -> set[str]:
        """Return the ids of conversations with changes that are not on disk yet."""
        return {opened.id for opened in tuple(self._here.by_id.values()) if self._autosave.is_behind(opened)}


def _checked_title(title: str) -> str:
    from ..keys import leaks_in, secrets_of_environment  # with the first title, not with the extension

    words = " ".join(encodable(title).split())
    if kinds := leaks_in(words, secrets_of_environment()):
        raise ConfigurationError(phrase("error.key_in_title", kinds=", ".join(kinds)))
    return words
