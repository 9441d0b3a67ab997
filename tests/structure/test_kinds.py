"""Every kind of event is documented, and everything that a module can say in the log is a kind."""

from __future__ import annotations

import typing

from marketplace.addresses import model as addresses
from marketplace.events import webhook_model as events
from marketplace.hours import model as hours
from marketplace.spot import happenings as spot
from marketplace.worker import KINDS
from tests.structure import kind_table


def test_every_kind_of_event_is_documented() -> None:
    text = kind_table.FILE.read_text(encoding="utf-8")
    assert kind_table.render() in text
    assert text == kind_table.rewrite(text), "run `make docs`"


def test_everything_that_the_log_can_hold_is_a_kind() -> None:
    unions = {"hours": hours.Command, "addresses": addresses.Event, "events": events.Event, "spot": spot.Happening}
    for topic, union in unions.items():
        tagged = {struct.__struct_config__.tag for struct in typing.get_args(union)}
        assert tagged == {kind.name for kind in KINDS.all if kind.topic == topic}
