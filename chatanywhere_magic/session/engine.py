"""The engine: a thread with a private event loop for all providers, separate from the kernel's."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from heapq import heapify
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..core import ConfigurationError, phrase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

T = TypeVar("T")
STOP_SECONDS: Final = 2.0
MAX_CANCELLED_TIMERS: Final = 32
"""So many are kept before they are dropped together; at any time a loop has a handful of others."""

if sys.platform == "win32":
    _BaseLoop = asyncio.ProactorEventLoop
else:
    _BaseLoop = asyncio.SelectorEventLoop


class EngineLoop(_BaseLoop):
    """A separate loop class, so that nest-asyncio can make it re-entrant without touching other loops.

    Its timers that are cancelled are dropped. asyncio does so in its own round, which nest-asyncio replaces by one that
    keeps each until it is due, and with it the context that it was made in: the turn, its request, its text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at_close: list[Callable[[], Awaitable[None]]] = []
        """Run before the loop is closed, to close what is open on it, such as connections."""
        self._cancelled_timers = 0

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        super()._timer_handle_cancelled(handle)  # type: ignore[misc]  # asyncio's own, which has no type
        self._cancelled_timers += 1
        if self._cancelled_timers <= MAX_CANCELLED_TIMERS:
            return
        self._cancelled_timers = 0
        # In place, for a round that is going on reads the same list. `handle` is marked only after this call.
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # as above
        timers[:] = [timer for timer in timers if not timer.cancelled() and timer is not handle]
        heapify(timers)


class Engine:
    """A daemon thread with an :class:`EngineLoop`, started by the first :meth:`submit`."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop: EngineLoop | None = None
        self._thread: threading.Thread | None = None
        self._worker: _Worker | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, starting the thread if needed."""
        self._begin_anew_after_fork()
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = EngineLoop()
                _make_reentrant(self._loop)
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="chatanywhere-engine", daemon=True
                )
                self._thread.start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `coroutine` on the engine; from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop())

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` on the engine's thread and return what it returns; from any thread."""
        if self.is_current_thread():
            return function()

        async def run() -> T:
            return function()

        return self.submit(run()).result()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` on the engine's thread after `seconds`; from any thread."""
        loop = self.loop()
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, action))

    def _begin_anew_after_fork(self) -> None:
        """Forget the parent's threads. A forked child has none of them, and would wait for them for ever."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()  # a thread that is gone may have held the other
            self._loop = self._thread = self._worker = None

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child of the process that used it: what is open belongs to the parent."""
        return self._pid != os.getpid()

    def aside(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run `function` on the one thread for work that blocks, such as the disk's; from any thread, in turn."""
        self._begin_anew_after_fork()
        with self._lock:
            if self._worker is None:
                self._worker = _Worker()
            return self._worker.submit(function, *args)

    def is_current_thread(self) -> bool:
        """Whether the caller already runs on the engine."""
        return self._thread is threading.current_thread()

    def run_nested(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end from synchronous code that itself runs on the engine.

        This is what nest-asyncio is for here: a custom provider, tool or callback may ask the model again.
        Only our own loop class is patched; ``asyncio.run``, ``asyncio.Task`` and the kernel's loop stay as they are.
        """
        return self.loop().run_until_complete(coroutine)

    def stop(self) -> None:
        """Cancel what runs, close the loop and end the thread; the next :meth:`submit` starts a new one."""
        self._begin_anew_after_fork()
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        if loop is None or thread is None or thread is threading.current_thread():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS)


class _Worker:
    """A daemon thread that does one thing after the other.

    Not an executor, which at the interpreter's exit takes nothing more before those are asked who close things then.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="chatanywhere-worker", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put((future, function, args))
        return future

    def stop(self) -> None:
        """End when everything is done that was submitted."""
        self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            future, function, args = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(*args))
            except BaseException as caught:  # noqa: BLE001 - it is for the one who waits
                future.set_exception(caught)


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Run `function` on a thread of its own, in the caller's context.

    Not an executor's, for which the interpreter waits at its exit: a person's function may never return.
    """
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(context.run(function))
        except BaseException as caught:  # noqa: BLE001 - it is for the one who waits
            future.set_exception(caught)

    threading.Thread(target=run, name="chatanywhere-tool", daemon=True).start()
    return future


def callers_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that the caller runs on.

    Raises
    ------
    ConfigurationError
        If that is none of asyncio's, such as trio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(phrase("error.not_asyncio")) from None


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    # On the loop that runs, whatever loop the policy of today, which may be another program's, would give here.
    await asyncio.gather(*tasks, return_exceptions=True)


def _run(loop: EngineLoop) -> None:
    asyncio.set_event_loop(loop)
    workers = ThreadPoolExecutor(thread_name_prefix="chatanywhere-worker")
    loop.set_default_executor(workers)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(_ended(tasks))
        for close in loop.at_close:
            loop.run_until_complete(close())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        # Not the loop's own shutdown of it, which starts a thread: at the interpreter's exit there can be none.
        workers.shutdown(wait=False)
        asyncio.set_event_loop(None)
        loop.close()


def _make_reentrant(loop: asyncio.AbstractEventLoop) -> None:
    # With the first prompt, not with the extension. nest-asyncio does not work on 3.14, its fork does.
    if sys.version_info >= (3, 14):
        import nest_asyncio2 as nest_asyncio
    else:
        import nest_asyncio

    # Before the loop runs: patched while it runs, asyncio's own round would go on with a queue emptied by ours.
    nest_asyncio._patch_loop(loop)  # noqa: SLF001 - apply() would patch all of asyncio; this patches one class
