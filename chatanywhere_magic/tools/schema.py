"""Schemas: the form of a response as a pydantic model, dataclass, TypedDict or JSON Schema, and back to values.

A provider that has structured output is given the JSON schema; every model reads it in the prompt; and whatever
comes is checked here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from inspect import isclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_origin

from ..core import AnswerFormatError, ConfigurationError, find_json, phrase
from .exact import Rounded, cut

MAX_PROBLEMS: Final = 5
"""At most so many things that are wrong with a response are listed, to the person and to the model."""
MAX_SHOWN: Final = 60
MAX_PROBLEM: Final = 300
"""Characters of a value in a message, and of a message."""
_JSON_ONLY: Final = "Answer with a single JSON value and nothing else: no explanation, no Markdown."
_WITH_SCHEMA: Final = "It must be valid against this JSON schema:"


class Schema:
    """The form that a response must have.

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
        self._problems: Callable[[Any], list[str]] = lambda _: []
        self._build: Callable[[Any], Any] = lambda value: value
        if isinstance(source, str | Path):
            self.name = name or Path(source).stem
            source = _from_file(Path(source))
        if isinstance(source, Mapping):
            self.json = dict(source)
        elif isclass(source) or get_origin(source) is not None:
            from .typed import adapt  # pydantic loads with the first type

            self.json, self._build = adapt(source, self.name)
        if self.json:
            self._problems = validator(self.json, self.name)
        elif source is not None:
            name = self.name if isclass(source) else repr(source)[:80]
            raise ConfigurationError(phrase("error.schema_type", name=name))

    @property
    def instruction(self) -> str:
        """The instruction that describes the form to a model."""
        if self.json is None:
            return _JSON_ONLY
        return f"{_JSON_ONLY} {_WITH_SCHEMA}\n{json.dumps(self.json, ensure_ascii=False)}"

    @property
    def response_format(self) -> dict[str, Any]:
        """The ``response_format``, in OpenAI's form, for providers with structured output."""
        if self.json is None:
            return {"type": "json_object"}
        # The protocol allows these characters, and 64 of them.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name)[:64]
        return {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": self.json, "strict": _is_strict(self.json)},
        }

    def read(self, response: str) -> Any:
        """Return the value in `answer`: an instance of the type that the schema was made of, or JSON's own values.

        Raises
        ------
        AnswerFormatError
            If there is no JSON in it, or JSON of another form.
        """
        value = find_json(response)
        try:
            problems = self._problems(value)
            if not problems:
                return self._build(value)
        except (TypeError, ValueError, RecursionError) as caught:  # what the type itself says; nested too deeply
            problems = [str(problem) for problem in caught.args[:MAX_PROBLEMS]]
        error = AnswerFormatError(phrase("error.answer_schema", problems="; ".join(problems)))
        error.problems = "; ".join(problems)
        raise error

    def objection(self, error: AnswerFormatError) -> str:
        """Return the message that asks a model to correct a response that could not be read."""
        return f"That is not what was asked for: {error.problems}. Answer again. {self.instruction}"


def _from_file(path: Path) -> Any:
    try:
        schema = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as caught:  # RuntimeError: no such user's home
        reason = getattr(caught, "strerror", None) or caught
        raise ConfigurationError(phrase("error.schema_file", path=path, reason=reason)) from None
    if not isinstance(schema, dict):
        raise ConfigurationError(phrase("error.schema_type", name=path))
    return schema


def validator(schema: dict[str, Any], name: str, *, exact: bool = False) -> Callable[[Any], list[str]]:
    """Return a function that lists the problems of a value, at most as many as are reported.

    With `exact`, a number that the value would not keep is a problem, too: as a float, or as a decimal.
    """
    jsonschema = _jsonschema()
    from referencing import Registry

    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as caught:
        raise ConfigurationError(phrase("error.schema_invalid", name=name, reason=caught.message)) from None
    formats = jsonschema.FormatChecker(formats=())
    # To pydantic a date may also be a number of seconds, even as a string: it would make 1970 of the response "1815".
    formats.checks("date")(_may_be_a_date)
    formats.checks("date-time")(_may_be_a_date)
    if exact:
        kind = jsonschema.validators.extend(kind, type_checker=kind.TYPE_CHECKER.redefine("number", _is_kept))
        formats.checks("decimal")(lambda value: not isinstance(value, Rounded))
    # An empty registry, or a reference to an address would be fetched.
    checker = kind(schema, registry=Registry(), format_checker=formats)
    return lambda value: [_worded(error) for error in islice(checker.iter_errors(value), MAX_PROBLEMS)]


def _jsonschema() -> Any:
    """Import jsonschema without the grammars of a format that is not checked here, which take seconds to build."""
    name = "rfc3987_syntax"
    if "jsonschema" in sys.modules or name in sys.modules or find_spec(name) is None:
        return import_module("jsonschema")
    # Whoever checks that format has it all the same: it is loaded by the first call.
    late = ModuleType(name)
    vars(late)["is_valid_syntax"] = lambda *arguments: import_module(name).is_valid_syntax(*arguments)
    sys.modules[name] = late
    try:
        return import_module("jsonschema")
    finally:
        if sys.modules.get(name) is late:
            del sys.modules[name]


def _is_kept(_: object, value: object) -> bool:
    """Whether it is a number that is the same as a float."""
    with suppress(OverflowError):
        return isinstance(value, int | float) and not isinstance(value, bool) and float(value) == value
    return False


def _may_be_a_date(value: object) -> bool:
    return not isinstance(value, str) or re.match(r"\d{4}-\d", value) is not None


def _worded(error: Any) -> str:
    from jsonschema.exceptions import best_match

    error = best_match([error])  # of alternatives, the one that was meant
    reasons = error.context or [error]
    message = " and ".join(each.message.replace(repr(each.instance), _shown(each.instance), 1) for each in reasons)
    place = error.json_path.removeprefix("$").removeprefix(".")
    return cut(f"{place}: {message}" if place else message, MAX_PROBLEM)


def _shown(value: Any) -> str:
    return cut(json.dumps(value, ensure_ascii=False), MAX_SHOWN)


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
