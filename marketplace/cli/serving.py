"""`serve` and `work`: the long-running processes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketplace.cli.flags import (
    DatabaseFlags,
    EventFlags,
    LaneFlags,
    LineFlags,
    LogFlags,
    MetricsFlags,
    ServerFlags,
    SpotFlags,
    load_settings,
)
from marketplace.cli.stored import failures_as_sentences
from marketplace.cli.terminal import Stop

if TYPE_CHECKING:
    from marketplace.foundation.settings import Settings


def serve(
    *,
    server: ServerFlags | None = None,
    database: DatabaseFlags | None = None,
    lanes: LaneFlags | None = None,
    events: EventFlags | None = None,
    spot: SpotFlags | None = None,
    auctions: LineFlags | None = None,
    logs: LogFlags | None = None,
) -> None:
    """Serve the market over HTTP.

    The embedded database is created, migrated and looked after by this process alone. On Postgres the schema must be
    up to date (`marketplace db upgrade`) and the timed jobs run in `marketplace work`.

    Each flag is also a line of the settings file and a variable: `--max-batch 100` is `max_batch = 100` and
    MARKETPLACE_MAX_BATCH=100. Flags win over variables, variables over the file.
    """
    settings = load_settings(server, database, lanes, events, spot, auctions, logs)
    with _collecting_nothing():
        from marketplace import app

    with refusals_as_sentences(settings):
        app.serve(settings)


def work(
    *,
    database: DatabaseFlags | None = None,
    lanes: LaneFlags | None = None,
    events: EventFlags | None = None,
    spot: SpotFlags | None = None,
    metrics: MetricsFlags | None = None,
    logs: LogFlags | None = None,
) -> None:
    """Run the timed jobs of a marketplace on Postgres, such as taking expired bids off the book.

    One is enough; more of them do no harm. On the embedded database `marketplace serve` does it.
    """
    settings = load_settings(database, lanes, events, spot, metrics, logs)
    with _collecting_nothing():
        from marketplace import worker

    with refusals_as_sentences(settings):
        worker.work(settings)


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Look for no garbage while modules are loaded, which all stay: it is a fifth of the start's time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def refusals_as_sentences(settings: Settings) -> Iterator[None]:
    """Turn what keeps a process from starting into a sentence and an exit code."""
    from marketplace.foundation.settings import SettingsError

    try:
        with failures_as_sentences(settings):
            yield
    except SettingsError as error:
        raise Stop(str(error), exit_code=2) from None
