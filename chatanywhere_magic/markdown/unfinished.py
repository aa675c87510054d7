"""The open end of a text that is still being written, as if it was finished."""

from __future__ import annotations

import re
from typing import Final

# What may become a mark with the next letter: of a heading, a list, a quote, a table, code, emphasis.
_HALF_LINE: Final = re.compile(r"(?:^|(?<=\n))[ \t]*(?:#{1,6}|[-*+]|\d{1,9}[.)]?|>|`+|~+|=+|-+|[|:\- ]+)[ \t]*\Z")
_HALF_MARK: Final = re.compile(r"[*_~`\\\[!]+\Z")


def settled(source: str) -> str:
    """Return `source` without the half of a mark at its end."""
    return _HALF_MARK.sub("", _HALF_LINE.sub("", source))
