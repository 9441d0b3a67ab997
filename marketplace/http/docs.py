"""The description of the API, and a page to try it on. The page's assets are ours: it loads nothing from anywhere else.

See assets/README.md for what they are and where they come from.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import NamedTuple

from litestar import Litestar, Request, Response, get
from litestar.params import FromPath

from marketplace import __version__
from marketplace.http import openapi, problems
from marketplace.http import resources as http_resources

STATE = "openapi"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_MEDIA_TYPES = {
    "docs.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


class Asset(NamedTuple):
    body: bytes
    media_type: str
    etag: str


@get("/api/v1/openapi.json", include_in_schema=False, sync_to_thread=False, opt={"scope": None})
def openapi_document(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer the OpenAPI document, made at the first request."""
    return Response(_document(request.app), media_type="application/json")


@get("/docs", include_in_schema=False, sync_to_thread=False, opt={"scope": None})
def docs_page() -> Response[bytes]:
    headers = {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return Response(_read("docs.html"), media_type="text/html", headers=headers)


@get("/docs/assets/{name:str}", include_in_schema=False, sync_to_thread=False, opt={"scope": None})
def docs_asset(name: FromPath[str], request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer one of the page's files, from memory; 304 to a browser that has it."""
    asset = _ASSETS.get(name)
    if asset is None:
        raise problems.NoSuchPath("There is no such file.")
    headers = {"etag": asset.etag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(b"", status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def _document(app: Litestar) -> bytes:
    document: bytes | None = app.state.get(STATE)
    if document is None:
        has_keys = app.state[http_resources.STATE].settings.auth == "keys"
        document = app.state[STATE] = openapi.describe(app, version=__version__, has_keys=has_keys)
    return document


def _read(name: str) -> bytes:
    return resources.files("marketplace.http").joinpath("assets", name).read_bytes()


def _load(name: str, media_type: str) -> Asset:
    body = _read(name)
    return Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


_ASSETS = {name: _load(name, media_type) for name, media_type in _MEDIA_TYPES.items()}
