"""``@names`` and attachments in a real kernel: what reaches the model, and what never does."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.seen import evaluate, the_answer, the_error_line, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer

PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")


COUNT = "len(get_ipython().history_manager.input_hist_raw)"


def sent(server: LocalServer) -> Any:
    """Return what the model was sent as the last question."""
    return server.requests[-1].messages[-1]["content"]


def footer(result: Result) -> str:
    page: str = the_answer(result).data["text/html"]
    return page


class TestVariables:
    def test_what_is_named_goes_to_the_model_and_nothing_else(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("x = [1, 2, 3]; hidden = 'never sent'")
        result = kernel.run("%chat What is @x?")
        assert sent(server) == "What is @x?\n\n@x:\n```\nlist, 3 items\n\n[1, 2, 3]\n```"
        assert "sent with it: @x (" in footer(result)
        assert "never sent" not in str(server.requests[-1].json)

    def test_it_stays_what_it_was_when_the_conversation_goes_on(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("x = 'before'")
        kernel.run("%chat What is @x?")
        kernel.run("x = 'after'")
        kernel.run("%chat And now?")
        assert "before" in server.requests[-1].messages[0]["content"]

    @pytest.mark.parametrize("call", ["%chat", "%%chat\n", "answer = %chat"])
    def test_it_works_wherever_a_question_is_asked(self, kernel: Kernel, server: LocalServer, call: str) -> None:
        kernel.run("таблица = {'ключ': 7}")
        assert kernel.run(f"{call} Что в @таблица['ключ']?").status == "ok"
        assert "7 (int)" in sent(server)

    def test_a_backslash_and_code_stay_text(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("x = 1")
        kernel.run(r"%chat \@x, `@x` and me@x.org")
        assert sent(server) == "@x, `@x` and me@x.org"

    def test_an_unknown_name_sends_nothing(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("frame = 1")
        line = the_error_line(kernel.run("%chat Explain @frme"))
        assert "There is no variable @frme. Did you mean frame?" in line
        assert r"write \@frme" in line
        assert not server.requests
        assert turns(kernel) == []

    def test_naming_runs_nothing(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        class Trap:
            @property
            def value(self):
                ran.append("property")
            def __getattr__(self, name):
                ran.append(name)
            def __repr__(self):
                return "<trap>"
        ran, trap = [], Trap()
        """
        kernel.run(code)
        assert "is computed by code" in the_error_line(kernel.run("%chat Explain @trap.value"))
        kernel.run("%chat Explain @trap")
        assert "<trap>" in sent(server)
        assert evaluate(kernel, "ran") == []

    def test_a_repr_that_never_ends_does_not_hold_up_the_question(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        class Endless:
            def __repr__(self):
                while True:
                    pass
        endless = Endless()
        """
        kernel.run(code)
        the_answer(kernel.run("%chat Explain @endless", timeout=15))
        assert "took longer than 2 s" in sent(server)
        assert evaluate(kernel, "[t.name for t in __import__('threading').enumerate() if 'context' in t.name]") == []

    def test_the_budget_is_an_option(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("x = 'word ' * 10_000")
        kernel.run("%config ChatSession.context_budget = 100")
        kernel.run("%chat Explain @x")
        assert len(sent(server)) < 1_000
        assert "characters left out" in sent(server)

    def test_classes_and_functions_of_the_notebook_are_their_source(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("class Point:\n    x: int = 0  # the first\n\ndef move(p):\n    return p  # moved")
        kernel.run("%chat Explain @Point and @move")
        assert "x: int = 0  # the first" in sent(server)
        assert "return p  # moved" in sent(server)


class TestHistory:
    def test_inputs_and_outputs(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("6 * 7")
        number = evaluate(kernel, COUNT) - 2
        kernel.run(f"%chat @In[{number}] gives @Out[{number}]")
        assert "@In" in sent(server)
        assert "6 * 7" in sent(server)
        assert "42 (int)" in sent(server)
        kernel.run("'the ' + 'last'")
        kernel.run("%chat Explain @_")
        assert "the last" in sent(server)

    def test_a_cell_with_all_that_it_showed(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        import sys
        from IPython.display import display
        print("printed")
        print("a warning", file=sys.stderr)
        print("10 %\\r100 %")
        display({"shown": 1})
        "the value"
        """
        kernel.run(code)
        kernel.run("%chat Explain @cell[-1]")
        for words in ('print("printed")', "[output]", "printed", "a warning", "{'shown': 1}", "'the value'"):
            assert words in sent(server)
        assert "\n100 %" in sent(server)
        assert "10 %\r" not in sent(server).split("[output]")[1]

    def test_cells_are_counted_from_the_one_that_runs(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("first = 1")
        kernel.run("second = 2")
        number = evaluate(kernel, COUNT) - 2
        kernel.run("%chat @cell[-2]")
        assert "second = 2" in sent(server)
        kernel.run(f"%chat @cell[{number - 1}]")
        assert "first = 1" in sent(server)
        assert "No executed cell" in the_error_line(kernel.run("%chat @cell[10000]"))

    def test_an_answer_is_an_output_as_any_other(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["One ", "two ", "three."], delay=0.2))
        kernel.run("%chat Count.")
        kernel.run("%chat --no-history Explain @cell")
        assert sent(server).count("One two three.") == 1

    def test_of_many_outputs_the_first_and_the_last_are_kept(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("for number in range(500):\n    display(number)")
        kernel.run("%config ChatSession.context_budget = 5000")
        kernel.run("%chat Explain @cell[-2]")
        shown = sent(server).split("[output]\n")[1].splitlines()
        assert shown[:3] == ["0", "1", "2"]
        assert shown[-3:] == ["498", "499", "```"]
        assert len(shown) < 110

    def test_a_figure_that_a_cell_showed_is_seen(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run(f"from IPython.display import Image; Image(data={PIXEL!r})")
        kernel.run(f"display(Image(data={PIXEL!r}))")
        kernel.run("%chat Explain @cell")
        text, picture = sent(server)
        assert "display(Image(" in text["text"]
        assert picture["image_url"]["url"] == f"data:image/png;base64,{b64encode(PIXEL).decode()}"


class TestErrors:
    def test_the_last_one_with_its_code(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        def mean(values):
            total = sum(values)
            return total / len(values)

        mean([])
        """
        kernel.run(code)
        kernel.run("%chat Explain @error")
        words = sent(server)
        assert "ZeroDivisionError: division by zero" in words
        assert "-->" in words
        assert ", line 3, in mean" in words
        assert "cell " in words
        assert "return total / len(values)" in words
        assert "in mean" in words
        for ours in ("interactiveshell.py", "chatanywhere_magic/", "ipykernel"):
            assert ours not in words

    def test_where_things_lie_on_this_machine_is_not_told(
        self, kernel: Kernel, server: LocalServer, tmp_path: Path
    ) -> None:
        (tmp_path / "helper_of_mine.py").write_text("def half(n):\n    # as people write\n    return n / 0\n")
        kernel.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import helper_of_mine, json")
        kernel.run("helper_of_mine.half(1)")
        kernel.run("%chat Explain @error")
        assert "helper_of_mine.py, line 3, in half" in sent(server)
        assert "# as people write" in sent(server)
        assert str(tmp_path) not in sent(server)
        kernel.run("json.loads('{')")
        kernel.run("%chat Explain @error")
        assert "json/__init__.py, line" in sent(server)
        assert sys.base_prefix not in sent(server)

    def test_one_that_comes_of_another(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('no a') from e")
        kernel.run("%chat Explain @error")
        assert sent(server).index("ValueError: no a") < sent(server).index("KeyError: 'a'")
        assert "It was raised because of this one:" in sent(server)

    def test_a_mistake_in_the_syntax(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("def f(:\n    pass")
        kernel.run("%chat Explain @error")
        assert "SyntaxError" in sent(server)
        assert "def f(:" in sent(server)

    def test_endless_recursion_is_told_in_short(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("def f(n):\n    return f(n + 1)\nf(0)")
        kernel.run("%chat Explain @error")
        assert "RecursionError" in sent(server)
        assert "more times" in sent(server)
        assert len(sent(server)) < 3_000

    def test_our_own_errors_are_not_meant(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("1 / 0")
        kernel.run("%chat -p nobody Hello")
        kernel.run("%chat Explain @error")
        assert "ZeroDivisionError" in sent(server)

    def test_the_cell_that_failed_knows_how(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("print('so far')\n1 / 0")
        kernel.run("%chat Explain @cell")
        assert "so far" in sent(server)
        assert "[error]\nZeroDivisionError" in sent(server)

    def test_one_from_before_the_extension_was_loaded(self, new_kernel: Any, server: LocalServer) -> None:
        kernel = new_kernel()
        kernel.run("1 / 0")
        kernel.run("%load_ext chatanywhere_magic")
        kernel.run("%chat Explain @error")
        assert "ZeroDivisionError" in sent(server)


class TestFiles:
    def test_one_that_the_prompt_names(self, kernel: Kernel, server: LocalServer, tmp_path: Path) -> None:
        file = tmp_path / "my data.csv"
        file.write_bytes("имя;возраст\nАнна;36\n".encode("cp1251"))
        result = kernel.run(f'%chat Explain @file:"{file}"')
        assert "Анна;36" in sent(server)
        assert "(cp1251)" in footer(result)

    def test_attachments(self, kernel: Kernel, server: LocalServer, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("in a")
        (tmp_path / "b b.txt").write_text("in b")
        kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
        result = kernel.run("%chat -a a.txt --attach 'b b.txt' What is in them?")
        assert sent(server) == "What is in them?\n\na.txt:\n```\nin a\n```\n\nb b.txt:\n```\nin b\n```"
        assert "sent with it: a.txt (" in footer(result)
        kernel.run("%chat And now?")
        assert "in a" not in sent(server)

    def test_a_picture(self, kernel: Kernel, server: LocalServer, tmp_path: Path) -> None:
        (tmp_path / "p.png").write_bytes(PIXEL)
        result = kernel.run(f"%chat -a {tmp_path / 'p.png'} What is it?")
        assert [part["type"] for part in sent(server)] == ["text", "image_url"]
        assert "(picture)" in footer(result)

    @pytest.mark.parametrize("provider", ["local", "chatanywhere-web"])
    def test_a_picture_for_a_provider_that_takes_none(
        self, kernel: Kernel, server: LocalServer, tmp_path: Path, provider: str
    ) -> None:
        (tmp_path / "p.png").write_bytes(PIXEL)
        line = the_error_line(kernel.run(f"%chat -p {provider} -a {tmp_path / 'p.png'} What is it?"))
        assert line.startswith("UnsupportedError")
        assert "is a picture, and this provider does not accept pictures. Ask one that does" in line
        assert not server.requests
        assert turns(kernel) == []

    def test_pictures_of_earlier_turns_are_left_out_for_a_provider_that_takes_none(
        self, kernel: Kernel, server: LocalServer, tmp_path: Path
    ) -> None:
        (tmp_path / "p.png").write_bytes(PIXEL)
        kernel.run(f"%chat -a {tmp_path / 'p.png'} What is it?")
        the_answer(kernel.run("%chat -p chatanywhere-web And now?"))
        assert "image_url" not in str(server.requests[-1].json)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ("-a nothing.txt", "The file nothing.txt does not exist"),
            ("-a .", "is a directory"),
            ("-a", "-a needs a value."),
        ],
    )
    def test_mistakes(self, kernel: Kernel, server: LocalServer, options: str, says: str) -> None:
        assert says in the_error_line(kernel.run(f"%chat {options}" + (" Hello" if options != "-a" else "")))
        assert not server.requests


class TestFromPython:
    def test_names_are_looked_up_where_it_is_said(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("x = 5")
        kernel.run("chat.ask_sync('What is @x?')")
        assert sent(server) == "What is @x?"
        kernel.run("chat.ask_sync('What is @x?', namespace=globals())")
        assert "5 (int)" in sent(server)
        kernel.run("chat.ask_sync('What is @x in @cell?', namespace=chat.names)")
        assert "namespace=globals()" in sent(server)

    def test_files(self, kernel: Kernel, server: LocalServer, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("in a")
        kernel.run(f"from pathlib import Path; chat.ask_sync('What?', attach=[Path({str(tmp_path)!r}) / 'a.txt'])")
        assert "in a" in sent(server)


def test_loading_the_extension_loads_none_of_it(new_kernel: Any) -> None:
    kernel = new_kernel()
    kernel.run("%load_ext chatanywhere_magic")
    loaded = set(evaluate(kernel, "list(__import__('sys').modules)"))
    assert "chatanywhere_magic.session.session" in loaded
    modules = ("context.resolving", "keys.scan", "render.preview")
    assert not {f"chatanywhere_magic.{module}" for module in modules} & loaded
