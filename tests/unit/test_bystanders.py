"""What Tab and ``@`` look at on their way: nothing of it is run, consumed or stumbled over."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chatanywhere_magic.context import candidates
from chatanywhere_magic.context.describing import describe


class Shaped:
    def __init__(self, shape: object) -> None:
        self.shape = shape


class Number(int):
    def __int__(self) -> int:
        pytest.fail("asked for its value")


@pytest.mark.parametrize(
    "shape", [itertools.count(), iter(range(10)), (10**1_000_000,), (Number(3),), ("3",), tuple(range(1_000)), 3]
)
def test_what_is_called_shape_is_left_alone(shape: object) -> None:
    (found,) = (each for each in candidates({"value": Shaped(shape)}, "val"))
    assert (found.type, found.size) == ("Shaped", "")
    if isinstance(shape, itertools.count):
        assert next(shape) == 0


def test_a_shape_is_shown() -> None:
    assert [each.size for each in candidates({"value": Shaped((1_000, 12))}, "val")] == ["1,000 × 12"]


def test_names_that_are_no_words() -> None:
    class Odd(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            pytest.fail("compared")

        def __hash__(self) -> int:
            return hash(str(self))

    names: dict[Any, object] = {5: 1, "word": 2, ("a",): 3}
    assert [each.name for each in candidates(names, "w")] == ["word"]
    strange = Shaped(())
    vars(strange)[Odd("odd")] = 1
    assert "value.shape" in [each.name for each in candidates({"value": strange}, "value.")]


def test_a_metaclass_is_not_asked() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            pytest.fail(f"asked for {name}")

    asked = Meta("Asked", (), {"__doc__": "What it is for.", "run": print, "__module__": "elsewhere"})
    child = Meta("Child", (asked,), {"x": 1})
    described = describe(asked, 500)
    assert "class elsewhere.Asked" in described
    assert "What it is for." in described
    assert "(Asked)" in describe(child, 500)


def test_columns_that_never_end() -> None:
    pandas = pytest.importorskip("pandas")

    class Table(pandas.DataFrame):  # type: ignore[misc, name-defined]  # pandas is not imported for the types
        columns = itertools.count()

    table = object.__new__(Table)
    assert isinstance(candidates({"value": table}, "value["), list)
