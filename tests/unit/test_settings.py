"""Options: those there are, and presets, which set several together."""

from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError

from chatanywhere_magic import ConfigurationError
from chatanywhere_magic.session.settings import Settings

KEY = "sk-Abc123dEf456gHi789jKl012"


def test_a_preset_sets_what_it_names_and_nothing_else() -> None:
    settings = Settings(temperature=1.5, max_tokens=7)
    settings.presets = {"teacher": {"system": "Ask back.", "temperature": 0.2, "model": "gpt-4o"}}
    settings.use_preset("teacher")
    assert (settings.system, settings.temperature, settings.model) == ("Ask back.", 0.2, "gpt-4o")
    assert settings.max_tokens == 7


def test_the_preset_that_holds_is_known_until_an_option_changes() -> None:
    settings = Settings(presets={"exact": {"temperature": 0.0}, "free": {"temperature": 1.5}})
    assert settings.preset == ""
    settings.use_preset("free")
    assert settings.preset == "free"
    settings.temperature = 1.0
    assert settings.preset == ""


def test_one_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'painter'.*teacher"):
        Settings(presets={"teacher": {"temperature": 0.2}}).use_preset("painter")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 7},
        {"temperature": "hot"},
        {"colour": "red"},
        pytest.param({"provider": object()}, id="an object"),
        {"max_tokens": 0},
        {},
        "warm",
        None,
    ],
)
def test_one_that_cannot_be_is_refused_by_its_name_when_it_is_set(options: Any) -> None:
    settings = Settings(presets={"exact": {"temperature": 0.0}})
    with pytest.raises(TraitError, match="'teacher'"):
        settings.presets = {"teacher": options}
    assert settings.presets == {"exact": {"temperature": 0.0}}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("temprature", "temperature"), ("Model", "model"), ("max_token", "max_tokens"), ("idle_time", "idle_timeout")],
)
def test_an_option_that_there_is_not_is_refused_with_those_that_may_be_meant(name: str, meant: str) -> None:
    settings = Settings()
    for set_it in (lambda: setattr(settings, name, 1), lambda: Settings(**{name: 1})):
        with pytest.raises(ConfigurationError, match=rf"ChatSession.{name}\..*Did you mean .*{meant}"):
            set_it()
    assert not hasattr(settings, name)


def test_where_nothing_is_near_nothing_is_suggested() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings().nope = 1
    assert str(caught.value) == "There is no option ChatSession.nope. %config ChatSession lists them."


def test_a_subclass_has_the_attributes_of_its_class_body() -> None:
    class Mine(Settings):
        extra: int | None = None

        def __init__(self) -> None:
            super().__init__()
            self.extra = self._hidden = 1

    mine = Mine()
    mine.extra = 2
    assert (mine.extra, mine._hidden) == (2, 1)
    with pytest.raises(ConfigurationError, match=r"ChatSession\.exta"):
        mine.exta = 3


def test_every_option_can_be_set_by_its_name() -> None:
    settings = Settings()
    for name in settings.trait_names(config=True):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("temperature", 9, "temperature cannot be 9. Sampling temperature, 0 to 2."),
        ("language", "xx", "language cannot be 'xx'. Language of everything shown: en, ru or zh."),
        ("max_tokens", "many", "max_tokens cannot be 'many'. Maximum tokens of a response."),
        ("persist", ["x" * 100], "persist cannot be list. Keep conversations on disk"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line_that_says_what_can(name: str, value: Any, says: str) -> None:
    settings = Settings()
    before = getattr(settings, name)
    with pytest.raises(TraitError) as caught:
        setattr(settings, name, value)
    assert str(caught.value).startswith(says)
    assert caught.value.__context__ is None
    assert getattr(settings, name) == before


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError


class Tall:
    def __repr__(self) -> str:
        return "one\n   two"


@pytest.mark.parametrize(("value", "says"), [(Tall(), "cannot be one two. "), (Shy(), "cannot be Shy. ")])
@pytest.mark.parametrize("name", ["model", "presets"])
def test_whatever_a_value_says_of_itself_it_is_refused_in_one_line(name: str, value: Any, says: str) -> None:
    with pytest.raises(TraitError) as caught:
        setattr(Settings(), name, value)
    assert str(caught.value).startswith(f"{name} {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aliases", {"a": KEY, "b": 3}),
        ("temperature", KEY),
        ("presets", {"p": {"temperature": KEY}}),
        ("presets", [KEY]),
    ],
)
def test_a_key_in_a_value_that_cannot_be_is_not_repeated(name: str, value: Any) -> None:
    with pytest.raises(TraitError, match=r"\*\*\*") as caught:
        setattr(Settings(), name, value)
    assert KEY not in str(caught.value)
