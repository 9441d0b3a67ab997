"""Pages from templates, and the headers that bound what a page may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from marketplace import __version__
from marketplace.dashboard import files, texts, visits
from marketplace.foundation import clock, errors
from marketplace.http import problems

HttpRequest = Request[Any, Any, Any]

SIGN_IN = "/dashboard/sign-in"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer browsers would send forms with the origin "null", which is nobody's.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

NAVIGATION = (
    ("hours", "Hours", "/dashboard/hours"),
    ("spot", "Spot", "/dashboard/spot"),
    ("auctions", "Auctions", "/dashboard/auctions"),
    ("addresses", "Addresses", "/dashboard/addresses"),
    ("wallet", "Wallet", "/dashboard/wallet"),
    ("admin", "Admin", "/dashboard/admin"),
)
"""The pages by name, title and address."""

log = structlog.get_logger(__name__)

environment = jinja2.Environment(
    loader=jinja2.PackageLoader("marketplace.dashboard", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=texts.printed,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.filters |= texts.FILTERS
environment.globals |= {
    "files": files.ADDRESSES,
    "now": clock.now,
    "version": __version__,
    "navigation": NAVIGATION,
    "share": texts.share,
}


def render(template: str, **context: Any) -> str:
    """Fill a template."""
    return environment.get_template(template).render(**context)


def page(
    request: HttpRequest,
    template: str,
    *,
    here: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response[str]:
    """Answer a whole page; `here` is the name of its place in the navigation."""
    viewer = context.pop("viewer", None)
    body = render(
        template, viewer=viewer, here=here, token=visits.form_token(request), path=request.scope["path"], **context
    )
    response = Response(body, status_code=status, media_type="text/html", headers={**HEADERS, **(headers or {})})
    visits.greet(request, response)
    return response


def fragment(template: str, *, status: int = 200, **context: Any) -> Response[str]:
    """Answer a part of a page, for a page that asked for it."""
    return Response(render(template, **context), status_code=status, media_type="text/html", headers=dict(HEADERS))


def wants_fragment(request: HttpRequest) -> bool:
    """Tell whether a page asks by itself, and not a browser for a whole page."""
    return "hx-request" in request.headers


def redirect(url: str, request: HttpRequest | None = None) -> Response[str]:
    """Send a browser to another page; one whose page asked by itself is told in a header."""
    if request is not None and wants_fragment(request):
        return Response("", status_code=401, media_type="text/html", headers={**HEADERS, "hx-redirect": url})
    return Response("", status_code=303, media_type="text/html", headers={**HEADERS, "location": url})


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_refusal(request: HttpRequest, error: errors.Refusal) -> Response[str]:
    """Show why something did not happen; who is not signed in is asked to."""
    if isinstance(error, errors.Unauthenticated):
        return redirect(SIGN_IN, request)
    if isinstance(error, errors.Broken | errors.OutcomeUnknown):
        log.error("request failed", code=error.code, detail=error.detail, path=request.scope["path"])
    return refused(request, error)


def on_http_exception(request: HttpRequest, error: HTTPException) -> Response[str]:
    """Show what the framework refuses by itself: a parameter that cannot be."""
    response = refused(request, problems.from_litestar(request, error))
    for header, value in (error.headers or {}).items():
        response.headers[header] = value
    return response


def on_exception(request: HttpRequest, error: Exception) -> Response[str]:
    """Show that we are at fault, and nothing of how. The log has the stack."""
    log.error("unhandled exception", path=request.scope["path"], method=request.scope["method"], exc_info=error)
    return refused(request, errors.Broken("Something went wrong on our side; the log of the service has more."))


def refused(request: HttpRequest, refusal: errors.Refusal) -> Response[str]:
    rendered = problems.render(refusal)
    if wants_fragment(request):
        response = fragment("notice.html", status=rendered.status, said=refusal.detail, is_refusal=True, secret=None)
    else:
        response = page(request, "refused.html", status=rendered.status, refusal=refusal, viewer=_viewer(request))
    for header, value in rendered.headers.items():
        response.headers[header] = value
    return response


def _viewer(request: HttpRequest) -> visits.Viewer | None:
    """Return who is refused, None where that is not known."""
    try:
        return visits.viewer(request)
    except errors.Unauthenticated:
        return None


EXCEPTION_HANDLERS: Mapping[int | type[Exception], Any] = {
    errors.Refusal: on_refusal,
    HTTPException: on_http_exception,
    Exception: on_exception,
}
