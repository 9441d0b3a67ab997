"""The ledger once more, as simply as can be said: a list of what happened, and sums over all of it at each question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from marketplace import ledger
from marketplace.ledger import Deposit, ExpireHolds, Pay, SetWallet, Withdraw, errors
from tests.ledger.house import Capture, Hold, Release

OUTSIDE, HOUSE = "(outside)", "(house)"
STARTING = 50


@dataclass
class Held:
    payer: str
    payee: str
    amount: int
    expires_at: int | None
    ended: bool = False


@dataclass
class SimpleLedger:
    """One scope of the books. Names in brackets are no member's."""

    moves: list[tuple[str, str, int]] = field(default_factory=list)
    holds: dict[int, Held] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    done: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    now: int = 0

    # ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def balance(self, name: str) -> int:
        came = sum(amount for _, to, amount in self.moves if to == name)
        went = sum(amount for payer, _, amount in self.moves if payer == name)
        return came - went

    def held(self, name: str) -> int:
        return sum(one.amount for one in self.holds.values() if one.payer == name and not one.ended)

    def available(self, name: str) -> int:
        starting = 0 if name in self.opened or name == HOUSE else STARTING
        return self.balance(name) - self.held(name) + self.limits.get(name, 0) + starting

    def open(self, *names: str) -> None:
        for name in names:
            if name not in self.opened and name not in (OUTSIDE, HOUSE):
                self.moves.append((OUTSIDE, name, STARTING))
            self.opened.add(name)

    # ── what a command should be told ────────────────────────────────────────────────────────────────────────────────

    def check(self, command: Any, outcome: Any) -> None:
        """Run a command, and assert that the real one was told the same."""
        match command:
            case Deposit():
                self.move(OUTSIDE, command.username, command.amount, "deposit", command, outcome)
            case Withdraw():
                self.move(command.username, OUTSIDE, command.amount, "withdrawal", command, outcome)
            case Pay():
                self.move(command.username, command.to, command.amount, "transfer", command, outcome)
            case Hold():
                self.hold(command, outcome)
            case Capture() | Release():
                self.end(command, outcome)
            case SetWallet():
                self.limit(command, outcome)
            case ExpireHolds():
                self.expire(command.limit)

    def move(self, payer: str, payee: str, amount: int, kind: str, command: Any, outcome: Any) -> None:
        if payer == payee:
            assert isinstance(outcome, errors.SameWallet), (command, outcome)
        elif self.is_new(f"{kind}/{command.username}", command.reference, (kind, payer, payee, amount), outcome):
            if payer != OUTSIDE and self.available(payer) < amount:
                assert isinstance(outcome, errors.NotCovered), (command, outcome)
                return
            self.open(payer, payee)
            self.moves.append((payer, payee, amount))
            self.note(f"{kind}/{command.username}", command.reference, (kind, payer, payee, amount))
            assert isinstance(outcome, ledger.Paid), (command, outcome)
            assert outcome.created
            wallet = payee if kind == "deposit" else payer
            assert (outcome.wallet.balance, outcome.wallet.available) == (self.balance(wallet), self.available(wallet))

    def hold(self, command: Hold, outcome: Any) -> None:
        payee = command.to or HOUSE
        asked = ("hold", command.username, payee, command.amount)
        if not self.is_new("house", command.reference, asked, outcome):
            return
        if self.available(command.username) < command.amount:
            assert isinstance(outcome, errors.NotCovered), (command, outcome)
            return
        self.open(command.username, payee)
        assert isinstance(outcome, ledger.Posted), (command, outcome)
        self.holds[outcome.transfer.transfer_id] = Held(command.username, payee, command.amount, command.expires_at)
        self.note("house", command.reference, asked)

    def end(self, command: Capture | Release, outcome: Any) -> None:
        one = self.holds.get(command.hold_id)
        if one is None:
            assert isinstance(outcome, errors.UnknownHold), (command, outcome)
            return
        captured = (command.amount or one.amount) if isinstance(command, Capture) else 0
        asked = (type(command).__name__, command.hold_id, captured)
        if not self.is_new("house", command.reference, asked, outcome):
            return
        is_over = one.expires_at is not None and one.expires_at <= self.now
        if one.ended or (is_over and captured):
            assert isinstance(outcome, errors.HoldEnded), (command, outcome)
        elif captured > one.amount:
            assert isinstance(outcome, errors.BeyondHold), (command, outcome)
        else:
            assert isinstance(outcome, ledger.Posted), (command, outcome)
            one.ended = True
            if captured:
                self.moves.append((one.payer, one.payee, captured))
            self.note("house", command.reference, asked)

    def limit(self, command: SetWallet, outcome: Any) -> None:
        assert isinstance(command.credit_limit, int)
        if self.held(command.username) - self.balance(command.username) > command.credit_limit:
            assert isinstance(outcome, errors.LimitInUse), (command, outcome)
            return
        assert isinstance(outcome, ledger.Account), (command, outcome)
        self.open(command.username)
        self.limits[command.username] = command.credit_limit

    def expire(self, limit: int) -> None:
        due = [(one.expires_at, number) for number, one in self.holds.items() if not one.ended and one.expires_at]
        for expires_at, number in sorted(due)[:limit]:
            if expires_at <= self.now:
                self.holds[number].ended = True

    # ── references ───────────────────────────────────────────────────────────────────────────────────────────────────

    def is_new(self, whose: str, reference: str | None, asked: tuple[Any, ...], outcome: Any) -> bool:
        """Tell whether it is to be carried out; one that was carried out before is told so, or refused."""
        first = self.done.get(f"{whose}/{reference}") if reference else None
        if first is None:
            return True
        if first == asked:
            assert isinstance(outcome, ledger.Paid | ledger.Posted), (asked, outcome)
            assert not outcome.created
        else:
            assert isinstance(outcome, errors.ReferenceTaken), (asked, outcome)
        return False

    def note(self, whose: str, reference: str | None, asked: tuple[Any, ...]) -> None:
        if reference:
            self.done[f"{whose}/{reference}"] = asked
