"""Failures as the panel shows them: worded when they are shown, with what can be done by a click."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, Script, Scripted
from chatanywhere_magic.core import (
    Failure,
    MissingKeyError,
    RateLimitError,
    Timing,
    Version,
    phrase,
    set_language,
    texts,
)
from chatanywhere_magic.core.i18n import LANGUAGES, Phrase
from chatanywhere_magic.panel.feed import head_of, problem_of
from chatanywhere_magic.providers import OpenAI
from chatanywhere_magic.render import footer_words
from tests.support.source import modules, strings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTION = re.compile(r"(?<!\w)--?(?!no-deps\b)[a-z]")  # that one is pip's
ONLY_TYPED = {
    "error.file_exists",
    "error.forget_current",
    "error.keyring_unusable",
    "error.key_file_write",
    "error.no_json",
    "error.no_keyring",
}
"""Errors of lines such as %chat_login, and of values that a cell reads: the panel shows none of them."""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path))
    yield
    set_language("")


def in_panel_or_cell() -> set[str]:
    """Return the keys of the errors that are raised outside of the magics."""
    found: set[str] = set()
    for name in modules():
        if not name.startswith(("magics/", "testing/")):
            found |= strings(name).keys() & texts("en").keys()
    return {key for key in found if key.startswith("error.")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_panel_mentions_no_option_of_a_magic(language: str) -> None:
    set_language(language)
    try:
        words = {}
        for key in in_panel_or_cell() - ONLY_TYPED:
            fields = dict.fromkeys(re.findall(r"\{(\w+)", texts("en")[key]), 7)
            words[key] = Phrase(key, fields).without_options()
        assert {key: said for key, said in words.items() if OPTION.search(said)} == {}
        assert all(re.search(r" [,;，。]|  ", said) is None for said in words.values())
    finally:
        set_language("")


@pytest.mark.usefixtures("stored")
def test_a_failure_of_yesterday_is_worded_in_the_language_of_today() -> None:
    set_language("en")
    refused = RateLimitError(phrase("error.rate_limit", host="api.example", said=""), status=429, retry_after=30)
    with closing(ChatSession()) as chat:
        chat.conversations.keep("")
        with pytest.raises(RateLimitError, match=r"^Too many requests to api.example"):
            chat.ask_sync("Hello", provider=Scripted.of(Script(error=refused)))
        opened = chat.conversations.id
    set_language("ru")
    with closing(ChatSession()) as chat:
        chat.conversations.keep("")
        chat.conversations.switch(opened)
        (turn,) = chat.conversation.turns
        problem = head_of(turn, turn.current, None, footer=True)["problem"]
    assert problem["words"].startswith("Слишком много запросов к api.example")
    assert problem["kind"] == "rate_limit"
    timing = turn.current.timing
    assert problem["retry_at"] == pytest.approx(timing.started + (timing.total or 0) + 30)


def test_the_moment_of_a_retry_is_counted_from_the_end() -> None:
    failure = Failure("rate_limit", "slow down", 429, 20)
    version = Version.of("?", status="failed", error=failure, timing=Timing(1000.0, None, 2.5))
    assert problem_of(version) == {"words": "slow down", "kind": "rate_limit", "retry_at": 1022.5}


def test_a_refusal_took_no_time_worth_mentioning() -> None:
    failure = Failure("authentication", "no", 401)
    version = Version.of("?", status="failed", provider="openai", error=failure, timing=Timing(1000.0, None, 0.01))
    assert footer_words(version) == ["openai"]


def test_a_missing_key_is_a_kind_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingKeyError) as caught:
        OpenAI.check("")
    assert caught.value.kind == "missing_key"
