"""The recipes of CONTRIBUTING.md are true: their code runs, and what they mention is there."""

from __future__ import annotations

import ast
import re
import sqlite3
import textwrap
from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import traitlets
from traitlets.config import Config

from chatanywhere_magic import ChatSession, Scripted
from chatanywhere_magic.context.lookup import Names
from chatanywhere_magic.core import i18n, texts
from chatanywhere_magic.panel import actions, commands
from chatanywhere_magic.panel.frontend import PAGE
from chatanywhere_magic.providers import registry
from chatanywhere_magic.providers.dialects import choice
from chatanywhere_magic.providers.dialects.reader import ResponseReader
from chatanywhere_magic.session.kernel_tools import KernelTools
from chatanywhere_magic.session.settings import Settings
from chatanywhere_magic.store import database
from chatanywhere_magic.tools import Tool
from tests.support.server import Answer, LocalServer
from tests.support.source import PACKAGE, modules, nodes, strings
from tests.unit.helpers import ask
from tests.unit.test_layers import ROOMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = PACKAGE.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_PARTS = GUIDE.partition("\n## Recipes")[2].partition("\n## ")[0].split("\n### ")[1:]
RECIPES = {title: text for title, _, text in (part.partition("\n") for part in _PARTS)}
NAME = re.compile(r"`(\w+)`")


def code(recipe: str, language: str = "python") -> list[str]:
    """Return the code of a recipe."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", RECIPES[recipe], re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(each) for each in found]


def run(source: str, package: str = "", **names: Any) -> dict[str, Any]:
    """Run `source` as a module of `package`, with `names` at hand, and return what it defines."""
    module = ModuleType(f"{package}.recipe" if package else "recipe")
    module.__dict__.update(names, __package__=package)
    exec(compile(source, "CONTRIBUTING.md", "exec"), module.__dict__)  # noqa: S102 - our own document's code
    return module.__dict__


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    with closing(ChatSession()) as session:
        yield session


def test_there_is_a_recipe_for_each_kind_of_change() -> None:
    wanted = {"provider", "dialect", "option", "magic", "tool of the kernel", "panel button", "migration", "language"}
    assert {title.partition(" ")[2] for title in RECIPES} >= wanted


def test_the_map_shows_every_room() -> None:
    rooms = re.findall(r"^\| `(\w+)/` \|", GUIDE, re.MULTILINE)
    assert rooms == [*reversed(ROOMS), "testing"]


def test_every_file_is_there() -> None:
    named = set(re.findall(r"`([\w./]+(?:\.py|\.js|\.md|\.json|/))`", GUIDE)) - {"page/", "markdown/", "display/"}
    inner = {"dialects/": "providers/", "wire/": "providers/"}
    assert len(named) > 30
    for name in named:
        there = inner.get(name, "") + name
        places = (PACKAGE / there, ROOT / name, PACKAGE / "providers/dialects" / name)
        assert any(place.exists() for place in places), name


def test_every_name_is_there() -> None:
    defined: set[str] = set()
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                defined.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                defined |= {each.id for each in targets if isinstance(each, ast.Name)}
    elsewhere = {
        "language",  # a trait
        "say",  # the page's
        "lazy_exports",
        "register",
        "__all__",
        "__init__",
    }
    for title, text in RECIPES.items():
        words = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for name in NAME.findall(words):
            assert name in defined | elsewhere, (title, name)


def test_a_provider_sends_its_key_in_the_header_that_its_server_wants(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    (source,) = code("A provider")
    provider = run(source)["Example"]
    assert "example" in registry.provider_names()
    monkeypatch.setenv("EXAMPLE_API_KEY", "a-key-of-nobody-123456")
    monkeypatch.setenv("EXAMPLE_BASE_URL", server.url)
    server.queue(Answer(text=["Hello"]))
    assert ask(provider, "Hi").text == "Hello"
    headers = {name.lower(): value for name, value in server.requests[-1].headers.items()}
    assert headers["x-api-key"] == "a-key-of-nobody-123456"
    assert "authorization" not in headers
    assert server.requests[-1].json["model"] == "large"


def test_a_dialect_is_what_the_recipe_says() -> None:
    assert set(choice.DIALECTS) >= {"chat", "responses"}
    for name, dialect in choice.DIALECTS.items():
        assert isinstance(dialect, choice.Dialect)
        assert choice.chosen_dialect(name) is dialect
        assert dialect.encode.__name__ == "encode"
        assert issubclass(dialect.reader, ResponseReader)
        assert callable(dialect.reader.read)
        assert callable(dialect.reader.finish)


def test_an_option_reaches_config_and_its_help() -> None:
    (source,) = code("An option")
    body = textwrap.indent(source, "    ")
    extended: Any = run(f"class Extended(Settings):\n{body}", Settings=Settings, traitlets=traitlets)["Extended"]
    extended.__name__ = Settings.__name__
    (name,) = set(extended.class_trait_names(config=True)) - set(Settings.class_trait_names(config=True))
    settings = extended(config=Config({"ChatSession": {name: 7}}))
    assert getattr(settings, name) == 7
    help_text = extended.class_get_help()
    assert f"ChatSession.{name}=" in help_text
    assert "so that a model repeats itself" in help_text
    assert str(extended.class_traits()[name].help).rstrip().endswith("Default: none.")


def test_a_magic_reads_its_line_and_helps_itself(
    chat: ChatSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    english: Any = texts("en")
    monkeypatch.setitem(english, "about.chat_count", "Count the turns of the conversation.")
    monkeypatch.setitem(english, "help.count_all", "with those that are hidden")
    (source,) = code("A magic")
    magics = run(source, "chatanywhere_magic.magics")["CountMagics"](None, chat)
    parrot = Scripted.of("A", "B")
    chat.ask_sync("a", provider=parrot)
    chat.ask_sync("b", provider=parrot)
    chat.turns.undo()
    magics.chat_count("")
    magics.chat_count("--all")
    assert capsys.readouterr().out.split() == ["1", "2"]
    magics.chat_count("--help")
    assert "with those that are hidden" in capsys.readouterr().out


def test_a_panel_button_reaches_the_session(chat: ChatSession, monkeypatch: pytest.MonkeyPatch) -> None:
    command, method = code("A panel button")
    monkeypatch.setattr(commands, "COMMANDS", dict(commands.COMMANDS))
    run(command, COMMANDS=commands.COMMANDS)
    (name,) = commands.COMMANDS.keys() - vars(actions.Actions).keys() - {"hello", "bye", "fetch"}
    monkeypatch.setattr(actions.Actions, name, run(method)[name], raising=False)
    chat.settings.model = "tiny"
    actions.carry_out(chat, commands.read({"type": name, "id": "1"}))
    assert chat.settings.model == ""
    (button,) = code("A panel button", "js")
    assert f'act("{name}"' in button
    used = (PAGE / "turn.js").read_text(encoding="utf-8")
    assert re.search(r'iconButton\("\w+", app\.say\("panel\.\w+"\), \(\) => void app\.act\("\w+", \{', used)


def test_a_migration_at_the_end_brings_databases_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = code("A migration")
    (migration,) = [each for name, each in run(source, sqlite3=sqlite3).items() if name.startswith("_add")]
    before = database._MIGRATIONS
    with closing(sqlite3.connect(tmp_path / "chats.db", isolation_level=None)) as connection:
        database._migrate(connection)
        connection.execute("INSERT INTO owners VALUES (1, 'm', 1, 's')")
        connection.execute("INSERT INTO conversations VALUES (1, 'x', '', '', '', '', 0, 0, 0, 0, 1)")
        monkeypatch.setattr(database, "_MIGRATIONS", (*before, migration))
        database._migrate(connection)
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        (language,) = connection.execute("SELECT language FROM conversations").fetchone()
    assert (number, language) == (len(before) + 1, "")


def test_a_language_is_named_where_the_recipe_says_and_nowhere_else() -> None:
    places = {name for name in modules() if {"ru", "zh"} <= strings(name).keys()}
    places.discard("render/markdown/languages.py")  # of the model's text, whatever that is written in
    recipe = RECIPES["A language"]
    assert places == {place for place in re.findall(r"`([\w/]+\.py)`", recipe) if not place.startswith("tests/")}
    assert {path.stem for path in (PACKAGE / "core/locale").glob("*.json")} == set(i18n.LANGUAGES)
    for name in ("_Number", "_Decimal"):
        assert name in recipe
        assert hasattr(i18n, name)


def test_a_tool_of_the_kernel_is_a_method() -> None:
    (source,) = code("A tool of the kernel")
    method = run(source)["count_variables"]
    tools = type("Extended", (KernelTools,), {"count_variables": method})(Names({"a": 1, "_b": 2, "c": 3}), None)
    tool = Tool.of(tools.count_variables, approval="never", thread_safe=True)
    assert tool.schema["function"]["description"] == "Say how many variables the notebook has."
    assert tool.function(**tool.read("{}")) == "There are 2."
    assert {"shows", "covers", "standing"} <= {*NAME.findall(RECIPES["A tool of the kernel"])} & {*vars(tool)}
