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
# Letters by which a language is told from another one of the same script.
_TELLING: Final = {"ru": ("uk", re.compile("[ґєіїҐЄІЇ]")), "zh": ("ja", re.compile("[\u3040-\u30ff]"))}
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
