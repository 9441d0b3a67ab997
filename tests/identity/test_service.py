"""Members and keys through the lane, on both engines."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from marketplace import identity
from marketplace.foundation.clock import HOUR, MINUTE, SECOND
from marketplace.identity import CreateKey, CreateMember, Limit, NoteUses, RevokeKey, errors
from tests.identity.desk import Desk
from tests.services.clock import NEW_YEAR


async def test_a_member_is_created_once(desk: Desk) -> None:
    made = await desk.member("ann")
    assert (made.username, made.seq, made.created_at) == ("ann", 1, NEW_YEAR)
    await desk.refused(CreateMember("ann"), errors.MemberExists)
    assert (await desk.member("Ann")).seq == 2, "case matters"


async def test_two_at_once_create_a_member_once(desk: Desk) -> None:
    outcomes = await asyncio.gather(*(desk.run(CreateMember("ann")) for _ in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["Member", *["MemberExists"] * 9]


async def test_a_key_is_stored_with_the_hash_of_its_secret(desk: Desk) -> None:
    made = await desk.key("trade", "read", "trade", label="bot", expires_at=NEW_YEAR + HOUR)
    stored = await desk.stored(made.key.key_id)
    assert stored == made.key
    assert (stored.scopes, stored.label, stored.expires_at) == (("read", "trade"), "bot", NEW_YEAR + HOUR)
    assert made.token[-64:] not in repr(await desk.everything())


async def test_the_log_tells_of_keys_and_not_of_their_hashes(desk: Desk) -> None:
    made = await desk.key("read")
    await desk.run(RevokeKey(made.key.key_id))
    events = (await desk.everything())["events"]
    assert [(event[3], event[4], event[6]) for event in events] == [
        ("identity", "member_created", "ann"),
        ("identity", "key_created", "ann"),
        ("identity", "key_revoked", "ann"),
    ]
    assert made.key.secret_hash not in repr(events)


async def test_nobody_has_a_key_who_is_no_member(desk: Desk) -> None:
    drawn = identity.make_key()
    await desk.refused(CreateKey(drawn.key_id, drawn.secret_hash, "bob", ("read",)), errors.UnknownMember)


async def test_a_member_and_its_key_may_share_a_batch(desk: Desk) -> None:
    drawn = identity.make_key()
    member, key = await asyncio.gather(
        desk.run(CreateMember("ann")), desk.run(CreateKey(drawn.key_id, drawn.secret_hash, "ann", ("read",)))
    )
    assert (member.username, key.username) == ("ann", "ann")


async def test_a_key_expires_later_than_it_is_made(desk: Desk) -> None:
    await desk.member()
    for expires_at in (NEW_YEAR - 1, NEW_YEAR):
        drawn = identity.make_key()
        command = CreateKey(drawn.key_id, drawn.secret_hash, "ann", ("read",), expires_at=expires_at)
        await desk.refused(command, errors.ExpiryPassed)


async def test_a_limit_holds_for_what_is_made(desk: Desk) -> None:
    await desk.member()
    drawn = identity.make_key()
    command = CreateKey(
        drawn.key_id, drawn.secret_hash, "ann", ("admin",), limit=Limit("ann", frozenset(("read",)), None)
    )
    await desk.refused(command, errors.BeyondOwn)
    made = await desk.run(msgspec.structs.replace(command, scopes=("read",)))
    assert made.scopes == ("read",)


async def test_revoking_is_for_ever_and_twice_is_once(desk: Desk) -> None:
    made = await desk.key()
    desk.clock.advance(5)
    revoked = await desk.run(RevokeKey(made.key.key_id))
    assert revoked.revoked_at == NEW_YEAR + 5 * SECOND
    desk.clock.advance(5)
    before = await desk.everything()
    assert await desk.run(RevokeKey(made.key.key_id)) == revoked
    assert await desk.everything() == before


async def test_a_key_of_another_member_does_not_exist(desk: Desk) -> None:
    made = await desk.key("read", username="bob")
    limit = Limit("ann", frozenset(identity.SCOPES), None)
    unknown = await desk.refused(RevokeKey(made.key.key_id, limit), errors.UnknownKey)
    missing = await desk.refused(RevokeKey("f" * 16, limit), errors.UnknownKey)
    assert unknown.detail.replace(made.key.key_id, "f" * 16) == missing.detail


async def test_a_key_that_may_do_more_is_not_revoked_by_one_that_may_do_less(desk: Desk) -> None:
    made = await desk.key("read", "trade")
    await desk.refused(RevokeKey(made.key.key_id, Limit("ann", frozenset(("trade",)), None)), errors.BeyondOwn)
    assert (await desk.run(RevokeKey(made.key.key_id, Limit("ann", frozenset(("read", "trade")), None)))).revoked_at


# ── uses ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_use_is_noted_without_an_entry_of_the_log(desk: Desk) -> None:
    key = (await desk.key()).key
    before = (await desk.everything())["events"]
    desk.clock.advance(10)
    assert await desk.run(NoteUses(((key.key_id, NEW_YEAR + 7 * SECOND),))) == 1
    assert (await desk.stored(key.key_id)).last_used_at == NEW_YEAR + 7 * SECOND
    assert (await desk.everything())["events"] == before


async def test_a_use_is_noted_at_most_once_a_minute(desk: Desk) -> None:
    key = (await desk.key()).key
    desk.clock.advance(200)
    first = NEW_YEAR + SECOND
    for used_at, noted in ((first, 1), (first + MINUTE - 1, 0), (first - SECOND, 0), (first + MINUTE, 1)):
        assert await desk.run(NoteUses(((key.key_id, used_at),))) == noted
    assert (await desk.stored(key.key_id)).last_used_at == first + MINUTE


@pytest.mark.parametrize("off", [-HOUR, HOUR])
async def test_a_process_whose_clock_is_off_notes_no_use_before_the_key_nor_to_come(desk: Desk, off: int) -> None:
    key = (await desk.key()).key
    desk.clock.advance(1)
    await desk.run(NoteUses(((key.key_id, NEW_YEAR + off),)))
    assert (await desk.stored(key.key_id)).last_used_at in (NEW_YEAR, NEW_YEAR + SECOND)


async def test_a_use_of_a_key_that_there_is_not_is_nothing(desk: Desk) -> None:
    assert await desk.run(NoteUses((("f" * 16, NEW_YEAR),))) == 0


async def test_a_use_and_a_revocation_in_one_batch_are_both_kept(desk: Desk) -> None:
    key = (await desk.key()).key
    await asyncio.gather(desk.run(RevokeKey(key.key_id)), desk.run(NoteUses(((key.key_id, NEW_YEAR),))))
    stored = await desk.stored(key.key_id)
    assert (stored.revoked_at, stored.last_used_at) == (NEW_YEAR, NEW_YEAR)


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_lists_are_in_the_order_of_creation_and_resume(desk: Desk) -> None:
    made = [(await desk.key(username=name)).key for name in ("zoe", "ann", "zoe", "bob")]
    database = desk.database

    async def keys(username: str | None = None, after: int | None = None, limit: int = 9) -> list[identity.Key]:
        return await database.read_one(identity.list_keys, username=username, after=after, limit=limit)

    assert await keys() == made
    assert await keys("zoe") == [made[0], made[2]]
    assert await keys(after=made[1].seq, limit=1) == [made[2]]
    members = await database.read_one(identity.list_members, after=None, limit=2)
    assert [one.username for one in members] == ["zoe", "ann"]
    members = await database.read_one(identity.list_members, after=members[-1].seq, limit=2)
    assert [one.username for one in members] == ["bob"]
