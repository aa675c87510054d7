"""Render whole texts as HTML."""

from __future__ import annotations

from html import escape
from typing import Final

from .formulas import IGNORED_BY_MATHJAX
from .incremental import IncrementalRenderer

# Jupyter's own classes for rendered text, so that a response looks in a panel, which is no output of this kind, as
# it does below a cell: as the notebook's Markdown.
_TYPOGRAPHY: Final = "jp-RenderedHTMLCommon jp-RenderedMarkdown"
_TEXT_STYLE: Final = "padding-right: 0; overflow-wrap: break-word"


def to_html(markdown: str) -> str:
    r"""Return `markdown`, written by a model, as a safe HTML fragment.

    Parameters
    ----------
    markdown : str
        CommonMark with tables, strikethrough and formulas in ``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``.

    Returns
    -------
    str
        HTML without scripts, event handlers, styles, embedded or remote content.
    """
    renderer = IncrementalRenderer()
    renderer.feed(markdown)
    renderer.finish()
    return page(*renderer.pieces)


def page(*pieces: str) -> str:
    """Return HTML that an :class:`IncrementalRenderer` made in the element that gives it its looks."""
    classes = f"chatanywhere-text {_TYPOGRAPHY} {IGNORED_BY_MATHJAX}"
    return f'<div class="{classes}" dir="auto" style="{_TEXT_STYLE}">{"".join(pieces)}</div>'


def as_text_html(words: str) -> str:
    """Return `words` as HTML that shows them exactly as they are: no Markdown, no formulas."""
    return (
        f'<div class="chatanywhere-text {IGNORED_BY_MATHJAX}" dir="auto" '
        f'style="white-space: pre-wrap; overflow-wrap: break-word">{escape(words)}</div>'
    )
