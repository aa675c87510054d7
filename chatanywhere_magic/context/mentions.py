r"""Find the ``@names`` in a prompt, and tell them from a literal ``@``. Text only; nothing is looked up.

``@`` is text in e-mail addresses, URLs and npm scopes (``@types/node``), in `` `code` `` and fenced code, before a
definition (a decorator), and behind a backslash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT: Final = re.compile(r"(\\?)@(?=[^\W\d])")
NAME: Final = re.compile(r"[^\W\d]\w*")
_FENCE: Final = re.compile(
    r"^ {0,3}(`{3,}(?=[^`\n]*\n)|~{3,})[^\n]*\n(?:.*?^ {0,3}\1[`~]*[ \t]*$|.*\Z)", re.MULTILINE | re.DOTALL
)
_CODE: Final = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)\1(?!`)", re.DOTALL)
_URL: Final = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s<>\"']+")
_DECORATORS: Final = re.compile(
    r"^(?P<indent>[ \t]*)@[^\n]*\n(?:(?P=indent)@[^\n]*\n)*(?=(?P=indent)(?:async[ \t]+def|def|class)\b)", re.MULTILINE
)
_FILE: Final = re.compile(
    r"""file:(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>[^\s"'`<>|，。；：！？、（）《》“”「」【】]+))"""
)
_ITEM: Final = re.compile(r"""\[\s*(?:(?P<number>-?\d+)|"(?P<double>[^"\n\]]*)"|'(?P<single>[^'\n\]]*)')\s*\]""")
_HANDLE: Final = re.compile(r"@|/[^\W\d]")
_SENTENCE_END: Final = ".,;:!?…)]}"

# Scripts that are written without spaces, or with endings behind foreign words.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class At:
    """An ``@`` that is meant: where it stands, and whether a backslash takes its meaning away."""

    position: int
    is_escaped: bool


def find_ats(prompt: str) -> Iterator[At]:
    """Yield every ``@`` that names something, or would without its backslash."""
    if "@" not in prompt:
        return
    texts = [match.span() for kind in (_FENCE, _DECORATORS, _URL) for match in kind.finditer(prompt)]
    fences = [match.span() for match in _FENCE.finditer(prompt)]
    texts += [match.span() for match in _CODE.finditer(prompt) if not any(a <= match.start() < b for a, b in fences)]
    for match in _AT.finditer(prompt):
        position = match.end() - 1
        if any(start <= position < end for start, end in texts):
            continue
        if _may_begin(prompt, match.start()) and not _is_handle(prompt, position):
            yield At(position, bool(match[1]))


def _may_begin(prompt: str, position: int) -> bool:
    """Whether a name can begin at `position`, which in an address it cannot."""
    before = prompt[position - 1 : position]
    return not before or not (before in "_.+-%/@\\" or (before.isalnum() and not _UNSPACED.match(before)))


def _is_handle(prompt: str, at: int) -> bool:
    """Whether this is ``@scope/package`` or ``@user@host``."""
    name = NAME.match(prompt, at + 1)
    return name is not None and bool(_HANDLE.match(prompt, name.end()))


def readings(name: str) -> Iterator[str]:
    """Yield what a name may be, the longest first: in ``df的列`` it may end where another script begins."""
    for end in range(len(name), 0, -1):
        if (end == len(name) or _UNSPACED.match(name[end])) and name[:end].isidentifier():
            yield name[:end]


def likely(name: str) -> str:
    """Return what of an unknown name is meant: ``df`` of ``df的列``, and all of ``销量``."""
    script = _UNSPACED.search(name, 1)
    return name[: script.start()] if script and not _UNSPACED.match(name) else name


def file_path(prompt: str, position: int) -> tuple[str, int] | None:
    """Return the path that is named by ``file:…`` at `position`, and where it ends."""
    match = _FILE.match(prompt, position)
    if match is None:
        return None
    quoted = match["double"] or match["single"]
    if quoted:
        return quoted, match.end()
    bare = match["bare"].rstrip(_SENTENCE_END)
    return (bare, match.start("bare") + len(bare)) if bare else None


def item_key(prompt: str, position: int) -> tuple[str | int, int] | None:
    """Return the key of ``[3]`` or ``["key"]`` at `position`, and where it ends."""
    match = _ITEM.match(prompt, position)
    if match is None:
        return None
    if match["number"]:
        return int(match["number"]), match.end()
    return match["double"] if match["double"] is not None else match["single"], match.end()
