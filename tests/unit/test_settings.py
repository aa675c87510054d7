"""Presets: options that are set together."""

from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError

from chatanywhere_magic import ConfigurationError
from chatanywhere_magic.settings import Settings


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
        {"provider": object()},
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
