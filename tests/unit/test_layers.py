"""The architecture: imports point down only, and what belongs to one layer stays in it."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module

import pytest

from tests.support.source import PACKAGE, modules, nodes

ROOMS = (
    "core",
    "keys",
    "providers",
    "store",
    "export",
    "tools",
    "context",
    "session",
    "render",
    "panel",
    "magics",
)
"""From the lowest to the highest, one level a room. What a room's own modules import of each other is free."""

FRONT_ENDS = {"render", "magics", "panel"}
WAITING_ROOMS = {
    "context.bounded",
    "providers.local",
    "session.approval",
    "session.autosave",
    "session.capture",
    "session.batch.job",
    "session.catalog",
    "session.draft",
    "session.engine",
    "session.growing",
    "session.interrupts",
    "session.jobs",
    "session.live_turn",
    "session.session",
    *FRONT_ENDS,
}
"""Modules that deal with more than one thread, and so need locks and events."""

TREES = {
    name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): nodes(name)
    for name in modules()
    if "/" in name and not name.startswith("testing/")
}
"""All modules but the conformance kit, which stands beside the layers and is imported by none of them."""
LEVEL = {room: level for level, room in enumerate(ROOMS)}
PACKAGES = {module for module in TREES if PACKAGE.joinpath(*module.split("."), "__init__.py").exists()}


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@cache
def imports(module: str, *, when_run: bool = False) -> list[str]:
    """Return what `module` imports, wherever the import stands: ``.x`` for our own modules, else absolute names.

    With `when_run` leave out what only type checkers import.
    """
    found: list[str] = []
    skipped: set[ast.AST] = set()
    for node in TREES[module]:
        if when_run and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(inner for child in node.body for inner in ast.walk(child))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(f"{node.module}")
        elif isinstance(node, ast.ImportFrom):
            # Levels up from the module's own package, then down the path that is named.
            names = module.split(".")
            package = names[: len(names) + (module in PACKAGES) - node.level]
            base = [*package, *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                deeper = ".".join([*base, alias.name])
                found.append(f".{deeper}" if deeper in TREES else f".{'.'.join(base)}")
    return found


def own_imports(module: str, *, when_run: bool = False) -> set[str]:
    return {name[1:] for name in imports(module, when_run=when_run) if name.startswith(".")}


def importers(*packages: str) -> set[str]:
    """Return our modules that import one of `packages`."""
    return {module for module in TREES if any(name.split(".", 1)[0] in packages for name in imports(module))}


def importing_rooms(*packages: str) -> set[str]:
    """Return the rooms of :func:`importers`; a room of several modules counts as one."""
    return {room(module) if room(module) in FRONT_ENDS else module for module in importers(*packages)}


def test_the_package_holds_rooms_and_nothing_else() -> None:
    found = {path.name for path in PACKAGE.iterdir() if path.name not in {"__pycache__", "__init__.py", "py.typed"}}
    assert found == {*ROOMS, "testing"}


def test_imports_point_down_only() -> None:
    upwards = {
        f"{module} imports {name}"
        for module in TREES
        for name in own_imports(module)
        if LEVEL[room(name)] > LEVEL[room(module)]
    }
    assert upwards == set()


def test_rooms_are_entered_by_their_front() -> None:
    past_it = {
        f"{module} imports {name}"
        for module in TREES
        for name in own_imports(module)
        if room(name) != room(module) and name != room(name) and name.split(".", 1)[1] not in exports(room(name))
    }
    assert past_it == set()


def exports(name: str) -> list[str]:
    """Return the public names of a room."""
    return list(import_module(f"chatanywhere_magic.{name}").__all__)


@pytest.mark.parametrize("name", ROOMS)
def test_what_a_room_lists_is_what_it_has(name: str) -> None:
    module = import_module(f"chatanywhere_magic.{name}")
    imported = {
        alias.asname or alias.name
        for node in TREES[name]
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    listed = set(getattr(module, "__all__", ()))
    assert listed == imported
    assert all(hasattr(module, each) for each in listed)
    loaded_lazily = set(module.__dir__()) if "__dir__" in vars(module) else listed
    assert loaded_lazily == listed


def test_the_conformance_kit_is_no_part_of_the_product() -> None:
    assert {module for module in TREES if any(room(name) == "testing" for name in own_imports(module))} == set()


def test_nothing_imports_the_package_as_a_whole() -> None:
    assert importers("chatanywhere_magic") == set()
    assert all("" not in own_imports(module) for module in TREES)


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {module: own_imports(module, when_run=True) for module in TREES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_front_ends_alone_know_ipython_and_widgets() -> None:
    assert importing_rooms("IPython", "ipywidgets", "traitlets") <= FRONT_ENDS | {"session.settings"}
    assert importing_rooms("IPython", "ipywidgets") <= FRONT_ENDS


def test_three_modules_know_aiohttp() -> None:
    assert importers("aiohttp") == {"providers.wire.connections", "providers.wire.http", "providers.wire.translate"}


def test_one_module_knows_nest_asyncio() -> None:
    assert importers("nest_asyncio", "nest_asyncio2") == {"session.engine"}


def test_values_have_no_input_and_output() -> None:
    silent = {"core.messages", "core.errors", "core.conversation", "core.codec", "providers.wire.sse"}
    outside = {"os", "io", "pathlib", "asyncio", "socket", "sys", "subprocess", "sqlite3"}
    assert not importers(*outside) & silent


def test_threads_begin_in_the_engine_alone() -> None:
    assert importing_rooms("threading", "concurrent", "_thread", "multiprocessing") <= WAITING_ROOMS
    starts = {
        module
        for module, tree in TREES.items()
        for node in tree
        if (isinstance(node, ast.Attribute) and node.attr in {"Thread", "Timer", "start_new_thread"})
        or (isinstance(node, ast.alias) and node.name in {"Thread", "Timer", "ThreadPoolExecutor"})
    }
    # Beside the engine: somebody's `repr` may never return, and is given up after a while.
    assert starts == {"session.engine", "context.bounded"}
    # Loading a model blocks for as long as its file is large.
    aside = {
        module
        for module, tree in TREES.items()
        for node in tree
        if isinstance(node, ast.Attribute) and node.attr in {"to_thread", "run_in_executor"}
    }
    assert aside <= {"session.engine", "providers.local"}
