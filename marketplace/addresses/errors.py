"""What the address pool refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class BadNetwork(errors.Invalid):
    """A network, gateway or reserved range that cannot be."""

    code = "addresses.bad_network"
    title = "Bad network"


class BadAddress(errors.Invalid):
    code = "addresses.bad_address"
    title = "Bad address"

    def __init__(self, ip: str) -> None:
        super().__init__(f"{ip!r} is no IPv4 or IPv6 address.", field="ip")


class AddressOutside(errors.Invalid):
    code = "addresses.address_outside"
    title = "Address outside the network"

    def __init__(self, ip: str, cidr: str) -> None:
        super().__init__(f"{ip} is not in the network {cidr}.", field="ip")


class AddressReserved(errors.Invalid):
    """The network's own address, its broadcast address, its gateway, or one that its owner reserved."""

    code = "addresses.address_reserved"
    title = "Address reserved"

    def __init__(self, ip: str, cidr: str) -> None:
        super().__init__(f"{ip} is reserved in the network {cidr}; choose another one or none.", field="ip")


class UnknownNetwork(errors.NotFound):
    code = "addresses.unknown_network"
    title = "Unknown network"

    def __init__(self, network: str) -> None:
        super().__init__(f"There is no network {network!r}; list them at /api/v1/networks.", network=network)


class NotAssigned(errors.NotFound):
    code = "addresses.not_assigned"
    title = "Not assigned"

    def __init__(self, network: str, vm_id: str) -> None:
        super().__init__(f"{vm_id!r} has no address in the network {network!r}.", network=network, vm_id=vm_id)


class AddressNotAssigned(errors.NotFound):
    code = "addresses.address_not_assigned"
    title = "Address not assigned"

    def __init__(self, network: str, ip: str) -> None:
        super().__init__(f"Nobody has {ip} in the network {network!r}.", network=network, ip=ip)


class NetworkExists(errors.Conflict):
    code = "addresses.network_exists"
    title = "Network exists"

    def __init__(self, network: str) -> None:
        super().__init__(f"There is a network {network!r} already; choose another name.", network=network)


class NetworkOverlaps(errors.Conflict):
    code = "addresses.network_overlaps"
    title = "Network overlaps"

    def __init__(self, cidr: str, network: str, other: str) -> None:
        super().__init__(f"{cidr} overlaps the network {network!r}, which is {other}.", network=network, cidr=other)


class NetworkDiffers(errors.Conflict):
    """A server was started with a network that is stored otherwise."""

    code = "addresses.network_differs"
    title = "Network differs"

    def __init__(self, cidr: str, stored: str | None, gateway: str | None) -> None:
        super().__init__(f"The network {cidr} is stored with the gateway {stored or 'none'}, not {gateway or 'none'}.")


class NetworkInUse(errors.Conflict):
    code = "addresses.network_in_use"
    title = "Network in use"

    def __init__(self, network: str, assigned: int) -> None:
        super().__init__(
            f"The network {network!r} has {assigned} addresses assigned; release them first.",
            network=network,
            allocated=assigned,
        )


class AddressTaken(errors.Conflict):
    code = "addresses.address_taken"
    title = "Address taken"

    def __init__(self, ip: str) -> None:
        super().__init__(f"{ip} is assigned to another VM.", ip=ip)


class AddressResting(errors.Conflict):
    """It was released a moment ago and rests for the network's `reuse_delay_seconds`."""

    code = "addresses.address_resting"
    title = "Address resting"

    def __init__(self, ip: str) -> None:
        super().__init__(f"{ip} was released a moment ago and is not given out again yet.", ip=ip)


class AssignedElsewhere(errors.Conflict):
    code = "addresses.assigned_elsewhere"
    title = "Another address assigned"

    def __init__(self, vm_id: str, ip: str) -> None:
        super().__init__(f"{vm_id!r} has {ip} already; release it before you ask for another one.", vm_id=vm_id, ip=ip)


class VmOfAnother(errors.Conflict):
    """Another member's VM has an address under this name in this network."""

    code = "addresses.vm_of_another"
    title = "VM of another member"

    def __init__(self, network: str, vm_id: str) -> None:
        super().__init__(
            f"{vm_id!r} is another member's in the network {network!r}; give your VM another name.",
            network=network,
            vm_id=vm_id,
        )


class NetworkExhausted(errors.Exhausted):
    """Every address of the network is assigned: release some, or use another network."""

    code = "addresses.network_exhausted"
    title = "Network exhausted"

    def __init__(self, network: str, cidr: str) -> None:
        super().__init__(f"Every address of the network {network!r} ({cidr}) is assigned.", network=network)
