"""Put code from a response into a cell, for the user to read and run. It is never run automatically."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..core import code_blocks

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PYTHON: Final = frozenset(
    {"ipython", "ipython3", "ipythonconsole", "jupyter", "py", "py3", "pycon", "pyodide"}
    | {"python", "python-console", "python-repl", "python3", "tool_code"}
)
_CELL_MAGICS: Final = {
    "bash": "bash",
    "html": "html",
    "javascript": "javascript",
    "js": "javascript",
    "latex": "latex",
    "markdown": "markdown",
    "md": "markdown",
    "perl": "perl",
    "ruby": "ruby",
    "sh": "sh",
    "shell": "bash",
    "svg": "svg",
}
"""Languages that a cell can hold under one of IPython's own magics."""
_COMMENTS: Final = {
    "html": "<!-- {} -->",
    "javascript": "// {}",
    "latex": "% {}",
    "markdown": "<!-- {} -->",
    "svg": "<!-- {} -->",
}
_NO_CODE: Final = frozenset(
    {"console", "log", "none", "out", "output", "plain", "plaintext", "stderr", "stdout", "text", "txt"}
)
_PROMPT: Final = re.compile(r"[ \t]*(?:>>>|\.\.\.|In \[\d*\]:|\.{3,}:)(?: |$)")


def code_for_cell(response: str, prompt: str = "") -> str:
    """Return what a cell should hold of the code in `response`; ``""`` if there is none.

    All Python blocks, of sessions what was typed. Where there are none and the first block has no language, all
    without one; beside other code they are mostly its output. Else the first block of code, under the cell magic of
    its language. Markdown is no code, but may be all that was asked for.

    Parameters
    ----------
    prompt : str, optional
        Put above the code as a comment.
    """
    blocks = [block for block in code_blocks(response) if block.strip() and block.language not in _NO_CODE]
    code = [block for block in blocks if _CELL_MAGICS.get(block.language) != "markdown"] or blocks
    python = [block for block in code if block.language in _PYTHON]
    if not python and code and not code[0].language:
        python = [block for block in code if not block.language]
    if python:
        return _commented("\n\n".join(map(_typed, python)), prompt)
    if not code:
        return ""
    magic = _CELL_MAGICS.get(code[0].language, "")
    words = _commented(code[0], prompt, _COMMENTS.get(magic, "# {}"))
    return f"%%{magic}\n{words}" if magic else words


def _typed(code: str) -> str:
    """Return what was typed of a session in Python or IPython, without prompts and output; other code as it is."""
    lines = code.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if not _PROMPT.match(first) or first.lstrip().startswith("..."):
        return code
    return "\n".join(line[match.end() :] for line in lines if (match := _PROMPT.match(line)))


def _commented(code: str, prompt: str, comment: str = "# {}") -> str:
    return "".join(f"{comment.format(line).rstrip()}\n" for line in prompt.splitlines()) + code


def fill_cell(shell: InteractiveShell, code: str, *, replace: bool = False) -> None:
    """Put `code` into a new cell below this one, or into this one; nothing is run."""
    shell.set_next_input(code, replace=replace)
