"""Render a growing text as HTML: finished blocks once, and only the open end again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import accumulate, count
from time import thread_time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .formulas import open_formula
from .growing import begun, growing
from .parser import parser
from .parts import Cut, first_part
from .patience import OutOfPatienceError, patience
from .unfinished import settle_blocks, settle_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

    from markdown_it.token import Token

    from .growing import Growing

T = TypeVar("T")

_WINDOW: Final = 3_000
"""Characters that are parsed at once, so that a long text that comes whole is no dearer than one in pieces."""

MAX_BLOCK: Final = 50_000
"""Characters of a block. What goes on for longer, and cannot be cut, is shown as it is written."""
_FREE_SECONDS: Final = 2.0
_SECONDS_A_CHARACTER: Final = 2e-5
"""What reading a text may take, many times what an ordinary one does. What is left then is shown as it is written."""
_SLOW_TAIL: Final = 0.5
"""Seconds after which an open end is shown as it is written, until it is finished: it is painted again and again."""
_ASKS: Final = 64
_LOOK_AGAIN: Final = 300
"""After so many characters without an empty line finished blocks are looked for all the same."""
_ENDING: Final = frozenset({"blockquote_open", "heading_open", "hr", "paragraph_open", "table_open"})
"""Blocks that are over where an empty line comes."""
_BEFORE_FORMULAS: Final = frozenset({"paragraph_open", "blockquote_open", "bullet_list_open", "ordered_list_open"})
_LISTS: Final = frozenset({"bullet_list_open", "ordered_list_open"})
"""These are over if a letter follows that is not indented."""


class IncrementalRenderer:
    r"""Renders a text that comes in pieces.

    However it is cut, the :attr:`pieces` are in the end those of the whole text: ``to_html`` works by it too. The work
    grows with the text and not with its square, since a block of code, a list or a table that is long is finished in
    parts. (A single paragraph is not: show it less often as it grows.)

    Parameters
    ----------
    hurries : callable, optional
        Says, while it works, whether somebody waits for its end: what is left then is shown as it is written.

    Examples
    --------
    >>> renderer = IncrementalRenderer()
    >>> renderer.feed("One **paragraph**.\n\nAnd an")
    ['<p dir="auto">One <strong>paragraph</strong>.</p>\n']
    >>> renderer.feed("other.\n\nThe *la")
    ['<p dir="auto">And another.</p>\n']
    >>> renderer.tail()
    '<p dir="auto">The <em>la</em></p>\n'
    """

    def __init__(self, hurries: Callable[[], bool] | None = None) -> None:
        self._hurries = hurries
        self._frozen: list[_Piece] = []
        self._definitions = _Definitions()
        self._open = ""
        """The text from the first block on that is not finished."""
        self._number = 0
        """If the open text begins with a further part of a block: 1, or the number of a list's next item."""
        self._repeated = 0
        """How much of the open text only repeats the beginning of the block that it continues."""
        self._held = ""
        """A carriage return at the end: whether a newline follows is not known yet."""
        self._scanned = 0
        """How much of the open text has been looked through for finished blocks."""
        self._begun = 0
        """Where the line began that was last taken for a new block's."""
        self._tail = ""
        self._tail_size = 0
        """Of how many characters the last tail was made."""
        self._growing: Growing | None = None
        """The last tail, if plain words can just be added to it."""
        self._read: dict[str, list[Token]] = {}
        """The paragraphs, items and cells of the last tail, which are mostly those of the next one."""
        self._read_with = self._definitions
        """The links that were defined then."""
        self._tail_is_slow = False
        self._size = 0
        """Of the text so far."""
        self._spent = 0.0
        """Seconds of work for what is finished."""
        self.is_revised = False
        """Whether :meth:`finish` changed pieces that had been returned before."""

    @property
    def pieces(self) -> list[str]:
        """The HTML of every finished block."""
        return [piece.html for piece in self._frozen]

    @property
    def open_text(self) -> str:
        """The end of the text, which is not finished yet."""
        return self._open[self._repeated :]

    def feed(self, text: str) -> list[str]:
        """Take in more of the text, and return the HTML of the blocks that are finished now."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix(self._held)
        self._open += text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        self._size += len(text)
        known = len(self._frozen)
        if self._growing is not None and (finished := self._growing.finished(self._open)) is not None:
            self._keep(_Piece(finished[0], "", frozenset(), 0, goes_on=False))
            self._open = self._open[finished[1] :]
            self._scanned = 1  # the empty line
        self._look_where_one_begins()
        grown = len(self._open) - self._scanned
        # Mostly it is an empty line that ends a block. If it is something else, it is seen a little later.
        if _has_grown(len(self._open), self._scanned) and (
            grown > _LOOK_AGAIN or "\n\n" in self._open[max(0, self._scanned - 1) :]
        ):
            self._freeze_finished()
        return [piece.html for piece in self._frozen[known:]]

    def _look_where_one_begins(self) -> None:
        """Look again at a list before an empty line, once the line behind it has begun and shows that the list is over.

        Most paragraphs are a single line: until that ends, the list would be rendered again at every paint.
        """
        at = self._scanned
        if at != self._begun and self._open[max(0, at - 2) : at] == "\n\n" and self._open[at : at + 1].isalpha():
            self._begun, self._scanned = at, 0

    def tail(self) -> str:
        """Return the HTML of what is not finished, looking as if it was: no half of a mark is seen."""
        size = len(self._open)
        if _has_grown(size, self._tail_size):
            if self._tail_is_slow or size > MAX_BLOCK or self._is_spent():
                self._tail, self._growing = _as_written(self.open_text), None
            else:
                self._tail = self._rendered_in_time()
            self._tail_size = size
        return self._tail

    def _rendered_in_time(self) -> str:
        def work() -> str:
            if self._growing is None:
                self._growing = begun(self._open)
            grown = self._growing.add(self._open) if self._growing is not None else None
            return self._rendered_tail() if grown is None else grown

        began = thread_time()
        tail = self._in_time(work, began + _SLOW_TAIL)
        self._tail_is_slow = tail is None or thread_time() > began + _SLOW_TAIL
        if tail is None:
            self._growing = None
            return _as_written(self.open_text)
        return tail

    def _rendered_tail(self) -> str:
        source = self._open
        definitions = _Definitions(self._definitions)
        tokens, is_source = settle_blocks(source, lambda source: _parse(source, definitions))
        is_plain = settle_words(tokens, {"references": definitions}, in_line=not source.endswith("\n"))
        read = self._read if definitions == self._read_with else {}
        self._read, self._read_with = {}, definitions
        html, number = "", self._number
        for block in _blocks(tokens):
            for token in block:
                if token.type == "inline" and not token.children:
                    token.children = read.get(token.content, [])
            html += _render(block, definitions, number).html
            self._read.update((token.content, token.children or []) for token in block if token.type == "inline")
            number = 0
        self._growing = growing(source, tokens, html) if is_source and is_plain else None
        return html

    def finish(self) -> list[str]:
        """Take the text as it is for finished, and return the HTML of its last blocks.

        A link may be defined below the place where it is used. Only now it is known to be one, so that of
        :attr:`pieces` earlier ones may have changed; :attr:`is_revised` tells.
        """
        known = len(self._frozen)
        self._open += self._held.replace("\r", "\n")
        self._freeze_finished()
        if self._is_spent() or not self._has_frozen(self._open):
            self._keep_as_written(len(self._open))
        self._open = self._held = self._tail = ""
        self._tail_size = 0
        for at, piece in enumerate(self._frozen):
            if self._is_spent():
                break
            if piece.missing & self._definitions.keys():
                self.is_revised = True
                again = self._counted(partial(piece.again, self._definitions))
                self._frozen[at] = again or piece
        return [piece.html for piece in self._frozen[known:]]

    def _freeze_finished(self) -> None:
        """Freeze the blocks that no later line can change: those before the last one, as far as lines are whole."""
        window = min(max(_WINDOW, self._scanned), MAX_BLOCK)  # in what was looked through nothing is finished
        while self._scanned < (lines := self._open.rfind("\n") + 1) or len(self._open) > MAX_BLOCK:
            if self._is_spent():
                self._keep_as_written(lines or MAX_BLOCK)
                continue
            end = lines
            if end > window:
                end = self._open.rfind("\n", 0, window) + 1 or self._open.find("\n", window, MAX_BLOCK) + 1
            finished, cut = self._freeze_blocks(end)
            if not finished and not cut and len(self._open) > MAX_BLOCK and (window == MAX_BLOCK or not end):
                # Of code that is a single line a part can be finished all the same.
                end = MAX_BLOCK
                finished, cut = self._freeze_blocks(end)
                if not finished and not cut:
                    self._keep_as_written(self._open.rfind("\n", 0, MAX_BLOCK) + 1 or MAX_BLOCK)
                    window = _WINDOW
                    continue
            source = self._open[:end]
            kept = source[finished:]
            self._scanned = len(kept)
            if cut:
                if not self._has_frozen(cut.part, goes_on=True):
                    self._open, self._scanned = kept + self._open[end:], 0
                    continue
                self._number = cut.number
                self._repeated = len(cut.rest) + len(cut.part) - cut.size
                kept = cut.rest + source[finished + cut.size :]
                self._scanned = 0
            self._open = kept + self._open[end:]
            window = _WINDOW if finished or cut else min(2 * window, MAX_BLOCK)

    def _keep_as_written(self, size: int) -> None:
        """Finish so much of the open text without reading it."""
        if words := self._open[self._repeated : size]:
            self._keep(_Piece(_as_written(words), "", frozenset(), 0, goes_on=False))
        self._open = self._open[size:]
        self._scanned = 0

    def _is_spent(self) -> bool:
        return self._left() < 0 or (self._hurries is not None and self._hurries())

    def _left(self) -> float:
        return _FREE_SECONDS + _SECONDS_A_CHARACTER * self._size - self._spent

    def _in_time(self, work: Callable[[], T], end: float) -> T | None:
        """Return what `work` returns; None if it is not ready by `end`, or somebody waits: nothing of it is kept."""
        known, number, repeated = len(self._frozen), self._number, self._repeated
        asked = count(1)

        def is_over() -> bool:  # seldom by the clock, which costs more than a line
            is_hurried = self._hurries is not None and self._hurries()
            return is_hurried or (next(asked) % _ASKS == 0 and thread_time() > end)

        try:
            with patience(is_over):
                return work()
        except OutOfPatienceError:
            del self._frozen[known:]
            self._number, self._repeated = number, repeated
            return None

    def _counted(self, work: Callable[[], T]) -> T | None:
        began = thread_time()
        try:
            return self._in_time(work, began + self._left())
        finally:
            self._spent += thread_time() - began

    def _freeze_blocks(self, size: int) -> tuple[int, Cut | None]:
        """Freeze what is finished of so much of the open text.

        Returns
        -------
        tuple
            How much that is, and how the next block is cut if it is long.
        """
        source, behind = self._open[:size], self._open[size : size + 1]
        return self._counted(lambda: self._freeze_whole_blocks(source, behind)) or (0, None)

    def _has_frozen(self, source: str, *, goes_on: bool = False) -> bool:
        return self._counted(lambda: self._freeze(source, goes_on=goes_on)) is not None

    def _freeze_whole_blocks(self, source: str, behind: str) -> tuple[int, Cut | None]:
        defined: dict[str, Any] = {}
        blocks = list(_blocks(_parse(source, defined)))
        starts = _line_starts(source)
        finished: list[tuple[list[Token], str]] = []
        end = 0
        cut: Cut | None = None
        for at, block in enumerate(blocks):
            begin, following = (starts[line] for line in _lines(block))
            own = source[begin:following]
            # A formula that begins on a line of its own ends a quotation or a list as it ends a paragraph.
            if block[0].type in _BEFORE_FORMULAS and open_formula(source, begin, following) is not None:
                break
            cut = first_part(block, own, 0 if at else self._number)
            if cut:
                end = begin
                break
            kind = block[0].type
            is_over = source.endswith("\n\n") and (kind in _ENDING or (kind in _LISTS and behind.isalpha()))
            if at == len(blocks) - 1 and not is_over:
                break
            finished.append((block, own))
            end = following
        if defined:
            # What they define counts from here on, but only that: the last line of a definition may still come.
            self._freeze(source[:end])
        else:
            for block, own in finished:
                self._freeze_block(block, own)
        return end, cut

    def _freeze(self, source: str, *, goes_on: bool = False) -> bool:
        starts = _line_starts(source)
        for block in _blocks(_parse(source, self._definitions)):
            begin, end = _lines(block)
            self._freeze_block(block, source[starts[begin] : starts[end]], goes_on=goes_on)
        return True

    def _freeze_block(self, block: list[Token], source: str, *, goes_on: bool = False) -> None:
        self._keep(_render(block, self._definitions, self._number, source, goes_on=goes_on))

    def _keep(self, piece: _Piece) -> None:
        self._frozen.append(piece)
        self._number = self._repeated = 0
        # What is open begins somewhere else now.
        self._tail, self._tail_size, self._tail_is_slow, self._growing = "", 0, False, None


@dataclass(frozen=True)
class _Piece:
    """A top-level block, or a part of one."""

    html: str
    source: str
    missing: frozenset[str]
    """Names of links that it holds if they are defined later."""
    number: int
    goes_on: bool

    def again(self, definitions: _Definitions) -> _Piece:
        """Render it with the links that are defined now."""
        (block,) = _blocks(_parse(self.source, {}))
        return _render(block, definitions, self.number, self.source, goes_on=self.goes_on)


class _Definitions(dict[str, Any]):
    """Markdown's definitions of links, with a note of those that were looked for in vain."""

    def __init__(self, known: _Definitions | None = None) -> None:
        super().__init__(known or {})
        self.missing: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.missing.add(name)
        return super().get(name, default)


def _as_written(words: str) -> str:
    return f'<p dir="auto" style="white-space: pre-wrap">{escape(words)}</p>\n'


def _has_grown(size: int, known: int) -> bool:
    """Tell whether it is worth the work to look at an open text again: if it is long, not for every letter."""
    return size > known and (known < _WINDOW or size > known + known // 8)


def _render(
    block: list[Token], definitions: _Definitions, number: int, source: str = "", *, goes_on: bool = False
) -> _Piece:
    md = parser()
    definitions.missing = set()
    env: MutableMapping[str, Any] = {"references": definitions, "number": number, "goes_on": goes_on}
    _parse_inline(block, env)
    html = md.renderer.render(block, md.options, env)
    missing = frozenset(definitions.missing)
    return _Piece(html, source if missing else "", missing, number, goes_on)


def _parse(source: str, definitions: dict[str, Any]) -> list[Token]:
    """Return the blocks of `source`, with their text as it is; the links that it defines go into `definitions`."""
    tokens: list[Token] = []
    parser().block.parse(source, parser(), {"references": definitions}, tokens)
    return tokens


def _parse_inline(tokens: list[Token], env: MutableMapping[str, Any]) -> None:
    """Read the text of the blocks."""
    from markdown_it.rules_core import StateCore

    md = parser()
    for token in tokens:
        if token.type == "inline" and not token.children:
            token.children = []
            md.inline.parse(token.content, md, env, token.children)
    state = StateCore("", md, env, tokens)
    for rule in md.core.ruler.getRules("")[3:]:  # without those that find the blocks, and without what is done above
        rule(state)


def _blocks(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each top-level block."""
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _lines(block: Sequence[Token]) -> tuple[int, int]:
    begin, end = block[0].map or (0, 0)
    return begin, end


def _line_starts(source: str) -> list[int]:
    """Return where each line begins, and where the last one ends."""
    return [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
