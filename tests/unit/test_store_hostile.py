"""A store into which somebody else has written: what can be read of it is read, and nothing of it is run."""

from __future__ import annotations

import base64
import errno
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, Scripted
from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.keys import DIRECTORY_VARIABLE
from chatanywhere_magic.store import Store, database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


def conversation(*questions: str) -> Conversation:
    return Conversation(tuple(Turn((Version.of(each, f"about {each}", status="complete"),)) for each in questions))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store with three conversations."""
    store = Store.open(tmp_path / "data")
    for name in ("first", "second", "third"):
        assert store.save(name, conversation(f"question {name}"))
    store.close()
    return tmp_path / "data"


def tamper(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "chat.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    store = Store(directory / "chat.db")
    yield store
    store.close()


INDEXES = {
    "no data": ["DELETE FROM search_index_data"],
    "other data": ["UPDATE search_index_data SET block = x'00112233445566778899'"],
    "no table below": ["DELETE FROM sqlite_master WHERE name = 'search_index_data'"],
    "a table of another kind": ["DROP TABLE search_index", "CREATE TABLE search_index (prompt, text)"],
    "other columns": ["DROP TABLE search_index", "CREATE VIRTUAL TABLE search_index USING fts5 (something)"],
}


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize("first", ["search", "save"])
def test_a_broken_index_is_made_again(directory: Path, store: Store, kind: str, first: str) -> None:
    tamper(directory, *INDEXES[kind])
    if first == "save":
        assert store.save("fourth", conversation("question fourth"))
    assert {each.id for each in store.conversations()} >= {"first", "second", "third"}
    assert [each.id for each in store.conversations("second")] == ["second"]
    assert [each.conversation_id for each in store.search("about third")] == ["third"]
    assert store.save("fifth", conversation("question fifth"))
    assert [each.conversation_id for each in store.search("question fifth")] == ["fifth"]
    assert list(directory.glob("*broken*")) == []
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        assert database.is_index_whole(connection)
        found = connection.execute("SELECT count(*) FROM search_index WHERE search_index MATCH 'question'").fetchone()
    assert found[0] == (5 if first == "save" else 4)


@pytest.mark.parametrize(
    "change",
    [
        "updated = 'yesterday'",
        "updated = 9e999, started = -9e999",
        "updated = x'00', started = x'00', turns = 'many', model = x'ff', notebook = 7",
        "name = x'00ff'",
        "name = CAST(x'ff00' AS TEXT)",
    ],
)
def test_one_odd_row_hides_no_other(directory: Path, store: Store, change: str) -> None:
    tamper(directory, f"UPDATE conversations SET {change} WHERE id = 'second'")  # noqa: S608 - the test's own
    found = store.conversations()
    assert {each.id for each in found} == {"first", "second", "third"}
    assert all(0 <= each.updated < 1e12 and 0 <= each.started < 1e12 and each.turns >= 0 for each in found)


ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    "statements",
    [
        [
            "ALTER TABLE conversations RENAME TO hidden",
            f"CREATE VIEW conversations AS {ENDLESS} SELECT hidden.* FROM hidden, n",  # noqa: S608 - the test's own
        ],
        [f"CREATE VIEW other AS {ENDLESS} SELECT x FROM n"],  # noqa: S608 - the test's own
        ["CREATE TRIGGER whenever AFTER UPDATE ON conversations BEGIN UPDATE versions SET text = 'other'; END"],
    ],
)
def test_views_and_triggers_are_refused(directory: Path, store: Store, statements: list[str]) -> None:
    tamper(directory, *statements)
    began = time.monotonic()
    store.conversations()
    assert store.save("new", conversation("question new"))
    assert time.monotonic() - began < 20
    assert "chat.db.broken-" in store.problem
    assert "new" in {each.id for each in store.conversations()}
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        found = connection.execute("SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone()
        answers = connection.execute("SELECT text FROM versions").fetchall()
    assert found == (0,)
    assert ("other",) not in answers


def test_a_view_in_a_file_that_may_only_be_read(directory: Path) -> None:
    tamper(
        directory,
        "ALTER TABLE conversations RENAME TO hidden",
        f"CREATE VIEW conversations AS {ENDLESS} SELECT hidden.* FROM hidden, n",  # noqa: S608 - the test's own
    )
    with closing(database.connect_to_read(directory / "chat.db")) as connection:
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (3,)
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("SELECT * FROM conversations")


@pytest.mark.parametrize(
    "change",
    [
        "status = 'odd'",
        "text = x'ff00'",
        "text = CAST(x'ff00' AS TEXT)",
        "prompt = 5",
        "fields = 'none'",
        "fields = x'00'",
        "number = 7",
        "turn = 'first'",
        "fingerprint = x'00'",
    ],
)
def test_bad_rows_raise_nothing(directory: Path, store: Store, change: str) -> None:
    tamper(
        directory,
        f"UPDATE versions SET {change} WHERE conversation = (SELECT key FROM conversations WHERE id = 'second')",  # noqa: S608 - the test's own
    )
    store.load("second")
    store.save("second", conversation("a new question"))
    assert "third" in {each.conversation_id for each in store.search("question")}
    loaded = store.load("third")
    assert loaded is not None
    assert loaded.turns[0].current.prompt == "question third"
    odd = store.load("second")
    assert odd is None or all(isinstance(turn.current.prompt, str) for turn in odd.turns)
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "turns SET hidden = 'odd'",
        "turns SET hidden = x'00'",
        "turns SET hidden = 9223372036854775807",
        "turns SET hidden = 1e400",
        "turns SET selected = 'odd'",
        "turns SET pinned = 'odd'",
        "conversations SET title = x'ff00'",
        "versions SET text = 'a' || char(0) || 'b'",
        "versions SET text = CAST(x'eda080' AS TEXT)",
        """versions SET fields = '{"timing":{"started":1e400},"usage":{"prompt_tokens":NaN}}'""",
        """versions SET messages = '{"messages":[],"asked":0}'""",
    ],
)
def test_a_conversation_with_odd_rows_is_gone_on_with(directory: Path, store: Store, change: str) -> None:
    tamper(directory, f"UPDATE {change}")
    loaded = store.load("second")
    assert loaded is not None
    shown = loaded.restored()
    assert len(shown.visible) == 1
    hidden = shown.hiding([0])
    assert len(hidden.visible) == 0
    assert store.save("second", hidden.restored().appended(Version.of("more", "about more", status="complete")))
    assert all(block.latest < 10 for block in loaded.all.blocks)
    assert store.search("more")
    assert store.conversations("more")
    store.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_drive_without_locks_keeps_nobody_waiting(
    directory: Path, store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def lockf(*_arguments: object) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", lockf)
    began = time.monotonic()
    for number_of in range(3):
        assert not store.save("new", conversation(*"abc"[: number_of + 1]))
        store._retry_at = 0.0
    assert time.monotonic() - began < 1
    assert "locked" in store.problem
    assert list(directory.glob("*broken*")) == []


def test_a_file_that_another_program_keeps_locked_is_waited_for_once(directory: Path, store: Store) -> None:
    with closing(sqlite3.connect(directory / "chat.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        store.save("new", conversation("a"))
        began = time.monotonic()
        store._retry_at = 0.0
        store.save("new", conversation("a", "b"))
        assert time.monotonic() - began < 2


def test_a_huge_answer_is_written_soon_and_found_all_the_same(directory: Path, store: Store) -> None:
    """Without the index, in which its words would take longer than its turn."""
    letters = base64.b64encode(random.Random(1).randbytes(6_000_000)).decode()  # noqa: S311 - any will do
    answer = f"{letters} needle"
    made = Conversation((Turn((Version.of("Numbers?", answer, status="complete"),)),))
    began = time.process_time()
    assert store.save("huge", made)
    assert time.process_time() - began < 2
    assert [each.conversation_id for each in store.search("needle")] == ["huge"]
    assert store.forget("huge")
    assert store.search("needle") == []
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        assert database.is_index_whole(connection)


def test_a_locked_file_keeps_one_prompt_waiting_for_a_moment_and_the_others_not_at_all(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(directory))
    chat = ChatSession(provider=Scripted.of(*["Yes."] * 3))
    chat.conversations.keep("")
    seconds = []
    with closing(sqlite3.connect(directory / "chat.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for number in range(3):
            began = time.monotonic()
            chat.ask_sync(f"asked meanwhile {number}")
            seconds.append(time.monotonic() - began)
    assert seconds[0] < database.BUSY_SECONDS / 2
    assert seconds[1] + seconds[2] < seconds[0]
    assert len([warning for warning in chat.conversations.take_warnings() if "locked" in warning]) == 1
    chat.close()
    assert len(Store.open(directory).search("meanwhile")) == 3
