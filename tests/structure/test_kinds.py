"""Every kind of event is documented, and everything that a module can say in the log is a kind."""

from __future__ import annotations

import typing

from marketplace.addresses import model as addresses
from marketplace.hours import model as hours
from marketplace.worker import KINDS
from tests.structure import kind_table


def test_every_kind_of_event_is_documented() -> None:
    text = kind_table.FILE.read_text(encoding="utf-8")
    assert kind_table.render() in text
    assert text == kind_table.rewrite(text), "run `make docs`"


def test_everything_that_the_log_can_hold_is_a_kind() -> None:
    said = {*typing.get_args(hours.Command), *typing.get_args(hours.Order), *typing.get_args(addresses.Event)}
    tagged = {struct.__struct_config__.tag for struct in said if hasattr(struct, "__struct_config__")}
    assert tagged == {kind.name for kind in KINDS.all if kind.topic in ("hours", "addresses")}
