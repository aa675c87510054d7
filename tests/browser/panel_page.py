"""The chat panel in a notebook page, as a person uses it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.support.lab import NotebookPage

needs_subshells = pytest.mark.skipif(
    int(version("ipykernel").partition(".")[0]) < 7,
    reason="before ipykernel 7 what a panel says waits until the cell ends",
)


class PanelPage:
    """The one panel that is open in `notebook`."""

    def __init__(self, notebook: NotebookPage) -> None:
        self._page = notebook.page
        self.root = self._page.locator(".chatanywhere-root")
        self.composer = self.root.locator(".chatanywhere-box")
        self.send_button = self.root.locator(".chatanywhere-send")
        self.stop_button = self.root.locator(".chatanywhere-stop")
        expect(self.composer).to_be_visible()

    def send(self, question: str) -> None:
        """Type `question`, faster than any person, and click on Send at once: the mouse is already there."""
        self.composer.click()
        self.send_button.hover()
        self._page.keyboard.type(question)
        self._page.mouse.down()
        self._page.mouse.up()

    def turn(self, index: int) -> Locator:
        """Return a turn: the question, the answer and the line below it."""
        return self.root.locator(".chatanywhere-turn").nth(index)

    def height_of(self, shown: Locator) -> float:
        """Return how far below the panel's upper edge something is seen."""
        panel, box = self.root.bounding_box(), shown.bounding_box()
        assert panel is not None
        assert box is not None
        return box["y"] - panel["y"]
