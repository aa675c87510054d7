# ruff: noqa: E501 - each refusal stands in one line, so that adding one is adding a line
"""Refusals in servers' own words: which mean a length and teach its limit, and which name a pause."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import OpenAI
from chatanywhere_magic.context.budget import numbers
from chatanywhere_magic.core.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    QuotaError,
    RateLimitError,
)
from chatanywhere_magic.providers.wire.refusals import api_error
from chatanywhere_magic.providers.wire.retry import named_pause, reset_after
from chatanywhere_magic.testing.server import Answer
from tests.unit.helpers import ask

if TYPE_CHECKING:
    from chatanywhere_magic.core.errors import ChatError
    from chatanywhere_magic.testing.server import LocalServer

# One line each: the status, the words, the limit and the number of tokens that they name.
LENGTHS: list[tuple[int, str, int | None, int | None]] = [
    (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9031 tokens.", 8192, 9031),
    (400, "maximum context length is 4097 tokens, however you requested 9000 tokens (8000 in your prompt; 1000)", 4097, 8000),
    (400, "Your input exceeds the context window of this model. Please adjust your input and try again.", None, None),
    (400, "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300100 tokens.", 272_000, 300_100),
    (429, "Request too large for gpt-4o-2024-08-06 in organization org-12345 on tokens per min (TPM): Limit 30000, Requested 42000. The input or output tokens must be reduced in order to run successfully.", 30_000, 42_000),
    (413, "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested 7500, please reduce your message size and try again.", 6000, 7500),
    (400, "prompt is too long: 210000 tokens > 200000 maximum", 200_000, 210_000),
    (400, "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000, decrease input length", 200_000, None),
    (400, "The input token count (1,200,000) exceeds the maximum number of tokens allowed (1,048,576).", 1_048_576, 1_200_000),
    (400, "the input token count is 32825 but model only supports up to 32768.", 32_768, 32_825),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32_768, 40_000),
    (400, "too many tokens: size limit exceeded by 1000 tokens. The limit for this model is 4096 tokens", 4096, None),
    (400, "total number of tokens in the prompt cannot exceed 4081 - received 5000.", 4081, 5000),
    (400, "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", 8192, 9000),
    (400, "Range of input length should be [1, 30720]", 30_720, None),
    (400, "'max_tokens' is too large: 4000. This model's maximum context length is 4096 tokens and your request has 500 input tokens (4000 > 4096 - 500).", 4096, None),
    (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4096, 5000),
    (400, "You passed 5001 input tokens and requested 0 output tokens. However, the model's context length is only 4096 tokens, resulting in a maximum input length of 4096 tokens. (parameter=input_tokens, value=5001)", 4096, 5001),
    (400, "maximum context length is 262144 tokens. However, you requested 0 output tokens and your prompt contains at least 262145 input tokens", 262_144, 262_145),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens", 4096, 5000),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 5000", 1024, 5000),
    (400, "request (9031 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192, 9031),
    (400, "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens", 4096, 5000),
    (400, "This model's maximum prompt length is 131072 but the request contains 150000 tokens.", 131_072, 150_000),
    (400, "Input is too long for requested model.", None, None),
    (400, "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (39000 of text input, 1000 in the output).", 32_768, 39_000),
    (413, "Request body too large for gpt-4o model. Max size: 8000 tokens.", 8000, None),
    (400, "prompt token count of 70000 exceeds the limit of 64000", 64_000, 70_000),
    (400, "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", 8192, 9000),
    (400, "The prompt is too long: 9000, model maximum context length: 8192", 8192, 9000),
    (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192, 9000),
    (400, "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", 131_040, 131_393),
    (400, "Input length (265330) exceeds model's maximum context length (262144).", 262_144, 265_330),
    (400, "Prompt too long: 5152 tokens exceeds max_seq_len 2048 (leave room for output tokens)", 2048, 5152),
    (500, "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model", 4096, 5000),
    (400, "invalid params, context window exceeds limit (2013)", None, None),
    (403, "免费API限制模型输入token小于4096，如有更多需求，请购买付费API。", 4096, None),
    (403, "The number of prompt tokens for free accounts is limited to 4096.", 4096, None),
]  # fmt: skip


def error_of(status: int, words: str, **fields: Any) -> ChatError:
    return api_error({"error": {"message": words, **fields}}, host="host", status=status)


@pytest.mark.parametrize(("status", "words", "limit", "used"), LENGTHS, ids=[words[:40] for _, words, _, _ in LENGTHS])
def test_a_length_refusal_teaches_its_limit(status: int, words: str, limit: int | None, used: int | None) -> None:
    error = error_of(status, words)
    assert type(error) is ContextLengthError
    assert numbers(error.server_message) == (limit, used)


def test_llama_cpp_says_it_in_fields() -> None:
    fields = {"type": "exceed_context_size_error", "n_prompt_tokens": 9031, "n_ctx": 8192}
    error = error_of(400, "the request exceeds the available context size. try increasing the context size", **fields)
    assert type(error) is ContextLengthError
    assert numbers(error.server_message) == (8192, 9031)


@pytest.mark.parametrize(
    ("status", "words", "param"),
    [
        (400, "max_tokens is too large: 99999. This model supports at most 16384 completion tokens.", "max_tokens"),
        (400, "The maximum tokens you requested exceeds the model limit of 4096.", None),
        (400, "Invalid 'tools': array too long. Expected an array with maximum length 128, but got 300.", "tools"),
        (400, "Invalid 'messages[0].content': string too long. Expected maximum length 10485760.", "messages[0].content"),
        (422, "Input should be less than or equal to 4096", None),
        (429, "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000, Used 9500, Requested 1000.", None),
        (429, "This request would exceed your organization's rate limit of 40,000 input tokens per minute.", None),
        (429, "Too many tokens, please wait before trying again.", None),
        (413, "Request Entity Too Large", None),
    ],
)  # fmt: skip
def test_what_is_no_length_refusal(status: int, words: str, param: str | None) -> None:
    assert not isinstance(error_of(status, words, param=param), ContextLengthError)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("on tokens per minute … Please try again in 2.5s. Visit", 2.5),
        ("Please try again in 1m0.36s.", 60.36),
        ("Please try again in 6m0s", 360.0),
        ("Please try again in 250ms.", 0.25),
        ("try again in 1h2m3s", 3723.0),
        ("Please retry in 31.932s.", 31.932),
        ("Please retry after 46 seconds.", 46.0),
        ("Try again in about 5 seconds", 5.0),
        ("Please wait 12 seconds and retry", 12.0),
        ("try again in 2 minutes", 120.0),
        ("retry after 1 hour", 3600.0),
        ("Please wait 6 minutes and 30 seconds before retrying", 390.0),
        ("Limit resets in 23h59m12s", 86_352.0),
        ("Your quota will reset after 5h12m33s.", 18_753.0),
        ("Please try again in 2 days", 172_800.0),
        ("try again in 1 day and 2 hours", 93_600.0),
        ("请在 6 分钟后重试", 360.0),
        ("请求过于频繁，请 30 秒后再试", 30.0),
        ("将在1小时5分钟之后恢复", 3900.0),
        ("Please try again later", None),
        ("resets at 3pm", None),
        ("5 个请求之后", None),
        ("try again in 3 weeks", None),
        ("", None),
    ],
)
def test_a_pause_is_read_from_the_words(words: str, seconds: float | None) -> None:
    assert named_pause(words) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "words", ["resets at {}Z", "Please retry after {}", "blocked until {}+00:00", "try again on {}Z."]
)
def test_a_moment_is_read_from_the_words(words: str) -> None:
    moment = datetime.now(timezone.utc) + timedelta(minutes=30)
    for separator in ("T", " "):
        said = words.format(moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S"))
        assert named_pause(said) == pytest.approx(1800, abs=5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "17ms", "x-ratelimit-remaining-requests": "0"}, 0.017),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "5"}, None),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset": "soon"}, None),
        ({}, None),
    ],
)
def test_a_reset_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert reset_after(headers) == pytest.approx(seconds)


def test_a_reset_may_be_a_moment() -> None:
    assert reset_after({"x-ratelimit-reset": str(int((time.time() + 30) * 1000))}) == pytest.approx(30, abs=2)
    assert reset_after({"x-ratelimit-reset": str(int(time.time() + 30))}) == pytest.approx(30, abs=2)


def test_a_long_pause_is_said_with_its_moment_and_not_slept_through(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    body = b'{"error": {"message": "Rate limit reached on tokens per min. Please try again in 6m0s."}}'
    server.queue(Answer(status=429, raw=[body]))
    error = ask(OpenAI, max_retries=2).error
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, len(server.requests)) == (360.0, 1)
    assert "You can ask again at 20" in str(error)


def test_a_daily_quota_is_not_asked_again(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_url)
    words = b"Rate limit reached on requests per day (RPD): Limit 200, Used 200. Please try again in 7.2s."
    server.queue(Answer(status=429, raw=[b'{"error": {"message": "' + words + b'"}}']))
    assert isinstance(ask(OpenAI, max_retries=2).error, QuotaError)
    assert len(server.requests) == 1


def test_google_names_the_pause_in_its_details() -> None:
    detail = {
        "error": {"message": "Quota exceeded per minute.", "details": [{"@type": "RetryInfo", "retryDelay": "31s"}]}
    }
    assert api_error([detail], host="host", status=429).retry_after == 31.0


# One line each: the status, and how it says that it has no such model.
NO_MODEL: list[tuple[int, str]] = [
    (404, "The model `gpt-x` does not exist or you do not have access to it."),
    (400, "/chat/completions: Invalid model name passed in model=gpt-x. Call `/v1/models` to view available models for your key."),
    (400, "There are no healthy deployments for this model. Passed model=gpt-x"),
    (400, "invalid model ID"),
    (400, "Invalid model: gpt-x"),
    (400, "gpt-x is not a valid model ID"),
    (400, "Model Not Exist"),
    (400, "Model does not exist. Please check it carefully."),
    (400, "The requested model 'org/gpt-x' does not exist"),
    (400, "Unknown model: gpt-x"),
    (400, "模型不存在，请检查模型代码。"),
    (422, "model 'gpt-x' not found, try pulling it first"),
    (500, "model gpt-x not found"),
    (503, "No available channel for model gpt-x under group default (distributor) (request id: 2026120108)"),
    (503, "当前分组 default 下对于模型 gpt-x 无可用渠道 (request id: 2026120108)"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "words"), NO_MODEL, ids=[words[:40] for _, words in NO_MODEL])
def test_a_model_that_is_not_there_is_not_found(status: int, words: str) -> None:
    error = error_of(status, words, type="invalid_request_error", param="model", code=str(status))
    assert type(error) is NotFoundError
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "Invalid model parameters: temperature must be at most 2", BadRequestError),
        (400, "The model does not support images.", BadRequestError),
        (400, "Invalid 'tools[0]': function not found", BadRequestError),
        (503, "The model is overloaded. Please try again later.", OverloadedError),
        (503, "No available channel", OverloadedError),
        (429, "No available deployments for this model, try again in 5 seconds. Passed model=gpt-x", RateLimitError),
    ],
)
def test_what_is_no_missing_model(status: int, words: str, kind: type[ChatError]) -> None:
    assert type(error_of(status, words)) is kind


@pytest.mark.parametrize("status", [500, 501, 502, 503])
@pytest.mark.parametrize(
    "words",
    [
        "Unrecognized request argument supplied: stream_options",
        "`response_format` is not supported by this model",
        "This model doesn't support tools",
        "images are not yet supported",
        "unsupported content type",
        "streaming is not implemented",
        "该模型不支持工具调用",
    ],
)
def test_a_server_error_that_says_not_supported_is_not_asked_again(status: int, words: str) -> None:
    error = error_of(status, words)
    assert (type(error), error.retryable) == (BadRequestError, False)


@pytest.mark.parametrize("words", ["API key not valid. Please pass a valid API key.", "No connected db."])
def test_a_wrong_key_is_one_whatever_the_status(words: str) -> None:
    assert type(error_of(400, words)) is AuthenticationError


@pytest.mark.parametrize("words", ["The server had an error", "not supported at this load, retry after 5 seconds", ""])
def test_any_other_server_error_is_asked_again(words: str) -> None:
    assert error_of(500, words).retryable
