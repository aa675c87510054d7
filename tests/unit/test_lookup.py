"""Names are looked up, not evaluated: of a person's objects no code is run, but for the ``repr`` of what is named."""

from __future__ import annotations

import functools
import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from chatanywhere_magic.context import candidates, resolve
from chatanywhere_magic.context.lookup import MissingError, RunsCodeError, attribute, item, item_names
from chatanywhere_magic.core.errors import ConfigurationError

# In an environment that was made before these were needed, the tests are skipped; `make test` installs them.
np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

calls: Counter[str] = Counter()


def counting(name: str) -> Any:
    def method(*_: Any, **__: Any) -> Any:
        calls[name] += 1
        raise AssertionError(name)

    return method


HOOKS = [
    "__getattr__",
    "__getitem__",
    "__len__",
    "__iter__",
    "__next__",
    "__contains__",
    "__call__",
    "__bool__",
    "__eq__",
    "__hash__",
    "__str__",
    "__format__",
    "__dir__",
    "__index__",
    "__int__",
    "__float__",
    "__enter__",
    "__reduce__",
    "__sizeof__",
    "__length_hint__",
    "__instancecheck__",
    "__subclasscheck__",
    "_repr_html_",
    "_repr_png_",
    "_repr_mimebundle_",
    "_ipython_display_",
    "__array__",
    "__dataframe__",
]


class Meta(type):
    """A class of classes that notices every question."""

    __eq__ = counting("Meta.__eq__")
    __hash__ = type.__hash__
    __bool__ = counting("Meta.__bool__")
    __len__ = counting("Meta.__len__")
    __instancecheck__ = counting("Meta.__instancecheck__")
    __getattr__ = counting("Meta.__getattr__")
    mro_asked = property(counting("Meta.mro_asked"))


class Descriptor:
    __get__ = counting("Descriptor.__get__")


def touchy() -> Any:
    """Return an object that notices whatever is done with it."""
    namespace: dict[str, Any] = {hook: counting(hook) for hook in HOOKS}
    namespace.update(
        {
            "__class__": property(counting("__class__")),
            "computed": property(counting("property")),
            "cached": functools.cached_property(counting("cached_property")),
            "described": Descriptor(),
            "__repr__": lambda _: "<touchy>",
        }
    )
    value = type.__call__(Meta("Touchy", (), namespace))
    object.__setattr__(value, "plain", 42)
    return value


@pytest.fixture(autouse=True)
def _no_calls() -> Any:
    calls.clear()
    yield
    assert not calls


def test_an_object_is_described_by_its_repr_alone() -> None:
    (attachment,) = resolve("@x", {"x": touchy()}).attachments
    assert "<touchy>" in attachment.text


def test_an_object_among_others_is_asked_for_nothing_else() -> None:
    names = {"xs": [touchy()], "d": {"k": touchy()}, "t": (touchy(), 1), "n": SimpleNamespace(a=touchy())}
    for name in names:
        (attachment,) = resolve(f"@{name}", names).attachments
        assert "<touchy>" in attachment.text


def test_plain_attributes_are_found() -> None:
    assert "42" in resolve("@x.plain", {"x": touchy()}).attachments[0].text


@pytest.mark.parametrize("name", ["computed", "cached", "described", "nothing", "__class__"])
def test_computed_attributes_are_not_computed(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is computed by code, and a mention never runs any"):
        resolve(f"@x.{name}", {"x": touchy()})


@pytest.mark.parametrize("step", ["[0]", "['k']"])
def test_items_of_unknown_containers_are_not_taken(step: str) -> None:
    with pytest.raises(ConfigurationError, match="is computed by code"):
        resolve(f"@x{step}", {"x": touchy()})


def test_subclasses_of_builtin_containers_are_not_trusted() -> None:
    class Mine(dict[str, int]):
        __getitem__ = counting("__getitem__")
        __iter__ = counting("__iter__")
        __len__ = counting("__len__")
        items = counting("items")

    with pytest.raises(RunsCodeError):
        item(Mine(a=1), 0)
    assert "'a': 1" in resolve("@x", {"x": Mine(a=1)}).attachments[0].text


def test_a_dictionary_is_searched_without_asking_its_keys() -> None:
    class Key:
        def __hash__(self) -> int:
            return hash("a")

        __eq__ = counting("Key.__eq__")

    with pytest.raises(MissingError):
        item({Key(): 1, "b": 2}, "a")
    assert item({Key(): 1, "b": 2}, "b") == 2


def test_completion_asks_nobody() -> None:
    names = {"x": touchy(), "xs": [touchy()]}
    assert {each.name for each in candidates(names, "x")} == {"x", "xs"}
    found = {each.name: each.type for each in candidates(names, "x.")}
    assert found["x.plain"] == "int"
    assert found["x.computed"] == "property"


def test_slots_class_attributes_and_methods() -> None:
    class Slotted:
        __slots__ = ("a", "b")
        limit = 3

        def __init__(self) -> None:
            self.a = 1

        def method(self) -> None: ...

        @staticmethod
        def helper() -> None: ...

    value = Slotted()
    assert attribute(value, "a") == 1
    assert attribute(value, "limit") == 3
    assert attribute(value, "method") is Slotted.method
    assert attribute(Slotted, "helper") is Slotted.helper
    with pytest.raises(MissingError):
        attribute(value, "b")
    with pytest.raises(MissingError):
        attribute(value, "c")


def test_a_cached_value_is_there() -> None:
    class Lazy:
        @functools.cached_property
        def value(self) -> int:
            return 5

    lazy = Lazy()
    with pytest.raises(RunsCodeError):
        attribute(lazy, "value")
    assert lazy.value == attribute(lazy, "value") == 5


def test_modules() -> None:
    assert attribute(math, "pi") == math.pi
    with pytest.raises(MissingError):
        attribute(math, "tau2")


class TestLibraries:
    """What their properties do is known: they compute a little, and run nothing of the person's."""

    frame = pd.DataFrame({"price": [1.0, 2.0], "a b": [3, 4]})
    table = pl.DataFrame({"price": [1.0, 2.0]})

    odd = pd.DataFrame(
        [range(9)], columns=[2020, 2.5, True, None, math.nan, ("a", 1), pd.Timestamp("2020-01-01"), np.int64(7), "y z"]
    )
    levels = pd.DataFrame([[1, 2, 3]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]))

    @pytest.mark.parametrize(
        ("key", "number"),
        [
            ("2020", 0),
            ("2.5", 1),
            ("True", 2),
            ("None", 3),
            ("nan", 4),
            ('("a", 1)', 5),
            ("( 'a' , 1 )", 5),
            ('"2020-01-01 00:00:00"', 6),
            ("7", 7),
            ('"y z"', 8),
        ],
    )
    def test_columns_are_named_by_whatever_they_are_called(self, key: str, number: int) -> None:
        found = resolve(f"about @odd[{key}], please", {"odd": self.odd}).attachments
        assert found[0].name == f"@odd[{key}]"
        assert f"mean {number}" in found[0].text

    def test_what_is_no_name_of_a_column_is_refused(self) -> None:
        for key in ("2021", '"2020"', '("a", 2)', "False"):
            with pytest.raises(ConfigurationError, match="has no"):
                resolve(f"@odd[{key}]", {"odd": self.odd})

    def test_of_equal_names_all_are_meant_and_of_levels_one_or_all(self) -> None:
        twice = pd.DataFrame([[1, 2, 3]], columns=[5, 5, "x"])
        assert item(twice, 5).shape == (1, 2)
        assert item(self.levels, "a").columns.tolist() == [1, 2]
        assert item(self.levels, ("b", 1)).tolist() == [3]
        assert item_names(self.levels) == ['("a", 1)', '("a", 2)', '("b", 1)', '"a"', '"b"']

    def test_every_name_that_is_offered_can_be_taken(self) -> None:
        for frame in (self.odd, self.levels):
            offered = [each.name for each in candidates({"t": frame}, "t[")]
            assert len(offered) >= frame.shape[1]
            for name in offered:
                assert resolve(f"@{name}", {"t": frame}).attachments

    def test_keys_of_dictionaries_are_written_alike(self) -> None:
        value = {2020: "year", ("a", 1): "pair", None: "none", True: "yes", "k": "text"}
        for key, words in [("2020", "year"), ('("a", 1)', "pair"), ("None", "none"), ("True", "yes"), ("'k'", "text")]:
            assert words in resolve(f"@d[{key}]", {"d": value}).attachments[0].text

    @pytest.mark.parametrize("name", ["columns", "index", "shape", "dtypes", "T", "values"])
    def test_frames_of_pandas(self, name: str) -> None:
        assert len(attribute(self.frame, name)) == 2

    @pytest.mark.parametrize("name", ["columns", "shape", "schema", "width"])
    def test_frames_of_polars(self, name: str) -> None:
        assert attribute(self.table, name) is not None

    def test_columns_by_attribute_and_by_key(self) -> None:
        assert attribute(self.frame, "price").tolist() == [1.0, 2.0]
        assert item(self.frame, "a b").tolist() == [3, 4]
        assert attribute(self.table, "price").to_list() == [1.0, 2.0]
        assert item(self.table, "price").to_list() == [1.0, 2.0]
        with pytest.raises(MissingError):
            item(self.frame, "nothing")

    def test_arrays(self) -> None:
        assert attribute(np.zeros((2, 3)), "shape") == (2, 3)
        assert attribute(np.zeros(2), "dtype").name == "float64"

    def test_what_may_take_long_or_do_more_is_not_followed(self) -> None:
        with pytest.raises(RunsCodeError):
            attribute(self.frame, "style")
        with pytest.raises(RunsCodeError):
            attribute(self.table.lazy(), "columns")

    def test_a_subclass_with_code_of_its_own_is_not_followed(self) -> None:
        class Mine(pd.DataFrame):  # type: ignore[name-defined]
            columns = property(counting("columns"))  # type: ignore[assignment]
            shape = property(counting("shape"))  # type: ignore[assignment]

        with pytest.raises(RunsCodeError):
            attribute(Mine({"a": [1]}), "shape")

    def test_hints_name_columns(self) -> None:
        with pytest.raises(ConfigurationError, match="Did you mean price"):
            resolve("@df.prise", {"df": self.frame})
        with pytest.raises(ConfigurationError, match="Did you mean price"):
            resolve("@df['prise']", {"df": self.frame})

    def test_completion_knows_types_and_sizes(self) -> None:
        names = {"df": self.frame, "d": {"key": [1, 2]}, "n": 5, "_hidden": 1}
        assert [(each.name, each.type, each.size) for each in candidates(names, "d")] == [
            ("d", "dict", "1"),
            ("df", "DataFrame", "2 × 2"),
        ]
        assert candidates(names, "df.pr")[0].type == "Series"
        assert [each.name for each in candidates(names, 'd["k')] == ['d["key"]']
        assert "_hidden" not in {each.name for each in candidates(names)}
        assert [each.name for each in candidates(names, "_")] == ["_hidden"]
        assert {"error", "cell[-1]", "file:"} <= {each.name for each in candidates(names)}
        assert candidates(names, "nothing.x") == []
