"""All cases, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _openai_cases, _web_cases

if TYPE_CHECKING:
    from .cases import Case, Protocol


def conformance_cases(protocol: Protocol | None = None) -> tuple[Case, ...]:
    """Return all cases, or those of one protocol, in a fixed order.

    Parameters
    ----------
    protocol : {"openai", "web"}, optional
        ``openai``: streamed chat completions. ``web``: the answer as plain text in the body.

    Returns
    -------
    tuple of Case
    """
    cases = (*_openai_cases.CASES, *_web_cases.CASES)
    return tuple(case for case in cases if protocol is None or case.protocol == protocol)
