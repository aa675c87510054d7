"""The magics of the conversation: show it, change it, and list, switch and search conversations."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ..core import UsageError, codec, phrase, text
from ..render import printable
from ..session import Interrupts
from .chat import show_turn
from .notebook import ALL, SHORT_ID, date, described, notebook_path
from .options import Namespace, Option, Options, takes
from .outputs import note, show_anew
from .tables import show_table
from .transcript import shortened, show_found, show_history, show_versions
from .writing import write_whole

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core import Listed
    from ..session import ChatSession

FIRST_SCREEN: Final = 10
"""Turns that are shown of a conversation that is gone on with."""
MAX_ROW_DIGITS: Final = 4
"""Digits up to which a number is a row of the list, not the beginning of an id."""


def _number(word: str) -> int:
    """Return a turn's or a version's index for the number that people see."""
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(phrase("error.number", word=word))
    return int(word) - 1


_NEW: Final = Options("chat_new", "about.chat_new", Option(("--private",), "help.private"), words=("[TITLE …]",))
_HISTORY: Final = Options(
    "chat_history",
    "about.chat_history",
    Option(("--full",), "help.full"),
    Option(("--json",), "help.history_json"),
    words=("[NUMBER …]",),
)
_SWITCH: Final = Options("chat_switch", "about.chat_switch", words=("[WHICH …]",))
_FORGET: Final = Options(
    "chat_forget", "about.chat_forget", Option(("--current",), "help.forget_current"), words=("[WHICH …]",)
)
_UNDO: Final = Options("chat_undo", "about.chat_undo", Option(("--back",), "help.back"))
_RETRY: Final = Options(
    "chat_retry",
    "about.chat_retry",
    Option(("-m", "--model"), "help.model", "MODEL", str),
    Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    words=("[NUMBER]",),
)
_CONTINUE: Final = Options("chat_continue", "about.chat_continue", words=("[NUMBER]",))
_FORK: Final = Options("chat_fork", "about.chat_fork", words=("[NUMBER]",))
_DELETE: Final = Options("chat_delete", "about.chat_delete", words=("NUMBER", "[NUMBER …]"))
_CLEAR: Final = Options("chat_clear", "about.chat_clear")
_RENAME: Final = Options("chat_rename", "about.chat_rename", words=("TITLE", "[…]"))
_PIN: Final = Options("chat_pin", "about.chat_pin", Option(("--off",), "help.pin_off"), words=("[NUMBER]",))
_VERSIONS: Final = Options(
    "chat_versions",
    "about.chat_versions",
    Option(("--select",), "help.select", "VERSION", _number),
    words=("[NUMBER]",),
)
_FORMAT: Final = Option(("-f", "--format"), "help.export_format", "md|json|ipynb|messages|jsonl", str)
_EXPORT: Final = Options(
    "chat_export", "about.chat_export", _FORMAT, Option(("--force",), "help.force"), words=("[FILE]",)
)
_IMPORT: Final = Options(
    "chat_import",
    "about.chat_import",
    _FORMAT,
    Option(("--number",), "help.import_number", "NUMBER", _number),
    Option(("--replay",), "help.import_replay"),
    words=("FILE",),
)
_SEARCH: Final = Options("chat_search", "about.chat_search", words=("WORD", "[WORD …]"))


@magics_class
class ConversationMagics(Magics):
    """The magics that act on the conversation as a whole."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self._shell = shell
        self.session = session
        self._rows: list[str] = []
        """The ids of the conversations that were listed last, in their order."""

    @no_var_expand
    @line_magic
    @takes(_NEW)
    def chat_new(self, given: Namespace) -> None:
        """Start a new conversation."""
        self.session.conversations.new(" ".join(given.words), private=given.private)
        _say(text("notice.new_private") if given.private else text("notice.new_conversation"))

    @line_magic
    @takes(Options("chat_stop", "about.chat_stop"))
    def chat_stop(self, _given: Namespace) -> None:
        """Stop every response in progress, including those asked for in a panel. The text so far is kept."""
        _say(text("notice.stopped", count=self.session.stop()))

    @line_magic
    @takes(_HISTORY)
    def chat_history(self, given: Namespace) -> None:
        """Show the conversation."""
        conversation = self.session.conversation
        wanted = [_number(word) for word in given.words]
        if given.json:
            _say(codec.dumps(codec.conversation_to_json(conversation), indent=1))
            return
        turns = [(index, self.session.turns.get(index)) for index in wanted] or conversation.visible
        show_history(self.session, turns, full=given.full)

    @no_var_expand
    @line_magic
    @takes(_SWITCH)
    def chat_switch(self, given: Namespace) -> None:
        """Continue an earlier conversation."""
        if not given.words:
            self._list(self.session.conversations.list(), text("notice.switch_how"))
            return
        meant = self._meant(" ".join(given.words))
        if len(meant) > 1:
            self._list(meant, text("notice.switch_which"))
            return
        self.session.conversations.switch(meant[0].id)
        _say(text("notice.switched", **described(meant[0])))
        show_history(self.session, self.session.conversation.visible, last=FIRST_SCREEN)

    @no_var_expand
    @line_magic
    @takes(_FORGET)
    def chat_forget(self, given: Namespace) -> None:
        """Delete a conversation for good."""
        which = " ".join(given.words)
        if given.current:
            if which:
                raise UsageError(phrase("error.words_extra", magic="chat_forget", line=which))
            self._forget_current()
        elif not which or (_is_row(which) and not self._rows):
            self._list(self.session.conversations.list(to_forget=True), text("notice.forget_how"))
        elif len(named := self._named(which)) == 1:
            self.session.conversations.forget(named[0].id)
            _say(text("notice.forgotten", **described(named[0])))
        else:  # words that stand in one are not enough to lose it by
            found = named or self.session.conversations.list(which, to_forget=True) or _not_there(which)
            self._list(found, text("notice.forget_which"))

    def _forget_current(self) -> None:
        conversation, own_id = self.session.conversation, self.session.conversations.id
        if not conversation.turns:
            _say(text("notice.no_turns"))
            return
        self.session.conversations.forget(own_id, current=True)
        about = {"title": conversation.name, "turns": len(conversation.visible), "id": own_id[:SHORT_ID]}
        _say(text("notice.forgotten", **about))

    def _named(self, which: str) -> list[Listed]:
        """Return the conversations that a number in the list, a title, or an id as the list shows it names."""
        everything = self.session.conversations.list(limit=ALL, to_forget=True)
        if _is_row(which):
            return self._in_row(which, self._rows, everything)
        named = [listed for listed in everything if listed.title.casefold() == which.casefold()]
        is_id = len(which) >= SHORT_ID
        return named or [listed for listed in everything if is_id and listed.id.startswith(which)]

    def _meant(self, which: str) -> list[Listed]:
        """Return the conversations that a number in the list, the beginning of an id, or words mean."""
        everything = self.session.conversations.list(limit=ALL)
        if _is_row(which):
            return self._in_row(which, self._rows or [listed.id for listed in everything], everything)
        meant = [listed for listed in everything if listed.id.startswith(which)]
        meant = meant or [listed for listed in everything if listed.title.casefold() == which.casefold()]
        return meant or self._found(which)

    def _in_row(self, which: str, rows: list[str], everything: list[Listed]) -> list[Listed]:
        chosen = rows[int(which) - 1 : int(which)] if int(which) else []
        return [listed for listed in everything if listed.id in chosen] or _not_there(which)

    def _found(self, words: str) -> list[Listed]:
        return self.session.conversations.list(words) or _not_there(words)

    def _list(self, conversations: list[Listed], note: str) -> None:
        if not conversations:
            _say(text("notice.no_conversations"))
            return
        self._rows = [listed.id for listed in conversations]
        rows = [
            (str(number), shortened(each.title), date(each.updated), each.model, str(each.turns), each.id[:SHORT_ID])
            for number, each in enumerate(conversations, 1)
        ]
        header = ("", text("table.title"), text("table.date"), text("table.model"), text("table.turns"), "id")
        current = {number for number, each in enumerate(conversations) if each.id == self.session.conversations.id}
        show_table(header, rows, marked=current, note=note)

    @line_magic
    @takes(_UNDO)
    def chat_undo(self, given: Namespace) -> None:
        """Hide the last turn, or redo: restore what the last undo, delete or clear hid."""
        if given.back:
            shown = self.session.turns.redo()
            _say(text("notice.restored", count=len(shown)) if shown else text("notice.nothing_to_restore"))
            return
        turn = self.session.turns.undo()
        _say(text("notice.undone", prompt=shortened(turn.current.prompt)) if turn else text("notice.no_turns"))

    @line_magic
    @takes(_RETRY)
    def chat_retry(self, given: Namespace) -> None:
        """Send a turn's prompt again; the response becomes a new version."""
        index = _number(given.words[0]) if given.words else None
        with Interrupts() as interrupts:
            live = self.session.turns.retry(index, provider=given.provider, model=given.model or "")
            interrupts.stop(live)
            painter = show_turn(self._shell, self.session, live)
        if live.index is not None and not show_anew(self.session, live.conversation_id, live.index):
            note(live, painter)
        live.reply()

    @line_magic
    @takes(_CONTINUE)
    def chat_continue(self, given: Namespace) -> None:
        """Go on with a turn that stopped between calls of tools; what it did is not done again."""
        index = _number(given.words[0]) if given.words else None
        with Interrupts() as interrupts:
            live = self.session.turns.continue_(index)
            interrupts.stop(live)
            painter = show_turn(self._shell, self.session, live)
        if live.index is not None and not show_anew(self.session, live.conversation_id, live.index):
            note(live, painter)
        live.reply()

    @line_magic
    @takes(_FORK)
    def chat_fork(self, given: Namespace) -> None:
        """Continue in a new conversation with the turns up to a given one."""
        self.session.conversations.fork(_number(given.words[0]) if given.words else None)
        _say(
            text(
                "notice.forked", count=len(self.session.conversation.turns), id=self.session.conversations.id[:SHORT_ID]
            )
        )

    @line_magic
    @takes(_DELETE)
    def chat_delete(self, given: Namespace) -> None:
        """Hide turns."""
        indices = list(dict.fromkeys(map(_number, given.words)))
        for index in indices:
            self.session.turns.get(index)  # all of them are there, or none is hidden
        for index in indices:
            turn = self.session.turns.delete(index)
            _say(text("notice.undone", prompt=shortened(turn.current.prompt)))

    @line_magic
    @takes(_CLEAR)
    def chat_clear(self, _given: Namespace) -> None:
        """Hide every turn."""
        count = self.session.turns.clear()
        _say(text("notice.cleared", count=count) if count else text("notice.no_turns"))

    @no_var_expand
    @line_magic
    @takes(_RENAME)
    def chat_rename(self, given: Namespace) -> None:
        """Give the conversation a title."""
        self.session.conversations.rename(" ".join(given.words))
        _say(text("notice.renamed", title=self.session.conversation.name))

    @line_magic
    @takes(_PIN)
    def chat_pin(self, given: Namespace) -> None:
        """Pin a turn, so that it is always sent."""
        index = _number(given.words[0]) if given.words else self._last()
        turn = self.session.turns.pin(index, pinned=not given.off)
        prompt = shortened(turn.current.prompt)
        _say(text("notice.unpinned", prompt=prompt) if given.off else text("notice.pinned", prompt=prompt))

    @line_magic
    @takes(_VERSIONS)
    def chat_versions(self, given: Namespace) -> None:
        """Compare a turn's versions, and choose the one that is sent."""
        index = _number(given.words[0]) if given.words else self._last()
        if given.select is not None:
            self.session.turns.select(index, given.select)
            show_anew(self.session, self.session.conversations.id, index)
        show_versions(index, self.session.turns.get(index))

    @no_var_expand
    @line_magic
    @takes(_SEARCH)
    def chat_search(self, given: Namespace) -> None:
        """Find words in all conversations."""
        found = self.session.conversations.search(" ".join(given.words))
        if not found:
            _say(text("notice.nothing_found"))
            return
        self._rows = list(dict.fromkeys(each.conversation_id for each in found))
        show_found(found, self._rows)

    @line_magic
    @takes(_EXPORT)
    def chat_export(self, given: Namespace) -> None:
        """Write the conversation to a file, or print it."""
        name = given.words[0] if given.words else "-"
        if name == "-":
            _say(self.session.conversations.export(given.format or "md").rstrip("\n"))
            return
        document = self.session.conversations.export(given.format or name)
        try:
            write_whole(_file(name), document, replace=given.force)
        except FileExistsError:
            raise UsageError(phrase("error.file_exists", path=name)) from None
        except OSError as error:
            raise UsageError(phrase("error.file", path=name, reason=error.strerror or type(error).__name__)) from None
        _say(text("notice.exported", path=name, count=len(self.session.conversation.visible)))

    @line_magic
    @takes(_IMPORT)
    def chat_import(self, given: Namespace) -> None:
        """Continue the conversation saved in a file, or in this notebook."""
        name = given.words[0]
        if name == "this" and not (name := notebook_path(self._shell)):
            raise UsageError(phrase("error.no_notebook"))
        try:
            with _file(name).open("rb") as file:
                document = file.read(codec.MAX_DOCUMENT + 1)  # of which reading refuses the last
        except OSError as error:
            raise UsageError(phrase("error.file", path=name, reason=error.strerror or type(error).__name__)) from None
        number = None if given.number is None else given.number + 1
        left_out = self.session.conversations.import_(
            document, given.format or name, replay=given.replay, number=number
        )
        _say(text("notice.imported", path=Path(name).name, count=len(self.session.conversation.visible)))
        if left_out:
            _say(text("notice.import_left_out", count=left_out))
        show_history(self.session, self.session.conversation.visible, last=FIRST_SCREEN)

    def _last(self) -> int:
        visible = self.session.conversation.visible
        return visible[-1][0] if visible else 0


def _file(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # the home of somebody who is not known here
        raise UsageError(phrase("error.file", path=name, reason=os.strerror(errno.ENOENT))) from None


def _is_row(which: str) -> bool:
    return which.isdecimal() and len(which) <= MAX_ROW_DIGITS


def _not_there(which: str) -> NoReturn:
    raise UsageError(phrase("error.no_conversation", id=which))


def _say(words: str) -> None:
    # Titles and exported answers may be anybody's words.
    sys.stdout.write(printable(words) + "\n")
