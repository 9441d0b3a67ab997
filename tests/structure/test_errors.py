"""Every error has a code of its own, and every code is in the documentation."""

from __future__ import annotations

import re
from collections import Counter

from tests.structure import error_table


def test_every_error_code_is_documented() -> None:
    assert error_table.FILE.read_text(encoding="utf-8") == error_table.render(), "run `make docs`"


def test_no_two_refusals_share_a_code() -> None:
    counted = Counter(refusal.code for refusal in error_table.refusals())
    assert [code for code, count in counted.items() if count > 1] == []


def test_codes_of_a_module_begin_with_its_name() -> None:
    for refusal in error_table.refusals():
        assert re.fullmatch(r"([a-z]+\.)?[a-z]+(_[a-z]+)*", refusal.code), refusal
        if refusal.__module__.endswith(".errors") and "foundation" not in refusal.__module__:
            assert refusal.code.startswith(refusal.__module__.split(".")[1] + "."), refusal
