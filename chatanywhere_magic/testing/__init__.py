"""A conformance kit: every way in which a streamed answer can go wrong, to be run against any provider.

A misbehaving server on this machine (:class:`LocalServer`), a list of named behaviours (:func:`conformance_cases`), and
:func:`check`, which runs one of them. It needs no test framework; with pytest::

    import pytest
    from chatanywhere_magic.testing import check, conformance_cases


    @pytest.mark.parametrize("case", conformance_cases("openai"), ids=lambda case: case.name)
    def test_conformance(case):
        check(MyProvider, case)

``python -m chatanywhere_magic.testing`` prints the table of all behaviours.
"""

from __future__ import annotations

from .cases import Case
from .catalogue import conformance_cases
from .server import Answer, LocalServer, Request
from .suite import Finding, Outcome, check, judge, run, run_with

__all__ = [
    "Answer",
    "Case",
    "Finding",
    "LocalServer",
    "Outcome",
    "Request",
    "check",
    "conformance_cases",
    "judge",
    "run",
    "run_with",
]
