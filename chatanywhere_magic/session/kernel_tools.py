"""Tools that work in the kernel: look at variables, cells and files; run code and write cells, each time approved."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

from ..context import Snapshot, candidates, documentation, named, read_file, shortened
from ..core import ChatError, Document
from ..tools import Shown, Tool, ToolFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..context import Lookup

BUDGET: Final = 1_500
"""Most tokens of what one look brings."""
ERROR_TOKENS: Final = 400
VARIABLES_SHOWN: Final = 200
FILES_SHOWN: Final = 200
MAX_FILE: Final = 400_000
LINES: Final = 200
MAX_LINE: Final = 2_000
_SECRET: Final = re.compile(
    r"(?:^|[._-])(?:secrets?|credentials?|passwords?|passwd|htpasswd|netrc|pgpass)(?:[._-]|$)"
    r"|^id_(?:rsa|dsa|ecdsa|ed25519)|\.(?:pem|key|p12|pfx|jks|kdbx|keystore)$",
    re.IGNORECASE,
)
"""Names of files in which keys are kept."""


class Ran(Protocol):
    """What came of a cell that was run."""

    number: int
    seconds: float
    error: BaseException | None
    words: str
    """Of the error, for a model: what it is, and where."""


class Kernel(Protocol):
    """What runs cells and holds a notebook."""

    @property
    def folder(self) -> Path:
        """The notebook's folder."""
        ...

    def run(self, code: str) -> Ran:
        """Run code as a cell, with its place in the history. On the main thread only."""
        ...

    def write(self, code: str) -> None:
        """Put code into a new cell below; nothing is run.

        Raises
        ------
        ConfigurationError
            If there is nowhere to put it.
        """
        ...


class KernelTools:
    """The tools of one kernel.

    Parameters
    ----------
    names : Lookup
        Its variables, cells and errors.
    kernel : Kernel
        Where code is run.
    """

    def __init__(self, names: Lookup, kernel: Kernel) -> None:
        self._names = names
        self._kernel = kernel

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, always the same ones."""
        looks = (
            self.list_variables,
            self.inspect_variable,
            self.read_cell,
            self.read_last_error,
            self.read_documentation,
        )
        free = [Tool.of(each, approval="never", thread_safe=True) for each in looks]
        file = Tool.of(self.read_file, thread_safe=True, covers=self._folder_of, shows=self._shown_file)
        run = Tool.of(
            self.run_code, standing="turn", shows=lambda given: Shown(given["code"], "python", editable="code")
        )
        write = Tool.of(self.write_cell, standing="never", shows=self._shown_cell)
        return (*free, file, run, write)

    # --- looking: nothing is run, and nothing changes ----------------------------------------------------------------

    def list_variables(self, prefix: Annotated[str, "how the names begin; all by default"] = "") -> str:
        """List the variables of the notebook: name, type, and size or value."""
        variables = self._names.variables.keys() - {"In", "Out"}
        found = [each for each in candidates(self._names, prefix) if each.name in variables]
        lines = [f"{each.name}: {each.type}{f', {each.size}' if each.size else ''}" for each in found]
        more = len(lines) - VARIABLES_SHOWN
        return "\n".join([*lines[:VARIABLES_SHOWN], *([f"… {more} more"] if more > 0 else [])]) or "There are none."

    def inspect_variable(self, name: Annotated[str, 'a variable, or a part of one: df, df.price, data["key"]']) -> str:
        """Describe a variable of the notebook: of a table its columns, statistics and rows, of anything its content."""
        return self._named(name)

    def read_cell(self, number: Annotated[int, "its execution count; -1 is the cell that ran last"]) -> str:
        """Read a cell that was executed: its source, what it showed, and its error."""
        return self._named(f"cell[{number}]")

    def read_last_error(self) -> str:
        """Read the last error, with the code that raised it."""
        return self._named("error")

    def read_documentation(self, name: Annotated[str, "such as df.groupby, numpy.linalg.norm, print"]) -> str:
        """Read the signature, docstring and source of a function, class or module that the notebook can name."""
        with _told():
            return documentation(self._names.variables, name, BUDGET)

    def read_file(
        self,
        path: Annotated[str, "relative to the notebook's folder; a folder lists its files"],
        first_line: Annotated[int, "where to begin"] = 1,
    ) -> str:
        """Read a text file under the notebook's folder, 200 lines at a time, or list the files of a folder there."""
        file = self._file(path)
        if file.is_dir():
            return _listing(file)
        with _told():
            read = read_file(str(file), path)
        lines = read.text.splitlines() if isinstance(read, Document) else []
        shown = [line[:MAX_LINE] for line in lines[max(first_line, 1) - 1 :][:LINES]]
        last = max(first_line, 1) + len(shown) - 1
        return "\n".join([f"lines {max(first_line, 1)} to {last} of {len(lines)}:", *shown])

    # --- acting: only as the person approves ------------------------------------------------------------------------

    def run_code(self, code: Annotated[str, "Python as in a cell; the notebook's variables are at hand"]) -> str:
        """Run code as a cell of the notebook, and return what it shows and which variables it changes."""
        before = Snapshot(self._names)
        ran = self._kernel.run(code)
        changes = before.changes_to(Snapshot(self._names)) or "No variable was added, changed or deleted."
        if ran.error is None:
            return f"Ran as cell {ran.number} in {ran.seconds:.2f} s.\n{changes}"
        if isinstance(ran.error, KeyboardInterrupt):
            raise ran.error
        raise ToolFailure(f"{shortened(ran.words, ERROR_TOKENS)}\n\n{changes}") from ran.error

    def write_cell(
        self,
        code: Annotated[str, "what the cell holds"],
        replaces: Annotated[int, "the execution count of the cell that this one is to replace; 0 for none"] = 0,
    ) -> str:
        """Put code into a new cell below, for the person to read and run. It is not run."""
        with _told():
            self._kernel.write(code)
        older = f" The person decides whether it replaces cell {replaces}." if replaces else ""
        return f"The code is in a new cell below, and was not run.{older}"

    # --- what the person is shown, and what is in reach -------------------------------------------------------------

    def _named(self, path: str) -> str:
        with _told():
            found = named(self._names, path, budget=BUDGET)
        return "\n\n".join(each.text for each in found if isinstance(each, Document))

    def _shown_cell(self, given: Mapping[str, Any]) -> Shown:
        number = given.get("replaces", 0)
        cell = self._names.cell(number) if number > 0 else None
        if number and cell is None:
            raise ToolFailure(f"There is no cell {number}.")
        return Shown(given["code"], "python", replaces=cell.source if cell else None, editable="code")

    def _shown_file(self, given: Mapping[str, Any]) -> Shown:
        return Shown(self._relative(self._file(given["path"])))

    def _folder_of(self, given: Mapping[str, Any]) -> str:
        file = self._file(given["path"])
        return f"./{self._relative(file if file.is_dir() else file.parent)}"

    def _relative(self, file: Path) -> str:
        return file.relative_to(self._kernel.folder.resolve()).as_posix().removeprefix(".")

    def _file(self, path: str) -> Path:
        """Return a file that may be asked for, as it is without symbolic links.

        Raises
        ------
        ToolFailure
            If it is not under the notebook's folder, hidden, likely to hold keys, too large, or not there.
        """
        root = self._kernel.folder.resolve()
        try:
            file = (root / path).resolve(strict=True)
            places = [*(root / path).parts[len(root.parts) :], *file.relative_to(root).parts]
            is_fine = (file.is_file() and file.stat().st_size <= MAX_FILE) or file.is_dir()
        except (OSError, ValueError, RuntimeError):  # not there, not below, a null byte; a circle of links
            raise ToolFailure(f"There is no file {path[:200]!r} under the notebook's folder.") from None
        if any(_is_private(each) for each in places if each != ".."):
            raise ToolFailure(f"{path[:200]!r} is hidden, or may hold keys: it cannot be read.")
        if not is_fine:
            raise ToolFailure(f"{path[:200]!r} is no text of at most {MAX_FILE // 1000} kB.")
        return file


@contextmanager
def _told() -> Iterator[None]:
    """Tell the model what the person would be told; it understands every language."""
    try:
        yield
    except ChatError as problem:
        raise ToolFailure(str(problem)) from None


def _is_private(name: str) -> bool:
    return name.startswith((".", "~")) or _SECRET.search(name) is not None


def _listing(folder: Path) -> str:
    found = sorted(each for each in folder.iterdir() if not _is_private(each.name))
    lines = [f"{each.name}/" if each.is_dir() else f"{each.name} ({each.stat().st_size:,} bytes)" for each in found]
    more = len(lines) - FILES_SHOWN
    return "\n".join([*lines[:FILES_SHOWN], *([f"… {more} more"] if more > 0 else [])]) or "It is empty."
