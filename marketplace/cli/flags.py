"""Every setting as a flag, in groups that commands take as they need them."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from marketplace.cli.terminal import Stop

if TYPE_CHECKING:
    from marketplace.foundation.settings import Settings

CONFIG_VARIABLE = "MARKETPLACE_CONFIG"

NETWORK = Group.create_ordered("Network")
DATABASE = Group.create_ordered("Database")
ADDRESSES = Group.create_ordered("Addresses")
WALLETS = Group.create_ordered("Wallets")
AUCTIONS = Group.create_ordered("Auctions")
LANES = Group.create_ordered("Lanes")
EVENTS = Group.create_ordered("Events")
SPOT = Group.create_ordered("Spot market")
OTHER = Group.create_ordered("Logs and processes")


def _flag(*names: str, help: str, group: Group) -> Parameter:  # noqa: A002
    return Parameter(name=names or None, help=help, group=group)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatabaseFlags:
    config: Annotated[
        Path | None,
        Parameter(
            env_var=CONFIG_VARIABLE, help="A TOML file of settings; variables and flags win over it.", group=OTHER
        ),
    ] = None
    database_url: Annotated[
        str | None, _flag(help="sqlite:///FILE (default sqlite:///marketplace.db) or postgresql://…", group=DATABASE)
    ] = None
    database_pooler: Annotated[
        bool | None, _flag(help="Postgres is reached through a pooler in transaction mode.", group=DATABASE)
    ] = None
    read_connections: Annotated[int | None, _flag(help="Connections for reads, a worker (8).", group=DATABASE)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LogFlags:
    debug: Annotated[
        bool | None, _flag("--debug", "-d", help="Log everything, and show errors with their stack.", group=OTHER)
    ] = None
    log_format: Annotated[
        Literal["auto", "json", "console"] | None,
        _flag(help="Shape of the log; auto is console at a terminal, else json.", group=OTHER),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LaneFlags:
    max_batch: Annotated[
        int | None, _flag(help="Orders that may share a transaction (1000); 1 gives each its own.", group=LANES)
    ] = None
    max_waiting_orders: Annotated[
        int | None, _flag(help="Orders that may wait before more are turned away (20000).", group=LANES)
    ] = None
    max_waiting_seconds: Annotated[
        float | None, _flag(help="How long one may wait before more are turned away (2).", group=LANES)
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EventFlags:
    events_kept_days: Annotated[
        int | None, _flag(help="Cut entries off the logs after so many days (never).", group=EVENTS)
    ] = None
    events_archive: Annotated[
        Path | None, _flag(help="A folder where entries are written to before that.", group=EVENTS)
    ] = None
    webhook_allowed_hosts: Annotated[
        tuple[str, ...] | None,
        _flag(help="host or host:port of a webhook that may be private, or plain http; may be repeated.", group=EVENTS),
    ] = None
    webhook_timeout_seconds: Annotated[
        float | None, _flag(help="How long a webhook's receiver may take (15).", group=EVENTS)
    ] = None
    webhook_retry_scale: Annotated[
        float | None, _flag(help="What the pauses between tries are multiplied with (1).", group=EVENTS)
    ] = None
    deliveries_kept_days: Annotated[
        int | None, _flag(help="How long it is told what became of a delivery (30).", group=EVENTS)
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SpotFlags:
    public_url: Annotated[
        str | None, _flag(help="Where containers reach this service, to ask for their notice.", group=SPOT)
    ] = None
    spot_logs_kept_seconds: Annotated[
        float | None, _flag(help="How long a container that has ended is kept for its log (600).", group=SPOT)
    ] = None
    spot_simulated_nodes: Annotated[
        int | None, _flag(help="Nodes to bring in at start that only simulate containers (0).", group=SPOT)
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MetricsFlags:
    metrics_host: Annotated[str | None, _flag(help="The address to tell metrics on (127.0.0.1).", group=NETWORK)] = None
    metrics_port: Annotated[int | None, _flag(help="Tell Prometheus here (nowhere).", group=NETWORK)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LineFlags:
    auction_order_port: Annotated[
        int | None, _flag(help="Tell solvers of orders here, a line each (nowhere).", group=AUCTIONS)
    ] = None
    auction_bid_port: Annotated[int | None, _flag(help="Take their bids here (nowhere).", group=AUCTIONS)] = None
    auction_fulfill_port: Annotated[
        int | None, _flag(help="Hear here what they have delivered (nowhere).", group=AUCTIONS)
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListenFlags:
    host: Annotated[str | None, _flag(help="The address to listen on (127.0.0.1).", group=NETWORK)] = None
    auth: Annotated[
        Literal["open", "keys"] | None, _flag(help="Who may call: everybody (open), or members by key.", group=NETWORK)
    ] = None
    trusted_network: Annotated[
        bool | None, _flag(help="Only friends reach the address, so it may be other than loopback.", group=NETWORK)
    ] = None
    tls_cert: Annotated[Path | None, _flag(help="Certificate chain (PEM), to serve TLS.", group=NETWORK)] = None
    tls_key: Annotated[Path | None, _flag(help="Its private key (PEM).", group=NETWORK)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServerFlags:
    host: Annotated[str | None, _flag(help="The address to listen on (127.0.0.1).", group=NETWORK)] = None
    port: Annotated[int | None, _flag("--port", "-p", help="The port to listen on (8080).", group=NETWORK)] = None
    workers: Annotated[int | None, _flag(help="Server processes (1); more than one needs Postgres.", group=OTHER)] = (
        None
    )
    auth: Annotated[
        Literal["open", "keys"] | None, _flag(help="Who may call: everybody (open), or members by key.", group=NETWORK)
    ] = None
    rate_limit_per_second: Annotated[
        float | None, _flag(help="Requests that a key may send, a process; 0 for no limit (0).", group=NETWORK)
    ] = None
    rate_limit_burst: Annotated[
        int | None, _flag(help="Requests that a key may send at once after a rest (100).", group=NETWORK)
    ] = None
    trusted_network: Annotated[
        bool | None, _flag(help="Only friends reach the address, so it may be other than loopback.", group=NETWORK)
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...] | None, _flag(help="A further Host header to answer; may be repeated.", group=NETWORK)
    ] = None
    cors_origins: Annotated[
        tuple[str, ...] | None, _flag(help="An origin whose pages may call us; may be repeated.", group=NETWORK)
    ] = None
    network: Annotated[
        str | None,
        _flag("--network", "-n", help="Addresses to give out: a CIDR, or 172.16.0 for its /24.", group=ADDRESSES),
    ] = None
    gateway: Annotated[
        str | None, _flag("--gateway", "-g", help="Gateway of that network (its first host).", group=ADDRESSES)
    ] = None
    network_alarm_percent: Annotated[
        int | None, _flag(help="Use of a network that sounds its alarm in /metrics (90).", group=ADDRESSES)
    ] = None
    open_starting_credits: Annotated[
        int | None, _flag(help="Credits that a wallet opens with, without keys (1000).", group=WALLETS)
    ] = None
    tls_cert: Annotated[Path | None, _flag(help="Certificate chain (PEM), to serve https.", group=NETWORK)] = None
    tls_key: Annotated[Path | None, _flag(help="Its private key (PEM).", group=NETWORK)] = None
    shutdown_seconds: Annotated[
        float | None, _flag(help="How long requests under way may take to end at a stop (10).", group=OTHER)
    ] = None
    jobs: Annotated[bool | None, _flag(help="Run the timed jobs here too (default: on SQLite only).", group=OTHER)] = (
        None
    )
    access_log: Annotated[bool | None, _flag(help="Log a line for each request (on).", group=OTHER)] = None


FlagGroup = (
    DatabaseFlags | LogFlags | LaneFlags | EventFlags | SpotFlags | MetricsFlags | LineFlags | ListenFlags | ServerFlags
)


def load_settings(*groups: FlagGroup | None) -> Settings:
    """Merge file, environment and the flags given. A wrong setting ends the command with exit code 2."""
    from marketplace.foundation import settings

    given: dict[str, Any] = {}
    for group in groups:
        if group is None:
            continue
        given |= {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    file = given.pop("config", None)
    try:
        return settings.load(file=file, environment=os.environ, flags=given)
    except settings.SettingsError as error:
        raise Stop(str(error), exit_code=2) from None
