"""What a schema cannot say, and a run of Schemathesis must know.

An integer is written as an integer: JSON Schema takes 3.0 for one, and we refuse it. An Idempotency-Key belongs to one
request: the same one over another is refused (422), which is no matter of either's own shape. Text of the right shape
is not yet an amount of the asset or an address of the network that is meant, nor the name of something that there is:
where the shape is right, it is replaced by one that is. And where callers have no keys, a request says who it is for.
"""

from __future__ import annotations

import re
import uuid
import zlib
from typing import Any
from urllib.parse import unquote

import schemathesis

KEY = "Idempotency-Key"
WORDS = r"(?=.{1,512}$)[a-z_]+(,[a-z_]+)*"
NAME = r"[a-z0-9][a-z0-9_.-]{0,63}"
LEASE_ID = 3
"""The one that there is."""
VMS = [f"vm-{number}" for number in range(5)]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    case.body = _with_plain_integers(case.body)
    if case.headers and re.fullmatch("[!-~]{1,255}", str(case.headers.get(KEY, ""))):
        case.headers[KEY] = uuid.uuid4().hex
    _mean_what_there_is_in_paths(case)
    if isinstance(case.body, dict):
        _mean_what_there_is(case)


def _mean_what_there_is_in_paths(case: Any) -> None:
    if case.path.endswith("/events") and isinstance(case.query, dict):
        case.query.pop("wait_seconds", None)  # it would wait
        _replace(case.query, "topic", WORDS, lambda _: "hours")
        _replace(case.query, "kind", WORDS, lambda _: "bid_placed,market_created")
    if "/auctions/" in case.path:
        if isinstance(case.query, dict):
            case.query.pop("wait_seconds", None)
        for fields in (case.path_parameters, case.query):
            _replace(fields, "book", NAME, lambda _: "default")
    if "/ip/" in case.path:
        _replace(case.path_parameters, "vm_id", r"[\w.:@-]{1,128}", lambda number: VMS[number % len(VMS)])
        _replace(case.path_parameters, "ip", r".{2,45}", _address)
        _replace(case.query, "network", r"[a-z0-9][a-z0-9_.-]{0,63}", lambda _: "default")
    if case.path in ("/allocation", "/api/v1/spot/bills"):
        case.query = {"username": "u1"} | dict(case.query or {})
    if "/spot/pools/" in case.path and case.method == "PATCH":
        # What the pool refused from then on, bids would be refused.
        _replace(case.path_parameters, "pool", "default", lambda _: "gone")
    if "/spot/leases/" in case.path and type(case.path_parameters.get("lease_id")) is int:
        case.path_parameters["lease_id"] = LEASE_ID if case.path_parameters["lease_id"] > 0 else 0


def _mean_what_there_is(case: Any) -> None:
    if case.path == "/api/v1/keys" and case.body.get("username") is None:
        case.body["username"] = "u1"
    orders = case.body.get("orders")
    for one in [case.body, *(orders if isinstance(orders, list) else [])]:
        if isinstance(one, dict) and {"volume", "price"} <= one.keys() and case.method == "POST":
            one.setdefault("username", "u1")
    requests = case.body.get("requests")
    for one in [case.body, *(requests if isinstance(requests, list) else [])]:
        _replace(one, "ip", r".{2,45}", _address)
    if case.path.endswith("/networks"):
        _replace(case.body, "cidr", r".{3,64}", lambda number: f"fd{number % 256:02x}:{number >> 16:x}::/64")
        _replace(case.body, "gateway", r".{2,45}", lambda _: None)
        _empty(case.body, "reserved", r".{2,91}")
    if "/auctions/" in case.path:
        _make_an_order_or_a_bid_of(case.body, case.path)
    if "/webhooks" in case.path:
        _make_a_webhook_of(case.body)
    if "/spot/" in case.path:
        _make_sense_on_the_spot_market(case.body, of_bid="/bids" in case.path, is_new=case.method == "POST")
    if re.search("/(transfers|wallets/)", case.path):
        for name in ("amount", "credit_limit", "low_balance"):
            _replace(case.body, name, r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?", lambda number: f"{number % 9 + 1}.5")
        _replace(case.body, "asset", r"[a-z0-9][a-z0-9_.-]{0,63}", lambda _: "credit")
        if "to" in case.body and case.body.get("username") in (None, case.body["to"]):
            case.body["username"] = "payer"


def _make_an_order_or_a_bid_of(body: dict[str, Any], path: str) -> None:
    """Give a body of the right shape amounts, assets and times that can be, and say who it is for."""
    who = "username" if path.endswith("/orders") else "solver"
    if not path.endswith("/books") and "/books/" not in path and body.get(who) is None:
        body[who] = "u1"
    for name in ("limit_output", "input_budget", "max_input", "amount", "bond"):
        _replace(body, name, r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?", lambda number: f"{number % 9 + 1}.5")
    for name in ("input_asset", "output_asset"):
        _replace(body, name, NAME, lambda _: "credit")
    if path.endswith("/orders"):
        _replace(body, "book", NAME, lambda _: "default")
        if isinstance(body.get("payload"), dict):
            body["payload"] = {"keys": len(body["payload"])}  # no null character, and not too long
    _replace(body, "conversion_rate", r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,18})?", lambda number: f"{number % 9 + 1}.25")
    for name in ("expires_at", "valid_till"):
        _replace(body, name, r"\d{4}-\d\d-\d\dT.*", lambda _: "2099-01-01T00:00:00Z")


def _make_a_webhook_of(body: dict[str, Any]) -> None:
    """Give a body of the right shape a URL that may be called, an owner, and kinds and seqs that there are."""
    _replace(body, "url", r".{8,2048}", lambda number: f"https://hooks.example.org/{number}")
    if "url" in body and body.get("username") is None:
        body["username"] = "u1"
    for name in ("topics", "kinds"):
        _empty(body, name, r"[a-z_]{1,64}")
    if isinstance(body.get("from_seq"), int) and isinstance(body.get("to_seq"), int) and body["from_seq"] > 0:
        body["to_seq"] = body["from_seq"] if body["to_seq"] > 0 else body["to_seq"]


def _make_sense_on_the_spot_market(body: dict[str, Any], *, of_bid: bool, is_new: bool) -> None:
    """Let what has the right shape be one price that is enough, a wait that is not over, times that go together."""
    for name in ("max_price_per_hour", "max_price_per_minute", "budget", "reserve_price_per_hour"):
        _replace(body, name, r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?", lambda _: "1000")
    prices = [body.get(f"max_price_per_{unit}") for unit in ("hour", "minute")]
    if prices == ["1000", "1000"]:
        body["max_price_per_minute"] = None
    if prices == [None, None] and of_bid:
        body["max_price_per_hour"] = "1000"
    if of_bid and is_new and body.get("username") is None:
        body["username"] = "u1"
    _replace(body, "pool", NAME, lambda number: "default" if of_bid else f"pool-{number}")
    _replace(body, "pricing", r"[a-z][a-z0-9_.-]{0,63}", lambda _: "uniform")
    _replace(body, "backend", r"[a-z][a-z0-9_.-]{0,63}", lambda _: "simulated")
    _replace(body, "expires_at", r"\d{4}-\d\d-\d\dT.+", lambda _: "2100-01-01T00:00:00Z")
    if isinstance(body.get("settings"), dict):
        body["settings"] = {}
    command = body.get("command")
    if isinstance(command, list) and command[:1] == [""]:
        command[0] = "true"
    for name, most in (("notice_seconds", 3600), ("shortest_notice_seconds", 3600), ("longest_notice_seconds", 3600)):
        _drop_number(body, name, range(most + 1))
    for name in ("backoff_seconds", "max_backoff_seconds"):
        _drop_number(body, name, range(1, 86_401))
    _drop_number(body, "unit_cpu_millis", range(10, 256_001))
    _drop_number(body, "unit_memory_mib", range(16, 4_194_305))


def _drop_number(fields: dict[str, Any], name: str, allowed: range) -> None:
    if type(fields.get(name)) is int and fields[name] in allowed:
        del fields[name]


def _address(number: int) -> str:
    """Return an address of the network that the server is started with, one of a few, so that they meet again."""
    return f"10.1.0.{number % 8}"


def _replace(fields: Any, name: str, pattern: str, stand_in: Any) -> None:
    """Put what there is in the place of a value that has the right shape and no meaning."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, str) and re.fullmatch(pattern, unquote(str(value)), re.DOTALL | re.ASCII):
        fields[name] = stand_in(zlib.crc32(str(value).encode()))


def _empty(fields: dict[str, Any], name: str, pattern: str) -> None:
    """Leave nothing of a list whose items have the right shape and no meaning."""
    value = fields.get(name)
    if isinstance(value, list) and all(isinstance(one, str) and re.fullmatch(pattern, one, re.DOTALL) for one in value):
        fields[name] = []


def _with_plain_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_plain_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_plain_integers(item) for name, item in value.items()}
    return value
