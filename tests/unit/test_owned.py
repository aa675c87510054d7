"""Whose files are used: this person's alone, whatever the umask, a link or another user has prepared."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.core import ConfigurationError
from chatanywhere_magic.keys import Owner, Secret, file_path, find_secret, keep, keystore, owned
from chatanywhere_magic.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER = Owner("openai", "OPENAI_API_KEY", "https://api.openai.com/v1")
ANOTHER_USER = 12_345

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "FRESH_SECONDS", -1.0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, ANOTHER_USER, -1, follow_symlinks=False)


@pytest.mark.usefixtures("umask")
def test_what_is_made_on_the_way_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "a/b"))
    keep(OWNER, Secret("sk-abcdefgh", "a test"), "file")
    Store.open(home / "c/d/e").close()
    made = [path for path in home.rglob("*") if path.is_dir()]
    assert len(made) >= 6
    assert {mode(path) for path in made} == {0o700}
    assert mode(file_path()) == 0o600


@pytest.mark.usefixtures("umask")
def test_what_is_shared_already_stays_so(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o770)
    Store.open(shared).close()
    assert mode(shared) == 0o770
    assert mode(shared / "chat.db") == 0o600


@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_keys_of_another_user_are_not_used(tmp_path: Path, what: str) -> None:
    keep(OWNER, Secret("sk-abcdefgh", "a test"), "file")
    path = file_path()
    if what == "link":
        path.rename(tmp_path / "planted.json")
        path.symlink_to(tmp_path / "planted.json")
        give_away(tmp_path / "planted.json")
    else:
        give_away(path if what == "file" else path.parent)
    with pytest.raises(ConfigurationError, match="another user"):
        find_secret(OWNER)
    with pytest.raises(ConfigurationError, match="another user"):
        keep(OWNER, Secret("sk-ijklmnop", "a test"), "file")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_database_of_another_user_is_not_used(tmp_path: Path, what: str) -> None:
    directory = tmp_path / "data"
    Store.open(directory).close()
    before = (directory / "chat.db").read_bytes()
    give_away(directory / "chat.db" if what == "file" else directory)
    store = Store.open(directory)
    assert "another user" in store.problem
    assert store.conversations() == []
    store.close()
    assert (directory / "chat.db").read_bytes() == before
    assert list(directory.glob("*broken*")) == []


def test_what_a_link_leads_to_keeps_its_rights(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.touch(mode=0o644)
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "chat.db").symlink_to(elsewhere)
    store = Store.open(directory)
    assert store.problem == ""
    store.close()
    assert mode(elsewhere) == 0o644


def test_where_all_files_are_of_one_owner_they_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on drives that know no users: what we make there ourselves is not ours either."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: ANOTHER_USER)
    monkeypatch.setattr(owned, "_SYSTEM", -1)
    owned.check_owner(path / "chat.db")
    monkeypatch.setattr(owned, "_owner_of_new_files", lambda _directory: ANOTHER_USER)
    with pytest.raises(owned.ForeignFileError):
        owned.check_owner(path / "chat.db")
