"""How much a model should reason, in the words of each server that takes chat completions."""

from __future__ import annotations

from typing import Any, Final

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")
_DEEPSEEKS: Final = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "max"}
_HERE: Final = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0")  # noqa: S104 - compared with, not listened on


def effort_fields(effort: str, host: str) -> dict[str, Any]:
    """Return the fields of a chat completion's body that ask for `effort`; none for ``""``.

    Parameters
    ----------
    effort : str
        One of `EFFORTS`.
    host : str
        Who is asked: OpenAI's field is understood nearly everywhere, but not by all.
    """
    if not effort:
        return {}
    name = host.rpartition(":")[0] or host
    if name.endswith("deepseek.com"):
        if effort == "none":
            return {"thinking": {"type": "disabled"}}
        return {"thinking": {"type": "enabled"}, "reasoning_effort": _DEEPSEEKS.get(effort, effort)}
    if name.endswith("openrouter.ai"):
        return {"reasoning": {"effort": effort}}
    fields: dict[str, Any] = {"reasoning_effort": effort}
    if name in _HERE:  # llama.cpp, vLLM and SGLang tell the model's template; others pass it over
        fields["chat_template_kwargs"] = template_fields(effort)
    return fields


def template_fields(effort: str) -> dict[str, Any]:
    """Return the options that pass `effort` to a model's chat template."""
    return {"enable_thinking": False} if effort == "none" else {"enable_thinking": True, "reasoning_effort": effort}
