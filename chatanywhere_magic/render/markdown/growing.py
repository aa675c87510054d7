"""Plain words behind an open end that is shown already: most of a response, for the price of the words alone.

To parse a paragraph or a list again for every few words is most of what a response costs that is written word by word.
What is made here is what the parser would make of the whole; a test compares them.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from .languages import is_from_right, language_of
from .links import ends_in_address, has_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

# Within a line that has letters none of these begins, ends or changes anything in Markdown.
_PLAIN: Final = re.compile(r"""(?:[^\W_]|[ ,.;:!?'"()/%@–—-]|[‘’“”„«»…、。，；：？！（）《》「」])+""")
# What may still be waiting for its other end, which need not be a mark of Markdown: a price, a link's title, "&amp".
_WAITS: Final = re.compile(r"[\\$&<\[]")
_LONGEST_SCHEME: Final = len("mailto:")
_LETTER: Final = re.compile(r"[^\W\d_]")
_ITEM: Final = re.compile(r" *(?:[-*+]|\d{1,9}[.)]) (?=[^\W\d_])")
_HALF_ITEM: Final = re.compile(r"\n *(?:[-*+] ?|\d{1,9}(?:[.)] ?)?)?")
_CLOSINGS: Final = ("p", "li", "ul", "ol", "blockquote", *(f"h{level}" for level in range(1, 7)))
_CLOSING: Final = tuple(f"</{name}>{end}" for name in _CLOSINGS for end in ("\n", ""))
_BLOCKS: Final = frozenset({"paragraph", "heading", "list_item", "bullet_list", "ordered_list", "blockquote"})


class Growing:
    """The HTML of an open text, to which plain words can be added where it ends, and items if that is a list.

    Made by :func:`growing` and :func:`begun` for texts that allow it.

    Parameters
    ----------
    words : str
        The last paragraph, heading or item, without marks that wait for others.
    shown, closings : str
        The HTML up to the end of these words, and what closes it.
    item : str
        What the last line begins with, if it is an item of a list without empty lines.
    is_alone : bool
        Whether there is nothing else in the text, which then ends with an empty line.
    """

    def __init__(
        self, source: str, words: str, shown: str, closings: str, *, item: str = "", is_alone: bool = False
    ) -> None:
        self._source = source
        self._words = words
        self._shown = shown
        self._closings = closings
        self._item = item
        self._is_alone = is_alone

    def add(self, source: str) -> str | None:
        """Return the HTML of `source`, if it is the text before and further plain words; else None."""
        at = len(self._source)
        if not source.startswith(self._source):
            return None
        end = _end(source, at)
        if has_address(source[max(0, at - _LONGEST_SCHEME) : end]):
            return None
        words, shown = self._words, [self._shown]
        gap = self._source[len(self._source.rstrip(" ")) :]  # shown once a word follows
        while at < end:
            if found := _PLAIN.match(source, at, end):
                visible = found[0].rstrip(" ")
                if visible:
                    shown.append(_escaped(gap + visible))
                    words, gap = f"{words}{gap}{visible}", ""
                gap += found[0][len(visible) :]
            elif source[at] == "\n" and self._item and (found := _ITEM.match(source, at + 1)):
                if _kind(found[0]) != _kind(self._item):
                    return None
                shown.append("</li>\n<li>")
                words, gap = "", ""
            else:
                return None
            at = found.end()
        if not self._item and _attributes(words) != _attributes(self._words):
            return None
        self._source, self._words, self._shown = source[:end], words, "".join(shown)
        return self._shown + self._closings

    def finished(self, source: str) -> tuple[str, int] | None:
        """Return the HTML of the paragraph or heading that is all there was, and where it ends, if `source` ends it."""
        at = len(self._source)
        end = source.find("\n\n", at) if self._is_alone else -1
        if end < 0 or (at < end and not _PLAIN.fullmatch(source, at, end)):  # "---" below makes it a heading
            return None
        html = self.add(source[:end])
        return None if html is None else (html, end + 1)


def begun(source: str) -> Growing | None:
    """Return the beginning of a paragraph, if `source` is nothing but plain words."""
    source = source[: _end(source)]
    words = source.lstrip("\n").rstrip(" ")
    if not _LETTER.match(words) or not _PLAIN.fullmatch(words) or has_address(words):
        return None
    return Growing(source, words, f'<p dir="auto"{_attributes(words)}>{_escaped(words)}', "</p>\n", is_alone=True)


def growing(source: str, tokens: Sequence[Token], html: str) -> Growing | None:
    """Return what plain words can be added to, if `html` shows the end of `source` as it stands.

    Parameters
    ----------
    tokens : sequence of Token
        The blocks of `source`; nothing was added to close what is open.
    """
    at = next((at for at in range(len(tokens) - 1, -1, -1) if tokens[at].nesting == 0), -1)
    if at < 0 or tokens[at].type != "inline":
        return None
    words = tokens[at].content
    line = words.rpartition("\n")[2]
    if (
        any(token.type.removesuffix("_close") not in _BLOCKS for token in tokens[at + 1 :])
        or _WAITS.search(words)
        or ends_in_address(words)
        or not _LETTER.search(line)
        or not source.rstrip(" ").endswith(line)
    ):
        return None
    shown = html
    while shown.endswith(_CLOSING):
        shown = shown[: shown.rindex("<")]
    closings = html[len(shown) :]
    run = next((found for found in _PLAIN.finditer(line) if found.end() == len(line)), None)
    # Behind a mark of emphasis a quotation mark alone does not yet tell whether that is one.
    if run is None or not _LETTER.search(run[0]) or not shown.endswith(_escaped(run[0])):
        return None
    # It opens, it holds words, it closes; and no definition of a link stands before it.
    is_alone = len(tokens) == 3 and tokens[0].map == [len(source) - len(source.lstrip("\n")), source.count("\n") + 1]  # noqa: PLR2004
    found = _ITEM.match(source, source.rfind("\n") + 1)
    is_tight = closings.startswith("</li>")
    item = found[0] if found and is_tight and source[found.end() :].rstrip(" ") == words else ""
    return Growing(source, words, shown, closings, item=item, is_alone=is_alone)


def _end(source: str, at: int = 0) -> int:
    """Return where in `source`, from `at` on, a line begins that may become anything, or a mark: it is not shown."""
    line = source.rfind("\n", at)
    if line >= 0 and _HALF_ITEM.fullmatch(source, line):
        return line
    return max(at, len(source.rstrip("`" if source.endswith("`") else "*_~")))


def _attributes(words: str) -> str:
    """Return what the parser says of a paragraph of these words."""
    language = "" if words.isascii() else language_of(words)
    style = ' style="text-align: start"' if not words.isascii() and is_from_right(words) else ""
    return (f' lang="{language}"' if language else "") + style


def _kind(item: str) -> str:
    return re.sub(r"\d+", "1", item)


def _escaped(words: str) -> str:
    return escape(words, quote=False).replace('"', "&quot;")
