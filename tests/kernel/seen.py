"""What a person sees of an execution, and what the kernel remembers of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from tests.support.kernels import Display, Kernel, Result

COMPLAINTS = re.compile(
    r"unclosed|never retrieved|never awaited|was destroyed|Traceback|Exception ignored", re.IGNORECASE
)


class Turn(NamedTuple):
    """A turn of the conversation: its selected version."""

    prompt: str
    text: str
    status: str


def the_answer(result: Result) -> Display:
    """Return the one output that the execution left behind."""
    kinds = [output["output_type"] for output in result.outputs]
    assert kinds == ["display_data"], result.outputs
    (display,) = result.displays.values()
    return display


def text_so_far(result: Result) -> str:
    """Return what the text shows at this moment, in all its outputs; `""` while there is none."""
    plain = [display.data["text/plain"] for display in result.displays.values()]
    text = "".join(words for words in plain if not words.startswith("["))
    return text or "".join(plain[-1:])


def the_error_line(result: Result) -> str:
    """Return the one line that the execution failed with."""
    assert result.status == "error", result
    (error,) = result.errors
    assert len(error.traceback) == 1, error.traceback
    (line,) = error.traceback
    assert "\n" not in line.strip(), line
    assert not result.stderr, result.stderr
    return line


def evaluate(kernel: Kernel, expression: str) -> Any:
    """Return the value of `expression` in the kernel, which must be something that JSON can hold."""
    result = kernel.run(f"print(__import__('json').dumps({expression}))")
    assert result.status == "ok", result
    return json.loads(result.stdout)


def busy_until(enough: Path) -> str:
    """Return a cell that says ``busy``, and keeps the kernel busy until there is a file `enough`."""
    return f"import os, time\nprint('busy')\nwhile not os.path.exists({str(enough)!r}):\n    time.sleep(0.01)"


def turns(kernel: Kernel) -> list[Turn]:
    """Return the conversation as the kernel has it."""
    fields = ", ".join(f"turn.current.{name}" for name in Turn._fields)
    return [Turn(*turn) for turn in evaluate(kernel, f"[({fields}) for turn in chat.conversation.turns]")]


def everything_written(kernel: Kernel) -> str:
    """Return all that the kernel wrote to standard error, wherever that ended up."""
    results = [*kernel._results.values(), kernel.orphans]
    return "".join([kernel.log, *(result.stderr for result in results)])


def complaints(kernel: Kernel) -> set[str]:
    """Return the lines that tell of something left open."""
    return {line for line in everything_written(kernel).splitlines() if COMPLAINTS.search(line)}


def assert_nothing_left_open(kernel: Kernel, known: AbstractSet[str] = frozenset()) -> None:
    """Fail if a turn is still on its way, or if there are other complaints than those that are `known`."""
    assert evaluate(kernel, "[__import__('gc').collect() and 0, len(chat.turns.live)]") == [0, 0]
    assert not complaints(kernel) - known, everything_written(kernel)
