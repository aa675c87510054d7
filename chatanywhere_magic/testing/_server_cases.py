"""The cases of OpenAI's protocol that single servers and gateways are known for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ._openai_cases import CUT, HELLO, HELLOS, REPORTED, SAID, STOP, case, raw, said
from ._wire import (
    DONE,
    EVENTS,
    JSON,
    PLAIN,
    QUICKLY,
    as_json,
    chunk,
    completion,
    error,
    event,
    every,
    split,
    tokens,
    whole,
)
from .cases import KEY, ONCE_TO_THRICE, Case
from .server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS: Final = tokens(7, 3)
PASSING: Final = "Nothing was shown yet, and such failures pass."


def choice(finish: object = None, **fields: Any) -> bytes:
    """Return a chunk whose choice has these fields beside its index."""
    return whole([{"index": 0, "finish_reason": finish, **fields}])


def _parts() -> Iterator[Case]:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    yield said(
        "mistral-thinking",
        "sends a part of type `thinking` before the text, as Mistral does",
        event(chunk([thinking])),
        *HELLOS,
        *STOP,
        reasoning="hm",
        why="It is reasoning, and shown apart from the answer.",
    )
    yield said(
        "thinking-and-text-parts",
        "sends a part of type `thinking` and one of type `text` in one chunk",
        event(chunk([thinking, {"type": "text", "text": SAID}])),
        *STOP,
        reasoning="hm",
    )
    yield said(
        "output-text-parts",
        "sends parts of type `output_text`",
        event(chunk([{"type": "output_text", "text": SAID}])),
        *STOP,
    )
    yield said(
        "parts-of-unknown-type",
        "sends a text of an unknown type of part",
        event(chunk([{"type": "citation", "text": "wrong"}, {"type": "text", "text": SAID}])),
        *STOP,
        why="What is not said to be the answer's text is not shown as such.",
    )
    yield said(
        "parts-without-type",
        "sends parts without a type",
        event(chunk([{"text": "Hello, "}, {"text": "world!"}])),
        *STOP,
    )
    yield said(
        "refusal-part",
        "sends a part of type `refusal`",
        event(chunk([{"type": "refusal", "refusal": "I cannot help."}])),
        *STOP,
        kinds=("refusal",),
        says="I cannot help.",
        why="A refusal is not an answer.",
    )
    yield said(
        "parts-odd",
        "sends null, numbers and lists among the parts",
        event(
            chunk(
                [
                    None,
                    1,
                    [],
                    {"type": None, "text": "wrong"},
                    {"type": ["text"], "text": "wrong"},
                    {"type": "text", "text": SAID},
                ]
            )
        ),
        *STOP,
        why="What is of no known form is passed over.",
    )
    yield said(
        "parts-strings",
        "sends the content as a list of strings",
        event(chunk(["Hello, ", "world!"])),
        *STOP,
    )
    for name, content in (("number", 7), ("zero", 0), ("object", {"text": "lost"}), ("true", True)):
        yield said(
            f"content-{name}",
            f"sends content that is no text: {name}",
            *HELLOS,
            event(chunk(content)),
            *STOP,
            kinds=("protocol",),
            text=SAID,
            why="It is a piece of the answer that cannot be read, so the answer is not whole.",
        )


def _shapes() -> Iterator[Case]:
    yield said(
        "text-completion",
        "writes `text` beside no delta, as completions that are no chats do",
        *[event(choice(text=piece)) for piece in HELLO],
        event(choice("stop", text="")),
        DONE,
        why="Some servers mix the two; the text is plain to see.",
    )
    yield said(
        "delta-string",
        "sends deltas that are strings",
        *[event(choice(delta=piece)) for piece in HELLO],
        *STOP,
    )
    yield said(
        "message-instead-of-delta",
        "streams `message` instead of `delta`",
        *[event(choice(message={"role": "assistant", "content": piece})) for piece in HELLO],
        *STOP,
    )
    yield said(
        "message-repeated-at-end",
        "repeats the whole message beside the last, empty delta",
        *HELLOS,
        event(choice("stop", delta={}, message={"role": "assistant", "content": SAID})),
        DONE,
        why="It was said already; twice would be wrong.",
    )
    yield said(
        "index-string",
        'sends the index `"0"`',
        *[event(whole([{"index": "0", "delta": {"content": t}}])) for t in HELLO],
        *STOP,
    )
    yield said(
        "index-null",
        "sends the index null",
        *[event(whole([{"index": None, "delta": {"content": t}}])) for t in HELLO],
        *STOP,
    )
    yield said("choice-null", "sends a choice that is null", event(whole([None])), *HELLOS, *STOP)
    for name, choices in (
        ("choices-object", {"0": {"delta": {"content": "lost"}}}),
        ("choices-string", "lost"),
        ("choice-number", [3]),
        ("choice-string", ["lost"]),
    ):
        yield said(
            name,
            f"sends choices of no known form: `{as_json(choices).decode()}`",
            *HELLOS,
            event(whole(choices)),
            *STOP,
            kinds=("protocol",),
            text=SAID,
            why="It may be a piece of the answer, so the answer is not whole.",
        )
    yield said(
        "finish-false",
        "sends finish_reason false until the end",
        *[event(choice(finish=False, delta={"content": t})) for t in HELLO],
        *STOP,
    )
    yield said(
        "finish-number",
        "sends a finish_reason that is a number, and none that is a word",
        *HELLOS,
        event(choice(1, delta={})),
        DONE,
        kinds=("incomplete",),
        text=SAID,
        why="Nobody knows such a reason.",
    )
    yield said(
        "finish-null-to-the-end",
        "sends finish_reason null to the end, then `[DONE]`",
        *HELLOS,
        event(chunk("")),
        DONE,
        kinds=("incomplete",),
        text=SAID,
        why="Gateways do that also where the model behind them was cut off; nobody said that the answer is whole.",
    )
    yield said(
        "model-null",
        "sends the model null, then a number",
        event(whole([], model=None)),
        event(whole([], model=7)),
        *HELLOS,
        *STOP,
    )
    yield said(
        "model-hostile",
        "names a model with line ends, colours and 10,000 characters",
        *[event(whole([{"index": 0, "delta": {"content": t}}], model="evil\n\x1b[31m" + "x" * 10_000)) for t in HELLO],
        *STOP,
        why="Everything that is shown is made printable and short.",
    )
    yield said(
        "object-of-other-kind",
        "sends events of other kinds between the chunks",
        event(as_json({"object": "chat.completion.rate_limits", "limits": {}})),
        event(as_json({"type": "ping"})),
        *HELLOS,
        *STOP,
    )
    yield said("done-lower-case", "ends with `[done]`", *HELLOS, STOP[0], b"data: [done]\n\n")
    yield said("done-quoted", 'ends with `"[DONE]"`', *HELLOS, STOP[0], b'data: "[DONE]"\n\n')
    yield said("done-named", "ends with `event: done` and `[DONE]`", *HELLOS, STOP[0], b"event: done\ndata: [DONE]\n\n")
    yield said("events-named", "names every event", *[b"event: chunk\n" + piece for piece in (*HELLOS, STOP[0])], DONE)
    yield said("id-with-nul", "sends an `id:` with NUL in it", *[b"id: a\x00b\n" + piece for piece in HELLOS], *STOP)
    yield said("retry-nonsense", "sends `retry:` with letters", b"retry: soon\n\n", *HELLOS, *STOP)
    escaped = b'data: {"choices":[{"index":0,"delta":{"content":"\\u0048ello, \\u0077orld!"}}]}\n\n'
    yield said("ascii-escapes", "escapes letters", escaped, *STOP)
    yield said(
        "json-odd-numbers",
        "sends NaN, and numbers of 400 digits",
        b'data: {"choices":[{"index":0,"delta":{"content":"Hello, world!"},"logprobs":NaN}],"created":'
        + b"9" * 400
        + b"}\n\n",
        *STOP,
    )
    yield said(
        "json-key-twice",
        "writes one field of the delta twice",
        b'data: {"choices":[{"index":0,"delta":{"content":"wrong","content":"Hello, world!"}}]}\n\n',
        *STOP,
        why="The last counts, as for every parser of JSON.",
    )


def _usage() -> Iterator[Case]:
    yield said(
        "usage-groq",
        "puts the usage into `x_groq`, as Groq does",
        *HELLOS,
        event(whole([{"index": 0, "delta": {}, "finish_reason": "stop"}], x_groq={"id": "req_1", "usage": COUNTS})),
        DONE,
        usage=(7, 3),
    )
    yield said(
        "usage-in-choice",
        "puts the usage into the last choice, as Moonshot does",
        *HELLOS,
        event(choice("stop", delta={}, usage=COUNTS)),
        DONE,
        usage=(7, 3),
    )
    yield said(
        "usage-first", "sends the usage before the text", event(whole([], usage=COUNTS)), *HELLOS, *STOP, usage=(7, 3)
    )
    yield said(
        "usage-before-finish",
        "sends the usage before the finish reason",
        *HELLOS,
        event(whole([], usage=COUNTS)),
        *STOP,
        usage=(7, 3),
    )
    yield said(
        "usage-negative",
        "sends a negative usage",
        *HELLOS,
        STOP[0],
        event(whole([], usage=tokens(-1, 3))),
        DONE,
        usage=(None, 3),
        why="An impossible number does not count.",
    )
    yield said(
        "usage-without-choices",
        "sends the usage without choices",
        *HELLOS,
        STOP[0],
        event(as_json({"usage": COUNTS})),
        DONE,
        usage=(7, 3),
    )


def _finishes() -> Iterator[Case]:
    gone = "The model behind it was cut off, and that is how this server says so."
    for reason, server in (
        ("insufficient_system_resource", "as DeepSeek does"),
        ("network_error", "as Zhipu does"),
        ("abort", "as SGLang does"),
    ):
        yield said(
            f"finish-{reason.replace('_', '-')}",
            f"finishes with `{reason}` after some text, {server}",
            *HELLOS,
            event(chunk(None, reason)),
            DONE,
            kinds=(*REPORTED, "overloaded", "incomplete"),
            text=SAID,
            why=gone,
        )
    for reason in ("sensitive", "SAFETY", "RECITATION"):
        yield said(
            f"finish-{reason.lower()}",
            f"finishes with `{reason}` after some text",
            *HELLOS,
            event(chunk(None, reason)),
            DONE,
            kinds=("content_filter",),
            text=SAID,
            why="It is what others call `content_filter`.",
        )
    for reason in ("max_tokens", "MAX_TOKENS", "stop_sequence", "eos", "function_call", "unknown"):
        yield said(
            f"finish-word-{reason.lower().replace('_', '-')}" + ("-capitals" if reason.isupper() else ""),
            f"finishes with `{reason}`",
            *HELLOS,
            event(chunk(None, reason)),
            DONE,
            finish=reason,
            why="The reason is reported as it was given.",
        )
    azure = {"hate": {"filtered": True, "severity": "high"}}
    yield said(
        "azure-filtered",
        "finishes with `content_filter` and filter results after some text, as Azure does",
        *HELLOS,
        event(whole([{"index": 0, "finish_reason": "content_filter", "delta": {}, "content_filter_results": azure}])),
        DONE,
        kinds=("content_filter",),
        text=SAID,
        why="The answer was withheld; what came is kept.",
    )


def _calls() -> Iterator[Case]:
    def call(**fields: object) -> bytes:
        return event(chunk(None, tool_calls=[fields]))

    one = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    end = [event(chunk(None, "tool_calls")), DONE]
    nothing = "There is no answer, and it must not look like an empty one."
    demands: dict[str, Any] = {"kinds": ("unsupported",), "says": "get_weather", "why": nothing}
    yield said(
        "call-at-once",
        "calls a tool in one chunk, with the finish reason",
        event(chunk(None, "tool_calls", tool_calls=[one])),
        DONE,
        **demands,
    )
    yield said(
        "call-without-index",
        "calls a tool without an index",
        call(**{k: v for k, v in one.items() if k != "index"}),
        *end,
        **demands,
    )
    yield said(
        "call-null-fields",
        "sends null for the id and the name of later pieces",
        call(**one),
        call(index=0, id=None, function={"name": None, "arguments": "{}"}),
        *end,
        **demands,
    )
    yield said(
        "call-empty-name-later",
        "sends an empty name with later pieces",
        call(**one),
        call(index=0, id="", function={"name": "", "arguments": "{}"}),
        *end,
        **demands,
    )
    yield said(
        "call-arguments-object",
        "sends the arguments as an object",
        call(index=0, id="a", function={"name": "get_weather", "arguments": {}}),
        *end,
        **demands,
    )
    yield said(
        "calls-two",
        "calls two tools, piece by piece and by turns",
        call(**one),
        call(**{**one, "index": 1, "id": "call_2", "function": {"name": "get_time", "arguments": "{"}}),
        call(index=0, function={"arguments": "{"}),
        call(index=1, function={"arguments": "}"}),
        *end,
        kinds=("unsupported",),
        says="get_time",
        why=nothing,
    )
    another = {"index": 0, "id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    for name, fields in (("index-0", ("index",)), ("no-index", ())):
        yield said(
            f"calls-two-{name}",
            f"calls two tools one after the other, with {name.replace('-', ' ')} for both",
            *[
                call(**{k: v for k, v in each.items() if k in {"id", "type", "function", *fields}})
                for each in (one, another)
            ],
            *end,
            kinds=("unsupported",),
            says="get_weather, get_time",
            why=nothing,
        )
    yield said(
        "call-id-changes",
        "gives every piece of a call an id of its own",
        call(**one),
        call(index=0, id="call_2", function={"arguments": "{}"}),
        *end,
        **demands,
    )
    yield said(
        "calls-odd",
        "sends tool calls that are null, numbers and strings",
        event(chunk(None, tool_calls=[None, 1, "x"])),
        event(chunk(None, tool_calls={})),
        *HELLOS,
        *STOP,
    )
    yield said(
        "call-cut",
        "breaks off in the middle of a call",
        call(**one),
        kinds=("incomplete",),
        why="Nobody said that it is whole.",
    )
    yield said(
        "tool-calls-finish-without-calls",
        "finishes with `tool_calls`, without a call or a word",
        *end,
        kinds=("empty", "unsupported"),
        why="There is no answer.",
        attempts=ONCE_TO_THRICE,
    )


_NAMES: Final = ("get_weather", "get_time")
TOOLS: Final = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in _NAMES]


def _offered() -> Iterator[Case]:
    """Yield what comes of a question that offers tools: a call is an answer then."""

    def call(**fields: object) -> bytes:
        return event(chunk(None, tool_calls=[fields]))

    one = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    pieces = [
        call(**one),
        call(index=0, function={"arguments": '{"city": '}),
        call(index=0, function={"arguments": '"Paris"}'}),
    ]
    weather = ("get_weather", '{"city": "Paris"}')
    end = [event(chunk(None, "tool_calls")), DONE]
    whole = {"id": "a", "type": "function", "function": {"name": weather[0], "arguments": weather[1]}}
    message = {"index": 0, "message": {"content": None, "tool_calls": [whole]}, "finish_reason": "tool_calls"}
    why = "Tools were offered, so a call of one is the answer, as data."
    offered: dict[str, Any] = {"why": why, "options": {"tools": TOOLS}}
    demands: dict[str, Any] = {**offered, "text": "", "finish": "tool_calls", "calls": (weather,)}
    yield said("tools-call", "is offered tools, and calls one in three chunks", *pieces, *end, **demands)
    yield said("tools-finish-stop", "is offered tools, calls one, and finishes with `stop`", *pieces, *STOP, **demands)
    yield said(
        "tools-two",
        "is offered tools, and calls two",
        *pieces,
        call(index=1, id="call_2", function={"name": "get_time", "arguments": "{}"}),
        *end,
        **{**demands, "calls": (weather, ("get_time", "{}"))},
    )
    yield said(
        "tools-after-text",
        "is offered tools, writes a text, then calls one",
        *HELLOS,
        *pieces,
        *end,
        **{**demands, "text": SAID},
    )
    yield Case(
        name="dialects/tools-plain-json",
        protocol="openai",
        server="is offered tools, and calls one in plain JSON",
        answers=(raw(as_json({"choices": [message]}), kind=JSON),),
        **demands,
    )
    yield said(
        "tools-old",
        "is offered functions in the old way, and calls one",
        event(chunk(None, function_call={"name": weather[0], "arguments": weather[1]})),
        event(chunk(None, "function_call")),
        DONE,
        **{**demands, "options": {"functions": [tool["function"] for tool in TOOLS]}},
    )
    yield said(
        "tools-call-cut",
        "is offered tools, and breaks off in the middle of a call",
        *pieces[:2],
        kinds=("incomplete",),
        why="Nobody said that it is whole.",
        options={"tools": TOOLS},
    )
    yield said(
        "tools-call-at-limit",
        "is offered tools, and reaches its limit in the middle of a call",
        *pieces[:2],
        event(chunk(None, "length")),
        DONE,
        text="",
        finish="length",
        why="The cut must be reported, as for a text.",
        options={"tools": TOOLS},
    )
    yield said(
        "tools-no-call",
        "is offered tools, and finishes with `tool_calls` without a call or a word",
        *end,
        kinds=("empty", "unsupported"),
        why="There is no answer.",
        attempts=ONCE_TO_THRICE,
        options={"tools": TOOLS},
    )
    yield said("tools-unused", "is offered tools, and answers in words", *HELLOS, *STOP, **offered)
    yield said(
        "tools-none",
        "is offered an empty list of tools, and calls one all the same",
        *pieces,
        *end,
        kinds=("unsupported",),
        why="Nobody waits for a call where there is nothing to call.",
        options={"tools": []},
    )


def _errors() -> Iterator[Case]:
    hello = [event(chunk(text)) for text in HELLO]
    kept = "The text is kept, the turn has failed, and nothing is asked again."

    def after(name: str, server: str, *pieces: bytes, kinds: tuple[str, ...] = REPORTED, **demands: Any) -> Case:
        return case(f"errors/{name}", server, kept, raw(*hello, *pieces), kinds=kinds, text=SAID, **demands)

    def before(name: str, server: str, *pieces: bytes, kind: str = EVENTS, **demands: Any) -> Case:
        attempts = demands.pop("attempts", ONCE_TO_THRICE)
        answers = [raw(*pieces, kind=kind, headers=QUICKLY)] * max(attempts)
        return case(f"errors/{name}", server, "The body says that it failed.", *answers, attempts=attempts, **demands)

    gateway = {
        "code": 502,
        "message": "Provider returned error",
        "metadata": {"raw": "upstream is gone", "provider_name": "X"},
    }
    yield after(
        "openrouter",
        "sends an error with a code and metadata after some text, as OpenRouter does",
        event(as_json({"error": gateway})),
        kinds=("server", *REPORTED),
        says="upstream is gone",
    )
    yield after(
        "in-choice",
        "sends an error within the choice, which is finished by `stop`",
        event(choice("stop", delta={"content": ""}, error=gateway)),
        DONE,
        kinds=("server", *REPORTED),
        says="upstream is gone",
    )
    yield after(
        "after-finish",
        "sends an error after the finish reason",
        STOP[0],
        event(error("the model crashed")),
        says="crashed",
    )
    yield after(
        "later-code-number",
        "sends an error with code 400 after some text",
        event(error("bad", "BadRequestError", 400)),
        kinds=("bad_request",),
    )
    yield after(
        "later-error-list",
        "sends a list with an error after some text",
        event(as_json([{"error": {"code": 503, "message": "overloaded"}}])),
        kinds=("overloaded", "server", "protocol"),
    )
    yield after(
        "later-type-error",
        'sends `"type": "error"` after some text',
        event(as_json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})),
        kinds=("overloaded", *REPORTED),
    )
    yield after(
        "event-error-without-data", "sends `event: error` with empty data after some text", b"event: error\ndata:\n\n"
    )
    yield after(
        "error-true",
        "sends `error: true` with a message after some text",
        event(as_json({"error": True, "message": "it crashed"})),
        kinds=REPORTED,
    )
    yield after("error-empty-message", "sends an error with an empty message", event(error("")))
    yield after("error-number", "sends `error: 500`", event(as_json({"error": 500})), kinds=("server", *REPORTED))
    yield after(
        "error-nested",
        "sends an error whose message is an object",
        event(as_json({"error": {"message": {"text": "it crashed"}}})),
        says="it crashed",
    )
    yield after(
        "error-json-in-string",
        "sends an error whose message is JSON in a string",
        event(error('{"error": {"message": "it crashed"}}')),
        says="it crashed",
    )
    yield after(
        "html-later",
        "sends an HTML page after some text",
        b"<html><body>Bad gateway</body></html>",
        kinds=("incomplete",),
    )
    yield after(
        "plain-later",
        "sends a line of plain text after some text",
        b"\n\nInternal Server Error\n\n",
        kinds=("incomplete",),
    )
    yield after(
        "json-later",
        "sends an error in JSON without framing after some text",
        b"\n" + error("it crashed") + b"\n",
        kinds=("incomplete", *REPORTED),
    )
    yield after("null-event", "sends null after some text", b"data: null\n\n", DONE, kinds=("protocol",))
    yield after("string-event", "sends a JSON string after some text", b'data: "oops"\n\n', DONE, kinds=("protocol",))
    yield after(
        "huge-number",
        "sends a number of 10,000 digits after some text",
        b"data: " + b"9" * 10_000 + b"\n\n",
        DONE,
        kinds=("protocol",),
    )
    for name, body in (
        ("google-list", as_json([{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}])),
        ("status-field", as_json({"error": {"status": 429, "message": "slow down"}})),
        ("rate-limit-type", error("slow down", "rate_limit_error")),
    ):
        yield before(f"first-{name}", f"answers with `{body.decode()}`", body, kind=JSON, kinds=("rate_limit",))
        yield before(
            f"first-{name}-event", f"sends `{body.decode()}` as the first event", event(body), kinds=("rate_limit",)
        )
    for name, body in (
        ("message", as_json({"code": 1234, "message": "it crashed"})),
        ("msg", as_json({"code": 500, "msg": "it crashed", "success": False})),
        ("errors", as_json({"success": False, "errors": [{"code": 7000, "message": "it crashed"}]})),
        ("detail-list", as_json({"detail": [{"loc": ["body"], "msg": "it crashed"}]})),
    ):
        yield before(
            f"odd-{name}",
            f"answers with `{body.decode()}`",
            body,
            kind=JSON,
            kinds=("server", *REPORTED),
            says="it crashed",
        )
    yield before(
        "text-says",
        "answers with a line of plain text and calls it a stream",
        b"upstream connect error",
        kinds=("protocol",),
        says="upstream connect error",
    )
    yield before(
        "array-of-chunks",
        "answers with a JSON list of chunks",
        b"[" + chunk(SAID) + b"]",
        kind=JSON,
        kinds=("protocol", "incomplete"),
    )
    yield before(
        "utf-16",
        "writes its events in UTF-16",
        "".join(piece.decode() for piece in hello).encode("utf-16"),
        kinds=("protocol", "empty", "incomplete"),
    )
    yield before(
        "bom-only",
        "sends a byte order mark and nothing else",
        b"\xef\xbb\xbf",
        kinds=("empty", "protocol", "incomplete"),
    )
    yield before("nul-bytes", "sends 10,000 NUL bytes", bytes(10_000), kinds=("protocol", "empty", "incomplete"))
    yield before(
        "key-echo",
        "repeats the key in an event that is no JSON",
        f"data: your key is {KEY}\n\n".encode(),
        kinds=("protocol",),
    )
    yield before(
        "key-echo-page", "repeats the key in plain text", f"your key is {KEY}".encode(), kind=PLAIN, kinds=("protocol",)
    )
    yield before(
        "key-echo-model",
        "repeats the key as the model, then an error",
        event(whole([], model=KEY)),
        event(error(f"no {KEY}")),
        kinds=REPORTED,
    )
    yield before(
        "key-echo-refusal",
        "repeats the key in a refusal",
        event(chunk(None, refusal=f"not with {KEY}")),
        *STOP,
        kinds=("refusal",),
        attempts=(1,),
    )
    yield before(
        "key-echo-call",
        "repeats the key as a tool's name",
        event(chunk(None, tool_calls=[{"index": 0, "function": {"name": KEY}}])),
        *STOP,
        kinds=("unsupported",),
        attempts=(1,),
    )
    half = len(KEY) // 2
    yield case(
        "errors/key-in-answer",
        "writes the key into its answer, in pieces",
        "The key is in nothing that is shown, nor saved with the notebook.",
        raw(*[event(chunk(text)) for text in ("It is ", KEY[:2], KEY[2:half], KEY[half:], ".")], *STOP),
        text="It is sk***.",
    )


def _plain() -> Iterator[Case]:
    why = "Servers that can't stream answer so, and the answer is good."
    lines = b"".join(chunk(text) + b"\n" for text in HELLO) + chunk(None, "stop") + b"\n"
    yield case(
        "dialects/lines-of-json",
        "sends its chunks as lines of JSON, without `data:`",
        why,
        raw(lines, kind="application/x-ndjson"),
    )
    yield case("dialects/lines-of-json-split", "the same in pieces of 7 bytes", why, raw(*every(lines, 7), kind=JSON))
    plain = completion(SAID, usage=COUNTS)
    yield case(
        "dialects/plain-json-bom",
        "answers with plain JSON after a byte order mark, split in it",
        why,
        raw(*split(b"\xef\xbb\xbf" + plain, 1, 2, 3), kind=JSON, delay=0.01),
    )
    yield case(
        "dialects/plain-json-kept-alive",
        "sends blank lines for a second, then plain JSON, as DeepSeek does",
        why,
        raw(*[b"\n"] * 6, plain, kind=JSON, delay=0.15),
        options={"idle_timeout": 0.5},
    )
    yield case(
        "dialects/plain-json-as-events", "answers with plain JSON and calls it a stream", why, raw(plain, kind=EVENTS)
    )
    yield case(
        "dialects/plain-json-as-page",
        "answers with plain JSON and calls it a page",
        why,
        raw(*split(plain, 1), kind="text/html", delay=0.01),
    )
    yield case(
        "dialects/events-as-page",
        "streams, calls it a page, and splits the first word",
        why,
        raw(b"d", b"at", b"a: ", chunk(SAID) + b"\n\n", *STOP, kind="text/html", delay=0.01),
    )
    calls = [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
    body = as_json(
        {"choices": [{"index": 0, "message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    )
    yield case(
        "dialects/plain-json-call",
        "calls a tool in plain JSON",
        "There is no answer.",
        raw(body, kind=JSON),
        kinds=("unsupported",),
        says="get_weather",
    )
    yield case(
        "dialects/plain-json-filter",
        "withholds an answer in plain JSON",
        "The answer was withheld.",
        raw(completion("", "content_filter"), kind=JSON),
        kinds=("content_filter",),
    )
    yield case(
        "dialects/plain-json-cut",
        "closes the connection in the middle of plain JSON, then answers well",
        PASSING,
        raw(*split(plain, 60), kind=JSON, cut=True, delay=0.01, headers={"Content-Length": "5000"}),
        raw(plain, kind=JSON),
        attempts=(2,),
        notice=True,
    )


def _again() -> Iterator[Case]:
    good = raw(*HELLOS, *STOP)
    framed = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name, server, first in (
        (
            "cut-after-headers",
            "closes the connection after the headers, then answers well",
            Answer(wire=[framed], delay=0.01),
        ),
        (
            "reset-after-headers",
            "resets the connection after the headers, then answers well",
            Answer(wire=[framed], delay=0.02, reset=True),
        ),
        (
            "cut-after-role",
            "closes the connection after the role, then answers well",
            raw(event(chunk("", role="assistant")), cut=True, delay=0.01),
        ),
        (
            "cut-after-comment",
            "closes the connection after a comment, then answers well",
            raw(b": ping\n\n", cut=True, delay=0.01),
        ),
        (
            "cut-in-headers",
            "closes the connection in the headers, then answers well",
            Answer(wire=[framed[:40]], delay=0.01),
        ),
    ):
        yield case(f"retry/{name}", server, PASSING, first, good, attempts=(1, 2), notice=True)
    limited = raw(event(error("slow down", "", 429)), headers=QUICKLY)
    yield case(
        "retry/429-inside",
        "sends a 429 inside a stream before any text, then answers well",
        PASSING,
        limited,
        good,
        attempts=(2,),
        notice=True,
    )
    yield case(
        "retry/503-inside",
        "sends a 503 inside a stream before any text, then answers well",
        PASSING,
        raw(event(error("busy", "", 503)), headers=QUICKLY),
        good,
        attempts=(2,),
        notice=True,
    )
    shown = "A part of the answer was shown."
    for name, server, broken in (
        ("429", "sends some text and a 429 inside the stream", raw(HELLOS[0], event(error("slow down", "", 429)))),
        ("cut", "sends some text and closes", raw(HELLOS[0], cut=True, delay=0.01)),
        ("reset", "sends some text and resets the connection", raw(HELLOS[0], reset=True, delay=0.02)),
        (
            "503-event",
            "sends some text and `event: error`",
            raw(HELLOS[0], event(error("busy", "", 503), name=b"error")),
        ),
    ):
        yield case(
            f"retry/not-after-text-{name}",
            f"{server}; it would then answer well",
            shown,
            broken,
            good,
            kinds=("rate_limit", *CUT, "overloaded", "server"),
            text="Hello",
        )
    yield case(
        "retry/not-after-reasoning",
        "sends some reasoning and a 503; it would then answer well",
        shown,
        raw(event(chunk(None, reasoning="hm")), event(error("busy", "", 503))),
        good,
        kinds=("overloaded", "server"),
        reasoning="hm",
    )
    day = error("Rate limit exceeded: free-models-per-day. Add credits", "", 429)
    yield case(
        "retry/not-a-day-inside",
        "sends a 429 for the day inside a stream",
        "It does not pass before tomorrow.",
        raw(event(day), headers=QUICKLY),
        good,
        kinds=("quota",),
    )


def _time() -> Iterator[Case]:
    never = threading.Event()
    wait = "The person set a limit for the first word."
    first = {"first_timeout": 0.5, "idle_timeout": 30}
    for name, server, answer in (
        ("no-headers", "never answers, with a limit for the first word", Answer(wire=[b""], hold=never)),
        (
            "headers-by-drops",
            "sends a byte of its headers every 0.1 s, with a limit for the first word",
            Answer(
                wire=every(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Long: " + b"y" * 200, 1), delay=0.1
            ),
        ),
        (
            "comments",
            "sends comments for ever, with a limit for the first word",
            raw(*[b": ping\n\n"] * 400, delay=0.05),
        ),
        (
            "role-and-pings",
            "sends the role, then pings for ever, with a limit for the first word",
            raw(event(chunk("", role="assistant")), *[event(b"{}", name=b"ping")] * 400, delay=0.05),
        ),
        (
            "usage-only",
            "counts the prompt's tokens for ever, with a limit for the first word",
            raw(*[event(whole([], usage=COUNTS))] * 400, delay=0.05),
        ),
    ):
        yield case(
            f"time/first-{name}",
            server,
            wait,
            *[answer] * 3,
            kinds=("timeout",),
            attempts=ONCE_TO_THRICE,
            options={**first, "max_retries": 0},
            within=3.0,
        )
    for name, server, delta in (
        ("text", "begins to write before the limit for the first word and goes on after it", chunk("Hello")),
        (
            "reasoning",
            "begins to reason before the limit for the first word and answers after it",
            chunk(None, reasoning="hm"),
        ),
    ):
        pieces = [event(delta), event(chunk("", role="x")), event(chunk("Hello" if name != "text" else "")), *STOP]
        yield case(
            f"time/first-then-{name}",
            server,
            "The limit is for the first word alone.",
            raw(*pieces, delay=0.3),
            text="Hello",
            reasoning="hm" if name == "reasoning" else "",
            options=first,
        )
    yield case(
        "time/pause-beyond-total",
        "answers 429 with `Retry-After: 20`, with a limit of 1 s for the whole",
        "A pause that the limit would cut is not begun.",
        *[Answer(status=429, raw=[error("slow down")], headers={"Content-Type": JSON, "Retry-After": "20"})] * 3,
        kinds=("rate_limit", "timeout"),
        options={"timeout": 1.0},
        within=2.0,
    )
    yield case(
        "time/total-over-tries",
        "answers 503 after 0.3 s each time, with a limit of 0.8 s for the whole",
        "The limit is for all attempts together.",
        *[
            Answer(
                status=503,
                raw=[error("busy")],
                headers={"Content-Type": JSON, "retry-after-ms": "300"},
                hold=never,
                hold_after=0,
            )
        ]
        * 3,
        kinds=("overloaded", "timeout"),
        attempts=ONCE_TO_THRICE,
        options={"timeout": 0.8},
        within=3.0,
    )
    finished = [*HELLOS, STOP[0]]
    over = "The answer is whole and was said to be; nobody waits long for what may follow."
    yield case(
        "time/open-after-finish",
        "leaves the connection open after the finish reason, without `[DONE]`",
        over,
        raw(*finished, hold=never),
        within=6.0,
    )
    yield case(
        "time/done-without-blank-line",
        "leaves the connection open after `[DONE]`, without its blank line",
        over,
        raw(*finished, b"data: [DONE]\n", hold=never),
        within=6.0,
    )
    yield case(
        "time/kept-alive-after-finish",
        "sends comments for ever after the finish reason",
        over,
        raw(*finished, *[b": ping\n\n"] * 400, delay=0.05),
        within=8.0,
    )
    yield case(
        "time/usage-late",
        "sends the usage a second after the finish reason",
        "It is waited for a little.",
        raw(b"".join(finished), event(whole([], usage=COUNTS)) + DONE, delay=1.0),
        usage=(7, 3),
    )


CASES: Final[tuple[Case, ...]] = (
    *_parts(),
    *_shapes(),
    *_usage(),
    *_finishes(),
    *_calls(),
    *_offered(),
    *_errors(),
    *_plain(),
    *_again(),
    *_time(),
)
