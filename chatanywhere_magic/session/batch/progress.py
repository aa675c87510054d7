"""The progress of a job for the person who waits: tqdm's bar in a notebook and in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...core import grouped, text

if TYPE_CHECKING:
    from .job import Job


class Bar:
    """A bar that shows how far a job is; one that is not `shown` shows nothing."""

    def __init__(self, job: Job, *, shown: bool) -> None:
        self._job = job
        self._bar: Any = None
        if not shown:
            return
        progress = job.progress
        options: dict[str, Any] = {
            "total": progress.rows,
            "initial": progress.done,
            "unit": f" {text('label.rows_unit')}",
        }
        if in_kernel():
            from tqdm.notebook import tqdm

            self._bar = tqdm(**options)
        else:
            from tqdm import tqdm

            self._bar = tqdm(**options, disable=None, dynamic_ncols=True)

    def update(self) -> None:
        """Show how far it is now."""
        bar = self._bar
        if bar is None:
            return
        progress = self._job.progress
        said = []
        if progress.failed:
            said.append(text("label.rows_failed", count=progress.failed))
        if progress.cost is not None:
            said.append(f"${progress.cost:.4f}" if progress.cost < 1 else f"${progress.cost:,.2f}")
        if progress.pause >= 1:
            said.append(text("label.rows_pause", seconds=round(progress.pause)))
        bar.set_postfix_str(", ".join(said), refresh=False)
        bar.update(progress.done - bar.n)

    def close(self) -> None:
        """Show the end."""
        if self._bar is not None:
            self.update()
            self._bar.close()


def in_kernel() -> bool:
    """Whether output goes to a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def say(words: str) -> None:
    """Print a line beside the results: in a script these may go to the standard output."""
    stream = sys.stdout if in_kernel() else sys.stderr
    stream.write(words + "\n")
    stream.flush()


def first_words(job: Job, allowance: int | None, tokens: int, cost: float | None, *, is_most: bool) -> str:
    """Return the line that says what a job is about to do."""
    progress, requests = job.progress, len(job.left)
    said = [text("notice.job_rows", rows=grouped(progress.rows))]
    if job.taken:
        said.append(text("notice.job_taken", count=grouped(job.taken)))
    if requests:
        model = job.asking.model or job.asking.provider
        said.append(text("notice.job_requests", count=grouped(requests), model=model))
        said.append(text("notice.job_tokens", count=grouped(tokens)))
    if requests and cost is not None:
        key = "notice.job_cost_most" if is_most else "notice.job_cost_least"
        said.append(text(key, cost=f"{cost:.4f}" if cost < 1 else f"{cost:,.2f}"))
    if requests and allowance is not None:
        said.append(text("notice.job_allowance", count=grouped(allowance)))
    line = "; ".join(said) + "."
    if not requests and job.taken:
        key = "notice.job_failed_before" if progress.failed else "notice.job_fresh"
        line += " " + text(key, count=grouped(progress.failed))
    return line


def last_words(job: Job) -> str:
    """Return the line that says how a job ended."""
    progress = job.progress
    kinds: dict[str, int] = {}
    for unit in job.units:
        kind = getattr(unit.value, "kind", "")
        if kind and kind != "not_asked":
            kinds[kind] = kinds.get(kind, 0) + len(unit.places)
    failed = ", ".join(f"{kind} {grouped(count)}" for kind, count in sorted(kinds.items()))
    good = progress.done - progress.failed
    said = [text("notice.job_done", done=grouped(good), rows=grouped(progress.rows))]
    if failed:
        said.append(text("notice.job_failed", kinds=failed))
    said.append(text("notice.job_seconds", seconds=progress.seconds))
    if tokens := progress.prompt_tokens + progress.completion_tokens:
        said.append(text("notice.job_tokens_used", count=grouped(tokens)))
    if progress.cost is not None:
        said.append(f"${progress.cost:.4f}" if progress.cost < 1 else f"${progress.cost:,.2f}")
    line = "; ".join(said) + "."
    if job.error is not None:
        line += f" {job.error}"
    if progress.done < progress.rows:
        line += " " + text("notice.job_goes_on" if job.id is not None else "notice.job_not_kept")
    return line
