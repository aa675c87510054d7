"""Show a response in a given form: the text as it is, its code, its JSON, or its HTML as source."""

from __future__ import annotations

import json
import re

from ...core import AnswerFormatError, code_blocks, find_json
from ..markdown import as_text_html, to_html


def formed(response: str, form: str) -> tuple[str, str]:
    """Return `answer` in the forms, as HTML and as text. What is not in it cannot be shown: it is shown whole."""
    if form == "code" and (blocks := code_blocks(response)):
        return to_html("\n\n".join(_fenced(block, block.language) for block in blocks)), "\n\n".join(blocks)
    if form == "json":
        try:
            written = json.dumps(find_json(response), ensure_ascii=False, indent=2)
        except AnswerFormatError:
            return as_text_html(response), response
        return to_html(_fenced(written, "json")), written
    if form == "html-source":
        source = next((block for block in code_blocks(response) if block.language in {"html", "xml", "svg"}), response)
        return to_html(_fenced(source, "html")), source
    return (to_html(response) if form == "markdown" else as_text_html(response)), response


def _fenced(code: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
