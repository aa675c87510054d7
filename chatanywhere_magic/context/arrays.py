"""Describe arrays of numpy and tensors of torch and jax: shape, type, statistics, some values. Imports none of them."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

from .lookup import is_a, library
from .render import counted, render, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE: Final = 200_000
"""Most elements that statistics are made from."""
WHOLE: Final = 2_000
"""Elements up to which an array is shown whole, if it fits."""
ITEM: Final = 60
"""Characters of an item that is no number."""
LONG_TEXT: Final = 4_096
"""Bytes of an item above which texts are shortened."""
_TENSORS: Final = frozenset({"cupy", "jax", "jaxlib", "tensorflow", "torch"})


def is_array(value: object) -> bool:
    """Whether `value` is an array or a tensor."""
    return is_a(value, "numpy", "ndarray", "generic") or (
        library(type(value)) in _TENSORS and hasattr(type(value), "shape") and hasattr(type(value), "dtype")
    )


def blocks(value: Any, characters: int) -> Iterator[str | list[str]]:
    """Yield the parts of an array's description, the most important first."""
    shape = tuple(value.shape)
    size = math.prod(shape)
    words = [f"{library(type(value))}.{type_name(value)}", f"shape {shape}", f"dtype {value.dtype}"]
    if library(type(value)) == "torch":
        words += [f"device {value.device}", *(["requires grad"] if value.requires_grad else [])]
    yield ", ".join(words)
    if not size:
        return
    if not shape:
        yield render(value.item(), characters) if _kind(value) in "OUSV" else f"{value}"
        return
    numbers = value.detach() if hasattr(value, "detach") else value
    # numpy's own iterator copies what is taken, not everything.
    flat = numbers.flat if is_a(value, "numpy", "ndarray") else numbers.reshape(-1)
    step = -(-size // SAMPLE)
    # What is counted or measured in other units, such as dates, has numbers that say nothing.
    is_numeric = _kind(value) in "biuf"
    sample = flat[::step].tolist() if is_numeric else []
    if statistics := _statistics(sample):
        yield statistics + (f" (from {counted(len(sample), 'value')} at even distances)" if step > 1 else "")
    yield _values(numbers, flat, size, characters)


def _kind(value: Any) -> str:
    return getattr(value.dtype, "kind", "f")


def _statistics(sample: list[Any]) -> str:
    if not sample:
        return ""
    if any(type(each) is not bool and type(each) is not int and type(each) is not float for each in sample[:1000]):
        return ""
    if all(type(each) is bool for each in sample[:1000]):
        share = sum(sample) / len(sample)
        return f"{share:.1%} true"
    finite = [each for each in sample if math.isfinite(each)]
    words = []
    if finite:
        mean = math.fsum(finite) / len(finite)
        deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in finite) / len(finite))
        words = [f"min {min(finite):.6g}, max {max(finite):.6g}, mean {mean:.6g}, std {deviation:.6g}"]
    missing = sum(1 for each in sample if each != each)  # noqa: PLR0124 - only NaN differs from itself
    infinite = len(sample) - len(finite) - missing
    words += [f"{missing:,} NaN"] if missing else []
    words += [f"{infinite:,} infinite"] if infinite else []
    return ", ".join(words)


def _values(value: Any, flat: Any, size: int, characters: int) -> str | list[str]:
    """Return values: all of them, or those of the corners, more or fewer."""
    if is_a(value, "numpy", "ndarray"):
        to_text = sys.modules["numpy"].array2string
        if _kind(value) in "US" and value.dtype.itemsize > LONG_TEXT:
            value = value.astype(f"{_kind(value)}{ITEM}")  # the beginnings
        # Anybody's objects are among the items, and texts of any length.
        formatter: Any = {"object": lambda item: render(item, ITEM), "void": lambda item: render(item.item(), ITEM)}
        formatter = formatter if _kind(value) in "OV" else None
        edges = (*((WHOLE,) if size <= WHOLE else ()), 8, 5, 3, 2, 1)
        return [
            f"values:\n{to_text(value, threshold=edge, edgeitems=edge, precision=6, formatter=formatter)}"
            for edge in edges
        ]
    count = max(3, characters // 24)
    first = ", ".join(f"{each:.6g}" if type(each) is float else f"{each}" for each in flat[:count].tolist())
    return f"first {counted(min(count, size), 'value')}: {first}"
