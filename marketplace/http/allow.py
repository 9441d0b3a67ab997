"""OPTIONS: which methods a path takes.

Litestar answers it per handler, with the methods of the path's first one only. Its router, asked for a method that
nobody has, refuses with all of them in Allow: that is the answer, as a 204.
"""

from __future__ import annotations

from marketplace.http.asgi import App, Message, Receive, Scope, Send

_NO_METHOD = "(none)"


class AllMethods:
    """Around the router."""

    def __init__(self, router: App) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self._router(scope, receive, send)
        else:
            await self._router({**scope, "method": _NO_METHOD}, receive, _as_answer(send))


def _as_answer(send: Send) -> Send:
    """Turn a 405 into a 204 without a body; anything else (a 404) passes as it is."""
    is_answer = False

    async def translate(message: Message) -> None:
        nonlocal is_answer
        if message["type"] == "http.response.start" and message["status"] == 405:
            is_answer = True
            allow = [(name, value) for name, value in message["headers"] if name.lower() == b"allow"]
            message = {"type": "http.response.start", "status": 204, "headers": allow}
        elif is_answer:
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return translate
