"""Forms: read with the bounds that the API has, sent once, answered in words.

A form carries the token of its browser, and a number of its own that works as an Idempotency-Key does: pressing a
button twice, or sending the page again, does what it says once. The script of a page draws a new number when a form
has been answered.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Response

from marketplace.dashboard import pages, visits
from marketplace.dashboard.errors import FormOutdated
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import Key, Lane
from marketplace.foundation import errors
from marketplace.http import idempotency, problems

Shape = TypeVar("Shape")

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 64
TOKEN, ONCE = "token", "once"


class Form(NamedTuple):
    """What somebody filled in, by field; a field left empty is not there."""

    values: dict[str, list[str]]
    once: str

    def text(self, name: str) -> str | None:
        found = self.values.get(name)
        return found[-1] if found else None

    def as_(self, kind: type[Shape], *, lists: Sequence[str] = (), **more: Any) -> Shape:
        """Return the fields as a struct of the public language; `more` go before them. Raises Invalid."""
        fields: dict[str, Any] = {
            name: found if name in lists else found[-1]
            for name, found in self.values.items()
            if name in {field.encode_name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
        }
        try:
            return msgspec.convert(fields | more, kind, strict=False)
        except msgspec.ValidationError as error:
            raise problems.explain(error) from None


async def read(request: HttpRequest) -> Form:
    """Return a form that one of our pages has sent. Raises UnsupportedMediaType, Invalid, FormOutdated."""
    media_type, _ = request.content_type
    if media_type != MEDIA_TYPE:
        raise problems.UnsupportedMediaType("A page takes forms, and nothing else.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("utf-8"), keep_blank_values=False, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise errors.Invalid("The form cannot be read.") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    if not visits.is_form_token(request, values.pop(TOKEN, [""])[-1]):
        raise FormOutdated
    return Form(values, values.pop(ONCE, [""])[-1])


def once() -> str:
    """Draw the number of a form."""
    return secrets.token_hex(16)


class Said(NamedTuple):
    """What somebody is told of a form; `secret` is shown this once, and where it was sent again not any more."""

    status: int
    text: str
    secret: str | None = None


async def run(
    request: HttpRequest,
    form: Form,
    lane: Lane,
    command: Any,
    *,
    say: Callable[[Any], str],
    secret: str | None = None,
) -> Said:
    """Run a command once, however often its form is sent. Raises what may end otherwise on another try."""
    if not (form.once.isascii() and form.once.isalnum() and len(form.once) <= idempotency.MAX_LENGTH // 2):
        raise FormOutdated

    def encode(outcome: Any) -> tuple[int, bytes]:
        if isinstance(outcome, errors.Refusal):
            return problems.status_of(type(outcome)), outcome.detail.encode()
        return 200, say(outcome).encode()

    viewer = visits.viewer(request).caller.username
    caller = idempotency.OPEN_CALLER if viewer is None else f"@{viewer}"
    key = Key(caller=caller, key=f"form-{form.once}", fingerprint=_fingerprint(request, form))
    answer = await lane.answer(command, key=key, encode=encode)
    revealed = secret if answer.status == 200 and not answer.replayed else None
    return Said(answer.status, answer.body.decode(), revealed)


def answer(request: HttpRequest, said: Said, *, back: str, here: str) -> Response[str]:
    """Tell somebody what became of a form: on its page, or on one of its own where the page cannot."""
    is_refusal = said.status >= 400
    if pages.wants_fragment(request):
        return pages.fragment(
            "notice.html", status=said.status, said=said.text, is_refusal=is_refusal, secret=said.secret
        )
    return pages.page(
        request,
        "said.html",
        here=here,
        status=said.status,
        viewer=visits.viewer(request),
        said=said.text,
        is_refusal=is_refusal,
        secret=said.secret,
        back=back,
    )


def _fingerprint(request: HttpRequest, form: Form) -> str:
    digest = hashlib.sha256(f"{request.scope['method']}\n{request.scope['path']}\n".encode())
    digest.update(msgspec.json.encode(sorted(form.values.items())))
    return digest.hexdigest()
