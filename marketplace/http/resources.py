"""What handlers work on. Taken from the application's state, since a Litestar dependency costs a hot handler more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar.connection import ASGIConnection

from marketplace.database import Database, Lane
from marketplace.foundation.settings import Settings

STATE = "resources"


class Resources(msgspec.Struct, frozen=True):
    """One database, and the lanes that write to it, by name."""

    settings: Settings
    database: Database
    lanes: Mapping[str, Lane]


def resources(connection: ASGIConnection[Any, Any, Any, Any]) -> Resources:
    return cast(Resources, connection.app.state[STATE])


def database(connection: ASGIConnection[Any, Any, Any, Any]) -> Database:
    return resources(connection).database
