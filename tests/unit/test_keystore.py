"""Where keys are kept, which of them counts, and whom it is for."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatAnywhereAPI, OpenAI
from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.keys import keystore
from chatanywhere_magic.keys.keystore import PRECEDENCE, Owner, Place, find_secret, forget, keep, places_of
from chatanywhere_magic.keys.secret import Secret
from chatanywhere_magic.providers.registry import choose_provider
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatanywhere_magic.testing.server import LocalServer

VARIABLE = "OPENAI_API_KEY"
OWNER = Owner("openai", VARIABLE, "https://api.openai.com/v1")
ELSEWHERE = Owner("openai", VARIABLE, "https://other.example/v1")
KEPT: tuple[Place, ...] = ("session", "keyring", "file")


def key_in(place: str) -> str:
    return f"sk-the-key-in-the-{place}"


@pytest.fixture(autouse=True)
def _own_memory() -> Iterator[None]:
    yield
    keystore._session.clear()
    keystore._opened.clear()


@pytest.fixture(autouse=True)
def _keyring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    package = pytest.importorskip("keyring")
    from tests.support.keyring_file import FILE_VARIABLE, FileKeyring

    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "vault.json"))
    before = package.get_keyring()
    package.set_keyring(FileKeyring())
    yield
    package.set_keyring(before)


def put(place: Place, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    if place == "environment":
        monkeypatch.setenv(owner.variable, key_in(place))
    else:
        keep(owner, Secret(key_in(place), "a test"), place)


def found(owner: Owner) -> str | None:
    secret = find_secret(owner)
    return secret.reveal() if secret else None


class TestPrecedence:
    def test_with_nothing_anywhere_there_is_none(self) -> None:
        assert found(OWNER) is None
        assert places_of(OWNER) == []

    @pytest.mark.parametrize("first", range(len(PRECEDENCE)))
    def test_the_first_place_counts(self, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
        for place in reversed(PRECEDENCE[first:]):
            put(place, OWNER, monkeypatch)
        assert places_of(OWNER) == list(PRECEDENCE[first:])
        assert found(OWNER) == key_in(PRECEDENCE[first])

    @pytest.mark.parametrize("place", PRECEDENCE)
    def test_where_it_comes_from_is_said_without_it(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        put(place, OWNER, monkeypatch)
        assert key_in(place) not in repr(find_secret(OWNER))


class TestOwners:
    @pytest.mark.parametrize("place", KEPT)
    @pytest.mark.parametrize(
        "other",
        [
            ELSEWHERE,
            Owner("openai", VARIABLE, "http://api.openai.com/v1"),
            Owner("openai", VARIABLE, "https://api.openai.com:8443/v1"),
            Owner("mine", VARIABLE, OWNER.url),
        ],
    )
    def test_a_key_is_found_for_no_other(self, place: Place, other: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
        put(place, OWNER, monkeypatch)
        assert found(other) is None

    def test_but_for_every_path_at_the_same_origin(self) -> None:
        keep(OWNER, Secret(key_in("file"), "a test"), "file")
        assert found(Owner("openai", VARIABLE, "https://user:word@API.openai.com/v2/")) == key_in("file")

    def test_two_owners_do_not_disturb_each_other(self) -> None:
        keep(OWNER, Secret("sk-first", "a test"), "file")
        keep(ELSEWHERE, Secret("sk-second", "a test"), "file")
        assert (found(OWNER), found(ELSEWHERE)) == ("sk-first", "sk-second")
        forget(OWNER)
        assert (found(OWNER), found(ELSEWHERE)) == (None, "sk-second")


class TestForgetting:
    def test_it_is_gone_everywhere_but_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for place in PRECEDENCE:
            put(place, OWNER, monkeypatch)
        assert forget(OWNER) == list(KEPT)
        assert places_of(OWNER) == ["environment"]
        for file in (tmp_path / "vault.json", keystore.file_path()):
            assert "sk-" not in file.read_text()
        assert forget(OWNER) == []


class TestFile:
    @pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
    def test_only_its_owner_can_read_it(self) -> None:
        old = os.umask(0)
        try:
            keep(OWNER, Secret(key_in("file"), "a test"), "file")
        finally:
            os.umask(old)
        file = keystore.file_path()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert [path.name for path in file.parent.iterdir()] == [file.name]

    @pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
    def test_one_that_others_can_read_is_closed(self) -> None:
        keep(OWNER, Secret(key_in("file"), "a test"), "file")
        keystore.file_path().chmod(0o644)
        find_secret(OWNER)
        assert stat.S_IMODE(keystore.file_path().stat().st_mode) == 0o600

    def test_of_a_keyrings_key_it_only_notes_where_it_is(self) -> None:
        keep(OWNER, Secret(key_in("keyring"), "a test"), "keyring")
        note = json.loads(keystore.file_path().read_text())
        assert note == {"version": 1, "keys": {"openai https://api.openai.com": {"keyring": True}}}

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"keys": 1}', '{"keys": {"a": 1}}', '{"keys": {"a": {"key": 1}}}']
    )
    def test_one_that_cannot_be_read(self, content: str) -> None:
        keystore.file_path().parent.mkdir(parents=True)
        keystore.file_path().write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            find_secret(OWNER)
        assert_for_people(caught.value, ConfigurationError, str(keystore.file_path()), "%chat_login")

    def test_to_look_at_one_that_cannot_be_read_is_no_mistake(self) -> None:
        keystore.file_path().parent.mkdir(parents=True)
        keystore.file_path().write_text("")
        keystore.look()

    def test_one_that_cannot_be_written(self, home: Path) -> None:
        home.mkdir()
        (home / "config").write_text("a file where a directory should be")
        with pytest.raises(ConfigurationError) as caught:
            keep(OWNER, Secret(key_in("file"), "a test"), "file")
        error = assert_for_people(caught.value, ConfigurationError, "could not be saved", "--session")
        assert error.__context__ is None


class TestKeyring:
    def test_it_is_asked_once(self, tmp_path: Path) -> None:
        keep(OWNER, Secret(key_in("keyring"), "a test"), "keyring")
        keystore._opened.clear()
        assert found(OWNER) == key_in("keyring")
        (tmp_path / "vault.json").unlink()
        assert found(OWNER) == key_in("keyring")

    def test_one_that_lost_the_key(self, tmp_path: Path) -> None:
        keep(OWNER, Secret(key_in("keyring"), "a test"), "keyring")
        keystore._opened.clear()
        (tmp_path / "vault.json").unlink()
        with pytest.raises(ConfigurationError, match="no longer has a key for openai"):
            find_secret(OWNER)

    def test_one_that_fails_says_so_without_the_key(self, tmp_path: Path) -> None:
        (tmp_path / "vault.json").mkdir()
        with pytest.raises(ConfigurationError) as caught:
            keep(OWNER, Secret(key_in("keyring"), "a test"), "keyring")
        error = assert_for_people(caught.value, ConfigurationError, "IsADirectoryError", "--file")
        assert error.__context__ is None
        assert places_of(OWNER) == []


class TestProviders:
    @pytest.mark.parametrize("place", KEPT)
    def test_a_kept_key_is_sent(self, place: Place, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        keep(OpenAI.key_owner(), Secret("sk-kept", "a test"), place)
        assert ask(OpenAI).error is None
        assert server.requests[0].header("Authorization") == "Bearer sk-kept"

    def test_and_to_no_other_address(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        keep(OpenAI.key_owner(), Secret("sk-kept", "a test"), "file")
        monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
        assert ask(OpenAI).error is None
        assert server.requests[0].header("Authorization") == ""

    def test_it_goes_with_the_question_to_a_fallback(
        self, server: LocalServer, closed_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHATANYWHERE_BASE_URL", f"{closed_url}/v1")
        monkeypatch.setenv("CHATANYWHERE_FALLBACK_URL", server.api_url)
        keep(ChatAnywhereAPI.key_owner(), Secret("sk-kept", "a test"), "file")
        assert ask(ChatAnywhereAPI, max_retries=1).error is None
        assert server.requests[0].header("Authorization") == "Bearer sk-kept"

    def test_who_has_a_kept_key_is_chosen(self) -> None:
        keep(ChatAnywhereAPI.key_owner(), Secret("sk-kept", "a test"), "file")
        assert choose_provider() is ChatAnywhereAPI
