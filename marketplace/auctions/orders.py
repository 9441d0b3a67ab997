"""What the lane runs for the owners of orders: orders placed, their budgets held, and orders cancelled."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.auctions import entries, errors, model, sql
from marketplace.auctions.book import Journal, as_input, as_output, escrow_of, input_wallet, known_books
from marketplace.auctions.model import Book, CancelOrder, Order, PlaceOrder
from marketplace.database import Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal

_NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Desk:
    """The orders that a batch has in its hands, with the money of their owners."""

    def __init__(
        self, tx: sa.Connection, log: Log, commands: Sequence[Any], *, now: Instant, starting_credits: int
    ) -> None:
        placing = [each for each in commands if isinstance(each, PlaceOrder)]
        self.now = now
        self.log = log
        self.journal = Journal(tx, log)
        self.books: dict[str, Book] = known_books(tx, log, {each.book for each in placing})
        self.orders = sql.read_orders(tx, {each.order_id for each in commands if isinstance(each, CancelOrder)})
        sql.read_descriptions(tx, self.orders.values())
        self.money = ledger.open_books(
            tx,
            accounts={key for each in placing for key in _accounts(each)},
            holds={order.hold_id for order in self.orders.values() if order.hold_id},
            now=now,
            starting_credits=starting_credits,
        )
        self.new: list[Order] = []
        self.changed: dict[int, Order] = {}

    def write(self) -> None:
        """Leave everything to the lane to be written."""
        orders = {order.order_id: order for order in self.new} | self.changed
        self.log.write_later(
            [
                sql.put_orders(list(orders.values())),
                sql.insert_descriptions(self.new),
                self.journal.take_writes(),
            ]
        )
        ledger.settle(self.money, self.log)


def apply(
    tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant, starting_credits: int
) -> list[Order | Refusal]:
    """Place and cancel orders in arrival order. A refusal is an outcome and writes nothing.

    Keeps: as long as an order with a budget is not over, all of the budget is held from its owner's wallet.
    """
    desk = Desk(tx, log, commands, now=now, starting_credits=starting_credits)
    outcomes = [_place(desk, each) if isinstance(each, PlaceOrder) else _cancel(desk, each) for each in commands]
    desk.write()
    return outcomes


def _accounts(command: PlaceOrder) -> list[ledger.AccountKey]:
    return [
        ledger.wallet(command.owner, asset=command.input_asset),
        ledger.wallet(command.owner, asset=command.output_asset),
        ledger.escrow(f"auctions/{command.book}", asset=command.input_asset),
    ]


def _place(desk: Desk, command: PlaceOrder) -> Order | Refusal:
    if command.book not in desk.books:
        return errors.UnknownBook(command.book)
    for field in ("limit_output", "input_budget"):
        amount = getattr(command, field)
        if amount is not None and not 1 <= amount <= ledger.MAX_AMOUNT:
            return errors.BadAmount(field)
    if command.expires_at is not None and command.expires_at <= desk.now:
        return errors.InstantPassed("expires_at")
    payload = _plain(command)
    if isinstance(payload, Refusal):
        return payload
    given = desk.money.account(ledger.wallet(command.owner, asset=command.input_asset))
    wanted = desk.money.account(ledger.wallet(command.owner, asset=command.output_asset))
    if isinstance(given, Refusal):
        return given
    if isinstance(wanted, Refusal):
        return wanted
    order = _new_order(command, desk, input_decimals=given.decimals, output_decimals=wanted.decimals)
    order.payload = payload
    if order.input_budget is not None:
        held = desk.money.hold(
            input_wallet(order, order.owner),
            escrow_of(order),
            order.input_budget,
            seq=order.order_id,
            reason="auction budget",
        )
        if isinstance(held, Refusal):
            return held
        order.hold_id = held.transfer.transfer_id
    desk.journal.tell(_said(order), order.book)
    desk.new.append(order)
    desk.orders[order.order_id] = order
    return copy.copy(order)


def _plain(command: PlaceOrder) -> str | errors.BadText | None:
    """Return the payload as JSON of one form, if it and the description can be kept: neither engine takes a null."""
    if not 1 <= len(command.description) <= model.LONGEST_DESCRIPTION or "\0" in command.description:
        return errors.BadText("description", f"has 1 to {model.LONGEST_DESCRIPTION} characters, and no null among them")
    if command.payload is None:
        return None
    try:
        text = msgspec.json.encode(msgspec.json.decode(command.payload)).decode()
    except (msgspec.MsgspecError, RecursionError):
        return errors.BadText("payload", "has to be JSON")
    if len(text) > model.LONGEST_PAYLOAD:
        return errors.BadText("payload", f"has at most {model.LONGEST_PAYLOAD} characters")
    return errors.BadText("payload", "has a null character") if _NULL.search(text) else text


def _new_order(command: PlaceOrder, desk: Desk, *, input_decimals: int, output_decimals: int) -> Order:
    return Order(
        command.book,
        desk.log.next_seq,
        command.owner,
        command.output_asset,
        output_decimals,
        command.limit_output,
        command.input_asset,
        input_decimals,
        command.input_budget,
        "pending",
        round=1,
        bids=0,
        hold_id=None,
        placed_at=desk.now,
        expires_at=command.expires_at,
        description=command.description,
    )


def _said(order: Order) -> entries.OrderPlaced:
    return entries.OrderPlaced(
        order.order_id,
        order.owner,
        order.description,
        order.output_asset,
        None if order.limit_output is None else as_output(order, order.limit_output),
        order.input_asset,
        None if order.input_budget is None else as_input(order, order.input_budget),
        order.expires_at,
    )


def _cancel(desk: Desk, command: CancelOrder) -> Order | Refusal:
    order = desk.orders.get(command.order_id)
    if order is None or (isinstance(command.owner, str) and command.owner != order.owner):
        return errors.UnknownOrder(command.order_id)
    if order.state not in ("pending", "open"):
        return errors.NotCancellable(order.order_id, order.state)
    if order.hold_id is not None:
        released = desk.money.release(order.hold_id, seq=desk.log.next_seq, reason="auction cancelled")
        assert not isinstance(released, Refusal), "the budget of an order that is not over is held"
    if order.state == "pending":
        desk.journal.tell(entries.OrderWithdrawn(order.order_id, order.owner, "cancelled"), order.book)
    else:
        desk.journal.note(order.book, entries.OrderCancelled(order.order_id), order.order_id)
    order.state, order.closes_at, order.ended_at = "cancelled", None, desk.now
    desk.changed[order.order_id] = order
    return copy.copy(order)
