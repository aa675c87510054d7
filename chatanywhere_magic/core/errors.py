"""The error tree: what can go wrong, one class a kind, one line each for the person at the notebook.

::

    ChatError
    ├── ConfigurationError          something is missing or misspelt on our side; nothing was sent
    │   ├── FormatError             what is to be read holds no conversation
    │   ├── NotRecordedError        only earlier answers are wanted, and there is none to this question
    │   ├── UsageError              a magic's line cannot be understood
    │   ├── UnsupportedError        the provider cannot do what was asked for
    │   └── LeakError               what would be sent looks like a key
    ├── APIError                    the provider answered with a refusal
    │   ├── BadRequestError         it did not accept the request
    │   │   └── TooLargeError       the request is larger than it takes
    │   │       └── ContextLengthError  the conversation is longer than the model or the plan allows
    │   ├── AuthenticationError     the key is missing, wrong or expired
    │   ├── PermissionDeniedError   the key may not do this
    │   ├── QuotaError              the balance or the day's allowance is used up
    │   ├── NotFoundError           no such model or address
    │   ├── RedirectError           it points to another address, where a key must not go
    │   ├── RateLimitError          too many requests just now
    │   └── ServerError             it failed
    │       └── OverloadedError     it has too much to do
    ├── ConnectionFailedError       no answer came over the network
    │   ├── DNSError                the server's name is not known
    │   ├── TLSError                the connection cannot be trusted
    │   ├── ProxyError              the proxy on the way is not there, or refuses
    │   └── TimeoutExceededError    it took longer than the limit
    └── AnswerError                 an answer began, or should have, and is not a good one
        ├── IncompleteError         the stream ended before the provider said that it was finished
        ├── StreamError             the provider reported a failure in the middle of the answer
        ├── ProtocolError           the bytes are not what the protocol says
        ├── EmptyAnswerError        the provider finished without a word
        ├── ContentFilterError      the provider withheld the answer
        ├── RefusalError            the model declined to answer
        └── AnswerFormatError       the answer is whole, and does not hold what was asked for

    ChatInterrupted (a KeyboardInterrupt)  the person stopped the turn
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from .i18n import Phrase


class ChatError(Exception):
    """Base of every error that this package raises.

    Parameters
    ----------
    message : str or Phrase
        One line: what was wrong and what to do next. A phrase is put into words when it is shown, in the language that
        is in use then. Holds no key.
    status : int, optional
        The HTTP status, where there was one.
    server_message : str, optional
        The server's own words, redacted, printable, at most 2,000 characters.
    request_id : str, optional
        The provider's id of the request, to quote to its support.
    retry_after : float, optional
        Seconds after which the provider says that it may be asked again.
    retryable : bool, optional
        Where this one differs from its class.

    Attributes
    ----------
    kind : str
        The kind in one word or two, stable across languages.
    retryable : bool
        Whether the same request may well succeed a little later.
    """

    kind = "error"
    retryable = False

    def __init__(
        self,
        message: str | Phrase,
        *,
        status: int | None = None,
        server_message: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.server_message = server_message
        self.request_id = request_id
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return str(self.message)

    def bare(self) -> Self:
        """Return this error without the frames and causes behind it.

        They hold what the server sent, the request's headers and with them perhaps a key, and would show it where all
        variables of an error's frames are shown.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def _render_traceback_(self) -> list[str]:
        """Show one line in IPython: our frames help nobody, and verbose ones could show a key."""
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(ChatError):
    """Something is missing or misspelt on our side; nothing was sent."""

    kind = "configuration"


class FormatError(ConfigurationError):
    """A file, or what stands in its place, does not hold the conversation that it should."""

    kind = "format"


class NotRecordedError(ConfigurationError):
    """Only earlier answers are wanted (``replay-only``), and there is none to this question."""

    kind = "not_recorded"


class UsageError(ConfigurationError):
    """The line of a magic cannot be understood; nothing was sent."""

    kind = "usage"


class UnsupportedError(ConfigurationError):
    """The provider cannot do what was asked for."""

    kind = "unsupported"


class LeakError(ConfigurationError):
    """What would be sent looks like a key; nothing was sent.

    Attributes
    ----------
    places : str
        Where it looks so, and like what.
    """

    kind = "leak"
    places = ""


class APIError(ChatError):
    """The provider answered, with a refusal."""

    kind = "api"


class BadRequestError(APIError):
    """The provider did not accept the request."""

    kind = "bad_request"


class TooLargeError(BadRequestError):
    """The request is larger than the provider takes."""

    kind = "too_large"


class ContextLengthError(TooLargeError):
    """The prompt is longer than the model or the plan allows."""

    kind = "context_length"


class AuthenticationError(APIError):
    """The key is missing, wrong or expired."""

    kind = "authentication"


class PermissionDeniedError(APIError):
    """The key is known but may not do this."""

    kind = "permission"


class QuotaError(APIError):
    """The balance or the day's allowance is used up."""

    kind = "quota"


class NotFoundError(APIError):
    """No such model or address."""

    kind = "not_found"


class RedirectError(APIError):
    """The provider points to another address. A key belongs to the one that it was given for."""

    kind = "redirect"


class RateLimitError(APIError):
    """Too many requests just now."""

    kind = "rate_limit"
    retryable = True


class ServerError(APIError):
    """The provider failed or is overloaded."""

    kind = "server"
    retryable = True


class OverloadedError(ServerError):
    """The provider has too much to do just now."""

    kind = "overloaded"


class ConnectionFailedError(ChatError):
    """No answer came over the network."""

    kind = "connection"
    retryable = True


class DNSError(ConnectionFailedError):
    """The server's name is not known."""

    kind = "dns"


class TLSError(ConnectionFailedError):
    """The connection cannot be trusted: its certificate is expired, self-signed or another host's."""

    kind = "tls"
    retryable = False


class ProxyError(ConnectionFailedError):
    """The proxy on the way is not there, or refuses."""

    kind = "proxy"
    retryable = False


class TimeoutExceededError(ConnectionFailedError):
    """The provider took longer than the limit."""

    kind = "timeout"


class AnswerError(ChatError):
    """An answer began, or should have, and is not a good one."""

    kind = "answer"


class IncompleteError(AnswerError):
    """The stream ended before the provider said that the answer was finished."""

    kind = "incomplete"
    retryable = True


class StreamError(AnswerError):
    """The provider reported a failure in the middle of the answer."""

    kind = "stream"
    retryable = True


class ProtocolError(AnswerError):
    """The bytes are not what the protocol says."""

    kind = "protocol"


class EmptyAnswerError(AnswerError):
    """The provider finished without a word."""

    kind = "empty"
    retryable = True


class ContentFilterError(AnswerError):
    """The provider withheld the answer."""

    kind = "content_filter"


class RefusalError(AnswerError):
    """The model declined to answer."""

    kind = "refusal"


class AnswerFormatError(AnswerError, ValueError):
    """The answer is whole, and does not hold what was asked for, such as JSON, or JSON of a certain form.

    Attributes
    ----------
    problems : str
        What is wrong with it, as the model is told.
    """

    kind = "answer_format"
    problems = "it is not JSON"


class ChatInterrupted(KeyboardInterrupt):
    """The person stopped the turn.

    A ``KeyboardInterrupt``, so that "Run All" stops as it does for any interrupted cell.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
