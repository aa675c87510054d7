"""Answers as values in a real kernel: kept once, shown once, read into what was asked for, and put into cells."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.seen import evaluate, the_answer, the_error_line, turns
from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.support.kernels import Kernel, Result, Running
    from tests.support.server import LocalServer

PERSON = """
from dataclasses import dataclass

@dataclass
class Person:
    name: str
    age: int
"""
ADA = '{"name": "Ada", "age": 36}'


def kinds(result: Result) -> list[str]:
    return [output["output_type"] for output in result.outputs]


def kept(kernel: Kernel, name: str) -> Any:
    """Return a variable's type and value, or None if there is no such variable."""
    return evaluate(kernel, f"[type({name}).__name__, {name}] if {name!r} in globals() else None")


class TestKept:
    @pytest.mark.parametrize(
        "cell",
        [
            "answer = %chat What is a list?",
            "if True:\n    answer = %chat What is a list?",
            "%chat answer << What is a list?",
            "%chat -o answer What is a list?",
            "%%chat -o answer\nWhat is a list?",
            "%%chat answer <<\nWhat is a list?",
        ],
    )
    def test_it_is_in_the_variable_and_shown_once(self, kernel: Kernel, server: LocalServer, cell: str) -> None:
        server.queue(Answer(text=["An ", "answer."]))
        kernel.run("globals().pop('answer', None)")
        shown = the_answer(kernel.run(cell))
        assert shown.data["text/plain"] == "An answer."
        assert kept(kernel, "answer") == ["Reply", "An answer."]
        assert server.requests[0].messages[-1]["content"] == "What is a list?"

    def test_asked_by_itself_it_is_nowhere_twice(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["An unusual answer."]))
        kernel.run("%config InteractiveShell.ast_node_interactivity = 'all'")
        the_answer(kernel.run("%chat Hello"))
        kernel.run("%config InteractiveShell.ast_node_interactivity = 'last_expr'")
        assert evaluate(kernel, "[v for v in [*Out.values(), _, __] if 'unusual' in str(v)]") == []

    def test_everything_that_is_known_comes_with_it(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["An ", "answer."], usage=(5, 4)))
        kernel.run("%chat First\nanswer = %chat -s 'Be brief.' Second")
        known = evaluate(
            kernel,
            "[answer.provider, answer.model, answer.finish_reason, answer.usage.prompt_tokens, answer.turn,"
            " answer.messages]",
        )
        sent = server.requests[1].messages
        assert known == [
            "openai",
            "test-model",
            "stop",
            4,
            1,
            [*sent, {"role": "assistant", "content": known[-1][-1]["content"]}],
        ]
        assert sent[0] == {"role": "system", "content": "Be brief."}

    def test_quietly(self, kernel: Kernel) -> None:
        assert kernel.run("answer = %chat -q Hello").outputs == []
        assert kept(kernel, "answer")[0] == "Reply"
        assert "There is no provider 'nobody'" in the_error_line(kernel.run("%chat -q -p nobody Hello"))

    def test_a_failure_leaves_the_variable_alone(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("answer = 'mine'")
        server.queue(Answer(text=["Half of "], cut=True))
        assert kernel.run("%chat -o answer Hello").status == "error"
        assert kept(kernel, "answer") == ["str", "mine"]

    def test_a_schema_in_the_home_of_nobody(self, kernel: Kernel) -> None:
        line = the_error_line(kernel.run("%chat --schema ~nobody-is-called-so/a.json Hello"))
        assert "~nobody-is-called-so/a.json" in line

    @pytest.mark.parametrize("name", ["2", "a-b", "class", "a.b"])
    def test_a_name_that_is_none(self, kernel: Kernel, server: LocalServer, name: str) -> None:
        assert f"'{name}' is not a valid variable name" in the_error_line(kernel.run(f"%chat -o {name} Hello"))
        assert not server.requests

    @pytest.mark.parametrize("prompt", ["1 << 3 is what?", "-- x << 3 is what?", "if << is what?", "x<y"])
    def test_other_prompts_are_left_alone(self, kernel: Kernel, server: LocalServer, prompt: str) -> None:
        kernel.run(f"%chat {prompt}")
        assert server.requests[0].messages[-1]["content"] == prompt.removeprefix("-- ")


class TestForms:
    def test_json(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ADA]))
        kernel.run("answer = %chat --json Who?")
        assert evaluate(kernel, "answer.value") == json.loads(ADA)
        assert server.requests[0].json["response_format"] == {"type": "json_object"}

    def test_a_dataclass_of_the_notebook(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[ADA]))
        the_answer(kernel.run(f"{PERSON}\nanswer = %chat --schema Person Who?"))
        assert evaluate(kernel, "repr(answer.value)") == "Person(name='Ada', age=36)"
        (request,) = server.requests
        assert request.json["response_format"]["json_schema"]["strict"] is True
        assert '"age": {"type": "integer"}' in request.messages[0]["content"]
        assert turns(kernel)[0].prompt == "Who?"

    def test_a_file(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["[1]"]))
        schema = {"type": "array", "items": {"type": "integer"}}
        kernel.run(f"import pathlib; pathlib.Path('numbers.json').write_text({json.dumps(schema)!r})")
        kernel.run("answer = %chat --schema numbers.json Which?")
        assert evaluate(kernel, "answer.value") == [1]
        assert server.requests[0].json["response_format"]["json_schema"]["schema"] == schema

    def test_an_answer_that_does_not_fit_is_repaired_once_and_visibly(
        self, kernel: Kernel, server: LocalServer
    ) -> None:
        server.queue(Answer(text=['{"name": "Ada", "age": "old"}']), Answer(text=[ADA]))
        result = kernel.run(f"{PERSON}\nanswer = %chat --schema Person Who?")
        assert kinds(result) == ["display_data", "stream", "display_data"]
        assert "age: \"old\" is not of type 'integer'. Asking the model to correct it …" in result.stdout
        assert evaluate(kernel, "answer.value.age") == 36
        told = server.requests[1].messages
        assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
        assert "age: \"old\" is not of type 'integer'" in told[-1]["content"]
        assert evaluate(kernel, "[[v.text for v in turn.versions] for turn in chat.conversation.turns]") == [
            ['{"name": "Ada", "age": "old"}', ADA]
        ]

    def test_after_one_repair_it_is_an_error(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Ada."]), Answer(text=["Still Ada."]))
        result = kernel.run(f"answer = 'mine'\n{PERSON}\nanswer = %chat --schema Person Who?")
        assert result.errors[0].traceback == [
            "AnswerFormatError: The response contains no JSON: “Still Ada.”. Ask again with --json."
        ]
        assert kept(kernel, "answer") == ["str", "mine"]
        assert len(server.requests) == 2
        assert result.stdout == "The response is not JSON. Asking the model to correct it …\n"

    def test_a_server_without_structured_output(self, kernel: Kernel, server: LocalServer) -> None:
        refusal = b'{"error": {"message": "response_format of type json_schema is not supported"}}'
        server.queue(Answer(status=400, raw=[refusal]), Answer(text=[ADA]))
        kernel.run(f"{PERSON}\nanswer = %chat --schema Person Who?")
        assert evaluate(kernel, "answer.value.age") == 36
        assert "response_format" not in server.requests[1].json
        status = kernel.run("%chat_status").outputs[0]["data"]["text/plain"]
        assert "without response_format (127.0.0.1" in status
        assert kernel.run("%chat_status --forget").stdout.startswith("Forgotten: 1.")

    def test_a_provider_of_ones_own_is_told_in_words(self, kernel: Kernel) -> None:
        code = f"""
        {PERSON.replace(chr(10), chr(10) + "        ")}
        told = []
        async def mine(model, messages):
            told.append(messages)
            yield '{ADA}'
        reply = chat.ask_sync("Who?", provider=mine, schema=Person)
        inside = chat.ask_sync("Who?", provider=mine, schema=True)
        """
        assert kernel.run(code).status == "ok"
        assert evaluate(kernel, "[reply.value.age, inside.value, 'JSON schema' in told[0][0]['content']]") == [
            36,
            json.loads(ADA),
            True,
        ]

    def test_awaited(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["Ada."]), Answer(text=[ADA]))
        kernel.run("reply = await chat.ask('Who?', schema=True)")
        assert evaluate(kernel, "[reply, reply.value]") == [ADA, json.loads(ADA)]

    def test_a_name_that_is_not_there(self, kernel: Kernel, server: LocalServer) -> None:
        line = the_error_line(kernel.run(f"{PERSON}\n%chat --schema Persn Who?"))
        assert "There is no variable or file 'Persn'. Did you mean Person?" in line
        assert not server.requests

    @pytest.mark.model
    def test_the_embedded_model_is_kept_to_it(self, kernel: Kernel) -> None:
        result = kernel.run(
            f"{PERSON}\nanswer = %chat -p local -t 0 --max-tokens 60 --schema Person Ada is 36. Who is it?"
        )
        assert result.status == "ok", result
        assert evaluate(kernel, "[type(answer.value.name).__name__, type(answer.value.age).__name__]") == ["str", "int"]


class TestCells:
    CODE = "Do this:\n\n```python\nx = 1\n```\n\nIt shows\n\n```\n1\n```"

    def test_code_goes_into_the_next_cell_and_is_not_run(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[self.CODE]))
        result = kernel.run("globals().pop('x', None)\n%chat --code Set x")
        assert result.payload == [{"source": "set_next_input", "text": "x = 1", "replace": False}]
        assert kept(kernel, "x") is None

    def test_or_into_this_one_with_the_question_above_it(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=[self.CODE]))
        result = kernel.run("%%chat --code --replace --comment\nSet x\nto one?")
        (payload,) = result.payload
        assert (payload["text"], payload["replace"]) == ("# Set x\n# to one?\nx = 1", True)

    def test_an_answer_without_code(self, kernel: Kernel) -> None:
        result = kernel.run("%chat --code Set x")
        assert result.payload == []
        assert "There is no code in the response." in result.stdout


class TestFormats:
    ANSWER = (
        'Some **words**.\n\n```python\nprint("<b>")\n```\n\n'
        '```html\n<i onclick="x()">hi</i>\n```\n\n```json\n{"a":[1]}\n```'
    )

    @pytest.mark.parametrize(
        ("form", "plain"),
        [
            ("markdown", ANSWER),
            ("text", ANSWER),
            ("code", 'print("<b>")\n\n<i onclick="x()">hi</i>\n\n{"a":[1]}'),
            ("json", '{\n  "a": [\n    1\n  ]\n}'),
            ("html-source", '<i onclick="x()">hi</i>'),
        ],
    )
    def test_what_is_left_of_an_answer(self, kernel: Kernel, server: LocalServer, form: str, plain: str) -> None:
        server.queue(Answer(text=[self.ANSWER]))
        shown = the_answer(kernel.run(f"answer = %chat -f {form} Hello"))
        assert shown.data["text/plain"] == plain
        html = shown.data["text/html"]
        assert "<i onclick" not in html
        assert ("<strong>words</strong>" in html) == (form == "markdown")
        assert ("**words**" in html) == (form == "text")
        assert evaluate(kernel, "answer") == self.ANSWER
        assert shown.metadata["chatanywhere"].get("text", plain) == self.ANSWER

    @pytest.mark.parametrize("form", ["code", "json"])
    def test_an_answer_without_it_is_shown_whole(self, kernel: Kernel, server: LocalServer, form: str) -> None:
        server.queue(Answer(text=["Only **words**."]))
        assert the_answer(kernel.run(f"%chat -f {form} Hello")).data["text/plain"] == "Only **words**."

    def test_a_format_that_there_is_not(self, kernel: Kernel, server: LocalServer) -> None:
        line = the_error_line(kernel.run("%chat -f jsn Hello"))
        assert (
            "'jsn' is not accepted here. Did you mean json? Choose one of: markdown, text, code, json, html-source."
            in line
        )
        assert not server.requests


class TestSideBySide:
    def test_several_models_answer_at_the_same_time(self, kernel: Kernel, server: LocalServer) -> None:
        gate = threading.Event()
        server.queue(Answer(text=["One ", "waits."], hold=gate, hold_after=1), Answer(text=["Two."], model="two"))
        running = kernel.start("%chat -m one,two Hello?")
        running.wait_until(lambda result: "One " in str(result.outputs) and "Two." in str(result.outputs))
        assert not running.done
        gate.set()
        shown = the_answer(running.wait())
        assert [request.json["model"] for request in server.requests] == ["one", "two"]
        assert {str(request.messages) for request in server.requests} == {str([{"role": "user", "content": "Hello?"}])}
        assert shown.data["text/plain"] == "openai · test-model:\nOne waits.\n\nopenai · two:\nTwo."
        assert "repeat(2, minmax(0, 1fr))" in shown.data["text/html"]

    def test_the_first_one_is_what_the_conversation_goes_on_with(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["One."], delay=0.3), Answer(text=["Two."]))
        shown = the_answer(kernel.run("answer = %chat -m one,two Hello"))
        assert shown.metadata["chatanywhere"]["text"] == "One."
        assert evaluate(kernel, "answer") == "One."
        assert evaluate(kernel, "[[v.text for v in t.versions] for t in chat.conversation.turns]") == [["One.", "Two."]]
        kernel.run("%chat And now?")
        assert [message["content"] for message in server.requests[2].messages] == ["Hello", "One.", "And now?"]

    def test_or_the_one_that_is_to_be_kept(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["One."]), Answer(text=["Two."], delay=0.2))
        shown = the_answer(kernel.run("%chat -m one,two --keep two Hello"))
        assert shown.metadata["chatanywhere"]["text"] == "Two."
        kernel.run("%chat And now?")
        assert [message["content"] for message in server.requests[2].messages] == ["Hello", "Two.", "And now?"]

    def test_one_that_fails_is_not_kept_and_says_so(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(status=500, raw=[b"{}"]), Answer(text=["Two."], model="two"))
        kernel.run("chat.max_retries = 0")
        result = kernel.run("%chat -m one,two Hello")
        assert result.status == "ok"
        assert "failed with a server error" in result.outputs[0]["data"]["text/html"]
        assert "continues with the response of two" in result.stdout
        assert [turn.text for turn in turns(kernel)] == ["Two."]

    def test_if_all_fail_that_is_the_error(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(status=500, raw=[b"{}"]), Answer(status=500, raw=[b"{}"]))
        kernel.run("chat.max_retries = 0")
        result = kernel.run("%chat -m one,two Hello")
        assert "failed with a server error" in result.errors[0].traceback[0]
        assert turns(kernel)[0].status == "failed"

    def test_stopping_stops_them_all(self, kernel: Kernel, server: LocalServer) -> None:
        never = threading.Event()
        server.queue(Answer(text=["One "], hold=never), Answer(text=["Two "], hold=never))
        running = kernel.start("%chat -m one,two Hello")
        running.wait_until(lambda result: "One " in str(result.outputs) and "Two " in str(result.outputs))
        kernel.interrupt()
        result = running.wait()
        assert result.errors[0].ename == "ChatInterrupted"
        assert all(request.closed_by_client.wait(5) for request in server.requests)
        versions = "[[v.status, v.text] for v in chat.conversation.turns[0].versions]"
        assert evaluate(kernel, versions) == [["interrupted", "One "], ["interrupted", "Two "]]

    @pytest.mark.parametrize(
        "leaving", ["chat.conversations.new()", "chat.conversations.switch(another)", "chat.turns.delete(0)"]
    )
    def test_where_their_conversation_is_left_no_other_one_is_changed(
        self, kernel: Kernel, server: LocalServer, leaving: str
    ) -> None:
        server.queue(Answer(text=["First."]), Answer(text=["Again."]))
        kernel.run("%chat Hello\n%chat_retry")
        kernel.run("another = chat.conversations.id; chat.conversations.new()")
        never = threading.Event()
        server.queue(Answer(text=["One "], hold=never), Answer(text=["Two "], hold=never))
        leave = f"""
        import threading

        def leave(change, live):
            if len(chat.turns.live) == 2 and all(live.version.text for live in chat.turns.live):
                end()
                threading.Thread(target=lambda: {leaving}).start()

        end = chat.conversations.listen(leave)
        """
        kernel.run(leave)
        assert kernel.run("%chat -m one,two Hello").errors[0].ename == "ChatInterrupted"
        kernel.run("chat.conversations.switch(another)")
        assert evaluate(kernel, self.VERSIONS) == [["First.", "Again.", 1]]

    VERSIONS = "[[v.text for v in t.versions] + [t.selected] for t in chat.conversation.turns]"

    def test_whose_answer_does_not_fit_is_told_so_and_asked_again(self, kernel: Kernel, server: LocalServer) -> None:
        both = threading.Event()
        server.queue(Answer(text=["Ada."], model="one", hold=both), Answer(text=[ADA], model="two"), Answer(text=[ADA]))
        running = kernel.start(f"{PERSON}\nanswer = %chat -m one,two --schema Person Who?")
        self.release_when_both_are_asked(running, server, both)
        result = running.wait()
        assert result.status == "ok"
        assert evaluate(kernel, "[answer, answer.value.age]") == [ADA, 36]
        assert len(server.requests) == 3
        assert server.requests[2].json["model"] == "one"
        assert "Ada." in str(server.requests[2].messages)
        assert evaluate(kernel, self.VERSIONS) == [["Ada.", ADA, ADA, 2]]
        first, second = (each["data"]["text/plain"] for each in result.outputs if each["output_type"] == "display_data")
        assert "Ada." in first
        assert second == f"openai · test-model:\n{ADA}"
        assert "one: The response is not JSON." in result.stdout

    @staticmethod
    def release_when_both_are_asked(running: Running, server: LocalServer, both: threading.Event) -> None:
        running.wait_until(lambda _: len(server.requests) == 2)
        both.set()

    def test_several_of_them_at_the_same_time(self, kernel: Kernel, server: LocalServer) -> None:
        gate, both = threading.Event(), threading.Event()
        server.queue(
            *[Answer(text=["Ada."], hold=both)] * 2,
            Answer(text=[ADA], model="third", hold=gate, hold_after=0),
            Answer(text=[ADA], model="fourth"),
        )
        running = kernel.start(f"{PERSON}\n%chat -m one,two --keep two -o answer --schema Person Who?")
        self.release_when_both_are_asked(running, server, both)
        running.wait_until(lambda result: ADA in str(result.outputs) and len(server.requests) == 4)
        assert not running.done
        gate.set()
        assert running.wait().status == "ok"
        of_two = "third" if server.requests[2].json["model"] == "two" else "fourth"
        assert evaluate(kernel, "[answer.model, answer.value.name]") == [of_two, "Ada"]
        assert evaluate(kernel, "[t.current.model for t in chat.conversation.turns]") == [of_two]
        assert [versions[:-1] for versions in evaluate(kernel, self.VERSIONS)] == [["Ada.", "Ada.", ADA, ADA]]

    def test_one_that_does_not_fit_after_all_is_not_kept(self, kernel: Kernel, server: LocalServer) -> None:
        both = threading.Event()
        server.queue(Answer(text=["Ada."], hold=both), Answer(text=[ADA], model="two"), Answer(text=["Still Ada."]))
        running = kernel.start("answer = %chat -m one,two --json Who?")
        self.release_when_both_are_asked(running, server, both)
        result = running.wait()
        assert "continues with the response of two" in result.stdout
        assert evaluate(kernel, "answer.value") == json.loads(ADA)
        assert evaluate(kernel, self.VERSIONS) == [["Ada.", ADA, "Still Ada.", 1]]

    def test_if_none_fits_that_is_the_error(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(*[Answer(text=["Ada."])] * 4)
        result = kernel.run("%chat -m one,two --json Who?")
        assert result.errors[0].ename == "AnswerFormatError"
        assert len(server.requests) == 4

    def test_a_server_without_structured_output_is_asked_without(self, kernel: Kernel, server: LocalServer) -> None:
        refusal = Answer(status=400, raw=[b'{"error": {"message": "response_format is not supported"}}'])
        server.queue(Answer(text=[ADA], model="one"), refusal, Answer(text=[ADA], model="two"))
        result = kernel.run("answer = %chat -m one,two --keep two --json Who?")
        assert result.status == "ok"
        assert "response_format" not in server.requests[2].json
        assert evaluate(kernel, "[answer.model, answer.value]") == ["two", json.loads(ADA)]
        kernel.run("%chat_status --forget")

    def test_aside_or_quietly(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["One."]), Answer(text=["Two."]))
        assert kernel.run("answer = %chat -q --no-history -m one,two --keep two Hello").outputs == []
        assert kept(kernel, "answer") == ["Reply", "Two."]
        assert turns(kernel) == []

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("%chat -m one,two --keep three Hello", "--keep three is not among the models asked: one, two."),
            ("%chat -m one --keep one Hello", "--keep one chooses among several models"),
        ],
    )
    def test_mistakes(self, kernel: Kernel, server: LocalServer, line: str, says: str) -> None:
        assert says in the_error_line(kernel.run(line))
        assert not server.requests
