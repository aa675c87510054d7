"""Write a conversation as a clean notebook, read it back, or rebuild it from the outputs of a notebook.

A notebook is untrusted data: the metadata of each turn is checked like any other document, and whatever does not pass
is skipped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..core import Conversation, FormatError, Origin, Turn, Version, codec, phrase, text
from .inert import blocks, inert, inert_line
from .shown import selected

if TYPE_CHECKING:
    from collections.abc import Iterator

Cell = dict[str, Any]

KEY: Final = "chatanywhere"
"""Under which the metadata of a cell, an output and the notebook speak of conversations."""
_PYTHON: Final = frozenset({"python", "py", "python3", "ipython", "ipython3"})
"""What the blocks are called that become code cells; others would not run in the notebook's kernel."""
_NO_KERNEL: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


# --- a clean notebook ---------------------------------------------------------------------------------------------


def to_notebook(conversation: Conversation) -> str:
    """Return the conversation as ``.ipynb``: prompts and responses in Markdown cells, Python blocks in code cells."""
    conversation = selected(conversation)
    cells = [_markdown("title", f"# {inert_line(conversation.name)}", {})]
    for index, turn in enumerate(conversation.turns):
        cells += _cells(index, turn)
    about = {"schema": codec.SCHEMA, "title": conversation.title}
    notebook = {"cells": cells, "metadata": {**_NO_KERNEL, KEY: about}, "nbformat": 4, "nbformat_minor": 5}
    return codec.dumps(notebook, indent=1) + "\n"


def _cells(index: int, turn: Turn) -> Iterator[Cell]:
    version = turn.current
    about = {"schema": codec.SCHEMA, "turn": index}
    pinned = {"pinned": True} if turn.pinned else {}
    whole = {**about, **pinned, "version": codec.version_to_json(version)}
    names = "".join(f" · {inert_line(each.name)}" for each in version.attachments)
    head = f"**{text('export.question')}**{names}"
    yield _markdown(f"turn-{index}-question", f"{head}\n\n{inert(version.prompt)}", whole)
    for number, (kind, source) in enumerate(_response(version)):
        name = f"turn-{index}-answer-{number}"
        yield _code(name, source, about) if kind == "code" else _markdown(name, source, about)
    if version.status != "complete":
        words = " · ".join(word for word in (text(f"status.{version.status}"), str(version.error or "")) if word)
        yield _markdown(f"turn-{index}-end", f"[{inert_line(words)}]", {})


def _response(version: Version) -> Iterator[tuple[str, str]]:
    """Yield kind and source of each cell of the answer."""
    lines: list[str] = []
    for block in blocks(version.text):
        if block.language in _PYTHON and block.end:
            if any(lines):
                yield "markdown", "\n".join(lines).strip("\n")
            lines = []
            yield "code", "\n".join(block.lines)
        else:
            lines += block.written
    if any(lines):
        yield "markdown", "\n".join(lines).strip("\n")


def _markdown(name: str, source: str, about: dict[str, Any]) -> Cell:
    return {"cell_type": "markdown", "id": name, "metadata": {KEY: about} if about else {}, "source": source}


def _code(name: str, source: str, about: dict[str, Any]) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {KEY: about},
        "outputs": [],
        "source": source,
    }


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rebuilt:
    """A conversation rebuilt from a notebook."""

    conversation: Conversation
    left_out: int = 0
    """How many outputs or cells spoke of a turn, but not as they must."""


@dataclass(frozen=True)
class _Part:
    """A version that stands somewhere in a notebook."""

    place: tuple[Any, ...]
    """Versions of one turn have the same."""
    number: int
    version: Version
    pinned: bool = False


def from_notebook(document: str | bytes) -> Rebuilt:
    """Return the conversation that was held in a notebook, or was exported as one, in the notebook's order.

    Nothing but the file is needed. Several outputs of the same turn are its versions, the last of them selected; what
    was deleted from the notebook is not in the conversation either. A turn belongs to the cell in which it stands, so
    that to run the cell again revises it.

    Raises
    ------
    FormatError
        If it is not a notebook, or contains no conversation.
    """
    notebook = codec.loads(document)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or len(cells) > codec.MAX_ITEMS:
        raise codec.unlike("cells", "[…]")
    turns: dict[tuple[Any, ...], list[_Part]] = {}
    left_out = 0
    for found in _parts(cells):
        if found is None:
            left_out += 1
        else:
            turns.setdefault(found.place, []).append(found)
    if not turns:
        raise FormatError(phrase("error.data_empty"))
    title = _about(notebook).get("title")
    conversation = Conversation(
        tuple(_turn(parts) for parts in turns.values()),
        title if isinstance(title, str) and len(title) <= codec.MAX_NAME else "",
    )
    return Rebuilt(conversation.settled(), left_out)


def _turn(parts: list[_Part]) -> Turn:
    versions = {part.number: part.version for part in parts}
    numbers = sorted(versions)
    return Turn(
        tuple(versions[number] for number in numbers), len(numbers) - 1, pinned=any(part.pinned for part in parts)
    )


def _parts(cells: list[Any]) -> Iterator[_Part | None]:
    """Yield the versions in a notebook's cells, and None for each that is not as it must be."""
    for index, cell in enumerate(cells):
        if not isinstance(cell, dict):
            continue
        about = _about(cell)
        if "version" in about:
            yield _exported(cells, index, about)
        outputs = cell.get("outputs")
        for number, output in enumerate(outputs if isinstance(outputs, list) else []):
            if _about(output):
                yield from _shown(cell, output, (index, number))


def _about(holder: Any) -> dict[str, Any]:
    """Return what metadata says of a conversation; nothing if it says nothing."""
    metadata = holder.get("metadata") if isinstance(holder, dict) else None
    about = metadata.get(KEY) if isinstance(metadata, dict) else None
    return about if isinstance(about, dict) else {}


def _shown(cell: Cell, output: Cell, where: tuple[int, int]) -> Iterator[_Part | None]:
    """Yield the version that an output shows; nothing if it was asked without history."""
    about = _about(output)
    data = output.get("data")
    plain = _text(data.get("text/plain")) if isinstance(data, dict) else ""
    try:
        codec.check_schema(about)
        version = codec.version_from_json(_with_text(about, plain), f"cells[{where[0]}]")
        conversation = codec.checked_text(about.get("conversation", ""), "conversation", codec.MAX_NAME)
        turn, number = (codec.checked_count(about.get(name), name) for name in ("turn", "number"))
    except FormatError:
        yield None
        return
    if version.history:
        name = cell.get("id")
        if version.origin.source == "cell" and isinstance(name, str) and len(name) <= codec.MAX_NAME:
            version = replace(version, origin=Origin("cell", name, version.origin.ordinal))
        place = where if turn is None else (conversation, turn)
        yield _Part(place, number or 0, version)


def _with_text(about: dict[str, Any], plain: str) -> dict[str, Any]:
    """Return what metadata says of a version, with the text that stands beside it in the output."""
    is_there = "text" in about or "answer" in about or "messages" in about
    return about if is_there else {**about, "text": plain}


def _exported(cells: list[Any], index: int, about: dict[str, Any]) -> _Part | None:
    """Return the version of an exported turn, with what was edited in the notebook since."""
    try:
        codec.check_schema(about)
        version = codec.version_from_json(about["version"], f"cells[{index}]")
    except FormatError:
        return None
    _, _, prompt = _text(cells[index].get("source")).partition("\n\n")
    if prompt != inert(version.prompt):
        version = version.with_prompt(prompt)
    response = list(_written(cells, index, about.get("turn")))
    if response != list(_response(version)):
        version = version.with_text("\n\n".join(map(_as_markdown, response)))
    return _Part(("exported", index), 0, version, about.get("pinned") is True)


def _written(cells: list[Any], index: int, turn: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and source of the cells of an exported response; what others have put between them is theirs."""
    for cell in cells[index + 1 :]:
        about = _about(cell)
        if "version" in about:
            return
        if about and about.get("turn") == turn:
            yield str(cell.get("cell_type")), _text(cell.get("source"))


def _as_markdown(part: tuple[str, str]) -> str:
    kind, source = part
    return f"```python\n{source}\n```" if kind == "code" else source


def _text(value: Any) -> str:
    """Return a text of a notebook, which may be a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else ""
