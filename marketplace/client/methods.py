"""How a described request becomes a method of a client, with the description's own parameters and words."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from marketplace.client.requests import Call, Listing

P = ParamSpec("P")
T = TypeVar("T")


class Sends(Protocol):
    """The client whose calls are answered at once."""

    def send(self, call: Call[T]) -> T: ...

    def iterate(self, listing: Listing[T]) -> Iterator[T]: ...


class SendsLater(Protocol):
    """The client whose calls are awaited."""

    async def send(self, call: Call[T]) -> T: ...

    def iterate(self, listing: Listing[T]) -> AsyncIterator[T]: ...


def _with_self(method: Callable[P, T], describe: Callable[..., object], *, returns: str) -> Callable[P, T]:
    """Give the method the description's parameters behind `self` and its own answer, for `help()` and editors."""
    described = inspect.signature(describe)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    row = str(described.return_annotation).partition("[")[2].removesuffix("]")
    signature = described.replace(
        parameters=[own, *described.parameters.values()], return_annotation=returns.format(row)
    )
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method


def now(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Sends, P], T]:
    @functools.wraps(describe)
    def method(self: Sends, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(describe(*args, **kwargs))

    return _with_self(method, describe, returns="{}")


def pages(describe: Callable[P, Listing[T]]) -> Callable[Concatenate[Sends, P], Iterator[T]]:
    @functools.wraps(describe)
    def method(self: Sends, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.iterate(describe(*args, **kwargs))

    return _with_self(method, describe, returns="Iterator[{}]")


def awaited(describe: Callable[P, Call[T]]) -> Callable[Concatenate[SendsLater, P], Coroutine[Any, Any, T]]:
    @functools.wraps(describe)
    async def method(self: SendsLater, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(describe(*args, **kwargs))

    return _with_self(method, describe, returns="{}")


def async_pages(describe: Callable[P, Listing[T]]) -> Callable[Concatenate[SendsLater, P], AsyncIterator[T]]:
    @functools.wraps(describe)
    def method(self: SendsLater, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.iterate(describe(*args, **kwargs))

    return _with_self(method, describe, returns="AsyncIterator[{}]")
