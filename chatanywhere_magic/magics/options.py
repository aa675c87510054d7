"""The line of ``%chat`` and ``%%chat``: its options, and the prompt behind them as it was typed."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from ..errors import UsageError
from ..session import MAX_TEMPERATURE
from ..strings import text


@dataclass(frozen=True)
class _Option:
    """One option of ``%chat``: its spellings, its help, and how its value is read (None for a flag)."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    type: Any = None


def _temperature(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(text("error.temperature", value=value, limit=MAX_TEMPERATURE)) from None


def _max_tokens(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(text("error.max_tokens", value=value)) from None


_OPTIONS: Final = (
    _Option(("-m", "--model"), "help.model", "MODEL", str),
    _Option(("-p", "--provider"), "help.provider", "PROVIDER", str),
    _Option(("-s", "--system"), "help.system", "TEXT", str),
    _Option(("-t", "--temperature"), "help.temperature", "0…2", _temperature),
    _Option(("--max-tokens",), "help.max_tokens", "N", _max_tokens),
    _Option(("--append",), "help.append"),
    _Option(("--no-history",), "help.no_history"),
    _Option(("-h", "--help"), "help.help"),
)
_FLAGS: Final = {flag: option for option in _OPTIONS for flag in option.flags}


class _Parser(argparse.ArgumentParser):
    """argparse that raises our one-line error instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(text("error.option", message=message))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options, whose help is in the person's language."""
    parser = _Parser(usage=text("help.usage").replace("%", "%%"), add_help=False, allow_abbrev=False)
    for option in _OPTIONS:
        if option.type is None:
            parser.add_argument(*option.flags, action="store_true", help=text(option.help))
        else:
            parser.add_argument(*option.flags, type=option.type, metavar=option.metavar, help=text(option.help))
    return parser


def parse_line(line: str) -> tuple[argparse.Namespace, str]:
    """Split a magic's line into its options and the prompt, which is left exactly as it was typed.

    Options stand first and are read as a shell reads words; the prompt begins at the first word that is no
    option, or after ``--``.

    Raises
    ------
    UsageError
        If an option is unknown, lacks its value or has one that cannot be read.
    """
    words: list[str] = []
    rest = line.lstrip()
    while rest.startswith("-") and not re.match(r"-(?:[\s\d.]|$)", rest):
        word, rest = _next_word(rest)
        if word == "--":
            break
        words.append(word)
        if _needs_value(word):
            if not rest:
                raise UsageError(text("error.option_value", option=word))
            value, rest = _next_word(rest)
            # Joined, so that a value that is empty or begins with a dash is not taken for something else.
            words[-1] = f"{_FLAGS[word].flags[-1]}={value}"
    return parser().parse_args(words), rest.rstrip("\r\n")


def _next_word(line: str) -> tuple[str, str]:
    stream = io.StringIO(line)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if sys.platform == "win32":
        lexer.escape = ""  # paths are written with backslashes there
    try:
        word = lexer.get_token()
    except ValueError:
        raise UsageError(text("error.quote", line=line)) from None
    return word or "", stream.read().lstrip()


def _needs_value(word: str) -> bool:
    name = word.split("=", 1)[0] if word.startswith("--") else word[:2]
    option = _FLAGS.get(name)
    if option is None:
        close = get_close_matches(word, _FLAGS, n=1)
        hint = text("hint.did_you_mean", name=close[0]) if close else ""
        raise UsageError(text("error.option_unknown", option=word, hint=hint))
    return option.type is not None and word == name


def expect_nothing(magic: str, line: str) -> None:
    """Refuse arguments to a magic that takes none."""
    if line.strip():
        raise UsageError(text("error.no_arguments", magic=magic, line=line.strip()))
