"""The files that pages load: those of others in `assets`, ours in `static`. All come from here, none from elsewhere.

A file's address has a part of its checksum, so that a browser may keep it for as long as it likes: another content has
another address.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from marketplace.http import problems

_FOLDERS = ("assets", "static")
_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_FOR_A_YEAR = "public, max-age=31536000, immutable"


class File(NamedTuple):
    body: bytes
    media_type: str
    address: str


def _load() -> dict[str, File]:
    """Return the files by their names."""
    found = {}
    for folder in _FOLDERS:
        for each in resources.files("marketplace.dashboard").joinpath(folder).iterdir():
            stem, _, ending = each.name.rpartition(".")
            if ending in _MEDIA_TYPES:
                body = each.read_bytes()
                address = f"/dashboard/files/{stem}.{hashlib.sha256(body).hexdigest()[:16]}.{ending}"
                found[each.name] = File(body, _MEDIA_TYPES[ending], address)
    return found


_FILES = _load()
ADDRESSES = {name: file.address for name, file in _FILES.items()}
"""Where a file is, by its name."""
_BY_ADDRESS = {file.address: file for file in _FILES.values()}


@get("/dashboard/files/{name:str}", sync_to_thread=False, include_in_schema=False, opt={"scope": None})
def read_file(name: FromPath[str]) -> Response[bytes]:
    """Answer a file, from memory."""
    file = _BY_ADDRESS.get(f"/dashboard/files/{name}")
    if file is None:
        raise problems.NoSuchPath("There is no such file.")
    headers = {
        "cache-control": _FOR_A_YEAR,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    return Response(file.body, media_type=file.media_type, headers=headers)
