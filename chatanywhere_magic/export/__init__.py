"""Export and import conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .formats import export, read
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "formats": "export read",
        },
    )

__all__ = [
    "export",
    "read",
]
