"""Arbitrary conversations, for tests of whatever carries them from one place to another."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, get_args

from hypothesis import strategies as st

from chatanywhere_magic.core.conversation import Conversation, Origin, Status, Timing, Turn, Version
from chatanywhere_magic.core.messages import Attachment, ToolCall, Usage

names = st.text(max_size=12)
counts = st.integers(0, 2**40)
seconds = st.floats(0, 1e9)


def json_values(leaves: int = 12) -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e12, 1e12) | st.text()
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=leaves
    )


def attachments() -> st.SearchStrategy[Attachment]:
    texts = st.builds(Attachment, names, text=st.text())
    images = st.builds(
        Attachment,
        names,
        st.just("image"),
        media_type=st.sampled_from(["image/png", "image/svg+xml"]),
        data=st.binary(max_size=12).map(lambda data: b64encode(data).decode()),
    )
    return texts | images


def versions() -> st.SearchStrategy[Version]:
    parameters = st.dictionaries(names, json_values(4), max_size=3)
    return st.builds(
        Version,
        question=st.text(),
        answer=st.text(),
        reasoning=st.text(),
        status=st.sampled_from(get_args(Status)),
        provider=names,
        model=names,
        finish_reason=st.sampled_from(["", "stop", "length"]),
        tool_calls=st.lists(st.builds(ToolCall, names, names, st.text()), max_size=2).map(tuple),
        usage=st.none() | st.builds(Usage, st.none() | counts, st.none() | counts),
        error=st.text(max_size=20),
        timing=st.builds(Timing, seconds, st.none() | seconds, st.none() | seconds),
        origin=st.builds(Origin, st.sampled_from(["cell", "panel", "api"]), names, counts),
        attachments=st.lists(attachments(), max_size=2).map(tuple),
        system=st.text(max_size=20),
        temperature=st.none() | st.floats(0, 2),
        parameters=parameters.map(lambda found: tuple(sorted(found.items()))),
        left_out=counts,
        summary=st.text(max_size=20),
        fingerprint=st.sampled_from(["", "0" * 64, "f" * 64]),
        replayed=st.booleans(),
        history=st.booleans(),
    )


def turns() -> st.SearchStrategy[Turn]:
    return st.lists(versions(), min_size=1, max_size=3).flatmap(
        lambda made: st.builds(
            Turn, st.just(tuple(made)), st.integers(0, len(made) - 1), pinned=st.booleans(), hidden=st.integers(0, 3)
        )
    )


def conversations() -> st.SearchStrategy[Conversation]:
    return st.builds(Conversation, st.lists(turns(), max_size=3).map(tuple), title=names)
