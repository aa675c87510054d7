"""Arbitrary conversations, for tests of whatever carries them from one place to another."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, get_args

from hypothesis import strategies as st

from chatanywhere_magic.core import Conversation, Origin, Status, Timing, Turn, Version
from chatanywhere_magic.core.errors import Failure
from chatanywhere_magic.core.i18n import Phrase
from chatanywhere_magic.core.messages import (
    Attachment,
    Document,
    Extras,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    user_message,
)

names = st.text(max_size=12)
counts = st.integers(0, 2**40)
seconds = st.floats(0, 1e9)


def json_values(leaves: int = 12) -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e12, 1e12) | st.text()
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=leaves
    )


def images() -> st.SearchStrategy[Image]:
    data = st.binary(max_size=12).map(lambda data: b64encode(data).decode())
    return st.builds(Image, names, st.sampled_from(["image/png", "image/svg+xml"]), data)


def attachments() -> st.SearchStrategy[Attachment]:
    return st.builds(Document, names, st.text()) | images()


def extras() -> st.SearchStrategy[Extras | None]:
    return st.none() | st.builds(Extras, names, names, st.dictionaries(names, json_values(2), max_size=1))


def calls() -> st.SearchStrategy[ToolCall]:
    return st.builds(ToolCall, names, names, st.text(), extras())


def prompts() -> st.SearchStrategy[Message]:
    return st.builds(user_message, st.text(), st.lists(attachments(), max_size=2))


def responses() -> st.SearchStrategy[list[Message]]:
    """Responses of one message, as most are, and of several with the results of tools between them."""
    part = st.builds(Text, st.text()) | st.builds(Reasoning, st.text()) | calls()
    said = st.builds(Message, st.just("assistant"), st.lists(part, max_size=3).map(tuple), extras())
    result = st.builds(
        ToolResult, names, st.text(), names, st.booleans(), st.lists(images(), max_size=1).map(tuple), names
    )
    results = st.builds(Message, st.just("tool"), st.lists(result, max_size=2).map(tuple))
    return st.lists(said, max_size=1) | st.lists(said | results, max_size=3)


def failures() -> st.SearchStrategy[Failure | None]:
    fields = st.fixed_dictionaries({"host": names})
    message = st.text(max_size=20) | st.builds(Phrase, st.just("error.incomplete"), fields)
    return st.none() | st.builds(
        Failure, st.sampled_from(["", "incomplete"]), message, st.none() | counts, st.none() | seconds
    )


def versions() -> st.SearchStrategy[Version]:
    parameters = st.dictionaries(names, json_values(4), max_size=3)
    fields = {
        "status": st.sampled_from(get_args(Status)),
        "provider": names,
        "model": names,
        "finish_reason": st.sampled_from(["", "stop", "length"]),
        "usage": st.none() | st.builds(Usage, *[st.none() | counts] * 3),
        "error": failures(),
        "timing": st.builds(Timing, seconds, st.none() | seconds, st.none() | seconds),
        "origin": st.builds(Origin, st.sampled_from(["cell", "panel", "api"]), names, counts),
        "system": st.text(max_size=20),
        "temperature": st.none() | st.floats(0, 2),
        "parameters": parameters.map(lambda found: tuple(sorted(found.items()))),
        "left_out": counts,
        "sent_tokens": counts,
        "summary": st.text(max_size=20),
        "fingerprint": st.sampled_from(["", "0" * 64, "f" * 64]),
        "replayed": st.booleans(),
        "history": st.booleans(),
    }
    plain = st.builds(
        Version.of,
        st.text(),
        st.text(),
        st.text(),
        attachments=st.lists(attachments(), max_size=2),
        tool_calls=st.lists(calls(), max_size=2),
        **fields,
    )
    asked = st.lists(prompts(), min_size=1, max_size=2)
    whole = st.builds(
        lambda asked, response, **given: Version((*asked, *response), len(asked), **given), asked, responses(), **fields
    )
    return plain | whole


def turns() -> st.SearchStrategy[Turn]:
    return st.lists(versions(), min_size=1, max_size=3).flatmap(
        lambda made: st.builds(
            Turn, st.just(tuple(made)), st.integers(0, len(made) - 1), pinned=st.booleans(), hidden=st.integers(0, 3)
        )
    )


def conversations() -> st.SearchStrategy[Conversation]:
    return st.builds(Conversation, st.lists(turns(), max_size=3).map(tuple), title=names)
