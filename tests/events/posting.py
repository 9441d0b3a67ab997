"""The jobs of a worker that calls webhooks, run when a test says so, and the webhooks of its members."""

from __future__ import annotations

from typing import Any

from marketplace.database import Database, Lane
from marketplace.events import jobs, signing, webhook_lookups
from marketplace.events import webhook_model as model
from marketplace.foundation.settings import Settings
from marketplace.worker import KINDS
from tests.events.receiver import Receiver
from tests.services.clock import SettableClock

PUBLIC = KINDS.public


class Post:
    """One worker, all of it on the settable clock."""

    def __init__(self, database: Database, money: Lane, receiver: Receiver, clock: SettableClock) -> None:
        self.database, self.money, self.receiver, self.clock = database, money, receiver, clock
        self.timeout_seconds = 20.0

    async def subscribe(self, member: str = "u1", **fields: Any) -> model.Webhook:
        heads = await self.database.read(webhook_lookups.read_heads)
        given = {"url": f"{self.receiver.url}/hook", "sees": "own", "topics": (), "kinds": ("bid_placed",)} | fields
        command = model.CreateWebhook(member=member, secret=signing.new_secret(), heads=heads, **given)
        made: model.Webhook = await self.money.run(command)
        return made

    async def fan_out(self) -> int:
        return await jobs.fan_out(self.database, self.money, public=PUBLIC)

    async def deliver(self) -> int:
        host, timeout = self.receiver.host, self.timeout_seconds
        settings = Settings(webhook_allowed_hosts=(host,), webhook_timeout_seconds=timeout)
        return await jobs.deliver(self.database, self.money, settings)

    async def work(self) -> None:
        await self.fan_out()
        await self.deliver()

    async def change(self, webhook: model.Webhook, **fields: Any) -> model.Webhook:
        heads = await self.database.read(webhook_lookups.read_heads)
        command = model.ChangeWebhook(webhook.webhook_id, None, heads=heads, **fields)
        changed: model.Webhook = await self.money.run(command)
        return changed

    async def deliveries(
        self, webhook: model.Webhook, *, lane: str = "hours"
    ) -> list[tuple[int, str, list[int | str | None]]]:
        """Return seq, state, and the status or error of each attempt, the oldest entry first."""
        found, attempts = await self.database.read(
            webhook_lookups.list_deliveries,
            webhook.webhook_id,
            viewer=None,
            lane=lane,
            state=None,
            before=None,
            limit=1000,
        )
        return [
            (each.seq, each.state, [tried.status or tried.error for tried in attempts[each.seq]])
            for each in reversed(found)
        ]
