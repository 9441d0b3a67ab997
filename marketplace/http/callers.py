"""Who calls, and what they may do. Each handler says in its `opt` which scope it takes:

    "scope": "trade"               a key with that scope (or admin, which may everything)
    "scope": ("trade", "supply")   a key with one of them; the handler asks for more by itself
    "scope": None                  nobody need say who they are

With `auth = "keys"` a `Guard` runs before every handler, and before its body is read; a handler without the word is
refused. With `auth = "open"` there is no guard, and the caller is `OPEN`.

A page (`"page": True`) is asked for by a browser, which has no key: there the guard asks who has signed in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from marketplace.http.rate_limit import RateLimit
from marketplace.http.resources import resources

ScopeName = Literal["read", "trade", "supply", "solve", "admin"]
ALL_SCOPES: tuple[ScopeName, ...] = ("read", "trade", "supply", "solve", "admin")

Authenticate = Callable[[str], Awaitable["Caller"]]
"""Tells whose key it is. Raises Unauthenticated."""

OfPage = Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable["Caller"]]
"""Tells who has signed in, by the browser's cookie. Raises Unauthenticated."""

HEADER = b"authorization"
CALLER = "marketplace.caller"
"""Where the connection's scope has who calls, once the guard knows it."""


class ScopeNeeded(errors.Forbidden):
    """The key is good, and not for this; `scope` says which one is needed."""

    code = "scope_needed"
    title = "Scope needed"

    def __init__(self, *needed: ScopeName) -> None:
        words = " or ".join(needed)
        super().__init__(f"This needs a key with the scope {words}, which yours does not have.", scope=words)


class Caller(msgspec.Struct, frozen=True):
    """A member with the scopes of its key; without a username, a caller who is whoever the request names."""

    username: str | None
    scopes: frozenset[ScopeName]
    key_id: str | None = None
    expires_at: Instant | None = None
    """When its key is of no use any more."""

    @property
    def is_admin(self) -> bool:
        """Whether it may act for anyone."""
        return "admin" in self.scopes

    @property
    def limited_to(self) -> str | None:
        """The only member whose things it may touch; None where it may touch anyone's."""
        return None if self.is_admin else self.username

    def require(self, *scopes: ScopeName) -> None:
        """Raise ScopeNeeded unless it has one of the scopes."""
        if not self.is_admin and self.scopes.isdisjoint(scopes):
            raise ScopeNeeded(*scopes)

    def sees(self, owner: str | None) -> bool:
        """Tell whether what belongs to a member is this caller's to see; if not, for the caller it does not exist."""
        return self.is_admin or (owner is not None and owner == self.username)

    def acting_for(self, username: str | None, *, field: str = "username") -> str:
        """Return whom a request is for: the one it names, else the caller. Raises Invalid or Forbidden."""
        found = self.on_behalf_of(username)
        if found is None:
            raise errors.Invalid(f"The field {field} is missing: say who it is for.", field=field)
        return found

    def on_behalf_of(self, username: str | None) -> str | None:
        """Do as `acting_for`, where without keys nobody need be named. Raises Forbidden."""
        if username is None:
            return self.username
        if username != self.username and not self.is_admin:
            raise errors.Forbidden(
                f"You are {self.username!r} and cannot act for {username!r}: leave the username out, or use their key."
            )
        return username

    def looking_at(self, username: str | None) -> str | None:
        """Return whose things to list: the ones of whom the request names, else all that it may see, None for all.

        Raises Forbidden.
        """
        return self.limited_to if username is None else self.on_behalf_of(username)


OPEN = Caller(None, frozenset(ALL_SCOPES))
"""Everybody, where nobody has a key."""


def caller(request: Request[Any, Any, Any]) -> Caller:
    """Return who sent a request. Raises Unauthenticated where that should be known and is not."""
    found: Caller | None = request.scope.get(CALLER)  # type: ignore[assignment]
    if found is not None:
        return found
    if resources(request).settings.auth == "open":
        return OPEN
    raise errors.Unauthenticated("Nobody asked who calls.")


class Guard:
    """Lets in who has a key for what the handler does. Litestar calls it before the handler, and before its body."""

    def __init__(self, authenticate: Authenticate, of_page: OfPage, limit: RateLimit | None) -> None:
        self._authenticate = authenticate
        self._of_page = of_page
        self._limit = limit

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Note who calls. Raises Unauthenticated, RateLimited or ScopeNeeded."""
        needed = scopes_of(handler)
        if not needed:
            return
        try:
            if handler.opt.get("page"):
                found = await self._of_page(connection)
            else:
                found = await self._authenticate(_token(connection))
        except errors.Unauthenticated:
            self._count(connection, f"from {_address(connection)}")
            raise
        self._count(connection, f"key {found.key_id}")
        found.require(*needed)
        connection.scope[CALLER] = found  # type: ignore[literal-required]

    def _count(self, connection: ASGIConnection[Any, Any, Any, Any], name: str) -> None:
        if self._limit:
            self._limit.take(cast(MutableMapping[str, Any], connection.scope), name)


def scopes_of(handler: BaseRouteHandler) -> tuple[ScopeName, ...]:
    """Return the scopes of which a handler asks for one; none where it asks for none. A handler has to say."""
    needed: ScopeName | tuple[ScopeName, ...] | None = handler.opt["scope"]
    if needed is None:
        return ()
    return (needed,) if isinstance(needed, str) else needed


def _address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    client = connection.scope["client"]
    return client[0] if client else "nowhere"


def _token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the key that came with a request. Raises Unauthenticated."""
    given = next((value for name, value in connection.scope["headers"] if name == HEADER), None)
    if given is None:
        raise errors.Unauthenticated("Say who you are: send your key as Authorization: Bearer mk_….")
    scheme, _, token = given.partition(b" ")
    if scheme.lower() != b"bearer":
        raise errors.Unauthenticated("The Authorization header has another scheme: send your key as Bearer mk_….")
    return token.strip().decode("latin-1")
