"""What an earlier version wrote is read: its database, and every format of its exports."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.core.conversation import Conversation, Version
from chatanywhere_magic.core.errors import Failure
from chatanywhere_magic.core.messages import Document, Image, Message, Text, ToolCall, ToolResult
from chatanywhere_magic.export import read
from chatanywhere_magic.store import database
from chatanywhere_magic.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITTEN = Path(__file__).parents[1] / "data" / "schema-1"
"""Six turns and one that was cut off, as the version before messages with parts wrote them."""
CALL = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
FAILED = Failure("", "openai: too many requests just now. Try again in 20 s.")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    shutil.copy(WRITTEN / "chat.db", tmp_path / "chat.db")
    (tmp_path / "chat.db").chmod(0o600)
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


def said(conversation: Conversation) -> list[tuple[str, str, str]]:
    return [(turn.current.prompt, turn.current.text, turn.current.status) for turn in conversation.turns]


def loaded(store: Store, conversation_id: str = "0" * 32) -> Conversation:
    conversation = store.load(conversation_id)
    assert conversation is not None, store.problem
    return conversation


SAID = [
    ("What is the median?", "The value in the middle.", "complete"),
    ("Объясни @df", "Таблица с двумя столбцами.", "complete"),
    ("用一个词回答", "中位", "interrupted"),
    ("Weather?", "", "complete"),
    ("And then?", "", "failed"),
]


class TestTheDatabase:
    def test_every_field_of_it_is_read(self, store: Store) -> None:
        conversation = loaded(store)
        assert said(conversation) == SAID
        first, second, _, fourth, fifth = conversation.turns
        assert first.versions[0].reasoning == "Think of an example."
        assert (first.versions[0].origin.source, first.versions[0].origin.cell_id) == ("cell", "f7c1e8d2")
        assert (second.pinned, second.current.attachments) == (
            True,
            (Document("@df", "a b\n1 2"), Image("p.png", "image/png", "iVBORw0KGgo=")),
        )
        assert (fourth.current.tool_calls, fourth.current.parameters) == ((CALL,), (("max_tokens", 100),))
        assert fifth.current.error == FAILED

    def test_of_a_response_that_was_cut_off_the_text_so_far_is_kept(self, store: Store) -> None:
        assert said(loaded(store, "1" * 32).settled()) == [("Going on", "Half of an answer", "interrupted")]

    def test_it_is_searched_as_before(self, store: Store) -> None:
        assert [(found.conversation_id, found.turn) for found in store.search("middle value")] == [("0" * 32, 0)]
        assert [found.turn for found in store.search("столбцами")] == [1]
        assert [listed.id for listed in store.conversations("中位")] == ["0" * 32]

    def test_it_is_gone_on_with_and_keeps_results_of_tools(self, store: Store, tmp_path: Path) -> None:
        conversation = loaded(store)
        result = Message("tool", (ToolResult("call_1", "18 °C", "get_weather"),))
        called = Message("assistant", (CALL,))
        asked = Message("user", (Text("Weather?"),))
        version = Version((asked, called, result, Message("assistant", (Text("Sunny."),))), status="complete")
        assert store.save("0" * 32, conversation.appended(version)), store.problem
        store.close()
        again = Store.open(tmp_path)
        assert loaded(again).turns[-1].current == version
        assert [found.turn for found in again.search("Sunny")] == [len(conversation.turns)]
        again.close()

    def test_its_schema_is_raised_once(self, store: Store, tmp_path: Path) -> None:
        loaded(store)
        store.close()
        with sqlite3.connect(tmp_path / "chat.db") as connection:
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            columns = [row[1] for row in connection.execute("PRAGMA table_info(versions)")]
        connection.close()
        assert number == len(database._MIGRATIONS)
        assert {"prompt", "text", "messages"} <= set(columns)


@pytest.mark.parametrize("name", ["schema-1.json", "schema-1.md", "schema-1.ipynb"])
def test_its_exports_are_read_whole(name: str) -> None:
    rebuilt = read((WRITTEN / name).read_bytes(), name)
    assert (said(rebuilt.conversation), rebuilt.left_out) == (SAID, 0)
    assert rebuilt.conversation.title == "Medians"
    turns = rebuilt.conversation.turns
    assert turns[1].current.attachments[0] == Document("@df", "a b\n1 2")
    assert (turns[3].current.tool_calls, turns[4].current.error) == ((CALL,), FAILED)


@pytest.mark.parametrize("name", ["schema-1.messages.json", "schema-1.jsonl"])
def test_its_messages_are_read(name: str) -> None:
    rebuilt = read((WRITTEN / name).read_bytes(), name.replace(".messages", ""))
    assert [turn.current.prompt.partition("\n")[0] for turn in rebuilt.conversation.turns] == [
        prompt for prompt, text, _ in SAID if text
    ]
