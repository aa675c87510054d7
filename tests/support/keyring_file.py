"""A keyring for the tests: a real backend of the package ``keyring``, with a file where a system has its vault."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

FILE_VARIABLE = "TEST_KEYRING_FILE"


class FileKeyring(KeyringBackend):
    """Keeps everything in the file that the environment names; if it is a directory, every call fails."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._read()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError(username)
        self._write(entries)

    def _read(self) -> dict[str, str]:
        file = Path(os.environ[FILE_VARIABLE])
        entries: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return entries

    def _write(self, entries: dict[str, str]) -> None:
        Path(os.environ[FILE_VARIABLE]).write_text(json.dumps(entries))
