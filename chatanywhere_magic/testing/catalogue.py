"""All cases, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _openai_cases, _responses_cases, _server_cases, _stream_cases, _web_cases
from ._wire_cases import wire_cases

if TYPE_CHECKING:
    from .cases import Case, Protocol


_GROUPS: Final = (
    "framing",
    "text",
    "characters",
    "dialects",
    "errors",
    "truth",
    "status",
    "redirect",
    "retry",
    "http",
    "compression",
    "time",
)


def conformance_cases(protocol: Protocol | None = None) -> tuple[Case, ...]:
    """Return all cases, or those of one protocol, in a fixed order.

    Parameters
    ----------
    protocol : {"openai", "responses", "web"}, optional
        ``openai``: streamed chat completions. ``responses``: OpenAI's Responses protocol. ``web``: the answer as plain
        text in the body.

    Returns
    -------
    tuple of Case
    """
    cases = [
        *_openai_cases.CASES,
        *_server_cases.CASES,
        *_stream_cases.CASES,
        *wire_cases("openai"),
        *_responses_cases.CASES,
        *_web_cases.CASES,
        *wire_cases("web"),
    ]
    cases.sort(key=lambda case: (case.protocol, _GROUPS.index(case.group)))  # stable: as written within a group
    return tuple(case for case in cases if protocol is None or case.protocol == protocol)
