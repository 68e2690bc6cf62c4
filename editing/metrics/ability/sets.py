"""The registry of question sets, and the choice of records to ask."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import islice

from editflow.editing.errors import InvalidCase, InvalidOption
from editflow.editing.metrics.ability.cola import COLA
from editflow.editing.metrics.ability.declaration import AbilityCase, AbilitySet
from editflow.editing.metrics.ability.mmlu import MMLU
from editflow.editing.metrics.ability.mrpc import MRPC
from editflow.editing.metrics.ability.nli import NLI
from editflow.editing.metrics.ability.rte import RTE
from editflow.editing.metrics.ability.sst2 import SST2

ABILITY_SETS: dict[str, AbilitySet] = {one.name: one for one in (SST2, MRPC, COLA, RTE, MMLU, NLI)}

Located = tuple[str, AbilityCase]


def ability_set(name: str) -> AbilitySet:
    """Return the set of that name. Raises InvalidOption, which lists the names."""
    if name not in ABILITY_SETS:
        raise InvalidOption(f"unknown ability set {name!r}: choose from {', '.join(ABILITY_SETS)}")
    return ABILITY_SETS[name]


def draw(located: Iterable[Located], count: int | None, shots: int, seed: int, source: str) -> list[AbilityCase]:
    """Choose `count` questions (None: all), shuffled by `seed`, each after the same `shots` answered examples.

    The examples are the file's first records, shuffled by `seed`, and are not asked. The choice of the questions
    depends on the seed and their ids, not on their order in the file; a larger count only adds questions at the end.
    Memory holds only the chosen questions. Raises InvalidOption if there are too few records, and InvalidCase if two
    have the same id.
    """
    stream = iter(located)
    examples = [case for _, case in islice(stream, shots)]
    random.Random(seed).shuffle(examples)  # noqa: S311
    chosen = _chosen(stream, count, seed)
    if len(examples) < shots or len(chosen) < (1 if count is None else count):
        found = len(examples) + len(chosen)
        wanted = f"{shots} examples and {count or 'at least 1'} questions are asked for"
        raise InvalidOption(f"{source} holds {found} records, {wanted}; give a longer file, or ask for less")
    _check_distinct(chosen)
    before = "".join(f"{example.answered}\n\n" for example in examples)
    return [replace(case, prompt=before + case.prompt) for _, case in chosen]


def _chosen(located: Iterable[Located], count: int | None, seed: int) -> list[Located]:
    def rank(one: Located) -> bytes:
        return hashlib.sha256(f"{seed}\0{one[1].case_id}".encode()).digest()

    return sorted(located, key=rank) if count is None else nsmallest(count, located, key=rank)


def _check_distinct(chosen: Sequence[Located]) -> None:
    seen: dict[str, str] = {}
    for where, case in chosen:
        if case.case_id in seen:
            raise InvalidCase(where, f"id {case.case_id!r} is already used at {seen[case.case_id]}", "drop one of them")
        seen[case.case_id] = where
