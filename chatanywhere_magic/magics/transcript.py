"""Show turns, versions and search results."""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING, Final

from ..core import text
from ..render import final_words, footer_words, printable, state_line
from .notebook import date
from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..core import Found, Turn, Version
    from ..session import ChatSession

SHORT: Final = 70


def shortened(words: str, length: int = SHORT) -> str:
    """Return the beginning of `words`, on one line."""
    words = " ".join(words[: 4 * length].split())
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def show_history(
    session: ChatSession, turns: Sequence[tuple[int, Turn]], *, full: bool = False, last: int | None = None
) -> None:
    """Show turns with how they stand: as a table, or in full; of many only the `last` ones if that is given."""
    if not turns:
        sys.stdout.write(text("notice.no_turns") + "\n")
        return
    shown = turns[-last:] if last else turns
    left_out = session.turns.left_out()
    if full:
        _show_full(shown, left_out)
        return
    header = (
        "",
        text("table.question"),
        text("table.answer"),
        text("table.status"),
        text("table.versions"),
        text("table.tokens"),
    )
    rows = [
        (
            str(index + 1),
            shortened(turn.current.prompt),
            shortened(turn.current.text),
            ", ".join([*_state(turn.current), *_marks(turn, index, left_out)]),
            f"{turn.selected + 1}/{len(turn.versions)}" if len(turn.versions) > 1 else "",
            _tokens(turn.current),
        )
        for index, turn in shown
    ]
    note = [text("notice.earlier_turns", count=len(turns) - len(shown))] if len(shown) < len(turns) else []
    if left_out:
        note.append(text("notice.next_leaves_out", count=len(left_out)))
    used, limit, estimated = session.turns.context_used()
    if limit:
        note.append(f"{'≈ ' if estimated else ''}{text('notice.context', used=used, limit=limit)}")
    show_table(header, rows, note=" · ".join(note))


def show_versions(index: int, turn: Turn) -> None:
    """Show a turn's versions, the selected one marked."""
    header = (
        "",
        text("table.question"),
        text("table.answer"),
        text("table.status"),
        text("table.model"),
        text("table.tokens"),
        text("table.date"),
    )
    rows = [
        (
            str(number),
            shortened(version.prompt),
            shortened(version.text, 2 * SHORT),
            ", ".join(_state(version)),
            version.model,
            _tokens(version),
            date(version.timing.started) if version.timing.started else "",
        )
        for number, version in enumerate(turn.versions, 1)
    ]
    note = text("notice.select_how", number=index + 1) if len(rows) > 1 else ""
    show_table(header, rows, marked={turn.selected}, note=note)


def show_found(found: Sequence[Found], rows: Sequence[str]) -> None:
    """Show where something was found; `rows` are the ids of the conversations, numbered in this order."""
    header = (
        "",
        text("table.title"),
        text("table.date"),
        text("table.turn"),
        text("table.found"),
    )
    lines = [
        (
            str(rows.index(each.conversation_id) + 1),
            shortened(each.name, SHORT // 2),
            date(each.asked) if each.asked else "",
            str(each.turn + 1),
            each.excerpt,
        )
        for each in found
    ]
    show_table(header, lines, note=text("notice.switch_how"))


def _show_full(turns: Sequence[tuple[int, Turn]], left_out: Collection[int]) -> None:
    from IPython.display import display

    from ..render import as_text_html, to_html  # loaded with the first response, not with the extension

    pages, plain = [], []
    for index, turn in turns:
        version = turn.current
        heads = [str(index + 1), *_marks(turn, index, left_out)]
        if len(turn.versions) > 1:
            heads.append(text("notice.version_of", number=turn.selected + 1, count=len(turn.versions)))
        words = [*final_words(version), *footer_words(version)]
        pages.append(
            f"{state_line(' · '.join(heads))}"
            f'<div style="border-left: 3px solid var(--jp-brand-color1, #2196f3); padding: 2px 10px">'
            f"{as_text_html(version.prompt)}</div>"
            f"{to_html(version.text) if version.text else ''}"
            f"{f'<div>{escape(str(version.error))}</div>' if version.error else ''}"
            f"{state_line(' · '.join(words))}"
        )
        parts = [
            f"[{' · '.join(heads)}] {version.prompt}",
            version.text,
            str(version.error or ""),
            f"[{' · '.join(words)}]",
        ]
        plain.append("\n".join(printable(part) for part in parts if part))
    display({"text/html": "<hr>".join(pages), "text/plain": "\n\n".join(plain)}, raw=True)


def _state(version: Version) -> list[str]:
    words = final_words(version)
    if version.status in {"queued", "streaming"}:
        words = [text("status.queued") if version.status == "queued" else text("status.streaming")]
    return [*words, *([text("footer.replayed")] if version.replayed else [])]


def _marks(turn: Turn, index: int, left_out: Collection[int]) -> list[str]:
    marks = [text("mark.pinned")] if turn.pinned else []
    if index in left_out:
        marks.append(text("mark.left_out"))
    elif not turn.current.is_sent and turn.current.status not in {"queued", "streaming"}:
        marks.append(text("mark.not_sent"))
    return marks


def _tokens(version: Version) -> str:
    usage = version.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return ""
    return f"{usage.prompt_tokens} + {usage.completion_tokens}"
