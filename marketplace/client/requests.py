"""A request as a value, and what is common to all of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

import httpx
import msgspec

T = TypeVar("T")

PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; `answer` is the type of its JSON. `key` is sent as Idempotency-Key.

    With `is_linked` the answer is a plain array of such, and comes back as a Page.
    """

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = None
    goal: Goal[T] | None = None
    is_linked: bool = False

    def read(self, response: httpx.Response) -> T:
        """Return what an answer says. Raises msgspec.DecodeError where it is another language."""
        if not self.is_linked:
            return msgspec.json.decode(response.content, type=self.answer)
        rows = msgspec.json.decode(response.content, type=list[self.answer])  # type: ignore[name-defined]
        link = response.links.get("next", {}).get("url", "")
        return cast(T, Page(rows, httpx.URL(link).params.get("after")))

    @property
    def headers(self) -> dict[str, str]:
        named = {"Idempotency-Key": self.key, "Content-Type": "application/json" if self.body is not None else None}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Goal(Generic[T]):
    """The state that a DELETE or PATCH is to bring about, and how to see whether it is there already."""

    read: Call[T]
    is_reached: Callable[[T], bool]


class Page(NamedTuple):
    """A part of a list that has no envelope of its own; its Link header told what is next."""

    items: list[Any]
    next: str | None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Rows in pages, in a stable order; `first` asks for the first page."""

    first: Call[Any]

    def following(self, page: Any) -> Call[Any] | None:
        """Return the call for the page after this one, None where this one is the last."""
        if page.next is None or not page.items:
            return None
        return replace(self.first, query={**self.first.query, "after": str(page.next)})


def create(path: str, body: msgspec.Struct, answer: type[T], *, key: str | None) -> Call[T]:
    """Describe a POST; its key is drawn where none is given."""
    return Call("POST", path, answer, body=msgspec.json.encode(body), key=key or str(uuid.uuid4()))


def query_of(**members: object) -> dict[str, str]:
    """Leave out what is None and write instants as RFC 3339."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in members.items()
        if value is not None
    }


def delete(path: str, answer: type[T], *, key: str | None, **query: object) -> Call[T]:
    """Describe a DELETE that must not happen twice, because what it names may be somebody else's by then."""
    return Call("DELETE", path, answer, query_of(**query), key=key or str(uuid.uuid4()))
