"""How many examples Hypothesis tries: all of them, or with ``HYPOTHESIS_PROFILE=quick`` a tenth."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

_DEFAULT: Final = 100
_QUICK: Final = os.environ.get("HYPOTHESIS_PROFILE") == "quick"


def examples(count: int) -> int:
    """Return how many of `count` examples are tried in this run."""
    return max(5, count // 10) if _QUICK else count


def load_profile() -> None:
    """Set what holds for every test that says nothing else."""
    # No time limit for a single example: what the machine does beside the tests is none of their business.
    # How long an example takes to be made says more of a busy machine than of the test.
    slow = [HealthCheck.too_slow]
    settings.register_profile("tests", deadline=None, max_examples=examples(_DEFAULT), suppress_health_check=slow)
    settings.load_profile("tests")
