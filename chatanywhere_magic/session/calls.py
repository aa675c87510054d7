"""Calls of tools as they are approved and run: what front ends show of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from .capture import Captured

if TYPE_CHECKING:
    from ..core import ToolCall, ToolResult
    from ..tools import Tool
    from .approval import Approval, Place

CallState = Literal["waiting", "asking", "blocked", "running", "done", "failed", "refused", "stopped"]
"""Behind other calls; for the person; for the kernel, which runs a cell; and so on."""
CALL_ENDED = frozenset({"done", "failed", "refused", "stopped"})


class LiveCall:
    """A call of a tool on its way. Changed on the engine's thread, but for what it shows; read by others.

    Attributes
    ----------
    call : ToolCall
        As the model wrote it.
    tool : Tool or None
        None if there is no tool of that name.
    state : str
        One of `CallState`.
    progress : str
        What a generator function has yielded last.
    traceback : str
        The whole traceback where the function raised, for the person.
    result : ToolResult or None
        What the model reads, once there is one.
    """

    def __init__(self, call: ToolCall, tool: Tool | None, place: Place) -> None:
        self.call = call
        self.tool = tool
        self.place = place
        self.state: CallState = "waiting"
        self.approval: Approval | None = None
        self.how = ""
        """How it was approved, as :attr:`ToolResult.approval` says it."""
        self.progress = ""
        self.traceback = ""
        self.result: ToolResult | None = None
        self.is_bad = False
        """Whether it could not be made as the model wrote it."""
        self.captured = Captured(passing=False)
        self.began: float | None = None
        self.seconds = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in CALL_ENDED

    @property
    def is_alone(self) -> bool:
        """Whether it runs on the thread that waits, one after the other."""
        return self.tool is None or not (self.tool.is_async or self.tool.thread_safe)

    def begin(self) -> None:
        """Note that it runs."""
        self.began = time.monotonic()
        self.state = "running"

    def end(self, state: CallState, result: ToolResult | None = None) -> None:
        """Note how it ended."""
        self.state, self.result = state, result
        if self.began is not None:
            self.seconds = time.monotonic() - self.began
