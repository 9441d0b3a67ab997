"""All nodes that this process looks after: claimed for eight seconds at a time, so that another one takes over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from marketplace.database import Database, Lane
from marketplace.foundation import errors
from marketplace.foundation.settings import Settings
from marketplace.spot import connections, duties
from marketplace.spot.commands import ClaimedNode, ClaimNodes, RecordClean
from marketplace.spot.compute import BadSettings
from marketplace.spot.duties import Duty
from marketplace.spot.keeper import Keeper, Means
from marketplace.spot.news import News

CLAIM_SECONDS = 8
"""A claim that has two thirds of that before it is not written anew."""
CLAIM_EVERY_SECONDS = 2.0
"""Together they are how long the nodes of a process that was killed may be left alone, where another one runs."""
MOST_NODES = 1_000
"""That one process looks after; more nodes need more processes."""
BAD_SETTINGS_SECONDS = 60.0
"""How long a node that cannot be connected to is left alone."""
CLEAN_AT_ONCE = 500
PAUSE_SECONDS = 0.005
"""Between two readings of the news: what comes meanwhile comes together."""
IDLE_PAUSE_SECONDS = 0.02
"""After news that were nobody's here."""

Name = tuple[str, str]
"""A node's: its pool's and its own."""

log = structlog.get_logger(__name__)


class Keepers:
    """The nodes of one process. `run` goes on until it is cancelled, or until something breaks: begin anew then.

    Whoever begins anew with the same `token` has at once what the one before had.
    """

    def __init__(
        self, database: Database, money: Lane, addresses: Lane, settings: Settings, *, news: News, token: str
    ) -> None:
        self._database = database
        self._money = money
        self._news = news
        # Where nobody else can be, whoever comes next is the one who was before, and need not wait for its claims.
        self._token = token if database.is_postgres else "embedded"
        self._keepers: dict[Name, Keeper] = {}
        self._bad: dict[Name, tuple[ClaimedNode, float]] = {}
        self._seq = 0
        self._clean: set[int] = set()
        self._means = Means(
            database, money, addresses, settings.public_url, settings.spot_logs_kept_seconds, self._clean.add
        )

    async def run(self) -> None:
        """Claim, hear the news, and hand them on; the nodes' keepers do the rest."""
        self._seq = await self._database.read_one(duties.read_head)
        claim_at = 0.0
        try:
            while True:
                if time.monotonic() >= claim_at:
                    claim_at = time.monotonic() + CLAIM_EVERY_SECONDS
                    await self._claim()
                has_news = await self._hear()
                await self._note_clean()
                await asyncio.sleep(PAUSE_SECONDS if has_news else IDLE_PAUSE_SECONDS)
                await self._news.wait(after=self._seq, seconds=claim_at - time.monotonic())
        finally:
            await self._let_go(list(self._keepers))
            with contextlib.suppress(errors.Refusal):  # the claims lapse by themselves
                await self._money.run(ClaimNodes(self._token, 0, MOST_NODES))

    async def _claim(self) -> None:
        good_until = time.monotonic() + CLAIM_SECONDS * 2 / 3
        claimed: list[ClaimedNode] = await self._money.run(ClaimNodes(self._token, CLAIM_SECONDS, MOST_NODES))
        nodes = {(node.pool, node.node): node for node in claimed}
        changed = [name for name, keeper in self._keepers.items() if not _is_same(nodes.get(name), keeper.node)]
        await self._let_go(changed)
        for keeper in self._keepers.values():
            keeper.renew(good_until)
        new = {name: node for name, node in nodes.items() if name not in self._keepers}
        await self._take_on(new, good_until)

    async def _take_on(self, nodes: Mapping[Name, ClaimedNode], good_until: float) -> None:
        """Begin to look after nodes, with all that they have to do."""
        taken: list[Keeper] = []
        for name, node in nodes.items():
            if (keeper := await self._connect(node, good_until)) is not None:
                self._keepers[name] = keeper
                taken.append(keeper)
        if taken:
            told = await self._database.read(duties.read_all, [(each.node.pool, each.node.node) for each in taken])
            self._hand_on(told.duties)
            for keeper in taken:
                keeper.open()
                log.info("node_looked_after", pool=keeper.node.pool, node=keeper.node.node)

    async def _connect(self, node: ClaimedNode, good_until: float) -> Keeper | None:
        """Return a node's keeper; None where its settings cannot be used, which is looked at again in a while."""
        name = (node.pool, node.node)
        if name in self._bad and _is_same(self._bad[name][0], node) and time.monotonic() < self._bad[name][1]:
            return None
        try:
            backend = await connections.connect(
                node.backend, node.owner, node.settings, database_url=self._database.url
            )
        except BadSettings as wrong:
            log.error("node_settings_unusable", pool=node.pool, node=node.node, error=str(wrong))
            self._bad[name] = node, time.monotonic() + BAD_SETTINGS_SECONDS
            return None
        return Keeper(node, backend, self._means, good_until=good_until)

    async def _let_go(self, names: list[Name]) -> None:
        await asyncio.gather(*(self._keepers.pop(name).close() for name in names))

    async def _hear(self) -> bool:
        """Hand on what is new, and tell whether anything was."""
        pools = sorted({pool for pool, _ in self._keepers})
        told = await self._database.read(duties.read_changed, pools, after=self._seq)
        self._seq = told.seq
        self._hand_on(told.duties)
        return bool(told.duties)

    def _hand_on(self, told: list[Duty]) -> None:
        for duty in told:
            if (keeper := self._keepers.get((duty.pool, duty.node))) is not None:
                keeper.put(duty)

    async def _note_clean(self) -> None:
        while self._clean:
            chunk = sorted(self._clean)[:CLEAN_AT_ONCE]
            await self._money.run(RecordClean(tuple(chunk)))
            self._clean.difference_update(chunk)


def _is_same(one: ClaimedNode | None, other: ClaimedNode) -> bool:
    """Tell whether a node is reached as before, and lets as much; its state does not matter."""
    return one is not None and _way(one) == _way(other)


def _way(node: ClaimedNode) -> tuple[Any, ...]:
    settings = msgspec.json.encode(node.settings, order="sorted")
    return node.backend, settings, node.owner, node.cpu_millis, node.memory_mib
