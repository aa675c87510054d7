"""The store: the conversations of all kernels, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from .jobs import DONE, FAILED, JobRecord, Jobs, Stored
    from .store import FILE_NAME, Store
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "jobs": "DONE FAILED JobRecord Jobs Stored",
            "store": "FILE_NAME Store",
        },
    )

__all__ = [
    "DONE",
    "FAILED",
    "FILE_NAME",
    "JobRecord",
    "Jobs",
    "Store",
    "Stored",
]
