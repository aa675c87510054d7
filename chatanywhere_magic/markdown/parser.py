"""The Markdown parser and renderer, set up for text that must not be trusted."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..strings import text
from .code import add_code
from .formulas import add_formulas

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

LINK_SCHEMES: Final = frozenset({"http", "https", "mailto"})
# What is too wide scrolls by itself, and the text around it stays where it is.
_TABLE_STYLE: Final = "display: block; width: max-content; max-width: 100%; overflow-x: auto; margin: 0 0 1em"


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the one parser."""
    from markdown_it import MarkdownIt  # loaded with the first answer, not with the extension

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _is_harmless  # type: ignore[method-assign]  # markdown-it's documented way
    parser.core.ruler.push("attributes", _set_attributes)
    parser.add_render_rule("image", _render_image)
    add_code(parser)
    add_formulas(parser)
    return parser


def _is_harmless(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in LINK_SCHEMES
    except ValueError:
        return False


def _set_attributes(state: StateCore) -> None:
    for block in state.tokens:
        if block.type == "table_open":
            block.attrSet("style", _TABLE_STYLE)
        elif block.type in {"th_open", "td_open"} and not block.attrGet("style"):
            block.attrSet("style", "text-align: left")  # Jupyter would set it right, for numbers
        for token in block.children or ():
            if token.type == "link_open":
                token.attrSet("rel", "noopener noreferrer")
                token.attrSet("target", "_blank")


def _render_image(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    url, label = str(tokens[index].attrGet("src") or ""), tokens[index].content
    shown = escape(text("answer.image", label=label or url))
    return f'<a href="{escape(url)}" rel="noopener noreferrer" target="_blank">{shown}</a>'
