"""An answer as a value: code, tables and JSON out of it, and a string through and through."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies
from IPython.lib.pretty import pretty

from chatanywhere_magic import Reply
from chatanywhere_magic.core.errors import AnswerError, AnswerFormatError
from chatanywhere_magic.core.messages import MessageDict, Usage
from chatanywhere_magic.core.reply import Code
from chatanywhere_magic.magics.cells import code_for_cell

REPLY = Reply(
    "Hello.",
    provider="openai",
    model="gpt-test",
    finish_reason="stop",
    usage=Usage(7, 3),
    messages=[MessageDict(role="user", content="Hi"), MessageDict(role="assistant", content="Hello.")],
    turn=4,
    value={"a": [1]},
)
JSON_VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=20),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(), inner, max_size=3),
    max_leaves=10,
)


class TestString:
    def test_it_is_one(self) -> None:
        assert REPLY == "Hello."
        assert f"{REPLY}" == REPLY.strip() == json.loads(json.dumps(REPLY)) == "Hello."
        assert pretty(REPLY) == repr(REPLY) == "'Hello.'"

    @pytest.mark.parametrize(
        "carry",
        [copy.copy, copy.deepcopy, *(lambda r, p=p: pickle.loads(pickle.dumps(r, p)) for p in range(2, 6))],  # noqa: S301
    )
    def test_what_is_known_goes_with_it(self, carry: Any) -> None:
        carried = carry(REPLY)
        assert carried == REPLY
        assert type(carried) is Reply
        for name in Reply.__slots__:
            assert getattr(carried, name) == getattr(REPLY, name)

    def test_one_made_by_hand_knows_nothing(self) -> None:
        reply = Reply("Hello.")
        assert (reply.provider, reply.usage, reply.messages, reply.turn, reply.value) == ("", None, [], None, None)


class TestCode:
    def test_blocks_come_in_order_with_their_languages(self) -> None:
        answer = """
Do this:

```python
def f():
    return '```'

f()
```
1. and, in a list,

   ~~~Bash -x
   ls
   ~~~

````
```
````
"""
        code = Reply(answer).code
        assert [(block, block.language) for block in code] == [
            ("def f():\n    return '```'\n\nf()", "python"),
            ("ls", "bash"),
            ("```", ""),
        ]
        assert all(type(block) is Code for block in code)

    def test_a_block_that_was_cut_off_is_there(self) -> None:
        assert Reply("```py\nx = 1\ny =").code == ["x = 1\ny ="]

    @pytest.mark.parametrize("answer", ["", "No `code` here.", "    indented", "``` inline ```"])
    def test_there_may_be_none(self, answer: str) -> None:
        assert Reply(answer).code == []

    @pytest.mark.parametrize(
        ("info", "language"),
        [
            ("python:plot.py", "python"),
            ("Python", "python"),
            ("{.python}", "python"),
            ("{python}", "python"),
            ("{python, echo=FALSE}", "python"),
            (' {.python .numberLines startFrom="3"}', "python"),
            ("{#listing .python}", "python"),
            ("{code-cell} ipython3", "ipython3"),
            ("{code-block} python", "python"),
            ('python title="plot.py"', "python"),
            ("python {cmd}", "python"),
            ("python {1,3-5}", "python"),
            ("python{1,3-5}", "python"),
            ("python,ignore", "python"),
            ("python3.11", "python3"),
            ("language-python", "python"),
            ("jupyter-python", "python"),
            ("python # plot.py", "python"),
            ("plot.py", "py"),
            ("src/plot.py", "py"),
            ("12:40:src/plot.py", "py"),
            ('title="my plot.py"', "py"),
            ("file=plot.py", "py"),
            ("bash $", "bash"),
            ("C++", "c++"),
            ("c#", "c#"),
            ("objective-c", "objective-c"),
            ("{=html}", "html"),
            ("file=Makefile", ""),
            ("{}", ""),
            ("", ""),
        ],
    )
    def test_a_language_is_named_in_many_ways(self, info: str, language: str) -> None:
        (block,) = Reply(f"~~~{info}\nx\n~~~").code
        assert (block, block.language) == ("x", language)

    @pytest.mark.parametrize(
        "fences", [("```", "```"), ("````", "```"), ("~~~", "```"), ("```", "~~~"), ("```", "````")]
    )
    def test_a_fence_in_a_fence_is_of_the_block_outside(self, fences: tuple[str, str]) -> None:
        outer, inner = fences
        document = f"# Title\n\n{inner}python\nx = 1\n{inner}\n\nand\n\n{inner}sh\nls\n{inner}\nend"
        answer = f"So:\n\n{outer}markdown\n{document}\n{outer}\nor\n\n{outer}py\ny\n{outer}\n"
        assert [(block, block.language) for block in Reply(answer).code] == [(document, "markdown"), ("y", "py")]

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ("```py\nx\n```\n```\n1\n```\n```py\ny\n```", ["x", "1", "y"]),
            ("```py\nx\n```py\ny\n```\n", ["x\n```py\ny"]),  # one was not closed
            ("```py\nx\n```\n\n```py\ny", ["x", "y"]),
            ("```py\nx = '```'\n```", ["x = '```'"]),
            ("```py\nx\n~~~\n```\n", ["x\n~~~"]),
            ("``` a`b\n```py\nx\n```", ["x"]),
        ],
    )
    def test_other_fences_are_read_as_commonmark_reads_them(self, answer: str, code: list[str]) -> None:
        assert Reply(answer).code == code

    def test_a_blocks_language_goes_with_it(self) -> None:
        (block,) = Reply("```sql\nselect 1\n```").code
        assert pickle.loads(pickle.dumps(block)).language == copy.copy(block).language == "sql"  # noqa: S301


class TestCells:
    """What goes into a cell of an answer."""

    @pytest.mark.parametrize(
        ("answer", "cell"),
        [
            ("No code.", ""),
            ("```python\na\n```\nand\n```py\nb\n```", "a\n\nb"),
            ("```python\nprint(1)\n```\nprints\n```\n1\n```", "print(1)"),
            ("```\na\n```", "a"),
            ("```bash\nls\n```\n```bash\npwd\n```", "%%bash\nls"),
            ("```js\n1\n```", "%%javascript\n1"),
            ("```rust\nfn f() {}\n```", "fn f() {}"),
            ("```python:plot.py\na\n```\n```{.python}\nb\n```\n```title='c.py'\nc\n```", "a\n\nb\n\nc"),
            ("```jupyter\na\n```\n```tool_code\nb\n```", "a\n\nb"),
            ("```pycon\n>>> def f():\n...     return 1\n...\n>>> f()\n1\n```", "def f():\n    return 1\n\nf()"),
            ("```python\nIn [1]: x = [\n   ...: 1]\nOut[1]: [1]\n\nIn [2]: x\n```", "x = [\n1]\nx"),
            ("```python\nx = '''\n>>> f()\n'''\n```", "x = '''\n>>> f()\n'''"),
            ("```python\n...\n```", "..."),
            ("```bash\nls\n```\nprints\n```\na.txt\n```", "%%bash\nls"),
            ("```\na\n```\nafter\n```bash\npip install a\n```", "a"),
            ("```text\nNo code.\n```", ""),
            ("```output\n1\n```\n```python\na\n```", "a"),
            ("```python\n```\n```python\na\n```", "a"),
            ("```markdown\n# A\n```python\nb\n```\nc\n```", "%%markdown\n# A\n```python\nb\n```\nc"),
            ("````md\n```python\nb\n```\n````\nand\n```py\na\n```", "a"),
            ("```markdown\n# A\n```\n```sh\nls\n```", "%%sh\nls"),
        ],
    )
    def test_the_code_of_a_kind_that_it_can_hold(self, answer: str, cell: str) -> None:
        assert code_for_cell(answer) == cell

    def test_the_question_above_it(self) -> None:
        assert code_for_cell("```python\na\n```", "Do a,\n\nplease") == "# Do a,\n#\n# please\na"
        assert code_for_cell("```bash\nls\n```", "List") == "%%bash\n# List\nls"
        assert code_for_cell("```js\n1\n```", "One") == "%%javascript\n// One\n1"
        assert code_for_cell("```md\n1\n```", "One") == "%%markdown\n<!-- One -->\n1"
        assert code_for_cell("No code.", "Do a") == ""


class TestTables:
    ANSWER = """
| name | age | *size* |
|------|----:|:------:|
| Ada  | 36  | 1.5    |
| `B`  |     | 2      |

and

| a |
|---|
"""

    def test_rows_and_numbers(self) -> None:
        first, second = (_rows(table) for table in Reply(self.ANSWER).tables)
        assert first == [["name", "age", "size"], ["Ada", 36, 1.5], ["B", None, 2.0]]
        assert second == [["a"]]

    def test_columns_may_have_the_same_name(self) -> None:
        (table,) = Reply("|a|a|\n|-|-|\n|1|2|").tables
        assert _rows(table) == [["a", "a"], [1, 2]]

    def test_there_may_be_none(self) -> None:
        assert Reply("a | b").tables == []

    @pytest.mark.parametrize(
        "column",
        [
            ["02101", "10001"],  # postal codes
            ["2024_01", "2024_02"],
            ["1.9", "1.10"],  # versions
            ["1e5", "2e7"],
            ["1E5"],
            ["inf", "-inf"],
            ["nan"],
            ["NaN", "1.0"],
            ["Infinity"],
            ["\uff11\uff12", "\u0663"],
            ["+1", "+49"],
            ["0x10"],
            ["1_000"],
            ["00", "0"],
            ["-0"],
            ["-0", "0.5"],
            [".5"],
            ["5."],
            ["2024-01-05"],
            ["555 0100", "5550101"],
            ["1,234", "5"],
            ["12.50 €"],
            ["5%"],
            ["1 000"],
            ["0.1234567890123456789"],
            ["123456789012345678.5"],
            ["9007199254740993", ""],
            ["9007199254740993", "0.5"],
            ["1" * 400],
            ["1" * 5_000],
            ["1e+400"],
            ["True"],
            ["1", "n/a"],
            ["", ""],
        ],
    )
    def test_values_stay_as_they_are_written(self, column: list[str]) -> None:
        (table,) = Reply("|a|b|\n|-|-|\n" + "".join(f"| {cell} | x |\n" for cell in column)).tables
        assert [row[0] for row in _rows(table)[1:]] == [cell.strip(" ") for cell in column]

    @pytest.mark.parametrize(
        ("column", "numbers"),
        [
            (["0", "-5", "123"], [0, -5, 123]),
            (["9007199254740993", "1"], [9007199254740993, 1]),
            (["123456789012345678901234567890"], [123456789012345678901234567890]),
            (["36", ""], [36, None]),
            (["1.5", "2", "-0.25"], [1.5, 2.0, -0.25]),
            (["1.50", "2.25", "10.00"], [1.5, 2.25, 10.0]),
            (["1.50", "2"], [1.5, 2.0]),
            (["1.2e-05", "0.5", ""], [1.2e-05, 0.5, None]),
        ],
    )
    def test_a_column_of_plain_numbers_holds_numbers(self, column: list[str], numbers: list[float | None]) -> None:
        (table,) = Reply("|a|b|\n|-|-|\n" + "".join(f"| {cell} | x |\n" for cell in column)).tables
        assert [row[0] for row in _rows(table)[1:]] == numbers

    @given(strategies.lists(strategies.text("0123456789+-.eE infa\u0661\uff11", max_size=8), min_size=1, max_size=4))
    def test_no_number_says_anything_else_than_was_written(self, column: list[str]) -> None:
        (table,) = Reply("|a|b|\n|-|-|\n" + "".join(f"| {cell} | x |\n" for cell in column)).tables
        for (cell, _), written in zip(_rows(table)[1:], column, strict=True):
            if isinstance(cell, float | int):
                assert Decimal(written.strip()) == Decimal(repr(cell))
                assert written.strip().lstrip("-")[0] != "0" or cell == 0 or "." in written
            else:
                assert (cell or "") == written.strip(" ")

    @pytest.mark.parametrize(
        "cell",
        ["$P(A|B)$", "`a | b`", "``a`|`b``", "$$|x|$$", r"\\(|x|\\)", "$|x|$ and `|`", "$x*y*z_1$", "$a_1$ or $b_2$"],
    )
    def test_a_formula_and_code_are_of_one_cell(self, cell: str) -> None:
        for row in (f"| {cell} | 1 |", f"{cell} | 1", f"| 0 | {cell} |"):
            (table,) = Reply(f"| a | {cell} |\n|---|---|\n{row}\n| 2 | 3 |\n\nand {cell} | x").tables
            header, first, second = _rows(table)
            shown = cell.replace("``", "`") if cell.startswith("``") else cell
            shown = shown[1:-1] if cell.startswith("`") else shown.replace("`|`", "|").replace("\\\\", "\\")
            assert header == ["a", shown]
            assert shown in first
            assert second == ["2", "3"] or "3" in map(str, second)

    @pytest.mark.parametrize(
        ("row", "cells"),
        [
            ("| $5 | 6$ |", ["$5", "6$"]),
            ("| $5 | $6 |", ["$5", "$6"]),
            ("| `a | b` |", ["`a", "b`"]),
            (r"| a \| b | c |", ["a | b", "c"]),
            (r"| `a \| b` | $P(A\|B)$ |", ["a | b", "$P(A|B)$"]),
            ("| a | b | c |", ["a", "b"]),
            ("| a |", ["a", ""]),
            ("| $5* | *b* |", ["$5*", "b"]),
        ],
    )
    def test_other_pipes_end_a_cell(self, row: str, cells: list[str]) -> None:
        (table,) = Reply(f"|x|y|\n|-|-|\n{row}\n").tables
        assert _rows(table)[1] == [cell or None for cell in cells] or _rows(table)[1] == cells


def _rows(table: Any) -> list[list[Any]]:
    """Return a table as rows, whether pandas is installed or not."""
    if isinstance(table, list):
        return table
    frame = table.astype(object).where(table.notna(), None)
    return [list(frame.columns), *frame.to_numpy().tolist()]


class TestJSON:
    @given(JSON_VALUES)
    def test_whatever_stands_around_it(self, value: Any) -> None:
        written = json.dumps(value)
        for answer in (written, f" {written}\n", f"Here:\n\n```json\n{written}\n```\nDone.", f"```\n{written}\n```"):
            assert Reply(answer).json() == value
        if isinstance(value, list | dict):
            assert Reply(f"It is {written}, I think.").json() == value

    def test_a_block_of_json_wins_over_what_stands_before_it(self) -> None:
        assert Reply('As in [1]:\n```python\n[2]\n```\n```json\n{"a": 3}\n```').json() == {"a": 3}

    @pytest.mark.parametrize(
        "before",
        [
            "see [1]: ",
            "see [1, 2]: ",
            "As in [1][2], [3], and [12, 15]: ",
            "[1] Smith 2020\n[2] Jones 2021\n\n",
            "[^1] and [^2]: ",
            "[1]: https://example.com\n\n",
            "In [1](https://example.com) and [2020](b): ",
            "x[0] is set to ",
            "f()[0] and a[1][2] are ",
            "The years [2019, 2020]. ",
            "- [ ] to do\n- [x] done\n\n",
            "【1】 [1†source] [1-3] [1; 2] [1, p. 3] ",
        ],
    )
    @pytest.mark.parametrize(
        "value", [{"a": 1}, {}, [{"a": [1]}], ["a"], [0.5], [3, 1, 2], [0, 1], [-1], [True], [[1, 2]]]
    )
    def test_a_citation_before_it_is_none(self, before: str, value: Any) -> None:
        for written in (json.dumps(value), json.dumps(value, indent=2)):
            assert Reply(f"{before}{written}").json() == value
            assert Reply(f"{before}{written}, see [1, 2].").json() == value

    @pytest.mark.parametrize(
        ("answer", "value"),
        [
            ("[1]", [1]),
            (" [1, 2]\n", [1, 2]),
            ("The values are [1, 2].", [1, 2]),
            ("See [1]: [10, 20]", [10, 20]),
            ("The primes are [2, 3, 5], the squares [1, 4].", [2, 3, 5]),
            ("```json\n[1]\n```\nas in {1}", [1]),
            ("[] is empty", []),
            ("It is [[1]] of {1}", [[1]]),
        ],
    )
    def test_a_list_of_numbers_may_be_the_value(self, answer: str, value: Any) -> None:
        assert Reply(answer).json() == value

    def test_braces_in_prose_are_passed_over(self) -> None:
        assert Reply('The set {a, b} is {"size": 2}.').json() == {"size": 2}

    @pytest.mark.parametrize("answer", ["", "None here.", "{not: json}", "[" * 100_000, '{"a": ' * 20_000])
    def test_where_there_is_none_that_is_said(self, answer: str) -> None:
        with pytest.raises(AnswerFormatError, match="The response contains no JSON") as caught:
            Reply(answer).json()
        assert isinstance(caught.value, ValueError | AnswerError)
        assert len(str(caught.value)) < 200
