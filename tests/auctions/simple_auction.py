"""A book as anybody would write it down: lists, loops, no database. What it says, the real one has to say as well."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from marketplace.auctions.model import CancelOrder, Deposit, PlaceBid, PlaceOrder, Tick
from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal

TICK, WINDOW, FULFIL, GRACE, BATCH = 1, 2, 3, 1, 2
"""Settings of the book, in seconds; and orders of a batch."""
MINUTES_15 = 900 * SECOND


class Wallets:
    """What everybody has, and how much of it is set aside."""

    def __init__(self) -> None:
        self.balance: dict[tuple[str, str], int] = {}
        self.held: dict[tuple[str, str], int] = {}

    def available(self, name: str, asset: str) -> int:
        return self.balance.get((name, asset), 0) - self.held.get((name, asset), 0)

    def hold(self, name: str, asset: str, amount: int) -> None:
        self.held[name, asset] = self.held.get((name, asset), 0) + amount

    def free(self, name: str, asset: str, amount: int) -> None:
        self.hold(name, asset, -amount)

    def move(self, name: str, to: str, asset: str, amount: int) -> None:
        self.balance[name, asset] = self.balance.get((name, asset), 0) - amount
        self.balance[to, asset] = self.balance.get((to, asset), 0) + amount


class SimpleAuction:
    """One book, and all that its rules say."""

    def __init__(self, *, now: int, bond: int | None) -> None:
        self.now = now
        self.bond = bond
        self.batched_at = 0
        self.wallets = Wallets()
        self.orders: list[dict[str, Any]] = []
        self.commitments: list[dict[str, Any]] = []
        self.records: dict[str, dict[str, int]] = {}
        self.arrivals = 0

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, command: Any, outcome: Any) -> None:
        """Do what the real one has done, and compare what it said."""
        expected = self.do(command, outcome)
        told = type(outcome).__name__ if isinstance(outcome, Refusal) else None
        assert not isinstance(outcome, BaseException) or told, outcome
        assert told == expected, (command, outcome)

    def do(self, command: Any, outcome: Any) -> str | None:
        """Return the name of the refusal, or None."""
        match command:
            case PlaceOrder():
                return self.place(command, outcome)
            case CancelOrder():
                return self.cancel(command)
            case PlaceBid():
                return self.bid(command)
            case Deposit():
                return self.deposit(command)
            case Tick():
                self.tick(outcome)
                return None
        raise AssertionError(command)

    def place(self, command: PlaceOrder, outcome: Any) -> str | None:
        budget = command.input_budget
        if budget is not None and self.wallets.available(command.owner, "credit") < budget:
            return "NotCovered"
        self.wallets.hold(command.owner, "credit", budget or 0)
        order = {"id": getattr(outcome, "order_id", None), "owner": command.owner, "budget": budget}
        order |= {"limit": command.limit_output or 1, "expires": command.expires_at, "state": "pending", "round": 1}
        self.orders.append(order | {"closes": None, "bids": {}, "ranking": [], "placed": len(self.orders)})
        return None

    def find(self, order_id: int) -> dict[str, Any] | None:
        return next((order for order in self.orders if order["id"] == order_id), None)

    def cancel(self, command: CancelOrder) -> str | None:
        order = self.find(command.order_id)
        if order is None:
            return "UnknownOrder"
        if order["state"] not in ("pending", "open"):
            return "NotCancellable"
        self.close(order, "cancelled")
        return None

    def close(self, order: dict[str, Any], state: str) -> None:
        self.wallets.free(order["owner"], "credit", order["budget"] or 0)
        order["state"] = state

    def bid(self, command: PlaceBid) -> str | None:
        order = self.find(command.order_id)
        if order is None or order["state"] == "pending":
            return "UnknownOrder"
        if order["state"] not in ("open", "committed") or self.is_over(order):
            return "OrderClosed"
        if order["owner"] == command.solver:
            return "OwnOrder"
        if self.is_blocked(command.solver):
            return "SolverBlocked"
        if command.valid_till <= self.now:
            return "InstantPassed"
        if order["budget"] is not None and command.max_input > order["budget"]:
            return "OverBudget"
        output = int(Decimal(command.max_input) * Decimal(command.conversion_rate) / 10**6)
        if output < order["limit"]:
            return "BelowLimit"
        self.arrivals += 1
        bid = {"solver": command.solver, "output": output, "input": command.max_input, "until": command.valid_till}
        order["bids"][command.solver] = bid | {"number": self.arrivals}
        if order["state"] == "open" and order["closes"] is None:
            order["closes"] = self.now + WINDOW * SECOND
        return None

    def deposit(self, command: Deposit) -> str | None:
        live = self.live(command.order_id)
        if live is None or live["solver"] != command.solver:
            return "UnknownCommitment"
        if self.now >= live["ends"]:
            return "TooLate"
        amount = max(live["output"] - live["deposited"], 0) if command.amount is None else command.amount
        if self.wallets.available(command.solver, "hour") < amount:
            return "NotCovered"
        self.wallets.hold(command.solver, "hour", amount)
        live["deposited"] += amount
        if live["deposited"] >= live["output"]:
            live["due"] = min(live["due"], self.now)
        return None

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, ticked: Any) -> None:
        due = [one for one in self.commitments if one["state"] == "live" and one["due"] <= self.now]
        for one in sorted(due, key=lambda each: (each["due"], each["number"])):
            self.fill(one) if one["deposited"] >= one["output"] else self.fail(one)
        expired = [one for one in self.orders if one["state"] in ("pending", "open") and self.is_over(one)]
        for order in expired:
            self.close(order, "expired")
        self.announce()
        closing = [one for one in self.orders if one["state"] == "open" and (one["closes"] or self.now + 1) <= self.now]
        closing.sort(key=lambda order: (order["closes"], order["placed"]))
        selected = sum(self.select(order) for order in closing)
        assert (ticked.selected, ticked.more) == (selected, False)

    def announce(self) -> None:
        waiting = [order for order in self.orders if order["state"] == "pending"][:BATCH]
        if waiting and self.now // (TICK * SECOND) > self.batched_at // (TICK * SECOND):
            self.batched_at = self.now
            for order in waiting:
                order["state"], order["closes"] = "open", self.now + WINDOW * SECOND

    def select(self, order: dict[str, Any]) -> bool:
        valid = [bid for bid in order["bids"].values() if self.is_valid(order, bid)]
        valid.sort(key=lambda bid: (-bid["output"], bid["input"], bid["number"]))
        order["closes"] = None
        if not valid:
            return False
        order["ranking"] = valid
        self.commit(order, valid[0])
        return True

    def is_valid(self, order: dict[str, Any], bid: dict[str, Any]) -> bool:
        owner_has = self.wallets.available(order["owner"], "credit")
        return (
            bid["until"] > self.now
            and not self.is_blocked(bid["solver"])
            and (order["budget"] is not None or owner_has >= bid["input"])
            and self.wallets.available(bid["solver"], "credit") >= (self.bond or -(10**9))
        )

    def commit(self, order: dict[str, Any], bid: dict[str, Any]) -> None:
        if order["budget"] is None:
            self.wallets.hold(order["owner"], "credit", bid["input"])
        self.wallets.hold(bid["solver"], "credit", self.bond or 0)
        order["state"] = "committed"
        ends = self.now + (FULFIL + GRACE) * SECOND
        one = {"order": order, "bid": bid, "solver": bid["solver"], "output": bid["output"], "input": bid["input"]}
        one |= {"ends": ends, "due": ends, "deposited": 0, "state": "live", "number": len(self.commitments)}
        self.commitments.append(one)

    def live(self, order_id: int) -> dict[str, Any] | None:
        of_order = (one for one in self.commitments if one["order"]["id"] == order_id and one["state"] == "live")
        return next(of_order, None)

    def fill(self, one: dict[str, Any]) -> None:
        order, solver = one["order"], one["solver"]
        self.wallets.free(solver, "hour", one["deposited"])
        self.wallets.move(solver, order["owner"], "hour", one["deposited"])
        self.wallets.free(order["owner"], "credit", one["input"] if order["budget"] is None else order["budget"])
        self.wallets.move(order["owner"], solver, "credit", one["input"])
        self.wallets.free(solver, "credit", self.bond or 0)
        one["state"] = order["state"] = "filled"
        record = self.record(solver)
        record["total"] += 1
        if not self.is_blocked(solver):
            record["clean"] += 1
            if record["clean"] == 6:
                record["clean"], record["blocks"] = 0, max(record["blocks"] - 1, 0)

    def fail(self, one: dict[str, Any]) -> None:
        order, solver = one["order"], one["solver"]
        self.wallets.free(solver, "hour", one["deposited"])
        self.wallets.free(solver, "credit", self.bond or 0)
        self.wallets.move(solver, order["owner"], "credit", ((self.bond or 0) + 1) // 2)
        if order["budget"] is None:
            self.wallets.free(order["owner"], "credit", one["input"])
        one["state"] = "failed"
        self.punish(solver)
        if order["bids"].get(solver) is one["bid"]:
            del order["bids"][solver]
        if self.is_over(order):
            self.close(order, "expired")
            return
        behind = order["ranking"][order["ranking"].index(one["bid"]) + 1 :]
        there = [bid for bid in behind if order["bids"].get(bid["solver"]) is bid and self.is_valid(order, bid)]
        if there:
            self.commit(order, there[0])
        else:
            order["state"], order["round"], order["closes"] = "open", order["round"] + 1, self.now + WINDOW * SECOND

    # ── who keeps its word ───────────────────────────────────────────────────────────────────────────────────────────

    def record(self, solver: str) -> dict[str, int]:
        return self.records.setdefault(solver, {"total": 0, "failed": 0, "blocks": 0, "clean": 0, "until": 0})

    def is_blocked(self, solver: str) -> bool:
        return self.record(solver)["until"] > self.now

    def is_over(self, order: dict[str, Any]) -> bool:
        return order["expires"] is not None and bool(order["expires"] <= self.now)

    def punish(self, solver: str) -> None:
        record = self.record(solver)
        record["clean"] = 0
        since = record["until"] if self.is_blocked(solver) else None
        if since is None:
            record["total"] += 1
            record["failed"] += 1
            if Fraction(record["failed"] + 1, record["total"] + 20) <= Fraction(12, 100):
                return
            since = self.now
        record["until"] = since + MINUTES_15 * 2 ** min(record["blocks"], 7)
        record["blocks"] += 1
        record["total"] = record["failed"] = 0
