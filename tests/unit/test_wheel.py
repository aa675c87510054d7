"""What ``pip install`` brings: the wheel, built from this checkout."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


def test_it_holds_every_file_of_the_package(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="the wheel's builder is not installed")
    (wheel,) = hatchling.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    files = {path for path in (ROOT / "chatanywhere_magic").rglob("*") if path.is_file()}
    expected = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    with ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())
    assert "chatanywhere_magic/panel/page/app.js" in expected
