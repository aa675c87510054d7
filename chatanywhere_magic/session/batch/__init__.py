"""A prompt for every row of a table, on one machine or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core import lazy_exports

if TYPE_CHECKING:
    from .batch import Batch
    from .job import Job, Progress
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "batch": "Batch",
            "job": "Job Progress",
        },
    )

__all__ = [
    "Batch",
    "Job",
    "Progress",
]
