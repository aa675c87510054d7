"""Guard against keys typed in cells: such a cell is not run, and the key is kept out of the history.

IPython stores a cell before it runs it. The guard sees the cell before that, keeps its line from being written to
``history.sqlite`` until it has ended, and takes the key out of everything that remembers it. In the notebook itself
only the page can change a cell: it is asked to put the cleaned one in its place.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from IPython.core.getipython import get_ipython

from ..core import text
from .names import is_free
from .transform import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

MASK: Final = "***"
_HELD: Final = 1_000_000
"""So many lines of history wait in memory while a cell with a key in it is dealt with."""
_MIN_KEY: Final = 20
_MIN_KINDS: Final = 8
"""Different characters of a key; what has fewer stands for one, such as ``sk-xxxxxxxxxxxxxxxxxxxx``."""
_VARIABLE: Final = r"(?P<variable>OPENAI_API_KEY|CHATANYWHERE_API_KEY)"
_PROVIDERS: Final = {"OPENAI_API_KEY": "openai", "CHATANYWHERE_API_KEY": "chatanywhere"}
_NAME: Final = r"(?:api[-_]?)?(?:key|token|secret)"
_KEY: Final = re.compile(r"(?<![\w-])(?P<key>sk-[A-Za-z0-9_-]{16,})")
# What a variable holds is not typed: `$key` and `{key}` are left alone.
_VALUE: Final = r"""["']?(?P<key>[^\s"'${][^\s"']*)"""
_RUN: Final = rf"(?:%%?(?:{RUNNERS})\s[^%]*)*"
"""Magics that run what stands behind them: what is refused only there has been saved, and what is around it run."""
_SETTERS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^\s*{_RUN}%(?:set_)?env\s+{_VARIABLE}(?:\s*=\s*|\s+){_VALUE}",
        rf"""\benviron\[\s*["']{_VARIABLE}["']\s*\]\s*=\s*[rbuRBU]?["'](?P<key>[^"']+)""",
        rf"""\b(?:setdefault|putenv)\(\s*["']{_VARIABLE}["']\s*,\s*[rbuRBU]?["'](?P<key>[^"']+)""",
        rf"\b(?:export|set)\s+{_VARIABLE}={_VALUE}",
    )
)
"""Lines that set a variable which we read."""
_ABBREVIATED: Final = re.compile(r"\.{3}|…|\*{3}|<")
"""What stands in the place of a key in instructions, as in ``sk-…``; no key has these."""
_OURS: Final = re.compile(rf"(?:^\s*|=\s*){_RUN}%%?chat")
_CELL: Final = re.compile(r"\s*%%(chat(?:anywhere)?)(?!\w)")
_LOGIN: Final = re.compile(rf"^\s*{_RUN}%chat(?:anywhere)?_login\s(?P<words>.*)")
_ALLOWED: Final = "--allow-secrets"
_OPTION: Final = re.compile(rf"(?<!\S)--?{_NAME}(?:=|\s+){_VALUE}", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"""\b(?:ChatSession|chat)\.{_NAME}\s*=\s*["'](?P<key>[^"']+)""", re.IGNORECASE)
_ARGUMENT: Final = re.compile(rf"""\bchat(?:\.\w+)?\(.*\b{_NAME}\s*=\s*["'](?P<key>[^"']+)""", re.IGNORECASE)


def looks_like_key(word: str) -> bool:
    """Whether a word is very likely a key."""
    return len(word) >= _MIN_KEY and len(set(word)) >= _MIN_KINDS and any(c.isdigit() for c in word)


def without_keys(source: str, login: str = "chat_login") -> tuple[str, str] | None:
    """Return a cell without the keys typed in it, and their provider; None if it has none.

    Only where they are meant for us: in our magics and prompts, in what sets our variables, on our session.

    Parameters
    ----------
    login : str, optional
        What the magic is called that stands in the place of a line that sets a key.
    """
    lines = source.split("\n")
    if any(_OURS.search(line) and _ALLOWED in line for line in lines):
        return None  # the person says that what looks like a key is to go to the model
    is_prompt = source.lstrip().startswith("%%chat")
    keys: set[str] = set()
    provider = begun = ""
    for row, line in enumerate(lines):
        whole = begun + line
        is_ours = is_prompt or _OURS.search(whole) is not None
        # A line of ours that ends in a backslash goes on in the next one.
        begun = f"{whole[:-1]} " if is_ours and not is_prompt and line.endswith("\\") else ""
        for match in filter(None, (pattern.search(line) for pattern in _SETTERS)):
            if not _ABBREVIATED.search(match["key"]):
                provider = _PROVIDERS[match["variable"]]
                keys.add(match["key"])
                # A prompt that shows such a line stays a prompt.
                lines[row] = line if is_ours else f"{line[: len(line) - len(line.lstrip())]}%{login} {provider}"
        keys.update(_in_our_line(whole) if is_ours else _in_python(line))
        if _LOGIN.match(line) and keys:
            lines[row] = f"%{login}"
    if not keys:
        return None
    clean = "\n".join(lines)
    for key in sorted(keys, key=len, reverse=True):
        clean = clean.replace(key, MASK)
    return clean, provider


def _in_our_line(line: str) -> Iterator[str]:
    if match := _LOGIN.match(line):
        yield from filter(looks_like_key, match["words"].split())
    if _OURS.search(line):
        yield from (match["key"] for match in _OPTION.finditer(line))
    yield from (match["key"] for match in _KEY.finditer(line) if looks_like_key(match["key"]))


def _in_python(line: str) -> Iterator[str]:
    for pattern in (_ASSIGNED, _ARGUMENT):
        yield from (match["key"] for match in pattern.finditer(line))


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
        self._clean = ""
        self._cache_size: int | None = None

    def __call__(self, lines: list[str]) -> list[str]:
        """Return `lines`, or, where a key stands in them, the refusal."""
        self._release()
        if _is_theirs(lines):
            return lines
        shell = get_ipython()
        found = without_keys("".join(lines).removesuffix("\n"), _login(shell) if shell else "chat_login")
        if found is None:
            return lines
        self._clean, provider = found
        history = _history()
        if history is not None:
            self._cache_size = history.db_cache_size
            history.db_cache_size = _HELD
        call = f"refuse(get_ipython(), {self._clean!r}, {provider!r})"
        return [f"__import__({__name__!r}, fromlist=['refuse']).{call}\n"]

    def end_cell(self, result: ExecutionResult) -> None:
        """Take the key out of what remembers the cell that has ended."""
        if self._clean and result.info is not None:
            self._forget(result.info.raw_cell.rstrip("\n"))
            result.info.raw_cell = self._clean
        self._release()

    def _forget(self, typed: str) -> None:
        history = _history()
        if history is None:
            return
        clean = self._clean
        with history.db_input_cache_lock:
            history.db_input_cache = [
                tuple(clean if part == typed else part for part in row) for row in history.db_input_cache
            ]
        for remembered in (history.input_hist_raw, history.input_hist_parsed):
            remembered[:] = [clean if line == typed else line for line in remembered]
        for name in ("_i", "_ii", "_iii", "_i00"):
            if getattr(history, name, None) == typed:
                setattr(history, name, clean)
        namespace = history.shell.user_ns
        for name in [name for name, value in namespace.items() if name.startswith("_i") and value == typed]:
            namespace[name] = clean

    def _release(self) -> None:
        self._clean = ""
        if self._cache_size is not None:
            history = _history()
            history.db_cache_size = self._cache_size
            self._cache_size = None


def _login(shell: InteractiveShell) -> str:
    """Return what the magic that asks for a key is called here."""
    return "chat_login" if is_free(shell, "chat_login") else "chatanywhere_login"


def _is_theirs(lines: list[str]) -> bool:
    """Whether the cell belongs to another extension, which has the name of our magic as a cell magic."""
    match = _CELL.match("".join(lines))
    shell = get_ipython()
    return match is not None and shell is not None and not is_free(shell, match[1], ["cell"])


def _history() -> Any:
    """Return what remembers the shell's input, or None."""
    shell = get_ipython()
    return shell.history_manager if shell is not None else None
