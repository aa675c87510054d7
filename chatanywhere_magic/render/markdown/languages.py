"""Recognize the language of a text by its letters."""

from __future__ import annotations

import re
from typing import Final

_SCRIPTS: Final = {
    "ru": re.compile("[\u0400-\u04ff]"),
    "zh": re.compile("[\u3040-\u30ff\u3400-\u9fff]"),
    "ko": re.compile("[\uac00-\ud7a3]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
}
# Letters that distinguish a language from others of the same script.
_TELLING: Final = {"ru": ("uk", re.compile("[ґєіїҐЄІЇ]")), "zh": ("ja", re.compile("[\u3040-\u30ff]"))}
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_FROM_RIGHT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_LATIN: Final = re.compile("[a-zA-Z\u00c0-\u024f]")


def language_of(text: str) -> str:
    """Return the code of the language of `text`; ``""`` if its letters are mostly Latin, which tell nothing."""
    counts = {code: len(script.findall(text)) for code, script in _SCRIPTS.items()}
    code = max(counts, key=lambda code: counts[code])
    # A word of Chinese or Korean has fewer letters than one of English.
    if not counts[code] or 2 * counts[code] < len(_LATIN.findall(text)):
        return ""
    other, telling = _TELLING.get(code, (code, None))
    return other if telling is not None and telling.search(text) else code


def is_unspaced(letter: str) -> bool:
    """Tell whether a letter is of a script that is written without spaces, or with endings behind foreign words."""
    return _UNSPACED.match(letter) is not None


def is_from_right(text: str) -> bool:
    """Tell whether `text` has letters that are written from right to left."""
    return _FROM_RIGHT.search(text) is not None


def begins_from_right(text: str) -> bool | None:
    """Tell whether the first letter of `text` is written from right to left; None if there is no letter."""
    first = _LETTER.search(text)
    return None if first is None else is_from_right(first[0])
