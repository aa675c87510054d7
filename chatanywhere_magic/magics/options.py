"""A magic's line: its options as a shell reads them, and behind them words, or a prompt as it was typed.

A magic declares what it takes and is called with what was given::

    _EXPORT = Options("chat_export", "about.chat_export", Option(("--force",), "help.force"), words=("FILE",))

    @line_magic
    @takes(_EXPORT)
    def chat_export(self, given: Namespace) -> None:
        ...  # given.force, given.words

``--help`` is there by itself, and so is what ``%chat_export?`` shows.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from ..core import UsageError, phrase, text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Namespace", "Option", "Options", "takes"]


_TOKEN: Final = re.compile(r"""(?:[^\s"'\\]|\\(?:.|(?!.))|"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$))+""")
"""A word as a shell reads it, which may be half typed."""
_PLAIN_WORD: Final = re.compile(r"""[^\s"'\\]+(?=[ \t\r\n]|$)""")
"""A word without quotes and escapes, which nearly all are: it needs no look at by a shell's rules."""
_KEY_NAME: Final = re.compile(r"--?(?:api[-_]?)?(?:key|token|secret)\b", re.IGNORECASE)
"""What looks as if it took a key; its value must not be repeated in a message."""


@dataclass(frozen=True)
class Option:
    """One option.

    Parameters
    ----------
    flags : tuple of str
        Its spellings, the short one first.
    help : str
        The key of its help text.
    metavar : str
        What stands for its value in the help.
    type : callable, optional
        How its value is read from a string; it may raise ``UsageError``. None makes the option a flag.
    repeat : bool
        Whether it may be given several times; its value is a list then.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    type: Callable[[str], Any] | None = None
    repeat: bool = False

    @cached_property
    def name(self) -> str:
        """What it is called among what was given."""
        return self.flags[-1].lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Cursor:
    """What stands under the cursor of a line that is being typed.

    Parameters
    ----------
    role : str
        An ``option``'s name, an option's ``value``, a ``word``, or the ``prompt``.
    typed : str
        What of it is typed so far.
    option : Option, optional
        Whose value it is.
    index : int
        How many words stand before it.
    used : tuple of Option
        The options that stand before it.
    values : dict
        Their values, by what stands for them in the help.
    """

    role: Literal["option", "value", "word", "prompt"]
    typed: str
    option: Option | None = None
    index: int = 0
    used: tuple[Option, ...] = ()
    values: dict[str, str] = field(default_factory=dict)


class Options:
    """The options and arguments of one magic.

    Parameters
    ----------
    magic : str
        Its name.
    about : str
        The key of the text that says what it does.
    *options : Option
        Its options; ``--help`` is added.
    words : tuple of str
        What it takes beside options, as the usage line shows it: ``FILE``, ``[NAME]`` if it may be left out,
        ``[WORD …]`` for any number of them.
    usage : str
        The key of a usage line of its own, for a magic that takes a prompt instead of words.
    """

    def __init__(self, magic: str, about: str, *options: Option, words: tuple[str, ...] = (), usage: str = "") -> None:
        self.magic = magic
        self.options = (*options, Option(("-h", "--help"), "help.help"))
        self.flags = {flag: option for option in self.options for flag in option.flags}
        self._about = about
        self._words = words
        self._usage = usage

    @property
    def takes_prompt(self) -> bool:
        """Whether what follows the options is a prompt."""
        return bool(self._usage)

    def help(self) -> str:
        """Return the help in the user's language."""
        return self._parser().format_help()

    def read(self, line: str) -> Namespace:
        """Return what was given on the line: each option, and beside them ``words``, or the ``prompt``.

        ``is_quoted`` tells whether ``--`` stands before the prompt, so that nothing in it has a meaning.

        Raises
        ------
        UsageError
            If an option is unknown, lacks its value or has one that cannot be read; if there are too few words
            or too many.
        """
        if self.takes_prompt:
            options, prompt, is_quoted = self._split(line)
            return self._parsed(options, Namespace(prompt=prompt, is_quoted=is_quoted))
        options, words = self._sort(line)
        given = self._parsed(options, Namespace(words=words))
        if not given.help:
            self._check_words(words)
        return given

    def _parsed(self, options: list[str], given: Namespace) -> Namespace:
        if not all(option in self.flags and self.flags[option].type is None for option in options):
            return self._reader.parse_args(options, given)
        # Mostly there are none, or none with a value; argparse would take longer than all else before the prompt.
        for option in self.options:
            default: Any = False if option.type is None else [] if option.repeat else None
            setattr(given, option.name, default)
        for word in options:
            setattr(given, self.flags[word].name, True)
        return given

    def _split(self, line: str) -> tuple[list[str], str, bool]:
        """Return the options at the beginning of the line; the prompt, as it was typed; whether ``--`` stood before.

        The prompt begins at the first word that is no option, or after ``--``.
        """
        options: list[str] = []
        rest = line.lstrip()
        is_quoted = False
        while _begins_with_option(rest) and not is_quoted:
            word, rest = _next_word(rest)
            is_quoted = word == "--"
            if not is_quoted:
                option, rest = self._take_option(word, rest)
                options.append(option)
        return options, rest.rstrip("\r\n"), is_quoted

    def _sort(self, line: str) -> tuple[list[str], list[str]]:
        """Return the options of a line, wherever they stand, and the other words."""
        options: list[str] = []
        words: list[str] = []
        rest = line.strip()
        ended = False
        while rest:
            is_option = _begins_with_option(rest) and not ended
            word, rest = _next_word(rest)
            if is_option and word == "--":
                ended = True
            elif is_option:
                option, rest = self._take_option(word, rest)
                options.append(option)
            else:
                words.append(word)
        return options, words

    def under_cursor(self, line: str) -> Cursor:
        """Return what stands under a cursor at the end of `line`, which may be half typed."""
        used: list[Option] = []
        values: dict[str, str] = {}
        words = 0
        rest = line.lstrip()
        while True:
            is_option = rest.startswith("-")
            if not is_option and self.takes_prompt and rest:
                return Cursor("prompt", rest, values=values)
            token = _TOKEN.match(rest)
            typed = token[0] if token else ""
            rest = rest[len(typed) :]
            option, value = self._half_option(typed) if is_option else (None, None)
            if option is not None and value is None and option.type is not None and rest:
                # Its value is the next word.
                following = _TOKEN.match(rest.lstrip())
                value = following[0] if following else ""
                rest = rest.lstrip()[len(value) :]
            if not rest:
                if option is not None and value is not None:
                    return Cursor("value", value, option=option, values=values)
                role: Literal["option", "word"] = "option" if is_option or not typed else "word"
                return Cursor(role, typed, index=words, used=tuple(used), values=values)
            if option is not None:
                used.append(option)
                values[option.metavar] = value or ""
            elif typed == "--" and self.takes_prompt:
                return Cursor("prompt", rest.lstrip(), values=values)
            elif not is_option:
                words += 1
            rest = rest.lstrip()

    def _half_option(self, typed: str) -> tuple[Option | None, str | None]:
        """Return the option that `typed` is, and the value that is typed with it; None where there is none."""
        name, has_value, value = typed.partition("=")
        if typed.startswith("--") or name == typed[:2]:
            return self.flags.get(name), value if has_value else None
        return self.flags.get(typed[:2]), typed[2:]

    def word_at(self, index: int) -> str:
        """Return what the usage line calls the word at `index`, without brackets; ``""`` if there is no such word."""
        if not self._words:
            return ""
        word = self._words[min(index, len(self._words) - 1)]
        return word.strip("[]").removesuffix("…").strip() if index < len(self._words) or "…" in word else ""

    def _take_option(self, word: str, rest: str) -> tuple[str, str]:
        """Return the option that `word` is, with its value if that stands in `rest`, and what is left of `rest`."""
        name = word.split("=", 1)[0] if word.startswith("--") else word[:2]
        option = self.flags.get(name)
        # Behind one dash a whole name is meant as one, not as a short option with the rest for its value.
        if option is None and _KEY_NAME.match(word):
            raise UsageError(phrase("error.key_option"))
        if option is None or (name != word and f"-{word.split('=', 1)[0]}" in self.flags):
            raise UsageError(phrase("error.option_unknown", option=word, hint=self._hint(word), magic=self.magic))
        if option.type is None and "=" in word:
            raise UsageError(phrase("error.option_flag", option=name))
        if option.type is None or word != name:
            return word, rest
        if not rest:
            raise UsageError(phrase("error.option_value", option=word))
        value, rest = _next_word(rest)
        # Joined, so that a value that is empty or begins with a dash is not taken for something else.
        return f"{option.flags[-1]}={value}", rest

    def _hint(self, word: str) -> str:
        name = word.split("=", 1)[0]
        for meant in (name.swapcase(), f"-{name}"):
            if meant in self.flags:
                return text("hint.did_you_mean", name=meant)
        long = [flag for flag in self.flags if flag.startswith("--")]
        close = get_close_matches(f"--{name.lstrip('-')}", long, n=1) if len(name.lstrip("-")) > 1 else []
        return text("hint.did_you_mean", name=close[0]) if close else ""

    def _check_words(self, words: list[str]) -> None:
        needed = [word for word in self._words if not word.startswith("[")]
        if len(words) < len(needed):
            raise UsageError(phrase("error.word_missing", magic=self.magic, word=needed[len(words)]))
        if self._words and "…" in self._words[-1]:
            return
        if extra := words[len(self._words) :]:
            key = "error.words_extra" if self._words else "error.no_arguments"
            raise UsageError(phrase(key, magic=self.magic, line=" ".join(extra)))

    @cached_property
    def _reader(self) -> argparse.ArgumentParser:
        """The parser for reading, whatever the language: to make one takes longer than all else before the prompt."""
        return self._parser()

    def _parser(self) -> argparse.ArgumentParser:
        plain = " ".join([f"%{self.magic}", text("help.options"), *self._words])
        usage = text(self._usage, magic=self.magic) if self._usage else plain
        parser = _Parser(
            usage=usage.replace("%", "%%"),
            description=text(self._about),
            add_help=False,
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        parser.magic = self.magic
        listed = parser.add_argument_group(text("help.heading"))
        for option in self.options:
            about = text(option.help).replace("%", "%%")
            if option.type is None:
                listed.add_argument(*option.flags, action="store_true", help=about)
            else:
                action = "append" if option.repeat else "store"
                default: list[Any] | None = [] if option.repeat else None
                listed.add_argument(
                    *option.flags,
                    action=action,
                    default=default,
                    type=option.type,
                    metavar=option.metavar,
                    help=about,
                )
        return parser


class _Formatter(argparse.HelpFormatter):
    """argparse's help, with its own words in the person's language."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, text("help.usage_prefix") if prefix is None else prefix)


class _Parser(argparse.ArgumentParser):
    """argparse that raises our one-line error instead of printing and exiting."""

    magic = ""

    def error(self, message: str) -> NoReturn:
        raise UsageError(phrase("error.option", message=message, magic=self.magic))


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return what reads an option's value that is one of a few words."""

    def read(value: str) -> str:
        if value in allowed:
            return value
        close = get_close_matches(value, allowed, n=1)
        hint = text("hint.did_you_mean", name=close[0]) if close else ""
        raise UsageError(phrase("error.choice", value=value, hint=hint, allowed=", ".join(allowed)))

    return read


def takes(options: Options) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have a magic called with what its line gives, instead of with the line; ``--help`` shows its help.

    Stands below ``line_magic`` and ``cell_magic``. What ``%magic?`` shows is the help, too.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def magic(self: Any, line: str, *cell: str) -> Any:
            given = options.read(line)
            if given.help:
                sys.stdout.write(options.help())
                return None
            return method(self, given, *cell)

        # IPython asks for this one before it looks at the docstring, and completion for the options.
        magic.getdoc = options.help  # type: ignore[attr-defined]
        magic.options = options  # type: ignore[attr-defined]
        return magic

    return decorate


def _begins_with_option(line: str) -> bool:
    return line.startswith("-") and not re.match(r"-(?:[\s\d.]|$)", line)


def _next_word(line: str) -> tuple[str, str]:
    if plain := _PLAIN_WORD.match(line):
        return plain[0], line[plain.end() :].lstrip()
    stream = io.StringIO(line)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if sys.platform == "win32":
        lexer.escape = ""  # paths are written with backslashes there
    try:
        word = lexer.get_token()
    except ValueError:
        raise UsageError(phrase("error.quote", line=line)) from None
    return word or "", stream.read().lstrip()


def expect_nothing(magic: str, line: str) -> None:
    """Refuse arguments to a magic that takes none."""
    if line.strip():
        raise UsageError(phrase("error.no_arguments", magic=magic, line=line.strip()))
