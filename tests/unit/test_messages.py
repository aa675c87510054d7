"""Text that every layer below can carry."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.messages import encodable


@given(st.text())
def test_text_stays_as_it_is(text: str) -> None:
    assert encodable(text) == text


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_any_string_at_all_can_be_encoded_afterwards(text: str) -> None:
    encodable(text).encode()
    json.dumps(encodable(text), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "�"),
        ("a\udc00b", "a�b"),
        ("\ud800a", "�a"),
        ("\ude00\ud83d", "��"),
        ("\ufeffa", "\ufeffa"),
    ],
)
def test_halves_of_characters_are_joined_or_replaced(text: str, expected: str) -> None:
    assert encodable(text) == expected
