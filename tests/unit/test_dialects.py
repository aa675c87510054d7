"""Dialects: which one is spoken, what goes back to its server untouched, and reasoning that is no response."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatSession, OpenAI
from chatanywhere_magic.core.errors import BadRequestError, ConfigurationError
from chatanywhere_magic.core.messages import Extras, Notice, Reasoning, Text, TextWasReasoning, ToolCall
from chatanywhere_magic.panel.feed import _Growth
from chatanywhere_magic.providers import EFFORTS, lessons, list_lessons
from chatanywhere_magic.providers.dialects import chat_completions, responses
from chatanywhere_magic.providers.dialects.chat_completions import CompletionReader
from chatanywhere_magic.providers.dialects.effort import effort_fields
from chatanywhere_magic.providers.wire.sse import Event
from chatanywhere_magic.render.display.columns import _Column
from chatanywhere_magic.render.display.notebook import FinalPainter
from chatanywhere_magic.testing import _responses as wire
from chatanywhere_magic.testing._wire import DONE, chunk, event
from chatanywhere_magic.testing.server import COMPLETIONS_PATH, RESPONSES_PATH, Answer, LocalServer, Request
from tests.unit.helpers import ask, assert_for_people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
SIGNATURE = {"google": {"thought_signature": "c2lnbmVk"}}
DETAILS = [
    {"type": "reasoning.text", "index": 0, "text": "Look it up.", "signature": "c2ln", "format": "anthropic"},
    {"type": "reasoning.encrypted", "index": 1, "data": "gAAAA"},
]


@pytest.fixture(autouse=True)
def _point_to(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)


@pytest.fixture
def chat() -> Iterator[ChatSession]:
    session = ChatSession(provider="openai")
    yield session
    session.close()


def refusal(message: str, **fields: Any) -> Answer:
    return Answer(status=400, raw=[json.dumps({"error": {"message": message, **fields}}).encode()])


def call_of_chats(fields: dict[str, Any], extra: dict[str, Any]) -> list[bytes]:
    """Return a response that calls a tool, with these fields of the message, and of the call."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}, **extra}
    return [
        *[event(chunk(None, **{name: value})) for name, value in fields.items()],
        event(chunk(None, tool_calls=[call])),
        event(chunk(None, "tool_calls")),
        DONE,
    ]


def called(request: Request) -> list[dict[str, Any]]:
    """Return the model's messages of a request, from the one on that called a tool."""
    messages: list[dict[str, Any]] = request.json.get("messages", [])
    first = next((at for at, each in enumerate(messages) if each.get("tool_calls")), len(messages))
    return [each for each in messages[first:] if each["role"] == "assistant"]


def deepseek(request: Request) -> str:
    missing = [each for each in called(request) if not each.get("reasoning_content")]
    return "Missing `reasoning_content` field in the assistant message." if missing else ""


def gemini(request: Request) -> str:
    calls = [call for each in called(request) for call in each.get("tool_calls", ())]
    is_signed = all(call.get("extra_content") == SIGNATURE for call in calls)
    return "" if is_signed else "Function call is missing a thought_signature in functionCall parts."


def openrouter(request: Request) -> str:
    return "" if all(each.get("reasoning_details") == DETAILS for each in called(request)[:1]) else "no details"


def vllm(request: Request) -> str:
    if any("reasoning_content" in each for each in called(request)):
        return "unknown field"
    return "" if all(each.get("reasoning") == "Look it up." for each in called(request)[:1]) else "no reasoning"


PIECES = [{**DETAILS[0], "text": "Look it "}, {"type": "reasoning.text", "index": 0, "text": "up."}, DETAILS[1]]
ROUND_TRIPS: dict[str, tuple[Callable[[Request], str], dict[str, Any], dict[str, Any]]] = {
    "DeepSeek": (deepseek, {"reasoning_content": "Look it up."}, {}),
    "Gemini": (gemini, {}, {"extra_content": SIGNATURE}),
    "OpenRouter": (openrouter, {"reasoning_details": PIECES}, {}),
    "vLLM": (vllm, {"reasoning": "Look it up."}, {}),
}


@pytest.mark.parametrize(("objection", "fields", "extra"), ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_what_a_server_wants_back_goes_back(
    objection: Callable[[Request], str],
    fields: dict[str, Any],
    extra: dict[str, Any],
    chat: ChatSession,
    server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = [event(chunk(None, **{name: value})) for name, value in fields.items()]
    answers = iter(
        [
            Answer(raw=call_of_chats(fields, extra)),
            Answer(raw=[*last, event(chunk("It is warm.")), event(chunk(None, "stop")), DONE]),
        ]
    )

    def rule(request: Request) -> Answer | None:
        objected = objection(request)
        return refusal(objected) if objected else next(answers, None)

    server.rule = rule
    reply = chat.ask_sync("Is it warm?", tools=TOOLS)
    (call,) = reply.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "25 °C"}
    assert chat.ask_sync(messages=[result], tools=TOOLS) == "It is warm."
    assert chat.ask_sync("And tomorrow?")
    assert len(called(server.requests[-1])) == 2
    # To anybody else goes the conversation alone.
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url.replace("127.0.0.1", "localhost"))
    server.rule = None
    chat.ask_sync("And the day after?")
    written = server.requests[-1].body.decode()
    assert "is warm" in written
    assert not [name for name in (*fields, *extra) if f'"{name}"' in written]


def test_reasoning_goes_back_only_where_tools_were_called(chat: ChatSession, server: LocalServer) -> None:
    server.queue(Answer(text=["Four."], reasoning=["two and two"]))
    chat.ask_sync("2 + 2?")
    chat.ask_sync("And 3 + 3?")
    assert "two and two" not in server.requests[-1].body.decode()


def test_encrypted_reasoning_goes_back_in_order(chat: ChatSession, server: LocalServer) -> None:
    chat.settings.dialect = "responses"
    first, second = (wire.reasoning_item("hm", f"gAAAA{n}", id=f"rs_{n}") for n in (1, 2))
    call, message = wire.call_item("look", "{}"), wire.message_item("I look.", phase="commentary")
    done = [
        wire.named("response.output_item.done", output_index=n, item=item)
        for n, item in enumerate((first, message, second, call))
    ]
    answers = iter([Answer(raw=[*wire.begin(), *done, wire.end()])])

    def rule(request: Request) -> Answer | None:
        kinds = [item.get("type") for item in request.json["input"]]
        if "function_call_output" not in kinds:
            return next(answers, None)
        wanted = ["message", "reasoning", "message", "reasoning", "function_call", "function_call_output"]
        return None if kinds[:6] == wanted else refusal("A 'function_call' item was provided without its reasoning.")

    server.rule = rule
    reply = chat.ask_sync("Is it warm?", tools=TOOLS)
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "25 °C"}
    chat.ask_sync(messages=[result], tools=TOOLS)
    items = server.requests[-1].json["input"]
    assert items[1:4:2] == [first, second]
    assert items[2] == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "I look."}],
        "phase": "commentary",
    }
    assert items[4] == {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    # In the other dialect the same server would not know them.
    chat.settings.dialect = "chat"
    server.rule = None
    chat.ask_sync("Thanks.")
    assert "gAAAA" not in server.requests[-1].body.decode()


POINTING = "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. Please use {}."


@pytest.mark.parametrize("words", ["/v1/responses instead", "the Responses API", "the responses endpoint"])
def test_a_refusal_that_points_to_the_other_dialect_is_followed_once_and_remembered(
    words: str, chat: ChatSession, server: LocalServer
) -> None:
    def rule(request: Request) -> Answer | None:
        return refusal(POINTING.format(words), param="tools") if request.path == COMPLETIONS_PATH else None

    server.rule = rule
    notices: list[str] = []
    live = chat.prepare("Hello", model="gpt-5.6", tools=TOOLS)
    live.listen(lambda turn: notices.append(turn.draft.notice))
    chat.start(live).result(20)
    assert live.reply()
    assert any("Responses" in notice for notice in notices)
    assert [request.path for request in server.requests] == [COMPLETIONS_PATH, RESPONSES_PATH]
    lessons._memory.begin(None)  # a new kernel
    chat.ask_sync("And again?", model="gpt-5.6", tools=TOOLS)
    assert [request.path for request in server.requests[2:]] == [RESPONSES_PATH]
    chat.ask_sync("And another?", model="gpt-4o")
    assert [request.path for request in server.requests[3:]] == [COMPLETIONS_PATH, RESPONSES_PATH]
    assert [lesson.instead for lesson in list_lessons()] == ["responses", "responses"]


def test_a_dialect_that_was_chosen_is_kept(chat: ChatSession, server: LocalServer) -> None:
    server.rule = lambda request: refusal("Use /v1/responses.") if request.path == COMPLETIONS_PATH else None
    chat.settings.dialect = "chat"
    with pytest.raises(BadRequestError):
        chat.ask_sync("Hello")
    assert len(server.requests) == 1
    outcome = ask(OpenAI, dialect="morse")
    assert_for_people(outcome.error, ConfigurationError, "morse", "auto, chat, responses")


OWN = {
    "the encrypted reasoning": (
        {"message": "Encrypted content is not supported with this model.", "param": "include"},
        lambda body: "include" in body,
    ),
    "the summary": (
        {
            "message": "Your organization must be verified to generate reasoning summaries.",
            "param": "reasoning.summary",
            "code": "unsupported_value",
        },
        lambda body: "summary" in body.get("reasoning", {}),
    ),
    "the reasoning": (
        {"message": "Unsupported parameter: 'reasoning' is not supported with this model.", "param": "reasoning"},
        lambda body: "reasoning" in body,
    ),
    "that nothing is kept": (
        {"message": "Unknown parameter: 'store'.", "param": "store", "code": "unknown_parameter"},
        lambda body: "store" in body,
    ),
}


@pytest.mark.parametrize(("said", "refuses"), OWN.values(), ids=OWN)
def test_what_nobody_asked_for_is_taken_back_where_it_is_refused(
    said: dict[str, Any], refuses: Callable[[dict[str, Any]], bool], server: LocalServer
) -> None:
    server.rule = lambda request: refusal(**said) if refuses(request.json) else None
    options: dict[str, Any] = {"dialect": "responses", "model": "gpt-5"}
    outcome = ask(OpenAI, **options)
    assert outcome.error is None
    assert outcome.of(Notice)
    assert (len(server.requests), outcome.finish_reason) == (2, "stop")
    assert ask(OpenAI, **options).finish_reason == "stop"
    assert len(server.requests) == 3


def test_an_effort_that_was_typed_is_never_left_out(server: LocalServer) -> None:
    said = {"message": "Unsupported value: 'xhigh' is not supported with this model.", "param": "reasoning.effort"}
    server.rule = lambda request: refusal(**said) if "effort" in str(request.json) else None
    for options in ({"dialect": "responses"}, {}):
        said["param"] = "reasoning.effort" if options else "reasoning_effort"
        outcome = ask(OpenAI, model="gpt-5", effort="xhigh", **options)
        assert_for_people(outcome.error, BadRequestError, "--effort", "xhigh")
    assert len(server.requests) == 2


# --- effort ---------------------------------------------------------------------------------------------------------


def test_an_effort_is_worded_for_each_server() -> None:
    assert effort_fields("", "api.openai.com") == {}
    assert effort_fields("none", "api.openai.com") == {"reasoning_effort": "none"}
    assert effort_fields("none", "api.deepseek.com") == {"thinking": {"type": "disabled"}}
    assert effort_fields("xhigh", "api.deepseek.com:443") == {
        "thinking": {"type": "enabled"},
        "reasoning_effort": "max",
    }
    assert effort_fields("minimal", "openrouter.ai") == {"reasoning": {"effort": "minimal"}}
    assert effort_fields("none", "127.0.0.1:8080")["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_effort_of_a_prompt_goes_before_the_sessions(chat: ChatSession, server: LocalServer) -> None:
    chat.settings.effort = "high"
    chat.ask_sync("a")
    chat.ask_sync("b", effort="low")
    chat.ask_sync("c", effort="")
    assert [request.json.get("reasoning_effort") for request in server.requests] == ["high", "low", None]
    with pytest.raises(ConfigurationError, match=r"none, minimal, low, medium, high, xhigh, not much"):
        chat.ask_sync("d", effort="much")
    assert len(EFFORTS) == 6


# --- encoding -------------------------------------------------------------------------------------------------------


def test_messages_become_items() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look: \ud800"}, picture]},
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c", "content": "a cat", "name": "look"},
        {"role": "assistant", "content": "A cat."},
        {"role": "system", "content": "Be long."},
    ]
    body = responses.encode(messages, {"model": "m", "temperature": None})
    assert body["instructions"] == "Be brief."
    assert "temperature" not in body
    assert body["input"] == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look: \ufffd"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            ],
        },
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a cat"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A cat."}]},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be long."}]},
    ]


def test_models_without_reasoning_are_not_asked_for_it() -> None:
    for model, asked in (("gpt-4o-mini", False), ("openai/gpt-4.1", False), ("gpt-5", True), ("o3", True)):
        assert ("reasoning" in responses.encode([], {"model": model})) == asked
    assert responses.encode([], {"model": "gpt-4o", "effort": "low"})["reasoning"]["effort"] == "low"


def test_what_another_dialect_keeps_is_not_sent() -> None:
    message: Any = {"role": "assistant", "content": "a", responses.ITEMS: [{"type": "reasoning"}]}
    assert chat_completions.encode([message], {})["messages"] == [{"role": "assistant", "content": "a"}]


# --- what comes back ------------------------------------------------------------------------------------------------


def deltas_of(*chunks: bytes, **options: Any) -> list[Any]:
    reader = CompletionReader("host", None, takes_calls=True, **options)
    deltas: list[Any] = []
    for data in (*chunks, chunk(None, "stop")):
        deltas += reader.read(Event("message", data.decode()))
    return [*deltas, *reader.finish()]


def test_a_call_without_an_id_gets_one_that_any_server_takes() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}]
    found = [each for each in deltas_of(chunk(None, tool_calls=calls), calls_before=3) if isinstance(each, ToolCall)]
    assert [(call.id, call.name) for call in found] == [("call00003", "f"), ("call00004", "g")]


def test_extras_of_a_message_come_whole() -> None:
    def detail(**fields: Any) -> bytes:
        return chunk(None, reasoning_details=[fields])

    found = deltas_of(
        detail(type="reasoning.text", index=0, text="Look "),
        detail(type="reasoning.text", index=0, text="it up.", signature="c2ln"),
        detail(type="reasoning.encrypted", index=1, data="gAAAA"),
        detail(type="reasoning.text", index=2, text="So."),
        chunk("Hello"),
    )
    (extras,) = [each for each in found if isinstance(each, Extras)]
    assert extras.fields["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "Look it up.", "signature": "c2ln"},
        {"type": "reasoning.encrypted", "index": 1, "data": "gAAAA"},
        {"type": "reasoning.text", "index": 2, "text": "So."},
    ]
    assert "".join(each.text for each in found if isinstance(each, Reasoning)) == "Look it up.So."


@pytest.mark.parametrize(
    "value", [b"NaN", b"[" * 900 + b"]" * 900, b'"half \\ud83d"'], ids=["no number", "deep", "half a character"]
)
def test_extras_that_nobody_could_keep_are_not_kept(value: bytes) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": "@"}}
    data = chunk(None, tool_calls=[call]).replace(b'"@"', value)
    found = [each for each in deltas_of(data) if isinstance(each, ToolCall)]
    assert len(found) == 1
    extras = found[0].extras
    if extras is not None:
        assert json.loads(json.dumps(extras.fields, ensure_ascii=False).encode()) == extras.fields


# --- reasoning in the text ------------------------------------------------------------------------------------------


def test_reasoning_between_tags_is_no_part_of_the_response(chat: ChatSession, server: LocalServer) -> None:
    thought = '<think>\n```python\nwrong = 1\n```\n{"wrong": 1}\n</think>\n\n'
    server.queue(Answer(text=[thought, "```python\nright = 1\n```\n", '{"right": 1}']))
    reply = chat.ask_sync("Code, please")
    assert [str(block).strip() for block in reply.code] == ["right = 1"]
    assert reply.json() == {"right": 1}
    version = chat.conversation.turns[-1].current
    assert "wrong" in version.reasoning
    assert "wrong" not in version.text
    chat.ask_sync("Thanks")
    assert "wrong" not in server.requests[-1].body.decode()


def test_a_closing_tag_alone_makes_what_came_before_reasoning(chat: ChatSession, server: LocalServer) -> None:
    server.queue(Answer(text=["two ", "and two", "\n</think>\n\n", "Four", "."]))
    live = chat.prepare("2 + 2?")
    chat.start(live).result(20)
    version = live.version
    assert (live.reply(), version.text, version.reasoning) == ("Four.", "Four.", "two and two\n")
    assert [type(part) for part in version.response[-1].parts] == [Reasoning, Text]
    assert live.response.text_since(0) == ("Four.", live.response.text_begin + 5)
    chat.ask_sync("Thanks")
    assert [message["content"] for message in server.requests[-1].messages] == ["2 + 2?", "Four.", "Thanks"]


def test_a_reader_that_was_shown_reasoning_gets_all_of_the_text(chat: ChatSession) -> None:
    live = chat.prepare("2 + 2?")
    live.draft.take(Text("two and two"))
    shown, place = live.response.text_since(0)
    assert (shown, live.response.text_begin) == ("two and two", 0)
    live.draft.take(TextWasReasoning())
    assert live.response.text_since(place) == ("", place)
    live.draft.take(Text("Four, and more of it"))
    assert live.response.text_since(place)[0] == "Four, and more of it"
    assert live.response.reasoning_since(0)[0] == "two and two"
    live.draft.take(TextWasReasoning())
    assert (live.version.text, live.version.reasoning) == ("", "two and twoFour, and more of it")


def test_what_was_painted_as_the_response_is_painted_again_as_reasoning(chat: ChatSession) -> None:
    live = chat.prepare("2 + 2?")
    painter = FinalPainter(footer=False, reasoning=True)
    growth = _Growth(live)
    column = _Column(live)
    shown = ""
    for delta in (Text("# Two and two"), TextWasReasoning(), Text("Four.")):
        live.draft.take(delta)
        painter._read(live)
        change = growth.more()
        shown = column.html(footer=False)
    assert "Two" not in shown
    assert "Four." in shown
    assert growth.more() == {}
    live.draft.end("complete")
    assert "Two" not in str(growth.so_far()["html"]) + growth.so_far()["tail"]
    assert "Two" in growth.so_far()["reasoning"]
    assert "fresh" not in change  # it came with the change before
    data, _ = painter._final(live)
    response = data["text/html"].rpartition("</details>")[2]
    assert "Four." in response
    assert "Two" not in response
    assert data["text/plain"].startswith("Four.")
