"""The session: one conversation in motion, changed from any thread and observed by everybody."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatSession, ConfigurationError, Script, Scripted
from chatanywhere_magic.core.conversation import Origin
from chatanywhere_magic.core.errors import NotRecordedError
from chatanywhere_magic.core.messages import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession()
    yield session
    session.close()


def ask(chat: ChatSession, *questions: str) -> type[Scripted]:
    """Ask `questions`, each of which is answered in capitals; return who answered."""
    parrot = Scripted.of(*(question.upper() for question in questions))
    for question in questions:
        chat.ask_sync(question, provider=parrot)
    return parrot


def shown(chat: ChatSession) -> list[str]:
    return [turn.current.question for _, turn in chat.conversation.visible]


def sent(provider: type[Scripted]) -> list[str]:
    """Return what the provider was sent last, shortly."""
    return [str(message["content"]) for message in provider.requests[-1]]


# --- undo, delete, clear, and taking them back ----------------------------------------------------------------


def test_an_undone_turn_is_not_sent_until_it_is_taken_back(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    undone = chat.undo()
    assert undone is not None
    assert undone.current.question == "b"
    parrot.queue("C", "D")
    chat.ask_sync("c", provider=parrot)
    assert sent(parrot) == ["a", "A", "c"]
    assert chat.restore() == [1]
    chat.ask_sync("d", provider=parrot)
    assert sent(parrot) == ["a", "A", "b", "B", "c", "C", "d"]


def test_there_is_nothing_to_undo_in_an_empty_conversation(chat: ChatSession) -> None:
    assert chat.undo() is None
    assert chat.restore() == []
    assert chat.clear() == 0


def test_clearing_hides_everything_and_is_one_step(chat: ChatSession) -> None:
    ask(chat, "a", "b", "c")
    chat.undo()
    assert chat.clear() == 2
    assert shown(chat) == []
    assert chat.restore() == [0, 1]
    assert chat.redo() == [2]


def test_deleting_leaves_the_turns_around_it_where_they_are(chat: ChatSession) -> None:
    ask(chat, "a", "b", "c")
    assert chat.delete(1).current.question == "b"
    assert [index for index, _ in chat.conversation.visible] == [0, 2]
    with pytest.raises(ConfigurationError, match="no turn 2"):
        chat.delete(1)


def test_undoing_stops_what_streams(chat: ChatSession) -> None:
    slow = Scripted.of(Script("a long answer", delay=10))
    live = chat.prepare("a", provider=slow)
    future = chat.start(live)
    chat.undo()
    future.result(5)
    assert (live.status, shown(chat)) == ("interrupted", [])


# --- versions -------------------------------------------------------------------------------------------------


def test_retrying_asks_the_same_in_the_same_place(chat: ChatSession) -> None:
    parrot = ask(chat, "a")
    parrot.queue("B", "another A")
    chat.ask_sync("b", provider=parrot)
    live = chat.retry(0)
    chat.start(live).result(5)
    assert sent(parrot) == ["a"]
    assert [version.answer for version in chat.conversation.turns[0].versions] == ["A", "another A"]
    assert shown(chat) == ["a", "b"]


def test_retrying_means_the_last_turn_and_the_one_who_answered_it(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    parrot.queue("another B")
    chat.start(chat.retry()).result(5)
    assert chat.conversation.turns[1].current.answer == "another B"
    assert sent(parrot) == ["a", "A", "b"]


def test_retrying_can_mean_another_model_and_keeps_the_rest(chat: ChatSession) -> None:
    parrot = Scripted.of("A", "another A")
    chat.ask_sync("a", provider=parrot, system="Be brief.", temperature=0.1, seed=7)
    live = chat.retry(model="other")
    chat.start(live).result(5)
    version = chat.conversation.turns[0].current
    assert (version.model, version.system, version.temperature) == ("other", "Be brief.", 0.1)
    assert version.parameters == (("seed", 7),)


def test_revising_asks_something_else_in_the_same_place(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    parrot.queue("EDITED")
    chat.start(chat.revise(0, "edited", origin=Origin("panel"))).result(5)
    assert shown(chat) == ["edited", "b"]
    assert sent(parrot) == ["edited"]


def test_there_is_nothing_to_retry_where_no_turn_is(chat: ChatSession) -> None:
    with pytest.raises(ConfigurationError, match="no turn 1"):
        chat.retry()
    with pytest.raises(ConfigurationError, match="no turn 3"):
        chat.revise(2, "what")


def test_asking_again_stops_the_answer_to_the_first(chat: ChatSession) -> None:
    slow = Scripted.of(Script("a long answer", delay=10), "short")
    first = chat.prepare("a", provider=slow, origin=Origin("cell", "cell-1"))
    began = chat.start(first)
    second = chat.prepare("a", provider=slow, origin=Origin("cell", "cell-1"))
    chat.start(second).result(5)
    began.result(5)
    assert [version.status for version in chat.conversation.turns[0].versions] == ["interrupted", "complete"]


def test_an_earlier_version_can_be_selected(chat: ChatSession) -> None:
    parrot = ask(chat, "a")
    parrot.queue("worse", "B")
    chat.start(chat.retry()).result(5)
    chat.select(0, 0)
    chat.ask_sync("b", provider=parrot)
    assert sent(parrot) == ["a", "A", "b"]
    with pytest.raises(ConfigurationError, match="no version 3"):
        chat.select(0, 2)


# --- conversations --------------------------------------------------------------------------------------------


def test_a_fork_is_a_conversation_of_its_own(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b", "c")
    source = chat.conversation_id
    fork = chat.fork(1)
    assert chat.conversation_id == fork != source
    parrot.queue("D")
    chat.ask_sync("d", provider=parrot)
    assert shown(chat) == ["a", "b", "d"]
    chat.switch(source)
    assert shown(chat) == ["a", "b", "c"]


def test_conversations_are_listed_and_found(chat: ChatSession) -> None:
    ask(chat, "what is a median", "and a mean")
    first = chat.conversation_id
    chat.new()
    ask(chat, "what is a tuple")
    chat.rename("Python   basics\n")
    assert [listed.title for listed in chat.conversations()] == ["Python basics", "what is a median"]
    (found,) = chat.conversations("MEAN median")
    assert (found.id, found.turns, found.model) == (first, 2, "scripted")
    assert chat.conversations("nothing of that") == []
    assert len(chat.conversations(limit=1)) == 1
    with pytest.raises(ConfigurationError, match="no conversation 'nowhere'"):
        chat.switch("nowhere")


def test_the_list_does_not_wait_for_the_disk(chat: ChatSession) -> None:
    chat.keep()
    ask(chat, "what is a median", "and a mean")
    chat.undo()
    chat.rename("Medians")
    assert [(listed.title, listed.turns) for listed in chat.conversations()] == [("Medians", 1)]
    assert chat.conversations("mean") == chat.search("mean") == []


def test_messages_without_a_time_are_of_now(chat: ChatSession) -> None:
    ask(chat, "what is a median", "the middle")
    before = chat.conversations()[0].updated
    chat.import_('[{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]', "messages")
    assert chat.conversations()[0].title == "What?"
    assert chat.conversations()[0].updated >= before


def test_a_pin_stays_with_its_turn(chat: ChatSession) -> None:
    ask(chat, "a", "b")
    chat.pin(0)
    assert [turn.pinned for turn in chat.conversation.turns] == [True, False]
    chat.pin(0, pinned=False)
    assert not chat.conversation.turns[0].pinned


# --- what is recorded and observed ----------------------------------------------------------------------------


def test_a_version_records_with_what_it_was_asked(chat: ChatSession) -> None:
    parrot = Scripted.of(Script("A", usage=Usage(3, 1)))
    chat.ask_sync("a", provider=parrot, system="Be brief.", temperature=0.2, max_tokens=9, hook=print, history=True)
    version = chat.conversation.turns[0].current
    assert (version.system, version.temperature, version.usage) == ("Be brief.", 0.2, Usage(3, 1))
    assert version.parameters == (("max_tokens", 9),)


def test_every_change_is_told(chat: ChatSession) -> None:
    told: list[str] = []
    chat.listen(lambda change, _live: told.append(change))
    ask(chat, "a", "b")
    assert set(told) == {"added", "changed"}
    for change in (
        chat.undo,
        chat.restore,
        lambda: chat.delete(0),
        chat.clear,
        chat.restore,
        lambda: chat.select(1, 0),
        lambda: chat.pin(1),
        lambda: chat.rename("title"),
        chat.fork,
        chat.new,
    ):
        told.clear()
        change()
        assert told == ["reset"], change


# --- the store ------------------------------------------------------------------------------------------------


def kept(notebook: str = "", **options: Any) -> ChatSession:
    session = ChatSession(**options)
    session.keep(notebook)
    return session


def test_looking_at_an_earlier_conversation_does_not_take_it_from_its_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path))
    first = kept("one.ipynb")
    ask(first, "a")
    name = first.conversation_id
    first.close()
    second = kept("other.ipynb")
    before = second.conversations(notebook="one.ipynb")
    second.switch(name)
    second.close()
    third = kept()
    assert third.conversations(notebook="one.ipynb") == before
    third.close()
    # Whoever goes on with it there takes it along.
    fourth = kept("other.ipynb")
    fourth.switch(name)
    ask(fourth, "b")
    fourth.close()
    fifth = kept()
    assert [listed.turns for listed in fifth.conversations(notebook="other.ipynb")] == [2]
    fifth.close()


def test_nothing_is_written_before_the_session_is_told_to_keep(
    chat: ChatSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path))
    ask(chat, "a")
    chat.close()
    assert list(tmp_path.iterdir()) == []


def test_the_context_gauge_knows_what_the_provider_counted(chat: ChatSession) -> None:
    chat.provider = Scripted.of(Script("A", usage=Usage(100, 20)), "B")
    assert chat.context_used() == (0, None, True)
    chat.budget = 4_000
    chat.ask_sync("a")
    assert chat.context_used() == (120, 4_000, False)
    chat.ask_sync("b")
    tokens, limit, is_estimated = chat.context_used()
    assert (limit, is_estimated) == (4_000, True)
    assert tokens > 0


def test_a_place_for_data_that_cannot_be_is_told_once_and_the_chat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", "~no-such-person/data")
    session = kept()
    assert not session.has_kept
    ask(session, "a", "b")
    assert shown(session) == ["a", "b"]
    (warning,) = session.take_warnings()
    assert "CHATANYWHERE_DATA_DIR" in warning
    assert [listed.turns for listed in session.conversations()] == [2]
    session.close()


# --- forgetting -----------------------------------------------------------------------------------------------


@pytest.fixture
def data(chat: ChatSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which `chat` keeps its conversations."""
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "data"))
    chat.keep()
    return tmp_path / "data"


def names(chat: ChatSession) -> list[str]:
    return [listed.title for listed in chat.conversations()]


def names_on_disk() -> list[str]:
    """What another kernel finds."""
    other = kept()
    found = names(other)
    other.close()
    return found


@pytest.mark.usefixtures("data")
def test_a_forgotten_conversation_is_neither_listed_nor_found_nor_replayed(chat: ChatSession) -> None:
    parrot = ask(chat, "a")
    forgotten = chat.conversation_id
    chat.new()
    ask(chat, "b")
    chat.forget(forgotten[:12])
    assert (names(chat), shown(chat)) == (["b"], ["b"])
    assert chat.search("A") == []
    with pytest.raises(ConfigurationError, match=forgotten):
        chat.switch(forgotten)
    with pytest.raises(NotRecordedError):
        chat.ask_sync("a", provider=parrot, history=False, replay="replay-only")
    assert names_on_disk() == ["b"]


@pytest.mark.usefixtures("data")
def test_the_open_conversation_is_forgotten_only_on_request(chat: ChatSession) -> None:
    ask(chat, "a")
    open_one = chat.conversation_id
    with pytest.raises(ConfigurationError, match="--current"):
        chat.forget(open_one)
    assert shown(chat) == ["a"]
    chat.forget(open_one, current=True)
    assert (shown(chat), names(chat), names_on_disk()) == ([], [], [])
    ask(chat, "b")
    assert names_on_disk() == ["b"]


@pytest.mark.usefixtures("data")
def test_an_answer_that_is_on_its_way_is_stopped_and_not_written_after_all(chat: ChatSession) -> None:
    slow = Scripted.of(Script("a long answer", delay=10))
    live = chat.prepare("a", provider=slow)
    future = chat.start(live)
    chat.forget(chat.conversation_id, current=True)
    future.result(5)
    chat.close()
    assert (live.status, names_on_disk()) == ("interrupted", [])


@pytest.mark.usefixtures("data")
def test_what_was_kept_is_forgotten_even_if_nothing_is_kept_any_more(chat: ChatSession) -> None:
    ask(chat, "a")
    chat.persist = False
    chat.forget(chat.conversation_id, current=True)
    chat.close()
    assert names_on_disk() == []


@pytest.mark.usefixtures("data")
def test_where_nothing_is_kept_any_more_earlier_ones_are_found_to_forget_them_alone() -> None:
    earlier = kept()
    ask(earlier, "a")
    earlier.close()
    chat = kept(persist=False)
    assert (names(chat), chat.search("a")) == ([], [])
    (found,) = chat.conversations(to_forget=True)
    with pytest.raises(ConfigurationError, match="no conversation"):
        chat.switch(found.id)
    chat.forget(found.id[:12])
    chat.close()
    assert names_on_disk() == []


def test_looking_for_what_to_forget_begins_no_file(data: Path) -> None:
    chat = kept(persist=False)
    assert chat.conversations(to_forget=True) == []
    chat.close()
    assert not data.exists()


def test_what_cannot_be_forgotten_is_kept_and_said(chat: ChatSession, data: Path) -> None:
    ask(chat, "a")
    chat.close()
    with closing(sqlite3.connect(data / "chat.db")) as other:
        other.execute("PRAGMA user_version = 999")
    with pytest.raises(ConfigurationError, match="newer"):
        chat.forget(chat.conversation_id, current=True)
    assert names(chat) == ["a"]


def test_what_could_not_be_forgotten_goes_on_and_what_waited_is_written(chat: ChatSession, data: Path) -> None:
    ask(chat, "a")
    open_one = chat.conversation_id
    with closing(sqlite3.connect(data / "chat.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        chat.rename("Statistics")
        with pytest.raises(ConfigurationError, match="still there"):
            chat.forget(open_one, current=True)
    assert (chat.conversation_id, shown(chat), chat.is_private) == (open_one, ["a"], False)
    chat.close()
    assert names_on_disk() == ["Statistics"]


def test_without_a_disk_a_conversation_is_forgotten_as_well(chat: ChatSession) -> None:
    ask(chat, "a")
    chat.forget(chat.conversation_id, current=True)
    assert (names(chat), shown(chat)) == ([], [])
