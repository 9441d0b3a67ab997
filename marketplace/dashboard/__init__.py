"""The dashboard: pages to look at the markets and to act in them. It shows, and decides nothing.

A page calls the same reads and commands as the API, for the same caller, who has the same permissions; nobody can do on
a page what their key could not do. How a page goes: `http.callers` asks `visits` who has signed in; the page's own file
reads what it shows and renders it; its stream (`live`) sends what has changed since; what somebody fills in (`forms`)
goes to the module's lane. Pages work without JavaScript, and load nothing from anywhere else.

A page is a file with HANDLERS: it joins PAGES here, NAVIGATION in `pages`, and the layers in pyproject.toml.

    pages/files/texts   templates and the headers of a page; what pages load; how things are written
    visits              the cookie, who has signed in, as whom they act
    pulses              that something of what a page shows has happened
    forms, live         what is sent here; what is sent there
    hours, spot, leases, nodes, auctions, addresses, wallet, members, webhooks, health, signing_in
                        the pages, one file each

    HANDLERS, state()   what the application takes
    caller_of()         who has signed in, for the guard
"""

from typing import Any

from litestar import Router

from marketplace.dashboard import (
    addresses,
    auctions,
    errors,
    files,
    health,
    hours,
    leases,
    live,
    members,
    nodes,
    pages,
    signing_in,
    spot,
    wallet,
    webhooks,
)
from marketplace.dashboard.visits import AUTHENTICATION, caller_of

PAGES = (signing_in, hours, spot, leases, auctions, addresses, wallet, health, nodes, members, webhooks)

HANDLERS = (
    files.read_file,
    Router(
        path="/",
        route_handlers=[handler for page in PAGES for handler in page.HANDLERS],
        exception_handlers=dict(pages.EXCEPTION_HANDLERS),
        opt={"page": True},
        include_in_schema=False,
    ),
)


def state() -> dict[str, Any]:
    """Return what the application's state has to hold for pages."""
    return {live.SHARED: live.Shared(), **health.state(), **hours.state()}


__all__ = ["AUTHENTICATION", "HANDLERS", "caller_of", "errors", "state"]
