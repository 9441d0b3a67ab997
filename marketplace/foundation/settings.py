"""Settings: a TOML file, then `MARKETPLACE_…` variables, then flags; the later wins. A wrong one ends in a sentence."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from marketplace.foundation import networks

PREFIX = "MARKETPLACE_"
NOT_SETTINGS = (f"{PREFIX}CONFIG", f"{PREFIX}URL", f"{PREFIX}KEY")
"""Variables of the command line: where the settings file is, which server to talk to, and by which key."""

Port = Annotated[int, Meta(ge=1, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class SettingsError(ValueError):
    """A setting that cannot be used; the message is one sentence for the operator."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Units stand last in a name; a wrong value is refused at start, never later."""

    database_url: str = "sqlite:///marketplace.db"
    """`sqlite:///FILE`, or a libpq URL, several hosts and `target_session_attrs` included."""
    database_pooler: bool = False
    """Postgres is reached through a pooler in transaction mode: no prepared statements, no session settings."""
    read_connections: Annotated[int, Meta(ge=1, le=1000)] = 8

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    auth: Literal["open", "keys"] = "open"
    """Who may call: everybody, as whoever the request names; or members, by their keys."""
    rate_limit_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    """Requests that each key may send, in each process; 0 for no limit."""
    rate_limit_burst: Count = 100
    """Requests that a key may send at once after a rest."""
    trusted_network: bool = False
    """Nobody but friends reaches the address that is listened on, so it may be other than loopback without keys."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers answered besides the loopback names and `host` itself."""
    cors_origins: tuple[str, ...] = ()
    """Origins of foreign pages that may call us, as `https://host[:port]`."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    shutdown_seconds: Seconds = 10.0

    network: str | None = None
    """Network of the address pool that calls without one mean, added where there is none like it."""
    gateway: str | None = None
    """Gateway of `network`; left out, its first host."""
    network_alarm_percent: Annotated[int, Meta(ge=1, le=100)] = 90
    """Share of a network's usable addresses whose use sounds its alarm in the metrics."""

    open_starting_credits: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1000
    """What a wallet opens with where callers have no keys, in whole credits; 0: nothing."""

    auction_order_port: Port | None = None
    """Where solvers that speak lines are told of orders; without the three ports nobody listens for them."""
    auction_bid_port: Port | None = None
    """Where they bid."""
    auction_fulfill_port: Port | None = None
    """Where they say that they have delivered."""

    max_batch: Count = 1000
    """Orders that may share one transaction; 1 means one transaction an order."""
    max_waiting_orders: Count = 20_000
    max_waiting_seconds: Seconds = 2.0

    events_kept_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """Entries of the logs that are older are cut off, once nobody needs them; left out, they are kept for ever."""
    events_archive: Path | None = None
    """A folder where entries are written to before they are cut off."""

    webhook_allowed_hosts: tuple[str, ...] = ()
    """Receivers exempt from the rule that webhooks go by https to global addresses, as `host` or `host:port`."""
    webhook_timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 15.0
    webhook_retry_scale: Annotated[float, Meta(gt=0, le=100)] = 1.0
    """What the pauses between tries are multiplied with; 1 is the schedule of Standard Webhooks, over 75 hours."""
    deliveries_kept_days: Annotated[int, Meta(ge=1, le=36_500)] = 30
    """How long it is told what became of a delivery to a webhook."""

    public_url: str | None = None
    """Where containers reach this service, as `https://host[:port]`: they are told where to ask for their notice."""
    spot_logs_kept_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """How long a container that has ended is kept for its log."""
    spot_simulated_nodes: Annotated[int, Meta(ge=0, le=100)] = 0
    """Nodes that only simulate containers, brought into the pool `default` at start where they are not there."""

    jobs: bool | None = None
    """Run the timed jobs inside `serve`; left out, on the embedded database only."""
    metrics_host: str = "127.0.0.1"
    """Where `work` and `sequencer` listen for Prometheus, to be read by whoever reaches it."""
    metrics_port: Port | None = None
    """Left out, they tell no metrics; `serve` has /metrics on its own port."""
    debug: bool = False
    log_format: Literal["auto", "json", "console"] = "auto"
    access_log: bool = True

    def __post_init__(self) -> None:
        if not self.database_url.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("database_url must begin with sqlite:/// or postgresql://")
        if self.embedded and self.workers > 1:
            raise ValueError(
                "more than one worker needs Postgres: set database_url to a postgresql:// URL, or workers to 1"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: set both or neither")
        for file in filter(None, (self.tls_cert, self.tls_key)):
            if not file.is_file():
                raise ValueError(f"the TLS file {file} does not exist")
        self._check_auction_ports()
        if self.events_archive is not None and not self.events_archive.is_dir():
            raise ValueError(f"events_archive must be a folder that is there, and {self.events_archive} is none")
        for origin in self.cors_origins:
            _check_origin("cors_origins takes origins", origin)
        if self.public_url is not None:
            _check_origin("public_url is an origin", self.public_url)
        subnet = networks.parse_network(self.network or networks.DEFAULT_NETWORK)
        if self.gateway is not None:
            networks.parse_gateway(self.gateway, subnet)
        if self.auth == "open" and self.rate_limit_per_second:
            raise ValueError("rate_limit_per_second counts by key: set auth = keys")
        if self.auth == "open" and not self.trusted_network and not is_loopback(self.host):
            raise ValueError(
                f"without keys the server listens on loopback only, not on {self.host}: "
                "create a key with `marketplace keys create --admin` and set auth = keys, "
                "or set trusted_network = true if only friends can reach that address (a container's network)"
            )

    def _check_auction_ports(self) -> None:
        ports = (self.auction_order_port, self.auction_bid_port, self.auction_fulfill_port)
        if any(ports) and (self.auction_ports is None or len({*ports, self.port}) < 4):
            raise ValueError(
                "auction_order_port, auction_bid_port and auction_fulfill_port go together: set all three, "
                "to ports of their own, or none"
            )

    @property
    def embedded(self) -> bool:
        """Whether the database is an SQLite file of our own."""
        return self.database_url.startswith("sqlite:")

    @property
    def auction_ports(self) -> tuple[int, int, int] | None:
        """Where to listen for solvers that speak lines: of orders, bids, and what is delivered."""
        orders, bids, fulfilments = self.auction_order_port, self.auction_bid_port, self.auction_fulfill_port
        return None if orders is None or bids is None or fulfilments is None else (orders, bids, fulfilments)

    @property
    def starting_credits(self) -> int:
        """Credits that a wallet opens with; where members have keys, none."""
        return self.open_starting_credits if self.auth == "open" else 0

    @property
    def runs_jobs(self) -> bool:
        return self.embedded if self.jobs is None else self.jobs


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge the three sources into settings. Flags that are None count as not given. Raises SettingsError."""
    values = _read_file(file) if file else {}
    values |= _read_environment(environment or {})
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return msgspec.convert(values, Settings, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError(_sentence(str(error))) from None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {file} is not valid TOML: {error}.") from None


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Take the variables that name a setting; lists are separated by commas. Unknown names are refused."""
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or variable.startswith(f"{PREFIX}TEST_"):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in fields:
            raise SettingsError(f"{variable} names no setting; see `marketplace serve --help`.")
        is_list = isinstance(fields[name].default, tuple)
        values[name] = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
    return values


def _check_origin(what: str, origin: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"{what} such as https://example.org, not {origin!r}")


def _sentence(message: str) -> str:
    """Turn a validation message into a sentence that names the setting first."""
    problem, _, path = message.partition(" - at `$.")
    if path:
        return f"The setting {path.rstrip('`')} is wrong: {problem[0].lower()}{problem[1:]}."
    return f"The settings cannot be used: {message.removesuffix('.')}."
