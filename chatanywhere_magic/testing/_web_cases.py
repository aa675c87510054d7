"""The cases of the web protocol: the answer is the body's plain text, which only the body's proper end ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ._common import COMPRESSION_HONEST, UNICODE, no_key_at_all, redirects, retries, statuses
from ._wire import (
    HTML,
    HTML_PAGE,
    JSON,
    PLAIN,
    QUICKLY,
    as_json,
    chunked,
    compressed,
    error,
    every,
    gzipped,
    head,
    split,
)
from .cases import ONCE_TO_THRICE, Case
from .server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID: Final = "Hello, world!"
PIECES: Final = (b"Hello", b", ", b"world!")
CUT: Final = ("incomplete", "connection", "protocol")
BROKEN: Final = ("protocol", "incomplete", "connection")


def case(name: str, server: str, why: str, *answers: Answer, **demands: Any) -> Case:
    """Return a case that succeeds, with the usual answer unless something else is demanded."""
    if "kinds" not in demands:
        demands = {"text": SAID, "finish": "stop", **demands}
    return Case(name=name, protocol="web", server=server, why=why, answers=answers, **demands)


def raw(*pieces: bytes, kind: str = PLAIN, delay: float = 0.0, **options: Any) -> Answer:
    """Answer with these bytes."""
    headers = {"Content-Type": kind, **options.pop("headers", {})}
    return Answer(raw=pieces, headers=headers, delay=delay, **options)


def _text() -> Iterator[Case]:
    plain = "The body is the answer, byte for byte."
    yield case("text/pieces", "sends three pieces", plain, raw(*PIECES, delay=0.01))
    yield case("text/one-piece", "sends all at once", plain, raw(SAID.encode()))
    yield case(
        "text/byte-by-byte",
        "sends every byte by itself",
        "A read may end anywhere.",
        raw(*every(SAID.encode(), 1), delay=0.002),
    )
    texts = {
        "line-ends": ("a\nb\r\nc\rd\n\n", "mixes line ends"),
        "white-space": ("  \n\tx \n", "begins and ends with white space"),
        "events": ("data: x\n\ndata: [DONE]\n\n", "answers with what looks like server-sent events"),
        "json": ('{"choices": [{"message": {"content": "x"}}]}', "answers with what looks like JSON"),
        "json-error": (
            '{"error": {"message": "an example"}}',
            "explains in plain text what an error in JSON looks like",
        ),
        "html": ("<html><body>An example</body></html>", "answers in plain text with HTML"),
        "markup": ("<b>bold</b> & <script>", "answers with markup"),
        "separators": ("a\u2028b\u2029c\x85d\x0be\x0cf\x00g", "answers with U+2028, U+0085, NUL and the like"),
        "error-words": ("Error: 429 Too Many Requests", "answers with words that an error could have"),
    }
    for name, (text, server) in texts.items():
        yield case(f"text/{name}", server, "Text is text, whatever it looks like.", raw(text.encode()), text=text)
    long = "0123456789abcdef" * 262_144
    yield case(
        "text/four-megabytes", "sends 4 MB at once", "Text has no greatest length.", raw(long.encode()), text=long
    )
    yield case(
        "text/many-pieces",
        "sends 5,000 pieces",
        "A reader keeps up with what is there.",
        raw(*[b"ab "] * 5000),
        text="ab " * 5000,
    )
    kinds = {
        "html": HTML,
        "json": JSON,
        "octets": "application/octet-stream",
        "events": "text/event-stream",
        "charset": "text/plain; charset=UTF-8",
    }
    for name, kind in kinds.items():
        yield case(
            f"text/type-{name}",
            f"calls the text `{kind}`",
            "Servers are careless with types; the bytes are text.",
            raw(*PIECES, kind=kind),
        )
    yield case(
        "text/type-missing",
        "gives no content type",
        "The body is the answer.",
        Answer(wire=[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked(PIECES)]),
    )


def _characters() -> Iterator[Case]:
    for name, text in UNICODE.items():
        body = f"a{text}b".encode()
        size = len(body)
        yield case(
            f"characters/{name}",
            f"writes {text!a} and splits it after every byte",
            "A read may end in the middle of a character.",
            raw(*split(body, *range(1, size)), delay=0.002),
            text=f"a{text}b",
        )
        for offset in range(1, min(size - 2, 5)):
            yield case(
                f"characters/{name}-at-{offset}",
                f"writes {text!a} and splits it after byte {offset}",
                "A read may end in the middle of a character.",
                raw(*split(body, 1 + offset), delay=0.01),
                text=f"a{text}b",
            )
    invalid = {
        "ff": (b"\xff", "\ufffd"),
        "cut-character": (b"\xe4\xbd", "\ufffd"),
        "overlong": (b"\xc0\xaf", "\ufffd\ufffd"),
        "surrogate": (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    }
    why = "Invalid bytes become U+FFFD; they are no reason to lose the answer."
    for name, (bad, shown) in invalid.items():
        yield case(
            f"characters/invalid-{name}",
            f"has the invalid bytes {bad.hex(' ')} in the text",
            why,
            raw(b"a" + bad + b"b"),
            text=f"a{shown}b",
        )
    yield case(
        "characters/half-at-end",
        "ends in the middle of a character, properly",
        why,
        raw("a世".encode()[:-1]),
        text="a\ufffd",
    )


def _errors() -> Iterator[Case]:
    lie = "The status says that all is well, the body says otherwise; the body is right."

    def wrong(name: str, server: str, answer: Answer, why: str = lie, **demands: Any) -> Case:
        return case(f"errors/{name}", server, why, answer, answer, answer, attempts=ONCE_TO_THRICE, **demands)

    yield wrong(
        "html",
        "answers with an HTML page",
        raw(HTML_PAGE, kind=HTML, headers=QUICKLY),
        "The domain changed hands, or it is a log-in page.",
        kinds=("protocol",),
    )
    yield wrong(
        "html-split",
        "answers with an HTML page, split in its first tag",
        raw(*split(HTML_PAGE, 3, 7), kind=HTML, headers=QUICKLY, delay=0.01),
        "The domain changed hands, or it is a log-in page.",
        kinds=("protocol",),
    )
    reported = ("stream", "server", "bad_request", "protocol")
    yield wrong(
        "json-error",
        "answers with an error of type JSON",
        raw(error("the model crashed"), kind=JSON, headers=QUICKLY),
        kinds=reported,
        says="the model crashed",
    )
    yield wrong(
        "json-rate-limit",
        "answers with a 429 of type JSON",
        raw(error("slow down", "", 429), kind=JSON, headers=QUICKLY),
        kinds=("rate_limit", "stream"),
    )
    yield wrong(
        "json-error-split",
        "answers with an error of type JSON in pieces",
        raw(*every(error("the model crashed"), 20), kind=JSON, headers=QUICKLY, delay=0.003),
        kinds=reported,
    )
    for name, told_by in (
        ("detail", {"detail": "the model crashed"}),
        ("message", {"code": 1001, "message": "the model crashed"}),
        ("msg", {"success": False, "msg": "the model crashed"}),
    ):
        yield wrong(
            f"json-{name}",
            f"answers with JSON of type JSON that tells of a failure in `{name}`",
            raw(as_json(told_by), kind=JSON, headers=QUICKLY),
            "An answer is plain text; gateways write their own failures so.",
            kinds=reported,
            says="the model crashed",
        )
    yield case(
        "errors/json-answer",
        "answers with JSON of type JSON that is no error",
        "The answer may be JSON.",
        raw(as_json({"a": 1}), kind=JSON),
        text='{"a": 1}',
    )
    nothing = ("empty", "incomplete", "protocol")
    yield wrong(
        "empty", "answers with an empty body", raw(headers=QUICKLY), "An answer without a word is none.", kinds=nothing
    )
    yield wrong(
        "empty-length",
        "answers with an empty body of length 0",
        Answer(wire=[head(PLAIN, "Content-Length: 0")]),
        "An answer without a word is none.",
        kinds=nothing,
    )
    yield wrong(
        "no-content",
        "answers 204 without a body",
        Answer(wire=[b"HTTP/1.1 204 No Content\r\n\r\n"]),
        "An answer without a word is none.",
        kinds=(*nothing, "api", "bad_request"),
    )


def _truth() -> Iterator[Case]:
    kept = "The body did not end properly: the text is kept, the turn has failed, and nothing is asked again."
    framed = head(PLAIN, "Transfer-Encoding: chunked")

    def broken(name: str, server: str, *answers: Answer, **demands: Any) -> Case:
        return case(
            f"truth/{name}", server, demands.pop("why", kept), *answers, **{"kinds": CUT, "text": SAID, **demands}
        )

    yield broken("cut", "closes the connection in the middle", raw(*PIECES, cut=True, delay=0.01))
    yield broken("reset", "resets the connection in the middle", raw(*PIECES, reset=True, delay=0.02))
    yield broken(
        "cut-in-character",
        "closes the connection in the middle of a character",
        raw(*PIECES, "世".encode()[:-1], cut=True, delay=0.01),
    )
    bad = {
        "bad-chunk-size": b"ZZ\r\n",
        "negative-chunk-size": b"-5\r\nabcde\r\n",
        "huge-chunk-size": b"FFFFFFFFFFFFFFFFFF\r\n",
        "empty-chunk-size": b"\r\n\r\n",
    }
    for name, junk in bad.items():
        yield broken(
            name,
            f"sends {ascii(junk)[2:-1]} where the next chunk begins, and closes",
            Answer(wire=[framed, *chunked(PIECES, last=False), junk], delay=0.01),
            kinds=BROKEN,
            within=4.0,
        )
    yield broken(
        "bad-chunk-then-silence",
        "sends a bad chunk size, then falls silent",
        raw(*PIECES, garbage=b"ZZ\r\n"),
        kinds=(*BROKEN, "timeout"),
        options={"idle_timeout": 0.4},
        within=4.0,
        why="A parser that is stuck must not hold up the person.",
    )
    yield broken(
        "no-last-chunk",
        "closes without HTTP's last chunk",
        Answer(wire=[framed, *chunked(PIECES, last=False)], delay=0.01),
    )
    yield broken(
        "half-a-chunk",
        "closes in the middle of a chunk",
        Answer(wire=[framed, *chunked(PIECES[:2], last=False), b"20\r\nworld!"], delay=0.01),
    )
    yield broken(
        "short-body",
        "promises 500 bytes more than it sends",
        Answer(wire=[head(PLAIN, f"Content-Length: {len(SAID) + 500}"), *PIECES], delay=0.01),
    )
    yield broken(
        "cut-before-text",
        "closes the connection after the headers, every time",
        *[Answer(wire=[framed], delay=0.01)] * 3,
        text="",
        attempts=ONCE_TO_THRICE,
        why="There is no answer. Nothing was shown, so it may be asked again.",
    )


def _http() -> Iterator[Case]:
    fine = "HTTP allows it."
    framed = head(PLAIN, "Transfer-Encoding: chunked")
    yield case(
        "http/content-length",
        "sends a length instead of chunks",
        fine,
        Answer(wire=[head(PLAIN, f"Content-Length: {len(SAID)}"), *PIECES]),
    )
    yield case(
        "http/until-closed",
        "ends the body by closing, as HTTP/1.0 does",
        "It is the only end that such a body has.",
        Answer(wire=[head(PLAIN, status="HTTP/1.0 200 OK"), *PIECES]),
    )
    yield case(
        "http/chunk-extensions",
        "sends chunks with extensions",
        fine,
        Answer(wire=[framed, *[b"%x;a=b\r\n%s\r\n" % (len(p), p) for p in PIECES], b"0\r\n\r\n"]),
    )
    yield case(
        "http/chunk-trailers",
        "sends trailers after the last chunk",
        fine,
        Answer(wire=[framed, *chunked(PIECES, last=False), b"0\r\nX-Sum: 1\r\n\r\n"]),
    )
    yield case(
        "http/early-hints",
        "sends 103 before the answer",
        fine,
        Answer(wire=[b"HTTP/1.1 103 Early Hints\r\n\r\n", framed, *chunked(PIECES)]),
    )
    wire = b"".join([framed, *chunked(PIECES)])
    yield case(
        "http/byte-by-byte",
        "sends every byte by itself, headers too",
        "A read may end anywhere.",
        Answer(wire=every(wire, 1), delay=0.001),
    )
    nonsense = {
        "no-http": (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks another protocol"),
        "bad-status": (b"HTTP/1.1 abc OK\r\n\r\n", "sends a status that is no number"),
        "huge-header": (b"HTTP/1.1 200 OK\r\nX-A: " + b"y" * 200_000 + b"\r\n\r\n", "sends a header of 200 kB"),
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
        "The endpoint has no keys, and the body has the conversation.",
        raw(SAID.encode()),
        demand=no_key_at_all,
    )


def _compression() -> Iterator[Case]:
    why = "The client said that it takes it."
    for how in ("gzip", "deflate"):
        encoded = {"Content-Encoding": how}
        yield case(
            f"compression/{how}",
            f"compresses the text by {how}",
            why,
            raw(*compressed(PIECES, how), headers=encoded, delay=0.003),
        )
        yield case(
            f"compression/{how}-byte-by-byte",
            f"compresses by {how}, and sends every byte by itself",
            "A read may end anywhere.",
            raw(*every(b"".join(compressed([SAID.encode()], how)), 1), headers=encoded, delay=0.001),
        )
    gz = {"Content-Encoding": "gzip"}
    yield case(
        "compression/gzip-length",
        "compresses by gzip, and sends a length",
        why,
        Answer(
            wire=[
                head(PLAIN, "Content-Encoding: gzip", f"Content-Length: {len(gzipped(SAID.encode()))}"),
                gzipped(SAID.encode()),
            ]
        ),
    )
    hello = compressed(PIECES, "gzip")
    kept = "The text did not end properly: it is kept, the turn has failed."
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
    packed = compressed(PIECES, "gzip")
    yield case(
        "compression/gzip-bad-sum",
        "ends the gzip stream with a wrong checksum",
        "What came is not what was sent.",
        raw(*packed[:-1], packed[-1][:-8] + bytes(4) + packed[-1][-4:], headers=gz, delay=0.02),
        kinds=BROKEN,
        text=SAID,
    )
    yield case(
        "compression/deflate-cut",
        "ends the body in the middle of the deflate stream",
        kept,
        raw(*compressed(PIECES, "deflate")[:-1], headers={"Content-Encoding": "deflate"}, delay=0.01),
        kinds=CUT,
        text=SAID,
    )
    plain = raw(SAID.encode(), headers=gz)
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
    yield case(
        "compression/honest",
        "looks at `Accept-Encoding`",
        "An encoding that can't be undone here may not be asked for.",
        raw(SAID.encode()),
        demand=COMPRESSION_HONEST,
    )


def _time() -> Iterator[Case]:
    idle = {"idle_timeout": 0.4}
    kept = "The person must not wait for ever; the text is kept."
    late = ("timeout", "incomplete")
    yield case(
        "time/trickle",
        "sends a piece every 0.25 s, with an idle limit of 0.4 s",
        "The limit is for silence, not for the whole.",
        raw(*PIECES, delay=0.25),
        options=idle,
    )
    yield case(
        "time/shown-at-once",
        "takes a second for the second half",
        "What is there is shown.",
        raw(*PIECES, delay=0.5),
        first_within=0.8,
    )
    yield case(
        "time/idle",
        "falls silent after some text",
        kept,
        raw(*PIECES, hold=threading.Event()),
        kinds=late,
        text=SAID,
        options=idle,
        within=4.0,
    )
    for name, answer, server in (
        ("no-headers", Answer(wire=[b""], hold=threading.Event()), "never answers"),
        ("no-body", raw(hold=threading.Event()), "sends headers, then nothing"),
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
    yield case(
        "time/total",
        "stays open after some text, with a limit for the whole",
        "The limit is the person's own.",
        raw(*PIECES, hold=threading.Event()),
        kinds=late,
        text=SAID,
        options={"timeout": 0.6},
        within=4.0,
    )
    gone = "The server writes on for nobody."
    for how, shown in (
        ("leave", "sees the reader leave after the first text"),
        ("cancel", "sees the reader cancelled after the first text"),
    ):
        yield case(f"time/{how}", shown, gone, raw(*PIECES, hold=threading.Event()), stop=how)
    yield case(
        "time/cancel-early",
        "sees the reader cancelled while it waits for the headers",
        gone,
        Answer(raw=[], hold=threading.Event()),
        stop="cancel-early",
        within=2.0,
    )


CASES: Final[tuple[Case, ...]] = (
    *_text(),
    *_characters(),
    *_errors(),
    *_truth(),
    *statuses("web"),
    *redirects("web"),
    *retries("web"),
    *_http(),
    *_compression(),
    *_time(),
)
