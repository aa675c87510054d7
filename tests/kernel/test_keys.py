"""Keys in a real kernel: asked for unseen, checked, kept, and afterwards nowhere to be found."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import evaluate, everything_written, the_answer, the_error_line
from tests.support.kernels import Kernel
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("keyring")

ROOT = Path(__file__).parents[2]
KEY = "sk-Abc123dEf456gHi789jKl012"
OTHER = "sk-Zyx987wVu654tSr321qPo098"
WRONG = "sk-Wrong00rOnG11wRoNg22wrO3"
PLACES = {"--session": "this session", "--file": "keys.json", "": "the keyring"}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server that answers only who brings one of the two keys."""
    with LocalServer() as server:
        server.keys = {KEY, OTHER}
        yield server


@pytest.fixture
def start(server: LocalServer, tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start kernels of a user whose system has a keyring; its file is beside the home, not in it."""
    kernels: list[Kernel] = []

    def begin(**env: str) -> Kernel:
        keyring = {
            "PYTHONPATH": str(ROOT),
            "PYTHON_KEYRING_BACKEND": "tests.support.keyring_file.FileKeyring",
            "TEST_KEYRING_FILE": str(tmp_path / "vault.json"),
        }
        kernel = Kernel(tmp_path / "home", env={**environment(server), **keyring, **env})
        kernels.append(kernel)
        assert kernel.run(LOAD).status == "ok"
        return kernel

    yield begin
    for kernel in kernels:
        kernel.shutdown()


@pytest.fixture
def kernel(start: Callable[..., Kernel]) -> Kernel:
    return start()


def sent(server: LocalServer) -> list[str]:
    return [request.header("Authorization") for request in server.requests if request.method == "POST"]


class TestLogin:
    @pytest.mark.parametrize("option", PLACES)
    def test_a_key_is_asked_for_unseen_checked_and_kept(self, kernel: Kernel, server: LocalServer, option: str) -> None:
        result = kernel.run(f"%chat_login openai {option}", answers=[f" {KEY} "])
        assert result.status == "ok", result
        (asked,) = kernel.asked
        assert asked["password"] is True
        assert "Key for openai (127.0.0.1:" in asked["prompt"]
        assert [(check.method, check.path) for check in server.requests] == [("GET", "/v1/models")] * 2
        # Asked once more without it: only so is it known that it was the key that was accepted.
        assert [check.header("Authorization") for check in server.requests] == [f"Bearer {KEY}", ""]
        assert re.fullmatch(
            rf"Saved the key for openai \(127\.0\.0\.1:\d+\) in .*{PLACES[option]}\.\n"
            r"The key was accepted; models: 2\.\n",
            result.stdout,
        )
        the_answer(kernel.run("%chat Hello"))
        assert sent(server) == [f"Bearer {KEY}"]

    @pytest.mark.parametrize("option", PLACES)
    def test_it_is_there_in_the_next_kernel_unless_it_is_the_sessions(
        self, start: Callable[..., Kernel], server: LocalServer, option: str
    ) -> None:
        start().run(f"%chat_login openai {option}", answers=[KEY])
        result = start().run("%chat Hello")
        if option == "--session":
            assert "rejected the key" in the_error_line(result)
            assert sent(server) == [""]
        else:
            the_answer(result)
            assert sent(server) == [f"Bearer {KEY}"]

    def test_a_wrong_key_is_not_kept(self, kernel: Kernel, server: LocalServer) -> None:
        line = the_error_line(kernel.run("%chat_login openai --file", answers=[WRONG]))
        assert "rejected the key (status 401)" in line
        assert WRONG not in line
        assert re.match(r"none for 127\.0\.0\.1:\d+; %chat_login openai", status(kernel)["key for openai"])
        kernel.run("%chat_login openai --file --unchecked", answers=[WRONG])
        assert len([request for request in server.requests if request.method == "GET"]) == 1
        assert "keys.json → 127.0.0.1" in status(kernel)["key for openai"]

    def test_what_is_no_key_is_refused_unsaid(self, kernel: Kernel, server: LocalServer) -> None:
        for typed in ("two words", "ключ"):
            line = the_error_line(kernel.run("%chat_login openai --file", answers=[typed]))
            assert "The key in your input contains characters that no key has" in line
            assert typed not in line
        assert "No key was entered." in the_error_line(kernel.run("%chat_login openai --file", answers=[""]))
        assert not server.requests

    def test_a_list_that_anybody_gets_says_nothing_of_the_key(self, kernel: Kernel, server: LocalServer) -> None:
        server.keys = set()
        said = kernel.run("%chat_login openai --session", answers=[WRONG]).stdout
        assert "The key was not checked: the server lists its models to anybody. Models: 2." in said
        assert "accepted" not in said

    @pytest.mark.parametrize("pasted", [f'export OPENAI_API_KEY="{KEY}"', f"\ufeffBearer {KEY}\n", f"\u200b'{KEY}',"])
    def test_what_stands_around_a_pasted_key_is_left_out(
        self, kernel: Kernel, server: LocalServer, pasted: str
    ) -> None:
        assert kernel.run("%chat_login openai --session", answers=[pasted]).status == "ok"
        the_answer(kernel.run("%chat Hello"))
        assert sent(server) == [f"Bearer {KEY}"]

    @pytest.mark.parametrize("between", ["", " ", "\n", ","])
    def test_two_keys_in_one_are_named_and_not_sent(self, kernel: Kernel, server: LocalServer, between: str) -> None:
        result = kernel.run("%chat_login openai --session", answers=[f"{KEY}{between}{OTHER}"])
        assert "your input holds two keys. Copy one of them." in the_error_line(result)
        assert KEY not in str(result)
        assert OTHER not in str(result)
        assert not server.requests

    def test_where_nobody_can_type(self, kernel: Kernel) -> None:
        line = the_error_line(kernel.run("%chat_login openai --file"))
        assert "A key cannot be typed here. Set the environment variable OPENAI_API_KEY" in line

    def test_chatanywhere_is_meant_where_nobody_is_named(self, kernel: Kernel) -> None:
        assert "Saved the key for chatanywhere" in kernel.run("%chat_login --session", answers=[KEY]).stdout

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("%chat_login local", "local needs no key."),
            ("%chat_login openai --file --session", "--session and --file cannot be used together."),
            ("%chat_login opnai", "There is no provider 'opnai'. Did you mean openai?"),
            ("%chat_login openai twice", "%chat_login does not accept 'twice'"),
        ],
    )
    def test_mistakes(self, kernel: Kernel, line: str, says: str) -> None:
        assert says in the_error_line(kernel.run(line))

    def test_without_a_keyring_it_is_in_the_private_file_and_that_is_said(
        self, start: Callable[..., Kernel], server: LocalServer
    ) -> None:
        kernel = start(PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
        first, second, _ = kernel.run("%chat_login openai", answers=[KEY]).stdout.splitlines()
        assert first == "No place for it in the keyring."
        assert re.match(r"Saved the key for openai .* in .*keys\.json", second)
        assert len(kernel.asked) == 1
        the_answer(start().run("%chat Hello"))
        assert sent(server) == [f"Bearer {KEY}"]

    def test_without_a_file_either_it_is_kept_for_the_session(
        self, start: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        (tmp_path / "blocked").write_text("")
        kernel = start(
            PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring", XDG_CONFIG_HOME=str(tmp_path / "blocked")
        )
        said = kernel.run("%chat_login openai", answers=[KEY]).stdout
        assert "keys.json." in said.splitlines()[1]
        assert "in this session." in said
        the_answer(kernel.run("%chat Hello"))

    def test_a_keyring_that_fails_is_none(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "vault.json").mkdir()
        kernel.run("%xmode Verbose")
        result = kernel.run("%chat_login openai", answers=[KEY])
        assert "keys.json" in result.stdout
        assert KEY not in str(result)

    def test_an_environment_variable_comes_first_and_that_is_said(self, start: Callable[..., Kernel]) -> None:
        kernel = start(OPENAI_API_KEY=OTHER)
        said = kernel.run("%chat_login openai --file", answers=[KEY]).stdout
        assert "Another key takes precedence: OPENAI_API_KEY." in said


class TestLogout:
    def test_the_key_is_forgotten_wherever_it_is(self, kernel: Kernel, tmp_path: Path) -> None:
        for option in PLACES:
            kernel.run(f"%chat_login openai {option}", answers=[KEY])
        said = kernel.run("%chat_logout openai").stdout
        for place in PLACES.values():
            assert place in said
        assert KEY not in (tmp_path / "vault.json").read_text()
        assert KEY not in evaluate(
            kernel, "__import__('chatanywhere_magic.keys.keystore', fromlist='_').file_path().read_text()"
        )
        assert "none for 127.0.0.1" in status(kernel)["key for openai"]
        assert "No key is saved for openai" in kernel.run("%chat_logout openai").stdout

    def test_what_stays_in_the_environment_is_said(self, start: Callable[..., Kernel]) -> None:
        said = start(OPENAI_API_KEY=OTHER).run("%chat_logout openai").stdout
        assert "The environment variable OPENAI_API_KEY still contains one." in said


def status(kernel: Kernel) -> dict[str, str]:
    """Return what ``%chat_status`` shows, by its first column."""
    (output,) = kernel.run("%chat_status").outputs
    rows = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in output["data"]["text/plain"].splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def test_status_says_who_answers_and_where_keys_come_from(start: Callable[..., Kernel]) -> None:
    kernel = start(CHATANYWHERE_API_KEY=KEY)
    kernel.run("chat.provider = 'openai'; chat.model = 'gpt-test'")
    shown = status(kernel)
    assert shown["provider"] == "openai · gpt-test"
    assert shown["key for chatanywhere"].startswith("CHATANYWHERE_API_KEY → 127.0.0.1:")
    assert shown["key for openai"].startswith("none for 127.0.0.1:")
    assert shown["key for local"] == "not needed"
    assert "chatanywhere-magic" in shown["versions"]
    kernel.run("chat.provider = ''; del __import__('os').environ['CHATANYWHERE_API_KEY']")


TYPED = [
    f"%chat_login {KEY}",
    f"%chat_login openai --file {KEY}",
    f"%env OPENAI_API_KEY={KEY}",
    f"%set_env OPENAI_API_KEY {KEY}",
    f"import os\nos.environ['OPENAI_API_KEY'] = '{KEY}'",
    f"!export OPENAI_API_KEY={KEY}",
    f"%chat --api-key {KEY} Hello",
    f"answer = %chat --key={KEY} Hello",
    f"%chat My key is {KEY}, is that right?",
    f"before = 1\n%time %chat My key is {KEY}, is that right?\nafter = 1",
    f"%%chat\nMy key is\n{KEY}",
    f"\n%%chat\n{KEY}",
    f"%chat My key is \\\n{KEY}",
    f"%config ChatSession.api_key = '{KEY}'",
    f"chat.api_key = '{KEY}'",
    f"chat.ask_sync('Hello', api_key='{KEY}')",
]


class TestTyped:
    """A key where it would be saved: nothing is run, and what is left of the cell has no key."""

    @pytest.fixture
    def kernel(self, shared_kernel: Kernel) -> Kernel:
        """One for all of them, since nothing is run in it."""
        return shared_kernel

    @pytest.fixture
    def server(self, shared_server: LocalServer) -> LocalServer:
        """The one that this kernel would ask."""
        shared_server.forget()
        return shared_server

    @pytest.mark.parametrize("cell", TYPED)
    def test_it_is_refused_with_the_right_way(self, kernel: Kernel, server: LocalServer, cell: str) -> None:
        result = kernel.run(cell)
        assert "Nothing was run: this cell contains a key" in result.stderr
        assert "%chat_login" in result.stderr
        (payload,) = result.payload
        assert (payload["source"], payload["replace"]) == ("set_next_input", True)
        assert KEY not in str(result)
        assert evaluate(kernel, "__import__('os').environ.get('OPENAI_API_KEY')") is None
        assert not server.requests
        assert evaluate(kernel, "'before' in globals()") is False
        # In two pieces, or the line that asks would be found by the next test.
        assert evaluate(kernel, f"any({KEY[3:9]!r} + {KEY[9:]!r} in line for line in [*In, _i])") is False

    def test_what_comes_from_a_variable_is_refused_too(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run(f"x = {KEY!r}", answers=[])
        for use in ("chat.api_key = x", "chat.ask_sync('Hello', api_key=x)"):
            assert "Keys cannot be given as options" in the_error_line(kernel.run(use))
        assert not server.requests

    def test_other_cells_are_remembered_as_ever(self, kernel: Kernel) -> None:
        kernel.run(TYPED[2])
        kernel.run("a = 1")
        assert evaluate(kernel, "In[-2]") == "a = 1"
        assert evaluate(kernel, "get_ipython().history_manager.db_cache_size") == 0


TOKEN = "ghp_aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"
RUN = [
    f"api_key = {TOKEN!r}",
    f"import os\nos.environ['GITHUB_TOKEN'] = {TOKEN!r}",
    f"import os\nos.environ.update(GITHUB_TOKEN={TOKEN!r})",
    f"import os\nos.environ |= {{'GITHUB_TOKEN': {TOKEN!r}}}",
    f"%env GITHUB_TOKEN={TOKEN}",
    f"%set_env GITHUB_TOKEN {TOKEN}",
    f'x = f"{TOKEN}"\n%time y = 1',
    f"x = '''\n{TOKEN}\n'''",
    f"x = {TOKEN!r}\n1 / 0",
    f"x = {TOKEN!r}\nget_ipython().run_cell('y = 1', store_history=True)\nz = 2",
]
REFUSED = [
    f"%chat Is {TOKEN} good?",
    f"# a comment\n%%chat\n{TOKEN}",
    f"%ask Is {TOKEN} good?",
    f"%%ask\nIs {TOKEN} good?",
    f"chat.ask_sync('Is {TOKEN} good?')",
    f"await chat.ask('Is {TOKEN} good?')",
    f"%chat_rename {TOKEN}",
]


def test_keys_of_every_form_are_kept_out_of_the_history(
    start: Callable[..., Kernel], server: LocalServer, tmp_path: Path
) -> None:
    """What is meant for us is refused; other code runs, and is remembered without its key."""
    kernel = start()
    kernel.run("%alias_magic ask chat")
    for cell in RUN:
        assert "Nothing was run" not in kernel.run(cell).stderr
        assert evaluate(kernel, f"[line for line in [*In[:-1], _i, _ii] if {TOKEN[:3:-1]!r}[::-1] in line]") == []
    assert evaluate(kernel, "z") == 2
    assert evaluate(kernel, "__import__('os').environ['GITHUB_TOKEN'][:8]") == TOKEN[:8]
    for cell in REFUSED:
        assert "Nothing was run: this cell contains a key" in kernel.run(cell).stderr
        assert evaluate(kernel, f"[line for line in [*In[:-1], _i, _ii] if {TOKEN[:3:-1]!r}[::-1] in line]") == []
    said = the_error_line(kernel.run("chat.conversations.rename(api_key)"))
    assert "The title looks like it contains a key (GitHub" in said
    assert evaluate(kernel, "get_ipython().history_manager.db_cache_size") == 0
    assert not server.requests
    kernel.run("get_ipython().history_manager.writeout_cache()\nchat.close()")
    kernel.shutdown()
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path.name for path in files if path.name == "history.sqlite"]
    assert [path for path in files if TOKEN[4:].encode() in path.read_bytes()] == []


def test_a_key_is_nowhere_to_be_found(start: Callable[..., Kernel], server: LocalServer, tmp_path: Path) -> None:
    """After every way to give one, right and wrong, and everything that might show it."""
    kernel = start(CHATANYWHERE_API_KEY=OTHER)
    results = [
        kernel.run("%xmode Verbose"),
        *(kernel.run(f"%chat_login openai {option}", answers=[KEY]) for option in PLACES),
        kernel.run("%chat_login openai --file", answers=[WRONG]),
        *(kernel.run(cell) for cell in TYPED),
        kernel.run("%chat_panel"),
        kernel.run("answer = %chat -p openai Hello"),
        kernel.run("%chat -p chatanywhere Hello again"),
    ]
    the_answer(results[-1])
    assert sent(server) == [f"Bearer {KEY}", f"Bearer {OTHER}"]
    server.queue(Answer(status=500, raw=[f'{{"error": {{"message": "bad key {OTHER}"}}}}'.encode()]))
    server.queue(Answer(text=["Half of "], cut=True))
    shows = """
    chat.max_retries = 0
    %chat This fails.
    %chat This is cut.
    %tb
    chat.ask_sync("x", nonsense=object())
    %whos
    %config ChatSession
    %config
    Out
    In
    %hist -o
    %chat_status
    %chat_logout openai
    vars(chat)
    chat.settings.config
    [str(v) for v in list(globals().values())]
    import json; json.dumps(chat.conversation, default=str)
    [repr(live) for live in chat.turns.live]
    __import__("chatanywhere_magic.keys.keystore", fromlist="_")._session
    %env CHATANYWHERE_BASE_URL
    """
    results += [kernel.run(line.strip()) for line in shows.strip().splitlines()]
    for name in ("text/plain", "text/html"):
        assert any(name in output.get("data", {}) for result in results for output in result.outputs)
    kernel.run("chat.provider = ''\nchat.close()")
    widgets = str(kernel.widgets)
    seen = [str(result) for result in results] + [everything_written(kernel), widgets]
    kernel.run("get_ipython().history_manager.writeout_cache()")
    kernel.shutdown()
    private = list((tmp_path / "home").rglob("keys.json"))
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path not in private]
    assert [path.name for path in files if path.name == "history.sqlite"]
    for key in (KEY, OTHER, WRONG):
        for form in (key, key[3:]):
            assert [words[:300] for words in seen if form in words] == []
            assert [path for path in files if form.encode() in path.read_bytes()] == []
    if sys.platform != "win32":
        assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600]
