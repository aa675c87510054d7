"""What the panel's page and the kernel say to each other: each knows every word of the other."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

import chatanywhere_magic.panel
from chatanywhere_magic.core import ChatError, errors
from chatanywhere_magic.panel.actions import Actions
from chatanywhere_magic.panel.commands import _REQUIRED, COMMANDS
from chatanywhere_magic.panel.frontend import PAGE, script

KERNEL = Path(chatanywhere_magic.panel.__file__).parent
PROTOCOL = (PAGE / "protocol.js").read_text(encoding="utf-8")
REMEDIES = (PAGE / "remedies.js").read_text(encoding="utf-8")
SENT = [
    # this.app.act("pin", { turn: this.index }), and what has no literal fields
    *re.findall(r'\b(?:ask|act)\(\s*"(\w+)"(?:,\s*\{([^{}]*)\})?', script()),
    # model.send({ type: "hello", page: this.#page })
    *re.findall(r'\bsend\(\{ type: "(\w+)",?([^{}]*)\}', script()),
]
"""The commands of the page, each with what stands between the braces of its fields."""


def fields(braces: str) -> set[str]:
    """Return the names in ``turn: this.index, words``."""
    return set(re.findall(r"(?:^|,)\s*(\w+)", braces))


@lru_cache(maxsize=1)
def sources() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in KERNEL.glob("*.py")]


def told() -> dict[str, set[str]]:
    """Return the messages of the kernel: their types, each with the fields that it is written with."""
    found = {}
    for node in (node for source in sources() for node in ast.walk(source)):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            kind = node.values[keys.index("type")] if keys[:1] == ["type"] else None
            if isinstance(kind, ast.Constant):
                found[str(kind.value)] = set(keys)
    return found


def returned(function: str) -> set[str]:
    """Return the keys of the dictionary that a function of the kernel returns."""
    for node in (node for source in sources() for node in ast.walk(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            written = [each for each in ast.walk(node) if isinstance(each, ast.Dict)]
            return {key.value for each in written for key in each.keys if isinstance(key, ast.Constant)} - {None}
    raise AssertionError(function)


def described(name: str) -> tuple[set[str], set[str]]:
    """Return the properties that ``protocol.js`` gives an object, and those of them that may be missing."""
    block = re.search(rf"@typedef \{{object\}} {name}\b(.*?)(?=@typedef|\*/)", PROTOCOL, re.DOTALL)
    assert block is not None, name
    properties = re.findall(r"@property \{.+\} (\[?)(\w+)", block[1])
    return {each for _, each in properties}, {each for optional, each in properties if optional}


def test_the_page_sends_what_the_kernel_reads_and_the_other_way_round() -> None:
    assert {command for command, _ in SENT} == COMMANDS.keys()


@pytest.mark.parametrize(("command", "braces"), sorted(set(SENT)))
def test_a_command_carries_what_the_kernel_takes(command: str, braces: str) -> None:
    takes = COMMANDS[command]
    given = fields(braces)
    assert given <= takes.keys()
    if braces.strip():
        assert {name for name, (_, default) in takes.items() if default is _REQUIRED} <= given


def test_the_kernel_can_carry_out_what_it_reads() -> None:
    own = {"hello", "bye", "fetch"}  # of pages, not of the conversation
    assert COMMANDS.keys() - own == {name for name in vars(Actions) if not name.startswith("_")}


def test_the_page_knows_every_message_and_waits_for_no_other() -> None:
    union = re.search(r"@typedef \{([\w| ]+)\} FromKernel", PROTOCOL)
    assert union is not None
    types = {name.strip().lower() for name in union[1].split("|")}
    heard = set(re.findall(r'message\.type [!=]== "(\w+)"', script()))
    assert told().keys() == types == heard


def test_a_snapshot_holds_what_the_page_reads() -> None:
    assert (told()["snapshot"], set()) == described("Snapshot")
    assert told()["changes"] < described("Changes")[0]


@pytest.mark.parametrize(
    ("function", "name"), [("head_of", "Head"), ("problem_of", "Problem"), ("header_of", "Header")]
)
def test_what_the_kernel_tells_is_what_the_page_reads(function: str, name: str) -> None:
    keys = returned(function)
    if function == "header_of":
        keys |= returned("_turn_loop")
    elif function == "head_of":
        keys -= {"name", "kind", "size"}  # a chip's
    assert keys == described(name)[0]


def test_the_page_knows_kinds_of_errors_that_there_are() -> None:
    kinds = {each.kind for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ChatError)}
    known = set(re.findall(r'"(\w+)"', "".join(re.findall(r"new Set\(\[(.*?)\]\)", REMEDIES))))
    known |= set(re.findall(r'kind === "(\w+)"', REMEDIES))
    assert known
    assert known <= kinds
