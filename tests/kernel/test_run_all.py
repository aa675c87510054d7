"""Whole notebooks: "Run All", nbclient, and IPython in a terminal."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import text_so_far, the_answer, turns
from tests.support.environment import clean_environment
from tests.support.kernels import PYTHON
from tests.support.notebooks import execute, notebook_of
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer


class TestRunAll:
    """All cells are queued in the kernel at once, and the one in the middle streams."""

    def test_every_cell_is_finished(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["a ", "b ", "c ", "d"], delay=0.15))
        cells = ["x = 1", "x += 1", "%%chat\nHello", "x += 1", "import asyncio\nawait asyncio.sleep(0.01)", "x"]
        queued = [kernel.start(cell, cell_id=f"cell-{number}") for number, cell in enumerate(cells)]
        results = [running.wait(20) for running in queued]
        assert [result.status for result in results] == ["ok"] * len(cells)
        assert the_answer(results[2]).data["text/plain"] == "a b c d"
        assert results[-1].outputs[0]["data"]["text/plain"] == "3"

    def test_questions_one_after_the_other_make_one_conversation(self, kernel: Kernel, server: LocalServer) -> None:
        for _ in range(2):  # and running all a second time makes the same one again
            server.forget()
            queued = [kernel.start(f"%chat question {n}", cell_id=f"cell-{n}") for n in range(4)]
            assert [running.wait(20).status for running in queued] == ["ok"] * 4
            assert [turn.prompt for turn in turns(kernel)] == [f"question {n}" for n in range(4)]
            assert [len(request.messages) for request in server.requests] == [1, 3, 5, 7]

    @pytest.mark.parametrize("trouble", ["interrupt", "failure"])
    def test_what_stands_below_a_failed_cell_is_not_run(
        self, kernel: Kernel, server: LocalServer, trouble: str
    ) -> None:
        rest = threading.Event()
        server.queue(Answer(text=["Part of ", "it."], hold=rest, hold_after=1, cut=True))
        queued = [kernel.start(cell) for cell in ("%chat Hello", "y = 1", "y = 2")]
        queued[0].wait_until(lambda result: text_so_far(result) == "Part of ")
        if trouble == "interrupt":
            kernel.interrupt()
        rest.set()
        assert [running.wait(20).status for running in queued] == ["error", "aborted", "aborted"]
        assert kernel.run("'y' in globals()").outputs[0]["data"]["text/plain"] == "False"


class TestNbclient:
    def test_the_saved_notebook_holds_the_answers(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=["**One**."] * 3, delay=0.1), Answer(text=["Two."]))
        cells = [LOAD, "%%chat\nFirst?", "1 + 1", "%chat Second?", "len(chat.conversation.turns)"]
        saved = execute(notebook_of(cells), tmp_path, env=environment(server))
        nbformat.validate(saved)
        first, second = (saved.cells[number].outputs for number in (1, 3))
        assert [output.data["text/plain"] for output in [*first, *second]] == ["**One**." * 3, "Two."]
        assert "<strong>One</strong>" in first[0].data["text/html"]
        assert first[0].metadata["chatanywhere"]["prompt"] == "First?"
        assert saved.cells[2].outputs[0].data["text/plain"] == "2"
        # Without ids of cells every question is a new turn.
        assert saved.cells[4].outputs[0].data["text/plain"] == "2"
        assert len(server.requests[1].messages) == 3

    def test_a_failed_answer_fails_the_notebook(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(status=401, raw=[b"{}"]))
        with pytest.raises(subprocess.CalledProcessError) as failure:
            execute(notebook_of([LOAD, "%chat Hello", "1 + 1"]), tmp_path, env=environment(server))
        assert "AuthenticationError" in failure.value.stderr

    @pytest.mark.model
    def test_with_the_embedded_model(self, tmp_path: Path) -> None:
        cells = [LOAD, "%%chat --max-tokens 8 -t 0\nWhat is a list?", "%chat --max-tokens 4 -t 0 Why?"]
        saved = execute(notebook_of(cells), tmp_path)
        for cell in saved.cells[1:]:
            (output,) = cell.outputs
            turn = output.metadata["chatanywhere"]
            assert turn["provider"] == "local"
            assert turn["status"] == "complete"
            assert output.data["text/plain"]


class TestTerminal:
    def run(
        self,
        server: LocalServer,
        home: Path,
        arguments: Sequence[str],
        piped: str | None = None,
        *,
        status: int = 0,
    ) -> str:
        done = subprocess.run(
            [PYTHON, "-m", "IPython", "--no-banner", "--colors=NoColor", *arguments],
            input=piped,
            stdin=subprocess.DEVNULL if piped is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean_environment(home, environment(server)),
            cwd=home,
        )
        assert (done.returncode, done.stderr) == (status, "")
        return done.stdout

    def test_a_command_prints_the_answer_once_as_plain_text(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=["**One** ", "two ", "<three>."], delay=0.2))
        printed = self.run(server, tmp_path, ["-c", f"{LOAD}\n%chat Count."])
        assert printed == "**One** two <three>.\n"

    def test_piped_input_too(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=["Hello ", "you."], delay=0.2), Answer(text=["Bye."]))
        piped = "%load_ext chatanywhere_magic\n%chat Hello\n%chat What is a list?\n"
        printed = self.run(server, tmp_path, ["--simple-prompt"], piped)
        assert printed.count("Hello you.\n") == 1
        assert printed.count("Bye.\n") == 1
        assert "\x1b" not in printed
        assert len(server.requests[1].messages) == 3

    def test_control_characters_of_a_model_do_not_reach_it(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=["a\x1b]0;title\x07b\x1b[31mred\rover\x9b2J\tend"]))
        printed = self.run(server, tmp_path, ["-c", f"{LOAD}\n%chat Hello"])
        assert printed == "a]0;titleb[31mredover2J\tend\n"

    def test_an_error_is_one_line(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=["Half of "], cut=True))
        printed = self.run(server, tmp_path, ["-c", f"{LOAD}\n%chat Hello"], status=1)
        answer, mark, error = printed.splitlines()
        assert answer == "Half of "
        assert mark == "[✗ failed]"
        assert "the text so far is kept" in error
