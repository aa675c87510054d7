"""Code: in the notebook's colours, with the name of its language, and with nothing hidden in it."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from itertools import groupby
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from ...core import language_of

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.token import Token

# As the notebook shows the code that is in it.
_STYLE: Final = (
    "background: var(--jp-cell-editor-background, rgba(128, 128, 128, 0.1)); "
    "border: 1px solid var(--jp-cell-editor-border-color, transparent); "
    "padding: 0.5em 0.75em; margin: 0.5em 0 1em; overflow-x: auto"
)
# A long block comes in parts, which look like one.
_GOES_ON: Final = "; margin-bottom: 0; border-bottom: 0; padding-bottom: 0"
_GOES_ON_BEFORE: Final = "; margin-top: 0; border-top: 0; padding-top: 0"
_LANGUAGE_STYLE: Final = "font-size: 80%; line-height: 1.2; opacity: 0.75; text-align: end; user-select: none"
_PLAIN: Final = "background: none"
_MAX_LANGUAGE: Final = 30
MAX_LEXED: Final = 20_000
"""Characters of a block that get colours."""
MAX_LEXING_SECONDS: Final = 0.2

# They change the order in which the letters around them are read, or have no width: code that holds them is not what
# it looks like (https://trojansource.codes).
_HIDDEN: Final = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def add_code(parser: MarkdownIt) -> None:
    """Teach `parser` to render code."""
    parser.add_render_rule("fence", _render_block)
    parser.add_render_rule("code_block", _render_block)
    parser.add_render_rule("code_inline", _render_inline)


def _render_block(
    renderer: RendererProtocol,  # noqa: ARG001 - markdown-it binds render rules as methods
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],
) -> str:
    token = tokens[index]
    language = (token.info.split() or [""])[0][:_MAX_LANGUAGE]
    is_part = token.level == 0
    style, label = _STYLE, ""
    if is_part and env.get("goes_on"):
        style += _GOES_ON
    if is_part and env.get("number"):
        style += _GOES_ON_BEFORE
    elif language:
        label = f'<div style="{_LANGUAGE_STYLE}">{shown(language)}</div>'
    code = highlighted(token.content, language_of(token.info))
    return (
        f'<div class="highlight" dir="ltr" translate="no" style="{style}">{label}'
        f'<pre style="{_PLAIN}"><code style="{_PLAIN}">{code}</code></pre></div>\n'
    )


def code_html(code: str, language: str) -> str:
    """Return code as HTML that shows all of it: long lines are wrapped."""
    style = f"{_STYLE}; white-space: pre-wrap; overflow-wrap: anywhere"
    wrapped = f"{_PLAIN}; white-space: pre-wrap; overflow-wrap: anywhere"
    return (
        f'<div class="highlight" dir="ltr" translate="no" style="{style}"><pre style="{wrapped}">'
        f'<code style="{wrapped}">{highlighted(code, language)}</code></pre></div>'
    )


def _render_inline(
    renderer: RendererProtocol,  # noqa: ARG001 - as above
    tokens: Sequence[Token],
    index: int,
    options: Any,  # noqa: ARG001
    env: MutableMapping[str, Any],  # noqa: ARG001
) -> str:
    return f"<code>{shown(tokens[index].content)}</code>"


def shown(code: str) -> str:
    """Return `code` as HTML, with the names of characters that would hide something."""
    html = escape(code)
    return html if html.isascii() else _HIDDEN.sub(_name, html)


def _name(found: re.Match[str]) -> str:
    return f'<span class="err" style="border: 1px solid; font-size: 80%">U+{ord(found[0]):04X}</span>'


def highlighted(code: str, language: str) -> str:
    """Return `code` as HTML in the colours of `language`, or in none if it is unknown.

    What is long, or takes long, goes on without colours: some of Pygments' lexers read a hostile text again and again.
    """
    lexer = _lexer(language)
    if lexer is None:
        return shown(code)
    pieces = ((_class(kind), value) for kind, value in _lexed(lexer, code))
    return "".join(
        f'<span class="{name}">{shown(words)}</span>' if name else shown(words)
        for name, words in (
            (name, "".join(value for _, value in group)) for name, group in groupby(pieces, lambda piece: piece[0])
        )
    )


def _lexed(lexer: Any, code: str) -> Iterator[tuple[Any, str]]:
    """Yield the tokens of `code`, each with its kind; what is beyond a limit as plain text."""
    from pygments.token import Text

    over = thread_time() + MAX_LEXING_SECONDS
    done = 0
    for at, kind, value in lexer.get_tokens_unprocessed(code[:MAX_LEXED]):
        if thread_time() > over:
            break
        yield kind, value
        done = at + len(value)
    yield Text, code[done:]


def ends_in_the_open(code: str, language: str) -> bool:
    """Tell whether `code`, which ends with a line, ends in the middle of a text or a comment."""
    from pygments.token import Comment, Literal

    lexer = _lexer(language)
    if lexer is None:
        return False
    last = None
    for kind, value in _lexed(lexer, code):
        last = kind if value else last
    return last is not None and (last in Literal or (last in Comment and last is not Comment.Single))


@lru_cache(maxsize=32)
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # lexers are loaded when code is to be shown
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language) if language else None
    except ClassNotFound:
        return None


@cache
def _class(kind: Any) -> str:
    """Return the class of a kind of token, ``""`` for those to which Jupyter gives no colour."""
    from pygments.token import Comment, Error, Keyword, Number, Operator, String

    classes = {Comment: "c", Keyword: "k", Operator: "o", String: "s", Number: "m", Error: "err"}
    return next((name for parent, name in classes.items() if kind in parent), "")
