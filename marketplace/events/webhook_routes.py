"""HTTP of webhooks: a member's endpoints, and what became of what was sent to them."""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import UNSET

from marketplace.database import Lane, money
from marketplace.events import errors, signing, targets, webhook_lookups
from marketplace.events import webhook_model as model
from marketplace.events.routes import feed_of
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Forbidden, Invalid
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database, resources
from marketplace.wire import webhooks as wire
from marketplace.wire.events import LaneName

HttpRequest = Request[Any, Any, Any]

_ONE = (errors.UnknownWebhook,)
Before = Annotated[str | None, QueryParameter(pattern=cursors.ID_PATTERN, description="`next` of the page before")]
State = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.DeliveryState))]


class Webhooks(Controller):
    path = "/api/v1/webhooks"
    tags = ("webhooks",)

    @post(
        opt={
            "refuses": (errors.BadTarget, errors.UnknownKind, errors.TooManyWebhooks, Forbidden),
            "idempotent": True,
            "scope": "trade",
        }
    )
    async def create_webhook(self, data: JSONBody[wire.NewWebhook], request: HttpRequest) -> wire.CreatedWebhook:
        """Make a webhook; its secret is shown in this answer alone.

        It is sent what happens from now on, signed as Standard Webhooks has it. A replay under an Idempotency-Key tells
        of the webhook, with `secret` null: who lost it has a new one made by `rotate`.
        """
        caller = callers.caller(request)
        member = caller.acting_for(data.username)
        if data.all_members and not caller.is_admin:
            raise Forbidden("Only an administrator may be sent what happens to all members.")
        _check(request, url=data.url, topics=data.topics, kinds=data.kinds)
        command = model.CreateWebhook(
            member,
            data.url,
            "all" if data.all_members else "own",
            tuple(data.topics),
            tuple(data.kinds),
            signing.new_secret(),
            await _heads(request),
        )
        return await idempotency.run(
            _lane(request),
            command,
            request=request,
            shape=_created,
            status=201,
            reveal=lambda made: msgspec.structs.replace(made, secret=command.secret),
        )

    @get(opt={"scope": "read"})
    async def list_webhooks(
        self,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Webhooks:
        """List webhooks: the caller's own, or for an administrator everybody's."""
        caller = callers.caller(request)
        member = username if caller.is_admin else caller.acting_for(username)
        found = await database(request).read(
            webhook_lookups.list_webhooks, member=member, after=cursors.to_id(after), limit=limit
        )
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.webhook_id))
        return wire.Webhooks([_shape(one) for one in found], following)

    @get("/{webhook_id:int}", opt={"refuses": _ONE, "scope": "read"})
    async def read_webhook(self, webhook_id: params.Id, request: HttpRequest) -> wire.Webhook:
        """Read a webhook; never its secret."""
        return _shape(await database(request).read(webhook_lookups.find_webhook, webhook_id, viewer=_viewer(request)))

    @patch("/{webhook_id:int}", opt={"refuses": (*_ONE, errors.BadTarget, errors.UnknownKind), "scope": "trade"})
    async def change_webhook(
        self, webhook_id: params.Id, data: JSONBody[wire.WebhookChange], request: HttpRequest
    ) -> wire.Webhook:
        """Change where or what is sent, or disable and enable it."""
        url, state = data.url or None, data.state or None
        topics = None if data.topics is UNSET else tuple(data.topics)
        kinds = None if data.kinds is UNSET else tuple(data.kinds)
        _check(request, url=url, topics=topics or (), kinds=kinds or ())
        command = model.ChangeWebhook(
            webhook_id,
            _viewer(request),
            url,
            topics,
            kinds,
            state,
            await _heads(request),
        )
        return _shape(await _lane(request).run(command))

    @delete("/{webhook_id:int}", status_code=200, opt={"refuses": _ONE, "idempotent": True, "scope": "trade"})
    async def delete_webhook(self, webhook_id: params.Id, request: HttpRequest) -> wire.Webhook:
        """Delete a webhook; what is on its way to it is dropped."""
        command = model.DeleteWebhook(webhook_id, _viewer(request))
        return await idempotency.run(_lane(request), command, request=request, shape=_shape)

    @post("/{webhook_id:int}/rotate", status_code=200, opt={"refuses": _ONE, "idempotent": True, "scope": "trade"})
    async def rotate_secret(self, webhook_id: params.Id, request: HttpRequest) -> wire.RotatedSecret:
        """Give it a new secret, shown in this answer alone. For a day both sign.

        A replay under an Idempotency-Key has `secret` null: who lost it sends another key, and has another one made.
        """
        command = model.RotateSecret(webhook_id, _viewer(request), signing.new_secret())
        return await idempotency.run(
            _lane(request),
            command,
            request=request,
            shape=_rotated,
            reveal=lambda rotated: msgspec.structs.replace(rotated, secret=command.secret),
        )

    @post(
        "/{webhook_id:int}/test",
        status_code=200,
        opt={"refuses": (*_ONE, errors.WebhookDisabled), "idempotent": True, "scope": "trade"},
    )
    async def test_webhook(self, webhook_id: params.Id, request: HttpRequest) -> wire.Tested:
        """Send it a message of its own, `events.webhook_tested`; its deliveries tell what became of it."""
        command = model.TestWebhook(webhook_id, _viewer(request))
        return await idempotency.run(_lane(request), command, request=request, shape=_tested)

    @get("/{webhook_id:int}/deliveries", opt={"refuses": _ONE, "scope": "read"})
    async def list_deliveries(
        self,
        webhook_id: params.Id,
        request: HttpRequest,
        lane: FromQuery[LaneName] = "hours",
        in_state: State = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        before: Before = None,
    ) -> wire.Deliveries:
        """List what of a lane was sent, or is to be, with every attempt, the newest entry first."""
        found, attempts = await database(request).read(
            webhook_lookups.list_deliveries,
            webhook_id,
            viewer=_viewer(request),
            lane=lane,
            state=cast(model.DeliveryState | None, in_state),  # its pattern admits no other
            before=cursors.to_id(before),
            limit=limit,
        )
        items = [_delivery(one, attempts[one.seq]) for one in found]
        return wire.Deliveries(items, cursors.next_after(found, limit, lambda one: cursors.of_id(one.seq)))

    @post(
        "/{webhook_id:int}/replay",
        status_code=200,
        opt={"refuses": (*_ONE, errors.WebhookDisabled, errors.LogCut), "idempotent": True, "scope": "trade"},
    )
    async def replay_events(
        self, webhook_id: params.Id, data: JSONBody[wire.Replay], request: HttpRequest
    ) -> wire.Replayed:
        """Send entries of a log again, or for the first time: those between two seqs that the webhook wants."""
        if not 0 <= data.to_seq - data.from_seq < model.MOST_REPLAYED:
            raise Invalid(f"Name a range of 1 to {model.MOST_REPLAYED} seqs.", field="to_seq")
        viewer, public = _viewer(request), feed_of(request).kinds.public

        def select(tx: Any, /) -> tuple[int, ...]:
            wanted = webhook_lookups.find_webhook(tx, webhook_id, viewer=viewer).wanted(public)
            span = {"from_seq": data.from_seq, "to_seq": data.to_seq}
            return webhook_lookups.select_replayed(tx, data.lane, wanted, **span)

        seqs = await database(request).read(select)
        command = model.ReplayEntries(webhook_id, viewer, data.lane, data.from_seq, data.to_seq, seqs)
        return await idempotency.run(_lane(request), command, request=request, shape=wire.Replayed)


HANDLERS = (Webhooks,)


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


def _viewer(request: HttpRequest) -> str | None:
    """Return whose webhooks the caller sees; None: everybody's."""
    caller = callers.caller(request)
    return None if caller.is_admin else caller.acting_for(None)


async def _heads(request: HttpRequest) -> model.Heads:
    return await database(request).read(webhook_lookups.read_heads)


def _check(request: HttpRequest, *, url: str | None, topics: Any, kinds: Any) -> None:
    """Refuse what cannot be. Raises BadTarget, UnknownKind."""
    if url is not None:
        targets.parse(url, allowed=resources(request).settings.webhook_allowed_hosts)
    feed_of(request).kinds.check(topics=topics, kinds=kinds)


# ── to the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _shape(one: model.Webhook) -> wire.Webhook:
    return wire.Webhook(
        one.webhook_id,
        one.member,
        one.url,
        list(one.topics),
        list(one.kinds),
        one.sees == "all",
        one.state,
        one.reason,
        clock.to_datetime(one.created_at),
    )


def _created(one: model.Webhook) -> wire.CreatedWebhook:
    return wire.CreatedWebhook(_shape(one), secret=None)


def _rotated(one: model.Webhook) -> wire.RotatedSecret:
    assert one.previous_until is not None
    return wire.RotatedSecret(one.webhook_id, None, clock.to_datetime(one.previous_until))


def _tested(seq: int) -> wire.Tested:
    return wire.Tested(money.LANE, seq, model.message_id(money.LANE, seq))


def _delivery(one: model.Delivery, made: list[model.Attempt]) -> wire.Delivery:
    attempts = [
        wire.Attempt(each.attempt, clock.to_datetime(each.at), each.duration_micros / 1e6, each.status, each.error)
        for each in made
    ]
    return wire.Delivery(
        one.lane,
        one.seq,
        model.message_id(one.lane, one.seq),
        one.state,
        _moment(one.next_attempt_at),
        clock.to_datetime(one.created_at),
        _moment(one.finished_at),
        attempts,
    )


def _moment(instant: Instant | None) -> Any:
    return None if instant is None else clock.to_datetime(instant)
