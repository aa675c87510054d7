"""The conversation outlives the kernel: kept while it happens, offered when the extension is loaded, gone on with."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic.testing.server import Answer
from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import assert_nothing_left_open, evaluate, turns
from tests.support.kernels import Kernel
from tests.support.notebooks import saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.server import LocalServer

NOTEBOOK = "/home/ada/statistics.ipynb"


@pytest.fixture
def start(tmp_path: Path, server: LocalServer) -> Iterator[Callable[..., Kernel]]:
    """Start kernels of one person, who works in one notebook; arguments are environment variables."""
    started: list[Kernel] = []

    def kernel(**env: str) -> Kernel:
        started.append(Kernel(tmp_path / "home", env={**environment(server), "JPY_SESSION_NAME": NOTEBOOK, **env}))
        return started[-1]

    yield kernel
    for each in started:
        each.shutdown()


def questions(kernel: Kernel) -> list[str]:
    asked: list[str] = evaluate(kernel, "[turn.current.prompt for _, turn in chat.conversation.visible]")
    return asked


def stored(home: Path) -> list[tuple[Any, ...]]:
    """Return question and status of every version on the disk."""
    (path,) = home.rglob("*.db")
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT prompt, status FROM versions ORDER BY id").fetchall()


def dump(home: Path) -> list[str]:
    """Return all that is on the disk, whatever its tables are."""
    (path,) = home.rglob("*.db")
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


def test_after_a_restart_the_conversation_is_offered_and_gone_on_with(
    start: Callable[..., Kernel], server: LocalServer, tmp_path: Path
) -> None:
    kernel = start()
    assert kernel.run(LOAD).stdout == ""
    kernel.run("%chat I am Ada.", cell_id="cell-1")
    kernel.run("%chat I like numbers.", cell_id="cell-2")
    kernel.wait_until(lambda: [status for _, status in stored(tmp_path / "home")] == ["complete"] * 2)
    kernel.restart()
    said = kernel.run(LOAD).stdout
    assert "“I am Ada.”" in said
    assert "turns: 2" in said
    assert said.count("\n") == 1
    assert questions(kernel) == []
    kernel.run(f"chat.conversations.switch({said.split()[-1]!r})")
    assert questions(kernel) == ["I am Ada.", "I like numbers."]
    kernel.run("%chat Who am I?", cell_id="cell-3")
    kernel.run("%chat I am Bob.", cell_id="cell-1")
    assert questions(kernel) == ["I am Bob.", "I like numbers.", "Who am I?"]
    sent = [message["content"] for message in server.requests[-2].messages if message["role"] == "user"]
    assert sent == ["I am Ada.", "I like numbers.", "Who am I?"]
    assert [message["content"] for message in server.requests[-1].messages] == ["I am Bob."]
    assert_nothing_left_open(kernel)


def test_another_notebook_is_offered_nothing(start: Callable[..., Kernel]) -> None:
    first = start()
    first.run(LOAD)
    first.run("%chat hello")
    first.shutdown()
    assert start(JPY_SESSION_NAME="/home/ada/other.ipynb").run(LOAD).stdout == ""


@pytest.fixture
def asked_in(start: Callable[..., Kernel], tmp_path: Path) -> Callable[[str], Path]:
    """Ask in a notebook of this name, save it, and end its kernel; return the file."""

    def ask(name: str) -> Path:
        path = tmp_path / name
        kernel = start(JPY_SESSION_NAME=str(path))
        kernel.run(LOAD)
        path.write_text(saved(("cell-1", kernel.run(f"%chat asked in {name}", cell_id="cell-1"))), encoding="utf-8")
        kernel.shutdown()
        return path

    return ask


def test_a_notebook_that_was_renamed_is_known_by_what_stands_in_it(
    start: Callable[..., Kernel], asked_in: Callable[[str], Path], tmp_path: Path
) -> None:
    asked_in("other.ipynb")
    renamed = asked_in("Untitled.ipynb").rename(tmp_path / "analysis.ipynb")
    kernel = start(JPY_SESSION_NAME=str(renamed))
    said = kernel.run(LOAD).stdout
    assert "“asked in Untitled.ipynb”" in said
    kernel.run(f"chat.conversations.switch({said.split()[-1]!r})")
    kernel.run("%chat Go on", cell_id="cell-2")
    kernel.restart()
    renamed.unlink()  # from now on it is known by its path
    assert "turns: 2" in kernel.run(LOAD).stdout


@pytest.fixture
def empty(tmp_path: Path) -> Callable[[str], Path]:
    """Make a new notebook of this name, as JupyterLab does."""

    def make(name: str) -> Path:
        (tmp_path / name).write_text(saved(), encoding="utf-8")
        return tmp_path / name

    return make


def test_it_is_known_also_when_a_new_notebook_has_its_old_name(
    start: Callable[..., Kernel], asked_in: Callable[[str], Path], empty: Callable[[str], Path], tmp_path: Path
) -> None:
    renamed = asked_in("Untitled.ipynb").rename(tmp_path / "analysis.ipynb")
    new = empty("Untitled.ipynb")
    kernel = start(JPY_SESSION_NAME=str(renamed))
    said = kernel.run(LOAD).stdout
    assert "“asked in Untitled.ipynb”" in said
    kernel.run(f"chat.conversations.switch({said.split()[-1]!r})")
    kernel.shutdown()
    assert start(JPY_SESSION_NAME=str(new)).run(LOAD).stdout == ""


def test_a_notebook_without_answers_is_asked_also_where_it_would_always_go_on(
    start: Callable[..., Kernel], asked_in: Callable[[str], Path], empty: Callable[[str], Path], tmp_path: Path
) -> None:
    renamed = asked_in("Untitled.ipynb").rename(tmp_path / "analysis.ipynb")
    for path, expected in ((empty("Untitled.ipynb"), []), (renamed, ["asked in Untitled.ipynb"])):
        kernel = start(JPY_SESSION_NAME=str(path))
        kernel.run("get_ipython().config.ChatSession.resume = 'always'")
        assert "“asked in Untitled.ipynb”" in kernel.run(LOAD).stdout
        assert questions(kernel) == expected
        kernel.shutdown()


def test_a_notebook_under_anothers_old_name_goes_on_with_what_stands_in_it(
    start: Callable[..., Kernel], asked_in: Callable[[str], Path], tmp_path: Path
) -> None:
    other = asked_in("other.ipynb")
    asked_in("Untitled.ipynb").rename(tmp_path / "analysis.ipynb")
    kernel = start(JPY_SESSION_NAME=str(other.rename(tmp_path / "Untitled.ipynb")))
    kernel.run("get_ipython().config.ChatSession.resume = 'always'")
    kernel.run(LOAD)
    assert questions(kernel) == ["asked in other.ipynb"]


def test_a_copy_is_offered_nothing_of_the_notebook_that_was_copied(
    start: Callable[..., Kernel], asked_in: Callable[[str], Path], tmp_path: Path
) -> None:
    copied = tmp_path / "copy.ipynb"
    copied.write_bytes(asked_in("Untitled.ipynb").read_bytes())
    assert start(JPY_SESSION_NAME=str(copied)).run(LOAD).stdout == ""


def test_it_can_be_gone_on_with_always_or_never(start: Callable[..., Kernel]) -> None:
    kernel = start()
    kernel.run(LOAD)
    kernel.run("%chat hello")
    kernel.restart()
    kernel.run("get_ipython().config.ChatSession.resume = 'never'")
    assert kernel.run(LOAD).stdout == ""
    kernel.restart()
    kernel.run("get_ipython().config.ChatSession.resume = 'always'")
    assert "“hello”" in kernel.run(LOAD).stdout
    assert questions(kernel) == ["hello"]


def test_the_question_is_on_the_disk_before_it_is_sent(
    start: Callable[..., Kernel], server: LocalServer, tmp_path: Path
) -> None:
    kernel = start()
    kernel.run(LOAD)
    hold = threading.Event()
    server.queue(Answer(text=["so ", "far"], hold=hold))
    running = kernel.start("%chat a question")
    server.wait_for_request()
    assert stored(tmp_path / "home") == [("a question", "streaming")]
    hold.set()
    running.wait()


def test_an_answer_cut_off_by_a_killed_kernel_is_kept_as_interrupted(
    start: Callable[..., Kernel], server: LocalServer, tmp_path: Path
) -> None:
    kernel = start()
    kernel.run(LOAD)
    server.queue(Answer(text=["so ", "far"], hold=threading.Event()))
    running = kernel.start("%chat a question")
    running.wait_until(lambda result: any("so far" in str(each.data) for each in result.displays.values()))
    kernel.wait_until(lambda: "so far" in "".join(dump(tmp_path / "home")))
    kernel.restart()
    kernel.run("get_ipython().config.ChatSession.resume = 'always'")
    kernel.run(LOAD)
    assert [tuple(turn) for turn in turns(kernel)] == [("a question", "so far", "interrupted")]


def test_nothing_is_kept_of_a_private_conversation_nor_where_the_option_is_off(
    start: Callable[..., Kernel], tmp_path: Path
) -> None:
    kernel = start()
    kernel.run(LOAD)
    kernel.run("chat.conversations.new(private=True)")
    kernel.run("%chat a secret")
    kernel.run("chat.conversations.new()\nchat.persist = False")
    kernel.run("%chat another secret")
    kernel.run("chat.persist = True\nchat.conversations.new()")
    kernel.run("%chat no secret")
    kernel.shutdown()
    assert stored(tmp_path / "home") == [("no secret", "complete")]
    everything = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("chat.db*"))
    assert b"secret" in everything
    assert b"a secret" not in everything
    assert b"another secret" not in everything


def test_conversations_lie_where_the_environment_says(start: Callable[..., Kernel], tmp_path: Path) -> None:
    kernel = start(CHATANYWHERE_DATA_DIR=str(tmp_path / "elsewhere"))
    kernel.run(LOAD)
    kernel.run("%chat hello")
    assert list((tmp_path / "elsewhere").glob("*.db"))
    assert not list((tmp_path / "home").rglob("*.db"))


def test_a_database_that_cannot_be_used_is_told_once_and_the_chat_goes_on(
    start: Callable[..., Kernel], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    kernel = start(CHATANYWHERE_DATA_DIR=str(tmp_path / "file"))
    kernel.run(LOAD)
    first, second = kernel.run("%chat hello"), kernel.run("%chat hello again")
    assert first.status == second.status == "ok"
    assert first.stderr.count("\n") == 1
    assert second.stderr == ""
    assert questions(kernel) == ["hello", "hello again"]


def test_loading_opens_no_database_where_there_is_none(start: Callable[..., Kernel]) -> None:
    kernel = start()
    kernel.run(LOAD)
    modules = json.loads(kernel.run("import json, sys; print(json.dumps(sorted(sys.modules)))").stdout)
    assert "chatanywhere_magic.store.store" not in modules


def test_two_kernels_write_one_database(start: Callable[..., Kernel], tmp_path: Path) -> None:
    kernels = [start(), start(JPY_SESSION_NAME="/home/ada/other.ipynb")]
    for kernel in kernels:
        kernel.run(LOAD)
    code = "for number in range(20):\n    chat.ask_sync(f'{chat.conversations.id} {number}')"
    for running in [kernel.start(code) for kernel in kernels]:
        assert running.wait().status == "ok"
    for kernel in kernels:
        kernel.shutdown()
    rows = stored(tmp_path / "home")
    assert len(set(rows)) == 40
    assert {status for _, status in rows} == {"complete"}


STARTED_BY_A_KERNEL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
shown = []
code = "%load_ext chatanywhere_magic\\nfrom chatanywhere_magic import chat\\n%chat -q In the child."
client.execute_interactive(code, timeout=60, output_hook=lambda message: shown.append(str(message["content"])))
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def test_a_kernel_that_a_kernel_starts_does_not_take_its_notebook(start: Callable[..., Kernel]) -> None:
    parent = start()
    parent.run(f"{LOAD}\n%chat -q In the parent.")
    result = parent.run(STARTED_BY_A_KERNEL)
    assert result.status == "ok", result
    shown = str(evaluate(parent, "shown"))
    assert "Error" not in shown
    assert "%chat_switch" not in shown
    (path,) = parent.home.rglob("*.db")
    with sqlite3.connect(path) as connection:
        query = "SELECT prompt, notebook FROM versions JOIN conversations ON key = conversation"
        held = dict(connection.execute(query).fetchall())
    assert held == {"In the parent.": NOTEBOOK, "In the child.": ""}


def test_the_names_that_vs_code_counts_up_are_of_one_session(start: Callable[..., Kernel]) -> None:
    cell = "vscode-notebook-cell:/home/ada/notes.ipynb#W0sZmlsZQ%3D%3D"
    first = start()
    first.run(LOAD)
    for prompt in ("One?", "Another?"):  # the cell was edited, and asks in the same place
        first.run(f"%chat -q {prompt}", cell_id=cell)
    assert evaluate(first, "[turn.current.prompt for _, turn in chat.conversation.visible]") == ["Another?"]
    name = evaluate(first, "chat.conversation.turns[0].current.origin.cell_id")
    assert "ada" not in name
    (conversation,) = evaluate(first, "[each.id for each in chat.conversations.list()]")
    first.shutdown()
    second = start()
    second.run(f"{LOAD}\n%chat_switch {conversation}")
    second.run("%chat -q Is this another cell?", cell_id=cell)
    asked = evaluate(second, "[turn.current.prompt for _, turn in chat.conversation.visible]")
    assert asked == ["Another?", "Is this another cell?"]
