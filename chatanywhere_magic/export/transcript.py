"""Write a conversation as readable Markdown, and read it back.

What a page cannot show stands in comments, which are not rendered. A text that had to be taken apart (:mod:`.inert`) is
there as it was, and is taken from there unless the page was edited.
"""

from __future__ import annotations

import re
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, Final

from ..core import Conversation, FormatError, Turn, codec, phrase, text
from .inert import inert, inert_line
from .shown import selected

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK: Final = re.compile(r"chatanywhere:(\d{1,6}) ")
_SCHEMA_1: Final = {"question": "prompt", "answer": "text"}
"""What prompt and text were called in pages that an earlier version wrote."""
_FIRST: Final = re.compile(r"^<!-- chatanywhere:(\d{1,6}) conversation (\{.*\}) -->$", re.MULTILINE)


def to_markdown(conversation: Conversation) -> str:
    """Return the conversation as Markdown: the selected version of each turn that is shown."""
    conversation = selected(conversation)
    texts = [part for turn in conversation.turns for part in (turn.current.prompt, turn.current.text)]
    mark = _unused(texts)
    about = {"schema": codec.SCHEMA, "title": conversation.title}
    parts = [f"# {inert_line(conversation.name)}", _comment(mark, "conversation", about)]
    for turn in conversation.turns:
        parts += _turn(mark, turn)
    return "\n\n".join(parts) + "\n"


def _turn(mark: str, turn: Turn) -> Iterator[str]:
    version = turn.current
    values = codec.version_to_json(version)
    said = {name: values.pop(name) for name in ("prompt", "text")}
    shown = {name: inert(words) for name, words in said.items()}
    originals = {name: words for name, words in said.items() if words != shown[name]}
    yield f"## {text('export.question')}"
    if version.attachments:
        yield inert_line(", ".join(each.name for each in version.attachments))
    yield _comment(mark, "prompt", {**({"pinned": True} if turn.pinned else {}), **values, **originals})
    yield shown["prompt"]
    yield _comment(mark, "end")
    yield f"## {inert_line(version.model or version.provider or text('export.answer'))}"
    yield _comment(mark, "text")
    yield shown["text"]
    yield _comment(mark, "end")
    if version.status != "complete":
        words = [text(f"status.{version.status}"), str(version.error or "")]
        yield f"[{inert_line(' · '.join(word for word in words if word))}]"


def _unused(texts: list[str]) -> str:
    """Return a mark that stands in none of the texts, so that none can end itself."""
    used = {int(found[1]) for each in texts for found in _MARK.finditer(each)}
    return f"chatanywhere:{next(number for number in count() if number not in used)}"


def _comment(mark: str, kind: str, values: dict[str, Any] | None = None) -> str:
    # Two hyphens, or a sign that closes a tag, would end the comment.
    data = "" if values is None else " " + codec.dumps(values).replace("--", "-\\u002d").replace(">", "\\u003e")
    return f"<!-- {mark} {kind}{data} -->"


def from_markdown(document: str | bytes) -> Conversation:
    """Return the conversation in a page written by :func:`to_markdown`, with later edits.

    Raises
    ------
    FormatError
        If it is another page.
    """
    if isinstance(document, bytes):
        document = codec.decode(document)
    if len(document) > codec.MAX_DOCUMENT:
        raise FormatError(phrase("error.data_size", size=len(document), limit=codec.MAX_DOCUMENT))
    document = document.replace("\r\n", "\n").replace("\r", "\n")
    first = _FIRST.search(document)
    if first is None:
        raise FormatError(phrase("error.data_empty"))
    about = codec.loads(first[2])
    codec.check_schema(about)
    title = codec.checked_text(about.get("title", ""), "title", codec.MAX_NAME)
    return Conversation(tuple(_read_turns(document, first[1])), title).settled()


def _read_turns(document: str, number: str) -> Iterator[Turn]:
    marks = re.finditer(
        rf"^<!-- chatanywhere:{number} (prompt|question|text|answer|end)(?: (\{{.*\}}))? -->$", document, re.MULTILINE
    )
    values: dict[str, Any] = {}
    words: dict[str, str] = {}
    for index, (begin, end) in enumerate(pairwise(marks)):
        if begin[1] == "end":
            continue
        name = _SCHEMA_1.get(begin[1], begin[1])
        words[name] = document[begin.end() + 2 : end.start() - 2]
        if name == "prompt":
            values = _renamed(codec.loads(begin[2] or "{}"))
        else:
            yield _read_turn(values, words, f"turns[{index // 4}]")
            values, words = {}, {}


def _renamed(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise codec.unlike("turn", "{…}")
    return {_SCHEMA_1.get(str(name), str(name)): value for name, value in values.items()}


def _read_turn(values: dict[str, Any], words: dict[str, str], place: str) -> Turn:
    """Return a turn as it was; where somebody has edited the page, as the page has it."""
    said = {name: _as_it_was(values.get(name), written) for name, written in words.items()}
    version = codec.version_from_json({**values, **said}, place)
    if "messages" in values:
        if said["prompt"] not in {version.prompt, inert(version.prompt)}:
            version = version.with_prompt(said["prompt"])
        if said["text"] not in {version.text, inert(version.text)}:
            version = version.with_text(said["text"])
    return Turn((version,), pinned=values.get("pinned") is True)


def _as_it_was(original: Any, words: str) -> Any:
    return original if isinstance(original, str) and inert(original) == words else words
