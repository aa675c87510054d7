"""The tools that a model is offered, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import ConfigurationError, phrase
from .definition import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Toolbox:
    """Tools by their names.

    Parameters
    ----------
    tools : iterable of Tool or callable, optional
        Those that it begins with.
    """

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            self.add(each)

    def add(self, tool: Tool | Callable[..., Any]) -> Tool:
        """Add a tool, or make one of a function and add it, and return it.

        The same function, defined again as a cell that is run again does, takes its own place.

        Raises
        ------
        ConfigurationError
            If another one has its name, or the function cannot be a tool.
        """
        tool = tool if isinstance(tool, Tool) else Tool.of(tool)
        known = self._tools.get(tool.name)
        if known is not None and known.origin != tool.origin:
            raise ConfigurationError(phrase("error.tool_twice", name=tool.name, other=".".join(known.origin)))
        self._tools[tool.name] = tool
        return tool

    def remove(self, name: str) -> bool:
        """Remove a tool, and return whether it was there."""
        return self._tools.pop(name, None) is not None

    def get(self, name: str) -> Tool | None:
        """Return the tool with exactly this name."""
        return self._tools.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(tuple(self._tools.values()))

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """Their descriptions for the model, in OpenAI's form."""
        return [each.schema for each in self]

    def __repr__(self) -> str:
        return f"Toolbox({', '.join(self._tools)})"
