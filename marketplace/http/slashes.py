"""A slash within a name: `/api/v1/wallets/a%2Fb` is the wallet of `a/b`.

A path is decoded before it is routed, where an encoded slash would part the name in two. So it is decoded once more,
from what came over the wire, with a stand-in for each encoded slash that no name can have; and the parameters of the
route get their slashes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from marketplace.http.asgi import App, Receive, Scope, Send

HAS_SLASHES = "marketplace.has_slashes"
"""In the scope of a request whose path has stand-ins."""

_STAND_IN = "\x00"
_ENCODED = ("%2F", "%2f")


class WholeNames:
    """Around the router. Afterwards the request's path is what it was, for whoever logs it."""

    def __init__(self, router: App) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or b""
        path = _with_stand_ins(raw, scope["path"]) if b"%2" in raw else None
        if path is None:
            await self._router(scope, receive, send)
            return
        before = scope["path"]
        scope["path"], scope[HAS_SLASHES] = path, True
        try:
            await self._router(scope, receive, send)
        finally:
            scope["path"] = before


def restored(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a route with their slashes."""
    return {
        name: value.replace(_STAND_IN, "/") if isinstance(value, str) else value for name, value in parameters.items()
    }


def _with_stand_ins(raw: bytes, decoded: str) -> str | None:
    """Return a path whose encoded slashes part nothing; None where there is none, or what stands in for one."""
    given = raw.partition(b"?")[0].decode("latin-1")
    if not any(slash in given for slash in _ENCODED) or _STAND_IN in decoded:
        return None
    for slash in _ENCODED:
        given = given.replace(slash, "%00")
    return unquote(given)
