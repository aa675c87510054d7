"""The turns of the open conversation: undo, redo, delete, retry, revise and stop them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core import ConfigurationError, phrase, to_dicts
from .turn_loop import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import Conversation, Turn, Version
    from .catalog import Catalog
    from .cells import Cell
    from .engine import Engine
    from .live_turn import LiveTurn
    from .open_conversation import OpenConversations
    from .preparation import Preparation
    from .tools import Tools


class Turns:
    """The turns of the open conversation. Every change happens on the engine's thread."""

    def __init__(
        self,
        engine: Engine,
        conversations: OpenConversations,
        catalog: Catalog,
        preparation: Preparation,
        tools: Tools,
    ) -> None:
        self._engine = engine
        self._conversations = conversations
        self._catalog = catalog
        self._preparation = preparation
        self._tools = tools

    @property
    def _conversation(self) -> Conversation:
        return self._conversations.current.conversation

    # --- what there is ------------------------------------------------------------------------------------------

    def get(self, index: int) -> Turn:
        """Return the turn at `index`.

        Raises
        ------
        ConfigurationError
            If there is none, or it is hidden.
        """
        return self._conversations.current.turn(index)

    def shown(self, conversation_id: str, index: int) -> Turn | None:
        """Return the turn at `index` of a conversation; None if that is not open, or the turn is hidden."""
        opened = self._conversations.current  # once, since another thread may open another one
        turn = opened.conversation.turns[index] if opened.id == conversation_id else None
        return None if turn is None or turn.hidden else turn

    @property
    def live(self) -> tuple[LiveTurn, ...]:
        """The turns in progress, the running one first."""
        return tuple(self._conversations.live)

    @property
    def running(self) -> dict[int, LiveTurn]:
        """The turns on their way in the open conversation, by their index; of versions the one that is shown."""
        return self._conversations.current.running

    def stop(self) -> int:
        """Stop every turn that runs or waits, and return how many there were. The text so far is kept."""
        return self._conversations.stop()

    def context_used(self) -> tuple[int, int | None, bool]:
        """Return the size of the next request without its prompt: tokens, limit, whether estimated.

        The limit is None where it is not known.
        """
        prompt = self._preparation.outlook()
        limit = prompt.limit.tokens if prompt.limit else None
        visible = self._conversation.visible
        last = visible[-1][1] if visible else None
        is_latest = last is not None and last.started >= max(block.latest for block in self._conversation.all.blocks)
        counted = last is not None and last.current.status == "complete" and not last.current.sent_tokens
        usage = last.current.usage if last and is_latest and counted else None
        if usage and usage.prompt_tokens and usage.completion_tokens and not prompt.left_out:
            return usage.prompt_tokens + usage.completion_tokens, limit, False
        return (prompt.tokens if visible else 0), limit, True

    def left_out(self) -> Sequence[int]:
        """Return the indices of the turns that the next request would leave out, as far as known."""
        return self._preparation.outlook().left_out

    # --- hiding, and showing again ------------------------------------------------------------------------------

    def undo(self) -> Turn | None:
        """Hide the last turn, and return it; None if there is none. :meth:`redo` shows it again."""

        def hide() -> Turn | None:
            visible = self._conversation.visible
            if not visible:
                return None
            index, turn = visible[-1]
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def delete(self, index: int) -> Turn:
        """Hide the turn at `index`, and return it; the turns around it keep their indices.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """

        def hide() -> Turn:
            turn = self.get(index)
            self._hide([index])
            return turn

        return self._engine.call(hide)

    def clear(self) -> int:
        """Hide every turn, and return how many that were."""

        def hide() -> int:
            indices = list(self._conversation.visible.indices())
            self._hide(indices)
            return len(indices)

        return self._engine.call(hide)

    def redo(self) -> list[int]:
        """Show again what the last undo, delete or clear hid, and return the indices of those turns.

        Each further call goes one step further back.
        """

        def show() -> list[int]:
            hidden = self._conversation.last_hidden()
            if hidden:
                self._conversations.change(self._conversation.restored())
            return hidden

        return self._engine.call(show)

    def leave_cell(self, cell: Cell) -> list[int]:
        """Hide what a cell that ran to its end asked earlier and does not ask any more; return the indices.

        It is one step, which :meth:`redo` shows again.
        """

        def is_gone(index: int) -> bool:
            turn = self._conversation.turns[index]
            origins = [version.origin for version in turn.versions if version.origin.cell_id == cell.id]
            return not turn.hidden and all(origin.ordinal >= cell.asked for origin in origins)

        def hide() -> list[int]:
            gone = [index for index in self._conversation.find_cell(cell.id) if is_gone(index)]
            self._hide(gone)
            return gone

        # Asked after every cell of the notebook: the engine is not started for it.
        return self._engine.call(hide) if any(map(is_gone, self._conversation.find_cell(cell.id))) else []

    # --- versions -----------------------------------------------------------------------------------------------

    def select(self, index: int, version: int) -> Turn:
        """Select the version of the turn at `index` that is shown and sent, counted from 0.

        Raises
        ------
        ConfigurationError
            If there is no such turn or version.
        """

        def choose() -> Turn:
            turn = self.get(index)
            if not 0 <= version < len(turn.versions):
                raise ConfigurationError(phrase("error.no_version", number=version + 1, count=len(turn.versions)))
            return self._change_turn(index, selected=version)

        return self._engine.call(choose)

    def choose(self, live: LiveTurn) -> None:
        """Have its turn show and send the version that `live` became, unless the turn is not shown any more."""

        def choose() -> None:
            turn = self.shown(live.conversation_id, live.index) if live.index is not None else None
            if live.index is not None and turn is not None and turn.selected != live.at:
                self._change_turn(live.index, selected=live.at)

        self._engine.call(choose)

    def pin(self, index: int, pinned: bool = True) -> Turn:  # noqa: FBT001, FBT002 - pin(3, False) reads well
        """Pin the turn at `index`, so that it is always sent.

        Raises
        ------
        ConfigurationError
            If there is no such turn.
        """
        return self._engine.call(lambda: self._change_turn(index, pinned=pinned))

    def retry(self, index: int | None = None, *, provider: Any = None, model: str = "") -> LiveTurn:
        """Prepare to send a turn's prompt again as a new version; by default the last turn's, to the same model.

        The caller starts it, as what :meth:`ChatSession.prepare` returns.

        Raises
        ------
        ConfigurationError
            If there is no such turn, or its prompt cannot be asked here.
        """
        index = self._last_shown if index is None else index
        version = self.get(index).current
        is_same = provider is None
        if is_same:
            provider, asked_for = self._catalog.answered(version)
            model = model or asked_for
        return self._asked_once_more(index, provider, model)

    def revise(self, index: int, prompt: str, **options: Any) -> LiveTurn:
        """Prepare to send `prompt` as a new version of the turn at `index`.

        Options and errors are those of :meth:`ChatSession.prepare`; what is not given stays as the turn had it.
        """
        version = self.get(index).current
        if "provider" not in options and "model" not in options:
            options["provider"], options["model"] = self._catalog.answered(version)
        kept = {
            "system": version.system,
            "temperature": version.temperature,
            "origin": version.origin,
            # What the earlier prompt named is looked up again.
            "attachments": [
                each for each in version.attachments if "namespace" not in options or not each.name.startswith("@")
            ],
            "tools": self._tools_of(index, version),
            **self._preparation.recorded_parameters(version),
        }
        return self._preparation.prepare(prompt, **{**kept, **options}, revises=index)

    def continue_(self, index: int | None = None) -> LiveTurn:
        """Prepare to go on with a turn that ended between calls of tools: at a limit, stopped, or failed.

        What it did is not done again. It becomes a further version of the turn, which the caller starts.

        Raises
        ------
        ConfigurationError
            If there is no such turn, or nothing to go on with.
        """
        index = self._last_shown if index is None else index
        version = self.get(index).current
        steps = list(version.response)
        while steps and not (steps[-1].tool_results or steps[-1].tool_calls):
            steps.pop()  # half a text
        if not steps or (version.status == "complete" and version.finish_reason not in LIMITS):
            raise ConfigurationError(phrase("error.nothing_to_continue", number=index + 1))
        provider, model = self._catalog.answered(version)
        return self._asked_once_more(index, provider, model, steps=tuple(steps))

    @property
    def _last_shown(self) -> int:
        """The index of the last turn; 0 if there is none."""
        visible = self._conversation.visible
        return visible[-1][0] if visible else 0

    def _asked_once_more(self, index: int, provider: Any, model: str, **further: Any) -> LiveTurn:
        """Prepare another version of a turn, asked as its current one was."""
        version = self.get(index).current
        return self._preparation.prepare(
            **_asked_again(version),
            tools=self._tools_of(index, version),
            provider=provider,
            model=model,
            system=version.system,
            temperature=version.temperature,
            origin=version.origin,
            revises=index,
            **self._preparation.recorded_parameters(version),
            **further,
        )

    def _tools_of(self, index: int, version: Version) -> list[Any] | None:
        """Return the tools of a turn: functions as far as they are known here, else as the protocol has them."""
        recorded = dict(version.parameters).get("tools")
        if not isinstance(recorded, list):
            return []
        known = self._conversations.current.toolboxes.get(index)
        if known is not None:
            return list(known)
        names = [each.get("function", {}).get("name") for each in recorded if isinstance(each, dict)]
        return [name for name in names if isinstance(name, str) and name in self._tools] or recorded

    def _hide(self, indices: Sequence[int]) -> None:
        for live in self._conversations.live:
            if live.index in indices:
                live.cancel()
        if indices:
            self._conversations.change(self._conversation.hiding(indices))

    def _change_turn(self, index: int, **fields: Any) -> Turn:
        turn = replace(self.get(index), **fields)
        self._conversations.change(self._conversation.with_turn(index, turn))
        return turn


def _asked_again(version: Version) -> dict[str, Any]:
    """Return what to ask with for another version: the prompt with what went beside it, or the messages given."""
    asked = version.messages[: version.asked]
    if len(asked) == 1 and asked[0].role == "user":
        return {"prompt": version.prompt, "attachments": version.attachments}
    return {"messages": to_dicts(asked)}
