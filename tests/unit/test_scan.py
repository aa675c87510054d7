"""What looks like a key is found in whatever is about to be sent; what does not is left in peace."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatanywhere_magic
from chatanywhere_magic.core.errors import LeakError
from chatanywhere_magic.keys.scan import (
    check_leaks,
    find_leaks,
    leaks_in,
    may_hold_keys,
    redacted,
    secrets_of_environment,
)
from chatanywhere_magic.keys.secret import Secret

BODY = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2bC3d"
# Put together here, so that no scanner takes this file for a leak.
KEYS = {
    "OpenAI": "sk-" + "proj-" + BODY,
    "Anthropic": "sk-" + "ant-api03-" + BODY,
    "GitHub": "ghp" + "_" + BODY[:36],
    "GitLab": "glpat" + "-" + BODY[:20],
    "AWS": "AKIA" + "Z7Q3M5N8P2R4T6V9",
    "Google": "AIza" + BODY[:35],
    "Slack": "xoxb" + "-1234567890-" + BODY[:24],
    "Stripe": "sk_" + "live_" + BODY[:24],
    "Hugging Face": "hf" + "_" + BODY[:34],
    "Groq": "gsk" + "_" + BODY * 2,
    "npm": "npm" + "_" + BODY[:36],
    "PyPI": "pypi" + "-" + BODY * 3,
    "SendGrid": "SG." + BODY[:22] + "." + (BODY * 2)[:43],
    "Telegram": "123456789:" + "AA" + BODY[:33],
    "Azure": "AccountKey=" + BODY * 2 + "==",
    "JWT": "eyJ" + BODY[:20] + ".eyJ" + BODY[:30] + "." + BODY[:30],
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + BODY * 3 + "\n-----END RSA PRIVATE KEY-----",
    "password in a URL": "postgresql://ada:" + "t0p-Secr3t@db.internal:5432/app",
}

HARMLESS = [
    "sk-learn, sk-image and scikit-learn",
    "Set OPENAI_API_KEY to sk-... or sk-xxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-your-key-goes-here-please-replace",
    "AKIAIOSFODNN7EXAMPLE",
    "the commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "550e8400-e29b-41d4-a716-446655440000",
    "postgres://user:password@localhost/db",
    "https://user:<password>@host, redis://:${REDIS_PASSWORD}@host",
    "https://example.com:8080/@user/a:b@c",
    "see http://example.com/a?b=c:d@e",
    "-----BEGIN PRIVATE KEY----- marks a key",
    "-----BEGIN PUBLIC KEY-----\n" + BODY + "\n-----END PUBLIC KEY-----",
    "eyJ is how a JWT begins",
    "task_risk_disk-management-and-backup-tool",
    "a,b,c\n1,2,3\n" * 100,
    "gh_pages and ghp_",
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 20).decode(),
]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("around", ["{}", "key = '{}'\n", "x: {}, y", "请用{}。", "({})", "Authorization: Bearer {}"])
def test_keys_of_known_forms(kind: str, around: str) -> None:
    words = around.format(KEYS[kind])
    assert leaks_in(words) == [kind]
    assert KEYS[kind][12:40] not in redacted(words)
    assert "***" in redacted(words)


@pytest.mark.parametrize("words", HARMLESS)
def test_what_only_resembles_one(words: str) -> None:
    assert leaks_in(words) == []
    assert redacted(words) == words


def test_the_source_of_this_package_holds_none() -> None:
    root = Path(chatanywhere_magic.__file__).parent
    for path in root.rglob("*.py"):
        if "testing" not in path.parts:
            assert leaks_in(path.read_text(encoding="utf-8")) == [], path


@given(st.text())
def test_any_text_is_looked_through(words: str) -> None:
    assert [leak.start for leak in find_leaks(words)] == sorted(leak.start for leak in find_leaks(words))


class TestKnownSecrets:
    value = "correct/horse+battery=staple"
    secret = Secret(value, "MY_TOKEN")

    @pytest.mark.parametrize(
        "form",
        [
            value,
            quote(value, safe=""),
            json.dumps(value),
            base64.b64encode(value.encode()).decode(),
            base64.b64encode(f"user:{value}".encode()).decode(),
        ],
    )
    def test_in_any_form(self, form: str) -> None:
        words = f"before {form} after"
        assert leaks_in(words, [self.secret]) == ["MY_TOKEN"]
        assert may_hold_keys(["short words", words])
        assert self.value not in redacted(words, [self.secret])

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OPENAI_API_KEY", "AZURE_CLIENT_SECRET", "db_password", "GITHUB_TOKEN"):
            monkeypatch.setenv(name, self.value)
            assert name in {secret.source for secret in secrets_of_environment()}
        for name, value in {
            "KEYBOARD": self.value,
            "MONKEY": self.value,
            "SHORT_KEY": "abc",
            "KEY_FILE": "/home/ada/.ssh/id_rsa",
            "SSH_KEY": "~/.ssh/id_ed25519",
            "SIGNING_KEY": "./keys/signing.pem",
            "OLLAMA_API_KEY": "ollama",
            "LLAMA_API_KEY": "sk-no-key-required",
            "OLDPWD": "/home/ada/work and play/2026",
            "MAX_TOKENS": "100000000000000",
        }.items():
            monkeypatch.setenv(name, value)
            assert name not in {secret.source for secret in secrets_of_environment()}


@pytest.mark.parametrize(
    "name",
    [
        "PGPASSWORD",
        "MYSQL_PWD",
        "OPENAI_APIKEY",
        "API_TOKENS",
        "PASSPHRASE",
        "GPG_PASSPHRASE",
        "DB_PASS",
        "SMTP_PASSWORD2",
        "RSA_KEYS",
        "AWSSECRETKEY",
        "GH_PAT",
        "REDIS_PASSWORD",
        "ACCESSKEY",
        "NPM_CREDS",
        "DJANGO_SECRET_KEY",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "/wJalrXUtnFEMI/K7MDENG+bPxRfiCYzz9Xy8Wv7",
        ".dotted.Value-1234567890",
        "correct horse battery staple",
        "пароль на каждый день",
        "~tilde-First-42!x",
        "Ab3!efgh",
    ],
)
def test_any_value_of_a_variable_that_names_a_secret(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    secrets = [secret for secret in secrets_of_environment() if secret.source == name]
    assert len(secrets) == 1
    for form in (value, quote(value), json.dumps(value), base64.b64encode(value.encode()).decode()):
        assert leaks_in(f"before {form} after", secrets) == [name]
        assert may_hold_keys([form])
        assert value not in redacted(f"before {form} after", secrets)


@pytest.mark.parametrize(
    "key", ["ollama", "lm-studio", "none", "not-needed", "token-abc123", "no-key-required", "secret"]
)
def test_a_key_that_is_a_word_raises_no_alarm(key: str) -> None:
    words = f"Start {key} and set the key to {key}."
    assert leaks_in(words, [Secret(key, "OPENAI_API_KEY")]) == []
    assert redacted(words, [Secret(key, "OPENAI_API_KEY")]) == words


def test_the_error_says_what_and_where_and_not_the_key() -> None:
    with pytest.raises(LeakError) as caught:
        check_leaks({"the prompt": "harmless", "@config": f"a {KEYS['GitHub']} b {KEYS['AWS']}"})
    message = str(caught.value)
    assert "@config (GitHub, AWS)" in message
    assert "the prompt" not in message
    assert "--allow-secrets" in message
    assert not re.search("ghp_|AKIA", message)
    check_leaks({"the prompt": "harmless"})
