"""A command through its lane, with the caller's Idempotency-Key or without.

With a key the answer's bytes are stored in the command's own transaction, refusals included, and a second copy of the
request is told the same, byte for byte. Another request under the same key is refused (422).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request, Response

from marketplace.database import Answer, Key, Lane
from marketplace.foundation import errors
from marketplace.http import callers, problems
from marketplace.wire.problems import MEDIA_TYPE

Shape = TypeVar("Shape")

HEADER = b"idempotency-key"
MAX_LENGTH = 255
OPEN_CALLER = "open"
"""Without keys of members, all callers are one. A member is written with an @ before its name."""

_encode = msgspec.json.Encoder().encode


async def run(
    lane: Lane,
    command: Any,
    *,
    request: Request[Any, Any, Any],
    shape: Callable[[Any], Shape],
    status: int = 200,
    is_repeated: Callable[[Any], bool] = lambda _outcome: False,
    reveal: Callable[[Shape], Shape] = lambda shaped: shaped,
) -> Shape:
    """Run a command and shape its outcome for the wire. Raises the lane's refusals.

    Under a key, or where `is_repeated` says that the outcome is what an earlier request was told, the answer is a ready
    response (Litestar sends it as it is), which the type does not say: the handlers' annotations describe the body.
    `reveal` adds what only the first to ask is told: it is not stored, and so is not in the answer to a copy.
    """
    key = key_of(request)
    if key is None:
        outcome = await lane.run(command)
        if is_repeated(outcome):
            return cast(Shape, _respond(Answer(status, _encode(shape(outcome)), replayed=True)))
        return reveal(shape(outcome))
    repeated, revealed = False, b""

    def encode(outcome: object) -> tuple[int, bytes]:
        if isinstance(outcome, errors.Refusal):
            rendered = problems.render(outcome)
            return rendered.status, rendered.body
        nonlocal repeated, revealed
        repeated, shaped = is_repeated(outcome), shape(outcome)
        revealed = _encode(reveal(shaped))
        return status, _encode(shaped)

    fingerprint = await _fingerprint(request)
    username = callers.caller(request).username
    name = OPEN_CALLER if username is None else f"@{username}"
    answer = await lane.answer(command, key=Key(caller=name, key=key, fingerprint=fingerprint), encode=encode)
    if answer.status == status and not answer.replayed:
        answer = answer._replace(body=revealed)
    return cast(Shape, _respond(answer._replace(replayed=answer.replayed or repeated)))


def key_of(request: Request[Any, Any, Any]) -> str | None:
    """Return the request's Idempotency-Key, None without one. Raises Invalid for one that cannot be a key."""
    values = [value for name, value in request.scope["headers"] if name == HEADER]
    if not values:
        return None
    if len(values) > 1 or not 1 <= len(values[0]) <= MAX_LENGTH or not all(33 <= byte <= 126 for byte in values[0]):
        raise errors.Invalid(
            f"An Idempotency-Key is 1 to {MAX_LENGTH} visible ASCII characters, given once.", field="Idempotency-Key"
        )
    return values[0].decode("ascii")


def _respond(answer: Answer) -> Response[bytes]:
    return Response(
        answer.body,
        status_code=answer.status,
        media_type=MEDIA_TYPE if answer.status >= 400 else "application/json",
        headers={"idempotent-replayed": "true"} if answer.replayed else None,
    )


async def _fingerprint(request: Request[Any, Any, Any]) -> str:
    query = request.scope["query_string"]
    path = request.scope["path"].encode() + (b"?" + query if query else b"")
    digest = hashlib.sha256(request.scope["method"].encode() + b"\n" + path + b"\n")
    digest.update(await request.body())
    return digest.hexdigest()
