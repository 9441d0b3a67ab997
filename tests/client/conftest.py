from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.client.callers import Caller


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Callable[..., Caller]:
    return partial(Caller, request.param)
