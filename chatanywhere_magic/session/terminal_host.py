"""Ask the person by ``input()``: in a terminal, and in a front end that has no buttons."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..core import ConfigurationError, text, visible
from .jobs import Interruptible

if TYPE_CHECKING:
    from .approval import Answer, Approval, Approvals
    from .live_turn import LiveTurn


class TerminalHost:
    """Asks with a line to type an answer on."""

    @property
    def can_ask(self) -> bool:
        """Whether a person sits at a terminal."""
        return sys.stdin is not None and sys.stdin.isatty()

    def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
        """Ask the person; return when the call is decided, here or elsewhere."""
        sys.stdout.write(f"{approval_words(approval)}\n")
        ask_by_input(approval, approvals, live)


def ask_by_input(approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
    """Have the person type an answer, until there is one; where it comes from elsewhere, stop asking."""
    question = text("approval.question" if "always" in approval.answers else "approval.question_once")
    asking = Interruptible(live.cancel)
    approval.decided.add_done_callback(lambda _: asking.interrupt())
    while not approval.decided.done():
        try:
            with asking:
                if approval.decided.done():
                    return
                typed = input(question)
        except KeyboardInterrupt:
            return  # decided elsewhere, or the person stops the turn, which withdraws it
        except EOFError:
            live.cancel()
            return
        if answer := _meant(typed):
            try:
                approvals.answer(approval.id, *answer)
            except ConfigurationError as problem:
                sys.stdout.write(f"{problem}\n")
                return


def _meant(typed: str) -> tuple[Answer, str] | None:
    """Return the answer that was typed, with the reason for a no; None if it is none."""
    word, _, rest = typed.strip().partition(" ")
    word, _, more = word.partition(",")
    said = word.casefold().rstrip(".:;")
    if said in text("approval.words_no").split():
        return "no", f"{more} {rest}".strip()
    if rest or more:
        return None
    if said in text("approval.words_once").split():
        return "once", ""
    return ("always", "") if said in text("approval.words_always").split() else None


def approval_words(approval: Approval) -> str:
    """Return the whole call as text."""
    body = "\n".join(f"    {line}" for line in approval.body.split("\n"))
    return f"{text('approval.title', name=visible(approval.tool.name))}\n{body}"
