"""The pages of the address pool: networks, a map of 256 addresses at a time, who has what, and giving it back."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Stream

from marketplace import addresses, events
from marketplace.dashboard import forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import Lane
from marketplace.database.log import read_head
from marketplace.foundation import errors
from marketplace.http import params
from marketplace.http.resources import database, resources
from marketplace.wire import addresses as wire

HERE = "addresses"
BLOCK = 256
SIDE = 16
MAX_FOUND = 100

Block = Annotated[str, QueryParameter(pattern=r"^[0-9]{1,39}$", description="which 256 addresses of the network")]
Query = Annotated[str, QueryParameter(max_length=253)]


class Square(NamedTuple):
    """One address of a map: where it is drawn, and what it is."""

    x: int
    y: int
    kind: str
    text: str


class Map(msgspec.Struct, frozen=True):
    """A block of 256 addresses of a network; `number` counts the blocks from 0, the last one is `last`."""

    network: addresses.Network
    stats: addresses.Stats
    number: int
    last: int
    first_ip: str
    squares: list[Square]
    assignments: list[addresses.Assignment]
    seq: int


def read_map(tx: Any, /, network: str, *, block: int, owner: str | None) -> Map:
    """Read a block; of an owner, or of everybody. Run it in a snapshot. Raises UnknownNetwork."""
    found = addresses.find_network(tx, network)
    first = found.base - found.base % BLOCK
    last = (found.last - first) // BLOCK
    number = min(block, last)
    start = first + number * BLOCK - found.base  # as an offset; that of the first block may be before the network
    after = start - 1 if start > 0 else None
    mine = addresses.list_assignments(tx, network, owner=owner, after=after, limit=BLOCK)
    here = [one for one in mine if one.offset < start + BLOCK]
    reserved = addresses.list_reserved(tx, network)
    return Map(
        found,
        addresses.network_stats(tx, network),
        number,
        last,
        _ip(found, start),
        list(_squares(found, start, here, reserved)),
        here,
        read_head(tx, addresses.LANE).last_seq,
    )


def _squares(
    network: addresses.Network, start: int, here: list[addresses.Assignment], reserved: list[tuple[str, str]]
) -> Iterator[Square]:
    """Yield what is drawn: free addresses are the ground, and not among them."""
    taken = {one.offset: one for one in here}
    ranges = [(_offset(network, first), _offset(network, last)) for first, last in reserved]
    if network.gateway is not None:
        ranges.append((_offset(network, network.gateway),) * 2)
    for place in range(BLOCK):
        offset = start + place
        x, y = place % SIDE, place // SIDE
        if not 0 <= offset < network.size or _is_no_host(network, offset):
            yield Square(x, y, "outside", "")
        elif one := taken.get(offset):
            yield Square(x, y, "taken", f"{one.ip} {one.vm_id}")
        elif any(first <= offset <= last for first, last in ranges):
            yield Square(x, y, "reserved", f"{_ip(network, offset)} reserved")


def _is_no_host(network: addresses.Network, offset: int) -> bool:
    """Tell whether it is the address of the network itself, or its broadcast."""
    return network.total < network.size and (offset == 0 or (network.version == 4 and offset == network.size - 1))


def _offset(network: addresses.Network, ip: str) -> int:
    return int(ipaddress.ip_address(ip)) - network.base


def _ip(network: addresses.Network, offset: int) -> str:
    kind = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return str(kind(network.base + offset))


# ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_networks(tx: Any, /) -> tuple[list[addresses.Stats], int]:
    """Read the counts of all networks. Run it in a snapshot."""
    return addresses.list_stats(tx, after=None, limit=1000), read_head(tx, addresses.LANE).last_seq


@get("/dashboard/addresses", opt={"scope": "read"})
async def home(request: HttpRequest, q: Query = "") -> Response[str]:
    """Show the networks, and what is searched for."""
    stats, seq = await database(request).read(read_networks)
    return pages.page(
        request,
        "addresses/page.html",
        here=HERE,
        viewer=(viewer := visits.viewer(request)),
        parts={"networks": pages.render("addresses/networks.html", networks=stats)},
        stream=f"/dashboard/addresses/stream?after={addresses.LANE}:{seq}",
        query=q,
        found=await _search(request, q.strip(), viewer.caller.limited_to) if q.strip() else None,
        once=forms.once,
    )


@get("/dashboard/addresses/stream", opt={"scope": "read"})
async def follow_networks(request: HttpRequest) -> Stream:
    """Follow all networks."""

    async def make() -> Parts:
        stats, seq = await database(request).read(read_networks)
        return Parts(seq, {"networks": pages.render("addresses/networks.html", networks=stats)})

    async def read(at_least: int) -> Parts:
        return await live.shared(request).get("networks", at_least, make)

    return live.respond(request, Watched(addresses.LANE, events.Wanted(), read))


async def _search(request: HttpRequest, text: str, owner: str | None) -> list[addresses.Assigned]:
    """Return what a VM's name, an address or a hostname means, in any network, as far as the caller may see."""

    def search(tx: Any, /) -> list[addresses.Assigned]:
        found: dict[tuple[str, int], addresses.Assigned] = {}
        for network in addresses.list_networks(tx, after=None, limit=1000):
            for one in _find(tx, network, text):
                if owner is None or one.assignment.owner == owner:
                    found[network.network, one.assignment.offset] = one
            if len(found) >= MAX_FOUND:
                break
        return list(found.values())

    return await database(request).read(search)


def _find(tx: Any, network: addresses.Network, text: str) -> Iterator[addresses.Assigned]:
    for find in (addresses.find_assignment, addresses.find_address):
        with contextlib.suppress(errors.Refusal):
            yield find(tx, network.network, text)
    for one in addresses.find_hostname(tx, network.network, text, limit=MAX_FOUND):
        yield addresses.Assigned(one, network)


# ── one network ──────────────────────────────────────────────────────────────────────────────────────────────────────


@get("/dashboard/addresses/{network:str}", opt={"scope": "read"})
async def show(network: params.Network, request: HttpRequest, block: Block = "0") -> Response[str]:
    """Show a network, 256 addresses at a time."""
    viewer = visits.viewer(request)
    found = await database(request).read(read_map, network, block=int(block), owner=viewer.caller.limited_to)
    return pages.page(
        request,
        "addresses/network.html",
        here=HERE,
        viewer=viewer,
        network=network,
        parts={"block": _render(request, found)},
        stream=f"/dashboard/addresses/{network}/stream?block={found.number}&after={addresses.LANE}:{found.seq}",
        once=forms.once,
    )


@get("/dashboard/addresses/{network:str}/stream", opt={"scope": "read"})
async def follow(network: params.Network, request: HttpRequest, block: Block = "0") -> Stream:
    """Follow a network."""
    owner = visits.viewer(request).caller.limited_to

    async def read(_at_least: int) -> Parts:
        found = await database(request).read(read_map, network, block=int(block), owner=owner)
        return Parts(found.seq, {"block": _render(request, found)})

    return live.respond(request, Watched(addresses.LANE, events.Wanted(subject=network), read))


def _render(request: HttpRequest, found: Map) -> str:
    viewer = visits.viewer(request)
    return pages.render("addresses/block.html", map=found, viewer=viewer, token=visits.form_token(request))


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post("/dashboard/addresses/{network:str}/allocate", status_code=200, opt={"scope": "trade"})
async def allocate(network: params.Network, request: HttpRequest) -> Response[str]:
    """Give a VM an address."""
    form = await forms.read(request)
    data = form.as_(wire.Allocate)
    caller = visits.viewer(request).caller
    command = addresses.Allocate(
        network,
        data.vm_id,
        data.hostname,
        data.ip,
        caller.on_behalf_of(data.owner),
        own_only=caller.limited_to is not None,
    )
    return await _run(request, form, network, command, _say_given)


@post("/dashboard/addresses/{network:str}/release", status_code=200, opt={"scope": "trade"})
async def release(network: params.Network, request: HttpRequest) -> Response[str]:
    """Take back the address that a VM had when the page was made; one that it got since is left alone."""
    form = await forms.read(request)
    vm_id, seq = form.text("vm_id"), form.text("seq")
    if vm_id is None or seq is None or not (seq.isascii() and seq.isdigit() and len(seq) < 19):
        raise errors.Invalid("The form does not say whose address it is.")
    owner = visits.viewer(request).caller.limited_to
    command = addresses.ReleaseOrphans(network, ((vm_id, int(seq)),), owner)
    return await _run(request, form, network, command, _say_released)


@post("/dashboard/addresses", status_code=200, opt={"scope": "admin"})
async def create_network(request: HttpRequest) -> Response[str]:
    """Create a network."""
    form = await forms.read(request)
    data = form.as_(wire.NewNetwork)
    gateway = data.gateway or addresses.FIRST_HOST
    command = addresses.CreateNetwork(data.network, data.cidr, gateway, (), data.allocation, data.reuse_delay_seconds)
    return await _run(request, form, data.network, command, lambda made: f"The network {made.network} is {made.cidr}.")


async def _run(request: HttpRequest, form: forms.Form, network: str, command: Any, say: Any) -> Response[str]:
    said = await forms.run(request, form, _lane(request), command, say=say)
    return forms.answer(request, said, back=f"/dashboard/addresses/{network}", here=HERE)


def _say_given(outcome: addresses.Assigned) -> str:
    one = outcome.assignment
    return f"{one.vm_id} {'has now' if outcome.created else 'had already'} {one.ip}."


def _say_released(outcome: tuple[addresses.Assigned, ...]) -> str:
    if not outcome:
        return "It was given back already."
    return f"{outcome[0].assignment.ip} was taken back from {outcome[0].assignment.vm_id}."


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[addresses.LANE]


HANDLERS = (
    home, follow_networks, show, follow, allocate, release, create_network,
)  # fmt: skip
