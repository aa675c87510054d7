"""A function as a tool: its name, description and JSON schema, and the check of the arguments that a model writes."""

from __future__ import annotations

import inspect
import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from typing_extensions import NotRequired, TypedDict, Unpack

from ..core import ConfigurationError, phrase
from .exact import cut, read_exactly
from .schema import validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

Approval = Literal["ask", "never"]

MAX_DESCRIPTION: Final = 1_000
"""Characters of a tool's description; OpenAI takes 1,024."""
MAX_PARAMETER: Final = 400
"""Characters of a parameter's description."""
_MAX_DOC: Final = 20_000
_SCHEMA_SHOWN: Final = 1_500
"""Up to this length, a model that called a tool wrongly is shown the tool's schema again."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class BadToolCall(ValueError):  # noqa: N818 - it is no error of the person's
    """A call cannot be made as it was written. Its text is for the model: what is wrong, and what is accepted."""


class ToolFailure(Exception):  # noqa: N818 - it is raised by a tool of ours, for the model
    """A tool could not do what it was called for. Its text is for the model; the person sees its cause."""


@dataclass(frozen=True)
class Shown:
    """How a call is shown to the person who approves it, where its arguments alone would not tell.

    Parameters
    ----------
    text : str
        What is approved: the whole of it.
    language : str, optional
        If it is code, in what language.
    replaces : str, optional
        The text whose place it would take; the difference is shown.
    editable : str, optional
        The argument that holds the text, if the person may edit it before the call.
    """

    text: str
    language: str = ""
    replaces: str | None = None
    editable: str = ""


@dataclass(frozen=True, eq=False)
class Tool:
    """A function that a model may call. Make one with :meth:`of`.

    Parameters
    ----------
    name, description : str
        What the model knows it by.
    parameters : mapping
        The JSON schema of its arguments, an object.
    function : callable
        Takes the arguments by keyword. It returns the result, or is a generator, sync or async, that yields progress;
        the last value is the result.
    approval : {"ask", "never"}
        Whether the person is asked before each call.
    thread_safe : bool
        Whether it may run outside the main thread, several calls at once.
    is_async : bool
        Whether it is a coroutine function or an async generator function.
    shows : callable, optional
        Returns how a call with these arguments is shown for approval.
    covers : callable, optional
        Returns for what a call's approval stands: calls with the same text need no second one. Without it, only
        the person's own choice makes an approval stand.
    standing : {"conversation", "turn", "never"}
        How long an approval may stand if the person chooses so.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]
    approval: Approval = "ask"
    thread_safe: bool = False
    is_async: bool = False
    shows: Callable[[Mapping[str, Any]], Shown] | None = None
    covers: Callable[[Mapping[str, Any]], str] | None = None
    standing: Literal["conversation", "turn", "never"] = "conversation"
    source: Callable[..., Any] | None = None
    """What :meth:`of` was given, by which the same function is recognized."""
    origin: tuple[str, str] = ("", "")
    """The module and qualified name of the function: the same for one that is defined again."""
    problems: Callable[[Any], list[str]] = field(default=lambda _: [], repr=False)
    """Lists what is wrong with arguments by the schema; for :meth:`check`."""
    build: Callable[[Any], dict[str, Any]] = field(default=dict, repr=False)
    """Converts arguments that fit the schema; for :meth:`read`."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        approval: Approval = "ask",
        thread_safe: bool = False,
        **further: Any,
    ) -> Self:
        """Make a tool of a function, from its signature, type hints and docstring.

        Parameters
        ----------
        function : callable
            A function, method, :func:`functools.partial` or other callable. What a partial object fixes, the model
            can neither see nor change.
        name, description : str, optional
            Instead of its own.
        approval, thread_safe, **further
            As for the class.

        Raises
        ------
        ConfigurationError
            If it cannot be described to a model; the message says what to do.
        """
        if not callable(function):
            raise ConfigurationError(phrase("error.tool_callable", value=type(function).__name__))
        behind = _behind(function)
        name = name or _own_name(function, behind)
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(phrase("error.tool_name", name=name[:80]))
        if approval not in {"ask", "never"}:
            raise ConfigurationError(phrase("error.tool_approval", name=name, value=str(approval)[:80]))
        documented, notes = _documented(function, behind)
        parameters = list(_parameters(function, inspect.unwrap(behind), name, notes))
        schema, problems, build = _schema(parameters, name)
        return cls(
            name,
            cut(documented if description is None else description, MAX_DESCRIPTION),
            schema,
            _by_keyword(function, parameters),
            approval,
            thread_safe,
            inspect.iscoroutinefunction(behind) or inspect.isasyncgenfunction(behind),
            source=function,
            origin=(str(getattr(behind, "__module__", "")), str(getattr(behind, "__qualname__", name))),
            problems=problems,
            build=build,
            **further,
        )

    @property
    def schema(self) -> dict[str, Any]:
        """Its description for the model, in OpenAI's form."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": {key: value for key, value in function.items() if value != ""}}

    def check(self, arguments: str) -> dict[str, Any]:
        """Return the arguments that a model wrote as JSON, checked by the schema: nobody's code has run yet.

        Raises
        ------
        BadToolCall
            If they are not JSON, or do not fit the schema.
        """
        try:
            given = read_exactly(arguments)
            found = self.problems(given)
        except (ValueError, RecursionError) as caught:
            found = [str(caught)]
        if found:
            raise self._bad(found)
        return dict(given)

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the arguments that a model wrote as JSON, as values of the parameters' types.

        A value is converted only where that changes nothing: a date from its text, a float from 1. Text is no number.
        Types may bring checks of their own, which run here.

        Raises
        ------
        BadToolCall
            If they are not JSON, or do not fit.
        """
        given = self.check(arguments)
        try:
            return self.build(given)
        except Exception as caught:  # noqa: BLE001 - a type's own checks may be anybody's
            problems = [*map(str, caught.args)] or [type(caught).__name__]
        raise self._bad(problems)

    def _bad(self, problems: list[str]) -> BadToolCall:
        words = cut("; ".join(problems), 2 * _SCHEMA_SHOWN)
        return BadToolCall(f"{self.name} was not called: {words}. {self._accepted()}")

    def _accepted(self) -> str:
        schema = json.dumps(self.parameters, ensure_ascii=False)
        if len(schema) <= _SCHEMA_SHOWN:
            return f"Its arguments are a JSON object of this schema: {schema}"
        required, names = self.parameters.get("required", ()), ", ".join(self.parameters["properties"])
        return f"Its arguments are a JSON object with {names}. Required: {', '.join(required) or 'none'}."


# --- what a function says of itself ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parameter:
    """A parameter as it is described to the model."""

    name: str
    kind: Any
    hint: Any
    note: str
    default: Any
    is_offered: bool = True
    """Not if a partial object fixes its value."""


_NONE: Final = inspect.Parameter.empty


def _behind(function: Any) -> Any:
    """Return the function behind partial objects and callable objects."""
    while isinstance(function, partial):
        function = function.func
    is_object = not (inspect.isroutine(function) or inspect.isclass(function) or hasattr(function, "__wrapped__"))
    return type(function).__call__ if is_object else function


def _own_name(function: Any, behind: Any) -> str:
    own = getattr(function, "__name__", None) or getattr(behind, "__name__", "")
    return type(function).__name__ if own == "__call__" else str(own)


def _documented(function: Any, behind: Any) -> tuple[str, dict[str, str]]:
    """Return what a docstring says of the function, and of each of its parameters."""
    import docstring_parser  # with the first tool

    # `__call__` would inherit "Call self as a function".
    documented = behind if getattr(behind, "__doc__", None) or isinstance(function, partial) else function
    doc = (inspect.getdoc(documented) or "")[:_MAX_DOC]
    try:
        parsed = docstring_parser.parse(doc)
    except docstring_parser.ParseError:
        return doc.partition("\n\n")[0], {}
    parts = [parsed.short_description, parsed.long_description]
    if parsed.returns is not None:
        words = ": ".join(filter(None, (parsed.returns.type_name, _on_one_line(parsed.returns.description))))
        parts.append(f"Returns: {words}")
    notes: dict[str, str] = {}
    for each in parsed.params:
        kind = each.type_name or ""
        for name in each.arg_name.split(","):
            notes[name.strip(" *")] = _on_one_line(each.description)
            notes[f"{name.strip(' *')}:"] = ". ".join(filter(None, (kind, _on_one_line(each.description))))
    return "\n\n".join(filter(None, parts)), notes


def _on_one_line(words: str | None) -> str:
    return " ".join((words or "").split())


def _parameters(function: Any, plain: Any, name: str, notes: dict[str, str]) -> Iterator[_Parameter]:
    try:
        signature = _signature(function)
    except (ValueError, TypeError):
        raise ConfigurationError(phrase("error.tool_signature", name=name)) from None
    hints = _hints(plain, name)
    kinds = [each.kind for each in signature.parameters.values()]
    if kinds == [_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD] and not hints:  # what a careless decorator makes
        raise ConfigurationError(phrase("error.tool_signature", name=name))
    fixed = getattr(function, "keywords", {}) if isinstance(function, partial) else {}
    for each in signature.parameters.values():
        hint = hints.get(each.name, Any if isinstance(each.annotation, str) else each.annotation)
        if type(each.default).__module__ == "pydantic.fields":  # called without it, the function would get the Field
            raise ConfigurationError(phrase("error.tool_field", name=name, parameter=each.name))
        is_bare = hint is _NONE
        note = notes.get(f"{each.name}:" if is_bare else each.name, "")
        hint = Any if is_bare else hint
        if each.kind is _Kind.VAR_POSITIONAL:
            hint = list[hint]  # type: ignore[valid-type]
        elif each.kind is _Kind.VAR_KEYWORD:
            hint = get_args(hint)[0] if get_origin(hint) is Unpack else dict[str, hint]  # type: ignore[valid-type]
        default = {} if each.kind in _REST else each.default
        yield _Parameter(each.name, each.kind, hint, cut(note, MAX_PARAMETER), default, each.name not in fixed)


_Kind: Final = inspect.Parameter
_REST: Final = {_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD}


def _hints(plain: Any, name: str) -> dict[str, Any]:
    """Return the parameters' types, with names looked up where the function was defined and where it is handed over."""
    hinted = plain.__init__ if inspect.isclass(plain) else plain
    # What it returns may be a type that only type checkers know.
    written = {each: hint for each, hint in _annotations(hinted).items() if each != "return"}
    if not written:
        return {}
    parameters, known = SimpleNamespace(__annotations__=written), getattr(hinted, "__globals__", {})
    try:
        try:
            return get_type_hints(parameters, known, include_extras=True)
        except NameError:
            return get_type_hints(parameters, known, _names_around(hinted), include_extras=True)
    except Exception as caught:  # noqa: BLE001 - an annotation may be any expression
        raise ConfigurationError(phrase("error.tool_annotation", name=name, reason=str(caught)[:200])) from None


if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def _annotations(function: Any) -> Mapping[str, Any]:
        return get_annotations(function, format=Format.FORWARDREF) if hasattr(function, "__annotate__") else {}

    def _signature(function: Any) -> inspect.Signature:
        return inspect.signature(function, annotation_format=Format.FORWARDREF)

else:

    def _annotations(function: Any) -> Mapping[str, Any]:
        return getattr(function, "__annotations__", None) or {}

    _signature = inspect.signature


def _names_around(function: Any) -> dict[str, Any]:
    """Return the local names of the functions that run in its module now: types that one defines are among them."""
    names: dict[str, Any] = {}
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is getattr(function, "__globals__", None):
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def _schema(
    parameters: list[_Parameter], name: str
) -> tuple[dict[str, Any], Callable[[Any], list[str]], Callable[[Any], dict[str, Any]]]:
    """Return the schema of a call's arguments, what lists their problems, and what converts them."""
    offered = [each for each in parameters if each.is_offered]
    try:
        schema, build = _adapted(offered, name)
    except (ConfigurationError, TypeError):
        odd = next(each for each in offered if not _is_said(each))
        kind = getattr(odd.hint, "__name__", "") or str(odd.hint)
        raise ConfigurationError(
            phrase("error.tool_parameter", name=name, parameter=odd.name, kind=kind[:80])
        ) from None
    problems = validator(schema, name, exact=True)
    for each in offered:
        if each.default is not _NONE and each.kind not in _REST:
            with suppress(TypeError, ValueError, RecursionError):
                default = json.loads(json.dumps(each.default, default=_default, allow_nan=False))
                alone = {**schema, "required": []}
                if len(str(default)) <= MAX_PARAMETER and not validator(alone, name)({each.name: default}):
                    schema["properties"][each.name] = {**schema["properties"][each.name], "default": default}
    rest = next((each.name for each in offered if each.kind is _Kind.VAR_KEYWORD), "")
    taken = {each.name for each in parameters}

    def all_problems(value: Any) -> list[str]:
        found = problems(value)
        if not found and rest and (twice := taken & set(value.get(rest, {}))):
            return [f"{rest}: {', '.join(sorted(twice))} cannot be in it"]
        return found

    return schema, all_problems, build


def _is_said(parameter: _Parameter) -> bool:
    """Whether JSON can say a value of it."""
    try:
        _adapted([parameter], "tool")
    except (ConfigurationError, TypeError):
        return False
    return True


def _adapted(parameters: list[_Parameter], name: str) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    from .typed import adapt  # pydantic loads with the first tool

    fields: dict[str, Any] = {}
    for each in parameters:
        hint = Annotated[each.hint, each.note] if each.note else each.hint
        fields[each.name] = hint if each.default is _NONE else NotRequired[hint]
    schema, build = adapt(TypedDict(name, fields), name)  # type: ignore[operator]
    return {key: value for key, value in schema.items() if key != "title"}, build


def _default(value: Any) -> Any:
    """Return the JSON of a default that JSON can say."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, PurePath | Decimal):
        return str(value)
    raise TypeError


def _by_keyword(function: Callable[..., Any], parameters: list[_Parameter]) -> Callable[..., Any]:
    """Return the function, or one that takes by keyword what it does not."""
    kinds = {each.kind for each in parameters}
    if not kinds & {_Kind.POSITIONAL_ONLY, *_REST}:
        return function
    in_order = {_Kind.POSITIONAL_ONLY} | ({_Kind.POSITIONAL_OR_KEYWORD} if _Kind.VAR_POSITIONAL in kinds else set())

    def call(**given: Any) -> Any:
        positional: list[Any] = []
        for each in parameters:
            if each.kind in in_order and each.is_offered:
                positional.append(given.pop(each.name, each.default))
            elif each.kind is _Kind.VAR_POSITIONAL:
                positional += given.pop(each.name, ())
            elif each.kind is _Kind.VAR_KEYWORD:
                given.update(given.pop(each.name, {}))
        return function(*positional, **given)

    return call
