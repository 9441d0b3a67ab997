"""HTTP of members and their keys: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.params import JSONBody

from marketplace import identity
from marketplace.database import Lane, money
from marketplace.foundation import clock, errors
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.callers import Caller
from marketplace.http.resources import database, resources
from marketplace.wire import identity as wire

HttpRequest = Request[Any, Any, Any]

_ACTING = ("trade", "supply", "solve")
"""Who only looks makes and revokes no keys."""


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


@get("/api/v1/me", sync_to_thread=False, tags=["keys"], opt={"scope": "read", "reads": False})
def read_me(request: HttpRequest) -> wire.Me:
    """Tell who calls, and what for."""
    caller = callers.caller(request)
    expires_at = None if caller.expires_at is None else clock.to_datetime(caller.expires_at)
    return wire.Me(caller.username, caller.key_id, sorted(caller.scopes), expires_at)


class Members(Controller):
    path = "/api/v1/members"
    tags = ("members",)

    @get(opt={"scope": "admin"})
    async def list_members(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterId = None
    ) -> wire.Members:
        """List the members, oldest first."""
        found = await database(request).read_one(identity.list_members, after=cursors.to_id(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.seq))
        return wire.Members([_member(one) for one in found], following)

    @post(opt={"scope": "admin", "refuses": (identity.errors.MemberExists,), "idempotent": True})
    async def create_member(self, data: JSONBody[wire.NewMember], request: HttpRequest) -> wire.Member:
        """Create a member, that may have keys."""
        command = identity.CreateMember(data.username)
        return await idempotency.run(_lane(request), command, request=request, shape=_member, status=201)

    @get("/{username:str}", opt={"scope": "read", "refuses": (identity.errors.UnknownMember,)})
    async def read_member(self, username: params.UsernameInPath, request: HttpRequest) -> wire.Member:
        """Read a member."""
        if not callers.caller(request).sees(username):
            raise identity.errors.UnknownMember(username)
        return _member(await database(request).read_one(identity.find_member, username))


class Keys(Controller):
    path = "/api/v1/keys"
    tags = ("keys",)

    @get(opt={"scope": "read", "refuses": (errors.Forbidden,)})
    async def list_keys(
        self,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Keys:
        """List keys without their secrets, oldest first: the member's own, an admin's choice."""
        whose = callers.caller(request).looking_at(username)
        last = cursors.to_id(after)
        found = await database(request).read_one(identity.list_keys, username=whose, after=last, limit=limit)
        return wire.Keys(
            [_key(one) for one in found], cursors.next_after(found, limit, lambda one: cursors.of_id(one.seq))
        )

    @post(
        opt={
            "scope": _ACTING,
            "refuses": (identity.errors.UnknownMember, identity.errors.ExpiryPassed, identity.errors.BeyondOwn),
            "idempotent": True,
        }
    )
    async def create_key(self, data: JSONBody[wire.NewKey], request: HttpRequest) -> wire.MadeKey:
        """Create a key, and see its secret this once.

        A replay under an Idempotency-Key tells of the key, with `key` null: the secret is not kept anywhere. Who lost
        it revokes the key and creates another one.
        """
        caller = callers.caller(request)
        drawn = identity.make_key()
        command = identity.CreateKey(
            drawn.key_id,
            drawn.secret_hash,
            caller.acting_for(data.username),
            tuple(data.scopes),
            data.label,
            params.expiry(data.expires_at, field="expires_at"),
            _limit(caller),
        )

        def reveal(made: wire.MadeKey) -> wire.MadeKey:
            return msgspec.structs.replace(made, key=drawn.token)

        return await idempotency.run(
            _lane(request), command, request=request, shape=_made_key, status=201, reveal=reveal
        )

    @get("/{key_id:str}", opt={"scope": "read", "refuses": (identity.errors.UnknownKey,)})
    async def read_key(self, key_id: params.KeyId, request: HttpRequest) -> wire.Key:
        """Read a key, without its secret."""
        found = await database(request).read_one(identity.find_key, key_id)
        if found is None or not callers.caller(request).sees(found.username):
            raise identity.errors.UnknownKey(key_id)
        return _key(found)

    @delete(
        "/{key_id:str}",
        status_code=200,
        opt={"scope": _ACTING, "refuses": (identity.errors.UnknownKey, identity.errors.BeyondOwn)},
    )
    async def revoke_key(self, key_id: params.KeyId, request: HttpRequest) -> wire.Key:
        """Revoke a key: within a second it is of no use anywhere."""
        return _key(await _lane(request).run(identity.RevokeKey(key_id, _limit(callers.caller(request)))))


HANDLERS = (read_me, Members, Keys)


# ── from the wire, and to it ─────────────────────────────────────────────────────────────────────────────────────────


def _limit(caller: Caller) -> identity.Limit | None:
    username = caller.limited_to
    return None if username is None else identity.Limit(username, caller.scopes, caller.expires_at)


def _member(one: identity.Member) -> wire.Member:
    return wire.Member(one.username, clock.to_datetime(one.created_at))


def _key(one: identity.Key) -> wire.Key:
    return wire.Key(**_told(one))


def _made_key(one: identity.Key) -> wire.MadeKey:
    return wire.MadeKey(**_told(one), key=None)


def _told(one: identity.Key) -> dict[str, Any]:
    """Return what anybody is told of a key: all but the hash."""
    moments = {name: getattr(one, name) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    told = {name: value if value is None else clock.to_datetime(value) for name, value in moments.items()}
    return {"key_id": one.key_id, "username": one.username, "label": one.label, "scopes": list(one.scopes)} | told
