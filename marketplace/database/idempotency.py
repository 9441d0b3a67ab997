"""Requests that carry an Idempotency-Key: looked up for a whole batch at once, remembered in its transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import log
from marketplace.database.waiting import Answer, Entry
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant


class Copies:
    """Which requests of a batch were answered before, by an earlier transaction or earlier in the same batch.

    `fresh` are those that have to be run; `results` puts everything together again, in the batch's order.
    """

    def __init__(self, tx: sa.Connection, lane: str, batch: Sequence[Entry]) -> None:
        self._lane = lane
        self._batch = batch
        keys = {(entry.key.caller, entry.key.key) for entry in batch if entry.key}
        self._stored = log.read_answers(tx, lane, sorted(keys)) if keys else {}
        self._first: dict[tuple[str, str], Entry] = {}
        self.fresh = [entry for entry in batch if self._is_fresh(entry)]

    def _is_fresh(self, entry: Entry) -> bool:
        if entry.key is None:
            return True
        name = (entry.key.caller, entry.key.key)
        return name not in self._stored and self._first.setdefault(name, entry) is entry

    def results(self, outcomes: Sequence[Any], *, at: Instant) -> tuple[list[Any], list[log.Answered]]:
        """Return what each request is told, and the answers to store. `outcomes` are those of `fresh`."""
        if not self._first and not self._stored:
            return list(outcomes), []
        told = {id(entry): _answer(entry, outcome) for entry, outcome in zip(self.fresh, outcomes, strict=True)}
        rows = [
            log.Answered(self._lane, *entry.key, answer.status, answer.body.decode(), at)
            for entry in self.fresh
            if entry.key and isinstance(answer := told[id(entry)], Answer)
        ]
        return [told[id(entry)] if id(entry) in told else self._copy(entry, told) for entry in self._batch], rows

    def _copy(self, entry: Entry, told: dict[int, Any]) -> Any:
        assert entry.key
        name = (entry.key.caller, entry.key.key)
        answer: Any
        if row := self._stored.get(name):
            fingerprint, answer = row.fingerprint, Answer(row.status, row.body.encode(), replayed=True)
        else:
            first = self._first[name]
            assert first.key
            fingerprint, answer = first.key.fingerprint, told[id(first)]
        if fingerprint != entry.key.fingerprint:
            return errors.Mismatch(
                f"The Idempotency-Key {entry.key.key!r} came with another request before; take a new one."
            )
        return answer._replace(replayed=True) if isinstance(answer, Answer) else answer


def _answer(entry: Entry, outcome: Any) -> Any:
    """Return the outcome itself where no key asks for remembering it, or where it must not be remembered."""
    if entry.key is None or (isinstance(outcome, errors.Refusal) and not outcome.storable):
        return outcome
    assert entry.encode
    return Answer(*entry.encode(outcome), replayed=False)
