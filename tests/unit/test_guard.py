"""Which cells hold a key that is meant for us, and what is left of them."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.magic import MagicAlias

from chatanywhere_magic import OpenAI, register
from chatanywhere_magic.magics.guard import looks_like_key, without_keys
from chatanywhere_magic.magics.names import aliases
from chatanywhere_magic.magics.typed_keys import masked, spans_of_keys
from tests.unit.test_scan import HARMLESS, KEYS

KEY = "sk-Abc123dEf456gHi789jKl012"


def keys_in(cell: str) -> set[str]:
    return {cell[start:end] for start, end in spans_of_keys(cell)}


@pytest.mark.parametrize(
    ("cell", "clean"),
    [
        ("%env OPENAI_API_KEY={key}", "%chat_login openai"),
        ("  %env CHATANYWHERE_API_KEY = {key}", "  %chat_login chatanywhere"),
        ("%env OPENAI_API_KEY {key}", "%chat_login openai"),
        ("%set_env OPENAI_API_KEY='{key}'", "%chat_login openai"),
        ("x = 1\nos.environ['OPENAI_API_KEY'] = \"{key}\"\ny = 2", "x = 1\n%chat_login openai\ny = 2"),
        ("os.environ.setdefault('OPENAI_API_KEY', '{key}')", "%chat_login openai"),
        ("!export OPENAI_API_KEY={key}", "%chat_login openai"),
        ("%chat Why does %env OPENAI_API_KEY={key} not work?", "%chat Why does %env OPENAI_API_KEY=*** not work?"),
        ("%%chat\nI ran export OPENAI_API_KEY={key}\nand now?", "%%chat\nI ran export OPENAI_API_KEY=***\nand now?"),
        ("%%bash\nexport OPENAI_API_KEY={key}", "%%bash\n%chat_login openai"),
        ("%chat_login {key}", "%chat_login"),
        ("%chat_login --file {key}", "%chat_login"),
        ("%chat --api-key {key} Hello", "%chat --api-key *** Hello"),
        ("x = %chat --key={key} Hello", "x = %chat --key=*** Hello"),
        ("%chat My key is {key}.", "%chat My key is ***."),
        ("%%chat -q\nWhat is wrong\nwith {key}?", "%%chat -q\nWhat is wrong\nwith ***?"),
        ("x = 1\n%time %chat Is {key} good?\ny = 2", "x = 1\n%time %chat Is *** good?\ny = 2"),
        ("%prun -q answer = %chat --key={key} Hello", "%prun -q answer = %chat --key=*** Hello"),
        ("answer = %time %chat Is {key} good?", "answer = %time %chat Is *** good?"),
        ("%time %prun -q %chat Is {key} good?", "%time %prun -q %chat Is *** good?"),
        ("%%timeit -n 1\n%chat Is {key} good?", "%%timeit -n 1\n%chat Is *** good?"),
        ("%%timeit x = %chat Is {key} good?\npass", "%%timeit x = %chat Is *** good?\npass"),
        ("%time %env OPENAI_API_KEY={key}", "%chat_login openai"),
        ("%time %chat_login {key}", "%chat_login"),
        ("%chatanywhere_login {key}", "%chat_login"),
        ("\n\n%%chat\nIs {key} good?", "\n\n%%chat\nIs *** good?"),
        ("%chat Is \\\n  {key} \\\ngood?\nx = 1", "%chat Is \\\n  *** \\\ngood?\nx = 1"),
        ("x = %chat -q \\\n--key {key} Hello", "x = %chat -q \\\n--key *** Hello"),
        ("%chat_login \\\n{key}", "%chat_login \\\n***"),
        ("# a comment \\\n%chat Is {key} good?", "# a comment \\\n%chat Is *** good?"),
        ("%config ChatSession.api_key = '{key}'", "%config ChatSession.api_key = '***'"),
        ("chat.api_key='{key}'", "chat.api_key='***'"),
        ("await chat.ask('Hello', api_key='{key}')", "await chat.ask('Hello', api_key='***')"),
    ],
)
def test_a_key_is_found_and_taken_out(cell: str, clean: str) -> None:
    found = without_keys(cell.format(key=KEY))
    assert found is not None
    assert found[0] == clean


@pytest.mark.parametrize("line", ["%chat_login {key}", "%chat_login openai --file {key}", "%chatanywhere_login {key}"])
def test_where_a_key_is_asked_for_it_need_not_begin_like_one(line: str) -> None:
    assert without_keys(line.format(key=KEY[3:])) == ("%chat_login", "")


def test_what_stands_in_its_place_is_called_as_it_is_here() -> None:
    assert without_keys(f"%env OPENAI_API_KEY={KEY}", "chatanywhere_login") == ("%chatanywhere_login openai", "openai")
    assert without_keys(f"%chatanywhere_login {KEY}", "chatanywhere_login") == ("%chatanywhere_login", "")


@pytest.mark.parametrize("value", ["hunter2", "lm-studio", "0" * 30])
def test_for_our_variables_every_value_is_a_key(value: str) -> None:
    assert without_keys(f"%env OPENAI_API_KEY={value}") == ("%chat_login openai", "openai")


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "%env OPENAI_API_KEY",
        "%env OPENAI_API_KEY=$key",
        "%env OPENAI_API_KEY={key}",
        "%env OPENAI_API_KEY=sk-...",
        "%chat What does os.environ['OPENAI_API_KEY'] = 'sk-…' do?",
        f"%env ANOTHER_KEY={KEY}",
        f"%time x = '{KEY}'",
        f"%chat Hello\nkey = '{KEY}'",
        f"%time client = connect('{KEY}', chat=True)",
        "os.environ['OPENAI_API_KEY'] = getpass()",
        "os.environ['OPENAI_API_KEY'] == 'x'",
        "key = os.environ.get('OPENAI_API_KEY', '')",
        f"client = openai.OpenAI(api_key='{KEY}')",
        f"key = '{KEY}'",
        "%chat_login openai",
        "%chat_login a-provider-with-a-long-name",
        "%chat What is an --api-key? And a key = value?",
        "%chat What is OPENAI_API_KEY?",
        "%chat Why sk-xxxxxxxxxxxxxxxxxxxxxxxx?",
        "%%chat\nexport OPENAI_API_KEY=$KEY\nWhat does this do?",
        "%chat --max-tokens 7 Hello",
        "chat.max_tokens = 7",
        "chat.key_of_mine == 'x'",
    ],
)
def test_everything_else_is_left_alone(cell: str) -> None:
    assert without_keys(cell) is None


@pytest.mark.parametrize(("word", "is_key"), [(KEY, True), ("openai", False), ("a-provider-with-a-long-name", False)])
def test_what_looks_like_one(word: str, is_key: bool) -> None:
    assert looks_like_key(word) is is_key


FOR_US = [
    "%chat Is {key} good?",
    "%%chat\nIs\n{key}\ngood?",
    "\n\n%%chat\nIs {key} good?",
    "# a comment\n\n# another\n%%chat\nIs {key} good?",
    "%%time\n# a\n%%chat\nIs\n{key}\ngood?",
    "# a\n%%capture out\n%%chat\nIs {key} good?",
    "x = %chat Is \\\n  {key} \\\ngood?",
    "%chat_rename {key}",
    "%chat_new {key}",
    'chat.ask_sync("Is {key} good?")',
    'answer = await chat.ask("Is {key} good?")',
    'chat("Is {key} good?")',
    'chat.ask_sync(\n    f"Is (that) {{x}} "\n    "{key}",\n)',
    'chat.ask_sync("""\nIs\n{key}\ngood?""")',
]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("cell", FOR_US)
def test_every_known_form_is_found_where_it_is_meant_for_us(cell: str, kind: str) -> None:
    found = without_keys(cell.format(key=KEYS[kind]))
    assert found is not None
    assert KEYS[kind][12:40] not in found[0]
    assert "***" in found[0]


@pytest.mark.parametrize(
    "cell",
    [
        "chat.ask_sync('Is {key} good?', allow_secrets=True)",
        "chat.undo()\nprint('{key}')",
        "# chat.\nprint('{key}')",
        "api_key = '{key}'",
        "os.environ['GITHUB_TOKEN'] = '{key}'",
        "%env GITHUB_TOKEN={key}",
        "%chat --allow-secrets Is {key} good?",
        "other.chat('{key}')",
        "%%writefile notes.py\n%%chat\n{key}",
    ],
)
def test_what_is_not_meant_for_us_runs_and_is_found(cell: str) -> None:
    cell = cell.format(key=KEYS["GitHub"])
    assert without_keys(cell) is None
    assert KEYS["GitHub"][:30] not in masked(cell, keys_in(cell))


@pytest.mark.parametrize(
    "cell",
    [
        "os.environ.update(OPENAI_API_KEY='{key}')",
        "os.environ.update({{'A': '1', 'OPENAI_API_KEY': '{key}'}})",
        "os.environ |= {{\n    'OPENAI_API_KEY': '{key}',\n}}",
        "os.environ |= dict(OPENAI_API_KEY='{key}')",
        "os.environ['OPENAI_API_KEY'] = (\n    '{key}'\n)",
        "os.environ['OPENAI_API_KEY'] = \\\n    '{key}'",
        "os.environ['OPENAI_API_KEY'] = f'{key}'",
        'os.environ[\'OPENAI_API_KEY\'] = """{key}"""',
    ],
)
@pytest.mark.parametrize("key", [KEY, "hunter2"])
def test_our_variables_may_be_set_in_other_ways(cell: str, key: str) -> None:
    found = without_keys(cell.format(key=key))
    assert found is not None
    assert key not in found[0]
    assert found[1] == "openai"


@pytest.mark.parametrize(
    "cell",
    [
        "os.environ.update(OPENAI_API_KEY=key)",
        "os.environ.update(OPENAI_API_KEY=f'{key}')",
        "os.environ.update(OPENAI_API_KEY='sk-...')",
        "os.environ |= {'A': '1'}\nx = {'OPENAI_API_KEY': 'hunter2'}",
        "os.environ['OPENAI_API_KEY'] = '-'.join(parts)",
        "os.environ['OPENAI_API_KEY'] = 'sk-' . join(parts)",
        "os.environ['OPENAI_API_KEY'] = (\n    '-'\n    .join(parts)\n)",
        "os.environ['OPENAI_API_KEY'] = 'sk-%s' % key",
        "os.environ['OPENAI_API_KEY'] = 'sk-{}'.format(key)",
        "os.environ.setdefault('OPENAI_API_KEY', '_'.join(parts))",
        "os.environ.update(OPENAI_API_KEY='-'.join(parts))",
        "os.environ['GITHUB_TOKEN'] = '-'.join(parts)",
        "os.environ['EXAMPLE_KEY'] = 'hunter2'",
    ],
)
def test_but_not_by_what_a_variable_holds_or_a_key_is_made_with(cell: str) -> None:
    assert without_keys(cell) is None


@pytest.fixture
def example() -> None:
    """Register a provider whose key has a variable of its own."""

    class Example(OpenAI):
        name, key_variable = "example", "EXAMPLE_CREDIT"

    register(Example)


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("cell", "clean"),
    [
        ("%env EXAMPLE_CREDIT=hunter2", "%chat_login example"),
        ("x = 1\nos.environ['EXAMPLE_CREDIT'] = 'hunter2'", "x = 1\n%chat_login example"),
        ("os.environ |= {'A': '1', 'EXAMPLE_CREDIT': 'hunter2'}", "os.environ |= {'A': '1', 'EXAMPLE_CREDIT': '***'}"),
        ("!export A=1; export EXAMPLE_CREDIT=hunter2", "%chat_login example"),
    ],
)
def test_the_variable_of_a_provider_that_the_user_registered_is_one_of_ours(cell: str, clean: str) -> None:
    assert without_keys(cell) == (clean, "example")
    assert without_keys(cell.replace("EXAMPLE", "ANOTHER")) is None


def test_every_key_of_a_line_is_taken_out() -> None:
    typed = "!export OPENAI_API_KEY=hunter2 && export CHATANYWHERE_API_KEY=hunter3 # hunter2, hunter3"
    assert "hunter" not in str(without_keys(f"%%chat\n{typed}"))
    assert masked("ab abc abcd xabcx a\\nb", {"abc", "ab", "a\nb"}) == "*** *** ***d x***x ***"


@pytest.mark.parametrize("between", ['"\n    "', '" \\\n  f"', "\\\n"])
@pytest.mark.parametrize("kind", ["GitHub", "Hugging Face", "Groq"])
def test_a_key_may_go_on_in_the_next_line(between: str, kind: str) -> None:
    key = KEYS[kind]
    cell = f'x = ("{key[:12]}{between}{key[12:]}")\ny = 1'
    assert masked(cell, keys_in(cell)) == 'x = ("***")\ny = 1'


def test_a_private_key_is_found_in_code_and_in_its_literal() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 4 + "\n-----END PRIVATE KEY-----"
    found = keys_in(f'pem = """{key}"""')
    assert masked(repr(f"%%bash {key}"), found) == repr("%%bash ***")


@pytest.mark.parametrize("words", HARMLESS)
@pytest.mark.parametrize("cell", ["{}", "x = '''{}'''", "%%chat\n{}", "chat.ask_sync('''{}''')"])
def test_harmless_texts_stay(cell: str, words: str) -> None:
    cell = cell.replace("{}", words)
    assert without_keys(cell) is None
    assert keys_in(cell) == set()


def ours() -> None:
    """Stands for a magic of ours."""


def test_our_magics_are_known_by_the_names_that_a_user_gives_them() -> None:
    ours.options = None  # type: ignore[attr-defined]
    shell: Any = SimpleNamespace()
    line = {"chat": ours, "chat_login": ours, "time": print, "t": MagicAlias(shell, "time", "line")}
    line |= {name: MagicAlias(shell, target, "line") for name, target in (("ask", "chat"), ("q", "ask"), ("me", "me"))}
    shell.magics_manager = SimpleNamespace(magics={"line": line, "cell": {}})
    named = aliases(shell)
    assert named == {"ask": "chat", "q": "chat"}
    for cell in ("%ask Is {} good?", "%%q\nIs {} good?", "# a\n%%ask\n{}", "x = %time %q {}"):
        typed = cell.format(KEYS["GitHub"])
        assert without_keys(typed, named=named) == (cell.format("***"), "")
        assert without_keys(typed) is None
    assert without_keys(f"%asked {KEYS['GitHub']}", named=named) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "chat(",
        "chat.ask('",
        "os.environ |= {",
        "%chat a\n",
        '"\n"',
        "\\\n",
        "chat.",
        "x = 1\n",
        "ghp_1",
        "%chat a\\\n",
        "=%time ",
        "OPENAI_API_KEY=",
        "OPENAI_API_KEY=\\\n",
        "export OPENAI_API_KEY={}\n",
        "environ['OPENAI_API_KEY']='{}';",
        "%alias_magic {} chat\n",
    ],
)
@pytest.mark.parametrize("before", ["", "%%chat\n", "%chat ", "os.environ |= {"])
def test_long_cells_are_read_in_linear_time(before: str, piece: str) -> None:
    taken = []
    for size in (5_000, 40_000):
        cell = before + "".join(piece.replace("{}", str(row)) for row in range(size // len(piece))) + KEYS["GitHub"]
        begun = time.thread_time()
        without_keys(cell)
        keys_in(cell)
        taken.append(time.thread_time() - begun)
    assert taken[1] < max(0.6, 24 * taken[0])
