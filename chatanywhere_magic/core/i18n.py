"""All user-visible texts, in English, Russian and Chinese: the files in ``locale/`` and the functions to read them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Language = Literal["en", "ru", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru", "zh")

_OPTIONS: Final = re.compile(r"\s?[(（]-[^()（）]*[)）]")
"""How texts mention an option of the magics."""

_chosen: Language | None = None


def set_language(language: str) -> None:
    """Set the language of everything shown from now on: ``en``, ``ru``, ``zh``, or ``""`` for the system's."""
    global _chosen  # noqa: PLW0603 - one person, one kernel, one language
    _chosen = _match(language)


def get_language() -> Language:
    """Return the language in use: the chosen one, else ``CHATANYWHERE_LANG``, else the system's, else English."""
    if _chosen:
        return _chosen
    for name in ("CHATANYWHERE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return _match(value) or "en"
    return "en"


def _match(locale_name: str) -> Language | None:
    prefix = locale_name[:2].lower()
    return next((language for language in LANGUAGES if language == prefix), None)


@cache
def texts(language: Language) -> Mapping[str, str]:
    """Return all texts in `language`, by key."""
    path = Path(__file__).with_name("locale") / f"{language}.json"
    loaded: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def text(key: str, /, **fields: object) -> str:
    """Return the text for `key` in the user's language, with `fields` filled in.

    Fields are inserted as they are: braces in a value stay braces.
    """
    return _filled(texts(get_language())[key], fields)


def _filled(template: str, fields: Mapping[str, object]) -> str:
    shown = {name: _SHOWN.get(type(value), _as_is)(value) for name, value in fields.items()}
    return template.format_map(shown) if fields else template


@dataclass(frozen=True)
class Phrase:
    """A text that is worded when it is shown, in the language in use then.

    Parameters
    ----------
    key : str
        The text's key.
    fields : mapping
        The values to fill in: numbers, strings and other phrases.
    """

    key: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return text(self.key, **self.fields)

    def without_options(self) -> str:
        """Return the words without the magics' options, such as "(-m)", for a place where there is no line to type."""
        return _filled(_OPTIONS.sub("", texts(get_language())[self.key]), self.fields)


def phrase(key: str, /, **fields: object) -> Phrase:
    """Return the text for `key` with `fields`, to be worded when it is shown; see :func:`text`."""
    return Phrase(key, fields)


def grouped(number: int) -> str:
    """Return a number with its digits grouped as in the user's language."""
    return f"{_Number(number):,}"


class _Number(int):
    """An integer that separates thousands as the user's language does: in Russian, a comma starts the decimals."""

    def __format__(self, spec: str) -> str:
        shown = super().__format__(spec)
        return shown.replace(",", "\N{NO-BREAK SPACE}") if get_language() == "ru" else shown


class _Decimal(float):
    """A number with the decimal mark of the user's language."""

    def __format__(self, spec: str) -> str:
        shown = super().__format__(spec)
        return shown.replace(".", ",") if get_language() == "ru" else shown


_SHOWN: Final[Mapping[type, Callable[[Any], object]]] = {int: _Number, float: _Decimal}


def _as_is(value: object) -> object:
    return value
