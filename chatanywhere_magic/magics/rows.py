"""``%%chat_map`` and ``%chat_jobs``: a prompt for every row of a table, and the jobs that this makes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ..core import ChatInterrupted, UsageError, grouped, phrase, text
from ..providers import EFFORTS
from .chat import as_temperature, as_variable, schema_named
from .options import Namespace, Option, Options, one_of, takes
from .tables import show_table

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession


def _number(kind: type[int | float]) -> Any:
    def read(value: str) -> int | float:
        try:
            return kind(value)
        except ValueError:
            raise UsageError(phrase("error.not_a_number", value=value)) from None

    return read


_MAP: Final = Options(
    "chat_map",
    "about.chat_map",
    Option(("-o", "--output"), "help.map_output", "NAME", as_variable),
    Option(("--schema",), "help.schema", "SCHEMA", str),
    Option(("--images",), "help.map_images", "COLUMN", str),
    Option(("-m", "--model"), "help.models", "MODEL", str),
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    Option(("-s", "--system"), "help.system", "TEXT", str),
    Option(("-t", "--temperature"), "help.temperature", "0…2", as_temperature),
    Option(("--max-tokens",), "help.max_tokens", "N", _number(int)),
    Option(("--effort",), "help.effort", "|".join(EFFORTS), one_of(*EFFORTS)),
    Option(("--concurrency",), "help.map_concurrency", "N", _number(int)),
    Option(("--rpm",), "help.map_rpm", "N", _number(float)),
    Option(("--tpm",), "help.map_tpm", "N", _number(float)),
    Option(("--max-cost",), "help.map_max_cost", "COST", _number(float)),
    Option(("--prefix",), "help.map_prefix", "TEXT", str),
    Option(("--name",), "help.map_name", "NAME", str),
    Option(("--fresh",), "help.map_fresh"),
    Option(("--retry",), "help.map_retry", "failed", one_of("failed")),
    Option(("--background",), "help.map_background"),
    Option(("--allow-secrets",), "help.allow_secrets"),
    Option(("-q", "--quiet"), "help.map_quiet"),
    words=("TABLE",),
)
_JOBS: Final = Options(
    "chat_jobs",
    "about.chat_jobs",
    Option(("-o", "--output"), "help.map_output", "NAME", as_variable),
    words=("[resume|forget|stop]", "[NUMBER …]"),
)


@magics_class
class RowMagics(Magics):
    """The magics for rows, on one session."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session

    @no_var_expand  # braces in the template are the template's
    @cell_magic
    @takes(_MAP)
    def chat_map(self, given: Namespace, cell: str) -> Any:
        """Ask the model for every row of a table: ``%%chat_map df -o result``, and the template below."""
        try:
            source = eval(given.words[0], self._shell.user_ns)  # noqa: S307 - the person's own expression
        except Exception as caught:  # noqa: BLE001 - it is said in a line
            reason = f"{type(caught).__name__}: {caught}"
            raise UsageError(phrase("error.map_table", name=given.words[0], reason=reason)) from None
        named = (
            "images model provider system temperature max_tokens effort concurrency rpm tpm max_cost prefix name retry"
        )
        options = {name: value for name in named.split() if (value := getattr(given, name)) is not None}
        template = cell.strip("\n")
        return self._give(
            given,
            self.session.map(
                source,
                template if template.strip() else None,
                schema=schema_named(self._shell, given.schema) if given.schema else None,
                fresh=given.fresh,
                background=given.background,
                allow_secrets=given.allow_secrets,
                progress=not given.quiet,
                **options,
            ),
        )

    @line_magic
    @takes(_JOBS)
    def chat_jobs(self, given: Namespace) -> Any:
        """List the jobs, go on with one (``resume NUMBER``), delete some (``forget NUMBER …``), or ``stop`` all."""
        action, *words = given.words or [""]
        numbers = [_number(int)(word) for word in words]
        if action == "stop":
            sys.stdout.write(text("notice.jobs_stopped", count=self.session.batch.stop()) + "\n")
        elif action == "forget" and numbers:
            for number in numbers:
                self.session.batch.forget(number)
            sys.stdout.write(text("notice.jobs_forgotten", count=len(numbers)) + "\n")
        elif action == "resume" and len(numbers) == 1:
            return self._give(given, self.session.batch.resume(numbers[0]))
        elif action:
            raise UsageError(phrase("error.jobs_action", words=" ".join(given.words)))
        else:
            self._list()
        return None

    def _give(self, given: Namespace, result: Any) -> Any:
        """Assign the result if that is wanted, and end the cell as any other one that was interrupted."""
        if given.output:
            self._shell.push({given.output: result})
        job = self.session.batch.jobs[-1]
        if job.done and job.is_stopped:
            raise ChatInterrupted(text("status.stopped"))
        return None if given.output else result

    def _list(self) -> None:
        records = self.session.batch.listed()
        if not records:
            sys.stdout.write(text("notice.no_jobs") + "\n")
            return
        running = {job.id for job in self.session.batch.running}
        header = ["#", text("label.job"), text("label.model"), text("label.job_done"), text("label.job_failed"), ""]
        rows = [
            [
                str(record.id),
                record.label,
                record.model or record.provider,
                f"{grouped(record.done)} / {grouped(record.rows)}",
                grouped(record.failed) if record.failed else "",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(record.updated)),
            ]
            for record in records
        ]
        marked = [number for number, record in enumerate(records) if record.id in running]
        show_table(header, rows, marked=marked, note=text("notice.jobs_how"))
