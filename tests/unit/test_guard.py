"""Which cells hold a key that is meant for us, and what is left of them."""

from __future__ import annotations

import pytest

from chatanywhere_magic.magics.guard import looks_like_key, without_keys

KEY = "sk-Abc123dEf456gHi789jKl012"


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
