"""The second half of the thousand cases of test_hostile_cases.py."""

from __future__ import annotations

import pytest
from support.hostile_cases.laws import CASES, HALF, SHARE, Watch, broken

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("first", range(HALF, CASES, SHARE))
def test_no_case_breaks_a_law(watch: Watch, first: int) -> None:
    found = broken(watch, range(first, first + SHARE))
    assert not found, f"{len(found)} breaches\n" + "\n".join(found)
