"""The panel in a real kernel, without a browser: what pages are told, and what becomes of what they say."""

from __future__ import annotations

import html
import re
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.seen import Turn, busy_until, evaluate, the_answer, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer

OPEN = "from chatanywhere_magic import ChatPanel\npanel = ChatPanel()\npanel"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Page:
    """A page that shows the panel: it believes what it is told, and nothing else."""

    def __init__(self, kernel: Kernel, root: str) -> None:
        self._kernel = kernel
        self._root = root
        (self.model,) = (name for name in self._within(root) if kernel.widgets[name]["_model_name"] == "AnyModel")
        self.name = uuid.uuid4().hex
        self.turns: dict[int, dict[str, Any]] = {}
        self.order: list[int] = []
        self.header: dict[str, Any] = {}
        self.sketches: dict[int, int] = {}
        """The sizes of the turns that do not come by themselves."""
        self.sequence: int | None = None
        self.bytes = 0
        self._read = len(self._messages)
        self._answers: dict[str, dict[str, Any]] = {}

    @property
    def shown(self) -> list[str]:
        """The words of each turn, from top to bottom."""
        self._take_in()
        return [_words(self.turns[index]) for index in self.order]

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    @property
    def has_stock(self) -> bool:
        """Whether the panel of stock widgets stands in its place."""
        return any(self._kernel.widgets[name]["_model_name"] == "TextareaModel" for name in self._within(self._root))

    def say(self, command: str, **fields: Any) -> str:
        """Send a command, and return the id under which it is answered."""
        name = uuid.uuid4().hex
        self.send({"type": command, "id": name, **fields})
        return name

    def send(self, message: object) -> None:
        self._kernel.send_comm(self.model, {"method": "custom", "content": message})

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command, and return the answer to it."""
        name = self.say(command, **fields)
        self._kernel.wait_until(lambda: self._take_in() or name in self._answers)
        return self._answers[name]

    def open(self) -> Page:
        """Speak up, as a front end does once it runs."""
        self.send({"type": "hello", "page": self.name})
        self._kernel.wait_until(lambda: self._take_in() or self.header)
        return self

    def wait_for(self, words: str) -> None:
        self._kernel.wait_until(lambda: words in self.text)

    @property
    def _messages(self) -> list[dict[str, Any]]:
        return self._kernel.custom.get(self.model, [])

    def _within(self, name: str) -> Iterator[str]:
        yield name
        for child in self._kernel.widgets[name].get("children", ()):
            yield from self._within(child.removeprefix("IPY_MODEL_"))

    def _take_in(self) -> None:
        for message in self._messages[self._read :]:
            self._take(message)
        self._read = len(self._messages)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "answer":
            self._answers[message["id"]] = message
        elif kind == "snapshot" and message["page"] in {"", self.name}:
            self.turns = {index: _nothing() for index in message["order"]}
            self.order, self.sequence = message["order"], message["sequence"]
            self.header = message["header"] or self.header
            self.sketches = {turn: size for turn, _, size in message["sketches"]}
            self._grow(message["changes"])
        elif kind == "fill" and message["page"] in {"", self.name}:
            self._grow([change for change in message["changes"] if not self.turns[change["turn"]]["head"]])
        elif kind == "changes" and self.sequence is not None:
            self.sequence += 1
            assert message["sequence"] == self.sequence
            self._grow(message["changes"])
            self.order = message.get("order", self.order)
            self.header = message.get("header", self.header)

    def _grow(self, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            turn = self.turns.setdefault(change["turn"], _nothing())
            if not turn["head"] and not change.get("fresh"):
                continue  # of a turn that has not come
            if change.get("fresh"):
                turn.update(_nothing(), head=turn["head"])
            turn["head"] = change.get("head", turn["head"])
            turn["html"] += "".join(change.get("html", ()))
            turn["reasoning"] += change.get("reasoning", "")
            if "tail" in change:
                kept = turn["tail"].encode("utf-16-le")[: 2 * change.get("keep", 0)].decode("utf-16-le")
                turn["tail"] = kept + change["tail"]


def _nothing() -> dict[str, Any]:
    return {"head": {}, "html": "", "tail": "", "reasoning": ""}


def _words(turn: dict[str, Any]) -> str:
    head = turn["head"]
    if not head:
        return ""
    answer = html.unescape(re.sub(r"<[^>]*>", "", turn["html"] + turn["tail"])).strip()
    problem = head["problem"]["words"] if head["problem"] else ""
    return "\n".join([head["prompt"], turn["reasoning"], answer, problem, head["waiting"], head["footer"]])


def displayed(result: Result) -> str:
    """Return the widget that an execution shows."""
    views = [output["data"].get("application/vnd.jupyter.widget-view+json") for output in result.outputs]
    (view,) = filter(None, views)
    name: str = view["model_id"]
    return name


def new_page(kernel: Kernel) -> Page:
    return Page(kernel, displayed(kernel.run(OPEN)))


@pytest.fixture
def page(kernel: Kernel) -> Iterator[Page]:
    yield new_page(kernel).open()
    kernel.run("panel.close()")


# --- both doors ---------------------------------------------------------------------------------------------------


def test_the_magic_opens_one(kernel: Kernel) -> None:
    page = Page(kernel, displayed(kernel.run("%chat_panel"))).open()
    page.say("send", text="Hello")
    page.wait_for("The last one says: Hello")


def test_a_turn_asked_in_a_cell_grows_in_the_panel(page: Page, kernel: Kernel, server: LocalServer) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["Half ", "and whole."], hold=rest, hold_after=1))
    running = kernel.start("%chat From the cell?", cell_id="here")
    page.wait_for("Half")
    assert not running.done
    assert "From the cell?" in page.text
    assert page.turns[0]["head"]["source"] == "cell"
    assert page.turns[0]["head"]["cell"] == "here"
    assert page.header["running"]
    rest.set()
    running.wait()
    page.wait_for("Half and whole.")
    kernel.wait_until(lambda: page.shown != [] and not page.header["running"])


def test_a_turn_asked_in_the_panel_is_part_of_the_conversation(page: Page, kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["An answer."]))
    page.say("send", text="From the panel?")
    page.wait_for("An answer.")
    assert turns(kernel) == [Turn("From the panel?", "An answer.", "complete")]
    the_answer(kernel.run("%chat And from a cell?"))
    sent = [message["content"] for message in server.requests[1].messages]
    assert sent == ["From the panel?", "An answer.", "And from a cell?"]
    page.wait_for("The last one says: And from a cell?")


def test_several_panels_agree(page: Page, kernel: Kernel) -> None:
    other = new_page(kernel).open()
    page.say("send", text="first")
    other.say("send", text="second")
    for each in (page, other):
        each.wait_for("The last one says: first")
        each.wait_for("The last one says: second")
    kernel.wait_until(lambda: page.shown == other.shown)
    assert page.turns == other.turns


def test_a_page_that_opens_in_the_middle_of_an_answer_sees_all_of_it(
    page: Page, kernel: Kernel, server: LocalServer
) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["One.\n\n", "Two.\n\nThr", "ee.\n\nFour."], hold=rest, hold_after=2))
    page.say("send", text="Count.")
    page.wait_for("Thr")
    late = Page(kernel, page._root).open()
    late.wait_for("Thr")
    rest.set()
    for each in (page, late):
        each.wait_for("Four.")
    kernel.wait_until(lambda: page.shown == late.shown and page.turns == late.turns)


def test_a_page_that_opens_gets_the_last_turns_at_once_and_then_the_others(kernel: Kernel) -> None:
    kernel.run("from chatanywhere_magic.core import Conversation, Turn, Version")
    made = "Turn((Version.of(f'question {n}', f'answer {n}', status='complete'),)) for n in range(100)"
    kernel.run(f"chat._here.current.conversation = Conversation(tuple({made}))")
    page = new_page(kernel).open()
    assert page.order == list(range(100))
    first = next(message for message in page._messages if message["type"] == "snapshot")
    assert [change["turn"] for change in first["changes"]] == list(range(92, 100))
    kernel.wait_until(lambda: all(page.shown))
    assert [shown.splitlines()[0] for shown in page.shown] == [f"question {number}" for number in range(100)]
    kernel.run("panel.close()")


def test_of_long_turns_it_gets_fewer_at_once(kernel: Kernel) -> None:
    kernel.run("from chatanywhere_magic.core import Conversation, Turn, Version")
    made = (
        "Turn((Version.of(f'question {n}', f'answer {n} ' + 'word ' * 10_000, status='complete'),)) for n in range(5)"
    )
    kernel.run(f"chat._here.current.conversation = Conversation(tuple({made}))")
    page = new_page(kernel).open()
    kernel.wait_until(lambda: all(page.shown))
    opening = [message for message in page._messages if message["type"] in {"snapshot", "fill"}]
    assert [[change["turn"] for change in message["changes"]] for message in opening] == [[n] for n in range(4, -1, -1)]
    kernel.run("panel.close()")


def test_of_a_very_long_conversation_it_gets_the_end_and_asks_for_the_rest(kernel: Kernel) -> None:
    kernel.run("from chatanywhere_magic.core import Conversation, Turn, Version")
    made = (
        "Turn((Version.of(f'question {n}', f'answer {n} ' + 'word ' * 10_000, status='complete'),)) for n in range(60)"
    )
    kernel.run(f"chat._here.current.conversation = Conversation(tuple({made}))")
    page = new_page(kernel).open()
    kernel.wait_until(lambda: sum(map(bool, page.shown)) == 60 - len(page.sketches))
    assert page.order == list(range(60))
    assert sorted(page.sketches) == list(range(55))
    assert page.sketches[3] == len("question 3answer 3 ") + 50_000
    assert sum(len(str(message)) for message in page._messages) < 1_000_000
    page.send({"type": "fetch", "page": page.name, "turns": [3, 4, 1_000_000]})
    page.wait_for("answer 4 word")
    assert [index for index in page.order[:55] if page.turns[index]["head"]] == [3, 4]
    page.ask("pin", turn=5, pinned=True)
    page.send({"type": "fetch", "page": page.name, "turns": [5]})
    kernel.wait_until(lambda: "answer 5 word" in page.text and page.turns[5]["head"]["pinned"])
    kernel.run("panel.close()")


# --- an answer on its way -----------------------------------------------------------------------------------------


def test_a_long_answer_is_sent_once(page: Page, server: LocalServer) -> None:
    paragraph = "Some words that stand in a paragraph of their own. " * 4 + "\n\n"
    server.queue(Answer(text=[paragraph[at : at + 20] for at in range(0, len(paragraph), 20)] * 100, delay=0.0005))
    before = len(page._messages)
    page.say("send", text="Write much.")
    page.wait_for("tokens")
    size = sum(len(str(message)) for message in page._messages[before:])
    assert size < 3 * 100 * len(paragraph)


def test_what_has_come_is_the_same_as_what_is_rendered_whole(page: Page, kernel: Kernel, server: LocalServer) -> None:
    text = "# Title\n\nAn [early][link] and 🙂 *text*\n\n```python\nx = 1\n```\n\n- a\n- b\n\n[link]: https://example.org\n"
    server.queue(Answer(text=list(text), delay=0.002))
    page.say("send", text="Write.")
    page.wait_for("tokens")
    late = Page(kernel, page._root).open()
    assert page.turns == late.turns
    assert 'href="https://example.org"' in page.turns[0]["html"]


def test_its_answer_goes_on_while_a_cell_keeps_the_kernel_busy(
    page: Page, kernel: Kernel, server: LocalServer, tmp_path: Path
) -> None:
    rest = threading.Event()
    server.queue(Answer(text=["Half ", "and whole."], hold=rest, hold_after=1))
    page.say("send", text="Hello")
    page.wait_for("Half")
    running = kernel.start(busy_until(tmp_path / "enough"))
    running.wait_until(lambda result: result.stdout == "busy\n")
    rest.set()
    page.wait_for("Half and whole.")
    assert not running.done
    (tmp_path / "enough").touch()
    running.wait()


def test_stop_keeps_what_came(page: Page, kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["word "] * 3000, delay=0.01))
    page.say("send", text="Hello")
    page.wait_for("word word")
    page.say("stop")
    assert server.requests[0].closed_by_client.wait(2)
    page.wait_for("■ stopped")
    (turn,) = turns(kernel)
    assert turn.status == "interrupted"


def test_a_question_that_waits_can_be_taken_back(page: Page, server: LocalServer) -> None:
    end = threading.Event()
    server.queue(Answer(text=["First."], hold=end))
    for question in ("one", "two", "three"):
        page.ask("send", text=question)
    page.wait_for("waiting for the previous turn")
    assert page.ask("cancel", turn=1)["ok"]
    end.set()
    page.wait_for("The last one says: three")
    assert [shown.splitlines()[0] for shown in page.shown] == ["one", "three"]
    assert not page.ask("cancel", turn=2)["ok"]
    assert [request.messages[-1]["content"] for request in server.requests] == ["one", "three"]


# --- turns ----------------------------------------------------------------------------------------------------------


def test_a_turn_is_retried_revised_and_its_versions_turned_over(
    page: Page, kernel: Kernel, server: LocalServer
) -> None:
    for answer in ("First.", "Second.", "Third."):
        server.queue(Answer(text=[answer]))
    page.say("send", text="Hello")
    page.wait_for("First.")
    page.say("retry", turn=0)
    page.wait_for("Second.")
    page.say("revise", turn=0, text="Hello again")
    page.wait_for("Third.")
    assert "Hello again" in page.text
    kernel.wait_until(lambda: page.shown != [] and page.turns[0]["head"]["status"] == "complete")
    assert page.turns[0]["head"]["versions"] == 3
    page.say("select", turn=0, version=0)
    page.wait_for("First.")
    assert "Third." not in page.text
    assert page.ask("source", turn=0)["data"] == "First."


def test_a_deleted_turn_can_be_taken_back(page: Page, kernel: Kernel) -> None:
    kernel.run("%chat one\n%chat two\n%chat three")
    page.wait_for("The last one says: three")
    before = page.shown
    page.ask("delete", turn=1)
    kernel.wait_until(lambda: len(page.shown) == 2)
    assert page.order == [0, 2]
    page.ask("restore")
    kernel.wait_until(lambda: page.shown == before)


def test_a_fork_goes_on_without_the_original(page: Page, kernel: Kernel) -> None:
    kernel.run("%chat one\n%chat two")
    page.wait_for("The last one says: two")
    original = evaluate(kernel, "chat.conversations.id")
    page.ask("fork", turn=0)
    kernel.wait_until(lambda: len(page.shown) == 1)
    found = page.ask("conversations", search="")["data"]
    assert [each["open"] for each in found].count(True) == 1
    assert original in {each["id"] for each in found if not each["open"]}
    page.ask("switch", conversation=original)
    page.wait_for("The last one says: two")


def test_a_pin_and_a_title_are_shown(page: Page, kernel: Kernel) -> None:
    kernel.run("%chat one")
    page.wait_for("The last one says: one")
    page.ask("pin", turn=0, pinned=True)
    page.ask("rename", title="My title")
    kernel.wait_until(lambda: page.shown != [] and page.turns[0]["head"]["pinned"])
    kernel.wait_until(lambda: page.header["title"] == "My title")


def test_files_go_with_the_question(page: Page, server: LocalServer) -> None:
    files = [
        {"name": "notes.txt", "media_type": "text/plain", "text": "A note."},
        {"name": "dot.png", "media_type": "image/png", "data": PIXEL},
    ]
    server.queue(Answer(text=["I see."]))
    page.say("send", text="Look.", attachments=files)
    page.wait_for("tokens")
    question, picture = server.requests[0].messages[-1]["content"]
    assert "notes.txt:\n```\nA note.\n```" in question["text"]
    assert picture["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"
    assert [chip["name"] for chip in page.turns[0]["head"]["chips"]] == ["notes.txt", "dot.png"]


def test_names_are_completed_with_type_and_size_and_go_with_the_question(
    page: Page, kernel: Kernel, server: LocalServer
) -> None:
    kernel.run("panel_numbers = [1, 2, 3]")
    found = page.ask("complete", word="panel_n")["data"]
    assert found == [{"name": "panel_numbers", "detail": "list 3"}]
    server.queue(Answer(text=["Three."]))
    page.say("send", text="How many are @panel_numbers?")
    page.wait_for("Three.")
    assert "[1, 2, 3]" in server.requests[0].messages[-1]["content"]
    assert [chip["name"] for chip in page.turns[0]["head"]["chips"]] == ["@panel_numbers"]
    assert "panel_missing" in page.ask("send", text="What is @panel_missing?")["words"]


def test_what_looks_like_a_key_is_sent_only_if_the_person_says_so(
    page: Page, kernel: Kernel, server: LocalServer
) -> None:
    key = "sk-" + "a1B2c3D4e5F6" * 3
    refused = page.ask("send", text=f"Is {key} valid?")
    assert (refused["ok"], refused["may_send"]) == (False, False)
    assert not page.ask("send", text=f"Is {key} valid?", allow_secrets=True)["ok"]
    kernel.run("chat.secrets = 'ask'")
    assert page.ask("send", text=f"Is {key} valid?")["may_send"]
    assert not server.requests
    assert page.ask("send", text=f"Is {key} valid?", allow_secrets=True)["ok"]
    page.wait_for("tokens")


def test_the_conversation_is_handed_over_as_a_document(page: Page, kernel: Kernel) -> None:
    kernel.run("%chat Hello")
    for name in ("md", "ipynb", "json"):
        document = page.ask("export", format=name)["data"]
        assert document["name"] == f"chat.{name}"
        assert "The last one says: Hello" in document["text"]


def test_the_header_tells_how_full_the_context_is(page: Page, kernel: Kernel) -> None:
    kernel.run("chat.budget = 1000")
    kernel.run("%chat Hello")
    kernel.wait_until(lambda: page.shown != [] and page.header["used"] > 0 and not page.header["running"])
    assert page.header["limit"] <= 1000
    assert page.header["completion_tokens"] > 0


def test_every_command_is_one_that_something_is_done_for() -> None:
    from chatanywhere_magic.panel.actions import Actions
    from chatanywhere_magic.panel.commands import COMMANDS

    assert COMMANDS.keys() - {"hello", "bye", "fetch"} == {name for name in vars(Actions) if not name.startswith("_")}


# --- options --------------------------------------------------------------------------------------------------------


def test_options_are_the_sessions(page: Page, kernel: Kernel, server: LocalServer) -> None:
    page.ask("option", name="system", words="Be brief.")
    page.ask("option", name="temperature", number=0.25)
    page.ask("option", name="max_tokens", number=50)
    page.say("send", text="Hello")
    page.wait_for("tokens")
    body = server.requests[0].json
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["max_tokens"]) == (0.25, 50)
    kernel.run("chat.system = 'Be long.'")
    kernel.wait_until(lambda: page._take_in() or page.header["system"] == "Be long.")
    assert not page.ask("option", name="temperature", number=7)["ok"]
    page.ask("option", name="max_tokens", number=None)
    assert evaluate(kernel, "chat.max_tokens") is None


def test_a_preset_sets_what_it_names(page: Page, kernel: Kernel) -> None:
    kernel.run("%config ChatSession.presets = {'teacher': {'system': 'Ask back.', 'temperature': 0.2}}")
    kernel.run("chat.max_tokens = 50")
    kernel.wait_until(lambda: page._take_in() or page.header["presets"] == ["teacher"])
    assert page.header["preset"] == ""
    assert page.ask("preset", name="teacher")["ok"]
    kernel.wait_until(lambda: page._take_in() or page.header["preset"] == "teacher")
    assert evaluate(kernel, "(chat.system, chat.temperature, chat.max_tokens)") == ["Ask back.", 0.2, 50]
    refused = page.ask("command", name="preset", argument="painter")
    assert not refused["ok"]
    assert "teacher" in refused["words"]


def test_another_model_can_be_chosen(page: Page, kernel: Kernel, server: LocalServer) -> None:
    known = page.ask("models")["data"]
    assert {"openai", "local"} <= {each["provider"] for each in known}
    page.ask("model", provider="openai", model="another-model")
    page.say("send", text="Hello")
    page.wait_for("tokens")
    (asked,) = (request.json for request in server.requests if request.json)
    assert asked["model"] == "another-model"
    assert not page.ask("model", provider="nobody", model="")["ok"]
    assert evaluate(kernel, "chat.provider") == "openai"


def test_without_a_provider_it_says_what_to_do(page: Page, kernel: Kernel) -> None:
    kernel.run("chat.provider = 'opnai'")
    kernel.wait_until(lambda: page._take_in() or bool(page.header["trouble"]))
    assert "Did you mean openai?" in page.header["trouble"][0]
    refused = page.ask("send", text="Hello")
    assert not refused["ok"]
    assert "There is no provider 'opnai'" in refused["words"]
    assert turns(kernel) == []


def test_where_nothing_is_set_up_it_names_three_ways(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(OPENAI_BASE_URL="", CHATANYWHERE_BASE_URL="")
    kernel.run("import sys; sys.modules['xllamacpp'] = None")
    kernel.run("%load_ext chatanywhere_magic")
    page = new_page(kernel).open()
    assert len(page.header["trouble"]) == 3
    assert not page.header["embedded"]


def test_the_language_can_be_changed(page: Page, kernel: Kernel) -> None:
    kernel.run("chat.language = 'ru'")
    kernel.wait_until(lambda: any(message.get("language") == "ru" for message in page._messages))
    kernel.run("chat.language = ''")


def test_a_question_names_variables_as_in_a_cell(page: Page, kernel: Kernel, server: LocalServer) -> None:
    kernel.run("weights = {'apple': 150}; get_ipython().user_ns['weights_left'] = 1")
    offered = page.ask("complete", word="wei")["data"]
    assert offered == [{"name": "weights", "detail": "dict 1"}, {"name": "weights_left", "detail": "int 1"}]
    assert page.ask("complete", word="get_ipy")["data"] == []
    page.say("send", text="What is @weights?")
    page.wait_for("What is @weights?")
    assert "'apple': 150" in server.wait_for_request().messages[-1]["content"]
    answer = page.ask("send", text="What is @wights?")
    assert not answer["ok"]
    assert "Did you mean weights?" in str(answer)


def test_a_revised_question_names_what_is_there_now(page: Page, kernel: Kernel, server: LocalServer) -> None:
    kernel.run("x = 'before'\n%chat What is @x?")
    kernel.run("x = 'after'")
    page.ask("revise", turn=0, text="And what is @x?")
    kernel.wait_until(lambda: len(server.requests) == 2)
    sent = server.requests[1].messages[-1]["content"]
    assert "after" in sent
    assert "before" not in sent


@pytest.mark.parametrize(("words", "option"), [("/system Be brief.", "system"), ("/model tiny", "model")])
def test_a_slash_sets_options(page: Page, kernel: Kernel, words: str, option: str) -> None:
    name, _, argument = words[1:].partition(" ")
    assert page.ask("command", name=name, argument=argument)["ok"]
    assert evaluate(kernel, f"chat.{option}") == argument


def test_a_slash_changes_the_conversation(page: Page, kernel: Kernel) -> None:
    kernel.run("%chat one\n%chat two")
    page.ask("command", name="undo")
    kernel.wait_until(lambda: len(page.shown) == 1)
    page.ask("command", name="redo")
    kernel.wait_until(lambda: len(page.shown) == 2)
    page.ask("command", name="new")
    kernel.wait_until(lambda: page.shown == [])
    assert not page.ask("command", name="undo")["ok"]


# --- input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        None,
        "send",
        [],
        {},
        {"type": "close"},
        {"type": "__class__"},
        {"type": "send"},
        {"type": "send", "text": 7},
        {"type": "send", "text": "Hello", "origin": "cell"},
        {
            "type": "send",
            "text": "Hello",
            "attachments": [{"name": "a.svg", "media_type": "image/svg+xml", "data": ""}],
        },
        {"type": "fetch", "page": "a page", "turns": list(range(51))},
        {"type": "fetch", "page": "a page", "turns": ["0"]},
        {"type": "fetch", "page": "a page", "turns": 0},
        {"type": "retry", "turn": -1},
        {"type": "retry", "turn": True},
        {"type": "option", "name": "proxy", "words": "http://evil.example"},
        {"type": "option", "name": "temperature", "number": "0"},
        {"type": "model", "provider": "x" * 1000, "model": ""},
    ],
)
def test_what_is_no_command_does_nothing(page: Page, kernel: Kernel, server: LocalServer, message: object) -> None:
    page.send(message)
    assert page.ask("source", turn=5)["ok"] is False
    assert turns(kernel) == []
    assert not server.requests
    assert evaluate(kernel, "chat.temperature") is None


@pytest.mark.parametrize("words", ["%env SECRET=1", "!touch ran", "{1/0}", "/etc/passwd", "__import__('os')"])
def test_what_is_typed_is_never_run(page: Page, kernel: Kernel, server: LocalServer, words: str) -> None:
    page.say("send", text=words)
    page.wait_for("tokens")
    assert server.requests[0].messages[-1]["content"] == words
    assert not (kernel.home / "ran").exists()


def test_no_key_is_in_its_state(new_kernel: Callable[..., Kernel], server: LocalServer) -> None:
    kernel = new_kernel(OPENAI_API_KEY="sk-" + "very-secret" * 3)
    kernel.run("%load_ext chatanywhere_magic")
    page = new_page(kernel).open()
    page.say("send", text="Hello")
    page.wait_for("tokens")
    assert "very-secret" in str(server.requests[0].headers)
    assert "very-secret" not in str(kernel.widgets) + str(kernel.custom)


# --- its life -------------------------------------------------------------------------------------------------------


def test_where_its_front_end_is_missing_there_are_stock_widgets(kernel: Kernel) -> None:
    page = new_page(kernel)
    kernel.wait_until(lambda: page.has_stock)
    page.open()
    kernel.wait_until(lambda: not page.has_stock)
    kernel.run("panel.close()")


def test_closing_it_leaves_nothing_behind(kernel: Kernel) -> None:
    kernel.run("from chatanywhere_magic import ChatPanel\nChatPanel().close()")
    listening = "[len(chat._here._listeners), sum(map(len, chat.settings._trait_notifiers.get('model', {}).values()))]"
    before, widgets = evaluate(kernel, listening), set(kernel.widgets)
    page = new_page(kernel).open()
    kernel.run("%chat Hello")
    page.wait_for("The last one says: Hello")
    kernel.run("panel.close()")
    assert evaluate(kernel, listening) == before
    assert set(kernel.widgets) == widgets
    sent = len(page._messages)
    the_answer(kernel.run("%chat Hello again"))
    assert len(page._messages) == sent


def test_a_panel_that_no_page_shows_is_told_nothing(page: Page, kernel: Kernel) -> None:
    page.send({"type": "bye", "page": page.name})
    kernel.run("%chat Hello")
    sent = len(page._messages)
    kernel.run("%chat Hello again")
    assert len(page._messages) == sent
    again = Page(kernel, page._root).open()
    assert "Hello again" in again.text


def test_a_cell_that_runs_again_leaves_one_panel(kernel: Kernel) -> None:
    kernel.run("%chat_panel", cell_id="a-cell")
    listeners, widgets = evaluate(kernel, "len(chat._here._listeners)"), len(kernel.widgets)
    kernel.run("%chat_panel", cell_id="a-cell")
    assert evaluate(kernel, "len(chat._here._listeners)") == listeners
    assert len(kernel.widgets) == widgets


def test_a_notebook_without_its_kernel_shows_the_conversation(page: Page, kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["An **answer**.<script>alert(1)</script>"]))
    page.say("send", text="A <b>question</b>?")
    page.wait_for("tokens")
    result = kernel.run(OPEN)
    static, widget = (output["data"] for output in result.outputs)
    assert "<strong>answer</strong>" in static["text/html"]
    assert "A &lt;b&gt;question&lt;/b&gt;?" in static["text/html"]
    assert "<script>" not in static["text/html"]
    assert static["text/plain"] == "> A <b>question</b>?\n\nAn **answer**.<script>alert(1)</script>"
    assert "application/vnd.jupyter.widget-view+json" in widget
    kernel.run("panel.close()")


def test_of_a_long_conversation_the_end_is_formatted_without_its_kernel(kernel: Kernel) -> None:
    kernel.run("from chatanywhere_magic.core import Conversation, Turn, Version")
    made = "Turn((Version.of('?', f'**{n}** ' + 'word ' * 3_000, status='complete'),)) for n in range(3)"
    kernel.run(f"chat._here.current.conversation = Conversation(tuple({made}))")
    shown = kernel.run(OPEN).outputs[0]["data"]["text/html"]
    assert "**0**" in shown
    assert "**1**" in shown
    assert "<strong>2</strong>" in shown
    kernel.run("panel.close()")


def test_what_is_shown_without_a_kernel_keeps_up(kernel: Kernel) -> None:
    running = kernel.run("%chat_panel")
    kernel.run("%chat Hello")
    kernel.wait_until(lambda: "The last one says: Hello" in running.outputs[0]["data"]["text/html"])


@pytest.mark.parametrize("where", ["right", "left", "bottom", "tab"])
def test_a_panel_that_cannot_be_docked_opens_below_its_cell(kernel: Kernel, where: str) -> None:
    running = kernel.run(f"%chat_panel --dock {where}")
    (output,) = running.outputs
    assert "beside the notebook" in output["data"]["text/plain"]
    kernel.wait_until(lambda: "application/vnd.jupyter.widget-view+json" in output["data"])


def test_a_place_that_there_is_none_of_is_refused(kernel: Kernel) -> None:
    assert "--dock takes right, left, bottom, tab" in kernel.run("%chat_panel --dock up").errors[0].evalue
