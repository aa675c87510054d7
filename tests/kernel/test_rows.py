"""``%%chat_map`` and ``%chat_jobs`` in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.seen import evaluate, the_error_line
from tests.support.server import Answer

if TYPE_CHECKING:
    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer, Request

TABLE = """
import pandas as pd
df = pd.DataFrame({"text": ["fine", "poor", "fine"]}, index=[7, 8, 9])
"""


@pytest.fixture
def kernel(kernel: Kernel, server: LocalServer) -> Kernel:
    server.rule = lambda request: Answer(text=[f"re: {request.messages[-1]['content']}"])
    kernel.run(TABLE + "for _job in chat.batch.listed(): chat.batch.forget(_job.id)")
    return kernel


def test_a_template_is_asked_for_every_row(kernel: Kernel, server: LocalServer) -> None:
    result = kernel.run("%%chat_map df -o result --temperature 0\nWhat of {text}?\n{{braces}} ?")
    assert not result.errors
    assert evaluate(kernel, "list(result.response)") == [
        f"re: What of {word}?\n{{braces}} ?" for word in ("fine", "poor", "fine")
    ]
    assert evaluate(kernel, "list(result.index)") == [7, 8, 9]
    assert len(server.requests) == 2
    assert server.requests[0].json["temperature"] == 0
    assert "2 requests" in result.stdout


def test_a_schema_of_the_notebook_is_used(kernel: Kernel, server: LocalServer) -> None:
    server.rule = lambda _: Answer(text=['{"label": "good"}'])
    kernel.run("from typing import TypedDict\nclass Review(TypedDict):\n    label: str")
    kernel.run("%%chat_map df -o result --schema Review\n{text}")
    assert evaluate(kernel, "list(result.label)") == ["good"] * 3


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%chat_map df\nWhat of {txt}?", "Did you mean text?"),
        ("%%chat_map nothing_there\nHi", "NameError"),
        ("%%chat_map df --rpm many\n{text}", "many is not a number"),
        ("%chat_jobs frobnicate", "resume NUMBER"),
        ("%chat_jobs forget 4711", "There is no job 4711"),
    ],
)
def test_what_is_wrong_is_one_line(kernel: Kernel, server: LocalServer, cell: str, words: str) -> None:
    assert words in the_error_line(kernel.run(cell))
    assert server.requests == []


def test_an_interrupt_leaves_what_is_done_in_the_variable(kernel: Kernel, server: LocalServer) -> None:
    def first_only(request: Request) -> Answer:
        held = request.messages[-1]["content"] != "fine"
        return Answer(text=["done"], wait=600.0 if held else 0.0)

    server.rule = first_only
    running = kernel.start("%%chat_map df -o result --concurrency 1\n{text}")
    server.wait_for_request(2)
    kernel.interrupt()
    assert "topped" in the_error_line(running.wait())
    assert evaluate(kernel, "list(result.status)") == ["ok", "not_asked", "ok"]


def test_a_job_in_the_background_leaves_the_kernel_usable(kernel: Kernel, server: LocalServer) -> None:
    server.rule = lambda _: Answer(text=["late"], wait=600.0)
    kernel.run("%%chat_map df -o job --background\nBehind {text}")
    server.wait_for_request()
    assert evaluate(kernel, "1 + 1") == 2
    assert "▸" in kernel.run("%chat_jobs").outputs[0]["data"]["text/plain"]
    assert "1" in kernel.run("%chat_jobs stop").stdout
    assert evaluate(kernel, "list(job.result(30).status)") == ["not_asked"] * 3


def test_jobs_are_listed_resumed_and_forgotten(kernel: Kernel, server: LocalServer) -> None:
    kernel.run("%%chat_map df -o result -q\nList {text}")
    (output,) = kernel.run("%chat_jobs").outputs
    assert "List {text}" in output["data"]["text/plain"]
    assert "2 / 2" in output["data"]["text/plain"]
    number = evaluate(kernel, "chat.batch.listed()[0].id")
    kernel.run(f"%chat_jobs resume {number} -o again")
    assert evaluate(kernel, "list(map(str, again))") == ["re: List fine", "re: List poor", "re: List fine"]
    assert len(server.requests) == 2
    kernel.run(f"%chat_jobs forget {number}")
    assert "There are no jobs" in kernel.run("%chat_jobs").stdout


def test_rows_count_in_the_usage_with_their_cost(kernel: Kernel) -> None:
    kernel.run("chat.usage.by_model.clear(); chat.prices = {'test-model': (1000, 1000)}")
    kernel.run("%%chat_map df -o result -q\nCost of {text}")
    (output,) = kernel.run("%chat_usage").outputs
    assert "$0.0200" in output["data"]["text/plain"]
