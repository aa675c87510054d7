"""Conversations in files: what each format carries comes back, and what others wrote is data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatanywhere_magic.core import ENDED, Conversation, Origin, Turn, Version, codec
from chatanywhere_magic.core.errors import Failure, FormatError
from chatanywhere_magic.core.i18n import set_language
from chatanywhere_magic.core.messages import Document, Image
from chatanywhere_magic.export.formats import (
    FORMATS,
    export,
    format_of,
    from_json,
    from_markdown,
    from_messages,
    from_notebook,
    read,
    to_json,
    to_jsonl,
    to_markdown,
    to_messages,
    to_notebook,
)
from chatanywhere_magic.export.notebook import KEY
from chatanywhere_magic.export.shown import selected, shown
from chatanywhere_magic.render.display import METADATA_KEY, turn_metadata
from tests.support.examples import examples
from tests.unit.test_inert import PIECES, alive
from tests.unit.values import conversations, json_values


def said(question: str, answer: str = "", **fields: Any) -> Version:
    return Version.of(question, answer, **{"status": "complete", "model": "gpt", **fields})


def conversation(*versions: Version, title: str = "") -> Conversation:
    return Conversation(tuple(Turn((version,)) for version in versions), title)


SUMS = conversation(said("2+2?", "It is **4**."), said("And in Python?", "So:\n```python\n2 + 2\n```\nThat is all."))
markdowns = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@st.composite
def written_conversations(draw: st.DrawFn) -> Conversation:
    """Conversations whose texts are full of Markdown."""
    made = draw(conversations())
    return replace(
        made,
        turns=tuple(
            replace(
                turn,
                versions=tuple(
                    version.with_prompt(draw(markdowns)).with_text(draw(markdowns)) for version in turn.versions
                ),
            )
            for turn in made.turns
        ),
    )


# --- there and back -------------------------------------------------------------------------------------------


@given(conversations())
def test_json_carries_all_that_is_shown(made: Conversation) -> None:
    assert from_json(to_json(made)) == shown(made)


@settings(max_examples=examples(60))
@given(st.one_of(conversations(), written_conversations()))
def test_markdown_carries_the_selected_versions(made: Conversation) -> None:
    assert from_markdown(to_markdown(made)) == selected(made)
    assert from_markdown(to_markdown(made).replace("\n", "\r\n").encode()) == selected(made)


@settings(max_examples=examples(60))
@given(st.one_of(conversations(), written_conversations()))
def test_a_clean_notebook_carries_the_selected_versions(made: Conversation) -> None:
    made = replace(made, turns=(*made.turns, Turn((said("2+2?", "4"),))))
    rebuilt = from_notebook(to_notebook(made))
    assert (rebuilt.conversation, rebuilt.left_out) == (selected(made), 0)


@given(conversations())
def test_messages_carry_what_a_model_would_be_sent(made: Conversation) -> None:
    made = conversation(said("2+2?", "4"), *(turn.current for turn in selected(made).turns))
    sent = made.messages_before(len(made.turns))
    for there, back in (
        (to_messages, from_messages),
        (to_jsonl, lambda document: read(document, "jsonl").conversation),
    ):
        again = back(there(made))
        assert again.messages_before(len(again.turns)) == sent
        assert there(again) == there(made)


def test_a_system_prompt_is_carried_where_it_holds() -> None:
    made = conversation(said("a", "A", system="Be brief."), said("b", "B", system="Be long."), said("c", "C"))
    assert [each["role"] for each in json.loads(to_messages(made))] == [
        *("system", "user", "assistant", "system", "user", "assistant", "system", "user", "assistant")
    ]
    assert [turn.current.system for turn in from_messages(to_messages(made)).turns] == ["Be brief.", "Be long.", ""]


def test_a_line_of_jsonl_is_a_conversation() -> None:
    (line,) = to_jsonl(SUMS).splitlines()
    assert json.loads(line) == {"messages": json.loads(to_messages(SUMS))}


# --- what is exported -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_taken_back_is_not_exported(name: str) -> None:
    made = conversation(said("2+2?", "4"), said("secret", "secret")).hiding([1])
    assert "2+2" in export(made, name)
    assert "secret" not in export(made, name)


@pytest.mark.parametrize("name", FORMATS)
def test_no_path_of_the_machine_is_exported(name: str) -> None:
    version = said(
        "2+2?",
        "4",
        status="interrupted",
        error=Failure("", "cannot read '/home/smith/model.gguf'"),
        attachments=(Document("/home/smith/notes.txt", "hello"),),
        origin=Origin("cell", "vscode-notebook-cell:/home/smith/a.ipynb#X1"),
    )
    assert "smith" not in export(conversation(version), name)


@pytest.mark.parametrize("name", FORMATS)
def test_the_text_says_the_same_for_the_same_conversation(name: str) -> None:
    assert export(SUMS, name) == export(SUMS, name)
    export(SUMS, name).encode()


@given(markdowns, markdowns, markdowns)
def test_exported_markdown_neither_runs_nor_fetches(question: str, answer: str, words: str) -> None:
    made = conversation(
        said(
            question, answer, status="failed", error=Failure("", words), model=words, attachments=(Document(words, ""),)
        ),
        title=words,
    )
    page = to_markdown(made)
    assert set(alive(page)) <= {"html_block", "block_html"}
    assert alive("\n".join(line for line in page.splitlines() if not line.startswith("<!-- chatanywhere:"))) == []
    for cell in json.loads(to_notebook(made))["cells"]:
        assert cell["cell_type"] == "code" or alive(cell["source"]) == []


def test_a_page_reads_well() -> None:
    made = conversation(
        said("What is a median?", "The middle."),
        said("And?", "Cut", status="interrupted", attachments=(Document("@df", "1"),)),
        title="Medians",
    )
    lines = [line for line in to_markdown(made).splitlines() if line and not line.startswith("<!--")]
    assert lines == [
        "# Medians",
        *("## Prompt", "What is a median?", "## gpt", "The middle."),
        *("## Prompt", "@df", "And?", "## gpt", "Cut", "[■ stopped]"),
    ]


@pytest.mark.parametrize(
    "text", ["<!-- chatanywhere:0 end -->", "\n<!-- chatanywhere:0 question {} -->\n", "-->", "# a\n"]
)
def test_no_text_can_end_its_own_place_on_a_page(text: str) -> None:
    made = conversation(said(text, text, error=Failure("", text), system=text), said(text, text))
    assert from_markdown(to_markdown(made)) == made


def test_what_was_edited_on_a_page_counts() -> None:
    page = to_markdown(conversation(said("2+2?", "It is <b>5</b>.")))
    edited = page.replace("2+2?", "3+2?").replace("It is \\<b>5\\</b>.", "Five.")
    version = from_markdown(edited).turns[0].current
    assert (version.prompt, version.text, version.model) == ("3+2?", "Five.", "gpt")


# --- clean notebooks ------------------------------------------------------------------------------------------


def cells(document: str) -> list[tuple[str, str]]:
    return [(cell["cell_type"], cell["source"]) for cell in json.loads(document)["cells"]]


def test_questions_and_answers_are_cells_and_python_is_code() -> None:
    assert cells(to_notebook(replace(SUMS, title="Sums"))) == [
        ("markdown", "# Sums"),
        ("markdown", "**Prompt**\n\n2+2?"),
        ("markdown", "It is **4**."),
        ("markdown", "**Prompt**\n\nAnd in Python?"),
        ("markdown", "So:"),
        ("code", "2 + 2"),
        ("markdown", "That is all."),
    ]


def test_other_languages_and_cut_code_do_not_become_cells_that_could_be_run() -> None:
    made = conversation(said("a", "```bash\nrm -r x\n```"), said("b", "```python\nrm", status="interrupted"))
    assert [kind for kind, _ in cells(to_notebook(made))] == ["markdown"] * 6
    assert cells(to_notebook(made))[-1] == ("markdown", "[■ stopped]")


@given(written_conversations())
@settings(max_examples=examples(30))
def test_notebooks_are_valid(made: Conversation) -> None:
    nbformat.validate(nbformat.reads(to_notebook(made), as_version=4))


def test_a_notebook_is_read_in_another_language() -> None:
    document = to_notebook(conversation(said("2+2?", "4", status="interrupted")))
    set_language("ru")
    assert from_notebook(document).conversation == conversation(said("2+2?", "4", status="interrupted"))


def test_what_was_edited_in_a_clean_notebook_counts() -> None:
    notebook = json.loads(to_notebook(SUMS))
    question, answer, code = notebook["cells"][1], notebook["cells"][2], notebook["cells"][5]
    question["source"] = "**Question**\n\n2+3?"
    answer["source"] = ["It is\n", "5."]
    code["source"] = "2 + 3"
    notebook["cells"].insert(3, {"cell_type": "markdown", "metadata": {}, "source": "My own note."})
    first, second = from_notebook(json.dumps(notebook)).conversation.turns
    assert (first.current.prompt, first.current.text) == ("2+3?", "It is\n5.")
    assert second.current.text == "So:\n\n```python\n2 + 3\n```\n\nThat is all."


# --- notebooks in which a conversation was held ---------------------------------------------------------------


def output(version: Version, turn: int | None = 0, number: int = 0, conversation: str = "c1") -> dict[str, Any]:
    """What a cell's output holds."""
    data = {"text/html": "<p>", "text/plain": version.text or "[stopped]"}
    metadata = {METADATA_KEY: turn_metadata(version, conversation=conversation, turn=turn, number=number)}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def cell(*outputs: dict[str, Any], name: str = "") -> dict[str, Any]:
    identity = {"id": name} if name else {}
    return {"cell_type": "code", "source": "%%chat", "metadata": {}, "outputs": list(outputs), **identity}


def notebook(*cells: Any, **more: Any) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more})


def opened(document: str | bytes) -> list[tuple[str, str]]:
    turns = from_notebook(document).conversation.turns
    return [(turn.current.prompt, turn.current.text) for turn in turns]


def test_what_is_shown_and_what_is_read_are_under_the_same_key() -> None:
    assert METADATA_KEY == KEY


def test_no_path_of_the_machine_stands_in_an_output() -> None:
    version = said(
        "a", error=Failure("", "/home/smith/x"), origin=Origin("cell", "vscode-notebook-cell:/home/smith/a.ipynb#X1")
    )
    assert "smith" not in json.dumps(output(version))


def test_a_conversation_is_rebuilt_in_the_notebooks_order() -> None:
    document = notebook(
        {"cell_type": "markdown", "source": "# Notes", "metadata": {}},
        cell(output(said("second", "B"), turn=1)),
        cell({"output_type": "stream", "name": "stdout", "text": "hi"}),
        cell(output(said("first", "A"), turn=0), output(said("third", "C"), turn=2)),
    )
    assert opened(document) == [("second", "B"), ("first", "A"), ("third", "C")]


def test_all_that_was_known_of_a_turn_comes_back() -> None:
    version = said(
        "Who?",
        "Ada.",
        provider="openai",
        system="Be brief.",
        temperature=0.2,
        parameters=(("seed", 1),),
        attachments=(Document("@df", "1"),),
        origin=Origin("cell", "abc", 1),
        fingerprint="0" * 64,
    )
    assert from_notebook(notebook(cell(output(version), name="abc"))).conversation == conversation(version)


def test_a_turn_belongs_to_the_cell_in_which_it_stands() -> None:
    moved = output(said("a", "A", origin=Origin("cell", "old", 2)))
    panel = output(said("b", "B", origin=Origin("panel")), turn=1)
    first, second = from_notebook(notebook(cell(moved, panel, name="new"))).conversation.turns
    assert first.current.origin == Origin("cell", "new", 2)
    assert second.current.origin == Origin("panel")


def test_several_versions_of_a_turn_are_one_turn() -> None:
    document = notebook(
        cell(output(said("a", "A2"), number=1)), cell(output(said("b", "B"), turn=1)), cell(output(said("a", "A1")))
    )
    first, second = from_notebook(document).conversation.turns
    assert [version.text for version in first.versions] == ["A1", "A2"]
    assert (first.current.text, second.current.text) == ("A2", "B")


def test_a_copied_cell_is_the_same_turn() -> None:
    assert opened(notebook(cell(output(said("a", "A"))), cell(output(said("a", "A"))))) == [("a", "A")]


def test_turns_of_two_conversations_are_different_turns() -> None:
    document = notebook(cell(output(said("a", "A"))), cell(output(said("b", "B"), conversation="c2")))
    assert opened(document) == [("a", "A"), ("b", "B")]


def test_turns_without_a_place_are_turns_of_their_own() -> None:
    outputs = [output(said(name, name.upper()), turn=None) for name in "ab"]
    assert opened(notebook(cell(*outputs))) == [("a", "A"), ("b", "B")]


def test_what_was_asked_aside_is_no_part_of_it() -> None:
    aside = output(said("aside", "X", history=False), turn=None)
    assert opened(notebook(cell(aside, output(said("a", "A"))))) == [("a", "A")]
    assert from_notebook(notebook(cell(aside, output(said("a", "A"))))).left_out == 0


@pytest.mark.parametrize("status", ["interrupted", "failed", "streaming"])
def test_turns_that_did_not_end_well_are_not_good_answers(status: str) -> None:
    (turn,) = from_notebook(notebook(cell(output(said("a", "", status=status))))).conversation.turns
    assert turn.current.text == ""
    assert turn.current.status in ENDED - {"complete"}


def saved_by_vscode(document: str) -> str:
    """Texts as lists of lines, and metadata of its own beside ours."""
    value = json.loads(document)
    for each in value["cells"]:
        for output in each.get("outputs", []):
            output["data"] = {name: words.splitlines(keepends=True) for name, words in output["data"].items()}
            output["metadata"]["vscode"] = {"languageId": "markdown"}
        each["metadata"] = {"vscode": {"languageId": "python"}}
    return json.dumps(value)


def saved_by_papermill(document: str) -> str:
    value = json.loads(document)
    value["nbformat_minor"] = 4
    value["metadata"] = {"papermill": {"duration": 1.0, "exception": None}}
    for each in value["cells"]:
        each.pop("id", None)
        each["metadata"] = {"papermill": {"status": "completed"}, "tags": []}
    return json.dumps(value, indent=1)


def saved_by_nbformat(document: str) -> str:
    return nbformat.writes(nbformat.reads(document, as_version=4))


@pytest.mark.parametrize("save", [saved_by_vscode, saved_by_papermill, saved_by_nbformat])
def test_whoever_saved_the_notebook_it_can_be_read(save: Any) -> None:
    document = notebook(
        cell(output(said("a\nb", "A\n\n```\nB\n```\n")), name="one"), cell(output(said("c", "C"), turn=1), name="two")
    )
    assert opened(save(document)) == [("a\nb", "A\n\n```\nB\n```\n"), ("c", "C")]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": 7},
        {"status": "splendid"},
        {"schema": 99},
        {"turn": "first"},
        {"turn": -1},
        {"number": 1e9},
        {"conversation": ["c1"]},
        {"usage": "many"},
        {"attachments": [{"name": "x", "kind": "image", "media_type": "text/html", "data": "<"}]},
        {"text": {"$ref": "#"}},
        {"prompt": "x" * (codec.MAX_TEXT + 1)},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_is_not_as_it_must_be_is_left_out_and_counted(change: dict[str, Any]) -> None:
    bad = output(said("bad", "BAD"), turn=1)
    bad["metadata"][KEY].update(change)
    rebuilt = from_notebook(notebook(cell(output(said("a", "A")), bad)))
    assert [turn.current.prompt for turn in rebuilt.conversation.turns] == ["a"]
    assert rebuilt.left_out == 1


@given(st.one_of(json_values(30), st.lists(json_values(30)).map(lambda cells: {"cells": cells})))
def test_any_json_is_no_notebook_of_ours(value: Any) -> None:
    with pytest.raises(FormatError):
        from_notebook(json.dumps(value))


@settings(max_examples=examples(200))
@given(st.data())
def test_a_notebook_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    value = json.loads(notebook(cell(output(said("a", "A")), name="x"), *json.loads(to_notebook(SUMS))["cells"]))
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for name, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
            spots.append((node, name))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(value)
    for node, name in data.draw(st.lists(st.sampled_from(spots), max_size=3)):
        node[name] = data.draw(json_values())
    try:
        rebuilt = from_notebook(json.dumps(value))
    except FormatError:
        return
    to_notebook(rebuilt.conversation)
    to_json(rebuilt.conversation)


# --- what others wrote ----------------------------------------------------------------------------------------


def test_messages_of_others_are_read() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "assistant", "content": "A picture."},
        {"role": "assistant", "content": "Of a cat."},
        {"role": "user", "content": "Thanks"},
    ]
    first, second = from_messages(json.dumps({"model": "gpt", "messages": messages})).turns
    assert first.current.prompt.strip() == "What is this?"
    assert first.current.text == "A picture.\n\nOf a cat."
    assert first.current.system == "Be brief."
    assert first.current.attachments == (Image("1.png", "image/png", "AAAA"),)
    assert (second.current.prompt, second.current.status) == ("Thanks", "interrupted")


def test_a_picture_from_the_network_is_not_fetched() -> None:
    content = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "https://attacker/x.png"}}]
    (turn,) = from_messages(json.dumps([{"role": "user", "content": content}])).turns
    assert (turn.current.prompt, turn.current.attachments) == ("See", ())


def test_lines_of_messages_are_a_conversation() -> None:
    lines = "".join(json.dumps(each) + "\n" for each in json.loads(to_messages(SUMS)))
    assert to_messages(read(lines.encode(), "a.jsonl").conversation) == to_messages(SUMS)


def test_several_conversations_are_not_made_into_one() -> None:
    several = to_jsonl(SUMS) * 2
    with pytest.raises(FormatError, match="2 conversations"):
        read(several, "a.jsonl")
    assert to_messages(read(several, "a.jsonl", 2).conversation) == to_messages(SUMS)
    with pytest.raises(FormatError, match="2 conversations"):
        read(several, "a.jsonl", 3)


def test_system_prompts_in_a_row_are_one() -> None:
    system = [{"role": "system", "content": "One."}, {"role": "developer", "content": "Two."}]
    asked = {"role": "user", "content": "Hi"}
    (turn,) = from_messages(json.dumps([*system, asked])).turns
    assert turn.current.system == "One.\n\nTwo."
    (turn,) = from_messages(json.dumps({"system": [{"type": "text", "text": "One."}], "messages": [asked]})).turns
    assert turn.current.system == "One."
    first, second = from_messages(json.dumps([system[0], asked, system[1], asked])).turns
    assert (first.current.system, second.current.system) == ("One.", "Two.")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "document", ["", "{}", "[]", "null", "[1]", '"text"', "# A page\n", b"\xff\xfe\x00", '[{"role": 1}]', "[" * 9999]
)
def test_what_is_no_conversation_is_refused(name: str, document: str | bytes) -> None:
    with pytest.raises(FormatError):
        read(document, name)


@given(st.text(), st.sampled_from(sorted(FORMATS)))
def test_any_text_is_refused_in_one_line(document: str, name: str) -> None:
    with pytest.raises(FormatError):
        read(document, name)


def test_a_page_with_a_thousand_marks_takes_no_longer_than_it_is_long() -> None:
    page = to_markdown(SUMS)
    mark = "<!-- chatanywhere:0 question {} -->\n"
    assert len(from_markdown(page + mark * 50_000).turns) == 2


# --- which format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_read_in_the_format_it_was_written_in(name: str) -> None:
    again = read(export(SUMS, name).encode(), "out/chat." + name if name != "messages" else name).conversation
    assert [turn.current.text for turn in again.turns] == [turn.current.text for turn in SUMS.turns]


def test_messages_are_known_from_a_conversation_by_their_look() -> None:
    assert len(read(to_messages(SUMS), "chat.json").conversation.turns) == 2


@pytest.mark.parametrize("name", ["chat.docx", "", "chat", "pdf"])
def test_other_formats_are_named_as_such(name: str) -> None:
    with pytest.raises(FormatError, match="ipynb, json"):
        format_of(name)
