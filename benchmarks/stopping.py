"""From a click on the panel's Stop to the frame that shows the turn as stopped, whatever the kernel is busy with.

``python -m benchmarks.stopping``
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

from tests.support.chromium import find_chromium
from tests.support.lab import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ROUTES: Final = {"subshell": "perCommTarget", "interrupt": "disabled"}
"""How a Stop reaches a kernel that is busy, by what JupyterLab is set to."""
HAS_SUBSHELLS: Final = int(version("ipykernel").partition(".")[0]) >= 7
CASES: Final = {
    "a panel's turn": "",
    "a panel's turn, during sleep(30)": "import time\ntime.sleep(30)",
    "a cell's turn": "%%chat\nTell me more.",
    "a cell's turn, Run All": "%%chat\nTell me more.",
}
"""Which turn is stopped, and the cell that runs meanwhile."""
STREAMS: Final = """() => {
  const turn = [...document.querySelectorAll(".chatanywhere-turn")].at(-1);
  return turn?.dataset.status === "streaming" && turn.innerText.includes("word word");
}"""
CLICKED: Final = """() => {
  window.stopped = new Promise((resolve) => {
    document.querySelector(".chatanywhere-stop").addEventListener("click", (event) => {
      const look = () => {
        const turn = [...document.querySelectorAll(".chatanywhere-turn")].at(-1);
        const isOver = turn.dataset.status === "interrupted";
        requestAnimationFrame(isOver ? () => resolve(performance.now() - event.timeStamp) : look);
      };
      look();
    }, { capture: true, once: true });
  });
}"""


def times(browser: Browser, lab: Lab, server: LocalServer, case: str, runs: int) -> list[float]:
    """Return the milliseconds that each of `runs` took."""
    code = CASES[case]
    cells = ["%load_ext chatanywhere_magic\n%chat_panel", code or "None", "print('behind')"]
    page = browser.new_context().new_page()
    address = lab.add_notebook(f"{[*CASES].index(case)}.ipynb", cells, env={"OPENAI_BASE_URL": server.api_url})
    notebook = NotebookPage.open(page, address)
    notebook.run_cell(0)
    page.wait_for_selector(".chatanywhere-box")
    notebook.wait_idle()
    found = []
    for count in range(runs):
        server.queue(Answer(text=["word "] * 10_000, delay=0.02))
        if "sleep" in code:
            notebook.run_cell(1)
            page.wait_for_timeout(300)
        if case.startswith("a panel"):
            page.click(".chatanywhere-box")
            page.keyboard.type("Tell me more.")
            page.keyboard.press("Enter")
        else:
            notebook.command("notebook:run-all-below" if "All" in case else "notebook:run-cell", 1)
        page.wait_for_function(STREAMS)
        page.wait_for_timeout(500 + 37 * count)  # at another moment between two paints
        page.evaluate(CLICKED)
        page.click(".chatanywhere-stop")
        found.append(page.evaluate("window.stopped"))
        if "sleep" in code:
            notebook.command("notebook:interrupt-kernel")
        notebook.wait_idle()
    page.context.close()
    return found


def rows(runs: int) -> Iterator[tuple[str, str, list[float]]]:
    """Measure every case by every route."""
    for route, setting in ROUTES.items():
        with (
            tempfile.TemporaryDirectory() as directory,
            Lab(Path(directory)) as lab,
            LocalServer() as server,
            sync_playwright() as playwright,
        ):
            folder = lab.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
            folder.mkdir(parents=True)
            (folder / "kernels-settings.jupyterlab-settings").write_text(json.dumps({"commsOverSubshells": setting}))
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
            for case in CASES:
                # Elsewhere what is asked during somebody else's cell waits for its end, and there is nothing to stop.
                if (route == "subshell" and HAS_SUBSHELLS) or "sleep" not in case:
                    yield route, case, times(browser, lab, server, case, runs)
            browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopping", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each case (default: %(default)s)")
    options = parser.parse_args()
    print(f"{'':12}{'':36}{'median':>12}{'longest':>12}")
    for route, case, found in rows(options.runs):
        print(f"{route:12}{case:36}{statistics.median(found):>9.0f} ms{max(found):>9.0f} ms", flush=True)


if __name__ == "__main__":
    main()
