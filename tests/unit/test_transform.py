"""Prompts reach the magic as they were typed, past everything that IPython does to a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from chatanywhere_magic.magics.transform import Called, CellAsTyped, LinesAsTyped, NothingAbove, by_form

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
anything_on_a_line = st.text(st.characters(exclude_characters=LINE_ENDS) | st.sampled_from("?!%$@{}[]()'\"\\;#`"))
# What a person writes after the magic: it begins and ends with something, and is not continued on the next line.
prompts = anything_on_a_line.map(str.strip).filter(lambda prompt: prompt and not prompt.endswith("\\"))
VALUE = "--value "


class Shell:
    """Notes what the magics are called with."""

    def __init__(self, find: Callable[[str], Called | None] = by_form) -> None:
        self.manager = TransformerManager()
        self.manager.cleanup_transforms[:0] = [NothingAbove(find), CellAsTyped(find)]
        self.manager.cleanup_transforms.append(LinesAsTyped(find))
        self.calls: list[tuple[str, ...]] = []
        self.wanted: list[bool] = []
        """Of each line, whether its answer is wanted as a value."""
        self.names: dict[str, Any] = {"get_ipython": lambda: self}

    def run(self, cell: str) -> list[tuple[str, ...]]:
        exec(self.manager.transform_cell(cell), self.names)  # noqa: S102 - IPython executes what it has transformed
        return self.calls

    def run_line_magic(self, name: str, line: str) -> str:
        self.wanted.append(line.startswith(VALUE))
        self.calls.append((name, line.removeprefix(VALUE)))
        return f"answer {len(self.calls)}"

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        self.calls.append((name, line, cell))


def asked(cell: str) -> list[tuple[str, ...]]:
    return Shell().run(cell)


@given(prompts)
def test_any_line_arrives_as_typed(prompt: str) -> None:
    assert asked(f"%chat {prompt}") == [("chat", prompt)]


@given(prompts)
def test_any_line_arrives_as_typed_where_its_answer_is_kept(prompt: str) -> None:
    shell = Shell()
    assert shell.run(f"answer = %chat {prompt}") == [("chat", prompt)]
    assert shell.names["answer"] == "answer 1"


@pytest.mark.parametrize("magic", ["chat_fix", "chat_new", "chat_rename", "chat_search"])
def test_so_does_what_stands_behind_the_other_magics(magic: str) -> None:
    for words in ("Why?", "Что это такое?", "{x} $y ??"):
        assert asked(f"%{magic} {words}") == [(magic, words)]
        assert asked(f"if True:\n    %{magic} {words}\n") == [(magic, words)]


@given(st.lists(prompts, min_size=2, max_size=4))
def test_no_line_reaches_into_the_next(lines: list[str]) -> None:
    cell = "\n".join(f"%chat {line}\nx = %chat {line}" for line in lines)
    assert asked(cell) == [("chat", line) for line in lines for _ in range(2)]


@given(st.text(st.characters() | st.sampled_from("?!%$@{}[]()'\"\\;#`\n\t ")))
def test_any_body_arrives_as_typed(body: str) -> None:
    typed = body if body.endswith("\n") or not body else body + "\n"  # IPython’s own, taken off again by the magic
    assert asked(f"%%chat -m x\n{body}") == [("chat", "-m x", typed)]


@pytest.mark.parametrize(
    "body",
    [
        ">>> a = [1, 2]\n>>> a\n[1, 2]\nWhy?\n",
        "In [1]: a\nOut[1]: 3\n",
        "...: what is this?\n",
        "    indented\n   \n\t\n  less\n\n",
        "%%time\n%chat What?\n!rm -rf /\n",
        "%%chat\nWhat is this?\n",
        "len?\n",
        "?len\n",
        "a = 1;\n",
        "ends in a backslash \\\nand goes on \\\n",
    ],
)
def test_nothing_in_a_body_is_taken_for_ipythons_syntax(body: str) -> None:
    assert asked(f"%%chat\n{body}") == [("chat", "", body)]
    assert asked(f"\n \n%%chat \t -q\n{body}") == [("chat", "-q", body)]


@pytest.mark.parametrize(
    "above",
    ["# a note\n", "#\n\n  # another\n", "\n\t\n# %% [markdown]\n", "#!/usr/bin/env python\n", "# What's \\\n", "#é\n"],
)
def test_comments_and_blank_lines_may_stand_above_the_magic(above: str) -> None:
    for body in ("What's (this?\n", ">>> a\n# b\n%%chat\n", ""):
        assert asked(f"{above}%%chat -m x\n{body}") == [("chat", "-m x", body)]
    assert asked(f"{above}  %%chat\n  a\n    b\n") == [("chat", "", "a\n  b\n")]
    assert asked(f"{above}%chat What?") == [("chat", "What?")]


@pytest.mark.parametrize(
    "cell",
    ["# a\n%%time\npass\n", "x = 1\n%%chat\nWhat\n", "'''\n%%chat\n'''", "# %%chat\n1", "# a", "", "# a\n%%chat?"],
)
def test_what_stands_above_anything_else_is_ipythons(cell: str) -> None:
    assert Shell().manager.transform_cell(cell) == TransformerManager().transform_cell(cell)


def named(name: str) -> Called | None:
    """Find the magics as after ``%alias_magic ask chat -p "-m x"`` and ``%alias_magic gpt-4 chat``."""
    return {"ask": ("chat", "-m x"), "gpt-4": ("chat", "")}.get(name) or by_form(name)


@given(prompts)
def test_what_stands_behind_an_alias_arrives_as_typed(prompt: str) -> None:
    shell = Shell(named)
    shell.run(f"%ask {prompt}\nx = %gpt-4 {prompt}\n%asks = 1\n")
    shell.run(f"%%ask -q\n{prompt}\n")
    shell.run(f"# a\n%%gpt-4\n{prompt}\n")
    assert [call for call in shell.calls if call[0] == "chat"] == [
        ("chat", f"-m x {prompt}"),
        ("chat", prompt),
        ("chat", "-m x -q", f"{prompt}\n"),
        ("chat", "", f"{prompt}\n"),
    ]
    assert shell.wanted[:2] == [False, True]


def test_an_alias_may_be_made_by_the_cell_that_uses_it() -> None:
    made = """%alias_magic q chat
%alias_magic --line %why %chat -p "-m y"
%alias_magic how chat --params=-q
%alias_magic me ask
%alias_magic broken 'chat
%q {x} $y?
x = %why {x}?
%me {x}?
%how {x}?
%time %q {x}?
"""
    calls = [call for call in Shell(named).run(made) if call[0] != "alias_magic"]
    assert calls == [
        ("chat", "{x} $y?"),
        ("chat", "-m y {x}?"),
        ("chat", "-m x {x}?"),
        ("chat", "-q {x}?"),
        ("time", "%q {x}?"),
    ]


@pytest.mark.parametrize("cell", ["%ask?", "%%ask?", "?%ask", "%asked what?", "%alias_magic ask", "x = 5 %ask\n"])
def test_what_is_no_call_of_an_alias_is_ipythons(cell: str) -> None:
    assert Shell(named).manager.transform_cell(cell) == TransformerManager().transform_cell(cell)


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("def f():\n    return 1\nif True:\n    %chat Why?\n    x = %chat And why?\n", ["Why?", "And why?"]),
        ("for i in range(2):\n\tanswer = %chat Again?\n", ["Again?", "Again?"]),
        ("a = b = %chat What is a list?", ["What is a list?"]),
        ("a = {}; a['x?'] = %chat What is a list?", ["What is a list?"]),
        ("x: dict[str, int] = %chat What is a list?", ["What is a list?"]),
        ("x=%chat What is a list?", ["What is a list?"]),
        ("x = \\\n  %chat What is a list?", ["What is a list?"]),
        ("%chat a = %chat b?", ["a = %chat b?"]),
        ("%chat\u3000列表是什么?", ["列表是什么?"]),
        (">>> %chat What is a list?", ["What is a list?"]),
        ("    %chat What?\n    %chat Why?", ["What?", "Why?"]),
        ("x = (1,\n     2)\n%chat What?\n%chat Why? # not a comment", ["What?", "Why? # not a comment"]),
        ("x = %chat one \\\n  and \\\n  two?\n%chat three", ["one and two?", "three"]),
        ("%chat a path C:\\dir\\", ["a path C:\\dir\\"]),
        ("%chat a\x00b", ["a\x00b"]),
    ],
)
def test_statements_and_assignments_anywhere(cell: str, lines: list[str]) -> None:
    assert asked(cell) == [("chat", line) for line in lines]


def test_an_answer_is_wanted_as_a_value_only_where_it_is_assigned() -> None:
    shell = Shell()
    shell.run("%chat What?\nx = %chat Why?\nx = y = \\\n  %chat How?\nif True:\n  %chat a = b?\n  x=%chat Where?\n")
    assert shell.wanted == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("cell", "runner", "line"),
    [
        ("%time %chat What is a list?", "time", "%chat What is a list?"),
        ("%time answer = %chat What is a list?", "time", "answer = %chat What is a list?"),
        ("%timeit -n 1 -r1 %chat_fix why?", "timeit", "-n 1 -r1 %chat_fix why?"),
        ("if True:\n    %prun -q %chat Why {x}, $y??", "prun", "-q %chat Why {x}, $y??"),
        ("result = %timeit -o %chat Why?", "timeit", "-o %chat Why?"),
    ],
)
def test_so_does_what_another_magic_runs(cell: str, runner: str, line: str) -> None:
    assert asked(cell) == [(runner, line)]
    assert asked(line[line.index("%") :])[0][1] in line  # which is what it then runs, as a cell


@pytest.mark.parametrize("cell", ["%time len?", "%time", "%env X=%chat what?", "%time f('%chats')?"])
def test_what_other_magics_do_otherwise_is_ipythons(cell: str) -> None:
    plain = TransformerManager()
    assert Shell().manager.transform_cell(cell) == plain.transform_cell(cell)


def test_what_somebody_else_has_the_name_of_is_theirs() -> None:
    theirs, plain = Shell(lambda name: None if name == "chat" else by_form(name)), TransformerManager()
    for cell in ("%chat What?", "%%chat\n>>> What?", "# a\n%%chat\nWhat?", "x = %chat What?"):
        assert theirs.manager.transform_cell(cell) == plain.transform_cell(cell)
    assert theirs.run("%%chatanywhere -q\n>>> What?\n") == [("chatanywhere", "-q", ">>> What?\n")]
    theirs.calls.clear()
    assert theirs.run("%chatanywhere What?\nx = %chatanywhere Why?\n%chat_new What?") == [
        ("chatanywhere", "What?"),
        ("chatanywhere", "Why?"),
        ("chat_new", "What?"),
    ]
    assert theirs.wanted == [False, True, False]


def test_lines_keep_their_numbers() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        asked("%chat one \\\n two \\\n three\n1 / 0")
    assert caught.traceback[-1].lineno == 3  # counted from 0


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("x = '''\n%chat what?\n'''", "\n%chat what?\n"),
        ("x = '= %chat what?'", "= %chat what?"),
        ("x = '''\n= %chat what?'''", "\n= %chat what?"),
        ("x = [\n'%chat what?']", ["%chat what?"]),
        ("x = 1 # = %chat what?", 1),
        ("x = dict(a='=%chat b')", {"a": "=%chat b"}),
    ],
)
def test_what_stands_in_strings_and_comments_is_left_alone(cell: str, value: object) -> None:
    shell = Shell()
    assert shell.run(cell) == []
    assert shell.names["x"] == value


def test_the_bodies_of_other_magics_are_left_alone() -> None:
    assert asked("%%writefile notes.py\n%chat What?\nx = %chat Why?\n") == [
        ("writefile", "notes.py", "%chat What?\nx = %chat Why?\n")
    ]


@pytest.mark.parametrize("cell", ["%chat?", "%chat??", "?%chat", "??%chat", "%%chat?", "%%chat??"])
def test_help_stays_help(cell: str) -> None:
    ((magic, about),) = asked(cell)
    assert magic.startswith("pinfo")
    assert about in {"%chat", "%%chat"}


def test_a_cell_is_complete_when_a_blank_line_ends_it() -> None:
    """In a terminal: Enter after the first line must not ask already."""
    manager = Shell().manager
    assert manager.check_complete("%%chat\nWhat is a list?")[0] == "incomplete"
    assert manager.check_complete("%%chat\nWhat is a list?\n\n")[0] == "complete"
    assert manager.check_complete("x = %chat What is a list?")[0] == "complete"
    assert manager.check_complete("# a\n%%chat\nWhat's (this?")[0] == "incomplete"
    assert manager.check_complete("# a\n%%chat\nWhat's (this?\n\n")[0] == "complete"
