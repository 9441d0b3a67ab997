"""The pages of members and keys: who there is, by which keys they call, and what each is for."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Stream

from marketplace import events, identity
from marketplace.dashboard import forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import Lane, money
from marketplace.database.log import read_head
from marketplace.foundation import clock
from marketplace.http import cursors, params
from marketplace.http.callers import Caller
from marketplace.http.resources import database, resources
from marketplace.wire import identity as wire

HERE = "admin"
ROWS = 100
ACTING: tuple[Any, ...] = ("trade", "supply", "solve")


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_members(tx: Any, /, *, after: int | None) -> tuple[list[identity.Member], int]:
    """Read a page of members. Run it in a snapshot."""
    return identity.list_members(tx, after=after, limit=ROWS), read_head(tx, money.LANE).last_seq


@get("/dashboard/admin/members", opt={"scope": "admin"})
async def show_members(request: HttpRequest, after: params.AfterId = None) -> Response[str]:
    """Show the members."""
    members, seq = await database(request).read(read_members, after=cursors.to_id(after))
    return pages.page(
        request,
        "admin/members.html",
        here=HERE,
        tab="members",
        viewer=visits.viewer(request),
        parts={"members": _render_members(members)},
        stream=f"/dashboard/admin/members/stream?after={money.LANE}:{seq}" if after is None else None,
        once=forms.once,
    )


@get("/dashboard/admin/members/stream", opt={"scope": "admin"})
async def follow_members(request: HttpRequest) -> Stream:
    """Follow the members."""

    async def read(_at_least: int) -> Parts:
        members, seq = await database(request).read(read_members, after=None)
        return Parts(seq, {"members": _render_members(members)})

    return live.respond(request, Watched(money.LANE, events.Wanted(topics=frozenset(("identity",))), read))


def _render_members(members: list[identity.Member]) -> str:
    more = cursors.next_after(members, ROWS, lambda one: cursors.of_id(one.seq))
    return pages.render("admin/members_table.html", members=members, more=more)


@post("/dashboard/admin/members", status_code=200, opt={"scope": "admin"})
async def create_member(request: HttpRequest) -> Response[str]:
    """Create a member, that may have keys."""
    form = await forms.read(request)
    command = identity.CreateMember(form.as_(wire.NewMember).username)
    said = await forms.run(
        request, form, _lane(request), command, say=lambda made: f"{made.username} is a member, and may have keys."
    )
    return forms.answer(request, said, back="/dashboard/admin/members", here=HERE)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_keys(tx: Any, /, *, username: str | None, after: int | None) -> tuple[list[identity.Key], int]:
    """Read a page of keys. Run it in a snapshot."""
    return identity.list_keys(tx, username=username, after=after, limit=ROWS), read_head(tx, money.LANE).last_seq


def _whose(viewer: Viewer) -> str | None:
    """Return whose keys to show: of whom one acts for; for an admin who acts for nobody else, everybody's."""
    return viewer.caller.limited_to or (None if viewer.username == viewer.caller.username else viewer.username)


@get("/dashboard/admin/keys", opt={"scope": "read"})
async def show_keys(request: HttpRequest, after: params.AfterId = None) -> Response[str]:
    """Show keys, without their secrets."""
    viewer = visits.viewer(request)
    keys, seq = await database(request).read(read_keys, username=_whose(viewer), after=cursors.to_id(after))
    return pages.page(
        request,
        "admin/keys.html",
        here=HERE,
        tab="keys",
        viewer=viewer,
        scopes=[scope for scope in identity.SCOPES if viewer.may(scope)],  # type: ignore[arg-type]
        may_act=viewer.may(*ACTING),
        parts={"keys": _render_keys(request, viewer, keys)},
        stream=f"/dashboard/admin/keys/stream?after={money.LANE}:{seq}" if after is None else None,
        once=forms.once,
    )


@get("/dashboard/admin/keys/stream", opt={"scope": "read"})
async def follow_keys(request: HttpRequest) -> Stream:
    """Follow keys."""
    viewer = visits.viewer(request)

    async def read(_at_least: int) -> Parts:
        keys, seq = await database(request).read(read_keys, username=_whose(viewer), after=None)
        return Parts(seq, {"keys": _render_keys(request, viewer, keys)})

    caller = viewer.caller
    wanted = events.Wanted(caller.is_admin, caller.username, topics=frozenset(("identity",)))
    return live.respond(request, Watched(money.LANE, wanted, read))


def _render_keys(request: HttpRequest, viewer: Viewer, keys: list[identity.Key]) -> str:
    more = cursors.next_after(keys, ROWS, lambda one: cursors.of_id(one.seq))
    return pages.render(
        "admin/keys_table.html",
        keys=keys,
        more=more,
        may_act=viewer.may(*ACTING),
        token=visits.form_token(request),
        now=clock.now(),
    )


@post("/dashboard/admin/keys", status_code=200, opt={"scope": ACTING})
async def create_key(request: HttpRequest) -> Response[str]:
    """Create a key, and show its secret this once."""
    form = await forms.read(request)
    data = form.as_(wire.NewKey, lists=("scopes",))
    caller = visits.viewer(request).caller
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
    said = await forms.run(request, form, _lane(request), command, say=_say_made, secret=drawn.token)
    return forms.answer(request, said, back="/dashboard/admin/keys", here=HERE)


@post("/dashboard/admin/keys/{key_id:str}/revoke", status_code=200, opt={"scope": ACTING})
async def revoke_key(key_id: params.KeyId, request: HttpRequest) -> Response[str]:
    """Revoke a key: within a second it is of no use anywhere."""
    form = await forms.read(request)
    command = identity.RevokeKey(key_id, _limit(visits.viewer(request).caller))
    said = await forms.run(
        request, form, _lane(request), command, say=lambda key: f"The key {key.key_id} opens nothing any more."
    )
    return forms.answer(request, said, back="/dashboard/admin/keys", here=HERE)


def _say_made(key: identity.Key) -> str:
    return f"{key.username} has the key {key.key_id}, for {', '.join(key.scopes)}."


def _limit(caller: Caller) -> identity.Limit | None:
    """Return which keys a caller may make and revoke; None where any."""
    username = caller.limited_to
    return None if username is None else identity.Limit(username, caller.scopes, caller.expires_at)


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


HANDLERS = (
    show_members, follow_members, create_member, show_keys, follow_keys, create_key, revoke_key,
)  # fmt: skip
