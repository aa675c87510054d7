"""The form that an answer is to have: types to JSON schemas, and answers back to values of the types."""

from __future__ import annotations

import json
import sys
import typing
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import NotRequired, TypedDict

from chatanywhere_magic.core.errors import AnswerFormatError, ConfigurationError
from chatanywhere_magic.tools.schema import Schema
from tests.unit.helpers import assert_for_people

if TYPE_CHECKING:
    from pathlib import Path


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Child:
    name: str
    parent: Optional[Person] = None  # noqa: UP045 - people write it so


@dataclass
class Person:
    name: Annotated[str, "the whole name"]
    age: int
    colour: Colour = Colour.RED
    born: date | None = None
    seen: datetime | None = None
    place: tuple[float, float] = (0.0, 0.0)
    tags: set[str] = field(default_factory=set)
    children: list[Child] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    kind: Literal["a", 1] = "a"
    size: Union[int, str] = 0  # noqa: UP007 - people write it so
    anything: Any = None

    def __post_init__(self) -> None:
        if self.age < 0:
            msg = "an age is not below 0"
            raise ValueError(msg)


class Place(TypedDict):
    name: str
    height: NotRequired[float]


class Model(BaseModel):
    name: str
    age: int = Field(ge=0)


WHOLE = {
    "name": "Ada",
    "age": 36,
    "colour": "green",
    "born": "1815-12-10",
    "seen": "1852-11-27T10:00:00Z",
    "place": [51, 0.1],
    "tags": ["a", "b", "a"],
    "children": [{"name": "Byron", "parent": {"name": "Ada", "age": 36}}],
    "marks": {"maths": 1},
    "kind": 1,
    "size": "big",
    "anything": [None],
}


def problems(source: Any, value: Any) -> str:
    with pytest.raises(AnswerFormatError) as caught:
        Schema(source).read(json.dumps(value))
    assert_for_people(caught.value, AnswerFormatError, "does not match the schema")
    return caught.value.problems


class TestDataclasses:
    def test_an_answer_becomes_an_instance(self) -> None:
        person = Schema(Person).read(f"Here it is:\n```json\n{json.dumps(WHOLE)}\n```")
        assert person == Person(
            name="Ada",
            age=36,
            colour=Colour.GREEN,
            born=date(1815, 12, 10),
            seen=datetime(1852, 11, 27, 10, tzinfo=timezone.utc),
            place=(51.0, 0.1),
            tags={"a", "b"},
            children=[Child("Byron", Person("Ada", 36))],
            marks={"maths": 1},
            kind=1,
            size="big",
            anything=[None],
        )

    def test_its_schema_says_the_same(self) -> None:
        schema = Schema(Person).json
        assert schema is not None
        validator = jsonschema.Draft202012Validator(schema)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert list(validator.iter_errors(WHOLE)) == []
        assert schema["required"] == ["name", "age"]
        assert schema["properties"]["name"] == {"type": "string", "description": "the whole name"}

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"name": None}, "name: null is not of type 'string'"),
            ({"age": "36"}, "age: \"36\" is not of type 'integer'"),
            ({"age": 1.5}, "age: 1.5 is not of type 'integer'"),
            ({"age": True}, "age: true is not of type 'integer'"),
            ({"age": -1}, "an age is not below 0"),
            ({"colour": "blue"}, "colour: \"blue\" is not one of ['red', 'green']"),
            ({"born": "10.12.1815"}, "born: \"10.12.1815\" is not a 'date'"),
            ({"place": [1]}, "place: [1] is too short"),
            ({"place": [1, "x"]}, "place[1]: \"x\" is not of type 'number'"),
            ({"tags": "a"}, "tags: \"a\" is not of type 'array'"),
            ({"children": [{"name": 1}]}, "children[0].name: 1 is not of type 'string'"),
            ({"children": [{}]}, "children[0]: 'name' is a required property"),
            ({"marks": {"maths": "x"}}, "marks.maths: \"x\" is not of type 'integer'"),
            ({"kind": True}, "kind: true is not one of ['a', 1]"),
            ({"unknown": 1}, "Additional properties are not allowed ('unknown' was unexpected)"),
            ({"name": 1, "age": "x"}, "name: 1 is not of type 'string'; age: \"x\" is not of type 'integer'"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, change: dict[str, Any], problem: str) -> None:
        assert problems(Person, {**WHOLE, **change}) == problem

    def test_what_its_schema_refuses_is_refused_and_the_other_way_round(self) -> None:
        schema = Schema(Person)
        assert schema.json is not None
        validator = jsonschema.Draft202012Validator(schema.json)
        for name in WHOLE:
            for other in (None, 1, 1.5, "x", True, [], {}, ["x"], {"x": "y"}):
                value = {**WHOLE, name: other}
                if name not in {"born", "seen"}:  # a format is only a note in a schema
                    try:
                        schema.read(json.dumps(value))
                    except AnswerFormatError:
                        assert not validator.is_valid(value), value
                    else:
                        assert validator.is_valid(value), value


def test_what_a_class_says_of_its_values_is_said() -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise TypeError(self.number, "is odd")

    assert problems(list[Even], [{"number": 1}]) == "1; is odd"


class Old(typing.TypedDict):
    name: str
    height: NotRequired[float]
    children: list[OldChild] | None


class OldChild(typing.TypedDict, total=False):
    name: Annotated[str, "the whole name"]


class Chain(typing.TypedDict):
    inner: Chain


def test_the_typed_dict_of_every_python() -> None:
    schema = Schema(dict[str, Old])
    value = {"x": {"name": "K2", "height": 8611.0, "children": [{}, {"name": "K3"}]}}
    assert schema.read(json.dumps(value)) == value
    assert problems(Old, {"name": "K2"}) == "'children' is a required property"
    assert problems(Old, {"name": "K2", "children": [{"name": 1}]}) == "children[0].name: 1 is not of type 'string'"
    assert json.dumps(schema.json).count("the whole name") == 1
    if sys.version_info < (3, 12):
        with pytest.raises(ConfigurationError, match=r"Please use `typing_extensions\.TypedDict`"):
            Schema(Chain)
    else:
        assert Schema(Chain).json


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1"),
        (int, True),
        (float, "1"),
        (bool, 1),
        (bool, "true"),
        (str, 1),
        (Literal[1], True),
        (Literal["1"], 1),
        (Enum("E", {"A": 1}), True),
        (datetime, 1815),
        (datetime, "1815"),
        (datetime, "-5.5"),
        (date, 86400),
        (date, "86400"),
        (int | None, "1"),
        (int | bool, "true"),
        (list[int], "1"),
        (tuple[int, int], [1, 2, 3]),
        (Model, {"name": "Ada", "age": "36"}),
        (Model, {"name": "Ada", "age": 36, "town": "London"}),
        (Place, {"name": "K2", "town": "London"}),
    ],
)
def test_no_value_is_changed_in_silence(kind: Any, value: Any) -> None:
    with pytest.raises(AnswerFormatError):
        Schema(kind).read(json.dumps(value))


def test_what_json_writes_in_two_ways_is_one_value() -> None:
    for kind, written, value in (
        (int, "36.0", 36),
        (float, "36", 36.0),
        (int | str, "1.0", 1),
        (date | str, '"1815-12-10"', date(1815, 12, 10)),
        (datetime, '"1815-12-10T10:00:00+02:00"', datetime.fromisoformat("1815-12-10T10:00:00+02:00")),
    ):
        made = Schema(kind).read(written)
        assert made == value
        assert type(made) is type(value)


def test_of_alternatives_the_one_that_was_meant_is_spoken_of() -> None:
    child = {"name": "Byron", "parent": {"name": "Ada", "age": "36"}}
    assert problems(Child, child) == "parent.age: \"36\" is not of type 'integer'"
    both = "\"36\" is not of type 'integer' and \"36\" is not of type 'null'"
    assert problems(int | None, "36") == both


def test_long_values_and_many_problems_are_cut() -> None:
    said = problems(list[int], ["x" * 1000] * 100)
    assert said.count(";") == 4
    assert len(said) < 600
    assert len(problems(Place, {"name": "", **{f"key{number}": 1 for number in range(1000)}})) <= 300


def test_an_answer_nested_too_deeply_is_said_to_be() -> None:
    for depth in (100, 2000):
        chain = '{"children": [' * depth + "1" + "]}" * depth
        with pytest.raises(AnswerFormatError):
            Schema(
                {
                    "$defs": {"a": {"properties": {"children": {"items": {"$ref": "#/$defs/a"}}}, "type": "object"}},
                    "$ref": "#/$defs/a",
                }
            ).read(chain)


def test_a_typed_dict() -> None:
    assert Schema(Place).read('{"name": "K2", "height": 8611}') == {"name": "K2", "height": 8611.0}
    assert Schema(Place).read('{"name": "K2"}') == {"name": "K2"}
    assert problems(Place, {"height": 1}) == "'name' is a required property"


def test_other_types() -> None:
    assert Schema(list[Place]).read('[{"name": "K2"}]') == [{"name": "K2"}]
    assert Schema(dict[str, float]).read('{"K2": 8611}') == {"K2": 8611.0}
    assert problems(list[int], {"a": 1}) == "{\"a\": 1} is not of type 'array'"


class TestPydantic:
    def test_an_answer_becomes_an_instance(self) -> None:
        assert Schema(Model).read('{"name": "Ada", "age": 36}') == Model(name="Ada", age=36)

    def test_what_is_wrong_is_said_in_its_words(self) -> None:
        said = problems(Model, {"name": "Ada", "age": -1})
        assert said == "age: -1 is less than the minimum of 0"

    def test_one_that_takes_more_than_it_names(self) -> None:
        class Open(BaseModel):
            model_config = ConfigDict(extra="allow")

            name: str

        assert Schema(list[Open]).read('[{"name": "Ada", "age": 36}]')[0].age == 36

    def test_its_own_validators_are_asked(self) -> None:
        class Short(BaseModel):
            name: str

            @field_validator("name")
            @classmethod
            def short(cls, name: str) -> str:
                if len(name) > 3:
                    msg = "too long"
                    raise ValueError(msg)
                return name.upper()

        assert Schema(Short).read('{"name": "Ada"}').name == "ADA"
        assert problems(Short, {"name": "Augusta"}) == "name: too long"

    def test_models_inside_other_types(self) -> None:
        schema = Schema(list[Model])
        assert schema.read('[{"name": "Ada", "age": 36}]') == [Model(name="Ada", age=36)]
        assert problems(list[Model], [{"name": "Ada"}]) == "[0]: 'age' is a required property"
        assert schema.json is not None
        assert jsonschema.Draft202012Validator(schema.json).is_valid([{"name": "Ada", "age": 36}])
        assert not jsonschema.Draft202012Validator(schema.json).is_valid([{"name": "Ada"}])


class TestJSONSchemas:
    SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}  # noqa: RUF012

    def test_an_answer_stays_what_it_is(self) -> None:
        assert Schema(self.SCHEMA).read('{"age": 36, "more": 1}') == {"age": 36, "more": 1}

    def test_what_is_wrong_is_said(self) -> None:
        assert problems(self.SCHEMA, {"age": "x"}) == "age: \"x\" is not of type 'integer'"
        assert problems(self.SCHEMA, {}) == "'age' is a required property"

    def test_one_in_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "person.json"
        file.write_text(json.dumps(self.SCHEMA))
        for source in (file, str(file)):
            assert Schema(source).json == self.SCHEMA
            assert Schema(source).name == "person"

    def test_nothing_is_fetched(self) -> None:
        with pytest.raises(Exception, match="Unresolvable"):
            Schema({"$ref": "http://127.0.0.1:9/schema.json"}).read("{}")


class TestMistakes:
    @pytest.mark.parametrize(
        ("source", "says"),
        [
            (3, "3 is not a schema."),
            (object, "object is not a schema."),
            ({"type": "nonsense"}, "answer is not a valid JSON Schema: "),
            ("missing.json", "missing.json contains no readable JSON Schema: No such file or directory."),
        ],
    )
    def test_what_is_no_schema_is_refused_before_anything_is_sent(self, source: Any, says: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Schema(source)
        assert_for_people(caught.value, ConfigurationError, says)

    def test_a_type_that_json_cannot_hold(self) -> None:
        @dataclass
        class Holder:
            call: typing.Callable[[], int]

        @dataclass
        class Other:
            thing: sys.__class__  # type: ignore[name-defined]

        for kind in (Holder, Other, list[Holder]):
            with pytest.raises(ConfigurationError) as caught:
                Schema(kind)
            assert_for_people(caught.value, ConfigurationError, " is not a valid JSON Schema: ")
            assert "\n" not in str(caught.value)
            assert "errors.pydantic.dev" not in str(caught.value)

    def test_a_file_without_one(self, tmp_path: Path) -> None:
        file = tmp_path / "list.json"
        for content, says in (("[1]", "is not a schema"), ("{", "contains no readable JSON Schema")):
            file.write_text(content)
            with pytest.raises(ConfigurationError, match=says):
                Schema(file)

    def test_a_type_that_is_not_defined(self) -> None:
        with pytest.raises(ConfigurationError, match="name 'Nowhere' is not defined"):
            Schema(_dataclass_with("Nowhere"))


def _dataclass_with(annotation: str) -> type:
    kind = type("Lost", (), {"__annotations__": {"place": annotation}, "__module__": __name__})
    return dataclass(kind)


class TestStructuredOutput:
    def test_any_json(self) -> None:
        assert Schema().response_format == {"type": "json_object"}
        assert "JSON" in Schema().instruction

    @pytest.mark.parametrize(
        ("source", "strict"), [(Model, True), (list[Model], True), (Person, False), (Place, False)]
    )
    def test_only_what_leaves_no_property_out_is_strict(self, source: Any, *, strict: bool) -> None:
        assert Schema(source).response_format["json_schema"]["strict"] is strict

    def test_a_name_that_the_protocol_allows(self) -> None:
        name = Schema({"type": "object"}, "мой schema.v2").response_format["json_schema"]["name"]
        assert name == "____schema_v2"

    def test_the_model_is_told_of_it_in_words_too(self) -> None:
        assert json.dumps(Schema(Place).json) in Schema(Place).instruction
