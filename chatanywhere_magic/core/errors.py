"""The error tree: one class for each kind of failure, with a one-line message for the user.

::

    ChatError
    ├── ConfigurationError          a setting is missing or wrong; nothing was sent
    │   ├── MissingKeyError         there is no key for the provider
    │   ├── FormatError             the file contains no readable conversation
    │   ├── NotAskedError           a row of a job was not asked: the job was stopped before, or reached a limit
    │   ├── NotRecordedError        replay-only is set, and no response is recorded for the prompt
    │   ├── ApprovalError           a call of a tool needs the person's approval, and nobody can be asked
    │   ├── UsageError              a magic's line is invalid
    │   ├── UnsupportedError        the provider does not support what was asked for
    │   └── LeakError               the request contains what looks like a key
    ├── APIError                    the provider answered with an error
    │   ├── BadRequestError         it rejected the request
    │   │   └── TooLargeError       the request is larger than it accepts
    │   │       └── ContextLengthError  the conversation is longer than the model or the plan allows
    │   ├── AuthenticationError     the key is missing, wrong or expired
    │   ├── PermissionDeniedError   the key may not do this
    │   ├── QuotaError              the balance or today's quota is used up
    │   ├── NotFoundError           no such model or address
    │   ├── RedirectError           it redirects to another address, where a key must not go
    │   ├── RateLimitError          too many requests
    │   └── ServerError             it failed
    │       └── OverloadedError     it is overloaded
    ├── ConnectionFailedError       the connection failed before a response
    │   ├── DNSError                the server's name was not found
    │   ├── TLSError                the connection cannot be trusted
    │   ├── ProxyError              the proxy is unreachable or refuses
    │   └── TimeoutExceededError    the provider took longer than the limit
    └── AnswerError                 the response is incomplete or unusable
        ├── IncompleteError         the stream ended before the provider reported the end
        ├── StreamError             the provider reported an error in the middle of the response
        ├── ProtocolError           the response does not follow the protocol
        ├── EmptyAnswerError        the provider finished without any text
        ├── ContentFilterError      the provider's filter withheld the response
        ├── RefusalError            the model declined to respond
        ├── ToolCallError           the model calls tools wrongly, also when told what is wrong
        └── AnswerFormatError       the response is complete but does not have the form asked for

    ChatInterrupted (a KeyboardInterrupt)  the user stopped the turn
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from .i18n import Phrase


class ChatError(Exception):
    """Base of every error that this package raises.

    Parameters
    ----------
    message : str or Phrase
        One line: what was wrong and what to do next. A phrase is worded when it is shown, in the language in use then.
        Never contains a key.
    status : int, optional
        The HTTP status, if there was one.
    server_message : str, optional
        The server's own words, redacted, printable, at most 2,000 characters.
    request_id : str, optional
        The provider's id of the request, to quote to its support.
    retry_after : float, optional
        Seconds to wait before the next try, as the provider says.
    retryable : bool, optional
        Overrides the class's value.

    Attributes
    ----------
    kind : str
        The kind of error as a short name, the same in every language.
    retryable : bool
        Whether the same request may succeed a little later.
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

        They hold what the server sent and the request's headers, perhaps with a key, which tools that show the
        variables of each frame would reveal.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def _render_traceback_(self) -> list[str]:
        """Show one line in IPython: the package's frames do not help, and verbose ones could show a key."""
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(ChatError):
    """A setting is missing or wrong; nothing was sent."""

    kind = "configuration"


class MissingKeyError(ConfigurationError):
    """There is no key for the provider; nothing was sent."""

    kind = "missing_key"


class FormatError(ConfigurationError):
    """A file or document does not contain a readable conversation."""

    kind = "format"


class NotAskedError(ConfigurationError):
    """A row of a job was not asked, since the job was stopped before, or reached a limit."""

    kind = "not_asked"


class NotRecordedError(ConfigurationError):
    """``replay-only`` is set, and no response is recorded for the prompt."""

    kind = "not_recorded"


class ApprovalError(ConfigurationError):
    """A call of a tool needs the person's approval, and there is nobody to ask."""

    kind = "approval"


class UsageError(ConfigurationError):
    """A magic's line is invalid; nothing was sent."""

    kind = "usage"


class UnsupportedError(ConfigurationError):
    """The provider does not support what was asked for."""

    kind = "unsupported"


class LeakError(ConfigurationError):
    """The request contains what looks like a key; nothing was sent.

    Attributes
    ----------
    places : str
        Where it is, and what kind of key it looks like.
    """

    kind = "leak"
    places = ""


class APIError(ChatError):
    """The provider answered with an error."""

    kind = "api"


class BadRequestError(APIError):
    """The provider rejected the request.

    Attributes
    ----------
    parameter : str
        The field of the request that it named as the reason, ``""`` if it named none.
    """

    kind = "bad_request"
    parameter = ""


class TooLargeError(BadRequestError):
    """The request is larger than the provider accepts."""

    kind = "too_large"


class ContextLengthError(TooLargeError):
    """The prompt is longer than the model or the plan allows."""

    kind = "context_length"


class AuthenticationError(APIError):
    """The key is missing, wrong or expired."""

    kind = "authentication"


class PermissionDeniedError(APIError):
    """The key is valid but has no permission for this."""

    kind = "permission"


class QuotaError(APIError):
    """The balance or today's quota is used up."""

    kind = "quota"


class NotFoundError(APIError):
    """There is no such model or address."""

    kind = "not_found"


class RedirectError(APIError):
    """The provider redirects to another address. A key is sent only to the address that it was given for."""

    kind = "redirect"


class RateLimitError(APIError):
    """Too many requests were sent."""

    kind = "rate_limit"
    retryable = True


class ServerError(APIError):
    """The provider failed or is overloaded."""

    kind = "server"
    retryable = True


class OverloadedError(ServerError):
    """The provider is overloaded."""

    kind = "overloaded"


class ConnectionFailedError(ChatError):
    """The connection failed before a response arrived."""

    kind = "connection"
    retryable = True


class DNSError(ConnectionFailedError):
    """The server's name was not found."""

    kind = "dns"


class TLSError(ConnectionFailedError):
    """The connection cannot be trusted: the certificate is expired, self-signed or for another host."""

    kind = "tls"
    retryable = False


class ProxyError(ConnectionFailedError):
    """The proxy is unreachable, or refuses the connection."""

    kind = "proxy"
    retryable = False


class TimeoutExceededError(ConnectionFailedError):
    """The provider took longer than the limit."""

    kind = "timeout"


class AnswerError(ChatError):
    """The response is incomplete or unusable."""

    kind = "answer"


class IncompleteError(AnswerError):
    """The stream ended before the provider reported the end of the response."""

    kind = "incomplete"
    retryable = True


class StreamError(AnswerError):
    """The provider reported an error in the middle of the response."""

    kind = "stream"
    retryable = True


class ProtocolError(AnswerError):
    """The response does not follow the protocol."""

    kind = "protocol"


class EmptyAnswerError(AnswerError):
    """The provider finished without any text."""

    kind = "empty"
    retryable = True


class ContentFilterError(AnswerError):
    """The provider's content filter withheld the response."""

    kind = "content_filter"


class RefusalError(AnswerError):
    """The model declined to respond."""

    kind = "refusal"


class ToolCallError(AnswerError):
    """The model calls tools wrongly, also when told what is wrong."""

    kind = "tool_call"


class AnswerFormatError(AnswerError, ValueError):
    """The response is complete but does not have the form asked for, such as JSON that matches a schema.

    Attributes
    ----------
    problems : str
        What is wrong with it, in the words sent to the model.
    """

    kind = "answer_format"
    problems = "it is not JSON"


class ChatInterrupted(KeyboardInterrupt):
    """The user stopped the turn.

    A ``KeyboardInterrupt``, so that "Run All" stops, as after any interrupted cell.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Failure:
    """What went wrong with a turn, as it is recorded: a kind and a message that is worded when it is shown.

    Parameters
    ----------
    kind : str
        The kind of the error, as :attr:`ChatError.kind`; ``""`` in records that do not say.
    message : str or Phrase
        What was wrong and what to do next.
    status : int, optional
        The HTTP status, where there was one.
    retry_after : float, optional
        Seconds after which the provider says that it may be asked again.
    """

    kind: str
    message: str | Phrase
    status: int | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: ChatError) -> Self:
        """Return what is recorded of an error."""
        return cls(error.kind, error.message, error.status, error.retry_after)

    def error(self) -> ChatError:
        """Return the error that it records."""
        kinds = [ChatError]
        for kind in kinds:
            if kind.kind == self.kind:
                break
            kinds += kind.__subclasses__()
        else:
            kind = ChatError
        return kind(self.message, status=self.status, retry_after=self.retry_after)

    def __str__(self) -> str:
        return str(self.message)
