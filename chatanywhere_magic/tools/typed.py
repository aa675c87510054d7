"""Convert types to JSON Schemas and values back, with pydantic. Imported with the first type: pydantic loads slowly."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import NotRequired, Required, TypedDict

from ..core import ConfigurationError, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema


def adapt(kind: Any, name: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Return the JSON schema of a type, and what turns a value of JSON that fits it into one of the type.

    Check the schema first, for it is stricter: left alone, pydantic makes 1 of ``true`` and of ``"1"``. For what no
    schema can say, such as a value that a validator refuses, the function raises ValueError (its arguments are the
    problems) or TypeError.

    Raises
    ------
    ConfigurationError
        If there is no JSON schema of `kind`.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_portable(kind))
        adapter.rebuild()  # raises what it would else keep for later: a name that is not defined
        schema = adapter.json_schema(schema_generator=_Closed)
    except (PydanticUserError, PydanticUndefinedAnnotation, NameError, TypeError) as caught:
        reason = str(caught).partition("\n")[0].rstrip(".")
        raise ConfigurationError(phrase("error.schema_invalid", name=name, reason=reason)) from None
    if "$ref" in schema:  # a type that holds itself; providers want an object at the root
        schema = {**schema["$defs"][schema["$ref"].rpartition("/")[2]], "$defs": schema["$defs"]}

    def read(value: Any) -> Any:
        try:
            return adapter.validate_json(json.dumps(value))
        except ValidationError as caught:
            errors = [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.errors()]
        words = [(place, message.removeprefix("Value error, ")) for place, message in errors]
        raise ValueError(*(f"{place}: {message}" if place else message for place, message in words))

    return schema, read


class _Closed(GenerateJsonSchema):
    """Schemas without unknown properties, with no more in them than the model needs.

    A string in ``Annotated`` describes a property. Titles that repeat its name are left out, and so is
    ``uniqueItems``, which structured output does not know.
    """

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's own attribute

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        return {key: value for key, value in super().set_schema(schema).items() if key != "uniqueItems"}

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        return {key: value for key, value in super().frozenset_schema(schema).items() if key != "uniqueItems"}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        # For the check: as a number, its digits would be those of a float.
        return {**super().decimal_schema(schema), "format": "decimal"}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _closed(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _closed(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _closed(super().typed_dict_schema(schema), schema["cls"])


def _closed(schema: JsonSchemaValue, kind: type) -> JsonSchemaValue:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
        with suppress(NameError):  # defined in a function, where only pydantic finds it
            for name, hint in get_type_hints(kind, include_extras=True).items():
                inner = get_args(hint)[0] if get_origin(hint) in {NotRequired, Required} else hint
                notes = [note for note in getattr(inner, "__metadata__", ()) if isinstance(note, str)]
                if notes and name in schema["properties"]:
                    schema["properties"][name].setdefault("description", notes[0])
    return schema


def _portable(kind: Any, holders: tuple[Any, ...] = ()) -> Any:
    """Return `kind` with typing_extensions' TypedDict for typing's, which pydantic refuses before Python 3.12."""
    arguments, origin = get_args(kind), get_origin(kind)
    if sys.version_info >= (3, 12) or kind in holders:  # one that holds itself: pydantic says what to do
        return kind
    if is_typeddict(kind) and type(kind).__module__ == "typing":
        hints = {
            name: _portable(hint, (*holders, kind)) for name, hint in get_type_hints(kind, include_extras=True).items()
        }
        optional = {name for name in kind.__optional_keys__ if get_origin(hints[name]) is not NotRequired}
        hints.update({name: NotRequired[hints[name]] for name in optional})
        return TypedDict(kind.__name__, hints)  # type: ignore[operator]
    if not arguments:
        return kind
    made = tuple(_portable(argument, holders) for argument in arguments)
    return (Union if origin is UnionType else origin)[made if len(made) > 1 else made[0]]
