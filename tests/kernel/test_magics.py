"""``%%chat`` and ``%chat`` in a real kernel: what a person types, and what the cell then shows."""

from __future__ import annotations

import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic.render.display import PAINT_SECONDS
from tests.kernel.conftest import LOAD
from tests.kernel.seen import Turn, evaluate, text_so_far, the_answer, the_error_line, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer

AS_TYPED = [
    "plain words",
    "braces {x} and {1 + 1} and {{both}}",
    "$x, $HOME and $$",
    "100 % of it, %timeit, %%time",
    "!ls and !!ls",
    'it\'s "quoted", and one more " and \'',
    r"back\slashes \n \\ and a path C:\new",
    "ends in a semicolon;",
    "What is a list?",
    "What is a list??",
    "it's what? What's a dict?",
    "/slash and ,comma and ;semicolon first",
    "a = [1, 2",
    "007 is no number, nor is 1_",
    "Что такое медиана? 中位数是什么？ 🙂",
    "two  spaces   inside",
    "# a comment? or not",
]


class TestStreaming:
    def test_text_is_shown_while_it_comes(self, kernel: Kernel, server: LocalServer) -> None:
        rest = threading.Event()
        server.queue(Answer(text=["One ", "two ", "three."], hold=rest, hold_after=1))
        running = kernel.start("%%chat\nCount.")
        running.wait_until(lambda result: text_so_far(result) == "One ")
        assert not running.done
        assert "One" in running.result.outputs[0]["data"]["text/html"]
        rest.set()
        assert the_answer(running.wait()).data["text/plain"] == "One two three."

    @pytest.mark.parametrize("cell", ["%time %chat Why is {x}?", "%prun -q answer = %chat Why is {x}?"])
    def test_another_magic_that_runs_it_gets_the_prompt_as_it_was_typed(self, kernel: Kernel, cell: str) -> None:
        assert kernel.run(cell).status == "ok"
        assert [turn.prompt for turn in turns(kernel)] == ["Why is {x}?"]

    def test_the_first_text_does_not_wait_for_the_clock(self, kernel: Kernel) -> None:
        code = """
        import asyncio, time

        async def quick(model, messages):
            global given
            await asyncio.sleep(0.02)
            given = time.time()
            yield "Now."
            await asyncio.sleep(0.15)
            yield " Then."

        chat.provider = quick
        """
        kernel.run(code)
        delays = []
        for _ in range(5):
            result = kernel.run("%chat Hello")
            given = evaluate(kernel, "given")
            delays.append(min(at - given for at, kind in result.sent if "display" in kind and at > given))
        # Of five, because the machine may be busy with something else.
        assert min(delays) < PAINT_SECONDS * 0.75

    def test_ipythons_own_history_is_saved_while_the_answer_is_awaited(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        file = evaluate(kernel, "str(get_ipython().history_manager.hist_file)")
        query = "SELECT count(*) FROM history WHERE source_raw LIKE ?"
        # Several, for a first one loads so much that its history is saved before it is asked.
        for number in range(4):
            rest = threading.Event()
            server.queue(Answer(text=["At last."], hold=rest, hold_after=0))
            running = kernel.start(f"%%chat\nQuestion {number}, to be kept.")
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as history:
                words = (f"%Question {number}, to be kept.",)
                kernel.wait_until(lambda: history.execute(query, words).fetchone() == (1,))  # noqa: B023 - called here
            assert not running.done
            rest.set()
            running.wait()

    def test_one_output_is_painted_again_and_again(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["a ", "b ", "c ", "d ", "e"], delay=0.15))
        result = kernel.run("%%chat\nSpell.")
        assert len(result.outputs) == 1
        assert result.updates >= 4

    def test_a_fast_answer_is_painted_by_the_clock(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["word "] * 500, delay=0.002))
        result = kernel.run("%%chat\nRush.")
        assert text_so_far(result) == "word " * 500
        assert 5 <= result.updates < 30

    def test_what_is_left_is_one_output_with_everything_in_it(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["**Hello**, ", "you."], usage=(5, 4)))
        answer = the_answer(kernel.run("%%chat\nGreet me."))
        assert set(answer.data) == {"text/plain", "text/html"}
        assert answer.data["text/plain"] == "**Hello**, you."
        assert "<strong>Hello</strong>, you." in answer.data["text/html"]
        assert "openai · test-model · tokens: 5 in, 4 out" in answer.data["text/html"]
        turn = answer.metadata["chatanywhere"]
        assert turn.pop("timing")["started"] > 1e9
        assert len(turn.pop("conversation")) == 32
        assert len(turn.pop("fingerprint")) == 64
        assert turn == {
            "schema": 2,
            "turn": 0,
            "number": 0,
            "prompt": "Greet me.",
            "status": "complete",
            "provider": "openai",
            "model": "test-model",
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 5, "completion_tokens": 4},
            "origin": {"source": "cell"},
        }

    def test_the_footer_can_be_left_out(self, kernel: Kernel) -> None:
        kernel.run("%config ChatSession.footer = False")
        answer = the_answer(kernel.run("%chat Hello"))
        assert "openai" not in answer.data["text/html"]

    def test_an_answer_cut_at_the_limit_says_so(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Once upon a"], finish_reason="length"))
        answer = the_answer(kernel.run("%chat Tell me a story"))
        assert "cut off at the token limit" in answer.data["text/html"]
        assert answer.data["text/plain"] == "Once upon a"

    def test_while_there_is_no_text_the_cell_says_what_it_waits_for(self, kernel: Kernel, server: LocalServer) -> None:
        gate = threading.Event()
        server.queue(Answer(text=["At last."], hold=gate, hold_after=0))
        running = kernel.start("%chat Hello")
        running.wait_until(lambda result: "waiting for the response … 1 s" in text_so_far(result))
        gate.set()
        assert the_answer(running.wait()).data["text/plain"] == "At last."

    def test_the_answer_is_not_kept_as_the_cells_value(self, kernel: Kernel) -> None:
        """It would be shown a second time."""
        result = kernel.run("%chat Hello")
        assert not [output for output in result.outputs if output["output_type"] == "execute_result"]

    def test_other_output_of_the_cell_is_left_alone(self, kernel: Kernel) -> None:
        code = """
        from IPython.display import display
        print("before")
        display("mine", display_id="mine")
        %chat Hello
        print("after")
        """
        result = kernel.run(code)
        kinds = [output["output_type"] for output in result.outputs]
        assert kinds == ["stream", "display_data", "display_data", "stream"]
        assert result.outputs[0]["text"] == "before\n"
        assert result.displays["mine"].data["text/plain"] == "'mine'"
        assert "I was sent 1 messages" in result.outputs[2]["data"]["text/plain"]
        assert result.outputs[3]["text"] == "after\n"


class TestConversation:
    def test_a_follow_up_knows_what_was_said_before(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Ada."]), Answer(text=["Still Ada."]))
        kernel.run("%%chat\nMy name is Ada.")
        kernel.run("%chat Who am I?")
        assert server.requests[1].messages == [
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Ada."},
            {"role": "user", "content": "Who am I?"},
        ]

    def test_a_new_conversation_knows_nothing(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat My name is Ada.")
        assert kernel.run("%chat_new").stdout == "Started a new conversation.\n"
        kernel.run("%chat Who am I?")
        assert server.requests[1].messages == [{"role": "user", "content": "Who am I?"}]

    def test_running_a_cell_again_revises_its_turn(self, kernel: Kernel, server: LocalServer) -> None:
        for question, cell in [("first", "a"), ("second", "b"), ("third", "c")]:
            kernel.run(f"%chat {question}", cell_id=cell)
        kernel.run("%chat second, in other words", cell_id="b")
        assert [turn.prompt for turn in turns(kernel)] == ["first", "second, in other words", "third"]
        # It is sent what stands above it, not what was asked since.
        assert [message["content"] for message in server.requests[3].messages] == [
            "first",
            "I was sent 1 messages. The last one says: first",
            "second, in other words",
        ]
        assert evaluate(kernel, "[len(turn.versions) for turn in chat.conversation.turns]") == [1, 2, 1]

    def test_cells_without_identity_append(self, kernel: Kernel) -> None:
        kernel.run("%chat the same")
        kernel.run("%chat the same")
        assert len(turns(kernel)) == 2

    def test_every_question_of_a_cell_is_a_turn_of_its_own(self, kernel: Kernel) -> None:
        code = """
        for number in range(2):
            get_ipython().run_line_magic("chat", f"question {number}")
        for _ in range(2):
            %chat What about this one?
        """
        for _ in range(2):
            kernel.run(code, cell_id="loop")
            asked = ["question 0", "question 1", "What about this one?", "What about this one?"]
            assert [turn.prompt for turn in turns(kernel)] == asked

    def test_an_aside_neither_sends_nor_changes_it(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat first")
        the_answer(kernel.run("%chat --no-history aside"))
        assert server.requests[1].messages == [{"role": "user", "content": "aside"}]
        assert [turn.prompt for turn in turns(kernel)] == ["first"]

    def test_a_cell_can_append_instead_of_revising(self, kernel: Kernel) -> None:
        kernel.run("%chat one", cell_id="a")
        kernel.run("%chat --append two", cell_id="a")
        assert [turn.prompt for turn in turns(kernel)] == ["one", "two"]


class TestPrompts:
    @pytest.mark.parametrize("prompt", AS_TYPED)
    def test_a_line_reaches_the_model_as_typed(self, kernel: Kernel, server: LocalServer, prompt: str) -> None:
        the_answer(kernel.run(f"x = 'expanded'\n%chat {prompt}"))
        assert server.requests[0].messages[-1]["content"] == prompt

    @pytest.mark.parametrize("prompt", [*AS_TYPED, "\n".join(AS_TYPED), "  indented\n\n\ttabs\t\n\n  and blank lines"])
    def test_a_cell_reaches_the_model_as_typed(self, kernel: Kernel, server: LocalServer, prompt: str) -> None:
        kernel.run("x = 'expanded'")
        the_answer(kernel.run(f"%%chat\n{prompt}"))
        assert server.requests[0].messages[-1]["content"] == prompt

    def test_an_open_bracket_does_not_reach_into_the_next_line(self, kernel: Kernel, server: LocalServer) -> None:
        prompts = ["I am sad :(", "What is a list?", "and {this [one?", "What is a dict?"]
        assert kernel.run("\n".join(f"%chat {prompt}" for prompt in prompts)).status == "ok"
        assert [request.messages[-1]["content"] for request in server.requests] == prompts

    def test_a_prompt_may_begin_with_a_dash(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat -- --help is an option?")
        kernel.run("%chat - is this a list?")
        kernel.run("%chat -273.15 is what in kelvin?")
        kernel.run("%%chat\n--help is an option")
        assert [request.messages[-1]["content"] for request in server.requests] == [
            "--help is an option?",
            "- is this a list?",
            "-273.15 is what in kelvin?",
            "--help is an option",
        ]

    def test_pasted_sessions_stay_as_typed(self, kernel: Kernel, server: LocalServer) -> None:
        body = ">>> a = [1,\n...      2]\n>>> a\nIn [3]: a?\n   \n%timeit a\n!ls;"
        the_answer(kernel.run(f"%%chat\n{body}"))
        assert server.requests[0].messages[-1]["content"] == body

    def test_a_question_is_one_wherever_it_stands(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        def ask():
            if True:
                %chat What is a list?
            answer = %chat What is a dict?

        ask()
        %chat What is \\
              a set?
        """
        assert kernel.run(code).status == "ok"
        asked = [request.messages[-1]["content"] for request in server.requests]
        assert asked == ["What is a list?", "What is a dict?", "What is a set?"]

    @pytest.mark.parametrize("question", ["%chat?", "%chat??", "?%chat", "%%chat?", "%%chat??"])
    def test_help_on_the_magic_stays_help(self, kernel: Kernel, server: LocalServer, question: str) -> None:
        result = kernel.run(question)
        (page,) = result.payload
        assert "Ask the model" in page["data"]["text/plain"]
        assert not server.requests

    def test_other_question_marks_are_left_to_ipython(self, kernel: Kernel, server: LocalServer) -> None:
        result = kernel.run("text = '''\n%chat what?\n'''\nlen?")
        (page,) = result.payload
        assert "Return the number of items" in page["data"]["text/plain"]
        assert evaluate(kernel, "text") == "\n%chat what?\n"
        assert not server.requests


class TestOptions:
    def test_they_reach_the_provider(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%%chat -m gpt-test -s 'Be brief.' -t 0.25 --max-tokens 7\nHello")
        (request,) = server.requests
        assert request.json["model"] == "gpt-test"
        assert request.json["temperature"] == 0.25
        assert request.json["max_tokens"] == 7
        assert request.messages == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ]

    def test_they_do_not_leak_into_the_next_call(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%chat plain")
        kernel.run("%chat --no-history -p chatanywhere-web -m gpt-test -s 'Be brief.' -t 2 --max-tokens 7 Hello")
        kernel.run("%chat plain")
        before, _, after = server.requests
        assert {**after.json, "messages": None} == {**before.json, "messages": None}
        assert [message["role"] for message in after.messages] == ["user", "assistant", "user"]

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("-s Brief", "Brief"),
            ("-sBrief", "Brief"),
            ("--system=Brief", "Brief"),
            ("--system 'two words'", "two words"),
            ('--system="two words"', "two words"),
            ("""-s "it's {x} and $x" """, "it's {x} and $x"),
            ("-s '-t is no option here'", "-t is no option here"),
            ("-s ''", None),
        ],
    )
    def test_values_are_read_as_a_shell_reads_them(
        self, kernel: Kernel, server: LocalServer, written: str, value: str | None
    ) -> None:
        kernel.run("chat.system = 'the session’s own'\nx = 'expanded'")
        kernel.run(f"%chat {written} Hello")
        sent = server.requests[0].messages
        system = [message["content"] for message in sent if message["role"] == "system"]
        assert system == ([] if value is None else [value])
        assert sent[-1]["content"] == "Hello"

    def test_another_provider_answers_one_question(self, kernel: Kernel, server: LocalServer) -> None:
        web = the_answer(kernel.run("%chat -p chatanywhere-web Hello"))
        own = the_answer(kernel.run("%chat Hello"))
        assert [request.path for request in server.requests] == ["/v1/chat/gpt/", "/v1/chat/completions"]
        assert web.metadata["chatanywhere"]["provider"] == "chatanywhere-web"
        assert own.metadata["chatanywhere"]["provider"] == "openai"

    def test_the_session_has_them_as_traits(self, kernel: Kernel, server: LocalServer) -> None:
        code = """
        %config ChatSession.model = 'trait-model'
        %config ChatSession.system = 'From the trait.'
        %config ChatSession.temperature = 0.0
        %config ChatSession.max_tokens = 9
        %chat Hello
        """
        the_answer(kernel.run(code))
        (request,) = server.requests
        assert (request.json["model"], request.json["temperature"], request.json["max_tokens"]) == (
            "trait-model",
            0.0,
            9,
        )
        assert request.messages[0] == {"role": "system", "content": "From the trait."}

    @pytest.mark.parametrize("call", ["%chat --help", "%chat -h", "%%chat --help\nThis is not asked."])
    def test_help_lists_them_all(self, kernel: Kernel, server: LocalServer, call: str) -> None:
        result = kernel.run(call)
        for flag in ("-m", "-p", "-s", "-t", "--max-tokens", "--append", "--no-history", "--help"):
            assert flag in result.stdout
        assert "%%chat [options]" in result.stdout
        assert not server.requests

    def test_half_an_emoji_does_no_harm(self, kernel: Kernel) -> None:
        """Some servers cut an emoji in two, and some models stop in the middle of one."""
        code = """
        async def cuts(model, messages):
            for piece in ["a ", "\\ud83d", "\\ude42", " b ", "\\ud83d"]:
                yield piece
        chat.provider = cuts
        %chat Hello
        """
        assert the_answer(kernel.run(code)).data["text/plain"] == "a 🙂 b \ufffd"
        half = r"get_ipython().run_line_magic('chat', 'What is \ud83d?')"
        asked = the_answer(kernel.run(f"chat.provider = ''\n{half}"))
        assert asked.metadata["chatanywhere"]["prompt"] == "What is \ufffd?"

    def test_any_async_generator_function_can_answer(self, kernel: Kernel) -> None:
        code = """
        async def parrot(model, messages):
            for word in messages[-1]["content"].split():
                yield word + "! "
        chat.provider = parrot
        %chat one two
        """
        answer = the_answer(kernel.run(code))
        assert answer.data["text/plain"] == "one! two! "
        assert answer.metadata["chatanywhere"]["provider"] == "parrot"


class TestMistakes:
    """A question that cannot be asked: one line that says what to do, and nothing in the conversation."""

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("%chat -p opnai Hello", "There is no provider 'opnai'. Did you mean openai? Choose one of: chatanywhere,"),
            ("%chat -p nobody Hello", "There is no provider 'nobody'. Choose one of: chatanywhere, openai, local"),
            ("%chat -p local -m gpt-9 Hello", "The embedded provider has no model 'gpt-9'. It has SmolLM2"),
            ("%chat -p local -m none.gguf Hello", "The model file none.gguf (set by -m) does not exist"),
            (
                "%chat -p chatanywhere Hello",
                "Run %chat_login chatanywhere, set",
            ),
            ("%chat", "The prompt is empty. Write it after %chat, or below the %%chat line."),
            ("%chat   ", "The prompt is empty."),
            ("%%chat\n   \n\n", "The prompt is empty."),
            ("%chat -m gpt-test", "The prompt is empty."),
            ("%chat --modle gpt-test Hello", "There is no option --modle. Did you mean --model? %chat --help"),
            ("%chat --mod gpt-test Hello", "There is no option --mod. Did you mean --model?"),
            ("%chat -x Hello", "There is no option -x. %chat --help"),
            ("%chat -m", "-m needs a value."),
            ("%chat -s 'never closed Hello", "A quotation mark is not closed"),
            ("%chat -t hot Hello", "The temperature must be a number from 0 to 2, not hot."),
            ("%chat -t 3 Hello", "The temperature must be a number from 0 to 2, not 3"),
            ("%chat -t nan Hello", "The temperature must be a number from 0 to 2, not nan"),
            (
                "%chat --max-tokens many Hello",
                "The token limit (--max-tokens) must be a number of at least 1, not many.",
            ),
            ("%chat --max-tokens 0 Hello", "The token limit (--max-tokens) must be a number of at least 1, not 0."),
            ("%chat --append=yes Hello", "--append takes no value."),
            ("%chat --replace Hello", "--replace works only with --code; give both."),
            ("%%chat gpt-test\nHello", "The %%chat line takes only options, and 'gpt-test' is not one."),
            ("%chat_stop now", "%chat_stop takes no arguments, but got 'now'."),
            ("chat.provider = 7\n%chat Hello", "A provider must be a name, a subclass of AsyncGeneratorProvider"),
        ],
    )
    def test_one_line_says_what_to_do(self, kernel: Kernel, server: LocalServer, code: str, says: str) -> None:
        result = kernel.run(code)
        assert says in the_error_line(result)
        assert len(result.outputs) == 1
        assert turns(kernel) == []
        assert not server.requests

    def test_where_nobody_can_answer_the_ways_out_are_named(self, kernel: Kernel, tmp_path: Path) -> None:
        # The package of the embedded model is there; hiding it is the nearest thing to a machine without it.
        hide = f"""
        import os, sys
        kept_url, kept_path = os.environ.pop("OPENAI_BASE_URL"), sys.path[:]
        sys.path[:] = [{str(tmp_path)!r}] + [entry for entry in sys.path if "packages" not in entry]
        """
        kernel.run(hide)
        result = kernel.run("%chat Hello")
        kernel.run("os.environ['OPENAI_BASE_URL'] = kept_url; sys.path[:] = kept_path")
        line = the_error_line(result)
        for way in ("CHATANYWHERE_API_KEY", "OPENAI_API_KEY", "%pip install xllamacpp"):
            assert way in line
        assert turns(kernel) == []


class TestFailures:
    """A question that was asked and not answered: kept as failed, shown as such, and never sent again."""

    def assert_failed(self, kernel: Kernel, server: LocalServer, result: Result, *, partial: str = "") -> None:
        shown = [output for output in result.outputs if output["output_type"] == "display_data"]
        assert len(shown) == 1
        assert shown[0]["metadata"]["chatanywhere"]["status"] == "failed"
        assert "✗ failed" in shown[0]["data"]["text/html"]
        assert turns(kernel) == [Turn("Hello", partial, "failed")]
        server.requests.clear()
        the_answer(kernel.run("%chat And now?"))
        assert server.requests[0].messages == [{"role": "user", "content": "And now?"}]

    def test_unreachable_host(self, kernel: Kernel, server: LocalServer) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            with variable(kernel, "OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1"):
                result = kernel.run("%chat Hello")
        assert f"127.0.0.1:{port} cannot be reached" in the_error_line(result)
        assert "Check the address and the network" in the_error_line(result)
        self.assert_failed(kernel, server, result)

    def test_wrong_key(self, kernel: Kernel, server: LocalServer) -> None:
        key = "made-up-key-that-nobody-must-see"
        refusal = b'{"error": {"message": "Incorrect API key provided: %s"}}' % key.encode()
        server.queue(Answer(status=401, raw=[refusal]))
        with variable(kernel, "OPENAI_API_KEY", key):
            result = kernel.run("%chat Hello")
        assert server.requests[0].headers["Authorization"] == f"Bearer {key}"
        assert "rejected the key (status 401)" in the_error_line(result)
        assert key not in str(result)
        self.assert_failed(kernel, server, result)

    def test_unknown_model(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(status=404, raw=[b'{"error": {"message": "no model gpt-test"}}']))
        result = kernel.run("%chat -m gpt-test Hello")
        assert "Check the model's name (-m)" in the_error_line(result)
        assert "no model gpt-test" in the_error_line(result)
        self.assert_failed(kernel, server, result)

    def test_connection_cut_in_the_middle(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Half of "], cut=True))
        result = kernel.run("%chat Hello")
        assert "the text so far is kept" in the_error_line(result)
        assert text_so_far(result) == "Half of "
        self.assert_failed(kernel, server, result, partial="Half of ")

    def test_an_answer_without_its_end_is_no_success(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Half of "], finish_reason=None))
        result = kernel.run("%chat Hello")
        assert "ended early" in the_error_line(result)
        self.assert_failed(kernel, server, result, partial="Half of ")

    @pytest.mark.parametrize(
        ("trouble", "says"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise StopAsyncIteration", "RuntimeError"),
            ("yield 42", "TypeError: "),
            ("yield None", "TypeError: "),
            ("yield b'bytes'", "TypeError: "),
        ],
    )
    def test_a_broken_provider_of_ones_own(self, kernel: Kernel, server: LocalServer, trouble: str, says: str) -> None:
        code = f"""
        async def broken(model, messages):
            yield "Half of "
            {trouble}
        chat.provider = broken
        %chat Hello
        """
        result = kernel.run(code, timeout=10)
        assert f"The provider broken failed with {says}" in the_error_line(result)
        kernel.run("chat.provider = ''")
        self.assert_failed(kernel, server, result, partial="Half of ")

    @pytest.mark.model
    @pytest.mark.parametrize("content", [b"", b"this is no model", "the beginning of a real one"])
    def test_broken_model_file(self, kernel: Kernel, server: LocalServer, tmp_path: Path, content: bytes | str) -> None:
        file = tmp_path / "broken.gguf"
        if isinstance(content, str):
            find = "str(__import__('chatanywhere_magic.providers.local', fromlist=['_']).find_model(''))"
            with Path(evaluate(kernel, find)).open("rb") as model:
                content = model.read(1_000_000)
        file.write_bytes(content)
        result = kernel.run(f"%chat -p local -m {file} Hello")
        assert f"{file} is not a GGUF model that llama.cpp can load" in the_error_line(result)
        self.assert_failed(kernel, server, result)


class TestLanguages:
    @pytest.mark.parametrize(
        ("language", "no_question", "stopped"),
        [
            ("ru", "Вопрос пуст.", "Остановлено: 0."),
            ("zh", "问题为空。", "已停止：0。"),
            ("de", "The prompt is empty.", "Stopped: 0."),
        ],
    )
    def test_messages_follow_the_variable(self, kernel: Kernel, language: str, no_question: str, stopped: str) -> None:
        with variable(kernel, "CHATANYWHERE_LANG", language):
            assert no_question in the_error_line(kernel.run("%chat"))
            assert kernel.run("%chat_stop").stdout.strip() == stopped

    def test_the_trait_wins_over_the_variable(self, kernel: Kernel) -> None:
        with variable(kernel, "CHATANYWHERE_LANG", "ru"):
            kernel.run("%config ChatSession.language = 'zh'")
            assert "问题为空。" in the_error_line(kernel.run("%chat"))
            kernel.run("%config ChatSession.language = ''")
            assert "Вопрос пуст." in the_error_line(kernel.run("%chat"))

    def test_help_and_footer_are_translated(self, kernel: Kernel) -> None:
        with variable(kernel, "CHATANYWHERE_LANG", "ru"):
            assert "%chat [параметры] ВОПРОС" in kernel.run("%chat --help").stdout
            assert "токены:" in the_answer(kernel.run("%chat Hello")).data["text/html"]


THEIRS = """
def theirs(line, cell=None):
    print("theirs:", line if cell is None else cell)

get_ipython().register_magic_function(theirs, {kind!r}, {name!r})
"""


class TestConfig:
    """``%config`` and configuration files go by the session's name, though the traits are those of its settings."""

    def test_the_options_are_listed_shown_and_set(self, kernel: Kernel) -> None:
        assert "    ChatSession\n" in kernel.run("%config").stdout
        kernel.run("%config ChatSession.temperature = 0.25")
        listed = kernel.run("%config ChatSession").stdout
        assert listed.startswith("ChatSession(Configurable) options")
        assert "ChatSession.temperature=<Float>" in listed
        assert "Current: 0.25" in listed
        assert evaluate(kernel, "get_ipython().run_line_magic('config', 'ChatSession.temperature')") == 0.25
        assert evaluate(kernel, "[chat.temperature, chat.settings.temperature]") == [0.25, 0.25]
        kernel.run("chat.temperature = 0.5")
        assert "Current: 0.5\n" in kernel.run("%config ChatSession").stdout

    def test_a_value_that_cannot_be_and_an_option_that_is_misspelt(self, kernel: Kernel) -> None:
        assert "temperature cannot be 9." in kernel.run("%config ChatSession.temperature = 9").stderr
        assert "temperature cannot be 9." in the_error_line(kernel.run("chat.temperature = 9"))
        assert "Did you mean temperature?" in the_error_line(kernel.run("chat.temprature = 1"))
        # IPython keeps what was refused, which must not keep the extension from being loaded again.
        again = kernel.run("%reload_ext chatanywhere_magic")
        assert (again.status, again.stderr.count("temperature cannot be 9.")) == ("ok", 1)
        kernel.run("del get_ipython().config['ChatSession']")

    def test_a_file_sets_them(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
        profile = tmp_path / "profile_default"
        profile.mkdir()
        (profile / "ipython_kernel_config.py").write_text("c.ChatSession.max_tokens = 7\n", encoding="utf-8")
        kernel = new_kernel(IPYTHONDIR=str(tmp_path))
        kernel.run(LOAD)
        assert evaluate(kernel, "get_ipython().config.ChatSession.max_tokens") == 7
        assert evaluate(kernel, "__import__('chatanywhere_magic').chat.max_tokens") == 7


class TestLoading:
    STATE = """{
        "magics": [name for kind in ("line", "cell") for name in get_ipython().magics_manager.magics[kind]
                   if name.startswith("chat")],
        "transformers": [getattr(f, "__qualname__", type(f).__name__) for f in get_ipython().input_transformers_cleanup
                         + get_ipython().input_transformers_post],
        "events": sum(map(len, get_ipython().events.callbacks.values())),
        "configurables": [type(c).__name__ for c in get_ipython().configurables if "Chat" in type(c).__name__],
        "threads": sorted(t.name for t in __import__("threading").enumerate()),
    }"""

    def test_unloading_leaves_nothing_behind(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        before = evaluate(kernel, self.STATE)
        kernel.run(f"{LOAD}\n%chat Hello")
        assert evaluate(kernel, self.STATE) != before
        assert kernel.run("%unload_ext chatanywhere_magic").status == "ok"
        assert evaluate(kernel, self.STATE) == before
        assert "`%chat` not found" in kernel.run("%chat Hello").stderr
        assert "not found" in kernel.run("%%chat\nHello").stderr

    def test_the_conversation_outlives_it(self, new_kernel: Callable[..., Kernel], server: LocalServer) -> None:
        kernel = new_kernel()
        kernel.run(f"{LOAD}\n%chat first")
        kernel.run("%unload_ext chatanywhere_magic")
        kernel.run(f"{LOAD}\n%chat second")
        assert [turn.prompt for turn in turns(kernel)] == ["first", "second"]
        assert len(server.requests[1].messages) == 3

    def test_reloading_adds_nothing_twice(self, new_kernel: Callable[..., Kernel], server: LocalServer) -> None:
        kernel = new_kernel()
        kernel.run(f"{LOAD}\n%chat first")
        once = evaluate(kernel, self.STATE)
        for code in ("%reload_ext chatanywhere_magic", "%load_ext chatanywhere_magic"):
            assert kernel.run(code).status == "ok"
        assert the_answer(kernel.run("%chat What is a list?")).metadata["chatanywhere"]["status"] == "complete"
        assert evaluate(kernel, self.STATE) == once
        assert len(server.requests[1].messages) == 3
        assert [turn.prompt for turn in turns(kernel)] == ["first", "What is a list?"]

    def test_unloading_stops_what_runs(self, kernel: Kernel, server: LocalServer) -> None:
        never = threading.Event()
        server.queue(Answer(text=["Part."], hold=never))
        kernel.run("live = chat.prepare('Hello'); chat.start(live); None")
        request = server.wait_for_request()
        kernel.run("%reload_ext chatanywhere_magic")
        assert request.closed_by_client.wait(5)
        assert turns(kernel)[0].status == "interrupted"

    @pytest.mark.parametrize("above", ["# a note\n", "\n\n", "\n# %%\n\n  # What's (this\n"])
    def test_comments_may_stand_above_the_magic(self, kernel: Kernel, above: str) -> None:
        result = kernel.run(f"{above}%%chat\n>>> What's {{x}}?\n\n$HOME\n")
        assert the_answer(result).metadata["chatanywhere"]["prompt"] == ">>> What's {x}?\n\n$HOME"
        key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
        refused = kernel.run(f"{above}%%chat\nIs {key} good?")
        assert refused.payload[0]["text"] == f"{above}%%chat\nIs *** good?"
        assert evaluate(kernel, f"any({key!r} in line for line in In[:-1])") is False

    def test_an_alias_is_sent_what_was_typed_and_is_guarded_alike(self, kernel: Kernel) -> None:
        made = kernel.run("%alias_magic ask chat\n%alias_magic q ask -p '-q '\n%ask {x} $HOME what?")
        assert made.status == "ok"
        kernel.run("reply = %q {x} $HOME why?\n")
        assert evaluate(kernel, "type(reply).__name__") == "Reply"
        kernel.run("# a\n%%q\n{x} $HOME\n>>> how?")
        assert [turn.prompt for turn in turns(kernel)] == ["{x} $HOME what?", "{x} $HOME why?", "{x} $HOME\n>>> how?"]
        key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
        for cell in ("%ask Is {} good?", "# a\n%%q\nIs {} good?", "%alias_magic me ask\n%me Is {} good?"):
            refused = kernel.run(cell.format(key))
            assert refused.payload[0]["text"] == cell.format("***")
            assert evaluate(kernel, f"any({key!r} in line for line in In[:-1])") is False

    def test_configuration_of_the_profile_is_taken(self, kernel: Kernel) -> None:
        code = """
        %unload_ext chatanywhere_magic
        get_ipython().config.ChatSession.temperature = 0.125
        %load_ext chatanywhere_magic
        del get_ipython().config["ChatSession"]
        """
        result = kernel.run(code)
        assert result.status == "ok", (result.stdout, result.stderr, result.errors)
        assert evaluate(kernel, "chat.temperature") == 0.125

    def test_another_extensions_chat_stays_and_ours_has_another_name(
        self, new_kernel: Callable[..., Kernel], server: LocalServer
    ) -> None:
        kernel = new_kernel()
        kernel.run(THEIRS.format(kind="cell", name="chat"))
        said = kernel.run(LOAD).stdout
        assert said == "Another extension defines %%chat, %chat; use %%chatanywhere, %chatanywhere here.\n"
        assert kernel.run("%%chat\nWhat is this?").stdout == "theirs: What is this?\n\n"
        assert "`%chat` not found" in kernel.run("%chat Hello").stderr
        key = "sk-Abc123dEf456gHi789jKl012"
        assert kernel.run(f"%%chat --api-key {key}\n{key}").stdout == f"theirs: {key}\n\n"
        assert "Nothing was run" in kernel.run(f"%%chatanywhere\n{key}").stderr
        assert server.requests == []
        kernel.run("%%chatanywhere -q\n>>> What?")
        kernel.run("answer = %chatanywhere {x} Why?")
        assert [turn.prompt for turn in turns(kernel)] == [">>> What?", "{x} Why?"]
        assert evaluate(kernel, "type(answer).__name__") == "Reply"
        assert "%chatanywhere [options]" in kernel.run("%chatanywhere --help").stdout
        assert "%chatanywhere --help" in the_error_line(kernel.run("%chatanywhere --modle x"))
        assert "has no turns yet" not in kernel.run("%chat_history").stdout
        assert "--model" in kernel.complete("%%chatanywhere --mo", 19)["matches"]
        assert "--model" not in kernel.complete("%%chat --mo", 11)["matches"]

    def test_a_key_in_a_cell_that_is_nobodys_is_not_remembered(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(THEIRS.format(kind="line", name="chat"))
        kernel.run(LOAD)
        key = "sk-Abc123dEf456gHi789jKl012"
        assert "Nothing was run" in kernel.run(f"%%chat\n{key}").stderr
        assert evaluate(kernel, f"any({key!r} in line for line in In[:-1])") is False

    def test_a_key_has_no_place_behind_the_other_name_either(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(THEIRS.format(kind="line", name="chat_login"))
        assert "%chatanywhere_login" in kernel.run(LOAD).stdout
        key = "Abc123dEf456gHi789jKl012"
        refused = kernel.run(f"%chatanywhere_login {key}")
        assert "Run %chatanywhere_login and" in refused.stderr
        assert refused.payload[0]["text"] == "%chatanywhere_login"
        by_code = the_error_line(kernel.run(f"get_ipython().run_line_magic('chatanywhere_login', {key!r})"))
        assert "Run %chatanywhere_login with" in by_code

    def test_unloading_leaves_theirs_and_loading_again_without_them_is_chat(
        self, new_kernel: Callable[..., Kernel]
    ) -> None:
        kernel = new_kernel()
        kernel.run(THEIRS.format(kind="line", name="chat"))
        kernel.run(f"{LOAD}\n%unload_ext chatanywhere_magic")
        assert kernel.run("%chat Hello").stdout == "theirs: Hello\n"
        assert "not found" in kernel.run("%chatanywhere Hello").stderr
        kernel.run("del get_ipython().magics_manager.magics['line']['chat']")
        assert kernel.run(LOAD).stdout == ""
        assert "usage: %chat [options]" in kernel.run("%chat --help").stdout

    def test_both_names_are_there_from_the_beginning(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        assert kernel.run(LOAD).stdout == ""
        names = evaluate(kernel, "[*get_ipython().magics_manager.magics['line']]")
        ours = [name for name in names if name.startswith("chat") and not name.startswith("chatanywhere")]
        assert {name.replace("chat", "chatanywhere", 1) for name in ours} <= set(names)
        kernel.run("%%chatanywhere -q\n>>> What {x}?\n")
        # Another extension comes later, and takes the first name.
        kernel.run(THEIRS.format(kind="cell", name="chat"))
        assert kernel.run("%%chat\nHello").stdout == "theirs: Hello\n\n"
        kernel.run("%%chatanywhere -q\n>>> Why?")
        kernel.run("%chat -q What is $x?")  # which they have not taken
        assert [turn.prompt for turn in turns(kernel)] == [">>> What {x}?", ">>> Why?", "What is $x?"]
        kernel.run("%unload_ext chatanywhere_magic")
        left = evaluate(kernel, "[n for known in get_ipython().magics_manager.magics.values() for n in known]")
        assert [name for name in left if name.startswith("chat")] == ["chat"]

    def test_a_second_name_that_is_taken_stays_theirs(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(THEIRS.format(kind="line", name="chatanywhere"))
        assert kernel.run(LOAD).stdout == ""
        assert kernel.run("%chatanywhere Hello").stdout == "theirs: Hello\n"
        assert the_answer(kernel.run("# a\n%%chat\nHello")).metadata["chatanywhere"]["prompt"] == "Hello"
        kernel.run("%unload_ext chatanywhere_magic")
        assert kernel.run("%chatanywhere Hello").stdout == "theirs: Hello\n"

    def test_unloading_leaves_magics_of_whatever_object(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run("class Lines(list):\n    def add(self, line):\n        self.append(line)\n        print(self)")
        kernel.run("get_ipython().register_magic_function(Lines().add, 'line', 'note')")
        before = evaluate(kernel, self.STATE)
        assert kernel.run(f"{LOAD}\n%unload_ext chatanywhere_magic").status == "ok"
        assert evaluate(kernel, self.STATE) == before
        assert kernel.run("%note this").stdout == "['this']\n"

    def test_a_name_that_is_taken_later_is_theirs_from_then_on(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(LOAD)
        kernel.run(THEIRS.format(kind="line", name="chat"))
        assert kernel.run("x = %chat Hello").status == "ok"
        assert kernel.run("%chat Hello").stdout == "theirs: Hello\n"
        kernel.run("%unload_ext chatanywhere_magic")
        assert kernel.run("%chat Hello").stdout == "theirs: Hello\n"

    def test_where_both_names_are_taken_nothing_is_loaded(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        for name in ("chat", "chatanywhere"):
            kernel.run(THEIRS.format(kind="line", name=name))
        before = evaluate(kernel, self.STATE)
        assert "%chat, %chatanywhere" in the_error_line(kernel.run("%load_ext chatanywhere_magic"))
        assert evaluate(kernel, self.STATE) == before


class variable:  # noqa: N801 - reads as a function: with variable(...)
    """Set an environment variable of the kernel while the ``with`` block lasts."""

    def __init__(self, kernel: Kernel, name: str, value: str) -> None:
        self._kernel, self._name, self._value = kernel, name, value

    def __enter__(self) -> None:
        self._before: Any = evaluate(self._kernel, f"__import__('os').environ.get({self._name!r})")
        self._set(self._value)

    def __exit__(self, *_: object) -> None:
        self._set(self._before)

    def _set(self, value: str | None) -> None:
        # Put together where it is run: a key that is typed for one of our own variables is refused.
        made = "" if value is None else f"made = {value[:1]!r} + {value[1:]!r}; "
        change = f"pop({self._name!r}, None)" if value is None else f"__setitem__({self._name!r}, made)"
        result = self._kernel.run(f"{made}__import__('os').environ.{change}; None")
        assert result.status == "ok", (result.stdout, result.stderr, result.errors)
