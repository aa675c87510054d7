"""The turns of a conversation, in blocks: a change copies one of them, and what each holds is found out once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .conversation import Origin, Version
    from .messages import Usage

BLOCK: Final = 256
"""Turns of a block. Every block but the last is full."""

ENDED: Final = frozenset({"complete", "interrupted", "failed"})
"""Statuses of a version that has ended."""

Offsets = Sequence[int]
"""Places within a block, ascending."""


class Stored(Protocol):
    """The versions of a turn as they were kept, read when somebody looks at them."""

    def versions(self) -> tuple[Version, ...]:
        """Return them; always the same objects."""

    def started(self, number: int) -> float:
        """Return when one of them was asked, without reading the others."""

    def length(self, number: int) -> int:
        """Return the characters of one of them."""

    def usages(self) -> Iterable[Usage]:
        """Yield the usage of those that have one."""


@dataclass(frozen=True)
class Turn:
    """A place in the conversation: its versions, oldest first, one of them selected."""

    versions: tuple[Version, ...]
    selected: int = 0
    pinned: bool = False
    """Whether the turn is always sent."""
    hidden: int = 0
    """The number of the undo, delete or clear that hid the turn, counted within the conversation; 0 if it is shown."""

    @classmethod
    def stored(cls, stored: Stored, selected: int, hidden: int, *, pinned: bool) -> Turn:
        """Return a turn whose versions are not read before somebody looks at them."""
        return _turn({"_stored": stored, "selected": selected, "pinned": pinned, "hidden": hidden})

    if not TYPE_CHECKING:  # or every misspelt attribute would be one

        def __getattr__(self, name: str) -> Any:
            stored = self.__dict__.get("_stored")
            if name != "versions" or stored is None:
                msg = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(msg)
            return self.__dict__.setdefault("versions", stored.versions())

    @cached_property
    def current(self) -> Version:
        """The version that is shown and sent."""
        return self.versions[self.selected]

    @cached_property
    def answers(self) -> bool:
        """Whether the version that is shown can be sent with its response."""
        return self.current.is_sent

    @property
    def is_sent(self) -> bool:
        """Whether later requests include this turn."""
        return not self.hidden and self.answers

    @cached_property
    def cells(self) -> frozenset[str]:
        """The cells in which its versions were asked."""
        return frozenset(version.origin.cell_id for version in self.versions if version.origin.cell_id)

    @cached_property
    def has_ended(self) -> bool:
        """Whether none of its versions is on its way."""
        return all(version.status in ENDED for version in self.versions)

    @property
    def started(self) -> float:
        """When the version that is shown was asked, in seconds since the epoch."""
        stored: Stored | None = self.__dict__.get("_stored")
        return stored.started(self.selected) if stored is not None else self.current.timing.started

    @property
    def length(self) -> int:
        """The characters of prompt, text and reasoning of the version that is shown."""
        stored: Stored | None = self.__dict__.get("_stored")
        if stored is not None:
            return stored.length(self.selected)
        return len(self.current.prompt) + len(self.current.text) + len(self.current.reasoning)

    @property
    def usages(self) -> Iterable[Usage]:
        """What its versions used, where that is known."""
        stored: Stored | None = self.__dict__.get("_stored")
        if stored is not None:
            return stored.usages()
        return [version.usage for version in self.versions if version.usage is not None]

    def is_version_of(self, other: Turn) -> bool:
        """Whether both have the same versions for certain, told without reading them."""
        if self.__dict__.get("_stored") is not None:
            return self.__dict__["_stored"] is other.__dict__.get("_stored")
        return self.__dict__.get("versions", self) is other.__dict__.get("versions", other)

    def hidden_by(self, step: int) -> Turn:
        """Return the turn hidden by a step, or with 0 shown, its versions unread."""
        return _turn({name: value for name, value in self.__dict__.items() if name != "hidden"} | {"hidden": step})

    def revised(self, version: Version) -> Turn:
        """Return the turn with `version` added and selected, and the turn shown."""
        return Turn((*self.versions, version), len(self.versions), self.pinned)

    def with_version(self, version: Version) -> Turn:
        """Return the turn with `version` added, and the selection unchanged."""
        return replace(self, versions=(*self.versions, version))

    def updated(self, version: Version, at: int) -> Turn:
        """Return the turn with the version at index `at` replaced."""
        return replace(self, versions=(*self.versions[:at], version, *self.versions[at + 1 :]))

    def is_from(self, place: Origin) -> bool:
        """Whether one of its versions came from `origin`, whatever its source."""
        return any(
            (version.origin.cell_id, version.origin.ordinal) == (place.cell_id, place.ordinal)
            for version in self.versions
        )


def _turn(fields: dict[str, Any]) -> Turn:
    turn = object.__new__(Turn)
    turn.__dict__.update(fields)
    return turn


class Block:
    """Some turns in a row, and what there is to know about them together."""

    def __init__(self, turns: tuple[Turn, ...]) -> None:
        self.size = len(turns)
        self._made = turns

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns."""
        made: tuple[Turn, ...] | None = self.__dict__.get("_made")
        # Of two threads that look at once the first makes them: a turn is told from another by its identity.
        if made is None:
            made = self.__dict__.setdefault("_made", tuple(self.make()))
        return made

    def make(self) -> Iterable[Turn]:
        """Make the turns, when somebody looks at one."""
        return ()

    @cached_property
    def shown(self) -> Offsets:
        """Those that are not hidden."""
        return _offsets([not turn.hidden for turn in self.turns])

    @cached_property
    def sent(self) -> Offsets:
        """Those that later requests include."""
        return _offsets([turn.is_sent for turn in self.turns])

    @cached_property
    def pinned(self) -> Offsets:
        """Those that are always sent."""
        return [at for at, turn in enumerate(self.turns) if turn.pinned]

    @cached_property
    def step(self) -> int:
        """The last step that hid one of them."""
        return max(turn.hidden for turn in self.turns)

    @cached_property
    def has_ended(self) -> bool:
        """Whether none of their versions is on its way."""
        return all(turn.has_ended for turn in self.turns)

    @cached_property
    def _cells(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for at, turn in enumerate(self.turns):
            for cell in turn.cells:
                found.setdefault(cell, []).append(at)
        return found

    def of_cell(self, cell_id: str) -> Offsets:
        """Return those that were asked in a cell."""
        return self._cells.get(cell_id, ())

    @cached_property
    def latest(self) -> float:
        """When the last of the shown ones was asked."""
        return max((self.turns[at].started for at in self.shown), default=0.0)

    @cached_property
    def used(self) -> tuple[int, int]:
        """The tokens of their prompts and responses, as far as known."""
        usages = [usage for turn in self.turns for usage in turn.usages]
        return sum(each.prompt_tokens or 0 for each in usages), sum(each.completion_tokens or 0 for each in usages)


def _offsets(holds: list[bool]) -> Offsets:
    return range(len(holds)) if all(holds) else [at for at, each in enumerate(holds) if each]


class Turns(Sequence[Turn]):
    """A tuple of turns in all but name, of which a change costs the same however many there are."""

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        rest = iter(turns)
        blocks = iter(lambda: tuple(islice(rest, BLOCK)), ())
        self.blocks: tuple[Block, ...] = tuple(map(Block, blocks))

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Turns:
        """Return the turns of these blocks, every one of which but the last is full."""
        turns = cls()
        turns.blocks = tuple(blocks)
        return turns

    def __len__(self) -> int:
        return (len(self.blocks) - 1) * BLOCK + self.blocks[-1].size if self.blocks else 0

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Turn, ...]: ...
    def __getitem__(self, index: int | slice) -> Turn | tuple[Turn, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        block, offset = divmod(range(len(self))[index], BLOCK)
        return self.blocks[block].turns[offset]

    def __iter__(self) -> Iterator[Turn]:
        return chain.from_iterable(block.turns for block in self.blocks)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Turns) and self.blocks == other.blocks:
            return True
        if not isinstance(other, Turns | tuple) or len(self) != len(other):
            return False
        return all(mine == its for mine, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def appended(self, turn: Turn) -> Turns:
        """Return them with one more."""
        if not self.blocks or self.blocks[-1].size == BLOCK:
            return Turns.of((*self.blocks, Block((turn,))))
        return Turns.of((*self.blocks[:-1], Block((*self.blocks[-1].turns, turn))))

    def replaced(self, turns: Mapping[int, Turn]) -> Turns:
        """Return them with others at these indices."""
        blocks: dict[int, list[Turn]] = {}
        for index, turn in turns.items():
            block, offset = divmod(index, BLOCK)
            blocks.setdefault(block, list(self.blocks[block].turns))[offset] = turn
        return Turns.of(Block(tuple(blocks[at])) if at in blocks else block for at, block in enumerate(self.blocks))

    def changed(self, before: Turns) -> Iterator[tuple[int, Turn | None]]:
        """Yield where these are not what they were, each with the turn that was there."""
        for number, (old, new) in enumerate(zip_longest(before.blocks[: len(self.blocks)], self.blocks)):
            if old is not new:
                was = (old.turns if old is not None else ())[: new.size]
                for at, (earlier, turn) in enumerate(zip_longest(was, new.turns)):
                    if earlier is not turn:
                        yield number * BLOCK + at, earlier

    def of_cell(self, cell_id: str) -> list[int]:
        """Return the indices of the turns that were asked in a cell."""
        return [number * BLOCK + at for number, block in enumerate(self.blocks) for at in block.of_cell(cell_id)]

    @cached_property
    def shown(self) -> Picked:
        """Those that are not hidden, each with its index."""
        return Picked(self, [block.shown for block in self.blocks])

    @cached_property
    def sent(self) -> Picked:
        """Those that later requests include, each with its index."""
        return Picked(self, [block.sent for block in self.blocks])


class Picked(Sequence[tuple[int, Turn]]):
    """Some of the turns, each with its index. How many they are is known without looking at any."""

    def __init__(
        self, turns: Turns, offsets: list[Offsets], ends: list[int] | None = None, part: range | None = None
    ) -> None:
        self._turns = turns
        self._offsets = offsets
        self._ends = list(accumulate(map(len, offsets))) if ends is None else ends
        self._part = range(self._ends[-1] if self._ends else 0) if part is None else part

    def __len__(self) -> int:
        return len(self._part)

    @overload
    def __getitem__(self, index: int) -> tuple[int, Turn]: ...
    @overload
    def __getitem__(self, index: slice) -> Picked: ...
    def __getitem__(self, index: int | slice) -> tuple[int, Turn] | Picked:
        if isinstance(index, slice):
            return Picked(self._turns, self._offsets, self._ends, self._part[index])
        at = self.index_of(index)
        return at, self._turns[at]

    def __iter__(self) -> Iterator[tuple[int, Turn]]:
        return ((at, self._turns[at]) for at in self.indices())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picked | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def index_of(self, number: int) -> int:
        """Return the index of the turn at a place among these."""
        place = self._part[number]
        block = bisect_left(self._ends, place + 1)
        offsets = self._offsets[block]
        return block * BLOCK + offsets[place - (self._ends[block] - len(offsets))]

    def indices(self) -> Iterator[int]:
        """Yield the index of each."""
        return map(self.index_of, range(len(self)))

    def before(self, index: int) -> Picked:
        """Return those before a turn."""
        if index >= len(self._turns):
            return self
        block, offset = divmod(max(index, 0), BLOCK)
        offsets = self._offsets[block]
        end = self._ends[block] - len(offsets) + bisect_left(offsets, offset)
        return self[: bisect_left(self._part, end)]

    def pinned(self) -> list[tuple[int, Turn]]:
        """Return those that are always sent."""
        among = [
            number * BLOCK + at
            for number, block in enumerate(self._turns.blocks)
            for at in block.pinned
            if at in self._offsets[number]
        ]
        last = self.index_of(-1) if self else -1
        first = self.index_of(0) if self else 0
        return [(at, self._turns[at]) for at in among if first <= at <= last]
