"""How client commands reach the server, and what they say when they cannot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from marketplace.cli.terminal import Stop

if TYPE_CHECKING:
    from marketplace.client import Client, MarketplaceError

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE = "MARKETPLACE_URL"
KEY_VARIABLE = "MARKETPLACE_KEY"

Url = Annotated[str, Parameter(env_var=URL_VARIABLE, help="The server to talk to.")]
Key = Annotated[
    str | None,
    Parameter(env_var=KEY_VARIABLE, help="Your API key; better in the variable, which others cannot see."),
]
Market = Annotated[str, Parameter(help="The market to look at or trade on.")]


@contextlib.contextmanager
def connect(url: str, key: str | None = None) -> Iterator[Client]:
    """Open a client that gives up within seconds; its errors end the command with a sentence.

    Without a key it takes the one of the environment.
    """
    from marketplace.client import Client, Retry

    patience = Retry(tries=4, total_seconds=5, first_delay_seconds=0.05)
    with errors_as_sentences(url), Client(url, key=key or os.environ.get(KEY_VARIABLE), retry=patience) as client:
        yield client


@contextlib.contextmanager
def errors_as_sentences(url: str) -> Iterator[None]:
    from marketplace.client import MarketplaceError

    try:
        yield
    except MarketplaceError as error:
        raise Stop(sentence_of(error, url)) from None


def sentence_of(error: MarketplaceError, url: str) -> str:
    from marketplace.client import Unintelligible, Unreachable

    if isinstance(error, Unreachable) and error.outcome_known:
        return f"No server answers at {url}; start one with `marketplace serve`."
    if isinstance(error, Unreachable):
        return f"The server at {url} did not answer in the end; whether the order was taken is not known."
    if isinstance(error, Unintelligible):
        return f"What answers at {url} is not a marketplace of this version."
    return f"Refused: {error.detail} [{error.code}]"
