"""Code: in the notebook's colours, shown as it is."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.token import Token

# As the notebook shows the code that is in it.
_CODE_STYLE: Final = (
    "background: var(--jp-cell-editor-background, rgba(128, 128, 128, 0.1)); "
    "border: 1px solid var(--jp-cell-editor-border-color, transparent); "
    "padding: 0.5em 0.75em; margin: 0.5em 0 1em; overflow-x: auto"
)


def add_code(parser: MarkdownIt) -> None:
    """Teach `parser` to render code."""
    parser.add_render_rule("fence", _render_fence)
    parser.add_render_rule("code_block", _render_fence)


def _render_fence(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    token = tokens[index]
    language = (token.info.split() or [""])[0]
    code = _highlight(token.content, language)
    return f'<div class="highlight" style="{_CODE_STYLE}"><pre style="background: none">{code}</pre></div>\n'


def _highlight(code: str, language: str) -> str:
    from pygments import highlight  # lexers are loaded when code is to be shown
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        return f'<code style="background: none">{escape(code)}</code>'
    return f'<code style="background: none">{highlight(code, lexer, HtmlFormatter(nowrap=True))}</code>'
