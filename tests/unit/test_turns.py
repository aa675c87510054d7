"""Long conversations: turns in blocks behave as a tuple does, and what was kept is read only where somebody looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import ChatSession, Scripted
from chatanywhere_magic.core import BLOCK, Conversation, Origin, Turn, Usage, Version
from chatanywhere_magic.keys import DIRECTORY_VARIABLE
from chatanywhere_magic.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LONG = 4 * BLOCK


def turn(number: int, **fields: object) -> Turn:
    """Return a turn that was asked in a cell of its own."""
    origin = Origin("cell", f"cell {number}")
    version = Version.of(f"Question {number}", "An answer. " * 40, status="complete", origin=origin)
    return Turn((replace(version, **fields),))  # type: ignore[arg-type]


def kept(directory: Path, turns: int = LONG) -> Conversation:
    """Return a long conversation as another kernel finds it."""
    store = Store.open(directory)
    store.save("long", Conversation(tuple(map(turn, range(turns)))))
    store.close()
    loaded = Store.open(directory).load("long")
    assert loaded is not None
    return loaded


def read(conversation: Conversation) -> int:
    """Return how many turns have been looked at."""
    return sum("versions" in vars(each) for each in conversation.turns)


class Model:
    """What blocks must not change: the same, with a tuple and passes over it."""

    def __init__(self, turns: tuple[Turn, ...]) -> None:
        self.turns = turns

    def sent_before(self, index: int) -> list[tuple[int, Turn]]:
        return [(at, each) for at, each in enumerate(self.turns[:index]) if each.is_sent]

    def visible(self) -> list[tuple[int, Turn]]:
        return [(at, each) for at, each in enumerate(self.turns) if not each.hidden]


@given(st.data())
def test_blocks_are_a_tuple_in_all_but_name(data: st.DataObject) -> None:
    size = data.draw(st.integers(BLOCK - 2, BLOCK + 2))
    model = tuple(turn(number, status="failed" if number % 7 == 0 else "complete") for number in range(size))
    conversation = Conversation(model)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(model) - 1))
        step = data.draw(st.sampled_from(["append", "replace", "hide", "restore", "pin"]))
        if step == "append":
            conversation = conversation.appended(turn(0).current)
            model = (*model, conversation.turns[-1])
        elif step == "hide":
            number = 1 + max(each.hidden for each in model)
            if not model[at].hidden:
                model = (*model[:at], replace(model[at], hidden=number), *model[at + 1 :])
            conversation = conversation.hiding([at])
        elif step == "restore":
            number = max(each.hidden for each in model)
            model = tuple(replace(each, hidden=0) if each.hidden == number else each for each in model)
            conversation = conversation.restored()
        else:
            new = turn(at) if step == "replace" else replace(model[at], pinned=True)
            model = (*model[:at], new, *model[at + 1 :])
            conversation = conversation.with_turn(at, new)
    expected, end = Model(model), data.draw(st.integers(0, len(model) + 1))
    assert conversation.turns == model
    assert (len(conversation.turns), conversation.turns[-1], conversation.turns[3:1]) == (len(model), model[-1], ())
    assert list(conversation.visible) == expected.visible()
    assert list(conversation.sent_before(end)) == expected.sent_before(end)
    assert conversation.sent_before(end)[-3:] == expected.sent_before(end)[-3:]
    assert conversation.sent_before(end).pinned() == [each for each in expected.sent_before(end) if each[1].pinned]
    assert conversation.find_cell("cell 0") == [
        at for at, each in expected.visible() if each.current.origin.cell_id == "cell 0"
    ]


def test_changes_are_told_by_their_places() -> None:
    before = Conversation(tuple(map(turn, range(LONG))))
    after = before.with_turn(BLOCK, turn(0)).appended(turn(1).current)
    assert list(after.all.changed(before.all)) == [(BLOCK, before.turns[BLOCK]), (LONG, None)]


def test_of_a_kept_conversation_only_the_turns_that_are_looked_at_are_read(tmp_path: Path) -> None:
    loaded = kept(tmp_path)
    assert loaded.settled() is loaded
    assert (len(loaded.visible), len(loaded.sent_before(LONG))) == (LONG, LONG)
    assert (loaded.find(Origin("cell", "cell 5")), loaded.find(Origin("cell", "elsewhere"))) == (5, None)
    assert read(loaded) == 1
    assert [each.current.prompt for _, each in loaded.visible[-2:]] == [f"Question {LONG - 2}", f"Question {LONG - 1}"]
    assert read(loaded) == 3


def test_turns_are_hidden_and_shown_again_unread(tmp_path: Path) -> None:
    store = Store(tmp_path / "chat.db")
    store.save("long", Conversation(tuple(map(turn, range(BLOCK + 1)))))
    store.close()
    store = Store.open(tmp_path)
    loaded = store.load("long")
    assert loaded is not None
    cleared = loaded.hiding(range(BLOCK + 1))
    assert store.save("long", cleared)
    assert (len(cleared.visible), read(cleared)) == (0, 0)
    assert (len(cleared.restored().visible), read(cleared)) == (BLOCK + 1, 0)
    found = Store.open(tmp_path).load("long")
    assert found is not None
    assert len(found.visible) == 0


def test_a_prompt_reads_only_the_turns_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    provider = Scripted.of("Yes.")
    chat = ChatSession(provider=provider, budget=1_000)
    chat.conversations.keep("notebook.ipynb")
    chat.conversations.switch("long")
    before = chat.conversation
    chat.ask_sync("And now?")
    chat.close()
    assert 1 < len(provider.requests[0]) < 40
    assert 0 < read(before) < 40
    store = Store.open(tmp_path)
    found = store.load("long")
    assert found is not None
    assert len(found.turns) == LONG + 1


def test_what_kept_turns_used_is_summed_up_unread(tmp_path: Path) -> None:
    store = Store(tmp_path / "chat.db")
    store.save("used", Conversation(tuple(turn(number, usage=Usage(10, number)) for number in range(BLOCK + 1))))
    store.close()
    loaded = Store.open(tmp_path).load("used")
    assert loaded is not None
    assert [block.used for block in loaded.all.blocks] == [(10 * BLOCK, BLOCK * (BLOCK - 1) // 2), (10, BLOCK)]
    assert read(loaded) == 0
