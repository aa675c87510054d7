"""A magic's line: options as a shell reads them, words, and prompts as they were typed."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import pytest
from hypothesis import given, strategies

from chatanywhere_magic import magics
from chatanywhere_magic.core import i18n
from chatanywhere_magic.core.errors import UsageError
from chatanywhere_magic.magics.options import Namespace, Option, Options, takes
from tests.unit.helpers import assert_for_people


def number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError("A number, please.") from None


SOME = (
    Option(("-m", "--model"), "help.model", "MODEL", str),
    Option(("-M", "--many"), "help.model"),
    Option(("-a", "--attach"), "help.model", "FILE", str, repeat=True),
    Option(("--limit",), "help.max_tokens", "N", number),
    Option(("--full",), "help.append"),
)
PROMPT = Options("ask", "about.chat", *SOME, usage="help.usage")
WORDS = Options("save", "about.chat", *SOME, words=("FILE", "[NAME]"))
ANY = Options("find", "about.chat", words=("[WORD …]",))
NONE = Options("stop", "about.chat_stop")


def refusal(options: Options, line: str, *words: str) -> str:
    with pytest.raises(UsageError) as caught:
        options.read(line)
    return str(assert_for_people(caught.value, UsageError, *words))


class TestPrompts:
    @given(strategies.text(strategies.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
    def test_a_prompt_is_kept_as_it_was_typed(self, prompt: str) -> None:
        assert PROMPT.read(f"--full -m 'a b' -- {prompt}").prompt == prompt.lstrip()

    def test_it_begins_at_the_first_word_that_is_no_option(self) -> None:
        read = PROMPT.read("-m x What is --full -m?")
        assert (read.model, read.full, read.prompt) == ("x", False, "What is --full -m?")

    @pytest.mark.parametrize("prompt", ["-273.15 is cold", "- a list", "-", "-5"])
    def test_numbers_and_lone_dashes_are_no_options(self, prompt: str) -> None:
        assert PROMPT.read(prompt).prompt == prompt


class TestValues:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("-m x", "x"),
            ("-mx", "x"),
            ("--model=x", "x"),
            ("--model x", "x"),
            ("--model='two words'", "two words"),
            ("-m ''", ""),
            ("-m -x", "-x"),
            ("-m --full", "--full"),
        ],
    )
    def test_they_are_read_as_a_shell_reads_them(self, written: str, value: str) -> None:
        assert PROMPT.read(f"{written} Hello").model == value

    def test_an_option_may_be_repeatable(self) -> None:
        assert PROMPT.read("-a one -a 'number two' Hello").attach == ["one", "number two"]
        assert PROMPT.read("Hello").attach == []

    def test_a_value_of_the_wrong_kind(self) -> None:
        assert refusal(PROMPT, "--limit many Hello") == "A number, please."

    def test_a_value_that_is_missing(self) -> None:
        refusal(PROMPT, "-m", "-m needs a value")

    def test_a_quotation_mark_that_stays_open(self) -> None:
        with pytest.raises(UsageError, match="quotation mark"):
            PROMPT.read("-m 'never closed Hello")


class TestWords:
    @pytest.mark.parametrize(
        "line", ["'a file' b --full", "--full 'a file' b", "'a file' --full b", "--full -- 'a file' b"]
    )
    def test_options_may_stand_anywhere_among_them(self, line: str) -> None:
        read = WORDS.read(line)
        assert (read.full, read.words) == (True, ["a file", "b"])

    def test_after_two_dashes_there_are_only_words(self) -> None:
        assert WORDS.read("-- --full -x").words == ["--full", "-x"]

    def test_some_may_be_left_out(self) -> None:
        assert WORDS.read("file").words == ["file"]
        refusal(WORDS, "--full", "%save needs a FILE")

    def test_too_many(self) -> None:
        refusal(WORDS, "a b 'c d'", "%save does not accept 'c d'")
        refusal(NONE, "now", "%stop takes no arguments, but got 'now'")

    def test_any_number(self) -> None:
        assert ANY.read("a b c").words == ["a", "b", "c"]
        assert ANY.read("").words == []


class TestTypos:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("--modle", "--model"),
            ("--Model=x", "--model"),
            ("-model", "--model"),
            ("-full", "--full"),
            ("-A", "-a"),
            ("-H", "-h"),
            ("-help", "--help"),
            ("--hepl", "--help"),
            ("--lim=3", "--limit"),
        ],
    )
    def test_what_was_meant_is_said(self, typed: str, meant: str) -> None:
        for options in (PROMPT, WORDS):
            refusal(options, f"{typed} Hello", f"There is no option {typed}. Did you mean {meant}?")

    def test_nothing_is_suggested_for_nothing_alike(self) -> None:
        assert "Did you mean" not in refusal(PROMPT, "-x Hello", "There is no option -x. %ask --help")
        assert "Did you mean" not in refusal(WORDS, "--zzz Hello", "There is no option --zzz. %save --help")


class TestHelp:
    def test_it_names_everything(self) -> None:
        shown = WORDS.help()
        for part in (
            "%save [options] FILE [NAME]",
            "--model MODEL",
            "--attach FILE",
            "--limit N",
            "-h, --help",
        ):
            assert part in shown

    def test_it_is_in_the_persons_language(self) -> None:
        i18n.set_language("ru")
        assert "%save [параметры] FILE" in WORDS.help()
        assert "показать эту справку" in WORDS.help()

    @pytest.mark.parametrize("language", ["ru", "zh"])
    def test_its_headings_too(self, language: str) -> None:
        i18n.set_language(language)
        assert not re.search("usage|options", PROMPT.help())

    def test_words_may_be_missing_when_help_is_asked_for(self) -> None:
        assert WORDS.read("-h").help


def test_a_magic_is_called_with_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    called: list[tuple[Any, ...]] = []

    @takes(WORDS)
    def save(self: str, read: Namespace, *cell: str) -> str:
        """Save it."""
        called.append((self, read.words, *cell))
        return "saved"

    assert save("me", "file") == "saved"
    assert save("me", "file", "the cell") == "saved"
    assert called == [("me", ["file"]), ("me", ["file"], "the cell")]
    assert save("me", "--help") is None
    assert len(called) == 2
    assert capsys.readouterr().out == WORDS.help() == save.getdoc()  # type: ignore[attr-defined]


class TestCursor:
    """What is being typed at the end of a line."""

    @pytest.mark.parametrize(
        ("line", "role", "typed", "flag"),
        [
            ("", "option", "", None),
            ("-", "option", "-", None),
            ("--mo", "option", "--mo", None),
            ("-m", "option", "-m", None),
            ("-m ", "value", "", "-m"),
            ("-mx", "value", "x", "-m"),
            ("--model=", "value", "", "-m"),
            ("--model=x", "value", "x", "-m"),
            ("-m 'two wo", "value", "'two wo", "-m"),
            ("-m x ", "option", "", None),
            ("--full -m x --li", "option", "--li", None),
            ("--full --limit ", "value", "", "--limit"),
        ],
    )
    def test_options_and_values(self, line: str, role: str, typed: str, flag: str | None) -> None:
        for options in (PROMPT, WORDS):
            cursor = options.under_cursor(line)
            assert (cursor.role, cursor.typed) == (role, typed)
            assert (cursor.option.flags[0] if cursor.option else None) == flag

    @pytest.mark.parametrize(
        ("line", "typed"), [("Wha", "Wha"), ("-m x What is", "What is"), ("-- --mo", "--mo"), ("-m x -- ", "")]
    )
    def test_prompts(self, line: str, typed: str) -> None:
        cursor = PROMPT.under_cursor(line)
        assert (cursor.role, cursor.typed) == ("prompt", typed)

    @pytest.mark.parametrize(
        ("line", "index", "typed"),
        [("fi", 0, "fi"), ("file na", 1, "na"), ("--full fi", 0, "fi"), ("'a fi", 0, "'a fi")],
    )
    def test_words(self, line: str, index: int, typed: str) -> None:
        cursor = WORDS.under_cursor(line)
        assert (cursor.role, cursor.index, cursor.typed) == ("word", index, typed)

    def test_what_words_are_called(self) -> None:
        assert [WORDS.word_at(index) for index in range(3)] == ["FILE", "NAME", ""]
        assert [ANY.word_at(index) for index in range(3)] == ["WORD", "WORD", "WORD"]
        assert NONE.word_at(0) == ""

    @given(strategies.text())
    def test_whatever_is_typed_something_stands_there(self, line: str) -> None:
        for options in (PROMPT, WORDS, ANY, NONE):
            assert options.under_cursor(line).role in {"option", "value", "word", "prompt"}


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(magics.__path__)])
def test_options_without_values_are_read_as_argparse_would(name: str) -> None:
    module = importlib.import_module(f"{magics.__name__}.{name}")
    for options in [value for value in vars(module).values() if isinstance(value, Options)]:
        for flag in ("", *(flag for option in options.options if option.type is None for flag in option.flags)):
            given = list(filter(None, [flag]))
            assert options._parsed(given, Namespace()) == options._reader.parse_args(given, Namespace())
