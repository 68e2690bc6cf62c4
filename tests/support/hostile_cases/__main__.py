"""`python tests/support/hostile_cases 417 900:1000`: run these cases; exit code 1 if a rule is broken."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]
for name, value in (("HF_HUB_OFFLINE", "1"), ("PREFECT_LOGGING_LEVEL", "CRITICAL"), ("DO_NOT_TRACK", "1")):
    os.environ.setdefault(name, value)

from support.hostile_cases.cases import KINDS, case  # noqa: E402
from support.hostile_cases.laws import Watch, clear, watched  # noqa: E402

ENDS = {0: "ok", 1: "found", 2: "refused"}


def run_cases(
    watch: Watch, numbers: Iterable[int], kinds: Iterable[str] = KINDS, *, every: bool = False
) -> Counter[str]:
    """Count cases by kind and result; print those that broke a rule, or all if `every`."""
    counts = Counter[str]()
    for number in numbers:
        made = case(number, watch.good, watch.listener.port)
        if made.kind in kinds:
            began = time.monotonic()
            verdict = watch.judge(made)
            counts[f"{made.kind}, {'broke a rule' if verdict.breaches else ENDS[verdict.result.code or 0]}"] += 1
            if verdict.breaches or every:
                outcome = "\n  ".join(verdict.breaches) or f"all rules held\n  {verdict.result.err}"
                print(f"{made}\n  {time.monotonic() - began:.2f} s; {outcome}", flush=True)
        clear(made)
    watch.check_bytes()
    return counts


def main(arguments: list[str]) -> int:
    kinds = [word for word in arguments if word in KINDS]
    numbers = [n for word in arguments if word not in KINDS for n in _numbers(word)]
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, watched(Path(folder) / "base") as watch:
        counts = run_cases(watch, numbers, kinds or KINDS, every=len(numbers) < 20)
    print(json.dumps(counts))
    return int(any("broke a rule" in name for name in counts))


def _numbers(word: str) -> range:
    first, colon, last = word.partition(":")
    return range(int(first), int(last) if colon else int(first) + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
