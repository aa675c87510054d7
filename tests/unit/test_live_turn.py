"""A turn on its way: its text so far, read from any thread for the price of what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import ChatInterrupted, ChatSession, Scripted
from chatanywhere_magic.core.messages import Reasoning, Text

if TYPE_CHECKING:
    from chatanywhere_magic.session.live_turn import LiveTurn


def live_turn() -> LiveTurn:
    return ChatSession().prepare("Hello", provider=Scripted)


@given(st.lists(st.sampled_from(["a", "word ", "é", "中", "🙂", "\ud83d", "\ude42", "\ud83d\ude42"])), st.data())
def test_what_is_read_piece_by_piece_is_the_text(chunks: list[str], data: st.DataObject) -> None:
    live = live_turn()
    read, position = "", 0
    for chunk in chunks:
        live.take(Text(chunk))
        if data.draw(st.booleans()):
            fresh, position = live.answer_since(position)
            read += fresh
            assert position == len(read)
    live.end("complete")
    read += live.answer_since(position)[0]
    assert read == live.version.text
    assert read == "".join(chunks).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_any_position_can_be_read_from() -> None:
    live = live_turn()
    for chunk in ("one ", "two ", "three"):
        live.take(Text(chunk))
    for position in range(14):
        assert live.answer_since(position) == ("one two three"[position:], 13)


def test_half_an_emoji_waits_for_its_other_half() -> None:
    live = live_turn()
    live.take(Text("a\ud83d"))
    assert live.answer_since(0) == ("a", 1)
    live.take(Text("\ude42"))
    assert live.answer_since(1) == ("🙂", 2)


def test_the_reasoning_is_read_likewise() -> None:
    live = live_turn()
    live.take(Reasoning("Let me"))
    live.take(Reasoning(" think."))
    assert live.reasoning_since(3) == (" me think.", 13)


@pytest.mark.parametrize(
    ("deltas", "said"),
    [
        ([], "Stopped before the first word of the response."),
        ([Text("One")], "Stopped; the text so far is kept."),
        ([Reasoning("Let me")], "Stopped; the text so far is kept."),
    ],
)
def test_what_is_said_to_be_kept_is_there(deltas: list[Text | Reasoning], said: str) -> None:
    live = live_turn()
    for delta in deltas:
        live.take(delta)
    live.end("interrupted")
    with pytest.raises(ChatInterrupted) as caught:
        live.reply()
    assert str(caught.value) == said
