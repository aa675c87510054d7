"""Show a turn in the output area of a cell.

Jupyter can replace an output or add one, but neither extend nor remove one: whoever sends the whole response at every
paint sends the square of it. In a cell of its own a response is therefore shown in several outputs while it grows: what
is finished stays as it is, and only the last output, with the open end, is painted again. When the answer is over they
make place for one that holds everything. In a cell that shows other things as well that would take those away, so
there the response is a single output from the beginning, painted less often as it grows.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from IPython import get_ipython
from IPython.display import DisplayHandle, clear_output

from ...core import text
from ..markdown import IncrementalRenderer, page, to_html
from .calls import Section, busy_words, calls_html, response_pieces, step_views
from .metadata import METADATA_KEY, turn_metadata
from .words import final_words, footer_words, reasoning_details, state_line, waiting_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core import Version
    from ...session import LiveTurn

JOIN_SIZE: Final = 400
"""Characters of finished text that the last output gathers before they move to one that is painted for good."""
SINGLE_OUTPUTS: Final = 12
GROUP_OUTPUTS: Final = 38
GROUP_SIZE: Final = 4000
"""The first outputs hold what was gathered and nothing more, the next ones are filled up to this size, the ones after
them each to a third of all that came before: JupyterLab shows at most 50 outputs of a cell."""
REPEATS: Final = 40
"""How many times its size a response in a single output may send altogether."""


class Outputs:
    """The outputs of a cell, sent with no more than that takes.

    Not in IPython's way, which has the standard streams flushed first, at twice the price of the output itself: one
    that is already there has its place, and beside one that is alone there is nothing to keep in order. And what is
    the same in all messages of a cell is written once (https://jupyter-client.readthedocs.io/en/stable/messaging.html).
    """

    def __init__(self, kernel: Any) -> None:
        self._session = kernel.session
        self._socket = kernel.iopub_socket
        self._parent = self._session.pack(kernel.get_parent().get("header", {}))
        self._metadata = self._session.pack({})

    def show(self, handle: DisplayHandle, html: str, plain: str, *, update: bool) -> None:
        """Show something in a new output, or with `update` in place of one."""
        session = self._session
        kind = "update_display_data" if update else "display_data"
        data = {"text/html": html, "text/plain": plain}
        content = {"data": data, "metadata": {}, "transient": {"display_id": handle.display_id}}
        parts = [session.pack(session.msg_header(kind)), self._parent, self._metadata, session.pack(content)]
        session.send_raw(self._socket, parts)


class FinalPainter:
    """Shows a turn when it is over, and nothing before: for output that is captured."""

    paints_anywhere = False

    def __init__(self, *, footer: bool, reasoning: bool, form: str = "markdown", section: int = 0) -> None:
        self._footer = footer
        self._form = form
        self._hurries: list[Callable[[], bool]] = []
        """Says whether the turn was stopped, once there is one."""
        self._renderer = self._new_renderer()
        self._section = Section(section)
        self._text_read = self._begin = 0
        self._reasoning_read = 0
        self._shows_reasoning = reasoning

    @property
    def place(self) -> DisplayHandle | None:
        """The output that shows the turn when it is over, if it can be changed later."""
        return None

    @cached_property
    def _thoughts(self) -> IncrementalRenderer:
        return self._new_renderer()

    def _new_renderer(self) -> IncrementalRenderer:
        return IncrementalRenderer(lambda: any(hurries() for hurries in self._hurries))

    def get_ready(self) -> None:
        """Load the Markdown renderer."""
        _render_once()

    def paint(self, live: LiveTurn) -> None:
        """Show nothing yet."""

    def show_calls(self, live: LiveTurn) -> None:
        """Show nothing yet."""

    def finish(self, live: LiveTurn) -> None:
        """Show the whole response, with the turn in the output's metadata."""
        metadata = turn_metadata(live.version, conversation=live.conversation_id, turn=live.index, number=live.at)
        _publish(
            DisplayHandle(),
            *_of_version(live.version, metadata, footer=self._footer, reasoning=self._shows_reasoning, form=self._form),
        )

    def _read(self, live: LiveTurn) -> tuple[str, list[str]]:
        """Return what is new of the response, and the HTML of its blocks that are finished now."""
        self._hurries = [live.stopping.hurries]
        if self._begin != live.response.text_begin:
            self._begin = live.response.text_begin
            self._restart()
        fresh, self._text_read = self._section.read(live, self._text_read)
        return fresh, self._renderer.feed(fresh)

    def _restart(self) -> None:
        """Forget what was read as the response: it was reasoning."""
        self._renderer = self._new_renderer()

    def _read_reasoning(self, live: LiveTurn) -> None:
        if self._shows_reasoning:
            fresh, self._reasoning_read = self._section.read_reasoning(live, self._reasoning_read)
            if fresh:
                self._thoughts.feed(fresh)

    def _reasoning(self) -> str:
        if not self._reasoning_read:
            return ""
        return reasoning_details(page(*self._thoughts.pieces, self._thoughts.tail()))

    def _final(self, live: LiveTurn) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the last section, with the whole turn in the metadata."""
        version = live.version
        self._hurries = [live.stopping.hurries]
        self._read_reasoning(live)
        self._read(live)
        self._renderer.finish()
        response = page(*self._renderer.pieces) if self._text_read > self._begin else ""
        metadata = turn_metadata(version, conversation=live.conversation_id, turn=live.index, number=live.at)
        plain = None
        if self._section.number:
            metadata = {**metadata, "text": version.text}  # for what stands beside it is a part of it
            plain = self._section.read(live, 0)[0]
        return _whole(version, self._reasoning(), response, metadata, footer=self._footer, form=self._form, plain=plain)


class RunningPainter(FinalPainter):
    """What the painters share that show a turn while it runs."""

    @cached_property
    def _streaming(self) -> str:
        return text("status.streaming")  # looked up once, not at every paint

    def _words(self, live: LiveTurn) -> str:
        """Return what a turn that runs is doing."""
        if words := busy_words(live):
            return words
        version = live.draft.outline
        if version.timing.first_text is not None and not live.draft.notice:
            return self._streaming
        return waiting_words(version, live.draft.notice, thinking=live.response.has_text)

    @cached_property
    def _outputs(self) -> Outputs:
        return Outputs(get_ipython().kernel)

    def get_ready(self) -> None:
        """Load the Markdown renderer, and look up what the first paint needs."""
        super().get_ready()
        _ = self._streaming, self._outputs


class OutputPainter(RunningPainter):
    """Shows a turn in a single output, which is replaced as the response grows."""

    def __init__(self, *, footer: bool, reasoning: bool, form: str = "markdown", section: int = 0) -> None:
        super().__init__(footer=footer, reasoning=reasoning, form=form, section=section)
        self._handle = DisplayHandle()
        self._shown = ""
        self._size = 0
        self._fresh = 0

    @property
    def place(self) -> DisplayHandle:
        """The output that shows the turn."""
        return self._handle

    def paint(self, live: LiveTurn) -> None:
        """Show the text so far; before there is any, what is being waited for."""
        fresh, _ = self._read(live)
        self._read_reasoning(live)
        self._fresh += len(fresh)
        words = self._words(live)
        if self._fresh < self._text_read and self._fresh * REPEATS < self._size:
            return
        response = page(*self._renderer.pieces, self._renderer.tail()) if self._text_read else ""
        html = self._reasoning() + response + state_line(words)
        if html != self._shown:
            plain = self._section.read(live, 0)[0] or f"[{words}]"
            if self._shown:
                self._outputs.show(self._handle, html, plain, update=True)
            else:
                _publish(self._handle, {"text/html": html, "text/plain": plain})
            self._shown, self._size, self._fresh = html, len(html) + len(plain), 0

    def show_calls(self, live: LiveTurn) -> None:
        """Show the calls below the text, in the same output."""
        self._read_reasoning(live)
        self._read(live)
        response = page(*self._renderer.pieces, self._renderer.tail()) if self._text_read > self._begin else ""
        views = step_views(live, self._section.number, in_cell=True)
        html = self._reasoning() + response + calls_html(views)
        if html != self._shown:
            plain = "\n".join(filter(None, [self._section.read(live, 0)[0], *(view.plain for view in views)]))
            _publish(self._handle, {"text/html": html, "text/plain": plain}, update=bool(self._shown))
            self._shown = html

    def finish(self, live: LiveTurn) -> None:
        """Leave the whole response, with the turn in the output's metadata."""
        data, metadata = self._final(live)
        _publish(self._handle, data, metadata, update=bool(self._shown))


class CellPainter(RunningPainter):
    """Shows a turn in the outputs of a cell in which nothing else is shown."""

    paints_anywhere = True

    def __init__(self, *, footer: bool, reasoning: bool, form: str = "markdown", section: int = 0) -> None:
        super().__init__(footer=footer, reasoning=reasoning, form=form, section=section)
        self._last = DisplayHandle()
        self._shown = ""
        self._plain = ""
        """The text of the last output."""
        self._gathered: list[str] = []
        """HTML of what is finished of it."""
        self._groups = 0
        self._group: DisplayHandle
        """The one that is being filled, once there is any."""
        self._group_html: list[str] = []
        self._group_plain = ""
        self._kept = 0
        self._details: DisplayHandle | None = None
        self._details_size = 0

    @property
    def place(self) -> DisplayHandle:
        """The output that shows the turn when it is over."""
        return self._last

    def paint(self, live: LiveTurn) -> None:
        """Show the text so far; before there is any, what is being waited for."""
        fresh, finished = self._read(live)
        self._plain += fresh
        self._gathered += finished
        if not self._shown:
            self._paint_last(self._words(live))  # the place of everything that follows
        self._paint_reasoning(live)
        self._keep_gathered(live)
        self._paint_last(self._words(live))

    def show_calls(self, live: LiveTurn) -> None:
        """Show the calls below the text, in the last output."""
        self._read_reasoning(live)
        fresh, finished = self._read(live)
        self._plain += fresh
        self._gathered += finished
        response = page(*self._gathered, self._renderer.tail()) if self._plain.strip() else ""
        views = step_views(live, self._section.number, in_cell=True)
        html = ("" if self._details is not None else self._reasoning()) + response + calls_html(views)
        if html != self._shown:
            plain = "\n".join(filter(None, [self._plain, *(view.plain for view in views)]))
            _publish(self._last, {"text/html": html, "text/plain": plain}, update=bool(self._shown))
            self._shown = html

    def finish(self, live: LiveTurn) -> None:
        """Leave one output with the whole response, and the turn in its metadata."""
        data, metadata = self._final(live)
        if self._groups or self._details:
            clear_output(wait=True)
            self._last, self._shown = DisplayHandle(), ""
        _publish(self._last, data, metadata, update=bool(self._shown))

    def _restart(self) -> None:
        super()._restart()
        self._gathered, self._plain = [], ""
        if self._groups:
            clear_output(wait=True)
            self._last, self._shown, self._groups, self._kept = DisplayHandle(), "", 0, 0
            self._details, self._details_size = None, 0

    def _paint_last(self, words: str) -> None:
        response = page(*self._gathered, self._renderer.tail()) if self._plain.strip() else ""
        html = response + state_line(words)
        if html != self._shown:
            plain = self._plain or f"[{words}]"
            self._outputs.show(self._last, html, plain, update=bool(self._shown))
            self._shown = html

    def _leave_last(self, words: str) -> DisplayHandle:
        """Begin another last output, and return the one that is not the last any more."""
        before, self._last, self._shown = self._last, DisplayHandle(), ""
        # It comes before the other one is changed: the page must not become shorter for a moment, and jump.
        self._paint_last(words)
        return before

    def _keep_gathered(self, live: LiveTurn) -> None:
        """Move what is finished out of the last output, if it is enough, to one that is painted for good."""
        open_text = self._renderer.open_text
        size = len(self._plain) - len(open_text)
        room = self._room()
        if size < max(JOIN_SIZE, room // 10):
            return
        html, plain = self._gathered, self._plain[:size]
        self._gathered, self._plain = [], open_text
        if not self._groups or len(self._group_plain) >= room:
            self._groups += 1
            self._group = self._leave_last(self._words(live))
            self._group_html, self._group_plain = [], ""
        else:
            self._paint_last(self._words(live))
        self._kept += size
        self._group_html += html
        self._group_plain += plain
        self._outputs.show(self._group, page(*self._group_html), self._group_plain, update=True)

    def _room(self) -> int:
        """Return the size of the group that is being filled."""
        if self._groups <= SINGLE_OUTPUTS:
            return 0
        return GROUP_SIZE if self._groups <= GROUP_OUTPUTS else max(GROUP_SIZE, self._kept // 3)

    def _paint_reasoning(self, live: LiveTurn) -> None:
        """Show the reasoning in an output of its own, which is seldom painted: painted again, it is folded again."""
        self._read_reasoning(live)
        is_over = self._text_read > 0
        grown = self._reasoning_read - self._details_size
        if grown and (is_over or grown >= max(JOIN_SIZE, self._details_size // 2) or self._details is None):
            if self._details is None:
                self._details = self._leave_last(self._words(live))
            self._details_size = self._reasoning_read
            plain = f"[{text('answer.reasoning')}]"
            self._outputs.show(self._details, self._reasoning(), plain, update=True)


@cache
def _render_once() -> None:
    renderer = IncrementalRenderer()
    renderer.feed("a *b*\n\nc")
    renderer.tail()


def repaint(
    place: DisplayHandle, version: Version, metadata: dict[str, Any], *, footer: bool, reasoning: bool, form: str
) -> None:
    """Show another version of a turn in the output that shows it.

    Parameters
    ----------
    metadata : dict
        What :func:`turn_metadata` makes of the version.
    """
    _publish(place, *_of_version(version, metadata, footer=footer, reasoning=reasoning, form=form), update=True)


def _of_version(
    version: Version, metadata: dict[str, Any], *, footer: bool, reasoning: bool, form: str
) -> tuple[dict[str, str], dict[str, Any]]:
    thoughts = reasoning_details(to_html(version.reasoning)) if reasoning and version.reasoning else ""
    pieces = response_pieces(version)
    return _whole(version, thoughts, page(*pieces) if pieces else "", metadata, footer=footer, form=form)


def _whole(
    version: Version,
    thoughts: str,
    response: str,
    about: dict[str, Any],
    *,
    footer: bool,
    form: str,
    plain: str | None = None,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return data and metadata of the output of a turn that is over."""
    state = final_words(version)
    words = [*state, *(footer_words(version) if footer else ())]
    line = state_line(" · ".join(words)) if words else ""
    # The plain form must not be empty: nbclient and text front ends show it.
    plain = (version.text if plain is None else plain) or f"[{' · '.join(state)}]"
    if form != "markdown" and version.text:
        from .forms import formed  # loaded where a form is asked for

        response, plain = formed(version.text, form)
        about = {**about, "text": version.text}  # for what stands beside it may be a part of it
    return {"text/html": thoughts + response + line, "text/plain": plain}, {METADATA_KEY: about}


def _publish(
    handle: DisplayHandle, data: dict[str, str], metadata: dict[str, Any] | None = None, *, update: bool = False
) -> None:
    """Show `data` as a new output or in place of one, through IPython, so that its output hooks see it."""
    if update:
        handle.update(data, raw=True, metadata=metadata or {})
    else:
        handle.display(data, raw=True, metadata=metadata or {})
