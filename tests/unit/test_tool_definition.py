"""Functions as tools: what a model is told of them, and the check of what it writes."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import jsonschema
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict, Unpack

from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.tools import BadToolCall, Tool, Toolbox
from tests.support.examples import examples
from tests.unit.helpers import assert_for_people


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Range:
    low: int
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            msg = "low is above high"
            raise ValueError(msg)


class Filter(BaseModel):
    column: str
    value: float = Field(ge=0)


class Options(TypedDict):
    title: str
    size: NotRequired[int]


class Point(NamedTuple):
    x: float
    y: float = 0.0


def properties(function: Callable[..., Any], **options: Any) -> dict[str, Any]:
    parameters = Tool.of(function, **options).parameters
    jsonschema.Draft202012Validator.check_schema(parameters)
    assert parameters["type"] == "object"
    assert parameters["additionalProperties"] is False
    return dict(parameters["properties"])


def called(function: Callable[..., Any], arguments: Any) -> Any:
    """Return what `function` returns, called with these arguments as a model writes them."""
    tool = Tool.of(function)
    words = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return tool.function(**tool.read(words))


def problem(function: Callable[..., Any], arguments: Any) -> str:
    words = arguments if isinstance(arguments, str) else json.dumps(arguments)
    with pytest.raises(BadToolCall) as caught:
        Tool.of(function).read(words)
    return str(caught.value).partition(" was not called: ")[2].partition(". Its arguments are")[0]


def refused(function: Any, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Tool.of(function, **options)
    assert_for_people(caught.value, ConfigurationError, "")
    return str(caught.value)


# --- what a model is told -------------------------------------------------------------------------------------------


def in_numpys_style(path: str, rows: int = 5, *, clean: bool = False) -> list[str]:  # noqa: ARG001
    """Read a table.

    Empty lines are passed over.

    Parameters
    ----------
    path : str
        Where it is:
        a file.
    rows, clean
        How much, and how.

    Returns
    -------
    list of str
        The rows.

    Examples
    --------
    >>> in_numpys_style("a.csv")
    """
    return [path] * rows


def in_googles_style(path: str, rows: int = 5, *, clean: bool = False) -> list[str]:  # noqa: ARG001
    """Read a table.

    Empty lines are passed over.

    Args:
        path: Where it is:
            a file.
        rows (int): How much, and how.
        clean (bool): How much, and how.

    Returns:
        list of str: The rows.

    Example:
        >>> in_googles_style("a.csv")
    """  # noqa: D406, D407 - another style
    return [path] * rows


class TestDescription:
    @pytest.mark.parametrize("function", [in_numpys_style, in_googles_style])
    def test_it_is_read_from_the_docstring(self, function: Callable[..., Any]) -> None:
        assert Tool.of(function).schema == {
            "type": "function",
            "function": {
                "name": function.__name__,
                "description": "Read a table.\n\nEmpty lines are passed over.\n\nReturns: list of str: The rows.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string", "description": "Where it is: a file."},
                        "rows": {"type": "integer", "default": 5, "description": "How much, and how."},
                        "clean": {"type": "boolean", "default": False, "description": "How much, and how."},
                    },
                    "required": ["path"],
                    "additionalProperties": False,
                },
            },
        }

    def test_a_function_without_parameters_or_docstring(self) -> None:
        def now() -> None: ...

        assert Tool.of(now).schema["function"] == {
            "name": "now",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        }
        assert called(now, "") is called(now, "null") is called(now, "{}") is None

    def test_a_name_and_a_description_may_be_given(self) -> None:
        tool = Tool.of(lambda x: x, name="same", description="Return x.")
        assert (tool.name, tool.description) == ("same", "Return x.")

    def test_a_long_one_is_cut(self) -> None:
        def read(text: str) -> str:
            return text

        read.__doc__ = "word " * 2_000 + "\n\nArgs:\n    text: " + "word " * 2_000
        tool = Tool.of(read)
        assert len(tool.description) == 1_000
        assert len(Tool.of(read, description="word " * 2_000).description) == 1_000

    def test_of_what_has_no_type_the_docstring_says_it(self) -> None:
        def count(words, of="a"):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            """Count.

            Parameters
            ----------
            words : list of str
                Some words.
            """
            return [word for word in words if word == of]

        assert properties(count) == {"words": {"description": "list of str. Some words."}, "of": {"default": "a"}}
        assert called(count, {"words": ["a", "b"]}) == ["a"]

    def test_annotated_text_comes_before_the_docstring(self) -> None:
        def read(
            path: Annotated[str, "a file"],
            rows: Annotated[int, Field(ge=1, le=9, description="how many")] = 5,
        ) -> None:
            """Read.

            Args:
                path: anything
                rows: anything
            """

        assert properties(read) == {
            "path": {"type": "string", "description": "a file"},
            "rows": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many", "default": 5},
        }
        assert problem(read, {"path": "a", "rows": 10}) == "rows: 10 is greater than the maximum of 9"


SAID: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (float, 5, 5.0),
    (float, 0.1, 0.1),
    (bool, True, True),
    (str, "5", "5"),
    (None, None, None),
    (Any, [1, {"a": None}], [1, {"a": None}]),
    (Optional[int], None, None),  # noqa: UP045 - people write it so
    (int | None, 1, 1),
    (Union[int, str], "1", "1"),  # noqa: UP007 - the same
    (str | int, 1, 1),
    (Literal["a", 1], 1, 1),
    (Colour, "red", Colour.RED),
    (Level, 2, Level.HIGH),
    (Range, {"low": 1}, Range(1)),
    (Filter, {"column": "a", "value": 1}, Filter(column="a", value=1)),
    (Options, {"title": "t"}, {"title": "t"}),
    (Point, [1], Point(1.0)),
    (list[Range], [{"low": 1, "high": 2}], [Range(1, 2)]),
    (Sequence[str], ["a"], ["a"]),
    (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
    (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (set[int], [1, 2], {1, 2}),
    (date, "2024-02-29", date(2024, 2, 29)),
    (datetime, "2024-02-29T10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=timezone.utc)),
    (timedelta, "PT1H", timedelta(hours=1)),
    (Decimal, "12345678901234567890.123456789", Decimal("12345678901234567890.123456789")),
    (Decimal, 0.1, Decimal("0.1")),
    (Path, "a/b.csv", Path("a/b.csv")),
    (bytes, "ä", "ä".encode()),
]
"""A type, a value as a model writes it, and the value that the function gets."""

NOT_TAKEN: list[tuple[Any, str]] = [
    (int, '"5"'),
    (int, "5.5"),
    (int, "true"),
    (int, "null"),
    (int, "[5]"),
    (float, '"0.1"'),
    (float, "true"),
    (float, "NaN"),
    (float, "-Infinity"),
    (float, "1e999"),
    (float, "1e-999"),
    (float, "12345678901234567891"),
    (float, "1" + "0" * 400),
    (int, "1" * 5_000),
    (bool, "1"),
    (bool, '"yes"'),
    (str, "5"),
    (str, "null"),
    (str, '"\\ud800"'),
    (int | None, '""'),
    (int | str, "1.5"),
    (Literal["a", 1], "true"),
    (Literal["a", 1], '"A"'),
    (Colour, '"RED"'),
    (Level, "3"),
    (Range, '{"low": 11}'),
    (Range, '{"low": 1, "high": 2, "step": 1}'),
    (Range, '{"low": 1, "low": 2}'),
    (Filter, '{"column": "a", "value": -1}'),
    (Options, "{}"),
    (Point, "[1, 2, 3]"),
    (list[int], "5"),
    (list[str], '"abc"'),
    (dict[str, int], '[["a", 1]]'),
    (tuple[int, str], "[1]"),
    (date, "0"),
    (date, '"29.02.2024"'),
    (date, '"2023-02-29"'),
    (date, '"2024-02-29T10:00:00"'),
    (datetime, "1709200800"),
    (datetime, '"1709200800"'),
    (timedelta, "5"),
    (Decimal, "0.12345678901234567890123"),
    (Decimal, "true"),
    (Decimal, '"1,5"'),
    (Path, "[]"),
]
"""A type, and a value that is none of it, or that a conversion would change."""


def taking(kind: Any) -> Callable[..., Any]:
    def take(value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        return value

    take.__annotations__ = {"value": kind}
    return take


class TestTypes:
    @pytest.mark.parametrize(("kind", "written", "value"), SAID)
    def test_a_value_of_it_is_taken_as_it_is(self, kind: Any, written: Any, value: Any) -> None:
        got = called(taking(kind), {"value": written})
        assert (got, type(got)) == (value, type(value))

    @pytest.mark.parametrize(("kind", "written"), NOT_TAKEN)
    def test_another_value_is_not_changed_into_it(self, kind: Any, written: str) -> None:
        tool = Tool.of(taking(kind))
        with pytest.raises(BadToolCall):
            tool.read(f'{{"value": {written}}}')

    @settings(max_examples=examples(300), deadline=None)
    @given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
    def test_a_number_is_the_same_or_refused(self, number: float) -> None:
        for kind in (int, float, Decimal):
            try:
                got = called(taking(kind), {"value": number})
            except BadToolCall:
                continue
            assert got == number or Decimal(repr(number)) == got
            assert type(got) is kind

    @pytest.mark.parametrize(
        "kind", [pd.DataFrame, Callable[[int], int], type, Iterator[pd.Series], dict[str, pd.DataFrame], object()]
    )
    def test_what_json_cannot_say_is_refused_with_the_way_out(self, kind: Any) -> None:
        words = refused(taking(kind))
        assert "to take as 'value': JSON has no such value" in words
        assert "functools.partial(take, value=…)" in words


class TestAnnotations:
    def test_types_of_the_function_around_it_are_found(self) -> None:
        @dataclass
        class Local:
            size: int

        def use(local: Local) -> Local:
            return local

        assert called(use, {"local": {"size": 1}}) == Local(1)

    def test_a_name_that_is_not_defined(self) -> None:
        def use(value: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821

        assert "name 'Missing' is not defined" in refused(use)

    def test_what_it_returns_does_not_matter(self) -> None:
        def use(value: int) -> Missing:  # type: ignore[name-defined] # noqa: F821
            return value

        assert called(use, {"value": 1}) == 1

    def test_a_string_that_is_no_type(self) -> None:
        def use(value: "a number") -> None: ...  # type: ignore[valid-type] # noqa: F722

        assert refused(use).startswith("The annotations of use cannot be read: ")

    def test_pydantics_field_as_a_default_would_be_the_value(self) -> None:
        def use(value: int = Field(5, ge=1)) -> int:
            return value

        assert "value: Annotated[…, Field(…)] = …" in refused(use)


class TestDefaults:
    def test_what_json_says_is_told(self) -> None:
        def use(
            a: int | None = None,
            b: Colour = Colour.RED,
            c: Path = Path("x"),
            d: date = date(2024, 1, 1),
            e: tuple[int, ...] = (1, 2),
            f: Decimal = Decimal("1.5"),
        ) -> Any:
            return a, b, c, d, e, f

        told = {name: each["default"] for name, each in properties(use).items()}
        assert told == {"a": None, "b": "red", "c": "x", "d": "2024-01-01", "e": [1, 2], "f": "1.5"}
        assert called(use, {}) == use()

    @pytest.mark.parametrize("default", [object(), math.nan, {1, 2}, "word " * 100, print, b"x", pd.NA])
    def test_any_other_is_left_out_and_still_used(self, default: Any) -> None:
        def use(value: Any = default) -> Any:
            return value

        assert properties(use) == {"value": {}}
        assert called(use, {}) is default

    def test_one_that_is_not_of_its_type_is_left_out(self) -> None:
        def use(value: int = None) -> Any:  # type: ignore[assignment] # noqa: RUF013
            return value

        assert properties(use) in ({"value": {"type": "integer"}}, properties(taking(int | None)))
        assert called(use, {}) is None


class TestParameters:
    def test_keyword_only_and_positional_only(self) -> None:
        def use(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
            return a, b, c, d

        assert called(use, {"a": 1}) == (1, 2, 3, 4)
        assert called(use, {"a": 5, "b": 6, "c": 7, "d": 8}) == (5, 6, 7, 8)

    def test_the_rest_is_a_list_and_an_object(self) -> None:
        def use(a: int, b: int = 2, *rest: str, c: int = 3, **more: float) -> Any:
            return a, b, rest, c, more

        assert called(use, {"a": 1}) == (1, 2, (), 3, {})
        assert called(use, {"a": 1, "rest": ["x", "y"], "more": {"z": 1}}) == (1, 2, ("x", "y"), 3, {"z": 1.0})
        assert problem(use, {"a": 1, "rest": [1]}) == "rest[0]: 1 is not of type 'string'"
        assert problem(use, {"a": 1, "z": 1}) == "Additional properties are not allowed ('z' was unexpected)"

    def test_the_rest_cannot_hold_what_has_a_name(self) -> None:
        def use(a: int, **more: Any) -> Any:
            return a, more

        assert problem(use, {"a": 1, "more": {"a": 2}}) == "more: a cannot be in it"

    def test_keywords_of_a_typed_dict(self) -> None:
        def use(**options: Unpack[Options]) -> Any:
            return options

        assert called(use, {"options": {"title": "t", "size": 1}}) == {"title": "t", "size": 1}
        assert problem(use, {"options": {"name": "t"}}).startswith("options: ")

    def test_names_that_pydantic_keeps_for_itself(self) -> None:
        def use(_a: int, model_config: int, schema: int, copy: int, __b: int = 0) -> Any:
            return _a, model_config, schema, copy

        assert called(use, {"_a": 1, "model_config": 2, "schema": 3, "copy": 4}) == (1, 2, 3, 4)


class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, by: int = 1) -> int:
        """Add to the value.

        Args:
            by: how much
        """
        self.value += by
        return self.value

    def __call__(self, by: int) -> int:
        return self.add(by)

    @classmethod
    def made(cls, start: int) -> Counter:
        return cls(start)

    @staticmethod
    def twice(value: int) -> int:
        return 2 * value


class TestCallables:
    def test_a_bound_method(self) -> None:
        counter = Counter()
        assert properties(counter.add) == {"by": {"type": "integer", "default": 1, "description": "how much"}}
        assert called(counter.add, {"by": 5}) == counter.value == 5

    def test_a_class_method_a_static_method_and_a_class(self) -> None:
        assert called(Counter.made, {"start": 5}).value == 5
        assert called(Counter.twice, {"value": 5}) == 10
        assert called(Counter, {"start": 5}).value == 5
        assert called(Range, {"low": 5}) == Range(5)
        assert called(Filter, {"column": "a", "value": 1}) == Filter(column="a", value=1)

    def test_an_object_that_can_be_called(self) -> None:
        tool = Tool.of(Counter())
        assert (tool.name, tool.description) == ("Counter", "Counts.")
        assert called(Counter(), {"by": 2}) == 2

    def test_a_partial_object_hides_what_it_fixes(self) -> None:
        def use(frame: pd.DataFrame, column: str, limit: int = 5, **more: Any) -> Any:
            """Use a frame."""
            return len(frame), column, limit, more

        tool = functools.partial(use, pd.DataFrame({"a": [1]}), limit=3)
        assert list(properties(tool)) == ["column", "more"]
        assert (Tool.of(tool).name, Tool.of(tool).description) == ("use", "Use a frame.")
        assert called(tool, {"column": "a"}) == (1, "a", 3, {})
        assert problem(tool, {"column": "a", "limit": 9}).startswith("Additional properties are not allowed")
        assert problem(tool, {"column": "a", "more": {"limit": 9}}) == "more: limit cannot be in it"

    def test_a_decorated_function(self) -> None:
        def noted(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return [function(*args, **kwargs)]

            return wrapper

        assert called(noted(in_numpys_style), {"path": "a", "rows": 1}) == [["a"]]
        assert called(functools.lru_cache(Counter.twice), {"value": 2}) == 4

    def test_a_function_of_c(self) -> None:
        assert called(math.sqrt, {"x": 9}) == 3

    def test_one_that_says_nothing_of_its_parameters(self) -> None:
        def careless(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def] # noqa: ANN002, ANN003, ANN202
                return function(*args, **kwargs)

            return wrapper

        assert "wrapper does not say what it takes" in refused(careless(len))
        assert "max does not say what it takes" in refused(max)

    @pytest.mark.parametrize("value", [5, None, "len", pd.DataFrame()])
    def test_what_is_no_function(self, value: Any) -> None:
        assert refused(value) == f"A tool is a function, not {type(value).__name__}."

    def test_whether_it_runs_on_the_engines_loop(self) -> None:
        async def fetch(x: int) -> int:
            return x

        async def stream(x: int) -> AsyncIterator[int]:
            yield x

        def steps(x: int) -> Iterator[int]:
            yield x

        class Asked:
            async def __call__(self, x: int) -> int:
                return x

        kinds = [Tool.of(each).is_async for each in (fetch, stream, Asked(), functools.partial(fetch, x=1), steps)]
        assert kinds == [True, True, True, True, False]


class TestOptions:
    @pytest.mark.parametrize("name", ["1st", "a b", "загрузить", "l\u043ead", "a.b", "x" * 65, "a\n", "<lambda>"])
    def test_a_name_that_no_api_takes(self, name: str) -> None:
        assert "cannot be the name of a tool. Pass name=…" in refused(print, name=name)

    def test_a_lambda_needs_one(self) -> None:
        assert refused(lambda: None).startswith("'<lambda>' cannot be the name")

    def test_an_approval_that_there_is_not(self) -> None:
        assert '"ask" or "never"' in refused(print, approval="always")
        assert Tool.of(print).approval == "ask"


# --- what a model writes --------------------------------------------------------------------------------------------


class TestArguments:
    @pytest.mark.parametrize(
        ("written", "said"),
        [
            ("{", "the arguments are not JSON: Expecting property name"),
            ("path", "the arguments are not JSON: Expecting value"),
            ('{"path": "a"} {}', "the arguments are not JSON: Extra data"),
            ('{"path": "a", "path": "b"}', "the arguments cannot be read: 'path' is given twice"),
            ('{"path": "a", "rows": NaN}', "the arguments cannot be read: NaN is no JSON"),
            ('{"path": "a", "rows": 1e999}', "the arguments cannot be read: 1e999 is out of range"),
            (f'{{"path": "a", "rows": {"9" * 9_999}}}', "the arguments cannot be read: Exceeds the limit"),
            ("[" * 100_000, "the arguments are nested too deeply"),
            ('{"path":' * 41 + "1" + "}" * 41, "the arguments are nested too deeply"),
            (" " * 400_001, "the arguments are longer than 400000 characters"),
            ("[]", "[] is not of type 'object'"),
            ('"{}"', "\"{}\" is not of type 'object'"),
            ("{}", "'path' is a required property"),
            ('{"path": 5, "rows": "5"}', "path: 5 is not of type 'string'; rows: \"5\" is not of type 'integer'"),
            ('{"path": "a", "self": 1}', "Additional properties are not allowed ('self' was unexpected)"),
            ('{"p\u0430th": "a"}', "Additional properties are not allowed ('p\u0430th' was unexpected)"),
        ],
    )
    def test_what_is_wrong_is_said(self, written: str, said: str) -> None:
        assert problem(in_numpys_style, written).startswith(said)

    def test_what_is_accepted_is_said(self) -> None:
        with pytest.raises(BadToolCall, match=r"^in_numpys_style was not called: ") as caught:
            Tool.of(in_numpys_style).read("{}")
        assert json.loads(str(caught.value).partition("of this schema: ")[2]) == Tool.of(in_numpys_style).parameters

    def test_of_a_long_schema_the_names(self) -> None:
        tool = Tool.of(taking(Literal[tuple(f"word {number}" for number in range(500))]))  # type: ignore[misc]
        with pytest.raises(BadToolCall) as caught:
            tool.read('{"value": "x"}')
        assert len(str(caught.value)) < 4_000
        assert str(caught.value).endswith("Its arguments are a JSON object with value. Required: value.")

    def test_a_check_of_the_persons_own_that_fails_is_told_to_the_model(self) -> None:
        @dataclass
        class Odd:
            size: int

            def __post_init__(self) -> None:
                raise KeyError(self.size)

        def use(odd: Odd) -> None: ...

        assert problem(use, {"odd": {"size": 1}}) == "1"

    def test_before_the_call_is_read_no_check_of_the_persons_own_runs(self) -> None:
        made: list[int] = []

        @dataclass
        class Noted:
            size: int

            def __post_init__(self) -> None:
                made.append(self.size)

        def use(noted: Noted) -> None: ...

        tool = Tool.of(use)
        assert tool.check('{"noted": {"size": 1}}') == {"noted": {"size": 1}}
        assert made == []
        tool.read('{"noted": {"size": 1}}')
        assert made == [1]

    @settings(max_examples=examples(300), deadline=None)
    @given(st.text())
    def test_no_text_breaks_it(self, written: str) -> None:
        tool = Tool.of(Counter.twice)
        try:
            assert set(tool.read(written)) == {"value"}
        except BadToolCall as caught:
            assert len(str(caught)) < 4_000  # noqa: PT017


class TestToolbox:
    def test_tools_by_name_in_their_order(self) -> None:
        box = Toolbox([in_numpys_style, Tool.of(in_googles_style, name="b")])
        box.add(print)
        assert [each.name for each in box] == ["in_numpys_style", "b", "print"]
        assert [each["function"]["name"] for each in box.schemas] == ["in_numpys_style", "b", "print"]
        assert (len(box), "b" in box, box.remove("b"), box.remove("b"), "b" in box) == (3, True, True, False, False)

    @pytest.mark.parametrize("name", ["Print", "print ", "pr\u0456nt", "exec", "__import__", "", "builtins.print"])
    def test_only_the_exact_name_is_known(self, name: str) -> None:
        assert Toolbox([print]).get(name) is None

    def test_a_function_that_is_defined_again_takes_its_place(self) -> None:
        def define(result: int) -> Callable[[], int]:
            def load() -> int:
                return result

            return load

        box = Toolbox([define(1), print])
        first = box.get("load")
        box.add(define(2))
        second = box.get("load")
        assert first != second
        assert second is not None
        assert second.function() == 2
        assert [each.name for each in box] == ["load", "print"]

    def test_another_function_of_that_name_does_not(self) -> None:
        box = Toolbox([print])
        with pytest.raises(ConfigurationError) as caught:
            box.add(Tool.of(in_numpys_style, name="print"))
        assert_for_people(caught.value, ConfigurationError, "There is another tool named print (builtins.print)")
        assert box.get("print") is not None
