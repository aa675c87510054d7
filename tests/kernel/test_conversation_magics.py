"""The magics of the conversation: what they show, change and refuse."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.testing.server import Answer
from tests.kernel.conftest import LOAD
from tests.kernel.seen import evaluate, the_answer, the_error_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer


def ask(kernel: Kernel, *questions: str) -> None:
    for question in questions:
        assert kernel.run(f"%chat {question}").status == "ok"


def shown(kernel: Kernel) -> list[str]:
    questions: list[str] = evaluate(kernel, "[turn.current.prompt for _, turn in chat.conversation.visible]")
    return questions


def table(result: Result) -> list[list[str]]:
    """Return the rows of the one table that was shown, its header first, and the note below it."""
    assert result.status == "ok", result
    (output,) = (each for each in result.outputs if each["output_type"] == "display_data")
    lines = output["data"]["text/plain"].splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def page(result: Result) -> str:
    (output,) = (each for each in result.outputs if each["output_type"] == "display_data")
    html: str = output["data"]["text/html"]
    return html


# --- history --------------------------------------------------------------------------------------------------


def test_the_history_shows_each_turn_with_its_status_versions_and_tokens(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["four"], usage=(11, 2)), Answer(status=400, raw=[b"{}"]), Answer(text=["4"]))
    kernel.run("%chat 2+2?")
    kernel.run("%chat fails")
    kernel.run("%chat_retry 1")
    kernel.run("%chat_pin 1")
    header, _, first, second, *_ = table(kernel.run("%chat_history"))
    assert header == ["prompt", "response", "status", "versions", "tokens"]
    assert first == ["1", "2+2?", "4", "pinned", "2/2", "7 + 3"]
    assert second[:2] == ["2", "fails"]
    assert "not sent" in second[-1]


def test_the_history_says_what_the_next_question_leaves_out(kernel: Kernel) -> None:
    ask(kernel, *(f"{number} {'word ' * 60}" for number in range(4)))
    kernel.run("chat.budget = 330")
    *rows, note = table(kernel.run("%chat_history"))
    assert ["left out" in " ".join(row) for row in rows[2:]] == [True, True, False, False]
    assert "the next prompt leaves out the oldest 2" in " ".join(note)


def test_the_history_in_full_shows_answers_as_they_are_and_runs_nothing(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["**bold** <script>alert(1)</script>"]))
    ask(kernel, "<b>question</b>")
    result = kernel.run("%chat_history --full")
    assert "<strong>bold</strong>" in page(result)
    assert "<script>" not in page(result)
    assert "<b>" not in page(result)
    short = kernel.run("%chat_history")
    assert "<script>" not in page(short)
    assert "<b>" not in page(short)


def test_the_history_as_json_is_the_whole_conversation(kernel: Kernel) -> None:
    ask(kernel, "a", "b")
    kernel.run("%chat_undo")
    document = json.loads(kernel.run("%chat_history --json").stdout)
    assert [turn["versions"][0]["prompt"] for turn in document["turns"]] == ["a", "b"]
    assert document["turns"][1]["hidden"] == 1


def test_an_empty_history_says_so(kernel: Kernel) -> None:
    assert kernel.run("%chat_history").stdout == "This conversation has no turns yet.\n"


# --- undo, delete, clear, pin, rename -------------------------------------------------------------------------


def test_undo_hides_the_last_turn_and_back_shows_it_again(kernel: Kernel, server: LocalServer) -> None:
    ask(kernel, "a", "b")
    assert "“b”" in kernel.run("%chat_undo").stdout
    ask(kernel, "c")
    assert [message["content"] for message in server.requests[-1].messages][::2] == ["a", "c"]
    assert kernel.run("%chat_undo --back").stdout == "Restored: 1.\n"
    assert shown(kernel) == ["a", "b", "c"]
    assert "nothing" in kernel.run("%chat_undo --back").stdout


def test_delete_hides_all_that_it_names_or_nothing(kernel: Kernel) -> None:
    ask(kernel, "a", "b")
    assert "There is no turn 9." in the_error_line(kernel.run("%chat_delete 1 9"))
    assert shown(kernel) == ["a", "b"]


def test_a_provider_of_ones_own_fails_in_one_line(kernel: Kernel) -> None:
    kernel.run(
        "async def mine(model, messages):\n    yield 'a'\n    raise ValueError('one\\ntwo')\nchat.provider = mine"
    )
    assert "The provider mine failed with ValueError: one two" in the_error_line(kernel.run("%chat Hello"))


def test_delete_and_clear_hide_turns_by_their_numbers(kernel: Kernel) -> None:
    ask(kernel, "a", "b", "c")
    kernel.run("%chat_delete 1 3")
    assert shown(kernel) == ["b"]
    assert "Turns hidden: 1." in kernel.run("%chat_clear").stdout
    assert shown(kernel) == []
    for _ in range(3):
        kernel.run("%chat_undo --back")
    assert shown(kernel) == ["a", "b", "c"]


def test_a_title_stays(kernel: Kernel) -> None:
    ask(kernel, "a")
    assert "“Medians and {means}”" in kernel.run("%chat_rename Medians and {means}").stdout
    assert evaluate(kernel, "chat.conversation.title") == "Medians and {means}"


def test_a_pin_is_set_and_taken_away(kernel: Kernel) -> None:
    ask(kernel, "a", "b")
    assert "“b”" in kernel.run("%chat_pin").stdout
    assert evaluate(kernel, "[turn.pinned for turn in chat.conversation.turns]") == [False, True]
    kernel.run("%chat_pin 2 --off")
    assert evaluate(kernel, "[turn.pinned for turn in chat.conversation.turns]") == [False, False]


# --- versions -------------------------------------------------------------------------------------------------


def test_retry_streams_another_answer_in_the_same_place(kernel: Kernel, server: LocalServer) -> None:
    ask(kernel, "a", "b")
    server.queue(Answer(text=["another", " answer"], model="other"))
    display = the_answer(kernel.run("%chat_retry -m other 1"))
    assert display.data["text/plain"] == "another answer"
    assert server.requests[-1].json["model"] == "other"
    assert [message["content"] for message in server.requests[-1].messages] == ["a"]
    assert evaluate(kernel, "[len(turn.versions) for turn in chat.conversation.turns]") == [2, 1]


@pytest.mark.parametrize("first", [["*One*."], ["A paragraph of *some* words.\n\n"] * 100])
def test_the_cell_that_asked_shows_the_version_that_is_sent(
    kernel: Kernel, server: LocalServer, first: list[str]
) -> None:
    server.queue(Answer(text=first, delay=0.005), Answer(text=["*Two*."], reasoning=["Hm."]))
    cell = kernel.run("%chat Hello")
    (before,) = cell.outputs
    before = dict(before)
    again = the_answer(kernel.run("%chat_retry"))
    (shown,) = cell.outputs
    assert shown["data"] == again.data
    assert shown["metadata"] == again.metadata
    assert shown["metadata"]["chatanywhere"]["number"] == 1
    kernel.run("%chat_versions --select 1")
    (shown,) = cell.outputs
    assert (shown["data"], shown["metadata"]) == (before["data"], before["metadata"])


def test_it_keeps_what_it_shows_where_the_new_version_is_no_answer_to_its_question(
    kernel: Kernel, server: LocalServer
) -> None:
    server.queue(Answer(text=["One."]), Answer(status=400, raw=[b"{}"]), Answer(text=["Two."]))
    cell = kernel.run("%chat Hello")
    assert kernel.run("%chat_retry").status == "error"
    kernel.run("live = chat.turns.revise(0, 'Another question'); chat.start(live).result(5)")
    kernel.run("%chat_versions --select 3")
    (shown,) = cell.outputs
    assert shown["data"]["text/plain"] == "One."


def test_it_shows_of_the_new_version_what_was_to_be_left_of_the_first(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["```\n1\n```"]), Answer(text=["Words.\n\n```\n2\n```"]))
    cell = kernel.run("x = %chat -f code Hello")
    kernel.run("%chat_retry")
    (shown,) = cell.outputs
    assert shown["data"]["text/plain"] == "2"
    assert shown["metadata"]["chatanywhere"]["text"].startswith("Words.")


def test_where_no_cell_has_shown_the_turn_the_retry_is_where_it_is_shown(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["One."]), Answer(text=["Two."]), Answer(text=["Three."]))
    kernel.run("chat.ask_sync('Hello')")
    retry = kernel.run("%chat_retry")
    kernel.run("%chat_retry")
    (shown,) = retry.outputs
    assert shown["data"]["text/plain"] == "Three."


def test_a_turn_that_is_deleted_while_it_is_retried_was_interrupted(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["One."]), Answer(text=["Two "], hold=threading.Event()), Answer(text=["Three."]))
    cell = kernel.run("%chat Hello")
    running = kernel.start(
        "chat.conversations.listen(lambda _, live: live and live.version.text and chat.turns.delete(0))\n%chat_retry"
    )
    assert running.wait().errors[0].ename == "ChatInterrupted"
    kernel.run("%chat_undo --back")
    kernel.run("%chat_retry")
    (shown,) = cell.outputs
    assert shown["data"]["text/plain"] == "Three."


def test_versions_are_compared_and_chosen(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["first"]), Answer(text=["second"]))
    ask(kernel, "a")
    kernel.run("%chat_retry")
    rows = table(kernel.run("%chat_versions"))
    assert [row[2] for row in rows[2:4]] == ["a", "a"] or [row[1] for row in rows[2:4]] == ["a", "a"]
    assert "▸" in kernel.run("%chat_versions --select 1").outputs[0]["data"]["text/plain"].splitlines()[2]
    ask(kernel, "b")
    assert [message["content"] for message in server.requests[-1].messages] == ["a", "first", "b"]


# --- conversations --------------------------------------------------------------------------------------------


def test_conversations_are_listed_and_gone_on_with_by_number_id_or_words(kernel: Kernel) -> None:
    kernel.run("%chat_new Statistics")
    ask(kernel, "what is a median")
    kernel.run("%chat_new")
    ask(kernel, "what is a tuple")
    rows = table(kernel.run("%chat_switch"))
    listed = [row for row in rows if "Statistics" in row or "what is a tuple" in row]
    assert len(listed) == 2
    number = next(row[row.index("Statistics") - 1] for row in listed if "Statistics" in row)
    assert "“Statistics”" in kernel.run(f"%chat_switch {number}").stdout
    assert shown(kernel) == ["what is a median"]
    kernel.run("%chat_switch a tuple")
    assert shown(kernel) == ["what is a tuple"]
    conversation = evaluate(kernel, "next(each.id for each in chat.conversations.list() if each.title == 'Statistics')")
    result = kernel.run(f"%chat_switch {conversation[:8]}")
    assert shown(kernel) == ["what is a median"]
    assert "what is a median" in page(result)


def test_words_that_mean_several_conversations_list_those(kernel: Kernel) -> None:
    for number in range(2):
        kernel.run("%chat_new")
        ask(kernel, f"ambiguity {number}")
    result = kernel.run("%chat_switch ambiguity")
    assert "Several conversations match" in page(result)
    assert shown(kernel) == ["ambiguity 1"]
    kernel.run("%chat_switch 2")
    assert shown(kernel) == ["ambiguity 0"]


def test_a_fork_goes_on_by_itself(kernel: Kernel) -> None:
    ask(kernel, "a", "b", "c")
    assert "turns: 2" in kernel.run("%chat_fork 2").stdout
    ask(kernel, "d")
    assert shown(kernel) == ["a", "b", "d"]


def test_search_finds_words_in_all_conversations(kernel: Kernel, server: LocalServer) -> None:
    kernel.run("%chat_new Numbers")
    server.queue(Answer(text=["The quick zebra is 42."]))
    ask(kernel, "what is the zebra")
    kernel.run("%chat_new")
    ask(kernel, "something else")
    rows = table(kernel.run("%chat_search ZEBRA"))
    assert any("Numbers" in row for row in rows)
    kernel.run("%chat_switch 1")
    assert shown(kernel) == ["what is the zebra"]
    assert kernel.run("%chat_search unheard-of-word").stdout == "Nothing found.\n"


def test_a_private_conversation_is_said_to_be_one(kernel: Kernel) -> None:
    assert "private" in kernel.run("%chat_new --private").stdout
    assert evaluate(kernel, "chat.conversations.is_private")
    kernel.run("%chat_new")
    assert not evaluate(kernel, "chat.conversations.is_private")


def three_conversations(kernel: Kernel) -> dict[str, str]:
    """Hold three conversations and no other, of which the last is open, and return their ids by title."""
    kernel.run("for each in chat.conversations.list(): chat.conversations.forget(each.id, current=True)")
    for title in ("Statistics", "Italian verbs", "Garden"):
        kernel.run(f"%chat_new {title}")
        ask(kernel, f"a question on {title}")
    ids: dict[str, str] = evaluate(kernel, "{each.title: each.id for each in chat.conversations.list()}")
    return ids


def titles(kernel: Kernel) -> set[str]:
    return set(evaluate(kernel, "[each.title for each in chat.conversations.list()]"))


def test_a_conversation_is_forgotten_by_its_title_id_or_number(kernel: Kernel) -> None:
    ids = three_conversations(kernel)
    assert kernel.run("%chat_forget italian verbs").stdout == (
        f"Deleted for good: “Italian verbs” (turns: 1, {ids['Italian verbs'][:8]}).\n"
    )
    assert titles(kernel) == {"Statistics", "Garden"}
    assert "“Statistics”" in kernel.run(f"%chat_forget {ids['Statistics'][:8]}").stdout
    assert titles(kernel) == {"Garden"}
    kernel.run("%chat_new")
    rows = table(kernel.run("%chat_forget"))
    number = next(row[row.index("Garden") - 1] for row in rows if "Garden" in row)
    assert "“Garden”" in kernel.run(f"%chat_forget {number}").stdout
    assert titles(kernel) == set()
    assert "no conversation" in the_error_line(kernel.run(f"%chat_forget {number}"))


@pytest.mark.parametrize("which", ["question on stat", "{id:.4}"])
def test_what_may_only_be_meant_is_listed_and_not_forgotten(kernel: Kernel, which: str) -> None:
    ids = three_conversations(kernel)
    result = kernel.run(f"%chat_forget {which.format(id=ids['Statistics'])}")
    assert "Nothing was deleted" in page(result) if "question" in which else the_error_line(result)
    assert titles(kernel) == {"Statistics", "Italian verbs", "Garden"}


def test_a_number_before_there_was_a_list_forgets_nothing(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel()
    kernel.run(LOAD)
    three_conversations(kernel)
    kernel.run("%chat_new")
    assert "Garden" in page(kernel.run("%chat_forget 1"))
    assert titles(kernel) == {"Statistics", "Italian verbs", "Garden"}
    assert "“Garden”" in kernel.run("%chat_forget 1").stdout


def test_where_a_turn_was_shown_is_known_without_what_was_asked(kernel: Kernel) -> None:
    ask(kernel, "what is a median")
    kernel.run("from chatanywhere_magic.magics import outputs")
    assert evaluate(kernel, "'_Place' in str(vars(outputs))")
    kernel.run("%chat_forget --current")
    assert not evaluate(kernel, "'what is a median' in str(vars(outputs))")


def test_one_can_be_forgotten_where_nothing_is_kept_any_more(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel()
    kernel.run(LOAD)
    three_conversations(kernel)
    kernel.restart()
    kernel.run(LOAD)
    kernel.run("chat.persist = False")
    assert "Garden" in page(kernel.run("%chat_forget"))
    assert "“Garden”" in kernel.run("%chat_forget Garden").stdout
    kernel.run("chat.persist = True")
    assert titles(kernel) == {"Statistics", "Italian verbs"}


def test_the_open_conversation_is_forgotten_only_if_that_is_said(kernel: Kernel) -> None:
    three_conversations(kernel)
    assert "--current" in the_error_line(kernel.run("%chat_forget Garden"))
    assert shown(kernel) == ["a question on Garden"]
    assert "“Garden”" in kernel.run("%chat_forget --current").stdout
    assert shown(kernel) == []
    assert titles(kernel) == {"Statistics", "Italian verbs"}
    assert kernel.run("%chat_forget --current").stdout == "This conversation has no turns yet.\n"
    assert "'Statistics'" in the_error_line(kernel.run("%chat_forget --current Statistics"))
    assert titles(kernel) == {"Statistics", "Italian verbs"}


# --- mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%chat_delete 7", ("no turn 7", "%chat_history")),
        ("%chat_delete one", ("'one'",)),
        ("%chat_delete", ("NUMBER",)),
        ("%chat_retry 0", ("'0'",)),
        ("%chat_versions --select 5", ("no version 5",)),
        ("%chat_switch no such conversation", ("no such conversation",)),
        ("%chat_history --ful", ("--full",)),
        ("%chat_undo --bakc", ("--back",)),
    ],
)
def test_a_mistake_is_answered_in_one_line(kernel: Kernel, line: str, words: tuple[str, ...]) -> None:
    ask(kernel, "a")
    result = kernel.run(line)
    said = the_error_line(result)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "magic",
    ["history", "switch", "undo", "retry", "fork", "delete", "clear", "rename", "pin", "versions", "search", "new"],
)
def test_every_magic_has_its_help(kernel: Kernel, magic: str) -> None:
    ask(kernel, "a")
    help_text = kernel.run(f"%chat_{magic} --help").stdout
    assert help_text.startswith("usage: %chat_")
    assert shown(kernel) == ["a"]


# --- files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["md", "json", "ipynb", "jsonl"])
def test_what_is_exported_is_imported_again(kernel: Kernel, ending: str) -> None:
    ask(kernel, "what is a median", "and a mean")
    assert "turns: 2" in kernel.run(f"%chat_export talk.{ending}").stdout
    before = evaluate(kernel, "[turn.current.text for turn in chat.conversation.turns]")
    kernel.run("%chat_new")
    assert f"talk.{ending} (turns: 2)" in kernel.run(f"%chat_import talk.{ending}").stdout
    assert shown(kernel) == ["what is a median", "and a mean"]
    assert evaluate(kernel, "[turn.current.text for turn in chat.conversation.turns]") == before


def test_a_file_is_never_written_over_unasked(kernel: Kernel) -> None:
    ask(kernel, "a")
    kernel.run("from pathlib import Path\nPath('kept.md').write_text('mine')")
    assert "--force" in the_error_line(kernel.run("%chat_export kept.md"))
    assert evaluate(kernel, "Path('kept.md').read_text()") == "mine"
    assert kernel.run("%chat_export --force kept.md").status == "ok"
    assert evaluate(kernel, "Path('kept.md').read_text()") != "mine"


def test_without_a_file_the_conversation_is_printed(kernel: Kernel) -> None:
    ask(kernel, "a question")
    assert "a question" in kernel.run("%chat_export").stdout
    messages = json.loads(kernel.run("%chat_export - -f messages").stdout)
    assert "a question" in json.dumps(messages)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%chat_export talk.docx", "docx"),
        ("%chat_export no/such/directory/talk.md", "no/such/directory"),
        ("%chat_import missing.json", "missing.json"),
        ("%chat_export ~nobodyxyz/talk.md", "~nobodyxyz"),
        ("%chat_import ~nobodyxyz/talk.md", "~nobodyxyz"),
        ("%chat_import this", "%chat_import FILE.ipynb"),
    ],
)
def test_files_that_cannot_be_are_refused_in_one_line(kernel: Kernel, line: str, words: str) -> None:
    ask(kernel, "a")
    assert words in the_error_line(kernel.run(line))
    assert shown(kernel) == ["a"]


def test_a_file_that_holds_no_conversation_changes_nothing(kernel: Kernel) -> None:
    ask(kernel, "a")
    kernel.run("from pathlib import Path\nPath('evil.json').write_text('{\"format\": [[[]]]}')")
    the_error_line(kernel.run("%chat_import evil.json"))
    assert shown(kernel) == ["a"]


def test_a_file_without_end_is_not_read_to_its_end(kernel: Kernel) -> None:
    kernel.run("import os\nos.symlink('/dev/zero', 'endless.json')")
    assert "too large" in the_error_line(kernel.run("%chat_import endless.json"))


def test_words_from_others_do_not_steer_a_terminal(kernel: Kernel, server: LocalServer) -> None:
    server.queue(Answer(text=["\x1b[2Jcleared"]))
    ask(kernel, "a")
    kernel.run("%chat_rename \x1b]0;evil\x07title")
    for line in ("%chat_export", "%chat_export x.md", "%chat_export --force x.json", "%chat_import x.json"):
        assert not {"\x1b", "\x07"} & set(kernel.run(line).stdout)
