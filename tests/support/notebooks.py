"""Notebooks as they are saved, and executed by nbclient's command, as a person or a pipeline executes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat

from tests.support.environment import clean_environment
from tests.support.kernels import manager_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.kernels import Result

Notebook = Any
_nbformat: Any = nbformat  # it is untyped


def notebook_of(cells: Sequence[str]) -> Notebook:
    """Return a notebook of code cells."""
    return _nbformat.v4.new_notebook(cells=[_nbformat.v4.new_code_cell(cell) for cell in cells])


def execute(notebook: Notebook, directory: Path, *, env: Mapping[str, str] | None = None) -> Notebook:
    """Execute `notebook` for a fresh user whose home is `directory`, and return what was saved.

    Raises
    ------
    CalledProcessError
        If a cell failed; its standard error names the cell and the error.
    """
    manager_options(directory)  # writes the kernel's description
    file = directory / "notebook.ipynb"
    _nbformat.write(notebook, file)
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace", "--kernel_name=tested", str(file)],
        env=clean_environment(directory, {"JUPYTER_PATH": str(directory), **(env or {})}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return _nbformat.read(file, as_version=4)


def saved(*cells: tuple[str, Result]) -> str:
    """Return the notebook that a front end saves: each cell's id, and what it shows."""
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "id": name,
                    "metadata": {},
                    "execution_count": 1,
                    "source": "",
                    "outputs": [{k: v for k, v in each.items() if k != "transient"} for each in result.outputs],
                }
                for name, result in cells
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
