"""Listeners: callbacks of front ends and waiting programs."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

Change = Literal["added", "changed", "reset"]
"""What happened: a turn was added, a turn has changed, or the conversation is another one."""


def notify(listeners: list[Callable[..., None]], *news: object) -> None:
    """Call each of `listeners` with the news; one that fails is dropped."""
    for listener in tuple(listeners):
        try:
            listener(*news)
        except Exception:  # noqa: BLE001, PERF203 - each must hear it, whatever another does
            # A front end that is gone, a loop that is closed: neither must take the response with it.
            _log.debug("a listener failed and is dropped", exc_info=True)
            with suppress(ValueError):
                listeners.remove(listener)
