"""The conversation as it stands, for a notebook that is read where no kernel runs.

Without its kernel a widget is nothing but an error message. So a panel leaves a second output beside itself, of plain
HTML and text, which is out of sight as long as the panel lives and takes its place when it does not.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from ..core import text
from ..render import as_text_html, final_words, to_html
from .feed import words_of

if TYPE_CHECKING:
    from ..core import Conversation, Version

MAX_CHARACTERS: Final = 100_000
"""Of prompts and responses together; it is rewritten after each response, and makes the notebook larger."""
MAX_FORMATTED: Final = 20_000
"""Of these the last so many are formatted. Jupyter takes HTML apart to make it safe also where it is out of sight, and
a page with the panel would stand still for it; text costs nothing."""

# The first rule hides the transcript beside a living panel; the second one the words that stand for a dead widget.
# By children alone: with descendants the browser looks through the panel at every change in it.
_STYLE: Final = """<style>
.jp-OutputArea:has(> * > * > .chatanywhere-panel) > .jp-OutputArea-child:has(> * > .chatanywhere-transcript),
.jp-OutputArea-child:has(> * > .chatanywhere-transcript) + .jp-OutputArea-child > .jupyter-widgets:not(:has(> *)) {
  display: none;
}
</style>"""
_PROMPT_STYLE: Final = (
    "background: var(--jp-layout-color2, #eee); border-left: 3px solid var(--jp-brand-color1, #1976d2); "
    "padding: 6px 10px; margin: 0 0 6px"
)


def transcript_html(conversation: Conversation) -> str:
    """Return the conversation as safe HTML, the oldest turns left out if it is long."""
    versions, left_out = _last(conversation)
    notes = [f"<p>{escape(text('panel.left_out', count=left_out))}</p>"] if left_out else []
    turns: list[str] = []
    room = MAX_FORMATTED
    for version in reversed(versions):
        room -= len(version.text)
        turns.append(_turn(version, formatted=room >= 0))
    return "".join([_STYLE, '<div class="chatanywhere-transcript">', *notes, *reversed(turns), "</div>"])


def transcript_text(conversation: Conversation) -> str:
    """Return the conversation as plain text."""
    versions, _ = _last(conversation)
    lines = [line for version in versions for line in (f"> {version.prompt}", "", version.text, "")]
    return "\n".join(lines).strip() or text("panel.closed")


def _turn(version: Version, *, formatted: bool) -> str:
    words = " · ".join(final_words(version)) if version.status not in {"queued", "streaming"} else ""
    problem = f"{words}\n{words_of(version.error.message) if version.error else ''}".strip()
    return "".join(
        [
            f'<div style="{_PROMPT_STYLE}">{as_text_html(version.prompt)}</div>',
            (to_html if formatted else as_text_html)(version.text) if version.text else "",
            as_text_html(problem) if problem else "",
        ]
    )


def _last(conversation: Conversation) -> tuple[list[Version], int]:
    """Return the versions that have room, and how many before them have none."""
    versions: list[Version] = []
    room = MAX_CHARACTERS
    for _, turn in reversed(conversation.visible):
        room -= len(turn.current.prompt) + len(turn.current.text)
        if room < 0 and versions:
            break
        versions.append(turn.current)
    return versions[::-1], len(conversation.visible) - len(versions)
