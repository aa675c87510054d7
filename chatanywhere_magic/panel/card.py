"""A call that waits for approval, as a card: in the panel, and in the output of the cell that waits."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..core import ConfigurationError, text, texts
from ..render import approval_html
from .commands import MalformedError, read
from .frontend import script, style
from .widgets import answer_in_own_subshell, close_tree

if TYPE_CHECKING:
    from ..session import Approval, Approvals


def card_of(approval: Approval) -> dict[str, Any]:
    """Return what a page shows of a call that waits: the fields of ``Approval`` in ``page/protocol.js``."""
    shown = approval.shown
    return {
        "id": approval.id,
        "title": text("approval.title", name=approval.tool.name),
        "html": approval_html(approval),
        "answers": list(approval.answers),
        "trusts_turn": approval.tool.standing == "turn",
        "editable": shown.text if shown.editable else None,
    }


def answer_card(
    approvals: Approvals, approval: str, answer: Any, reason: str = "", edited: str | None = None
) -> Approval:
    """Answer as a page says.

    Raises
    ------
    ConfigurationError
        If the call does not wait any more.
    """
    arguments = None
    if edited is not None:
        waiting = next((each for each in approvals.waiting if each.id == approval and each.shown.editable), None)
        if waiting is not None:
            given = json.loads(waiting.call.arguments or "{}")
            arguments = json.dumps({**given, waiting.shown.editable: edited}, ensure_ascii=False)
    return approvals.answer(approval, answer, reason, arguments=arguments)


def card_strings() -> dict[str, str]:
    """Return the words of a card."""
    return {key: text(key) for key in texts("en") if key.startswith("approval.")}


class ApprovalCard(anywidget.AnyWidget):
    """The card in the output of a cell that waits. Where a page shows it, it says so, even while the cell runs.

    Parameters
    ----------
    approval : Approval
        The call that waits.
    approvals : Approvals
        Where it is answered.
    """

    _esm = script("cell.js")
    _css = style()
    card = traitlets.Dict().tag(sync=True)
    strings = traitlets.Dict().tag(sync=True)

    def __init__(self, approval: Approval, approvals: Approvals) -> None:
        self._approvals = approvals
        self._id = approval.id
        self.is_seen = threading.Event()
        """Set when a page shows it, and its messages come through."""
        super().__init__(card=card_of(approval), strings=card_strings())
        answer_in_own_subshell(self)
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        """Return what stands for it where there are no widgets."""
        return f"[{text('call.asking')}]"

    def close(self) -> None:
        """Take it away."""
        close_tree(self)

    def _hear(self, _widget: object, content: object, _buffers: object) -> None:
        try:
            command = read(content)
        except MalformedError:
            return
        if command.name == "hello":
            self.is_seen.set()
        elif command.name == "approve" and command.fields["approval"] == self._id:
            try:
                answer_card(self._approvals, **command.fields)
            except ConfigurationError as problem:  # answered elsewhere, a moment before
                self.send({"type": "answer", "id": command.id, "ok": False, "words": str(problem)})
