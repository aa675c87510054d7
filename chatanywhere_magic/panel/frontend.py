"""The panel's front end as one ES module, bundled from those in ``page/`` when the first panel opens.

They are modules of their own, so that each can be read, type-checked and tested by itself in Node. anywidget hands a
page one module and no way to fetch others; so their imports of each other are left out, and what they export becomes
part of one scope. No build step, and nothing to keep in step.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("page")
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:class|function|const)\b)", re.MULTILINE)


@lru_cache(maxsize=2)
def script(main: str = "app.js") -> str:
    """Return the module `main` with those that it imports."""
    sources: dict[str, str] = {}
    _collect(main, sources)
    return "\n".join(sources.values())


@lru_cache(maxsize=1)
def style() -> str:
    """Return the style sheet."""
    return (PAGE / "style.css").read_text(encoding="utf-8")


def _collect(name: str, sources: dict[str, str]) -> None:
    """Add the module `name` to `sources`, behind those that it imports."""
    if name in sources:
        return
    source = (PAGE / name).read_text(encoding="utf-8")
    for imported in _IMPORT.findall(source):
        _collect(imported, sources)
    sources[name] = _EXPORT.sub("", _IMPORT.sub("", source))
