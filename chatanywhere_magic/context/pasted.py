"""Tell an ``@name`` that nobody knows from the annotations, at-rules and decorators of pasted code.

What follows it, and stands around it, decides: ``@Input() name``, ``@media (…) {``, ``@Override`` above a method. Where
that may be prose, a name that is like a known one is none of these.
"""

from __future__ import annotations

import re
from typing import Final

_BEFORE: Final = 300
_BEHIND: Final = 1_000
"""Characters of its line that are looked at."""
_LINES: Final = 20
"""So many annotations stand above one definition."""
_WORD: Final = re.compile(r"\w[\w.$-]{0,200}")
_FIRST: Final = re.compile(r"(?:[-*/#;%>|+ \t]|<!--)*")
"""What may stand before a line's first word: indentation, and the marks of comments, quotations and diffs."""
_OPENING: Final = re.compile(r"[(,<{\[=&|][ \t]{0,40}\Z")
_CALLED: Final = re.compile(r"\w{1,99}(?:\(|[\w.]{0,99}\([\"'])")
"""Not ``df.head()``, which is a misspelt variable with a call that we refuse."""
_SET: Final = re.compile(r"[ \t]{0,40}:?=(?!=)[ \t]{0,40}[\"'{\[]")
_ASSIGNED: Final = re.compile(r"[ \t]{0,40}[|:+-]{0,2}=(?!=)")
_DECLARES: Final = (
    r"(?:public|private|protected|internal|static|const|var|func|struct|enum|readonly|def|export)\b"
    r"|(?:abstract|async|class|final|fun|function|get|import|interface|let|open|override|set|val)"
    r"[ \t]{1,40}[\w$]{1,80}[ \t]{0,40}[=({:<]"
)
_DECLARED: Final = re.compile(rf"[ \t]{{1,40}}(?:{_DECLARES})")
_TYPED: Final = re.compile(r"[ \t]{1,40}[A-Z][\w$<>\[\],.?]{0,80}[ \t]{1,40}[\w$]{1,80}[ \t]{0,40}(?:[=;,)]|\Z)")
_DEFINES: Final = re.compile(rf"[ \t]{{0,40}}(?://|/\*|{_DECLARES})")
_DOMAIN: Final = re.compile(
    r"(?:[\w-]{1,40}\.){1,4}(?:com|org|net|edu|gov|io|dev|app|ai|info|eu|uk|de|fr|jp|cn|ru|in|br)\Z"
)
_KNOWN: Final = frozenset(
    """
    apply charset config container custom each else extend font forward function if import include keyframes layer
    media mixin namespace page plugin property return scope screen supports tailwind theme use utility variant view
    viewport while author brief deprecated example link param params returns see since throws todo type typedef
    version Autowired Bean Component Controller Data Deprecated Entity FunctionalInterface Id Inject Injectable Input
    Module NotNull Nullable Output Override Repository RestController SafeVarargs Service SuppressWarnings Test
    Transactional Value ViewChild abstractmethod cache cached_property classmethod contextmanager dataclass final
    fixture functools lru_cache overload override pytest singledispatch staticmethod total_ordering wraps
    """.split()  # noqa: SIM905 - a hundred quotation marks would not be read
)
"""What people call by these names is of CSS, of comments for documentation, of Java, TypeScript or Python."""


def is_pasted(prompt: str, at: int, *, is_close: bool) -> bool:
    """Tell whether the ``@`` at `at` begins a piece of code, and names nothing.

    Parameters
    ----------
    is_close : bool
        Whether a known name is like it.
    """
    begin = prompt.rfind("\n", max(0, at - _BEFORE), at) + 1
    end = _end_of_line(prompt, at)
    before, line = prompt[begin or max(0, at - _BEFORE) : at], prompt[at + 1 : end].rstrip()
    found = _WORD.match(line)
    word = found[0].rstrip(".-") if found else ""
    after = line[len(word) :]
    is_first = _FIRST.fullmatch(before) is not None
    is_open = is_first or _OPENING.search(before) is not None
    if (
        (is_open and (_CALLED.match(line) or line.endswith("{") or _SET.match(after)))
        or (is_first and line.endswith((";", "}", "*/")))
        or (is_first and not after and _stands_above(prompt, end))
    ):
        return True
    return not is_close and (
        after.startswith(("(", "{", '="', "='"))
        or before.endswith("}")
        or line.endswith(("{", ";"))
        or (is_first and _ASSIGNED.match(after) is not None)
        or (is_open and _DECLARED.match(after) is not None)
        or (is_open and word[:1].isupper() and _TYPED.match(after) is not None)
        or _DOMAIN.match(word) is not None
        or re.split(r"[.-]", word, maxsplit=1)[0] in _KNOWN
    )


def _stands_above(prompt: str, end: int) -> bool:
    """Tell whether a definition of some language stands below the line that ends at `end`, and other annotations."""
    for _ in range(_LINES):
        begin, end = end + 1, _end_of_line(prompt, end + 1)
        line = prompt[begin:end]
        if not line.lstrip().startswith("@"):
            return line.rstrip().endswith(("{", ";", "(")) or _DEFINES.match(line) is not None
    return False


def _end_of_line(prompt: str, at: int) -> int:
    end = prompt.find("\n", at, at + _BEHIND)
    return end if end >= 0 else min(len(prompt), at + _BEHIND)
