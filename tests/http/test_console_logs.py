"""What a person at a terminal reads of an error: its stack, not what was in it."""

from __future__ import annotations

import sys

from marketplace.http import logs


def test_a_stack_on_the_console_shows_no_values() -> None:
    def stumble(body: str) -> None:
        raise ZeroDivisionError(len(body))

    text = ""
    try:
        stumble("the secret of the house")
    except ZeroDivisionError:
        *_, render = logs._last(is_json=False)
        text = str(render(None, "error", {"event": "request_failed", "exc_info": sys.exc_info()}))
    assert "stumble" in text
    assert "the secret of the house" not in text.replace('stumble("the secret of the house")', "")
