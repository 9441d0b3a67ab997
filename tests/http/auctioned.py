"""Orders that are put out, bid on and committed to, where no job sends ticks."""

from __future__ import annotations

import time
from typing import Any

from marketplace import auctions
from marketplace.database import money
from marketplace.http import resources
from tests.http.keyed import Keyed
from tests.http.routes_table import AUCTIONS, SOLVER_BID


def put_out(server: Keyed) -> dict[str, Any]:
    """Orders of the admin's: one that takes bids, two on which bob owes a delivery and his word, one that he filled."""
    slow = {"tick_seconds": 0.05, "bidding_window_seconds": 0.05, "fulfil_seconds": 86_400}
    for username in ("admin", "bob"):
        server.done("admin", "POST", f"/api/v1/wallets/{username}/deposits", json={"amount": "5000"})
    for book, escrow in (("slow", "ledger"), ("word", "claim")):
        server.done("admin", "POST", f"{AUCTIONS}/books", json={"book": book, "escrow": escrow, **slow})
    filled, due, said = (_commit_bob(server, book) for book in ("slow", "slow", "word"))
    server.done("bob", "POST", f"{AUCTIONS}/orders/{filled}/deposits", json={})
    _tick(server, "slow")
    (made,) = server.done("bob", "GET", f"{AUCTIONS}/books/slow/commitments?order_id={due}")["items"]
    server.done("admin", "PATCH", f"{AUCTIONS}/books/slow", json={"bidding_window_seconds": 86_400})
    return {
        "commitment_id": made["commitment_id"],
        "due_order_id": due,
        "said_order_id": said,
        "open_order_id": _announce(server, "slow"),
    }


def _announce(server: Keyed, book: str) -> int:
    order_id: int = server.done("admin", "POST", f"{AUCTIONS}/orders", json={"book": book, "description": "x"})[
        "order_id"
    ]
    _tick(server, book)
    return order_id


def _commit_bob(server: Keyed, book: str) -> int:
    order_id = _announce(server, book)
    bid = SOLVER_BID | {"max_input": "1000"}
    server.done("bob", "POST", f"{AUCTIONS}/orders/{order_id}/bids", json=bid)
    _tick(server, book)
    return order_id


def _tick(server: Keyed, book: str) -> None:
    """Let a tick come by, which no job sends here."""
    time.sleep(0.06)
    service = server.client.app.state[resources.STATE]
    with server.client.portal() as portal:
        portal.call(service.lanes[money.LANE].run, auctions.Tick(book, "q"))
