"""Track which cell is running, to know where its prompts come from."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from ..core import Origin

if TYPE_CHECKING:
    from typing import Literal


@dataclass
class Cell:
    """A cell that runs, and how many prompts it has asked."""

    id: str
    asked: int = 0
    around: Cell | None = None
    """The cell that runs this one, as code can."""


_cell: ContextVar[Cell | None] = ContextVar("chatanywhere_cell", default=None)
"""Also that of a task which the cell has left running."""


_COUNTED: Final = "vscode-notebook-cell:"
"""VS Code counts cells anew each time a document is opened: the name is another cell's then."""
_session: Final = secrets.token_hex(8)


def enter(cell_id: str) -> Cell:
    """Note that a cell begins; ``""`` is one without a name, whose prompts have no place."""
    if cell_id.startswith(_COUNTED):  # a name for this session alone, and without the path that is in it
        cell_id = f"vscode-{sha256(f'{_session} {cell_id}'.encode()).hexdigest()[:24]}"
    cell = Cell(cell_id, around=_cell.get())
    _cell.set(cell)
    return cell


def leave(cell: Cell) -> None:
    """Note that it is over."""
    _cell.set(cell.around)


def here(source: Literal["cell", "panel", "api"]) -> Origin:
    """Return where a prompt stands that is asked now, through `source`."""
    cell = _cell.get()
    return Origin(source, cell.id, cell.asked) if cell and cell.id and source != "panel" else Origin(source)


def count(origin: Origin) -> None:
    """Note that the prompt with this place is asked: the next one of its cell has the next place."""
    cell = _cell.get()
    if cell is not None and (cell.id, cell.asked) == (origin.cell_id, origin.ordinal):
        cell.asked += 1
