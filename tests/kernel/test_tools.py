"""Functions that the model calls, in a real kernel: where they run, what is seen, who is asked."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel, Result

SETUP = """
import threading, time
from chatanywhere_magic import Script, Scripted
done = []
def model(*scripts):
    chat.settings.provider = Scripted.of(*scripts)
def calls(*wanted, text=""):
    return Script(text, calls=wanted)
for _tool in list(chat.tools):
    chat.tools.remove(_tool.name)
chat.tools.revoke()
"""


@pytest.fixture
def tools(kernel: Kernel) -> Kernel:
    kernel.run(SETUP)
    return kernel


def metadata(result: Result) -> dict[str, Any]:
    (found,) = [
        output["metadata"]["chatanywhere"] for output in result.outputs if "chatanywhere" in output.get("metadata", {})
    ]
    return dict(found)


def told(kernel: Kernel) -> list[str]:
    """Return what the model was told of its calls in the last request."""
    shown = kernel.run(
        "import json\nsent = chat.settings.provider.requests[-1]\n"
        "print(json.dumps([each['content'] for each in sent if each['role'] == 'tool']))"
    )
    return list(json.loads(shown.stdout))


WORK = """
@chat.tool(approval="never")
def work(number: int) -> int:
    "Work."
    print("working on", number)
    done.append(threading.current_thread() is threading.main_thread())
    return 2 * number
model(calls(("work", {"number": 21}), text="Let me see."), "It is 42.")
"""


def test_a_function_runs_in_the_cell_that_waits(tools: Kernel) -> None:
    tools.run(WORK)
    result = tools.run("%%chat\nTwice 21?")
    assert result.errors == []
    kinds = [output["output_type"] for output in result.outputs]
    assert kinds == ["display_data", "stream", "display_data"]
    before, printed, after = result.outputs
    assert "Let me see." in before["data"]["text/plain"]
    assert "work(number=21)" in before["data"]["text/html"]
    assert printed["text"] == "working on 21\n"
    assert "It is 42." in after["data"]["text/html"]
    assert "Let me see." not in after["data"]["text/html"]
    assert metadata(result)["text"] == "Let me see.\n\nIt is 42."
    assert told(tools) == ["42\n\nIt printed:\nworking on 21"]
    assert tools.run("print(done)").stdout == "[True]\n"


def test_the_conversation_is_rebuilt_from_what_the_cell_shows(tools: Kernel) -> None:
    tools.run(WORK)
    about = metadata(tools.run("%%chat\nTwice 21?"))
    assert [message["role"] for message in about["messages"]] == ["user", "assistant", "tool", "assistant"]


def test_a_figure_is_shown_where_it_was_drawn(tools: Kernel) -> None:
    pytest.importorskip("matplotlib")
    tools.run(
        "%matplotlib inline\n"
        "@chat.tool(approval='never')\n"
        "def draw() -> None:\n    'Draw.'\n    import matplotlib.pyplot as plt\n    plt.plot([1, 2])\n"
        "model(calls(('draw', {})), 'There.')"
    )
    result = tools.run("%%chat\nDraw.")
    assert [sorted(output["data"]) for output in result.outputs][1] == ["image/png", "text/plain"]
    assert "There." in result.outputs[2]["data"]["text/html"]


def test_the_person_is_asked_in_the_cell(tools: Kernel) -> None:
    tools.run(WORK.replace('(approval="never")', ""))
    result = tools.run("%%chat\nTwice 21?", answers=["what?", "y"])
    assert result.errors == []
    assert '"number": 21' in result.stdout
    assert len(tools.asked) >= 2
    assert tools.run("print(done)").stdout == "[True]\n"


def test_a_no_with_its_reason(tools: Kernel) -> None:
    tools.run(WORK.replace('(approval="never")', ""))
    tools.run("%%chat\nTwice 21?", answers=["n, that is mine"])
    assert tools.run("print(done)").stdout == "[]\n"
    assert told(tools) == ["The person did not allow this call. They say: that is mine"]


def test_where_nobody_can_be_asked_it_is_one_error(tools: Kernel) -> None:
    tools.run(WORK.replace('(approval="never")', ""))
    result = tools.run("%%chat\nTwice 21?")
    (error,) = result.errors
    assert 'approval="never"' in error.evalue
    assert tools.run("print(done)").stdout == "[]\n"


def test_tools_are_named_on_the_line(tools: Kernel) -> None:
    tools.run("def twice(n: int) -> int:\n    'Return twice the number.'\n    return 2 * n\nchat.tools.allow(twice)")
    tools.run("model(calls(('twice', {'n': 2})), '4.', '5.')")
    assert "4." in tools.run("%%chat -T twice\n2 + 2?").outputs[-1]["data"]["text/plain"]
    tools.run('%%chat -T ""\n2 + 2?')
    assert tools.run("print(chat.tools)").stdout == "Tools()\n"
    (error,) = tools.run("%%chat -T nothing\n2 + 2?").errors
    assert "no tool called nothing" in error.evalue


def test_an_interrupt_is_raised_in_the_function_once(tools: Kernel) -> None:
    tools.run(
        "@chat.tool(approval='never')\n"
        "def wait() -> None:\n    'Wait.'\n"
        "    try:\n        print('waiting', flush=True)\n        time.sleep(60)\n"
        "    except BaseException as caught:\n        done.append(type(caught).__name__)\n        raise\n"
        "model(calls(('wait', {})), 'Never.')"
    )
    running = tools.start("%%chat\nWait.")
    running.wait_until(lambda result: "waiting" in result.stdout)
    began = time.monotonic()
    tools.interrupt()
    (error,) = running.wait().errors
    assert error.ename == "ChatInterrupted"
    assert time.monotonic() - began < 10
    assert tools.run("print(done)").stdout == "['KeyboardInterrupt']\n"
    tools.run("model('Fine.')")
    assert "Fine." in tools.run('%%chat -T ""\nAnd now?').outputs[-1]["data"]["text/plain"]
    assert told(tools) == ["interrupted"]


def test_a_stop_from_elsewhere_interrupts_it_too(tools: Kernel) -> None:
    tools.run(
        "@chat.tool(approval='never')\n"
        "def wait() -> None:\n    'Wait.'\n    threading.Timer(0.2, chat.stop).start()\n    time.sleep(60)\n"
        "model(calls(('wait', {})), 'Never.')"
    )
    (error,) = tools.run("%%chat\nWait.", timeout=20).errors
    assert error.ename == "ChatInterrupted"


def test_without_a_cell_that_waits_it_runs_when_the_kernel_is_idle(tools: Kernel) -> None:
    tools.run(WORK)
    tools.run("live = chat.prepare('Twice 21?')\nchat.start(live)\ntime.sleep(0.5)\nprint(live.calls[0].state, done)")
    tools.wait_until(lambda: tools.run("print(live.status)").stdout == "complete\n")
    shown = tools.run("print(done, live.calls[0].captured.text)")
    assert shown.stdout == "[True] working on 21\n"


def test_a_turn_goes_on_after_its_limit(tools: Kernel) -> None:
    tools.run(WORK + "\nchat.settings.max_steps = 1")
    result = tools.run("%%chat\nTwice 21?")
    assert "%chat_continue" in result.outputs[-1]["data"]["text/html"]
    result = tools.run("%chat_continue")
    assert result.errors == []
    assert (
        tools.run("print(done, chat.conversation.turns[0].current.text)").stdout == "[True] Let me see.\n\nIt is 42.\n"
    )


def test_it_is_awaited_in_a_cell(tools: Kernel) -> None:
    tools.run(WORK)
    assert tools.run("print(await chat.ask('Twice 21?'))").stdout == "working on 21\nLet me see.\n\nIt is 42.\n"
    assert tools.run("print(done)").stdout == "[True]\n"


def test_what_is_async_shows_its_output_in_the_turn(tools: Kernel) -> None:
    tools.run(
        "@chat.tool(approval='never')\n"
        "async def look() -> str:\n    'Look.'\n    print('from the engine')\n    return 'seen'\n"
        "model(calls(('look', {})), 'There.')"
    )
    result = tools.run("%%chat\nLook.")
    assert [output["output_type"] for output in result.outputs] == ["display_data", "display_data"]
    assert "from the engine" in result.outputs[0]["data"]["text/html"]


def test_captured_cells_show_the_whole_turn(tools: Kernel) -> None:
    tools.run(WORK)
    tools.run("%%capture shown\n%chat Twice 21?")
    result = tools.run("print(shown.stdout); print(shown.outputs[-1].data['text/html'])")
    assert "working on 21" in result.stdout
    assert "work(number=21)" in result.stdout
    assert "It is 42." in result.stdout


@pytest.mark.parametrize("at", [1, 2, 3])
def test_after_kill_the_next_request_is_valid(new_kernel: Callable[..., Kernel], at: int) -> None:
    kernel = new_kernel()
    kernel.run("%load_ext chatanywhere_magic\nfrom chatanywhere_magic import chat")
    kernel.run(SETUP)
    kernel.run(
        f"import os\nKILLED = {at}\n"
        "@chat.tool(approval='never')\n"
        "def step(n: int) -> int:\n    'Step.'\n    n == KILLED and os.kill(os.getpid(), 9)\n    return n\n"
        "model(*[calls(('step', {'n': n})) for n in (1, 2, 3)], 'Never.')"
    )
    with pytest.raises(RuntimeError, match="died"):
        kernel.run("%%chat\nGo.")
    kernel.restart()
    kernel.run("%load_ext chatanywhere_magic\nfrom chatanywhere_magic import chat")
    kernel.run(SETUP)
    kernel.run("listed = chat.conversations.list()[0]\nchat.conversations.switch(listed.id)\nmodel('Fine.')")
    assert "Fine." in kernel.run("%%chat\nAnd now?").outputs[-1]["data"]["text/plain"]
    assert told(kernel) == [*map(str, range(1, at)), "interrupted"]
