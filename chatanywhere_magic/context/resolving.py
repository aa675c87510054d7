"""Resolve the ``@names`` of a prompt into attachments.

Names are looked up, never evaluated. Nothing is added that the prompt does not name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..core import Attachment, ConfigurationError, Document, Image, estimate, phrase, text
from . import pictures
from .describing import describe
from .files import read_file
from .fitting import joined
from .lookup import (
    Cell,
    Lookup,
    MissingError,
    Names,
    RunsCodeError,
    attribute,
    attribute_names,
    is_instance,
    item,
    item_names,
)
from .lookup import written as as_written
from .mentions import NAME, file_path, find_ats, item_key, likely, readings
from .pasted import is_pasted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUDGET: Final = 2_000
"""Most tokens of what the names of one prompt add to it, files aside."""
SPECIAL: Final = ("cell", "error")
_WEB: Final = frozenset({"url", "http", "https"})


@dataclass(frozen=True)
class Context:
    """The prompt with its attachments, as sent to the model."""

    prompt: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was sent along, and its size, for the person."""
        return notes(self.attachments)


def notes(attachments: Iterable[Attachment]) -> tuple[str, ...]:
    """Return a short line on each attachment: ``@df (412 tokens)``, ``plot.png (picture)``."""
    return tuple(
        text("footer.picture", name=each.name)
        if isinstance(each, Image)
        else text("footer.item", name=each.name, tokens=estimate(each.text))
        for each in attachments
    )


@dataclass(frozen=True)
class _Named:
    """Something that a prompt names: how, and what it is; one of the last three."""

    name: str
    value: Any = None
    words: str | None = None
    attachment: Attachment | None = None


def resolve(
    prompt: str,
    namespace: Lookup | Mapping[str, Any],
    *,
    budget: int = BUDGET,
    supports_images: bool = False,
) -> Context:
    r"""Return what goes to the model for a prompt that may name things with ``@``.

    Parameters
    ----------
    prompt : str
        As typed. ``\@name`` is a literal ``@name``.
    namespace : Lookup or mapping
        Where names are looked up: a kernel, or a dictionary such as ``globals()``.
    budget : int, default 2000
        Most tokens of all descriptions together; files are read whole.
    supports_images : bool, default False
        Whether the model sees pictures. If not, figures are described in words.

    Raises
    ------
    ConfigurationError
        If a name is unknown or cannot be looked up without running code, or a file cannot be sent.
    """
    lookup = Names(namespace) if isinstance(namespace, Mapping) else namespace
    pieces, position, skipped_to = [], 0, 0
    found: dict[str, _Named] = {}
    for at in find_ats(prompt):
        if at.position < skipped_to:
            continue
        if at.is_escaped:
            pieces.append(prompt[position : at.position - 1])
            position = at.position
            continue
        named, skipped_to = _Reader(prompt, lookup, supports_images).read(at.position)
        if named is not None:
            found.setdefault(named.name, named)
    pieces.append(prompt[position:])
    return Context("".join(pieces), tuple(_attachments(list(found.values()), budget, supports_images)))


class _Reader:
    """Reads one name with everything that follows it."""

    def __init__(self, prompt: str, lookup: Lookup, supports_images: bool) -> None:  # noqa: FBT001 - passed through
        self._prompt = prompt
        self._lookup = lookup
        self._supports_images = supports_images

    def read(self, at: int) -> tuple[_Named | None, int]:
        """Return what is named at the ``@`` at `at`, and where the name ends; None if that is pasted code."""
        prompt, begin = self._prompt, at + 1
        if path := file_path(prompt, begin):
            name = prompt[at : path[1]]
            return _Named(name, attachment=read_file(path[0], name, supports_images=self._supports_images)), path[1]
        typed = NAME.match(prompt, begin)
        whole = typed[0] if typed else ""
        if whole.lower() in _WEB and prompt.startswith(":", begin + len(whole)):
            raise ConfigurationError(phrase("error.context_web"))
        variables = self._lookup.variables
        for name in readings(whole):
            key = unicodedata.normalize("NFKC", name)  # as Python reads names
            if key in variables:
                return self._path(at, begin + len(name), whole == name, variables[key])
            if key in SPECIAL:
                return self._special(at, begin + len(name), key)
        if whole.lower() in _WEB:
            raise ConfigurationError(phrase("error.context_web"))
        name = likely(whole)
        known = [*(each for each in self._lookup.names if not each.startswith("_")), *SPECIAL]
        hint = _hint(name, known)
        if is_pasted(prompt, at, is_close=bool(hint)):
            return None, begin
        raise ConfigurationError(phrase("error.context_unknown", name=name, hint=hint))

    def _special(self, at: int, end: int, name: str) -> tuple[_Named, int]:
        if name == "error":
            words = self._lookup.error()
            if not words:
                raise ConfigurationError(phrase("error.context_no_error"))
            return _Named(self._prompt[at:end], words=words), end
        key = item_key(self._prompt, end)
        number = key[0] if key is not None and isinstance(key[0], int) else -1
        end = key[1] if key is not None and isinstance(key[0], int) else end
        cell = self._lookup.cell(number)
        if cell is None:
            raise ConfigurationError(phrase("error.context_no_cell", name=self._prompt[at:end]))
        return _Named(self._prompt[at:end], value=cell), end

    def _path(self, at: int, end: int, is_whole: bool, value: Any) -> tuple[_Named, int]:  # noqa: FBT001
        """Follow attributes and items from `value` on, as far as they are written."""
        prompt = self._prompt
        owner: Any = None
        while is_whole:
            before = prompt[at:end]
            if found := item_key(prompt, end):
                value = _step(item, value, found[0], before, prompt[end : found[1]])
                end = found[1]
            elif prompt.startswith(".", end) and (typed := NAME.match(prompt, end + 1)):
                owner, name = value, _attribute_name(value, typed[0])
                value = _step(attribute, value, unicodedata.normalize("NFKC", name), before, f".{name}")
                end += 1 + len(name)
                is_whole = name == typed[0]
            else:
                break
        if prompt.startswith("(", end) and owner is not None and not is_instance(owner, (type, ModuleType)):
            raise ConfigurationError(phrase("error.context_called", name=prompt[at:end]))
        return _Named(prompt[at:end], value=value), end


def _attribute_name(value: Any, typed: str) -> str:
    """Return what of `typed` is the name of an attribute."""
    for name in readings(typed):
        with suppress(LookupError):
            attribute(value, unicodedata.normalize("NFKC", name))
            return name
    return likely(typed)


def _step(take: Callable[[Any, Any], Any], value: Any, key: Any, before: str, written: str) -> Any:
    """Take one step from `value`, or say what is wrong with it."""
    try:
        return take(value, key)
    except RunsCodeError:
        raise ConfigurationError(phrase("error.context_computed", name=f"{before}{written}")) from None
    except MissingError:
        names = attribute_names(value) if take is attribute else [name.strip('"') for name in item_names(value)]
        hint = _hint(key if type(key) is str else as_written(key), names)
        raise ConfigurationError(phrase("error.context_missing", name=before, step=written, hint=hint)) from None


def _hint(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return text("hint.did_you_mean", name=close[0]) if close else ""


def value_at(lookup: Lookup, path: str) -> Any:
    """Return the value of ``@path``.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    named, end = _Reader(f"@{path}", lookup, supports_images=False).read(0)
    if named is None or end != len(path) + 1:
        raise ConfigurationError(phrase("error.context_unknown", name=path, hint=""))
    return named.value


def named(lookup: Lookup, path: str, *, budget: int = BUDGET, supports_images: bool = False) -> tuple[Attachment, ...]:
    """Return what a model is sent of ``@path`` alone: a variable or what it holds, ``cell[3]`` or ``error``; no file.

    Raises
    ------
    ConfigurationError
        If there is none, or it cannot be looked up without running code.
    """
    if file_path(f"@{path}", 1):
        raise ConfigurationError(phrase("error.context_unknown", name=path, hint=""))
    found, end = _Reader(f"@{path}", lookup, supports_images=supports_images).read(0)
    if found is None or end != len(path) + 1:
        raise ConfigurationError(phrase("error.context_unknown", name=path, hint=""))
    return tuple(_attachments([found], budget, supports_images))


# --- to a budget ----------------------------------------------------------------------------------------------


def _attachments(found: list[_Named], budget: int, supports_images: bool) -> Iterable[Attachment]:  # noqa: FBT001
    """Describe what was found; each gets its even share of the budget, and what the small ones leave."""
    texts: dict[int, str] = {}
    waiting: dict[int, _Named] = {}
    images: dict[int, list[Attachment]] = {}
    for number, named in enumerate(found):
        images[number] = list(_pictures_of(named)) if supports_images else []
        if named.attachment is not None:
            images[number] = [named.attachment]
        elif not (images[number] and pictures.is_picture(named.value)):
            waiting[number] = named
    left = budget
    sizes: dict[int, int] = {}
    for number, named in waiting.items():
        texts[number] = _words(named, budget)
        sizes[number] = estimate(texts[number])
    for count, number in enumerate(sorted(waiting, key=sizes.__getitem__)):
        share = left // (len(waiting) - count)
        if sizes[number] > share:
            texts[number] = _words(waiting[number], share)
        left -= estimate(texts[number])
    for number, named in enumerate(found):
        if number in texts:
            yield Document(named.name, texts[number])
        yield from images[number]


def _pictures_of(named: _Named) -> Iterable[Attachment]:
    if is_instance(named.value, Cell):
        yield from (replace(each, name=f"{named.name} {number}") for number, each in enumerate(named.value.pictures, 1))
    elif pictures.is_picture(named.value):
        made = pictures.picture(named.value, named.name)
        if made is not None:
            yield made


def _words(named: _Named, budget: int) -> str:
    if named.words is not None:
        return joined([named.words], budget)
    if is_instance(named.value, Cell):
        cell: Cell = named.value
        shown = [f"[output]\n{cell.outputs}"] if cell.outputs else []
        failed = [f"[error]\n{cell.error}"] if cell.error else []
        # The source is why it was named; the end of a long output says more than its middle.
        return joined([f"[cell {cell.number}]\n{cell.source}", *failed, *shown], budget)
    return describe(named.value, budget)
