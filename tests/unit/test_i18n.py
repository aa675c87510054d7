"""Everything a person reads: three languages, no gaps, nothing left over."""

from __future__ import annotations

import ast
import re
from string import Formatter
from typing import TYPE_CHECKING, get_args

import pytest

from chatanywhere_magic.core import i18n
from chatanywhere_magic.core.conversation import Status
from chatanywhere_magic.core.errors import ChatError
from chatanywhere_magic.core.i18n import LANGUAGES, text, texts
from chatanywhere_magic.session.approval import State
from chatanywhere_magic.session.calls import CallState
from tests.support.source import PACKAGE, modules, nodes, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatanywhere_magic.core.i18n import Language

TABLE = {key: tuple(texts(language).get(key, "") for language in LANGUAGES) for key in texts("en")}
GROUPS = sorted({key.split(".")[0] for key in TABLE})
KEY = re.compile(rf"(?:{'|'.join(GROUPS)})\.[a-z_]+")
CYRILLIC, HAN = re.compile("[а-яё]", re.IGNORECASE), re.compile("[\u4e00-\u9fff]")


def placeholders(template: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(template) if field is not None}


def formats(template: str) -> set[tuple[str, str, str]]:
    parsed = Formatter().parse(template)
    return {(field, spec or "", conversion or "") for _, field, spec, conversion in parsed if field is not None}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of ``text(…)`` in the package, with the place where it stands."""
    for name in modules():
        for node in nodes(name):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"text", "phrase"}:
                yield f"{name}:{node.lineno}", node


def mentioned() -> dict[str, str]:
    """Every string in the package that looks like a key, with the place where it stands."""
    in_pages = {
        key: path.name
        for path in sorted(PACKAGE.rglob("*.js"))
        for key in re.findall(rf'"({KEY.pattern})"', path.read_text(encoding="utf-8"))
    }
    return in_pages | {
        string: f"{name}:{line}"
        for name in modules()
        if name != "core/i18n.py"
        for string, line in strings(name).items()
        if KEY.fullmatch(string)
    }


def retryable(kind: type[ChatError] = ChatError) -> set[str]:
    """The kinds of error after which the same is asked again."""
    below = (retryable(child) for child in kind.__subclasses__())
    return set().union({kind.kind} if kind.retryable else (), *below)


PUT_TOGETHER = {
    # A complete turn needs no word for its status.
    "status.": {f"status.{status}" for status in get_args(Status) if status != "complete"},
    "call.": {f"call.{state}" for state in (*get_args(CallState), "recorded")},
    "answered.": {f"answered.{state}" for state in get_args(State) if state != "waiting"},
    "kind.": {f"kind.{kind}" for kind in retryable()},
}
"""Keys that the package puts together from such a beginning and a word of its own."""


def beginnings() -> set[str]:
    """The beginnings of keys that ``text(…)`` is called with."""
    keys = (part for _, call in calls() for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant))
    return {key.value for key in keys if isinstance(key.value, str) and key.value.endswith(".")}


def test_there_are_three_languages() -> None:
    assert LANGUAGES == ("en", "ru", "zh")


# Each names all texts that break its rule: a test for every text took longer than what they look at.


def test_every_text_is_there_in_three_languages() -> None:
    assert {key for key, (english, _, _) in TABLE.items() if not english.strip()} == set()
    assert {key for key, (english, _, _) in TABLE.items() if CYRILLIC.search(english)} == set()
    assert {key for key, (english, russian, _) in TABLE.items() if HAN.search(english + russian)} == set()
    assert {key for key, (_, russian, _) in TABLE.items() if not CYRILLIC.search(russian)} == set()
    assert {key for key, (_, _, chinese) in TABLE.items() if not HAN.search(chinese)} == set()


def test_every_language_has_the_same_placeholders() -> None:
    fields = {key: [formats(words) for words in texts] for key, texts in TABLE.items()}
    assert {key: each for key, each in fields.items() if not each[0] == each[1] == each[2]} == {}
    named = {key: {field for field, _, _ in english} for key, (english, _, _) in fields.items()}
    assert {key: names for key, names in named.items() if not all(map(str.isidentifier, names))} == {}


def test_leading_spaces_agree() -> None:
    assert {
        key for key, (english, russian, _) in TABLE.items() if english[:1].isspace() != russian[:1].isspace()
    } == set()
    # What follows a full-width mark follows at once.
    assert {key for key, (*_, chinese) in TABLE.items() if re.search(r"^ |[。？！](\{\w+\})? ", chinese)} == set()


def test_final_marks_agree() -> None:
    ends = {key: {words.endswith((".", "?", "。", "？")) for words in texts} for key, texts in TABLE.items()}
    assert {key for key, each in ends.items() if len(each) > 1} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_keys_and_they_are_sorted(language: Language) -> None:
    assert list(texts(language)) == sorted(TABLE)


def test_every_key_that_is_used_exists() -> None:
    missing = {key: place for key, place in mentioned().items() if key not in TABLE}
    assert missing == {}


def test_every_key_that_is_put_together_exists() -> None:
    for beginning in beginnings():
        assert PUT_TOGETHER[beginning] - set(TABLE) == set()


def test_every_key_is_used() -> None:
    put_together = set().union(*(PUT_TOGETHER[beginning] for beginning in beginnings()))
    assert set(TABLE) - set(mentioned()) - put_together == set()


def test_every_placeholder_is_filled() -> None:
    for place, call in calls():
        key = call.args[0]
        given = {keyword.arg for keyword in call.keywords}
        if isinstance(key, ast.Constant) and key.value in TABLE and None not in given:
            assert placeholders(TABLE[str(key.value)][0]) == given, place


# --- which language -------------------------------------------------------------------------------------------


def test_english_is_what_it_falls_back_to() -> None:
    assert i18n.get_language() == "en"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": ""}, "en"),
        ({"LANG": "ru_RU", "LC_ALL": "en_GB"}, "en"),
        ({"LANG": "ru_RU", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "ru_RU"}, "ru"),
        ({"LC_ALL": "en_US", "CHATANYWHERE_LANG": "ZH"}, "zh"),
    ],
)
def test_the_language_comes_from_the_environment(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert i18n.get_language() == language


def test_a_chosen_language_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ru_RU.UTF-8")
    i18n.set_language("zh")
    assert text("panel.send") == TABLE["panel.send"][2]
    i18n.set_language("")
    assert text("panel.send") == TABLE["panel.send"][1]


def test_braces_in_what_is_filled_in_stay_braces() -> None:
    assert "{0} {host} {" in text("error.server_said", words="{0} {host} {")


def test_thousands_stand_apart_as_each_language_has_it() -> None:
    for language, shown in (("en", "1,024"), ("ru", "1\N{NO-BREAK SPACE}024"), ("zh", "1,024")):
        i18n.set_language(language)
        assert i18n.grouped(1024) == shown
        assert shown in text("notice.context", used=7, limit=1024)
