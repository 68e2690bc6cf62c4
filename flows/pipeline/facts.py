"""The facts of a run: chosen from their source in one place, and cut into batches."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.requests.record import EditRequest
from editflow.flows.spec.sections import RequestsSection
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.edit_requests import choose, load_chosen, load_requests, reordered, unprobed


def load_facts(wanted: RequestsSection) -> list[EditRequest]:
    """The facts that a run edits, in its order."""
    source: str = wanted.source
    if wanted.count is not None and not wanted.exclude_probes:
        chosen = load_chosen(source, wanted.dataset, wanted.references, wanted.count, wanted.seed)
        return reordered(chosen, wanted.order)
    found = load_requests(source, wanted.dataset, wanted.references)
    if wanted.exclude_probes:
        found = unprobed(found, wanted.exclude_probes, wanted.seed)
        source = f"{source} without what requests.exclude_probes leaves out"
    return reordered(choose(found, wanted.count, wanted.seed, source), wanted.order)


def split_batches(
    facts: Sequence[EditRequest], size: int, wanted: RequestsSection
) -> list[tuple[int, list[EditRequest]]]:
    """(number from 1, facts) of every batch. Facts that are withdrawn leave gaps; a batch of nothing else is left out.

    Raises BadRecord for a withdrawn fact that is not there, and where none is left.
    """
    gone = set(wanted.withdrawn)
    if unknown := sorted(gone - {fact.request_id for fact in facts}):
        raise BadRecord(f"requests.withdrawn: {unknown[0]!r} is not among the {len(facts)} chosen facts; remove it")
    cuts = [facts[start : start + size] for start in range(0, len(facts), size)]
    left = [(number, [fact for fact in cut if fact.request_id not in gone]) for number, cut in enumerate(cuts, 1)]
    found = [(number, kept) for number, kept in left if kept]
    if not found:
        raise BadRecord(f"requests.withdrawn names all {len(facts)} chosen facts: nothing is left to edit")
    return found
