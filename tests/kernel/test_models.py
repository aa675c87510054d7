"""Models and providers in a real kernel: lists, short names, and what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import evaluate, the_answer, the_error_line
from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.support.kernels import Kernel, Result
    from tests.support.server import LocalServer


def table(result: Result) -> list[str]:
    """Return the lines of the one table that was shown."""
    (output,) = result.outputs
    assert "<table>" in output["data"]["text/html"]
    lines: list[str] = output["data"]["text/plain"].splitlines()
    return lines


@pytest.fixture
def server(server: LocalServer) -> LocalServer:
    server.models = ["gpt-4o", "gpt-4o-mini", "deepseek-chat", "<b>bold</b>"]
    return server


@pytest.fixture
def kernel(kernel: Kernel, server: LocalServer) -> Kernel:  # noqa: ARG001 - its models are what the kernel lists
    kernel.run("chat.catalog.forget(); chat.usage.by_model.clear()")
    return kernel


class TestModels:
    def test_they_are_listed_with_the_current_one_marked(self, kernel: Kernel) -> None:
        lines = table(kernel.run("%chat_models"))
        assert [line.strip() for line in lines if line.startswith("▸")] == ["▸ gpt-4o-mini"]
        assert {"gpt-4o", "deepseek-chat"} <= {line.strip() for line in lines}
        assert lines[-1] == "models of openai · 4/4"

    def test_names_are_shown_as_they_are(self, kernel: Kernel) -> None:
        (output,) = kernel.run("%chat_models bold").outputs
        assert "&lt;b&gt;bold&lt;/b&gt;" in output["data"]["text/html"]

    @pytest.mark.parametrize(("words", "count"), [("gpt", 2), ("GPT mini", 1), ("deep", 1)])
    def test_words_choose(self, kernel: Kernel, words: str, count: int) -> None:
        assert table(kernel.run(f"%chat_models {words}"))[-1].endswith(f"{count}/4")

    def test_words_that_fit_none(self, kernel: Kernel) -> None:
        line = the_error_line(kernel.run("%chat_models nothing like it"))
        assert "openai has no model with “nothing like it” in its name" in line

    def test_the_chosen_one_is_marked(self, kernel: Kernel) -> None:
        kernel.run("chat.model = 'deepseek-chat'")
        assert [line for line in table(kernel.run("%chat_models")) if line.startswith("▸")] == ["▸ deepseek-chat"]

    def test_those_that_do_not_chat_are_left_out_and_counted(self, kernel: Kernel, server: LocalServer) -> None:
        server.models = ["text-embedding-3-small", "whisper-1", "gpt-4o-mini"]
        *_, name, note = table(kernel.run("%chat_models"))
        assert (name, note) == ("▸ gpt-4o-mini", "models of openai · 2 more that do not chat (--all) · 1/3")
        assert [line.strip("▸ ") for line in table(kernel.run("%chat_models --all"))[-4:-1]] == [
            "gpt-4o-mini",
            "text-embedding-3-small",
            "whisper-1",
        ]
        assert table(kernel.run("%chat_models whisper"))[-2].strip() == "whisper-1"  # nothing else is meant

    @pytest.mark.model
    def test_of_the_embedded_model_the_file_is_shown(self, kernel: Kernel) -> None:
        lines = table(kernel.run("%chat_models -p local"))
        (marked,) = [line for line in lines if line.startswith("▸")]
        assert "SmolLM2-135M-Instruct" in marked
        assert ".gguf (" in marked

    def test_other_providers(self, kernel: Kernel) -> None:
        assert "▸ gpt-3.5-turbo" in table(kernel.run("%chat_models -p chatanywhere-web"))
        assert "▸ scripted" in table(kernel.run("%chat_models -p scripted"))

    def test_a_server_that_refuses(self, kernel: Kernel, server: LocalServer) -> None:
        server.keys = {"sk-needed"}
        line = the_error_line(kernel.run("%chat_models"))
        server.keys = set()
        assert "rejected the key" in line
        kernel.run("%chat_models")
        server.keys = {"sk-needed"}
        known = table(kernel.run("%chat_models"))
        server.keys = set()
        assert "rejected the key" in known[-1]
        assert known[-1].endswith("4/4")


class TestShortNames:
    def test_the_beginning_of_a_models_name_will_do(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(status=404, raw=[b'{"error": {"message": "no such model", "code": "model_not_found"}}']))
        the_answer(kernel.run("%chat -m deep Hello"))
        asked = [request.json["model"] for request in server.requests if request.method == "POST"]
        assert asked == ["deep", "deepseek-chat"]

    def test_if_it_is_the_beginning_of_one_only(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(status=404, raw=[b'{"error": {"message": "no such model"}}']))
        line = the_error_line(kernel.run("%chat -m gpt Hello"))
        assert "Several models begin with gpt: gpt-4o, gpt-4o-mini. Write more of the name." in line

    def test_the_beginning_of_a_providers_name_will_do(self, kernel: Kernel) -> None:
        answer = the_answer(kernel.run("%chat -p open Hello"))
        assert answer.metadata["chatanywhere"]["provider"] == "openai"

    def test_if_it_is_the_beginning_of_one_provider_only(self, kernel: Kernel) -> None:
        line = the_error_line(kernel.run("%chat -p chat Hello"))
        assert "Several providers begin with 'chat': chatanywhere, chatanywhere-web." in line

    @pytest.mark.model
    def test_python_means_the_names_that_it_gives(self, kernel: Kernel, server: LocalServer) -> None:
        """A program is refused at once, and the server asked once."""
        server.queue(Answer(status=404, raw=[b'{"error": {"message": "no such model", "code": "model_not_found"}}']))
        assert "NotFoundError" in the_error_line(kernel.run('chat.ask_sync("Hello", model="deep")'))
        assert [request.method for request in server.requests] == ["POST"]

    def test_the_embedded_model_too(self, kernel: Kernel) -> None:
        answer = the_answer(kernel.run("%chat -p loc -m Smol --max-tokens 5 Hello"))
        assert answer.metadata["chatanywhere"]["model"].startswith("SmolLM2")

    def test_an_alias_is_a_name(self, kernel: Kernel) -> None:
        said = kernel.run("%config ChatSession.aliases = {'fast': 3}").stderr
        assert "aliases cannot be {'fast': 3}. Short names for -m" in said

    def test_aliases(self, kernel: Kernel, server: LocalServer) -> None:
        kernel.run("%config ChatSession.aliases = {'fast': 'gpt-4o', 'old': 'chatanywhere-web/gpt-3.5-turbo'}")
        the_answer(kernel.run("%chat -m fast Hello"))
        assert server.requests[0].json["model"] == "gpt-4o"
        old = the_answer(kernel.run("%chat -m old Hello"))
        assert old.metadata["chatanywhere"]["provider"] == "chatanywhere-web"
        kernel.run("chat.model = 'fast'")
        the_answer(kernel.run("%chat Hello"))
        assert server.requests[-1].json["model"] == "gpt-4o"


class TestUsage:
    def test_answers_and_tokens_are_counted_by_model(self, kernel: Kernel, server: LocalServer) -> None:
        server.queue(Answer(text=["a"], model="one", usage=(1000, 5)), Answer(text=["b"], model="one", usage=(10, 5)))
        server.queue(Answer(text=["c"], model="two", usage=None))
        for _ in range(3):
            kernel.run("%chat --no-history Hello")
        lines = table(kernel.run("%chat_usage"))
        assert [line.split() for line in lines[2:4]] == [
            ["openai", "one", "2", "1,010", "10"],
            ["openai", "two", "1", "0", "0"],
        ]
        assert lines[-1] == "1 of them without a token count from the provider"

    def test_chatanywhere_tells_the_balance(self, kernel: Kernel, server: LocalServer) -> None:
        # Put together: a key that is typed as such is refused.
        kernel.run("import os; made = '-'.join(['sk', '0123456789']); os.environ['CHATANYWHERE_API_KEY'] = made")
        kernel.run("chat.provider = 'chatanywhere'")
        server.queue(Answer(raw=[b'{"balanceTotal": 100.5, "balanceUsed": 101}']))
        lines = table(kernel.run("%chat_usage"))
        server.queue(Answer(status=500, raw=[b"{}"]))
        failed = table(kernel.run("%chat_usage"))
        kernel.run("os.environ.pop('CHATANYWHERE_API_KEY'); None")
        assert lines[-1] == "balance: -0.50 of 100.50 left"
        assert "failed with a server error (status 500)" in failed[-1]
        (request, _) = server.requests
        assert (request.method, request.path) == ("POST", "/v1/query/balance")
        assert request.header("Authorization") == "sk-0123456789"
        assert request.body == b""


def test_nothing_is_asked_of_the_network_before_it_is_needed(kernel: Kernel, server: LocalServer) -> None:
    the_answer(kernel.run("%chat Hello"))
    assert [request.method for request in server.requests] == ["POST"]
    assert evaluate(kernel, "chat.catalog._known") == {}
