"""A model may be named by the beginning of its name, where one alone begins so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.core.conversation import Origin
from chatanywhere_magic.core.errors import NotFoundError
from chatanywhere_magic.panel.actions import Actions
from chatanywhere_magic.panel.header import header_of
from chatanywhere_magic.providers import can_chat
from chatanywhere_magic.testing.server import COMPLETIONS_PATH, Answer, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN = Answer(status=404, raw=[b'{"error": {"message": "The model does not exist", "code": "model_not_found"}}'])


@pytest.fixture
def session(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSession]:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    session = ChatSession(provider=OpenAI)
    yield session
    session.close()


def asked(server: LocalServer) -> list[str]:
    """Return the models that were asked; what was asked beside that is no attempt."""
    return [request.json["model"] for request in server.requests if request.path == COMPLETIONS_PATH]


def test_the_one_that_is_meant_is_asked(session: ChatSession, server: LocalServer) -> None:
    server.queue(UNKNOWN, Answer(text=["Yes."]))
    assert session.ask_sync("Hi", model="test", origin=Origin("cell")) == "Yes."
    assert asked(server) == ["test", "test-model"]


def test_of_several_none_is_chosen(session: ChatSession, server: LocalServer) -> None:
    server.models = ["test-model", "test-other"]
    server.queue(UNKNOWN)
    with pytest.raises(NotFoundError, match="test-model, test-other"):
        session.ask_sync("Hi", model="test", origin=Origin("cell"))
    assert asked(server) == ["test"]


def test_what_does_not_chat_is_not_meant(session: ChatSession, server: LocalServer) -> None:
    server.models = ["gpt-4o-mini", "gpt-4o-mini-tts", "gpt-4o-mini-transcribe"]
    server.queue(UNKNOWN, Answer(text=["Yes."]))
    assert session.ask_sync("Hi", model="gpt-4o-m", origin=Origin("cell")) == "Yes."
    assert asked(server) == ["gpt-4o-m", "gpt-4o-mini"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "/chat/completions: Invalid model name passed in model=test. Call `/v1/models` to view available models"),
        (503, "No available channel for model test under group default (distributor)"),
    ],
)
def test_gateways_say_otherwise_that_there_is_no_such_model(
    session: ChatSession, server: LocalServer, status: int, words: str
) -> None:
    server.queue(Answer(status=status, raw=[json.dumps({"error": {"message": words}}).encode()]), Answer(text=["Yes."]))
    assert session.ask_sync("Hi", model="test", origin=Origin("cell")) == "Yes."
    assert asked(server) == ["test", "test-model"]


@pytest.mark.model
def test_the_embedded_model_is_shown_by_its_true_name() -> None:
    session = ChatSession(provider="local")
    assert header_of(session)["model"].startswith("SmolLM2-135M-Instruct")
    assert [each["model"] for each in Actions(session).models()] == [header_of(session)["model"]]
    session.close()


@pytest.mark.parametrize("model", ["nobody", "test-model"])
def test_what_begins_no_other_name_is_not_known(session: ChatSession, server: LocalServer, model: str) -> None:
    server.queue(UNKNOWN)
    with pytest.raises(NotFoundError, match="does not exist"):
        session.ask_sync("Hi", model=model, origin=Origin("cell"))
    assert asked(server) == [model]


def test_an_address_that_is_not_there_is_no_model(session: ChatSession, server: LocalServer) -> None:
    server.queue(Answer(status=404, raw=[b'{"detail": "Not Found"}']))
    with pytest.raises(NotFoundError):
        session.ask_sync("Hi", model="test", origin=Origin("cell"))
    # Both forms of the address, and no list of models.
    assert [request.path for request in server.requests] == [COMPLETIONS_PATH, "/chat/completions"]


def test_a_typo_is_asked_back(session: ChatSession, server: LocalServer) -> None:
    server.queue(UNKNOWN)
    with pytest.raises(NotFoundError, match=r"has no model 'tset-model'\. Did you mean test-model\?"):
        session.ask_sync("Hi", model="tset-model", origin=Origin("cell"))


@pytest.mark.parametrize(
    ("name", "chats"),
    [
        *(
            (name, True)
            for name in ("gpt-4o-mini", "gpt-5", "deepseek-r1", "claude-sonnet-4", "qwen2.5-vl-72b", "o3-mini")
        ),
        *((name, True) for name in ("Llama-3.1-8B-Instruct", "gemini-2.5-flash", "gpt-4o-search-preview", "glm-4.6")),
        *((name, False) for name in ("text-embedding-3-small", "whisper-1", "tts-1-hd", "dall-e-3", "gpt-image-1")),
        *((name, False) for name in ("omni-moderation-latest", "bge-m3", "gpt-4o-realtime-preview", "gpt-4o-mini-tts")),
        *((name, False) for name in ("gpt-4o-transcribe", "gpt-3.5-turbo-instruct", "Llama-Guard-3-8B", "sora-2")),
    ],
)
def test_which_models_can_chat(name: str, chats: bool) -> None:
    assert can_chat(name) is chats


def test_a_program_means_the_name_that_it_gives(session: ChatSession, server: LocalServer) -> None:
    server.queue(UNKNOWN)
    with pytest.raises(NotFoundError):
        session.ask_sync("Hi", model="test")
    assert [request.path for request in server.requests] == [COMPLETIONS_PATH]
