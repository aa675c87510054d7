"""Look up ``@names`` in the kernel: variables, executed cells and the last error."""

from __future__ import annotations

import re
import sys
from collections import ChainMap, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..core import Attachment, ChatError, ChatInterrupted, Image
from .tracebacks import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from ..context import Cell

CELLS_KEPT: Final = 50
OUTPUT_CHARACTERS: Final = 20_000
"""Kept of what one cell shows; of more, the beginning and the end are what one looks at."""
OUTPUTS_KEPT: Final = 100
"""Of one cell; of more, the first and the last."""
PICTURES_KEPT: Final = 3
"""Of one cell."""
CELLS_WITH_PICTURES: Final = 10
PICTURE_CHARACTERS: Final = 4_000_000
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class _Record:
    """The output of one execution."""

    number: int
    shown: dict[str, str] = field(default_factory=dict)
    """Texts in their order; what is displayed with an id is replaced when it is updated."""
    pictures: dict[str, Attachment] = field(default_factory=dict)
    error: str = ""
    _noted: int = 0

    def note(self, kind: str, content: dict[str, Any]) -> None:
        """Take in a message on its way to the front end."""
        self._noted += 1
        if kind == "stream":
            # One after the other, but for other things between them.
            last = next(reversed(self.shown), "")
            key = last if last.startswith(content["name"]) else f"{content['name']} {self._noted}"
            self._add(key, content["text"])
        elif kind == "clear_output":
            self.shown.clear()
            self.pictures.clear()
        elif kind in {"display_data", "update_display_data"}:
            key = content.get("transient", {}).get("display_id") or f"display {self._noted}"
            data = content["data"]
            self.shown[key] = ""
            self._add(key, str(data.get("text/plain") or ""))
            picture = data.get("image/png")
            if isinstance(picture, str) and len(picture) <= PICTURE_CHARACTERS and len(self.pictures) < PICTURES_KEPT:
                self.pictures[key] = Image(key, "image/png", picture.strip())

    def _add(self, key: str, words: str) -> None:
        if len(self.shown) > OUTPUTS_KEPT:
            del self.shown[next(islice(self.shown, OUTPUTS_KEPT // 2, None))]
        whole = self.shown.get(key, "") + words
        if len(whole) > OUTPUT_CHARACTERS:
            half = OUTPUT_CHARACTERS // 2
            whole = f"{whole[:half]}\n…\n{whole[-half:]}"
        self.shown[key] = whole

    @property
    def text(self) -> str:
        """What was shown, as it looks in the end: without colours, and without what was overwritten."""
        plain = _ESCAPES.sub("", "\n".join(words.rstrip("\n") for words in self.shown.values()))
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))


class KernelNames:
    """The names that ``@`` finds in a kernel. It records the output of cells from :meth:`begin` to :meth:`end`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._history: Any = shell.history_manager
        self._records: deque[_Record] = deque(maxlen=CELLS_KEPT)
        self._running: dict[str, _Record] = {}
        """The executions that may still show something, by the id of the message that asked for them."""
        self._error = ""
        self.failed_cell = ""
        """The cell that raised it, as typed; "" where that is not known."""
        self._current = 0
        """The number of the cell that runs; 0 while none does."""
        self._outer: list[tuple[int, str, _Record | None]] = []
        """Cells that run others: their number, the id of their message, and its record."""

    # --- what is looked up --------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether a cell runs."""
        return self._current > 0

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables, IPython's own among them."""
        # As typed, and not as IPython translates it.
        return ChainMap({"In": self._history.input_hist_raw}, self._shell.user_ns)

    @property
    def names(self) -> list[str]:
        """The names of the variables that a person defined, and of inputs and results."""
        hidden = self._shell.user_ns_hidden
        # Whoever redefines one of IPython's own names means it.
        own = [
            name
            for name, value in self._shell.user_ns.items()
            if type(name) is str and hidden.get(name, hidden) is not value
        ]
        return [*own, "In", "Out"]

    def cell(self, number: int) -> Cell | None:
        """Return an executed cell: by its number, or counted back from the one that runs now."""
        from ..context import Cell  # not loaded with the extension

        history = self._history
        known = len(history.input_hist_raw)
        # Cells that the running one has run come after it.
        end = self._current if self._current == known - 1 else known
        if number < 0:
            number += end
        if not 0 < number < end:
            return None
        source = history.input_hist_raw[number].rstrip("\n")
        record = next((each for each in reversed(self._records) if each.number == number), _Record(number))
        result = history.output_hist_reprs.get(number, "")
        outputs = "\n".join(filter(None, [record.text or _kept_by_ipython(history, number), result]))
        return Cell(number, source, outputs, record.error, tuple(record.pictures.values()))

    def error(self) -> str:
        """Return the last error that was not ours, with the code that raised it."""
        if not self._error:
            last = getattr(sys, "last_value", None)  # from before the extension was loaded
            if isinstance(last, BaseException) and not _is_ours(last):
                self._error = self.as_text(last)
        return self._error

    # --- listening ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Listen from now on."""
        self._shell.events.register("pre_run_cell", self._begin_cell)
        self._shell.events.register("post_run_cell", self._end_cell)
        _each_hook("register_hook", self._shell, self._hook)

    def end(self) -> None:
        """Listen no longer."""
        self._shell.events.unregister("pre_run_cell", self._begin_cell)
        self._shell.events.unregister("post_run_cell", self._end_cell)
        _each_hook("unregister_hook", self._shell, self._hook)

    def _begin_cell(self, info: ExecutionInfo) -> None:
        if not info.store_history:
            return
        message = _message_id(self._shell)
        self._outer.append((self._current, message, self._running.get(message)))
        # Not its execution count, which IPython raises before this or after it, depending on its version.
        self._current = len(self._history.input_hist_raw)
        record = _Record(self._current)
        self._records.append(record)
        if len(self._records) > CELLS_WITH_PICTURES:
            self._records[-CELLS_WITH_PICTURES - 1].pictures.clear()
        self._running[message] = record
        while len(self._running) > CELLS_KEPT:
            self._running.pop(next(iter(self._running)))

    def _end_cell(self, result: ExecutionResult | None) -> None:
        if result is None or result.info is None:
            self._outer.clear()
            self._current = 0
            return
        if not result.info.store_history:
            return
        inner = self._running.get(_message_id(self._shell))
        self._current, message, outer = self._outer.pop() if self._outer else (0, "", None)
        if outer is not None and self._current:  # what follows is shown by the cell around this one
            self._running[message] = outer
        error = result.error_in_exec or result.error_before_exec
        if error is None or _is_ours(error):
            return
        self._error = self.as_text(error)
        self.failed_cell = (result.info.raw_cell or "").rstrip("\n")
        if inner is not None:
            inner.error = self._error

    def as_text(self, error: BaseException) -> str:
        """Describe an error for a model, with the code that raised it."""
        # Which cell a file stands for, IPython keeps to itself; without it cells have no numbers.
        return error_text(error, getattr(self._shell.compile, "_filename_map", {}))

    def _hook(self, message: dict[str, Any]) -> dict[str, Any]:
        """Note what is shown, on its way to the front end."""
        record = self._running.get(message.get("parent_header", {}).get("msg_id", ""))
        if record is not None:
            record.note(message["msg_type"], message["content"])
        return message


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, ChatError | ChatInterrupted)


def _kept_by_ipython(history: Any, number: int) -> str:
    """Return what IPython itself, from version 9 on, remembers of what a cell printed: in a terminal, for instance."""
    kept = getattr(history, "outputs", {}).get(number, ())
    texts = ["".join(output.bundle["stream"]) for output in kept if output.output_type in {"out_stream", "err_stream"}]
    return _ESCAPES.sub("", "\n".join(text.rstrip("\n") for text in texts))


def _message_id(shell: InteractiveShell) -> str:
    """Return the id of the request that is being executed; ``""`` in a terminal, where one cell runs at a time."""
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)()
    return str(parent.get("header", {}).get("msg_id", ""))


def _each_hook(action: str, shell: InteractiveShell, hook: Any) -> None:
    """Register or unregister `hook` where a kernel sends what cells show; a terminal has no such places."""
    publisher = shell.display_pub
    if hasattr(publisher, action):
        getattr(publisher, action)(hook)
    for stream in (sys.stdout, sys.stderr):
        thread = getattr(stream, "pub_thread", None)
        if thread is not None and hasattr(stream, action):
            # Hooks belong to a thread, and a stream sends from one of its own.
            thread.schedule(lambda stream=stream: getattr(stream, action)(hook))
