"""The panel's front end in Node: its types, its logic, and the one module that it is put together to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chatanywhere_magic.core.i18n import texts
from chatanywhere_magic.panel.frontend import PAGE, script, style

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests/page"
NODE = shutil.which("node")
TYPESCRIPT = HERE / "node_modules/typescript/bin/tsc"
BIOME = HERE / "node_modules/@biomejs/biome/bin/biome"
DOM = HERE / "node_modules/happy-dom"

needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node.js: the panel's front end is not tested")
needs_typescript = pytest.mark.skipif(
    NODE is None or not TYPESCRIPT.exists(),
    reason="there is no TypeScript (`npm ci` in tests/page): the types of the panel's front end are not checked",
)
needs_biome = pytest.mark.skipif(
    NODE is None or not BIOME.exists(),
    reason="there is no Biome (`npm ci` in tests/page): the panel's front end is not linted",
)
needs_dom = pytest.mark.skipif(
    NODE is None or not DOM.exists(),
    reason="there is no happy-dom (`npm ci` in tests/page): the parts of the panel are tested in Chromium only",
)


def node(*arguments: str | Path, cwd: Path = HERE) -> str:
    """Run Node and return what it wrote; it must succeed."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@needs_typescript
def test_its_types_agree() -> None:
    node(TYPESCRIPT, "-p", HERE)


@needs_biome
def test_the_linter_has_nothing_to_say() -> None:
    node(BIOME, "lint", "--config-path=tests/page/lint.jsonc", PAGE.relative_to(ROOT), "tests/page", cwd=ROOT)


def cases() -> list[Any]:
    """Return the files of tests; some need a page to stand on."""
    files = sorted(HERE.glob("*.test.js"))
    on_stage = [file for file in files if "./stage.js" in file.read_text(encoding="utf-8")]
    return [pytest.param(file, marks=[needs_dom] if file in on_stage else [], id=file.name) for file in files]


@needs_node
@pytest.mark.parametrize("file", cases())
def test_its_logic(file: Path) -> None:
    assert re.search(r"# tests [1-9]", node("--test", "--test-reporter=tap", file))


@needs_node
def test_put_together_it_is_one_module_that_renders(tmp_path: Path) -> None:
    module = tmp_path / "module.mjs"
    module.write_text(script(), encoding="utf-8")
    check = f"import({str(module)!r}).then(({{default: {{render}}}}) => console.log(typeof render))"
    assert node("--eval", check) == "function\n"


def test_put_together_it_imports_nothing() -> None:
    assert not re.search(r"^import\b", script(), re.MULTILINE)
    assert len(re.findall(r"^export\b", script(), re.MULTILINE)) == 1


def test_every_file_is_part_of_it() -> None:
    modules = {path.name for path in PAGE.glob("*.js")} - {"protocol.js", "cell.js"}
    for name in modules:
        (line,) = re.findall(r"^/\*\*.*$", (PAGE / name).read_text(encoding="utf-8"), re.MULTILINE)[:1]
        assert line in script(), name


def test_it_asks_no_other_host_for_anything() -> None:
    addresses = set(re.findall(r"\b(?:https?:|wss?:)?//[\w.]+\.\w+[^\s\"']*", script() + style()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, which nobody opens


def test_markup_enters_a_page_in_four_places_only() -> None:
    doors = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|createContextualFragment|document\.write|eval\("
    )
    lines = [line.strip() for line in script().splitlines() if doors.search(line)]
    places = ["code.innerHTML", "piece.innerHTML", "this.tail.innerHTML", "this.calls.innerHTML"]
    assert [line.partition(" = ")[0] for line in lines] == places


def test_every_text_that_it_shows_exists() -> None:
    assert set(re.findall(r'"((?:panel|approval)\.\w+)"', script() + script("cell.js"))) <= texts("en").keys()
