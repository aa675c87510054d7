"""Each kind of value as a model reads it: what it is first, and never more than the budget."""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
import re
import sys
import threading
import time
import tracemalloc
from array import array
from collections import ChainMap, Counter, OrderedDict, UserList, deque, namedtuple
from decimal import Decimal
from itertools import repeat
from operator import itemgetter
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatanywhere_magic.context import resolve
from chatanywhere_magic.context.describing import describe
from chatanywhere_magic.context.fitting import joined, shortened
from chatanywhere_magic.core.tokens import estimate
from tests.support.examples import examples

# In an environment that was made before these were needed, the tests are skipped; `make test` installs them.
if TYPE_CHECKING:
    from collections.abc import Callable

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

ROWS = 1_200
FRAME = pd.DataFrame(
    {
        "city": ["Paris", "London", None] * (ROWS // 3),
        "price": [1.0, 2.0, float("nan"), 4.0] * (ROWS // 4),
        "n": range(ROWS),
        "day": pd.date_range("2020-01-01", periods=ROWS),
        "tags": [[1], [2], None] * (ROWS // 3),
        "ok": [True, False] * (ROWS // 2),
        "kind": pd.Categorical(["a", "b"] * (ROWS // 2)),
    }
)


def odd_frame() -> Any:
    """Return a frame with a column of every odd type."""
    columns = {
        "infinite": [1.0, math.inf, -math.inf, math.nan],
        "nothing": [math.nan] * 4,
        "none": [None] * 4,
        "mixed": [1, "a", None, (1,)],
        "nullable": pd.array([1, None, 3, 4], dtype="Int64"),
        "maybe": pd.array([True, None, False, True], dtype="boolean"),
        "ordered": pd.Categorical(list("abca"), ordered=True),
        "period": pd.period_range("2020", periods=4, freq="M"),
        "interval": pd.interval_range(0, 4),
        "duration": pd.to_timedelta(range(4), unit="h"),
        "complex": [1j] * 4,
        "zoned": pd.date_range("2020", periods=4, tz="Asia/Shanghai"),
        "decimal": [Decimal("1.1")] * 4,
        "dictionary": [{"a": 1}] * 4,
        "huge": [2**70] * 4,
        "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
        "lines": ['a\nb,c"d'] * 4,
    }
    return pd.DataFrame(columns)


LARGE = 20_000_000
LARGE_CELLS: dict[str, Callable[[], Any]] = {
    "text": lambda: pd.DataFrame({"a": ["x" * LARGE, "y"]}),
    "object": lambda: pd.Series(["x" * LARGE, 1], dtype=object),
    "bytes": lambda: pd.DataFrame({"a": pd.Series([b"x" * LARGE], dtype=object)}),
    "list": lambda: pd.DataFrame({"a": pd.Series([[0] * (LARGE // 8)], dtype=object)}),
    "label": lambda: pd.DataFrame({"x" * LARGE: [1]}, index=["y" * LARGE]),
    "category": lambda: pd.DataFrame({"a": pd.Categorical(["x" * LARGE, "y"])}),
    "polars": lambda: pl.DataFrame({"a": ["x" * LARGE, "y"]}),
    "polars, nested": lambda: pl.DataFrame({"a": [[{"k": "x" * LARGE}]], "b": [np.zeros(LARGE // 8).tolist()]}),
    "polars, bytes": lambda: pl.DataFrame({"a": [b"x" * LARGE]}),
    "array of objects": lambda: np.array(["x" * LARGE, 1], dtype=object),
    "array of texts": lambda: np.array(["x" * (LARGE // 4)]),
    "containers": lambda: {"a": ["x" * LARGE], "b": ("y" * LARGE,)},
}


@functools.cache
def everything() -> dict[str, Any]:
    """Return values of every kind, small and large, made once."""
    return {
        "none": None,
        "number": 42,
        "huge": 10**100_000,
        "text": "word " * 100_000,
        "bytes": b"\0" * 100_000,
        "list": list(range(100_000)),
        "nested": {"users": [{"name": "Ada", "tags": ["x"] * 50}] * 500, "deep": [[[[[[[[1]]]]]]]]},
        "set": set(range(1000)),
        "frame": FRAME,
        "wide": pd.DataFrame(np.zeros((10, 3_000)), columns=[f"a long column name {n}" for n in range(3_000)]),
        "empty": pd.DataFrame(),
        "no rows": pd.DataFrame({"a": []}),
        "multi": pd.DataFrame(np.zeros((4, 4)), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]])),
        "twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "odd": odd_frame(),
        "series": FRAME["price"],
        "index": FRAME.index,
        "polars": pl.DataFrame({"a": [1, None] * 500, "s": ["x", "y"] * 500, "l": [[1]] * 1000}),
        "polars series": pl.Series("a", [1.5] * 1000),
        "lazy": pl.DataFrame({"a": [1]}).lazy(),
        "array": np.arange(1_000_000).reshape(1000, 1000),
        "dates": np.array(["2020-01-01"], dtype="datetime64[ns]"),
        "objects": np.array([object()] * 1000),
        "function": resolve,
        "builtin": len,
        "class": pd.DataFrame,
        "module": math,
        "object": threading.Event(),
    }


def text(value: Any, budget: int = 600) -> str:
    return describe(value, budget)


@pytest.mark.parametrize("name", everything())
@pytest.mark.parametrize("budget", [1, 8, 40, 200, 1000])
def test_the_budget_is_never_exceeded(name: str, budget: int) -> None:
    words = describe(everything()[name], budget)
    assert estimate(words) <= budget
    assert "failed" not in words


builtin_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.sets(st.integers())
    ),
)


@given(builtin_values, st.integers(1, 300))
def test_any_value_of_builtin_types_is_described_within_the_budget(value: Any, budget: int) -> None:
    assert estimate(describe(value, budget)) <= budget


@given(builtin_values)
def test_small_values_are_shown_whole(value: Any) -> None:
    """As Python writes them, so that they can be read back."""
    shown = describe([value], 100_000).split("\n\n")[-1]
    assert ast.literal_eval(shown) == [value]


@given(st.text(), st.integers(0, 100))
def test_shortening_keeps_to_the_budget(value: str, budget: int) -> None:
    short = shortened(value, budget)
    assert estimate(short) <= budget
    assert short == value or len(value) > 0


@given(st.lists(st.text() | st.lists(st.text(), min_size=1)), st.integers(0, 200))
def test_joining_keeps_to_the_budget(blocks: list[str | list[str]], budget: int) -> None:
    assert estimate(joined(blocks, budget)) <= budget


def test_a_long_text_loses_its_middle() -> None:
    words = text("begin " + "filler " * 100_000 + "end", 100)
    assert "begin" in words
    assert words.endswith("end")
    assert "characters left out" in words


class TestPlainValues:
    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (42, "42 (int)"),
            (True, "True (bool)"),
            (None, "None (NoneType)"),
            (1.5, "1.5 (float)"),
            (np.float64(2.5), "2.5 (float64)"),
            (np.int64(3), "numpy.int64, shape (), dtype int64\n\n3"),
            ("abc", "str, 3 characters\n\nabc"),
            (b"abc", "bytes, 3 bytes\n\nb'abc'"),
            ((1,), "tuple, 1 item\n\n(1,)"),
            (set(), "set, 0 items\n\nset()"),
            (frozenset({1}), "frozenset, 1 item\n\nfrozenset({1})"),
            (deque([1]), "deque, 1 item\n\ndeque([1])"),
            (Counter(a=2), "Counter, 1 key\n\n{'a': 2}"),
            (OrderedDict(a=1), "OrderedDict, 1 key\n\n{'a': 1}"),
            (Decimal("1.10"), "instance of decimal.Decimal\n\nDecimal('1.10')"),
            (range(3), "range(0, 3) (range)"),
        ],
    )
    def test_what_they_are(self, value: Any, says: str) -> None:
        assert text(value) == says

    def test_a_number_too_long_to_print(self) -> None:
        assert text(10**100_000) == "<integer of about 100,001 digits> (int)"

    def test_named_tuples_show_their_names(self) -> None:
        point = namedtuple("Point", "x y")(1, 2)  # type: ignore[call-arg] # noqa: PYI024 - as people write them in notebooks
        assert "Point(x=1, y=2)" in text(point)

    def test_nested_ones_show_their_structure_first(self) -> None:
        words = text({"users": [{"name": "Ada", "age": 36}] * 500, "total": 500})
        assert "structure: {'users': [{'name': str, 'age': int} × 500], 'total': int}" in words
        assert words.index("structure") < words.index("'Ada'")

    def test_what_contains_itself_comes_to_an_end(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        assert "list, 1 item" in text(loop)


class TestTables:
    def test_a_frame(self) -> None:
        words = text(FRAME)
        assert words.startswith("pandas.DataFrame, 1,200 rows × 7 columns")
        types = FRAME.dtypes  # which other versions of pandas call otherwise
        for line in (
            f"city | {types['city']} | 400 (33.3%) | 2 different: Paris 400×, London 400×",
            "price | float64 | 300 (25.0%) | mean 2.33333",
            "n | int64 | 0 | mean 599.5, std 346.554, min 0, 25 % 299.75, median 599.5, 75 % 899.25, max 1199",
            f"day | {types['day']} | 0 | 2020-01-01 00:00:00 … 2023-04-14 00:00:00",
            "ok | bool | 0 | 2 different: True 600×, False 600×",
            "kind | category | 0 | 2 different: a 600×, b 600×",
        ):
            assert line in words
        assert "0,Paris,1,0,2020-01-01 00:00:00,[1],True,a" in words

    def test_a_wide_frame_shows_some_columns_and_names_others(self) -> None:
        words = text(everything()["wide"], 300)
        assert "10 rows × 3,000 columns" in words
        assert "a long column name 0 | float64 | 0 | " in words
        assert "more columns: a long column name" in words

    def test_a_very_wide_frame_is_what_it_is_first(self) -> None:
        values = np.zeros((10, 100_000))
        words = text(pd.DataFrame(values), 1000)
        assert words.startswith(
            "pandas.DataFrame, 10 rows × 100,000 columns, RangeIndex 0 … 9\n\ndtypes: 100,000 float"
        )
        assert "\n0 | float64 | 0 | " in words
        words = text(pl.DataFrame(values), 1000)
        assert words.startswith("polars.DataFrame, 10 rows × 100,000 columns\n\ndtypes: 1,000 Float64 (of 1,000 col")

    @pytest.mark.parametrize("name", LARGE_CELLS)
    def test_of_a_large_cell_no_copy_is_made(self, name: str) -> None:
        value = LARGE_CELLS[name]()
        tracemalloc.start()
        try:
            words = text(value, 500)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < LARGE / 4
        assert len(words) < 5_000
        assert "took longer" not in words

    def test_with_little_room_the_numbers_are_brief(self) -> None:
        assert "n | int64 | 0 | 0 … 1199" in text(FRAME[["n", "price", "ok"]], 110)

    def test_an_empty_frame(self) -> None:
        assert "0 rows × 0 columns" in text(pd.DataFrame())
        assert "0 rows × 1 column" in text(pd.DataFrame({"a": []}))

    def test_a_series_and_an_index(self) -> None:
        assert text(FRAME["price"]).startswith("pandas.Series, 1,200 values")
        assert "['city', 'price'" in text(FRAME.columns)

    def test_polars(self) -> None:
        words = text(everything()["polars"])
        assert words.startswith("polars.DataFrame, 1,000 rows × 3 columns")
        assert "a | Int64 | 500 (50.0%) | mean 1," in words
        assert "s | String | 0 | 2 different: " in words

    def test_a_lazy_frame_is_not_collected(self) -> None:
        def fail(_: Any) -> Any:
            raise AssertionError("collected")

        lazy = pl.DataFrame({"a": [1]}).lazy().map_batches(fail)
        assert text(lazy).startswith("polars.LazyFrame, not collected")

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    def test_ten_million_rows_take_hardly_longer_than_a_hundred_thousand(self, kind: str) -> None:
        make = pd.DataFrame if kind == "pandas" else pl.DataFrame
        small, large = (make({"a": np.arange(n) * 0.5, "b": np.arange(n)}) for n in (100_000, 10_000_000))
        describe(small, 600)  # whatever is loaded at first
        seconds: dict[str, float] = {}  # the least of three, for the machine may be busy
        for name, frame in [("small", small), ("large", large)] * 3:
            began = time.perf_counter()
            words = describe(frame, 600)
            seconds[name] = min(seconds.get(name, math.inf), time.perf_counter() - began)
            assert "took longer" not in words
        assert "from 100,000 rows at even distances" in words
        assert "10,000,000 rows" in words
        assert seconds["large"] < 10 * seconds["small"]


class TestArrays:
    def test_numpy(self) -> None:
        words = text(np.arange(12.0).reshape(3, 4))
        assert words.startswith("numpy.ndarray, shape (3, 4), dtype float64")
        assert "min 0, max 11, mean 5.5, std 3.45205" in words
        assert "[ 8.  9. 10. 11.]]" in words

    def test_what_is_not_finite_is_counted(self) -> None:
        assert "2 NaN, 1 infinite" in text(np.array([1.0, np.nan, np.nan, np.inf]))

    def test_large_ones_are_sampled(self) -> None:
        words = text(np.zeros(1_000_000))
        assert "(from 200,000 values at even distances)" in words
        assert "..." in words

    @pytest.mark.parametrize("library", ["torch", "jaxlib"])
    def test_tensors_of_libraries_that_are_not_imported(self, library: str) -> None:
        """Known by the module of their class and by what every tensor has."""
        body = {
            "__module__": f"{library}.tensors",
            "shape": (2, 3),
            "dtype": "float32",
            "device": "cuda:0",
            "requires_grad": True,
            "reshape": lambda self, _: self,
            "__getitem__": lambda self, _: self,
            "tolist": lambda _: [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        }
        words = text(type("Tensor", (), body)())
        assert words.startswith(f"{library}.Tensor, shape (2, 3), dtype float32")
        assert ("device cuda:0, requires grad" in words) == (library == "torch")
        assert "min 0, max 5, mean 2.5" in words
        assert "first 6 values: 0, 1, 2" in words
        assert library not in sys.modules


class TestCode:
    def test_a_function_is_its_source(self) -> None:
        words = text(joined)
        assert words.startswith("function chatanywhere_magic.context.fitting.joined(blocks")
        assert "def joined(blocks" in words

    def test_where_the_source_is_too_long_the_docstring_comes_first(self) -> None:
        words = text(joined, 150)
        assert "Return as many of `blocks`" in words

    def test_functions_without_source(self) -> None:
        assert "function len(obj, /)\n\nReturn the number of items" in text(len)
        assert "partial of function int" in text(functools.partial(int, base=2))

    def test_functions_of_numpy(self) -> None:
        norm = text(np.linalg.norm, 300)
        assert re.match(r"function numpy\.linalg[\w.]*\.norm\(x, ord=None, axis=None", norm)
        assert "Matrix or vector norm." in norm
        assert re.match(r"function (numpy\.)?sin\(", text(np.sin, 300))
        assert "Trigonometric sine" in text(np.sin, 300)

    def test_a_class(self) -> None:
        words = text(dataclasses.Field)
        assert words.startswith("class dataclasses.Field")
        assert "class Field:" in text(dataclasses.Field, 3_000)
        assert "members: " in text(pd.DataFrame, 400) or "def " in text(pd.DataFrame, 400)

    def test_a_module(self) -> None:
        words = text(math)
        assert words.startswith("module math")
        assert "functions: " in words
        assert "others: pi, e" in text(math, 2_000)


class TestObjects:
    def test_without_a_repr_of_their_own_their_attributes_are_shown(self) -> None:
        class Point:
            def __init__(self) -> None:
                self.x, self.tags = 1, ["a"]

        assert "Point(x=1, tags=['a'])" in text(Point())

    def test_a_dataclass_with_much_in_it(self) -> None:
        @dataclasses.dataclass
        class Holder:
            rows: list[int]

        words = text(Holder(list(range(1_000_000))), 100)
        assert "rows=[0, 1, 2, 3" in words
        assert "more" in words

    def test_a_repr_that_fails(self) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise ValueError("no")

        assert "failed with ValueError" in text(Broken())
        assert "Broken: its repr fails with ValueError>" in text([1, Broken()])

    @pytest.mark.parametrize("how", ["spins", "sleeps"])
    def test_a_repr_that_never_ends_is_given_up(self, how: str) -> None:
        ended = threading.Event()

        class Endless:
            def __repr__(self) -> str:
                try:
                    while True:
                        if how == "sleeps":
                            time.sleep(0.05)
                finally:
                    ended.set()

        words = describe([1, Endless()], 200, seconds=0.2)
        assert "took longer than 0.2 s" in words
        assert words.endswith("Endless>]")
        assert ended.wait(5)  # it does not go on, taking a core until the kernel ends

    @pytest.mark.parametrize(
        "made",
        [
            lambda size: array("d", [1.5]) * size,
            lambda size: MappingProxyType(dict.fromkeys(range(size), "x")),
            lambda size: dict.fromkeys(range(size), "x").items(),
            lambda size: SimpleNamespace(values=list(range(size))),
            lambda size: UserList(range(size)),
            lambda size: ChainMap(dict.fromkeys(range(size))),
            lambda size: ValueError(list(range(size))),
            lambda size: slice(list(range(size))),
            lambda size: functools.partial(print, list(range(size))),
            lambda size: repeat([list(range(size))]),
            lambda size: itemgetter(*range(size)),
        ],
    )
    def test_a_repr_in_c_that_prints_everything_is_not_asked_for(self, made: Any) -> None:
        """No limit in time can end it."""

        def seconds(size: int) -> float:
            value = [made(size)]
            begun = time.process_time()
            assert len(text(value)) < 20_000
            return time.process_time() - begun

        seconds(10)
        assert min(seconds(1_000_000) for _ in range(2)) < 0.1 + 20 * min(seconds(1_000) for _ in range(3))

    @pytest.mark.parametrize("value", [array("d", [1.5]), slice(1, 2), ValueError("no"), UserList([1]), {1: 2}.keys()])
    def test_a_short_repr_is_shown(self, value: Any) -> None:
        assert repr(value) in text([value])

    def test_a_repr_of_something_else(self) -> None:
        class Odd:
            def __repr__(self) -> str:
                return 5  # type: ignore[return-value]

        assert "failed with TypeError" in text(Odd())

    def test_it_runs_in_the_callers_context(self) -> None:
        class Precise:
            def __repr__(self) -> str:
                return f"{np.geterr()['divide']}"

        with np.errstate(divide="raise"):
            assert "raise" in text(Precise())


@settings(max_examples=examples(20))
@given(st.data())
def test_many_names_share_the_budget(data: st.DataObject) -> None:
    values = everything()
    names = data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=5, unique=True))
    known = {f"v{number}": values[name] for number, name in enumerate(names)}
    budget = data.draw(st.integers(10, 1_000))
    context = resolve(" ".join(f"@{name}" for name in known), known, budget=budget)
    assert [each.name for each in context.attachments] == [f"@{name}" for name in known]
    assert sum(estimate(each.text) for each in context.attachments) <= budget
