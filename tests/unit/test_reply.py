"""An answer as a value: code, tables and JSON out of it, and a string through and through."""

from __future__ import annotations

import copy
import json
import pickle
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
        ],
    )
    def test_the_code_of_a_kind_that_it_can_hold(self, answer: str, cell: str) -> None:
        assert code_for_cell(answer) == cell

    def test_the_question_above_it(self) -> None:
        assert code_for_cell("```python\na\n```", "Do a,\n\nplease") == "# Do a,\n#\n# please\na"
        assert code_for_cell("```bash\nls\n```", "List") == "%%bash\n# List\nls"
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

    def test_braces_in_prose_are_passed_over(self) -> None:
        assert Reply('The set {a, b} is {"size": 2}.').json() == {"size": 2}

    @pytest.mark.parametrize("answer", ["", "None here.", "{not: json}", "[" * 100_000, '{"a": ' * 20_000])
    def test_where_there_is_none_that_is_said(self, answer: str) -> None:
        with pytest.raises(AnswerFormatError, match="The response contains no JSON") as caught:
            Reply(answer).json()
        assert isinstance(caught.value, ValueError | AnswerError)
        assert len(str(caught.value)) < 200
