"""A long answer with code and formulas, streamed into a cell of JupyterLab: what the page does meanwhile."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import sync_playwright

from tests.support.lab import CHROMIUM_FLAGS, Lab, NotebookPage
from tests.support.server import Answer, LocalServer

TEXT: Final = r"""## Medians

A **median** is the value in the middle: *half* of the numbers are smaller, half are larger. Unlike the mean it does not
move when one number is very far from the others, so that `statistics.median` is the better summary of incomes.

1. Sort the numbers.
2. Take the one in the middle; or, of two, their mean.

It minimises the absolute deviations, $\sum_i |x_i - m|$, and the mean the squares:

$$
\bar{x} = \arg\min_m \sum_{i=1}^{n} (x_i - m)^2
$$

| estimator | breakdown point | cost |
|---|:-:|--:|
| mean | 0 % | $O(n)$ |
| median | 50 % | $O(n \log n)$ |

```python
def median(values):
    '''Return the middle value.'''
    ordered = sorted(values)  # O(n log n)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
```

"""
SECONDS: Final = 25
CHUNKS: Final = 2_500
LONG_MS: Final = 50
# The reader looks at a place in the finished text, half a page above the end.
_WATCH: Final = """() => {
  window.tasks = [];
  new PerformanceObserver(list => {
    for (const { startTime, duration } of list.getEntries()) window.tasks.push([startTime, duration]);
  }).observe({ entryTypes: ["longtask"] });
}"""
_HOLD: Final = """() => {
  const cell = jupyterapp.shell.currentWidget.content.widgets[1];
  const block = cell.outputArea.node.querySelector("h2");
  const from = block.getBoundingClientRect().top;
  window.moved = 0;
  const look = () => {
    const now = cell.outputArea.node.querySelector("h2");
    if (now) window.moved = Math.max(window.moved, Math.abs(now.getBoundingClientRect().top - from));
    if (!window.over) requestAnimationFrame(look);
  };
  look();
}"""


class Seen(NamedTuple):
    longest: float
    long_tasks: int
    last: float
    moved: float


def watch(size: int, chromium: str) -> Seen:
    """Stream an answer of `size` characters in 25 seconds, and return what the page told of it."""
    text = (TEXT * (size // len(TEXT) + 1))[:size]
    step = max(1, size // CHUNKS)
    chunks = [text[at : at + step] for at in range(0, size, step)]
    with (
        LocalServer() as server,
        tempfile.TemporaryDirectory() as home,
        Lab(Path(home)) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        cells = ["%load_ext chatanywhere_magic", "%%chat\nWhat is a median?"]
        address = lab.add_notebook("page.ipynb", cells, env={"OPENAI_BASE_URL": server.api_url})
        notebook = NotebookPage.open(browser.new_page(), address)
        page = notebook.page
        notebook.run_cell(0)
        server.queue(Answer(text=[TEXT]), Answer(text=chunks, delay=SECONDS / len(chunks)))
        notebook.run_cell(1)  # once before, for what the page loads with the first formula
        notebook.wait_idle()
        page.wait_for_timeout(2000)
        page.evaluate(_WATCH)
        notebook.run_cell(1)
        page.wait_for_timeout(SECONDS * 400)
        page.evaluate(_HOLD)
        page.wait_for_timeout(SECONDS * 500)
        end = page.evaluate("performance.now()")
        moved = page.evaluate("window.moved")
        notebook.wait_idle(timeout=120)
        page.wait_for_timeout(1500)
        tasks = page.evaluate("window.over = true, window.tasks")
        browser.close()
    before = [duration for start, duration in tasks if start <= end]
    after = [duration for start, duration in tasks if start > end]
    return Seen(max(before, default=0.0), sum(each > LONG_MS for each in before), max(after, default=0.0), moved)
