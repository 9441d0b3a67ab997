"""Who looks at a page: the cookie, what it stands for, and whose things are shown.

Every browser has one cookie with 64 random digits. Where members have keys it becomes the id of a session when they
sign in; it never has anything of the key in it. Without keys it only tells one browser from another. From it comes the
token that each form carries: a page of another site can make a browser send the cookie, and cannot read the token.

A second cookie remembers as whom a caller acts who may act for anyone: everybody where there are no keys, else admins.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from marketplace import identity
from marketplace.foundation import errors
from marketplace.http import callers
from marketplace.http.callers import Caller, ScopeName
from marketplace.http.resources import resources
from marketplace.wire import limits

HttpRequest = Request[Any, Any, Any]
Connection = ASGIConnection[Any, Any, Any, Any]

AUTHENTICATION = "dashboard.authentication"
"""Where the application's state has what knows keys and sessions; None without keys."""

SESSION_SECONDS = 12 * 3600
ACTING_SECONDS = 365 * 86_400
_ACTING = "marketplace_acting"
_NEW = "marketplace.visit"
"""Where a connection's scope has the id that its answer is to set."""


class Viewer(NamedTuple):
    """Who looks, and as whom: `username` is whose things are shown, None where nobody was named yet."""

    caller: Caller
    username: str | None
    has_keys: bool

    @property
    def may_choose(self) -> bool:
        """Whether it may act for anyone."""
        return self.caller.limited_to is None

    def may(self, *scopes: ScopeName) -> bool:
        """Tell whether it has one of the scopes, so that a page need not offer what would be refused."""
        return self.caller.is_admin or not self.caller.scopes.isdisjoint(scopes)


async def caller_of(connection: Connection) -> Caller:
    """Return who has signed in. Raises Unauthenticated, or Busy where the database is away."""
    authentication: identity.Authentication = connection.app.state[AUTHENTICATION]
    return await authentication.of_session(connection.cookies.get(cookie_name(connection), ""))


def viewer(request: HttpRequest) -> Viewer:
    """Return who looks at a page."""
    caller = callers.caller(request)
    chosen = _chosen(request) if caller.limited_to is None else None
    return Viewer(caller, chosen or caller.username, has_keys(request))


def has_keys(connection: Connection) -> bool:
    return resources(connection).settings.auth == "keys"


# ── the visit ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cookie_name(connection: Connection) -> str:
    """Return what the cookie is called: behind TLS so that browsers hold it to this very host."""
    return "__Host-marketplace" if is_secure(connection) else "marketplace"


def is_secure(connection: Connection) -> bool:
    """Tell whether the browser speaks TLS, to us or to a proxy beside us that says so."""
    return bool(connection.scope["scheme"] == "https")


def visit_id(connection: Connection) -> str:
    """Return the browser's id; a new one where it has none."""
    found = connection.cookies.get(cookie_name(connection), "")
    if is_visit_id(found):
        return found
    scope: Any = connection.scope
    return str(scope.setdefault(_NEW, identity.make_session_id()))


def is_visit_id(text: str) -> bool:
    return len(text) == 64 and text.isascii() and not text.strip("0123456789abcdef")


def form_token(connection: Connection) -> str:
    """Return what a form of this browser has to carry."""
    return hmac.new(visit_id(connection).encode(), b"form", hashlib.sha256).hexdigest()


def is_form_token(connection: Connection, given: str) -> bool:
    """Tell whether a form came from a page of this browser."""
    if not is_visit_id(connection.cookies.get(cookie_name(connection), "")):
        return False
    return hmac.compare_digest(form_token(connection).encode(), given.encode())


def greet(request: HttpRequest, response: Response[Any]) -> None:
    """Give a browser that has none its id with this answer."""
    scope: Any = request.scope
    if _NEW in scope:
        response.set_cookie(visit_cookie(request, scope[_NEW]))


def visit_cookie(request: HttpRequest, value: str, *, max_age: int | None = None) -> Cookie:
    return Cookie(
        key=cookie_name(request),
        value=value,
        path="/",
        max_age=max_age,
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


# ── acting for somebody ──────────────────────────────────────────────────────────────────────────────────────────────


def acting_cookie(request: HttpRequest, username: str) -> Cookie:
    """Remember as whom to act; nobody where it is empty."""
    return Cookie(
        key=_ACTING,
        value=quote(username, safe=""),
        path="/",
        max_age=ACTING_SECONDS if username else 0,
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


def read_username(text: str) -> str:
    """Return a username that somebody typed. Raises Invalid."""
    try:
        return msgspec.convert(text, limits.Username)
    except msgspec.ValidationError:
        raise errors.Invalid(
            "A username has 1 to 128 characters, no control characters, no blank at either end.", field="username"
        ) from None


def _chosen(request: HttpRequest) -> str | None:
    text = unquote(request.cookies.get(_ACTING, ""))
    try:
        return read_username(text)
    except errors.Invalid:
        return None
