"""The pages of webhooks: where what happens is sent, and what became of each delivery."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import Stream
from msgspec import UNSET

from marketplace import events
from marketplace.dashboard import forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import Lane, money
from marketplace.database.log import read_head
from marketplace.foundation import errors
from marketplace.http import params
from marketplace.http.callers import Caller
from marketplace.http.resources import database, resources
from marketplace.wire import webhooks as wire
from marketplace.wire.events import LaneName

HERE, TAB = "admin", "webhooks"
ROWS = 50
HOME = "/dashboard/admin/webhooks"


class Log(NamedTuple):
    """A webhook with what of a lane was sent to it, the newest entry first, and every attempt by seq."""

    webhook: events.Webhook
    lane: str
    deliveries: list[events.Delivery]
    attempts: dict[int, list[events.Attempt]]
    seq: int


def read_list(tx: Any, /, member: str | None) -> tuple[list[events.Webhook], int]:
    """Read webhooks, of a member or of all. Run it in a snapshot."""
    return events.list_webhooks(tx, member=member, after=None, limit=1000), read_head(tx, money.LANE).last_seq


def read_log(tx: Any, /, webhook_id: int, viewer: str | None, lane: str) -> Log:
    """Read a webhook's deliveries. Run it in a snapshot. Raises UnknownWebhook."""
    found, attempts = events.list_deliveries(
        tx, webhook_id, viewer=viewer, lane=lane, state=None, before=None, limit=ROWS
    )
    webhook = events.find_webhook(tx, webhook_id, viewer=viewer)
    return Log(webhook, lane, found, attempts, read_head(tx, money.LANE).last_seq)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@get(HOME, opt={"scope": "read"})
async def show_all(request: HttpRequest) -> Response[str]:
    """Show webhooks."""
    viewer = visits.viewer(request)
    found, seq = await database(request).read(read_list, viewer.caller.limited_to)
    return pages.page(
        request,
        "admin/webhooks.html",
        here=HERE,
        tab=TAB,
        viewer=viewer,
        topics=_feed(request).kinds.topics,
        parts={"webhooks": pages.render("admin/webhooks_table.html", webhooks=found)},
        stream=f"{HOME}/stream?after={money.LANE}:{seq}",
        once=forms.once,
    )


@get(f"{HOME}/stream", opt={"scope": "read"})
async def follow_all(request: HttpRequest) -> Stream:
    """Follow webhooks."""
    caller = visits.viewer(request).caller

    async def read(_at_least: int) -> Parts:
        found, seq = await database(request).read(read_list, caller.limited_to)
        return Parts(seq, {"webhooks": pages.render("admin/webhooks_table.html", webhooks=found)})

    wanted = events.Wanted(caller.is_admin, caller.username, topics=frozenset(("events",)))
    return live.respond(request, Watched(money.LANE, wanted, read))


@get(f"{HOME}/{{webhook_id:int}}", opt={"scope": "read"})
async def show(webhook_id: params.Id, request: HttpRequest, lane: FromQuery[LaneName] = "hours") -> Response[str]:
    """Show a webhook and what became of what was sent to it."""
    viewer = visits.viewer(request)
    found = await database(request).read(read_log, webhook_id, _viewer(viewer.caller), lane)
    return pages.page(
        request,
        "admin/webhook.html",
        here=HERE,
        tab=TAB,
        viewer=viewer,
        webhook=found.webhook,
        lane=lane,
        lanes=events.LANES,
        parts={"deliveries": _render(found)},
        stream=f"{HOME}/{webhook_id}/stream?lane={lane}&after={money.LANE}:{found.seq}",
        once=forms.once,
    )


@get(f"{HOME}/{{webhook_id:int}}/stream", opt={"scope": "read"})
async def follow(webhook_id: params.Id, request: HttpRequest, lane: FromQuery[LaneName] = "hours") -> Stream:
    """Follow a webhook's deliveries. What becomes of one is no entry of a log: they are looked at every second."""
    viewer = _viewer(visits.viewer(request).caller)

    async def read(_at_least: int) -> Parts:
        found = await database(request).read(read_log, webhook_id, viewer, lane)
        return Parts(found.seq, {"deliveries": _render(found)})

    wanted = events.Wanted(topics=frozenset(("events",)), subject=f"webhook/{webhook_id}")
    return live.respond(request, Watched(money.LANE, wanted, read, every_seconds=1.0))


def _render(found: Log) -> str:
    return pages.render("admin/deliveries.html", log=found)


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post(HOME, status_code=200, opt={"scope": "trade"})
async def create(request: HttpRequest) -> Response[str]:
    """Make a webhook, and show its secret this once."""
    form = await forms.read(request)
    data = form.as_(wire.NewWebhook, lists=("topics", "kinds"))
    caller = visits.viewer(request).caller
    member = caller.acting_for(data.username)
    if data.all_members and not caller.is_admin:
        raise errors.Forbidden("Only an administrator may be sent what happens to all members.")
    _check(request, url=data.url, topics=data.topics)
    secret = events.new_secret()
    sees: Any = "all" if data.all_members else "own"
    command = events.CreateWebhook(
        member, data.url, sees, tuple(data.topics), (), secret, await database(request).read(events.read_heads)
    )
    said = await forms.run(
        request, form, _lane(request), command, say=lambda made: f"Webhook {made.webhook_id} is made.", secret=secret
    )
    return forms.answer(request, said, back=HOME, here=HERE)


@post(f"{HOME}/{{webhook_id:int}}", status_code=200, opt={"scope": "trade"})
async def change(webhook_id: params.Id, request: HttpRequest) -> Response[str]:
    """Change where it is sent to, or disable and enable it."""
    form = await forms.read(request)
    data = form.as_(wire.WebhookChange)
    if data.url is not UNSET:
        _check(request, url=data.url, topics=())
    viewer = _viewer(visits.viewer(request).caller)
    heads = await database(request).read(events.read_heads)
    command = events.ChangeWebhook(webhook_id, viewer, data.url or None, None, None, data.state or None, heads)
    return await _run(request, form, webhook_id, command, lambda one: f"Webhook {one.webhook_id} is {one.state}.")


@post(f"{HOME}/{{webhook_id:int}}/delete", status_code=200, opt={"scope": "trade"})
async def delete(webhook_id: params.Id, request: HttpRequest) -> Response[str]:
    """Delete a webhook; what is on its way to it is dropped."""
    form = await forms.read(request)
    command = events.DeleteWebhook(webhook_id, _viewer(visits.viewer(request).caller))
    said = await forms.run(
        request, form, _lane(request), command, say=lambda one: f"Webhook {one.webhook_id} is deleted."
    )
    return forms.answer(request, said, back=HOME, here=HERE)


@post(f"{HOME}/{{webhook_id:int}}/rotate", status_code=200, opt={"scope": "trade"})
async def rotate(webhook_id: params.Id, request: HttpRequest) -> Response[str]:
    """Give it a new secret, shown this once. For a day both sign."""
    form = await forms.read(request)
    secret = events.new_secret()
    command = events.RotateSecret(webhook_id, _viewer(visits.viewer(request).caller), secret)
    said = await forms.run(
        request,
        form,
        _lane(request),
        command,
        say=lambda one: f"Webhook {one.webhook_id} signs by a new secret; for a day the old one signs as well.",
        secret=secret,
    )
    return forms.answer(request, said, back=f"{HOME}/{webhook_id}", here=HERE)


@post(f"{HOME}/{{webhook_id:int}}/test", status_code=200, opt={"scope": "trade"})
async def test(webhook_id: params.Id, request: HttpRequest) -> Response[str]:
    """Send it a message of its own."""
    form = await forms.read(request)
    command = events.TestWebhook(webhook_id, _viewer(visits.viewer(request).caller))
    return await _run(
        request, form, webhook_id, command, lambda seq: f"A test is on its way: entry {seq} of the lane money."
    )


@post(f"{HOME}/{{webhook_id:int}}/replay", status_code=200, opt={"scope": "trade"})
async def replay(webhook_id: params.Id, request: HttpRequest) -> Response[str]:
    """Send entries of a log again, or for the first time."""
    form = await forms.read(request)
    data = form.as_(wire.Replay)
    if not 0 <= data.to_seq - data.from_seq < events.MOST_REPLAYED:
        raise errors.Invalid(f"Name a range of 1 to {events.MOST_REPLAYED} entries.", field="to_seq")
    viewer, public = _viewer(visits.viewer(request).caller), _feed(request).kinds.public

    def select(tx: Any, /) -> tuple[int, ...]:
        wanted = events.find_webhook(tx, webhook_id, viewer=viewer).wanted(public)
        return events.select_replayed(tx, data.lane, wanted, from_seq=data.from_seq, to_seq=data.to_seq)

    seqs = await database(request).read(select)
    command = events.ReplayEntries(webhook_id, viewer, data.lane, data.from_seq, data.to_seq, seqs)
    return await _run(request, form, webhook_id, command, lambda count: f"{count} entries are sent again.")


async def _run(request: HttpRequest, form: forms.Form, webhook_id: int, command: Any, say: Any) -> Response[str]:
    said = await forms.run(request, form, _lane(request), command, say=say)
    return forms.answer(request, said, back=f"{HOME}/{webhook_id}", here=HERE)


def _check(request: HttpRequest, *, url: str, topics: Any) -> None:
    """Refuse what cannot be. Raises BadTarget, UnknownKind."""
    events.check_target(url, allowed=resources(request).settings.webhook_allowed_hosts)
    _feed(request).kinds.check(topics=topics, kinds=())


def _viewer(caller: Caller) -> str | None:
    """Return whose webhooks the caller sees; None: everybody's."""
    return None if caller.is_admin else caller.acting_for(None)


def _feed(request: HttpRequest) -> events.Feed:
    feed: events.Feed = request.app.state[events.FEED]
    return feed


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


HANDLERS = (
    show_all, follow_all, show, follow, create, change, delete, rotate, test, replay,
)  # fmt: skip
