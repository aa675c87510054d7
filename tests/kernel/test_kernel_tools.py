"""The tools that work in the kernel, in a real one: what they look at, what they run, and what stays out of reach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.seen import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kernels import Kernel, Result

SETUP = """
import json, os
from pathlib import Path
from chatanywhere_magic import chat
from chatanywhere_magic.tools import BadToolCall, ToolFailure
_tools = {each.name: each for each in chat.tools.of_kernel}
def _call(tool, /, **arguments):
    tool = _tools[tool]
    try:
        return tool.function(**tool.read(json.dumps(arguments)))
    except (BadToolCall, ToolFailure) as problem:
        return f"refused: {problem}"
"""


@pytest.fixture
def ready(kernel: Kernel) -> Kernel:
    """A kernel with the tools, and no variables."""
    kernel.run("%reset -f")
    kernel.run(SETUP)
    return kernel


def call(kernel: Kernel, tool: str, /, **arguments: Any) -> str:
    """Call a tool in a cell of its own and return what the model reads."""
    kernel.run(f"_told = _call({tool!r}, **json.loads({json.dumps(arguments)!r}))")
    return str(evaluate(kernel, "_told"))


def run(kernel: Kernel, code: str) -> Result:
    """Have the tool run `code` from a cell, and return what the cell shows."""
    return kernel.run(f"_told = _call('run_code', code={code!r})")


def told(kernel: Kernel) -> str:
    return str(evaluate(kernel, "_told"))


class TestLooking:
    def test_variables_with_type_and_size(self, ready: Kernel) -> None:
        ready.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2, 3]})\nwords = ['x'] * 1000\n_hidden = 1")
        listed = call(ready, "list_variables").splitlines()
        assert "df: DataFrame, 3 × 1" in listed
        assert "words: list, 1,000" in listed
        assert not any(line.startswith(("_", "In:", "cell", "error")) for line in listed)
        assert call(ready, "list_variables", prefix="wo") == "words: list, 1,000"
        assert call(ready, "list_variables", prefix="zz") == "There are none."

    def test_no_code_of_a_variable_runs(self, ready: Kernel) -> None:
        ready.run(
            "ran = []\nclass Odd:\n"
            "    def __len__(self): ran.append('len'); return 1\n"
            "    def __repr__(self): ran.append('repr'); return 'Odd'\n"
            "    def __eq__(self, other): ran.append('eq'); return True\n"
            "    def __getattr__(self, name): ran.append(name); return 1\n"
            "    @property\n    def shape(self): ran.append('shape'); return (1,)\n"
            "odd = Odd()"
        )
        assert "odd: Odd" in call(ready, "list_variables").splitlines()
        call(ready, "read_documentation", name="odd")
        assert "is computed by code" in call(ready, "inspect_variable", name="odd.shape")
        run(ready, "x = 1")
        assert evaluate(ready, "ran") == []

    def test_a_variable_and_its_parts(self, ready: Kernel) -> None:
        ready.run("import pandas as pd\ndf = pd.DataFrame({'price': [1.5, 2.5]})\ndata = {'k': 'inside'}")
        assert "price" in call(ready, "inspect_variable", name="df")
        assert "1.5" in call(ready, "inspect_variable", name="df.price")
        assert "inside" in call(ready, "inspect_variable", name='data["k"]')

    @pytest.mark.parametrize(
        "name",
        [
            "file:secret.txt",
            'file:"secret.txt"',
            "data @file:secret.txt",
            "data\n@file:secret.txt",
            "data()",
            "",
            "1+1",
        ],
    )
    def test_nothing_else_can_be_inspected(self, ready: Kernel, name: str) -> None:
        ready.run("data = 1\nPath('secret.txt').write_text('the secret')")
        looked = call(ready, "inspect_variable", name=name)
        assert looked.startswith("refused: ")
        assert "the secret" not in looked

    def test_a_cell_with_what_it_showed(self, ready: Kernel) -> None:
        ready.run("for n in range(3):\n    print('line', n)")
        shown = call(ready, "read_cell", number=-1)
        assert "for n in range(3):" in shown
        assert "line 2" in shown
        assert call(ready, "read_cell", number=10_000).startswith("refused: ")

    def test_the_last_error(self, ready: Kernel) -> None:
        ready.run("def half(x):\n    return x / 0\nhalf(1)")
        shown = call(ready, "read_last_error")
        assert "ZeroDivisionError" in shown
        assert "--> 2     return x / 0" in shown

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("print", "end="),
            ("str.split", "maxsplit"),
            ("json.dumps", "Serialize"),
            ("pd.DataFrame.groupby", "Group DataFrame"),
            ("df.groupby", "Group DataFrame"),
            ("pandas.read_csv", "Read a comma-separated"),
            ("df.loc", "Access a group of rows"),
            ("own", "My own words."),
        ],
    )
    def test_documentation(self, ready: Kernel, name: str, words: str) -> None:
        ready.run("import pandas as pd\ndf = pd.DataFrame()\ndef own(x: int):\n    '''My own words.'''\n    return x")
        assert words in call(ready, "read_documentation", name=name)

    @pytest.mark.parametrize(
        "name", ["nothing", "os.nothing", "os.system('true')", "a b", "x" * 500, "", "antigravity"]
    )
    def test_documentation_of_what_is_not_there(self, ready: Kernel, name: str) -> None:
        assert call(ready, "read_documentation", name=name).startswith("refused: ")


class TestFiles:
    def test_lines_of_a_text(self, ready: Kernel) -> None:
        ready.run(
            "os.makedirs('data', exist_ok=True)\nPath('data/a.csv').write_text(''.join(f'{n}\\n' for n in range(500)))"
        )
        shown = call(ready, "read_file", path="data/a.csv").splitlines()
        assert shown[:2] == ["lines 1 to 200 of 500:", "0"]
        assert call(ready, "read_file", path="data/a.csv", first_line=499).splitlines() == [
            "lines 499 to 500 of 500:",
            "498",
            "499",
        ]
        assert "a.csv (1,890 bytes)" in call(ready, "read_file", path="data")

    @pytest.mark.parametrize(
        "path",
        [
            "/etc/hostname",
            "../outside.txt",
            "data/../../outside.txt",
            "link.txt",
            "folder/outside.txt",
            ".env",
            ".hidden/a.txt",
            "data/.netrc",
            "id_rsa",
            "server.pem",
            "client_secret.json",
            "password.txt",
            "sneaky.txt",
            "~/a.txt",
            "missing.txt",
            "a\0b",
            "large.txt",
            "pipe",
            "binary.dat",
        ],
    )
    def test_what_is_out_of_reach(self, ready: Kernel, path: str) -> None:
        ready.run(
            "for name in ('data', '.hidden'): os.makedirs(name, exist_ok=True)\n"
            "for name in ('../outside.txt', '.env', '.hidden/a.txt', 'data/.netrc', 'id_rsa', 'server.pem',\n"
            "             'client_secret.json', 'password.txt'): Path(name).write_text('the secret')\n"
            "Path('large.txt').write_text('the secret' * 100_000)\n"
            "Path('binary.dat').write_bytes(b'the secret\\0' * 9)\n"
            "for name, target in (('link.txt', '../outside.txt'), ('folder', '..'), ('sneaky.txt', '.env')):\n"
            "    if not os.path.islink(name): os.symlink(target, name)\n"
            "if not os.path.exists('pipe'): os.mkfifo('pipe')\n"
        )
        read = call(ready, "read_file", path=path)
        assert read.startswith("refused: ")
        assert "the secret" not in read

    def test_an_approval_covers_the_folder(self, ready: Kernel) -> None:
        ready.run(
            "os.makedirs('data/inner', exist_ok=True)\n"
            "for name in ('a', 'data/b', 'data/inner/c'): Path(name).write_text('x')"
        )
        paths = ["a", "data/b", "data/./b", "data", "data/inner/../b", "data/inner/c", "."]
        assert evaluate(ready, f"[_tools['read_file'].covers({{'path': each}}) for each in {paths}]") == [
            "./", "./data", "./data", "./data", "./data", "./data/inner", "./",
        ]  # fmt: skip
        assert evaluate(ready, "_tools['read_file'].approval") == "ask"


class TestRunningCode:
    def test_it_runs_as_a_cell(self, ready: Kernel) -> None:
        result = run(ready, "x = 6 * 7\nprint('printed')\nx")
        assert result.status == "ok"
        assert result.stdout == "printed\n"
        assert [each["data"]["text/plain"] for each in result.outputs if "data" in each] == ["42"]
        said = told(ready)
        assert said.endswith("added: x (int, 42)")
        number = int(said.removeprefix("Ran as cell ").split()[0])
        assert evaluate(ready, f"In[{number}]") == "x = 6 * 7\nprint('printed')\nx\n# approved and run in the chat"
        assert evaluate(ready, f"Out[{number}]") == evaluate(ready, "_") == 42

    def test_cells_and_their_numbers_stay_in_step(self, ready: Kernel) -> None:
        run(ready, "a = 1")
        ready.run("_told = [_call('run_code', code=f'b = {n}') for n in range(3)]")
        (output,) = ready.run("'the next one'").outputs
        number = output["execution_count"]
        assert evaluate(ready, f"[In[{number}], Out[{number}]]") == ["'the next one'", "the next one"]
        lines = evaluate(ready, "[each[1] for each in get_ipython().history_manager.get_range(output=False)]")
        assert len(set(lines)) == len(lines)

    def test_what_changed_is_told(self, ready: Kernel) -> None:
        ready.run(
            "import numpy as np, pandas as pd\n"
            "df = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\nother = df.copy()\narray = np.zeros((2, 3))\n"
            "items, same, gone, number = [1], [2], 3, 4\ndata = {'k': 1}"
        )
        run(
            ready,
            "df.loc[0, 'a'] = 9\nother.loc[1, 'b'] = 'z'\narray[0, 0] = 1\nitems.append(2)\ndel gone\nnumber = 'five'\n"
            "data['k'] = 2\nnew = pd.DataFrame({'c': range(5)})\n_private = 1",
        )
        changed = [
            "df (DataFrame, 2 × 2)",
            "other (DataFrame, 2 × 2)",
            "array (ndarray, 2 × 3)",
            "items (list, 2), was list, 1",
            "number (str, 'five'), was int, 4",
            "data (dict, 1)",
        ]
        assert told(ready).splitlines()[1:] == [
            "added: new (DataFrame, 5 × 1)",
            f"changed: {'; '.join(changed)}",
            "deleted: gone",
        ]
        run(ready, "len(df)")
        assert told(ready).splitlines()[1:] == ["No variable was added, changed or deleted."]

    def test_an_error_is_returned_and_not_shown(self, ready: Kernel) -> None:
        result = run(ready, "y = 1\nraise ValueError('no <b>good</b>')")
        assert result.status == "ok"
        assert result.errors == []
        assert "good" not in result.stdout + result.stderr
        assert told(ready).startswith("refused: ValueError: no <b>good</b>")
        assert "--> 2 raise ValueError" in told(ready)
        assert told(ready).endswith("added: y (int, 1)")
        assert "no <b>good</b>" in call(ready, "read_last_error")

    @pytest.mark.parametrize("code", ["x = (", "if True:\nx = 1", "await something()", "return 1", "%nomagic"])
    def test_code_that_cannot_begin(self, ready: Kernel, code: str) -> None:
        result = run(ready, code)
        assert (result.status, result.errors) == ("ok", [])
        assert told(ready).startswith("refused: ")
        assert "Error" in told(ready)

    def test_the_cell_around_it_fails_as_ever_afterwards(self, ready: Kernel) -> None:
        run(ready, "1 / 0")
        result = ready.run("1 / 0")
        assert result.errors[0].ename == "ZeroDivisionError"
        assert ready.run("5").outputs[0]["output_type"] == "execute_result"

    def test_magics_and_silenced_values(self, ready: Kernel) -> None:
        assert [each["data"] for each in run(ready, "5;").outputs if "data" in each] == []
        assert "bash" in run(ready, "%%bash\necho bash").stdout
        run(ready, "z = !echo shell")
        assert evaluate(ready, "list(z)") == ["shell"]

    def test_an_interrupt_of_it_interrupts_the_turn(self, ready: Kernel) -> None:
        running = ready.start("_call('run_code', code=\"print('begun', flush=True)\\nwhile True: pass\")")
        running.wait_until(lambda result: "begun" in result.stdout)
        ready.interrupt()
        assert running.wait().errors[0].ename == "KeyboardInterrupt"

    def test_its_cells_can_be_read_at_once(self, ready: Kernel) -> None:
        ready.run(
            "_call('run_code', code='print(\"from inside\")')\n_told = _call('read_cell', number=-1)\nprint('outside')"
        )
        assert "from inside" in told(ready)
        assert "outside" not in told(ready)
        ready.run("print('around', _call('run_code', code='1') and '')\nprint('afterwards')\n_number = len(In) - 2")
        around = call(ready, "read_cell", number=evaluate(ready, "_number"))
        assert "around" in around.partition("[output]")[2]
        assert "afterwards" in around.partition("[output]")[2]


class TestWritingACell:
    def test_it_goes_below_and_is_not_run(self, ready: Kernel) -> None:
        result = ready.run("_told = _call('write_cell', code='written = 1')")
        assert [(each["source"], each["text"], each["replace"]) for each in result.payload] == [
            ("set_next_input", "written = 1", False)
        ]
        assert told(ready) == "The code is in a new cell below, and was not run."
        assert evaluate(ready, "'written' in globals()") is False

    def test_of_two_the_second_is_refused_for_only_one_would_appear(self, ready: Kernel) -> None:
        result = ready.run("_told = [_call('write_cell', code=f'n = {n}') for n in range(2)]")
        assert [each["text"] for each in result.payload] == ["n = 0"]
        said = evaluate(ready, "_told")
        assert said[0].startswith("The code is in a new cell below")
        assert said[1].startswith("refused: There is a new cell below already")

    def test_what_it_would_replace_is_shown(self, ready: Kernel) -> None:
        ready.run("old = 1; _number = len(In) - 1")
        number = evaluate(ready, "_number")
        shown = evaluate(ready, f"vars(_tools['write_cell'].shows({{'code': 'new = 2', 'replaces': {number}}}))")
        assert (shown["text"], shown["replaces"], shown["editable"]) == (
            "new = 2",
            "old = 1; _number = len(In) - 1",
            "code",
        )

    def test_without_a_cell_above_it_there_is_no_below(self, ready: Kernel) -> None:
        ready.run(
            "import asyncio\nasync def _later():\n    global _told\n    _told = _call('write_cell', code='x')\n"
            "_task = asyncio.get_running_loop().create_task(_later())"
        )
        ready.run("pass")
        assert told(ready).startswith("refused: No cell is running")


def test_who_approves_what(ready: Kernel) -> None:
    kinds = evaluate(ready, "{name: [each.approval, each.standing, each.thread_safe] for name, each in _tools.items()}")
    free = ["never", "conversation", True]
    assert kinds == {
        "list_variables": free,
        "inspect_variable": free,
        "read_cell": free,
        "read_last_error": free,
        "read_documentation": free,
        "read_file": ["ask", "conversation", True],
        "run_code": ["ask", "turn", False],
        "write_cell": ["ask", "never", False],
    }


class TestInATurn:
    """The same tools, called by a model in a turn that a cell waits for."""

    def test_they_are_offered_only_where_the_person_says_so(self, ready: Kernel) -> None:
        ready.run("from chatanywhere_magic import Scripted, Script\nchat.provider = Scripted.of('a', 'b', 'c', 'd')")
        asked = "[each['function']['name'] for each in chat.prepare('x'{}).request.params.get('tools', [])]"
        assert evaluate(ready, asked.format("")) == []
        assert len(evaluate(ready, asked.format(", agent=True"))) == 8
        assert evaluate(ready, asked.format(", tools=['run_code']")) == ["run_code"]
        ready.run("chat.agent = True")
        assert len(evaluate(ready, asked.format(""))) == 8
        assert evaluate(ready, asked.format(", agent=False")) == []
        assert evaluate(ready, asked.format(", tools=[]")) == []
        ready.run("chat.agent = False")

    @pytest.fixture
    def asking(self, ready: Kernel) -> Iterator[Kernel]:
        """A kernel in which a list answers for the person, and what code does is seen in a directory."""
        ready.run(
            "import os, shutil\nfrom chatanywhere_magic import Scripted, Script\n"
            "class _Person:\n"
            "    can_ask = True\n"
            "    def __init__(self, *answers): self.answers, self.asked = [*answers], []\n"
            "    def ask(self, approval, approvals, live):\n"
            "        self.asked.append([approval.tool.name, approval.shown.text])\n"
            "        answer, arguments = self.answers.pop(0) if self.answers else 'no', None\n"
            "        if isinstance(answer, dict): answer, arguments = 'once', json.dumps(answer)\n"
            "        approvals.answer(approval.id, answer, arguments=arguments)\n"
            "def _ask(answers, *scripts, **options):\n"
            "    global _person, _model\n"
            "    chat.tools.host = _person = _Person(*answers)\n"
            "    _model = chat.provider = Scripted.of(*scripts, 'The end.')\n"
            "    return str(chat('Go', agent=True, **options))\n"
            "def _run(name): return Script(calls=[('run_code', {'code': f\"open('effects/{name}', 'x').close()\"})])\n"
            "shutil.rmtree('effects', ignore_errors=True)\nos.mkdir('effects')\n_host = chat.tools.host"
        )
        yield ready
        ready.run("chat.tools.host = _host\nchat.tools.revoke()")

    def effects(self, kernel: Kernel) -> list[str]:
        return sorted(evaluate(kernel, "os.listdir('effects')"))

    @pytest.mark.parametrize(
        ("answers", "expected"),
        [
            ("['no', 'no', 'no']", []),
            ("['once', 'no', 'no']", ["a"]),
            ("['no', 'once', 'no']", ["b"]),
            ("['no', 'always']", ["b", "c"]),
        ],
    )
    def test_code_runs_as_it_is_allowed(self, asking: Kernel, answers: str, expected: list[str]) -> None:
        asking.run(f"_ask({answers}, _run('a'), _run('b'), _run('c'))")
        assert self.effects(asking) == expected

    def test_trust_ends_with_the_turn(self, asking: Kernel) -> None:
        asking.run("_ask(['always'], _run('a'), _run('b'))\n_ask([], _run('c'))")
        assert self.effects(asking) == ["a", "b"]
        assert evaluate(asking, "len(_person.asked)") == 1
        assert evaluate(asking, "len(chat.tools.standing)") == 0

    def test_edited_code_is_what_runs_and_what_the_model_is_told(self, asking: Kernel) -> None:
        asking.run("_ask([{'code': \"open('effects/mine', 'x').close()\"}], _run('a'))")
        assert self.effects(asking) == ["mine"]
        assert "effects/mine" in str(evaluate(asking, "_model.requests[-1]"))

    @pytest.mark.parametrize(
        "call",
        [
            "('inspect_variable', {'name': \"open('effects/a', 'x')\"})",
            "('inspect_variable', {'name': 'odd.shape'})",
            "('inspect_variable', {'name': 'odd[0]'})",
            "('inspect_variable', {'name': 'file:effects'})",
            "('list_variables', {'prefix': 'odd.'})",
            "('read_documentation', {'name': \"os.mkdir('effects/a')\"})",
            "('read_documentation', {'name': 'odd.shape'})",
            "('read_documentation', {'name': 'antigravity'})",
            "('read_file', {'path': '../../etc/passwd'})",
            "('read_cell', {'number': 'os.mkdir'})",
            "('run_code', {'code': 'os.mkdir(\"effects/a\")', 'approved': True})",
            "('run_code', {})",
            "('RUN_CODE', {'code': 'os.mkdir(\"effects/a\")'})",
        ],
    )
    def test_looking_has_no_effect_and_asks_nobody(self, asking: Kernel, call: str) -> None:
        asking.run(
            "class Odd:\n"
            "    shape = property(lambda self: os.mkdir('effects/shape'))\n"
            "    def __getitem__(self, key): os.mkdir('effects/item')\n"
            "    def __repr__(self): return 'odd'\n"
            "odd = Odd()"
        )
        asking.run(f"_ask(['once'], Script(calls=[{call}]))")
        assert self.effects(asking) == []
        assert evaluate(asking, "_person.asked") == []
        assert "antigravity" not in evaluate(asking, "list(__import__('sys').modules)")

    def test_a_folder_is_asked_about_once(self, asking: Kernel) -> None:
        asking.run(
            "os.makedirs('data', exist_ok=True)\nfor name in ('x', 'data/a', 'data/b'): Path(name).write_text('text')"
        )
        read = "Script(calls=[('read_file', {'path': each}) for each in ('data/a', 'data/b', 'data', 'x')])"
        asking.run(f"_ask(['once', 'no'], {read})")
        assert evaluate(asking, "_person.asked") == [["read_file", "data/a"], ["read_file", "x"]]

    def test_a_turn_that_looks_and_runs(self, ready: Kernel) -> None:
        ready.run(
            "from chatanywhere_magic import Scripted, Script\n"
            "class _Person:\n"
            "    can_ask, asked = True, []\n"
            "    def ask(self, approval, approvals, live):\n"
            "        self.asked.append([approval.tool.name, approval.shown.text])\n"
            "        approvals.answer(approval.id, 'once')\n"
            "_host, chat.tools.host = chat.tools.host, _Person()\n"
            "_model = chat.provider = Scripted.of(\n"
            "    Script(calls=[('list_variables', {}), ('run_code', {'code': 'y = x + 1\\ny'})]),\n"
            "    Script(calls=[('run_code', {'code': '1 / 0'})]), 'It is 42.')\n"
            "x = 41"
        )
        result = ready.run("_reply = chat('What is x + 1?', agent=True)\nchat.tools.host = _host")
        assert result.status == "ok", result.errors
        assert evaluate(ready, "[str(_reply), y]") == ["It is 42.", 42]
        assert evaluate(ready, "_Person.asked") == [["run_code", "y = x + 1\ny"], ["run_code", "1 / 0"]]
        told = evaluate(ready, "[each['content'] for each in _model.requests[-1] if each['role'] == 'tool']")
        assert "x: int, 41" in told[0].splitlines()
        assert "added: y (int, 42)" in told[1]
        assert told[1].endswith("42")
        assert told[2].startswith("ZeroDivisionError: division by zero")

    def test_of_a_turn_that_no_cell_waits_for_code_runs_when_the_kernel_is_idle(self, asking: Kernel) -> None:
        asking.run(
            "_page = object()\nchat.tools.approvals.front_ends.add(_page)\n"
            "_end = chat.tools.approvals.listen(\n"
            "    lambda each: each.state == 'waiting' and chat.tools.approvals.answer(each.id, 'once'))\n"
            "chat.provider = Scripted.of(Script(calls=[('run_code', {'code': 'z = 7\\nz'}), "
            "('write_cell', {'code': 'z'})]), 'It is 7.')\n"
            "_live = chat.prepare('Go', agent=True)\n_future = chat.start(_live)"
        )
        asking.wait_until(lambda: bool(evaluate(asking, "_live.is_over")))
        asking.run("_end(); chat.tools.approvals.front_ends.discard(_page)")
        assert evaluate(asking, "[_live.status, str(_live.reply()), z]") == ["complete", "It is 7.", 7]
        ran, wrote = evaluate(asking, "[each.result.text for each in _live.calls]")
        assert "added: z (int, 7)" in ran
        assert ran.endswith("7")
        assert wrote.startswith("No cell is running")
        marked = evaluate(asking, "[each for each in In if each.startswith('z = 7')]")
        assert marked == ["z = 7\nz\n# approved and run in the chat"]
