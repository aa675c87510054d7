"""Keys: where they come from, and that they do not show themselves."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass

import pytest

from chatanywhere_magic.credentials import Secret, secret_from_environment
from chatanywhere_magic.errors import ConfigurationError
from tests.unit.helpers import assert_for_people

KEY = "sk-0123456789"


def test_a_secret_is_revealed_only_when_asked_for() -> None:
    secret = Secret(KEY, "OPENAI_API_KEY")
    assert secret.reveal() == KEY
    for shown in (str(secret), repr(secret), f"{secret}", f"{[secret]}", f"{secret!r:>40}"):
        assert KEY not in shown
        assert "OPENAI_API_KEY" in shown


def test_a_secret_within_another_value_does_not_show() -> None:
    @dataclass
    class Settings:
        key: Secret

    assert KEY not in repr(Settings(Secret(KEY, "OPENAI_API_KEY")))


def test_a_secret_cannot_be_carried_away() -> None:
    secret = Secret(KEY, "OPENAI_API_KEY")
    for carry in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars):
        with pytest.raises(TypeError) as caught:
            carry(secret)
        assert KEY not in str(caught.value)


def test_words_are_redacted() -> None:
    secret = Secret(KEY, "OPENAI_API_KEY")
    assert secret.redact(f"Incorrect key {KEY}; {KEY}!") == "Incorrect key ***; ***!"
    assert secret.redact("Nothing to hide.") == "Nothing to hide."


def test_a_key_as_short_as_a_word_does_not_blank_ordinary_text() -> None:
    assert Secret("none", "OPENAI_API_KEY").redact("none of it") == "none of it"


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "tab\t", "ключ", "\x00", "“quoted”", "é"])
def test_what_cannot_stand_in_a_header_is_no_key(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret(value, "OPENAI_API_KEY")
    error = assert_for_people(caught.value, ConfigurationError, "OPENAI_API_KEY")
    assert not value or value not in str(error)


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\r\n")
    secret = secret_from_environment("OPENAI_API_KEY")
    assert secret is not None
    assert (secret.reveal(), secret.source) == (KEY, "OPENAI_API_KEY")


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_an_unset_or_blank_variable_is_no_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    assert secret_from_environment("OPENAI_API_KEY") is None
