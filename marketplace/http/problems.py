"""Problem documents (RFC 9457): every error that leaves the service is one, and has a stable `code`.

The kinds of `foundation.errors` are mapped to statuses here, once. What HTTP itself refuses (no such path, a foreign
page, too large a body) is a class here, so that docs and OpenAPI can list all codes alike.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, get_args

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg

from marketplace.foundation import errors
from marketplace.wire import limits, spot, spot_pools
from marketplace.wire.problems import MEDIA_TYPE

log = structlog.get_logger(__name__)


class NoSuchPath(errors.NotFound):
    """Nothing is at this path."""

    code = "no_such_path"
    title = "No such path"


class MethodNotAllowed(errors.Refusal):
    """The path takes other methods; Allow lists them."""

    code = "method_not_allowed"
    title = "Method not allowed"


class CrossSite(errors.Forbidden):
    """A web page of another site sent it, or may have."""

    code = "cross_site"
    title = "Cross-site request refused"


class BodyTooLarge(errors.Refusal):
    """1 MiB at most, 16 MiB for a batch."""

    code = "body_too_large"
    title = "Body too large"


class UnsupportedMediaType(errors.Refusal):
    """A body must be JSON, and say so."""

    code = "unsupported_media_type"
    title = "Unsupported media type"


class WrongHost(errors.Refusal):
    """The Host header names nobody that we are: what a rebound DNS name looks like."""

    code = "wrong_host"
    title = "Wrong host"


class RateLimited(errors.Refusal):
    """The key sends more than its share, see Retry-After; nothing happened."""

    code = "rate_limited"
    title = "Too many requests"
    storable = False

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__(f"Too many requests: nothing happened, try again in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class NotReady(errors.Exhausted):
    """The service cannot serve now; `reasons` says why."""

    code = "not_ready"
    title = "Not ready"


STATUSES: Mapping[type[errors.Refusal], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Unaffordable: 402,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.Gone: 410,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    WrongHost: 421,
    errors.Mismatch: 422,
    RateLimited: 429,
    errors.Broken: 500,
    errors.OutcomeUnknown: 500,
    errors.Exhausted: 503,
    errors.Busy: 503,
}


class Rendered(NamedTuple):
    """A problem document, ready to be sent."""

    status: int
    body: bytes
    headers: dict[str, str]


def status_of(kind: type[errors.Refusal]) -> int:
    """Return the status of a refusal's class: that of its kind, the nearest one above it."""
    return next((STATUSES[above] for above in kind.__mro__ if above in STATUSES), 500)


def render(refusal: errors.Refusal) -> Rendered:
    """Write a refusal as a problem document; what it has in `extra` becomes members of their own."""
    status = status_of(type(refusal))
    document = _document(status, refusal.code, title=refusal.title, detail=refusal.detail) | refusal.extra
    headers = {}
    if isinstance(refusal, errors.Busy | RateLimited):
        headers["retry-after"] = str(refusal.retry_after_seconds)
    if isinstance(refusal, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return Rendered(status, _encode(document), headers)


def explain(error: msgspec.MsgspecError | UnicodeDecodeError, *, part: str = "body") -> errors.Invalid:
    """Turn what msgspec says of an input into a refusal that names the field."""
    if not isinstance(error, msgspec.ValidationError):
        return errors.Invalid(f"The {part} is not valid JSON: {_lower_first(str(error))}.")
    message, _, path = str(error).partition(" - at `")
    if path.startswith("key` in `"):
        message, path = f"the name of a member: {_SHAPES.get(message, message)}", path.removeprefix("key` in `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    for beginning in ("Object missing required field `", "Object contains unknown field `"):
        if message.startswith(beginning):
            name = message.removeprefix(beginning).rstrip("`")
            field = f"{field}.{name}" if field else name
            message = "it is missing" if "missing" in beginning else "there is no such field"
    return wrong(field, message, part=part)


def wrong(field: str, message: str, *, part: str = "body") -> errors.Invalid:
    """Say of a field, or of the whole part where it is empty, what is the matter with it."""
    message = _SHAPES.get(message, message)
    subject = f"The field {field} of the {part}" if part == "body" else f"The parameter {field}"
    if not field:
        subject = f"The {part}"
    return errors.Invalid(f"{subject} is wrong: {_lower_first(message)}.", field=field or None)


def on_refusal(request: Request[Any, Any, Any], error: errors.Refusal) -> Response[bytes]:
    if isinstance(error, errors.Broken | errors.OutcomeUnknown):
        log.error("request failed", code=error.code, detail=error.detail, path=request.scope["path"])
    return _respond(render(error))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar refuses by itself; its headers (Allow) are kept."""
    rendered = render(_from_litestar(request, error)) if error.status_code in _FROM_LITESTAR else _plain(error)
    return _respond(rendered._replace(headers={**(error.headers or {}), **rendered.headers}))


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug of ours: a 500 that says nothing of it, unless we debug. The log has the stack."""
    log.error("unhandled exception", path=request.scope["path"], method=request.scope["method"], exc_info=error)
    extra = {"traceback": traceback.format_exception(error)} if request.app.debug else {}
    document = _document(500, errors.Broken.code, title=errors.Broken.title, detail=_OUR_FAULT) | extra
    return _respond(Rendered(500, _encode(document), {}))


EXCEPTION_HANDLERS: Mapping[int | type[Exception], Any] = {
    errors.Refusal: on_refusal,
    HTTPException: on_http_exception,
    Exception: on_exception,
}

_OUR_FAULT = "Something went wrong on our side; the log of the service has more under this request's id."
_FROM_LITESTAR = (400, 404, 405, 413)
_encode = msgspec.json.Encoder().encode


def _document(status: int, code: str, *, title: str, detail: str) -> dict[str, Any]:
    return {"type": f"/problems/{code}", "title": title, "status": status, "code": code, "detail": detail}


def _respond(rendered: Rendered) -> Response[bytes]:
    return Response(rendered.body, status_code=rendered.status, media_type=MEDIA_TYPE, headers=rendered.headers)


def _plain(error: HTTPException) -> Rendered:
    """Render a status that none of our refusals has; its code is the status's own name."""
    status = HTTPStatus(error.status_code)
    code = status.name.lower()
    return Rendered(status, _encode(_document(status, code, title=status.phrase, detail=error.detail)), {})


def _from_litestar(request: Request[Any, Any, Any], error: HTTPException) -> errors.Refusal:
    match error.status_code:
        case 404:
            return NoSuchPath("Nothing is at this path; /docs lists what there is.")
        case 405:
            return MethodNotAllowed("This path does not take that method; the Allow header lists those that it takes.")
        case 413:
            return BodyTooLarge("The body is too large.")
    if isinstance(error, ValidationException):
        return _invalid_parameter(request.route_handler, error)
    return errors.Invalid(error.detail)


def _invalid_parameter(handler: HTTPRouteHandler, error: ValidationException) -> errors.Invalid:
    """Name the first parameter at fault: Litestar collects all of them in `extra`, or names one in its message."""
    if isinstance(error.extra, list) and error.extra:
        first: dict[str, str] = error.extra[0]
        return wrong(_public_name(handler, first.get("key", "")), first["message"], part=first.get("source", "request"))
    if error.detail.startswith("Missing required "):
        name = error.detail.split("'")[1]
        return errors.Invalid(f"The parameter {name} is missing.", field=name)
    return errors.Invalid(error.detail)


def _public_name(handler: HTTPRouteHandler, name: str) -> str:
    """Return what callers call a parameter, where our name for it is another."""
    field = handler.parsed_fn_signature.parameters.get(name)
    marker = field.kwarg_definition if field else None
    return marker.name or name if isinstance(marker, ParameterKwarg) else name


def _shapes() -> dict[str, str]:
    """Say in words what a pattern means, instead of showing it."""
    shaped = (
        limits.Username,
        limits.MarketName,
        limits.VmId,
        limits.Hostname,
        limits.UsernameInPath,
        limits.Amount,
        limits.Reference,
        spot.Image,
        spot.Price,
        spot.Budget,
        spot.Word,
        spot.Variable,
        spot_pools.Name,
    )
    metas = [get_args(annotated)[1] for annotated in shaped]
    return {f"Expected `str` matching regex {meta.pattern!r}": f"expected {meta.description}" for meta in metas}


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]


_SHAPES = _shapes()
