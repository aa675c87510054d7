"""What is alive after many turns: nothing but their text grows."""

from __future__ import annotations

import pytest

from tests.support.soak import soak

pytestmark = pytest.mark.slow

FEW = 60
"""Turns, twice as many as the panel shows and as cancelled timers are kept."""


def test_after_many_turns_no_more_is_alive_than_after_a_few() -> None:
    with soak() as session:
        before = session.run(FEW)
        after = session.run(2 * FEW)
    assert after.live_turns <= 40
    assert after.timers <= 40
    assert after.widgets == before.widgets
    assert after.descriptors <= before.descriptors + 2
    assert after.threads <= before.threads
