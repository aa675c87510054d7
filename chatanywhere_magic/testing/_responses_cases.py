"""The cases of OpenAI's Responses protocol."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ._common import UNICODE, redirects, retries, statuses
from ._responses import (
    begin,
    call,
    call_item,
    counted,
    cut_off,
    delta,
    end,
    events,
    message,
    message_item,
    named,
    numbered,
    reasoning,
    reasoning_item,
    response,
)
from ._wire import DONE, EVENTS, HTML, HTML_PAGE, JSON, PLAIN, QUICKLY, as_json, error, event, every, split
from ._wire_cases import broken_cases
from .cases import KEY, ONCE_TO_THRICE, Case
from .server import RESPONSES_PATH, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .server import Request

HELLO: Final = ("Hello", ", ", "world!")
SAID: Final = "".join(HELLO)
STREAM: Final = events(*HELLO)
STARTED: Final = STREAM[:-1]
"""An answer whose last event is missing."""
TEXTS: Final = [delta(text) for text in HELLO]
COUNTS: Final = counted(7, 3)
WRITTEN: Final = "Real servers write it so."
TERMINAL: Final = "Only the event that ends the response makes it whole."
REPORTED: Final = ("stream", "server", "bad_request", "protocol")
CUT: Final = ("incomplete", "connection", "protocol")
NOTHING: Final = ("empty", "incomplete", "protocol")
_NAMES: Final = ("get_weather", "get_time")
TOOLS: Final = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in _NAMES]
OFFERED: Final[dict[str, Any]] = {
    "why": "Tools were offered, so a call of one is the answer, as data.",
    "options": {"tools": TOOLS},
}
PARIS: Final = ("get_weather", '{"city": "Paris"}')
CALL: Final = call("get_weather", ['{"city": ', '"Paris"}'])


def case(name: str, server: str, why: str, *answers: Answer, **demands: Any) -> Case:
    """Return a case that succeeds, with the usual answer unless something else is demanded."""
    if "kinds" not in demands:
        demands = {"text": SAID, "finish": "stop", **demands}
    return Case(name=name, protocol="responses", server=server, why=why, answers=answers, **demands)


def raw(*pieces: bytes, kind: str = EVENTS, **options: Any) -> Answer:
    """Answer with these bytes."""
    return Answer(raw=pieces, headers={"Content-Type": kind, **options.pop("headers", {})}, **options)


def said(name: str, server: str, *pieces: bytes, why: str = WRITTEN, **demands: Any) -> Case:
    """Return a case of what servers write."""
    return case(f"dialects/{name}", server, why, raw(*pieces), **demands)


# --- framing ------------------------------------------------------------------------------------------------


def _framing() -> Iterator[Case]:
    standard = "The standard for server-sent events says so."
    anywhere = "A read may end anywhere."
    body = b"".join(STREAM)
    yield case("framing/lf", "ends its lines by LF", standard, raw(*STREAM), usage=(7, 3))
    yield case("framing/crlf", "ends its lines by CRLF", standard, raw(body.replace(b"\n", b"\r\n")))
    yield case("framing/cr", "ends its lines by CR", standard, raw(body.replace(b"\n", b"\r")))
    yield case("framing/one-chunk", "sends all events in one chunk", anywhere, raw(body))
    yield case("framing/byte-by-byte", "sends every byte by itself", anywhere, raw(*every(body, 1), delay=0.0001))
    yield case(
        "framing/across-events",
        "cuts the stream without regard to its events",
        anywhere,
        raw(*split(body, 100, 350, 700, 1100), delay=0.005),
    )
    bare = b"".join(piece.partition(b"\n")[2] for piece in STREAM)
    yield case("framing/no-names", "sends events without names", "The type stands in the data, too.", raw(bare))
    untyped = [piece.replace(b'"type": "' + piece[7:].partition(b"\n")[0] + b'", ', b"", 1) for piece in STREAM]
    yield case("framing/no-types", "leaves the type out of the data", "The event's name says it, too.", raw(*untyped))
    after = b"".join(piece.partition(b"\n")[2][:-1] + piece.partition(b"\n")[0] + b"\n\n" for piece in STREAM)
    yield case("framing/name-after-data", "sends `event:` after the data", "The order means nothing.", raw(after))
    comments = [part for piece in STREAM for part in (b": keep-alive\n\n", piece)]
    yield case("framing/comments", "sends comments between the events", standard, raw(*comments))
    openrouter = [part for piece in STREAM for part in (b"data: : OPENROUTER PROCESSING\n\n", piece)]
    yield case(
        "framing/comments-as-data",
        "sends comments as data",
        "They keep the connection alive, and are no JSON.",
        raw(*openrouter),
    )
    pings = [part for piece in STREAM for part in (event(b'{"type": "ping"}', name=b"ping"), piece)]
    yield case("framing/pings", "sends `event: ping` between the events", standard, raw(*pings))
    kept = [part for piece in STREAM for part in (named("keepalive", sequence_number=1), piece)]
    yield case("framing/keepalives", "sends `keepalive` events", "They mean nothing.", raw(*kept))
    forgiven = "The last event is all there, and the body ends properly."
    yield case("framing/no-last-blank-line", "forgets the last blank line", forgiven, raw(body[:-1]))
    yield case("framing/no-last-line-end", "forgets the last line end", forgiven, raw(body[:-2]))
    yield case("framing/bom", "begins with a byte order mark", standard, raw(b"\xef\xbb\xbf" + body))
    literal = 'data: {"type": "response.completed"}\n\nevent: error\r\n: x'
    yield case(
        "framing/framing-as-text",
        "writes framing in the text",
        "What stands in a JSON string is text.",
        raw(*events(literal)),
        text=literal,
    )
    huge = "0123456789abcdef" * 65_536
    yield case(
        "framing/large",
        "sends a text of 1 MB in one event, and again in those that end it",
        "It is one text, however often it is sent.",
        raw(*events(huge)),
        text=huge,
    )
    many = "ab " * 5_000
    yield case(
        "framing/many",
        "sends 5,000 pieces at once",
        "A reader keeps up with what is there.",
        raw(b"".join(events(*["ab "] * 5_000))),
        text=many,
    )


def _characters() -> Iterator[Case]:
    for name, words in UNICODE.items():
        body = b"".join(events(words))
        start = body.index(words.encode())
        yield case(
            f"characters/{name}",
            f"writes {words!a} and splits it after every byte",
            "A read may end in the middle of a character.",
            raw(*split(body, *range(start, start + len(words.encode()) + 1)), delay=0.001),
            text=words,
        )
    half = [delta("@").replace(b"@", escape) for escape in (b"a\\ud83d", b"\\ude00b")]
    yield case(
        "characters/pair-in-two-events",
        "sends the halves of a pair of surrogates in two events",
        "Servers that count in UTF-16 do.",
        raw(*half, end()),
        text="a😀b",
    )
    spaces = ("  ", "\n\n", "\t", " x ", "\r\n")
    yield case(
        "characters/white-space",
        "sends pieces of white space",
        "White space is text.",
        raw(*events(*spaces)),
        text="".join(spaces),
    )


# --- what is said -------------------------------------------------------------------------------------------


def _texts() -> Iterator[Case]:
    yield said("minimum", "sends nothing but texts and the end", *TEXTS, end())
    yield said("no-output-at-the-end", "leaves `output` empty in the last event", *STARTED, end(), usage=None)
    yield said(
        "only-done",
        "sends no pieces, but a text that is done",
        named("response.output_text.done", output_index=0, content_index=0, text=SAID),
        end(),
        why="It is the text, if no pieces came.",
    )
    yield said(
        "only-item-done",
        "sends no pieces, but an item that is done",
        named("response.output_item.done", output_index=0, item=message_item(SAID)),
        end(),
        why="It is the text, if no pieces came.",
    )
    yield said(
        "only-the-end",
        "sends the whole response in the last event alone",
        *begin(),
        end(output=[message_item(SAID)], usage=COUNTS),
        why="It is the text, if no pieces came.",
        usage=(7, 3),
    )
    place = {"output_index": 0, "content_index": 0}
    yield said(
        "done-twice",
        "sends the text in pieces, and whole in four further events",
        *TEXTS,
        named("response.output_text.done", **place, text=SAID),
        named("response.content_part.done", **place, part={"type": "output_text", "text": SAID}),
        named("response.output_item.done", output_index=0, item=message_item(SAID)),
        end(output=[message_item(SAID)]),
        why="It is one text, however often it is sent.",
    )
    yield said(
        "end-numbers-otherwise",
        "numbers the items otherwise in the last event",
        *TEXTS,
        end(output=[reasoning_item(), message_item(SAID)]),
        why="It is one text, however often it is sent.",
    )
    changing = [
        named("response.output_text.delta", item_id=f"msg_{number}", output_index=0, content_index=0, delta=text)
        for number, text in enumerate(HELLO)
    ]
    yield said(
        "ids-change",
        "gives every event of an item another id",
        *changing,
        named("response.output_item.done", output_index=0, item=message_item(SAID, id="msg_other")),
        end(output=[message_item(SAID, id="msg_last")]),
        why="A proxy does; its place tells which item it is.",
    )
    unnumbered = [named("response.output_text.delta", item_id="msg_1", delta=text) for text in HELLO]
    yield said(
        "no-indexes",
        "numbers neither items nor parts",
        *unnumbered,
        named("response.output_text.done", item_id="msg_1", text=SAID),
        named("response.output_item.done", item=message_item(SAID)),
        end(output=[message_item(SAID)]),
    )
    yield said(
        "bare-deltas",
        "says neither item nor place",
        *[named("response.output_text.delta", delta=text) for text in HELLO],
        end(),
    )
    yield said(
        "two-parts",
        "writes the text in two parts",
        delta("Hello, ", part=0),
        delta("world!", part=1),
        end(),
        why="Both are the text.",
    )
    second = {**message_item("world!"), "id": "msg_2"}
    yield said(
        "two-messages",
        "writes two messages",
        *message(["Hello, "]),
        delta("world!", index=1),
        named("response.output_item.done", output_index=1, item=second),
        end(output=[message_item("Hello, "), second]),
        why="Both are the text.",
    )
    yield said("empty-deltas", "sends empty pieces now and then", delta(""), *TEXTS, delta(""), end())
    yield said(
        "delta-object",
        "sends pieces as objects",
        *[named("response.output_text.delta", output_index=0, content_index=0, delta={"text": t}) for t in HELLO],
        end(),
    )
    yield said("numbered", "numbers its events", *numbered([*begin(), *TEXTS, end()]))
    yield said(
        "item-content-string",
        "sends the item's content as a string",
        named("response.output_item.done", output_index=0, item={**message_item(), "content": SAID}),
        end(),
    )
    unknown = [
        named("response.queued", response=response("queued")),
        named("response.web_search_call.in_progress", output_index=0, item_id="ws_1"),
        named("response.output_item.added", output_index=0, item={"type": "web_search_call", "id": "ws_1"}),
        named("response.output_text.annotation.added", output_index=1, annotation={"type": "url_citation"}),
        named("response.code_interpreter_call_code.delta", output_index=2, delta="print('wrong')"),
        named("response.audio.transcript.delta", delta="wrong"),
        named("response.mcp_call_arguments.done", output_index=3, arguments="{}"),
        named("vendor.thing", data=[1, {"x": None}]),
        event(b"{}"),
        event(b'{"type": 5}'),
        event(b'{"type": null, "delta": "wrong"}'),
    ]
    yield said(
        "unknown-events",
        "sends events between that nobody knows",
        *[part for pair in zip(unknown[:3], TEXTS, strict=True) for part in pair],
        *unknown[3:],
        end(),
        why="The protocol grows; what is unknown is passed over.",
    )
    yield said(
        "unknown-items",
        "sends items that nobody knows",
        named("response.output_item.done", output_index=0, item={"type": "web_search_call", "id": "ws_1"}),
        named("response.output_item.done", output_index=1, item={"type": "image_generation_call", "result": "eA=="}),
        named("response.output_item.done", output_index=2, item="nonsense"),
        *message(HELLO, index=3),
        end(),
    )
    yield said(
        "unknown-fields",
        "sends fields that nobody knows",
        *[
            named("response.output_text.delta", output_index=0, content_index=0, delta=t, obfuscation="x", n=[1])
            for t in HELLO
        ],
        end(billing={"payer": "x"}, usage=COUNTS),
        usage=(7, 3),
    )
    yield said("refusal-null", "sends null for what there is not", *TEXTS, end(error=None, output=None, usage=None))


def _ends() -> Iterator[Case]:
    yield said("done-after-end", "sends `[DONE]` after the end", *STREAM, DONE)
    yield said("named-done", "ends by `response.done`", *TEXTS, named("response.done", response=response()))
    yield said(
        "end-without-status",
        "gives no status in the last event",
        *TEXTS,
        named("response.completed", response={"id": "resp_1", "usage": COUNTS}),
        usage=(7, 3),
        why="The event's type says it.",
    )
    yield said("end-without-response", "sends a last event without a response", *TEXTS, named("response.completed"))
    yield case(
        "dialects/open-after-end",
        "leaves the connection open after the end",
        "The answer is over; nobody waits for the end of the body.",
        raw(*STREAM, hold=threading.Event()),
        within=3.0,
    )
    yield said(
        "text-after-end",
        "sends more text after the end",
        *STREAM,
        delta("wrong"),
        b"data: nonsense\n\n",
        why="What follows the end is no part of the answer.",
    )
    yield said(
        "limit",
        "is cut off at the limit of tokens",
        *TEXTS,
        cut_off("max_output_tokens", usage=COUNTS),
        finish="length",
        usage=(7, 3),
        why="The cut is reported.",
    )
    yield said(
        "limit-as-completed",
        "calls an answer completed whose status is `incomplete`",
        *TEXTS,
        named(
            "response.completed",
            response=response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ),
        finish="length",
        why="The cut is reported.",
    )
    yield said(
        "limit-untold",
        "calls an answer completed that has as many tokens as were asked for",
        *TEXTS,
        end(usage=COUNTS),
        finish="length",
        options={"max_tokens": 3},
        why="llama.cpp does. The possible cut is reported.",
    )
    yield said(
        "limit-not-reached",
        "completes an answer below the limit",
        *TEXTS,
        end(usage=COUNTS),
        options={"max_tokens": 4},
        why="It is whole.",
    )
    yield said(
        "limit-without-text",
        "reaches the limit before a word",
        cut_off("max_output_tokens"),
        kinds=("empty",),
        attempts=ONCE_TO_THRICE,
        why="An answer without a word is not an answer.",
    )
    yield said(
        "limit-in-reasoning",
        "reaches the limit while it reasons",
        *reasoning(["hm"])[:3],
        cut_off("max_output_tokens"),
        kinds=("empty",),
        reasoning="hm",
        why="Reasoning is no answer.",
    )
    yield said(
        "incomplete-without-reason",
        "is incomplete, and does not say why",
        *TEXTS,
        end("incomplete"),
        finish="length",
        kinds=("incomplete",),
        text=SAID,
        why="It is not whole.",
    )
    yield said(
        "filter",
        "is stopped by a filter after some text",
        *TEXTS,
        cut_off("content_filter"),
        kinds=("content_filter",),
        text=SAID,
        why="The answer was withheld; what came is kept.",
    )
    yield said(
        "filter-without-text",
        "is stopped by a filter before a word",
        cut_off("content_filter"),
        kinds=("content_filter",),
        why="It would be withheld again.",
    )
    yield said(
        "cancelled",
        "is cancelled after some text",
        *TEXTS,
        end("cancelled"),
        kinds=(*REPORTED, "incomplete"),
        text=SAID,
        why="The text is kept, the turn has failed.",
    )
    yield said(
        "model-name",
        "answers with another model than was asked for",
        *events(*HELLO, model="other-2026"),
        model="other-2026",
        why="The person sees who really answers.",
    )
    for name, usage, counts in (
        ("usage-null", None, None),
        ("usage-in-part", {"input_tokens": 7, "output_tokens": None}, (7, None)),
        ("usage-old-names", {"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ("usage-of-wrong-type", "many", None),
        ("usage-negative", {"input_tokens": -7, "output_tokens": 10**30}, (None, None)),
    ):
        yield said(
            name,
            f"sends the usage `{as_json(usage).decode()}`",
            *TEXTS,
            end(usage=usage),
            usage=counts,
            why="A number that is not given is not made up.",
        )
    blank = "An answer of white space alone is not an answer."
    yield said("blank", "answers with white space alone", delta(" \n"), end(), kinds=("empty",), text=" \n", why=blank)


def _reasonings() -> Iterator[Case]:
    apart = "It is shown apart from the answer."
    thoughts = ("two ", "and two")
    yield said(
        "summary",
        "sends a summary of its reasoning",
        *reasoning(thoughts),
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why=apart,
    )
    yield said(
        "summary-encrypted",
        "sends reasoning that only it can read, with a summary",
        *reasoning(thoughts, encrypted="gAAAA" * 100),
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why=apart,
    )
    yield said(
        "encrypted-only",
        "sends reasoning that only it can read",
        named("response.output_item.done", output_index=0, item=reasoning_item(encrypted="gAAAA")),
        *message(HELLO, index=1),
        end(),
        why="It is shown to nobody.",
    )
    texts = [named("response.reasoning_text.delta", output_index=0, content_index=0, delta=t) for t in thoughts]
    item = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "two and two"}]}
    yield said(
        "reasoning-text",
        "sends its reasoning itself",
        *texts,
        named("response.reasoning_text.done", output_index=0, content_index=0, text="two and two"),
        named("response.output_item.done", output_index=0, item=item),
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why=apart,
    )
    yield said(
        "reasoning-and-summary",
        "sends its reasoning, and a summary of it",
        *texts,
        *reasoning(["in short"])[2:3],
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why="One of both is enough.",
    )
    yield said(
        "reasoning-old-names",
        "sends `response.reasoning.delta`",
        *[named("response.reasoning.delta", output_index=0, content_index=0, delta=t) for t in thoughts],
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why=apart,
    )
    yield said(
        "reasoning-only-done",
        "sends no pieces of its summary, but the item",
        named("response.output_item.done", output_index=0, item=reasoning_item("two and two")),
        *message(HELLO, index=1),
        end(),
        reasoning="two and two",
        why=apart,
    )
    yield said(
        "reasoning-only-end",
        "sends all in the last event",
        end(output=[reasoning_item("two and two"), message_item(SAID)]),
        reasoning="two and two",
        why=apart,
    )
    parts = [
        part
        for index, words in enumerate(thoughts)
        for part in (
            named("response.reasoning_summary_part.added", output_index=0, summary_index=index),
            named("response.reasoning_summary_text.delta", output_index=0, summary_index=index, delta=words),
        )
    ]
    yield said(
        "summary-parts",
        "sends a summary of two parts",
        *parts,
        *message(HELLO, index=1),
        end(),
        reasoning="two \n\nand two",
        why="They are paragraphs.",
    )
    yield said(
        "reasoning-only",
        "reasons, and ends without a word",
        *reasoning(thoughts),
        end(),
        kinds=("empty",),
        reasoning="two and two",
        why="Reasoning is no answer.",
    )
    yield said(
        "think-tags",
        "writes its reasoning into the text, between tags",
        *[delta(piece) for piece in ("<thi", "nk>two and two</th", "ink>\n\n", *HELLO)],
        end(),
        reasoning="two and two",
        why=apart,
    )


# --- refusals and calls -------------------------------------------------------------------------------------


def _refusals() -> Iterator[Case]:
    words = ("I cannot ", "help.")
    pieces = [named("response.refusal.delta", output_index=0, content_index=0, delta=text) for text in words]
    why = "A refusal is not an answer, and its words are the server's."
    demands: dict[str, Any] = {"kinds": ("refusal",), "says": "I cannot help.", "why": why}
    part = {"type": "refusal", "refusal": "I cannot help."}
    item = {**message_item(), "content": [part]}
    yield said("refusal", "refuses", *pieces, end(output=[item]), **demands)
    whole = named("response.refusal.done", output_index=0, content_index=0, refusal="I cannot help.")
    yield said("refusal-twice", "refuses in pieces, and whole", *pieces, whole, end(output=[item]), **demands)
    yield said("refusal-only-done", "refuses in one event", whole, end(), **demands)
    yield said("refusal-only-end", "refuses in the last event", end(output=[item]), **demands)
    yield said("refusal-after-text", "writes a text, then refuses", *TEXTS, *pieces, end(), **{**demands, "text": SAID})


def _calls() -> Iterator[Case]:
    demands: dict[str, Any] = {**OFFERED, "text": "", "finish": "tool_calls", "calls": (PARIS,)}
    item = call_item(*PARIS)
    yield said("call", "is offered tools, and calls one", *CALL, end(output=[item]), **demands)
    yield said("call-minimum", "is offered tools, and calls one in one event", CALL[-1], end(), **demands)
    yield said("call-only-end", "is offered tools, and calls one in the last event", end(output=[item]), **demands)
    yield said("call-no-done", "is offered tools, and calls one in pieces alone", *CALL[:3], end(), **demands)
    yield said(
        "call-at-added",
        "sends the arguments with the event that adds the call, and again in pieces",
        named("response.output_item.added", output_index=0, item=call_item("get_weather", "")),
        *CALL[1:],
        end(),
        **demands,
    )
    yield said(
        "call-arguments-object",
        "sends the arguments as an object",
        named("response.output_item.done", output_index=0, item=call_item("get_weather", "") | {"arguments": {"n": 1}}),
        end(),
        **{**demands, "calls": (("get_weather", '{"n": 1}'),)},
    )
    yield said(
        "call-empty-arguments",
        "sends empty arguments",
        *call("get_time", []),
        end(),
        **{**demands, "calls": (("get_time", "{}"),)},
    )
    both = [*CALL, *call("get_time", ["{}"], "call_2", index=1)]
    two = {**demands, "calls": (PARIS, ("get_time", "{}"))}
    yield said("calls-two", "calls two tools", *both, end(), **two)
    woven = [both[0], both[5], both[1], both[6], both[2], *both[3:5], *both[7:]]
    yield said("calls-woven", "calls two tools by turns", *woven, end(), **two)
    unplaced = [
        named("response.output_item.done", item=call_item(*PARIS) | {"id": None}),
        named("response.output_item.done", item=call_item("get_time", "{}", "call_2") | {"id": None}),
    ]
    yield said("calls-unplaced", "calls two tools, and tells neither place nor item", *unplaced, end(), **two)
    same = [
        *call("get_weather", [PARIS[1]], "call_1"),
        *call("get_time", ["{}"], "call_1", index=1),
    ]
    yield said("calls-same-id", "gives two calls the same id", *same, end(), **two)
    yield said(
        "call-after-text",
        "writes a text, then calls a tool",
        *message(HELLO),
        *call("get_weather", [PARIS[1]], index=1),
        end(),
        **{**demands, "text": SAID},
    )
    yield said(
        "call-after-reasoning",
        "reasons, then calls a tool",
        *reasoning(["hm"], encrypted="gAAAA"),
        *call("get_weather", [PARIS[1]], index=1),
        end(),
        **{**demands, "reasoning": "hm"},
    )
    yield said(
        "call-cut",
        "breaks off in the middle of a call",
        *CALL[:2],
        kinds=("incomplete",),
        why="Nobody said that it is whole.",
        options={"tools": TOOLS},
    )
    yield said(
        "call-at-limit",
        "reaches its limit in the middle of a call",
        *CALL[:2],
        cut_off("max_output_tokens"),
        text="",
        finish="length",
        why="The cut must be reported, as for a text.",
        options={"tools": TOOLS},
    )
    yield said(
        "call-not-offered",
        "calls a tool that nobody offered",
        *CALL,
        end(),
        kinds=("unsupported",),
        says="get_weather",
        why="There is no answer, and it must not look like an empty one.",
    )
    yield said("tools-unused", "is offered tools, and answers in words", *STREAM, **OFFERED)
    plain = response(output=[call_item(*PARIS)], usage=COUNTS)
    yield Case(
        name="dialects/call-plain-json",
        protocol="responses",
        server="is offered tools, and calls one in plain JSON",
        answers=(raw(as_json(plain), kind=JSON),),
        **demands,
    )


def _types() -> Iterator[Case]:
    for name, kind in (
        ("charset", "text/event-stream; charset=utf-8"),
        ("plain", PLAIN),
        ("octets", "application/octet-stream"),
        ("json", JSON),
    ):
        yield case(
            f"dialects/type-{name}",
            f"calls the stream `{kind}`",
            "Gateways change the type; the bytes are a stream all the same.",
            raw(*STREAM, kind=kind),
        )
    why = "Servers that can't stream answer so, and the answer is good."
    plain = as_json(response(output=[message_item(SAID)], usage=COUNTS))
    yield case("dialects/plain-json", "answers with plain JSON", why, raw(plain, kind=JSON), usage=(7, 3))
    reasoned = as_json(response(output=[reasoning_item("hm", "gAAAA"), message_item(SAID)]))
    yield case(
        "dialects/plain-json-reasoning", "the same, with reasoning", why, raw(reasoned, kind=JSON), reasoning="hm"
    )
    limited = response("incomplete", output=[message_item(SAID)], incomplete_details={"reason": "max_output_tokens"})
    yield case(
        "dialects/plain-json-limit",
        "the same, cut off at the limit",
        why,
        raw(as_json(limited), kind=JSON),
        finish="length",
    )
    for status in ("in_progress", "queued"):
        body = as_json(response(status, output=[message_item(SAID)]))
        yield case(
            f"dialects/plain-json-{status.replace('_', '-')}",
            f"answers with plain JSON of the status `{status}`",
            "Nobody said that it is whole.",
            raw(body, kind=JSON),
            kinds=("incomplete",),
            text=SAID,
        )
    failed = as_json(response("failed", error={"code": "server_error", "message": "the model crashed"}))
    yield case(
        "dialects/plain-json-failed",
        "answers with plain JSON of the status `failed`",
        "It has failed, whatever the HTTP status says.",
        *[raw(failed, kind=JSON, headers=QUICKLY)] * 3,
        kinds=REPORTED,
        says="the model crashed",
        attempts=ONCE_TO_THRICE,
    )
    yield case(
        "dialects/plain-json-empty",
        "answers with plain JSON without a word",
        "An answer without a word is none.",
        *[raw(as_json(response()), kind=JSON)] * 3,
        kinds=("empty",),
        attempts=ONCE_TO_THRICE,
    )


# --- errors in a 200 ----------------------------------------------------------------------------------------


def _errors() -> Iterator[Case]:
    lie = "The status says that all is well, the body says otherwise; the body is right."

    def before(
        name: str, server: str, *pieces: bytes, kinds: tuple[str, ...], kind: str = EVENTS, **demands: Any
    ) -> Case:
        attempts = demands.pop("attempts", ONCE_TO_THRICE)
        answers = [raw(*pieces, kind=kind, headers=QUICKLY)] * max(attempts)
        return case(f"errors/{name}", server, lie, *answers, kinds=kinds, attempts=attempts, **demands)

    def after(name: str, server: str, *pieces: bytes, kinds: tuple[str, ...] = REPORTED, **demands: Any) -> Case:
        why = "The text is kept, the turn has failed, and nothing is asked again."
        return case(f"errors/{name}", server, why, raw(*STARTED, *pieces), kinds=kinds, text=SAID, **demands)

    crashed = {"code": "server_error", "message": "the model crashed"}
    failed = end("failed", error=crashed)
    flat = named("error", **crashed, param=None, sequence_number=3)
    nested = named("error", error={"type": "server_error", **crashed})
    yield before("failed", "fails before a word", *begin(), failed, kinds=REPORTED, says="the model crashed")
    yield before("failed-silently", "fails, and does not say why", end("failed"), kinds=REPORTED)
    yield before("error", "sends an `error` event", *begin(), flat, kinds=REPORTED, says="the model crashed")
    yield before("error-nested", "sends an `error` event with the error inside", nested, kinds=REPORTED, says="crashed")
    unnamed = flat.partition(b"\n")[2]
    yield before("error-unnamed", "sends an `error` without an event's name", unnamed, kinds=REPORTED, says="crashed")
    text_error = event(b"the model crashed", name=b"error")
    yield before(
        "error-text", "sends `event: error` with plain text", text_error, kinds=REPORTED, says="the model crashed"
    )
    chat = event(error("the model crashed", "server_error"))
    yield before("error-of-chats", "sends an error as chat completions have it", chat, kinds=REPORTED, says="crashed")
    for name, code, kinds in (
        ("rate-limit", "rate_limit_exceeded", ("rate_limit",)),
        ("overloaded", "overloaded_error", ("overloaded", "server", "stream")),
    ):
        pieces = end("failed", error={"code": code, "message": "not now"})
        yield before(f"failed-{name}", f"fails with `{code}`", pieces, kinds=kinds, says="not now")
    for name, code, kinds in (
        ("quota", "insufficient_quota", ("quota",)),
        ("context", "context_length_exceeded", ("context_length",)),
        ("key", "invalid_api_key", ("authentication",)),
        ("model", "model_not_found", ("not_found",)),
        ("filter", "content_filter", ("content_filter",)),
    ):
        pieces = end("failed", error={"code": code, "message": "no"})
        yield before(f"failed-{name}", f"fails with `{code}`", pieces, kinds=kinds, attempts=(1,))
    yield after("failed-later", "fails after some text", failed, says="the model crashed")
    yield after("error-later", "sends an `error` event after some text", flat, says="the model crashed")
    yield after("error-later-done", "the same, and then `[DONE]`", nested, DONE)
    yield after(
        "completed-in-name",
        "calls `completed` what has failed",
        named("response.completed", response=response("failed", error=crashed)),
        says="the model crashed",
    )
    yield after(
        "nonsense-later", "sends an event that is no JSON after some text", b"data: {nonsense\n\n", kinds=("protocol",)
    )
    yield after("list-later", "sends a JSON list after some text", b"data: [1]\n\n", kinds=("protocol",))
    deep = b"data: " + b"[" * 200_000 + b"\n\n"
    yield after("deep-later", "sends 200,000 opening brackets after some text", deep, kinds=("protocol",))
    number = named("response.output_text.delta", output_index=0, content_index=0, delta=42)
    yield after("number-later", "sends a number as a piece of text", number, end(), kinds=("protocol",))
    echo = named("error", code="x", message=f"wrong key {KEY}")
    yield before("echo", "repeats the key in an `error`", echo, kinds=REPORTED, says="wrong key")
    body = as_json({"error": {"message": "the model crashed", "type": "server_error"}})
    yield before("json-error", "answers with a JSON error", body, kinds=REPORTED, kind=JSON, says="the model crashed")
    detail = as_json({"detail": "no such route"})
    yield before("json-detail", 'answers with `{"detail": …}`', detail, kind=JSON, kinds=(*REPORTED, *NOTHING))
    yield before("json-empty-object", "answers with `{}`", b"{}", kinds=NOTHING, kind=JSON)
    yield before("html", "answers with an HTML page", HTML_PAGE, kinds=("protocol",), kind=HTML)
    yield before("text", "answers with a line of plain text", b"upstream connect error", kinds=NOTHING, kind=PLAIN)
    yield before("empty", "answers with an empty body", kinds=NOTHING)
    yield before("done-only", "answers with `[DONE]` alone", DONE, kinds=NOTHING)
    yield before("begin-only", "begins, and ends without a word", *begin(), kinds=NOTHING)
    yield before("end-only", "ends before a word", *begin(), end(), kinds=("empty",))
    chats = [event(b'{"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}'), DONE]
    yield before("chat-completion", "answers in chunks of a chat completion", *chats, kinds=NOTHING)


# --- truth --------------------------------------------------------------------------------------------------


def _truth() -> Iterator[Case]:
    kept = "Nobody said that the answer is whole: the text is kept, the turn has failed, and nothing is asked again."

    def broken(name: str, server: str, *answers: Answer, **demands: Any) -> Case:
        why = demands.pop("why", kept)
        return case(f"truth/{name}", server, why, *answers, **{"kinds": CUT, "text": SAID, **demands})

    only: dict[str, Any] = {"kinds": ("incomplete",), "why": TERMINAL}
    yield broken("no-end", "ends the body without the last event", raw(*STARTED), **only)
    yield broken("no-end-done", "sends `[DONE]` in the last event's place", raw(*STARTED, DONE), **only)
    yield broken("text-done-only", "says that the text is done, and no more", raw(*STARTED[:-1]), **only)
    yield broken("texts-only", "sends pieces of text, and no more", raw(*TEXTS), **only)
    yield broken("in-progress", "says last that it is in progress", raw(*TEXTS, *begin()), **only)
    yield broken("cut", "closes the connection before the last event", raw(*STARTED, cut=True, delay=0.005))
    yield broken("reset", "resets the connection before the last event", raw(*STARTED, reset=True, delay=0.005))
    last = STREAM[-1]
    yield broken(
        "cut-in-end", "closes the connection in the last event", raw(*STARTED, last[:60], cut=True, delay=0.005)
    )
    yield broken("ends-in-end", "ends the body in the last event", raw(*STARTED, last[:60]), kinds=(*CUT,))
    yield broken(
        "cut-in-reasoning",
        "closes the connection while the model reasons",
        raw(*reasoning(["hm"])[:3], cut=True, delay=0.01),
        raw(*STREAM),
        text="",
        reasoning="hm",
        why="Reasoning was shown, so nothing is asked again.",
    )
    yield broken(
        "cut-before-text",
        "closes the connection before a word, every time",
        *[raw(*begin(), cut=True, delay=0.01)] * 3,
        text="",
        attempts=ONCE_TO_THRICE,
        why="There is no answer. Nothing was shown, so it may be asked again.",
    )
    yield broken(
        "silent",
        "falls silent before the last event",
        raw(*STARTED, hold=threading.Event()),
        kinds=("timeout", "incomplete"),
        options={"idle_timeout": 0.4},
        within=4.0,
    )
    yield case(
        "truth/cut-after-end", "closes after the last event", "It is whole.", raw(*STREAM, cut=True, delay=0.005)
    )
    yield case(
        "truth/error-after-end",
        "sends an error after the last event",
        "What follows the end is no part of the answer.",
        raw(*STREAM, named("error", message="late")),
    )


# --- what is asked ------------------------------------------------------------------------------------------


def _asks_rightly(requests: Sequence[Request]) -> str:
    for request in requests:
        if request.header("Authorization") != f"Bearer {KEY}":
            return "the key was not sent as `Authorization: Bearer`"
        if (request.method, request.path) != ("POST", RESPONSES_PATH):
            return f"{request.method} {request.path} was asked for"
        body = request.json if isinstance(request.json, dict) else {}
        if body.get("stream") is not True or body.get("store") is not False:
            return "the body does not ask for a stream that the server forgets"
        if "reasoning.encrypted_content" not in body.get("include", []):
            return "the body does not ask for the reasoning that goes back"
        if request.messages != [{"role": "user", "content": "Hello"}] or "messages" in body:
            return f"the input is {body.get('input')}"
    return ""


def _translates(requests: Sequence[Request]) -> str:
    body = requests[0].json
    wanted = {
        "max_output_tokens": 5,
        "tools": [{"type": "function", "name": name, "parameters": {}} for name in _NAMES],
        "tool_choice": {"type": "function", "name": "get_time"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}},
        "seed": 7,
    }
    wrong = [name for name, value in wanted.items() if body.get(name) != value]
    left = {"max_tokens", "response_format", "stream_options", "reasoning_effort", "effort"} & body.keys()
    effort = (body.get("reasoning") or {}).get("effort")
    return (
        f"{wrong + sorted(left)} are wrong" if wrong or left else "" if effort == "low" else f"the effort is {effort}"
    )


def _questions() -> Iterator[Case]:
    yield case(
        "http/question",
        "looks at the request",
        "The server keeps nothing, so the reasoning has to come and go with the messages.",
        raw(*STREAM),
        demand=_asks_rightly,
    )
    yield case(
        "http/question-options",
        "looks at the options",
        "Each goes under the name that this protocol has for it.",
        raw(*STREAM),
        options={
            "max_tokens": 5,
            "effort": "low",
            "tools": TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "get_time"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
            "seed": 7,
        },
        demand=_translates,
    )


def _time() -> Iterator[Case]:
    yield case(
        "time/shown-at-once",
        "takes a second for the second half",
        "What is there is shown.",
        raw(b"".join(STREAM[:5]), b"".join(STREAM[5:]), delay=1.0),
        first_within=0.9,
    )
    yield case(
        "time/trickle",
        "sends a piece every 0.1 s, with an idle limit of 0.4 s",
        "The limit is for silence, not for the whole.",
        raw(*STREAM, delay=0.1),
        options={"idle_timeout": 0.4},
    )
    gone = "The server writes on for nobody, and the person pays."
    for how, shown in (("leave", "leave"), ("cancel", "cancelled")):
        yield case(
            f"time/{how}",
            f"sees the reader {shown} after the first text",
            gone,
            raw(*STARTED, hold=threading.Event()),
            text="",
            stop=how,
        )


CASES: Final[tuple[Case, ...]] = (
    *_framing(),
    *_characters(),
    *_texts(),
    *_ends(),
    *_reasonings(),
    *_refusals(),
    *_calls(),
    *_types(),
    *_errors(),
    *_truth(),
    *_questions(),
    *_time(),
    *statuses("responses"),
    *redirects("responses"),
    *retries("responses"),
    *broken_cases("responses"),
)
