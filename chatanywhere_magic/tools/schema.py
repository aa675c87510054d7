"""The form that an answer is to have: a pydantic model, a dataclass, a TypedDict or a JSON schema, and back to values.

A provider that has structured output is given the JSON schema; every model is told of it in words; and whatever
comes is checked here.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from inspect import isclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from ..core import AnswerFormatError, ConfigurationError, find_json, phrase

MAX_PROBLEMS: Final = 5
"""So many things that are wrong with an answer are told, to the person and to the model."""
MAX_SHOWN: Final = 60
"""Characters of a value in a message."""
_JSON_ONLY: Final = "Answer with a single JSON value and nothing else: no explanation, no Markdown."
_WITH_SCHEMA: Final = "It must be valid against this JSON schema:"
_LISTS: Final = (list, tuple, set, frozenset, Sequence)
_MAPPINGS: Final = (dict, Mapping)
_DATES: Final = (date, datetime)
_PLAIN: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


class Schema:
    """What an answer must hold.

    Parameters
    ----------
    source : type, dict, str or Path, optional
        A pydantic model, a dataclass, a TypedDict or another type of values; a JSON schema; a file that holds
        one. Without it any JSON will do.
    name : str, optional
        What it is called in messages; by default its own name.

    Raises
    ------
    ConfigurationError
        If `source` is none of these, or not a valid schema.
    """

    def __init__(self, source: Any = None, name: str = "") -> None:
        self.json: dict[str, Any] | None = None
        """The JSON schema; None if any JSON will do."""
        self.name = name or getattr(source, "__name__", "") or "answer"
        self._build: Callable[[Any], Any] = _as_it_is
        if isinstance(source, str | Path):
            self.name = name or Path(source).stem
            source = _from_file(Path(source))
        if source is not None:
            self.json, self._build = _understood(source, self.name)

    @property
    def instruction(self) -> str:
        """What a model is told of it."""
        if self.json is None:
            return _JSON_ONLY
        return f"{_JSON_ONLY} {_WITH_SCHEMA}\n{json.dumps(self.json, ensure_ascii=False)}"

    @property
    def response_format(self) -> dict[str, Any]:
        """What a provider with structured output is sent (OpenAI's ``response_format``)."""
        if self.json is None:
            return {"type": "json_object"}
        # The protocol allows these characters, and 64 of them.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name)[:64]
        return {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": self.json, "strict": _is_strict(self.json)},
        }

    def read(self, answer: str) -> Any:
        """Return the value in `answer`: an instance of the type that the schema was made of, or JSON's own values.

        Raises
        ------
        AnswerFormatError
            If there is no JSON in it, or JSON of another form.
        """
        value = find_json(answer)
        try:
            return self._build(value)
        except _UnfitError as unfit:
            problems = "; ".join(unfit.problems[:MAX_PROBLEMS])
        error = AnswerFormatError(phrase("error.answer_schema", problems=problems))
        error.problems = problems
        raise error

    def objection(self, error: AnswerFormatError) -> str:
        """Return what a model is told whose answer could not be read."""
        return f"That is not what was asked for: {error.problems}. Answer again. {self.instruction}"


class _UnfitError(Exception):
    """A value does not fit; holds what is wrong with it, one line each."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems


def _as_it_is(value: Any) -> Any:
    return value


def _from_file(path: Path) -> Any:
    try:
        schema = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as caught:  # RuntimeError: no such user's home
        reason = getattr(caught, "strerror", None) or caught
        raise ConfigurationError(phrase("error.schema_file", path=path, reason=reason)) from None
    if not isinstance(schema, dict):
        raise ConfigurationError(phrase("error.schema_type", name=path))
    return schema


def _understood(source: Any, name: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Return the JSON schema of `source`, and what turns a value of JSON into one of its own."""
    if isinstance(source, Mapping):
        return dict(source), _validator(dict(source), name)
    if _is_pydantic(source):
        return _closed(source.model_json_schema()), lambda value: _by_pydantic(source, value, "")
    if isclass(source) or get_origin(source) is not None:
        definitions: dict[str, Any] = {}
        schema = (_describe_object if _is_record(source) else _describe)(source, definitions, source)
        if schema:
            return {**schema, **({"$defs": definitions} if definitions else {})}, lambda value: _made(source, value, "")
    raise ConfigurationError(phrase("error.schema_type", name=name if isclass(source) else repr(source)[:80]))


# --- JSON schemas --------------------------------------------------------------------------------------------------


def _validator(schema: dict[str, Any], name: str) -> Callable[[Any], Any]:
    if find_spec("jsonschema") is None:
        raise ConfigurationError(phrase("error.schema_needs_jsonschema"))
    jsonschema = import_module("jsonschema")
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as caught:
        raise ConfigurationError(phrase("error.schema_invalid", name=name, reason=caught.message)) from None
    # An empty registry, or a reference to an address would be fetched.
    validator = kind(schema, registry=import_module("referencing").Registry())

    def check(value: Any) -> Any:
        problems = [
            _problem(error.json_path.removeprefix("$."), error.message) for error in validator.iter_errors(value)
        ]
        if problems:
            raise _UnfitError(*problems)
        return value

    return check


def _problem(place: str, message: str) -> str:
    return f"{place}: {message}" if place not in {"", "$"} else message


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes it as strict: every object is closed, and all of its properties are required."""
    if isinstance(schema, Mapping):
        if "properties" in schema and (
            schema.get("additionalProperties") is not False
            or set(schema.get("required", ())) != set(schema["properties"])
        ):
            return False
        return all(_is_strict(inner) for inner in schema.values())
    return not isinstance(schema, list) or all(_is_strict(inner) for inner in schema)


def _closed(schema: Any) -> Any:
    """Return a pydantic model's schema with objects closed: a model ignores what it does not know."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(inner) for key, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _is_pydantic(source: Any) -> bool:
    return isclass(source) and hasattr(source, "model_json_schema") and hasattr(source, "model_validate")


def _by_pydantic(model: Any, value: Any, place: str) -> Any:
    try:
        return model.model_validate(value)
    except ValueError as caught:  # pydantic's ValidationError is one
        errors = getattr(caught, "errors", None)
        if errors is None:
            raise _UnfitError(str(caught)) from None
        places = [".".join(map(str, [*([place] if place else []), *error["loc"]])) for error in errors()]
        told = [_problem(place, error["msg"]) for place, error in zip(places, errors(), strict=True)]
        raise _UnfitError(*told) from None


# --- types to JSON schemas -----------------------------------------------------------------------------------------


def _describe(kind: Any, definitions: dict[str, Any], root: Any) -> dict[str, Any]:  # noqa: C901, PLR0911 - a list of cases
    """Return the JSON schema of a type; ``{}`` for any value."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        notes = [note for note in arguments[1:] if isinstance(note, str)]
        return {**_describe(arguments[0], definitions, root), **({"description": notes[0]} if notes else {})}
    if _is_qualifier(origin):
        return _describe(arguments[0], definitions, root)
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is None:
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_describe(each, definitions, root) for each in arguments]}
    if _is_fixed(origin, arguments):
        items = [_describe(each, definitions, root) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if kind in _LISTS or origin in _LISTS:
        inner = _describe(arguments[0], definitions, root) if arguments else {}
        return {"type": "array", "items": inner}
    if kind in _MAPPINGS or origin in _MAPPINGS:
        inner = _describe(arguments[1], definitions, root) if arguments else {}
        return {"type": "object", "additionalProperties": inner}
    if kind in _DATES:
        return {"type": "string", "format": "date" if kind is date else "date-time"}
    if isclass(kind) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if _is_record(kind) or _is_pydantic(kind):
        return _refer(kind, definitions, root)
    return {}


def _refer(kind: Any, definitions: dict[str, Any], root: Any) -> dict[str, Any]:
    """Return a reference to the schema of a dataclass, TypedDict or pydantic model, which may hold itself."""
    if kind is root:
        return {"$ref": "#"}
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        if _is_pydantic(kind):
            schema = _closed(kind.model_json_schema())
            definitions.update(schema.pop("$defs", {}))
            definitions[kind.__name__] = schema
        else:
            definitions[kind.__name__] = _describe_object(kind, definitions, root)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _describe_object(kind: Any, definitions: dict[str, Any], root: Any) -> dict[str, Any]:
    hints, required = _attributes(kind)
    return {
        "type": "object",
        "properties": {name: _describe(hint, definitions, root) for name, hint in hints.items()},
        "required": [name for name in hints if name in required],
        "additionalProperties": False,
    }


def _is_record(kind: Any) -> bool:
    return isclass(kind) and (is_dataclass(kind) or _is_typed_dict(kind))


def _is_typed_dict(kind: Any) -> bool:
    return hasattr(kind, "__required_keys__")  # typing's own test does not know those of typing_extensions


def _attributes(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the attributes of a dataclass or the keys of a TypedDict with their types, and which are required."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError as caught:
        raise ConfigurationError(phrase("error.schema_invalid", name=kind.__name__, reason=caught)) from None
    if _is_typed_dict(kind):
        # By what the hints say, first: where annotations are strings, the class itself has not seen their marks.
        marks = {name: getattr(get_origin(hint), "_name", "") for name, hint in hints.items()}
        own_keys = set(kind.__required_keys__)
        return hints, {
            name for name, mark in marks.items() if mark == "Required" or (name in own_keys and mark != "NotRequired")
        }
    own = [field for field in fields(kind) if field.init]
    required = {field.name for field in own if field.default is MISSING and field.default_factory is MISSING}
    return {field.name: hints[field.name] for field in own}, required


# --- values of JSON to values of types -----------------------------------------------------------------------------


def _made(kind: Any, value: Any, place: str) -> Any:  # noqa: C901, PLR0911, PLR0912 - a list of cases
    """Return `value` as a `kind`, or raise ``_UnfitError``; `place` is where in the answer it stands."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated or _is_qualifier(origin):
        return _made(arguments[0], value, place)
    if kind in _PLAIN or kind is None:
        return _made_plain(kind, value, place)
    if origin is Literal:
        return _one_of(arguments, value, place)
    if origin in {Union, types.UnionType}:
        return _made_first(arguments, value, place)
    if _is_fixed(origin, arguments):
        if not isinstance(value, list) or len(value) != len(arguments):
            raise _UnfitError(_problem(place, f"{_shown(value)} is no list of {len(arguments)}"))
        return tuple(_all_made(dict(enumerate(arguments)), dict(enumerate(value)), place).values())
    if kind in _LISTS or origin in _LISTS:
        if not isinstance(value, list):
            raise _UnfitError(_problem(place, f"{_shown(value)} is no list"))
        inner = arguments[0] if arguments else Any
        made = _all_made(dict.fromkeys(range(len(value)), inner), dict(enumerate(value)), place)
        wanted = origin or kind
        return (list if wanted is Sequence else wanted)(made.values())
    if kind in _MAPPINGS or origin in _MAPPINGS:
        if not isinstance(value, dict):
            raise _UnfitError(_problem(place, f"{_shown(value)} is no object"))
        return _all_made(dict.fromkeys(value, arguments[1] if arguments else Any), value, place)
    if kind in _DATES:
        return _made_date(kind, value, place)
    if isclass(kind) and issubclass(kind, Enum):
        return kind(_one_of([member.value for member in kind], value, place))
    if _is_pydantic(kind):
        return _by_pydantic(kind, value, place)
    return _made_object(kind, value, place) if _is_record(kind) else value


def _made_plain(kind: Any, value: Any, place: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        return float(value)
    if kind is int and number and value % 1 == 0:
        return int(value)
    if kind in {None, type(None)} and value is None:
        return None
    if kind in {str, bool} and isinstance(value, kind):
        return value
    raise _UnfitError(_problem(place, f"{_shown(value)} is no {_PLAIN.get(kind, 'null')}"))


def _made_date(kind: Any, value: Any, place: str) -> Any:
    try:
        return kind.fromisoformat(re.sub("[Zz]$", "+00:00", value))  # which Python 3.10 does not know
    except (TypeError, ValueError):
        raise _UnfitError(_problem(place, f"{_shown(value)} is no ISO 8601 {kind.__name__}")) from None


def _made_first(kinds: Sequence[Any], value: Any, place: str) -> Any:
    problems: list[str] = []
    for kind in kinds:
        try:
            return _made(kind, value, place)
        except _UnfitError as unfit:  # noqa: PERF203 - every problem is to be told at once
            problems += unfit.problems
    raise _UnfitError(_problem(place, " and ".join(problem.removeprefix(f"{place}: ") for problem in problems)))


def _made_object(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _UnfitError(_problem(place, f"{_shown(value)} is no object"))
    hints, required = _attributes(kind)
    problems = [_problem(place, f"{name!r} is missing") for name in hints if name in required and name not in value]
    problems += [_problem(place, f"{name!r} is not in the schema") for name in value if name not in hints]
    if problems:
        raise _UnfitError(*problems)
    made = _all_made(hints, value, place)
    try:
        return kind(**made)
    except (TypeError, ValueError) as caught:  # what the class itself has to say
        raise _UnfitError(_problem(place, str(caught))) from None


def _all_made(kinds: Mapping[Any, Any], values: Mapping[Any, Any], place: str) -> dict[Any, Any]:
    """Return each of `values` as what `kinds` says, or raise with everything that is wrong with any of them."""
    made: dict[Any, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        try:
            made[key] = _made(kinds[key], value, f"{place}.{key}" if place else str(key))
        except _UnfitError as unfit:  # noqa: PERF203 - every problem is to be told at once
            problems += unfit.problems
    if problems:
        raise _UnfitError(*problems)
    return made


def _one_of(allowed: Sequence[Any], value: Any, place: str) -> Any:
    # By type too: to Python, True is 1.
    for each in allowed:
        if each == value and type(each) is type(value):
            return each
    raise _UnfitError(_problem(place, f"{_shown(value)} is none of {', '.join(map(repr, allowed))}"))


def _is_fixed(origin: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a type is a tuple of so and so many."""
    return origin is tuple and arguments[-1:] != (...,)


def _is_qualifier(origin: Any) -> bool:
    """Whether it is TypedDict's ``Required``, ``NotRequired`` or ``ReadOnly``; Python 3.10 has them not."""
    return getattr(origin, "_name", "") in {"Required", "NotRequired", "ReadOnly"}


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"
