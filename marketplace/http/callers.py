"""Who calls, and what they may do. Each handler says in its `opt` which scope it takes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Request

from marketplace.foundation import errors

ScopeName = Literal["read", "trade", "supply", "solve", "admin"]


class Caller(msgspec.Struct, frozen=True):
    """A member with the scopes of its key; without a username, a caller who is whoever the request names."""

    username: str | None
    scopes: frozenset[ScopeName]

    @property
    def is_admin(self) -> bool:
        """Whether it may act for anyone."""
        return "admin" in self.scopes

    def may(self, scope: ScopeName) -> bool:
        return scope in self.scopes or self.is_admin

    def sees(self, owner: str | None) -> bool:
        """Tell whether what belongs to a member is this caller's to see; if not, for the caller it does not exist."""
        return self.is_admin or (owner is not None and owner == self.username)

    def acting_for(self, username: str | None) -> str:
        """Return whom a request is for: the one it names, else the caller. Raises Invalid or Forbidden."""
        if username is None:
            if self.username is None:
                raise errors.Invalid("Say who it is for: the request needs a username.", field="username")
            return self.username
        if username != self.username and not self.is_admin:
            raise errors.Forbidden(
                f"You are {self.username!r} and cannot act for {username!r}: leave the username out, or use their key."
            )
        return username


OPEN = Caller(None, frozenset(("read", "trade", "supply", "solve", "admin")))
"""Everybody, where nobody has a key."""


def caller(request: Request[Any, Any, Any]) -> Caller:  # noqa: ARG001 (until members have keys)
    """Return who sent a request."""
    return OPEN
