"""A turn to what the person sees: an updating output area in a notebook, plain text in a terminal."""

from __future__ import annotations

import sys
import time
import unicodedata
from html import escape
from typing import TYPE_CHECKING, Any, Final, Protocol

from .markdown import to_html
from .strings import text

if TYPE_CHECKING:
    import threading

    from IPython.core.interactiveshell import InteractiveShell

    from .conversation import Version
    from .live import LiveTurn

PAINT_SECONDS: Final = 1 / 12
"""Between two paints. Painting by clock keeps a fast answer from costing more than a slow one."""
PAINT_BYTES_PER_SECOND: Final = 256_000
"""Long answers are painted less often, so that the page keeps up."""
METADATA_KEY: Final = "chatanywhere"
METADATA_VERSION: Final = 1


class Painter(Protocol):
    """What shows a turn while it runs and when it is over."""

    def get_ready(self) -> None:
        """Load what painting needs; called while the first text is awaited."""
        ...

    def paint(self, version: Version, notice: str) -> int:
        """Show the turn as it stands, and return how many bytes that took."""
        ...

    def finish(self, version: Version) -> None:
        """Show the turn as it ended."""
        ...


def painter_for(shell: InteractiveShell, *, footer: bool) -> Painter:
    """Return the painter that fits where `shell` runs."""
    if hasattr(shell, "kernel"):
        return NotebookPainter(footer=footer)
    return TerminalPainter(footer=footer)


def follow(live: LiveTurn, painter: Painter, changed: threading.Event) -> None:
    """Paint `live` until it is over: its first text at once, then by clock, its end at once.

    Parameters
    ----------
    changed : threading.Event
        Set by a listener of `live` at every change.
    """
    painter.get_ready()
    while not live.is_over:
        # Once a second at least, for the seconds waited.
        changed.wait(1.0)
        changed.clear()
        version = live.version
        size = painter.paint(version, live.notice)
        if version.answer or version.reasoning:
            live.done.wait(max(PAINT_SECONDS, size / PAINT_BYTES_PER_SECOND))


class NotebookPainter:
    """One output area, replaced as the answer grows; when it is over, one ``display_data`` with everything in it."""

    def __init__(self, *, footer: bool) -> None:
        from IPython.display import DisplayHandle

        self._handle = DisplayHandle()
        self._shown = False
        self._footer = footer

    def get_ready(self) -> None:
        """Load the Markdown renderer."""
        to_html("")

    def paint(self, version: Version, notice: str) -> int:
        """Show the text so far; before there is any, what is being waited for."""
        if version.status in {"queued", "streaming"}:
            below = state_line(waiting_words(version, notice)) if not version.answer else ""
        else:
            below = self._final_line(version)
        page = f"{to_html(version.answer) if version.answer else ''}{below}"
        # The plain form must not be empty: nbclient and text front ends show it.
        plain = version.answer or f"[{waiting_words(version, notice)}]"
        self._publish({"text/html": page, "text/plain": plain}, {})
        return len(page) + len(plain)

    def finish(self, version: Version) -> None:
        """Leave the whole answer, and the turn in the output's metadata."""
        page = f"{to_html(version.answer) if version.answer else ''}{self._final_line(version)}"
        plain = version.answer or f"[{text('status.' + version.status)}]"
        self._publish({"text/html": page, "text/plain": plain}, {METADATA_KEY: turn_metadata(version)})

    def _final_line(self, version: Version) -> str:
        words = final_words(version)
        if self._footer:
            words = [*words, *footer_words(version)]
        return state_line(" · ".join(words)) if words else ""

    def _publish(self, data: dict[str, str], metadata: dict[str, Any]) -> None:
        show = self._handle.update if self._shown else self._handle.display
        show(data, raw=True, metadata=metadata)  # type: ignore[no-untyped-call]  # IPython's is untyped
        self._shown = True


class TerminalPainter:
    """Text as it comes, never printed twice, without the control characters that a terminal would obey."""

    def __init__(self, *, footer: bool) -> None:
        self._footer = footer
        self._printed = 0

    def get_ready(self) -> None:
        """Do nothing: a terminal shows text as it is."""

    def paint(self, version: Version, notice: str) -> int:  # noqa: ARG002 - a terminal shows text only
        """Print what has come since the last time."""
        fresh = version.answer[self._printed :]
        self._printed = len(version.answer)
        if fresh:
            sys.stdout.write(printable(fresh))
            sys.stdout.flush()
        return len(fresh)

    def finish(self, version: Version) -> None:
        """Print the rest, and, where a person reads it, how the turn ended."""
        self.paint(version, "")
        if version.answer and not version.answer.endswith("\n"):
            sys.stdout.write("\n")
        words = final_words(version)
        if self._footer and sys.stdout.isatty():
            words = [*words, *footer_words(version)]
        if words:
            sys.stdout.write(f"[{printable(' · '.join(words))}]\n")
        sys.stdout.flush()


def printable(words: str) -> str:
    """Return `words` without control characters other than newline and tab: model text must not steer a terminal."""
    return "".join(c for c in words if c in "\n\t" or unicodedata.category(c) != "Cc")


def final_words(version: Version) -> list[str]:
    """Return what the person must know of how the turn ended; nothing for a good answer."""
    if version.status == "complete":
        return [text("status.cut_at_limit")] if version.finish_reason == "length" else []
    return [text(f"status.{version.status}")]


def footer_words(version: Version) -> list[str]:
    """Return who answered, at what cost and how fast, as far as it is known."""
    words = [version.provider]
    if version.model:
        words.append(version.model)
    if version.attachments:
        from .context import notes  # loaded when something is sent along

        words.append(text("footer.sent", items=", ".join(notes(version.attachments))))
    tokens = version.usage.completion_tokens if version.usage else None
    if version.usage and version.usage.prompt_tokens is not None and tokens is not None:
        words.append(text("footer.tokens", prompt=version.usage.prompt_tokens, completion=tokens))
    if version.replayed:
        return [*words, text("footer.replayed")]
    if version.left_out and version.summary:
        words.append(text("footer.summarised", count=version.left_out))
    elif version.left_out:
        words.append(text("footer.left_out", count=version.left_out))
    timing = version.timing
    if timing.total is not None:
        words.append(text("footer.seconds", seconds=f"{timing.total:.1f}"))
        writing = timing.total - (timing.first_text or 0.0)
        if tokens and timing.first_text is not None and writing > 0:
            words.append(text("footer.rate", rate=f"{tokens / writing:.0f}"))
    return words


def turn_metadata(version: Version) -> dict[str, Any]:
    """Return the turn as JSON values: enough to rebuild it from the saved notebook alone."""
    usage = version.usage
    return {
        "version": METADATA_VERSION,
        "question": version.question,
        "status": version.status,
        "error": version.error,
        "provider": version.provider,
        "model": version.model,
        "finish_reason": version.finish_reason,
        "usage": None
        if usage is None
        else {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
        "started": version.timing.started,
        "seconds": version.timing.total,
    }


def waiting_words(version: Version, notice: str) -> str:
    """Return what is being waited for, before there is any text."""
    if notice:
        return notice
    if version.status == "queued":
        return text("status.queued")
    key = "status.reasoning" if version.reasoning else "status.waiting"
    return text(key, seconds=int(time.time() - version.timing.started))


def state_line(words: str) -> str:
    """Return `words` as the small line below an answer."""
    return (
        '<div class="chatanywhere-state mathjax_ignore tex2jax_ignore" dir="auto" '
        f'style="font-size: 85%; line-height: 1.5; opacity: 0.75">{escape(words)}</div>'
    )
