"""Money in and out, from member to member, held and captured: through the lane, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import ledger
from marketplace.foundation.clock import SECOND
from marketplace.ledger import AddAsset, Deposit, ExpireHolds, Pay, SetWallet, Withdraw, errors
from tests.ledger.desk import Desk
from tests.ledger.house import Capture, Hold, Release
from tests.services.clock import NEW_YEAR


async def house(desk: Desk) -> int:
    """Return what the house has earned."""
    found = await desk.read(ledger.balance, ledger.revenue("house"))
    return found.balance if found else 0


async def outside(desk: Desk, asset: str = "credit") -> int:
    found = await desk.read(ledger.balance, ledger.external(asset=asset))
    return found.balance if found else 0


async def hold(desk: Desk, amount: int, **more: Any) -> int:
    """Hold an amount of ann's; return the hold's id."""
    posted: ledger.Posted = await desk.run(Hold("ann", amount, **more))
    return posted.transfer.transfer_id


# ── in, out, across ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_comes_in_here_went_out_there(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    await desk.pay("ann", "bob", 30)
    paid = await desk.withdraw("bob", 10)
    assert (paid.wallet.balance, paid.transfer.amount, paid.created) == (20, 10, True)
    assert [await desk.has(name) for name in ("ann", "bob")] == [(70, 70), (20, 20)]
    assert await outside(desk) == -90


async def test_a_wallet_cannot_give_more_than_it_has(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    for command in (Pay("ann", "bob", 101), Withdraw("ann", 101), Hold("ann", 101)):
        await desk.refused(command, errors.NotCovered)
    refusal = await desk.refused(Pay("bob", "ann", 1), errors.NotCovered)
    assert refusal.extra == {"asset": "credit", "available": "0.00", "needed": "0.000001"}


async def test_of_many_at_once_those_that_are_covered_succeed_in_order(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    told = await desk.together(
        Pay("ann", "bob", 60), Pay("ann", "cy", 60), Pay("bob", "cy", 50), Pay("ann", "cy", 40), Deposit("ann", 5)
    )
    assert [isinstance(each, ledger.Paid) for each in told] == [True, False, True, True, True]
    assert isinstance(told[1], errors.NotCovered)
    assert [await desk.has(name) for name in ("ann", "bob", "cy")] == [(5, 5), (10, 10), (90, 90)]


async def test_nobody_pays_to_themselves(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    await desk.refused(Pay("ann", "ann", 1), errors.SameWallet)


# ── assets and scopes ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_asset_is_kept_apart(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    await desk.deposit("ann", 7, asset="hour")
    await desk.refused(Pay("ann", "bob", 8, asset="hour"), errors.NotCovered)
    await desk.refused(Deposit("ann", 8, asset="gold"), errors.UnknownAsset)
    added = await desk.run(AddAsset("gold", 3))
    assert (added.decimals, await desk.read(ledger.find_asset, "gold")) == (3, added)
    await desk.deposit("ann", 1500, asset="gold")
    wallets = await desk.read(ledger.find_wallets, "ann")
    assert {one.asset: one.written(one.balance) for one in wallets} == {
        "credit": "0.0001",
        "gold": "1.50",
        "hour": "7",
    }
    assert [await outside(desk, asset) for asset in ("credit", "hour", "gold")] == [-100, -7, -1500]


async def test_an_asset_is_added_once(desk: Desk) -> None:
    told = await desk.together(AddAsset("gold", 3), AddAsset("gold", 2), AddAsset("credit", 6))
    assert [type(each) for each in told] == [ledger.Asset, errors.AssetExists, errors.AssetExists]
    assert [one.asset for one in await desk.read(ledger.list_assets, after=None, limit=9)] == ["credit", "gold", "hour"]


async def test_each_scope_is_kept_apart(desk: Desk) -> None:
    await desk.deposit("ann", 100, scope="mars")
    await desk.refused(Withdraw("ann", 1), errors.NotCovered)
    assert await desk.wallet("ann") is None


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_reference_is_carried_out_once(desk: Desk) -> None:
    first = await desk.deposit("ann", 100, reference="p1")
    again = await desk.deposit("ann", 100, reference="p1")
    assert (first.created, again.created, again.transfer) == (True, False, first.transfer)
    told = await desk.together(*(Pay("ann", "bob", 30, reference="rent") for _ in range(3)))
    assert [each.created for each in told] == [True, False, False]
    assert await desk.has("ann") == (70, 70)
    assert len(await desk.log()) == 3, "deposited, transferred, received"


async def test_other_content_under_a_reference_is_refused(desk: Desk) -> None:
    await desk.deposit("ann", 100, reference="p1")
    for other in (Deposit("ann", 101, reference="p1"), Deposit("ann", 100, reference="p1", reason="gift")):
        await desk.refused(other, errors.ReferenceTaken)
    await desk.pay("ann", "bob", 5, reference="p1")
    await desk.refused(Pay("ann", "cy", 5, reference="p1"), errors.ReferenceTaken)
    # A reference is its caller's own.
    await desk.deposit("bob", 100, reference="p1")
    await desk.deposit("a/ann", 100, reference="p1")


# ── holds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_held_is_not_available_until_it_is_free_again(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    first, second = await hold(desk, 60), await hold(desk, 40)
    assert await desk.has("ann") == (100, 0)
    await desk.refused(Pay("ann", "bob", 1), errors.NotCovered)
    await desk.run(Capture(first, 25))
    assert (await desk.has("ann"), await house(desk)) == ((75, 35), 25)
    await desk.run(Release(second))
    assert (await desk.has("ann"), await house(desk)) == ((75, 75), 25)


async def test_a_hold_ends_once(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    first = await hold(desk, 10)
    told = await desk.together(Capture(first, 4), Capture(first, 4), Release(first), Release(77))
    kinds = [ledger.Posted, errors.HoldEnded, errors.HoldEnded, errors.UnknownHold]
    assert [type(each) for each in told] == kinds
    await desk.refused(Capture(first), errors.HoldEnded)
    deposit = (await desk.deposit("ann", 1)).transfer.transfer_id
    await desk.refused(Capture(deposit), errors.UnknownHold)


async def test_no_more_is_captured_than_is_held(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    refusal = await desk.refused(Capture(await hold(desk, 10), 11), errors.BeyondHold)
    assert refusal.extra["held"] == "0.00001"


async def test_the_same_capture_is_carried_out_once(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    first = await hold(desk, 10, reference="bid")
    assert await hold(desk, 10, reference="bid") == first
    captured = await desk.run(Capture(first, 4, reference="bill"))
    again = await desk.run(Capture(first, 4, reference="bill"))
    assert (again.created, again.transfer) == (False, captured.transfer)
    await desk.refused(Capture(first, 5, reference="bill"), errors.ReferenceTaken)
    await desk.refused(Release(first, reference="bill"), errors.ReferenceTaken)


async def test_a_hold_for_a_member_comes_to_them_when_it_is_captured(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    first = await hold(desk, 10, to="bob")
    assert await desk.has("bob") == (0, 0)
    await desk.run(Capture(first))
    assert await desk.has("bob") == (10, 10)


async def test_a_hold_and_its_end_may_share_a_transaction_with_what_they_pay_for(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    first = await hold(desk, 100)
    told = await desk.together(Capture(first, 10), Hold("ann", 90), Hold("ann", 1))
    assert [type(each) for each in told] == [ledger.Posted, ledger.Posted, errors.NotCovered]


async def test_a_hold_is_not_captured_from_its_expiry_on_and_ends_by_itself(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    soon, later = [await hold(desk, 10, expires_at=NEW_YEAR + at * SECOND) for at in (5, 6)]
    desk.clock.advance(5)
    await desk.refused(Capture(soon), errors.HoldEnded)
    assert await desk.has("ann") == (100, 80)  # the clock has not come by yet
    assert await desk.run(ExpireHolds()) == 1
    assert await desk.has("ann") == (100, 90)
    await desk.run(Capture(later))
    await desk.refused(Release(soon), errors.HoldEnded)
    kind, subject, member, data = (await desk.log())[-2]
    assert (kind, subject, member, data["hold_id"], data["amount"]) == (
        "ledger/hold_expired",
        "ann",
        "ann",
        soon,
        "0.00001",
    )


async def test_the_longest_overdue_expire_first_and_no_more_than_asked_for(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    holds = [await hold(desk, 1, expires_at=NEW_YEAR + at * SECOND) for at in (3, 1, 2)]
    desk.clock.advance(9)
    assert await desk.read(ledger.has_due_holds, now=desk.clock())
    assert await desk.together(ExpireHolds(1), ExpireHolds(1), ExpireHolds(1), ExpireHolds(1)) == [1, 1, 1, 0]
    expired = [data["hold_id"] for kind, _, _, data in await desk.log() if kind == "ledger/hold_expired"]
    assert expired == [holds[1], holds[2], holds[0]]
    assert not await desk.read(ledger.has_due_holds, now=desk.clock())


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_credit_limit_makes_a_wallet_postpaid(desk: Desk) -> None:
    await desk.run(SetWallet("ann", credit_limit=50))
    await desk.pay("ann", "bob", 30)
    assert await desk.has("ann") == (-30, 20)
    await desk.refused(Pay("ann", "bob", 21), errors.NotCovered)
    refusal = await desk.refused(SetWallet("ann", credit_limit=29), errors.LimitInUse)
    assert refusal.extra["used"] == "0.00003"
    await desk.run(SetWallet("ann", credit_limit=30))


async def test_limits_and_what_they_allow_may_share_a_transaction_in_either_order(desk: Desk) -> None:
    await desk.run(SetWallet("ann", credit_limit=50))
    await desk.run(Pay("ann", "bob", 50))
    told = await desk.together(
        Deposit("ann", 50),
        SetWallet("ann", credit_limit=0),
        SetWallet("ann", credit_limit=10),
        Pay("ann", "bob", 10),
        SetWallet("ann", credit_limit=0),
    )
    assert isinstance(told[4], errors.LimitInUse)
    assert not [each for each in told[:4] if isinstance(each, Exception)]


async def test_a_wallet_that_runs_low_is_told_of_once_on_the_way_down(desk: Desk) -> None:
    await desk.deposit("ann", 100)
    await desk.run(SetWallet("ann", low_balance=50))
    for amount in (50, 1, 1):
        await desk.pay("ann", "bob", amount)
    await desk.deposit("ann", 10)
    first = await hold(desk, 9)
    await desk.run(Release(first))
    lows = [data for kind, _, member, data in await desk.log() if kind == "ledger/wallet_low" and member == "ann"]
    assert [low["available"] for low in lows] == ["0.000049", "0.000049"]
    assert lows[0]["low_balance"] == "0.00005"


async def test_a_wallet_is_set_once_and_left_as_it_is_where_nothing_changes(desk: Desk) -> None:
    first = await desk.run(SetWallet("ann", low_balance=50))
    assert (first.low_balance, first.credit_limit) == (50, 0)
    await desk.run(SetWallet("ann", low_balance=50, credit_limit=0))
    assert (await desk.run(SetWallet("ann", low_balance=None))).low_balance is None
    assert [data["low_balance"] for _, _, _, data in await desk.log()] == ["0.00005", None]


# ── what a wallet opens with ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wallet_opens_with_starting_credits_when_it_is_first_touched(generous: Desk) -> None:
    await generous.refused(Pay("ann", "bob", 1_001), errors.NotCovered)
    assert await generous.wallet("ann") is None
    told = await generous.together(Pay("ann", "bob", 1_000), Pay("ann", "bob", 1), Hold("cy", 400))
    assert [type(each) for each in told] == [ledger.Paid, errors.NotCovered, ledger.Posted]
    assert [await generous.has(name) for name in ("ann", "bob", "cy")] == [(0, 0), (2_000, 2_000), (1_000, 600)]
    await generous.deposit("ann", 5)
    assert await generous.has("ann") == (5, 5)
    assert await outside(generous) == -3_005


async def test_starting_credits_are_credits_and_of_wallets_alone(generous: Desk) -> None:
    await generous.deposit("ann", 5, asset="hour")
    found = await generous.wallet("ann", "hour")
    assert found
    assert found.balance == 5
    await generous.run(Capture((await generous.run(Hold("ann", 10))).transfer.transfer_id))
    assert await house(generous) == 10


async def test_a_wallet_that_nobody_has_touched_is_shown_as_it_would_open(generous: Desk) -> None:
    (shown,) = await generous.read(ledger.find_wallets, "ann", starting_credits=1_000)
    assert (shown.is_open, shown.balance, shown.available) == (False, 1_000, 1_000)
    await generous.pay("ann", "bob", 400)
    (shown,) = await generous.read(ledger.find_wallets, "ann", starting_credits=1_000)
    assert (shown.is_open, shown.balance) == (True, 600)


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_accepted_command_is_one_entry_that_says_what_was_moved(desk: Desk) -> None:
    await desk.deposit("ann", 2_500_000, reference="p1")
    await desk.pay("ann", "bob", 1, reason="rent")
    assert await desk.log() == [
        (
            "ledger/deposited",
            "ann",
            "ann",
            {
                "type": "deposited",
                "transfer_id": 1,
                "username": "ann",
                "amount": "2.50",
                "asset": "credit",
                "reason": "deposit",
                "reference": "deposit/p1/ann",
            },
        ),
        (
            "ledger/transferred",
            "ann",
            "ann",
            {
                "type": "transferred",
                "transfer_id": 2,
                "username": "ann",
                "to": "bob",
                "amount": "0.000001",
                "asset": "credit",
                "reason": "rent",
                "reference": "#2",
            },
        ),
        (
            "ledger/received",
            "bob",
            "bob",
            {
                "type": "received",
                "transfer_id": 2,
                "username": "bob",
                "sender": "ann",
                "amount": "0.000001",
                "asset": "credit",
                "reason": "rent",
            },
        ),
    ]


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_a_statement_goes_back_to_the_beginning_with_its_running_balance(desk: Desk, size: int) -> None:
    await desk.deposit("ann", 100)
    await desk.pay("ann", "bob", 30, reason="rent")
    first = await hold(desk, 20)
    await desk.run(Capture(first, 5))
    await desk.run(Release(await hold(desk, 1, to="bob")))
    await desk.pay("bob", "ann", 2)
    lines, after = [], None
    while True:
        page = await desk.read(ledger.statement, ledger.wallet("ann"), after=after, limit=size)
        lines += page.lines
        if len(page.lines) < size:
            break
        after = page.lines[-1].before
    told = [(one.transfer.kind, one.change, one.held_change, one.balance, one.held, one.counterparty) for one in lines]
    assert told == [
        ("transfer", 2, 0, 67, 0, "bob"),
        ("release", 0, -1, 65, 0, "bob"),
        ("hold", 0, 1, 65, 1, "bob"),
        ("capture", -5, -20, 65, 0, None),
        ("hold", 0, 20, 70, 20, None),
        ("transfer", -30, 0, 70, 0, "bob"),
        ("transfer", 100, 0, 100, 0, None),
    ]
    others = await desk.read(ledger.statement, ledger.wallet("bob"), after=None, limit=9)
    assert [one.change for one in others.lines] == [-2, 30]
    assert (await desk.read(ledger.statement, ledger.wallet("zoe"), after=None, limit=9)).lines == []


async def test_what_was_spent_is_what_went_out_since_and_not_what_is_held(desk: Desk) -> None:
    key = ledger.wallet("ann")
    assert await desk.read(ledger.spent_since, key, NEW_YEAR) == 0
    await desk.deposit("ann", 100)
    await desk.pay("ann", "bob", 30)
    desk.clock.advance(60)
    held = await hold(desk, 20)
    assert await desk.read(ledger.spent_since, key, NEW_YEAR) == 30
    await desk.run(Capture(held, 5))
    await desk.pay("ann", "bob", 2)
    await desk.pay("bob", "ann", 1)
    assert await desk.read(ledger.spent_since, key, NEW_YEAR) == 37
    assert await desk.read(ledger.spent_since, key, NEW_YEAR + 60 * SECOND) == 7
