"""The cases of OpenAI's protocol: streamed chat completions."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

from ._common import COMPRESSION_HONEST, UNICODE, key_is_bearer, redirects, retries, statuses
from ._wire import (
    DONE,
    EVENTS,
    HTML,
    HTML_PAGE,
    JSON,
    PLAIN,
    QUICKLY,
    as_json,
    chunk,
    chunked,
    completion,
    compressed,
    error,
    event,
    events,
    every,
    gzipped,
    head,
    split,
    tokens,
    whole,
    with_headers,
)
from .cases import ONCE_TO_THRICE, Case
from .server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HELLO: Final = ("Hello", ", ", "world!")
SAID: Final = "".join(HELLO)
HELLOS: Final = [event(chunk(text)) for text in HELLO]
STOP: Final = [event(chunk(None, "stop")), DONE]
COUNTS: Final = tokens(7, 3)
STANDARD: Final = "The standard for server-sent events says so."
PARTS: Final = [{"type": "text", "text": "Hello"}, {"type": "text", "text": ", world!"}]
DIALECT: Final = "Real servers write it so."
CUT: Final = ("incomplete", "connection", "protocol")
"""What a connection that breaks in the middle may be called."""
BROKEN: Final = ("protocol", "incomplete", "connection")
REPORTED: Final = ("stream", "server", "bad_request", "protocol")
"""What an error that the server reports inside a 200 may be called, where it names no kind that we know."""


def case(name: str, server: str, why: str, *answers: Answer, **demands: Any) -> Case:
    """Return a case that succeeds, with the usual answer unless something else is demanded."""
    if "kinds" not in demands:
        demands = {"text": SAID, "finish": "stop", **demands}
    return Case(name=name, protocol="openai", server=server, why=why, answers=answers, **demands)


def raw(*pieces: bytes, kind: str = EVENTS, delay: float = 0.0, **options: Any) -> Answer:
    """Answer with these bytes."""
    headers = {"Content-Type": kind, **options.pop("headers", {})}
    return Answer(raw=pieces, headers=headers, delay=delay, **options)


def ordinary(end: bytes = b"\n") -> bytes:
    """Return the usual answer in one piece."""
    return b"".join(events(*HELLO, end=end))


def from_first(first: Sequence[bytes], *later: bytes) -> list[bytes]:
    """Return `first`, `later`, the finish and ``[DONE]``."""
    return [*first, *later, event(chunk(None, "stop")), DONE]


# --- framing ------------------------------------------------------------------------------------------------


def _line_ends() -> Iterator[Case]:
    standard = STANDARD
    ends = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
    for name, end in ends.items():
        shown = name.upper()
        yield case(f"framing/{name}", f"ends its lines by {shown}", standard, raw(*events(*HELLO, end=end)))
        yield case(
            f"framing/{name}-byte-by-byte",
            f"ends its lines by {shown} and sends every byte by itself",
            "A read may end anywhere, also between CR and LF.",
            raw(*every(ordinary(end), 1), delay=0.0002),
        )
    mixed = [event(chunk(text), end=end) for text, end in zip(HELLO, ends.values(), strict=True)]
    yield case("framing/mixed-line-ends", "mixes LF, CRLF and CR", standard, raw(*from_first(mixed)))
    yield case(
        "framing/mixed-line-ends-in-one-event",
        "ends the lines of one event each in its own way",
        standard,
        raw(*from_first([b"event: message\r\nid: 1\rdata: " + chunk(SAID) + b"\n\r\n"])),
    )
    parts = [part for piece in events(*HELLO, end=b"\r\n") for part in (piece[:-3], piece[-3:-1], piece[-1:])]
    yield case(
        "framing/crlf-split",
        "splits between CR and LF",
        "The LF belongs to the CR before it; it ends no line of its own.",
        raw(*parts, delay=0.003),
    )
    whole_event = event(chunk(SAID), end=b"\r")
    yield case(
        "framing/cr-shown-at-once",
        "ends its lines by CR, and takes a second after the first event",
        "A CR ends its line at once; nobody waits for the LF that may follow.",
        raw(whole_event, *STOP, delay=1.0),
        first_within=0.8,
    )
    yield case(
        "framing/crlf-shown-at-once",
        "takes a second between the last CR and LF of an event",
        "A CR ends its line at once; the LF, when it comes, means nothing.",
        raw(event(chunk(SAID), end=b"\r\n")[:-1], b"\n" + b"".join(STOP), delay=1.0),
        first_within=0.8,
    )
    lone = [event(chunk(text), end=b"\r") for text in HELLO]
    yield case(
        "framing/cr-then-lf-later",
        "ends its lines by CR, and begins the next piece with an LF",
        standard,
        raw(*from_first([lone[0], b"\n" + lone[1], lone[2]]), delay=0.005),
    )
    bom = b"\xef\xbb\xbf"
    yield case("framing/bom", "begins with a byte order mark", standard, raw(bom + ordinary()))
    only = event(chunk(SAID)) + event(chunk(None, "stop")) + DONE
    yield case("framing/bom-before-data", "puts a byte order mark before the first data", standard, raw(bom + only))
    yield case(
        "framing/bom-split",
        "splits the byte order mark",
        "A read may end anywhere.",
        raw(*split(bom + only, 1, 2, 3), delay=0.005),
    )
    yield case(
        "framing/bom-inside",
        "has U+FEFF in the text",
        "Only the first character of the stream is a byte order mark.",
        raw(*events("\ufeffa", "\ufeff")),
        text="\ufeffa\ufeff",
    )


def _fields() -> Iterator[Case]:
    standard = STANDARD
    pieces = events(*HELLO)
    comments = [part for piece in pieces for part in (b": keep-alive\n\n", piece)]
    yield case("framing/comments", "sends comments between the events", standard, raw(*comments))
    yield case(
        "framing/comments-first",
        "sends `: PROCESSING` three times before it answers",
        "Gateways do so while they wait for the model.",
        raw(*[b": PROCESSING\n\n"] * 3, *pieces),
    )
    yield case("framing/empty-comments", "sends lines of a colon alone", standard, raw(*[b":\n" + p for p in pieces]))
    yield case(
        "framing/comment-inside-event",
        "has a comment between the lines of one event",
        standard,
        raw(*from_first([b"data: " + chunk(SAID)[:1] + b"\n: ping\ndata: " + chunk(SAID)[1:] + b"\n\n"])),
    )
    yield case(
        "framing/comment-like-data",
        "has data behind a comment's colon",
        "A comment is never data.",
        raw(*[b": data: " + chunk("wrong") + b"\n\n", *pieces]),
    )
    nospace = [piece.replace(b"data: ", b"data:", 1) for piece in pieces]
    yield case("framing/no-space", "writes no space after `data:`", standard, raw(*nospace))
    yield case(
        "framing/two-spaces",
        "writes two spaces after `data:`",
        "One is dropped; JSON does not mind the other, nor may `[DONE]`.",
        raw(*[piece.replace(b"data: ", b"data:  ", 1) for piece in pieces]),
    )
    yield case(
        "framing/tab",
        "writes a tab after `data:`",
        "JSON allows it.",
        raw(*[p.replace(b": ", b":\t", 1) for p in pieces]),
    )
    pretty = json.dumps(json.loads(chunk(SAID)), indent=2).encode()
    lines = b"".join(b"data: " + line + b"\n" for line in pretty.split(b"\n")) + b"\n"
    yield case(
        "framing/several-data-lines", "spreads an event over several data lines", standard, raw(*from_first([lines]))
    )
    yield case(
        "framing/several-data-lines-crlf",
        "the same with CRLF",
        standard,
        raw(*from_first([lines.replace(b"\n", b"\r\n")])),
    )
    yield case(
        "framing/empty-data-lines",
        "puts empty data lines around the JSON",
        "They are newlines, which JSON allows.",
        raw(*from_first([b"data:\ndata: " + chunk(SAID) + b"\ndata\n\n"])),
    )
    yield case(
        "framing/empty-events",
        "sends events without data, with empty data, and blank lines",
        "They mean nothing; some servers keep a connection alive by them.",
        raw(b"\n\n\ndata:\n\ndata: \n\nevent: ping\n\n", *pieces, b"\n\n"),
    )
    yield case(
        "framing/fields",
        "sends `event: message`, `id:` and `retry:` with each event",
        standard,
        raw(*[b"id: 7\nretry: 3000\nevent: message\n" + piece for piece in pieces]),
    )
    yield case(
        "framing/fields-after-data",
        "sends `id:` and `event:` after the data",
        "The order of fields means nothing.",
        raw(*[piece[:-1] + b"id: 7\nevent: message\n\n" for piece in pieces]),
    )
    yield case(
        "framing/unknown-fields",
        "sends unknown fields, and lines without a colon",
        standard,
        raw(*[b"foo: bar\nnonsense\n" + piece for piece in pieces]),
    )
    yield case(
        "framing/field-names-are-exact",
        "sends `Data:` and ` data:` with another text",
        "Neither is the field `data`.",
        raw(*[b"Data: " + chunk("wrong") + b"\n\n data: " + chunk("wrong") + b"\n\n", *pieces]),
    )
    yield case(
        "framing/ping-events",
        "sends `event: ping` with an empty object",
        "Gateways keep a connection alive so.",
        raw(*[part for piece in pieces for part in (event(b"{}", name=b"ping"), piece)]),
    )


def _pieces() -> Iterator[Case]:
    forgiven = "The finish is said and the body ends properly, so nothing is missing."
    yield case("framing/no-last-blank-line", "forgets the last blank line", forgiven, raw(ordinary()[:-1]))
    yield case("framing/no-last-line-end", "forgets the last line end", forgiven, raw(ordinary()[:-2]))
    finish_only = b"".join(events(*HELLO, done=False))
    yield case(
        "framing/no-blank-line-after-finish",
        "sends no `[DONE]`, and no blank line after the finish reason",
        forgiven,
        raw(finish_only[:-1]),
    )
    yield case(
        "framing/no-line-end-after-finish",
        "sends no `[DONE]`, and no line end after the finish reason",
        forgiven,
        raw(finish_only[:-2]),
    )
    yield case("framing/one-chunk", "sends all events in one chunk", "A read may hold many events.", raw(ordinary()))
    halves = split(ordinary(), 150, 310, 470)
    yield case(
        "framing/across-events",
        "cuts the stream without regard to its events",
        "A read may end anywhere.",
        raw(*halves, delay=0.005),
    )
    long = "long words " * 200
    yield case(
        "framing/one-event-in-hundreds-of-chunks",
        "sends one event in hundreds of chunks",
        "A read may end anywhere.",
        raw(*every(b"".join(events(long)), 5), delay=0.0002),
        text=long,
    )
    huge = "0123456789abcdef" * 262_144
    yield case(
        "framing/four-megabyte-line",
        "sends a line of 4 MB",
        "A line has no greatest length, and takes no quadratic work.",
        raw(*events(huge)),
        text=huge,
    )
    yield case(
        "framing/four-megabyte-line-in-pieces",
        "sends a line of 4 MB in pieces of 4 kB",
        "The same, and the pieces must not be searched again and again.",
        raw(*every(b"".join(events(huge)), 4096)),
        text=huge,
    )
    yield case(
        "framing/many-small-events",
        "sends 20,000 events at once",
        "A reader keeps up with what is there.",
        raw(b"".join(events(*["ab "] * 20_000))),
        text="ab " * 20_000,
    )
    yield case(
        "framing/done-split",
        "splits `[DONE]`",
        "A read may end anywhere.",
        raw(*split(ordinary(), len(ordinary()) - 5, len(ordinary()) - 2), delay=0.005),
    )
    yield case(
        "framing/done-with-spaces",
        "puts spaces after `[DONE]`",
        "Servers do.",
        raw(*events(*HELLO, done=False), b"data: [DONE]  \n\n"),
    )
    literal = "data: [DONE]\n\ndata: {}\n\nevent: error\r\n: x"
    yield case(
        "framing/framing-as-text",
        "writes framing in the text",
        "What stands in a JSON string is text.",
        raw(*events(literal)),
        text=literal,
    )


def _characters() -> Iterator[Case]:
    for name, text in UNICODE.items():
        body = b"".join(events(text))
        start = body.index(text.encode())
        size = len(text.encode())
        yield case(
            f"characters/{name}",
            f"writes {text!a} and splits it after every byte",
            "A read may end in the middle of a character.",
            raw(*split(body, *range(start, start + size + 1)), delay=0.001),
            text=text,
        )
        for offset in range(1, min(size, 5)):
            yield case(
                f"characters/{name}-at-{offset}",
                f"writes {text!a} and splits it after byte {offset}",
                "A read may end in the middle of a character.",
                raw(*split(body, start + offset), delay=0.01),
                text=text,
            )
    invalid = {
        "ff": (b"\xff", "\ufffd"),
        "cut-character": (b"\xe4\xbd", "\ufffd"),
        "overlong": (b"\xc0\xaf", "\ufffd\ufffd"),
        "surrogate": (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    }
    for name, (bad, shown) in invalid.items():
        body = b"".join(events("a@b")).replace(b"@", bad)
        yield case(
            f"characters/invalid-{name}",
            f"has the invalid bytes {bad.hex(' ')} in the text",
            "Invalid bytes become U+FFFD; they are no reason to lose the answer.",
            raw(body),
            text=f"a{shown}b",
        )
    yield case(
        "characters/escaped-pair",
        "escapes an emoji as a pair of surrogates",
        "JSON says so.",
        raw(*from_first([event(b'{"choices":[{"index":0,"delta":{"content":"\\ud83d\\ude00"}}]}')])),
        text="😀",
    )
    half = b'{"choices":[{"index":0,"delta":{"content":"%s"}}]}'
    yield case(
        "characters/pair-in-two-chunks",
        "sends the halves of a pair of surrogates in two chunks",
        "Servers that count in UTF-16 do.",
        raw(*from_first([event(half % b"a\\ud83d"), event(half % b"\\ude00b")])),
        text="a😀b",
    )
    yield case(
        "characters/lone-surrogate",
        "sends half of a pair of surrogates",
        "It can be neither encoded nor stored, so it becomes U+FFFD.",
        raw(*from_first([event(half % b"a\\ud83d"), event(half % b"b")])),
        text="a\ufffdb",
    )
    odd = "a\u2028b\u2029c\x85d\u000be\u000cf\x1cg\x00h\x7fi"
    yield case(
        "characters/line-separators",
        "writes U+2028, U+2029, U+0085 and control characters in the text",
        "They end no line of the stream.",
        raw(*events(odd)),
        text=odd,
    )
    spaces = ["  ", "\n\n", "\t", " x ", "\r\n"]
    yield case(
        "characters/white-space",
        "sends chunks of white space",
        "White space is text.",
        raw(*events(*spaces)),
        text="".join(spaces),
    )


# --- dialects -----------------------------------------------------------------------------------------------


def said(name: str, server: str, *pieces: bytes, why: str = DIALECT, **demands: Any) -> Case:
    """Return a case of a dialect."""
    return case(f"dialects/{name}", server, why, raw(*pieces), **demands)


def _contents() -> Iterator[Case]:
    yield said("role-first", "sends the role first, without content", event(chunk(role="assistant")), *HELLOS, *STOP)
    null = event(whole([{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]))
    yield said("null-content", "sends content null with the role", null, *HELLOS, null, *STOP)
    yield said("empty-content", "sends empty content now and then", event(chunk("")), *HELLOS, event(chunk("")), *STOP)
    yield said(
        "empty-content-with-finish",
        "sends empty content with the finish reason",
        *HELLOS,
        event(chunk("", "stop")),
        DONE,
    )
    yield said(
        "content-with-finish", "sends text with the finish reason", *HELLOS[:2], event(chunk("world!", "stop")), DONE
    )
    yield said("content-parts", "sends the content as a list of parts", event(chunk(PARTS)), *STOP)
    other = [{"type": "image_url", "image_url": {"url": "x"}}, *PARTS, {"type": "text"}, "text"]
    yield said(
        "unknown-content-parts",
        "sends parts of other types among the text",
        event(chunk(other[:4])),
        *STOP,
        why="What is not text is not shown as text.",
    )
    yield said("content-parts-empty", "sends an empty list of parts", event(chunk([])), *HELLOS, *STOP)


def _usages() -> Iterator[Case]:
    yield said(
        "usage-chunk",
        "sends the usage with empty choices",
        *HELLOS,
        STOP[0],
        event(whole([], usage=COUNTS)),
        DONE,
        usage=(7, 3),
    )
    yield said(
        "usage-null",
        "sends usage null with every chunk",
        *[
            event(whole([{"delta": {"content": t}}], usage=None, x=1)).replace(b'"x": 1', b'"usage": null')
            for t in HELLO
        ],
        STOP[0],
        event(whole([], usage=COUNTS)),
        DONE,
        usage=(7, 3),
    )
    yield said(
        "usage-with-finish",
        "sends the usage with the finish reason",
        *HELLOS,
        event(chunk(None, "stop", usage=COUNTS)),
        DONE,
        usage=(7, 3),
    )
    running = [event(chunk(text, usage=tokens(7, number))) for number, text in enumerate(HELLO, 1)]
    yield said(
        "usage-running", "counts the usage with every chunk", *running, *STOP, usage=(7, 3), why="The last counts."
    )
    yield said(
        "usage-in-part",
        "sends a usage of which the half is missing",
        *HELLOS,
        STOP[0],
        event(whole([], usage={"prompt_tokens": 7, "completion_tokens": None})),
        DONE,
        usage=(7, None),
        why="A number that is not given is not made up.",
    )
    yield said(
        "usage-of-wrong-type",
        "sends a usage that is a string",
        *HELLOS,
        STOP[0],
        event(whole([], usage="many")),
        DONE,
        why="The answer is whole all the same.",
    )
    yield said(
        "no-usage",
        "sends no usage",
        *HELLOS,
        *STOP,
        why="It is optional.",
    )
    filters = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
    azure = event(whole([], model="", prompt_filter_results=filters, id="", created=0))
    yield said("azure-first-chunk", "sends a first chunk of filter results with empty choices", azure, *HELLOS, *STOP)
    late = whole([{"index": 0, "finish_reason": None, "content_filter_results": {}, "content_filter_offsets": {}}])
    yield said("azure-late-filter", "sends filter results without a delta", *HELLOS, event(late), *STOP)


def _reasonings() -> Iterator[Case]:
    for field in ("reasoning_content", "reasoning"):
        thoughts = [event(chunk(None, **{field: text})) for text in ("two ", "and two")]
        yield said(
            field.replace("_", "-"),
            f"sends `{field}` before the answer",
            *thoughts,
            *HELLOS,
            *STOP,
            reasoning="two and two",
            why="It is shown apart from the answer.",
        )
    both = event(chunk(None, reasoning="hm", reasoning_content="hm"))
    yield said("both-reasonings", "sends both fields with the same words", both, *HELLOS, *STOP, reasoning="hm")
    yield said(
        "reasoning-null",
        "sends reasoning null with the text",
        *[event(chunk(text)).replace(b'"content"', b'"reasoning_content": null, "content"') for text in HELLO],
        *STOP,
    )
    yield said(
        "reasoning-with-text",
        "sends reasoning and text in one chunk",
        event(chunk(SAID, reasoning_content="hm")),
        *STOP,
        reasoning="hm",
    )
    yield said(
        "reasoning-only",
        "reasons, and finishes without a word",
        event(chunk(None, reasoning_content="hm")),
        *STOP,
        kinds=("empty",),
        reasoning="hm",
        attempts=ONCE_TO_THRICE[:1],
        why="Reasoning is no answer.",
    )


def _refusals_and_calls() -> Iterator[Case]:
    refusal = [event(chunk(None, refusal=text)) for text in ("I cannot ", "help.")]
    yield said(
        "refusal",
        "sends a refusal",
        *refusal,
        *STOP,
        kinds=("refusal",),
        says="I cannot help.",
        why="A refusal is not an answer, and its words are the server's.",
    )
    yield said(
        "refusal-after-text",
        "sends text, then a refusal",
        *HELLOS,
        *refusal,
        *STOP,
        kinds=("refusal",),
        text=SAID,
        why="The text is kept, the turn has failed.",
    )
    yield said(
        "refusal-null",
        "sends refusal null with every chunk",
        *[event(chunk(text)).replace(b'"content"', b'"refusal": null, "content"') for text in HELLO],
        *STOP,
    )
    calls = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": '}},
        {"index": 0, "function": {"arguments": '"Paris"}'}},
    ]
    called = [event(chunk(None, tool_calls=[call])) for call in calls]
    tools = [event(chunk(None, "tool_calls")), DONE]
    yield said(
        "tool-calls",
        "calls a tool, in three chunks",
        *called,
        *tools,
        kinds=("unsupported",),
        says="get_weather",
        why="There is no answer, and it must not look like an empty one.",
    )
    yield said(
        "tool-calls-finish-stop",
        "calls a tool, and finishes with `stop`",
        *called,
        *STOP,
        kinds=("unsupported",),
        why="Servers do; it is still no answer.",
    )
    yield said(
        "tool-calls-after-text",
        "writes a text, then calls a tool",
        *HELLOS,
        *called,
        *tools,
        kinds=("unsupported",),
        text=SAID,
        finish="tool_calls",
        why="The text is kept; that it ended in a call is reported either way.",
    )
    old = [event(chunk(None, function_call={"name": "get_weather", "arguments": "{}"}))]
    yield said(
        "function-call",
        "calls a function in the old way",
        *old,
        event(chunk(None, "function_call")),
        DONE,
        kinds=("unsupported",),
        why="There is no answer.",
    )
    yield said(
        "no-tool-calls",
        "sends empty lists of tool calls with the text",
        *[event(chunk(text, tool_calls=[])) for text in HELLO],
        *STOP,
    )


def _finishes() -> Iterator[Case]:
    blank = [event(chunk(text, "")) for text in HELLO]
    yield said("empty-finish-reason", 'sends finish_reason `""` until the end', *blank, *STOP)
    yield said(
        "only-empty-finish-reasons",
        'sends finish_reason `""` to the end',
        *blank,
        event(chunk("", "")),
        DONE,
        kinds=("incomplete",),
        text=SAID,
        why="An empty reason does not count.",
    )
    for reason in ("length", "end_turn", "STOP", "eos_token"):
        yield said(
            f"finish-{reason.lower()}",
            f"finishes with `{reason}`",
            *HELLOS,
            event(chunk(None, reason)),
            DONE,
            finish=reason,
            why="The reason is reported as it was given.",
        )
    yield said(
        "length-without-text",
        "finishes with `length` before a word",
        event(chunk(None, "length")),
        DONE,
        kinds=("empty",),
        attempts=ONCE_TO_THRICE,
        why="An answer without a word is not an answer.",
    )
    filtered = [event(chunk(None, "content_filter")), DONE]
    yield said(
        "content-filter",
        "finishes with `content_filter` after some text",
        *HELLOS,
        *filtered,
        kinds=("content_filter",),
        text=SAID,
        why="The answer was withheld; what came is kept.",
    )
    yield said(
        "content-filter-without-text",
        "finishes with `content_filter` before a word",
        *filtered,
        kinds=("content_filter",),
        why="It would be withheld again.",
    )
    yield said(
        "finish-error",
        "finishes with `error` after some text",
        *HELLOS,
        event(chunk(None, "error")),
        DONE,
        kinds=REPORTED,
        text=SAID,
        why="Gateways do when the model behind them fails.",
    )
    yield said(
        "chunks-after-finish",
        "sends empty chunks after the finish reason",
        *HELLOS,
        STOP[0],
        event(chunk("")),
        event(chunk()),
        DONE,
    )
    yield said("finish-twice", "says the finish reason twice", *HELLOS, STOP[0], *STOP)


def _choices() -> Iterator[Case]:
    def choice(index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": {} if text is None else {"content": text}, "finish_reason": finish}

    one = "One answer was asked for; the first is shown, never a mixture."
    mixed = [event(whole([choice(0, text), choice(1, "Other")])) for text in HELLO]
    yield said(
        "several-choices",
        "sends two choices in each chunk",
        *mixed,
        event(whole([choice(0, None, "stop"), choice(1, None, "stop")])),
        DONE,
        why=one,
    )
    woven = [event(whole([choice(n, t)])) for text in HELLO for n, t in ((1, "Other"), (0, text))]
    yield said(
        "choices-interleaved",
        "sends two choices by turns, and the second ends first",
        event(whole([choice(1, "O")])),
        *woven[:2],
        event(whole([choice(1, None, "length")])),
        *woven[3::2],
        event(whole([choice(0, None, "stop")])),
        DONE,
        why=one,
    )
    yield said(
        "other-choice-finishes",
        "finishes the second choice only",
        *HELLOS,
        event(whole([choice(1, None, "stop")])),
        DONE,
        kinds=("incomplete",),
        text=SAID,
        why="That another answer is whole says nothing of this one.",
    )
    bare = [event(as_json({"choices": [{"delta": {"content": text}}]})) for text in HELLO]
    yield said(
        "bare-minimum",
        "leaves out id, object, model and index",
        *bare,
        event(as_json({"choices": [{"delta": {}, "finish_reason": "stop"}]})),
    )
    yield said(
        "unknown-fields",
        "sends fields that nobody knows",
        *[
            event(
                whole(
                    [{"index": 0, "delta": {"content": t, "x": [1]}, "logprobs": None, "y": {}}],
                    system_fingerprint=None,
                    service_tier="z",
                    timings={"n": 1},
                )
            )
            for t in HELLO
        ],
        *STOP,
    )
    yield said(
        "choices-null",
        "sends choices null, and chunks without choices",
        event(whole(None)),
        event(b"{}"),
        *HELLOS,
        *STOP,
    )
    nothing = whole([{"index": 0, "delta": None, "finish_reason": None}])
    yield said(
        "delta-null",
        "sends delta null, and a choice without delta",
        event(nothing),
        event(whole([{"index": 0}])),
        *HELLOS,
        *STOP,
    )
    yield said(
        "error-null",
        "sends `error: null` with every chunk",
        *[event(whole([choice(0, t)], error=None)) for t in HELLO],
        *STOP,
    )
    yield said(
        "no-done", "sends no `[DONE]`", *HELLOS, STOP[0], why="The finish reason is the end; `[DONE]` is a custom."
    )
    yield said(
        "data-after-done",
        "sends more text after `[DONE]`",
        *HELLOS,
        *STOP,
        event(chunk("wrong")),
        b"data: nonsense\n\n",
        why="What follows `[DONE]` is no part of the answer.",
    )
    yield case(
        "dialects/open-after-done",
        "leaves the connection open after `[DONE]`",
        "The answer is over; nobody waits for the end of the body.",
        raw(*HELLOS, *STOP, hold=threading.Event()),
        within=3.0,
    )
    yield said(
        "model-name",
        "answers with another model than was asked for",
        *[event(whole([choice(0, text)], model="other-2026")) for text in HELLO],
        event(whole([choice(0, None, "stop")], model="other-2026")),
        DONE,
        model="other-2026",
        why="The person sees who really answers.",
    )


def _types() -> Iterator[Case]:
    for name, kind in (
        ("charset", "text/event-stream; charset=utf-8"),
        ("capitals", "Text/Event-Stream"),
        ("plain", PLAIN),
        ("octets", "application/octet-stream"),
    ):
        yield case(
            f"dialects/type-{name}",
            f"calls the stream `{kind}`",
            "Gateways change the type; the bytes are a stream all the same.",
            raw(*events(*HELLO), kind=kind),
        )
    yield case(
        "dialects/type-json",
        "calls the stream `application/json`",
        "Gateways do; the bytes are a stream all the same.",
        raw(*events(*HELLO), kind=JSON),
    )
    yield case(
        "dialects/type-missing",
        "gives no content type",
        "The bytes are a stream all the same.",
        Answer(
            wire=[
                head().replace(b"Content-Type: text/event-stream\r\n", b"Transfer-Encoding: chunked\r\n"),
                *chunked(events(*HELLO)),
            ]
        ),
    )
    plain = completion(SAID, usage=COUNTS)
    why = "Servers that can't stream answer so, and the answer is good."
    yield case("dialects/plain-json", "answers with plain JSON", why, raw(plain, kind=JSON), usage=(7, 3))
    yield case(
        "dialects/plain-json-charset",
        "the same, with a charset and in pieces",
        why,
        raw(*every(plain, 40), kind="application/json; charset=utf-8", delay=0.002),
    )
    pretty = json.dumps(json.loads(plain), indent=2).encode()
    yield case(
        "dialects/plain-json-indented",
        "the same, indented, with a newline before it",
        why,
        raw(b"\n" + pretty, kind=JSON),
    )
    reasoned = completion(SAID).replace(b'"role"', b'"reasoning_content": "hm", "role"')
    yield case(
        "dialects/plain-json-reasoning", "the same, with reasoning", why, raw(reasoned, kind=JSON), reasoning="hm"
    )
    yield case(
        "dialects/plain-json-parts",
        "the same, with the content as a list of parts",
        why,
        raw(completion(PARTS), kind=JSON),
    )
    yield case(
        "dialects/plain-json-length",
        "the same, finished by `length`",
        why,
        raw(completion(SAID, "length"), kind=JSON),
        finish="length",
    )
    yield case(
        "dialects/plain-json-unfinished",
        "the same, without a finish reason",
        "Nobody said that it is whole.",
        raw(completion(SAID, None), kind=JSON),
        kinds=("incomplete",),
        text=SAID,
    )
    yield case(
        "dialects/plain-json-refusal",
        "refuses in plain JSON",
        "A refusal is not an answer.",
        raw(completion(None).replace(b'"role"', b'"refusal": "I cannot help.", "role"'), kind=JSON),
        kinds=("refusal",),
        says="I cannot help.",
    )
    yield case(
        "dialects/plain-json-empty",
        "answers with plain JSON without a word",
        "An answer without a word is none.",
        raw(completion(""), kind=JSON),
        kinds=("empty",),
        attempts=ONCE_TO_THRICE,
    )


# --- errors in a 200 ----------------------------------------------------------------------------------------


def _errors() -> Iterator[Case]:
    lie = "The status says that all is well, the body says otherwise; the body is right."
    hello = [event(chunk(text)) for text in HELLO]

    def before(
        name: str, server: str, *pieces: bytes, kinds: tuple[str, ...], kind: str = EVENTS, **demands: Any
    ) -> Case:
        attempts = demands.pop("attempts", ONCE_TO_THRICE)
        answers = [raw(*pieces, kind=kind, headers=QUICKLY)] * max(attempts)
        return case(
            f"errors/{name}", server, demands.pop("why", lie), *answers, kinds=kinds, attempts=attempts, **demands
        )

    def after(name: str, server: str, *pieces: bytes, kinds: tuple[str, ...] = REPORTED, **demands: Any) -> Case:
        why = "The text is kept, the turn has failed, and nothing is asked again."
        return case(f"errors/{name}", server, why, raw(*hello, *pieces), kinds=kinds, text=SAID, **demands)

    broken = error("the model crashed", "server_error")
    yield before(
        "first-event", "sends an error as the first event", event(broken), kinds=REPORTED, says="the model crashed"
    )
    yield before("first-event-done", "the same, and then `[DONE]`", event(broken), DONE, kinds=REPORTED, says="crashed")
    text_error = as_json({"error": "the model crashed"})
    yield before(
        "error-string", "sends an error that is a string", event(text_error), kinds=REPORTED, says="the model crashed"
    )
    known = {
        "rate-limit": (error("slow down", "rate_limit_error", "rate_limit_exceeded"), ("rate_limit",)),
        "429": (error("slow down", "", 429), ("rate_limit",)),
        "503": (error("too busy", "", 503), ("overloaded", "server")),
        "overloaded": (error("too busy", "overloaded_error"), ("overloaded", "server", "stream")),
        "500-as-string": (error("oops", "", "500"), ("server", "stream")),
    }
    for name, (body, kinds) in known.items():
        yield before(f"first-event-{name}", f"sends `{body.decode()}` as the first event", event(body), kinds=kinds)
    final = {
        "quota": (error("used up", "insufficient_quota", "insufficient_quota"), ("quota",)),
        "context": (error("too long", "invalid_request_error", "context_length_exceeded"), ("context_length",)),
        "401": (error("wrong key", "authentication_error", 401), ("authentication",)),
        "invalid-key": (
            error("wrong key", "invalid_request_error", "invalid_api_key"),
            ("authentication", "bad_request"),
        ),
        "403": (error("not for you", "", "403 FORBIDDEN"), ("permission",)),
        "model-not-found": (error("no such model", "invalid_request_error", "model_not_found"), ("not_found",)),
    }
    for name, (body, kinds) in final.items():
        yield before(
            f"first-event-{name}",
            f"sends `{body.decode()}` as the first event",
            event(body),
            kinds=kinds,
            attempts=(1,),
            why="It names a kind that we know, and a retry would not help.",
        )
    vllm = as_json(
        {"object": "error", "message": "bad sampling", "type": "BadRequestError", "param": None, "code": 400}
    )
    yield before(
        "error-object", 'sends `"object": "error"`', event(vllm), kinds=("bad_request", "stream"), says="bad sampling"
    )
    yield before(
        "event-error",
        "sends `event: error` with JSON",
        event(broken, name=b"error"),
        kinds=REPORTED,
        says="the model crashed",
    )
    yield before(
        "event-error-flat",
        "sends `event: error` with the message alone in the JSON",
        event(as_json({"message": "the model crashed"}), name=b"error"),
        kinds=REPORTED,
        says="the model crashed",
    )
    yield before(
        "event-error-text",
        "sends `event: error` with plain text",
        event(b"the model crashed", name=b"error"),
        kinds=REPORTED,
        says="the model crashed",
    )
    yield after("later-event", "sends an error after some text", event(broken), says="the model crashed")
    yield after("later-event-done", "the same, and then `[DONE]`", event(broken), DONE)
    yield after("later-event-error", "sends `event: error` after some text", event(broken, name=b"error"), DONE)
    yield after(
        "later-event-error-text",
        "sends `event: error` with plain text after some text",
        event(b"the model crashed", name=b"error"),
        says="the model crashed",
    )
    yield after(
        "later-error-in-choice",
        "sends an error beside a choice that is finished by `error`",
        event(
            whole(
                [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
                error={"code": 502, "message": "the model crashed"},
            )
        ),
        DONE,
        says="the model crashed",
    )
    yield after(
        "later-rate-limit",
        "sends a 429 after some text",
        event(error("slow down", "", 429)),
        kinds=("rate_limit", "stream"),
    )
    yield after(
        "later-nonsense",
        "sends an event that is no JSON after some text",
        b"data: {nonsense\n\n",
        DONE,
        kinds=("protocol",),
    )
    yield after("later-list", "sends a JSON list after some text", b"data: [1]\n\n", DONE, kinds=("protocol",))
    deep = b"data: " + b"[" * 200_000 + b"\n\n"
    yield after("later-deep", "sends 200,000 opening brackets after some text", deep, DONE, kinds=("protocol",))
    yield before("json-error", "answers with a JSON error", broken, kinds=REPORTED, kind=JSON, says="the model crashed")
    yield before(
        "json-error-as-stream",
        "answers with a JSON error and calls it a stream",
        broken,
        kinds=(*REPORTED, "empty", "incomplete"),
    )
    yield before(
        "json-detail",
        'answers with `{"detail": …}`',
        as_json({"detail": "no such route"}),
        kind=JSON,
        kinds=(*REPORTED, "empty", "incomplete"),
    )
    yield before(
        "json-cut",
        "answers with half a JSON object",
        completion(SAID)[:60],
        kinds=("protocol", "incomplete"),
        kind=JSON,
    )
    yield before("json-empty-object", "answers with `{}`", b"{}", kinds=("incomplete", "empty", "protocol"), kind=JSON)
    yield before(
        "json-no-choices", "answers with empty choices", whole([]), kinds=("incomplete", "empty", "protocol"), kind=JSON
    )
    nothing = ("empty", "incomplete", "protocol")
    yield before(
        "html", "answers with an HTML page", HTML_PAGE, kinds=("protocol",), kind=HTML, why="It is a log-in page."
    )
    yield before("html-as-stream", "answers with an HTML page and calls it a stream", HTML_PAGE, kinds=nothing)
    yield before("text", "answers with a line of plain text", b"upstream connect error", kinds=nothing, kind=PLAIN)
    yield before("empty", "answers with an empty body", kinds=nothing)
    yield before("empty-json", "answers with an empty body of type JSON", kinds=nothing, kind=JSON)
    yield before("blank", "answers with blank lines", b"\n\n \n\n", kinds=nothing)
    yield before("comments-only", "answers with comments alone", b": ping\n\n: ping\n\n", kinds=nothing)
    yield before("done-only", "answers with `[DONE]` alone", DONE, kinds=nothing)
    yield before("finish-only", "finishes with `stop` before a word", event(chunk("", "stop")), DONE, kinds=("empty",))
    gone = Answer(wire=[b"HTTP/1.1 204 No Content\r\n\r\n"])
    yield case(
        "errors/no-content",
        "answers 204 without a body",
        "An answer without a word is none.",
        gone,
        gone,
        gone,
        kinds=("empty", "protocol", "api", "incomplete", "bad_request"),
        attempts=ONCE_TO_THRICE,
    )


# --- truth --------------------------------------------------------------------------------------------------


def _truth() -> Iterator[Case]:
    kept = "Nobody said that the answer is whole: the text is kept, the turn has failed, and nothing is asked again."
    hello = [event(chunk(text)) for text in HELLO]
    cut_short = head(EVENTS, "Transfer-Encoding: chunked")

    def broken(name: str, server: str, *answers: Answer, **demands: Any) -> Case:
        return case(
            f"truth/{name}", server, demands.pop("why", kept), *answers, **{"kinds": CUT, "text": SAID, **demands}
        )

    yield broken("no-finish", "ends without a finish reason and without `[DONE]`", raw(*hello), kinds=("incomplete",))
    yield broken(
        "done-without-finish", "sends `[DONE]` without a finish reason", raw(*hello, DONE), kinds=("incomplete",)
    )
    yield broken("cut", "closes the connection in the middle", raw(*hello, cut=True, delay=0.01))
    yield broken("reset", "resets the connection in the middle", raw(*hello, reset=True, hold=None, delay=0.02))
    yield broken(
        "cut-in-event",
        "closes the connection in the middle of an event",
        raw(*hello, event(chunk("x"))[:30], cut=True, delay=0.01),
    )
    yield broken("ends-in-event", "ends the body in the middle of an event", raw(*hello, event(chunk("x"))[:30]))
    yield broken(
        "ends-in-character", "ends the body in the middle of a character", raw(*hello, 'data: {"世'.encode()[:-1])
    )
    yield broken(
        "ends-in-finish",
        "ends the body in the middle of the finish reason's event",
        raw(*hello, event(chunk(None, "stop"))[:-20]),
    )
    bad = {
        "bad-chunk-size": b"ZZ\r\n",
        "negative-chunk-size": b"-5\r\nabcde\r\n",
        "huge-chunk-size": b"FFFFFFFFFFFFFFFFFF\r\nabc",
        "no-chunk-end": b"3\r\nabcdef\r\n",
        "empty-chunk-size": b"\r\n\r\n",
    }
    for name, junk in bad.items():
        yield broken(
            f"{name}",
            f"sends {ascii(junk)[2:-1]} where the next chunk begins, and closes",
            Answer(wire=[cut_short, *chunked(hello, last=False), junk], delay=0.01),
            kinds=BROKEN,
            within=4.0,
        )
    yield broken(
        "bad-chunk-then-silence",
        "sends a bad chunk size, then falls silent",
        raw(*hello, garbage=b"ZZ\r\n"),
        kinds=(*BROKEN, "timeout"),
        options={"idle_timeout": 0.4},
        within=4.0,
        why="A parser that is stuck must not hold up the person.",
    )
    yield broken(
        "no-last-chunk",
        "closes without HTTP's last chunk",
        Answer(wire=[cut_short, *chunked(hello, last=False)], delay=0.01),
    )
    body = b"".join(hello)
    yield broken(
        "short-body",
        "promises 500 bytes more than it sends",
        Answer(wire=[head(EVENTS, f"Content-Length: {len(body) + 500}"), body], delay=0.01),
    )
    yield broken(
        "closed-body",
        "ends a body without length by closing, as HTTP/1.0 does, without a finish reason",
        Answer(wire=[head(EVENTS, status="HTTP/1.0 200 OK"), body], delay=0.01),
        kinds=("incomplete",),
    )
    thought = event(chunk(None, reasoning_content="hm"))
    yield broken(
        "cut-in-reasoning",
        "closes the connection while the model reasons",
        raw(thought, cut=True, delay=0.01),
        raw(*hello),
        text="",
        reasoning="hm",
        why="Reasoning was shown, so nothing is asked again.",
    )
    yield broken(
        "cut-before-text",
        "closes the connection after the headers, every time",
        *[raw(event(chunk("", role="assistant")), cut=True, delay=0.01)] * 3,
        text="",
        attempts=ONCE_TO_THRICE,
        why="There is no answer. Nothing was shown, so it may be asked again.",
    )
    finished = [*hello, event(chunk(None, "stop"))]
    why = "The answer is complete, and the server said so; only a false report would be wrong."
    yield case(
        "truth/cut-after-finish",
        "closes the connection after the finish reason",
        why,
        raw(*finished, cut=True, delay=0.01),
        kinds=CUT,
        text=SAID,
        finish="stop",
    )
    yield case(
        "truth/silent-after-finish",
        "falls silent after the finish reason",
        why,
        raw(*finished, hold=threading.Event()),
        options={"idle_timeout": 0.4},
        within=4.0,
        kinds=("timeout", *CUT),
        text=SAID,
        finish="stop",
    )
    yield case(
        "truth/cut-after-done",
        "closes the connection after `[DONE]`",
        "The answer is whole.",
        raw(*finished, DONE, cut=True, delay=0.01),
    )
    yield case(
        "truth/error-after-done",
        "sends an error after `[DONE]`",
        "What follows `[DONE]` is no part of the answer.",
        raw(*finished, DONE, event(error("late"))),
    )


# --- HTTP ---------------------------------------------------------------------------------------------------


def _http() -> Iterator[Case]:
    fine = "HTTP allows it."
    pieces = events(*HELLO)
    body = b"".join(pieces)
    chunks = head(EVENTS, "Transfer-Encoding: chunked")
    yield case(
        "http/content-length",
        "sends a length instead of chunks",
        fine,
        Answer(wire=[head(EVENTS, f"Content-Length: {len(body)}"), body]),
    )
    yield case(
        "http/until-closed",
        "ends the body by closing, as HTTP/1.0 does",
        fine,
        Answer(wire=[head(EVENTS, status="HTTP/1.0 200 OK"), *pieces]),
    )
    yield case(
        "http/chunk-extensions",
        "sends chunks with extensions",
        fine,
        Answer(wire=[chunks, *[b"%x;a=b\r\n%s\r\n" % (len(p), p) for p in pieces], b"0\r\n\r\n"]),
    )
    yield case(
        "http/chunk-trailers",
        "sends trailers after the last chunk",
        fine,
        Answer(wire=[chunks, *chunked(pieces, last=False), b"0\r\nX-Sum: 1\r\n\r\n"]),
    )
    yield case(
        "http/chunk-zeros",
        "writes chunk sizes with zeros and capitals",
        fine,
        Answer(wire=[chunks, *[b"%08X\r\n%s\r\n" % (len(p), p) for p in pieces], b"0\r\n\r\n"]),
    )
    yield case(
        "http/early-hints",
        "sends 103 before the answer",
        fine,
        Answer(wire=[b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", chunks, *chunked(pieces)]),
    )
    yield case(
        "http/continue",
        "sends 100 before the answer",
        fine,
        Answer(wire=[b"HTTP/1.1 100 Continue\r\n\r\n", chunks, *chunked(pieces)]),
    )
    wire = b"".join([chunks, *chunked(pieces)])
    yield case(
        "http/byte-by-byte",
        "sends every byte by itself, headers too",
        "A read may end anywhere.",
        Answer(wire=every(wire, 1), delay=0.0002),
    )
    yield case(
        "http/odd-headers",
        "sends long, repeated and unknown headers",
        fine,
        Answer(
            wire=[
                head(
                    EVENTS,
                    "Transfer-Encoding: chunked",
                    "X-A: 1",
                    "x-a: 2",
                    "X-Long: " + "y" * 6000,
                    "Set-Cookie: a=b",
                    "X-Empty:",
                ),
                *chunked(pieces),
            ]
        ),
    )
    nonsense = {
        "no-http": (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks another protocol"),
        "bad-status": (b"HTTP/1.1 abc OK\r\n\r\n", "sends a status that is no number"),
        "bad-header": (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "sends a header without a colon"),
        "cut-header": (b"HTTP/1.1 200 OK\r\nContent-Ty", "closes in the middle of the headers"),
        "huge-header": (b"HTTP/1.1 200 OK\r\nX-A: " + b"y" * 200_000 + b"\r\n\r\n", "sends a header of 200 kB"),
        "bad-length": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "sends a length that is no number"),
    }
    for name, (junk, server) in nonsense.items():
        answer = Answer(wire=[junk], delay=0.01)
        yield case(
            f"http/{name}",
            server,
            "It is no answer, and nothing but an error of the tree may come of it.",
            answer,
            answer,
            answer,
            kinds=BROKEN,
            attempts=ONCE_TO_THRICE,
        )
    yield case(
        "http/question",
        "looks at the request",
        "The key goes as `Authorization: Bearer`, the body is JSON and asks for a stream.",
        raw(body),
        demand=key_is_bearer,
    )


def _compression() -> Iterator[Case]:
    pieces = events(*HELLO)
    body = b"".join(pieces)
    why = "The client said that it takes it."
    for how in ("gzip", "deflate"):
        encoded = {"Content-Encoding": how}
        yield case(
            f"compression/{how}",
            f"compresses the stream by {how}",
            why,
            raw(*compressed(pieces, how), headers=encoded, delay=0.003),
        )
        yield case(
            f"compression/{how}-at-once",
            f"compresses all by {how}, in one piece",
            why,
            raw(b"".join(compressed([body], how)), headers=encoded),
        )
        yield case(
            f"compression/{how}-byte-by-byte",
            f"compresses by {how}, and sends every byte by itself",
            "A read may end anywhere.",
            raw(*every(b"".join(compressed([body], how)), 1), headers=encoded, delay=0.0005),
        )
    gz = {"Content-Encoding": "gzip"}
    yield case(
        "compression/deflate-raw",
        "compresses by deflate without zlib's header",
        "Servers do.",
        raw(*compressed(pieces, "raw"), headers={"Content-Encoding": "deflate"}),
    )
    yield case(
        "compression/identity",
        "names the encoding `identity`",
        "It changes nothing.",
        raw(body, headers={"Content-Encoding": "identity"}),
    )
    yield case(
        "compression/gzip-length",
        "compresses by gzip, and sends a length",
        why,
        Answer(wire=[head(EVENTS, "Content-Encoding: gzip", f"Content-Length: {len(gzipped(body))}"), gzipped(body)]),
    )
    yield case(
        "compression/gzip-streamed",
        "compresses by gzip, and takes a second for the second half",
        "What is there is shown, compressed or not.",
        raw(*compressed([pieces[0] + pieces[1], b"".join(pieces[2:])], "gzip"), headers=gz, delay=1.0),
        first_within=0.8,
    )
    hello = compressed([event(chunk(text)) for text in HELLO], "gzip")
    kept = "Nobody said that the answer is whole: the text is kept, the turn has failed."
    yield case(
        "compression/gzip-cut",
        "ends the body in the middle of the gzip stream",
        kept,
        raw(*hello[:-1], headers=gz, delay=0.01),
        kinds=CUT,
        text=SAID,
    )
    yield case(
        "compression/gzip-closed",
        "closes the connection in the middle of the gzip stream",
        kept,
        raw(*hello[:-1], headers=gz, delay=0.01, cut=True),
        kinds=CUT,
        text=SAID,
    )
    yield case(
        "compression/gzip-corrupt",
        "sends nonsense in the middle of the gzip stream",
        kept,
        raw(*hello[:-1], b"\xff" * 40, headers=gz, delay=0.02),
        kinds=BROKEN,
        text=SAID,
    )
    plain = raw(body, headers=gz)
    yield case(
        "compression/gzip-is-none",
        "calls a plain body gzip",
        "It can't be read, and that is said.",
        plain,
        plain,
        plain,
        kinds=BROKEN,
        attempts=ONCE_TO_THRICE,
    )
    refused = Answer(status=401, raw=[gzipped(error("wrong key"))], headers=with_headers(JSON, Content_Encoding="gzip"))
    yield case(
        "compression/gzip-error",
        "compresses the body of a 401",
        "Its words are readable.",
        refused,
        kinds=("authentication",),
        says="wrong key",
    )
    yield case(
        "compression/honest",
        "looks at `Accept-Encoding`",
        "An encoding that can't be undone here may not be asked for.",
        raw(body),
        demand=COMPRESSION_HONEST,
    )


# --- time ---------------------------------------------------------------------------------------------------


def _time() -> Iterator[Case]:
    pieces = events(*HELLO)
    hello = [event(chunk(text)) for text in HELLO]
    idle = {"idle_timeout": 0.4}
    kept = "The person must not wait for ever; the text is kept."
    yield case(
        "time/trickle",
        "sends a piece every 0.15 s, with an idle limit of 0.4 s",
        "The limit is for silence, not for the whole.",
        raw(*pieces, delay=0.15),
        options=idle,
    )
    yield case(
        "time/shown-at-once",
        "takes a second for the second half",
        "What is there is shown.",
        raw(*pieces[:2], b"".join(pieces[2:]), delay=0.5),
        first_within=0.9,
    )
    yield case(
        "time/idle",
        "falls silent after some text",
        kept,
        raw(*hello, hold=threading.Event()),
        kinds=("timeout", "incomplete"),
        text=SAID,
        options=idle,
        within=4.0,
    )
    yield case(
        "time/idle-in-event",
        "falls silent in the middle of an event",
        kept,
        raw(*hello, b"data: {", hold=threading.Event()),
        kinds=("timeout", "incomplete"),
        text=SAID,
        options=idle,
        within=4.0,
    )
    for name, answer, server in (
        ("no-headers", Answer(wire=[b""], hold=threading.Event()), "never answers"),
        ("no-body", raw(hold=threading.Event()), "sends headers, then nothing"),
        ("only-role", raw(pieces[0], hold=threading.Event()), "sends the role, then nothing"),
    ):
        yield case(
            f"time/{name}",
            server,
            "The person must not wait for ever.",
            answer,
            answer,
            answer,
            kinds=("timeout",),
            attempts=ONCE_TO_THRICE,
            options=idle,
            within=6.0,
        )
    trickle = [*hello, *[b": ping\n\n"] * 200]
    yield case(
        "time/total",
        "sends keep-alives for ever after some text, with a limit for the whole",
        "The limit is the person's own.",
        raw(*trickle, delay=0.05),
        kinds=("timeout", "incomplete"),
        text=SAID,
        options={"timeout": 0.8},
        within=4.0,
    )
    yield case(
        "time/total-no-headers",
        "never answers, with a limit for the whole",
        "The limit is for all attempts together.",
        *[Answer(wire=[b""], hold=threading.Event())] * 3,
        kinds=("timeout",),
        attempts=ONCE_TO_THRICE,
        options={"timeout": 0.6},
        within=3.0,
    )
    yield case(
        "time/keep-alive",
        "sends comments for 0.9 s before it answers, with an idle limit of 0.4 s",
        "Comments are there to say that the server lives.",
        raw(*[b": ping\n\n"] * 6, *pieces, delay=0.15),
        options=idle,
    )
    gone = "The server writes on for nobody, and the person pays."
    for how, shown in (
        ("leave", "sees the reader leave after the first text"),
        ("cancel", "sees the reader cancelled after the first text"),
    ):
        yield case(f"time/{how}", shown, gone, raw(*hello, hold=threading.Event()), text="", finish="stop", stop=how)
    yield case(
        "time/cancel-early",
        "sees the reader cancelled while it waits for the headers",
        gone,
        Answer(raw=[], hold=threading.Event()),
        stop="cancel-early",
        within=2.0,
    )


CASES: Final[tuple[Case, ...]] = (
    *_line_ends(),
    *_fields(),
    *_pieces(),
    *_characters(),
    *_contents(),
    *_usages(),
    *_reasonings(),
    *_refusals_and_calls(),
    *_finishes(),
    *_choices(),
    *_types(),
    *_errors(),
    *_truth(),
    *statuses("openai"),
    *redirects("openai"),
    *retries("openai"),
    *_http(),
    *_compression(),
    *_time(),
)
