"""A turn on its way: its text so far, read from any thread for the price of what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic import ChatInterrupted, ChatSession, Scripted
from chatanywhere_magic.core.messages import Extras, Message, Reasoning, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from chatanywhere_magic.session.live_turn import LiveTurn


def live_turn() -> LiveTurn:
    return ChatSession().prepare("Hello", provider=Scripted)


@given(st.lists(st.sampled_from(["a", "word ", "é", "中", "🙂", "\ud83d", "\ude42", "\ud83d\ude42"])), st.data())
def test_what_is_read_piece_by_piece_is_the_text(chunks: list[str], data: st.DataObject) -> None:
    live = live_turn()
    read, position = "", 0
    for chunk in chunks:
        live.draft.take(Text(chunk))
        if data.draw(st.booleans()):
            fresh, position = live.response.text_since(position)
            read += fresh
            assert position == len(read)
    live.draft.end("complete")
    read += live.response.text_since(position)[0]
    assert read == live.version.text
    assert read == "".join(chunks).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_any_position_can_be_read_from() -> None:
    live = live_turn()
    for chunk in ("one ", "two ", "three"):
        live.draft.take(Text(chunk))
    for position in range(14):
        assert live.response.text_since(position) == ("one two three"[position:], 13)


def test_half_an_emoji_waits_for_its_other_half() -> None:
    live = live_turn()
    live.draft.take(Text("a\ud83d"))
    assert live.response.text_since(0) == ("a", 1)
    live.draft.take(Text("\ude42"))
    assert live.response.text_since(1) == ("🙂", 2)


def test_the_reasoning_is_read_likewise() -> None:
    live = live_turn()
    live.draft.take(Reasoning("Let me"))
    live.draft.take(Reasoning(" think."))
    assert live.response.reasoning_since(3) == (" me think.", 13)


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
        live.draft.take(delta)
    live.draft.end("interrupted")
    with pytest.raises(ChatInterrupted) as caught:
        live.reply()
    assert str(caught.value) == said


class TestSeveralMessages:
    """A response in steps: what the model says, results of its calls, and what it says then."""

    CALL = ToolCall("call_1", "look", "{}", Extras("", "", {"signature": "s"}))
    RESULTS = Message("tool", (ToolResult("call_1", "18 °C"),))

    def taken(self) -> LiveTurn:
        live = live_turn()
        for delta in (Reasoning("Hm."), Text("One "), Text("moment."), self.CALL, Extras("", "", {"id": "r1"})):
            live.draft.take(delta)
        live.response.end_message(self.RESULTS)
        for text in ("It is ", "warm."):
            live.draft.take(Text(text))
        return live

    def test_they_are_kept_in_order(self) -> None:
        live = self.taken()
        owner = live.request.owner
        first, results, last = live.version.response
        assert [type(part) for part in first.parts] == [Reasoning, Text, ToolCall]
        assert (first.text, results, last.text) == ("One moment.", self.RESULTS, "It is warm.")
        assert first.extras == Extras(*owner, {"id": "r1"})
        assert last.extras is None

    def test_what_a_provider_wants_back_is_that_of_the_provider_that_is_asked(self) -> None:
        live = live_turn()
        live.draft.take(ToolCall("1", "look", "{}", Extras("openai", "https://api.openai.com/v1", {"a": 1})))
        (call,) = live.version.tool_calls
        assert call.extras == Extras(*live.request.owner, {"a": 1})

    def test_their_texts_are_read_as_paragraphs(self) -> None:
        live = self.taken()
        assert live.response.text_since(0)[0] == live.version.text == "One moment.\n\nIt is warm."
        assert live.response.text_since(len("One moment."))[0] == "\n\nIt is warm."

    def test_the_calls_are_known_without_the_text(self) -> None:
        assert [call.name for call in self.taken().draft.outline.tool_calls] == ["look"]
        assert self.taken().draft.outline.text == ""

    @given(st.lists(st.sampled_from(["text", "reasoning", "call", "results"]), max_size=12))
    def test_however_they_come_the_text_read_is_that_of_the_version(self, kinds: list[str]) -> None:
        live = live_turn()
        for number, kind in enumerate(kinds):
            if kind == "results":
                live.response.end_message(self.RESULTS)
            else:
                deltas = {"text": Text(f"t{number}"), "reasoning": Reasoning(f"r{number}"), "call": self.CALL}
                live.draft.take(deltas[kind])
        version = live.version
        assert live.response.text_since(0)[0] == version.text
        assert live.response.reasoning_since(0)[0] == version.reasoning
        assert sum(len(message.parts) for message in version.response if message.role == "assistant") <= len(kinds)
