"""What both protocols have in common: refusals by status, redirects, retries, characters, what a request looks like."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from . import _responses
from ._wire import EVENTS, HTML, HTML_PAGE, JSON, PLAIN, QUICKLY, as_json, error, events, with_headers
from .cases import ELSEWHERE, KEY, ONCE_TO_THRICE, Case
from .server import COMPLETIONS_PATH, RESPONSES_PATH, WEB_PATH, Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .cases import Protocol

UNICODE: Final = {
    "chinese": "世",
    "emoji": "😀",
    "family": "👩‍👩‍👧‍👦",
    "flag": "🇺🇳",
    "combining": "e\u0301o\u0308",
    "skin": "👋🏽",
    "devanagari": "क्षि",
    "cyrillic": "ж",
}
PATHS: Final = {"openai": COMPLETIONS_PATH, "responses": RESPONSES_PATH, "web": WEB_PATH}
GOOD: Final = "Hello, world!"
MANY: Final = (3,)
"""The first attempt and two retries, which is what clients do by default."""
_ONCE_MORE: Final = (2,)

_TOO_LONG: Final = (
    "免费API限制模型输入token小于4096，如有更多需求，请购买付费API。"
    "The number of prompt tokens for free accounts is limited to 4096."
)
_BALANCE: Final = (
    "账户余额过低不足以支持本次请求，请充值。"
    "Your account balance is not sufficient to support this request. Please recharge."
)
_DAILY: Final = (
    "免费API Key限制200请求/24小时/IP&Key，请明天再试或购买付费API。"
    "The free key is limited to 200 requests per day. Please try again tomorrow."
)


def good(protocol: Protocol) -> Answer:
    """Return a server's good answer."""
    if protocol == "web":
        return Answer(raw=[GOOD.encode()], headers=with_headers(PLAIN))
    pieces = _responses.events(GOOD) if protocol == "responses" else events(GOOD)
    return Answer(raw=pieces, headers=with_headers(EVENTS))


def refused(status: int, body: bytes = b"", kind: str = JSON, **headers: str) -> Answer:
    """Return a refusal; where it may be tried again, at once."""
    return Answer(status=status, raw=[body], headers={**QUICKLY, **with_headers(kind, **headers)})


# --- demands on requests ------------------------------------------------------------------------------------


def key_is_bearer(requests: Sequence[Request]) -> str:
    """Demand that the key goes as OpenAI has it, to the right address, in a request for a stream."""
    for request in requests:
        if request.header("Authorization") != f"Bearer {KEY}":
            return "the key was not sent as `Authorization: Bearer`"
        if (request.method, request.path) != ("POST", COMPLETIONS_PATH):
            return f"{request.method} {request.path} was asked for"
        if not isinstance(request.json, dict) or request.json.get("stream") is not True:
            return "the body does not ask for a stream"
        if request.messages != [{"role": "user", "content": "Hello"}]:
            return f"the messages are {request.messages}"
    return ""


def no_key_at_all(requests: Sequence[Request]) -> str:
    """Demand that no key goes to the web endpoint, which has none."""
    for request in requests:
        if (request.method, request.path) != ("POST", WEB_PATH):
            return f"{request.method} {request.path} was asked for"
        if request.header("Authorization"):
            return "something was sent as `Authorization`"
        if request.messages != [{"role": "user", "content": "Hello"}]:
            return f"the messages are {request.messages}"
    return ""


def a_retry_repeats_the_question(requests: Sequence[Request]) -> str:
    """Demand that every attempt asks the same."""
    same = all((request.path, request.json) == (requests[0].path, requests[0].json) for request in requests)
    return "" if same else "the second attempt asked something else"


_DECODERS: Final = {
    "br": ("brotli", "brotlicffi"),
    "zstd": ("compression.zstd", "backports.zstd", "zstandard", "pyzstd"),
}


def honest_encodings(requests: Sequence[Request]) -> str:
    """Demand that no encoding is asked for that no library here can undo."""
    for request in requests:
        accepted = request.header("Accept-Encoding")
        for name in (part.split(";")[0].strip() for part in accepted.split(",")):
            if name in _DECODERS and not any(map(_is_here, _DECODERS[name])):
                return f"`{name}` is asked for, and no library is here for it"
    return ""


COMPRESSION_HONEST: Final = honest_encodings


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not here
        return False


# --- statuses -----------------------------------------------------------------------------------------------


def _failing(protocol: Protocol, name: str, server: str, why: str, answer: Answer, **demands: Any) -> Case:
    attempts: tuple[int, ...] = demands.pop("attempts", (1,))
    answers = (answer,) * max(attempts)
    return Case(name=name, protocol=protocol, server=server, why=why, answers=answers, attempts=attempts, **demands)


_STATUSES: Final[dict[int, tuple[str, ...]]] = {
    400: ("bad_request",),
    401: ("authentication",),
    402: ("quota",),
    403: ("permission",),
    404: ("not_found",),
    405: ("bad_request", "not_found"),
    408: ("timeout", "server", "bad_request"),
    409: ("bad_request", "server", "overloaded"),
    413: ("too_large",),
    415: ("bad_request",),
    418: ("bad_request",),
    422: ("bad_request",),
    429: ("rate_limit",),
    451: ("permission", "bad_request"),
    500: ("server",),
    501: ("server", "unsupported"),
    502: ("server", "overloaded"),
    503: ("overloaded",),
    504: ("server", "timeout", "overloaded"),
    520: ("server",),
    522: ("server", "timeout"),
    524: ("server", "timeout"),
    529: ("overloaded",),
}
RETRIED: Final = (408, 409, 429, 500, 502, 503, 504, 520, 522, 524, 529)


def statuses(protocol: Protocol) -> Iterator[Case]:
    """Yield the refusals by status, those in all three forms of body, and those that are known by heart."""
    for status, kinds in _STATUSES.items():
        again = status in RETRIED
        either = ONCE_TO_THRICE if status == 501 else MANY if again else (1,)  # noqa: PLR2004 - the one not worth it
        why = "It may pass, so it is asked again, twice." if again else "Asking again changes nothing."
        yield _failing(
            protocol,
            f"status/{status}",
            f"answers {status} with an error in JSON, every time",
            why,
            refused(status, error("said by the server", "some_error")),
            kinds=kinds,
            attempts=either,
            says="said by the server",
            notice=again,
        )
    words = "The server's own words help, whatever they are wrapped in."
    bodies = {
        "text": (b"said by the server", PLAIN),
        "message": (as_json({"message": "said by the server"}), JSON),
        "detail": (as_json({"detail": "said by the server"}), JSON),
        "error-string": (as_json({"error": "said by the server"}), JSON),
        "no-type": (error("said by the server"), PLAIN),
    }
    for name, (body, kind) in bodies.items():
        yield _failing(
            protocol,
            f"status/body-{name}",
            f"answers 400 with `{body.decode()}`",
            words,
            refused(400, body, kind),
            kinds=("bad_request",),
            says="said by the server",
        )
    yield _failing(
        protocol,
        "status/body-empty",
        "answers 400 without a body",
        "The status says enough.",
        refused(400),
        kinds=("bad_request",),
    )
    yield _failing(
        protocol,
        "status/body-odd-json",
        "answers 400 with JSON of an unknown shape",
        "The status says enough.",
        refused(400, b'[{"error": [1, null]}, "x"]'),
        kinds=("bad_request",),
    )
    yield _failing(
        protocol,
        "status/body-html",
        "answers 403 with an HTML page",
        "A wall before the server; its HTML helps nobody.",
        refused(403, HTML_PAGE, HTML),
        kinds=("permission",),
    )
    yield _failing(
        protocol,
        "status/body-large",
        "answers 400 with a message of 1 MB",
        "Only its beginning is kept.",
        refused(400, error("said by the server " * 55_000)),
        kinds=("bad_request",),
        says="said by the server",
    )
    yield _failing(
        protocol,
        "status/body-unprintable",
        "answers 400 with control characters and colours in the message",
        "A server must not write into the person's terminal.",
        refused(400, error("said\x1b[31m by\x07 the\nserver\u202e")),
        kinds=("bad_request",),
        says="said",
    )
    yield _failing(
        protocol,
        "status/body-invalid",
        "answers 400 with bytes that are no UTF-8",
        "It is an error all the same.",
        refused(400, b"\xff\xfe said", PLAIN),
        kinds=("bad_request",),
        says="said",
    )
    yield _failing(
        protocol,
        "status/body-cut",
        "answers 400 and closes in the middle of the body",
        "The status is known.",
        Answer(wire=[b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n", b"said by"], delay=0.01),
        kinds=("bad_request",),
    )
    yield _failing(
        protocol,
        "status/body-silent",
        "answers 400 and falls silent in the middle of the body",
        "The status is known; the person must not wait for its words.",
        Answer(wire=[b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n", b"said by"], hold=threading.Event()),
        kinds=("bad_request",),
        options={"idle_timeout": 0.4},
        within=4.0,
    )
    yield _failing(
        protocol,
        "status/body-endless",
        "answers 400 with a body that has no end",
        "Its beginning says enough.",
        Answer(status=400, raw=[b"said by the server " * 1000] * 2000, headers=with_headers(PLAIN), delay=0.01),
        kinds=("bad_request",),
        says="said by the server",
        within=4.0,
    )
    yield _failing(
        protocol,
        "status/429-daily-chinese",
        "answers 429 because the day's allowance is used up, in Chinese alone",
        "Asking again does not help before tomorrow.",
        refused(
            429, error("免费API Key今日请求次数已达上限，请明天再试", "chatanywhere_error", "429 TOO_MANY_REQUESTS")
        ),
        kinds=("quota",),
    )
    yield _failing(
        protocol,
        "status/403-balance-chinese",
        "answers 403 because the balance is used up, in Chinese alone",
        "The way out is another than for a missing permission.",
        refused(403, error("账户余额不足，请充值", "chatanywhere_error", "403 FORBIDDEN")),
        kinds=("quota",),
    )
    yield _failing(
        protocol,
        "status/request-id",
        "answers 400 with `x-request-id`",
        "It is what support asks for.",
        refused(400, error("no"), x_request_id="req_42"),
        kinds=("bad_request",),
        request_id="req_42",
    )
    yield _failing(
        protocol,
        "status/429-daily",
        "answers 429 because the day's allowance is used up",
        "Asking again does not help before tomorrow.",
        refused(429, error(_DAILY, "chatanywhere_error", "429 TOO_MANY_REQUESTS")),
        kinds=("quota",),
        says="tomorrow",
    )
    yield _failing(
        protocol,
        "status/429-quota",
        "answers 429 with `insufficient_quota`",
        "Money does not come back by waiting.",
        refused(429, error("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
        kinds=("quota",),
    )
    yield _failing(
        protocol,
        "status/403-tokens",
        "answers 403 `chatanywhere_error` because the prompt has over 4,096 tokens",
        "It is the conversation that is too long; the key is good.",
        refused(403, error(_TOO_LONG, "chatanywhere_error", "403 FORBIDDEN")),
        kinds=("context_length",),
        says="4096",
    )
    yield _failing(
        protocol,
        "status/403-balance",
        "answers 403 `chatanywhere_error` because the balance is used up",
        "The way out is another than for a missing permission.",
        refused(403, error(_BALANCE, "chatanywhere_error", "403 FORBIDDEN")),
        kinds=("quota",),
        says="balance",
    )
    yield _failing(
        protocol,
        "status/403-user-quota",
        "answers 403 with `insufficient_user_quota`",
        "Gateways say it so.",
        refused(403, error("user quota is not enough", "v_api_error", "insufficient_user_quota")),
        kinds=("quota",),
    )
    yield _failing(
        protocol,
        "status/403-other",
        "answers 403 `chatanywhere_error` for another reason",
        "Not every 403 is about length.",
        refused(403, error("this model is not for free keys", "chatanywhere_error", "403 FORBIDDEN")),
        kinds=("permission",),
    )
    yield _failing(
        protocol,
        "status/400-context",
        "answers 400 with `context_length_exceeded`",
        "It is the conversation that is too long.",
        refused(
            400, error("maximum context length is 8192 tokens", "invalid_request_error", "context_length_exceeded")
        ),
        kinds=("context_length",),
    )
    yield _failing(
        protocol,
        "status/400-filter",
        "answers 400 with `content_filter`",
        "Azure refuses prompts so.",
        refused(400, error("The response was filtered", "", "content_filter")),
        kinds=("content_filter", "bad_request"),
    )
    yield _failing(
        protocol,
        "status/404-model",
        "answers 404 with `model_not_found`",
        "The model's name is wrong.",
        refused(404, error("no such model", "invalid_request_error", "model_not_found")),
        kinds=("not_found",),
    )
    yield _failing(
        protocol,
        "status/401-stream",
        "answers 401 and calls the body a stream",
        "The status decides.",
        refused(401, error("wrong key"), EVENTS),
        kinds=("authentication",),
    )
    if protocol != "web":  # it has no key
        yield _failing(
            protocol,
            "status/401-echo",
            "answers 401 and repeats the key",
            "The key is in nothing that is shown.",
            refused(401, error(f"Incorrect API key provided: {KEY}.")),
            kinds=("authentication",),
            says="Incorrect API key",
        )
        escaped = "".join(f"%{byte:02X}" for byte in KEY.encode())
        yield _failing(
            protocol,
            "status/400-echo-mixed",
            "answers 400 and repeats the request's headers",
            "The key is in nothing that is shown.",
            refused(400, f"GET /?key={escaped} Authorization: Bearer {KEY}".encode(), PLAIN),
            kinds=("bad_request",),
        )


def redirects(protocol: Protocol) -> Iterator[Case]:
    """Yield the redirects."""
    path = PATHS[protocol]
    for status in (301, 302, 303, 307, 308):
        yield _failing(
            protocol,
            f"redirect/{status}",
            f"answers {status} to another server",
            "The key belongs to the address that it was given for.",
            refused(status, Location=ELSEWHERE + path),
            kinds=("redirect",),
        )
    yield _failing(
        protocol,
        "redirect/no-location",
        "answers 302 without an address",
        "It is no answer.",
        refused(302),
        kinds=("redirect",),
    )
    yield _failing(
        protocol,
        "redirect/304",
        "answers 304",
        "It is no answer.",
        refused(304),
        kinds=("redirect", "api", "protocol", "bad_request"),
    )


# --- retries ------------------------------------------------------------------------------------------------


def retries(protocol: Protocol) -> Iterator[Case]:
    """Yield what is asked again, how often, and when."""
    fine = good(protocol)

    def again(name: str, server: str, why: str, *first: Answer, **demands: Any) -> Case:
        demands = {"attempts": (len(first) + 1,), "text": GOOD, "finish": "stop", "notice": True, **demands}
        return Case(name=f"retry/{name}", protocol=protocol, server=server, why=why, answers=(*first, fine), **demands)

    passing = "Nothing was shown yet, and such failures pass."
    drop, reset = Answer(drop=True), Answer(drop=True, reset=True)
    yield again(
        "drop",
        "closes the connection without an answer, then answers",
        passing,
        drop,
        demand=a_retry_repeats_the_question,
    )
    yield again("reset", "resets the connection without an answer, then answers", passing, reset)
    for status in RETRIED:
        yield again(f"{status}", f"answers {status}, then answers well", passing, refused(status, error("not now")))
    yield again(
        "twice",
        "answers 503 and 429, then answers well",
        passing,
        refused(503),
        refused(429),
        demand=a_retry_repeats_the_question,
    )
    yield again("html", "answers 502 with an HTML page, then answers well", passing, refused(502, HTML_PAGE, HTML))
    yield _failing(
        protocol,
        "retry/drop-always",
        "closes the connection without an answer, every time",
        "Twice again is enough.",
        drop,
        kinds=("connection",),
        attempts=MANY,
        notice=True,
    )
    limit = "The person said how often."
    busy = refused(503, error("not now"))
    yield _failing(
        protocol,
        "retry/none-wanted",
        "answers 503, and the person wants no retries",
        limit,
        busy,
        kinds=("overloaded", "server"),
        options={"max_retries": 0},
    )
    yield again(
        "one-wanted", "answers 503, then well, and the person wants one retry", limit, busy, options={"max_retries": 1}
    )
    yield _failing(
        protocol,
        "retry/one-wanted-two-needed",
        "answers 503, and the person wants one retry",
        limit,
        busy,
        kinds=("overloaded", "server"),
        options={"max_retries": 1},
        attempts=_ONCE_MORE,
    )
    said = "The server knows best when."
    soon = 0.45
    pauses: dict[str, tuple[dict[str, str], str, tuple[float, float]]] = {
        "retry-after-0": ({"Retry-After": "0"}, "`Retry-After: 0`", (0.0, 1.0)),
        "retry-after-1": ({"Retry-After": "1"}, "`Retry-After: 1`", (0.95, 3.0)),
        "retry-after-fraction": ({"Retry-After": "0.2"}, "`Retry-After: 0.2`", (0.15, 1.0)),
        "retry-after-ms": ({"retry-after-ms": "700"}, "`retry-after-ms: 700`", (0.65, 2.0)),
        "retry-after-both": (
            {"retry-after-ms": "1", "Retry-After": "3"},
            "both, of which the milliseconds count",
            (0.0, soon),
        ),
        "retry-after-past": (
            {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
            "`Retry-After` with a date that is past",
            (0.0, 2.0),
        ),
        "retry-after-nonsense": ({"Retry-After": "soon"}, "`Retry-After: soon`", (0.0, 3.0)),
        "retry-after-negative": ({"Retry-After": "-5"}, "`Retry-After: -5`", (0.0, 3.0)),
    }
    for name, (headers, shown, pause) in pauses.items():
        first = Answer(status=429, raw=[error("slow down")], headers={"Content-Type": JSON, **headers})
        yield again(name, f"answers 429 with {shown}, then answers well", said, first, pause=pause)
    dated = Answer(status=503, raw=[b""], headers=with_headers(JSON), retry_after_date=2)
    yield again(
        "retry-after-date",
        "answers 503 with `Retry-After` as the date two seconds on, then answers well",
        said,
        dated,
        pause=(0.9, 4.0),
    )
    plain = Answer(status=503, raw=[b""], headers=with_headers(JSON))
    yield again(
        "own-pause",
        "answers 503 without `Retry-After`, then answers well",
        "A crowd that comes back at once keeps it down.",
        plain,
        pause=(0.2, 2.0),
    )
    tomorrow = Answer(status=429, raw=[error("slow down")], headers={"Content-Type": JSON, "Retry-After": "86400"})
    yield _failing(
        protocol,
        "retry/retry-after-a-day",
        "answers 429 with `Retry-After: 86400`",
        "Nobody waits for a day before a cell; this, too, is reported.",
        tomorrow,
        kinds=("rate_limit", "quota"),
        attempts=ONCE_TO_THRICE,
    )
    soon_again = Answer(status=429, raw=[error("slow down")], headers={"Content-Type": JSON, "Retry-After": "8"})
    yield again(
        "cancel",
        "answers 429 with `Retry-After: 8`, and sees the reader cancelled in the pause",
        "Nobody is made to wait for the end of a pause.",
        soon_again,
        stop="cancel-early",
        attempts=(1,),
        within=2.0,
    )
    for status, kind in ((401, "authentication"), (403, "permission"), (404, "not_found"), (400, "bad_request")):
        yield Case(
            name=f"retry/not-{status}",
            protocol=protocol,
            server=f"answers {status}, and would then answer well",
            why="Asking again changes nothing, and may lock a key.",
            answers=(refused(status, error("no")), fine),
            kinds=(kind,),
        )
