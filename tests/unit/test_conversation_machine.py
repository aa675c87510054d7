"""Whatever people do, in whatever order: memory, store and what is sent agree with a simple model."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatanywhere_magic import ChatSession
from chatanywhere_magic.core.conversation import Conversation, Origin
from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.core.messages import Finish, Text
from chatanywhere_magic.providers.contract import AsyncGeneratorProvider
from chatanywhere_magic.providers.registry import register
from chatanywhere_magic.store.store import Store
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from chatanywhere_magic.core.messages import Delta, Messages
    from chatanywhere_magic.session.live_turn import LiveTurn

CELLS = ("", "cell-1", "cell-2", "cell-3")
MOMENTS = ("complete", "before the first word", "between words", "after the last word", "failed", "failed half-way")


@dataclass(frozen=True)
class Plan:
    """How a question is going to end."""

    moment: str
    words: tuple[str, ...]

    @property
    def said(self) -> tuple[str, ...]:
        return {
            "before the first word": (),
            "failed": (),
            "between words": self.words[:1],
            "failed half-way": self.words[:1],
        }.get(self.moment, self.words)

    @property
    def status(self) -> str:
        if self.moment.startswith("failed"):
            return "failed"
        return "interrupted" if self.moment in {"before the first word", "between words"} else "complete"

    @property
    def hangs(self) -> bool:
        return self.moment in {"before the first word", "between words", "after the last word"}


class Planned(AsyncGeneratorProvider):
    """Answers as planned; where a person is to stop it, it goes on for ever."""

    name = "planned"
    plans: ClassVar[deque[Plan]] = deque()
    sent: ClassVar[list[Messages]] = []
    reached: ClassVar[int] = 0

    @classmethod
    async def create_delta_generator(
        cls, _model: str, messages: Messages, *_args: Any, **_kwargs: Any
    ) -> AsyncGenerator[Delta, None]:
        cls.sent.append(list(messages))
        plan = cls.plans.popleft()
        for word in plan.said:
            yield Text(word)
        if plan.status == "failed":
            raise ChatError("as planned")
        if plan.status == "complete":
            yield Finish("stop")
        if plan.hangs:
            cls.reached += 1
            await asyncio.Event().wait()


@dataclass
class ModelTurn:
    versions: list[tuple[str, str, str]]
    cells: set[str]
    selected: int = 0
    hidden: int = 0
    pinned: bool = False

    def copy(self) -> ModelTurn:
        return ModelTurn(list(self.versions), set(self.cells), self.selected, self.hidden, self.pinned)


@dataclass
class Model:
    turns: list[ModelTurn] = field(default_factory=list)

    @property
    def visible(self) -> list[int]:
        return [index for index, turn in enumerate(self.turns) if not turn.hidden]

    def sent_before(self, index: int) -> list[str]:
        said: list[str] = []
        for turn in self.turns[:index]:
            question, answer, status = turn.versions[turn.selected]
            if not turn.hidden and answer and status in {"complete", "interrupted"}:
                said += [question, answer]
        return said

    def place(self, cell: str) -> int | None:
        if not cell:
            return None
        known = [index for index, turn in enumerate(self.turns) if cell in turn.cells]
        shown = [index for index in known if not self.turns[index].hidden]
        return (shown or known or [None])[-1]

    def ask(self, question: str, cell: str, plan: Plan, index: int | None = None) -> int:
        index = self.place(cell) if index is None else index
        version = (question, "".join(plan.said), plan.status)
        if index is None:
            self.turns.append(ModelTurn([version], {cell} - {""}))
            return len(self.turns) - 1
        turn = self.turns[index]
        turn.versions.append(version)
        turn.selected, turn.hidden = len(turn.versions) - 1, 0
        turn.cells |= {cell} - {""}
        return index

    def hide(self, indices: list[int]) -> None:
        step = 1 + max((turn.hidden for turn in self.turns), default=0)
        for index in indices:
            self.turns[index].hidden = self.turns[index].hidden or step

    def restore(self) -> None:
        step = max((turn.hidden for turn in self.turns), default=0)
        for turn in self.turns:
            turn.hidden = 0 if turn.hidden == step else turn.hidden


def as_model(conversation: Conversation) -> list[tuple[Any, ...]]:
    return [
        (
            [(each.prompt, each.text, each.status) for each in turn.versions],
            turn.selected,
            turn.hidden,
            turn.pinned,
        )
        for turn in conversation.turns
    ]


class ConversationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="machine-")
        os.environ["CHATANYWHERE_DATA_DIR"] = self.directory
        Planned.plans, Planned.sent, Planned.reached = deque(), [], 0
        register(Planned)
        self.models: dict[str, Model] = {}
        self.asked = 0
        self.chat = self.open()

    def open(self) -> ChatSession:
        chat = ChatSession(provider=Planned)
        chat.conversations.keep("/home/ada/notebook.ipynb")
        return chat

    @initialize()
    def begin(self) -> None:
        self.models[self.chat.conversations.id] = Model()

    @property
    def model(self) -> Model:
        return self.models[self.chat.conversations.id]

    def a_turn(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(self.model.visible), label="turn")

    def question(self) -> str:
        self.asked += 1
        return f"question {self.asked}"

    def plan(self, moment: str) -> Plan:
        plan = Plan(moment, (f"answer {self.asked} ", "and more"))
        Planned.plans.append(plan)
        return plan

    def finish(self, live: LiveTurn, plan: Plan) -> None:
        """Wait for the end that is planned; stop it if that is the plan."""
        if plan.hangs:
            wait_until(lambda: Planned.reached > 0)
            Planned.reached = 0
            live.cancel()
        assert live.done.wait(10)

    def check_sent(self, index: int, question: str) -> None:
        contents = [str(message["content"]) for message in Planned.sent[-1]]
        assert contents == [*self.model.sent_before(index), question]

    # --- asking -----------------------------------------------------------------------------------------------

    @rule(cell=st.sampled_from(CELLS), moment=st.sampled_from(MOMENTS))
    def ask(self, cell: str, moment: str) -> None:
        question = self.question()
        plan = self.plan(moment)
        live = self.chat.prepare(question, origin=Origin("cell", cell))
        self.chat.start(live)
        self.finish(live, plan)
        self.check_sent(self.model.ask(question, cell, plan), question)

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data(), moment=st.sampled_from(MOMENTS))
    def revise(self, data: st.DataObject, moment: str) -> None:
        index, question = self.a_turn(data), self.question()
        plan = self.plan(moment)
        live = self.chat.turns.revise(index, question, origin=Origin("panel"))
        self.chat.start(live)
        self.finish(live, plan)
        self.model.ask(question, "", plan, index)
        self.check_sent(index, question)

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data(), moment=st.sampled_from(MOMENTS))
    def retry(self, data: st.DataObject, moment: str) -> None:
        index = self.a_turn(data)
        question = self.model.turns[index].versions[self.model.turns[index].selected][0]
        self.asked += 1
        plan = self.plan(moment)
        live = self.chat.turns.retry(index)
        self.chat.start(live)
        self.finish(live, plan)
        self.model.ask(question, "", plan, index)
        self.check_sent(index, question)

    @rule(moment=st.sampled_from(["before the first word", "between words"]))
    def ask_from_two_doors_at_once(self, moment: str) -> None:
        """The second waits for the first, and is sent what came of it."""
        first, second = self.question(), self.question()
        one, other = self.plan(moment), self.plan("complete")
        cell = self.chat.prepare(first, origin=Origin("cell", ""))
        panel = self.chat.prepare(second, origin=Origin("panel"))
        self.chat.start(cell)
        self.chat.start(panel)
        wait_until(lambda: Planned.reached > 0)
        assert panel.status == "queued"
        self.finish(cell, one)
        self.finish(panel, other)
        self.model.ask(first, "", one)
        self.check_sent(self.model.ask(second, "", other), second)

    # --- changing ---------------------------------------------------------------------------------------------

    @rule()
    def undo(self) -> None:
        self.chat.turns.undo()
        self.model.hide(self.model.visible[-1:])

    @rule()
    def restore(self) -> None:
        self.chat.turns.redo()
        self.model.restore()

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        index = self.a_turn(data)
        self.chat.turns.delete(index)
        self.model.hide([index])

    @rule()
    def clear(self) -> None:
        self.chat.turns.clear()
        self.model.hide(self.model.visible)

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data())
    def select(self, data: st.DataObject) -> None:
        turn = self.model.turns[index := self.a_turn(data)]
        turn.selected = data.draw(st.integers(0, len(turn.versions) - 1), label="version")
        self.chat.turns.select(index, turn.selected)

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: st.DataObject, *, pinned: bool) -> None:
        index = self.a_turn(data)
        self.chat.turns.pin(index, pinned)
        self.model.turns[index].pinned = pinned

    # --- conversations ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.visible)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        index, source = self.a_turn(data), self.model
        self.models[self.chat.conversations.fork(index)] = Model(
            [source.turns[at].copy() for at in source.visible if at <= index]
        )

    @rule()
    def new(self) -> None:
        self.chat.conversations.new()
        self.models[self.chat.conversations.id] = Model()

    @precondition(lambda self: any(model.turns for model in self.models.values()))
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        begun = [name for name, model in self.models.items() if model.turns]
        self.chat.conversations.switch(data.draw(st.sampled_from(begun), label="conversation"))

    @rule()
    def restart(self) -> None:
        """Another kernel goes on with the same conversation."""
        name = self.chat.conversations.id
        self.chat.close()
        self.chat = self.open()
        if self.models[name].turns:
            self.chat.conversations.switch(name)
        else:
            self.models[self.chat.conversations.id] = Model()

    # --- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model(self) -> None:
        if self.chat.conversations.id in self.models:
            expected = [(turn.versions, turn.selected, turn.hidden, turn.pinned) for turn in self.model.turns]
            assert as_model(self.chat.conversation) == expected

    @invariant()
    def roles_alternate(self) -> None:
        messages = self.chat.conversation.messages_before(len(self.chat.conversation.turns))
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)

    @invariant()
    def nothing_is_on_its_way(self) -> None:
        assert self.chat.turns.live == ()

    def teardown(self) -> None:
        self.chat.close()
        store = Store.open(Path(self.directory))
        try:
            for name, model in self.models.items():
                if model.turns:
                    stored = store.load(name)
                    assert stored is not None
                    expected = [(turn.versions, turn.selected, turn.hidden, turn.pinned) for turn in model.turns]
                    assert as_model(stored) == expected
        finally:
            store.close()
            shutil.rmtree(self.directory)
            with suppress(KeyError):
                del os.environ["CHATANYWHERE_DATA_DIR"]


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.001)


ConversationMachine.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=25, deadline=None)
TestConversation = ConversationMachine.TestCase
