"""Tab in a real kernel: what is offered where, and that nothing else leaks in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.kernel.conftest import LOAD
from tests.kernel.seen import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer

DEFINE = """
xenon = [1, 2]
xylophone = {"key": "value"}
class Xenia: pass
"""


class Offered(NamedTuple):
    """What Tab offers: texts, their kinds, and the part of the code that they replace."""

    texts: list[str]
    kinds: list[str]
    replaced: str


def tab(kernel: Kernel, code: str, cursor: int | None = None) -> Offered:
    """Press Tab at the end of `code`, or at `cursor`."""
    content = kernel.complete(code, len(code) if cursor is None else cursor)
    kinds = [each["type"] for each in content["metadata"].get("_jupyter_types_experimental", [])]
    return Offered(content["matches"], kinds, code[content["cursor_start"] : content["cursor_end"]])


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    kernel.run(DEFINE)
    return kernel


class TestOptions:
    @pytest.mark.parametrize(
        ("code", "some"),
        [
            ("%chat -", ["-m", "--model", "--schema", "-h", "--help"]),
            ("%chat --mo", ["--model"]),
            ("%chat -q --ap", ["--append"]),
            ("answer = %chat --js", ["--json"]),
            ("%%chat --no", ["--no-history"]),
            ("%%chat -s 'two words' --qu", ["--quiet"]),
            ("%chat_login --f", ["--file"]),
            ("%chat_login openai --s", ["--session"]),
        ],
    )
    def test_they_are_offered(self, kernel: Kernel, code: str, some: list[str]) -> None:
        offered = tab(kernel, code)
        assert [text for text in offered.texts if text in some] == some
        assert set(offered.kinds) == {"option"}

    def test_below_comments_and_behind_an_alias_too(self, kernel: Kernel) -> None:
        kernel.run("%alias_magic ask chat")
        for code in ("# a\n\n%%chat --mo", "%ask --mo", "x = %ask --mo", "# a\n%%ask --mo"):
            assert tab(kernel, code).texts == ["--model"]
        for code in ("# a\n%%chat\nWhy @xe", "%ask Why @xe", "%%ask\nWhy @xe"):
            assert tab(kernel, code).texts == ["@xenon"]

    def test_one_that_is_there_already_is_not_offered_again(self, kernel: Kernel) -> None:
        assert "--quiet" not in tab(kernel, "%chat -q -").texts

    def test_every_magic_has_them(self, kernel: Kernel) -> None:
        names = evaluate(
            kernel, "[n for n in get_ipython().magics_manager.magics['line'] if n.startswith('chat') and '_' in n]"
        )
        assert len(names) > 5
        for name in names:
            assert "--help" in tab(kernel, f"%{name} --").texts


class TestValues:
    def test_providers(self, kernel: Kernel) -> None:
        for code in ("%chat -p ", "%chat --provider=", "%%chat -p ", "%chat_login "):
            assert tab(kernel, code).texts[:3] == ["chatanywhere", "openai", "local"]
        assert tab(kernel, "%chat -p op").texts == ["openai"]

    def test_models_are_asked_for_in_the_background(
        self, new_kernel: Callable[..., Kernel], server: LocalServer
    ) -> None:
        kernel = new_kernel()
        server.models = ["whisper-1", "another-model", "test-model"]
        kernel.run(LOAD)
        tab(kernel, "%chat -m ")
        server.wait_for_request()
        kernel.wait_until(lambda: tab(kernel, "%chat -m te").texts == ["test-model"])
        # What does not chat comes last.
        assert tab(kernel, "%chat -m ") == (["another-model", "test-model", "whisper-1"], ["model"] * 3, "")
        assert tab(kernel, "%chat -m test-model,an").texts == ["test-model,another-model"]
        assert [request.path for request in server.requests] == ["/v1/models"]

    def test_models_of_the_provider_that_is_named(self, kernel: Kernel) -> None:
        kernel.wait_until(lambda: tab(kernel, "%chat -p chatanywhere-web -m ").texts == ["gpt-3.5-turbo"])

    def test_a_server_that_is_silent_keeps_nobody_waiting(self, kernel: Kernel) -> None:
        kernel.run(
            "class Slow(__import__('chatanywhere_magic').AsyncGeneratorProvider):\n"
            "    name = 'slow'\n"
            "    @classmethod\n"
            "    async def list_models(cls, **_):\n"
            "        await __import__('asyncio').sleep(3600)\n"
            "__import__('chatanywhere_magic').register(Slow)"
        )
        begun = time.monotonic()
        for _ in range(5):
            assert tab(kernel, "%chat -p slow -m ").texts == []
        assert time.monotonic() - begun < 60
        kernel.run("chat.close()")

    @pytest.mark.parametrize("magic", ["%chat_switch", "%chat_forget"])
    def test_conversations_by_id_and_by_title(self, kernel: Kernel, magic: str) -> None:
        kernel.run("%chat_new Xylem and phloem")
        kernel.run("%chat Hello")
        conversation = evaluate(kernel, "chat.conversations.id")
        assert conversation in tab(kernel, f"{magic} ").texts
        assert tab(kernel, f"{magic} {conversation[:9]}") == ([conversation], ["Xylem and phloem"], conversation[:9])
        assert tab(kernel, f"{magic} Xyl").texts == ["Xylem and phloem"]
        kernel.run('%chat_rename The \\"great\\" tree')
        assert tab(kernel, f"{magic} The").texts == ['"The \\"great\\" tree"']
        kernel.run("chat.conversations.forget(chat.conversations.id, current=True)")

    def test_formats(self, kernel: Kernel) -> None:
        assert tab(kernel, "%chat_export -f ").texts == ["md", "json", "ipynb", "messages", "jsonl"]

    def test_aliases(self, kernel: Kernel) -> None:
        kernel.run("chat.aliases = {'fast': 'openai/gpt-4o-mini'}")
        assert tab(kernel, "%chat -m fa") == (["fast"], ["alias"], "fa")

    def test_variables_types_and_files(self, kernel: Kernel) -> None:
        kernel.run("import pathlib; pathlib.Path('shape.json').touch(); pathlib.Path('notes.txt').touch()")
        assert tab(kernel, "%chat -o xe").texts == ["xenon"]
        offered = tab(kernel, "%chat --schema ").texts
        assert [text for text in offered if text in {"Xenia", "xylophone", "xenon", "shape.json", "notes.txt"}] == [
            "Xenia",
            "xylophone",
            "shape.json",
        ]


class TestPrompts:
    @pytest.mark.parametrize(
        "code",
        [
            "%chat xe",
            "%chat What is xe",
            "%chat -q tell me imp",
            "%chat -- --mo",
            "x = %chat for xe",
            "%chat mail me@xe",
            r"%chat escaped \@xe",
            "%%chat\nxe",
            "%%chat -q\nimport o",
            "%%chat\nfor i in xenon:\n    xe",
            "\n%%chat\n%ti",
            "%%chat\n/etc/ho",
            "%chat -s 'you are xe",
        ],
    )
    def test_prose_completes_to_nothing(self, kernel: Kernel, code: str) -> None:
        assert tab(kernel, code).texts == []

    @pytest.mark.parametrize("before", ["%chat About ", "%chat ", "%%chat\n", "%%chat\nline\nabout (", "x = %chat "])
    def test_names_are_offered_with_their_types(self, kernel: Kernel, before: str) -> None:
        offered = tab(kernel, f"{before}@xe")
        assert (offered.texts, offered.replaced) == (["@xenon"], "@xe")
        assert offered.kinds[0].startswith("list")
        assert tab(kernel, f"{before}@xylophone[").texts == ['@xylophone["key"]']

    def test_in_the_middle_of_a_prompt(self, kernel: Kernel) -> None:
        code = "%%chat\nabout @xe and more\nxe"
        assert tab(kernel, code, code.index(" and")).texts == ["@xenon"]

    def test_files_are_offered(self, kernel: Kernel) -> None:
        kernel.run("import pathlib; pathlib.Path('some notes.txt').touch()")
        assert tab(kernel, "%%chat\nsee @file:some").texts == ['@file:"some notes.txt"']
        assert tab(kernel, '%%chat\nsee @file:"some no').texts == ['@file:"some notes.txt']


class TestOthers:
    def test_our_magics_are_all_shown(self, kernel: Kernel) -> None:
        magics = tab(kernel, "%chat_").texts
        for name in ("login", "logout", "new", "panel", "status", "stop"):
            assert f"%chat_{name}" in magics

    @pytest.mark.parametrize(
        "code", ["xen", "%timeit xen", "print(xen", "%%timeit\n%chat xen", "'%chat xe", "y = 5 % chat.x"]
    )
    def test_other_code_completes_as_without_us(self, new_kernel: Callable[..., Kernel], code: str) -> None:
        kernel = new_kernel()
        kernel.run(f"from chatanywhere_magic import chat\n{DEFINE}")
        before = tab(kernel, code)
        kernel.run(LOAD)
        assert tab(kernel, code) == before

    def test_other_code_completes_time_and_again(self, kernel: Kernel) -> None:
        for code, expected in [("pri", "print"), ("impo", "import"), ("%config ChatSession.mod", "ChatSession.model")]:
            assert expected in kernel.complete(code, len(code))["matches"]

    def test_unloading_takes_it_away(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.run(f"{LOAD}\n%reload_ext chatanywhere_magic")
        assert evaluate(kernel, "len(get_ipython().Completer.custom_matchers)") == 1
        kernel.run("%unload_ext chatanywhere_magic")
        assert evaluate(kernel, "get_ipython().Completer.custom_matchers") == []


def test_a_question_mark_shows_what_a_magic_takes(kernel: Kernel) -> None:
    (page,) = kernel.run("%chat_login?").payload
    for part in ("Ask for a provider's key", "--session", "usage: %chat_login"):
        assert part in page["data"]["text/plain"]
    (page,) = kernel.run("%chat_login??").payload
    assert "Ask for a provider's key" in page["data"]["text/plain"]
