"""What happens when a solver does not keep its word: refunds, the next best, the bond, the breaker. Both engines."""

from __future__ import annotations

import pytest

from marketplace.auctions import entries, errors, model
from marketplace.auctions.model import Claim, Deposit, SetBook
from marketplace.foundation.clock import MINUTE, SECOND
from marketplace.ledger import errors as ledger_errors
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk

END = FULFIL + GRACE
JUST_BEFORE = 1e-6

# ── the deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deposit_is_taken_until_the_grace_is_over_and_not_after(desk: Desk) -> None:
    order = await desk.committed()
    desk.clock.advance(END - JUST_BEFORE)
    await desk.deposit(order.order_id, amount=19)
    desk.clock.advance(JUST_BEFORE)
    await desk.refused(Deposit(order.order_id, "s1", 1), errors.TooLate)
    assert (await desk.tick()).failed == 1


async def test_what_was_delivered_in_time_counts_however_late_the_tick_comes(desk: Desk) -> None:
    order = await desk.committed()
    desk.clock.advance(END - JUST_BEFORE)
    await desk.deposit(order.order_id)
    assert (await desk.tick(3_600)).filled == 1


async def test_a_partial_deposit_goes_back(desk: Desk) -> None:
    order = await desk.committed()
    await desk.deposit(order.order_id, amount=19)
    assert await desk.has("s1", "hour") == (1_000, 981)
    assert (await desk.tick(END)).failed == 1
    assert await desk.has("s1", "hour") == (1_000, 1_000)
    assert await desk.has("ann", "hour") == (0, 0)
    (failed,) = await desk.said(entries.CommitmentFailed)
    assert (failed.returned, failed.slashed, failed.then) == ("19", None, "reopened")


async def test_a_deposit_and_the_tick_at_the_deadline_go_one_way(desk: Desk) -> None:
    early, late = await desk.committed(), await desk.committed("s2")
    desk.clock.advance(END - WINDOW)
    assert (await desk.commitment(early.order_id)).ends_at == desk.clock()
    tick, deposit, other = await desk.together(
        model.Tick("default", "q"), Deposit(early.order_id, "s1"), Deposit(late.order_id, "s2")
    )
    assert (tick.failed, type(deposit), type(other)) == (1, errors.UnknownCommitment, model.Deposited)


# ── who takes over ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_next_best_takes_over_with_a_new_deadline(desk: Desk) -> None:
    order = await desk.committed("s1", "s2", "s3")
    ticked = await desk.tick(END)
    assert (ticked.failed, ticked.reassigned) == (1, 1)
    commitment = await desk.commitment(order.order_id)
    assert (commitment.solver, commitment.rank, commitment.min_output) == ("s2", 2, 19)
    assert commitment.ends_at == desk.clock() + END * SECOND
    assert (await desk.log())[-3:] == ["CommitmentFailed", "OrderReassigned", "CommitmentCreated"]
    await desk.deposit(order.order_id, "s2")
    await desk.tick()
    assert await desk.has("ann", "hour") == (19, 19)


async def test_the_failed_solver_delivers_no_more(desk: Desk) -> None:
    order = await desk.committed("s1", "s2")
    await desk.tick(END)
    await desk.refused(Deposit(order.order_id, "s1"), errors.UnknownCommitment)


async def test_an_order_goes_back_to_solicitation_when_nobody_is_left(desk: Desk) -> None:
    order = await desk.committed("s1", "s2")
    await desk.tick(END)
    ticked = await desk.tick(END)
    assert (ticked.reopened, ticked.reassigned) == (1, 0)
    order = await desk.order(order.order_id)
    assert (order.state, order.round, order.bids) == ("open", 2, 0)
    assert order.closes_at == desk.clock() + WINDOW * SECOND
    await desk.bid(order.order_id, "s1", output=5)
    await desk.tick(WINDOW)
    assert (await desk.commitment(order.order_id)).round == 2


async def test_bids_that_come_while_a_commitment_runs_count_for_the_next_round(desk: Desk) -> None:
    order = await desk.committed("s1", "s2")
    await desk.bid(order.order_id, "s3", output=99)
    await desk.bid(order.order_id, "s2", output=98)
    ticked = await desk.tick(END)
    assert (ticked.reassigned, ticked.reopened) == (0, 1), "s2 has a newer bid, and s3 came later"
    await desk.tick(WINDOW)
    commitment = await desk.commitment(order.order_id)
    assert (commitment.solver, commitment.min_output, commitment.round) == ("s3", 99, 2)
    received = await desk.said(entries.BidReceived)
    assert [(one.round, one.replaces is None) for one in received] == [(1, True), (1, True), (2, True), (2, False)]


async def test_bids_that_expired_meanwhile_are_passed_over(desk: Desk) -> None:
    order = await desk.announced()
    await desk.bid(order.order_id, "s1", output=20)
    await desk.bid(order.order_id, "s2", output=19, valid=WINDOW + 1)
    await desk.bid(order.order_id, "s3", output=18)
    await desk.tick(WINDOW)
    assert (await desk.tick(END)).reassigned == 1
    (said,) = await desk.said(entries.OrderReassigned)
    assert (said.solver, said.rank, [one.reason for one in said.passed]) == ("s3", 3, ["expired"])


async def test_an_order_whose_time_is_over_expires_with_its_commitment(desk: Desk) -> None:
    order = await desk.committed("s1", "s2", expires_at=desk.clock() + 10 * SECOND)
    ticked = await desk.tick(END)
    assert (ticked.failed, ticked.reassigned, ticked.expired) == (1, 0, 1)
    assert (await desk.order(order.order_id)).state == "expired"
    assert await desk.has("ann") == (1_000, 1_000)


async def test_a_failure_gives_the_owner_the_input_back_where_no_budget_is_held(desk: Desk) -> None:
    order = await desk.committed(input_budget=None)
    assert await desk.has("ann") == (1_000, 990)
    await desk.tick(END)
    assert await desk.has("ann") == (1_000, 1_000)
    assert (await desk.order(order.order_id)).state == "open"


# ── the bond ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bond_is_held_and_comes_back_when_the_promise_is_kept(desk: Desk) -> None:
    await desk.run(SetBook("default", bond=301))
    order = await desk.committed()
    assert await desk.has("s1") == (1_000, 699)
    await desk.deposit(order.order_id)
    await desk.tick()
    assert await desk.has("s1") == (1_010, 1_010)


async def test_half_of_a_bond_goes_to_the_owner_when_the_promise_is_broken(desk: Desk) -> None:
    await desk.run(SetBook("default", bond=301))
    order = await desk.committed("s1", "s2")
    await desk.tick(END)
    assert await desk.has("s1") == (849, 849)
    assert await desk.has("ann") == (1_151, 1_051)
    assert await desk.has("s2") == (1_000, 699)
    (failed,) = await desk.said(entries.CommitmentFailed)
    assert (failed.slashed, (await desk.commitments(order.order_id))[0].slashed) == ("0.000151", 151)


async def test_who_cannot_put_up_the_bond_is_passed_over(desk: Desk) -> None:
    await desk.run(SetBook("default", bond=1_001))
    order = await desk.announced()
    await desk.bid(order.order_id, "s1", output=20)
    await desk.give("s2", 1)
    await desk.bid(order.order_id, "s2", output=19)
    await desk.tick(WINDOW)
    (shown,) = await desk.said(entries.BidSelected)
    assert [(bid.solver, bid.reason) for bid in shown.bids] == [("s2", None), ("s1", "bond_not_covered")]


async def test_a_bond_covers_one_commitment_at_a_time(desk: Desk) -> None:
    await desk.run(SetBook("default", bond=600))
    orders = [await desk.announced() for _ in range(1)] + [await desk.place()]
    await desk.tick(2)
    for order in orders:
        await desk.bid(order.order_id)
    assert (await desk.tick(WINDOW)).selected == 1
    assert [(await desk.order(order.order_id)).state for order in orders] == ["committed", "open"]


# ── the breaker ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_solver_that_fails_twice_is_blocked_for_a_quarter_of_an_hour(desk: Desk) -> None:
    first, second = await desk.committed(), await desk.committed()
    waiting = await desk.announced()
    await desk.bid(waiting.order_id, "s1", output=99, valid=10_000)
    await desk.bid(waiting.order_id, "s2", output=1, valid=10_000)
    ticked = await desk.tick(END)
    assert ticked.failed == 2
    record = await desk.record("s1")
    assert (record.failed, record.blocks, record.blocked_until) == (2, 1, desk.clock() + 15 * MINUTE)
    shown = (await desk.said(entries.BidSelected))[-1]
    assert [(bid.solver, bid.reason) for bid in shown.bids] == [("s2", None), ("s1", "blocked")]
    await desk.refused(desk.a_bid(first.order_id), errors.SolverBlocked)
    await desk.clock_past(record.blocked_until)
    await desk.bid(second.order_id)


# ── deposits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deposit_with_a_reference_happens_once(desk: Desk) -> None:
    order = await desk.committed()
    first = await desk.deposit(order.order_id, amount=7, reference="x")
    again = await desk.deposit(order.order_id, amount=7, reference="x")
    assert (again.created, again.hold_id, again.commitment.deposited) == (False, first.hold_id, 7)
    await desk.refused(Deposit(order.order_id, "s1", 8, "x"), errors.ReferenceTaken)
    both = await desk.together(*[Deposit(order.order_id, "s1", None, "y")] * 2)
    assert [(one.amount, one.created) for one in both] == [(13, True), (13, False)]
    assert (await desk.deposit(order.order_id)).amount == 0, "nothing is missing"


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_deposit_sent_again_after_the_end_is_answered_as_the_first_time(desk: Desk, *, is_kept: bool) -> None:
    order = await desk.committed()
    first = await desk.deposit(order.order_id, amount=20 if is_kept else 7, reference="x")
    await desk.tick(END)
    before = await desk.everything()
    again = await desk.deposit(order.order_id, amount=first.amount, reference="x")
    assert (again.created, again.hold_id, again.amount) == (False, first.hold_id, first.amount)
    assert again.commitment.commitment_id == first.commitment.commitment_id
    assert (again.commitment.state, again.commitment.deposited) == ("filled" if is_kept else "failed", first.amount)
    assert await desk.deposit(order.order_id, reference="x") == again, "no amount is any amount"
    assert await desk.everything() == before, "nothing more has happened"
    await desk.refused(Deposit(order.order_id, "s1", 8, "x"), errors.ReferenceTaken)
    await desk.refused(Deposit(order.order_id, "s1", 7, "y"), errors.UnknownCommitment)
    await desk.refused(Deposit(order.order_id, "s2", 7, "x"), errors.UnknownCommitment)


async def test_a_deposit_sent_again_when_somebody_else_has_taken_over_is_answered_too(desk: Desk) -> None:
    order = await desk.committed("s1", "s2")
    first = await desk.deposit(order.order_id, amount=7, reference="x")
    assert (await desk.tick(END)).reassigned == 1
    other, again = await desk.together(Deposit(order.order_id, "s2", 19, "x"), Deposit(order.order_id, "s1", 7, "x"))
    assert (other.created, other.commitment.solver) == (True, "s2")
    assert (again.created, again.hold_id, again.commitment.state) == (False, first.hold_id, "failed")


async def test_a_reference_is_of_one_commitment(desk: Desk) -> None:
    order = await desk.committed()
    first = await desk.deposit(order.order_id, amount=7, reference="x")
    await desk.tick(END)
    await desk.bid(order.order_id)
    assert (await desk.tick(WINDOW)).selected == 1
    second = await desk.deposit(order.order_id, amount=8, reference="x")
    assert (second.created, second.hold_id != first.hold_id) == (True, True)
    await desk.tick(END)
    again = await desk.deposit(order.order_id, amount=8, reference="x")
    assert (again.created, again.hold_id) == (False, second.hold_id), "the newest one that has it answers"


@pytest.mark.parametrize(
    ("solver", "amount", "kind"),
    [
        ("s2", 1, errors.UnknownCommitment),
        ("ann", 1, errors.UnknownCommitment),
        ("s1", 0, errors.BadAmount),
        ("s1", -1, errors.BadAmount),
        ("s1", 10**15 + 1, errors.BadAmount),
        ("s1", 1_001, ledger_errors.NotCovered),
    ],
)
async def test_a_deposit_that_cannot_be_is_refused(desk: Desk, solver: str, amount: int, kind: type) -> None:
    order = await desk.committed()
    await desk.refused(Deposit(order.order_id, solver, amount), kind)


async def test_a_commitment_takes_so_many_deposits(desk: Desk) -> None:
    order = await desk.committed()
    for _ in range(model.MOST_DEPOSITS):
        await desk.deposit(order.order_id, amount=1)
    await desk.refused(Deposit(order.order_id, "s1", 1), errors.TooManyDeposits)
    assert (await desk.tick()).filled == 1


async def test_deposits_go_to_commitments_and_to_nothing_else(desk: Desk) -> None:
    order = await desk.announced()
    await desk.refused(Deposit(order.order_id, "s1", 1), errors.UnknownCommitment)
    await desk.refused(Deposit(999, "s1", 1), errors.UnknownCommitment)
    await desk.refused(Claim((await desk.committed()).order_id, "s1"), errors.WrongEscrow)


# ── a book of claims ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_in_a_book_of_claims_a_word_counts(desk: Desk) -> None:
    await desk.open_book("words", escrow="claim", fulfil_micros=SECOND, grace_micros=0)
    order = await desk.committed(book="words")
    await desk.refused(Deposit(order.order_id, "s1"), errors.WrongEscrow)
    await desk.refused(Claim(order.order_id, "s2"), errors.UnknownCommitment)
    await desk.claim(order.order_id)
    before = await desk.everything()
    assert (await desk.claim(order.order_id)).claimed_at == desk.clock(), "said again, it is no news"
    assert await desk.everything() == before
    assert (await desk.tick(book="words")).filled == 1
    assert await desk.has("s1") == (1_010, 1_010)
    assert await desk.has("ann", "hour") == (0, 0)
    (received,) = await desk.said(entries.DepositReceived, "words")
    assert received.amount is None


async def test_a_claim_comes_too_late_as_a_deposit_does(desk: Desk) -> None:
    await desk.open_book("words", escrow="claim", fulfil_micros=SECOND, grace_micros=0)
    order = await desk.committed(book="words")
    desk.clock.advance(1)
    await desk.refused(Claim(order.order_id, "s1"), errors.TooLate)
    assert (await desk.tick(book="words")).failed == 1
