"""What a schema cannot say, and a run of Schemathesis must know.

An integer is written as an integer: JSON Schema takes 3.0 for one, and we refuse it. An Idempotency-Key belongs to one
request: the same one over another is refused (422), which is no matter of either's own shape. Text of the right length
is not yet an address of the network that is meant, nor the name of something that there is: where the shape is right,
it is replaced by one that is.
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
VMS = [f"vm-{number}" for number in range(5)]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    case.body = _with_plain_integers(case.body)
    if case.headers and re.fullmatch("[!-~]{1,255}", str(case.headers.get(KEY, ""))):
        case.headers[KEY] = uuid.uuid4().hex
    if case.path.endswith("/events") and isinstance(case.query, dict):
        case.query.pop("wait_seconds", None)  # it would wait
        _replace(case.query, "topic", WORDS, lambda _: "hours")
        _replace(case.query, "kind", WORDS, lambda _: "bid_placed,market_created")
    if "/ip/" in case.path:
        _replace(case.path_parameters, "vm_id", r"[\w.:@-]{1,128}", lambda number: VMS[number % len(VMS)])
        _replace(case.path_parameters, "ip", r".{2,45}", _address)
        _replace(case.query, "network", r"[a-z0-9][a-z0-9_.-]{0,63}", lambda _: "default")
    if isinstance(case.body, dict):
        requests = case.body.get("requests")
        for one in [case.body, *(requests if isinstance(requests, list) else [])]:
            _replace(one, "ip", r".{2,45}", _address)
        if "/webhooks" in case.path:
            _make_a_webhook_of(case.body)
        if case.path.endswith("/networks"):
            _replace(case.body, "cidr", r".{3,64}", lambda number: f"fd{number % 256:02x}:{number >> 16:x}::/64")
            _replace(case.body, "gateway", r".{2,45}", lambda _: None)
            _replace(case.body, "reserved", r"\[('[^']{2,91}'(, )?)*\]", lambda _: [])


def _make_a_webhook_of(body: dict[str, Any]) -> None:
    """Give a body of the right shape a URL that may be called, an owner, and kinds and seqs that there are."""
    _replace(body, "url", r".{8,2048}", lambda number: f"https://hooks.example.org/{number}")
    if "url" in body and body.get("username") is None:
        body["username"] = "u1"
    for name in ("topics", "kinds"):
        _replace(body, name, r"\[('[a-z_]{1,64}'(, )?){0,100}\]", lambda _: [])
    if isinstance(body.get("from_seq"), int) and isinstance(body.get("to_seq"), int) and body["from_seq"] > 0:
        body["to_seq"] = body["from_seq"] if body["to_seq"] > 0 else body["to_seq"]


def _address(number: int) -> str:
    """Return an address of the network that the server is started with, one of a few, so that they meet again."""
    return f"10.1.0.{number % 8}"


def _replace(fields: Any, name: str, pattern: str, stand_in: Any) -> None:
    """Put what there is in the place of a value that has the right shape and no meaning."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, str | list) and re.fullmatch(pattern, unquote(str(value)), re.DOTALL | re.ASCII):
        fields[name] = stand_in(zlib.crc32(str(value).encode()))


def _with_plain_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_plain_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_plain_integers(item) for name, item in value.items()}
    return value
