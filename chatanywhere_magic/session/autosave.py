"""Save and load conversations: when they are written, on which thread, and how problems are reported."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import TimeoutError as FuturesTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from ..core import text
from ..keys import DIRECTORY_VARIABLE, data_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..core import Conversation, Found, Listed, Version
    from ..store import Jobs, Store
    from .engine import Engine
    from .open_conversation import OpenConversation
    from .settings import Settings

_log = logging.getLogger(__name__)
T = TypeVar("T")

SAVE_SECONDS: Final = 0.3
"""After a change until it is written; further ones in between go with it."""
PATIENCE_SECONDS: Final = 8.0
"""A disk that takes longer than this keeps no prompt waiting."""
LOOK_SECONDS: Final = 0.1
"""Between two looks at what the disk does meanwhile."""
CLOSE_SECONDS: Final = 5.0


class Autosave:
    """The session's access to the store.

    The store is opened by the first thing that needs it, and lives on the engine's worker: whatever the disk does,
    neither a stream nor the kernel waits for it. Until :meth:`begin` nothing is read or written.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.notebook = ""
        """The notebook to which the conversations of this kernel belong."""
        self.warnings: list[str] = []
        """What the person has not seen yet."""
        self._engine = engine
        self._settings = settings
        self._begun = False
        self._store: Store | None = None
        self._in_use = threading.Lock()
        """Held by whoever uses the store: the worker, or for a quick write the engine's thread."""
        self.problem = ""
        """What was wrong with the store last."""
        self._changed: dict[str, OpenConversation] = {}
        self._kept: set[str] = set()
        """The conversations of which the store has taken or given everything, but for what has changed since."""
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._given_up: Future[None] | None = None
        """The last write for which a prompt has stopped waiting."""

    def begin(self, notebook: str) -> None:
        """Start saving conversations, as those of `notebook`."""
        self._begun = True
        self.notebook = notebook

    @property
    def is_on(self) -> bool:
        """Whether there is a store to read and write."""
        return self._begun and self._settings.persist

    @property
    def has_file(self) -> bool:
        """Whether anything was ever kept on this machine; asked where opening the store would take too long."""
        return self.is_on and _is_there()

    # --- writing, on the engine's thread -------------------------------------------------------------------------

    def changed(self, opened: OpenConversation, *, at_once: bool = False) -> None:
        """Have `opened` written soon, or at once, that is as soon as what is being written now is."""
        if not self._may_keep(opened):
            return
        self._changed[opened.id] = opened
        if self._writing:
            return
        if self._timer is not None and at_once:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0 if at_once else SAVE_SECONDS, self._write)

    def _may_keep(self, opened: OpenConversation) -> bool:
        """Return whether it may be written. What was said while the option was off is not, even when it is on again."""
        if self._begun and not self._settings.persist:
            opened.private = True
        return self._begun and not opened.private

    def is_behind(self, opened: OpenConversation) -> bool:
        """Whether something of `opened` still waits to be written."""
        return opened.id in self._changed

    def has_all_of(self, opened: OpenConversation) -> bool:
        """Whether the store has everything of `opened`, so that a search there finds it."""
        return self.is_on and not opened.private and opened.id in self._kept and not self.is_behind(opened)

    def leave(self, opened: OpenConversation) -> None:
        """Write nothing more of `opened`, which is private from now on."""
        self._changed.pop(opened.id, None)

    async def saved(self, opened: OpenConversation) -> None:
        """Write `opened` now, and wait until it is written."""
        if self._may_keep(opened):
            self._changed.pop(opened.id, None)
            is_stuck = self._given_up is not None and not self._given_up.done()
            writing = self._engine.aside(self._save, [self._draft(opened)])
            written = asyncio.wrap_future(writing)
            end = time.monotonic() + PATIENCE_SECONDS
            while not (is_stuck or self._hindrance() or written.done() or time.monotonic() > end):
                await asyncio.wait([written], timeout=LOOK_SECONDS)
            if not written.done():
                self._given_up = writing
            self._warn(self._hindrance())

    def _hindrance(self) -> str:
        return self._store.hindrance if self._store is not None else ""

    def _write(self) -> None:
        self._timer = None
        waiting, self._changed = list(self._changed.values()), {}
        loop = asyncio.get_running_loop()
        self._writing = True

        def done(_future: Future[None]) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._written)

        self._engine.aside(
            self._save,
            [self._draft(opened) for opened in waiting if self._may_keep(opened)],
        ).add_done_callback(done)

    def _written(self) -> None:
        self._writing = False
        for opened in list(self._changed.values()):
            self.changed(opened, at_once=opened.is_settled)

    def _draft(self, opened: OpenConversation) -> tuple[str, Conversation]:
        return opened.id, opened.snapshot()

    # --- reading, from any thread ----------------------------------------------------------------------------------

    def conversations(
        self, search: str = "", limit: int = 50, *, notebook: str | None = None, to_forget: bool = False
    ) -> list[Listed]:
        """Return what :meth:`Store.conversations` does; `to_forget`, also where nothing new is kept any more."""
        return self._read(
            lambda store: store.conversations(search, limit, notebook=notebook),
            [],
            is_on=self.is_on or (to_forget and self._begun and _is_there()),
        )

    def search(self, words: str, limit: int = 50) -> list[Found]:
        """Return what :meth:`Store.search` does."""
        return self._read(lambda store: store.search(words, limit), [])

    def load(self, conversation_id: str) -> Conversation | None:
        """Return what :meth:`Store.load` does."""
        loaded = self._read(lambda store: store.load(conversation_id), None)
        if loaded is not None:
            self._kept.add(conversation_id)
        return loaded

    def forget(self, conversation_id: str) -> bool:
        """Do what :meth:`Store.forget` does, also where nothing new is kept any more."""

        def forget() -> bool:
            if self._store is None and not _is_there():
                return True
            return self._attempt(lambda store: store.forget(conversation_id), otherwise=False)

        # On the worker, behind whatever is being written.
        return not self._begun or self._engine.aside(forget).result()

    async def with_jobs(self, action: Callable[[Jobs], T]) -> T | None:
        """Return what :meth:`Store.with_jobs` does, on the engine's thread; None where nothing is kept."""
        if not self._settings.persist:
            return None
        return await asyncio.wrap_future(
            self._engine.aside(lambda: self._attempt(lambda store: store.with_jobs(action), None))
        )

    def try_jobs(self, action: Callable[[Jobs], None]) -> bool:
        """Do what :meth:`Store.try_jobs` does; False if the store is busy. Handing it over would take longer."""
        if self._store is None or not self._in_use.acquire(blocking=False):
            return False
        try:
            return self._store is not None and self._store.try_jobs(action)
        finally:
            self._in_use.release()

    async def find_replay(self, fingerprint: str) -> Version | None:
        """Return what :meth:`Store.find_replay` does, on the engine's thread."""
        if not self.is_on:
            return None
        found = self._engine.aside(lambda: self._attempt(lambda store: store.find_replay(fingerprint), None))
        return await asyncio.wrap_future(found)

    def close(self) -> None:
        """Write what is left and close the store; the next access opens it again."""
        if self._store is None and not self._changed:
            return
        drafts = self._engine.call(self._last_drafts)
        for action in (lambda: self._save(drafts), self._close):
            with suppress(FuturesTimeoutError):
                self._engine.aside(action).result(CLOSE_SECONDS)

    def _last_drafts(self) -> list[tuple[str, Conversation]]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._changed = list(self._changed.values()), {}
        self._writing = False
        return [self._draft(opened) for opened in waiting if self._may_keep(opened)]

    def _read(self, action: Callable[[Store], T], otherwise: T, *, is_on: bool | None = None) -> T:
        if not (self.is_on if is_on is None else is_on):
            return otherwise
        return self._engine.aside(lambda: self._attempt(action, otherwise)).result()

    # --- on the worker ---------------------------------------------------------------------------------------------

    def _opened(self) -> Store:
        if self._store is None:
            from ..store import FILE_NAME, Store  # it loads sqlite3

            self._store = Store(data_directory() / FILE_NAME)
            self._store.recover()
        return self._store

    def _attempt(self, action: Callable[[Store], T], otherwise: T) -> T:
        """Do something with the store. If it fails, a warning says why, once, and nothing else suffers."""
        try:
            with self._in_use:
                done = action(store := self._opened())
            self._warn(store.problem)
        except Exception as caught:  # noqa: BLE001 - a disk, a database, a home directory that is missing
            _log.debug("the store failed", exc_info=True)
            self._warn(text("store.other", path=DIRECTORY_VARIABLE, reason=type(caught).__name__))
            return otherwise
        return done

    def _save(self, drafts: list[tuple[str, Conversation]]) -> None:
        def save(store: Store) -> None:
            for conversation_id, conversation in drafts:
                store.save(conversation_id, conversation, self.notebook)
                self._kept.add(conversation_id)

        if drafts:
            self._attempt(save, None)

    def _warn(self, problem: str) -> None:
        if problem and problem != self.problem:
            self.warnings.append(problem)
        self.problem = problem or self.problem

    def _close(self) -> None:
        with self._in_use:
            store, self._store = self._store, None
            if store is not None:
                store.close()


def _is_there() -> bool:
    """Whether anything was ever kept on this machine."""
    with suppress(OSError, RuntimeError):  # a directory that may not be read, a home that is missing
        return any(data_directory().glob("*.db"))
    return False
