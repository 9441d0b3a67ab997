"""What the pages of auctions ask for, a request about things of bob's, and what ann is told who sends it."""

from __future__ import annotations

import functools
from typing import Any

from tests.http import auctioned
from tests.http.keyed import Keyed

HOME = "/dashboard/auctions"
ORDERS = f"{HOME}/default/orders"
ORDER = f"{ORDERS}/{{order_id}}"
DUE = f"{HOME}/slow/orders/{{due_order_id}}"

TABLE: dict[str, tuple[Any, ...]] = {
    f"GET {HOME}": ("read", HOME),
    f"POST {HOME}": ("admin", HOME, {"book": "b{number}"}),
    f"GET {HOME}/{{book}}": ("read", f"{HOME}/default"),
    f"GET {HOME}/{{book}}/stream": ("read", f"{HOME}/slow/stream"),
    f"POST {HOME}/{{book}}/orders": ("trade", ORDERS, {"username": "bob", "description": "x"}, 403),
    f"GET {HOME}/{{book}}/orders/{{order_id}}": ("read", ORDER, None, 404),
    f"GET {HOME}/{{book}}/orders/{{order_id}}/stream": ("read", f"{ORDER}/stream", None, 404),
    f"POST {HOME}/{{book}}/orders/{{order_id}}/cancel": ("trade", f"{ORDER}/cancel", {}, 404),
    f"POST {HOME}/{{book}}/orders/{{order_id}}/bids": (
        "solve",
        f"{HOME}/slow/orders/{{open_order_id}}/bids",
        {"solver": "bob", "max_input": "1", "conversion_rate": "1", "valid_minutes": "9"},
        403,
    ),
    f"POST {HOME}/{{book}}/orders/{{order_id}}/deposits": (
        "solve",
        f"{DUE}/deposits",
        {"solver": "bob", "amount": "0.01"},
        403,
    ),
    f"POST {HOME}/{{book}}/orders/{{order_id}}/claims": (
        "solve",
        f"{HOME}/word/orders/{{said_order_id}}/claims",
        {"solver": "bob"},
        403,
    ),
}
SOME = {"order_id": 1, "due_order_id": 1, "said_order_id": 1, "open_order_id": 1}

_put_out = functools.cache(auctioned.put_out)


def things_of_bob(server: Keyed) -> dict[str, Any]:
    """Make an order of bob's that waits for its batch; once a server, those that he is committed to."""
    order = server.done("bob", "POST", "/api/v1/auctions/orders", json={"description": "a secret of bob's"})
    return {**_put_out(server), "order_id": order["order_id"]}
