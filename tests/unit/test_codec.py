"""Values as JSON: nothing is lost on the way, and what others wrote is checked before it is believed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.core import Conversation, Origin, Timing, Turn, Version, codec
from chatanywhere_magic.core.errors import Failure, FormatError
from chatanywhere_magic.core.messages import Attachment, Document, MessageDict, Usage, encodable
from tests.unit.values import attachments, conversations, json_values, versions

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = {"prompt": "2+2?", "text": "4", "status": "complete"}


def read(**changes: Any) -> Version:
    return codec.version_from_json({**PLAIN, **changes})


# --- there and back -------------------------------------------------------------------------------------------


@given(conversations())
def test_a_conversation_comes_back_as_it_was(conversation: Conversation) -> None:
    document = codec.dumps(codec.conversation_to_json(conversation))
    assert codec.conversation_from_json(codec.loads(document)) == conversation


@given(versions())
def test_a_version_comes_back_as_it_was(version: Version) -> None:
    assert codec.version_from_json(codec.version_to_json(version)) == version


def test_what_says_nothing_is_not_written() -> None:
    assert codec.version_to_json(Version.of("2+2?", "4", status="complete")) == PLAIN


def test_zero_says_something() -> None:
    version = Version.of("2+2?", "4", status="complete", temperature=0.0, timing=Timing(1.0, 0.0), usage=Usage(0, None))
    written = codec.version_to_json(version)
    assert (written["temperature"], written["usage"]) == (0.0, {"prompt_tokens": 0})
    assert codec.version_from_json(written) == version


def test_an_empty_count_is_not_a_missing_one() -> None:
    assert codec.version_from_json(codec.version_to_json(Version.of("a", usage=Usage()))).usage == Usage()


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    version = Version.of("\ud800", "\udc00", attachments=(Document("@a", "\ud800"),), system="\ud800")
    written = codec.dumps(codec.version_to_json(version))
    written.encode()
    assert read(question="\ud800").prompt == "\ufffd"


@given(st.dictionaries(st.text(), st.one_of(json_values(), st.floats(), st.binary(), st.builds(object))))
def test_any_parameter_can_be_written_and_read_again(parameters: dict[str, Any]) -> None:
    version = Version.of("a", parameters=tuple(parameters.items()))
    written = codec.dumps(codec.version_to_json(version))
    assert len(codec.version_from_json(codec.loads(written)).parameters) == len(set(map(encodable, parameters)))


# --- what others wrote ----------------------------------------------------------------------------------------


def test_fields_of_a_later_version_are_left_alone() -> None:
    assert read(mood="cheerful", usage={"prompt_tokens": 3, "carbon": 7}).usage == Usage(3, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": 1},
        {"prompt": None},
        {"text": ["4"]},
        {"text": "x" * (codec.MAX_TEXT + 1)},
        {"model": "x" * (codec.MAX_NAME + 1)},
        {"status": "excellent"},
        {"status": True},
        {"status": ["complete"]},
        {"usage": 7},
        {"usage": {"prompt_tokens": -1}},
        {"usage": {"prompt_tokens": 1.5}},
        {"usage": {"prompt_tokens": True}},
        {"usage": {"prompt_tokens": 10**30}},
        {"timing": {"started": float("nan")}},
        {"timing": {"started": float("inf")}},
        {"timing": {"started": 10**400}},
        {"timing": {"total": "long"}},
        {"timing": []},
        {"origin": {"door": "window"}},
        {"origin": {"cell_id": 7}},
        {"temperature": "hot"},
        {"temperature": -1},
        {"parameters": []},
        {"parameters": {"a": float("nan")}},
        pytest.param({"parameters": {"a": object()}}, id="an object"),
        {"left_out": "many"},
        {"fingerprint": ["0"]},
        {"replayed": 1},
        {"attachments": {"name": "@a"}},
        {"attachments": [7]},
        {"attachments": [{"name": "a", "kind": "virus"}]},
        {"attachments": [{"name": "a", "kind": "image", "media_type": 'image/png"><script>'}]},
        {"attachments": [{"name": "a", "kind": "image", "media_type": "image/png", "data": "not base64!"}]},
    ],
    ids=str,
)
def test_what_is_not_as_it_must_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        read(**changes)


@pytest.mark.parametrize("value", [None, 7, "text", [], [PLAIN]])
def test_a_version_is_an_object(value: Any) -> None:
    with pytest.raises(FormatError):
        codec.version_from_json(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_refused() -> None:
    assert read(parameters={"a": nested(codec.MAX_DEPTH - 1)})
    with pytest.raises(FormatError):
        read(parameters={"a": nested(codec.MAX_DEPTH + 1)})
    with pytest.raises(FormatError):
        read(parameters={"a": nested(100_000)})


@pytest.mark.parametrize("selected", [1, -1, "0", None])
def test_the_selected_version_is_there(selected: Any) -> None:
    with pytest.raises(FormatError, match=r"turns\[1\]") if selected is not None else pytest.raises(FormatError):
        codec.conversation_from_json(
            {
                **codec.conversation_to_json(Conversation()),
                "turns": [{"versions": [PLAIN]}, {"versions": [PLAIN] if selected else [], "selected": selected}],
            }
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "something else"},
        {"format": None},
        {"schema": codec.SCHEMA + 1},
        {"schema": "1"},
        {"turns": {}},
        {"turns": [[]]},
        {"turns": [{}] * (codec.MAX_ITEMS + 1)},
        {"title": 7},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_conversation_is_checked_as_a_whole(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        codec.conversation_from_json({**codec.conversation_to_json(Conversation()), **changes})


def test_a_newer_schema_says_to_update() -> None:
    with pytest.raises(FormatError, match="newer version"):
        codec.check_schema({"schema": codec.SCHEMA + 1})


def test_the_message_names_the_place() -> None:
    document = codec.conversation_to_json(Conversation((Turn((Version.of("a"),)),)))
    document["turns"][0]["versions"][0]["usage"] = {"prompt_tokens": "many"}
    with pytest.raises(FormatError, match=r"turns\[0\]\.versions\[0\]\.usage\.prompt_tokens"):
        codec.conversation_from_json(document)


@given(json_values(), st.sampled_from([codec.conversation_from_json, codec.turn_from_json]))
def test_any_json_is_read_or_refused(value: Any, read: Callable[[Any], object]) -> None:
    with suppress(FormatError):
        read(value)


@given(versions(), st.data())
def test_one_wrong_field_is_read_or_refused(version: Version, data: st.DataObject) -> None:
    written = codec.version_to_json(version)
    name = data.draw(st.sampled_from(sorted(written)))
    written[name] = data.draw(json_values())
    try:
        made = codec.version_from_json(written)
    except FormatError:
        return
    assert codec.version_from_json(codec.version_to_json(made)) == made


# --- documents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[NaN]",
        "[Infinity]",
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5_000,
        b"\xff\xfe\xfa",
        b"\x00\xd8",
        "[1] trailing",
        " " * (codec.MAX_DOCUMENT + 1),
    ],
    ids=lambda document: str(document)[:20],
)
def test_what_is_no_json_is_refused(document: str | bytes) -> None:
    with pytest.raises(FormatError):
        codec.loads(document)


@pytest.mark.parametrize("document", ['\ufeff{"a": 1}', b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16")])
def test_a_byte_order_mark_does_no_harm(document: str | bytes) -> None:
    assert codec.loads(document) == {"a": 1}


# --- fingerprints ---------------------------------------------------------------------------------------------

ASKED = [MessageDict(role="user", content="2+2?")]


def test_the_same_request_has_the_same_fingerprint() -> None:
    one = codec.fingerprint("openai", "gpt", 0.5, {"a": 1, "b": [2]}, ASKED)
    assert one == codec.fingerprint("openai", "gpt", 0.5, {"b": [2], "a": 1}, json.loads(json.dumps(ASKED)))


@pytest.mark.parametrize(
    "other",
    [
        ("local", "gpt", 0.5, {}, ASKED),
        ("openai", "gpt-5", 0.5, {}, ASKED),
        ("openai", "gpt", 0.6, {}, ASKED),
        ("openai", "gpt", None, {}, ASKED),
        ("openai", "gpt", 0.5, {"seed": 1}, ASKED),
        ("openai", "gpt", 0.5, {}, [MessageDict(role="user", content="2+3?")]),
        ("openai", "gpt", 0.5, {}, [MessageDict(role="system", content=""), *ASKED]),
    ],
)
def test_another_request_has_another_fingerprint(other: tuple[Any, ...]) -> None:
    assert codec.fingerprint(*other) != codec.fingerprint("openai", "gpt", 0.5, {}, ASKED)


# --- for other people's eyes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("No such file: '/home/ann/models/tiny.gguf'", "No such file: 'tiny.gguf'"),
        ("cannot read /etc/ssl/cert.pem today", "cannot read cert.pem today"),
        (r"C:\Users\Ann\notes.txt is open", "notes.txt is open"),
        (r"\\server\share\notes.txt is open", "notes.txt is open"),
        (r"[Errno 2] 'C:\\\\Users\\\\Ann Lee\\\\a b.txt'", "[Errno 2] 'a b.txt'"),
        ("file:///home/ann/notes.txt is open", "notes.txt is open"),
        ("/home/ann and /home/bob", "ann and bob"),
        ("https://api.example.com/v1/chat refused", "https://api.example.com/v1/chat refused"),
        ("5 and/or 6, 1/2 of it", "5 and/or 6, 1/2 of it"),
        ("status 404 for /v1", "status 404 for v1"),
    ],
)
def test_an_error_does_not_show_the_machines_directories(error: str, shown: str) -> None:
    assert codec.shareable(Version.of("a", error=Failure("", error))).error == Failure("", shown)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/ann/photo.png", "photo.png"),
        (r"C:\Users\Ann\photo.png", "photo.png"),
        ("data/", "data"),
        ("photo.png", "photo.png"),
        ("@df", "@df"),
    ],
)
def test_a_file_is_named_without_its_directories(name: str, shown: str) -> None:
    (attachment,) = codec.shareable(Version.of("a", attachments=(Document(name, ""),))).attachments
    assert attachment.name == shown


def test_a_cell_is_not_named_by_the_place_of_its_notebook() -> None:
    vscode = Version.of("a", origin=Origin("cell", "vscode-notebook-cell:/home/ann/a.ipynb#W0sZmlsZQ%3D%3D", 1))
    assert codec.shareable(vscode).origin == Origin("cell", "", 1)
    jupyter = Version.of("a", origin=Origin("cell", "f7c1e8d2"))
    assert codec.shareable(jupyter) == jupyter


@given(attachments())
def test_words_are_shared_as_they_are(attachment: Attachment) -> None:
    version = Version.of("/home/ann", "C:\\Users", attachments=(replace(attachment, name="@a"),))
    assert codec.shareable(version) == version
