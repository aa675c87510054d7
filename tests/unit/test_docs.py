"""The documentation names everything that a person can type, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.magics.extension import _CLASSES

if TYPE_CHECKING:
    from chatanywhere_magic.magics.options import Options

DOCS = Path(__file__).parents[2] / "docs"
MAGICS = (DOCS / "magics.md").read_text(encoding="utf-8")
OPTIONS: dict[str, Options] = {
    name: getattr(owner, method).options
    for owner in _CLASSES
    for name, method in (owner.magics["cell"] | owner.magics["line"]).items()
}


def section_of(magic: str) -> str:
    """Return what the documentation says of a magic: its table row, or the part with its name for a title."""
    rows = [line for line in MAGICS.splitlines() if re.search(rf"`%%?{magic}\b", line)]
    parts = [part for part in MAGICS.split("\n## ") if part.startswith(f"`%{magic}`")]
    return "\n".join([*rows, *parts])


@pytest.mark.parametrize("magic", OPTIONS)
def test_every_magic_and_option_is_there(magic: str) -> None:
    section = section_of(magic)
    assert section, magic
    for option in OPTIONS[magic].options:
        if "--help" not in option.flags:
            assert re.search(rf"`(?:{'|'.join(option.flags)})[` ]", section), option.flags


def test_nothing_else_is_there() -> None:
    named = set(re.findall(r"%(chat_\w+)", MAGICS))
    assert named - set(OPTIONS) == set()


@pytest.mark.parametrize("file", sorted(DOCS.rglob("*.md")), ids=lambda file: file.stem)
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).exists(), target
