"""Chat with a language model in a notebook: ``%load_ext chatanywhere_magic``, then ``%%chat``.

``__all__`` lists everything public. Each name is loaded on first use, so that loading the extension is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .core import ChatError, ChatInterrupted, ConfigurationError, Reply
    from .panel import ChatPanel
    from .providers import (
        AsyncGeneratorProvider,
        ChatAnywhere,
        ChatAnywhereAPI,
        Local,
        OpenAI,
        Script,
        Scripted,
        register,
    )
    from .session import ChatSession, get_session

    chat: ChatSession
    __version__: str

__all__ = [
    "AsyncGeneratorProvider",
    "ChatAnywhere",
    "ChatAnywhereAPI",
    "ChatError",
    "ChatInterrupted",
    "ChatPanel",
    "ChatSession",
    "ConfigurationError",
    "Local",
    "OpenAI",
    "Reply",
    "Script",
    "Scripted",
    "__version__",
    "chat",
    "get_session",
    "load_ipython_extension",
    "register",
    "unload_ipython_extension",
]

_HOMES = {
    "AsyncGeneratorProvider": "providers",
    "ChatAnywhere": "providers",
    "ChatAnywhereAPI": "providers",
    "ChatError": "core",
    "ChatInterrupted": "core",
    "ChatPanel": "panel",
    "ChatSession": "session",
    "ConfigurationError": "core",
    "Local": "providers",
    "OpenAI": "providers",
    "Reply": "core",
    "Script": "providers",
    "Scripted": "providers",
    "get_session": "session",
    "register": "providers",
}


def __getattr__(name: str) -> Any:
    if name == "chat":
        return import_module(".session", __name__).get_session()
    if name == "__version__":
        return import_module("importlib.metadata").version("chatanywhere-magic")
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to `shell`; called by ``%load_ext chatanywhere_magic``."""
    import_module(".magics.extension", __name__).load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics from `shell` and stop running turns; the conversation is kept."""
    import_module(".magics.extension", __name__).unload(shell)
