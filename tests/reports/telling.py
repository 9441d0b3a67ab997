"""A few days of webhooks: what was delivered at once, later and never, and what is still on its way."""

from __future__ import annotations

from marketplace.database import Database, Lane
from marketplace.events import jobs, signing, webhook_lookups
from marketplace.events import webhook_model as model
from marketplace.foundation.clock import SECOND
from marketplace.ledger import Deposit
from marketplace.worker import KINDS
from tests.services.clock import SettableClock

GONE = "ConnectError: nobody listens"


async def tell_for_some_days(database: Database, lane: Lane, clock: SettableClock) -> list[model.Webhook]:
    """Let ann and bob be told of deposits: ann's receiver takes all but the third, bob's is away for ever.

    The last deposit is put on its way, and tried for ann alone, in vain.
    """
    hooks = [await _subscribe(database, lane, username) for username in ("ann", "bob")]
    for number in range(4):
        for username in ("ann", "bob"):
            await lane.run(Deposit(username, 10 + number, reference=f"told-{username}-{number}"))
        await jobs.fan_out(database, lane, public=KINDS.public)
        clock.advance(1.5)
        await _call(lane, clock, hooks, refused=number == 2, is_last=number == 3)
        clock.advance(60)
    return hooks


async def _subscribe(database: Database, lane: Lane, username: str) -> model.Webhook:
    heads = await database.read(webhook_lookups.read_heads)
    url = f"https://hooks.example.org/{username}"
    command = model.CreateWebhook(username, url, "own", ("ledger",), ("deposited",), signing.new_secret(), heads)
    made: model.Webhook = await lane.run(command)
    return made


async def _call(lane: Lane, clock: SettableClock, hooks: list[model.Webhook], *, refused: bool, is_last: bool) -> None:
    """Try what is due, once: the receivers' answers are made up here."""
    ann, bob = hooks
    claimed: list[model.Claimed] = await lane.run(model.Claim("worker", 100, 100, 30.0))
    attempts = []
    for each in claimed:
        place = (each.webhook_id, each.lane, each.seq, each.attempt)
        if each.webhook_id == bob.webhook_id and not is_last:
            attempts.append(model.Attempt(*place, clock(), SECOND, None, GONE))
        elif each.webhook_id == ann.webhook_id:
            attempts.append(model.Attempt(*place, clock(), SECOND // 10, 503 if refused or is_last else 204, None))
    clock.advance(0.25)
    await lane.run(model.Record("worker", tuple(attempts)))
