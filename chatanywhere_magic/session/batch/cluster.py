"""Rows on a Dask cluster: its workers ask, and what they get comes back at once to be stored here.

A task holds a block of prompts and what is asked with them, but no key: each worker finds its own where keys usually
are. A block is as many rows as one worker asks at a time, so that a worker that is lost takes no more with it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...core import (
    AnswerFormatError,
    ChatError,
    ConfigurationError,
    Failure,
    NotAskedError,
    Usage,
    encodable,
    phrase,
)
from ...providers import Completion
from .job import Bounds, Job, Unit, stored
from .tables import ERROR, RESPONSE, STATUS

if TYPE_CHECKING:
    from ...context import Request
    from ...store import Stored
    from .pace import Pace

BLOCKS_AHEAD: Final = 2
"""Blocks for each place, so that one lies ready when another is done."""
MAX_LOST: Final = 10
"""How often the same rows may be lost with their worker."""
_numbers: Final = itertools.count()


class Block(NamedTuple):
    """Prompts that one task asks, and how: everything that travels to a worker."""

    name: str
    places: int
    options: dict[str, Any]
    prompts: list[tuple[str, tuple[str, ...]]]
    bounds: Bounds


Told = tuple[str, str, str, "tuple[int | None, int | None] | None"]
"""A row's response as it travels back: its text, finish reason, model and token counts."""


def ask_block(block: Block) -> list[Told | Failure]:
    """Ask the prompts of a block; run on a worker, in its session and on its engine."""
    from distributed import Semaphore

    from ..session import get_session

    session = get_session()
    with Semaphore(max_leases=block.places, name=block.name):
        return session.batch.ask_block(block)


@dataclass(frozen=True)
class Cluster:
    """The workers of a client, and how they share what a job may use."""

    client: Any
    name: str
    places: int
    """Blocks that are asked at a time."""
    semaphore: Any

    @classmethod
    def of(cls, client: Any, concurrency: int) -> Cluster:
        """Return the workers of `client`, which ask so many rows at a time together."""
        from distributed import Semaphore

        places = max(min(sum(client.nthreads().values()), concurrency), 1)
        name = f"chat-map-{os.getpid()}-{next(_numbers)}-{os.urandom(4).hex()}"
        with client.as_current():
            return cls(client, name, places, Semaphore(max_leases=places, name=name))

    def share(self, bounds: Bounds) -> Bounds:
        """Return what one block may use."""
        return Bounds(
            max(bounds.concurrency // self.places, 1),
            bounds.rpm / self.places if bounds.rpm else None,
            bounds.tpm / self.places if bounds.tpm else None,
        )


class ClusterJob(Job):
    """A job whose rows are asked by the workers of a cluster."""

    cluster: Cluster
    options: dict[str, Any]
    """What is asked with, as :meth:`Preparation.for_rows` takes it on a worker."""

    async def _run(self) -> None:
        self._blocks = itertools.count()
        share = self.cluster.share(self.bounds)
        for _ in range(self.cluster.places * BLOCKS_AHEAD if self._waiting and not self.is_stopped else 0):
            self._begin_worker(self._ask_blocks(share))
        while self._workers:
            await asyncio.wait(set(self._workers))
        await self._all_saved()
        with suppress(Exception):  # it is of no use any more
            self.cluster.semaphore.close()

    async def _ask_blocks(self, share: Bounds) -> None:
        """Ask block after block, until there is none."""
        while self._waiting and not self.is_stopped and self.error is None:
            if self._is_too_dear():
                self.error = NotAskedError(phrase("error.max_cost", limit=self.bounds.max_cost))
                return
            units = [self._waiting.popleft() for _ in range(min(share.concurrency, len(self._waiting)))]
            told = await self._asked_on_worker(units, share)
            if told is not None:
                await asyncio.gather(*map(self._take_told, units, told))

    async def _asked_on_worker(self, units: list[Unit], share: Bounds) -> list[Told | Failure] | None:
        """Return what a worker got for units; None if they are to be asked again, or the job is over."""
        cluster = self.cluster
        prompts = [(unit.prompt, unit.images) for unit in units]
        block = Block(cluster.name, cluster.places, self.options, prompts, share)
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Any] = loop.create_future()

        def tell(value: Any) -> None:
            if not over.done():
                over.set_result(value)

        def fetch(done: Any) -> None:  # on a thread of the client's, where it may wait for what the worker holds
            try:
                value = done.result()
            except BaseException as caught:  # noqa: BLE001 - it is for the one who waits
                value = caught
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(tell, value)

        key = f"{cluster.name}-{next(self._blocks)}"
        future = cluster.client.submit(ask_block, block, key=key, pure=False)
        future.add_done_callback(fetch)
        try:
            value = await over
        except asyncio.CancelledError:
            future.cancel()
            raise
        finally:
            future.release()
        if isinstance(value, BaseException):
            self._lost(units, value)
            return None
        told: list[Told | Failure] = value
        return told

    async def _take_told(self, unit: Unit, told: Told | Failure) -> None:
        self.requests += 1
        if isinstance(told, Failure):
            error = told.error()
        else:
            words, finish, model, counts = told
            completion = Completion(words, finish, None if counts is None else Usage(*counts), model)
            self._count_usage(completion)
            schema = self.asking.schema
            try:
                value: Any = self._reply(completion) if schema is None else schema.read(words)
            except AnswerFormatError as caught:
                error = caught.bare()
            else:
                await self._write(unit, value, stored(unit.digest, completion))
                return
        await self._give_up(unit, error)

    def _lost(self, units: list[Unit], error: BaseException) -> None:
        """Have units asked again whose worker was lost; what no worker can do ends the job."""
        from distributed import KilledWorker

        for unit in units:
            unit.tries += 1
        if isinstance(error, KilledWorker) and all(unit.tries <= MAX_LOST for unit in units):
            self._waiting.extendleft(units)
            return
        reason = f"{type(error).__name__}: {encodable(' '.join(str(error).split())[:500])}"
        self.error = self.error or (
            error if isinstance(error, ChatError) else ChatError(phrase("error.worker", reason=reason))
        )


class BlockJob(Job):
    """The rows of one block, on a worker: what they get is told, and nothing is stored."""

    def prepared(self, pace: Pace) -> BlockJob:
        """Return it, ready to run."""
        self._told: dict[Unit, Told] = {}
        self._rows = self.rows
        self._pace = pace
        self._waiting.extend(self.units)
        return self

    async def _write(self, unit: Unit, value: Any, row: Stored) -> None:
        self._settle([(unit, value, row)])

    def _received(self, unit: Unit, completion: Completion) -> None:
        usage = completion.usage
        counts = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        self._told[unit] = completion.text, completion.finish_reason, completion.model, counts

    def told(self) -> list[Told | Failure]:
        """Return what became of each row."""
        return [self._told[unit] if unit in self._told else Failure.of(unit.value) for unit in self.units]


def options_of(request: Request) -> dict[str, Any]:
    """Return what is asked with, as it travels to workers: names and values, and no key.

    Raises
    ------
    ConfigurationError
        If the provider has no name by which a worker finds it.
    """
    from ...providers import get_provider, provider_names

    name = request.provider.name
    if name not in provider_names() or get_provider(name) is not request.provider:
        raise ConfigurationError(phrase("error.provider_on_workers"))
    params = {name: value for name, value in request.params.items() if name != "response_format"}
    return {
        **params,
        "provider": request.provider.name,
        "model": request.provider.model_for(request.model),
        "system": request.system,
        "temperature": request.temperature,
        "schema": (request.schema.json or True) if request.schema is not None else None,
        "allow_secrets": request.allow_secrets,
    }


def is_dask_frame(source: Any) -> bool:
    """Whether `source` is a frame of dask."""
    return type(source).__module__.partition(".")[0] == "dask" and hasattr(source, "map_partitions")


def mapped_lazily(source: Any, template: str | None, fields: list[str], options: dict[str, Any]) -> Any:
    """Return a frame of dask whose partitions are asked where and when they are computed."""
    prefix = options.get("prefix", "")
    meta = source._meta.copy()  # noqa: SLF001 - what dask itself calls it
    for name in (*(fields or (RESPONSE,)), STATUS, ERROR):
        meta[f"{prefix}{name}"] = meta.index.to_series().astype(object)
    return source.map_partitions(map_partition, template, options, meta=meta)


def map_partition(frame: Any, template: str | None, options: dict[str, Any]) -> Any:
    """Ask for every row of a partition; run on a worker."""
    from ..session import get_session

    result = get_session().map(frame, template, progress=False, **options)
    return result.astype({name: object for name in result.columns if name not in frame.columns})
