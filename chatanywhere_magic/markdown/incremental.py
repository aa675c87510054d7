"""A text that grows, to HTML: what is finished is rendered once, only its open end again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .formulas import open_formula
from .parser import parser
from .unfinished import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from markdown_it.token import Token

_WINDOW: Final = 16_000
"""Characters that are parsed at once: a long text that comes whole is no dearer than one that comes in pieces."""


class IncrementalRenderer:
    r"""Renders a text that comes in pieces.

    However it is cut, the :attr:`pieces` are in the end those of the whole text: ``to_html`` works by it too.

    Examples
    --------
    >>> renderer = IncrementalRenderer()
    >>> renderer.feed("One **paragraph**.\n\nAnd an")
    []
    >>> renderer.feed("other.\n\nThe *la")
    ['<p>One <strong>paragraph</strong>.</p>\n']
    """

    def __init__(self) -> None:
        self._frozen: list[_Piece] = []
        self._definitions = _Definitions()
        self._open = ""
        """The text from the first block on that is not finished."""
        self._held = ""
        """A carriage return at the end: whether a newline follows is not known yet."""
        self._scanned = 0
        """How much of the open text has been looked through for finished blocks."""
        self.is_revised = False
        """Whether :meth:`finish` changed pieces that had been returned before."""

    @property
    def pieces(self) -> list[str]:
        """The HTML of every finished block."""
        return [piece.html for piece in self._frozen]

    def feed(self, text: str) -> list[str]:
        """Take in more of the text, and return the HTML of the blocks that are finished now."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix(self._held)
        self._open += text.replace("\r\n", "\n").replace("\r", "\n")
        known = len(self._frozen)
        self._freeze_finished()
        return [piece.html for piece in self._frozen[known:]]

    def tail(self) -> str:
        """Return the HTML of what is not finished, looking as if it was: no half of a mark is seen."""
        definitions = _Definitions(self._definitions)
        return "".join(piece.html for piece in _render(settled(self._open), definitions))

    def finish(self) -> list[str]:
        """Take the text as it is for finished, and return the HTML of its last blocks.

        A link may be defined below the place where it is used. Only now it is known to be one, so that of
        :attr:`pieces` earlier ones may have changed; :attr:`is_revised` tells.
        """
        known = len(self._frozen)
        self._open += self._held.replace("\r", "\n")
        self._freeze(self._open)
        self._held = self._open = ""
        for piece in self._frozen:
            if piece.missing & self._definitions.keys():
                (again,) = _render(piece.source, self._definitions)
                self.is_revised = True
                piece.html = again.html
        return [piece.html for piece in self._frozen[known:]]

    def _freeze_finished(self) -> None:
        """Freeze the blocks that no later line can change: those before the last one, as far as lines are whole."""
        end = self._open.rfind("\n") + 1
        window = _WINDOW
        while self._scanned < end:
            part = self._open[:end]
            if len(part) > window:
                part = part[: part.rfind("\n", 0, window) + 1] or part[: part.find("\n", window) + 1]
            cut = _finished(part)
            self._scanned = len(part) - cut
            if cut:
                self._freeze(self._open[:cut])
                self._open = self._open[cut:]
                end -= cut
                window = _WINDOW
            else:
                window *= 2

    def _freeze(self, source: str) -> None:
        self._frozen.extend(_render(source, self._definitions))


@dataclass
class _Piece:
    """A top-level block."""

    html: str
    source: str
    missing: set[str]
    """Names of links that it may hold if they are defined later."""


class _Definitions(dict[str, Any]):
    """Markdown's definitions of links, with a note of those that were looked for in vain."""

    def __init__(self, known: _Definitions | None = None) -> None:
        super().__init__(known or {})
        self.missing: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.missing.add(name)
        return super().get(name, default)


def _render(source: str, definitions: _Definitions) -> Iterator[_Piece]:
    md = parser()
    env: MutableMapping[str, Any] = {"references": definitions}
    lines = source.split("\n")
    for tokens in _blocks(_parse(source, env)):
        definitions.missing = set()
        _parse_inline(tokens, env)
        html = md.renderer.render(tokens, md.options, env)
        missing = definitions.missing
        begin, end = _lines(tokens)
        yield _Piece(html, "\n".join(lines[begin:end]) if missing else "", missing)


def _finished(source: str) -> int:
    """Return how much of `source`, which ends with a line, no later line can change."""
    blocks = [_lines(tokens) for tokens in _blocks(_parse(source, {}))]
    formula = open_formula(source)
    known = source.count("\n", 0, formula) if formula is not None else None
    ends = [end for _, end in blocks[:-1] if known is None or end <= known]
    if not ends:
        return 0
    position = 0
    for _ in range(ends[-1]):
        position = source.index("\n", position) + 1
    return position


def _parse(source: str, env: MutableMapping[str, Any]) -> list[Token]:
    """Return the blocks of `source`, with their text as it is."""
    tokens: list[Token] = []
    parser().block.parse(source.replace("\0", "\ufffd"), parser(), env, tokens)
    return tokens


def _parse_inline(tokens: list[Token], env: MutableMapping[str, Any]) -> None:
    """Read the text of the blocks."""
    from markdown_it.rules_core import StateCore

    state = StateCore("", parser(), env, tokens)
    for rule in parser().core.ruler.getRules("")[2:]:  # without those that find the blocks
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
