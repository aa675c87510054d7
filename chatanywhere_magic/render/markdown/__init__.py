"""Render model text as HTML that runs and fetches nothing. The only way from a response to a page.

Raw HTML becomes text, images become links, links keep only harmless schemes, and formulas are marked for
MathJax while everything else is kept from it.
"""

from __future__ import annotations

from .code import code_html
from .formulas import IGNORED_BY_MATHJAX
from .incremental import IncrementalRenderer
from .text import as_text_html, page, to_html

__all__ = ["IGNORED_BY_MATHJAX", "IncrementalRenderer", "as_text_html", "code_html", "page", "to_html"]
