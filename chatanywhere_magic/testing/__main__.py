"""Print the table of all behaviours in Markdown: ``python -m chatanywhere_magic.testing``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from .catalogue import conformance_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Case

_PROTOCOLS: Final = {"openai": "OpenAI's protocol", "responses": "Responses", "web": "The web protocol"}
_BEGIN: Final = """\
# Conformance

What a server can do, and what a correct client must make of it: {count} behaviours, {openai} of OpenAI's streamed chat
completions, {responses} of its Responses protocol, which a provider is asked for by `dialect="responses"`, and {web} of
the web protocol, whose answer is the body's plain text. Each is run against a real server on this machine. To run them
against a provider of your own, with pytest:

```python
import pytest
from chatanywhere_magic.testing import check, conformance_cases


@pytest.mark.parametrize("case", conformance_cases("openai"), ids=lambda case: case.name)
def test_conformance(case):
    check(MyProvider, case)
```

Everywhere: the text is exact, also where the client fails; a failure is never reported as success; nothing is asked
again once a piece of the answer was shown; no error outside the tree escapes; the key is in nothing that is shown.

This file is made by `python -m chatanywhere_magic.testing`.
"""


def table() -> str:
    """Return the document."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    cases = conformance_cases()
    counts = {protocol: sum(case.protocol == protocol for case in cases) for protocol in _PROTOCOLS}
    yield _BEGIN.format(count=len(cases), **counts)
    for (protocol, group), members in groupby(cases, key=lambda case: (case.protocol, case.group)):
        yield f"## {_PROTOCOLS[protocol]}: {group}\n"
        yield "| name | protocol | the server | a correct client | why |"
        yield "| --- | --- | --- | --- | --- |"
        yield from map(_row, members)
        yield ""


def _row(case: Case) -> str:
    cells = (f"`{case.name}`", case.protocol, case.server, case.demanded, case.why)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201 - a program's output
