"""Our providers run the conformance kit, and the kit's own promises hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatAnywhere, OpenAI
from chatanywhere_magic.testing import Case, check, conformance_cases
from chatanywhere_magic.testing.__main__ import table

if TYPE_CHECKING:
    from chatanywhere_magic.providers.contract import Provider

PROVIDERS: dict[str, Provider] = {"openai": OpenAI, "responses": OpenAI, "web": ChatAnywhere}
TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.mark.parametrize("case", conformance_cases(), ids=lambda case: f"{case.protocol}-{case.name}")
def test_conformance(case: Case) -> None:
    check(PROVIDERS[case.protocol], case)


def test_the_table_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), (
        "run: python -m chatanywhere_magic.testing > docs/conformance.md"
    )
