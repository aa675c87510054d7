"""Tab completion in our magics: options and their values, and ``@names`` in prompts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from IPython.core.completer import SimpleCompletion, context_matcher

from ..core import text
from ..providers import can_chat, provider_names
from .names import find_own
from .notebook import SHORT_ID
from .transform import RUNNERS, first_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import ChatSession
    from .options import Cursor, Options

Offer = dict[str, Any]
"""What a matcher returns; IPython's own type for it demands what may be left out."""
_CELL: Final = re.compile(r"\s*%%(?P<magic>[^\s%]+)(?:\s(?P<rest>.*))?$")
_LINE: Final = re.compile(rf"(?:(?:[^%]*=)?\s*%(?:{RUNNERS})\s[^%]*|[^%]*=\s*|\s*)%(?P<magic>[^\s%]+)\s(?P<rest>.*)$")
_MENTION: Final = re.compile(r"""(?:^|[^\w\\@.])(?P<typed>@(?P<name>file:["'][^"'\n]*|[^\s@,;!?()]*))$""")
_FILE: Final = "file:"
MAX_OFFERED: Final = 200
QUESTION_LENGTH: Final = 40
"""Characters of a prompt beside its turn's number."""


class ChatCompleter:
    """Complete our magics; :meth:`match` is a matcher of IPython's completer."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        self._shell = shell
        self._session = session

    @context_matcher(identifier="chatanywhere")  # type: ignore[untyped-decorator]  # IPython's is
    def match(self, context: CompletionContext) -> Offer:
        """Return the completions at a place in a cell; in our magics, no other matcher adds any."""
        lines = context.full_text.split("\n")
        row, before = context.cursor_line, context.text_until_cursor
        first = first_row(lines)
        first = row if first is None else first
        cell = _CELL.match(lines[first] if first < row else before)
        is_cell = cell is not None and self._options("cell", cell["magic"]) is not None
        if is_cell and row > first:
            return self._in_prompt(before)
        match = _CELL.match(before) if is_cell else _LINE.match(before)
        if match is None or match["rest"] is None or (not is_cell and lines[first].lstrip().startswith("%%")):
            return _not_ours()
        options = self._options("cell" if is_cell else "line", match["magic"])
        if options is None:
            return _not_ours()
        cursor = options.under_cursor(match["rest"])
        if cursor.role == "prompt":
            return self._in_prompt(cursor.typed)
        quote = cursor.typed[:1] if cursor.typed[:1] in {"'", '"'} else ""
        typed = cursor.typed.removeprefix(quote)
        return _offer(self._at(options, cursor, typed, quoted=bool(quote)), typed)

    def _options(self, kind: Literal["line", "cell"], magic: str) -> Options | None:
        called = find_own(self._shell, kind, magic)
        return getattr(self._shell.magics_manager.magics[kind].get(called[0]), "options", None) if called else None

    def _at(self, options: Options, cursor: Cursor, typed: str, *, quoted: bool) -> Iterator[SimpleCompletion]:
        """Yield what may stand under the cursor."""
        if cursor.role == "value" and cursor.option is not None:
            yield from self._values(cursor.option.metavar, cursor, typed, quoted=quoted)
            return
        yield from self._values(options.word_at(cursor.index), cursor, typed, quoted=quoted)
        if cursor.role == "option":
            unused = [option for option in options.options if option.repeat or option not in cursor.used]
            flags = (flag for option in unused for flag in option.flags if flag.startswith(typed))
            yield from (SimpleCompletion(flag, type="option") for flag in flags)

    def _values(self, kind: str, cursor: Cursor, typed: str, *, quoted: bool) -> Iterator[SimpleCompletion]:
        """Yield the values of what the help calls `kind` that begin with what is typed."""
        if kind == "MODEL":
            yield from self._models(cursor.values.get("PROVIDER", ""), typed)
        elif kind == "PROVIDER":
            yield from _named(provider_names(), typed, "provider")
        elif kind == "WHICH":
            yield from self._conversations(typed, first=not cursor.index, quoted=quoted)
        elif kind in {"NUMBER", "NUMBER [NUMBER"}:
            yield from self._turns(typed)
        elif kind == "FILE":
            yield from _paths(typed, quoted=quoted)
        elif kind == "SCHEMA":
            yield from _named([name for name, value in self._variables() if _may_be_schema(value)], typed, "schema")
            yield from _paths(typed, quoted=quoted, suffix=".json")
        elif kind == "NAME":
            yield from _named([name for name, _ in self._variables()], typed, "variable")
        elif "|" in kind:
            yield from _named(kind.split("|"), typed, "value")

    def _models(self, provider: str, typed: str) -> Iterator[SimpleCompletion]:
        # Of several models the last one is being typed.
        before, comma, last = typed.rpartition(",")
        yield from _named([f"{before}{comma}{name}" for name in self._session.settings.aliases], typed, "alias")
        source = provider or self._session.settings.provider
        names = sorted(self._session.catalog.known(source), key=lambda name: not can_chat(name))
        yield from _named([f"{before}{comma}{name}" for name in names if name.startswith(last)], typed, "model")

    def _conversations(self, typed: str, *, first: bool, quoted: bool) -> Iterator[SimpleCompletion]:
        """Yield ids, and the titles that begin with what is typed; with nothing typed each would be there twice."""
        for listed in self._session.conversations.list(limit=MAX_OFFERED):
            title = listed.title or text("label.conversation")
            if listed.id.startswith(typed):
                yield SimpleCompletion(listed.id, type=title)
            elif first and typed and title.startswith(typed):
                yield SimpleCompletion(title if quoted else _quoted(title), type=listed.id[:SHORT_ID])

    def _turns(self, typed: str) -> Iterator[SimpleCompletion]:
        for index, turn in self._session.conversation.visible:
            if str(index + 1).startswith(typed):
                yield SimpleCompletion(str(index + 1), type=" ".join(turn.current.prompt.split())[:QUESTION_LENGTH])

    def _variables(self) -> list[tuple[str, Any]]:
        hidden = self._shell.user_ns_hidden
        names = sorted(name for name in self._shell.user_ns if type(name) is str)  # globals()[5] = 1 is possible
        return [(n, self._shell.user_ns[n]) for n in names if not n.startswith("_") and n not in hidden]

    def _in_prompt(self, before: str) -> Offer:
        """Return what ``@`` can name; prose completes to nothing."""
        match = _MENTION.search(before)
        if match is None or self._session.names is None:
            return _offer([], "")
        typed, name = match["typed"], match["name"]
        if name.startswith(_FILE):
            path = name.removeprefix(_FILE)
            quote = path[:1] if path[:1] in {"'", '"'} else ""
            paths = _paths(path.removeprefix(quote), quoted=bool(quote))
            return _offer([SimpleCompletion(f"@{_FILE}{quote}{path.text}", type=path.type) for path in paths], typed)
        from ..context import candidates  # with the first @, not with the extension

        found = candidates(self._session.names, name)
        return _offer([SimpleCompletion(f"@{it.name}", type=f"{it.type} {it.size}".strip()) for it in found], typed)


class _Nothing(list[SimpleCompletion]):
    """No completions, and nobody else's either: IPython lets only who offers something keep the others away."""

    def __len__(self) -> int:
        return 1


def _not_ours() -> Offer:
    # New each time: IPython writes into it what was typed, and trusts that the next time.
    return {"completions": [], "suppress": False}


def _offer(completions: Iterable[SimpleCompletion], typed: str) -> Offer:
    offered = list(completions)[:MAX_OFFERED]
    return {
        "completions": offered or _Nothing(),
        "matched_fragment": typed,
        "suppress": True,
        "ordered": True,
    }


def _may_be_schema(value: object) -> bool:
    """Whether it is a class or a dictionary. Not by isinstance(), which objects may answer with code of their own."""
    return issubclass(type(value), type) or issubclass(type(value), dict)


def _named(names: Iterable[str], typed: str, kind: str) -> Iterator[SimpleCompletion]:
    return (SimpleCompletion(name, type=kind) for name in names if name.startswith(typed))


def _quoted(title: str) -> str:
    """Return a title as the line of a magic is given it."""
    if not re.search(r"""^-|["'\\]""", title):
        return title
    return '"' + re.sub(r'(["\\])', r"\\\1", title) + '"'


def _paths(typed: str, *, quoted: bool, suffix: str = "") -> Iterator[SimpleCompletion]:
    """Yield the paths that begin with what is typed; hidden ones only if a dot is."""
    folder, slash, name = typed.rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").expanduser().iterdir())
    except (OSError, RuntimeError):  # there is no such folder, or no such user
        return
    for entry in entries:
        is_folder = entry.is_dir()
        wanted = entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith("."))
        if wanted and (is_folder or entry.name.endswith(suffix)):
            path = f"{folder}{slash}{entry.name}{'/' if is_folder else ''}"
            needs_quotes = not quoted and re.search(r"[\s'\"\\]", path)
            yield SimpleCompletion(f'"{path}"' if needs_quotes else path, type="folder" if is_folder else "file")
