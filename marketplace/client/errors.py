"""What a call can end in instead of an answer: one root and a class a kind of status."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class MarketplaceError(Exception):
    """The root. `problem` holds every member of the server's problem document, empty where it sent none.

    `outcome_known` is False where the request may have been carried out although no answer says so; calling again
    with the same `idempotency_key` then settles it without doing anything twice.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int | None = None,
        problem: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
        idempotency_key: str | None = None,
        outcome_known: bool = True,
    ) -> None:
        super().__init__(f"{detail} ({code})")
        self.detail = detail
        self.code = code
        self.status = status
        self.problem = problem or {}
        self.retry_after_seconds = retry_after_seconds
        self.idempotency_key = idempotency_key
        self.outcome_known = outcome_known

    @property
    def field(self) -> str | None:
        """The part of the request at fault, where the server names one."""
        named = self.problem.get("field")
        return named if isinstance(named, str) else None

    @property
    def may_be_tried_again(self) -> bool:
        """Whether the same request may do better in a moment. A 503 without Retry-After will not."""
        return False


class Invalid(MarketplaceError):
    """400, and any other 4xx without a class of its own: the request makes no sense as written."""


class Unauthenticated(MarketplaceError):
    """401: nobody knows who calls."""


class Unaffordable(MarketplaceError):
    """402: the wallet does not cover it."""


class Forbidden(MarketplaceError):
    """403: the caller is known, and may not."""


class NotFound(MarketplaceError):
    """404: no such thing, or none that this caller may see."""


class Conflict(MarketplaceError):
    """409: the state of things does not allow it now."""


class Gone(MarketplaceError):
    """410: it was there once; of the log, `problem["oldest_seq"]` is the first entry that is still kept."""


class Mismatch(MarketplaceError):
    """422: this Idempotency-Key was used for another request."""


class Unavailable(MarketplaceError):
    """503: nothing happened; busy where it says when to come back, exhausted where it does not."""

    @property
    def may_be_tried_again(self) -> bool:
        return self.retry_after_seconds is not None


class ServerError(MarketplaceError):
    """Another 5xx. A 502 or 504 comes from something between us and the server, and does not say what happened."""

    @property
    def may_be_tried_again(self) -> bool:
        return self.status in (502, 504)


class OutcomeUnknown(MarketplaceError):
    """500 `outcome_unknown`: the server lost its database while committing and cannot say how that ended."""

    @property
    def may_be_tried_again(self) -> bool:
        return True


class Unreachable(MarketplaceError):
    """No answer at all: the connection failed, broke or took too long."""

    @property
    def may_be_tried_again(self) -> bool:
        return isinstance(self.__cause__, httpx.TimeoutException | httpx.NetworkError | httpx.RemoteProtocolError)


class Unintelligible(MarketplaceError):
    """An answer that is not this service's language: another server, a proxy's page, another version."""


_BY_STATUS: dict[int, type[MarketplaceError]] = {
    401: Unauthenticated,
    402: Unaffordable,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Mismatch,
    503: Unavailable,
}


def from_response(response: httpx.Response, *, key: str | None) -> MarketplaceError:
    """Describe an answer that is no success."""
    status = response.status_code
    problem = _read_problem(response)
    code = str(problem.get("code") or f"http_{status}")
    return _class_for(status, code)(
        str(problem.get("detail") or problem.get("title") or f"The server answered {status} {response.reason_phrase}"),
        code=code,
        status=status,
        problem=problem,
        retry_after_seconds=_read_retry_after(response),
        idempotency_key=key,
        outcome_known=not (code == "outcome_unknown" or status in (502, 504)),
    )


def from_transport(error: httpx.RequestError, url: str, *, key: str | None) -> Unreachable:
    """Describe the want of an answer."""
    is_timeout = isinstance(error, httpx.TimeoutException)
    what = "did not answer in time" if is_timeout else f"cannot be reached: {str(error) or type(error).__name__}"
    unreachable = Unreachable(
        f"The server at {url} {what}",
        code="timeout" if is_timeout else "unreachable",
        idempotency_key=key,
        outcome_known=isinstance(error, NEVER_SENT),
    )
    unreachable.__cause__ = error
    return unreachable


def from_body(response: httpx.Response, error: Exception, *, key: str | None) -> Unintelligible:
    """Describe a success whose body is not what the endpoint answers with."""
    return Unintelligible(
        f"The answer of {response.url} is not what this version of the SDK expects: {error}",
        code="unintelligible",
        status=response.status_code,
        idempotency_key=key,
        outcome_known=False,
    )


def _class_for(status: int, code: str) -> type[MarketplaceError]:
    if code == "outcome_unknown":
        return OutcomeUnknown
    if known := _BY_STATUS.get(status):
        return known
    if status >= 500:
        return ServerError
    return Invalid if status >= 400 else Unintelligible


def _read_problem(response: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _read_retry_after(response: httpx.Response) -> float | None:
    """Take the seconds; a date, which only a proxy would send, counts as soon as the backoff allows."""
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    return float(text) if text.isdecimal() else 0.0
