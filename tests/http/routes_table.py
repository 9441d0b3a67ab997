"""What each route asks for, said once more: scopes, a request about things of bob's, and what ann is told."""

from __future__ import annotations

from tests.http import spot_market
from tests.http.rows import FORBIDDEN, Row

MARKET = "/api/v1/hours/markets/default"
BUY = {"volume": 1, "price": 0, "username": "bob"}
WEBHOOK = {"url": "https://example.org/"}
HOOK = "/api/v1/webhooks/{webhook_id}"
NO_HOOK = (404, "events.unknown_webhook")
AUCTIONS = "/api/v1/auctions"
ORDER = "/api/v1/auctions/orders/{order_id}"
NO_ORDER = (404, "auctions.unknown_order")
SOLVER_BID = {"solver": "bob", "max_input": "1", "conversion_rate": "1", "valid_till": "2099-01-01T00:00:00Z"}


TABLE = {
    "GET /livez": Row(None, "/livez"),
    "GET /readyz": Row(None, "/readyz"),
    "GET /api/v1/health": Row(None, "/api/v1/health"),
    "GET /api/v1/openapi.json": Row(None, "/api/v1/openapi.json"),
    "GET /docs": Row(None, "/docs"),
    "GET /docs/assets/{name}": Row(None, "/docs/assets/docs.js"),
    "GET /metrics": Row("read", "/metrics"),
    "GET /api/v1/events": Row("read", "/api/v1/events"),
    # What is followed has no end, which a client in this process would wait for: it asks for what there is not.
    "GET /api/v1/events/stream": Row("read", "/api/v1/events/stream?kind=x", ann=(400, "events.unknown_kind")),
    "GET /api/v1/webhooks": Row("read", "/api/v1/webhooks?username=bob", ann=FORBIDDEN),
    "POST /api/v1/webhooks": Row(
        "trade", "/api/v1/webhooks", {"username": "bob", "url": "https://example.org/"}, FORBIDDEN
    ),
    "GET /api/v1/webhooks/{webhook_id}": Row("read", HOOK, ann=NO_HOOK),
    "PATCH /api/v1/webhooks/{webhook_id}": Row("trade", HOOK, {"topics": ["hours"]}, NO_HOOK),
    "DELETE /api/v1/webhooks/{webhook_id}": Row("trade", HOOK, ann=NO_HOOK),
    "POST /api/v1/webhooks/{webhook_id}/rotate": Row("trade", f"{HOOK}/rotate", ann=NO_HOOK),
    "POST /api/v1/webhooks/{webhook_id}/test": Row("trade", f"{HOOK}/test", ann=NO_HOOK),
    "GET /api/v1/webhooks/{webhook_id}/deliveries": Row("read", f"{HOOK}/deliveries", ann=NO_HOOK),
    "POST /api/v1/webhooks/{webhook_id}/replay": Row(
        "trade", f"{HOOK}/replay", {"lane": "hours", "from_seq": 1, "to_seq": 2}, NO_HOOK
    ),
    # ledger
    "GET /api/v1/wallets/{username}": Row("read", "/api/v1/wallets/bob", ann=(404, "ledger.unknown_wallet")),
    "GET /api/v1/wallets/{username}/statement": Row(
        "read", "/api/v1/wallets/bob/statement", ann=(404, "ledger.unknown_wallet")
    ),
    "PATCH /api/v1/wallets/{username}": Row(
        "trade", "/api/v1/wallets/bob", {"low_balance": "1.00"}, (404, "ledger.unknown_wallet")
    ),
    "POST /api/v1/wallets/{username}/deposits": Row("admin", "/api/v1/wallets/bob/deposits", {"amount": "5.00"}),
    "POST /api/v1/wallets/{username}/withdrawals": Row("admin", "/api/v1/wallets/bob/withdrawals", {"amount": "1.00"}),
    "POST /api/v1/transfers": Row(
        "trade", "/api/v1/transfers", {"username": "bob", "to": "ann", "amount": "1.00"}, FORBIDDEN
    ),
    "GET /api/v1/assets": Row("read", "/api/v1/assets"),
    "POST /api/v1/assets": Row("admin", "/api/v1/assets", {"asset": "a{number}", "decimals": 2}),
    # auctions
    "GET /api/v1/auctions/books": Row("read", f"{AUCTIONS}/books"),
    "POST /api/v1/auctions/books": Row("admin", f"{AUCTIONS}/books", {"book": "b{number}"}),
    "GET /api/v1/auctions/books/{book}": Row("read", f"{AUCTIONS}/books/default"),
    "PATCH /api/v1/auctions/books/{book}": Row("admin", f"{AUCTIONS}/books/default", {"batch_size": 5}),
    "GET /api/v1/auctions/books/{book}/commitments": Row("read", f"{AUCTIONS}/books/default/commitments"),
    "GET /api/v1/auctions/books/{book}/commitments/{commitment_id}": Row(
        "read", f"{AUCTIONS}/books/slow/commitments/{{commitment_id}}"
    ),
    "GET /api/v1/auctions/books/{book}/solvers": Row("read", f"{AUCTIONS}/books/default/solvers"),
    "GET /api/v1/auctions/books/{book}/solvers/{solver}": Row("read", f"{AUCTIONS}/books/slow/solvers/bob"),
    "GET /api/v1/auctions/books/{book}/log": Row("read", f"{AUCTIONS}/books/default/log"),
    "GET /api/v1/auctions/books/{book}/log/stream": Row(
        "read", f"{AUCTIONS}/books/none/log/stream", ann=(404, "auctions.unknown_book")
    ),
    "GET /api/v1/auctions/orders": Row("read", f"{AUCTIONS}/orders?username=bob", ann=FORBIDDEN),
    "POST /api/v1/auctions/orders": Row(
        "trade", f"{AUCTIONS}/orders", {"username": "bob", "description": "x", "input_budget": "0.01"}, FORBIDDEN
    ),
    "GET /api/v1/auctions/orders/{order_id}": Row("read", ORDER, ann=NO_ORDER),
    "DELETE /api/v1/auctions/orders/{order_id}": Row("trade", ORDER, ann=NO_ORDER),
    "GET /api/v1/auctions/orders/{order_id}/bids": Row("read", f"{ORDER}/bids", ann=NO_ORDER),
    "POST /api/v1/auctions/orders/{order_id}/bids": Row(
        "solve", f"{AUCTIONS}/orders/{{open_order_id}}/bids", SOLVER_BID, FORBIDDEN
    ),
    "POST /api/v1/auctions/orders/{order_id}/deposits": Row(
        "solve", f"{AUCTIONS}/orders/{{due_order_id}}/deposits", {"solver": "bob", "amount": "0.01"}, FORBIDDEN
    ),
    "POST /api/v1/auctions/orders/{order_id}/claims": Row(
        "solve", f"{AUCTIONS}/orders/{{said_order_id}}/claims", {"solver": "bob"}, FORBIDDEN
    ),
    # hours
    "POST /buy": Row("trade", "/buy", BUY, FORBIDDEN),
    "POST /sell": Row("supply", "/sell", {"volume": 1}),
    "GET /allocation": Row("read", "/allocation?username=bob", ann=FORBIDDEN),
    "GET /api/v1/hours/markets": Row("read", "/api/v1/hours/markets"),
    "POST /api/v1/hours/markets": Row("admin", "/api/v1/hours/markets", {"market": "m{number}"}),
    "GET /api/v1/hours/markets/{market}": Row("read", MARKET),
    "PATCH /api/v1/hours/markets/{market}": Row("admin", MARKET, {"state": "open"}),
    "GET /api/v1/hours/markets/{market}/bids": Row("read", f"{MARKET}/bids?username=bob", ann=FORBIDDEN),
    "POST /api/v1/hours/markets/{market}/bids": Row("trade", f"{MARKET}/bids", BUY, FORBIDDEN),
    "GET /api/v1/hours/markets/{market}/bids/{bid_id}": Row(
        "read", f"{MARKET}/bids/{{bid_id}}", ann=(404, "hours.unknown_bid")
    ),
    "PATCH /api/v1/hours/markets/{market}/bids/{bid_id}": Row(
        "trade", f"{MARKET}/bids/{{bid_id}}", {"volume": 7}, (404, "hours.unknown_bid")
    ),
    "DELETE /api/v1/hours/markets/{market}/bids/{bid_id}": Row(
        "trade", f"{MARKET}/bids/{{bid_id}}", ann=(404, "hours.unknown_bid")
    ),
    "GET /api/v1/hours/markets/{market}/supplies": Row("read", f"{MARKET}/supplies?provider=bob", ann=FORBIDDEN),
    "POST /api/v1/hours/markets/{market}/supplies": Row(
        "supply", f"{MARKET}/supplies", {"volume": 1, "min_price": 9, "provider": "bob"}, FORBIDDEN
    ),
    "GET /api/v1/hours/markets/{market}/supplies/{supply_id}": Row(
        "read", f"{MARKET}/supplies/{{supply_id}}", ann=(404, "hours.unknown_supply")
    ),
    "DELETE /api/v1/hours/markets/{market}/supplies/{supply_id}": Row(
        "supply", f"{MARKET}/supplies/{{supply_id}}", ann=(404, "hours.unknown_supply")
    ),
    "POST /api/v1/hours/markets/{market}/orders:batch": Row(
        "trade supply", f"{MARKET}/orders:batch", {"orders": [{"side": "buy", **BUY}]}, FORBIDDEN
    ),
    "GET /api/v1/hours/markets/{market}/book": Row("read", f"{MARKET}/book"),
    "GET /api/v1/hours/markets/{market}/fills": Row("read", f"{MARKET}/fills"),
    "GET /api/v1/hours/markets/{market}/allocations": Row("read", f"{MARKET}/allocations?username=bob", ann=FORBIDDEN),
    "GET /api/v1/hours/markets/{market}/candles": Row("read", f"{MARKET}/candles"),
    "GET /api/v1/hours/markets/{market}/preview": Row("read", f"{MARKET}/preview?volume=1&price=1"),
    **spot_market.TABLE,
    # addresses
    "POST /api/v1/ip/allocate": Row(
        "trade", "/api/v1/ip/allocate", {"vm_id": "{vm_id}"}, (409, "addresses.vm_of_another")
    ),
    "DELETE /api/v1/ip/release/{vm_id}": Row(
        "trade", "/api/v1/ip/release/{vm_id}", ann=(404, "addresses.not_assigned")
    ),
    "DELETE /api/v1/ip/release-by-ip/{ip}": Row(
        "trade", "/api/v1/ip/release-by-ip/{ip}", ann=(404, "addresses.address_not_assigned")
    ),
    "GET /api/v1/ip/{vm_id}": Row("read", "/api/v1/ip/{vm_id}", ann=(404, "addresses.not_assigned")),
    "GET /api/v1/ip/allocations": Row("read", "/api/v1/ip/allocations"),
    "GET /api/v1/ip/stats": Row("read", "/api/v1/ip/stats"),
    "POST /api/v1/ip/allocate:batch": Row(
        "trade", "/api/v1/ip/allocate:batch", {"requests": [{"vm_id": "{vm_id}"}]}, (409, "addresses.vm_of_another")
    ),
    "POST /api/v1/ip/release:batch": Row(
        "trade", "/api/v1/ip/release:batch", {"vm_ids": ["{vm_id}"]}, (404, "addresses.not_assigned")
    ),
    "POST /api/v1/ip/reconcile": Row(
        "trade", "/api/v1/ip/reconcile", {"vm_ids": [], "grace_seconds": 0, "apply": True}
    ),
    "GET /api/v1/networks": Row("read", "/api/v1/networks"),
    "POST /api/v1/networks": Row("admin", "/api/v1/networks", {"network": "n{number}", "cidr": "fd00:{hex}::/64"}),
    "GET /api/v1/networks/{network}": Row("read", "/api/v1/networks/default"),
    "GET /api/v1/networks/{network}/reserved": Row("read", "/api/v1/networks/default/reserved"),
    "DELETE /api/v1/networks/{network}": Row("admin", "/api/v1/networks/{network}"),
    # identity
    "GET /api/v1/me": Row("read", "/api/v1/me"),
    "GET /api/v1/members": Row("admin", "/api/v1/members"),
    "POST /api/v1/members": Row("admin", "/api/v1/members", {"username": "u{number}"}),
    "GET /api/v1/members/{username}": Row("read", "/api/v1/members/bob", ann=(404, "identity.unknown_member")),
    "GET /api/v1/keys": Row("read", "/api/v1/keys?username=bob", ann=FORBIDDEN),
    "POST /api/v1/keys": Row("trade supply solve", "/api/v1/keys", {"username": "bob", "scopes": ["solve"]}, FORBIDDEN),
    "GET /api/v1/keys/{key_id}": Row("read", "/api/v1/keys/{key_id}", ann=(404, "identity.unknown_key")),
    "DELETE /api/v1/keys/{key_id}": Row(
        "trade supply solve", "/api/v1/keys/{key_id}", ann=(404, "identity.unknown_key")
    ),
}
