"""Real kernels for the tests in this directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.kernels import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("kernel")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """One kernel for all tests of a module."""
    with Kernel() as kernel:
        yield kernel


@pytest.fixture
def fresh_kernel() -> Iterator[Kernel]:
    """A kernel for one test."""
    with Kernel() as kernel:
        yield kernel
