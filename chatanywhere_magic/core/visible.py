"""Make visible what a text would hide from a person who approves it."""

from __future__ import annotations

import re
from typing import Final

# Control and formatting characters, fillers and spaces without a glyph, half characters, variation selectors and tags.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
# Cyrillic, Greek, Armenian, fullwidth and mathematical letters look like Latin ones.
_ALIKE: Final = "\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u2100-\u214f\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff"
_LOOKALIKE: Final = re.compile(f"[{_ALIKE}]")
_WORD: Final = re.compile(r"\w+")
_LATIN: Final = re.compile("[A-Za-z]")
_WIDE: Final = re.compile(r"[ \t]{60,}")
_TALL: Final = re.compile(r"\n(?:[ \t]*\n){10,}")


def visible(words: str) -> str:
    """Return `words` with names for what is not seen or deceives.

    These are characters without a glyph or that change the order of others, letters of another alphabet in a word of
    Latin ones, and gaps so large that what follows would be out of sight.
    """
    if not words.isascii():
        words = _WORD.sub(_unmixed, words)
    words = _HIDDEN.sub(_name, words)
    words = _WIDE.sub(lambda gap: f" ⟨{len(gap[0])} × U+0020⟩ ", words)
    return _TALL.sub(lambda gap: f"\n⟨{gap[0].count(chr(10)) - 1} × U+000A⟩\n", words)


def _name(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def _unmixed(found: re.Match[str]) -> str:
    """Return a word with the names of letters that look like Latin ones and are not, if it has Latin ones, too."""
    word = found[0]
    return word if word.isascii() or not _LATIN.search(word) else _LOOKALIKE.sub(_name, word)
