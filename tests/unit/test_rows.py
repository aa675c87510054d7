"""A prompt for every row: what comes back, what is asked, and what is on disk."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from pydantic import BaseModel

from chatanywhere_magic import ChatSession, Script, Scripted
from chatanywhere_magic.core import (
    AuthenticationError,
    ChatError,
    ChatInterrupted,
    ConfigurationError,
    MissingKeyError,
    Usage,
)
from chatanywhere_magic.session.batch.job import Job
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import Request


class Review(BaseModel):
    label: Literal["good", "bad"]
    stars: int


@pytest.fixture
def chat(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSession]:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    session = ChatSession(model="test-model")
    server.rule = echo
    yield session
    session.close()


def prompt_of(request: Request) -> str:
    content: Any = request.messages[-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


def echo(request: Request) -> Answer:
    return Answer(text=[f"re: {prompt_of(request)}"])


def kinds(values: Any) -> list[str]:
    return [getattr(value, "kind", "ok") for value in values]


class TestWhatComesBack:
    def test_a_list_in_its_order_with_what_is_known_of_each_response(self, chat: ChatSession) -> None:
        replies = chat.map([f"row {number}" for number in range(50)])
        assert replies == [f"re: row {number}" for number in range(50)]
        assert replies[7].model == "test-model"
        assert replies[7].usage == Usage(7, 3)

    def test_an_iterator_is_read_and_equal_rows_are_asked_once(self, chat: ChatSession, server: LocalServer) -> None:
        assert chat.map(word for word in "abba") == ["re: a", "re: b", "re: b", "re: a"]
        assert sorted(map(prompt_of, server.requests)) == ["a", "b"]

    def test_nothing_for_nothing(self, chat: ChatSession, server: LocalServer) -> None:
        assert chat.map([]) == []
        assert chat.map(pd.Series([], dtype=object)).empty
        assert server.requests == []

    def test_a_series_keeps_its_index(self, chat: ChatSession) -> None:
        series = pd.Series(["x", "y"], index=["first", "second"], name="asked")
        result = chat.map(series)
        assert dict(result) == {"first": "re: x", "second": "re: y"}
        assert result.name == "asked"
        assert chat.map(pl.Series("asked", ["x", "y"])).to_list() == ["re: x", "re: y"]

    def test_a_frame_gets_columns_beside_its_own(self, chat: ChatSession) -> None:
        frame = pd.DataFrame({"text": ["fine", "poor"], "n": [1.234, 2]}, index=[5, 3])
        result = chat.map(frame, "{{{text}}} {n:.1f}")
        assert list(result.columns) == ["text", "n", "response", "status", "error"]
        assert list(result.index) == [5, 3]
        assert list(result.response) == ["re: {fine} 1.2", "re: {poor} 2.0"]
        assert list(result.status) == ["ok", "ok"]
        assert list(frame.columns) == ["text", "n"]
        again = chat.map(pl.from_pandas(frame), "{{{text}}} {n:.1f}")
        assert again["response"].to_list() == ["re: {fine} 1.2", "re: {poor} 2.0"]

    def test_a_schema_fills_columns_and_is_checked(self, chat: ChatSession, server: LocalServer) -> None:
        said = {"a": '{"label": "good", "stars": 5}', "b": '{"label": "awful", "stars": 1}'}
        server.rule = lambda request: Answer(text=[said[request.messages[1]["content"]]])
        frame = pd.DataFrame({"text": ["a", "b"]})
        result = chat.map(frame, "{text}", schema=Review)
        assert list(result.columns) == ["text", "label", "stars", "status", "error"]
        assert result.label[0] == "good"
        assert result.stars[0] == 5
        assert list(result.status) == ["ok", "failed"]
        assert result.error[1].startswith("answer_format: ")
        assert chat.map(["a"], schema=Review) == [Review(label="good", stars=5)]
        asked = [request.messages[-1]["content"] for request in server.requests]
        assert len(asked) == 3, "the wrong one was corrected once, and nothing was asked twice"

    def test_a_response_that_is_cut_off_says_so(self, chat: ChatSession, server: LocalServer) -> None:
        server.rule = lambda _: Answer(text=["half"], finish_reason="length")
        assert list(chat.map(pd.DataFrame({"t": ["x"]}), "{t}").status) == ["cut"]

    def test_pictures_go_along_by_a_column_of_paths(
        self, chat: ChatSession, server: LocalServer, tmp_path: Path
    ) -> None:
        dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        (tmp_path / "dot.png").write_bytes(base64.b64decode(dot))
        rows = [{"file": str(tmp_path / "dot.png")}, {"file": str(tmp_path / "none.png")}, {"file": None}]
        replies = chat.map(rows, "What is it?", images="file")
        assert kinds(replies) == ["ok", "configuration", "ok"]
        sent = [request.json["messages"][-1]["content"] for request in server.requests]
        assert sorted("image_url" in str(content) for content in sent) == [False, True]


class TestWhatIsCheckedBefore:
    @pytest.mark.parametrize(
        ("source", "template", "options", "words"),
        [
            (pd.DataFrame({"text": ["a"]}), "{txt}", {}, "Did you mean text?"),
            (pd.DataFrame({"text": ["a"]}), None, {}, "template"),
            (pd.DataFrame({"text": ["a"]}), "{text", {}, "{{"),
            (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "{text}", {}, "several"),
            (pd.DataFrame({"text": ["a"], "status": [1]}), "{text}", {}, "prefix"),
            (pd.DataFrame({"text": ["a"]}), "{text}", {"images": "file"}, "file"),
            (["a"], "{x} {y}", {}, "x, y"),
            ("one prompt", None, {}, "str"),
            (["a"], None, {"concurrency": 0}, "concurrency"),
            (["a"], None, {"retry": "all"}, "retry"),
            (["a"], None, {"max_cost": 1}, "price"),
            (["a"], None, {"temperature": 9}, "9"),
            (["a"], None, {"api_key": "x"}, "Keys"),
            (["a"], None, {"schema": 3}, "3"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_sent(
        self, chat: ChatSession, server: LocalServer, source: Any, template: str, options: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=None) as caught:
            chat.map(source, template, **options)
        assert words in str(caught.value)
        assert server.requests == []

    def test_a_prefix_keeps_columns_apart(self, chat: ChatSession) -> None:
        frame = pd.DataFrame({"text": ["a"], "status": ["open"]})
        result = chat.map(frame, "{text}", prefix="chat_")
        assert list(result.columns) == ["text", "status", "chat_response", "chat_status", "chat_error"]
        assert list(result.status) == ["open"]

    def test_a_template_with_one_field_serves_a_list(self, chat: ChatSession) -> None:
        assert chat.map(["a", 3], "Classify {text}!") == ["re: Classify a!", "re: Classify 3!"]

    def test_a_missing_provider_is_no_result(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        with pytest.raises(MissingKeyError):
            ChatSession(provider="openai").map(["a"])


class TestFailures:
    def test_one_bad_row_of_two_hundred_is_one_value(self, chat: ChatSession, server: LocalServer) -> None:
        bad = b'{"error": {"message": "this text is not to be had", "code": "invalid_prompt"}}'
        server.rule = lambda request: Answer(status=400, raw=[bad]) if prompt_of(request) == "7" else echo(request)
        values = chat.map(list(map(str, range(200))))
        assert [place for place, value in enumerate(values) if isinstance(value, ChatError)] == [7]
        assert values[7].kind == "bad_request"
        assert values[8] == "re: 8"

    def test_rows_without_a_prompt_or_with_a_key_are_not_sent(self, chat: ChatSession, server: LocalServer) -> None:
        key = "sk-proj-" + "Ab3dE5gH7jK9mN1pQ3sT5vW7" * 2
        values = chat.map(["a", None, "  ", float("nan"), f"my key is {key}"])
        assert kinds(values) == ["ok", "configuration", "configuration", "configuration", "leak"]
        assert len(server.requests) == 1

    def test_temporary_failures_are_asked_again(self, chat: ChatSession, server: LocalServer) -> None:
        busy = Answer(status=429, raw=[b"{}"], headers={"Retry-After": "0.01"})
        server.queue(busy, Answer(status=500, raw=[b"{}"]), Answer(text=["half"], cut=True), Answer(drop=True))
        rules = {"calls": 0}

        def four_bad_ones(request: Request) -> Answer | None:
            rules["calls"] += 1
            return None if rules["calls"] <= 4 else echo(request)

        server.rule = four_bad_ones
        assert chat.map(list("abcdef")) == [f"re: {letter}" for letter in "abcdef"]
        assert len(server.requests) == 10

    def test_a_wrong_key_is_raised_and_ends_the_job(self, chat: ChatSession, server: LocalServer) -> None:
        server.keys = {"another"}
        with pytest.raises(AuthenticationError):
            chat.map(list(map(str, range(100))), concurrency=4)
        assert len(server.requests) <= 8

    def test_an_empty_account_leaves_what_is_done_and_says_what_is_missing(
        self, chat: ChatSession, server: LocalServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        empty = Answer(status=429, raw=[b'{"error": {"message": "insufficient", "code": "insufficient_quota"}}'])
        server.rule = lambda request: echo(request) if len(server.requests) <= 10 else empty
        values = chat.map(list(map(str, range(100))), concurrency=2)
        assert kinds(values).count("ok") == 10
        assert set(kinds(values)) <= {"ok", "quota", "not_asked"}
        assert len(server.requests) <= 12
        assert "goes on where it stopped" in capsys.readouterr().err
        server.rule = echo
        assert kinds(chat.map(list(map(str, range(100))))) == ["ok"] * 100
        assert len(server.requests) <= 12 + 90

    def test_a_provider_of_ones_own_that_raises_is_a_value(self, chat: ChatSession) -> None:
        async def broken(_model: str, messages: Any, **_: Any) -> Any:
            if messages[-1]["content"] == "b":
                raise ZeroDivisionError
            yield "fine"

        values = chat.map(["a", "b"], provider=broken)
        assert kinds(values) == ["ok", "error"]
        assert "ZeroDivisionError" in str(values[1])

    def test_failures_are_values_that_can_be_raised_and_told_apart(self, chat: ChatSession) -> None:
        provider = Scripted.of("x", Script(error=ChatError("no such luck"), finish_reason=""))
        values = chat.map(["a", "b"], provider=provider, concurrency=1)
        with pytest.raises(ChatError, match="no such luck"):
            raise values[1]


class TestOnDisk:
    def test_the_same_call_again_asks_nothing(
        self, chat: ChatSession, server: LocalServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = chat.map(list("abc"))
        capsys.readouterr()
        other = ChatSession(model="test-model")
        second = other.map(list("abc"))
        other.close()
        assert second == first
        assert second[0].usage == first[0].usage
        assert len(server.requests) == 3
        assert "3 of them from disk" in capsys.readouterr().err

    def test_a_longer_list_asks_what_is_new(self, chat: ChatSession, server: LocalServer) -> None:
        chat.map(list("abc"))
        assert chat.map(list("bcd")) == ["re: b", "re: c", "re: d"]
        assert len(server.requests) == 4

    @pytest.mark.parametrize("change", [{"model": "another-model"}, {"temperature": 0.1}, {"system": "Be brief."}])
    def test_other_options_are_other_requests(
        self, chat: ChatSession, server: LocalServer, change: dict[str, Any]
    ) -> None:
        chat.map(["a"])
        chat.map(["a"], **change)
        assert len(server.requests) == 2

    def test_fresh_asks_anew_and_a_name_keeps_apart(self, chat: ChatSession, server: LocalServer) -> None:
        chat.map(["a"])
        server.rule = lambda _: Answer(text=["new"])
        assert chat.map(["a"], name="second run") == ["new"]
        assert chat.map(["a"]) == ["re: a"]
        assert chat.map(["a"], fresh=True) == ["new"]
        assert chat.map(["a"]) == ["new"]
        assert len(server.requests) == 3

    def test_failures_stay_until_they_are_asked_again(self, chat: ChatSession, server: LocalServer) -> None:
        withheld = Answer(text=["…"], finish_reason="content_filter")
        server.rule = lambda request: withheld if prompt_of(request) == "b" else echo(request)
        assert kinds(chat.map(list("abc"))) == ["ok", "content_filter", "ok"]
        assert kinds(chat.map(list("abc"))) == ["ok", "content_filter", "ok"]
        assert len(server.requests) == 3
        server.rule = echo
        assert chat.map(list("abc"), retry="failed") == ["re: a", "re: b", "re: c"]
        assert len(server.requests) == 4

    def test_nothing_is_kept_where_nothing_is_to_be_kept(self, chat: ChatSession, server: LocalServer) -> None:
        chat.settings.persist = False
        chat.map(["a"])
        chat.map(["a"])
        assert len(server.requests) == 2
        assert chat.batch.listed() == []

    def test_a_disk_that_cannot_be_written_stops_nothing(
        self, chat: ChatSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "file" / "below"))
        assert chat.map(list("ab")) == ["re: a", "re: b"]

    def test_jobs_are_listed_resumed_and_forgotten(self, chat: ChatSession, server: LocalServer) -> None:
        empty = Answer(status=402, raw=[b'{"error": {"message": "no balance"}}'])
        server.rule = lambda request: echo(request) if len(server.requests) <= 2 else empty
        frame = pd.DataFrame({"text": ["{a}", "b", "b", "c"]})
        chat.map(frame, "Say {text}", concurrency=1, system="Be brief.", max_tokens=9)
        (record,) = chat.batch.listed()
        assert (record.label, record.model, record.rows, record.done) == ("Say {text}", "test-model", 3, 2)
        server.rule = echo
        other = ChatSession()
        assert other.batch.resume(record.id) == ["re: Say {a}", "re: Say b", "re: Say b", "re: Say c"]
        assert server.requests[-1].json["max_tokens"] == 9
        assert server.requests[-1].messages[0]["content"] == "Be brief."
        other.batch.forget(record.id)
        assert other.batch.listed() == []
        with pytest.raises(ConfigurationError):
            other.batch.resume(record.id)
        other.close()

    def test_a_provider_without_a_name_is_not_resumed(self, chat: ChatSession) -> None:
        chat.map(["a"], provider=Scripted.of("x"))
        (record,) = chat.batch.listed()
        with pytest.raises(ConfigurationError, match="cell"):
            chat.batch.resume(record.id)


class TestStopping:
    def test_a_job_in_the_background_is_waited_for_or_stopped(self, chat: ChatSession, server: LocalServer) -> None:
        job = chat.map(list("abc"), background=True)
        assert isinstance(job, Job)
        assert job.result(30) == ["re: a", "re: b", "re: c"]
        server.rule = lambda request: echo(request) if prompt_of(request) < "4" else Answer(wait=600, text=["late"])
        job = chat.map(list("12345678"), background=True, concurrency=2)
        server.wait_for_request(3 + 5)
        with pytest.raises(TimeoutError):
            job.result(0.01)
        begun = time.monotonic()
        job.cancel()
        values = job.result(30)
        assert time.monotonic() - begun < 5
        assert kinds(values)[:3] == ["ok"] * 3
        assert kinds(values)[5:] == ["not_asked"] * 3
        assert all(request.closed_by_client.wait(10) for request in server.requests[-2:])

    def test_chat_stop_stops_jobs_too(self, chat: ChatSession, server: LocalServer) -> None:
        server.rule = lambda _: Answer(wait=600)
        job = chat.map(["a"], background=True)
        server.wait_for_request()
        assert chat.stop() == 1
        assert kinds(job.result(30)) == ["not_asked"]

    def test_a_cancelled_task_stops_the_job(self, chat: ChatSession, server: LocalServer) -> None:
        server.rule = lambda request: echo(request) if prompt_of(request) == "a" else Answer(wait=600)

        async def ask() -> None:
            task = asyncio.ensure_future(chat.amap(["a", "b"], progress=False))
            while not (chat.batch.jobs and chat.batch.jobs[-1].progress.done):  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(ask())
        assert chat.batch.jobs[-1].over.wait(10)
        server.rule = echo
        assert chat.map(["a", "b"]) == ["re: a", "re: b"]
        assert [prompt_of(request) for request in server.requests].count("a") == 1


class TestAsyncFaces:
    def test_amap_gives_what_map_gives(self, chat: ChatSession) -> None:
        assert asyncio.run(chat.amap(pd.Series(["x"], index=[9]), progress=False))[9] == "re: x"

    def test_imap_yields_in_order(self, chat: ChatSession) -> None:
        async def gather() -> list[Any]:
            return [reply async for reply in chat.imap(["a", "b", "a"])]

        assert asyncio.run(gather()) == ["re: a", "re: b", "re: a"]

    def test_leaving_imap_early_stops_it(self, chat: ChatSession, server: LocalServer) -> None:
        server.rule = lambda request: echo(request) if prompt_of(request) == "a" else Answer(wait=600)

        async def first() -> Any:
            async for reply in chat.imap(["a", "b"]):
                return reply
            return None

        assert asyncio.run(first()) == "re: a"
        assert chat.batch.jobs[-1].over.wait(10)

    def test_a_provider_may_ask_for_rows_itself(self, chat: ChatSession) -> None:
        async def asks_again(_model: str, _messages: Any, **_: Any) -> Any:
            yield " ".join(chat.map(["x", "y"], provider="openai", progress=False))

        assert chat.ask_sync("Go", provider=asks_again) == "re: x re: y"


class TestCost:
    def test_the_line_before_says_what_will_be_sent(
        self, chat: ChatSession, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chat.prices = {"test-model": (1.0, 2.0)}
        chat.map(["some words"] * 3 + ["others"], max_tokens=10)
        before, after = capsys.readouterr().err.strip().splitlines()[:2]
        assert "4 rows; 2 requests to test-model" in before
        assert "at most $" in before
        assert "4 of 4 rows done" in after
        assert "20 tokens" in after

    def test_a_job_ends_before_it_costs_too_much(self, chat: ChatSession, server: LocalServer) -> None:
        chat.prices = {"test-model": (100_000.0, 100_000.0)}  # a dollar a row
        values = chat.map(list(map(str, range(100))), max_cost=20.0, concurrency=4)
        assert 15 <= len(server.requests) <= 20
        assert kinds(values).count("ok") == len(server.requests)
        assert set(kinds(values)) == {"ok", "not_asked"}
        assert kinds(chat.map(list(map(str, range(100))), max_cost=200.0)) == ["ok"] * 100
        assert len(server.requests) == 100

    def test_above_a_limit_the_person_is_asked(
        self, chat: ChatSession, server: LocalServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chat.ask_above_rows = 2
        chat.map(["a", "b"])
        monkeypatch.setattr("builtins.input", lambda _: "n")
        with pytest.raises(ChatInterrupted):
            chat.map(list("cdef"))
        assert len(server.requests) == 2
        monkeypatch.setattr("builtins.input", lambda _: "yes")
        assert kinds(chat.map(list("cdef"))) == ["ok"] * 4

        def nobody(_: str) -> str:
            raise EOFError

        monkeypatch.setattr("builtins.input", nobody)
        with pytest.raises(ConfigurationError):
            chat.map(list("ghij"))

    def test_rows_count_in_the_usage_of_the_session(self, chat: ChatSession) -> None:
        chat.map(list("abc"))
        (spent,) = chat.usage.by_model.values()
        assert (spent.responses, spent.prompt_tokens, spent.completion_tokens) == (3, 21, 9)


class TestTheRequest:
    def test_rows_are_apart_from_the_conversation_and_not_streamed(
        self, chat: ChatSession, server: LocalServer
    ) -> None:
        chat.ask_sync("before")
        chat.map(["a"])
        assert server.requests[-1].messages == [{"role": "user", "content": "a"}]
        assert server.requests[-1].json.get("stream") is False
        assert len(chat.conversation.turns) == 1

    def test_what_a_model_refuses_is_learned_once(self, chat: ChatSession, server: LocalServer) -> None:
        words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        no = json.dumps({"error": {"message": words, "code": "unsupported_parameter", "param": "max_tokens"}}).encode()
        server.rule = lambda request: Answer(status=400, raw=[no]) if "max_tokens" in request.json else echo(request)
        assert kinds(chat.map(list(map(str, range(30))), max_tokens=5, concurrency=2)) == ["ok"] * 30
        assert len(server.requests) <= 30 + 6

    def test_what_streams_all_the_same_is_read(self, chat: ChatSession, server: LocalServer) -> None:
        chunk = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = [f"data: {json.dumps(each)}\n\n".encode() for each in (chunk, end)]
        server.rule = lambda _: Answer(raw=[*events, b"data: [DONE]\n\n"])
        assert chat.map(["a"]) == ["hi"]

    def test_where_a_gateway_gives_up_the_response_is_streamed(self, chat: ChatSession, server: LocalServer) -> None:
        server.rule = lambda request: echo(request) if request.json.get("stream") else Answer(status=504, raw=[b"{}"])
        assert chat.map(list("abcd"), concurrency=1) == [f"re: {letter}" for letter in "abcd"]
        assert len(server.requests) <= 6

    def test_the_other_protocol_serves_as_well(self, chat: ChatSession) -> None:
        chat.dialect = "responses"
        assert chat.map(["a"]) == ["re: a"]


SCRIPT = textwrap.dedent(
    """
    import json, sys
    from chatanywhere_magic import ChatSession
    chat = ChatSession(model="test-model")
    rows = [f"row {number}" for number in range(int(sys.argv[1]))]
    values = chat.map(rows, concurrency=8)
    print(json.dumps([value if isinstance(value, str) else value.kind for value in values]), flush=True)
    """
)


def run(rows: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(rows)], stdout=subprocess.PIPE, text=True)


class TestProcessesThatEnd:
    """In programs of their own, which are interrupted and killed."""

    ROWS = 300

    @pytest.fixture
    def slow(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        server.rule = lambda request: Answer(text=echo(request).text, wait=0.02)
        return server

    @pytest.mark.slow
    def test_a_job_that_is_killed_again_and_again_goes_on(self, slow: LocalServer) -> None:
        """Ten kills at random moments cost no more than what was under way at each."""
        chance = random.Random(20)  # noqa: S311 - chance picks moments, not secrets
        kills = 10
        for _ in range(kills):
            before = len(slow.requests)
            program = run(self.ROWS)
            slow.wait_for_request(min(before + chance.randint(1, 40), self.ROWS + 8 * kills), seconds=60)
            program.kill()
            program.communicate()
        values = json.loads(run(self.ROWS).communicate()[0])
        assert values == [f"re: row {number}" for number in range(self.ROWS)]
        assert len(slow.requests) <= self.ROWS + 8 * kills

    @pytest.mark.skipif(os.name != "posix", reason="signals")
    def test_an_interrupt_returns_every_row_that_is_done(self, slow: LocalServer) -> None:
        program = run(self.ROWS)
        slow.wait_for_request(60, seconds=60)
        program.send_signal(signal.SIGINT)
        values = json.loads(program.communicate(timeout=60)[0])
        answered = sum(request.answered for request in slow.requests)
        done = [value for value in values if value.startswith("re: ")]
        assert 50 <= len(done) < self.ROWS
        assert len(done) >= answered - 8
        assert set(values) - set(done) == {"not_asked"}
        assert json.loads(run(self.ROWS).communicate()[0]) == [f"re: row {number}" for number in range(self.ROWS)]
        assert len(slow.requests) <= self.ROWS + 8
