"""A notebook that was saved holds its conversation: it is rebuilt from the file alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat

from chatanywhere_magic.export.notebook import from_notebook
from tests.kernel.conftest import LOAD, environment
from tests.kernel.seen import evaluate, turns
from tests.support.notebooks import execute, notebook_of, saved
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.kernels import Kernel
    from tests.support.server import LocalServer


def spoken(document: str) -> list[tuple[str, str, str]]:
    made = from_notebook(document).conversation
    return [(turn.current.prompt, turn.current.text, turn.current.status) for turn in made.turns]


def test_what_the_notebook_shows_is_what_comes_back(kernel: Kernel, server: LocalServer) -> None:
    server.queue(
        Answer(text=["**One**\n", "\n```python\n1\n```\n"]), Answer(text=["Half"], cut=True), Answer(text=["Three"])
    )
    results: list[tuple[str, Any]] = [
        (name, kernel.run(code, cell_id=name))
        for name, code in (
            ("a", "%%chat -s 'Be brief' -t 0.1\nFirst?"),
            ("b", "%chat Second?"),
            ("c", "%chat --no-history Aside?"),
            ("d", "%chat Third?"),
        )
    ]
    assert spoken(saved(*results)) == [tuple(turn) for turn in turns(kernel)]
    rebuilt = from_notebook(saved(*results)).conversation
    kept = evaluate(kernel, "__import__('chatanywhere_magic.export').export.export(chat.conversation, 'json')")
    first = json.loads(kept)["turns"][0]["versions"][0]
    assert rebuilt.turns[0].current.system == first["system"] == "Be brief"
    assert rebuilt.turns[0].current.fingerprint == first["fingerprint"]
    assert rebuilt.turns[0].current.origin.cell_id == "a"


def test_a_revised_turn_is_one_turn_in_its_place(kernel: Kernel) -> None:
    kernel.run("%chat First?", cell_id="a")
    second = kernel.run("%chat Second?", cell_id="b")
    first = kernel.run("%chat First, again?", cell_id="a")
    assert [question for question, _, _ in spoken(saved(("a", first), ("b", second)))] == ["First, again?", "Second?"]


def test_a_notebook_that_a_pipeline_executed_is_read(server: LocalServer, tmp_path: Path) -> None:
    server.queue(Answer(text=["One."]), Answer(text=["Two."]))
    done = execute(notebook_of([LOAD, "%chat First?", "1 + 1", "%chat Second?"]), tmp_path, env=environment(server))
    assert spoken(nbformat.writes(done)) == [("First?", "One.", "complete"), ("Second?", "Two.", "complete")]


def test_somebody_else_goes_on_with_a_notebook_that_was_sent(
    kernel: Kernel, new_kernel: Callable[..., Kernel], server: LocalServer, tmp_path: Path
) -> None:
    cells = [(name, kernel.run(f"%chat question {name}", cell_id=name)) for name in ("a", "b")]
    file = tmp_path / "sent.ipynb"
    file.write_text(saved(*cells), encoding="utf-8")
    other = new_kernel(JPY_SESSION_NAME=str(file))
    other.run(LOAD)
    said = other.run("%chat_import this")
    assert "turns: 2" in said.stdout
    server.forget()
    other.run("%chat What did I ask?", cell_id="c")
    other.run("%chat question a, again", cell_id="a")
    asked = [[each["content"] for each in request.messages if each["role"] == "user"] for request in server.requests]
    assert asked == [["question a", "question b", "What did I ask?"], ["question a, again"]]
    assert [turn.prompt for turn in turns(other)] == ["question a, again", "question b", "What did I ask?"]


def test_a_notebook_of_somebody_evil_is_data(new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
    cell: dict[str, Any] = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "outputs": []}
    for about in (
        {
            "question": "<img src=x onerror=alert(1)>",
            "answer": "<script>alert(1)</script>![](https://attacker.example)",
        },
        {"question": ["not", "text"]},
        {"question": "deep", "parameters": {"a": [[[[]]]]}, "turn": {"$ref": 1}},
        {"question": "new", "schema": 10**9},
        "text",
    ):
        data = {"text/plain": "x", "text/html": "<script>alert(1)</script>"}
        output = {"output_type": "display_data", "data": data, "metadata": {"chatanywhere": about}}
        cell["outputs"].append(output)
    document = {"cells": [cell, None, 7], "metadata": {"chatanywhere": []}, "nbformat": 4, "nbformat_minor": 5}
    file = tmp_path / "evil.ipynb"
    file.write_text(json.dumps(document), encoding="utf-8")
    kernel = new_kernel(JPY_SESSION_NAME=str(file))
    kernel.run(LOAD)
    result = kernel.run("%chat_import this")
    assert result.status == "ok"
    assert "3" in result.stdout.splitlines()[-1]
    pages = [output["data"]["text/html"] for output in result.outputs if "text/html" in output.get("data", {})]
    assert pages
    assert "<script" not in "".join(pages)
    assert "<img" not in "".join(pages)
    assert len(turns(kernel)) == 1
