"""The cases of OpenAI's streamed chat completions that resellers, routers and local servers made necessary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._common import refused
from ._openai_cases import HELLO, HELLOS, SAID, STOP, case, raw, said
from ._server_cases import TOOLS
from ._wire import DONE, EVENTS, JSON, PLAIN, as_json, chunk, completion, error, event, events, every, whole
from .cases import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

THOUGHT: Final = "two and two"
APART: Final = "It is shown apart from the answer."
NO_TAG: Final = "It is text, and no reasoning."


def _finishes() -> Iterator[Case]:
    none = "A finish reason does not count if text follows it."
    early = [event(chunk(text, "STOP")) for text in HELLO]
    yield said("finish-with-every-chunk", "finishes with `STOP` in every chunk", *early, DONE, finish="STOP", why=none)
    yield said(
        "finish-with-every-chunk-cut",
        "finishes with `stop` in every chunk, and ends without `[DONE]`",
        *early,
        kinds=("incomplete",),
        text=SAID,
        why="Its finish reasons are worth nothing, and nothing else says that the answer is whole.",
    )
    yield case(
        "dialects/finish-with-every-chunk-closed",
        "finishes with `stop` in every chunk, and closes the connection",
        "Its finish reasons are worth nothing.",
        raw(*early[:2], cut=True, delay=0.01),
        kinds=("incomplete", "connection", "protocol"),
        text="Hello, ",
    )
    yield said(
        "finish-then-text",
        "finishes with `stop`, goes on, and ends",
        HELLOS[0],
        STOP[0],
        *HELLOS[1:],
        kinds=("incomplete",),
        text=SAID,
        why=none,
    )
    yield said(
        "finish-then-text-done",
        "finishes with `stop`, goes on, and sends `[DONE]`",
        HELLOS[0],
        STOP[0],
        *HELLOS[1:],
        DONE,
        kinds=("incomplete",),
        text=SAID,
        why=none,
    )
    yield said(
        "finish-then-text-finish", "finishes twice, with text between", HELLOS[0], STOP[0], *HELLOS[1:], *STOP, why=none
    )
    yield said(
        "finish-then-limit",
        "finishes with `stop`, goes on, and reaches its limit",
        HELLOS[0],
        STOP[0],
        *HELLOS[1:],
        event(chunk(None, "length")),
        DONE,
        finish="length",
        why=none,
    )
    yield said(
        "finish-then-empty", "sends empty pieces after the finish reason", *HELLOS, STOP[0], event(chunk("")), DONE
    )
    yield said(
        "finish-before-reasoning",
        "finishes with `stop` while it reasons",
        event(chunk(None, "stop", reasoning_content=THOUGHT)),
        *HELLOS,
        *STOP,
        reasoning=THOUGHT,
        why=none,
    )
    yield case(
        "dialects/finish-with-every-chunk-slowly",
        "finishes with `stop` in every chunk, and takes its time",
        none,
        raw(*early, DONE, delay=0.3),
        finish="STOP",
    )


def _indexes() -> Iterator[Case]:
    def numbered(first: int, *, finish: str | None = "stop") -> list[bytes]:
        texts = [*HELLO, ""]
        return [
            event(whole([{"index": n, "delta": {"content": t}, "finish_reason": finish if n == first + 3 else None}]))
            for n, t in enumerate(texts, first)
        ]

    why = "With one choice in a chunk nothing else can be meant."
    yield said("index-counts", "counts tokens in the index of its choice, from 1", *numbered(1), DONE, why=why)
    yield said("index-counts-from-0", "counts tokens in the index of its choice, from 0", *numbered(0), DONE, why=why)
    yield said(
        "index-counts-unfinished",
        "counts tokens in the index of its choice, and never finishes",
        *numbered(1, finish=None),
        kinds=("incomplete",),
        text=SAID,
        why="Nobody said that it is whole.",
    )
    lone = event(whole([{"index": 1, "delta": {"content": SAID}, "finish_reason": "stop"}]))
    yield said("index-1-alone", "sends one choice with the index 1, and no other", lone, DONE, why=why)


def _comments() -> Iterator[Case]:
    alive = "They keep the connection alive, and are no JSON."
    pieces = events(*HELLO)
    for name, comment in (("openrouter", b": OPENROUTER PROCESSING"), ("colon", b":")):
        yield case(
            f"framing/comments-as-data-{name}",
            f"sends `data: {comment.decode()}` between the events",
            alive,
            raw(*[part for piece in pieces for part in (b"data: " + comment + b"\n\n", piece)]),
        )


def _blanks() -> Iterator[Case]:
    why = "White space alone is not an answer, and would make some servers refuse every later request."
    for name, words in (("space", " "), ("newlines", "\n\n"), ("mixed", " \t\r\n\u3000")):
        yield said(
            f"blank-{name}",
            f"answers with {words!a} alone",
            event(chunk(words)),
            *STOP,
            kinds=("empty",),
            text=words,
            why=why,
        )
    yield case(
        "dialects/blank-plain-json",
        "answers with plain JSON of white space",
        why,
        raw(completion(" \n"), kind=JSON),
        kinds=("empty",),
        text=" \n",
    )


def _thoughts() -> Iterator[Case]:
    def tagged(name: str, server: str, *texts: str, why: str = APART, **demands: Any) -> Case:
        demands = {"reasoning": THOUGHT, **demands}
        return said(f"think-{name}", server, *[event(chunk(text)) for text in texts], *STOP, why=why, **demands)

    block = f"<think>{THOUGHT}</think>"
    yield tagged("block", "writes its reasoning between tags", "<think>", THOUGHT, "</think>", *HELLO)
    yield tagged("one-chunk", "writes reasoning and text in one chunk", f"{block}{SAID}")
    yield tagged(
        "lines", "writes tags, reasoning and text in lines of their own", f"<think>\n{THOUGHT}", "</think>\n\n", *HELLO
    )
    yield tagged("split", "sends every character of it by itself", *f"{block}\n\n{SAID}")
    yield case(
        "dialects/think-byte-by-byte",
        "writes its reasoning between tags, and sends every byte by itself",
        "A tag may be split anywhere.",
        raw(*every(b"".join(events(block, SAID)), 1), delay=0.0001),
        reasoning=THOUGHT,
    )
    yield tagged("capitals", "writes the tags in capitals", f"<THINK>{THOUGHT}</Think>", *HELLO)
    yield tagged("several", "writes two blocks", "<think>two ", "</think>Hello, ", "<think>and two</think>", "world!")
    yield tagged(
        "closing-only",
        "writes the closing tag alone",
        "two ",
        "and two",
        "</think>\n\n",
        *HELLO,
        why="The prompt's template opened the block.",
    )
    yield tagged(
        "closing-only-split",
        "writes the closing tag alone, character by character",
        *f"{THOUGHT}</think>{SAID}",
        why="The prompt's template opened the block.",
    )
    yield tagged(
        "unclosed",
        "never closes the block",
        "<think>",
        THOUGHT,
        text="",
        kinds=("empty",),
        why="Reasoning is no answer.",
    )
    yield tagged("empty", "writes an empty block", "<think>\n\n</think>\n\n", *HELLO, reasoning="")
    yield tagged(
        "half-a-tag", "ends in what may begin a tag", "a < b, b <thi", text="a < b, b <thi", reasoning="", why=NO_TAG
    )
    yield tagged(
        "no-tag",
        "writes what only looks like a tag",
        "<thinker> </thin>",
        text="<thinker> </thin>",
        reasoning="",
        why=NO_TAG,
    )
    code = {
        "fence": "```html\n<think>\nhm\n</think>\n```\n",
        "fence-tildes": "~~~\n<think>hm</think>\n~~~\n",
        "fence-in-list": "- so:\n  ```\n  <think>\n  </think>\n  ```\n",
        "fence-open": "```\n<think>hm</think>\n",
        "inline": "Write `<think>` and `</think>`, or ``a ` </think>``.",
        "in-a-sentence": "The tag <think> opens a block.",
    }
    for name, words in code.items():
        yield tagged(name, f"writes {words!a}", *every_character(words), text=words, reasoning="", why=NO_TAG)
    yield tagged(
        "fence-after-block",
        "writes a block, then a tag in a fence",
        block,
        "```\n</think>\n```",
        text="```\n</think>\n```",
        why=NO_TAG,
    )
    yield tagged(
        "tag-in-block",
        "names the tag in inline code while it reasons",
        "<think>so `</think>` ends it</think>",
        *HELLO,
        reasoning="so `</think>` ends it",
    )
    yield tagged(
        "unclosed-fence",
        "opens a fence while it reasons, and does not close it",
        "<think>```\nx\n</think>\n",
        *HELLO,
        reasoning=f"```\nx\n</think>\n{SAID}",
        why="Reasoning or not, the answer is not lost.",
    )
    both = [
        event(chunk(None, reasoning_content="two ")),
        *[event(chunk(text)) for text in ("<think>and two</think>", *HELLO)],
    ]
    yield said(
        "think-and-field", "sends reasoning in its field, and between tags", *both, *STOP, reasoning=THOUGHT, why=APART
    )
    yield case(
        "dialects/think-plain-json",
        "answers with plain JSON, with reasoning between tags",
        APART,
        raw(completion(f"{block}{SAID}"), kind=JSON),
        reasoning=THOUGHT,
    )
    yield said(
        "think-cut",
        "breaks off in the middle of the block",
        event(chunk(f"<think>{THOUGHT}")),
        kinds=("incomplete",),
        reasoning=THOUGHT,
        why="Nobody said that it is whole.",
    )


def every_character(words: str) -> tuple[str, ...]:
    """Return the characters of `words`."""
    return tuple(words)


def _details() -> Iterator[Case]:
    def detail(kind: str = "reasoning.text", **fields: object) -> bytes:
        return event(chunk(None, reasoning_details=[{"type": kind, "index": 0, **fields}]))

    yield said(
        "reasoning-details",
        "sends `reasoning_details`",
        detail(text="two "),
        detail(text="and two"),
        *HELLOS,
        *STOP,
        reasoning=THOUGHT,
        why=APART,
    )
    yield said(
        "reasoning-details-summary",
        "sends a summary in `reasoning_details`",
        detail("reasoning.summary", summary=THOUGHT),
        *HELLOS,
        *STOP,
        reasoning=THOUGHT,
        why=APART,
    )
    yield said(
        "reasoning-details-encrypted",
        "sends `reasoning_details` that only it can read",
        detail("reasoning.encrypted", data="gAAAA"),
        *HELLOS,
        *STOP,
        why="It is shown to nobody.",
    )
    both = event(chunk(None, reasoning=THOUGHT, reasoning_details=[{"type": "reasoning.text", "text": THOUGHT}]))
    yield said(
        "reasoning-twice",
        "sends its reasoning in two fields",
        both,
        *HELLOS,
        *STOP,
        reasoning=THOUGHT,
        why="It is one.",
    )
    odd = event(chunk(None, reasoning_details=[None, 5, {"type": 1}, {"type": "reasoning.text", "text": None}]))
    yield said("reasoning-details-odd", "sends `reasoning_details` of unknown shapes", odd, *HELLOS, *STOP)


def _calls() -> Iterator[Case]:
    def call(**fields: object) -> bytes:
        return event(chunk(None, tool_calls=[fields]))

    def function(name: str, arguments: object) -> dict[str, object]:
        return {"name": name, "arguments": arguments}

    end = [event(chunk(None, "tool_calls")), DONE]
    paris = ("get_weather", '{"city": "Paris"}')
    time = ("get_time", "{}")
    two: dict[str, Any] = {"calls": (paris, time)}

    def offered(name: str, server: str, *pieces: bytes, **demands: Any) -> Case:
        demands = {
            "text": "",
            "finish": "tool_calls",
            "calls": (paris,),
            "options": {"tools": TOOLS},
            "why": "It is a call, however it is written.",
            **demands,
        }
        return said(f"tools-{name}", server, *pieces, **demands)

    yield offered(
        "two-without-index",
        "calls two tools in two chunks, without an index or an id",
        call(function=function(*paris)),
        call(function=function(*time)),
        *end,
        **two,
    )
    yield offered(
        "two-index-0",
        "calls two tools in two chunks, with the index 0 and no id for both",
        call(index=0, function=function(*paris)),
        call(index=0, function=function(*time)),
        *end,
        **two,
    )
    yield offered(
        "two-at-once",
        "calls two tools in one chunk",
        event(
            chunk(
                None, tool_calls=[{"id": "a", "function": function(*paris)}, {"id": "b", "function": function(*time)}]
            )
        ),
        *end,
        **two,
    )
    yield offered(
        "two-same-id",
        "gives two calls in two chunks the same id",
        call(index=0, id="a", function=function(*paris)),
        call(index=1, id="a", function=function(*time)),
        *end,
        **two,
    )
    yield offered(
        "two-same-id-no-index",
        "gives two calls the same id, and no index",
        call(id="a", function=function(*paris)),
        call(id="a", function=function(*time)),
        *end,
        **two,
    )
    begun = call(index=0, id="a", function=function("get_weather", ""))
    yield offered(
        "arguments-object",
        "sends the arguments as an object",
        call(index=0, id="a", function=function("get_weather", {"city": "Paris"})),
        *end,
    )
    for name, empty in (("empty", ""), ("null", None)):
        yield offered(
            f"arguments-{name}",
            f"sends the arguments `{as_json(empty).decode()}`",
            call(index=0, id="a", function=function("get_time", empty)),
            *end,
            calls=(time,),
        )
    yield offered(
        "arguments-missing",
        "sends no arguments",
        call(index=0, id="a", function={"name": "get_time"}),
        *end,
        calls=(time,),
    )
    halves = [call(index=0, function={"arguments": text}) for text in ('{"city": ', '"Paris"}')]
    yield offered(
        "name-in-pieces",
        "sends the name in pieces",
        call(index=0, id="a", function={"name": "get_"}),
        call(index=0, function={"name": "weather"}),
        *halves,
        *end,
    )
    again = [call(index=0, id="a", function=function("get_weather", text)) for text in ("", '{"city": ', '"Paris"}')]
    yield offered("name-again", "sends id and name with every piece", *again, *end)
    yield offered(
        "name-grows",
        "sends all of the name so far with every piece",
        call(index=0, id="a", function={"name": "get_"}),
        begun,
        *halves,
        *end,
    )
    yield offered(
        "finish-stop-after-text",
        "writes a text, calls a tool, and finishes with `stop`",
        *HELLOS,
        begun,
        *halves,
        *STOP,
        text=SAID,
    )
    yield offered("finish-early", "finishes before the call", STOP[0], begun, *halves, *STOP)
    yield offered("finish-twice", "finishes with `stop`, then with `tool_calls`", begun, *halves, STOP[0], *end)
    yield offered(
        "woven",
        "calls two tools by turns",
        begun,
        call(index=1, id="b", function=function("get_time", "")),
        halves[0],
        call(index=1, function={"arguments": "{"}),
        halves[1],
        call(index=1, function={"arguments": "}"}),
        *end,
        **two,
    )
    signed = call(index=0, id="a", function=function(*paris), extra_content={"google": {"thought_signature": "x"}})
    yield offered("signature", "signs its call", signed, *end)
    yield offered(
        "in-thought",
        "writes the markup of a call while it reasons, and answers in words",
        event(chunk(None, reasoning_content="<tool_call>{}</tool_call>")),
        *HELLOS,
        *STOP,
        text=SAID,
        finish="stop",
        calls=(),
        reasoning="<tool_call>{}</tool_call>",
        why="Reasoning calls nothing.",
    )


def _bodies() -> Iterator[Case]:
    why = "The server's own words help, whatever they are wrapped in."
    words = "said by the server"
    bodies = {
        "sse": (b"data: " + error(words, "invalid_request_error") + b"\n\n", EVENTS),
        "sse-dashscope": (
            b"id:1\nevent:error\n:HTTP_STATUS/400\ndata:"
            + as_json({"code": "InvalidParameter", "message": words})
            + b"\n\n",
            EVENTS,
        ),
        "sse-done": (b"event: error\ndata: " + error(words) + b"\n\n" + DONE, EVENTS),
        "list": (as_json([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]), JSON),
        "sse-plain": (b"data: " + words.encode() + b"\n\n", EVENTS),
        "plain": (words.encode(), PLAIN),
        "html-title": (f"<html><head><title>{words}</title></head></html>".encode(), "text/html"),
    }
    for protocol in ("openai", "responses"):
        for name, (body, kind) in bodies.items():
            yield Case(
                name=f"status/form-{name}",
                protocol=protocol,
                server=f"answers 400 with a body of the form {name}",
                why=why,
                answers=(refused(400, body, kind),),
                kinds=("bad_request",),
                says=words,
            )


def _lengths() -> Iterator[Case]:
    long = error("maximum context length is 8192 tokens", "invalid_request_error", "context_length_exceeded")
    yield case(
        "status/form-sse-context",
        "answers 400 with `context_length_exceeded` in a server-sent event",
        "It is the conversation that is too long, however that is framed.",
        refused(400, b"event: error\ndata: " + long + b"\n\n", EVENTS),
        kinds=("context_length",),
    )


CASES: Final[tuple[Case, ...]] = (
    *_finishes(),
    *_indexes(),
    *_comments(),
    *_blanks(),
    *_thoughts(),
    *_details(),
    *_calls(),
    *_bodies(),
    *_lengths(),
)
