"""Carry out a page's commands: each calls the session. None runs a magic or code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from traitlets import TraitError

from ..context import candidates, read_bytes
from ..core import ChatError, ConfigurationError, Image, Origin, phrase, text
from ..providers import can_chat, get_provider, provider_names
from .card import answer_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..core import Attachment, Turn
    from ..providers import Provider
    from ..session import ChatSession
    from .commands import Command

MOST_NAMES: Final = 50
_LABELS: Final = {
    "system": "panel.system",
    "temperature": "panel.temperature",
    "max_tokens": "panel.max_tokens",
    "budget": "panel.budget",
    "agent": "panel.agent",
}
"""The names of the session's options in the panel."""


def carry_out(session: ChatSession, command: Command) -> Any:
    """Carry out `command`, and return the reply to the page as JSON values.

    Raises
    ------
    ChatError
        If it cannot be done; the message says why.
    """
    return getattr(Actions(session), command.name)(**command.fields)


def slash_commands() -> list[dict[str, Any]]:
    """Return the commands that the composer offers after a ``/``."""
    return [{"name": name, "help": text(key), "argument": takes} for name, (key, takes, _) in _SLASH.items()]


class Actions:
    """One method for each command of :mod:`commands`, with the same name and fields."""

    def __init__(self, session: ChatSession) -> None:
        self._session = session

    # --- send and stop --------------------------------------------------------------------------------------------

    def send(self, text: str, attachments: tuple[Attachment, ...] = (), *, allow_secrets: bool = False) -> None:
        """Send a prompt, with everything it mentions with ``@``."""
        live = self._session.prepare(
            text,
            origin=Origin("panel"),
            attachments=attachments,
            namespace=self._session.names,
            allow_secrets=allow_secrets and self._session.settings.secrets == "ask",
        )
        self._session.start(live)

    def stop(self) -> int:
        """Stop every turn in progress."""
        return self._session.stop()

    def cancel(self, turn: int) -> None:
        """Cancel a prompt that waits for the turns before it."""
        live = self._session.turns.running.get(turn)
        if live is None or live.status != "queued":
            raise ConfigurationError(phrase("panel.too_late"))
        self._session.turns.delete(turn)

    def command(self, name: str, argument: str) -> Any:
        """Carry out a command typed after a ``/``."""
        if name not in _SLASH:
            raise ConfigurationError(phrase("panel.no_command", name=name))
        return _SLASH[name][2](self, argument)

    def approve(self, approval: str, answer: Any, reason: str, edited: str | None) -> None:
        """Answer for a call of a tool that waits."""
        answer_card(self._session.tools.approvals, approval, answer, reason, edited)

    # --- a turn ---------------------------------------------------------------------------------------------------

    def source(self, turn: int) -> str:
        """Return the answer as the model wrote it."""
        return self._turn(turn).current.text

    def proceed(self, turn: int) -> None:
        """Go on with a turn that stopped between calls of tools."""
        self._session.start(self._session.turns.continue_(turn))

    def retry(self, turn: int | None = None, provider: str = "", model: str = "") -> None:
        """Send the prompt of a turn, or of the last one, again."""
        self._session.start(self._session.turns.retry(turn, provider=provider or None, model=model))

    def revise(self, turn: int, text: str) -> None:
        """Send another prompt in a turn's place."""
        self._session.start(self._session.turns.revise(turn, text, namespace=self._session.names))

    def select(self, turn: int, version: int) -> None:
        """Show and send another version of a turn."""
        self._session.turns.select(turn, version)

    def pin(self, turn: int, *, pinned: bool) -> None:
        """Pin a turn, or unpin it."""
        self._session.turns.pin(turn, pinned)

    def delete(self, turn: int) -> None:
        """Hide a turn."""
        self._session.turns.delete(turn)

    def fork(self, turn: int | None = None) -> None:
        """Continue from a turn, or from the last one, in a new conversation."""
        self._session.conversations.fork(turn)

    # --- the conversation -----------------------------------------------------------------------------------------

    def new(self) -> None:
        """Start a new conversation."""
        self._session.conversations.new()

    def undo(self) -> None:
        """Hide the last turn."""
        if self._session.turns.undo() is None:
            raise ConfigurationError(phrase("panel.nothing_to_undo"))

    def restore(self) -> None:
        """Redo: restore what the last undo, delete or clear hid."""
        if not self._session.turns.redo():
            raise ConfigurationError(phrase("panel.nothing_to_undo"))

    def clear(self) -> None:
        """Hide all turns."""
        self._session.turns.clear()

    def rename(self, title: str) -> None:
        """Give the conversation a title."""
        self._session.conversations.rename(title)

    def conversations(self, search: str) -> list[dict[str, Any]]:
        """Return the conversations, or those that contain the words."""
        return [
            {
                "id": each.id,
                "title": each.title,
                "detail": time.strftime("%Y-%m-%d %H:%M", time.localtime(each.updated)),
                "open": each.id == self._session.conversations.id,
            }
            for each in self._session.conversations.list(search)
        ]

    def switch(self, conversation: str) -> None:
        """Switch to another conversation."""
        self._session.conversations.switch(conversation)

    def export(self, format: str) -> dict[str, str]:  # noqa: A002 - the field's name
        """Return the conversation as a document, for the browser to save."""
        return {"name": f"chat.{format}", "text": self._session.conversations.export(format)}

    # --- who answers, and how -------------------------------------------------------------------------------------

    def models(self) -> list[dict[str, str]]:
        """Return the models known so far; more may be known a moment later."""
        return [
            {"provider": name, "model": model, "detail": name}
            for name, provider in self._providers()
            for model in dict.fromkeys([provider.shown_model(""), *self._session.catalog.known(name)])
            if can_chat(model)
        ]

    def _providers(self) -> Iterator[tuple[str, Provider]]:
        for name in provider_names():
            try:
                provider = get_provider(name)
                provider.check("")
                if name != self._session.settings.provider and (name == "scripted" or not provider.is_configured()):
                    continue
            except ChatError:  # it cannot be asked here, or is anybody's package that is broken
                continue
            yield name, provider

    def model(self, provider: str, model: str) -> None:
        """Choose the provider and model for later prompts."""
        if provider:
            get_provider(provider).check(model)
            self._session.settings.provider = provider
        self._session.settings.model = model

    def option(self, name: str, words: str = "", number: float | None = None) -> None:
        """Set one of the session's options; without a number, reset it to its default."""
        value: Any
        if name == "system":
            value = words
        elif number is None:
            value = self._session.settings.trait_defaults(name)
        elif name == "agent":
            value = bool(number)
        else:
            value = number if name == "temperature" else int(number)
        try:
            setattr(self._session, name, value)
        except TraitError:
            raise ConfigurationError(phrase("panel.out_of_range", name=phrase(_LABELS[name]), value=value)) from None

    def preset(self, name: str) -> None:
        """Set the options that a preset names."""
        self._session.settings.use_preset(name)

    # --- the composer ---------------------------------------------------------------------------------------------

    def complete(self, word: str) -> list[dict[str, str]]:
        """Return the completions of an ``@name``, each with its type and size."""
        if self._session.names is None:
            return []
        found = candidates(self._session.names, word)
        return [{"name": each.name, "detail": f"{each.type} {each.size}".strip()} for each in found[:MOST_NAMES]]

    def read(self, name: str, data: bytes) -> dict[str, str]:
        """Return what is in a file that the page cannot read by itself, as if it was attached with ``-a``."""
        found = read_bytes(data, name, name, supports_images=True)
        if isinstance(found, Image):
            return {"name": found.name, "media_type": found.media_type, "data": found.data}
        return {"name": found.name, "media_type": "text/plain", "text": found.text}

    def _turn(self, index: int) -> Turn:
        turns = self._session.conversation.turns
        if index >= len(turns) or turns[index].hidden:
            raise ConfigurationError(phrase("error.no_turn", number=index + 1))
        return turns[index]


_SLASH: Final[dict[str, tuple[str, bool, Callable[[Actions, str], Any]]]] = {
    "clear": ("panel.clear", False, lambda do, _: do.clear()),
    "fork": ("panel.fork", False, lambda do, _: do.fork()),
    "model": ("panel.change_model", True, lambda do, words: do.model("", words)),
    "new": ("panel.new", False, lambda do, _: do.new()),
    "preset": ("panel.preset", True, lambda do, words: do.preset(words)),
    "redo": ("panel.redo", False, lambda do, _: do.restore()),
    "rename": ("panel.rename", True, lambda do, words: do.rename(words)),
    "retry": ("panel.retry", False, lambda do, _: do.retry()),
    "stop": ("panel.stop", False, lambda do, _: do.stop()),
    "system": ("panel.system", True, lambda do, words: do.option("system", words)),
    "temperature": ("panel.temperature", True, lambda do, words: do.option("temperature", number=_number(words))),
    "undo": ("panel.undo", False, lambda do, _: do.undo()),
}
"""What can stand behind a ``/``: the key of its help, whether something follows it, and what it does."""


def _number(words: str) -> float | None:
    try:
        return float(words) if words else None
    except ValueError:
        raise ConfigurationError(phrase("panel.out_of_range", name=phrase("panel.temperature"), value=words)) from None
