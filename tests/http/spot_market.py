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

BIDS, LEASES, POOLS = "/api/v1/spot/bids", "/api/v1/spot/leases", "/api/v1/spot/pools"
NODES = f"{POOLS}/default/nodes"

CONTAINER = {"image": "busybox:1", "cpu_millis": 100, "memory_mib": 64, "max_price_per_hour": "3"}
NODE = {"backend": "simulated", "cpu_millis": 900_000, "memory_mib": 900_000, "provider": "bob"}
LARGE = "large"
SECRET = "only-the-lease-knows"


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
