"""The notebooks that people start with, executed from top to bottom with the embedded model."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import execute

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# A question, not its help or its preview.
ASKS = re.compile(r"^\s*%%?chat(?![\w?])(?!.*(--help|-h\b|--dry-run))", re.MULTILINE)
IMPORTS = re.compile(r"^(?:import|from) (matplotlib|pandas)\b", re.MULTILINE)

pytestmark = pytest.mark.model


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_question_is_answered(file: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    needed = {name for cell in notebook.cells if cell.cell_type == "code" for name in IMPORTS.findall(cell.source)}
    executed = execute(notebook, tmp_path, env=_environment_with(needed))
    asked = 0
    for cell in executed.cells:
        if cell.cell_type != "code":
            continue
        outputs = [dict(output) for output in cell.outputs]
        complaints = [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
        # What is to fail, does.
        assert bool(complaints) == ("raises-exception" in cell.metadata.get("tags", ())), cell.source
        answers = [o for o in outputs if "chatanywhere" in o.get("metadata", {})]
        if ASKS.search(cell.source):
            assert answers, cell.source
        for answer in answers:
            assert answer["metadata"]["chatanywhere"]["provider"] in {"local", "echo", "scripted"}  # the notebook's own
            assert answer["metadata"]["chatanywhere"]["status"] == "complete"
            assert answer["data"]["text/plain"].strip()
        asked += len(answers)
    assert asked


def _environment_with(packages: set[str]) -> dict[str, str]:
    """Return what a kernel needs to import `packages` as on a machine where they have been used before."""
    for package in packages:
        pytest.importorskip(package)
    if "matplotlib" not in packages:
        return {}
    pytest.importorskip("matplotlib.font_manager")  # looks for fonts once, and says so
    return {"MPLCONFIGDIR": pytest.importorskip("matplotlib").get_cachedir()}


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_saved_without_outputs(file: Path) -> None:
    """What people see is what their own model answers."""
    for cell in nbformat.read(file, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_there_is_a_quickstart() -> None:
    assert "quickstart" in [file.stem for file in NOTEBOOKS]
