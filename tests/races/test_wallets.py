"""Many pay at once, over all server processes: no credit is spent twice, none is lost, and none is made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import open_database
from tests.races.town import Town

STARTING = 1_000
"""Credits that a wallet opens with."""


class Payers:
    """HTTP clients of all servers; requests go to them in turns, so that neighbours reach different processes."""

    def __init__(self, clients: Iterator[httpx.AsyncClient]) -> None:
        self._clients = clients

    async def pay(self, username: str, to: str, amount: int, **more: str) -> httpx.Response:
        body = {"username": username, "to": to, "amount": str(amount), **more}
        return await next(self._clients).post("/api/v1/transfers", json=body)

    async def deposit(self, username: str, amount: int, **more: str) -> httpx.Response:
        path = f"/api/v1/wallets/{username}/deposits"
        return await next(self._clients).post(path, json={"amount": str(amount), **more})


@contextlib.asynccontextmanager
async def payers(town: Town) -> AsyncIterator[Payers]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60, trust_env=False))
            for url in town.urls
        ]
        yield Payers(itertools.cycle(clients))


async def books(town: Town, *usernames: str) -> tuple[list[int], list[str]]:
    """Return what wallets have, in whole credits, and what the audit finds."""

    def read(tx: sa.Connection) -> tuple[list[int], list[str]]:
        found = [ledger.balance(tx, ledger.wallet(username)) for username in usernames]
        return [one.balance // 1_000_000 if one else 0 for one in found], ledger.audit(tx)

    database = open_database(town.database_url)
    try:
        return await database.report(read)
    finally:
        await database.close()


async def test_of_50_who_spend_a_balance_for_exactly_10_ten_succeed_and_40_are_told_402(town: Town) -> None:
    async with payers(town) as paying:
        answers = await asyncio.gather(*(paying.pay("ann", f"shop{n}", STARTING // 10) for n in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: 10, 402: 40}
    left = {answer.json()["available"] for answer in answers if answer.status_code == 402}
    assert left == {"0.00"}
    assert await books(town, "ann") == ([0], [])
    assert town.aborts_per_commit() == 0


async def test_credits_from_50_sources_to_one_account_are_all_there(town: Town) -> None:
    async with payers(town) as paying:
        answers = await asyncio.gather(*(paying.pay(f"source{n}", "shop", 7) for n in range(50)))
        more = await asyncio.gather(*(paying.deposit("shop", 3) for _ in range(50)))
    assert {answer.status_code for answer in [*answers, *more]} == {201}
    assert len({answer.json()["transfer_id"] for answer in [*answers, *more]}) == 100
    assert await books(town, "shop", "source0", "source49") == ([STARTING + 50 * 7 + 50 * 3, 993, 993], [])


async def test_of_50_copies_of_a_payment_one_is_carried_out(town: Town) -> None:
    async with payers(town) as paying:
        answers = await asyncio.gather(*(paying.pay("ann", "bob", 5, reference="rent") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert Counter(answer.headers.get("idempotent-replayed") for answer in answers) == {None: 1, "true": 49}
    assert await books(town, "ann", "bob") == ([STARTING - 5, STARTING + 5], [])


async def test_money_that_goes_round_is_neither_lost_nor_made(town: Town) -> None:
    ring = [f"m{n}" for n in range(8)]
    async with payers(town) as paying:
        pairs = [(ring[n % 8], ring[(n * 3 + 1) % 8], n % 90 + 1) for n in range(400)]
        answers = await asyncio.gather(
            *(paying.pay(payer, to, amount * 5) for payer, to, amount in pairs if payer != to)
        )
    assert {answer.status_code for answer in answers} <= {201, 402}
    balances, faults = await books(town, *ring)
    assert (sum(balances), faults) == (8 * STARTING, [])
    assert min(balances) >= 0
