"""A thousand untrusted inputs, none of which breaks a rule; `make soak` tries twenty thousand others.

The second half of the thousand is in test_more_hostile_cases.py, so that two workers share them.

The cases are in tests/support/hostile_cases. A failure names its number;
`python tests/support/hostile_cases NUMBER` runs it alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from support.hostile_cases.cases import KINDS, case
from support.hostile_cases.laws import CASES, HALF, SHARE, Watch, broken, clear
from support.hostile_cases.watch import seen

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("EDITFLOW_CASES", "20000"))
"""The number of cases of `make soak`, after the first thousand."""
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(SHARE, HALF, SHARE))]
)
def test_no_case_breaks_a_law(watch: Watch, first: int) -> None:
    found = broken(watch, range(first, first + SHARE))
    assert not found, f"{len(found)} breaches\n" + "\n".join(found)


def test_a_case_is_always_the_same(watch: Watch) -> None:
    """Regardless of the cases before it; and every kind occurs."""

    def made(number: int) -> tuple[str, str, list[str], list[bytes]]:
        found = case(number, watch.good, watch.listener.port)
        files = [
            path for path in map(Path, sorted(seen(found.folder))) if path.is_file() and path.stat().st_size < 1 << 22
        ]
        names = [name.removeprefix(str(found.folder)) for name in sorted(seen(found.folder))]
        answer = (
            found.kind,
            str(found),
            names,
            [path.read_bytes() for path in files if path.suffix in {".json", ".toml"}],
        )
        clear(found)
        return answer

    forth = {number: made(number) for number in range(60)}
    back = {number: made(number) for number in reversed(range(60))}
    assert forth == back
    assert {kind for kind, *_ in forth.values()} == set(KINDS)


@pytest.mark.soak
@pytest.mark.timeout(14_400)
def test_no_further_case_breaks_a_rule(tmp_path: Path) -> None:
    """In one process per core; processes share nothing."""
    started, shares = time.monotonic(), os.cpu_count() or 1
    bounds = [CASES + MANY * n // shares for n in range(shares + 1)]
    running = []
    for first, last in pairwise(bounds):
        output = (tmp_path / f"{first}.txt").open("w+")
        command = [sys.executable, str(ROOT / "tests" / "support" / "hostile_cases"), f"{first}:{last}"]
        running.append((subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT), output))
    counts, errors = Counter[str](), ""
    for process, output in running:
        process.wait()
        output.seek(0)
        *before, last_line = output.read().splitlines() or [""]
        errors += "\n".join(before)
        assert last_line.startswith("{"), f"{errors}\n{last_line}"
        counts.update(json.loads(last_line))
    print(f"\n{counts.total()} cases in {time.monotonic() - started:.0f} s")
    for name, number in sorted(counts.items()):
        print(f"  {name}: {number}")
    assert not [name for name in counts if "broke a rule" in name], errors
