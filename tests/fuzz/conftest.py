"""How long it is fuzzed: so many examples for each target, new ones each time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fuzz", deadline=None, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")))
settings.load_profile("fuzz")
