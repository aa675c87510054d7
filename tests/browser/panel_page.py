"""The chat panel in a notebook page, as a person uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.support.lab import NotebookPage


class PanelPage:
    """The one panel that is open in `notebook`."""

    def __init__(self, notebook: NotebookPage) -> None:
        self._page = notebook.page
        self.root = self._page.locator(".chatanywhere-panel")
        self.composer = self.root.locator("textarea")
        self.send_button = self.root.get_by_role("button", name="Send")
        self.stop_button = self.root.get_by_role("button", name="Stop")
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
