"""``%chat_models`` and ``%chat_usage``: the available models, and what was used of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from IPython.core.magic import Magics, line_magic, magics_class

from ..core import ChatError, ChatInterrupted, grouped, phrase, text
from ..providers import can_chat
from .options import Namespace, Option, Options, takes
from .tables import show_table

if TYPE_CHECKING:
    from concurrent.futures import Future

    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession

T = TypeVar("T")
_MODELS: Final = Options(
    "chat_models",
    "about.chat_models",
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    Option(("--all",), "help.models_all"),
    words=("[WORD …]",),
)
_USAGE: Final = Options("chat_usage", "about.chat_usage")


@magics_class
class ModelMagics(Magics):
    """The magics for models and usage."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self.session = session

    @line_magic
    @takes(_MODELS)
    def chat_models(self, given: Namespace) -> None:
        """List a provider's models, or those whose names contain all of the words."""
        source = given.provider or self.session.settings.provider
        provider = self.session.catalog.provider(source)
        note = text("label.of_provider", provider=provider.name)
        try:
            names = waited_for(self.session.catalog.fetch(source))
        except ChatError as error:
            names = self.session.catalog.known(source)
            if not names:
                raise
            note = str(error)
        current = provider.shown_model("" if given.provider else self.session.settings.model)
        if not current and len(names) == 1:
            current = names[0]
        words = [word.casefold() for word in given.words]
        found = [name for name in names if all(word in name.casefold() for word in words)]
        shown = sorted(found, key=lambda name: not can_chat(name))
        if not given.all:
            shown = [name for name in found if can_chat(name) or name == current] or found
            if len(shown) < len(found):
                note += f" · {text('label.models_hidden', count=len(found) - len(shown))}"
        if not shown:
            raise ChatError(phrase("error.no_models", provider=provider.name, words=" ".join(given.words)))
        aliases = {model: alias for alias, model in self.session.settings.aliases.items()}
        rows = [
            [name, provider.about_model(name) or aliases.get(f"{provider.name}/{name}", aliases.get(name, ""))]
            for name in shown
        ]
        if not any(about for _, about in rows):
            rows = [[name] for name, _ in rows]
        header = [text("label.model"), ""][: len(rows[0])]
        marked = [number for number, name in enumerate(shown) if name == current]
        show_table(header, rows, marked=marked, note=f"{note} · {len(shown)}/{len(names)}")

    @line_magic
    @takes(_USAGE)
    def chat_usage(self, _given: Namespace) -> None:
        """Show the responses and tokens of each model in this session, and the balance if it is reported."""
        rows = [
            [provider, model, str(spent.responses), grouped(spent.prompt_tokens), grouped(spent.completion_tokens)]
            for (provider, model), spent in self.session.usage.by_model.items()
        ]
        unreported = sum(spent.unreported for spent in self.session.usage.by_model.values())
        notes = [text("label.unreported", count=unreported)] if unreported else []
        notes += self._balance()
        header = [
            text("label.provider"),
            text("label.model"),
            text("label.answers"),
            text("label.tokens_in"),
            text("label.tokens_out"),
        ]
        costs = [self.session.batch.cost(*named, spent) for named, spent in self.session.usage.by_model.items()]
        if any(cost is not None for cost in costs):
            header.append(text("label.cost"))
            rows = [[*row, "" if cost is None else f"${cost:,.4f}"] for row, cost in zip(rows, costs, strict=True)]
        show_table(header, rows, note=" · ".join(notes))

    def _balance(self) -> list[str]:
        """Return the balance at the session's provider, if it reports one."""
        try:
            provider: Any = self.session.catalog.provider()
            if not hasattr(provider, "balance"):
                return []
            total, used = waited_for(self.session.engine.submit(provider.balance(**self.session.settings.network)))
        except ChatError as error:
            return [str(error)]
        known = total is not None and used is not None
        left = text("label.balance", left=f"{total - used:,.2f}", total=f"{total:,.2f}") if known else ""
        return [left or text("label.no_balance", provider=provider.name)]


def waited_for(future: Future[T]) -> T:
    """Return what comes of what runs on the engine; an interrupt ends it.

    Raises
    ------
    ChatInterrupted
        If it was interrupted.
    """
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
    raise ChatInterrupted(text("status.stopped_waiting"))
