"""The pages of pools and nodes: what there is to run on, whether it lives, and taking it in and out."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from marketplace import events, spot
from marketplace.dashboard import containers, forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import money
from marketplace.database.log import read_head
from marketplace.foundation import clock, errors
from marketplace.foundation.clock import Instant
from marketplace.http import cursors, params
from marketplace.http.resources import database, resources
from marketplace.wire import spot_pools as wire

HERE, TAB = "admin", "nodes"
HOME = "/dashboard/admin/pools"
ROWS = 100
BEAT_SECONDS = 5.0
"""How often to look at the nodes' signs of life, which are no entries of the log."""


class Nodes(NamedTuple):
    """A page of a pool's nodes, by name."""

    pool: spot.Pool
    nodes: list[spot.NodeUse]
    now: Instant
    seq: int


def read_nodes(tx: Any, /, pool: str, *, after: str | None) -> Nodes:
    """Read a pool with its nodes. Run it in a snapshot. Raises UnknownPool."""
    found = spot.list_nodes(tx, pool, after=after, limit=ROWS)
    return Nodes(spot.find_pool(tx, pool), found, clock.now(), read_head(tx, money.LANE).last_seq)


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@get(HOME, opt={"scope": "read"})
async def home(request: HttpRequest) -> Response[str]:
    """Show the pool that is meant where none is named."""
    return await _page(request, spot.DEFAULT_POOL, None)


@get(f"{HOME}/{{pool:str}}", opt={"scope": "read"})
async def show(pool: params.Market, request: HttpRequest, after: params.AfterName = None) -> Response[str]:
    """Show a pool with its nodes."""
    return await _page(request, pool, after)


@get(f"{HOME}/{{pool:str}}/stream", opt={"scope": "read"})
async def follow(pool: params.Market, request: HttpRequest) -> Stream:
    """Follow a pool's nodes."""
    viewer = visits.viewer(request)

    async def read(_at_least: int) -> Parts:
        found = await database(request).read(read_nodes, pool, after=None)
        return Parts(found.seq, {"nodes": _render(request, viewer, found)})

    wanted = events.Wanted(topics=frozenset((spot.TOPIC,)), subject=pool)
    return live.respond(request, Watched(money.LANE, wanted, read, every_seconds=BEAT_SECONDS))


async def _page(request: HttpRequest, pool: str, after: str | None) -> Response[str]:
    viewer = visits.viewer(request)
    found = await database(request).read(read_nodes, pool, after=cursors.to_name(after))
    return pages.page(
        request,
        "admin/pool.html",
        here=HERE,
        tab=TAB,
        viewer=viewer,
        pool=found.pool,
        pools=await database(request).read_one(spot.list_pools, after=None, limit=params.DEFAULT_PAGE),
        backends=spot.backends(),
        parts={"nodes": _render(request, viewer, found)},
        stream=f"{HOME}/{pool}/stream?after={money.LANE}:{found.seq}" if after is None else None,
        once=forms.once,
    )


def _render(request: HttpRequest, viewer: Viewer, found: Nodes) -> str:
    more = cursors.next_after(found.nodes, ROWS, lambda one: cursors.of_name(one.node))
    token = visits.form_token(request)
    return pages.render("admin/nodes_table.html", found=found, viewer=viewer, token=token, more=more)


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post(HOME, status_code=200, opt={"scope": "admin"})
async def open_pool(request: HttpRequest) -> Response[str]:
    """Open a pool."""
    form = await forms.read(request)
    data = form.as_(wire.NewPool, unit_cpu_millis=containers.cpu_millis(form))
    command = spot.OpenPool(spot.parsing.pool(data))
    return await _run(request, form, data.pool, command, lambda made: f"The pool {made.pool} is open.")


@post(f"{HOME}/{{pool:str}}", status_code=200, opt={"scope": "admin"})
async def change_pool(pool: params.Market, request: HttpRequest) -> Response[str]:
    """Change what a pool decides by."""
    form = await forms.read(request)
    before = await database(request).read_one(spot.find_pool, pool)
    command = spot.parsing.pool_change(pool, form.as_(wire.PoolChange), before=before)
    return await _run(request, form, pool, command, lambda made: f"The pool {made.pool} decides by this now.")


@post(f"{HOME}/{{pool:str}}/nodes", status_code=200, opt={"scope": "admin"})
async def add(pool: params.Market, request: HttpRequest) -> Response[str]:
    """Bring a node in, or change what it offers."""
    form = await forms.read(request)
    settings = _settings(form.text("settings") or "{}")
    data = form.as_(wire.NewNode, cpu_millis=containers.cpu_millis(form), settings=settings)
    provider = visits.viewer(request).caller.on_behalf_of(data.provider) or spot.OPERATOR
    command = spot.parsing.node(pool, data, provider=provider)
    await spot.check_node(command.backend, command.owner, command.settings, database_url=database(request).url)
    return await _run(request, form, pool, command, _say_node)


@post(f"{HOME}/{{pool:str}}/nodes/{{node:str}}", status_code=200, opt={"scope": "supply"})
async def change(pool: params.Market, node: params.Market, request: HttpRequest) -> Response[str]:
    """Cordon a node, drain it, or make it ready."""
    form = await forms.read(request)
    state = form.as_(wire.NodeChange).state
    command = spot.SetNode(pool=pool, node=node, state=state, provider=visits.viewer(request).caller.limited_to)
    return await _run(request, form, pool, command, _say_node)


@post(f"{HOME}/{{pool:str}}/nodes/{{node:str}}/remove", status_code=200, opt={"scope": "supply"})
async def remove(pool: params.Market, node: params.Market, request: HttpRequest) -> Response[str]:
    """Take a node out for good; nothing may be on it any more."""
    form = await forms.read(request)
    command = spot.RemoveNode(pool, node, visits.viewer(request).caller.limited_to)
    return await _run(request, form, pool, command, lambda _none: f"The node {node} is out of the pool.")


async def _run(request: HttpRequest, form: forms.Form, pool: str, command: Any, say: Any) -> Response[str]:
    said = await forms.run(request, form, resources(request).lanes[money.LANE], command, say=say)
    return forms.answer(request, said, back=f"{HOME}/{pool}", here=HERE)


def _settings(text: str) -> dict[str, Any]:
    """Read a backend's settings. Raises Invalid."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return msgspec.json.decode(text, type=dict[str, Any])
    raise errors.Invalid('The settings are an object in JSON, such as {"url": "…"}.', field="settings")


def _say_node(node: spot.NodeRow) -> str:
    return f"The node {node.node} is {node.state}."


HANDLERS = (
    home, show, follow, open_pool, change_pool, add, change, remove,
)  # fmt: skip
