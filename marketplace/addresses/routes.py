"""HTTP of the address pool: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

from typing import Annotated, Any, cast
from urllib.parse import urlencode

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, json

from marketplace import addresses
from marketplace.addresses import errors, model
from marketplace.database import Lane
from marketplace.foundation import clock
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database, resources
from marketplace.wire import addresses as wire

HttpRequest = Request[Any, Any, Any]

DEFAULT_NETWORK = "default_network"
"""Where the application's state has the name of the network that is meant where a request names none."""

_GIVING = (
    errors.UnknownNetwork,
    errors.BadAddress,
    errors.AddressOutside,
    errors.AddressReserved,
    errors.AddressTaken,
    errors.AddressResting,
    errors.AssignedElsewhere,
    errors.VmOfAnother,
    errors.NetworkExhausted,
)
_VM = (errors.UnknownNetwork, errors.NotAssigned)

Ip = Annotated[str, PathParameter(min_length=2, max_length=45, description="an address, in any spelling")]
ManyRows = Annotated[int, QueryParameter(ge=1, le=100_000, description="how many rows at most")]


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[addresses.LANE]


def _network(request: HttpRequest, named: str | None) -> str:
    return named or cast(str, request.app.state[DEFAULT_NETWORK])


@get("/api/v1/health", sync_to_thread=False, tags=["addresses"], opt={"scope": None, "reads": False})
def health() -> wire.Health:
    """Tell that the service answers."""
    return wire.Health("ok")


class Addresses(Controller):
    path = "/api/v1/ip"
    tags = ("addresses",)

    @post("/allocate", opt={"scope": "trade", "refuses": _GIVING, "idempotent": True})
    async def allocate(self, data: JSONBody[wire.Allocate], request: HttpRequest) -> wire.Assignment:
        """Give a VM an address that nobody else has.

        A VM that has one gets the same again, with `Idempotent-Replayed: true`. 503 without Retry-After means that the
        network is exhausted.
        """
        command = _allocate(request, data)
        return await idempotency.run(
            _lane(request), command, request=request, shape=_assigned, status=201, is_repeated=_is_repeated
        )

    @delete("/release/{vm_id:str}", status_code=200, opt={"scope": "trade", "refuses": _VM, "idempotent": True})
    async def release(
        self, vm_id: params.VmId, request: HttpRequest, network: params.OptionalNetwork = None
    ) -> wire.Assignment:
        """Take back the address of a VM."""
        command = model.Release(_network(request, network), vm_id, callers.caller(request).limited_to)
        return await idempotency.run(_lane(request), command, request=request, shape=_assigned)

    @delete(
        "/release-by-ip/{ip:str}",
        status_code=200,
        opt={
            "scope": "trade",
            "refuses": (
                errors.UnknownNetwork,
                errors.BadAddress,
                errors.AddressOutside,
                errors.AddressNotAssigned,
            ),
            "idempotent": True,
        },
    )
    async def release_by_ip(
        self, ip: Ip, request: HttpRequest, network: params.OptionalNetwork = None
    ) -> wire.Assignment:
        """Take back an address from whoever has it."""
        command = model.ReleaseAddress(_network(request, network), ip, callers.caller(request).limited_to)
        return await idempotency.run(_lane(request), command, request=request, shape=_assigned)

    @get("/{vm_id:str}", opt={"scope": "read", "refuses": _VM})
    async def read_assignment(
        self, vm_id: params.VmId, request: HttpRequest, network: params.OptionalNetwork = None
    ) -> wire.Assignment:
        """Tell which address a VM has."""
        name = _network(request, network)
        found = await database(request).read_one(addresses.find_assignment, name, vm_id)
        if not callers.caller(request).sees(found.assignment.owner):
            raise errors.NotAssigned(name, vm_id)
        return _assigned(found)

    @get("/allocations", opt={"scope": "read", "refuses": (errors.UnknownNetwork,), "linked": True})
    async def list_assignments(
        self,
        request: HttpRequest,
        network: params.OptionalNetwork = None,
        limit: ManyRows = 10_000,
        after: params.AfterOffset = None,
    ) -> list[wire.Assignment]:
        """List a network's assignments, by address; the next page is in the Link header.

        With a key, those of the key's own member.
        """
        name, last, owner = _network(request, network), cursors.to_offset(after), callers.caller(request).limited_to
        found, rows = await database(request).read(_page, name, owner=owner, after=last, limit=limit)
        following = cursors.next_after(rows, limit, lambda one: cursors.of_offset(one.offset))
        body = json.encode([_assignment(one, found) for one in rows])
        return cast(list[wire.Assignment], Response(body, headers=_link(following, network=name, limit=limit)))

    @get("/stats", opt={"scope": "read", "refuses": (errors.UnknownNetwork,)})
    async def read_stats(self, request: HttpRequest, network: params.OptionalNetwork = None) -> wire.Stats:
        """Count a network's addresses: total = allocated + reserved + resting + available, at any size."""
        return _stats(await database(request).read_one(addresses.network_stats, _network(request, network)))

    @post("/allocate:batch", opt={"scope": "trade", "refuses": _GIVING, "idempotent": True})
    async def allocate_many(self, data: JSONBody[wire.AllocateMany], request: HttpRequest) -> wire.Allocated:
        """Give up to 1 000 VMs an address each, all or none; the refusal's `index` tells which one it was."""
        command = model.AllocateMany(tuple(_allocate(request, one) for one in data.requests))
        return await idempotency.run(_lane(request), command, request=request, shape=_allocated, status=201)

    @post("/release:batch", status_code=200, opt={"scope": "trade", "refuses": _VM, "idempotent": True})
    async def release_many(self, data: JSONBody[wire.ReleaseMany], request: HttpRequest) -> wire.Released:
        """Take back the addresses of up to 1 000 VMs, all or none."""
        owner = callers.caller(request).limited_to
        command = model.ReleaseMany(_network(request, data.network), tuple(data.vm_ids), owner)
        return await idempotency.run(_lane(request), command, request=request, shape=_released)

    @post(
        "/reconcile", status_code=200, opt={"scope": "trade", "refuses": (errors.UnknownNetwork,), "idempotent": True}
    )
    async def reconcile(self, data: JSONBody[wire.Reconcile], request: HttpRequest) -> wire.Reconciled:
        """Find addresses whose VM is gone, and release them if asked to.

        A VM is gone where it is not among `vm_ids` and got its address more than `grace_seconds` ago. With a key, only
        the addresses of the key's own member are looked at.
        """
        idempotency.key_of(request)  # a wrong key is refused in a dry run too
        name, owner = _network(request, data.network), callers.caller(request).limited_to
        found, orphans = await database(request).read(
            _orphans,
            name,
            owner=owner,
            live=frozenset(data.vm_ids),
            assigned_before=clock.now() - data.grace_seconds * clock.SECOND,
            limit=model.MAX_BATCH + 1,
        )
        some, more = orphans[: model.MAX_BATCH], len(orphans) > model.MAX_BATCH
        if not data.apply:
            return wire.Reconciled([_assignment(one, found) for one in some], applied=False, more=more)

        def shape(released: tuple[model.Assigned, ...]) -> wire.Reconciled:
            return wire.Reconciled([_assigned(one) for one in released], applied=True, more=more)

        command = model.ReleaseOrphans(name, tuple((one.vm_id, one.seq) for one in some), owner)
        return await idempotency.run(_lane(request), command, request=request, shape=shape)


class Networks(Controller):
    path = "/api/v1/networks"
    tags = ("networks",)

    @get(opt={"scope": "read"})
    async def list_networks(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterName = None
    ) -> wire.Networks:
        """List the networks, by name."""
        found = await database(request).read(addresses.list_networks, after=cursors.to_name(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_name(one.network))
        return wire.Networks([_shape_network(one) for one in found], following)

    @post(
        opt={
            "scope": "admin",
            "refuses": (errors.BadNetwork, errors.NetworkExists, errors.NetworkOverlaps),
            "idempotent": True,
        }
    )
    async def create_network(self, data: JSONBody[wire.NewNetwork], request: HttpRequest) -> wire.Network:
        """Create a network; it may overlap no other one."""
        command = model.CreateNetwork(
            data.network,
            data.cidr,
            model.FIRST_HOST if data.gateway is UNSET else data.gateway,
            tuple(data.reserved),
            data.allocation,
            data.reuse_delay_seconds,
        )
        return await idempotency.run(_lane(request), command, request=request, shape=_shape_network, status=201)

    @get("/{network:str}", opt={"scope": "read", "refuses": (errors.UnknownNetwork,)})
    async def read_network(self, network: params.Network, request: HttpRequest) -> wire.Network:
        """Read a network."""
        return _shape_network(await database(request).read_one(addresses.find_network, network))

    @get("/{network:str}/reserved", opt={"scope": "read", "refuses": (errors.UnknownNetwork,)})
    async def list_reserved(self, network: params.Network, request: HttpRequest) -> wire.ReservedRanges:
        """List the ranges that a network's owner reserved."""
        found = await database(request).read(addresses.list_reserved, network)
        return wire.ReservedRanges([wire.ReservedRange(*one) for one in found])

    @delete(
        "/{network:str}",
        status_code=200,
        opt={"scope": "admin", "refuses": (errors.UnknownNetwork, errors.NetworkInUse), "idempotent": True},
    )
    async def delete_network(self, network: params.Network, request: HttpRequest) -> wire.Network:
        """Delete a network to which nothing is assigned; its history stays."""
        command = model.DeleteNetwork(network)
        return await idempotency.run(_lane(request), command, request=request, shape=_shape_network)


HANDLERS = (health, Addresses, Networks)


# ── reads of two parts, in one snapshot ──────────────────────────────────────────────────────────────────────────────


def _page(tx: Any, /, network: str, **page: Any) -> tuple[model.Network, Any]:
    return addresses.find_network(tx, network), addresses.list_assignments(tx, network, **page)


def _orphans(tx: Any, /, network: str, **bounds: Any) -> tuple[model.Network, Any]:
    return addresses.find_network(tx, network), addresses.list_orphans(tx, network, **bounds)


# ── from the wire, and to it ─────────────────────────────────────────────────────────────────────────────────────────


def _allocate(request: HttpRequest, data: wire.Allocate) -> model.Allocate:
    caller = callers.caller(request)
    return model.Allocate(
        _network(request, data.network),
        data.vm_id,
        data.hostname,
        data.ip,
        caller.on_behalf_of(data.owner),
        own_only=caller.limited_to is not None,
    )


def _is_repeated(outcome: model.Assigned) -> bool:
    return not outcome.created


def _assigned(outcome: model.Assigned) -> wire.Assignment:
    return _assignment(outcome.assignment, outcome.network)


def _assignment(one: model.Assignment, network: model.Network) -> wire.Assignment:
    return wire.Assignment(one.ip, one.vm_id, network.gateway, network.cidr, one.hostname)


def _allocated(outcomes: tuple[model.Assigned, ...]) -> wire.Allocated:
    return wire.Allocated([_assigned(one) for one in outcomes])


def _released(outcomes: tuple[model.Assigned, ...]) -> wire.Released:
    return wire.Released([_assigned(one) for one in outcomes])


def _stats(one: model.Stats) -> wire.Stats:
    counts = (one.total, one.allocated, one.reserved, one.resting, one.available)
    return wire.Stats(one.cidr, one.gateway, *counts)


def _shape_network(one: model.Network) -> wire.Network:
    created_at = clock.to_datetime(one.created_at)
    return wire.Network(one.network, one.cidr, one.gateway, one.allocation, one.reuse_delay_seconds, created_at)


def _link(following: str | None, **query: Any) -> dict[str, str]:
    """Return the header that leads to the next page, where there is one."""
    if following is None:
        return {}
    query["after"] = following
    return {"link": f'</api/v1/ip/allocations?{urlencode(query)}>; rel="next"'}
