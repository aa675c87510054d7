"""A real IPython kernel, driven over its sockets as a front end drives it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from tests.support.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_client.channels import ZMQSocketChannel
    from typing_extensions import Self

Output = dict[str, Any]
Message = dict[str, Any]

PYTHON: Final = os.environ.get("CHATANYWHERE_TEST_PYTHON") or sys.executable
"""The interpreter whose ipykernel is tested; another one shows how another version of it behaves."""


@dataclass
class Display:
    """What an output area shows under a display_id."""

    data: dict[str, Any]
    metadata: dict[str, Any]


@dataclass
class Error:
    """An exception as the kernel reported it."""

    ename: str
    evalue: str
    traceback: list[str]


@dataclass
class Result:
    """What one execution produced, as a front end would show it now.

    `outputs` holds notebook-format outputs. A later update of a display_id is applied to them, whichever cell
    it comes from.
    """

    status: str | None = None
    """``ok``, ``error`` or ``aborted``; None until the kernel has replied."""
    outputs: list[Output] = field(default_factory=list)
    updates: int = 0
    """How many ``update_display_data`` messages came."""
    bytes: int = 0
    """Size on the wire of all IOPub messages."""
    arrivals: list[tuple[float, str]] = field(default_factory=list)
    """``time.perf_counter()`` and type of each IOPub message."""
    sent: list[tuple[float, str]] = field(default_factory=list)
    """When the kernel made each IOPub message, in seconds since the epoch, and its type."""
    first_text: float | None = None
    """The same for the first output that shows text: a state, such as ``[waiting …]``, is none."""
    payload: list[dict[str, Any]] = field(default_factory=list)
    """What the reply asks the front end to do, such as opening the pager with a help text."""
    idle: bool = False
    clear_on_next: bool = False

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def errors(self) -> list[Error]:
        found = (output for output in self.outputs if output["output_type"] == "error")
        return [Error(output["ename"], output["evalue"], output["traceback"]) for output in found]

    @property
    def displays(self) -> dict[str, Display]:
        found = ((output.get("transient", {}).get("display_id"), output) for output in self.outputs)
        return {name: Display(output["data"], output["metadata"]) for name, output in found if name}

    @property
    def done(self) -> bool:
        return self.status == "aborted" or (self.status is not None and self.idle)

    def _stream(self, name: str) -> str:
        return "".join(output["text"] for output in self.outputs if output.get("name") == name)


def manager_options(directory: Path, python: str = PYTHON) -> dict[str, Any]:
    """Return what a kernel manager of any class needs to start `python`'s kernel, with its files in `directory`."""
    spec = directory / "kernels" / "tested" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "tested", "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(directory / "kernels")], ensure_native_kernel=False)
    return {
        "kernel_name": "tested",
        "kernel_spec_manager": specs,
        "connection_file": str(directory / "connection.json"),
    }


class Running:
    """An execution that may still go on; `result` grows while the kernel is read."""

    def __init__(self, kernel: Kernel, result: Result) -> None:
        self._kernel = kernel
        self.result = result

    @property
    def done(self) -> bool:
        return self.result.done

    def poll(self, seconds: float = 0.0) -> bool:
        """Read what has come, waiting at most `seconds` for something; tell whether the execution is over."""
        self._kernel.read(seconds)
        return self.done

    def wait(self, timeout: float = 60.0) -> Result:
        """Wait until the execution is over."""
        return self.wait_until(lambda result: result.done, timeout)

    def wait_until(self, condition: Callable[[Result], bool], timeout: float = 60.0) -> Result:
        """Wait until `condition` holds for the result."""
        end = time.monotonic() + timeout
        while not condition(self.result):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout} s; so far: {self.result}\n{self._kernel.log}")
            self._kernel.read(min(1.0, timeout))
            if not self._kernel.alive and not condition(self.result):
                raise RuntimeError(f"the kernel died; so far: {self.result}\n{self._kernel.log}")
        return self.result


class Kernel:
    """A kernel of a fresh user, in a home directory of its own.

    Parameters
    ----------
    home
        The user's home directory; without one a temporary directory that goes with the kernel.
    env
        Environment variables on top of the fresh user's.
    python
        The interpreter whose ipykernel runs.
    cwd
        The kernel's working directory; `home` if there is none.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        env: Mapping[str, str] | None = None,
        python: str = PYTHON,
        cwd: Path | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="kernel-")
        # The connection file and the kernel's description stay out of the home, which tests look into.
        own = Path(self._temporary.name)
        self.home = home or own / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self._manager = KernelManager(**manager_options(own, python))
        # Open as long as the kernel may be restarted.
        self._log = (own / "log.txt").open("ab")
        self._results: dict[str, Result] = {}
        self._shown: dict[str, list[Output]] = {}
        self.orphans = Result()
        """What belongs to no execution of this client."""
        self.widgets: dict[str, dict[str, Any]] = {}
        """The state of each open comm, by its id."""
        self.custom: dict[str, list[dict[str, Any]]] = {}
        """What widgets sent to their front ends beside their state, by the comm's id."""
        self._manager.start_kernel(
            env=clean_environment(self.home, env),
            cwd=str(cwd or self.home),
            stdout=self._log,
            stderr=self._log,
        )
        self._client: BlockingKernelClient = self._manager.client()
        self._client.allow_stdin = False
        self._answers: deque[str] = deque()
        self._completions: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        """What code asked the person: the prompt, and whether the answer is hidden."""
        self._client.start_channels()
        self._wait_for_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    @property
    def alive(self) -> bool:
        return bool(self._manager.is_alive())

    @property
    def pid(self) -> int:
        """The process id, for tests that kill."""
        pid: int = self._manager.provisioner.pid  # type: ignore[union-attr]
        return pid

    @property
    def log(self) -> str:
        """What the process itself wrote to its standard output and error."""
        return Path(self._log.name).read_text(errors="replace")

    def start(self, code: str, *, cell_id: str | None = None, answers: Sequence[str] = ()) -> Running:
        """Send `code` and return at once; executions queue in the kernel.

        With `answers` the front end can be asked for input, and answers with these, one after the other.
        """
        self._answers.extend(answers)
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": bool(answers),
            "stop_on_error": True,
        }
        # JupyterLab names the cell in the message's metadata; nbclient and terminals do not.
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        result = self._results[message["header"]["msg_id"]] = Result()
        self._client.shell_channel.send(message)
        return Running(self, result)

    def run(
        self, code: str, *, timeout: float = 60.0, cell_id: str | None = None, answers: Sequence[str] = ()
    ) -> Result:
        """Execute `code` and wait for its end."""
        return self.start(code, cell_id=cell_id, answers=answers).wait(timeout)

    def complete(self, code: str, cursor: int) -> dict[str, Any]:
        """Ask for completions, and return the reply's content."""
        self._completions.clear()
        content = {"code": code, "cursor_pos": cursor}
        self._client.shell_channel.send(self._client.session.msg("complete_request", content))
        end = time.monotonic() + 60
        while not self._completions:
            if time.monotonic() > end:
                raise TimeoutError(f"no completions came\n{self.log}")
            self.read(1.0)
        return self._completions.pop()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Read until `condition` holds: for what belongs to no execution, such as the state of widgets."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout} s; widgets: {self.widgets}\n{self.log}")
            self.read(0.1)

    def send_comm(self, comm_id: str, data: dict[str, Any]) -> None:
        """Send a widget message, such as a click: ``{"method": "custom", "content": {"event": "click"}}``."""
        content = {"comm_id": comm_id, "data": data}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    def read(self, seconds: float = 0.0) -> None:
        """Take in every message that has come, waiting at most `seconds` for the first."""
        iopub, shell = self._client.iopub_channel.socket, self._client.shell_channel.socket
        stdin = self._client.stdin_channel.socket
        poller = zmq.Poller()
        for socket in (iopub, shell, stdin):
            poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(int(seconds * 1000)))
        while ready:
            if iopub in ready:
                message, size = self._receive(self._client.iopub_channel)
                self._take(message, size)
            if shell in ready:
                message, _ = self._receive(self._client.shell_channel)
                self._take_reply(message)
            if stdin in ready:
                message, _ = self._receive(self._client.stdin_channel)
                self.asked.append(message["content"])
                self._client.input(self._answers.popleft())
            ready = dict(poller.poll(0))

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """Start a new process in the place of the old one; what was unfinished stays so."""
        self._manager.restart_kernel(now=True)
        self._results.clear()
        self._shown.clear()
        self.widgets.clear()
        self.custom.clear()
        self._wait_for_ready()

    def shutdown(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=not self.alive)
        self._client.context.destroy(linger=0)
        self._log.close()
        self._temporary.cleanup()

    def _wait_for_ready(self) -> None:
        try:
            self._client.wait_for_ready(timeout=60)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.log}") from None

    def _receive(self, channel: ZMQSocketChannel) -> tuple[Message, int]:
        # Not get_msg(): it does not tell the size.
        frames = channel.socket.recv_multipart()  # type: ignore[union-attr]
        _, parts = self._client.session.feed_identities(frames)
        return self._client.session.deserialize(parts), sum(map(len, frames))

    def _take_reply(self, message: Message) -> None:
        result = self._results.get(message["parent_header"].get("msg_id", ""))
        if message["msg_type"] == "complete_reply":
            self._completions.append(message["content"])
        if result and message["msg_type"] == "execute_reply":
            result.status = message["content"]["status"]
            result.payload = message["content"].get("payload", [])

    def _take(self, message: Message, size: int) -> None:
        kind: str = message["msg_type"]
        content: dict[str, Any] = message["content"]
        result = self._results.get(message["parent_header"].get("msg_id", ""), self.orphans)
        result.bytes += size
        result.arrivals.append((time.perf_counter(), kind))
        sent = message["header"]["date"].timestamp()
        result.sent.append((sent, kind))
        if result.first_text is None and kind in {"display_data", "update_display_data"}:
            words = content["data"].get("text/plain", "")
            shown = content["data"].get("text/markdown", words)  # by hand, whose plain form is an object's name
            result.first_text = sent if shown.strip() and not shown.startswith("[") else None
        if kind == "status":
            result.idle = content["execution_state"] == "idle"
        elif kind == "clear_output":
            result.clear_on_next = content["wait"]
            if not content["wait"]:
                result.outputs.clear()
        elif kind == "update_display_data":
            result.updates += 1
            for output in self._shown.get(content["transient"]["display_id"], []):
                output.update(data=content["data"], metadata=content["metadata"])
        elif kind in {"stream", "display_data", "execute_result", "error"}:
            self._show(result, kind, content)
        elif kind.startswith("comm_"):
            self._take_comm(kind, content)

    def _show(self, result: Result, kind: str, content: dict[str, Any]) -> None:
        if result.clear_on_next:
            result.outputs.clear()
            result.clear_on_next = False
        last = result.outputs[-1] if result.outputs else {}
        if kind == "stream" and last.get("name") == content["name"]:
            last["text"] += content["text"]
            return
        output = {"output_type": kind, **content}
        result.outputs.append(output)
        display_id = content.get("transient", {}).get("display_id")
        if display_id:
            # A front end updates every output that bears the id, old ones too.
            shown = self._shown.setdefault(display_id, [])
            for earlier in shown:
                earlier.update(data=content["data"], metadata=content["metadata"])
            shown.append(output)

    def _take_comm(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "comm_close":
            self.widgets.pop(content["comm_id"], None)
        elif kind == "comm_open" or content["data"].get("method") == "update":
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"].get("state", {}))
        elif content["data"].get("method") == "custom":
            self.custom.setdefault(content["comm_id"], []).append(content["data"]["content"])
