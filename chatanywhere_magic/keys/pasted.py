"""Keys as people paste them: what shells, files and documents leave around one, and two of them in one."""

from __future__ import annotations

import re
from typing import Final

MAX_PASTED: Final = 20_000
_LAYERS: Final = 8
"""Of what stands around a key, one in another."""
_UNSEEN: Final = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_QUOTES: Final = "\"'`“”„‘’«»"
_NAME: Final = r"(?:[A-Z][A-Z0-9_]{2,60}|(?i:[a-z_-]{0,40}(?:api[_-]?key|token|secret)|authorization))"
_BEFORE: Final = re.compile(
    rf"""(?:
        (?:(?:export|declare\s+-x|set|env|%env|%set_env|-H|--header)\s+)?[{_QUOTES}]?(?:\$env:)?
        (?:os\.environ\[[{_QUOTES}]?)?{_NAME}[{_QUOTES}]?\]?\s*[=:]\s*(?=\S{{3}})
      | (?:setx|setenv|set\s+-\w+)\s+{_NAME}\s+
      | (?i:bearer|basic|token)\s+
    )""",
    re.VERBOSE,
)
_COMMENT: Final = re.compile(r"\s#")
_AFTER: Final = re.compile(r"(?:[;,]|\\[nr]?)\Z")
_BEGINNING: Final = re.compile(r"[A-Za-z]{2,8}[-_](?:(?:proj|ant|svcacct|admin|or-v1)-)?")
_LEAST: Final = 16
"""Characters of a key behind its beginning, at least."""
_TELLING: Final = 5
"""A beginning with so many characters does not stand in the middle of a key by chance."""


def cleaned_key(words: str) -> str:
    """Return what was pasted without what certainly is no part of a key."""
    words = _UNSEEN.sub("", words[:MAX_PASTED]).strip()
    for _ in range(_LAYERS):
        before = words
        words = words.strip(_QUOTES).strip()
        if words[:1] == "<" and words[-1:] == ">":
            words = words[1:-1]
        if found := _BEFORE.match(words):
            words = words[found.end() :]
        if (found := _COMMENT.search(words)) and "\n" not in words[found.end() :]:
            words = words[: found.start()]
        if found := _AFTER.search(words):
            words = words[: found.start()]
        words = words.strip()
        if words == before:
            break
    parts = re.split(r"[\s,;]+", words)
    return parts[0] if len(parts) > 1 and len(set(parts)) == 1 else words


def holds_two_keys(words: str) -> bool:
    """Whether these are certainly two keys: one behind the other, or with something between them."""
    parts = [part for part in re.split(r"[\s,;|]+", words) if part]
    if len(parts) > 1:
        return sum(len(part) >= _LEAST and any(map(str.isdigit, part)) for part in parts) > 1
    found = _BEGINNING.match(words)
    if found is None:
        return False
    second = words.find(found[0], found.end() + _LEAST)
    is_telling = len(found[0]) >= _TELLING or words[found.end() : max(second, 0)].isalnum()
    return second > 0 and is_telling and len(words) - second >= _LEAST
