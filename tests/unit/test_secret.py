"""Keys: where they come from, and that they do not show themselves."""

from __future__ import annotations

import copy
import html
import json
import pickle
import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.keys.secret import AnswerRedactor, Secret, secret_from_environment
from tests.support.examples import examples
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


@pytest.mark.parametrize(
    "around",
    [
        *("{}", " {}\r\n", '"{}"', "'{}'", "`{}`", "“{}”", "«{}»", '"{}', "{}'", "<{}>", "{};", '"{}",', "{}\\n"),
        *("\ufeff{}", "\u200b{}\u2060", "\u2066{}\u2069", "\u00a0{}", "{}  # from the console", "{} # work"),
        *("export OPENAI_API_KEY={}", "OPENAI_API_KEY={}", 'export OPENAI_API_KEY="{}";', "OPENAI_API_KEY = '{}'"),
        *("set OPENAI_API_KEY={}", "setx OPENAI_API_KEY {}", "setenv OPENAI_API_KEY {}", "set -gx OPENAI_API_KEY {}"),
        *('$env:OPENAI_API_KEY = "{}"', 'os.environ["OPENAI_API_KEY"] = "{}"', "%env OPENAI_API_KEY={}"),
        *('"OPENAI_API_KEY": "{}",', "apiKey: '{}',", "api_key={}", "declare -x OPENAI_API_KEY={}"),
        *("Bearer {}", "bearer {}", "Authorization: Bearer {}", '-H "Authorization: Bearer {}"', "x-api-key: {}"),
        "{0}\n{0}\n",
    ],
)
@pytest.mark.parametrize(
    "key", [KEY, "sk-proj-" + "aB3_-" * 30, "0123456789abcdef" * 2, "AbCd0123456789+/AbCd0123456789==", "none"]
)
def test_what_certainly_is_no_part_of_a_pasted_key_is_dropped(
    around: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", around.format(key))
    secret = secret_from_environment("OPENAI_API_KEY")
    assert secret is not None
    assert secret.reveal() == key


@pytest.mark.parametrize("second", ["sk-Zyx987wVu654tSr321qPo098", "sk-Abc123dEf456gHi789jKl012"])
@pytest.mark.parametrize("between", ["", " ", ", ", "\n", "|"])
def test_two_keys_are_none(second: str, between: str) -> None:
    first = "sk-Abc123dEf456gHi789jKl012"
    with pytest.raises(ConfigurationError) as caught:
        Secret(f"{first}{between}{second}", "OPENAI_API_KEY")
    assert_for_people(caught.value, ConfigurationError, "OPENAI_API_KEY holds two keys")


@pytest.mark.parametrize("key", ["sk-proj-AbCdEfGh0123456789-sk-AbCdEfGh0123456789", "ab" * 7, "lm-studio", "a" * 20])
def test_one_key_is_not_taken_for_two(key: str) -> None:
    assert Secret(key, "OPENAI_API_KEY").reveal() == key


def test_a_refused_key_is_in_no_variable_of_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\nX-Evil: 1")
    with pytest.raises(ConfigurationError) as caught:
        secret_from_environment("OPENAI_API_KEY")
    frames = [entry.frame.f_locals for entry in caught.traceback[1:]]
    assert frames
    assert KEY not in repr(frames)


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


# --- what servers echo ------------------------------------------------------------------------------------------

LONG = "sk-Ab/c+d=e&f~0123456789"


ECHOES = [
    LONG,
    LONG.upper(),
    quote(LONG, safe=""),
    quote(LONG, safe="").lower(),
    quote(quote(LONG, safe=""), safe=""),
    "".join(f"%{byte:02X}" for byte in LONG.encode()),
    json.dumps(LONG)[1:-1],
    LONG.replace("/", r"\/"),
    "".join(rf"\u{ord(character):04x}" for character in LONG),
    "".join(rf"\x{ord(character):02X}" for character in LONG),
    html.escape(LONG),
    "".join(f"&#{ord(character)};" for character in LONG),
    b64encode(LONG.encode()).decode(),
    b64encode(f"Bearer {LONG}".encode()).decode(),
    urlsafe_b64encode(f"user:{LONG}".encode()).decode(),
    quote(json.dumps(LONG)),
    html.escape(quote(LONG, safe="")),
    "".join(f"&#x{ord(character):04X};" for character in LONG),
    "".join(rf"\\u{ord(character):04x}" for character in LONG),
    "".join(rf"\U{ord(character):08X}" for character in LONG),
    "".join(rf"\u{{{ord(character):x}}}" for character in LONG),
    html.escape(html.escape(LONG)),
    LONG.encode().hex(),
    quote(b64encode(f"?{LONG}".encode()).decode(), safe=""),
    json.dumps(b64encode(f"??{LONG}".encode()).decode())[1:-1].replace("/", r"\/"),
]


@pytest.mark.parametrize("echo", ECHOES)
def test_it_is_redacted_in_whatever_form_it_comes_back(echo: str) -> None:
    shown = Secret(LONG, "OPENAI_API_KEY").redact(f"before {echo} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    # Of base64 at most what stands for a neighbour's bytes is left, before and after.
    assert len(shown) < len("before *** after") + 16


def test_base64_in_lines_is_redacted() -> None:
    encoded = b64encode(f"{'x' * 40}{LONG}".encode()).decode()
    lines = "\n".join(encoded[at : at + 64] for at in range(0, len(encoded), 64))
    for form in (lines, json.dumps(lines)):
        assert Secret(LONG, "OPENAI_API_KEY").redact(form).count("***") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [LONG[:-1], LONG[:9], "%73%6b-", "\\", "\\u0073", "&amp;", "&#", "%", "%25", quote(LONG, safe="")[:-1], "c2st"],
)
def test_what_resembles_a_key_takes_no_longer_than_what_does_not(hostile: str) -> None:
    words = hostile * (200_000 // len(hostile))
    secret = Secret(LONG, "OPENAI_API_KEY")
    start = time.process_time()
    assert secret.redact(words) == words
    assert time.process_time() - start < 2  # it took minutes for 30 characters
    redactor = AnswerRedactor(secret)
    start = time.process_time()
    shown = "".join([redactor.feed(letter) for letter in words[:4_000]]) + redactor.flush()
    assert shown == words[:4_000]
    assert time.process_time() - start < 4


WORDS = st.lists(st.sampled_from(["s", "sk", "sk-", LONG, LONG[:9], LONG[1:], "x", " ", "-"]), max_size=8).map("".join)


@given(WORDS, st.data())
def test_an_answer_in_any_pieces_holds_no_key_and_is_else_exact(words: str, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(words)), max_size=40)))
    pieces = [words[start:end] for start, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    redactor = AnswerRedactor(Secret(LONG, "OPENAI_API_KEY"))
    shown = "".join([redactor.feed(piece) for piece in pieces]) + redactor.flush()
    assert LONG not in shown
    if LONG in words:
        assert LONG[2:] not in shown.replace(LONG[1:], "")
    else:
        assert shown == words


@pytest.mark.parametrize("echo", ECHOES)
@settings(max_examples=examples(15))
@given(st.data())
def test_an_echo_in_any_form_is_kept_out_of_an_answer_in_any_pieces(echo: str, draw: st.DataObject) -> None:
    words = f"before {echo} after"
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(words)), max_size=80)))
    redactor = AnswerRedactor(Secret(LONG, "OPENAI_API_KEY"))
    pieces = [words[start:end] for start, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    shown = "".join([redactor.feed(piece) for piece in pieces]) + redactor.flush()
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    # What begins as two letters of the key do is shown, in at most twelve characters each.
    assert len(shown) < len("before *** after") + 40


@given(st.text(alphabet='sk-Ab/c%26\\u073x&amp;#1IN "ключ\ud83d\ude00'), st.data())
def test_an_answer_without_the_key_is_exact(words: str, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(words)), max_size=40)))
    redactor = AnswerRedactor(Secret(LONG, "OPENAI_API_KEY"))
    pieces = [words[start:end] for start, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    assert "".join([redactor.feed(piece) for piece in pieces]) + redactor.flush() == words


def test_ordinary_words_are_not_held_back() -> None:
    redactor = AnswerRedactor(Secret(LONG, "OPENAI_API_KEY"))
    assert [redactor.feed(piece) for piece in ("Yes", " it is", "k", "")] == ["Yes", " it is", "k", ""]
    assert (redactor.feed("a sk-"), redactor.feed("ip"), redactor.flush()) == ("a ", "sk-ip", "")


@pytest.mark.parametrize("key", ["lm-studio", "ollama", "sk-no-key"])
def test_a_word_that_stands_for_a_key_is_left_in_answers(key: str) -> None:
    redactor = AnswerRedactor(Secret(key, "OPENAI_API_KEY"))
    assert redactor.feed(f"I am {key}.") == f"I am {key}."
