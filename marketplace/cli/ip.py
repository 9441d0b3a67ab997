"""`ip`: the address pool from the keyboard and from scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.client import Client
    from marketplace.wire import addresses

Network = Annotated[str | None, Parameter(help="The network's name; the server's default one where it is left out.")]
Json = Annotated[bool, Parameter(negative="", help="A JSON document, for other programs.")]


def allocate(
    vm_id: str,
    *,
    hostname: str | None = None,
    ip: str | None = None,
    owner: str | None = None,
    network: Network = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Give a VM an address that nobody else has. One that has an address gets the same again.

    Parameters
    ----------
    vm_id
        The VM: letters, digits and . _ : @ -
    hostname
        Its DNS name; replaces a stored one.
    ip
        The very address to give, in any spelling.
    owner
        Who it is for.
    """
    with connect(url, key) as client:
        found = client.allocate_ip(vm_id, hostname=hostname, network=network, ip=ip, owner=owner)
    _print_one(found, as_json=json)


def release(
    vm_id: str | None = None,
    *,
    ip: str | None = None,
    network: Network = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Take back the address of a VM, or with --ip an address from whoever has it.

    Parameters
    ----------
    vm_id
        The VM.
    ip
        The address, in place of the VM.
    """
    if (vm_id is None) == (ip is None):
        raise terminal.Stop("Name either a VM or, with --ip, an address.", exit_code=2)
    with connect(url, key) as client:
        released = (
            client.release_ip(vm_id, network=network) if vm_id else client.release_address(str(ip), network=network)
        )
    if json:
        terminal.print_json(released)
    else:
        terminal.output().print(f"{released.vm_id} gave {released.ip} back.", soft_wrap=True)


def show(vm_id: str, *, network: Network = None, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Print which address a VM has.

    Parameters
    ----------
    vm_id
        The VM.
    """
    with connect(url, key) as client:
        _print_one(client.assigned_ip(vm_id, network=network), as_json=json)


def list_(
    *,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 1000,
    network: Network = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List who has which address, by address.

    Parameters
    ----------
    limit
        How many at most.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit,
            lambda size: client.assigned_ips(network=network, page_size=size),
            lambda rows: _print_many(rows, nothing="No assignments."),
            as_json=json,
        )


def stats(*, network: Network = None, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Count the addresses of a network."""
    with connect(url, key) as client:
        found = client.ip_stats(network=network)
    if json:
        terminal.print_json(found)
    else:
        _print_stats([(network, found)])


def networks(*, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List the networks, with their counts."""
    with connect(url, key) as client:
        found = list(client.networks())
        if json:
            terminal.print_json(*found)
        else:
            _print_stats(_counted(client, found))


def reconcile(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    grace_seconds: int = 3600,
    apply: Annotated[bool, Parameter(negative="")] = False,
    network: Network = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Find addresses whose VM is gone: not named in a file of live VMs, one a line.

    Parameters
    ----------
    file
        The file; - for standard input.
    grace_seconds
        Leave alone what was given out since.
    apply
        Release what is found.
    """
    live = _read_live(file)
    orphans: list[addresses.Assignment] = []
    with connect(url, key) as client:
        while True:
            found = client.reconcile_ips(live, grace_seconds=grace_seconds, apply=apply, network=network)
            orphans += found.orphans
            if not (found.more and apply):  # a dry run would find the same ones again
                break
    _print_many(orphans, nothing="No orphans.")
    if orphans:
        count = f"{len(orphans)}{' or more' if found.more else ''}"
        terminal.output().print(f"Released: {count}." if apply else f"To release with --apply: {count}.", style="dim")


def _read_live(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise terminal.Stop(f"The file {file} cannot be read: {error}.", exit_code=2) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _counted(client: Client, found: list[addresses.Network]) -> list[tuple[str | None, addresses.Stats]]:
    return [(one.network, client.ip_stats(network=one.network)) for one in found]


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_one(one: addresses.Assignment, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(one)
    else:
        gateway = f", gateway {one.gateway}" if one.gateway else ""
        terminal.output().print(f"{one.vm_id} has {one.ip} in {one.network}{gateway}.", soft_wrap=True)


def _print_many(rows: list[addresses.Assignment], *, nothing: str) -> None:
    shown = terminal.table("address", "vm", "hostname", "network")
    for one in rows:
        terminal.add_row(shown, one.ip, one.vm_id, one.hostname, one.network)
    terminal.output().print(shown if rows else nothing)


def _print_stats(rows: list[tuple[str | None, addresses.Stats]]) -> None:
    numbers = ("total", "allocated", "reserved", "resting", "available")
    names = ["name"] if any(name for name, _ in rows) else []
    shown = terminal.table(*names, "network", "gateway", *numbers, right=numbers)
    for name, one in rows:
        counts = (one.total, one.allocated, one.reserved, one.resting, one.available)
        terminal.add_row(shown, *([name] if names else []), one.network, one.gateway, *counts)
    terminal.output().print(shown if rows else "No networks.")
