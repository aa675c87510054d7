"""What a cell shows while an answer grows and when it is over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import nbformat
import pytest

from chatanywhere_magic.render.display import PAINT_SECONDS
from tests.kernel.seen import evaluate, text_so_far, the_answer
from tests.support.notebooks import execute, notebook_of
from tests.support.server import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer

PARAGRAPH = "A paragraph of *some* words that is as long as they are in most of the answers.\n\n"
LONG = [PARAGRAPH] * 100
JUPYTERLAB_SHOWS = 50


class TestGrowing:
    def test_what_is_finished_is_painted_once_and_stays(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(text=LONG, delay=0.01, hold=rest, hold_after=90))
        running = kernel.start("%%chat\nTell me more.")
        running.wait_until(lambda result: text_so_far(result).count("words") > 30 and len(result.outputs) > 3)
        first = running.result.outputs[0]["data"]["text/html"]
        assert "<em>some</em>" in first
        running.wait_until(lambda result: text_so_far(result).count("words") == 90)
        assert running.result.outputs[0]["data"]["text/html"] == first
        assert len(running.result.outputs) > 5
        rest.set()
        answer = the_answer(running.wait())
        assert answer.data["text/plain"] == "".join(LONG)
        assert answer.data["text/html"].count("<p ") == 100

    def test_the_first_output_shows_the_first_text(self, kernel: Kernel) -> None:
        kernel.run(
            "from chatanywhere_magic import Scripted, chat\n"
            "from chatanywhere_magic.render.display.notebook import CellPainter\n"
            "from chatanywhere_magic.core.messages import Text\n"
            "live = chat.prepare('Hello', provider=Scripted)\n"
            "live.draft.take(Text('Hi *there*'))"
        )
        result = kernel.run("CellPainter(footer=True, reasoning=True).paint(live)")
        assert result.updates == 0  # not only a state, in whose place the text comes
        assert "Hi <em>there</em>" in result.outputs[0]["data"]["text/html"]

    def test_a_long_answer_never_has_more_outputs_than_are_shown(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(text=LONG * 25, hold=rest, delay=0.0005))
        running = kernel.start("%%chat\nTell me everything.")
        running.wait_until(lambda result: text_so_far(result).count("words") == 2500)
        assert 10 < len(running.result.outputs) < JUPYTERLAB_SHOWS - 5
        rest.set()
        the_answer(running.wait())

    def test_the_bytes_grow_with_the_text(self, kernel: Kernel, server: LocalServer) -> None:
        sizes = []
        for count in (25, 50):
            server.queue(Answer(text=[word for word in LONG[:count] for word in word.partition("that")], delay=0.02))
            result = kernel.run("%%chat --no-history\nTell me more.")
            assert result.updates > 0.8 * count * 3 * 0.02 / (PAINT_SECONDS + 0.02)
            sizes.append(result.bytes)
        assert sizes[1] < 2.3 * sizes[0]

    @pytest.mark.parametrize(
        "code", ["%chat Hello", "# A comment.\n\n%chat Hello", "x = 1\n%chat Hello", "%chat a\n%chat b"]
    )
    def test_each_answer_ends_as_one_output(self, kernel: Kernel, server: LocalServer, code: str) -> None:
        server.queue(Answer(text=LONG), Answer(text=LONG))
        result = kernel.run(code)
        kinds = [output["output_type"] for output in result.outputs]
        assert kinds == ["display_data"] * code.count("%chat")

    def test_other_output_of_the_cell_is_left_alone_however_long_the_answer(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        server.queue(Answer(text=LONG, delay=0.002), Answer(text=LONG, delay=0.002))
        for code in ("print('before')\n%chat Hello\nprint('after')", "%chat Hello\nprint('after')"):
            result = kernel.run(code)
            kinds = [output["output_type"] for output in result.outputs]
            assert kinds == (["stream"] if "before" in code else []) + ["display_data", "stream"]

    def test_an_answer_among_other_output_costs_a_bounded_multiple_of_its_size(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        server.queue(Answer(text=[PARAGRAPH[:40], PARAGRAPH[40:]] * 100, delay=0.01))
        result = kernel.run("print()\n%chat Hello")
        assert result.updates > 10
        assert result.bytes < 80 * len("".join(LONG))

    def test_captured_output_is_captured_once(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=LONG, delay=0.002))
        result = kernel.run("%%capture kept\n%chat Hello")
        assert not result.outputs
        assert evaluate(kernel, "[len(kept.outputs), kept.outputs[0].data['text/plain']]") == [1, "".join(LONG)]


class TestStates:
    def test_while_there_is_nothing_the_seconds_are_counted(self, kernel: Kernel, server: LocalServer) -> None:
        gate = threading.Event()
        server.queue(Answer(text=["At last."], hold=gate, hold_after=0))
        running = kernel.start("%%chat\nHello")
        running.wait_until(lambda result: "waiting for the response … 1 s" in text_so_far(result))
        gate.set()
        running.wait()

    def test_a_retry_says_why_and_when_and_is_gone_when_the_answer_comes(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        busy = Answer(status=429, headers={"Retry-After": "2"}, raw=[b'{"error": {"message": "Slow down."}}'])
        rest = threading.Event()
        server.queue(busy, Answer(text=["At ", "last."], hold=rest, hold_after=1))
        running = kernel.start("%%chat\nHello")
        running.wait_until(lambda result: "Too many requests; retrying in 2 s …" in text_so_far(result))
        running.wait_until(lambda result: text_so_far(result) == "At ")
        assert "again" not in running.result.outputs[-1]["data"]["text/html"]
        rest.set()
        answer = the_answer(running.wait())
        assert answer.data["text/plain"] == "At last."
        assert "again" not in answer.data["text/html"]

    def test_reasoning_is_folded_above_the_answer(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(reasoning="Let me *think*.", text=["The ", "answer."], hold=rest, hold_after=1))
        running = kernel.start("%%chat\nHello")
        running.wait_until(
            lambda result: text_so_far(result) == "The " and "<details" in result.outputs[0]["data"]["text/html"]
        )
        rest.set()
        answer = the_answer(running.wait())
        html = answer.data["text/html"]
        assert html.index("<summary") < html.index("<em>think</em>") < html.index("The answer.")
        assert "<details open" not in html
        assert answer.data["text/plain"] == "The answer."
        assert answer.metadata["chatanywhere"]["reasoning"] == "Let me *think*."

    def test_reasoning_can_be_left_out(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%config ChatSession.reasoning = False")
        server.queue(Answer(reasoning="Let me think.", text=["The answer."]))
        assert "<details" not in the_answer(kernel.run("%chat Hello")).data["text/html"]

    def test_a_stopped_answer_ends_as_one_output_too(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=LONG, hold=threading.Event()))
        running = kernel.start("%%chat\nHello")
        running.wait_until(lambda result: text_so_far(result) == "".join(LONG))
        kernel.interrupt()
        shown, error = running.wait().outputs
        assert "■ stopped" in shown["data"]["text/html"]
        assert shown["data"]["text/plain"] == "".join(LONG)
        assert error["ename"] == "ChatInterrupted"

    def test_the_cause_of_a_failure_is_said_once_and_the_text_is_kept(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        server.queue(Answer(text=LONG, finish_reason=None))
        shown, error = kernel.run("%%chat\nHello").outputs
        assert "✗ failed" in shown["data"]["text/html"]
        assert error["evalue"] not in shown["data"]["text/html"]
        assert shown["metadata"]["chatanywhere"]["error"]["kind"] == "incomplete"
        assert shown["data"]["text/plain"] == "".join(LONG)


class TestNotebooks:
    def test_nbclient_saves_one_output(self, server: LocalServer, tmp_path: Path) -> None:
        server.queue(Answer(text=LONG, delay=0.003, reasoning="Hm."))
        notebook = notebook_of(["%load_ext chatanywhere_magic", "%%chat\nTell me more."])
        saved = execute(notebook, tmp_path, env={"OPENAI_BASE_URL": server.api_url})
        (output,) = saved.cells[1].outputs
        assert output.output_type == "display_data"
        assert set(output.data) == {"text/plain", "text/html"}
        assert output.data["text/plain"] == "".join(LONG)
        assert output.metadata["chatanywhere"]["status"] == "complete"
        nbformat.validate(saved)


def test_calls_of_tools_are_told_where_there_is_no_answer(kernel: Kernel, server: LocalServer) -> None:
    call = b'{"id": "a", "function": {"name": "get_weather", "arguments": "{\\"city\\": \\"<b>Paris\\"}"}}'
    chunk = b'data: {"choices": [{"delta": {"tool_calls": [%s]}, "finish_reason": "tool_calls"}]}\n\ndata: [DONE]\n\n'
    server.queue(*[Answer(raw=[chunk % call])] * 2)
    kernel.run(
        "reply = chat.ask_sync('the weather?', tools=[{'type': 'function', 'function': {'name': 'get_weather'}}])"
    )
    assert evaluate(kernel, "(reply, [call.name for call in reply.tool_calls])") == ["", ["get_weather"]]
    display = the_answer(kernel.run("%chat_retry"))
    words = 'the model is calling get_weather({"city": "<b>Paris"})'
    assert display.data["text/plain"] == f"[{words}]"
    assert "get_weather({&quot;city&quot;: &quot;&lt;b&gt;Paris&quot;})" in display.data["text/html"]
    assert words in kernel.run("%chat_history --full").outputs[0]["data"]["text/plain"]


class TestConsoles:
    """jupyter console, qtconsole and Spyder: programs in Python that can ask a person and name no cells."""

    def test_they_are_shown_the_text_as_it_comes(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["A *list* ", "holds."]))
        result = kernel.run("%chat What is a list?", answers=["unasked"])
        assert (result.stdout, result.displays, result.updates) == ("A *list* holds.\n", {}, 0)

    def test_several_models_come_one_after_the_other(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["One."]), Answer(text=["Two."]))
        result = kernel.run("%chat -m one,two What?", answers=["unasked"])
        assert "One.\n" in result.stdout
        assert "Two.\n" in result.stdout
        assert (result.displays, result.updates) == ({}, 0)

    def test_pages_and_what_runs_notebooks_show_one_output(self, kernel: Kernel) -> None:
        for shown in (
            kernel.run("%chat In a page", answers=["unasked"], cell_id="a"),
            kernel.run("%chat Under nbclient, which asks nobody"),
        ):
            assert [output["output_type"] for output in shown.outputs] == ["display_data"]
