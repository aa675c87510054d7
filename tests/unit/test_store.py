"""The store: what is written comes back, whoever else writes, and whatever is wrong with the file or the disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chatanywhere_magic.core import Conversation, Timing, Turn, Version
from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.core.messages import Document, Image, Message, Reasoning, Text
from chatanywhere_magic.store.processes import Process
from chatanywhere_magic.store.store import Store
from tests.support.examples import examples
from tests.unit.values import turns, versions

if TYPE_CHECKING:
    from collections.abc import Iterator


def said(question: str, answer: str = "", **fields: Any) -> Version:
    return Version.of(question, answer, **{"status": "complete", "model": "gpt", **fields})


def conversation(*questions: str, title: str = "") -> Conversation:
    return Conversation(tuple(Turn((said(question, f"about {question}"),)) for question in questions), title=title)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    store = Store.open(directory)
    yield store
    assert store.problem == ""
    store.close()


def on_disk(directory: Path, conversation_id: str) -> Conversation | None:
    """What another kernel finds."""
    store = Store.open(directory)
    found = store.load(conversation_id)
    store.close()
    return found


# --- there and back -------------------------------------------------------------------------------------------


def test_a_conversation_comes_back(store: Store, directory: Path) -> None:
    made = conversation("2+2?", "3+3?", title="Sums")
    assert store.save("a", made)
    assert on_disk(directory, "a") == made


def test_of_what_was_never_written_there_is_nothing(store: Store) -> None:
    assert store.load("a") is None
    assert store.conversations() == []
    assert store.search("anything") == []
    assert store.find_replay("0" * 64) is None


def test_an_empty_conversation_is_not_kept(store: Store) -> None:
    assert store.save("a", Conversation())
    assert store.conversations() == []


def test_what_is_loaded_stays_the_same_object_while_nobody_changes_it(store: Store) -> None:
    made = conversation("2+2?")
    store.save("a", made)
    assert store.load("a") is made


def with_more(version: Version, more: Text | Reasoning) -> Version:
    """A version as it is when more has come of its response."""
    *before, last = version.messages
    if len(before) < version.asked or last.role != "assistant":
        before, last = [*before, last], Message("assistant")
    parts = list(last.parts)
    known = parts.pop().text if parts and isinstance(parts[-1], type(more)) else ""
    return replace(version, messages=(*before, replace(last, parts=(*parts, type(more)(known + more.text)))))


class Memory(RuleBasedStateMachine):
    """Arbitrary changes of a conversation's value; the file must always hold what memory does."""

    directory: Path

    @initialize(first=turns())
    def begin(self, first: Turn) -> None:
        self.made = Conversation((first,))
        self.store = Store.open(self.directory)
        self.id = os.urandom(8).hex()

    @rule(turn=turns())
    def append(self, turn: Turn) -> None:
        self.made = replace(self.made, turns=(*self.made.turns, turn))

    @rule(data=st.data(), version=versions())
    def revise(self, data: st.DataObject, version: Version) -> None:
        index = data.draw(st.integers(0, len(self.made.turns) - 1))
        self.made = self.made.with_turn(index, self.made.turns[index].revised(version))

    @rule(data=st.data(), version=versions())
    def replace_version(self, data: st.DataObject, version: Version) -> None:
        index = data.draw(st.integers(0, len(self.made.turns) - 1))
        turn = self.made.turns[index]
        at = data.draw(st.integers(0, len(turn.versions) - 1))
        self.made = self.made.with_turn(index, turn.updated(version, at))

    @rule(data=st.data(), answer=st.text(max_size=5), reasoning=st.text(max_size=5))
    def stream(self, data: st.DataObject, answer: str, reasoning: str) -> None:
        index = data.draw(st.integers(0, len(self.made.turns) - 1))
        turn = self.made.turns[index]
        version = turn.current
        grown = replace(with_more(with_more(version, Reasoning(reasoning)), Text(answer)), status="streaming")
        self.made = self.made.with_turn(index, turn.updated(grown, turn.selected))

    @rule(data=st.data(), fields=st.fixed_dictionaries({"pinned": st.booleans(), "hidden": st.integers(0, 2)}))
    def mark(self, data: st.DataObject, fields: dict[str, Any]) -> None:
        index = data.draw(st.integers(0, len(self.made.turns) - 1))
        turn = self.made.turns[index]
        selected = data.draw(st.integers(0, len(turn.versions) - 1))
        self.made = self.made.with_turn(index, replace(turn, selected=selected, **fields))

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(1, len(self.made.turns)))
        self.made = replace(self.made, turns=self.made.turns[:kept])

    @rule(title=st.text(max_size=5))
    def rename(self, title: str) -> None:
        self.made = replace(self.made, title=title)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self.directory)

    @rule()
    def restart_and_load(self) -> None:
        self.save()
        self.store.close()
        self.store = Store.open(self.directory)
        loaded = self.store.load(self.id)
        assert loaded == self.made
        self.made = loaded

    @rule()
    def save(self) -> None:
        assert self.store.save(self.id, self.made)

    @invariant()
    def file_and_memory_agree(self) -> None:
        self.save()
        assert on_disk(self.directory, self.id) == self.made

    def teardown(self) -> None:
        self.store.close()


def test_file_and_memory_agree_after_any_changes(tmp_path: Path) -> None:
    Memory.directory = tmp_path
    run_state_machine_as_test(
        Memory, settings=settings(max_examples=examples(25), stateful_step_count=12, deadline=None)
    )


def test_the_file_is_consistent(store: Store, directory: Path) -> None:
    store.save("a", conversation("2+2?"))
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# --- work -----------------------------------------------------------------------------------------------------


def statements(store: Store, made: Conversation) -> list[str]:
    """What is executed to save `made`."""
    done: list[str] = []
    connection = store._opened().connection
    connection.set_trace_callback(done.append)
    store.save("a", made)
    connection.set_trace_callback(None)
    return [statement for statement in done if not statement.startswith("--")]  # the index's own


def test_turn_one_thousand_is_written_like_turn_two(store: Store) -> None:
    first = conversation("1")
    store.save("a", first)
    early = statements(store, first.appended(said("2")))
    long = conversation(*map(str, range(1000)))
    store.save("a", long)
    late = statements(store, long.appended(said("1000")))
    assert len(late) == len(early)


def test_of_a_growing_answer_only_the_new_text_is_written(store: Store) -> None:
    made = Conversation().appended(said("2+2?", "x" * 100_000, status="streaming"))
    store.save("a", made)
    grown = made.with_turn(0, Turn((said("2+2?", "x" * 100_000 + "new", status="streaming"),)))
    assert max(map(len, statements(store, grown))) < 1000


def test_a_picture_is_written_once(store: Store) -> None:
    photo = Image("photo.png", "image/png", "A" * 100_000)
    made = Conversation().appended(said("What is it?", status="queued", attachments=(photo,)))
    store.save("a", made)
    changed = made.with_turn(0, Turn((replace(made.turns[0].current, status="streaming"),)))
    assert max(map(len, statements(store, changed))) < 1000


def test_what_has_not_changed_is_not_written(store: Store) -> None:
    made = conversation("2+2?")
    store.save("a", made)
    assert statements(store, made) == []


# --- whose it is ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_the_files_are_for_their_owner_alone(directory: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = Store.open(directory)
        store.save("a", conversation("2+2?"))
        store.backup(directory.parent / "copy.db")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert set(modes) == {"chat.db", "chat.db-wal", "chat.db-shm"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.parent / "copy.db").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_rights_that_are_too_wide_are_taken_back(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    (directory / "chat.db").touch(mode=0o644)
    Store.open(directory).close()
    assert stat.S_IMODE((directory / "chat.db").stat().st_mode) == 0o600


# --- lists and search -----------------------------------------------------------------------------------------


def test_conversations_are_listed_the_last_first(store: Store) -> None:
    store.save("a", conversation("first", title="One"))
    store.save("b", conversation("second", "third"))
    store.save("a", conversation("first", "again", title="One"))
    assert [(each.id, each.title, each.turns, each.model) for each in store.conversations()] == [
        ("a", "One", 2, "gpt"),
        ("b", "second", 2, "gpt"),
    ]
    assert [each.id for each in store.conversations(limit=1)] == ["a"]


def test_a_conversation_is_as_old_as_its_first_turn(store: Store) -> None:
    versions = (said("a", timing=Timing(200.0)), said("b", timing=Timing(100.0)), said("c"))
    store.save("a", Conversation(tuple(Turn((version,)) for version in versions)))
    (listed,) = store.conversations()
    assert listed.started == 100.0
    assert listed.updated > 1_000_000_000


def test_a_notebook_finds_its_own(store: Store) -> None:
    store.save("a", conversation("first"), notebook="/home/ann/one.ipynb")
    store.save("b", conversation("second"), notebook="/home/ann/two.ipynb")
    assert [each.id for each in store.conversations(notebook="/home/ann/one.ipynb")] == ["a"]


SPEECH = {
    "en": said("What is a median?", "The middle value."),
    "ru": said("Что такое медиана?", "Среднее по порядку значение."),
    "zh": said("什么是中位数？", "排序后位于中间的值。"),
    "code": said("Fix it", "```python\nprint('50% \"off\"')\n```"),
}


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("median", "en"),
        ("MEDIAN middle", "en"),
        ("edia", "en"),
        ("МЕДИАНА", "ru"),
        ("по", "ru"),
        ("中位数", "zh"),
        ("中位", "zh"),
        ("值", "zh"),
        ('50% "off"', "code"),
        ("print('", "code"),
        ("median 中位数", None),
        ("AND OR NOT", None),
        ("%", "code"),
        ("_____", None),
        ("\ud800", None),
        ("\x00", None),
    ],
)
def test_search_finds_words_of_any_language(store: Store, words: str, found: str | None, with_index: bool) -> None:
    if not with_index:
        file = store._opened()
        store._file = replace(file, has_index=False)
    for name, version in SPEECH.items():
        store.save(name, Conversation().appended(version))
    assert [each.conversation_id for each in store.search(words)] == ([found] if found else [])
    assert [each.id for each in store.conversations(words)] == ([found] if found else [])


def test_what_is_found_says_where_it_stands(store: Store) -> None:
    made = conversation("one").appended(
        said("two", "x" * 500 + " the needle\nis here " + "y" * 500, timing=Timing(7.0))
    )
    store.save("a", replace(made, title="Hay"))
    (found,) = store.search("NEEDLE")
    assert (found.conversation_id, found.name, found.turn, found.version, found.asked) == ("a", "Hay", 1, 0, 7.0)
    assert "the needle is here" in found.excerpt
    assert len(found.excerpt) < 200


def test_hidden_turns_are_not_found(store: Store) -> None:
    store.save("a", conversation("visible", "secret").hiding([1]))
    assert store.search("secret") == []
    assert store.conversations("secret") == []


def test_what_is_no_longer_said_is_not_found(store: Store) -> None:
    store.save("a", conversation("before"))
    store.save("a", conversation("after"))
    assert store.search("before") == []
    assert len(store.search("after")) == 1


def test_an_answer_on_its_way_is_found(store: Store) -> None:
    store.save("a", Conversation().appended(said("2+2?", "perhaps four", status="streaming")))
    assert len(store.search("perhaps")) == 1


def test_titles_are_searched_for_conversations(store: Store) -> None:
    store.save("a", conversation("2+2?", title="Школа"))
    assert [each.id for each in store.conversations("школа 2+2")] == ["a"]


# --- replay ---------------------------------------------------------------------------------------------------


def test_a_request_finds_its_latest_complete_answer(store: Store) -> None:
    one, two = "1" * 64, "2" * 64
    answers = [
        said("a", "old", fingerprint=one),
        said("a", "new", fingerprint=one),
        said("a", "cut", fingerprint=one, status="interrupted"),
        said("a", "other", fingerprint=two),
        said("a", "none"),
    ]
    store.save("a", Conversation(tuple(Turn((answer,)) for answer in answers)))
    assert store.find_replay(one) == answers[1]
    assert store.find_replay(two) == answers[3]
    assert store.find_replay("3" * 64) is None
    assert store.find_replay("") is None


# --- forgetting -----------------------------------------------------------------------------------------------

RARE = "ꙮꙮꙮꙮ"


def traces(directory: Path) -> list[str]:
    """Return the files in which RARE, or so much as a letter of it, can be read."""
    return sorted(path.name for path in directory.iterdir() if RARE[0].encode() in path.read_bytes())


def rare_conversation() -> Conversation:
    """Return one that leaves RARE wherever a conversation can leave anything."""
    fields = {"system": RARE, "attachments": (Document(RARE, RARE),), "reasoning": RARE, "fingerprint": "f" * 64}
    long = said(RARE, f"{RARE} {'word ' * 20_000} {RARE}", **fields)
    return Conversation((Turn((long, said("again", RARE))), Turn((said("hidden", RARE),), hidden=1)), title=RARE)


def test_what_is_forgotten_is_nowhere_and_the_others_stay(store: Store, directory: Path) -> None:
    others = {name: conversation(f"about {name}", "common words") for name in ("a", "b")}
    for name, made in others.items():
        store.save(name, made)
    store.save("rare", rare_conversation(), f"/{RARE}.ipynb")
    assert traces(directory)
    assert store.forget("rare")
    assert store.load("rare") is None
    assert [listed.id for listed in store.conversations()] == ["b", "a"]
    assert store.search(RARE) == []
    assert store.find_replay("f" * 64) is None
    assert traces(directory) == []
    assert {found.conversation_id for found in store.search("common")} == {"a", "b"}
    assert {name: on_disk(directory, name) for name in others} == others


def test_of_an_answer_that_grew_no_piece_is_left(store: Store, directory: Path) -> None:
    for count in range(1, 40):
        store.save("rare", Conversation((Turn((said("q", f"{RARE} " * 100 * count, status="streaming"),)),)))
    store.save("rare", Conversation((Turn((said("q", f"{RARE} " * 4000),)),)))
    store.forget("rare")
    assert traces(directory) == []


def test_what_is_forgotten_twice_or_was_never_there_is_not_there(store: Store) -> None:
    store.save("a", conversation("2+2?"))
    assert store.forget("a")
    assert store.forget("a")
    assert store.forget("never")


def test_what_another_kernel_wrote_is_forgotten_too(store: Store, directory: Path) -> None:
    store.save("shared", conversation("first"))
    other_kernel(directory, "shared", RARE)
    assert store.forget("shared")
    assert store.conversations() == []
    assert traces(directory) == []


def test_of_a_conversation_that_became_two_the_one_that_is_meant_is_forgotten(store: Store, directory: Path) -> None:
    store.save("shared", conversation("first"))
    other_kernel(directory, "shared", "theirs")
    store.save("shared", conversation("first", "ours"))
    assert store.forget("shared")
    assert [listed.turns for listed in store.conversations()] == [2]
    assert store.search("ours") == []
    assert len(store.search("theirs")) == 1


def test_after_the_other_one_was_forgotten_ours_is_still_one_and_the_same(store: Store, directory: Path) -> None:
    store.save("shared", conversation("first"))
    other_kernel(directory, "shared", "theirs")
    ours = conversation("first", RARE)
    store.save("shared", ours)
    (theirs,) = {listed.id for listed in store.conversations()} - {"shared"}
    assert store.forget(theirs)
    assert store.load("shared") == ours
    store.save("shared", ours.appended(said("again")))
    assert [(listed.id, listed.turns) for listed in store.conversations()] == [("shared", 3)]
    assert store.forget("shared")
    assert traces(directory) == []


def test_ours_asked_anew_after_it_was_forgotten_is_none_of_the_other_one(store: Store, directory: Path) -> None:
    store.save("shared", conversation("first"))
    other_kernel(directory, "shared", "theirs")
    store.save("shared", conversation("first", "ours"))
    assert store.forget("shared")
    assert store.load("shared") is None
    store.save("shared", conversation(RARE))
    assert sorted(listed.turns for listed in store.conversations()) == [1, 2]
    assert store.forget("shared")
    assert traces(directory) == []
    assert len(store.search("theirs")) == 1


def test_what_cannot_be_removed_is_still_there(filled: Path) -> None:
    store = Store.open(filled)
    store._opened().connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(filled / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not store.forget("first")
    assert store.problem
    assert "first" in [listed.id for listed in store.conversations()]
    store.close()


# --- several kernels ------------------------------------------------------------------------------------------


def test_two_kernels_with_conversations_of_their_own(directory: Path) -> None:
    one, two = Store.open(directory), Store.open(directory)
    for count in range(1, 4):
        one.save("a", conversation(*map(str, range(count))))
        two.save("b", conversation(*map(str, range(count))))
    assert len(on_disk(directory, "a").turns) == len(on_disk(directory, "b").turns) == 3
    one.close()
    two.close()


def other_kernel(directory: Path, conversation_id: str, question: str) -> None:
    """Load a conversation in another process, ask one more question there, and end."""
    code = f"""
from pathlib import Path
from chatanywhere_magic.core.conversation import Version
from chatanywhere_magic.store import Store
store = Store.open(Path({str(directory)!r}))
made = store.load({conversation_id!r}).appended(Version.of({question!r}, "there", status="complete"))
assert store.save({conversation_id!r}, made)
store.close()
"""
    run_python(code)


def test_two_kernels_that_go_on_with_one_conversation_both_keep_theirs(directory: Path) -> None:
    store = Store.open(directory)
    made = conversation("shared")
    store.save("a", made)
    other_kernel(directory, "a", "from there")
    made = made.appended(said("from here"))
    assert store.save("a", made)
    made = made.appended(said("from here again"))
    assert store.save("a", made)
    assert store.load("a") == made
    listed = {tuple(turn.current.prompt for turn in store.load(each.id).turns) for each in store.conversations()}
    assert listed == {("shared", "from there"), ("shared", "from here", "from here again")}
    store.close()
    again = Store.open(directory)
    assert len(again.conversations()) == 2
    again.close()


def test_a_conversation_that_another_kernel_has_left_is_gone_on_with(directory: Path) -> None:
    store = Store.open(directory)
    store.save("a", conversation("shared"))
    other_kernel(directory, "a", "from there")
    loaded = store.load("a")
    assert [turn.current.prompt for turn in loaded.turns] == ["shared", "from there"]
    store.save("a", loaded.appended(said("from here")))
    assert len(store.conversations()) == 1
    store.close()


WRITER = """
import sys
from pathlib import Path
from chatanywhere_magic.core.conversation import Conversation, Version
from chatanywhere_magic.store import Store
directory, name, count, shared = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
input()  # until all are ready
store = Store.open(directory)
made = store.load(shared) or Conversation()
for number in range(count):
    made = made.appended(Version.of(f"{name}-{number}", status="queued"))
    assert store.save(shared or name, made), store.problem
    for status in ("streaming", "complete"):
        version = Version.of(f"{name}-{number}", f"answer of {name}-{number}", status=status)
        made = made.with_turn(len(made.turns) - 1, made.turns[-1].updated(version, 0))
        assert store.save(shared or name, made), store.problem
store.close()
print(store.problem)
"""


def write_at_once(directory: Path, kernels: int, count: int, shared: str = "") -> list[str]:
    """Have several processes write at the same time; return what each says was wrong."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, directory, f"kernel-{number}", str(count), shared],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(kernels)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in processes]
    assert [errors for _, errors in told] == [""] * kernels
    return [output.strip() for output, _ in told]


def questions(directory: Path) -> list[str]:
    """Every question that is stored, of complete turns."""
    store = Store.open(directory)
    stored = [
        version.prompt
        for listed in store.conversations()
        for turn in store.load(listed.id).turns
        for version in turn.versions
        if version.text == f"answer of {version.prompt}"
    ]
    store.close()
    return sorted(stored)


@pytest.mark.slow
@pytest.mark.parametrize(("kernels", "count"), [(2, 40), (8, 20)])
def test_kernels_that_write_at_once_lose_nothing(directory: Path, kernels: int, count: int) -> None:
    assert write_at_once(directory, kernels, count) == [""] * kernels
    assert questions(directory) == sorted(
        f"kernel-{each}-{number}" for each in range(kernels) for number in range(count)
    )


@pytest.mark.slow
def test_kernels_that_go_on_with_one_conversation_at_once_lose_nothing(directory: Path) -> None:
    store = Store.open(directory)
    store.save("shared", Conversation().appended(Version.of("shared-0", "answer of shared-0", status="complete")))
    store.close()
    write_at_once(directory, 4, 10, "shared")
    assert set(questions(directory)) == {"shared-0"} | {f"kernel-{each}-{n}" for each in range(4) for n in range(10)}


@pytest.mark.slow
def test_what_is_loaded_is_of_one_moment(directory: Path) -> None:
    code = """
import sys
from pathlib import Path
from chatanywhere_magic.core.conversation import Conversation, Version
from chatanywhere_magic.store import Store
store = Store.open(Path(sys.argv[1]))
made = Conversation()
for number in range(1500):
    made = made.appended(Version.of(str(number), status="complete"))
    store.save("a", made)
"""
    writer = subprocess.Popen([sys.executable, "-c", code, directory], cwd=Path(__file__).parents[2])
    store = Store.open(directory)
    while writer.poll() is None:
        loaded = store.load("a") or Conversation()
        assert [turn.current.prompt for turn in loaded.turns] == [str(n) for n in range(len(loaded.turns))]
        assert store.problem == ""
    store.close()
    assert writer.returncode == 0
    assert list(directory.glob("*.broken*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["garbage", "missing table", "zeroed page of one answer"])
def test_kernels_that_find_a_broken_file_at_once_lose_nothing(filled: Path, kind: str) -> None:
    BROKEN[kind](filled / "chat.db")
    write_at_once(filled, 4, 10)
    assert {f"kernel-{each}-{n}" for each in range(4) for n in range(10)} <= set(questions(filled))


# --- turns that were cut off ----------------------------------------------------------------------------------

STREAMING = """
import sys
from dataclasses import replace
from pathlib import Path
from chatanywhere_magic.core import Conversation, Turn, Version
from chatanywhere_magic.store import Store
store = Store.open(Path(sys.argv[1]))
made = Conversation().appended(Version.of("2+2?", status="queued"))
assert store.save("cut", made)
print("asked", flush=True)
for number in range(100_000):
    version = made.turns[0].current
    grown = replace(version.with_text(version.text + f"{number} "), status="streaming")
    made = made.with_turn(0, Turn((grown,)))
    assert store.save("cut", made)
    print(number, flush=True)
"""


@contextmanager
def streaming(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes an answer, and says what of it is in the file."""
    process = subprocess.Popen([sys.executable, "-c", STREAMING, directory], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 20, 90, 250])
def test_what_was_written_survives_kill_9(directory: Path, milliseconds: int) -> None:
    with streaming(directory) as process:
        time.sleep(milliseconds / 1000)
        process.kill()
        written = process.stdout.read().split()
    store = Store.open(directory)
    version = store.load("cut").turns[0].current
    assert (version.prompt, version.status) == ("2+2?", "interrupted")
    assert version.text.split()[: len(written)] == written
    assert [each.id for each in store.conversations("2+2?")] == ["cut"]
    assert store.problem == ""
    store.close()


def test_a_turn_of_a_kernel_that_runs_is_left_alone(directory: Path) -> None:
    with streaming(directory):
        store = Store.open(directory)
        assert store.recover() == 0
        assert store.load("cut").turns[0].current.status in {"queued", "streaming"}
        store.close()


def test_a_stopped_kernel_runs_still(directory: Path) -> None:
    with streaming(directory) as process:
        os.kill(process.pid, signal.SIGSTOP)
        store = Store.open(directory)
        assert store.recover() == 0
        store.close()


def test_a_kernel_can_cut_and_go_on_with_what_another_left(directory: Path) -> None:
    with streaming(directory):
        pass
    store = Store.open(directory)
    made = store.load("cut").appended(said("and now?"))
    store.save("cut", made)
    assert on_disk(directory, "cut") == made
    assert len(store.conversations()) == 1
    store.close()


@pytest.mark.parametrize(
    ("process", "runs"),
    [
        (Process.current(), True),
        (replace(Process.current(), started="1"), False),
        (replace(Process.current(), pid=2**22 + 1), False),
        (replace(Process.current(), machine="another"), None),
    ],
)
def test_a_process_is_known_by_more_than_its_number(process: Process, runs: bool | None) -> None:
    assert process.runs is runs


def test_the_turns_of_another_machine_end_after_a_long_silence(directory: Path) -> None:
    with streaming(directory):
        pass
    with closing(sqlite3.connect(directory / "chat.db")) as connection:
        connection.execute("UPDATE owners SET machine = 'another'")
        connection.commit()
    store = Store.open(directory)
    assert store.load("cut").turns[0].current.status in {"queued", "streaming"}
    store._opened().connection.execute("UPDATE conversations SET updated = updated - 3600")
    assert store.recover() == 1
    store.close()


# --- what can be wrong with the file --------------------------------------------------------------------------


def zero_page(path: Path, holding: bytes = b"about second") -> None:
    data = bytearray(path.read_bytes())
    at = data.index(holding) // 4096 * 4096
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)


def zero_page_of_one_answer(path: Path) -> None:
    zero_page(path, b"middle of second")


def drop_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE pieces")


def change_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"SQLite format 9\x00" + data[16:])


BROKEN = {
    "garbage": lambda path: path.write_bytes(b"\xde\xad" * 10_000),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeroed page": zero_page,
    "zeroed page of one answer": zero_page_of_one_answer,
    "wrong header": change_header,
    "missing table": drop_table,
}


@pytest.fixture
def filled(directory: Path) -> Path:
    """A directory in which something is stored, and closed properly."""
    fill(directory)
    return directory


def fill(directory: Path) -> None:
    store = Store.open(directory)
    for name in ("first", "second", "third"):
        answer = f"about {name} {'.' * 6_000} middle of {name} {'.' * 6_000}"
        store.save(name, Conversation((Turn((said(name, answer),)),)))
    store.close()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_set_aside_and_the_chat_goes_on(filled: Path, kind: str) -> None:
    BROKEN[kind](filled / "chat.db")
    broken = (filled / "chat.db").read_bytes()
    store = Store.open(filled)
    for name in ("first", "second", "third"):
        store.load(name)
    store.search("second")
    made = conversation("and now?")
    assert store.save("new", made)
    assert "chat.db.broken-" in store.problem
    (aside,) = filled.glob("chat.db.broken-*[0-9]")
    assert aside.read_bytes() == broken
    store.close()
    again = Store.open(filled)
    assert again.load("new") == made
    assert again.problem == ""
    again.close()


def test_what_can_be_read_of_a_broken_file_is_taken_over(filled: Path) -> None:
    BROKEN["zeroed page of one answer"](filled / "chat.db")
    store = Store.open(filled)
    store.load("second")
    assert {each.id for each in store.conversations()} == {"first", "second", "third"}
    for name in ("first", "third"):
        version = store.load(name).turns[0].current
        assert (version.prompt, version.status, version.model) == (name, "complete", "gpt")
        assert f"middle of {name}" in version.text
    lost = store.load("second").turns[0].current
    assert (lost.prompt, lost.text, lost.status) == ("second", "", "interrupted")
    store.close()


def test_a_table_that_is_missing_takes_no_other_with_it(filled: Path) -> None:
    BROKEN["missing table"](filled / "chat.db")
    store = Store.open(filled)
    for name in ("first", "second", "third"):
        assert store.load(name).turns[0].current.text.startswith(f"about {name}")
    store.close()


def test_a_file_that_breaks_under_way_loses_nothing_of_this_kernel(filled: Path) -> None:
    store = Store.open(filled)
    made = conversation("one")
    store.save("mine", made)
    store.close()
    BROKEN["garbage"](filled / "chat.db")
    other = conversation("two")
    assert store.save("other", other)
    assert store.load("mine") == made
    store.close()
    assert on_disk(filled, "mine") == made
    assert on_disk(filled, "other") == other


def test_a_file_that_was_taken_away_is_made_again(filled: Path) -> None:
    store = Store.open(filled)
    made = conversation("one")
    store.save("mine", made)
    for path in filled.iterdir():
        path.unlink()
    made = made.appended(said("two"))
    assert store.save("mine", made)
    assert on_disk(filled, "mine") == made
    store.close()


def test_kernels_that_find_the_same_broken_file_end_up_with_one(filled: Path) -> None:
    one, two = Store.open(filled), Store.open(filled)
    one.save("one", conversation("one"))
    two.save("two", conversation("two"))
    one.close()
    two.close()
    BROKEN["garbage"](filled / "chat.db")
    assert one.save("one", conversation("one", "again"))
    assert two.save("two", conversation("two", "again"))
    assert len(on_disk(filled, "one").turns) == len(on_disk(filled, "two").turns) == 2
    assert len(list(filled.glob("chat.db.broken-*"))) == 1
    one.close()
    two.close()


def test_a_newer_file_is_left_as_it_is(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "chat.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = (filled / "chat.db").read_bytes()
    store = Store.open(filled)
    made = conversation("one")
    assert not store.save("a", made)
    assert "newer version" in store.problem
    assert store.load("a") == made
    store.close()
    assert (filled / "chat.db").read_bytes() == before
    assert len(list(filled.glob("chat.db.*"))) == 0


# --- while it cannot be written -------------------------------------------------------------------------------


def assert_goes_on(store: Store, words: str) -> Conversation:
    """Check that a store which cannot write does all it can, and says what is wrong."""
    made = conversation("kept in memory " + "." * 50_000)
    assert not store.save("a", made)
    assert words in store.problem
    made = made.appended(said("and more", fingerprint="1" * 64))
    assert not store.save("a", made)
    assert store.load("a") == made
    assert [(each.id, each.turns) for each in store.conversations("memory")] == [("a", 2)]
    assert [each.turn for each in store.search("more")] == [1]
    assert store.find_replay("1" * 64) == made.turns[1].current
    return made


def assert_recovers(store: Store, directory: Path, made: Conversation) -> None:
    store._retry_at = 0.0
    made = made.appended(said("later"))
    assert store.save("a", made)
    assert store.problem == ""
    assert on_disk(directory, "a") == made


def test_a_full_disk_is_waited_for(filled: Path) -> None:
    store = Store.open(filled)
    connection = store._opened().connection
    connection.execute("PRAGMA max_page_count = 1")  # SQLite's own limit; it then says what it says of a full disk
    made = assert_goes_on(store, "disk is full")
    assert {each.id for each in store.conversations()} == {"a", "first", "second", "third"}
    connection.execute("PRAGMA max_page_count = 1000000")
    assert_recovers(store, filled, made)
    store.close()


def test_a_locked_file_is_waited_for(filled: Path) -> None:
    store = Store.open(filled)
    store._opened().connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(filled / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        made = assert_goes_on(store, "locked")
        other.execute("ROLLBACK")
    assert_recovers(store, filled, made)
    store.close()


def test_while_something_is_wrong_nobody_waits_each_time(filled: Path) -> None:
    store = Store.open(filled)
    store._opened().connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(filled / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.save("a", conversation("one"))
        done: list[str] = []
        store._opened().connection.set_trace_callback(done.append)
        store.save("a", conversation("two"))
        assert done == []
    store.close()
    assert on_disk(filled, "a") == conversation("two")


def run_python(code: str, *arguments: object, **options: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr


LIMITED = """
import resource, sys
from pathlib import Path
from tests.unit.test_store import assert_goes_on, assert_recovers
from chatanywhere_magic.store import Store
directory = Path(sys.argv[1])
store = Store.open(directory)
store.load("first")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
made = assert_goes_on(store, "cannot be saved")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert_recovers(store, directory, made)
store.close()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_a_limit_of_the_system_is_waited_for(filled: Path) -> None:
    run_python(LIMITED, filled)


READ_ONLY = """
import os, sys, urllib.parse  # what Python would load later, when it may no longer read itself
from pathlib import Path
from tests.unit.test_store import assert_goes_on
from chatanywhere_magic.store import Store
if os.getuid() == 0:
    os.setuid(65534)  # root may write everywhere
directory = Path(sys.argv[1])
store = Store.open(directory)
if (directory / "chat.db").exists():
    assert store.load("first").turns[0].current.prompt == "first"
    assert len(store.search("about second")) == 1
assert_goes_on(store, "is not writable")
if (directory / "chat.db").exists():
    assert len(store.search("about third")) == 1
    writing_first = Store(directory / "chat.db")
    assert_goes_on(writing_first, "is not writable")
    assert len(writing_first.search("about second")) == 1
    writing_first.close()
store.close()
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that everybody can reach: pytest's own are for one person."""
    if os.name == "nt":
        pytest.skip("Windows has no such rights")
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["directory", "file", "both"])
def test_what_may_only_be_read_is_read(open_to_all: Path, kind: str) -> None:
    filled = open_to_all / "data"
    fill(filled)
    (filled / "chat.db").chmod(0o666 if kind == "directory" else 0o444)
    filled.chmod(0o777 if kind == "file" else 0o555)
    run_python(READ_ONLY, filled)
    assert list(filled.glob("*broken*")) == []
    filled.chmod(0o777)


@pytest.mark.slow
def test_where_nothing_can_be_made_the_chat_goes_on(open_to_all: Path) -> None:
    (open_to_all / "closed").mkdir(mode=0o555)
    run_python(READ_ONLY, open_to_all / "closed" / "data")


def test_a_file_in_the_place_of_the_directory_stops_nobody(directory: Path) -> None:
    directory.write_text("in the way")
    store = Store.open(directory)
    assert_goes_on(store, "cannot be saved")
    store.close()


# --- copies ---------------------------------------------------------------------------------------------------


def test_a_backup_holds_what_was_written_last(store: Store, tmp_path: Path) -> None:
    made = conversation("2+2?")
    store.save("a", made)
    copies = tmp_path / "copies"
    copies.mkdir()
    store.backup(copies / "chat.db")
    assert on_disk(copies, "a") == made


def test_a_backup_that_does_not_work_is_said(store: Store, tmp_path: Path) -> None:
    store.save("a", conversation("2+2?"))
    with pytest.raises(ConfigurationError, match="copy\\.db"):
        store.backup(tmp_path / "nowhere" / "copy.db")


def test_a_closed_store_opens_again(directory: Path) -> None:
    store = Store.open(directory)
    store.close()
    assert store.save("a", conversation("2+2?"))
    store.close()
    assert on_disk(directory, "a") == conversation("2+2?")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_opens_the_file_for_itself(directory: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from chatanywhere_magic.store import Store
from tests.unit.test_store import conversation
store = Store.open(Path(sys.argv[1]))
store.save("parent", conversation("one"))
child = os.fork()
if not child:
    done = store.save("child", conversation("two"))
    store.close()
    os._exit(not done)
assert os.waitpid(child, 0)[1] == 0
assert store.save("parent", conversation("one", "two"))
store.close()
"""
    run_python(code, directory)
    assert on_disk(directory, "child") == conversation("two")
    assert on_disk(directory, "parent") == conversation("one", "two")
