"""Put code from a response into a cell, for the user to read and run. It is never run automatically."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core import code_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from ..core import Code

_PYTHON: Final = frozenset({"python", "python3", "py", "ipython", "ipython3"})
_CELL_MAGICS: Final = {
    "bash": "bash",
    "html": "html",
    "javascript": "javascript",
    "js": "javascript",
    "latex": "latex",
    "perl": "perl",
    "ruby": "ruby",
    "sh": "sh",
    "shell": "bash",
    "svg": "svg",
}
"""Languages that a cell can hold under one of IPython's own magics."""


def code_for_cell(response: str, prompt: str = "") -> str:
    """Return what a cell should hold of the code in `answer`; ``""`` if there is none.

    All Python blocks. Where there are none, those without a language; beside Python they are mostly its output.
    Else the first block, under the cell magic of its language.

    Parameters
    ----------
    prompt : str, optional
        Put above the code as a comment.
    """
    blocks = code_blocks(response)
    python = [block for block in blocks if block.language in _PYTHON] or [b for b in blocks if not b.language]
    code = "\n\n".join(python) if python else _in_its_language(blocks)
    if not code or not prompt:
        return code
    comment = "".join(f"# {line}".rstrip() + "\n" for line in prompt.splitlines())
    magic, newline, rest = code.partition("\n")
    return f"{magic}{newline}{comment}{rest}" if magic.startswith("%%") else f"{comment}{code}"


def _in_its_language(blocks: Sequence[Code]) -> str:
    if not blocks:
        return ""
    magic = _CELL_MAGICS.get(blocks[0].language)
    return f"%%{magic}\n{blocks[0]}" if magic else str(blocks[0])


def fill_cell(shell: InteractiveShell, code: str, *, replace: bool = False) -> None:
    """Put `code` into a new cell below this one, or into this one; nothing is run."""
    shell.set_next_input(code, replace=replace)
