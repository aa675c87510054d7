"""Terminal IPython, on a pseudo-terminal, and where there is none."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.environment import clean_environment
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pexpect = pytest.importorskip("pexpect")

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]")


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def environment(server: LocalServer, home: Path) -> dict[str, str]:
    return clean_environment(home, {"OPENAI_BASE_URL": server.api_url, "TERM": "xterm-256color"})


def start(server: LocalServer, home: Path) -> Any:
    command = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    child = pexpect.spawn(
        sys.executable, command, env=environment(server, home), encoding="utf-8", timeout=30, dimensions=(40, 60)
    )
    child.expect(re.escape("In [1]: "))
    child.sendline("%load_ext chatanywhere_magic")
    child.expect(re.escape("In [2]: "))
    return child


def test_text_comes_as_it_is_written_and_once(server: LocalServer, tmp_path: Path) -> None:
    server.queue(Answer(text=["One, ", "**two**, ", "中文 🙂 ", "\x1b[31mred."], delay=0.2))
    child = start(server, tmp_path)
    child.sendline("%chat Count.")
    child.expect("One, ")
    assert "red." not in child.before + child.after
    child.expect(re.escape("In [3]: "))
    shown = "One, " + child.before
    assert shown.count("**two**, 中文 🙂 [31mred.") == 1
    assert "\x1b[31m" not in shown
    assert "[openai · test-model" in shown
    child.close()


def test_an_interrupt_keeps_the_text_and_gives_the_prompt_back(server: LocalServer, tmp_path: Path) -> None:
    server.queue(Answer(text=["Half of "] + ["it "] * 1000, delay=0.05))
    child = start(server, tmp_path)
    child.sendline("%chat Count.")
    child.expect("Half of ")
    child.sendintr()
    child.expect(re.escape("In [3]: "))
    assert "■ stopped" in child.before
    assert "Traceback" not in child.before
    child.sendline("1 + 1")
    child.expect("2")
    child.close()


def test_markdown_is_formatted_where_that_is_wanted(server: LocalServer, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    server.queue(Answer(text=["# Title\n\n", "Some **bold** words.\n\n", "- [x](https://x.org)\n- 中文\n\nThe end."]))
    child = start(server, tmp_path)
    child.sendline("%config ChatSession.rich = True")
    child.expect(re.escape("In [3]: "))
    child.sendline("%chat Count.")
    child.expect(re.escape("In [4]: "))
    assert "\x1b[1mbold\x1b" in child.before
    assert "]8;" not in child.before
    shown = ESCAPES.sub("", child.before)
    assert "**" not in shown
    assert shown.count("Some bold words.") == shown.count("The end.") == shown.count("中文") == 1
    child.close()


def test_a_pipe_gets_the_text_and_nothing_else(server: LocalServer, tmp_path: Path) -> None:
    server.queue(Answer(text=["# One, ", "**two**."]))
    code = "%load_ext chatanywhere_magic\n%config ChatSession.rich = True\n%chat Count."
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "-c", code],
        env=environment(server, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "# One, **two**.\n"


TOOL = (
    "from chatanywhere_magic import chat, Script, Scripted; "
    "save = lambda name: print('saved', name); save.__annotations__ = {'name': str}; "
    "chat.tools.add(save, name='save', description='Save.'); "
    "chat.settings.provider = Scripted.of(Script('Well.', calls=[('save', {'name': 'a'})]), 'Done.')"
)


def test_a_call_is_approved_by_typing(server: LocalServer, tmp_path: Path) -> None:
    child = start(server, tmp_path)
    child.sendline(TOOL)
    child.expect(re.escape("In [3]: "))
    child.sendline("%chat Save it.")
    child.expect(re.escape('"name": "a"'))
    child.expect("Run it")
    child.sendline("y")
    child.expect("saved a")
    child.expect(re.escape("Done."))
    child.expect(re.escape("In [4]: "))
    child.close()


def test_an_interrupt_while_it_is_asked_stops_the_turn(server: LocalServer, tmp_path: Path) -> None:
    child = start(server, tmp_path)
    child.sendline(TOOL)
    child.expect(re.escape("In [3]: "))
    child.sendline("%chat Save it.")
    child.expect("Run it")
    child.sendintr()
    child.expect("ChatInterrupted")
    child.expect(re.escape("In [4]: "))
    assert "saved" not in child.before
    child.close()


def test_a_script_without_a_person_gets_one_error(server: LocalServer, tmp_path: Path) -> None:
    script = f"{TOOL}\nchat.ask_sync('Save it.')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(server, tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert 'approval="never"' in done.stderr.splitlines()[-1]
    assert "saved" not in done.stdout
