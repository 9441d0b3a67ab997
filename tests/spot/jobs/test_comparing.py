"""What follows from what a backend was seen to run, as a table. Seconds stand for instants."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.foundation.clock import SECOND
from marketplace.spot.commands import RecordEnded, RecordFailed, RecordStarted
from marketplace.spot.comparing import MOST_START_SECONDS, NOTHING, Finding, compare
from marketplace.spot.compute import Container
from tests.spot.jobs.test_launching import duty

NOW = 10_000 * SECOND
GONE = "The node knows no such container any more."
AGAIN = Finding(is_to_act=True)


def seen(state: str, **fields: Any) -> Container:
    return Container(lease_id="l7", reference="ref", state=state, **fields)  # type: ignore[arg-type]


RUNS = seen("running", started_at=NOW - 20)
EXITED = seen("exited", started_at=NOW - 20, finished_at=NOW - 1, exit_code=3)
KILLED = seen("exited", started_at=NOW - 20, finished_at=NOW - 1, exit_code=137, out_of_memory=True)
NEVER_RAN = seen("failed", reason="stopped before it ran")
STARTED = RecordStarted(7, "ref", NOW - 20, None)
ENDED = RecordEnded(7, NOW - 1, 3)


@pytest.mark.parametrize(
    ("of", "found", "follows"),
    [
        # It waits for its victims: nobody has asked for a container.
        ({"state": "matched"}, None, NOTHING),
        # It is to start.
        ({"state": "starting"}, None, AGAIN),
        ({"state": "starting"}, seen("starting"), NOTHING),
        ({"state": "starting"}, RUNS, AGAIN),
        ({"state": "starting"}, EXITED, AGAIN),
        ({"state": "starting"}, NEVER_RAN, AGAIN),
        # It runs.
        ({"state": "running", "started_at": NOW - 20}, RUNS, NOTHING),
        ({"state": "running", "started_at": NOW - 20}, EXITED, Finding((ENDED,))),
        (
            {"state": "running", "started_at": NOW - 20},
            KILLED,
            Finding((RecordEnded(7, NOW - 1, 137, out_of_memory=True),)),
        ),
        ({"state": "running", "started_at": NOW - 20}, None, Finding((RecordEnded(7, NOW, None, reason=GONE),))),
        # It has to go.
        ({"state": "evicting", "started_at": NOW - 20, "stop_at": NOW + 1}, RUNS, NOTHING),
        ({"state": "evicting", "started_at": NOW - 20, "stop_at": NOW - 4 * SECOND}, RUNS, NOTHING),
        ({"state": "evicting", "started_at": NOW - 20, "stop_at": NOW - 6 * SECOND}, RUNS, AGAIN),
        ({"state": "stopping", "started_at": NOW - 20, "stop_at": NOW}, EXITED, Finding((ENDED,))),
        # It was told to go before anybody noted that it runs.
        ({"state": "stopping", "stop_at": NOW}, RUNS, Finding((STARTED,))),
        ({"state": "stopping", "stop_at": NOW}, EXITED, Finding((STARTED, ENDED))),
        ({"state": "stopping", "stop_at": NOW}, None, Finding((RecordEnded(7, NOW, None),))),
        ({"state": "stopping", "stop_at": NOW}, seen("starting"), NOTHING),
        # It has ended: what is left is to be cleared.
        ({"state": "ended"}, None, AGAIN),
        ({"state": "ended"}, RUNS, AGAIN),
    ],
)
def test_what_was_seen_says_what_is_to_be_done(of: dict[str, Any], found: Container | None, follows: Finding) -> None:
    assert compare(duty(**of), found, now=NOW, last_seen_at=None) == follows


def test_a_container_that_vanished_ended_when_it_was_last_seen() -> None:
    finding = compare(duty(state="running", started_at=1), None, now=NOW, last_seen_at=NOW - 5)
    assert finding == Finding((RecordEnded(7, NOW - 5, None, reason=GONE),))


def test_what_ended_before_it_ran_ends_a_lease_that_was_to_stop() -> None:
    finding = compare(duty(state="stopping", stop_at=NOW), NEVER_RAN, now=NOW, last_seen_at=None)
    (record,) = finding.records
    assert isinstance(record, RecordEnded)
    assert (record.exit_code, record.reason) == (None, "stopped before it ran")


@pytest.mark.parametrize(("seconds", "is_given_up"), [(MOST_START_SECONDS, False), (MOST_START_SECONDS + 1, True)])
def test_a_container_that_does_not_come_to_run_is_given_up(seconds: int, is_given_up: bool) -> None:
    finding = compare(
        duty(state="starting", start_at=NOW - seconds * SECOND), seen("starting"), now=NOW, last_seen_at=None
    )
    assert bool(finding.records) == is_given_up
    assert not is_given_up or isinstance(finding.records[0], RecordFailed)
