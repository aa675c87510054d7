"""The environment in which the tests start kernels and servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Where a contributor's own files are, if not below the home directory.
PERSONAL: Final = ("XDG_", "JUPYTER_", "IPYTHON")
# What a developer's machine may set and would change what a test sees: keys, proxies, settings, the language.
# Under PYTEST_CURRENT_TEST ipykernel captures output in another way than it does for people.
_LEFT_OUT: Final = (*PERSONAL, "CHATANYWHERE", "OPENAI", "JUPYTER", "PYTHON", "PYTEST", "LC_", "LANG")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a fresh user whose home directory is `home`, with `extra` on top."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_LEFT_OUT) and not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(home / ".local/share/jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / ".local/share/jupyter/runtime"),
        **(extra or {}),
    }
