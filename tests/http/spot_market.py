"""A spot market without the loops that match and run: a test says itself what they would have done."""

from __future__ import annotations

from typing import Any

from marketplace import spot
from marketplace.database import money
from marketplace.foundation import clock
from marketplace.http import resources
from marketplace.spot import listings
from tests.http.conftest import Client
from tests.http.keyed import Keyed
from tests.http.rows import FORBIDDEN, Row

BIDS, LEASES, POOLS = "/api/v1/spot/bids", "/api/v1/spot/leases", "/api/v1/spot/pools"
NODES = f"{POOLS}/default/nodes"

CONTAINER = {"image": "busybox:1", "cpu_millis": 100, "memory_mib": 64, "max_price_per_hour": "3"}
NODE = {"backend": "simulated", "cpu_millis": 900_000, "memory_mib": 900_000, "provider": "bob"}
LARGE = "large"
SECRET = "only-the-lease-knows"

NO_SPOT_BID = (404, "spot.unknown_bid")
NO_LEASE = (404, "spot.unknown_lease")

TABLE = {
    "GET /api/v1/spot/bids": Row("read", "/api/v1/spot/bids?username=bob", ann=FORBIDDEN),
    "POST /api/v1/spot/bids": Row("trade", "/api/v1/spot/bids", {**CONTAINER, "username": "bob"}, FORBIDDEN),
    "POST /api/v1/spot/bids/preview": Row(
        "read", "/api/v1/spot/bids/preview", {**CONTAINER, "username": "bob"}, FORBIDDEN
    ),
    "GET /api/v1/spot/bids/{bid_id}": Row("read", "/api/v1/spot/bids/{spot_bid_id}", ann=NO_SPOT_BID),
    "PATCH /api/v1/spot/bids/{bid_id}": Row(
        "trade", "/api/v1/spot/bids/{spot_bid_id}", {"max_price_per_hour": "4"}, NO_SPOT_BID
    ),
    "DELETE /api/v1/spot/bids/{bid_id}": Row("trade", "/api/v1/spot/bids/{spot_bid_id}", ann=NO_SPOT_BID),
    "GET /api/v1/spot/leases": Row("read", "/api/v1/spot/leases?username=bob", ann=FORBIDDEN),
    "GET /api/v1/spot/leases/{lease_id}": Row("read", "/api/v1/spot/leases/{lease_id}", ann=NO_LEASE),
    "DELETE /api/v1/spot/leases/{lease_id}": Row("trade", "/api/v1/spot/leases/{lease_id}", ann=NO_LEASE),
    "POST /api/v1/spot/leases/{lease_id}/simulate-eviction": Row(
        "admin", "/api/v1/spot/leases/{lease_id}/simulate-eviction"
    ),
    "GET /api/v1/spot/leases/{lease_id}/logs": Row("read", "/api/v1/spot/leases/{lease_id}/logs", ann=NO_LEASE),
    "GET /api/v1/spot/leases/{lease_id}/bill": Row("read", "/api/v1/spot/leases/{lease_id}/bill", ann=NO_LEASE),
    "GET /api/v1/spot/bills": Row("read", "/api/v1/spot/bills?username=bob", ann=FORBIDDEN),
    "GET /api/v1/spot/leases/{lease_id}/notice": Row(
        None, "/api/v1/spot/leases/{noticed_lease_id}/notice?secret={secret}"
    ),
    "GET /api/v1/spot/pools": Row("read", "/api/v1/spot/pools"),
    "POST /api/v1/spot/pools": Row("admin", "/api/v1/spot/pools", {"pool": "p{number}"}),
    "GET /api/v1/spot/pools/{pool}": Row("read", "/api/v1/spot/pools/default"),
    "PATCH /api/v1/spot/pools/{pool}": Row("admin", "/api/v1/spot/pools/default", {"margin_basis_points": 500}),
    "GET /api/v1/spot/pools/{pool}/nodes": Row("read", NODES),
    "POST /api/v1/spot/pools/{pool}/nodes": Row("admin", NODES, {**NODE, "node": "m{number}"}),
    "GET /api/v1/spot/pools/{pool}/nodes/{node}": Row("read", f"{NODES}/{{node}}"),
    "PATCH /api/v1/spot/pools/{pool}/nodes/{node}": Row(
        "supply", f"{NODES}/{{node}}", {"state": "draining"}, (404, "spot.unknown_node")
    ),
    "DELETE /api/v1/spot/pools/{pool}/nodes/{node}": Row("supply", f"{NODES}/{{node}}", ann=(404, "spot.unknown_node")),
    "GET /api/v1/spot/pools/{pool}/price": Row("read", "/api/v1/spot/pools/default/price"),
    "GET /api/v1/spot/pools/{pool}/prices": Row("read", "/api/v1/spot/pools/default/prices"),
    "GET /api/v1/spot/pools/{pool}/candles": Row("read", "/api/v1/spot/pools/default/candles?limit=2"),
    "GET /api/v1/spot/pools/{pool}/percentiles": Row("read", "/api/v1/spot/pools/default/percentiles"),
    "GET /api/v1/spot/pools/{pool}/utilisation": Row("read", "/api/v1/spot/pools/default/utilisation"),
}
"""Who may call what; see test_authorization."""


def run(client: Client, command: Any) -> Any:
    """Run a command of the matcher or of the nodes in the application's own lane."""
    lane = client.app.state[resources.STATE].lanes[money.LANE]
    with client.portal() as portal:
        return portal.call(lane.run, command)


def match(client: Client, bid_id: int, node: str, *, pool: str = "default") -> int:
    """Give a bid a place as the matcher would, and return its lease."""
    start = spot.PlannedStart(bid_id, node, waits=False, secret=SECRET)
    plan = spot.ApplyPlan(pool=pool, seq=2**62, starts=(start,), evictions=(), released=(), unit_price_micros=10_000)
    assert run(client, plan) is True
    service = client.app.state[resources.STATE]
    with client.portal() as portal:
        lease_id = portal.call(lambda: service.database.read(listings.find_bid, bid_id)).lease_id
    assert isinstance(lease_id, int)
    return lease_id


def begin(client: Client, lease_id: int, *, address: str | None = None) -> None:
    """Have a lease's container run from now on."""
    started = spot.RecordStarted(lease_id, f"simulated:{lease_id}", clock.now(), address)
    assert run(client, started) is True


def end(client: Client, lease_id: int, *, exit_code: int = 0) -> None:
    """Have a lease's container end now."""
    assert run(client, spot.RecordEnded(lease_id, clock.now(), exit_code)) is True


def things(server: Keyed, number: int) -> dict[str, Any]:
    """Give bob a bid that waits, a lease that runs, one that was told to go, and a node."""
    server.done("admin", "POST", NODES, json={**NODE, "node": LARGE, "provider": "admin"})
    server.done("admin", "POST", NODES, json={**NODE, "node": f"n{number}"})
    # Left over from an earlier test of the same server: its wallet shall not be what ends this one.
    for bid in server.done("bob", "GET", f"{BIDS}?state=submitted")["items"]:
        server.done("bob", "DELETE", f"{BIDS}/{bid['bid_id']}")
    waiting, running, leaving = (server.done("bob", "POST", BIDS, json=CONTAINER)["bid_id"] for _ in range(3))
    lease_id, noticed = (match(server.client, bid_id, LARGE) for bid_id in (running, leaving))
    for one in (lease_id, noticed):
        begin(server.client, one)
    server.done("admin", "POST", f"{LEASES}/{noticed}/simulate-eviction")
    return {
        "spot_bid_id": waiting,
        "lease_id": lease_id,
        "noticed_lease_id": noticed,
        "secret": SECRET,
        "node": f"n{number}",
    }
