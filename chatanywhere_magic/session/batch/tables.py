"""Tables in, tables out: lists, iterators, Series and frames of pandas and polars, none of which is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from ...context import Template, is_a, is_missing
from ...core import ChatError, ConfigurationError, Reply, encodable, phrase, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STATUS: Final = "status"
ERROR: Final = "error"
RESPONSE: Final = "response"


class Row:
    """A row to ask: its prompt, and the paths of its pictures; or why it cannot be asked."""

    __slots__ = ("error", "images", "prompt")

    def __init__(self, prompt: str, images: tuple[str, ...] = (), error: ChatError | None = None) -> None:
        self.prompt = prompt
        self.images = images
        self.error = error


class Table:
    """What a person hands over, read row by row; results go back in the same form.

    Parameters
    ----------
    source : object
        Prompts (a list, an iterator, a Series), or rows with named values (a frame, a list of mappings).
    template : str, optional
        The prompt, with the names of columns as fields.
    images : str, optional
        The column with the path of a picture, or with a list of them.

    Raises
    ------
    ConfigurationError
        If it is none of these, or has no column of a name.
    """

    def __init__(self, source: Any, template: str | None = None, images: str | None = None) -> None:
        self.source = source
        self.kind = _kind_of(source)
        self._images = images
        if self.kind == "list" and not isinstance(source, list | tuple):
            self.source = list(source)
        self.template = None if template is None else Template(template)
        self._columns = self._names()
        self.label = template or ""
        if self._columns is None:
            self._check_prompts()
            return
        if self.template is None:
            raise ConfigurationError(phrase("error.template_missing", known=", ".join(map(str, self._columns[:12]))))
        self.template.check(self._columns)
        if images is not None and images not in self._columns:
            close = get_close_matches(images, map(str, self._columns), n=1)
            hint = text("hint.did_you_mean", name=close[0]) if close else ""
            known = ", ".join(map(str, self._columns[:12]))
            raise ConfigurationError(phrase("error.template_field", name=images, known=known, hint=hint))

    def _names(self) -> list[Any] | None:
        """Return the names of the columns; None if there are prompts and no columns."""
        if self.kind in {"pandas", "polars"}:
            return list(self.source.columns)
        if self.kind == "list" and self.source and all(isinstance(each, Mapping) for each in self.source):
            return list(dict.fromkeys(name for each in self.source for name in each))
        return None

    def _check_prompts(self) -> None:
        if self._images is not None:
            raise ConfigurationError(phrase("error.images_column"))
        if self.template is not None and len(self.template.fields) != 1:
            raise ConfigurationError(phrase("error.template_one_field", fields=", ".join(self.template.fields) or "–"))

    def __len__(self) -> int:
        return len(self.source)

    def rows(self) -> Iterator[Row]:
        """Yield the rows, in order."""
        template = self.template
        if self._columns is None:
            name = template.fields[0] if template else ""
            for value in self.source:
                yield _row(template, {name: value})
            return
        names = [*(template.fields if template else ()), *([self._images] if self._images is not None else [])]
        for values in self._values(names):
            yield _row(template, values, values.get(self._images) if self._images is not None else None)

    def _values(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        if self.kind == "list":
            for each in self.source:
                yield {name: each.get(name) for name in names}
            return
        by_name = {str(column): column for column in self._columns or ()}
        columns = [_listed(self.source[by_name[name]], name) for name in names]
        for values in zip(*columns, strict=True) if columns else ((),) * len(self):
            yield dict(zip(names, values, strict=True))

    # --- results --------------------------------------------------------------------------------------------------

    def check_results(self, fields: Sequence[str], prefix: str) -> None:
        """See whether the columns of results are new ones.

        Raises
        ------
        ConfigurationError
            If not.
        """
        if self.kind not in {"pandas", "polars"}:
            return
        columns = {str(column) for column in self._columns or ()}
        taken = [name for name in self._new(fields, prefix) if name in columns]
        if taken:
            raise ConfigurationError(phrase("error.columns_taken", names=", ".join(taken)))

    @staticmethod
    def _new(fields: Sequence[str], prefix: str) -> list[str]:
        return [f"{prefix}{name}" for name in (*(fields or (RESPONSE,)), STATUS, ERROR)]

    def given_back(self, values: list[Any], fields: Sequence[str], prefix: str) -> Any:
        """Return the results in the form of what was handed over.

        Parameters
        ----------
        values : list
            For each row a `Reply`, a value of the schema's type, or the error.
        fields : sequence of str
            The columns that a value fills; none for a single column.
        prefix : str
            What the new columns' names begin with.
        """
        if self.kind == "list":
            return values
        if self.kind == "pandas Series":
            pandas = sys.modules["pandas"]
            return pandas.Series(values, index=self.source.index, name=self.source.name, dtype=object)
        if self.kind == "polars Series":
            polars = sys.modules["polars"]
            if all(isinstance(value, str) for value in values):
                return polars.Series(self.source.name, [str(value) for value in values], dtype=polars.String)
            return polars.Series(self.source.name, values, dtype=polars.Object)
        columns = columns_of(values, fields)
        new = dict(zip(self._new(fields, prefix), columns, strict=True))
        if self.kind == "polars":
            polars = sys.modules["polars"]
            return self.source.with_columns([polars.Series(name, each, strict=False) for name, each in new.items()])
        frame = self.source.copy(deep=False)
        pandas = sys.modules["pandas"]
        for name, each in new.items():
            frame[name] = pandas.Series(each, index=frame.index, dtype=None if each else object)
        return frame


def columns_of(values: list[Any], fields: Sequence[str]) -> list[list[Any]]:
    """Return the columns of results: the fields or the response, the status, and the error."""
    filled = [[_field(value, name) for value in values] for name in fields] or [[_plain(value) for value in values]]
    errors = [f"{value.kind}: {value}" if isinstance(value, ChatError) else None for value in values]
    return [*filled, [status_of(value) for value in values], errors]


def status_of(value: Any) -> str:
    """Return how a row ended: ``ok``, ``cut`` at the token limit, ``not_asked`` or ``failed``."""
    if isinstance(value, ChatError):
        return "not_asked" if value.kind == "not_asked" else "failed"
    return "cut" if isinstance(value, Reply) and value.finish_reason == "length" else "ok"


def _field(value: Any, name: str) -> Any:
    if isinstance(value, ChatError):
        return None
    found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return getattr(found, "value", found) if type(found).__module__ != "builtins" and _is_enum(found) else found


def _is_enum(value: Any) -> bool:
    from enum import Enum

    return isinstance(value, Enum)


def _plain(value: Any) -> Any:
    """Return a response as a frame holds it: what is no longer a string of ours, frames can be written with."""
    if isinstance(value, ChatError):
        return None
    return str.__str__(value) if isinstance(value, str) else value


def _kind_of(source: Any) -> str:
    for library in ("pandas", "polars"):
        if is_a(source, library, "DataFrame"):
            return library
        if is_a(source, library, "Series"):
            return f"{library} Series"
    if isinstance(source, str | bytes | Mapping) or not isinstance(source, Iterable):
        raise ConfigurationError(phrase("error.rows_type", name=type(source).__name__))
    return "list"


def _listed(column: Any, name: str) -> list[Any]:
    if not hasattr(column, "to_list"):  # two columns of one name are a frame
        raise ConfigurationError(phrase("error.column_twice", name=name))
    return list(column.to_list())


def _row(template: Template | None, values: Mapping[str, Any], image: Any = None) -> Row:
    try:
        prompt = template.fill(values) if template else _prompt(next(iter(values.values())))
        if not prompt.strip():
            raise ConfigurationError(phrase("error.row_empty"))  # noqa: TRY301 - it is dealt with as the others are
    except ConfigurationError as error:
        return Row("", error=error.bare())
    if image is None or is_missing(image):
        return Row(prompt)
    images = [image] if isinstance(image, str) or not isinstance(image, Iterable) else list(image)
    return Row(prompt, tuple(map(str, images)))


def _prompt(value: Any) -> str:
    if is_missing(value):
        raise ConfigurationError(phrase("error.row_empty"))
    return encodable(value if isinstance(value, str) else str(value))
