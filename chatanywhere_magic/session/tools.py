"""The functions that the person hands to the model: ``chat.tools``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..core import ConfigurationError, phrase, text
from .approval import Approvals
from .terminal_host import TerminalHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..context import Lookup
    from ..core import Phrase
    from ..providers import Provider
    from ..tools import Tool, Toolbox
    from .approval import Standing
    from .jobs import Host, MainThread
    from .kernel_tools import Kernel


class Tools:
    """The functions that are offered with every prompt, and what is allowed of them.

    Examples
    --------
    >>> from chatanywhere_magic import chat
    >>> @chat.tool
    ... def double(number: int) -> int:
    ...     "Return twice the number."
    ...     return 2 * number
    >>> chat.tools
    Tools(double)
    >>> chat.tools.remove("double")
    """

    def __init__(self) -> None:
        self.approvals = Approvals()
        """The calls that wait for an answer."""
        self.host: Host | None = TerminalHost()
        """What asks the person for a program that waits for a turn; while the extension is loaded, the cell."""
        self.main_thread: MainThread | None = None
        """Where functions run for turns that nobody waits for, such as those of a panel."""
        self.kernel: tuple[Lookup, Kernel] | None = None
        """The kernel's names, and what runs cells, for the tools that work there; while the extension is loaded."""
        self._of_kernel: tuple[Tool, ...] = ()
        self._toolbox: Toolbox | None = None

    def add(self, function: Callable[..., Any] | Tool, **options: Any) -> Tool:
        """Offer a function with every prompt from now on.

        Parameters
        ----------
        function : callable or Tool
            The function. Its name, docstring and type hints tell the model how to call it.
        **options
            ``name``, ``description``, ``approval`` (``"ask"``, or ``"never"`` to run it unasked), ``thread_safe``.

        Raises
        ------
        ConfigurationError
            If a model cannot be told how to call it, or another tool has its name.
        """
        return self._box.add(_tool(function, **options))

    def remove(self, name: str) -> None:
        """Offer a function no longer.

        Raises
        ------
        ConfigurationError
            If there is none of that name.
        """
        if not self._box.remove(name):
            raise self._unknown(name)

    def allow(self, tool: str | Callable[..., Any] | Tool) -> None:
        """Let the model call a function without asking each time, in every conversation of this kernel.

        Parameters
        ----------
        tool : str or callable
            A tool's name, or the function.

        Raises
        ------
        ConfigurationError
            If there is no tool of that name.
        """
        self.approvals.allow(self[tool] if isinstance(tool, str) else _tool(tool))

    def revoke(self, tool: str = "") -> int:
        """Take standing approvals back, for one tool or for all, and return how many that were."""
        return self.approvals.revoke(tool)

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The approvals that hold for more than one call."""
        return self.approvals.standing

    def chosen(self, tools: Iterable[Any] | None, *, agent: bool) -> Toolbox | None:
        """Return the functions for one prompt: those named, else those offered with every prompt; None for none.

        Parameters
        ----------
        tools : iterable, optional
            Tools, functions, and names of tools of this kernel.
        agent : bool
            Whether those that work in the kernel are among them.

        Raises
        ------
        ConfigurationError
            If one is unknown, two have one name, or there is no kernel to work in.
        """
        from ..tools import Toolbox

        if agent and not self.of_kernel:
            raise ConfigurationError(phrase("error.no_agent"))
        named = self if tools is None else (self[each] if isinstance(each, str) else _tool(each) for each in tools)
        return Toolbox([*named, *(self.of_kernel if agent else ())]) or None

    @property
    def of_kernel(self) -> tuple[Tool, ...]:
        """The tools that work in the kernel: they look at variables, cells and files, run code and write cells.

        There are none where the extension is not loaded.
        """
        if self.kernel is not None and not self._of_kernel:
            from .kernel_tools import KernelTools  # with the first prompt that may use them

            self._of_kernel = KernelTools(*self.kernel).tools
        return self._of_kernel if self.kernel is not None else ()

    def __getitem__(self, name: str) -> Tool:
        tool = self._box.get(name) or next((each for each in self.of_kernel if each.name == name), None)
        if tool is None:
            raise self._unknown(name)
        return tool

    def __contains__(self, name: object) -> bool:
        own = self._toolbox is not None and name in self._toolbox
        return own or any(each.name == name for each in self.of_kernel)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._toolbox or ())

    def __len__(self) -> int:
        return len(self._toolbox or ())

    def __repr__(self) -> str:
        return f"Tools({', '.join(each.name for each in self)})"

    @property
    def _box(self) -> Toolbox:
        if self._toolbox is None:
            from ..tools import Toolbox  # with the first tool

            self._toolbox = Toolbox()
        return self._toolbox

    def _unknown(self, name: str) -> ConfigurationError:
        close = get_close_matches(name, [each.name for each in self], n=1)
        hint = text("hint.did_you_mean", name=close[0]) if close else ""
        return ConfigurationError(phrase("error.no_such_tool", name=name[:80], hint=hint))


def _tool(function: Callable[..., Any] | Tool, **options: Any) -> Tool:
    from ..tools import Tool

    return function if isinstance(function, Tool) else Tool.of(function, **options)


def are_by_hand(tools: Iterable[Any]) -> bool:
    """Whether tools are given as the protocol has them: their calls are returned to the program, and not run.

    Raises
    ------
    ConfigurationError
        If some are, and others are functions.
    """
    kinds = {isinstance(each, Mapping) for each in tools}
    if len(kinds) > 1:
        raise ConfigurationError(phrase("error.tools_mixed"))
    return kinds == {True}


def no_tools(provider: Provider, model: str) -> Phrase:
    """Return that a model cannot call tools."""
    return phrase("error.no_tools", model=" ".join(filter(None, [provider.name, provider.model_for(model)])))
