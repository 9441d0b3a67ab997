"""JSON bodies, decoded strictly and once; and names in a path, whole.

Litestar decodes a body to builtins and converts them loosely afterwards, so that "100" would pass for a number. Here
the bytes go straight into the type that the handler's `data` has; Litestar's own conversion then has nothing to do.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler

from marketplace.foundation import errors
from marketplace.http import problems, slashes


class StrictRequest(Request[Any, Any, Any]):
    """The request class of the application."""

    __slots__ = ()

    @property
    def path_params(self) -> dict[str, Any]:
        """Return the parameters of the route, with the slashes that were encoded in the path."""
        found = cast(dict[str, Any], self.scope["path_params"])
        return slashes.restored(found) if slashes.HAS_SLASHES in self.scope else found

    async def body(self) -> bytes:
        """Return the whole body; the gate has bounded it."""
        body = self._body
        if not isinstance(body, bytes):
            body = self._body = self._connection_state.body = await self._receive_body()
            if not body and self.route_handler.parsed_data_field is not None:
                raise errors.Invalid("The request needs a JSON body.")
        return body

    async def json(self) -> Any:
        """Return the body as the handler's type. Raises Invalid, which names the field."""
        handler = self.route_handler
        try:
            return _decoder(handler).decode(await self.body())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise problems.explain(error) from None

    async def _receive_body(self) -> bytes:
        message = cast(dict[str, Any], await self.receive())
        if message["type"] == "http.request" and not message.get("more_body"):
            return cast(bytes, message.get("body", b""))
        chunks = []
        while message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(chunks)
            message = cast(dict[str, Any], await self.receive())
        raise errors.Invalid("The connection ended before the body did.")


@cache
def _decoder(handler: HTTPRouteHandler) -> msgspec.json.Decoder[Any]:
    field = handler.parsed_data_field
    return msgspec.json.Decoder(field.annotation if field else Any)
