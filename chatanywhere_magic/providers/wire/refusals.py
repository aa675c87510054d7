"""Turn a server's refusal, by status or inside a stream, into one of our errors."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ...core import (
    AuthenticationError,
    BadRequestError,
    ChatError,
    ContentFilterError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProxyError,
    QuotaError,
    RateLimitError,
    RedirectError,
    ServerError,
    StreamError,
    TimeoutExceededError,
    TooLargeError,
    phrase,
    text,
)
from .retry import LONGEST_ASKED_PAUSE_SECONDS, named_pause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...core import Phrase
    from ...keys import Secret

MAX_SERVER_WORDS: Final = 2_000
MAX_FOREIGN_CHARACTERS: Final = 65_536
"""So much of a server's words is looked at. Shown is less by far."""
_MARGIN: Final = 1_024
"""Where they are cut stands perhaps a part of a key, which is not recognised as one."""
MAX_CODE_WORDS: Final = 40
MAX_ID_WORDS: Final = 80
_REQUEST_ID_HEADERS: Final = (
    "x-request-id",
    "request-id",  # Anthropic
    "apim-request-id",  # Azure
    "x-ms-request-id",
    "x-oneapi-request-id",  # one-api and the gateways made from it
    "x-amzn-requestid",
    "x-generation-id",  # OpenRouter
    "x-trace-id",
    "cf-ray",
)
_WORD_FIELDS: Final = ("message", "detail", "msg", "error_msg", "error_description", "title")
_TELLING: Final = ("message", "detail", "msg", "errors")
_CODE_FIELDS: Final = ("code", "status", "status_code", "statusCode", "http_status")
MAX_PROBLEMS: Final = 20
_PLACE: Final = re.compile(r"""["']loc["']: ?[(\[]["']body["'], ?["'](\w{1,40})""")
_DATA: Final = re.compile(r"^data:[ \t]*(\S[^\r\n]*)", re.MULTILINE)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)

_DAILY: Final = re.compile(
    r"per[ _-]?day|daily|\brpd\b|\bday\b|\btomorrow\b|24 ?(?:h\b|hours?|小时)|当日|每日|每天|今日|明天|天的?限",
    re.IGNORECASE,
)
_BALANCE: Final = re.compile(
    r"balance|余额|额度|欠费|quota|billing|insufficient[ _](?:funds|credit)|out of credits", re.IGNORECASE
)
_PASSING: Final = re.compile(r"minute|per[ _-]?(?:min|second)|每分钟|(?:again|retry) (?:in|after) \d", re.IGNORECASE)

# A refusal for length is recognised by three things: a subject, the claim of too much, and a number of tokens.
_CONTEXT: Final = re.compile(
    r"context[ _-](?:length|window|size|limit)|context the overflows|max_(?:seq_len|model_len)"
    r"|(?:prompt|input|messages?|conversation|prompt tokens?) (?:is |are )?too long|too many (?:input |prompt )?tokens"
    r"|上下文|输入(?:内容)?过长|prompt ?超长|tokens?.{0,8}(?:小于|超过|超出|限制|上限)",
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(r"\b(?:prompt|inputs?|messages?|context|tokens?|sequence|request)\b", re.IGNORECASE)
_TOO_MUCH: Final = re.compile(
    r"exceed|longer|greater|too (?:large|long|many)|maximum|\bmax\b|limit|up to|at most|less than|[<>]|reduce"
    r"|should be",
    re.IGNORECASE,
)
_TOKENS: Final = re.compile(
    r"\btokens?\b|\b(?:input|prompt|message|model) length|length of the (?:input|messages)", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9_.-])\d[\d,]{2,12}")
_RATE: Final = re.compile(
    r"per[ _-]?(?:min|sec|hour|day)|rate[ _-]?limit|please wait|throttl|\b[tr]p[mds]\b|每分钟|每天", re.IGNORECASE
)
_ONE_REQUEST: Final = re.compile(
    r"request too large|tokens must be reduced|reduce (?:your|the) (?:message|prompt|input)", re.IGNORECASE
)
"""What a server says of a single request that is more than a minute's allowance: waiting does not help."""
_OUTPUT: Final = re.compile(
    r"max_(?:completion_|output_|new_)?tokens|(?:completion|output) tokens|maximum tokens you requested", re.IGNORECASE
)
_OTHER_LENGTH: Final = re.compile(r"\b(?:string|array|list) (?:is )?too long", re.IGNORECASE)
_LENGTH_MARKS: Final = (
    "context_length",
    "context_window",
    "exceed_context_size",
    "max_prompt_tokens",
    "prompt_too_long",
    "tokens_limit_reached",
)
_LENGTH_STATUSES: Final = frozenset({None, 400, 403, 413, 422, 429, 500})
_UNSUPPORTED: Final = re.compile(
    r"n[o']t (?:\w{1,12} )?support|unsupported|not (?:\w{1,12} )?implemented|不支持|extra inputs|extra_forbidden"
    r"|(?:unknown|unrecogni[sz]ed|unexpected|invalid) (?:request )?(?:parameter|argument|field|property|keyword)",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(
    r"\b(?:invalid|unknown|no such) model\b(?! (?:output|input|param|param\w+|response|setting|config)\w*\b)"
    r"|not a valid model|not found the model|\bmodel name passed in\b"
    r"|\bmodel\W{1,3}(?:[^\s'\"`]{1,100}\W{1,2})?(?:is |was |could |can )?"
    r"(?:do(?:es)?(?: not|n't) exist|not exist|not (?:be )?found)"
    r"|no (?:available|healthy) (?:channels?|deployments?|providers?)\b[^.]{0,60}\bmodel"
    r"|模型[^。]{0,100}(?:不存在|无可用渠道|未找到|没有找到)|(?:无效|未知)的?模型",
    re.IGNORECASE,
)
_NO_MODEL_MARKS: Final = ("model_not_found", "model_not_exist", "unknown_model", "invalid_model", "deploymentnotfound")
_WRONG_KEY: Final = re.compile(
    r"(?:incorrect|invalid) api[ _]?key|api[ _]?key (?:is )?(?:not valid|invalid)"
    r"|no connected db",  # LiteLLM, which looks for every key but its own in a database
    re.IGNORECASE,
)


def printable_words(words: object, secret: Secret | None, limit: int = MAX_SERVER_WORDS) -> str:
    """Return foreign text as one printable, redacted, bounded line."""
    line = _as_text(words)
    is_cut = len(line) > MAX_FOREIGN_CHARACTERS
    line = line[:MAX_FOREIGN_CHARACTERS]
    if secret:
        line = secret.redact(line)
    if is_cut:
        line = line[:-_MARGIN]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " for c in line)
    return " ".join(line.split())[:limit]


def _as_text(value: object) -> str:
    """Return `value`, which JSON may hold, as text; ``""`` where Python writes none, so deep or large is it."""
    try:
        return str(value)
    except (RecursionError, ValueError):
        return ""


def request_id_of(headers: Mapping[str, str], secret: Secret | None) -> str | None:
    """Return the server's id of the request, under any of its usual names, printable."""
    found = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), "")
    return printable_words(found, secret, MAX_ID_WORDS) or None


def refusal_detail(body: str) -> object:
    """Return the content of a refusal's body: parsed JSON, plain text, or the title of an HTML page."""
    try:
        detail: object = json.loads(body)
    except (ValueError, RecursionError):
        if (data := _DATA.search(body)) is not None:  # DashScope's: framed as an event
            with suppress(ValueError, RecursionError):
                return json.loads(data[1])
            return data[1]
        if "<" not in body[:100]:
            return body
        title = _TITLE.search(body)
        return title[1] if title else ""
    return detail


def is_telling(fields: dict[str, Any]) -> bool:
    """Whether an object that is no response says something, as gateways do of failures of their own."""
    return any(isinstance(fields.get(name), str | list) for name in _TELLING)


def api_error(
    detail: Any,
    *,
    host: str,
    status: int | None = None,
    secret: Secret | None = None,
    request_id: str | None = None,
    wait: float | None = None,
    reset: float | None = None,
) -> ChatError:
    """Turn a server's refusal, in a status or in the middle of a stream, into our error.

    Parameters
    ----------
    detail : object
        The parsed body: OpenAI's ``{"error": {"message", "type", "code"}}`` and its common variants.
    host : str
        The server's host.
    status : int, optional
        The HTTP status; without it, the failure came inside a stream, and may name one.
    secret : Secret, optional
        Redacted from the server's words.
    request_id : str, optional
        The server's id of the request.
    wait : float, optional
        Seconds that the server asks to wait, by its headers.
    reset : float, optional
        Seconds until its limits are reset, by its headers; they count where nothing else is said.
    """
    fields = _fields(detail)
    words = printable_words(_words(fields), secret)
    marks = " ".join(_as_text(fields.get(name))[:MAX_SERVER_WORDS] for name in ("type", "code", "status")).lower()
    if status is None:
        status = _status_within(fields)
    if wait is None:
        wait = named_pause(words)
    if wait is None:
        wait = _retry_delay(detail)
    parameter = printable_words(_parameter(fields, words), secret, MAX_CODE_WORDS)
    kind, key = _classify(status, marks, words, host, parameter)
    if wait is None and issubclass(kind, RateLimitError | QuotaError):
        wait = reset
    said = text("error.server_said", words=words) if words else ""
    if wait is not None and wait > LONGEST_ASKED_PAUSE_SECONDS:
        said = text("error.ask_again_at", moment=_moment(wait)) + said
    shown = status or printable_words(fields.get("code") or fields.get("type") or "?", secret, MAX_CODE_WORDS)
    if request_id is None and isinstance(detail, dict):
        request_id = detail.get("request_id") if isinstance(detail.get("request_id"), str) else None
    error = kind(
        text(key, host=host, status=shown, said=said).strip(),
        status=status,
        server_message=words,
        request_id=printable_words(request_id, secret, MAX_ID_WORDS) if request_id else None,
        retry_after=wait,
        retryable=True if status in _RETRYABLE_STATUSES else None,
    )
    if isinstance(error, BadRequestError):
        error.parameter = parameter
    return error


def _parameter(fields: dict[str, Any], words: str) -> str:
    """Return the field of the request that a refusal names: OpenAI's ``param``, or where a validator found it."""
    if isinstance(named := fields.get("param"), str) and named:
        return named
    problems: list[Any] = next((fields[name] for name in _WORD_FIELDS if isinstance(fields.get(name), list)), [])
    places = (problem.get("loc") for problem in problems[:MAX_PROBLEMS] if isinstance(problem, dict))
    for place in places:
        if isinstance(place, list) and place[:1] == ["body"] and len(place) > 1 and isinstance(place[1], str):
            return place[1]
    found = _PLACE.search(words)  # the same, as vLLM puts it into words
    return found[1] if found else ""


def said_by_server(words: str) -> Phrase | str:
    """Return a sentence that quotes the server's `words`, ``""`` if there are none."""
    return phrase("error.server_said", words=words) if words else ""


def _fields(detail: Any) -> dict[str, Any]:
    """Return the object that describes the error, wherever it is."""
    if isinstance(detail, list) and detail:  # Google's
        detail = detail[0]
    error = detail
    if isinstance(detail, dict):
        errors = detail.get("errors")
        error = detail.get("error") or (errors[0] if isinstance(errors, list) and errors else detail)
    if not isinstance(error, dict):
        return {"message": error}
    return error


def _words(fields: dict[str, Any]) -> str:
    words = next((fields[name] for name in _WORD_FIELDS if fields.get(name)), "")
    if isinstance(fields.get("n_ctx"), int):  # llama.cpp
        words = f"{words} (n_prompt_tokens {fields.get('n_prompt_tokens')}, n_ctx {fields['n_ctx']})"
    if isinstance(words, list):  # FastAPI's list of what is wrong with the request
        words = "; ".join(_as_text(each.get("msg", each) if isinstance(each, dict) else each) for each in words)
    metadata = fields.get("metadata")
    if isinstance(metadata, dict) and isinstance(raw := metadata.get("raw"), str):  # OpenRouter: of whom it asked
        words = f"{words}: {raw}"
    return _as_text(words)


def _status_within(fields: dict[str, Any]) -> int | None:
    # 429, "429" and "403 FORBIDDEN" all occur.
    codes = (re.match(r"[345]\d\d\b", _as_text(fields.get(name))) for name in _CODE_FIELDS)
    return next((int(code[0]) for code in codes if code), None)


def _moment(seconds: float) -> str:
    try:
        moment = datetime.now().astimezone() + timedelta(seconds=seconds)
    except OverflowError:
        return "…"
    return f"{moment:%Y-%m-%d %H:%M}"


def _is_length(words: str, parameter: str) -> bool:
    """Whether a refusal says that what was sent has too many tokens."""
    if _RATE.search(words):
        return bool(_ONE_REQUEST.search(words) and _NUMBER.search(words))
    if _OTHER_LENGTH.search(words) and not _TOKENS.search(words):
        return False
    if _CONTEXT.search(words):
        return True
    sent = re.match(r"\w*", parameter)[0]  # type: ignore[index]  # it matches anything
    if sent not in _SENT or (_OUTPUT.search(words) and not re.search(r"prompt|input|message", words, re.IGNORECASE)):
        return False
    return all(pattern.search(words) for pattern in (_SUBJECT, _TOO_MUCH, _TOKENS, _NUMBER))


_SENT: Final = frozenset({"", "messages", "input", "inputs", "prompt", "input_tokens", "contents"})
"""The fields whose length it can be."""


def _retry_delay(detail: Any) -> float | None:
    """Return the seconds in Google's ``{"details": [{"retryDelay": "31s"}]}``."""
    details = _fields(detail).get("details")
    for each in details[:MAX_PROBLEMS] if isinstance(details, list) else ():
        if isinstance(each, dict) and isinstance(delay := each.get("retryDelay"), str):
            return named_pause(f"retry in {delay}")
    return None


def _classify(  # noqa: C901, PLR0911 - a list of cases
    status: int | None, marks: str, words: str, host: str, parameter: str
) -> tuple[type[ChatError], str]:
    """Return our class and text for a refusal, by its words where they are more precise than its status."""
    ours = "chatanywhere" in marks or "chatanywhere" in host
    if "chatanywhere_error" in marks and "4096" in words:
        return ContextLengthError, "error.chatanywhere_length"
    if any(mark in marks for mark in _LENGTH_MARKS) or (status in _LENGTH_STATUSES and _is_length(words, parameter)):
        return ContextLengthError, "error.context_length"
    if "content_filter" in marks or "content_policy" in marks or "data_inspection_failed" in marks:
        return ContentFilterError, "error.content_filter_prompt"
    if status in {429, None} and _DAILY.search(words) and (status or "rate_limit" in marks):
        return QuotaError, "error.chatanywhere_daily" if ours else "error.daily_quota"
    if re.search(r"insufficient_\w*(?:quota|balance|funds|credit)", marks) or (
        status in {401, 402, 403, 429} and _BALANCE.search(words) and not _PASSING.search(words)
    ):
        return QuotaError, "error.chatanywhere_balance" if ours else "error.quota"
    if any(mark in marks for mark in _NO_MODEL_MARKS) or (status != 429 and _NO_MODEL.search(words)):  # noqa: PLR2004 - as in the table
        return NotFoundError, "error.not_found"
    if status == 401 or "invalid_api_key" in marks or (status in {400, 403} and _WRONG_KEY.search(words)):  # noqa: PLR2004 - as in the table
        return AuthenticationError, "error.chatanywhere_key" if ours else "error.authentication"
    if status is None:
        kinds = ((kind, key) for mark, kind, key in _BY_MARK if mark in marks)
        return next(kinds, (StreamError, "error.stream"))
    if status >= 500 and not _PASSING.search(words) and _UNSUPPORTED.search(words):  # noqa: PLR2004 - asked again it would be refused again
        return BadRequestError, "error.bad_request"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:  # noqa: PLR2004 - what is left below are redirects
        return RedirectError, "error.redirect"
    return (ServerError, "error.server") if status >= 500 else (BadRequestError, "error.bad_request")  # noqa: PLR2004


_RETRYABLE_STATUSES: Final = frozenset({408, 409})
_BY_STATUS: Final[dict[int, tuple[type[ChatError], str]]] = {
    402: (QuotaError, "error.quota"),
    403: (PermissionDeniedError, "error.permission"),
    404: (NotFoundError, "error.not_found"),
    407: (ProxyError, "error.proxy_password"),
    408: (TimeoutExceededError, "error.server"),
    413: (TooLargeError, "error.too_large"),
    429: (RateLimitError, "error.rate_limit"),
    503: (OverloadedError, "error.overloaded"),
    529: (OverloadedError, "error.overloaded"),
}
# In a stream the HTTP status is spent; these are the types that servers name instead.
_BY_MARK: Final[tuple[tuple[str, type[ChatError], str], ...]] = (
    ("rate_limit", RateLimitError, "error.rate_limit"),
    ("overloaded", OverloadedError, "error.overloaded"),
    ("authentication", AuthenticationError, "error.authentication"),
    ("permission", PermissionDeniedError, "error.permission"),
    ("not_found", NotFoundError, "error.not_found"),
    ("invalid_request", BadRequestError, "error.bad_request"),
)
