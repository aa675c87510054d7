"""The session: one conversation in motion, changed from any thread and observed by everybody."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from traitlets.config import Config

from chatanywhere_magic import ChatInterrupted, ChatSession, ConfigurationError, Script, Scripted
from chatanywhere_magic.core.conversation import Origin
from chatanywhere_magic.core.errors import AnswerFormatError, NotRecordedError
from chatanywhere_magic.core.messages import Usage
from chatanywhere_magic.session.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from chatanywhere_magic.session import LiveTurn


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
    return [turn.current.prompt for _, turn in chat.conversation.visible]


def sent(provider: type[Scripted]) -> list[str]:
    """Return what the provider was sent last, shortly."""
    return [str(message["content"]) for message in provider.requests[-1]]


# --- undo, delete, clear, and taking them back ----------------------------------------------------------------


def test_an_undone_turn_is_not_sent_until_it_is_taken_back(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    undone = chat.turns.undo()
    assert undone is not None
    assert undone.current.prompt == "b"
    parrot.queue("C", "D")
    chat.ask_sync("c", provider=parrot)
    assert sent(parrot) == ["a", "A", "c"]
    assert chat.turns.redo() == [1]
    chat.ask_sync("d", provider=parrot)
    assert sent(parrot) == ["a", "A", "b", "B", "c", "C", "d"]


def test_there_is_nothing_to_undo_in_an_empty_conversation(chat: ChatSession) -> None:
    assert chat.turns.undo() is None
    assert chat.turns.redo() == []
    assert chat.turns.clear() == 0


def test_clearing_hides_everything_and_is_one_step(chat: ChatSession) -> None:
    ask(chat, "a", "b", "c")
    chat.turns.undo()
    assert chat.turns.clear() == 2
    assert shown(chat) == []
    assert chat.turns.redo() == [0, 1]
    assert chat.turns.redo() == [2]


def test_deleting_leaves_the_turns_around_it_where_they_are(chat: ChatSession) -> None:
    ask(chat, "a", "b", "c")
    assert chat.turns.delete(1).current.prompt == "b"
    assert [index for index, _ in chat.conversation.visible] == [0, 2]
    with pytest.raises(ConfigurationError, match="no turn 2"):
        chat.turns.delete(1)


def test_undoing_stops_what_streams(chat: ChatSession) -> None:
    slow = Scripted.of(Script("a long answer", delay=10))
    live = chat.prepare("a", provider=slow)
    future = chat.start(live)
    chat.turns.undo()
    future.result(5)
    assert (live.status, shown(chat)) == ("interrupted", [])


# --- versions -------------------------------------------------------------------------------------------------


def test_retrying_asks_the_same_in_the_same_place(chat: ChatSession) -> None:
    parrot = ask(chat, "a")
    parrot.queue("B", "another A")
    chat.ask_sync("b", provider=parrot)
    live = chat.turns.retry(0)
    chat.start(live).result(5)
    assert sent(parrot) == ["a"]
    assert [version.text for version in chat.conversation.turns[0].versions] == ["A", "another A"]
    assert shown(chat) == ["a", "b"]


def test_retrying_means_the_last_turn_and_the_one_who_answered_it(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    parrot.queue("another B")
    chat.start(chat.turns.retry()).result(5)
    assert chat.conversation.turns[1].current.text == "another B"
    assert sent(parrot) == ["a", "A", "b"]


def test_retrying_can_mean_another_model_and_keeps_the_rest(chat: ChatSession) -> None:
    parrot = Scripted.of("A", "another A")
    chat.ask_sync("a", provider=parrot, system="Be brief.", temperature=0.1, seed=7)
    live = chat.turns.retry(model="other")
    chat.start(live).result(5)
    version = chat.conversation.turns[0].current
    assert (version.model, version.system, version.temperature) == ("other", "Be brief.", 0.1)
    assert version.parameters == (("seed", 7),)


def test_revising_asks_something_else_in_the_same_place(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b")
    parrot.queue("EDITED")
    chat.start(chat.turns.revise(0, "edited", origin=Origin("panel"))).result(5)
    assert shown(chat) == ["edited", "b"]
    assert sent(parrot) == ["edited"]


def test_there_is_nothing_to_retry_where_no_turn_is(chat: ChatSession) -> None:
    with pytest.raises(ConfigurationError, match="no turn 1"):
        chat.turns.retry()
    with pytest.raises(ConfigurationError, match="no turn 3"):
        chat.turns.revise(2, "what")


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
    chat.start(chat.turns.retry()).result(5)
    chat.turns.select(0, 0)
    chat.ask_sync("b", provider=parrot)
    assert sent(parrot) == ["a", "A", "b"]
    with pytest.raises(ConfigurationError, match="no version 3"):
        chat.turns.select(0, 2)


# --- conversations --------------------------------------------------------------------------------------------


def test_a_fork_is_a_conversation_of_its_own(chat: ChatSession) -> None:
    parrot = ask(chat, "a", "b", "c")
    source = chat.conversations.id
    fork = chat.conversations.fork(1)
    assert chat.conversations.id == fork != source
    parrot.queue("D")
    chat.ask_sync("d", provider=parrot)
    assert shown(chat) == ["a", "b", "d"]
    chat.conversations.switch(source)
    assert shown(chat) == ["a", "b", "c"]


def test_conversations_are_listed_and_found(chat: ChatSession) -> None:
    ask(chat, "what is a median", "and a mean")
    first = chat.conversations.id
    chat.conversations.new()
    ask(chat, "what is a tuple")
    chat.conversations.rename("Python   basics\n")
    assert [listed.title for listed in chat.conversations.list()] == ["Python basics", "what is a median"]
    (found,) = chat.conversations.list("MEAN median")
    assert (found.id, found.turns, found.model) == (first, 2, "scripted")
    assert chat.conversations.list("nothing of that") == []
    assert len(chat.conversations.list(limit=1)) == 1
    with pytest.raises(ConfigurationError, match="no conversation 'nowhere'"):
        chat.conversations.switch("nowhere")


def test_the_list_does_not_wait_for_the_disk(chat: ChatSession) -> None:
    chat.conversations.keep()
    ask(chat, "what is a median", "and a mean")
    chat.turns.undo()
    chat.conversations.rename("Medians")
    assert [(listed.title, listed.turns) for listed in chat.conversations.list()] == [("Medians", 1)]
    assert chat.conversations.list("mean") == chat.conversations.search("mean") == []


def test_messages_without_a_time_are_of_now(chat: ChatSession) -> None:
    ask(chat, "what is a median", "the middle")
    before = chat.conversations.list()[0].updated
    chat.conversations.import_(
        '[{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]', "messages"
    )
    assert chat.conversations.list()[0].title == "What?"
    assert chat.conversations.list()[0].updated >= before


def test_an_imported_conversation_goes_on_with_its_system_prompt(chat: ChatSession) -> None:
    messages = (
        '[{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be kind."}, '
        '{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]'
    )
    chat.conversations.import_(messages, "messages")
    ask(chat, "a")
    chat.conversations.fork()
    ask(chat, "b")
    assert [turn.current.system for turn in chat.conversation.turns] == ["Be brief.\n\nBe kind."] * 3
    chat.settings.system = "Mine."
    ask(chat, "c")
    assert chat.conversation.turns[-1].current.system == "Mine."
    chat.settings.system = ""
    chat.conversations.new()
    ask(chat, "d")
    assert chat.conversation.turns[-1].current.system == ""


def test_a_pin_stays_with_its_turn(chat: ChatSession) -> None:
    ask(chat, "a", "b")
    chat.turns.pin(0)
    assert [turn.pinned for turn in chat.conversation.turns] == [True, False]
    chat.turns.pin(0, pinned=False)
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
    chat.conversations.listen(lambda change, _live: told.append(change))
    ask(chat, "a", "b")
    assert set(told) == {"added", "changed"}
    for change in (
        chat.turns.undo,
        chat.turns.redo,
        lambda: chat.turns.delete(0),
        chat.turns.clear,
        chat.turns.redo,
        lambda: chat.turns.select(1, 0),
        lambda: chat.turns.pin(1),
        lambda: chat.conversations.rename("title"),
        chat.conversations.fork,
        chat.conversations.new,
    ):
        told.clear()
        change()
        assert told == ["reset"], change


# --- the store ------------------------------------------------------------------------------------------------


def kept(notebook: str = "", **options: Any) -> ChatSession:
    session = ChatSession(**options)
    session.conversations.keep(notebook)
    return session


def test_looking_at_an_earlier_conversation_does_not_take_it_from_its_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path))
    first = kept("one.ipynb")
    ask(first, "a")
    name = first.conversations.id
    first.close()
    second = kept("other.ipynb")
    before = second.conversations.list(notebook="one.ipynb")
    second.conversations.switch(name)
    second.close()
    third = kept()
    assert third.conversations.list(notebook="one.ipynb") == before
    third.close()
    # Whoever goes on with it there takes it along.
    fourth = kept("other.ipynb")
    fourth.conversations.switch(name)
    ask(fourth, "b")
    fourth.close()
    fifth = kept()
    assert [listed.turns for listed in fifth.conversations.list(notebook="other.ipynb")] == [2]
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
    assert chat.turns.context_used() == (0, None, True)
    chat.budget = 4_000
    chat.ask_sync("a")
    assert chat.turns.context_used() == (120, 4_000, False)
    chat.ask_sync("b")
    tokens, limit, is_estimated = chat.turns.context_used()
    assert (limit, is_estimated) == (4_000, True)
    assert tokens > 0


def test_a_place_for_data_that_cannot_be_is_told_once_and_the_chat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", "~no-such-person/data")
    session = kept()
    assert not session.conversations.has_kept
    ask(session, "a", "b")
    assert shown(session) == ["a", "b"]
    (warning,) = session.conversations.take_warnings()
    assert "CHATANYWHERE_DATA_DIR" in warning
    assert [listed.turns for listed in session.conversations.list()] == [2]
    session.close()


# --- forgetting -----------------------------------------------------------------------------------------------


@pytest.fixture
def data(chat: ChatSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which `chat` keeps its conversations."""
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "data"))
    chat.conversations.keep()
    return tmp_path / "data"


def names(chat: ChatSession) -> list[str]:
    return [listed.title for listed in chat.conversations.list()]


def names_on_disk() -> list[str]:
    """What another kernel finds."""
    other = kept()
    found = names(other)
    other.close()
    return found


@pytest.mark.usefixtures("data")
def test_a_forgotten_conversation_is_neither_listed_nor_found_nor_replayed(chat: ChatSession) -> None:
    parrot = ask(chat, "a")
    forgotten = chat.conversations.id
    chat.conversations.new()
    ask(chat, "b")
    chat.conversations.forget(forgotten[:12])
    assert (names(chat), shown(chat)) == (["b"], ["b"])
    assert chat.conversations.search("A") == []
    with pytest.raises(ConfigurationError, match=forgotten):
        chat.conversations.switch(forgotten)
    with pytest.raises(NotRecordedError):
        chat.ask_sync("a", provider=parrot, history=False, replay="replay-only")
    assert names_on_disk() == ["b"]


@pytest.mark.usefixtures("data")
def test_the_open_conversation_is_forgotten_only_on_request(chat: ChatSession) -> None:
    ask(chat, "a")
    open_one = chat.conversations.id
    with pytest.raises(ConfigurationError, match="--current"):
        chat.conversations.forget(open_one)
    assert shown(chat) == ["a"]
    chat.conversations.forget(open_one, current=True)
    assert (shown(chat), names(chat), names_on_disk()) == ([], [], [])
    ask(chat, "b")
    assert names_on_disk() == ["b"]


@pytest.mark.usefixtures("data")
def test_an_answer_that_is_on_its_way_is_stopped_and_not_written_after_all(chat: ChatSession) -> None:
    slow = Scripted.of(Script("a long answer", delay=10))
    live = chat.prepare("a", provider=slow)
    future = chat.start(live)
    chat.conversations.forget(chat.conversations.id, current=True)
    future.result(5)
    chat.close()
    assert (live.status, names_on_disk()) == ("interrupted", [])


@pytest.mark.usefixtures("data")
def test_what_was_kept_is_forgotten_even_if_nothing_is_kept_any_more(chat: ChatSession) -> None:
    ask(chat, "a")
    chat.persist = False
    chat.conversations.forget(chat.conversations.id, current=True)
    chat.close()
    assert names_on_disk() == []


@pytest.mark.usefixtures("data")
def test_where_nothing_is_kept_any_more_earlier_ones_are_found_to_forget_them_alone() -> None:
    earlier = kept()
    ask(earlier, "a")
    earlier.close()
    chat = kept(persist=False)
    assert (names(chat), chat.conversations.search("a")) == ([], [])
    (found,) = chat.conversations.list(to_forget=True)
    with pytest.raises(ConfigurationError, match="no conversation"):
        chat.conversations.switch(found.id)
    chat.conversations.forget(found.id[:12])
    chat.close()
    assert names_on_disk() == []


def test_looking_for_what_to_forget_begins_no_file(data: Path) -> None:
    chat = kept(persist=False)
    assert chat.conversations.list(to_forget=True) == []
    chat.close()
    assert not data.exists()


def test_what_cannot_be_forgotten_is_kept_and_said(chat: ChatSession, data: Path) -> None:
    ask(chat, "a")
    chat.close()
    with closing(sqlite3.connect(data / "chat.db")) as other:
        other.execute("PRAGMA user_version = 999")
    with pytest.raises(ConfigurationError, match="newer"):
        chat.conversations.forget(chat.conversations.id, current=True)
    assert names(chat) == ["a"]


def test_what_could_not_be_forgotten_goes_on_and_what_waited_is_written(chat: ChatSession, data: Path) -> None:
    ask(chat, "a")
    open_one = chat.conversations.id
    with closing(sqlite3.connect(data / "chat.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        chat.conversations.rename("Statistics")
        with pytest.raises(ConfigurationError, match="still there"):
            chat.conversations.forget(open_one, current=True)
    assert (chat.conversations.id, shown(chat), chat.conversations.is_private) == (open_one, ["a"], False)
    chat.close()
    assert names_on_disk() == ["Statistics"]


def test_without_a_disk_a_conversation_is_forgotten_as_well(chat: ChatSession) -> None:
    ask(chat, "a")
    chat.conversations.forget(chat.conversations.id, current=True)
    assert (names(chat), shown(chat)) == ([], [])


# --- its parts ------------------------------------------------------------------------------------------------


def test_no_part_has_many_members(chat: ChatSession) -> None:
    parts = (chat, chat.conversations, chat.turns, chat.catalog, chat.usage, chat.engine)
    for part in parts:
        members = [name for name in object.__dir__(part) if not name.startswith("_")]
        assert len(members) <= 24, (type(part).__name__, members)


def test_an_option_is_an_attribute_of_the_session(chat: ChatSession) -> None:
    chat.temperature = 0.2
    assert chat.settings.temperature == getattr(chat, "temperature") == 0.2  # noqa: B009 - for typed code it is a setting
    assert {"temperature", "model", "turns"} <= set(dir(chat))
    assert ChatSession(temperature=0.3).settings.temperature == 0.3


def test_an_option_that_is_misspelt_is_refused_with_what_may_be_meant(chat: ChatSession) -> None:
    with pytest.raises(ConfigurationError, match=r"ChatSession.temprature.*Did you mean temperature"):
        chat.temprature = 0.2
    with pytest.raises(AttributeError, match="temprature"):
        _ = chat.temprature  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="Keys"):
        chat.api_key = "sk-1"
    with pytest.raises(AttributeError):
        chat.turns = []  # type: ignore[misc,assignment]


def test_configuration_files_know_the_session_by_its_name() -> None:
    settings = Settings(config=Config({"ChatSession": {"temperature": 0.1, "model": "of the file"}}))
    assert (settings.temperature, settings.model) == (0.1, "of the file")
    assert Settings.class_get_help().startswith("ChatSession(Configurable) options")


# --- answers that must hold something -------------------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_corrected_in_the_same_turn(chat: ChatSession) -> None:
    parrot = Scripted.of("One.", "[1]", "C")
    live = chat.prepare("a", provider=parrot, schema=True)
    seen: list[LiveTurn] = []
    live.listen(seen.append)
    chat.start(live).result(5)
    assert live.reply() == "[1]"
    assert live.reply().value == [1]
    correction = live.correction
    assert correction is live.last
    assert correction is not None
    assert correction.request.notice.startswith("The response is not JSON.")
    assert set(seen) == {live, correction}
    (turn,) = chat.conversation.turns
    assert [(version.text, version.status) for version in turn.versions] == [
        ("One.", "complete"),
        ("[1]", "complete"),
    ]
    assert (turn.selected, live.at, correction.at) == (1, 0, 1)
    chat.ask_sync("c", provider=parrot)
    assert sent(parrot) == ["a", "[1]", "c"]


def test_it_is_corrected_before_the_next_turn_is_asked(chat: ChatSession) -> None:
    parrot = Scripted.of("One.", "[1]", "B")
    started = [
        chat.start(chat.prepare("a", provider=parrot, schema=True)),
        chat.start(chat.prepare("b", provider=parrot)),
    ]
    for future in started:
        future.result(5)
    assert [turn.current.text for turn in chat.conversation.turns] == ["[1]", "B"]


def test_it_is_corrected_once(chat: ChatSession) -> None:
    parrot = Scripted.of("One.", "Two.", "[3]")
    with pytest.raises(AnswerFormatError, match="Two"):
        chat.ask_sync("a", provider=parrot, schema=True)
    assert len(parrot.requests) == 2


def test_the_version_that_the_person_chose_meanwhile_stays_the_one_that_is_shown(chat: ChatSession) -> None:
    ask(chat, "a")
    slow = Scripted.of(Script(["One", "."], delay=0.2), "[1]")
    live = chat.prepare("a", provider=slow, schema=True, revises=0)
    future = chat.start(live)
    assert live.response.begun.wait(5)
    chat.turns.select(0, 0)
    future.result(5)
    assert [version.text for version in chat.conversation.turns[0].versions] == ["A", "One.", "[1]"]
    assert chat.conversation.turns[0].selected == 0


def test_stopping_the_turn_stops_its_correction(chat: ChatSession) -> None:
    slow = Scripted.of("One.", Script("[1]", delay=10))
    live = chat.prepare("a", provider=slow, schema=True)
    future = chat.start(live)
    assert live.done.wait(5)
    assert chat.turns.live == (live.correction,)
    live.cancel()
    future.result(5)
    with pytest.raises(ChatInterrupted):
        live.reply()
    assert chat.conversation.turns[0].current.status == "interrupted"


def test_what_is_stopped_is_not_corrected(chat: ChatSession) -> None:
    slow = Scripted.of(Script(["One", "."], delay=10), "[1]")
    live = chat.prepare("a", provider=slow, schema=True)
    future = chat.start(live)
    assert chat.stop() == 1
    future.result(5)
    assert live.correction is None
    assert len(chat.conversation.turns[0].versions) == 1


def test_each_of_several_models_is_corrected_and_none_is_selected_by_that(chat: ChatSession) -> None:
    one, two = Scripted.of("One.", "[1]"), Scripted.of("Two.", "[2]")
    first = chat.prepare("a", provider=one, schema=True)
    second = chat.compare(first, provider=two)
    for future in [chat.start(first), chat.start(second)]:
        future.result(5)
    assert [live.reply() for live in (first, second)] == ["[1]", "[2]"]
    (turn,) = chat.conversation.turns
    assert {version.text for version in turn.versions} == {"One.", "Two.", "[1]", "[2]"}
    assert turn.current.text == "[1]"


def test_what_a_persons_type_raises_is_raised_to_the_person(chat: ChatSession) -> None:
    @dataclass
    class Odd:
        number: int

        def __post_init__(self) -> None:
            raise ZeroDivisionError

    parrot = Scripted.of('{"number": 1}')
    with pytest.raises(ZeroDivisionError):
        chat.ask_sync("a", provider=parrot, schema=Odd)
    assert chat.conversation.turns[0].current.status == "complete"


def test_a_stream_yields_an_answer_that_fits_and_nothing_before(chat: ChatSession) -> None:
    async def pieces(**options: Any) -> list[str]:
        return [piece async for piece in chat.stream("a", **options)]

    assert "".join(asyncio.run(pieces(provider=Scripted.of(Script(["One", "."]))))) == "One."
    assert asyncio.run(pieces(provider=Scripted.of("One.", Script(["[1", "]"])), schema=True)) == ["[1]"]
    with pytest.raises(AnswerFormatError):
        asyncio.run(pieces(provider=Scripted.of("One.", "Two."), schema=True))


@pytest.mark.parametrize("from_inside", [False, True])
def test_awaited_or_asked_from_inside_a_provider_it_is_corrected_likewise(
    chat: ChatSession, *, from_inside: bool
) -> None:
    parrot = Scripted.of("One.", "[1]")
    values: list[Any] = []

    async def asks(model: str, messages: list[Any]) -> AsyncIterator[str]:  # noqa: ARG001
        values.append(chat.ask_sync("a", provider=parrot, schema=True).value)
        yield "Done."

    if from_inside:
        chat.ask_sync("b", provider=asks)
    else:
        values.append(asyncio.run(chat.ask("a", provider=parrot, schema=True)).value)
    assert values == [[1]]


def test_a_new_conversation_whose_title_holds_a_key_is_not_begun() -> None:
    chat = ChatSession(provider=Scripted.of("Yes."))
    chat.ask_sync("Is there a median?")
    before = chat.conversations.id
    with pytest.raises(ConfigurationError, match="key"):
        chat.conversations.new("ghp_" + "a1B2" * 9)
    assert chat.conversations.id == before
    chat.conversations.new("Medians", private=True)
    assert (chat.conversation.title, chat.conversations.is_private) == ("Medians", True)
