"""What a backend is asked for when a lease is to start."""

from __future__ import annotations

from marketplace.spot import connections
from marketplace.spot.compute import Spec
from marketplace.spot.duties import Duty

LEASE, BID = "MARKETPLACE_LEASE_ID", "MARKETPLACE_BID_ID"
ADDRESS = "MARKETPLACE_ADDRESS"
NOTICE_URL = "MARKETPLACE_NOTICE_URL"


def spec_of(duty: Duty, *, address: str | None, public_url: str | None) -> Spec:
    """Return the container of a lease that is to start, with what it is told about itself. Pure.

    Raises ValueError where no backend can run it.
    """
    assert duty.launch is not None
    wanted = duty.launch.container
    about = {BID: str(duty.bid_id), LEASE: str(duty.lease_id)}
    if address is not None:
        about[ADDRESS] = address
    if public_url is not None:
        about[NOTICE_URL] = f"{public_url}/api/v1/spot/leases/{duty.lease_id}/notice?secret={duty.notice_secret}"
    return Spec(
        lease_id=connections.name_of(duty.lease_id),
        image=wanted.image,
        cpu_millis=wanted.cpu_millis,
        memory_mib=wanted.memory_mib,
        command=wanted.command,
        environment=wanted.environment | about,
        grace_seconds=duty.launch.grace_seconds,
    )
