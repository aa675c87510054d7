"""Guard against keys typed in cells: they are kept out of the history, and a cell that gives one to us is not run.

IPython stores a cell before it runs it. The guard sees the cell before that, keeps its line from being written to
``history.sqlite`` until it has ended, and takes the key out of everything that remembers it. In the notebook itself
only the page can change a cell: it is asked to replace it with the cleaned one.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from IPython.core.getipython import get_ipython

from ..core import text
from ..providers import key_variables
from .names import aliases, is_free
from .transform import ASKING, RUNNERS, cell_magic
from .typed_keys import any_of, is_typed, masked, prompts, set_variables, spans_of_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

_HELD: Final = 1_000_000
"""So many lines of history wait in memory while a cell with a key in it is dealt with."""
_MIN_KEY: Final = 20
_MIN_KINDS: Final = 8
"""Different characters of a key; what has fewer stands for one, such as ``sk-xxxxxxxxxxxxxxxxxxxx``."""
_NAME: Final = r"(?:api[-_]?)?(?:key|token|secret)"
_KEY: Final = re.compile(r"(?<![\w-])(?P<key>sk-[A-Za-z0-9_-]{16,})")
# What a variable holds is not typed: `$key` and `{key}` are left alone.
_VALUE: Final = r"""["']?(?P<key>[^\s"'${][^\s"']*)"""
_RUN: Final = rf"(?:%%?(?:{RUNNERS})\s[^%]{{0,300}}){{0,4}}"
"""Magics that run what stands behind them: what is refused only there has been saved, and what is around it run."""
_SETS: Final = ("env", "export", "set ")
"""One of these is in whatever sets a variable."""
_WORD: Final = re.compile(r"\w+")
_RUNS_CELL: Final = re.compile(rf"%%(?:capture|{RUNNERS})(?!\S)")
_ALLOWED: Final = "--allow-secrets"
_OPTION: Final = re.compile(rf"(?<!\S)--?{_NAME}(?:=|\s+){_VALUE}", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"""\b(?:ChatSession|chat)\.{_NAME}\s*=\s*["'](?P<key>[^"']+)""", re.IGNORECASE)
_CALLED: Final = re.compile(r"\bchat(?:\.\w{1,40})?\(")
_ARGUMENT: Final = re.compile(rf"""\b{_NAME}\s*=\s*["'](?P<key>[^"']+)""", re.IGNORECASE)


class _Magics(NamedTuple):
    """What our magics look like, by whatever name."""

    line: re.Pattern[str]
    login: re.Pattern[str]
    prompt: re.Pattern[str]


@lru_cache(maxsize=4)
def _magics(named: tuple[tuple[str, str], ...]) -> _Magics:
    others = [re.escape(name) for name, _ in named]
    logins = [re.escape(name) for name, target in named if target.endswith("_login")]
    ours = "|".join(["chat", *(f"{name}(?!\\w)" for name in others)])
    login = "|".join(["chat(?:anywhere)?_login", *logins])
    return _Magics(
        re.compile(rf"(?:^\s*|=\s*){_RUN}%%?(?:{ours})"),
        re.compile(rf"^\s*{_RUN}%(?:{login})\s(?P<words>.*)"),
        re.compile(rf"%%(?:{ours})"),
    )


@lru_cache(maxsize=4)
def _setters(variables: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Return what lines look like that set one of `variables`."""
    variable = any_of(variables)
    return tuple(
        re.compile(pattern)
        for pattern in (
            rf"^\s*{_RUN}%(?:set_)?env\s+{variable}(?:\s*=\s*|\s+){_VALUE}",
            rf"""\benviron\[\s*["']{variable}["']\s*\]\s*=\s*[rbuRBU]?["'](?P<key>[^"']+)""",
            rf"""\b(?:setdefault|putenv)\(\s*["']{variable}["']\s*,\s*[rbuRBU]?["'](?P<key>[^"']+)""",
            rf"\b(?:export|set)\s+{variable}={_VALUE}",
        )
    )


def looks_like_key(word: str) -> bool:
    """Whether a word is very likely a key."""
    return len(word) >= _MIN_KEY and len(set(word)) >= _MIN_KINDS and any(c.isdigit() for c in word)


def without_keys(
    source: str,
    login: str = "chat_login",
    named: Mapping[str, str] | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
) -> tuple[str, str] | None:
    """Return a cell without the keys typed in it, and their provider; None if it has none.

    Only where they are meant for us: in our magics and prompts, in what sets our variables, on our session.

    Parameters
    ----------
    login : str, optional
        The name of the magic that replaces a line that sets a key.
    named : mapping, optional
        Other names of our magics, each with the magic's own.
    spans : list of tuple, optional
        What :func:`spans_of_keys` returns for the cell, if that is known.
    """
    magics = _magics(tuple(sorted((named or {}).items())))
    lines = source.split("\n")
    if any(_ALLOWED in line and magics.line.search(line) for line in lines):
        return None  # the person says that what looks like a key is to go to the model
    is_prompt = _is_prompt(lines, magics)
    keys: set[str] = set()
    ours: set[int] = set()
    variables = key_variables(_WORD.findall(source)) if any(each in source for each in _SETS) else {}
    setters = _setters(tuple(variables)) if variables else ()
    provider = ""
    begun: list[str] = []
    for row, line in enumerate(lines):
        is_ours = is_prompt or bool(begun) or magics.line.search(line) is not None
        if is_ours:
            ours.add(row)
        # A line of ours that ends in a backslash goes on in the next one.
        goes_on = is_ours and not is_prompt and line.endswith("\\") and row + 1 < len(lines)
        begun.append(f"{line[:-1]} " if goes_on else line)
        for match in chain.from_iterable(pattern.finditer(line) for pattern in setters):
            if is_typed(match):
                provider = variables[match["variable"]]
                keys.add(match["key"])
                # A prompt that shows such a line stays a prompt.
                lines[row] = line if is_ours else f"{line[: len(line) - len(line.lstrip())]}%{login} {provider}"
        if goes_on:
            continue
        keys.update(_in_our_line("".join(begun), magics) if is_ours else _in_python(line))
        begun = []
        if keys and magics.login.match(line):
            lines[row] = f"%{login}"
    for variable, key in set_variables(source, tuple(variables)) if variables else ():
        provider = variables[variable]
        keys.add(key)
    keys.update(_in_prompts(source, spans_of_keys(source) if spans is None else spans, ours))
    return (masked("\n".join(lines), keys), provider) if keys else None


def _is_prompt(lines: list[str], magics: _Magics) -> bool:
    """Tell whether a cell is a prompt, below comments and what runs cells such as ``%%time``."""
    stripped = (line.strip() for line in lines)
    first = next((line for line in stripped if line and line[0] != "#" and not _RUNS_CELL.match(line)), "")
    return magics.prompt.match(first) is not None


def _in_our_line(line: str, magics: _Magics) -> Iterator[str]:
    if match := magics.login.match(line):
        yield from filter(looks_like_key, match["words"].split())
    if magics.line.search(line):
        yield from (match["key"] for match in _OPTION.finditer(line))
    yield from (match["key"] for match in _KEY.finditer(line) if looks_like_key(match["key"]))


def _in_python(line: str) -> Iterator[str]:
    yield from (match["key"] for match in _ASSIGNED.finditer(line))
    if call := _CALLED.search(line):
        yield from (match["key"] for match in _ARGUMENT.finditer(line, call.end()))


def _in_prompts(source: str, spans: Sequence[tuple[int, int]], ours: set[int]) -> Iterator[str]:
    """Yield the keys of known forms in the rows that are `ours`, and in calls of our session."""
    if not spans:
        return
    begins = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    calls = prompts(source)
    starts = [start for start, _ in calls]
    for start, end in spans:
        call = bisect_right(starts, start) - 1
        if bisect_right(begins, start) - 1 in ours or (call >= 0 and start < calls[call][1]):
            yield source[start:end]


def refuse(shell: InteractiveShell, clean: str, provider: str) -> None:
    """Say why nothing was run, and offer the cell without the key; stands in place of the cell.

    It ends well, since a page puts the offered cell in place only then.
    """
    sys.stderr.write(text("error.key_in_cell", login=_login(shell), provider=provider).replace("  ", " ") + "\n")
    shell.set_next_input(clean, replace=True)


class KeyGuard:
    """An input transformer that keeps cells with a key from running and from being saved in the history."""

    has_side_effects = True
    """Has IPython leave this out when it only asks whether a cell is complete."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, set[str]]] = {}
        """Cells with keys: as typed, without the keys, and the keys. A cell may run others."""
        self._cache_size: int | None = None

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines`, or, where a key for us stands in them, the refusal."""
        source = "".join(lines).removesuffix("\n")
        shell = get_ipython()
        login, named = (_login(shell), aliases(shell, source)) if shell else ("chat_login", {})
        spans = spans_of_keys(source)
        found = None if _is_theirs(lines) else without_keys(source, login, named, spans)
        keys = {source[start:end] for start, end in spans}
        if found is None:
            if keys:  # not for us: it runs
                self._hold(source, masked(source, keys), keys)
            return lines
        clean, provider = found
        self._hold(source, masked(clean, keys), keys)
        call = f"refuse(get_ipython(), {clean!r}, {provider!r})"
        return [f"__import__({__name__!r}, fromlist=['refuse']).{call}\n"]

    def end_cell(self, result: ExecutionResult) -> None:
        """Take the key out of what remembers the cell that has ended."""
        self.forget()
        info = result.info
        if info is not None and self._held and (held := self._held.get(info.raw_cell.rstrip("\n"))):
            info.raw_cell = held[0]
        self._held.clear()

    def forget(self) -> None:
        """Take the keys out of the history, and let it be written again."""
        for typed, (clean, keys) in self._held.items():
            self._forget(typed, clean, keys)
        self._release()

    def _hold(self, source: str, clean: str, keys: set[str]) -> None:
        """Keep the history from being written until the cell has ended."""
        self._held[source.rstrip("\n")] = clean, keys
        history = _history()
        if history is not None and self._cache_size is None:
            self._cache_size = history.db_cache_size
            history.db_cache_size = _HELD
            # The writing thread may have been woken by the cell before, and not be done yet.
            history.writeout_cache = _write_later

    def _forget(self, typed: str, clean: str, keys: set[str]) -> None:
        history = _history()
        if history is None:
            return
        with history.db_input_cache_lock:
            history.db_input_cache = [
                (number, masked(parsed, keys) if parsed != typed else clean, clean) if raw == typed else row
                for row in history.db_input_cache
                for number, parsed, raw in [row]
            ]
        raws, parsed = history.input_hist_raw, history.input_hist_parsed
        for row in [row for row, line in enumerate(raws) if line == typed]:
            raws[row] = clean
            if row < len(parsed):
                parsed[row] = clean if parsed[row] == typed else masked(parsed[row], keys)
        for name in ("_i", "_ii", "_iii", "_i00"):
            if getattr(history, name, None) == typed:
                setattr(history, name, clean)
        namespace = history.shell.user_ns
        for name in [name for name in namespace if name.startswith("_i") and isinstance(namespace[name], str)]:
            if namespace[name] == typed:
                namespace[name] = clean

    def _release(self) -> None:
        if self._cache_size is not None:
            history = _history()
            history.db_cache_size = self._cache_size
            vars(history).pop("writeout_cache", None)
            self._cache_size = None


def _write_later(_conn: object = None) -> None:
    """Stand in place of what writes the history, which goes on when the cell has ended."""


def _login(shell: InteractiveShell) -> str:
    """Return what the magic that asks for a key is called here."""
    return "chat_login" if is_free(shell, "chat_login") else "chatanywhere_login"


def _is_theirs(lines: list[str]) -> bool:
    """Whether the cell belongs to another extension, which has the name of our magic as a cell magic."""
    name, shell = cell_magic(lines), get_ipython()
    return name in ASKING and shell is not None and not is_free(shell, name, ["cell"])


def _history() -> Any:
    """Return what remembers the shell's input, or None."""
    shell = get_ipython()
    return shell.history_manager if shell is not None else None
