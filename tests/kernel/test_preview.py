"""``--dry-run`` shows what would be sent, and keys are not sent: in a real kernel, as a person meets them."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import evaluate, the_answer, the_error_line, turns
from tests.kernel.test_magics import variable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer

PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
KEY = "gh" + "p_aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"


def shown(result: Result) -> tuple[str, str]:
    """Return the plain and the HTML form of the one output."""
    (output,) = result.outputs
    assert output["output_type"] == "display_data", output
    return output["data"]["text/plain"], output["data"]["text/html"]


class TestPreview:
    def test_it_is_what_would_be_sent(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat first")
        kernel.run("x = {'a': [1, 2]}")
        question = "-s 'Be brief.' -t 0.25 -m gpt-4o What is <b>@x</b>?"
        plain, page = shown(kernel.run(f"%chat --dry-run {question}"))
        assert len(server.requests) == 1
        assert "Nothing was sent. The request would be: openai · gpt-4o · about " in plain
        assert "temperature 0.25" in plain
        kernel.run(f"%chat {question}")
        for message in server.requests[-1].messages:
            assert message["content"] in plain
            assert f"[{message['role']}, about " in plain
        assert "&lt;b&gt;@x&lt;/b&gt;" in page
        assert "<b>@x" not in page

    def test_it_leaves_no_turn(self, kernel: Kernel) -> None:
        kernel.run("%chat first", cell_id="a")
        kernel.run("%chat --dry-run second", cell_id="b")
        kernel.run("%%chat --dry-run\nfirst again", cell_id="a")
        assert [turn.prompt for turn in turns(kernel)] == ["first"]
        assert evaluate(kernel, "[len(turn.versions) for turn in chat.conversation.turns]") == [1]

    def test_the_turns_that_stand_before_a_cell_are_in_it(self, kernel: Kernel) -> None:
        for question, cell in [("first", "a"), ("second", "b"), ("third", "c")]:
            kernel.run(f"%chat {question}", cell_id=cell)
        plain, _ = shown(kernel.run("%chat --dry-run second again", cell_id="b"))
        assert "first" in plain
        assert "third" not in plain

    def test_turns_without_room_are_counted(self, kernel: Kernel) -> None:
        kernel.run("%config ChatSession.budget = 300")
        for number in range(4):
            kernel.run(f"%chat {'word ' * 100} {number}")
        plain, _ = shown(kernel.run("%chat --dry-run And now?"))
        assert "of 300" in plain
        assert "older turns would be left out" in plain

    def test_pictures_are_seen(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "p.png").write_bytes(PIXEL)
        plain, page = shown(kernel.run(f"%chat --dry-run -a {tmp_path / 'p.png'} What is it?"))
        assert "[picture, image/png, 0 kB]" in plain
        assert '<img src="data:image/png;base64,' in page

    def test_mistakes_are_told_as_ever(self, kernel: Kernel) -> None:
        assert "There is no variable @nothing" in the_error_line(kernel.run("%chat --dry-run @nothing"))

    def test_of_the_embedded_model(self, kernel: Kernel) -> None:
        plain, _ = shown(kernel.run("%chat --dry-run -p local Hello"))
        assert "local · SmolLM2-135M-Instruct.Q4_1 · about " in plain
        assert "of 8,192" in plain


class TestKeys:
    @pytest.fixture(autouse=True)
    def _config(self, kernel: Kernel) -> None:
        # Not written out: what is typed as a key is refused before it comes to this.
        kernel.run(f"config = {{'token': 'gh' + {KEY[2:]!r}}}")
        # The kernel is that of the tests before: what they let a provider have, it may have.
        kernel.run("chat._turn_loop.egress._destinations.clear()")

    def test_they_are_not_sent(self, kernel: Kernel, server: LocalServer) -> None:
        result = kernel.run("%chat What is wrong with @config?")
        line = the_error_line(result)
        assert line.startswith("LeakError")
        assert "@config (GitHub). Nothing was sent." in line
        assert KEY not in str(result)
        assert not server.requests
        assert turns(kernel) == []

    def test_neither_from_a_file(self, kernel: Kernel, server: LocalServer, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(f"TOKEN={KEY}")
        assert "/.env (GitHub)" in the_error_line(kernel.run(f"%chat -a {tmp_path / '.env'} Hello"))
        assert f"@file:{tmp_path}/.env (GitHub)" in the_error_line(kernel.run(f"%chat @file:{tmp_path}/.env"))
        assert not server.requests

    def test_a_key_of_the_environment_in_any_form(self, kernel: Kernel, server: LocalServer) -> None:
        with variable(kernel, "MY_SECRET", "correct-horse-battery"):
            kernel.run("import base64, os; header = base64.b64encode(os.environ['MY_SECRET'].encode()).decode()")
            assert "@header (MY_SECRET)" in the_error_line(kernel.run("%chat Explain @header"))
        assert not server.requests

    def test_the_preview_shows_that_there_is_one_but_not_which(self, kernel: Kernel, server: LocalServer) -> None:
        result = kernel.run("%chat --dry-run What is wrong with @config?")
        plain, _ = shown(result)
        assert "looks like a key" in plain
        assert "user (GitHub)" in plain
        assert "***" in plain
        assert KEY not in str(result)
        assert not server.requests

    def test_the_way_out(self, kernel: Kernel, server: LocalServer) -> None:
        the_answer(kernel.run("%chat --allow-secrets What is wrong with @config?"))
        assert KEY in server.requests[-1].messages[-1]["content"]

    def test_what_was_sent_once_may_be_asked_again(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat --allow-secrets What is wrong with @config?")
        assert kernel.run("live = chat.turns.retry(); chat.start(live).result()").status == "ok"
        assert KEY in server.requests[-1].messages[-1]["content"]
        line = the_error_line(kernel.run("chat.turns.retry(provider='chatanywhere-web')"))
        assert "LeakError" in line  # it would come to somebody else

    def test_what_one_provider_was_told_is_not_passed_on_to_another(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat -p chatanywhere-web --allow-secrets What is wrong with @config?")
        assert "turn 1 (GitHub)" in the_error_line(kernel.run("%chat Hello"))
        the_answer(kernel.run("%chat --no-history Hello"))
        assert len(server.requests) == 2
        the_answer(kernel.run("%chat --allow-secrets Hello"))
        the_answer(kernel.run("%chat Hello again"))  # it has it now

    def test_the_option_of_the_session(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%config ChatSession.secrets = 'allow'")
        the_answer(kernel.run("%chat What is wrong with @config?"))
        assert KEY in server.requests[-1].messages[-1]["content"]

    def test_where_nobody_can_be_asked_it_is_a_no(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%config ChatSession.secrets = 'ask'")
        assert "LeakError" in the_error_line(kernel.run("%chat What is wrong with @config?"))
        assert not server.requests

    @pytest.mark.parametrize(("reply", "is_sent"), [("y", True), ("да", True), ("", False), ("no", False)])
    def test_asking(self, kernel: Kernel, server: LocalServer, reply: str, is_sent: bool) -> None:
        kernel.run("%config ChatSession.secrets = 'ask'")
        kernel.run("%chat What is wrong with @config?", answers=[reply])
        assert bool(server.requests) == is_sent

    def test_from_python(self, kernel: Kernel, server: LocalServer) -> None:
        result = kernel.run("chat.ask_sync('Explain @config', namespace=globals())")
        assert "LeakError" in the_error_line(result)
        assert kernel.run("chat.ask_sync('Explain @config', namespace=globals(), allow_secrets=True)").status == "ok"
        assert len(server.requests) == 1
