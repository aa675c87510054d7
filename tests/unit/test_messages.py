"""Text that every layer below can carry."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.core.messages import (
    Document,
    Image,
    content_text,
    encodable,
    encodable_content,
    user_content,
)


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


def test_a_question_alone_is_sent_as_it_is() -> None:
    assert user_content("Why?") == "Why?"


def test_texts_follow_the_question_under_their_names() -> None:
    sent = user_content("Explain @x", [Document("@x", "1"), Document("@y", "2")])
    assert sent == "Explain @x\n\n@x:\n```\n1\n```\n\n@y:\n```\n2\n```"


def test_a_text_cannot_end_its_own_quotation() -> None:
    assert user_content("?", [Document("a", "```\nout")]) == "?\n\na:\n````\n```\nout\n````"


def test_pictures_are_parts_beside_the_text() -> None:
    sent = user_content("What is it?", [Image("p.png", "image/png", "QUJD")])
    assert sent == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
    ]
    assert content_text(sent) == "What is it?"


def test_halves_of_surrogate_pairs_are_replaced_in_parts_too() -> None:
    parts = [{"type": "text", "text": "a\ud83d"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert encodable_content(parts) == [{"type": "text", "text": "a\ufffd"}, parts[1]]
