"""What a model can be asked for besides text: a response in a given form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .schema import Schema
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "schema": "Schema",
        },
    )

__all__ = [
    "Schema",
]
