"""What IPython would do to a prompt before the magic sees it, kept from happening."""

from __future__ import annotations

import re

from IPython.core.inputtransformer2 import make_tokens_by_line


def keep_question_marks(lines: list[str]) -> list[str]:
    """Rewrite ``%chat What is a list?`` before IPython takes its end for a request for help on ``list``.

    ``%chat?`` and ``%chat??`` stay what they are: help on the magic.
    """
    lines = list(lines)
    for row, line in enumerate(lines):
        match = re.fullmatch(r"(\s*)%chat\s+(\S.*?)\s*", line)
        # Each becomes a call, whatever its end, so that brackets left open in a prompt do not reach the next line.
        if match and not match[2].endswith("\\") and _begins_statement([*lines[:row], f"{match[1]}pass\n"]):
            lines[row] = f"{match[1]}get_ipython().run_line_magic('chat', {match[2]!r})\n"
    return lines


def _begins_statement(lines: list[str]) -> bool:
    """Whether the last of `lines`, a lone ``pass``, is a statement and not inside a string or brackets."""
    for statement in make_tokens_by_line(lines):
        words = [token for token in statement if token.string.strip()]
        if words and words[0].start[0] == len(lines):
            return bool(words[0].string == "pass")
    return False
