"""A real JupyterLab, and a notebook page in it as a person sees it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.support.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playwright.sync_api import Locator, Page
    from typing_extensions import Self

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Lab:
    """A JupyterLab server on a free loopback port, for a fresh user in `directory`.

    Parameters
    ----------
    directory
        Gets the home directory and the notebooks.
    env
        Environment variables for the server and its kernels.
    """

    def __init__(self, directory: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.home = directory / "home"
        self.root = directory / "notebooks"
        for folder in (self.home, self.root):
            folder.mkdir(parents=True, exist_ok=True)
        self._env = clean_environment(self.home, env)
        self._log = directory / "lab.log"
        self._token = secrets.token_hex(16)
        self._url = f"http://127.0.0.1:{_free_port()}"
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What the server and its kernels wrote to their standard output and error."""
        return self._log.read_text(errors="replace")

    def add_notebook(self, name: str, cells: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
        """Write a notebook of code cells and return its address; `env` goes to its kernel alone."""
        kernel = self._add_kernel(env) if env else "python3"
        notebook = {
            "cells": [
                {
                    "id": uuid.uuid4().hex[:8],
                    "cell_type": "code",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": source,
                }
                for source in cells
            ],
            "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.root / name).write_text(json.dumps(notebook), encoding="utf-8")
        return self.address(name)

    def address(self, name: str, *, front_end: Literal["lab", "notebooks"] = "lab") -> str:
        """Return the address of a notebook that lies in `root`, in JupyterLab or in Notebook 7."""
        if front_end == "notebooks":
            return f"{self._url}/notebooks/{name}?token={self._token}"
        # A workspace of its own, or Lab would open the tabs of the test before as well.
        return f"{self._url}/lab/workspaces/{uuid.uuid4().hex[:8]}/tree/{name}?token={self._token}"

    def stop(self) -> None:
        # Asked first, since only the server knows its kernels, which are in process groups of their own.
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()

    def _start(self) -> None:
        # Its question about news covers a corner of the page, and it looks for updates on the internet.
        config = Path(self._env["JUPYTER_CONFIG_DIR"], "labconfig", "page_config.json")
        config.parent.mkdir(parents=True, exist_ok=True)
        disabled = {"@jupyterlab/apputils-extension:announcements": True}
        config.write_text(json.dumps({"disabledExtensions": disabled}), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self._url.rpartition(':')[2]}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self._token}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                command,
                env=self._env,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"JupyterLab did not start:\n{self.log}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        # A proxy of the developer's machine has no way to this server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self._url}/api/status?token={self._token}", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _add_kernel(self, env: Mapping[str, str]) -> str:
        name = f"tested-{uuid.uuid4().hex[:8]}"
        folder = Path(self._env["JUPYTER_DATA_DIR"], "kernels", name)
        folder.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": dict(env),
        }
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        return name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


# The toolbar's "idle" comes before the kernel is connected, when a first run would be lost.
READY = """async () => {
  await jupyterapp.restored;
  while (!jupyterapp.shell.currentWidget?.sessionContext) await new Promise(done => setTimeout(done, 20));
  const { context, sessionContext } = jupyterapp.shell.currentWidget;
  await context.ready;
  await sessionContext.ready;
  await sessionContext.session.kernel.info;
}"""
# Lab sets a cell's state only some time after the command, so the commands on their way are counted too.
_COMMAND = """([id, cell]) => {
  const { content } = jupyterapp.shell.currentWidget;
  if (cell !== null) { content.deselectAll(); content.activeCellIndex = cell; }
  window.commandsOnTheirWay ??= 0;
  window.commandsOnTheirWay += 1;
  void jupyterapp.commands.execute(id).finally(() => { window.commandsOnTheirWay -= 1; });
}"""
_IDLE = """() => {
  const { content, sessionContext } = jupyterapp.shell.currentWidget;
  return !window.commandsOnTheirWay
    && sessionContext.session?.kernel?.status === "idle"
    && content.widgets.every(cell => cell.model.executionState !== "running");
}"""
# The browser does not lay out cells out of sight, and what has no layout has no text.
_TEXT = """cell => {
  const { node, outputArea } = jupyterapp.shell.currentWidget.content.widgets[cell];
  const before = node.style.contentVisibility;
  node.style.contentVisibility = "visible";
  const outputs = outputArea.node.querySelectorAll(":scope > .jp-OutputArea-child > .jp-OutputArea-output");
  const text = [...outputs].map(output => output.innerText).join("\\n");
  node.style.contentVisibility = before;
  return text;
}"""
_HTML = "cell => jupyterapp.shell.currentWidget.content.widgets[cell].outputArea.node.innerHTML"


class NotebookPage:
    """A notebook in JupyterLab; `page` is Playwright's, for everything that has no method here."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    def open(cls, page: Page, url: str) -> Self:
        """Go to a notebook's address and wait until its kernel can run code."""
        page.goto(url)
        page.wait_for_function("window.jupyterapp !== undefined")
        page.evaluate(READY)
        return cls(page)

    def run_cell(self, index: int) -> None:
        """Start a cell; it may still run on return."""
        self.command("notebook:run-cell", index)

    def run_all(self) -> None:
        """Start every cell; they may still run on return."""
        self.command("notebook:run-all-cells")

    def command(self, name: str, cell: int | None = None) -> None:
        """Start a command of JupyterLab, such as ``docmanager:save``, with `cell` as the active one."""
        self.page.evaluate(_COMMAND, [name, cell])

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until every command and cell is done and the kernel idle."""
        self.page.wait_for_function(_IDLE, timeout=timeout * 1000)

    def output(self, index: int) -> Locator:
        """Return a locator of a cell's whole output, for clicks and Playwright's ``expect``."""
        return self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"] .jp-Cell-outputWrapper')

    def cell_output_text(self, index: int) -> str:
        """Return a cell's output as a person reads it, also where it is scrolled out of sight."""
        text: str = self.page.evaluate(_TEXT, index)
        return text

    def cell_output_html(self, index: int) -> str:
        html: str = self.page.evaluate(_HTML, index)
        return html

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)
