"""Before routing: which host is called, which page calls, what it sends and how much. In every mode, on every path.

A browser is the way into a server that listens on loopback: a page of another site can send it requests, and a name
that is rebound to 127.0.0.1 makes them same-origin. So the Host must be one of ours (421 otherwise), and what changes
state must come from a page of ours or of `cors_origins`, or from no page at all (403). A body must be JSON (415),
which a foreign page cannot send without asking first, and is bounded (413). The forms of our own pages, below
`/dashboard/`, are the exception: each has to carry a token that a foreign page cannot read.

Everything is decided on the raw header bytes, and what was decided is remembered: a few hundred nanoseconds a request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from marketplace.foundation import errors
from marketplace.foundation.settings import Settings
from marketplace.http import problems
from marketplace.http.asgi import App, Message, Receive, Scope, Send
from marketplace.wire.problems import MEDIA_TYPE

MAX_BODY = 1024 * 1024
MAX_BATCH_BODY = 16 * 1024 * 1024
PAGES = "/dashboard/"
"""Below it are pages, which take forms; their handlers take nothing without a token."""
BATCH_SUFFIXES = (":batch", "/ip/reconcile")

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
NOBODYS_NAMES = ("0.0.0.0", "::")  # noqa: S104 - to refuse them
"""Addresses to listen on that no client may use as a name."""

_REMEMBERED = 1024
_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_NOT_FOREIGN = (None, b"same-origin", b"none")
# Given twice, each reader of the request might believe another one.
_GIVEN_ONCE = frozenset((b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length", b"authorization"))
_EXPOSED = b"Idempotent-Replayed, Retry-After, X-Request-Id, Allow, Link, WWW-Authenticate, RateLimit, RateLimit-Policy"

Headers = dict[bytes, bytes]


class Gate:
    """The outermost application but for the telemetry. Passes on what may come in and answers the rest itself."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._names = frozenset(_names(settings))
        self._hosts: set[bytes] = set()
        self._media_types: set[bytes] = {b"application/json"}
        self._cors_origins = frozenset(origin.encode() for origin in settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw = scope["headers"]
        headers: Headers = dict(raw)
        origin = headers.get(b"origin")
        if self._cors_origins:
            send = self._with_cors(send, origin)
        try:
            if len(headers) != len(raw):
                _check_given_once(raw)
            self._check(scope, headers, origin)
        except errors.Refusal as refusal:
            await _answer(refusal, scope, send)
            return
        if origin and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await self._answer_preflight(origin, scope, send)
            return
        if b"transfer-encoding" in headers:
            receive = _bounded(receive, scope["path"])
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers, origin: bytes | None) -> None:
        """Raise what the request is refused with, cheapest first."""
        host = headers.get(b"host", b"")
        if host not in self._hosts:
            self._check_host(host)
        if scope["method"] not in _READING:
            self._check_site(headers, origin, host)
        length = headers.get(b"content-length", b"0")
        if length != b"0" or b"transfer-encoding" in headers:
            self._check_body(scope, headers.get(b"content-type", b""), length)

    def _check_host(self, host: bytes) -> None:
        name = _name_of(host.decode("latin-1").lower())
        if name not in self._names and host.decode("latin-1").lower() not in self._names:
            raise problems.WrongHost(
                "The Host header names no host of this service; the operator can add it to allowed_hosts."
            )
        if len(self._hosts) < _REMEMBERED:
            self._hosts.add(host)

    def _check_site(self, headers: Headers, origin: bytes | None, host: bytes) -> None:
        if origin is not None:
            if origin in self._cors_origins:
                return
            if origin not in (b"http://" + host, b"https://" + host):
                raise problems.CrossSite("The request comes from a page whose origin is not in cors_origins.")
        if headers.get(b"sec-fetch-site") not in _NOT_FOREIGN:
            raise problems.CrossSite("The request comes from a page of another site.")

    def _check_body(self, scope: Scope, media_type: bytes, length: bytes) -> None:
        if media_type not in self._media_types:
            self._check_media_type(scope, media_type)
        if not length.isdigit():
            raise errors.Invalid("The Content-Length header is not a number.", field="Content-Length")
        if int(length) > _limit(scope["path"]):
            raise _too_large(scope["path"])

    def _check_media_type(self, scope: Scope, media_type: bytes) -> None:
        essence, *parameters = (part.strip() for part in media_type.lower().split(b";"))
        is_utf8 = all(parameter in (b"", b"charset=utf-8", b'charset="utf-8"') for parameter in parameters)
        takes_forms = scope["method"] == "POST" and scope["path"].startswith(PAGES)
        if takes_forms and essence == b"application/x-www-form-urlencoded" and is_utf8:
            return
        if essence != b"application/json" or not is_utf8:
            raise problems.UnsupportedMediaType("A body must be JSON in UTF-8: send Content-Type: application/json.")
        if len(self._media_types) < _REMEMBERED:
            self._media_types.add(media_type)

    # ── pages of other origins that the operator lets in ─────────────────────────────────────────────────────────────

    def _with_cors(self, send: Send, origin: bytes | None) -> Send:
        """Let a page of `cors_origins` read the answer; caches must know that it depends on the origin."""
        extra = [(b"vary", b"Origin")]
        if origin in self._cors_origins:
            assert origin is not None
            extra += [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
            ]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        return send_with_cors

    async def _answer_preflight(self, origin: bytes, scope: Scope, send: Send) -> None:
        if origin not in self._cors_origins:
            await _answer(problems.CrossSite("This origin is not in cors_origins."), scope, send)
            return
        headers = [
            (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
            (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, X-Request-Id"),
            (b"access-control-max-age", b"600"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _names(settings: Settings) -> Iterable[str]:
    yield from LOOPBACK_NAMES
    yield from (name.lower() for name in settings.allowed_hosts)
    if settings.host not in NOBODYS_NAMES:
        yield _as_host(settings.host.lower())


def _as_host(address: str) -> str:
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address


def _name_of(host: str) -> str:
    """Return a Host header without its port; without anything where the port is none."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host
    return name if port.isascii() and port.isdigit() else ""


def _check_given_once(raw: Iterable[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    for name, _ in raw:
        if name in _GIVEN_ONCE and name in seen:
            raise errors.Invalid(f"The header {name.decode('latin-1')} is given twice.")
        seen.add(name)


def _limit(path: str) -> int:
    return MAX_BATCH_BODY if path.endswith(BATCH_SUFFIXES) else MAX_BODY


def _too_large(path: str) -> problems.BodyTooLarge:
    return problems.BodyTooLarge(f"The body may have {_limit(path) // (1024 * 1024)} MiB at most on this path.")


def _bounded(receive: Receive, path: str) -> Receive:
    """Count a body that does not say how long it is, and refuse it once it is too long."""
    limit, received = _limit(path), 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message["body"])
            if received > limit:
                raise _too_large(path)
        return message

    return receive_bounded


async def _answer(refusal: errors.Refusal, scope: Scope, send: Send) -> None:
    rendered = problems.render(refusal)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(rendered.body)).encode())]
    body = b"" if scope["method"] == "HEAD" else rendered.body
    await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
