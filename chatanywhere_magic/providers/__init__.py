"""Providers: the contract, the built-in ones, and the registry that finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .chatanywhere import ChatAnywhere, ChatAnywhereAPI
    from .contract import AsyncGeneratorProvider, Completion, Provider
    from .dialects.effort import EFFORTS
    from .lessons import forget_lessons, list_lessons
    from .local import Local
    from .openai import OpenAI
    from .registry import (
        CHOICE_ORDER,
        can_chat,
        choose_provider,
        get_provider,
        key_variables,
        provider_names,
        register,
        wrap,
    )
    from .scripted import Script, Scripted
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "chatanywhere": "ChatAnywhere ChatAnywhereAPI",
            "contract": "AsyncGeneratorProvider Completion Provider",
            "dialects.effort": "EFFORTS",
            "lessons": "forget_lessons list_lessons",
            "local": "Local",
            "openai": "OpenAI",
            "registry": "CHOICE_ORDER can_chat choose_provider get_provider key_variables provider_names register wrap",
            "scripted": "Script Scripted",
        },
    )

__all__ = [
    "CHOICE_ORDER",
    "EFFORTS",
    "AsyncGeneratorProvider",
    "ChatAnywhere",
    "ChatAnywhereAPI",
    "Completion",
    "Local",
    "OpenAI",
    "Provider",
    "Script",
    "Scripted",
    "can_chat",
    "choose_provider",
    "forget_lessons",
    "get_provider",
    "key_variables",
    "list_lessons",
    "provider_names",
    "register",
    "wrap",
]
