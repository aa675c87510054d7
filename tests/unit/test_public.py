"""What the package shows of itself, and what it costs to load it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import chatanywhere_magic

ROOT = Path(chatanywhere_magic.__file__).parent
HEAVY = ("aiohttp", "IPython", "ipywidgets", "markdown_it", "pygments", "nest_asyncio", "xllamacpp", "asyncio")


def run(code: str) -> str:
    """Run `code` in a Python of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_all_lists_exactly_what_there_is() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    own = {name for name in functions if not name.startswith("_")}
    assert sorted(chatanywhere_magic.__all__) == sorted({*chatanywhere_magic._HOMES, *own, "__version__", "chat"})
    assert dir(chatanywhere_magic) == sorted(chatanywhere_magic.__all__)


@pytest.mark.parametrize("name", chatanywhere_magic.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(chatanywhere_magic, name) is not None


@pytest.mark.parametrize("name", chatanywhere_magic._HOMES)
def test_each_public_name_has_a_docstring_of_its_own(name: str) -> None:
    assert vars(getattr(chatanywhere_magic, name)).get("__doc__") or callable(getattr(chatanywhere_magic, name))
    assert getattr(chatanywhere_magic, name).__doc__


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert imported == chatanywhere_magic._HOMES


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'chatanywhere_magic' has no attribute 'chatt'"):
        _ = chatanywhere_magic.chatt


def test_a_star_import_brings_them_all() -> None:
    assert "ChatAnywhere" in run("from chatanywhere_magic import *; print(ChatAnywhere.__name__)")


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = run("import sys, chatanywhere_magic; print(*sys.modules)").split()
    assert "chatanywhere_magic" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
    assert [name for name in loaded if name.startswith("chatanywhere_magic.")] == []


def test_loading_the_extension_loads_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    loaded = run(
        "import sys; from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance(); before = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'chatanywhere_magic'); print(*set(sys.modules) - before)"
    ).split()
    assert "chatanywhere_magic.magics.chat" in loaded
    assert not {"aiohttp", "ipywidgets", "jsonschema", "markdown_it", "pydantic", "sqlite3"} & set(loaded)


def test_naming_a_provider_loads_no_front_end() -> None:
    loaded = run("import sys; from chatanywhere_magic import ChatAnywhere; print(*sys.modules)").split()
    assert "aiohttp" in loaded
    assert not {"IPython", "ipywidgets", "markdown_it", "nest_asyncio", "xllamacpp"} & set(loaded)


def test_it_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()


def test_a_schema_does_not_load_the_grammars_of_a_format_that_it_does_not_check() -> None:
    pytest.importorskip("rfc3987_syntax")
    loaded = run(
        "import sys; from chatanywhere_magic.tools import Schema; Schema({'type': 'object'})\n"
        "import jsonschema; late = 'lark' not in sys.modules and 'rfc3987_syntax' not in sys.modules\n"
        "checks = jsonschema.FormatChecker().conforms\n"
        "print(late, checks('https://example.org/\u00e9', 'iri'), checks('no iri', 'iri'))"
    ).split()
    assert loaded == ["True", "True", "False"]
