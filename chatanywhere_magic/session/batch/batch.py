"""A prompt for every row: ``chat.map`` and what belongs to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...context import read_file
from ...core import (
    ChatInterrupted,
    ConfigurationError,
    encodable,
    estimate,
    estimate_messages,
    phrase,
    text,
    to_dicts,
    user_message,
)
from ...providers import get_provider
from ..engine import callers_loop
from ..interrupts import Interrupts
from .job import CONCURRENCY, Asking, Bounds, Job, Unit
from .pace import Pace
from .prices import MILLION, price_of
from .progress import Bar, first_words, last_words, say
from .tables import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ...context import Request
    from ...core import Failure, Messages
    from ...store import JobRecord, Jobs, Stored
    from ..autosave import Autosave
    from ..egress import Egress
    from ..engine import Engine
    from ..preparation import Preparation
    from ..settings import Settings
    from ..usage import ModelUsage, UsageTotals
    from .cluster import Block, Told

SAMPLE: Final = 200
"""Rows by which the tokens of all are estimated."""
LOOK_SECONDS: Final = 0.1
"""Between two looks of who waits at how far it is."""
MAX_LABEL: Final = 80
KEPT_JOBS: Final = 20
"""Jobs of this kernel that are remembered when they are over."""


class Batch:
    """Jobs: rows that are asked of a model, each apart from the conversation."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        preparation: Preparation,
        egress: Egress,
        autosave: Autosave,
        usage: UsageTotals,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._preparation = preparation
        self._egress = egress
        self._autosave = autosave
        self._usage = usage
        self._paces: dict[str, Pace] = {}
        self.jobs: list[Job] = []
        """The jobs of this kernel, the latest last."""
        self.listeners: list[Callable[[Job], None]] = []
        """Called on the engine's thread whenever a job gets on."""

    @property
    def running(self) -> list[Job]:
        """The jobs that are not over."""
        return [job for job in self.jobs if not job.done]

    # --- asking -----------------------------------------------------------------------------------------------------

    def map(self, source: Any, template: str | None = None, *, background: bool = False, **options: Any) -> Any:
        """Ask the model for every row; see :meth:`ChatSession.map`."""
        if type(source).__module__.startswith("dask."):
            return self._lazily(source, template, options)
        if self._engine.is_current_thread():
            return self._engine.run_nested(self.amap(source, template, **options))
        shown = options.pop("progress", True)
        with Interrupts() as interrupts:
            job, begin, again = self._made(source, template, **options)
            interrupts.stop(job)
            self._engine.submit(job.begin(begin, again=again)).result()
            self._introduce(job, shown=shown)
            self._start(job)
            if background:
                return job
            self._wait(job, shown=shown)
        return self._over(job, shown=shown)

    def _lazily(self, source: Any, template: str | None, options: dict[str, Any]) -> Any:
        """Return a frame of dask that is asked when it is computed; what is wrong is said now."""
        from .cluster import is_dask_frame, mapped_lazily

        if not is_dask_frame(source):
            raise ConfigurationError(phrase("error.rows_type", name=type(source).__name__))
        for name in ("background", "client", "progress"):
            options.pop(name, None)
        job, _, _ = self._made(source._meta, template, **options, on_workers=True)  # noqa: SLF001 - dask's own name
        return mapped_lazily(source, template, job.fields, options)

    async def amap(self, source: Any, template: str | None = None, **options: Any) -> Any:
        """Ask the model for every row without blocking the caller's event loop; see :meth:`ChatSession.amap`."""
        shown = options.pop("progress", True)
        job = await self._begun(source, template, shown=shown, **options)
        bar = Bar(job, shown=shown and bool(job.left))
        future = asyncio.wrap_future(self._start(job))
        try:
            # Woken so often, the loop sees an interrupt soon, too.
            while not (await asyncio.wait([future], timeout=LOOK_SECONDS))[0]:
                bar.update()
        finally:
            job.cancel()
            bar.close()
        return self._over(job, shown=shown)

    async def imap(self, source: Any, template: str | None = None, **options: Any) -> AsyncIterator[Any]:
        """Yield the results in the order of the rows, each as soon as it is there; see :meth:`ChatSession.imap`."""
        job = await self._begun(source, template, shown=options.pop("progress", False), **options)
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake(_: Job) -> None:
            with suppress(RuntimeError):  # the caller's loop was closed
                loop.call_soon_threadsafe(changed.set)

        job.listeners.append(wake)
        rows: list[Unit | None] = [None] * job.rows
        for unit in job.units:
            for place in unit.places:
                rows[place] = unit
        self._start(job)
        try:
            for row in rows:
                while row is not None and row.value is None:
                    changed.clear()
                    if row.value is None:
                        await asyncio.wait([asyncio.ensure_future(changed.wait())], timeout=LOOK_SECONDS)
                if job.error is not None and job.progress.done == 0:
                    raise job.error
                yield row.value if row is not None else None
        finally:
            job.cancel()

    async def _begun(self, source: Any, template: str | None, *, shown: bool, **options: Any) -> Job:
        callers_loop()  # else nothing is begun
        job, begin, again = self._made(source, template, **options)
        beginning = job.begin(begin, again=again)
        if self._engine.is_current_thread():
            await beginning
        else:
            await asyncio.wrap_future(self._engine.submit(beginning))
        self._introduce(job, shown=shown)
        return job

    def _start(self, job: Job) -> Any:
        self.jobs = [*(each for each in self.jobs[-KEPT_JOBS:]), job]
        job.listeners += self.listeners
        return self._engine.submit(job.run())

    def _wait(self, job: Job, *, shown: bool) -> None:
        bar = Bar(job, shown=shown and bool(job.left))
        try:
            while not job.wait(LOOK_SECONDS):
                bar.update()
        finally:
            bar.close()

    @staticmethod
    def _over(job: Job, *, shown: bool) -> Any:
        """Say how a job ended, and return its results; those of one that was interrupted, too."""
        result = job.result()
        if job.requests or job.progress.done < job.progress.rows:
            say_if(last_words(job), shown=shown or job.progress.done < job.progress.rows)
        return result

    # --- making a job -----------------------------------------------------------------------------------------------

    def _made(  # noqa: PLR0913 - options of one call
        self,
        source: Any,
        template: str | None,
        *,
        images: str | None = None,
        prefix: str = "",
        name: str = "",
        concurrency: int = CONCURRENCY,
        rpm: float | None = None,
        tpm: float | None = None,
        max_cost: float | None = None,
        fresh: bool = False,
        retry: str | None = None,
        client: Any = None,
        on_workers: bool = False,
        **options: Any,
    ) -> tuple[Job, Callable[[Jobs], tuple[int, list[Stored]]], bool]:
        """Check everything and return a job, what notes it on disk, and whether failed rows are asked again."""
        if concurrency < 1:
            raise ConfigurationError(phrase("error.concurrency", value=concurrency))
        if retry not in {None, "failed"}:
            raise ConfigurationError(phrase("error.retry_rows", value=retry))
        table = Table(source, template, images)
        request = self._preparation.for_rows(**options, has_key=not (on_workers or client is not None))
        asking = self.asking(request)
        fields = fields_of(request)
        table.check_results(fields, prefix)
        if max_cost is not None and asking.price is None:
            raise ConfigurationError(phrase("error.no_price", model=asking.model))
        bounds = Bounds(concurrency, rpm, tpm, max_cost)
        job = self._job(client, request, (asking, bounds, self._autosave, self._usage))
        job.fields = fields
        start = self._fingerprint(request, name)
        self._read(job, table, start)
        job.label = (name or table.label or (job.units[0].prompt if job.units else ""))[:MAX_LABEL]
        job.give_back = lambda values: table.given_back(values, fields, prefix)
        job.max_tokens = request.params.get("max_tokens")
        job.provider_class = request.provider
        key = start.copy()
        for unit in job.units:
            key.update(unit.digest)
        spec = _spec(request, options, name)
        about = (encodable(job.label), asking.provider, asking.model, spec)

        def begin(jobs: Jobs) -> tuple[int, list[Stored]]:
            rows = (
                (unit.digest, _written(unit), ",".join(map(str, unit.places)))
                for unit in job.units
                if unit.value is None
            )
            number = jobs.begin(key.hexdigest(), about, rows, fresh=fresh)
            return number, jobs.ended(number)

        return job, begin, retry == "failed"

    @staticmethod
    def _job(client: Any, request: Request, parts: tuple[Asking, Bounds, Autosave, UsageTotals]) -> Job:
        if client is None:
            return Job(*parts)
        from .cluster import Cluster, ClusterJob, options_of  # dask is not the core's

        job = ClusterJob(*parts)
        job.options = options_of(request)
        job.cluster = Cluster.of(client, parts[1].concurrency)
        return job

    def ask_block(self, block: Block) -> list[Told | Failure]:
        """Ask the rows of a block and wait for them; on a worker of a cluster."""
        from .cluster import BlockJob

        request = self._preparation.for_rows(**block.options)
        job = BlockJob(self.asking(request), block.bounds, self._autosave, self._usage)
        for number, (prompt, images) in enumerate(block.prompts):
            unit = Unit(prompt, images, number.to_bytes(4, "big"))
            unit.places.append(number)
            job.units.append(unit)

        async def run() -> None:
            # One for all blocks of a job: it knows by now what the server takes.
            bounds = block.bounds
            pace = self._paces.get(block.name) or Pace(bounds.concurrency * block.places, bounds.rpm, bounds.tpm)
            self._paces = {block.name: pace}
            await job.prepared(pace).run()

        self._engine.submit(run()).result()
        return job.told()

    def asking(self, request: Request) -> Asking:
        """Return how rows are asked with what is the same for all of them.

        Raises
        ------
        LeakError
            If the system prompt or a parameter looks like a key.
        """
        provider, settings = request.provider, self._settings
        model = provider.model_for(request.model)
        options: dict[str, Any] = {**request.params}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.schema is not None and provider.learns_parameters:
            options["optional"] = ("response_format",)
        gate = self._egress.gate(request)
        said: Messages = [{"role": "system", "content": request.instructions}] if request.instructions else []

        def messages(unit: Unit) -> Messages:
            if not unit.images:
                return [*said, {"role": "user", "content": unit.prompt}]
            sees = provider.supports_images
            pictures = tuple(read_file(path, Path(path).name, supports_images=sees) for path in unit.images)
            asked = user_message(unit.prompt, pictures)
            return [*said, *to_dicts((asked,), request.owner, images=sees)]

        return Asking(
            provider.whole_responses(request.model, max_retries=0, **settings.requests, **options),
            provider.name,
            model,
            messages,
            gate,
            request.schema,
            2 * settings.max_retries,
            price_of(provider, model, settings.prices),
        )

    def _fingerprint(self, request: Request, name: str) -> Any:
        """Return the digest of everything but the prompt that decides a response."""
        provider = request.provider
        parts = [
            provider.name,
            provider.model_for(request.model),
            request.temperature,
            request.parameters,
            request.instructions,
            name,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())

    def _read(self, job: Job, table: Table, start: Any) -> None:
        """Read the rows into units; equal ones become the same."""
        units: dict[bytes, Unit] = {}
        for place, row in enumerate(table.rows()):
            digest = start.copy()
            digest.update(row.prompt.encode())
            for path in row.images:
                digest.update(repr(_stamp(path)).encode())
            if row.error is not None:
                digest.update(f"{place}".encode())
            short = digest.digest()[:16]
            unit = units.get(short)
            if unit is None:
                unit = units[short] = Unit(row.prompt, row.images, short)
                unit.value = row.error
            unit.places.append(place)
        job.units = list(units.values())

    # --- before it starts ---------------------------------------------------------------------------------------------

    def _introduce(self, job: Job, *, shown: bool) -> None:
        """Say what is about to be done, and ask where the person wants to be asked.

        Raises
        ------
        ChatInterrupted
            If the person says no.
        ConfigurationError
            If there is nobody to be asked.
        """
        left = job.left
        sample = left[:: max(len(left) // SAMPLE, 1)]
        tokens, cost = 0, None
        if sample:
            each = estimate(sample[0].prompt) if not sample[0].images else 0
            with_all = self._tokens_of_all(job, sample[0]) - each
            tokens = round(len(left) * (with_all + sum(estimate(unit.prompt) for unit in sample) / len(sample)))
        most = job.max_tokens
        price = job.asking.price
        if price is not None:
            cost = tokens * price[0] + len(left) * (most or 0) * price[1]
        allowance = job.provider_class.daily_requests(job.asking.model) if job.provider_class is not None else None
        say_if(first_words(job, allowance, tokens, cost, is_most=bool(most)), shown=shown)
        settings = self._settings
        above_rows = settings.ask_above_rows is not None and len(left) > settings.ask_above_rows
        above_cost = settings.ask_above_cost is not None and (cost or 0.0) > settings.ask_above_cost
        if left and (above_rows or above_cost) and not agreed(text("ask.job", count=len(left))):
            raise ChatInterrupted(text("status.stopped_unasked"))

    @staticmethod
    def _tokens_of_all(job: Job, unit: Unit) -> int:
        try:
            return estimate_messages(job.asking.messages(unit))
        except ConfigurationError:  # a picture that is missing
            return estimate(unit.prompt)

    def cost(self, provider: str, model: str, spent: ModelUsage) -> float | None:
        """Return what was used of a model in money; None where its price is not known."""
        try:
            price = price_of(get_provider(provider), model, self._settings.prices)
        except ConfigurationError:  # a provider that was never registered
            own = self._settings.prices.get(model)
            price = None if own is None else (own[0] / MILLION, own[1] / MILLION)
        if price is None:
            return None
        return spent.prompt_tokens * price[0] + spent.completion_tokens * price[1]

    # --- jobs on disk -------------------------------------------------------------------------------------------------

    def listed(self) -> list[JobRecord]:
        """Return the jobs on disk, the latest first."""
        return self._engine.submit(self._autosave.with_jobs(lambda jobs: jobs.listed())).result() or []

    def forget(self, number: int) -> None:
        """Delete a job and its results from disk.

        Raises
        ------
        ConfigurationError
            If there is none of that number.
        """
        self._record(number)
        self._engine.submit(self._autosave.with_jobs(lambda jobs: jobs.forget(number))).result()

    def resume(self, number: int, **options: Any) -> Any:
        """Go on with a job on disk where it stopped, in any kernel, and return its results as a list.

        Parameters
        ----------
        **options
            Further options of :meth:`ChatSession.map`, such as ``background=True`` or ``retry="failed"``.

        Raises
        ------
        ConfigurationError
            If there is none of that number, or it was asked of a provider that has no name.
        """
        record = self._record(number)
        if not record.spec:
            raise ConfigurationError(phrase("error.job_spec", number=number))
        found = self._engine.submit(self._autosave.with_jobs(lambda jobs: jobs.rows(number))).result()
        placed: dict[int, dict[str, Any]] = {}
        for written, places in found or ():
            row = json.loads(written) if written.startswith("{") else {"prompt": written}
            placed.update((int(place), row) for place in places.split(",") if place)
        given = [placed.get(place, {}) for place in range(max(placed, default=-1) + 1)]
        images = "images" if any(each.get("images") for each in given) else None
        return self.map(given, "{prompt}", images=images, **{**json.loads(record.spec), **options})

    def _record(self, number: int) -> JobRecord:
        found = next((record for record in self.listed() if record.id == number), None)
        if found is None:
            raise ConfigurationError(phrase("error.no_job", number=number))
        return found

    def stop(self) -> int:
        """Stop every job, and return how many there were. What is done is kept."""
        running = self.running
        for job in running:
            job.cancel()
        return len(running)


def fields_of(request: Request) -> list[str]:
    """Return the names of the values that a response has by its schema; none if it is one value."""
    properties = (request.schema.json or {}).get("properties") if request.schema is not None else None
    return list(properties) if isinstance(properties, dict) else []


def say_if(words: str, *, shown: bool) -> None:
    """Print a line if that is wanted."""
    if shown:
        say(words)


def agreed(question: str) -> bool:
    """Ask a yes-or-no question.

    Raises
    ------
    ConfigurationError
        If there is nobody to be asked.
    """
    try:
        return input(question).strip().lower() in {"y", "yes", "д", "да", "是"}
    except KeyboardInterrupt:
        return False
    except (EOFError, NotImplementedError):  # ipykernel's StdinNotImplementedError is the last
        raise ConfigurationError(phrase("error.job_unasked")) from None


def _stamp(path: str) -> tuple[Any, ...]:
    """Return what tells a file from another, without reading it."""
    try:
        found = Path(path).expanduser().stat()
    except (OSError, RuntimeError):
        return (path,)
    return path, found.st_size, found.st_mtime_ns


def _written(unit: Unit) -> str:
    """Return a unit as it stands on disk, to be asked again: its prompt, with pictures as JSON."""
    if not unit.images and not unit.prompt.startswith("{"):
        return unit.prompt
    return json.dumps({"prompt": unit.prompt, "images": unit.images}, ensure_ascii=False)


def _spec(request: Request, options: dict[str, Any], name: str) -> str:
    """Return the options of a job as JSON; ``""`` if they cannot be written down."""
    if not isinstance(options.get("provider") or "", str):
        return ""
    given = {key: value for key, value in options.items() if key not in {"schema", "allow_secrets"}}
    given.update(provider=request.provider.name, model=request.provider.model_for(request.model), system=request.system)
    if request.schema is not None:
        given["schema"] = request.schema.json or True
    if name:
        given["name"] = name
    try:
        return json.dumps({key: value for key, value in given.items() if value is not None}, ensure_ascii=False)
    except (TypeError, ValueError):
        return ""
