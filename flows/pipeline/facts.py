"""The facts of a run: selected from their source and split into batches."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.requests.record import EditRequest
from editflow.flows.spec.sections import RequestsSection
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.edit_requests import (
    choose_requests,
    load_and_choose,
    load_requests,
    reorder,
    without_probes,
)


def load_facts(wanted: RequestsSection) -> list[EditRequest]:
    """The facts that a run edits, in order."""
    source: str = wanted.source
    if wanted.count is not None and not wanted.exclude_probes:
        chosen = load_and_choose(source, wanted.dataset, wanted.references, wanted.count, wanted.seed)
        return reorder(chosen, wanted.order)
    found = load_requests(source, wanted.dataset, wanted.references)
    if wanted.exclude_probes:
        found = without_probes(found, wanted.exclude_probes, wanted.seed)
        source = f"{source} without the facts that requests.exclude_probes excludes"
    return reorder(choose_requests(found, wanted.count, wanted.seed, source), wanted.order)


def split_batches(
    facts: Sequence[EditRequest], size: int, wanted: RequestsSection
) -> list[tuple[int, list[EditRequest]]]:
    """(number from 1, facts) of every batch. Withdrawn facts leave gaps; a batch of only withdrawn facts is dropped.

    Raises BadRecord for an unknown withdrawn fact, and if no fact is left.
    """
    withdrawn = set(wanted.withdrawn)
    if unknown := sorted(withdrawn - {fact.request_id for fact in facts}):
        raise BadRecord(f"requests.withdrawn: {unknown[0]!r} is not among the {len(facts)} chosen facts; remove it")
    cuts = [facts[start : start + size] for start in range(0, len(facts), size)]
    left = [(number, [fact for fact in cut if fact.request_id not in withdrawn]) for number, cut in enumerate(cuts, 1)]
    found = [(number, kept) for number, kept in left if kept]
    if not found:
        raise BadRecord(f"requests.withdrawn names all {len(facts)} chosen facts: nothing is left to edit")
    return found
