"""What a reader asks for and may see: the same in SQL as in memory."""

from __future__ import annotations

import itertools

import pytest

from marketplace.database import Database
from marketplace.events import Kinds, Wanted, lookups
from marketplace.events.errors import UnknownKind
from marketplace.hours import KINDS
from tests.events.reading import Clerk, seqs

WANTED = [
    Wanted(sees_all, member, public, topics, kinds, subject)
    for (sees_all, member), public, topics, kinds, subject in itertools.product(
        [(True, None), (False, "u1"), (False, "u_"), (False, None)],
        [frozenset[str](), Kinds(KINDS).public],
        [frozenset[str](), frozenset(["hours"]), frozenset(["spot"])],
        [frozenset[str](), frozenset(["bid_placed", "market_changed"])],
        [None, "default", "default/1", "def", "d%", "a_b", "axb", "default/"],
    )
]


async def test_sql_and_memory_agree_on_what_is_wanted(database: Database, clerk: Clerk) -> None:
    await clerk.bids("u1", "u2", "ux")
    for market in ("a_b", "axb", "def"):
        await clerk.market(market)
        await clerk.bids("u1", "u_", market=market)
    everything = (await database.read(lookups.read_page, "hours", Wanted(), after=0, limit=100)).entries
    found = set()
    for wanted in WANTED:
        page = await database.read(lookups.read_page, "hours", wanted, after=0, limit=100)
        expected = [each for each in everything if wanted.has(each.topic, each.kind, each.subject, each.member)]
        assert seqs(page) == seqs(expected), wanted
        found.add(tuple(seqs(page)))
    assert len(found) > 15, "nearly all of them want the same"


async def test_a_member_sees_its_own_and_what_is_public(database: Database, clerk: Clerk) -> None:
    await clerk.bids("u1", "u2")
    await clerk.market("gpu")
    wanted = Wanted(sees_all=False, member="u2", public=Kinds(KINDS).public)
    page = await database.read(lookups.read_page, "hours", wanted, after=0, limit=100)
    assert [(entry.kind, entry.member) for entry in page.entries] == [("bid_placed", "u2"), ("market_created", None)]


def test_what_is_public_names_no_member() -> None:
    from marketplace.worker import KINDS as ALL

    named = {"username", "member", "owner", "provider", "vm_id", "hostname"}
    public = [kind for kind in ALL.all if kind.is_public]
    assert public
    assert [kind.name for kind in public if named & set(kind.data.__struct_fields__)] == []


def test_kinds_that_there_are_not_are_refused() -> None:
    kinds = Kinds(KINDS)
    kinds.check(topics=["hours"], kinds=["bid_placed"])
    for topics, names, field in ((["gold"], [], "topic"), ([], ["bid_placed", "bid_lost"], "kind")):
        with pytest.raises(UnknownKind) as caught:
            kinds.check(topics=topics, kinds=names)
        assert caught.value.extra["field"] == field
