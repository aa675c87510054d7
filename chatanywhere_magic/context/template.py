"""Templates: a prompt with ``{fields}`` that each row of a table fills in."""

from __future__ import annotations

import math
from difflib import get_close_matches
from string import Formatter
from typing import TYPE_CHECKING, Any

from ..core import ConfigurationError, encodable, phrase, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Template:
    """A prompt with ``{fields}``; ``{{`` and ``}}`` stand for braces.

    A field is a column's whole name, whatever is in it. As in Python, ``:`` and a format may follow, such as
    ``{price:.2f}``, and before it ``!r``.

    Parameters
    ----------
    source : str
        The prompt.

    Raises
    ------
    ConfigurationError
        If a brace is left open, or a field has no name.
    """

    def __init__(self, source: str) -> None:
        self.source = encodable(source)
        try:
            self._parts = list(Formatter().parse(self.source))
        except ValueError as caught:
            raise ConfigurationError(phrase("error.template", reason=str(caught))) from None
        self.fields = tuple(dict.fromkeys(name for _, name, _, _ in self._parts if name is not None))

    def check(self, columns: Iterable[Any]) -> None:
        """See whether each field is one of `columns`.

        Raises
        ------
        ConfigurationError
            If not.
        """
        known = [str(column) for column in columns]
        for name in self.fields:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = text("hint.did_you_mean", name=close[0]) if close else ""
                shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")  # noqa: PLR2004 - a line
                raise ConfigurationError(phrase("error.template_field", name=name, known=shown, hint=hint))

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the prompt for one row.

        Raises
        ------
        ConfigurationError
            If the row has no value for a field, or it cannot be written in the format.
        """
        written: list[str] = []
        for literal, name, form, conversion in self._parts:
            written.append(literal)
            if name is None:
                continue
            value = values[name]
            if is_missing(value):
                raise ConfigurationError(phrase("error.row_value", name=name))
            if type(value) is str and not form and not conversion:
                written.append(value)
                continue
            try:
                value = Formatter().convert_field(value, conversion)
                written.append(format(value, form or ""))
            except (ValueError, TypeError) as caught:
                raise ConfigurationError(phrase("error.template", reason=str(caught))) from None
        return encodable("".join(written))


def is_missing(value: Any) -> bool:
    """Whether a table has no value there: None, NaN, NaT or pandas' NA."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in {"NAType", "NaTType"}
