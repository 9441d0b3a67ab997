"""The rule by itself: no database, round numbers."""

from __future__ import annotations

import pytest

from marketplace.foundation import money
from marketplace.foundation.errors import Refusal
from marketplace.ledger import errors
from marketplace.ledger.model import MAX_AMOUNT, MAX_TOTAL, Account, Posted, external, revenue, wallet
from marketplace.ledger.postings import Books, Known

ANN, BOB, HOUSE = wallet("ann"), wallet("bob"), revenue("house")


def books(*, ann: int = 100, starting_credits: int = 0, low_balance: int | None = None) -> Books:
    """Open books in which ann has an amount, and nobody else anything."""
    outside = Account(1, *external(), posted_debits=ann)
    wallet_of_ann = Account(2, *ANN, posted_credits=ann, low_balance=low_balance)
    known = Known([outside, wallet_of_ann], {"credit": 6, "hour": 0}, [], [], [], last_transfer_id=7, last_account_id=2)
    return Books(known, now=1_000, starting_credits=starting_credits)


def state(one: Books, *keys: object) -> list[tuple[int, int]]:
    """Return balance and available of accounts."""
    found = [one.account(key) for key in keys]  # type: ignore[arg-type]
    return [(each.balance, each.available) for each in found if isinstance(each, Account)]


def done(outcome: Posted | Refusal) -> Posted:
    assert isinstance(outcome, Posted), outcome
    return outcome


def test_the_worked_example() -> None:
    one = books()
    hold = done(one.hold(ANN, HOUSE, 30, seq=1, reason="lease")).transfer.transfer_id
    assert state(one, ANN) == [(100, 70)]
    refusal = one.transfer(ANN, BOB, 80, seq=2, reason="rent")
    assert isinstance(refusal, errors.NotCovered)
    assert refusal.detail == "'ann' has 0.00007 credit available, and 0.00008 are needed."
    done(one.transfer(ANN, BOB, 70, seq=2, reason="rent"))
    assert state(one, ANN, BOB) == [(30, 0), (70, 70)]
    done(one.capture(hold, 20, seq=3, reason="bill"))
    assert state(one, ANN, HOUSE) == [(10, 10), (20, 20)]
    assert isinstance(one.capture(hold, 20, seq=4, reason="bill"), errors.HoldEnded)


def test_rows_are_numbered_on_and_accounts_open_as_they_are_touched() -> None:
    one = books()
    assert isinstance(one.transfer(BOB, ANN, 1, seq=1, reason="r"), errors.NotCovered)
    assert (one.opened, one.transfers) == ([], [])
    done(one.transfer(ANN, BOB, 1, seq=1, reason="r"))
    done(one.hold(ANN, HOUSE, 1, seq=2, reason="r", reference="mine"))
    assert [(each.account_id, each.owner) for each in one.opened] == [(3, "bob"), (4, "house")]
    rows = [(each.transfer_id, each.kind, each.reference, each.seq, each.at) for each in one.transfers]
    assert rows == [(8, "transfer", "#8", 1, 1_000), (9, "hold", "mine", 2, 1_000)]


def test_starting_credits_come_from_outside_before_what_opens_the_wallet() -> None:
    one = books(starting_credits=50)
    assert one.available(BOB) == 50
    done(one.transfer(BOB, ANN, 20, seq=1, reason="r"))
    assert [(each.debit_account, each.credit_account, each.amount) for each in one.transfers] == [
        (1, 3, 50),
        (3, 2, 20),
    ]
    assert one.available(BOB) == 30
    assert one.available(wallet("bob", asset="hour")) == 0
    assert one.available(wallet("bob", asset="gold")) == 0


@pytest.mark.parametrize(
    ("threshold", "amounts", "lows"),
    [
        (50, [50], []),
        (50, [51], [49]),
        (50, [30, 30], [40]),
        (50, [51, 1, 1], [49]),
        (0, [100], []),
        (101, [1], []),
    ],
)
def test_a_wallet_is_low_when_it_crosses_its_threshold_downwards(
    threshold: int, amounts: list[int], lows: list[int]
) -> None:
    one = books(low_balance=threshold)
    for amount in amounts:
        done(one.transfer(ANN, BOB, amount, seq=1, reason="r"))
    assert [low.available for low in one.lows] == lows


def test_no_total_passes_what_63_bits_hold() -> None:
    one = books(ann=MAX_TOTAL - 5)
    assert isinstance(one.deposit(ANN, 6, seq=1, reason="r"), errors.AccountFull)
    done(one.deposit(ANN, 5, seq=1, reason="r"))
    assert isinstance(one.deposit(BOB, 1, seq=1, reason="r"), errors.AccountFull)
    with pytest.raises(AssertionError):
        one.deposit(BOB, MAX_AMOUNT + 1, seq=1, reason="r")


def test_no_transfer_leads_into_another_asset_or_scope() -> None:
    for other in (wallet("bob", asset="hour"), wallet("bob", scope="mars")):
        with pytest.raises(AssertionError):
            books().transfer(ANN, other, 1, seq=1, reason="r")


# ── amounts as people write them ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "decimals", "units", "canonical"),
    [
        ("0", 6, 0, "0.00"),
        ("3", 6, 3_000_000, "3.00"),
        ("3.5", 6, 3_500_000, "3.50"),
        ("0.000001", 6, 1, "0.000001"),
        ("12.340000", 6, 12_340_000, "12.34"),
        ("7", 0, 7, "7"),
        ("1.5", 1, 15, "1.5"),
        ("999999999.999999", 6, 10**15 - 1, "999999999.999999"),
    ],
)
def test_an_amount_is_read_and_written_exactly(text: str, decimals: int, units: int, canonical: str) -> None:
    assert money.parse_amount(text, decimals=decimals) == units
    assert money.format_amount(units, decimals=decimals) == canonical
    assert money.format_amount(-units, decimals=decimals) == (f"-{canonical}" if units else canonical)


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "01", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1.0000000", "١", "NaN"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals"):
        money.parse_amount(text, decimals=6)
