"""The cases of both protocols that are about HTTP itself: headers, framing, encodings, statuses, waiting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from . import _responses
from ._common import GOOD, PATHS, good, refused
from ._wire import (
    EVENTS,
    HTML,
    JSON,
    PLAIN,
    QUICKLY,
    as_json,
    chunked,
    compressed,
    error,
    events,
    every,
    gzipped,
    split,
    with_headers,
)
from .cases import ELSEWHERE, KEY, ONCE_TO_THRICE, Case
from .server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .cases import Protocol
    from .server import Request

CUT: Final = ("incomplete", "connection", "protocol")
_OK: Final = "HTTP/1.1 200 OK"


def _plainly(*texts: object) -> list[bytes]:
    return [str(text).encode() for text in texts]


class _Maker:
    """Makes the cases of one protocol: the same behaviours, around that protocol's body."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.kind = PLAIN if protocol == "web" else EVENTS
        hello = ("Hello", ", ", "world!")
        writers: dict[Protocol, Callable[..., list[bytes]]] = {
            "openai": events,
            "responses": _responses.events,
            "web": _plainly,
        }
        self.pieces: list[bytes] = writers[protocol](*hello)
        self.body = b"".join(self.pieces)
        self.started = self.pieces[: {"openai": -2, "responses": -1}.get(protocol)]
        """What comes before an answer that is cut short."""

    def case(self, name: str, server: str, why: str, *answers: Answer, **demands: Any) -> Case:
        if "kinds" not in demands:
            demands = {"text": GOOD, "finish": "stop", **demands}
        return Case(name=name, protocol=self.protocol, server=server, why=why, answers=answers, **demands)

    def head(self, *lines: str, status: str = _OK, end: str = "\r\n") -> bytes:
        return end.join((status, f"Content-Type: {self.kind}", *lines, "", "")).encode()

    def wire(self, *pieces: bytes, **options: Any) -> Answer:
        return Answer(wire=pieces, **options)

    def raw(self, *pieces: bytes, **options: Any) -> Answer:
        headers = {"Content-Type": self.kind, **options.pop("headers", {})}
        return Answer(raw=pieces, headers=headers, **options)


def wire_cases(protocol: Protocol) -> Iterator[Case]:
    """Yield the cases of `protocol`."""
    make = _Maker(protocol)
    for group in (_heads, _bodies, _encodings, _broken, _statuses, _echoes, _ids, _redirects, _tries, _waits):
        yield from group(make)


def broken_cases(protocol: Protocol) -> Iterator[Case]:
    """Yield the cases of `protocol` in which HTTP breaks after some text."""
    yield from _broken(_Maker(protocol))


def _heads(make: _Maker) -> Iterator[Case]:
    fine = "HTTP allows it."
    length = f"Content-Length: {len(make.body)}"
    yield make.case(
        "http/reason-missing",
        "sends a status without a reason",
        fine,
        make.wire(make.head(length, status="HTTP/1.1 200 "), make.body),
    )
    yield make.case(
        "http/reason-odd",
        "sends a reason of many words",
        fine,
        make.wire(make.head(length, status="HTTP/1.1 200 Everything is fine, (really)!"), make.body),
    )
    yield make.case(
        "http/status-201",
        "answers 201",
        "Any 2xx is a success.",
        make.wire(make.head(length, status="HTTP/1.1 201 Created"), make.body),
    )
    yield make.case(
        "http/two-informational",
        "sends 100 and 103 before the answer",
        fine,
        make.wire(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", make.head(length), make.body
        ),
    )
    yield make.case(
        "http/processing",
        "sends 102 three times before the answer",
        fine,
        make.wire(*[b"HTTP/1.1 102 Processing\r\n\r\n"] * 3, make.head(length), make.body, delay=0.02),
    )
    yield make.case(
        "http/header-cases",
        "writes header names in capitals",
        fine,
        make.wire(make.head(f"CONTENT-LENGTH: {len(make.body)}").replace(b"Content-Type", b"CONTENT-TYPE"), make.body),
    )
    yield make.case(
        "http/header-spaces",
        "puts spaces around header values",
        fine,
        make.wire(make.head(f"Content-Length:   {len(make.body)}  ", "X-A:\t b \t"), make.body),
    )
    yield make.case(
        "http/many-headers",
        "sends 80 headers",
        fine,
        make.wire(make.head(length, *[f"X-{n}: {n}" for n in range(80)]), make.body),
    )
    yield make.case(
        "http/cookies",
        "sets cookies, and looks for them in the next attempt",
        "A cookie of one question has no place in the next.",
        refused(503, b"", JSON, Set_Cookie="a=b; Path=/"),
        good(make.protocol),
        attempts=(2,),
        notice=True,
        demand=_no_cookies,
    )
    yield make.case(
        "http/connection-close",
        "says `Connection: close`, with a length",
        fine,
        make.wire(make.head(length, "Connection: close"), make.body),
    )
    yield make.case(
        "http/keep-alive",
        "says `Connection: keep-alive` and stays open",
        "The length says where the body ends.",
        make.wire(make.head(length, "Connection: keep-alive"), make.body, hold=threading.Event()),
        within=4.0,
    )
    yield make.case(
        "http/location-in-200",
        "sends a `Location` with a 200",
        "A 200 is no redirect.",
        make.raw(make.body, headers={"Location": ELSEWHERE}),
    )
    yield make.case(
        "http/refresh",
        "sends `Refresh` to another server",
        "Nobody is sent anywhere.",
        make.raw(make.body, headers={"Refresh": f"0; url={ELSEWHERE}"}),
    )
    yield make.case(
        "http/authenticate",
        "sends `WWW-Authenticate` with a 200",
        "A 200 is an answer.",
        make.raw(make.body, headers={"WWW-Authenticate": 'Basic realm="x"'}),
    )
    yield make.case(
        "http/http-1-0-length",
        "speaks HTTP/1.0, with a length",
        fine,
        make.wire(make.head(length, status="HTTP/1.0 200 OK"), make.body),
    )
    yield make.case(
        "http/early-answer", "answers before it has read the question", fine, make.wire(make.head(length), make.body)
    )
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    yield make.case(
        "http/switching-protocols",
        "answers 101, which nobody asked for",
        "It is no answer.",
        *[make.wire(switching, hold=threading.Event())] * 3,
        kinds=CUT,
        attempts=ONCE_TO_THRICE,
    )


def _no_cookies(requests: Sequence[Request]) -> str:
    return "a cookie was sent back" if any(request.header("Cookie") for request in requests) else ""


def _bodies(make: _Maker) -> Iterator[Case]:
    framed = make.head("Transfer-Encoding: chunked")
    fine = "HTTP allows it."
    yield make.case(
        "http/one-byte-chunks",
        "sends chunks of one byte",
        fine,
        make.wire(framed, b"".join(chunked(every(make.body, 1)))),
    )
    yield make.case(
        "http/one-chunk", "sends everything in one packet", fine, make.wire(framed + b"".join(chunked([make.body])))
    )
    whole = framed + b"".join(chunked(make.pieces))
    for number, at in enumerate((len(framed) - 2, len(framed) + 1, len(framed) + 3, len(whole) - 4, len(whole) - 1)):
        yield make.case(
            f"http/split-{number}",
            f"pauses after byte {at} of the answer",
            "A read may end anywhere.",
            make.wire(*split(whole, at), delay=0.05),
        )
    yield make.case(
        "http/last-chunk-late",
        "sends the last, empty chunk half a second late",
        "What came is shown meanwhile; the end is waited for.",
        make.wire(framed, b"".join(chunked(make.pieces, last=False)), b"0\r\n\r\n", delay=0.5),
        first_within=0.8 + 0.5,
    )
    yield make.case(
        "http/trailers-many",
        "sends ten trailers",
        fine,
        make.wire(
            framed,
            *chunked(make.pieces, last=False),
            b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(10)) + b"\r\n",
        ),
    )
    yield make.case(
        "http/extensions-quoted",
        "sends chunk extensions with quotes",
        fine,
        make.wire(framed, *[b'%x;a="b c";d\r\n%s\r\n' % (len(p), p) for p in make.pieces], b"0\r\n\r\n"),
    )
    yield make.case(
        "http/length-then-more",
        "sends more than the length that it named",
        "What comes after the body is no part of it.",
        make.wire(make.head(f"Content-Length: {len(make.body)}"), make.body + b"more of something", delay=0.02),
    )
    yield make.case(
        "http/second-answer",
        "sends a second answer right after the first",
        "Nobody asked for it.",
        make.wire(
            make.head(f"Content-Length: {len(make.body)}"),
            make.body + make.head("Content-Length: 5") + b"wrong",
            delay=0.02,
        ),
    )


def _encodings(make: _Maker) -> Iterator[Case]:
    gz = {"Content-Encoding": "gzip"}
    half = len(make.body) // 2
    members = gzipped(make.body[:half]) + gzipped(make.body[half:])
    why = "A gzip file may have several members; all of them are the body."
    yield make.case("compression/gzip-members", "sends two gzip members", why, make.raw(members, headers=gz))
    yield make.case(
        "compression/gzip-members-split",
        "sends two gzip members, byte by byte",
        why,
        make.raw(*every(members, 1), headers=gz, delay=0.0005),
    )
    yield make.case(
        "compression/gzip-padding",
        "sends zeros after the gzip stream",
        "They are padding.",
        make.raw(gzipped(make.body), bytes(100), headers=gz, delay=0.01),
    )
    yield make.case(
        "compression/gzip-name",
        "calls it `X-GZIP`",
        "It is the old name, in capitals.",
        make.raw(gzipped(make.body), headers={"Content-Encoding": "X-GZIP"}),
    )
    yield make.case(
        "compression/twice",
        "compresses by gzip, then by deflate",
        "Encodings are undone in the order in which they are named, from the last.",
        make.raw(b"".join(compressed([gzipped(make.body)], "deflate")), headers={"Content-Encoding": "gzip, deflate"}),
    )
    yield make.case(
        "compression/identity-named",
        "names `identity, gzip`",
        "`identity` changes nothing.",
        make.raw(gzipped(make.body), headers={"Content-Encoding": "identity, gzip"}),
    )
    yield make.case(
        "compression/none-named",
        "sends an empty `Content-Encoding`",
        "It names none.",
        make.raw(make.body, headers={"Content-Encoding": ""}),
    )
    nothing = ("empty", "incomplete", "protocol", "connection")
    empty = make.raw(gzipped(b""), headers={**gz, **QUICKLY})
    yield make.case(
        "compression/gzip-of-nothing",
        "sends a gzip stream of nothing",
        "An answer without a word is none.",
        *[empty] * 3,
        kinds=nothing,
        attempts=ONCE_TO_THRICE,
    )
    bare = make.raw(headers={**gz, **QUICKLY})
    yield make.case(
        "compression/gzip-without-body",
        "calls an empty body gzip",
        "An answer without a word is none.",
        *[bare] * 3,
        kinds=nothing,
        attempts=ONCE_TO_THRICE,
    )
    odd = make.raw(make.body, headers={"Content-Encoding": "rot13", **QUICKLY})
    yield make.case(
        "compression/unknown",
        "names an encoding that nobody knows",
        "It cannot be read, and that is said.",
        *[odd] * 3,
        kinds=("protocol",),
        attempts=ONCE_TO_THRICE,
        says="rot13",
    )
    if make.protocol == "web":
        yield make.case(
            "compression/gzip-large",
            "compresses 5 kB of text into a few bytes",
            "Its size is no reason to fail.",
            make.raw(*compressed([make.body * 400], "gzip"), headers=gz),
            text=GOOD * 400,
        )
    wrong = compressed(make.started, "gzip")
    yield make.case(
        "compression/gzip-second-broken",
        "sends nonsense after a whole gzip stream of some text",
        "What came is not all that was sent.",
        make.raw(b"".join(wrong), b"nonsense", headers=gz, delay=0.02),
        kinds=CUT,
        text=GOOD,
    )


def _broken(make: _Maker) -> Iterator[Case]:
    framed = make.head("Transfer-Encoding: chunked")
    kept = "The text is kept, the turn has failed, and nothing is asked again."
    started = chunked(make.started, last=False)
    later = good(make.protocol)
    demands: dict[str, Any] = {"kinds": CUT, "text": GOOD, "within": 4.0}
    for name, server, junk in (
        ("cut-in-size", "closes in the middle of a chunk's size", b"1"),
        ("cut-before-data", "closes after a chunk's size", b"10\r\n"),
        ("cut-in-last-chunk", "closes in the middle of the last, empty chunk", b"0\r"),
        ("size-space", "writes a chunk's size with a space inside", b"1 0\r\nabc\r\n"),
        ("size-plus", "writes a chunk's size with a sign", b"+3\r\nabc\r\n"),
        ("size-hex-prefix", "writes a chunk's size as 0x3", b"0x3\r\nabc\r\n"),
        ("html-inside", "writes an HTML page where the next chunk begins", b"<html>502 Bad Gateway</html>\r\n"),
        ("http-inside", "writes another answer where the next chunk begins", b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
        ("zeros-inside", "writes NUL bytes where the next chunk begins", bytes(64)),
    ):
        yield make.case(
            f"truth/{name}",
            f"{server}, after some text",
            kept,
            make.wire(framed, *started, junk, delay=0.01),
            later,
            **demands,
        )
    yield make.case(
        "truth/reset-in-chunk",
        "resets the connection in the middle of a chunk",
        kept,
        make.wire(framed, *started, b"20\r\nabc", delay=0.02, reset=True),
        later,
        kinds=CUT,
        text=GOOD + "abc" if make.protocol == "web" else GOOD,
    )
    yield make.case(
        "truth/short-length-reset",
        "promises more than it sends, and resets the connection",
        kept,
        make.wire(make.head(f"Content-Length: {len(make.body) + 99}"), *make.started, delay=0.02, reset=True),
        later,
        **demands,
    )
    yield make.case(
        "truth/silent-in-chunk",
        "falls silent in the middle of a chunk",
        kept,
        make.wire(framed, *started, b"20\r\n", hold=threading.Event(), delay=0.01),
        later,
        options={"idle_timeout": 0.5},
        kinds=("timeout", *CUT),
        text=GOOD,
        within=4.0,
    )
    yield make.case(
        "truth/silent-before-last-chunk",
        "falls silent before the last, empty chunk",
        kept,
        make.wire(framed, *started, hold=threading.Event(), delay=0.01),
        later,
        options={"idle_timeout": 0.5},
        kinds=("timeout", *CUT),
        text=GOOD,
        within=4.0,
    )
    old = make.head(status="HTTP/1.0 200 OK")
    yield make.case(
        "truth/reset-until-closed",
        "resets the connection of a body that only its closing would end",
        "A reset is no end.",
        make.wire(old, *make.started, delay=0.03, reset=True),
        later,
        **demands,
    )


def _statuses(make: _Maker) -> Iterator[Case]:
    def failing(
        name: str, server: str, answer: Answer, *kinds: str, attempts: tuple[int, ...] = (1,), **demands: Any
    ) -> Case:
        return make.case(
            f"status/{name}",
            server,
            demands.pop("why", "The words tell more than the status."),
            *[answer] * max(attempts),
            kinds=kinds,
            attempts=attempts,
            **demands,
        )

    thrice: dict[str, Any] = {"attempts": (3,), "notice": True}
    yield failing(
        "400-context-words",
        "answers 400 and says that the prompt is too long, as vLLM does",
        refused(
            400,
            as_json(
                {
                    "object": "error",
                    "message": "This model's maximum context length is 4096 tokens. You requested 5000 tokens.",
                    "type": "BadRequestError",
                    "param": None,
                    "code": 400,
                }
            ),
        ),
        "context_length",
        says="maximum context length",
    )
    yield failing(
        "400-context-anthropic",
        "answers 400 `prompt is too long`",
        refused(
            400,
            as_json(
                {
                    "type": "error",
                    "error": {
                        "type": "invalid_request_error",
                        "message": "prompt is too long: 212846 tokens > 200000 maximum",
                    },
                }
            ),
        ),
        "context_length",
    )
    yield failing(
        "400-key-google",
        "answers 400 `API key not valid` in a list, as Google does",
        refused(
            400,
            as_json(
                [
                    {
                        "error": {
                            "code": 400,
                            "message": "API key not valid. Please pass a valid API key.",
                            "status": "INVALID_ARGUMENT",
                        }
                    }
                ]
            ),
        ),
        "authentication",
        "bad_request",
        says="API key not valid",
    )
    yield failing(
        "400-balance-words",
        "answers 402 `Insufficient Balance`, as DeepSeek does",
        refused(402, error("Insufficient Balance", "unknown_error", "invalid_request_error")),
        "quota",
    )
    yield failing(
        "401-one-api",
        "answers 401 in Chinese, as one-api does",
        refused(401, error("无效的令牌 (request id: 2024)", "one_api_error")),
        "authentication",
        says="无效的令牌",
    )
    yield failing(
        "429-day-openrouter",
        "answers 429 for `free-models-per-day`",
        refused(429, error("Rate limit exceeded: free-models-per-day", "", 429)),
        "quota",
        why="Asking again does not help before tomorrow.",
    )
    yield failing(
        "429-day-hyphen",
        "answers 429 with `requests_per_day`",
        refused(429, error("Limit reached for requests_per_day (RPD): Limit 200", "requests", "rate_limit_exceeded")),
        "quota",
        why="Asking again does not help before tomorrow.",
    )
    yield failing(
        "429-hours-chinese",
        "answers 429 for 24 hours, in Chinese",
        refused(429, error("当前分组每24小时最多200次请求", "chatanywhere_error")),
        "quota",
        why="Asking again does not help before tomorrow.",
    )
    yield failing(
        "429-minute",
        "answers 429 for this minute, and speaks of a quota",
        refused(429, error("Quota exceeded for quota metric 'requests' per minute", "", 429)),
        "rate_limit",
        why="It passes.",
        **thrice,
    )
    yield failing(
        "429-saturated",
        "answers 429 in Chinese: too busy just now",
        refused(429, error("当前分组上游负载已饱和，请稍后再试", "new_api_error")),
        "rate_limit",
        why="It passes.",
        **thrice,
    )
    yield failing("429-empty", "answers 429 without a body", refused(429), "rate_limit", why="It passes.", **thrice)
    yield failing(
        "503-detail",
        "answers 503 with `detail`",
        refused(503, as_json({"detail": "no worker"})),
        "overloaded",
        says="no worker",
        why="It passes.",
        **thrice,
    )
    yield failing(
        "500-page-title",
        "answers 500 with an HTML page",
        refused(500, b"<html><head><title>Worker threw exception</title></head><body>x</body></html>", HTML),
        "server",
        says="Worker threw exception",
        why="Of a page, its title helps.",
        **thrice,
    )
    for status in (505, 507, 511, 521, 523, 525, 530, 599):
        yield failing(
            str(status),
            f"answers {status} with a page, every time",
            refused(status, b"<html>error</html>", HTML),
            "server",
            why="It may pass, so it is asked again, twice.",
            **thrice,
        )
    for status in (406, 410, 411, 412, 416, 417, 421, 423, 424, 426, 428, 431, 444, 498, 499):
        yield failing(
            str(status),
            f"answers {status}, every time",
            refused(status, error("no")),
            "bad_request",
            "authentication",
            "permission",
            why="Asking again changes nothing.",
        )
    for status in (203, 206):
        yield make.case(
            f"status/{status}",
            f"answers {status} with a good answer",
            "Any 2xx is a success.",
            make.raw(make.body, status=status),
        )
    yield failing(
        "205",
        "answers 205 without a body",
        make.wire(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
        "empty",
        "protocol",
        "incomplete",
        attempts=ONCE_TO_THRICE,
        why="An answer without a word is not an answer.",
    )
    yield failing(
        "list-body",
        "answers 400 with a list of words",
        refused(400, as_json({"error": ["said", "by the server"]})),
        "bad_request",
        says="by the server",
    )
    yield failing(
        "errors-body",
        "answers 403 with `errors`, as Cloudflare does",
        refused(403, as_json({"success": False, "errors": [{"code": 10000, "message": "said by the server"}]})),
        "permission",
        says="said by the server",
    )
    yield failing(
        "fastapi-body",
        "answers 422 with FastAPI's list",
        refused(422, as_json({"detail": [{"loc": ["body", "messages"], "msg": "said by the server", "type": "x"}]})),
        "bad_request",
        says="said by the server",
    )
    yield failing("deep-body", "answers 400 with 100,000 opening brackets", refused(400, b"[" * 100_000), "bad_request")
    yield failing(
        "gbk-body",
        "answers 400 with bytes of another character set",
        refused(400, "参数错误".encode("gbk"), PLAIN),
        "bad_request",
    )
    yield failing(
        "drip-body",
        "answers 400 and sends its words a byte every 0.2 s",
        Answer(status=400, raw=every(b"said by the server " * 50, 1), headers=with_headers(PLAIN), delay=0.2),
        "bad_request",
        within=8.0,
        why="The status is known; the person must not wait for its words.",
    )
    yield failing(
        "gzip-body-broken",
        "answers 403 and calls its plain body gzip",
        refused(403, error("no"), JSON, Content_Encoding="gzip"),
        "permission",
        why="The status is known.",
    )
    yield failing(
        "unknown-encoding-body",
        "answers 401 in an encoding that nobody knows",
        refused(401, error("no"), JSON, Content_Encoding="rot13"),
        "authentication",
        why="The status is known.",
    )


def _echoes(make: _Maker) -> Iterator[Case]:
    if make.protocol == "web":  # it has no key
        return
    hidden = "The key is in nothing that is shown."
    forms = {
        "plain": KEY,
        "json": "".join(f"\\u{ord(c):04x}" for c in KEY),
        "percent": "".join(f"%{ord(c):02x}" for c in KEY),
        "html": "".join(f"&#{ord(c)};" for c in KEY),
        "capitals": KEY.upper(),
    }
    for name, form in forms.items():
        yield make.case(
            f"status/echo-{name}",
            f"answers 401 and repeats the key ({name})",
            hidden,
            refused(401, f"wrong key {form} given".encode(), PLAIN),
            kinds=("authentication",),
            says="wrong key ***",
        )
    yield make.case(
        "status/echo-late",
        "answers 400 and repeats the key after 1,990 characters",
        hidden,
        refused(400, error("x" * 1_990 + KEY)),
        kinds=("bad_request",),
    )
    yield make.case(
        "status/echo-in-id",
        "answers 400 and repeats the key as the request's id",
        hidden,
        refused(400, error("no"), x_request_id=KEY),
        kinds=("bad_request",),
    )
    yield make.case(
        "status/echo-in-location",
        "answers 302 and repeats the key in the address",
        hidden,
        refused(302, b"", JSON, Location=f"{ELSEWHERE}/{KEY}?key={KEY}"),
        kinds=("redirect",),
    )
    yield make.case(
        "status/echo-in-reason",
        "answers 400 and repeats the key in the reason",
        hidden,
        make.wire(f"HTTP/1.1 400 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()),
        kinds=("bad_request",),
    )
    yield make.case(
        "http/echo-in-header",
        "repeats the key in a header that cannot be read",
        hidden,
        *[make.wire(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(), delay=0.01)] * 3,
        kinds=CUT,
        attempts=ONCE_TO_THRICE,
    )


def _ids(make: _Maker) -> Iterator[Case]:
    support = "It is what support asks for."
    for name in ("request-id", "apim-request-id", "x-oneapi-request-id", "cf-ray", "X-Request-ID"):
        yield make.case(
            f"status/id-{name.lower()}" + ("-capitals" if name[0] == "X" else ""),
            f"answers 400 with `{name}`",
            support,
            refused(400, error("no"), **{name.replace("-", "_"): "req_42"}),
            kinds=("bad_request",),
            request_id="req_42",
        )
    yield make.case(
        "status/id-in-body",
        "answers 400 with `request_id` in the body",
        support,
        refused(400, as_json({"error": {"message": "no"}, "request_id": "req_42"})),
        kinds=("bad_request",),
        request_id="req_42",
    )
    yield make.case(
        "truth/id-of-a-cut",
        "closes the connection in the middle, with `x-request-id`",
        support,
        make.raw(*make.started, cut=True, delay=0.01, headers={"x-request-id": "req_42"}),
        kinds=CUT,
        text=GOOD,
        request_id="req_42",
    )
    yield make.case(
        "status/id-hostile",
        "answers 400 with an id of 6,000 characters",
        "Everything that is shown is short.",
        refused(400, error("no"), x_request_id="x" * 6_000),
        kinds=("bad_request",),
    )


def _redirects(make: _Maker) -> Iterator[Case]:
    stays = "The key belongs to the address that it was given for, and a question is not asked twice."
    for name, where in (
        ("same-host", "/v1/elsewhere"),
        ("same-path", PATHS[make.protocol]),
        ("relative", "elsewhere"),
        ("other-scheme", "https://127.0.0.1:9/v1"),
        ("no-scheme", "//127.0.0.1:9/v1"),
        ("empty", ""),
        ("nonsense", "http://[::"),
        ("javascript", "javascript:alert(1)"),
        ("file", "file:///etc/passwd"),
        ("user", "http://user:pass@127.0.0.1:9/"),
    ):
        yield make.case(
            f"redirect/{name}",
            f"answers 307 to `{where}`",
            stays,
            refused(307, b"", JSON, Location=where),
            kinds=("redirect",),
        )
    for status in (300, 305, 306, 399):
        yield make.case(
            f"redirect/{status}",
            f"answers {status} to another server",
            stays,
            refused(status, b"", JSON, Location=ELSEWHERE),
            kinds=("redirect", "bad_request", "protocol"),
        )
    yield make.case(
        "redirect/later",
        "answers 503, then 302",
        stays,
        refused(503),
        refused(302, b"", JSON, Location=ELSEWHERE),
        kinds=("redirect",),
        attempts=(2,),
        notice=True,
    )


def _tries(make: _Maker) -> Iterator[Case]:
    fine = good(make.protocol)
    said = "The server knows best when."
    quick: dict[str, Any] = {"attempts": (2,), "notice": True}
    for name, value, pause in (
        ("garbage", "soon; 5", (0.0, 3.0)),
        ("empty", "", (0.0, 3.0)),
        ("float", "0.30", (0.25, 1.5)),
        ("exponent", "3e-1", (0.0, 3.0)),
        ("spaces", "  1  ", (0.9, 3.0)),
        ("infinite", "inf", (0.0, 3.0)),
        ("iso-date", "2030-01-01T00:00:00Z", (0.0, 3.0)),
        ("two", "1, 2", (0.0, 3.0)),
    ):
        first = Answer(status=429, raw=[error("slow down")], headers={"Content-Type": JSON, "Retry-After": value})
        yield make.case(
            f"retry/after-{name}",
            f"answers 429 with `Retry-After: {value}`, then answers well",
            said,
            first,
            fine,
            pause=pause,
            **quick,
        )
    words = Answer(
        status=429,
        raw=[error("Please try again in 700ms.", "requests", "rate_limit_exceeded")],
        headers={"Content-Type": JSON},
    )
    yield make.case(
        "retry/after-in-words",
        "answers 429 and says `try again in 700ms`, then answers well",
        said,
        words,
        fine,
        pause=(0.65, 2.5),
        **quick,
    )
    for name, headers in (
        ("huge", {"Retry-After": "9" * 30}),
        ("ms-huge", {"retry-after-ms": "99999999"}),
        ("date-far", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}),
    ):
        far = Answer(status=503, raw=[error("later")], headers={"Content-Type": JSON, **headers})
        yield make.case(
            f"retry/after-{name}",
            f"answers 503 and asks to wait far too long ({name})",
            "Nobody waits for that before a cell.",
            *[far] * 3,
            kinds=("overloaded",),
            attempts=ONCE_TO_THRICE,
            within=5.0,
        )
    yield make.case(
        "retry/no-more-after-success",
        "answers 503, then well, and would then answer 500",
        "A good answer is the end.",
        refused(503),
        fine,
        refused(500),
        **quick,
    )
    yield make.case(
        "retry/kinds-mixed",
        "closes without an answer, then answers 429, then well",
        "Each is one of the attempts.",
        Answer(drop=True),
        refused(429, error("slow down")),
        fine,
        attempts=(3,),
        notice=True,
    )
    yield make.case(
        "retry/then-refused",
        "answers 503, then 401",
        "The second answer is final.",
        refused(503),
        refused(401, error("wrong key")),
        kinds=("authentication",),
        attempts=(2,),
        notice=True,
    )
    yield make.case(
        "retry/five-wanted",
        "answers 503 five times, then well, and the person wants five retries",
        "The person said how often.",
        *[refused(503)] * 5,
        fine,
        attempts=(6,),
        notice=True,
        options={"max_retries": 5},
    )
    yield make.case(
        "retry/x-should-retry",
        "answers 400 with `x-should-retry: true`",
        "What 400 means does not change.",
        refused(400, error("no"), x_should_retry="true"),
        kinds=("bad_request",),
    )
    day = Answer(
        status=429,
        raw=[error("200 requests per day", "chatanywhere_error")],
        headers={"Content-Type": JSON, "Retry-After": "1"},
    )
    yield make.case(
        "retry/not-a-day",
        "answers 429 for the day, and `Retry-After: 1`; it would then answer well",
        "It does not pass before tomorrow.",
        day,
        fine,
        kinds=("quota",),
    )
    yield make.case(
        "retry/cancel-in-backoff",
        "answers 503 without `Retry-After`, and sees the reader cancelled in the pause",
        "Nobody is made to wait for the end of a pause.",
        Answer(status=503, raw=[b""], headers={"Retry-After": "3"}),
        fine,
        stop="cancel-early",
        attempts=(1,),
        within=2.0,
    )


def _waits(make: _Maker) -> Iterator[Case]:
    never = threading.Event()
    limit = "The limit is the person's own."
    framed = make.head("Transfer-Encoding: chunked")
    yield make.case(
        "time/total-in-headers",
        "falls silent in the headers, with a limit for the whole",
        limit,
        *[make.wire(framed[:30], hold=never)] * 3,
        kinds=("timeout",),
        attempts=ONCE_TO_THRICE,
        options={"timeout": 0.6},
        within=2.0,
    )
    yield make.case(
        "time/total-drops",
        "sends a byte of its headers every 0.1 s, with a limit for the whole",
        limit,
        *[make.wire(*every(framed, 1), delay=0.1)] * 3,
        kinds=("timeout",),
        attempts=ONCE_TO_THRICE,
        options={"timeout": 0.6},
        within=2.0,
    )
    yield make.case(
        "time/idle-in-headers",
        "falls silent in the headers",
        limit,
        *[make.wire(framed[:30], hold=never)] * 3,
        kinds=("timeout",),
        attempts=ONCE_TO_THRICE,
        options={"idle_timeout": 0.5},
        within=6.0,
    )
    yield make.case(
        "time/silent-refusal",
        "answers 429 with a body that never comes, then answers well",
        "The status is known.",
        make.wire(b"HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 1\r\nContent-Length: 99\r\n\r\n", hold=never),
        good(make.protocol),
        attempts=(2,),
        notice=True,
        within=6.0,
    )
    yield make.case(
        "time/no-limits",
        "pauses for a second, with no limits at all",
        "None was set.",
        make.raw(*make.pieces, delay=0.4),
        options={"timeout": None, "idle_timeout": 1e9},
    )
    yield make.case(
        "time/zero-total",
        "answers well, with a limit of 0 s for the whole",
        "As in aiohttp, 0 is no limit.",
        good(make.protocol),
        options={"timeout": 0},
    )
    yield make.case(
        "time/cancel-in-refusal",
        "answers 400, falls silent, and sees the reader cancelled",
        "Nobody is made to wait.",
        make.wire(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n", hold=never),
        stop="cancel-early",
        within=2.0,
    )
    yield make.case(
        "time/cancel-in-headers",
        "falls silent in the headers, and sees the reader cancelled",
        "The server waits for nobody.",
        make.wire(framed[:30], hold=never),
        stop="cancel-early",
        within=2.0,
    )
    yield make.case(
        "time/cancel-in-chunk",
        "falls silent in a chunk, and sees the reader cancelled",
        "The server waits for nobody.",
        make.wire(framed, b"20\r\nab", hold=never),
        stop="cancel-early",
        within=2.0,
    )
