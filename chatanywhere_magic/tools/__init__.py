"""What a model may be asked for beside text: the form that its answer must have."""

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
