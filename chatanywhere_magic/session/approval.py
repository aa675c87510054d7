"""Approval: calls of tools that wait for the person's answer, and the answers that hold for more than one call."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from difflib import unified_diff
from hashlib import sha256
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..core import ConfigurationError, phrase, visible
from .listeners import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import ToolCall
    from ..tools import Shown, Tool

Answer = Literal["once", "always", "no"]
ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
State = Literal["waiting", "once", "always", "no", "withdrawn"]
MAX_REASON: Final = 2_000


@dataclass(frozen=True)
class Place:
    """Where a call stands: what an approval is bound to, beside the call itself."""

    conversation: str
    turn: int | None
    """None for a prompt aside."""
    version: int
    step: int
    position: int
    """Among the calls of its step."""

    @property
    def of_turn(self) -> tuple[str, int | None, int]:
        """The version of the turn."""
        return self.conversation, self.turn, self.version


@dataclass(frozen=True)
class Standing:
    """An answer that holds for further calls of a function.

    Parameters
    ----------
    tool : str
        The tool's name.
    function : callable
        The function: another one under the same name is asked about again.
    conversation : str
        Where it holds; ``""`` is everywhere.
    turn : tuple, optional
        The only version of a turn in which it holds.
    covers : str
        What of the arguments it is limited to, as the tool says; ``""`` is any.
    """

    tool: str
    function: Callable[..., Any]
    conversation: str = ""
    turn: tuple[str, int | None, int] | None = None
    covers: str = ""

    def permits(self, tool: Tool, place: Place, covers: str) -> bool:
        """Whether a call needs no further answer."""
        return (
            self.tool == tool.name
            and is_same_function(self.function, tool.source or tool.function)
            and self.conversation in {"", place.conversation}
            and self.turn in {None, place.of_turn}
            and self.covers in {"", covers}
        )


class Approval:
    """A call that waits for the person's answer. It permits that call, as it was shown, and no other one.

    Attributes
    ----------
    id : str
        A digest of the place, the function and the arguments, and of a random number: nobody can guess it, and no
        other call has it.
    state : str
        ``waiting``, ``once``, ``always``, ``no``, or ``withdrawn`` where the turn ended first.
    reason : str
        Why not, for the model.
    """

    def __init__(self, tool: Tool, call: ToolCall, place: Place, shown: Shown, covers: str) -> None:
        self.tool = tool
        self.call = call
        self.place = place
        self.shown = shown
        self.covers = covers
        self.state: State = "waiting"
        self.reason = ""
        self.arguments = call.arguments
        """What is run: the model's, unless the person has edited them."""
        self.decided: Future[None] = Future()
        self._nonce = os.urandom(16).hex()
        self.id = self._digest(call, place)
        self._is_used = False

    @property
    def body(self) -> str:
        """The whole call as it is shown, with nothing hidden: of what takes the place of a text, the difference."""
        shown = self.shown
        if shown.replaces is None:
            return visible(shown.text)
        lines = unified_diff(shown.replaces.splitlines(), shown.text.splitlines(), lineterm="")
        return visible("\n".join([*lines][2:]))

    @property
    def language(self) -> str:
        """The language of :attr:`body`."""
        return self.shown.language if self.shown.replaces is None else "diff"

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers that there are: *always* not for every tool."""
        return tuple(each for each in ANSWERS if each != "always" or self.tool.standing != "never")

    def take(self, call: ToolCall, place: Place) -> bool:
        """Whether the person allowed this very call; the answer is used up by that."""
        is_allowed = self.state in {"once", "always"} and not self._is_used and self.id == self._digest(call, place)
        self._is_used = self._is_used or is_allowed
        return is_allowed

    def _digest(self, call: ToolCall, place: Place) -> str:
        bound = [self._nonce, *vars(place).values(), call.id, call.name, call.arguments]
        return sha256(json.dumps(bound).encode()).hexdigest()


class Approvals:
    """The calls that wait for an answer, and the standing answers; for one session, from any thread."""

    def __init__(self) -> None:
        self.front_ends: set[object] = set()
        """What can ask the person at any time, such as a panel that is open in a page."""
        self._lock = threading.Lock()
        self._waiting: dict[str, Approval] = {}
        self._standing: list[Standing] = []
        self._listeners: list[Callable[[Approval], None]] = []

    @property
    def waiting(self) -> tuple[Approval, ...]:
        """The calls that wait for an answer, oldest first."""
        with self._lock:
            return tuple(self._waiting.values())

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The answers that hold for more than one call."""
        with self._lock:
            return tuple(self._standing)

    def listen(self, listener: Callable[[Approval], None]) -> Callable[[], None]:
        """Call `listener` when a call begins to wait, and when that ends; return a function that ends the listening.

        It is called on the thread on which that happens, and must be quick.
        """
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def permits(self, tool: Tool, place: Place, covers: str = "") -> bool:
        """Whether a call needs no answer of its own."""
        return any(each.permits(tool, place, covers) for each in self.standing)

    def request(self, tool: Tool, call: ToolCall, place: Place, shown: Shown, covers: str = "") -> Approval:
        """Have a call wait for an answer: its future :attr:`Approval.decided` is done when there is one."""
        approval = Approval(tool, call, place, shown, covers)
        with self._lock:
            self._waiting[approval.id] = approval
        notify(self._listeners, approval)
        return approval

    def answer(self, id: str, answer: Answer, reason: str = "", *, arguments: str | None = None) -> Approval:  # noqa: A002 - its name
        """Answer for the person. The first answer counts.

        Parameters
        ----------
        id : str
            The approval's.
        answer : str
            ``once``; ``always``, for this function in this conversation or as its tool says; or ``no``.
        reason : str, optional
            Why not, for the model.
        arguments : str, optional
            What to call the function with instead, as JSON, where the person has edited it.

        Raises
        ------
        ConfigurationError
            If nothing with that id waits for an answer any more, or the answer is none of :attr:`Approval.answers`.
        """
        with self._lock:
            approval = self._waiting.get(id)
            if approval is None:
                raise ConfigurationError(phrase("error.approval_late"))
            if answer not in approval.answers:
                raise ConfigurationError(
                    phrase("error.approval_answer", answer=str(answer)[:80], known=", ".join(approval.answers))
                )
            del self._waiting[id]
            approval.state, approval.reason = answer, reason.strip()[:MAX_REASON]
            if arguments is not None and answer != "no":
                approval.arguments = arguments
            others: list[Approval] = []
            if answer == "always" or (answer == "once" and approval.covers):
                standing = _standing(approval)
                self._standing.append(standing)
                others = [
                    each for each in self._waiting.values() if standing.permits(each.tool, each.place, each.covers)
                ]
            for each in others:  # asked about at the same time
                del self._waiting[each.id]
                each.state = "always"
        for each in (approval, *others):
            self._end(each)
        return approval

    def withdraw(self, approval: Approval) -> None:
        """Note that nobody waits for the answer any more."""
        with self._lock:
            if self._waiting.pop(approval.id, None) is None:
                return
            approval.state = "withdrawn"
        self._end(approval)

    def end_turn(self, place: tuple[str, int | None, int]) -> None:
        """Let go of what held for one version of a turn only, and of what still waits there."""
        with self._lock:
            self._standing = [each for each in self._standing if each.turn != place]
        for approval in self.waiting:
            if approval.place.of_turn == place:
                self.withdraw(approval)

    def allow(self, tool: Tool, *, conversation: str = "") -> None:
        """Allow a function once and for all, in one conversation or in every one."""
        with self._lock:
            self._standing.append(Standing(tool.name, tool.source or tool.function, conversation))

    def revoke(self, tool: str = "") -> int:
        """Take standing answers back, for one tool or for all, and return how many that were."""
        with self._lock:
            kept = [each for each in self._standing if tool not in {"", each.tool}]
            count = len(self._standing) - len(kept)
            self._standing = kept
        return count

    def _end(self, approval: Approval) -> None:
        approval.decided.set_result(None)
        notify(self._listeners, approval)


def _standing(approval: Approval) -> Standing:
    tool, place = approval.tool, approval.place
    standing = Standing(tool.name, tool.source or tool.function, place.conversation, covers=approval.covers)
    return replace(standing, turn=place.of_turn) if tool.standing == "turn" else standing


def is_same_function(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two are the same function; a method is looked up anew each time, and is the same one all the same."""
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other
