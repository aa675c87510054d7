"""The panel of stock widgets in a real kernel: its widgets' states, and messages as a front end sends them."""

from __future__ import annotations

import html
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.seen import Turn, busy_until, evaluate, the_answer, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer


class Panel:
    """A panel as a front end has it."""

    def __init__(self, kernel: Kernel, opened: Result) -> None:
        (output,) = opened.outputs
        self._kernel = kernel
        self._root: str = output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]

    @property
    def text(self) -> str:
        """All words in it, from top to bottom."""
        return "\n".join(self._words(self._root))

    @property
    def turns(self) -> list[str]:
        """The words of each turn."""
        return ["\n".join(self._words(name)) for name in self._within(self._root) if self._is_turn(name)]

    @property
    def composer(self) -> str:
        value: str = self._state(self._find("TextareaModel"))["value"]
        return value

    @property
    def can_stop(self) -> bool:
        return not self._state(self._find("ButtonModel", "Stop"))["disabled"]

    def type(self, words: str) -> None:
        update = {"method": "update", "state": {"value": words}, "buffer_paths": []}
        self._kernel.send_comm(self._find("TextareaModel"), update)

    def click(self, button: str) -> None:
        press = {"method": "custom", "content": {"event": "click"}}
        self._kernel.send_comm(self._find("ButtonModel", button), press)

    def wait_for(self, words: str) -> None:
        self._kernel.wait_until(lambda: words in self.text)

    def _state(self, name: str) -> dict[str, Any]:
        return self._kernel.widgets[name]

    def _within(self, name: str) -> Iterator[str]:
        yield name
        for child in self._state(name).get("children", ()):
            yield from self._within(child.removeprefix("IPY_MODEL_"))

    def _is_turn(self, name: str) -> bool:
        return "chatanywhere-turn" in self._state(name).get("_dom_classes", ())

    def _words(self, root: str) -> Iterator[str]:
        for name in self._within(root):
            if self._state(name)["_model_name"] in {"HTMLModel", "HTMLMathModel"}:
                yield html.unescape(re.sub(r"<[^>]*>", "", self._state(name)["value"])).strip()

    def _find(self, model: str, description: str | None = None) -> str:
        (found,) = (
            name
            for name in self._within(self._root)
            if self._state(name)["_model_name"] == model and description in {None, self._state(name).get("description")}
        )
        return found


def open_panel(kernel: Kernel) -> Panel:
    made = "from chatanywhere_magic.panel.stock import StockPanel\npanel = StockPanel(chat)\npanel"
    return Panel(kernel, kernel.run(made))


@pytest.fixture
def panel(kernel: Kernel) -> Iterator[Panel]:
    yield open_panel(kernel)
    kernel.run("panel.close()")


def test_a_turn_asked_in_a_cell_grows_in_the_panel(panel: Panel, kernel: Kernel, server: LocalServer) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["Half ", "and whole."], hold=rest, hold_after=1))
    running = kernel.start("%chat From the cell?")
    panel.wait_for("Half")
    assert not running.done
    assert "From the cell?" in panel.text
    assert panel.can_stop
    rest.set()
    running.wait()
    panel.wait_for("Half and whole.")
    kernel.wait_until(lambda: not panel.can_stop)
    assert len(panel.turns) == 1


def test_a_turn_asked_in_the_panel_is_part_of_the_conversation(
    panel: Panel, kernel: Kernel, server: LocalServer
) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["Half ", "and whole."], hold=rest, hold_after=1))
    kernel.run("chat.system = 'Be brief.'")
    panel.type("From the panel?")
    panel.click("Send")
    panel.wait_for("Half")
    rest.set()
    panel.wait_for("Half and whole.")
    assert panel.composer == ""
    assert turns(kernel) == [Turn("From the panel?", "Half and whole.", "complete")]
    the_answer(kernel.run("%chat And from a cell?"))
    assert [message["content"] for message in server.requests[1].messages] == [
        "Be brief.",
        "From the panel?",
        "Half and whole.",
        "And from a cell?",
    ]
    panel.wait_for("The last one says: And from a cell?")
    assert len(panel.turns) == 2


def test_its_answer_goes_on_while_a_cell_keeps_the_kernel_busy(
    panel: Panel, kernel: Kernel, server: LocalServer, tmp_path: Path
) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["Half ", "and whole."], hold=rest, hold_after=1))
    panel.type("Hello")
    panel.click("Send")
    panel.wait_for("Half")
    running = kernel.start(busy_until(tmp_path / "enough"))
    running.wait_until(lambda result: result.stdout == "busy\n")
    rest.set()
    panel.wait_for("Half and whole.")
    assert not running.done
    (tmp_path / "enough").touch()
    running.wait()


def test_a_click_during_a_cell_is_not_lost(panel: Panel, kernel: Kernel, tmp_path: Path) -> None:
    """Without a subshell, which only some front ends open, it waits until the cell is over."""
    running = kernel.start(busy_until(tmp_path / "enough"))
    running.wait_until(lambda result: result.stdout == "busy\n")
    panel.type("Hello")
    panel.click("Send")
    (tmp_path / "enough").touch()
    running.wait()
    panel.wait_for("The last one says: Hello")
    assert [turn.status for turn in turns(kernel)] == ["complete"]


def test_stop_keeps_what_came(panel: Panel, kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["word "] * 3000, delay=0.01))
    panel.type("Hello")
    panel.click("Send")
    panel.wait_for("word word")
    panel.click("Stop")
    assert server.requests[0].closed_by_client.wait(2)
    panel.wait_for("■ stopped")
    (turn,) = turns(kernel)
    assert turn.status == "interrupted"
    assert turn.text.startswith("word word")
    kernel.wait_until(lambda: not panel.can_stop)


def test_questions_queue_and_say_so(panel: Panel, kernel: Kernel, server: LocalServer) -> None:
    end = threading.Event()
    server.queue(Answer(text=["First."], hold=end))
    for question in ("one", "two"):
        panel.type(question)
        panel.click("Send")
    panel.wait_for("waiting for the previous turn")
    panel.wait_for("waiting: 1")
    end.set()
    panel.wait_for("The last one says: two")
    assert [turn.prompt for turn in turns(kernel)] == ["one", "two"]
    assert len(server.requests[1].messages) == 3


@pytest.mark.parametrize("nothing", ["", "  \n\n "])
def test_an_empty_question_asks_nothing(panel: Panel, kernel: Kernel, server: LocalServer, nothing: str) -> None:
    panel.type(nothing)
    panel.click("Send")
    assert turns(kernel) == []
    assert not server.requests


def test_a_question_that_cannot_be_asked_stays_in_the_composer(panel: Panel, kernel: Kernel) -> None:
    kernel.run("chat.provider = 'opnai'")
    panel.type("Hello")
    panel.click("Send")
    panel.wait_for("There is no provider 'opnai'. Did you mean openai?")
    assert turns(kernel) == []
    kernel.run("chat.provider = ''")
    panel.click("Send")
    panel.wait_for("The last one says: Hello")
    assert "opnai" not in panel.text


def test_a_failure_is_shown_with_its_reason(panel: Panel, server: LocalServer) -> None:
    server.queue(Answer(status=401, raw=[b"{}"]))
    panel.type("Hello")
    panel.click("Send")
    panel.wait_for("rejected the key (status 401)")


def test_a_revised_turn_changes_in_its_place(panel: Panel, kernel: Kernel) -> None:
    for question, cell in [("first", "a"), ("second", "b"), ("first again", "a")]:
        kernel.run(f"%chat {question}", cell_id=cell)
    panel.wait_for("The last one says: first again")
    kernel.wait_until(lambda: len(panel.turns) == 2)
    first, second = panel.turns
    assert "first again" in first
    assert "second" in second


def test_a_panel_opened_later_shows_everything(panel: Panel, kernel: Kernel) -> None:
    kernel.run("%chat first\n%chat second")
    late = open_panel(kernel)
    assert len(late.turns) == 2
    kernel.run("%chat third")
    for each in (panel, late):
        each.wait_for("The last one says: third")
    assert panel.turns == late.turns


def test_a_new_conversation_empties_it(panel: Panel, kernel: Kernel) -> None:
    kernel.run("%chat Hello")
    panel.wait_for("The last one says: Hello")
    kernel.run("%chat_new")
    kernel.wait_until(lambda: panel.turns == [])


def test_a_closed_panel_no_longer_listens(kernel: Kernel) -> None:
    before = evaluate(kernel, "len(chat._here._listeners)")
    panel = open_panel(kernel)
    assert evaluate(kernel, "len(chat._here._listeners)") == before + 1
    kernel.run("%chat Hello")
    panel.wait_for("The last one says: Hello")
    kernel.run("panel.close()")
    assert evaluate(kernel, "len(chat._here._listeners)") == before
    assert the_answer(kernel.run("%chat Hello again")).metadata["chatanywhere"]["status"] == "complete"


def test_closing_it_closes_every_widget_of_it(kernel: Kernel) -> None:
    before = set(kernel.widgets)
    open_panel(kernel)
    kernel.run("%chat Hello")
    kernel.run("panel.close()")
    assert set(kernel.widgets) - before == set()
