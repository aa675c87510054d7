"""The panel's header: the conversation, the model, how full the context is, and the options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import ChatError, text
from ..providers import get_provider

if TYPE_CHECKING:
    from ..session import ChatSession


def header_of(session: ChatSession) -> dict[str, Any]:
    """Return the fields of ``Header`` in ``page/protocol.js``."""
    conversation = session.conversation
    used, limit, estimated = session.turns.context_used()
    used_by_block = [block.used for block in conversation.all.blocks]
    return {
        "title": conversation.name,
        "running": bool(session.turns.running),
        "used": used,
        "limit": limit,
        "estimated": estimated,
        "prompt_tokens": sum(prompt for prompt, _ in used_by_block),
        "completion_tokens": sum(completion for _, completion in used_by_block),
        "system": session.settings.system,
        "temperature": session.settings.temperature,
        "max_tokens": session.settings.max_tokens,
        "budget": session.settings.budget,
        "agent": session.settings.agent,
        "preset": session.settings.preset,
        "presets": list(session.settings.presets),
        **_turn_loop(session),
    }


def _turn_loop(session: ChatSession) -> dict[str, Any]:
    """Return who answers; or, if nobody can, what can be done about it."""
    found = {"provider": "", "model": session.settings.model, "trouble": [], "embedded": False}
    source = session.settings.provider
    try:
        provider, model = session.catalog.answering()
        provider.check(model)
    except ChatError as error:
        ways = [text("panel.way_key"), text("panel.way_server"), text("panel.way_embedded")]
        return {**found, "trouble": [str(error)] if source else ways, "embedded": _has_embedded_model()}
    return {**found, "provider": provider.name, "model": model}


def _has_embedded_model() -> bool:
    try:
        get_provider("local").check("")
    except ChatError:
        return False
    return True
