"""Rows on a Dask cluster: two worker processes, of which one may be lost."""

from __future__ import annotations

import os
import signal
import urllib.request
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from chatanywhere_magic import ChatSession, Scripted
from chatanywhere_magic.core import ChatError, ConfigurationError
from tests.support.server import Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import Request

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    # dask's own, of its processes and sockets
    pytest.mark.filterwarnings("default"),
]
KEY = "sk-only-for-workers-Zq7TnW4xLk9PbV2m"


def echo(request: Request) -> Answer:
    content: Any = request.messages[-1]["content"]
    if content == "bad":
        return Answer(status=400, raw=[b'{"error": {"message": "not to be had"}}'])
    return Answer(text=[f"re: {content}"], wait=0.02)


# One for all of them, as on one machine: what a row of the same words was answered is known to the next test.
@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalServer]:
    with LocalServer() as server:
        server.keys = {KEY}
        yield server


@pytest.fixture
def client(shared: LocalServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a cluster of two processes."""
    from distributed import Client, LocalCluster

    shared.forget()
    shared.rule = echo
    monkeypatch.setenv("OPENAI_BASE_URL", shared.api_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(home))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            yield client


@pytest.fixture
def chat(client: Any) -> Iterator[ChatSession]:  # noqa: ARG001 - whose environment it needs
    session = ChatSession(provider="openai", model="test-model")
    yield session
    session.close()


def test_rows_are_asked_on_workers_with_keys_of_their_own(
    client: Any, chat: ChatSession, shared: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    frame = pd.DataFrame({"text": [*map(str, range(60)), "bad"]}, index=range(100, 161))
    result = chat.map(frame, "{text}", client=client)
    assert list(result.index) == list(frame.index)
    assert list(result.response[:60]) == [f"re: {number}" for number in range(60)]
    assert list(result.status) == ["ok"] * 60 + ["failed"]
    assert result.error[160].startswith("bad_request")
    assert {request.header("Authorization") for request in shared.requests} == {f"Bearer {KEY}"}
    again = chat.map(frame, "{text}", client=client)
    assert list(again.response[:60]) == list(result.response[:60])
    assert len(shared.requests) <= 62, "what was stored by the client is not asked again"


def test_the_key_is_in_no_task_no_log_and_no_page(client: Any, chat: ChatSession) -> None:
    job = chat.map([f"row {number}" for number in range(200)], client=client, background=True)
    graph = str(
        client.run_on_scheduler(
            lambda dask_scheduler: [
                (str(key), repr(task.run_spec), repr(vars(task.run_spec)) if hasattr(task.run_spec, "__dict__") else "")
                for key, task in dask_scheduler.tasks.items()
            ]
        )
    )
    assert isinstance(job.result(60)[0], str)
    logs = str(client.get_worker_logs()) + str(client.get_scheduler_logs()) + str(client.get_events())
    pages = ""
    if client.dashboard_link:
        base = client.dashboard_link.removesuffix("/status")
        for page in ("info/main/workers.html", "info/logs.html", "json/counts.json", "metrics"):
            with suppress(OSError), urllib.request.urlopen(f"{base}/{page}", timeout=10) as found:  # noqa: S310
                pages += found.read().decode()
    for place in (graph, logs, pages):
        assert KEY not in place


def test_a_worker_that_is_lost_takes_only_what_was_under_way(
    client: Any, chat: ChatSession, shared: LocalServer
) -> None:
    job = chat.map([f"lost {number}" for number in range(200)], client=client, background=True, concurrency=8)
    shared.wait_for_request(60, seconds=60)
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    values = job.result(120)
    assert values == [f"re: lost {number}" for number in range(200)]
    assert len(shared.requests) <= 200 + 8


def test_stopping_keeps_what_is_done(client: Any, chat: ChatSession, shared: LocalServer) -> None:
    job = chat.map([f"stopped {number}" for number in range(400)], client=client, background=True)
    shared.wait_for_request(40, seconds=60)
    job.cancel()
    done = [value for value in job.result(30) if isinstance(value, str)]
    assert 8 <= len(done) < 400
    again = chat.map([f"stopped {number}" for number in range(400)], client=client)
    assert all(isinstance(value, str) for value in again)


def test_a_frame_of_dask_is_asked_when_it_is_computed(client: Any, chat: ChatSession, shared: LocalServer) -> None:  # noqa: ARG001 - it computes
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"text": list("abcdef")}), npartitions=3)
    result = chat.map(frame, "{text}")
    assert list(result.columns) == ["text", "response", "status", "error"]
    assert shared.requests == []
    computed = result.compute()
    assert list(computed.response) == [f"re: {letter}" for letter in "abcdef"]
    assert KEY not in str(result.__dask_graph__())
    with pytest.raises(ConfigurationError, match="text"):
        chat.map(frame, "{txt}")


def test_a_provider_that_workers_cannot_find_is_refused(client: Any, chat: ChatSession) -> None:
    with pytest.raises(ConfigurationError, match="cluster"):
        chat.map(["a"], client=client, provider=Scripted.of("x"))


def test_a_cluster_whose_workers_have_no_key_says_so(client: Any, chat: ChatSession) -> None:
    client.run(lambda: os.environ.pop("OPENAI_API_KEY"))
    with pytest.raises(ChatError, match="key"):
        chat.map(["a"], client=client)
